"""Theorem 2 and its convex companions: double-sketched gradient descent with exact gradients on convex problems."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from mastsim.backend import Array
from mastsim.methods import DSGD, Method
from mastsim.run import Run
from mastsim.sketches.base import CACHED_SUPPORT
from mastsim.theorems.assumptions import (
    BOUNDED,
    CONVEX,
    SINGLE_NODE,
    SMOOTH,
    STRONGLY_CONVEX,
    UNBIASED,
    Assumption,
)
from mastsim.theorems.linear_and_sublinear import LinearRate, SublinearRate
from mastsim.theorems.rates import SketchedRate


class DoubleSketched(SketchedRate):
    """What the theorems about `DSGD` with exact gradients share."""

    method = "DSGD"

    def method_at(self, stepsize: float) -> Method:
        """Return `DSGD` with a step size."""
        return DSGD(stepsize)

    def almost_sure_bound(self, steps: int, stepsize: float, run: Run) -> np.ndarray:
        """Return a bound from (‖x^0 − x_D*‖ + Tγζ)² ≥ ‖x^T − x_D*‖², ζ ≥ sup_S ‖∇f_S(x_D*)‖, for convex f and γ ≤ 2/L.

        For γ ≤ 2/L the map x − γ∇f_S(x) is non-expansive, so a step adds at most γ‖∇f_S(x_D*)‖ to the distance.
        """
        F = self.objective
        non_expansive = stepsize <= 2 * (1 + 1e-12) / self.constants.expected_smoothness_sharp
        if not (F.problem.is_convex and F.mu_fD_sharp > 0 and non_expansive and "distance" in run.traces):
            return np.full(run.replicas, np.inf)
        farthest = np.sqrt(run.traces["distance"][:, 0]) + steps * stepsize * self._largest_noise
        return (farthest * self.stretch) ** 2

    @cached_property
    def _largest_noise(self) -> float:
        """ζ, over all values of the sketch if they are few; otherwise √L_S^max·L_f·‖v + S(x_D* − v) − x*‖, as ∇f(x*) = 0."""
        F, c = self.objective, self.constants
        best, root = F.minimize(), math.sqrt(c.L_S_max)
        away = math.sqrt(2 * best.excess_bound / F.mu_fD_sharp)
        to_best = float(np.linalg.norm(F.center - F.problem.minimize().x))
        to_sketched = float(np.linalg.norm(best.x - F.center)) + away
        bound = root * c.L_f * (to_best + root * to_sketched)
        if F.sketch.support_size > CACHED_SUPPORT:
            return bound
        at_best = np.asarray(F.sketched_gradient(best.x, F.sketch.support()[0]))
        return min(bound, float(np.linalg.norm(at_best, axis=1).max()) + c.expected_smoothness * away)


@dataclass(frozen=True, eq=False)
class StronglyConvexDSGD(DoubleSketched, LinearRate):
    """E‖x^T − x_D*‖² ≤ (1 − γμ)^T ‖x^0 − x_D*‖² + (2γL/μ)(f_D^inf − f^inf) for γ ≤ 1/L.

    Parameters
    ----------
    objective : Mast
        The objective f_D; f must be strongly convex and the sketch bounded.
    sharp : bool, default False
        Use this package's constants L = sup λ_max(SᵀLS) and μ = λ_min(E[SᵀMS]) in place of the paper's L_f·L_S^max and
        μ_D·μ_f.

    Raises
    ------
    AssumptionError
        Naming the assumption, the measured value and the remedy.

    References
    ----------
    MAST, arXiv 2311.16086, Theorem 2; sharp constants: this package.

    Examples
    --------
    >>> import mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1))
    >>> t = StronglyConvexDSGD(F)
    >>> t.stepsize, t.rate, round(t.radius, 12)
    (0.25, 0.5, 0.5)
    >>> round(float(t.bound(10, initial=1.0)), 12)
    0.5009765625
    """

    id = "theorem2"
    title = "Theorem 2 (strongly convex DSGD)"
    source = "MAST (arXiv 2311.16086), Theorem 2"
    statement = (
        r"\gamma \le \frac{1}{L_f L_{\mathbf S}^{\max}} \Rightarrow \mathbb E\|x^T - x_D^*\|^2 \le (1 - \gamma\mu_D\mu_f)^T"
        r"\|x^0 - x_D^*\|^2 + \frac{2\gamma L_f L_{\mathbf S}^{\max}}{\mu_D\mu_f}(f_D^{\inf} - f^{\inf})"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (SINGLE_NODE, UNBIASED, BOUNDED, SMOOTH, STRONGLY_CONVEX)
    constants_used = ("L_f", "mu_f", "L_S_max", "mu_D", "gap")

    @property
    def stepsize(self) -> float:
        """The largest step size 1/L."""
        return 1 / self.L

    def contraction(self, stepsize: float) -> float:
        """Return γμ."""
        return stepsize * self.mu

    def neighbourhood(self, stepsize: float) -> float:
        """Return 2γL·gap/μ."""
        return 2 * stepsize * self.L * self.gap / self.mu


@dataclass(frozen=True, eq=False)
class ConvexDSGD(DoubleSketched, SublinearRate):
    """E f_D(x̄_T) − f_D^inf ≤ r_0/(γT) + 2γL·gap for γ ≤ 1/(2L), where x̄_T is the average of x^0, …, x^{T−1}.

    What is tried is the mean of f_D(x^t) − f_D^inf over t < T, which is at least the left side.

    Parameters
    ----------
    objective : Mast
        The objective f_D; f must be convex and the sketch bounded.
    sharp : bool, default False
        Use this package's L = sup λ_max(SᵀLS), and E inf f_S in place of f^inf.

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
    >>> t = ConvexDSGD(ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1)))
    >>> t.stepsize, round(t.radius, 12), round(float(t.bound(10, initial=1.0)), 12)
    (0.125, 0.5, 1.3)
    """

    id = "theorem2-convex"
    title = "Theorem 2' (convex DSGD)"
    source = "this package"
    statement = (
        r"\gamma \le \frac{1}{2L} \Rightarrow \mathbb E f_D(\bar x_T) - f_D^{\inf} \le \frac{\|x^0 - x_D^*\|^2}{\gamma T}"
        r" + 2\gamma L (f_D^{\inf} - f^{\inf}), \quad L = L_f L_{\mathbf S}^{\max}"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (SINGLE_NODE, UNBIASED, BOUNDED, SMOOTH, CONVEX)
    constants_used = ("L_f", "L_S_max", "gap")
    measure = "gap"
    over = "average"

    @property
    def stepsize(self) -> float:
        """The largest step size 1/(2L)."""
        return 1 / (2 * self.L) if self.L > 0 else 1.0

    def weight(self, steps: Array, stepsize: float) -> Array:
        """Return 1."""
        return np.ones_like(steps)

    def noise(self, stepsize: float) -> float:
        """Return 2γL·gap."""
        return 2 * stepsize * self.L * self.gap


@dataclass(frozen=True, eq=False)
class ConvexDSGDAnyStep(ConvexDSGD):
    """E f_D(x̄_T) − f_D^inf ≤ [r_0/(γT) + 2γL·gap]/(2(1 − γL)) for every γ < 1/L.

    Parameters
    ----------
    objective : Mast
        The objective f_D; f must be convex and the sketch bounded.
    sharp : bool, default False
        Use this package's L = sup λ_max(SᵀLS), and E inf f_S in place of f^inf.

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
    >>> t = ConvexDSGDAnyStep(ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1)))
    >>> t.stepsize, round(float(t.bound(10, stepsize=0.125, initial=1.0)), 12)
    (0.225, 1.3)
    """

    id = "theorem2-convex-any-step"
    title = "Theorem 2' (convex DSGD, any step below 1/L)"
    statement = (
        r"\gamma < \frac{1}{L} \Rightarrow \mathbb E f_D(\bar x_T) - f_D^{\inf} \le \frac{1}{2(1 - \gamma L)}\left["
        r"\frac{\|x^0 - x_D^*\|^2}{\gamma T} + 2\gamma L (f_D^{\inf} - f^{\inf})\right], \quad L = L_f L_{\mathbf S}^{\max}"
    )

    @property
    def stepsize(self) -> float:
        """0.9/L, short of the open end 1/L, where the bound is infinite."""
        return 0.9 / self.L if self.L > 0 else 1.0

    @property
    def limit(self) -> float:
        """1/L, where the bound becomes infinite; no end where L = 0."""
        return 1 / self.L if self.L > 0 else math.inf

    def weight(self, steps: Array, stepsize: float) -> Array:
        """Return 1/(2(1 − γL))."""
        return np.full_like(steps, self._factor(stepsize))

    def noise(self, stepsize: float) -> float:
        """Return 2γL·gap/(2(1 − γL))."""
        return self._factor(stepsize) * super().noise(stepsize)

    def _factor(self, stepsize: float) -> float:
        return 1 / (2 * (1 - stepsize * self.L)) if stepsize * self.L < 1 else math.inf
