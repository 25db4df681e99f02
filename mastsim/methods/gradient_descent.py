"""Gradient descent on f_D, exact or with one sketch a step."""

from __future__ import annotations

from dataclasses import dataclass

from mastsim.backend import Array
from mastsim.expected import Mast
from mastsim.methods.base import Draw, Method, State
from mastsim.validation import positive


@dataclass(frozen=True)
class GD(Method):
    """Gradient descent x⁺ = x − γ∇f_D(x).

    With the identity sketch this is gradient descent on f itself.

    Parameters
    ----------
    stepsize : float
        γ > 0.

    Raises
    ------
    ValueError
        If `stepsize` is not a finite number above zero.

    Examples
    --------
    >>> GD(0.5).name
    'GD'
    """

    stepsize: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "stepsize", positive("stepsize", self.stepsize))

    def init(self, objective: Mast, x0: Array) -> State:
        """Return the first state."""
        return State(x0)

    def step(self, state: State, objective: Mast, draw: Draw) -> State:
        """Return the state after one exact gradient step."""
        return State(state.x - self.stepsize * objective.gradient(state.x))


@dataclass(frozen=True)
class DSGD(Method):
    """Double-sketched gradient descent x⁺ = x − γ Sᵀ∇f(v + S(x − v)), a fresh sketch a step.

    Parameters
    ----------
    stepsize : float
        γ > 0.

    Raises
    ------
    ValueError
        If `stepsize` is not a finite number above zero.

    References
    ----------
    MAST, arXiv 2311.16086, Algorithm 1 (I, exact gradients).

    Examples
    --------
    >>> DSGD(0.5).stepsize
    0.5
    """

    stepsize: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "stepsize", positive("stepsize", self.stepsize))

    def init(self, objective: Mast, x0: Array) -> State:
        """Return the first state."""
        return State(x0)

    def step(self, state: State, objective: Mast, draw: Draw) -> State:
        """Return the state after one sketched gradient step."""
        batch = draw.sketch(objective.sketch)
        return State(state.x - self.stepsize * objective.sketched_gradient(state.x, batch))
