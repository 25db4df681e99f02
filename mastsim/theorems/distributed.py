"""Theorem 6 as it is quoted and as it is corrected, and two theorems on distributed DSGD for strongly convex clients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mastsim.expected import Objective
from mastsim.methods import DistributedDSGD, Method
from mastsim.theorems.assumptions import (
    BOUNDED,
    DISTRIBUTED,
    INDEPENDENT,
    SMOOTH,
    STRONGLY_CONVEX,
    UNBIASED,
    Assumption,
)
from mastsim.theorems.base import Status
from mastsim.theorems.linear_and_sublinear import HorizonRate, LinearRate
from mastsim.theorems.rates import Case, SketchedRate
from mastsim.theorems.theorem6_witness import WITNESSES, theorem6_witness


class DistributedRate(SketchedRate):
    """What the theorems about `DistributedDSGD` share."""

    method = "DistributedDSGD"

    def method_at(self, stepsize: float) -> Method:
        """Return `DistributedDSGD` with a step size."""
        return DistributedDSGD(stepsize)


class NonconvexDistributedRate(DistributedRate, HorizonRate):
    """min_{t<T} E‖∇f_D(x^t)‖² ≤ 3δ_0/(γT) + γ𝔇·gap_M for γ ≤ 1/√(𝔇T)."""

    assumptions: ClassVar[tuple[Assumption, ...]] = (DISTRIBUTED, UNBIASED, BOUNDED, SMOOTH)

    def noise(self, stepsize: float) -> float:
        """Return γ𝔇·gap_M."""
        return stepsize * self.variance * self.gap


@dataclass(frozen=True, eq=False)
class NonconvexDistributedQuoted(NonconvexDistributedRate):
    """Theorem 6 with the constant as quoted in public reviews, which is false when clients differ.

    Parameters
    ----------
    objective : Distributed
        The objective f_D; the sketches must be bounded, the clients' f_i smooth and bounded below.
    sharp : bool, default False
        Has no effect: the record is kept as it is quoted.
    horizon : int, default 1000
        T, the number of steps planned; the largest step size is 1/√(𝔇_max·T).

    Raises
    ------
    AssumptionError
        Naming the assumption, the measured value and the remedy.

    References
    ----------
    MAST, arXiv 2311.16086, Theorem 6, as quoted in public reviews of a version of the paper; not checked in the
    camera-ready.

    Examples
    --------
    >>> import numpy as np, mastsim as ms
    >>> F = ms.Distributed([ms.Quadratic(np.eye(2), np.ones(2)), ms.Quadratic(3 * np.eye(2), np.ones(2))], ms.RandK(2, k=1))
    >>> NonconvexDistributedQuoted(F, horizon=2).stepsize, NonconvexDistributed(F, horizon=2).stepsize
    (0.08333333333333333, 0.125)
    """

    id = "theorem6-quoted"
    title = "Theorem 6 (nonconvex, distributed), constant as quoted"
    source = (
        "MAST (arXiv 2311.16086), Theorem 6, as quoted in public reviews of a version of the paper; "
        "not checked in the camera-ready"
    )
    status: ClassVar[Status] = "refuted as quoted"
    statement = (
        r"\gamma \le \frac{1}{\sqrt{\mathfrak D_{\max} T}} \Rightarrow \min_{t<T}\mathbb E\|\nabla f_D(x^t)\|^2 \le"
        r" \frac{3\delta_0}{\gamma T} + \gamma\mathfrak D_{\max}\left(f_D^{\inf} - \tfrac1M\textstyle\sum_i f_i^{\inf}"
        r"\right), \quad \mathfrak D_{\max} = \max_i L_{f_i}^2 L_{D_i} L_{S_i}^{\max}"
    )
    constants_used: ClassVar[tuple[str, ...]] = ("nonconvex_variance_quoted", "gap")

    @property
    def gap(self) -> float:
        """A proven upper bound on gap_M."""
        return max(self.constants.gap + self.constants.gap.error, 0.0)

    @property
    def variance(self) -> float:
        """𝔇_max as quoted."""
        return self.constants.nonconvex_variance_quoted.value

    @classmethod
    def own_cases(cls, small: Sequence[Objective]) -> Sequence[Case]:
        """Return the witnesses against the theorem, and small quadratics on which the quoted constant is large enough."""
        found = []
        for probability, horizon in WITNESSES:
            F, corner = theorem6_witness(probability)
            claim = cls(F, horizon=horizon)
            found.append(Case(claim, np.array([math.sqrt(claim.stepsize / 16), corner[1]]), "refuted"))
        claims = [cls(F) for F in small if F.is_quadratic and cls.refuse(F) is None]
        right = [c for c in claims if c.constants.nonconvex_variance <= c.constants.nonconvex_variance_quoted]
        return found + [Case(claim, None, "holds") for claim in right]


@dataclass(frozen=True, eq=False)
class NonconvexDistributed(NonconvexDistributedRate):
    """min_{t<T} E‖∇f_D(x^t)‖² ≤ 3δ_0/(γT) + γ𝔇·gap_M for γ ≤ 1/√(𝔇T), with 𝔇 = L̂·L̃, for any dependence between clients.

    Parameters
    ----------
    objective : Distributed
        The objective f_D; the sketches must be bounded, the clients' f_i smooth and bounded below.
    sharp : bool, default False
        Use the smoothness constant of f_D in place of L̂, sup λ_max(SᵀLS) in L̃, and E inf f_{i,S} in place of f_i^inf.
    horizon : int, default 1000
        T, the number of steps planned; the largest step size is 1/√(𝔇T).

    Raises
    ------
    AssumptionError
        Naming the assumption, the measured value and the remedy.

    References
    ----------
    This package.

    Examples
    --------
    >>> import numpy as np, mastsim as ms
    >>> F = ms.Distributed([ms.Quadratic(np.eye(2), np.ones(2)), ms.Quadratic(3 * np.eye(2), np.ones(2))], ms.RandK(2, k=1))
    >>> NonconvexDistributed(F).variance
    32.0
    """

    id = "theorem6"
    title = "Theorem 6 (nonconvex, distributed), corrected"
    source = "MAST (arXiv 2311.16086), Theorem 6, corrected in this package"
    status: ClassVar[Status] = "corrected"
    statement = (
        r"\gamma \le \frac{1}{\sqrt{\mathfrak D T}} \Rightarrow \min_{t<T}\mathbb E\|\nabla f_D(x^t)\|^2 \le"
        r" \frac{3\delta_0}{\gamma T} + \gamma\mathfrak D\left(f_D^{\inf} - \tfrac1M\textstyle\sum_i f_i^{\inf}\right),"
        r" \quad \mathfrak D = \hat L\tilde L,\ \hat L = \tfrac1M\textstyle\sum_i L_{f_i}L_{D_i},\ \tilde L = \tfrac1M\sum_i"
        r" L_{f_i}L_{S_i}^{\max}"
    )
    constants_used = ("nonconvex_variance", "gap")


@dataclass(frozen=True, eq=False)
class ConvexDistributed(DistributedRate, LinearRate):
    """E‖x^T − x_D*‖² ≤ (1 − γμ)^T ‖x^0 − x_D*‖² + (2γL̃/μ)·gap_M for γ ≤ 1/L̃, for any dependence between clients.

    Parameters
    ----------
    objective : Distributed
        The objective f_D; the sketches must be bounded, the clients' f_i convex and one of them strongly.
    sharp : bool, default False
        Use the strong convexity constant of f_D, sup λ_max(SᵀLS) in L̃, and E inf f_{i,S} in place of f_i^inf.

    Raises
    ------
    AssumptionError
        Naming the assumption, the measured value and the remedy.

    References
    ----------
    This package.

    Examples
    --------
    >>> import numpy as np, mastsim as ms
    >>> F = ms.Distributed([ms.Quadratic(np.eye(2), np.ones(2)), ms.Quadratic(3 * np.eye(2), np.ones(2))], ms.RandK(2, k=1))
    >>> t = ConvexDistributed(F)
    >>> t.stepsize, t.rate
    (0.125, 0.5)
    """

    id = "distributed-convex"
    title = "Convex distributed DSGD"
    source = "this package"
    statement = (
        r"\gamma \le \frac{1}{\tilde L} \Rightarrow \mathbb E\|x^T - x_D^*\|^2 \le (1-\gamma\mu)^T\|x^0 - x_D^*\|^2"
        r" + \frac{2\gamma\tilde L}{\mu}\left(f_D^{\inf} - \tfrac1M\textstyle\sum_i f_i^{\inf}\right),\quad"
        r" \tilde L = \tfrac1M\textstyle\sum_i L_{f_i}L_{S_i}^{\max},\ \mu = \tfrac1M\sum_i \mu_{D_i}\mu_{f_i}"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (DISTRIBUTED, UNBIASED, BOUNDED, SMOOTH, STRONGLY_CONVEX)
    constants_used: ClassVar[tuple[str, ...]] = ("expected_smoothness", "mu_fD", "gap")

    @property
    def stepsize(self) -> float:
        """The largest step size 1/L̃."""
        return 1 / self.L

    def contraction(self, stepsize: float) -> float:
        """Return γμ."""
        return stepsize * self.mu

    def neighbourhood(self, stepsize: float) -> float:
        """Return 2γL̃·gap_M/μ."""
        return 2 * stepsize * self.L * self.gap / self.mu


@dataclass(frozen=True, eq=False)
class IndependentDistributed(ConvexDistributed):
    """The same with the neighbourhood (2γL̄/(Mμ))·gap_M for γ ≤ 1/((1 − 1/M)L̂ + L̄/M), if the clients are independent.

    Parameters
    ----------
    objective : Distributed
        The objective f_D; the sketches must be bounded and independent, the clients' f_i convex and one of them strongly.
    sharp : bool, default False
        Use the smoothness and strong convexity constants of f_D, and E inf f_{i,S} in place of f_i^inf.

    Raises
    ------
    AssumptionError
        Naming the assumption, the measured value and the remedy.

    References
    ----------
    This package.

    Examples
    --------
    >>> import numpy as np, mastsim as ms
    >>> F = ms.Distributed([ms.Quadratic(np.eye(2), np.ones(2)), ms.Quadratic(3 * np.eye(2), np.ones(2))], ms.RandK(2, k=1))
    >>> IndependentDistributed(F).stepsize
    0.125
    """

    id = "distributed-independent"
    title = "Convex distributed DSGD, independent clients (linear speed-up)"
    statement = (
        r"\gamma \le \frac{1}{(1 - \frac1M)\hat L + \bar L/M} \Rightarrow \mathbb E\|x^T - x_D^*\|^2 \le (1-\gamma\mu)^T"
        r"\|x^0"
        r" - x_D^*\|^2"
        r" + \frac{2\gamma\bar L}{M\mu}\left(f_D^{\inf} - \tfrac1M\textstyle\sum_i f_i^{\inf}\right),\quad"
        r" \hat L = \tfrac1M\textstyle\sum_i L_{f_i}L_{D_i},\ \bar L = \max_i L_{f_i}L_{S_i}^{\max}"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (*ConvexDistributed.assumptions, INDEPENDENT)
    constants_used = ("L_fD", "expected_smoothness_max", "mu_fD", "gap")

    @property
    def L_share(self) -> float:
        """L̄/M."""
        return self.constants.expected_smoothness_max / len(self.objective.clients)

    @property
    def stepsize(self) -> float:
        """The largest step size 1/((1 − 1/M)L̂ + L̄/M)."""
        c, others = self.constants, 1 - 1 / len(self.objective.clients)
        return 1 / (others * (c.L_fD_sharp if self.sharp else c.L_fD) + self.L_share)

    def neighbourhood(self, stepsize: float) -> float:
        """Return 2γL̄·gap_M/(Mμ)."""
        return 2 * stepsize * self.L_share * self.gap / self.mu
