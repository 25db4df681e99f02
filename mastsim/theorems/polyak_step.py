"""Polyak's step size for sketched functions: no smoothness constant is needed, and the neighbourhood does not vanish."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from mastsim.backend import Array
from mastsim.expected import Objective
from mastsim.methods import DSGD, Method, PolyakStep
from mastsim.methods.polyak import SKETCH_INFIMUM
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
from mastsim.validation import UNLIMITED, positive

_SMALL = 2


@dataclass(frozen=True, eq=False)
class PolyakRate(SketchedRate):
    """What the two theorems share; their step size is the cap γ_b, which may be anything."""

    c: float = 1.0
    lower: float | str | None = None

    method = "DSGD"
    beyond = True
    least: ClassVar[float] = 0.5
    """What c must be at least, or above where `strict`."""
    strict: ClassVar[bool] = False
    has_moments = False
    deepest = 4

    def __post_init__(self) -> None:
        rule = PolyakStep(1.0, self.c, self.lower)
        object.__setattr__(self, "c", rule.c)
        object.__setattr__(self, "lower", rule.lower)
        if rule.c < self.least or (self.strict and rule.c == self.least):
            bound = f"{'above' if self.strict else 'at least'} {self.least:g}"
            raise AssumptionError(
                f"{self.title} is not about c={rule.c:g}: a step may then lead away from x_D* by as much as it gains; "
                f"c must be {bound}"
            )
        super().__post_init__()
        self._check_lower()

    def _check_lower(self) -> None:
        """Refuse a lower bound that is none, or that is not known."""
        if isinstance(self.lower, str):
            if isinstance(why := self.objective.listed_infima, str):
                raise AssumptionError(f"{self.title} is not about lower={self.lower!r} here: {why}; use lower=None")
        elif self.lower is not None and self.lower > (most := float(self.constants.f_inf)):
            raise AssumptionError(
                f"{self.title} is not about lower={self.lower:g}: it is above f^inf = {most:.6g}, so that an f_S may go "
                "below it; use that or less"
            )

    @classmethod
    def cases(cls, objective: Objective) -> Sequence[Self]:
        """Return the theorem with c = 1 and f^inf as lower bound, in one or two dimensions."""
        return [] if cls.refuse(objective) is not None or objective.dim > _SMALL else [cls(objective)]

    @property
    def settings(self) -> str:
        """For example ``Polyak step, c = 1, lower bound f^inf``."""
        lower = "f^inf" if self.lower is None else self.lower if isinstance(self.lower, str) else f"{self.lower:g}"
        return f"Polyak step, c = {self.c:g}, lower bound {lower}"

    def method_at(self, stepsize: float) -> Method:
        """Return `DSGD` with Polyak's step up to a cap."""
        return DSGD(PolyakStep(stepsize, self.c, self.lower))

    @property
    def stepsize(self) -> float:
        """The cap 1/(cL), twice the step size that is never fallen short of; any other may be given."""
        return 1 / (self.c * self.L) if self.L > 0 else 1.0

    @property
    def limit(self) -> float:
        """No end: any cap is allowed."""
        return math.inf

    @property
    def q(self) -> float:
        """2 − 1/c."""
        return 2 - 1 / self.c

    def alpha(self, stepsize: float) -> float:
        """Return α = min(1/(2cL), γ_b), which no step falls short of."""
        return min(1 / (2 * self.c * self.L), stepsize) if self.L > 0 else stepsize

    def reach(self, stepsize: float) -> float:
        """Return γ_b/α = max(1, 2cLγ_b)."""
        return max(1.0, 2 * self.c * self.L * stepsize)

    @property
    def gap(self) -> float:
        """A proven upper bound on f_D^inf − E ℓ_S."""
        c = self.constants
        if self.lower is None:
            return max(c.gap + c.gap.error, 0.0)
        if isinstance(self.lower, str):
            return max(c.gap_sharp + c.gap_sharp.error, 0.0)
        return max(c.fD_inf + c.fD_inf.error - self.lower, 0.0)

    def forgetting(self, stepsize: float) -> float:
        """Return αμ, at most 1."""
        return super().forgetting(self.alpha(stepsize))

    def floor(self, stepsize: float) -> float:
        """Return the part of the bound that does not shrink."""
        raise NotImplementedError

    def stepsize_to_accuracy(self, accuracy: float) -> float:
        """Return the cap 1/(cL) where its neighbourhood is at most half of `accuracy`, else the best, 0 if none is enough.

        Below 1/(2cL) a smaller cap does not make the neighbourhood smaller.

        Parameters
        ----------
        accuracy : float
            The value of the measure aimed at, above 0.
        """
        target, top = positive("accuracy", accuracy, UNLIMITED), self.stepsize
        least = self.alpha(top)
        return top if self.radius <= target / 2 else least if self.floor(least) < target else 0.0


