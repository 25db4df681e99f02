"""A shift that is refreshed with probability p: the neighbourhood of double-sketched gradient descent goes away."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np

from mastsim.expected import Objective
from mastsim.methods import DSGD, Method, Refreshed
from mastsim.provenance import content_hash
from mastsim.run import Run
from mastsim.theorems.about_f import SMALL, AboutF
from mastsim.theorems.assumptions import (
    BOUNDED,
    SINGLE_NODE,
    SMOOTH,
    STRONGLY_CONVEX,
    UNBIASED,
    Assumption,
    AssumptionError,
)
from mastsim.theorems.linear_and_sublinear import LinearRate
from mastsim.validation.words import described


@dataclass(frozen=True, eq=False)
class RefreshedRate(AboutF):
    """What the theorems about a shift that is refreshed with probability p share."""

    shift: Refreshed = field(default_factory=lambda: Refreshed(0.1), kw_only=True)

    variants: ClassVar[str] = "ab"
    """The variants of the rule that the theorem is about."""
    tried: ClassVar[tuple[str, ...]] = (
        "refreshed:0.03",
        "refreshed:0.3",
        "refreshed:0.3:a",
        "refreshed:1",
        "refreshed:1:a",
    )
    """Rules that an attack tries, as texts."""

    def __post_init__(self) -> None:
        fits = isinstance(self.shift, Refreshed) and self.shift.moves and self.shift.variant in self.variants
        if not fits:
            which = "in variant b" if self.variants == "b" else "in variant a or b"
            raise AssumptionError(
                f"{self.title} is not about shift={described(self.shift)}: it must be Refreshed, p > 0, {which}"
            )
        super().__post_init__()

    @classmethod
    def cases(cls, objective: Objective) -> Sequence[Self]:
        """Return the variants with a small and a moderate p, and v = x; this alone in many dimensions."""
        if cls.refuse(objective) is not None:
            return []
        few = [Refreshed(0.1), Refreshed(0.4, variant="a")] if objective.dim <= SMALL else []
        return [cls(objective, shift=rule) for rule in (*few, Refreshed(1.0)) if rule.variant in cls.variants]

    @property
    def settings(self) -> str:
        """For example ``shift refreshed with p = 0.1 (b)``."""
        return self.shift.name

    @property
    def p(self) -> float:
        """The probability."""
        return self.shift.probability

    def method_at(self, stepsize: float) -> Method:
        """Return `DSGD` with the shift rule of this record and a step size."""
        return DSGD(stepsize, shift=self.shift)

    def forgetting(self, stepsize: float) -> float:
        """Return min(γμ_f, p/2χ): what a shift did is remembered until it has moved."""
        return min(super().forgetting(stepsize), self.p / (2 * max(float(self.constants.shift_condition), 1.0)))

    @property
    def starts_at_iterate(self) -> bool:
        """Whether v⁰ = x⁰ whatever the shift of the objective."""
        return self.shift.is_iterate


@dataclass(frozen=True, eq=False)
class StronglyConvexShift(RefreshedRate, LinearRate):
    """E‖x^T − x*‖² ≤ (1 − min(γμ, p/4))^T V_0 for any smooth strongly convex f, in variant b, at a step that depends on p.

    γ ≤ min(1/(4L), p/(8√((1 − p)·L·L_f·ω(5/4 + 2κ_f·ω)))) with ω = L_D − 1; V_0 = ‖x⁰ − x*‖² + p/(8(1 − p)γL)·‖x⁰ − v⁰‖².

    Parameters
    ----------
    objective : Mast
        f must be strongly convex and the sketch bounded.
    sharp : bool, default False
        Use this package's L.
    shift : Refreshed, optional
        How the shift moves, in variant b; with p = 0.1 when left out.

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
    >>> t = StronglyConvexShift(F, shift=ms.Refreshed(1.0))
    >>> t.stepsize, t.rate, t.radius
    (0.0625, 0.9375, 0.0)
    """

    id = "moving-shift-strongly-convex"
    title = "Refreshed shift (strongly convex)"
    source = "this package"
    statement = (
        r"\gamma \le \min\left\{\frac 1{4L}, \frac p{8\sqrt{(1-p)L L_f\omega(\frac54 + 2\kappa_f\omega)}}\right\} "
        r"\Rightarrow"
        r" \mathbb E\|x^T - x^*\|^2 \le (1 - \min\{\gamma\mu_f, \tfrac p4\})^T\left(\|x^0 - x^*\|^2 + \frac{p\|x^0 - v^0"
        r"\|^2}{"
        r"8(1-p)\gamma L}\right),\quad \omega = L_D - 1,\ L = L_f L_{\mathbf S}^{\max}"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (SINGLE_NODE, UNBIASED, BOUNDED, SMOOTH, STRONGLY_CONVEX)
    constants_used = ("L_f", "mu_f", "L_S_max", "L_D")
    measure = "error"
    starts_from = "lyapunov"
    variants = "b"
    tried = ("refreshed:0.03", "refreshed:0.3", "refreshed:1")

    @classmethod
    def cases(cls, objective: Objective) -> Sequence[Self]:
        """Return those of few dimensions: replicas on real data leave it open, since it is nearly attained at first."""
        return super().cases(objective) if objective.dim <= SMALL else []

    @property
    def omega(self) -> float:
        """ω = L_D − 1."""
        return max(self.constants.L_D - 1, 0.0)

    @property
    def stepsize(self) -> float:
        """The largest step size."""
        c, w = self.constants, self.omega
        rest = (1 - self.p) * self.L * c.L_f * w * (1.25 + 2 * c.L_f / self.mu * w)
        return min(1 / (4 * self.L), self.p / (8 * math.sqrt(rest)) if rest > 0 else math.inf)

    def contraction(self, stepsize: float) -> float:
        """Return min(γμ, p/4)."""
        return min(stepsize * self.mu, self.p / 4)

    def start_mixture(self, stepsize: float) -> dict[str, float]:
        """Return the part of V_0 that any run records."""
        return {"error": 1.0}

    def displacement(self, measure: str) -> float:
        """Return how far the distance may be off because x* is known up to its certificate; ‖x⁰ − v⁰‖ is not."""
        return super().displacement("error" if measure == "lyapunov" else measure)

    def weight_of_shift(self, stepsize: float) -> float:
        """Return p/(8(1 − p)γL), the weight of ‖x − v‖²; 0 where the shift is the iterate."""
        return 0.0 if self.starts_at_iterate else self.p / (8 * (1 - self.p) * stepsize * self.L)

    def initial_at(self, x0: np.ndarray, stepsize: float | None = None) -> float:
        """Return V_0 for a start x0 and the shift of the objective.

        Parameters
        ----------
        x0 : ndarray, shape (dim,)
            The start.
        stepsize : float, optional
            γ; the largest that the theorem allows when left out.
        """
        apart = x0 - self.objective.center
        weight = self.weight_of_shift(self.stepsize if stepsize is None else stepsize)
        return self._at_start("error", x0) + weight * float(apart @ apart)

    def initial_of(self, run: Run) -> np.ndarray:
        """Return an upper bound on V_0 of every replica of a run: ‖x⁰ − v⁰‖ ≤ ‖x⁰ − x*‖ + ‖v⁰ − x*‖, unless x⁰ = v⁰."""
        error = self._trace_at_start("error", run)
        own = self._at_start("error", self.objective.center)
        apart = np.where(self._is_center(run), 0.0, (np.sqrt(error) + math.sqrt(own)) ** 2)
        return np.asarray(error + self.weight_of_shift(run.stepsize) * apart)

    def _is_center(self, run: Run) -> bool:
        center = np.array(np.broadcast_to(self.objective.center, (run.replicas, self.objective.dim)), order="C")
        return run.request.start_hash == content_hash(center)
