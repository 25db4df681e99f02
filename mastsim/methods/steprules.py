"""γ_t: step sizes, constant or decreasing."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from mastsim.validation import STEPS, integer, nonnegative, positive


class StepRule(ABC):
    """A step size for every step; subclasses are frozen dataclasses whose first field is γ₀ and whose others are numbers."""

    noun = "step rule"
    example = "InverseSqrtStep(0.1)"

    keyword: ClassVar[str] = ""
    """The rule's name in a text such as ``harmonic:0.5*theory:0.01``; empty for rules that cannot be written in one."""
    adapts: ClassVar[bool] = False
    """Whether a step size depends on where the iterate is, so that there is none for the number of a step alone."""

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


@dataclass(frozen=True)
class StagewiseStep(StepRule):
    """γ_t = γ₀·factor^k during stage k = 0, 1, …, of which each is 1/factor times as long as the one before.

    Parameters
    ----------
    initial : float
        γ₀ > 0.
    length : int
        The number of steps of the first stage, at least 1; stage k has ⌈length/factor^k⌉.
    factor : float, default 0.5
        In (0, 1).

    Raises
    ------
    ValueError
        If a number is outside its range.

    Examples
    --------
    >>> [StagewiseStep(1.0, length=2).at(t) for t in range(7)]
    [1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.25]
    """

    initial: float
    length: int
    factor: float = 0.5

    keyword = "stagewise"

    def __post_init__(self) -> None:
        object.__setattr__(self, "initial", positive("initial", self.initial, STEPS))
        object.__setattr__(self, "length", integer("length", self.length, 1, LONGEST_STAGE))
        factor = positive("factor", self.factor)
        if factor >= 1:
            raise ValueError(f"factor={factor} is not accepted: it must lie in (0, 1)")
        object.__setattr__(self, "factor", factor)

    def stages(self) -> Iterator[tuple[float, int]]:
        """Yield step size and number of steps of every stage, without end."""
        scale = 1.0
        while True:
            steps = self.length / scale if scale > 0 else math.inf
            yield self.initial * scale, math.ceil(min(steps, LONGEST_STAGE))
            scale *= self.factor

    def at(self, step: int) -> float:
        """Return the step size of the stage in which a step is."""
        left = integer("step", step, 0)
        for stepsize, length in self.stages():
            if left < length:
                return stepsize
            left -= length
        raise AssertionError("stages have no end")

    @property
    def largest(self) -> float:
        """γ₀."""
        return self.initial


LONGEST_STAGE = 1 << 62
"""No stage is longer: as many steps as nobody takes."""

ALL_STEP_RULES: tuple[type[StepRule], ...] = (ConstantStep, InverseSqrtStep, HarmonicStep, StagewiseStep)
"""Every step rule."""


def step_rule(stepsize: float | StepRule) -> StepRule:
    """Return `stepsize` as a rule: a number becomes a constant one."""
    return stepsize if isinstance(stepsize, StepRule) else ConstantStep(stepsize)