@dataclass(frozen=True, eq=False)
class ConvexPolyakStep(PolyakRate, SublinearRate):
    """The average of E f_D(x^t) − f_D^inf over t < T is at most r_0/(qαT) + (2γ_b/(qα) − 1)·gap_S for c > ½, q = 2 − 1/c.

    α = min(1/(2cL), γ_b) for any cap γ_b, gap_S = f_D^inf − E ℓ_S. For a cap of at most 1/(2cL) the step is the cap, and the
    theorems about constant steps say more.

    Parameters
    ----------
    objective : Mast
        The objective f_D; f must be convex and the sketch bounded.
    sharp : bool, default False
        Use this package's L = sup λ_max(SᵀLS).
    c : float, default 1.0
        Above ½; 1 makes the bound smallest.
    lower : float or "sketch infimum", optional
        ℓ_S as in `PolyakStep`; a number must be at most f^inf.

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
    >>> t = ConvexPolyakStep(ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1)))
    >>> t.stepsize, t.alpha(t.stepsize), round(t.radius, 12), round(float(t.bound(10, initial=1.0)), 12)
    (0.25, 0.125, 1.5, 2.3)
    """

    id = "polyak-step-convex"
    title = "Polyak step (convex)"
    source = "this package"
    statement = (
        r"c > \tfrac12 \Rightarrow \frac1T\sum_{t<T}\mathbb E f_D(x^t) - f_D^{\inf} \le \frac{\|x^0 - x_D^*\|^2}{q\alpha T}"
        r" + \left(\frac{2\gamma_b}{q\alpha} - 1\right)(f_D^{\inf} - \mathbb E\,\ell_{\mathbf S}),\quad q = 2 - \tfrac1c,\ "
        r"\alpha = \min\{\tfrac1{2cL}, \gamma_b\},\ L = L_f L_{\mathbf S}^{\max}"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (SINGLE_NODE, UNBIASED, BOUNDED, SMOOTH, CONVEX)
    constants_used = ("L_f", "L_S_max", "gap")
    measure = "gap"
    over = "average"
    strict = True

    def weight(self, steps: Array, stepsize: float) -> Array:
        """Return γ_b/(qα)."""
        return np.full_like(steps, self.reach(stepsize) / self.q)

    def noise(self, stepsize: float) -> float:
        """Return (2γ_b/(qα) − 1)·gap_S."""
        return (2 * self.reach(stepsize) / self.q - 1) * self.gap

    floor = noise


@dataclass(frozen=True, eq=False)
class StronglyConvexPolyakStep(PolyakRate, LinearRate):
    """r_T ≤ (1 − ρ)^T r_0 + (2γ_b − qα)·gap_S/ρ with ρ = αμ(1 + q/2), for c ≥ ½, q = 2 − 1/c, α = min(1/(2cL), γ_b).

    Any cap γ_b is allowed; gap_S = f_D^inf − E ℓ_S. The sketches may be singular: what convexity of f_S leaves out of one
    step makes up the strong convexity of f_D in the mean, so that c = ½, with ρ = μ/L, is the fastest.

    Parameters
    ----------
    objective : Mast
        The objective f_D; f must be strongly convex and the sketch bounded.
    sharp : bool, default False
        Use this package's L = sup λ_max(SᵀLS) and μ = λ_min(E[SᵀMS]).
    c : float, default 1.0
        At least ½.
    lower : float or "sketch infimum", optional
        ℓ_S as in `PolyakStep`; a number must be at most f^inf.

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
    >>> F = ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1))
    >>> StronglyConvexPolyakStep(F).rate, StronglyConvexPolyakStep(F, c=0.5).rate
    (0.625, 0.5)
    """

    id = "polyak-step-strongly-convex"
    title = "Polyak step (strongly convex)"
    source = "this package"
    statement = (
        r"c \ge \tfrac12 \Rightarrow \mathbb E\|x^T - x_D^*\|^2 \le (1 - \rho)^T\|x^0 - x_D^*\|^2"
        r" + \frac{2\gamma_b - q\alpha}{\rho}(f_D^{\inf} - \mathbb E\,\ell_{\mathbf S}),\quad \rho ="
        r" \alpha\mu\left(1 + \tfrac q2\right),\ q = 2 - \tfrac1c,\ \alpha = \min\{\tfrac1{2cL}, \gamma_b\},"
        r"\ L = L_f L_{\mathbf S}^{\max},\ \mu = \mu_D\mu_f"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (SINGLE_NODE, UNBIASED, BOUNDED, SMOOTH, STRONGLY_CONVEX)
    constants_used = ("L_f", "mu_f", "L_S_max", "mu_D", "gap", "gap_sharp")

    @classmethod
    def cases(cls, objective: Objective) -> Sequence[Self]:
        """Return c = ½ as well, and on quadratics c = 1 with the infima of the f_S as lower bounds."""
        if not (found := super().cases(objective)):
            return []
        return [cls(objective, c=0.5), cls(objective, lower=SKETCH_INFIMUM) if objective.is_quadratic else found[0]]

    def contraction(self, stepsize: float) -> float:
        """Return ρ = αμ(1 + q/2)."""
        return min(self.alpha(stepsize) * self.mu * (1 + self.q / 2), 1.0)

    def neighbourhood(self, stepsize: float) -> float:
        """Return (2γ_b − qα)·gap_S/ρ."""
        return (2 * self.reach(stepsize) - self.q) * self.gap / (self.mu * (1 + self.q / 2))

    floor = neighbourhood
