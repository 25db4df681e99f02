"""What a theorem is: assumptions that are tested, constants that are computed, and a claim that can be refuted."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal, NamedTuple

from mastsim.backend import Array
from mastsim.constants import Constants
from mastsim.expected import Mast
from mastsim.sketches import SketchBatch

Status = Literal["holds", "refuted as published", "corrected"]


class AssumptionError(ValueError):
    """A theorem was asked about an objective that does not meet one of its assumptions."""


@dataclass(frozen=True)
class Assumption:
    """A predicate on an objective, with what was measured and what would help.

    Parameters
    ----------
    name : str
        Short name, as in the paper.
    holds : callable
        Maps an objective to whether the assumption is met.
    measured : callable
        Maps an objective to a text with the measured value.
    remedy : str
        What to change when it is not met.
    """

    name: str
    holds: Callable[[Mast], bool]
    measured: Callable[[Mast], str]
    remedy: str

    def refusal(self, objective: Mast) -> str | None:
        """Return None when the assumption is met, otherwise the reason and the remedy."""
        if self.holds(objective):
            return None
        return f"{self.name} fails: {self.measured(objective)}; {self.remedy}"


UNBIASED = Assumption(
    "unbiased sketch (Assumption 1)",
    lambda F: F.sketch.unbiased,
    lambda F: f"E[S] differs from I for {F.sketch.name}",
    "scale the mask by 1/keep",
)
BOUNDED = Assumption(
    "bounded sketch",
    lambda F: math.isfinite(F.sketch.L_max),
    lambda F: f"L_S^max = {F.sketch.L_max}",
    "use a sketch with bounded SᵀS",
)
SMOOTH = Assumption(
    "smoothness (Assumption 2)",
    lambda F: math.isfinite(F.problem.L_f) and math.isfinite(F.problem.lower_bound),
    lambda F: f"L_f = {F.problem.L_f.value:g}, lower bound of f = {F.problem.lower_bound:g}",
    "use a loss with bounded curvature that is bounded below",
)
CONVEX = Assumption(
    "convexity",
    lambda F: F.problem.is_convex,
    lambda F: f"the least curvature of f is {F.problem.mu_f.value:g}",
    "use a convex loss or more regularisation",
)
STRONGLY_CONVEX = Assumption(
    "strong convexity (Assumption 3)",
    lambda F: F.problem.mu_f > 0,
    lambda F: f"μ_f = {F.problem.mu_f.value:g}",
    "add regularisation, for example l2=1e-2 or condition_number=100",
)


@dataclass(frozen=True, eq=False)
class Theorem(ABC):
    """A claim about one MAST objective; building it for an objective outside its assumptions is refused.

    Parameters
    ----------
    objective : Mast
        The objective f_D.

    Raises
    ------
    AssumptionError
        Naming the assumption, the measured value and the remedy.
    """

    objective: Mast

    id: ClassVar[str]
    title: ClassVar[str]
    source: ClassVar[str]
    kind: ClassVar[Literal["upper bound", "identity"]] = "upper bound"
    statement: ClassVar[str]
    assumptions: ClassVar[tuple[Assumption, ...]]
    constants_used: ClassVar[tuple[str, ...]]
    status: ClassVar[Status] = "holds"

    def __post_init__(self) -> None:
        if (why := self.refuse(self.objective)) is not None:
            raise AssumptionError(f"{self.title} does not apply to {self.objective.name}: {why}")

    @cached_property
    def constants(self) -> Constants:
        """The constants of the objective."""
        return Constants(self.objective)

    @classmethod
    def refuse(cls, objective: Mast) -> str | None:
        """Return why the theorem does not apply to an objective, or None when it does."""
        for assumption in cls.assumptions:
            if (why := assumption.refusal(objective)) is not None:
                return why
        return None


class Sides(NamedTuple):
    """Left and right side of an inequality, the left at least 0, and the size of the numbers they were computed from.

    Parameters
    ----------
    left, right : float or array, shape (points,)
        The claim is left ≤ right; a negative right side refutes it.
    scale : float or array, shape (points,)
        Magnitude of what was added or subtracted: rounding errors are in proportion to it.
    """

    left: Array
    right: Array
    scale: Array


class Inequality(Theorem):
    """A theorem whose parts are inequalities left ≤ right between quantities of points, none of them random."""

    parts: ClassVar[tuple[str, ...]]
    speaks_of: ClassVar[str] = "every point"

    @abstractmethod
    def sides(self, part: str, x: Array, y: Array, batch: SketchBatch) -> Sides:
        """Return both sides of a part at pairs of points.

        Parameters
        ----------
        part : str
            One of `parts`.
        x, y : array, shape (points, dim)
            The points.
        batch : SketchBatch
            One sketch a pair, used by parts that speak of every f_S.

        Returns
        -------
        Sides
            Each of shape (points,).
        """

    @abstractmethod
    def spectral_sides(self, part: str) -> Sides | None:
        """Return sides whose comparison decides a part for all points at once, or None where nothing does.

        On a quadratic that is a comparison of spectra: left/right is the supremum over all points, or an array of suprema,
        one for each value of the sketch.
        """


class Rate(Theorem):
    """A theorem that bounds the mean of a measure along the path of a method."""

    method: ClassVar[str]
    measure: ClassVar[str] = "distance"

    @property
    @abstractmethod
    def stepsize(self) -> float:
        """The largest step size that the theorem allows."""

    @property
    @abstractmethod
    def stepsize_sharp(self) -> float:
        """The largest step size that it allows with this package's constants."""

    @property
    @abstractmethod
    def initial(self) -> float:
        """The measure that the bound starts from, at the default start, the shift."""

    @property
    @abstractmethod
    def rate(self) -> float:
        """The factor by which the first term shrinks a step, at the largest step size."""

    @property
    @abstractmethod
    def radius(self) -> float:
        """The second term, which does not shrink, at the largest step size."""

    @abstractmethod
    def claim(self, steps: Array, stepsize: float, initial: Array) -> Array:
        """Return the claimed bound on the mean measure after `steps`, without asking whether `stepsize` is allowed."""

    @abstractmethod
    def almost_sure_bound(self, steps: int, stepsize: float, initial: Array) -> Array:
        """Return a proven bound that the measure itself (not its mean) never exceeds after `steps`; may be infinite."""

    @abstractmethod
    def rounding(self, stepsize: float) -> float:
        """Return how much rounding errors may add to the square root of the measure, along a path of any length."""

    @abstractmethod
    def bound(self, steps: Array, stepsize: float | None = None, initial: Array | None = None) -> Array:
        """Return the bound for a step size that the theorem allows; the largest, from the shift, by default."""

    @abstractmethod
    def steps_to_accuracy(self, accuracy: float, initial: float | None = None) -> float:
        """Return a number of steps after which the bound, at a suitable step size, is at most `accuracy`."""
