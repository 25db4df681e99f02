"""What a theorem is: assumptions that are tested, constants that are computed, and a claim that can be refuted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, NamedTuple, Self

from mastsim.backend import Array
from mastsim.constants import Constants
from mastsim.expected import Objective
from mastsim.methods import Compressor, Sampling
from mastsim.readonly import ReadOnly
from mastsim.sketches import SketchBatch
from mastsim.theorems.assumptions import Assumption, AssumptionError
from mastsim.validation import settings

Status = Literal["holds", "refuted as quoted", "corrected"]


@dataclass(frozen=True, eq=False)
class Theorem(ReadOnly, ABC):
    """A claim about one MAST objective; building it for an objective outside its assumptions is refused.

    Parameters
    ----------
    objective : Objective
        The objective f_D.

    Raises
    ------
    AssumptionError
        Naming the assumption, the measured value and the remedy.
    """

    noun = "theorem"
    example = "theorems.StronglyConvexDSGD(objective)"

    objective: Any

    id: ClassVar[str]
    title: ClassVar[str]
    source: ClassVar[str]
    kind: ClassVar[Literal["upper bound", "identity"]] = "upper bound"
    statement: ClassVar[str]
    assumptions: ClassVar[tuple[Assumption, ...]]
    constants_used: ClassVar[tuple[str, ...]]
    status: ClassVar[Status] = "holds"

    family: ClassVar[str] = "quadratic"
    """The family of instances that an attack searches: one of `verification.attack.FAMILIES`."""
    needed: ClassVar[tuple[str, ...]] = ("id", "title", "source", "statement", "assumptions", "constants_used")
    """What every record says of itself."""
    derived: ClassVar[dict[str, str]] = {}
    """Public members that follow from others, which are what a verdict judges: to be overridden in their place."""
    together: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Pairs of members that say the same for different ways of judging, so that who overrides one must override both."""

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        for base in cls.__mro__[1:]:
            for name, judged in vars(base).get("derived", {}).items():
                if name in vars(cls) and name not in vars(cls).get("derived", {}):
                    raise TypeError(
                        f"{cls.__name__} overrides {name!r}, which no verdict looks at: override {judged!r} instead"
                    )
        for pair in cls.together:
            if len(own := [name for name in pair if name in vars(cls)]) == 1:
                missing = next(name for name in pair if name not in own)
                raise TypeError(
                    f"{cls.__name__} overrides {own[0]!r} but not {missing!r}, which says the same elsewhere: override both"
                )

    def __post_init__(self) -> None:
        settings(self, objective=Objective, sharp=bool, sampling=Sampling, compression=Compressor)
        if (why := self.refuse(self.objective)) is not None:
            raise AssumptionError(f"{self.title} does not apply to {self.objective.name}: {why}")

    @cached_property
    def constants(self) -> Constants:
        """The constants of the objective."""
        return Constants(self.objective)

    @classmethod
    def missing(cls) -> list[str]:
        """Return the members that a record needs and the class does not give."""
        return [name for name in cls.needed if not hasattr(cls, name)] + sorted(cls.__abstractmethods__)

    @classmethod
    def refuse(cls, objective: Objective) -> str | None:
        """Return why the theorem does not apply to an objective, or None when it does."""
        for assumption in cls.assumptions:
            if (why := assumption.refusal(objective)) is not None:
                return why
        return None

    @classmethod
    def cases(cls, objective: Objective) -> Sequence[Self]:
        """Return the theorem with the settings that are tried on an objective; none where it does not apply."""
        return [] if cls.refuse(objective) is not None else [cls(objective)]

    @property
    def settings(self) -> str:
        """The settings that distinguish this case from others of the theorem, in words; empty when there is one."""
        return ""


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

    example = "theorems.Lemma1(objective)"

    parts: ClassVar[tuple[str, ...]]
    speaks_of: ClassVar[str] = "every point"
    together = (("sides", "spectral_sides"),)

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

    def uncertainty(self, part: str) -> float:
        """Return by how much the two sides of a part may be off together, rounding left aside; 0 by default.

        It comes from what they are computed at, such as a minimiser that is known up to its certificate. A part is refuted
        only by an excess beyond it, and never confirmed by it.
        """
        return 0.0
