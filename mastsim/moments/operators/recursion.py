"""What a moment recursion is, and the loop that runs it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

from mastsim.validation import integer, vector


class MomentState(NamedTuple):
    """First and second moment of what a method carries; the first `dim` coordinates are y = x − x_D*.

    Parameters
    ----------
    mean : ndarray, shape (size,)
        The expectation.
    second : ndarray, shape (size, size)
        The second-moment matrix.
    """

    mean: np.ndarray
    second: np.ndarray


class MomentRecursion(ABC):
    """A linear recursion that the moments of a method obey on a quadratic.

    References
    ----------
    This package.
    """

    @property
    @abstractmethod
    def hessian(self) -> np.ndarray:
        """H_D, shape (dim, dim)."""

    def start(self, y0: np.ndarray) -> MomentState:
        """Return the moments at the deterministic start y⁰ = x⁰ − x_D*."""
        return MomentState(y0, np.outer(y0, y0))

    @abstractmethod
    def step(self, state: MomentState) -> MomentState:
        """Return the moments after one more step."""

    def functionals(self, state: MomentState) -> np.ndarray:
        """Return E‖y‖², ½E yᵀH_D y and E‖H_D y‖²."""
        d = len(self.hessian)
        M = state.second[:d, :d]
        slope = self.hessian @ M
        return np.array([np.trace(M), np.trace(slope) / 2, np.vdot(slope, self.hessian)])


def run(recursion: MomentRecursion, y0: np.ndarray, steps: int) -> np.ndarray:
    """Return the three functionals at every step.

    Parameters
    ----------
    recursion : MomentRecursion
        Of any method.
    y0 : array, shape (dim,)
        x⁰ − x_D*.
    steps : int
        Number of steps T ≥ 0.

    Returns
    -------
    ndarray, shape (steps + 1, 3)
        E‖x^t − x_D*‖², E f_D(x^t) − f_D^inf, E‖∇f_D(x^t)‖²; infinite from where they overflow.

    Raises
    ------
    ValueError
        If `steps` is negative or `y0` is not a finite vector of length dim.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> from mastsim.moments.operators import DSGDRecursion
    >>> half = ms.Bernoulli(1, 0.5).moment_operators(np.eye(1))
    >>> run(DSGDRecursion(half, 0.25, np.zeros(1), np.zeros(1)), np.ones(1), 2)[:, 0]
    array([1.  , 0.5 , 0.25])
    """
    steps = integer("steps", steps, 0)
    state = recursion.start(vector("y0", y0, len(recursion.hessian)))
    history = np.full((steps + 1, 3), np.inf)
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(steps + 1):
            history[t] = recursion.functionals(state)
            if not np.isfinite(history[t]).all():
                history[t] = np.where(np.isfinite(history[t]), history[t], np.inf)
                history[t + 1 :] = np.inf
                break
            if t < steps:
                state = recursion.step(state)
    return np.maximum(history, 0.0)
