"""γ_t: step sizes, constant or decreasing."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from mastsim.validation import STEPS, integer, nonnegative, positive


class StepRule(ABC):
    """A step size for every step; subclasses are frozen dataclasses whose first field is γ₀ and whose others are numbers."""

    noun = "step rule"
    example = "InverseSqrtStep(0.1)"

    keyword: ClassVar[str] = ""
    """The rule's name in a text such as ``harmonic:0.5*theory:0.01``; empty for rules that cannot be written in one."""

    @abstractmethod
    def at(self, step: int) -> float:
        """Return the step size of step `step`, counted from 0."""

    @property
    @abstractmethod
    def largest(self) -> float:
        """The largest step size the rule ever gives, which is what a theorem's condition is about."""

    @property
    def constant(self) -> bool:
        """Whether every step has the same size."""
        return False


@dataclass(frozen=True)
class ConstantStep(StepRule):
    """γ_t = γ.

    Parameters
    ----------
    stepsize : float
        γ > 0.

    Raises
    ------
    ValueError
        If `stepsize` is not a number above 0 and at most 1e120.

    Examples
    --------
    >>> ConstantStep(0.5).at(1000)
    0.5
    """

    stepsize: float

    keyword = "constant"

    def __post_init__(self) -> None:
        object.__setattr__(self, "stepsize", positive("stepsize", self.stepsize, STEPS))

    @property
    def constant(self) -> bool:
        """True."""
        return True

    def at(self, step: int) -> float:
        """Return γ."""
        integer("step", step, 0)
        return self.stepsize

    @property
    def largest(self) -> float:
        """γ itself."""
        return self.stepsize


@dataclass(frozen=True)
class InverseSqrtStep(StepRule):
    """γ_t = γ₀/√(t + 1).

    Parameters
    ----------
    initial : float
        γ₀ > 0.

    Raises
    ------
    ValueError
        If `initial` is not a number above 0 and at most 1e120.

    Examples
    --------
    >>> InverseSqrtStep(0.5).at(3)
    0.25
    """

    initial: float

    keyword = "inverse-sqrt"

    def __post_init__(self) -> None:
        object.__setattr__(self, "initial", positive("initial", self.initial, STEPS))

    def at(self, step: int) -> float:
        """Return γ₀/√(step + 1)."""
        return self.initial / math.sqrt(integer("step", step, 0) + 1)

    @property
    def largest(self) -> float:
        """γ₀."""
        return self.initial


@dataclass(frozen=True)
class HarmonicStep(StepRule):
    """γ_t = γ₀/(1 + βt).

    Parameters
    ----------
    initial : float
        γ₀ > 0.
    decay : float
        β ≥ 0; with β = 0 the step size is constant.

    Raises
    ------
    ValueError
        If `initial` is not a number above 0 and at most 1e120, or `decay` not one from 0 to 1e120.

    Examples
    --------
    >>> HarmonicStep(1.0, decay=0.5).at(2)
    0.5
    """

    initial: float
    decay: float

    keyword = "harmonic"

    def __post_init__(self) -> None:
        object.__setattr__(self, "initial", positive("initial", self.initial, STEPS))
        object.__setattr__(self, "decay", nonnegative("decay", self.decay, STEPS))

    def at(self, step: int) -> float:
        """Return γ₀/(1 + β·step)."""
        return self.initial / (1 + self.decay * integer("step", step, 0))

    @property
    def constant(self) -> bool:
        """Whether β = 0."""
        return self.decay == 0

    @property
    def largest(self) -> float:
        """γ₀."""
        return self.initial


ALL_STEP_RULES: tuple[type[StepRule], ...] = (ConstantStep, InverseSqrtStep, HarmonicStep)
"""Every step rule."""


def step_rule(stepsize: float | StepRule) -> StepRule:
    """Return `stepsize` as a rule: a number becomes a constant one."""
    return stepsize if isinstance(stepsize, StepRule) else ConstantStep(stepsize)
