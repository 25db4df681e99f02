"""Independent subnetwork training of quadratics, judged on f itself: when it descends, where it settles, and how far off."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from mastsim.backend import Array
from mastsim.expected import Objective
from mastsim.methods import DistributedDSGD, Method
from mastsim.theorems.agreeing_clients import agreeing_clients
from mastsim.theorems.assumptions import BOUNDED, DISTRIBUTED, SMOOTH, UNBIASED, Assumption
from mastsim.theorems.linear_and_sublinear import LinearRate, SublinearRate
from mastsim.theorems.rates import Case, Rate
from mastsim.theorems.subnetwork_constants import CURVED, DESCENT, ONE_MINIMISER, QUADRATIC_CLIENTS, SubnetworkConstants
from mastsim.validation import UNLIMITED, nonnegative, positive

CLIENTS = (DISTRIBUTED, UNBIASED, BOUNDED, SMOOTH, QUADRATIC_CLIENTS, CURVED)
"""What all of them assume."""


class SubnetworkRate(Rate):
    """What the theorems about subnetworks share."""

    method = "DistributedDSGD"
    beyond = True
    longest = 60

    @cached_property
    def constants(self) -> SubnetworkConstants:
        """The constants of the objective."""
        return SubnetworkConstants(self.objective)

    def method_at(self, stepsize: float) -> Method:
        """Return `DistributedDSGD` with a step size."""
        return DistributedDSGD(stepsize)

    @property
    def mu(self) -> float:
        """λ_min(H_D)."""
        return self.constants.mu_fD_sharp.value

    def noise(self, stepsize: float) -> float:
        """Return 0: all clients have one minimiser."""
        return 0.0

    def neighbourhood(self, stepsize: float) -> float:
        """Return 0, for the same reason."""
        return 0.0


class AgreeingSubnetworks(SubnetworkRate):
    """Those about clients with one minimiser, which are tried on such clients."""

    @classmethod
    def own_cases(cls, small: Sequence[Objective]) -> Sequence[Case]:
        """Return clients that agree: of equal and of different Hessians, dealt out and independent."""
        return [Case(cls(F), None, "holds") for F in agreeing_clients() if cls.refuse(F) is None]


@dataclass(frozen=True, eq=False)
class SubnetworkDescent(AgreeingSubnetworks, LinearRate):
    """E f(x^T) − f^inf ≤ (1 − γλ)^T (f(x⁰) − f^inf), λ = λ_min(L̄^{-½}WL̄^{-½}), γ ≤ 1/θ, E[BL̄B] ⪯ θW, if W ≻ 0.

    W = ½(L̄H_D + H_DL̄) ≻ 0 is a real assumption: L̄ and H_D may be positive definite without it. It holds for equal marginals
    where the diagonal of L̄ is constant.

    Parameters
    ----------
    objective : Distributed
        Clients with quadratics of one minimiser, the shift; L̄ ≻ 0 and W ≻ 0.
    sharp : bool, default False
        Has no effect: the constants are sharp.

    Raises
    ------
    AssumptionError
        Naming the assumption, the measured value and the remedy.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> f = ms.Quadratic(np.diag([1.0, 2.0]), np.zeros(2))
    >>> t = SubnetworkDescent(ms.Distributed([f, f], ms.PermK(2, clients=2)))
    >>> round(t.stepsize, 12), round(t.rate, 12)
    (0.25, 0.5)
    """

    id = "subnetworks-descent"
    title = "Subnetworks (descent of f)"
    source = "this package"
    statement = (
        r"\mathbf W = \tfrac12(\bar{\mathbf L}\mathbf H_D + \mathbf H_D\bar{\mathbf L}) \succ 0,\ \mathbb E[\mathbf B"
        r"\bar{\mathbf L}\mathbf B] \preceq \theta\mathbf W,\ \gamma \le \tfrac1\theta \Rightarrow \mathbb E f(x^T) -"
        r" f^{\inf} \le \left(1 - \gamma\lambda_{\min}(\bar{\mathbf L}^{-1/2}\mathbf W\bar{\mathbf L}^{-1/2})\right)^T"
        r"(f(x^0) - f^{\inf}),\quad \mathbf B = \tfrac1M\textstyle\sum_i\mathbf S_i^\top\mathbf L_i\mathbf S_i"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (
        *CLIENTS,
        ONE_MINIMISER,
        DESCENT,
    )
    constants_used = ("descent_gain", "descent_smoothness")
    measure = "f_gap"
    starts_from = "f_gap"

    @property
    def stepsize(self) -> float:
        """The largest step size 1/θ."""
        return 1 / self.constants.descent_smoothness

    def contraction(self, stepsize: float) -> float:
        """Return γλ."""
        return min(stepsize * self.constants.descent_gain.value, 1.0)


@dataclass(frozen=True, eq=False)
class SubnetworkGradient(AgreeingSubnetworks, SublinearRate):
    """The average of E‖∇f(x^t)‖² over t < T is at most 2(f(x⁰) − f^inf)/(γλ′T), λ′ = λ_min(L̄⁻¹WL̄⁻¹), γ ≤ 1/θ, if W ≻ 0.

    Parameters
    ----------
    objective : Distributed
        Clients with quadratics of one minimiser, the shift; L̄ ≻ 0 and W ≻ 0.
    sharp : bool, default False
        Has no effect: the constants are sharp.

    Raises
    ------
    AssumptionError
        Naming the assumption, the measured value and the remedy.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> f = ms.Quadratic(np.diag([1.0, 2.0]), np.zeros(2))
    >>> t = SubnetworkGradient(ms.Distributed([f, f], ms.PermK(2, clients=2)))
    >>> round(float(t.bound(8, initial=1.0)), 12)
    0.5
    """

    id = "subnetworks-gradient"
    title = "Subnetworks (gradient of f)"
    source = "this package"
    statement = (
        r"\mathbf W \succ 0,\ \mathbb E[\mathbf B\bar{\mathbf L}\mathbf B] \preceq \theta\mathbf W,\ \gamma \le"
        r" \tfrac1\theta \Rightarrow \frac1T\sum_{t<T}\mathbb E\|\nabla f(x^t)\|^2 \le"
        r" \frac{2(f(x^0) - f^{\inf})}{\gamma\lambda' T},\quad"
        r" \lambda' = \lambda_{\min}(\bar{\mathbf L}^{-1}\mathbf W\bar{\mathbf L}^{-1})"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = SubnetworkDescent.assumptions
    constants_used = ("gradient_gain", "descent_smoothness")
    measure = "f_gradient_norm2"
    over = "average"
    starts_from = "f_gap"

    @property
    def stepsize(self) -> float:
        """The largest step size 1/θ."""
        return 1 / self.constants.descent_smoothness

    def weight(self, steps: Array, stepsize: float) -> Array:
        """Return 2/λ′."""
        return np.full_like(steps, 2 / self.constants.gradient_gain)


@dataclass(frozen=True, eq=False)
class SubnetworkDistance(AgreeingSubnetworks, LinearRate):
    """E‖x^T − x*‖² ≤ (1 − γλ_min(H_D))^T ‖x⁰ − x*‖² for γ ≤ 1/θ₂, E[B²] ⪯ θ₂H_D, whatever W is.

    Where W is not positive semidefinite f may grow at first, and then falls with the distance.

    Parameters
    ----------
    objective : Distributed
        Clients with quadratics of one minimiser, the shift; L̄ ≻ 0.
    sharp : bool, default False
        Has no effect: the constants are sharp.

    Raises
    ------
    AssumptionError
        Naming the assumption, the measured value and the remedy.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> f = ms.Quadratic(np.diag([1.0, 2.0]), np.zeros(2))
    >>> t = SubnetworkDistance(ms.Distributed([f, f], ms.PermK(2, clients=2)))
    >>> round(t.stepsize, 12), round(t.rate, 12)
    (0.25, 0.5)
    """

    id = "subnetworks-distance"
    title = "Subnetworks (distance)"
    source = "this package"
    statement = (
        r"\mathbb E[\mathbf B^2] \preceq \theta_2\mathbf H_D,\ \gamma \le \tfrac1{\theta_2} \Rightarrow \mathbb E\|x^T -"
        r" x^*\|^2 \le (1 - \gamma\lambda_{\min}(\mathbf H_D))^T\|x^0 - x^*\|^2"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (*CLIENTS, ONE_MINIMISER)
    constants_used = ("square_smoothness", "mu_fD_sharp")
    measure = "error"
    starts_from = "error"

    @property
    def stepsize(self) -> float:
        """The largest step size 1/θ₂."""
        return 1 / self.constants.square_smoothness

    def contraction(self, stepsize: float) -> float:
        """Return γλ_min(H_D)."""
        return min(stepsize * self.mu, 1.0)


class NoisySubnetworks(SubnetworkRate):
    """Those about clients whose minimisers differ; the centre is x_D*, not x*."""

    assumptions: ClassVar[tuple[Assumption, ...]] = CLIENTS

    @property
    def stepsize(self) -> float:
        """The largest step size 1/(2θ₂)."""
        return 1 / (2 * self.constants.square_smoothness)

    @property
    def sigma2(self) -> float:
        """A proven upper bound on σ² = E‖Bx_D* − b_C‖²."""
        noise = self.constants.sigma2_star
        return noise.value + noise.error

    def spread(self, steps: Array, stepsize: float, initial: Array) -> Any:
        """Return (1 − γμ)^T r_0 + 2γσ²/μ."""
        shrink = min(stepsize * self.mu, 1.0)
        power = np.exp(np.asarray(steps) * math.log1p(-shrink)) if shrink < 1 else 0.0 ** np.asarray(steps)
        return power * initial + 2 * stepsize * self.sigma2 / self.mu


@dataclass(frozen=True, eq=False)
class SubnetworkNoise(NoisySubnetworks, LinearRate):
    """E‖x^T − x_D*‖² ≤ (1 − γμ)^T ‖x⁰ − x_D*‖² + 2γσ²/μ for γ ≤ 1/(2θ₂), μ = λ_min(H_D), E[B²] ⪯ θ₂H_D.

    Parameters
    ----------
    objective : Distributed
        Clients with quadratics; L̄ ≻ 0.
    sharp : bool, default False
        Has no effect: the constants are sharp.

    Raises
    ------
    AssumptionError
        Naming the assumption, the measured value and the remedy.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> f, g = ms.Quadratic(np.eye(2), np.ones(2)), ms.Quadratic(np.eye(2), -np.ones(2))
    >>> t = SubnetworkNoise(ms.Distributed([f, g], ms.PermK(2, clients=2)))
    >>> round(t.stepsize, 12), round(t.rate, 12), round(t.radius, 12)
    (0.25, 0.5, 0.5)
    """

    id = "subnetworks-noise"
    title = "Subnetworks with noise (distance to x_D*)"
    source = "this package"
    statement = (
        r"\mathbb E[\mathbf B^2] \preceq \theta_2\mathbf H_D,\ \gamma \le \tfrac1{2\theta_2} \Rightarrow \mathbb E\|x^T -"
        r" x_D^*\|^2 \le (1 - \gamma\mu)^T\|x^0 - x_D^*\|^2 + \frac{2\gamma}\mu"
        r"\mathbb E\|\mathbf B x_D^* - b_{\mathbf C}\|^2,\quad \mu = \lambda_{\min}(\mathbf H_D)"
    )
    constants_used = ("square_smoothness", "mu_fD_sharp", "sigma2_star")

    def contraction(self, stepsize: float) -> float:
        """Return γμ."""
        return min(stepsize * self.mu, 1.0)

    def neighbourhood(self, stepsize: float) -> float:
        """Return 2γσ²/μ."""
        return 2 * stepsize * self.sigma2 / self.mu


@dataclass(frozen=True, eq=False)
class SubnetworkBias(NoisySubnetworks):
    """√(2(E f(x^T) − f^inf)) ≤ ‖x_D* − x*‖_L̄ + √(L_f((1 − γμ)^T r_0 + 2γσ²/μ)) for γ ≤ 1/(2θ₂).

    The first term is the bias of subnetworks, which stays however small the steps are.

    Parameters
    ----------
    objective : Distributed
        Clients with quadratics; L̄ ≻ 0.
    sharp : bool, default False
        Has no effect: the constants are sharp.

    Raises
    ------
    AssumptionError
        Naming the assumption, the measured value and the remedy.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> f, g = ms.Quadratic(np.eye(2), np.ones(2)), ms.Quadratic(np.diag([1.0, 3.0]), np.ones(2))
    >>> t = SubnetworkBias(ms.Distributed([f, g], ms.PermK(2, clients=2)))
    >>> round(t.bias, 12), t.radius > t.bias**2 / 2
    (0.612372435696, True)
    """

    id = "subnetworks-bias"
    title = "Subnetworks with noise (value of f)"
    source = "this package"
    statement = (
        r"\gamma \le \tfrac1{2\theta_2} \Rightarrow \sqrt{2(\mathbb E f(x^T) - f^{\inf})} \le \|x_D^* -"
        r" x^*\|_{\bar{\mathbf L}} + \sqrt{L_f\left((1 - \gamma\mu)^T\|x^0 - x_D^*\|^2 +"
        r" \frac{2\gamma}\mu\mathbb E\|\mathbf B x_D^* - b_{\mathbf C}\|^2\right)}"
    )
    constants_used = ("square_smoothness", "mu_fD_sharp", "sigma2_star", "bias", "L_f")
    measure = "f_gap"

    @property
    def bias(self) -> float:
        """A proven upper bound on ‖x_D* − x*‖_L̄."""
        return self.constants.bias.value + self.constants.bias.error

    @property
    def rate(self) -> float:
        """1 − γμ at the largest step size, for the squared root of the second term."""
        return 1 - min(self.stepsize * self.mu, 1.0)

    @property
    def radius(self) -> float:
        """What is left in the end at the largest step size, bias included."""
        return float(self.claim(math.inf, self.stepsize, 0.0))

    def claim(self, steps: Array, stepsize: float, initial: Array) -> Array:
        """Return the right side for any step size."""
        root = np.sqrt(self.constants.L_f.value * np.asarray(self.spread(steps, stepsize, initial)))
        return (self.bias + root) ** 2 / 2

    def stepsize_to_accuracy(self, accuracy: float) -> float:
        """Return the largest allowed step size that leaves the noise half of the room above the bias; 0 where there is none.

        Parameters
        ----------
        accuracy : float
            The value of f − f^inf aimed at, above 0.
        """
        room = math.sqrt(2 * positive("accuracy", accuracy, UNLIMITED)) - self.bias
        noise = 2 * self.constants.L_f * self.sigma2 / self.mu
        return 0.0 if room <= 0 else min(self.stepsize, room**2 / (2 * noise) if noise > 0 else math.inf)

    def steps_to_accuracy(self, accuracy: float, initial: float | None = None) -> float:
        """Return the steps after which the bound is at most `accuracy`; infinite where the bias alone is above it.

        Parameters
        ----------
        accuracy : float
            The value of f − f^inf aimed at, above 0.
        initial : float, optional
            r_0 ≥ 0; for the start at the shift when left out.
        """
        gamma = self.stepsize_to_accuracy(accuracy)
        start = self.initial if initial is None else nonnegative("initial", initial, UNLIMITED)
        if gamma == 0:
            return math.inf
        room = (math.sqrt(2 * accuracy) - self.bias) ** 2 / self.constants.L_f - 2 * gamma * self.sigma2 / self.mu
        if start <= room:
            return 0.0
        shrink = min(gamma * self.mu, 1.0)
        if room <= 0 or shrink <= 0:
            return math.inf
        steps = math.log(start / room) / -math.log1p(-shrink) if shrink < 1 else 1.0
        return float(math.ceil(steps)) if math.isfinite(steps) else math.inf
