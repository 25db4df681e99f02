"""Sketches without replacement: every value of a fixed list once an epoch, in a fresh random order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np

from mastsim.backend import Array
from mastsim.expected import Objective
from mastsim.methods import DSGD, Method, Reshuffled
from mastsim.sketches.base import CACHED_SUPPORT
from mastsim.theorems.assumptions import (
    BOUNDED,
    CONVEX,
    SINGLE_NODE,
    SMOOTH,
    STRONGLY_CONVEX,
    UNBIASED,
    Assumption,
    AssumptionError,
)
from mastsim.theorems.linear_and_sublinear import LinearRate, SublinearRate
from mastsim.theorems.rates import SketchedRate
from mastsim.validation.words import described

END = math.sqrt(3) - 1
"""γNL must stay below it."""
_TRIED = 8


def _is_uniform_list(objective: Objective) -> bool:
    sketch = objective.sketch  # type: ignore[attr-defined]
    return bool(sketch.support_size <= CACHED_SUPPORT and np.ptp(sketch.support()[1]) <= 1e-12)


UNIFORM_LIST = Assumption(
    "one fixed list of equally likely sketches",
    _is_uniform_list,
    lambda F: f"{F.sketch.name} has {F.sketch.support_size:.6g} values, or they are not equally likely",
    f"use a sketch of at most {CACHED_SUPPORT} values, all equally likely, for example Rand-K in a small dimension",
)


@dataclass(frozen=True, eq=False)
class ReshuffledRate(SketchedRate):
    """What the two theorems share; a step is an epoch of N gradient steps."""

    order: Reshuffled = field(default_factory=Reshuffled, kw_only=True)

    method = "DSGD"
    beyond = True

    def __post_init__(self) -> None:
        if not isinstance(self.order, Reshuffled):
            raise AssumptionError(
                f"{self.title} is about one fixed list of sketches, not about {described(self.order)}: it must be Reshuffled"
            )
        super().__post_init__()

    @classmethod
    def cases(cls, objective: Objective) -> Sequence[Self]:
        """Return the theorem where an epoch is not too long to be tried."""
        tried = cls.refuse(objective) is None and objective.sketch.support_size <= _TRIED  # type: ignore[attr-defined]
        return [cls(objective)] if tried else []

    @property
    def settings(self) -> str:
        """For example ``reshuffled, 16 gradient steps a step``."""
        return f"{self.order.name}, {self.N} gradient steps a step"

    def method_at(self, stepsize: float) -> Method:
        """Return `DSGD` with reshuffled sketches and a step size."""
        return DSGD(stepsize, order=self.order)

    @property
    def N(self) -> int:
        """The number of sketches."""
        return int(self.objective.sketch.support_size)

    @property
    def stepsize(self) -> float:
        """1/(2NL), at which the factor c is 4/3."""
        return 1 / (2 * self.N * self.L) if self.L > 0 else 1.0

    @property
    def limit(self) -> float:
        """(√3 − 1)/(NL), where the bound becomes infinite; no end where L = 0."""
        return END / (self.N * self.L) if self.L > 0 else math.inf

    def excess(self, stepsize: float) -> float:
        """Return c(a) = 2(1 − a)/(2 − 2a − a²) for a = γNL; infinite from √3 − 1 on."""
        a = stepsize * self.N * self.L
        left = 2 - 2 * a - a * a
        return 2 * (1 - a) / left if a < 1 and left > 0 else math.inf

    @property
    def sigma2(self) -> float:
        """A proven upper bound on σ*² = E‖∇f_S(x_D*)‖²."""
        noise = self.constants.sigma2_star
        return noise.value + noise.error

    def forgetting(self, stepsize: float) -> float:
        """Return γNμ, at most 1."""
        return min(self.N * super().forgetting(stepsize), 1.0)

    @property
    def roughness(self) -> float:
        """Rounding of N gradient steps."""
        return self.N * super().roughness


@dataclass(frozen=True, eq=False)
class StronglyConvexReshuffled(ReshuffledRate, LinearRate):
    """r_T ≤ (1 − γNμ)^T r_0 + ((N + 1)/6)·c·γ²(L/μ)σ*² after T epochs, c = 2(1 − a)/(2 − 2a − a²), for a = γNL < √3 − 1.

    The neighbourhood is of second order in γ, where that of independent sketches is of first.

    Parameters
    ----------
    objective : Mast
        f must be strongly convex, the sketch a list of equally likely values.
    sharp : bool, default False
        Use this package's L and μ.
    order : Reshuffled, optional
        The order; a fresh partition of the coordinates every epoch is not this, and is refused.

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
    >>> t = StronglyConvexReshuffled(ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1)))
    >>> t.N, t.stepsize, t.rate, round(t.excess(t.stepsize), 12)
    (2, 0.0625, 0.75, 1.333333333333)
    """

    id = "reshuffled-strongly-convex"
    title = "Reshuffled sketches (strongly convex)"
    source = "this package"
    statement = (
        r"a = \gamma N L < \sqrt3 - 1 \Rightarrow \mathbb E\|x^T - x_D^*\|^2 \le (1 - \gamma N\mu)^T\|x^0 - x_D^*\|^2 +"
        r" \frac{N+1}6\cdot\frac{2(1-a)}{2 - 2a - a^2}\cdot\frac{\gamma^2 L}\mu\,\mathbb E\|\nabla f_{\mathbf S}(x_D^*)\|^2,"
        r" \quad T \text{ epochs},\ L = L_f L_{\mathbf S}^{\max},\ \mu = \mu_D\mu_f"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (
        SINGLE_NODE,
        UNBIASED,
        BOUNDED,
        SMOOTH,
        STRONGLY_CONVEX,
        UNIFORM_LIST,
    )
    constants_used = ("L_f", "mu_f", "L_S_max", "mu_D", "sigma2_star")

    def contraction(self, stepsize: float) -> float:
        """Return γNμ."""
        return min(stepsize * self.N * self.mu, 1.0)

    def neighbourhood(self, stepsize: float) -> float:
        """Return ((N + 1)/6)·c·γ²(L/μ)σ*²."""
        return (self.N + 1) / 6 * self.excess(stepsize) * stepsize**2 * self.L / self.mu * self.sigma2


@dataclass(frozen=True, eq=False)
class ConvexReshuffled(ReshuffledRate, SublinearRate):
    """The average of E f_D − f_D^inf over T epoch starts is at most r_0/(2γNT) + ((N + 1)/12)·c·γ²Lσ*², a = γNL < √3 − 1.

    Parameters
    ----------
    objective : Mast
        f must be convex, the sketch a list of equally likely values.
    sharp : bool, default False
        Use this package's L.
    order : Reshuffled, optional
        The order; a fresh partition of the coordinates every epoch is not this, and is refused.

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
    >>> t = ConvexReshuffled(ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1)))
    >>> t.stepsize, round(float(t.bound(10, initial=1.0)), 12)
    (0.0625, 0.4)
    """

    id = "reshuffled-convex"
    title = "Reshuffled sketches (convex)"
    source = "this package"
    statement = (
        r"a = \gamma N L < \sqrt3 - 1 \Rightarrow \frac1T\sum_{t<T}\mathbb E f_D(x^t) - f_D^{\inf} \le \frac{\|x^0 -"
        r" x_D^*\|^2}"
        r"{2\gamma N T} + \frac{N+1}{12}\cdot\frac{2(1-a)}{2 - 2a - a^2}\,\gamma^2 L\,\mathbb E\|\nabla f_{\mathbf"
        r" S}(x_D^*)\|"
        r"^2, \quad T \text{ epochs},\ L = L_f L_{\mathbf S}^{\max}"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (SINGLE_NODE, UNBIASED, BOUNDED, SMOOTH, CONVEX, UNIFORM_LIST)
    constants_used = ("L_f", "L_S_max", "sigma2_star")
    measure = "gap"
    over = "average"

    def weight(self, steps: Array, stepsize: float) -> Array:
        """Return 1/(2N)."""
        return np.full_like(steps, 1 / (2 * self.N))

    def noise(self, stepsize: float) -> float:
        """Return ((N + 1)/12)·c·γ²Lσ*²."""
        return (self.N + 1) / 12 * self.excess(stepsize) * stepsize**2 * self.L * self.sigma2
