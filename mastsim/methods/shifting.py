"""Methods whose shift may move."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mastsim.backend import Array
from mastsim.draws import Draw
from mastsim.expected import Objective
from mastsim.methods.base import Oracle, StochasticMethod
from mastsim.methods.shifts import FixedShift, Refreshed, ShiftRule
from mastsim.validation import instance


@dataclass(frozen=True)
class ShiftingMethod(StochasticMethod):
    """A method whose gradients are sketched around a shift that may move.

    Parameters
    ----------
    stepsize : float or StepRule
        γ > 0, or a rule that gives γ_t.
    sampling : Sampling, optional
        Which components of f = (1/n)Σf_i a gradient sees; all by default.
    compression : Compressor, optional
        What is done to a direction before the step; nothing by default.
    shift : ShiftRule, optional
        Whether and how v moves; it stays by default.

    Raises
    ------
    ValueError
        If `stepsize` is not a finite number above zero, or a setting does not fit the problem.
    """

    shift: ShiftRule = field(default_factory=FixedShift, kw_only=True)

    points = ("x", "v")

    def __post_init__(self) -> None:
        super().__post_init__()
        instance("shift", self.shift, ShiftRule)
        if type(self.shift) is Refreshed and not self.shift.moves:
            object.__setattr__(self, "shift", FixedShift())

    @property
    def name(self) -> str:
        """For example ``DSGD, 32-nice, shift refreshed with p = 0.1 (b)``."""
        return super().name if isinstance(self.shift, FixedShift) else f"{super().name}, {self.shift.name}"

    def target(self, objective: Objective) -> np.ndarray:
        """Return x_D*, or x* where the shift moves."""
        return objective.problem.minimize().x if self.shift.moves else super().target(objective)

    def gradient_steps(self, objective: Any) -> int:
        """Return the length of a cycle."""
        return self.shift.length

    def step(self, state: Any, objective: Objective, draw: Draw) -> Any:
        """Return the state after one more step, which is a cycle of gradient steps where the shift says so."""
        return self.shift.step(self.once(objective), state, objective, draw)

    def once(self, objective: Objective) -> Any:
        """Return one gradient step, as a function of a state and a draw."""

        def gradient_step(state: Any, draw: Draw) -> Any:
            return StochasticMethod.step(self, state, objective, draw)

        return gradient_step

    def carry(self, state: Any, x: Array, objective: Any, gradient: Oracle, draw: Draw) -> Any:
        """Return the next state, the shift moved as its rule says."""
        return self.shift.after(state, x, draw)
