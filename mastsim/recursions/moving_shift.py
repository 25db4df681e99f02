"""Exact moments of double-sketched gradient descent whose shift is refreshed by the iterate."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from mastsim.linalg import transposed
from mastsim.recursions.base import MomentRecursion, MomentState, blocks_of, from_blocks, started
from mastsim.sketches.laws import MomentOperators
from mastsim.validation import STEPS, positive, vector


class AroundMinimizer(MomentRecursion):
    """A recursion around x*, a fixed point whatever the sketch: what bounds of its rounding ask of the sketch and A."""

    operators: MomentOperators
    stepsize: float

    keeps_range = False

    @property
    def hessian(self) -> np.ndarray:
        """H_D, shape (dim, dim)."""
        return self.operators.mean

    @cached_property
    def curvature_size(self) -> float:
        """At least E‖H‖² and E‖SᵀA‖², doubled, in the Frobenius norm."""
        A = self.operators.matrix
        return 2 * float(np.trace(self.operators.curvature2(np.eye(len(A)))) + np.trace(self.operators.plain(A @ A)))


@dataclass(frozen=True, eq=False)
class ShiftRecursion(AroundMinimizer):
    """The moments of (e, u) = (x − x*, v − x*) for e⁺ = e − γ(SᵀAu + H(e − u)), H = SᵀAS, and u⁺ = e or e⁺ by a coin.

    x* is a fixed point whatever the sketch, so that there is no noise.

    Parameters
    ----------
    operators : MomentOperators
        Those of the sketch and A.
    stepsize : float
        γ > 0.
    probability : float
        p in (0, 1], with which the shift moves.
    variant : {"a", "b"}
        Whether it moves to the iterate that is left or to the next.
    u0 : array, shape (dim,), or None
        v⁰ − x*; None where the shift starts at the iterate.

    Raises
    ------
    ValueError
        If the step size is not positive or a shape does not fit.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> from mastsim.recursions.base import run
    >>> half = ms.Bernoulli(1, 0.5).moment_operators(np.eye(1))
    >>> run(ShiftRecursion(half, 0.25, 1.0, "b", None), np.ones(1), 2)[:, 0]
    array([1.      , 0.625   , 0.390625])
    """

    operators: MomentOperators
    stepsize: float
    probability: float
    variant: Literal["a", "b"]
    u0: np.ndarray | None

    fields = ("x", "v")

    def __post_init__(self) -> None:
        object.__setattr__(self, "stepsize", positive("stepsize", self.stepsize, STEPS))
        if self.u0 is not None:
            object.__setattr__(self, "u0", vector("u0", self.u0, self.operators.dim))

    def start(self, y0: np.ndarray) -> MomentState:
        """Return the moments at x⁰ = x* + y⁰."""
        return started(y0, y0 if self.u0 is None else np.broadcast_to(self.u0, y0.shape))

    def mean_after(self, mean: np.ndarray) -> np.ndarray:
        """Return the mean of (e, u) after a step."""
        gamma, p, A = self.stepsize, self.probability, self.operators.matrix
        e, u = np.split(mean, 2, axis=-1)
        after = e - gamma * (u @ A + (e - u) @ self.hessian)
        moved = p * (after if self.variant == "b" else e) + (1 - p) * u
        return np.concatenate([after, moved], axis=-1)

    def _second_after(self, state: MomentState) -> np.ndarray:
        return self.linear(state.second)

    def linear(self, X: np.ndarray) -> np.ndarray:
        """Return Φ(X) for a symmetric X of shape (2·dim, 2·dim)."""
        gamma, p, A, H = self.stepsize, self.probability, self.operators.matrix, self.hessian
        E, C, U = blocks_of(X)
        # The mean gradient is H_D·e − (H_D − A)u.
        kept = E - gamma * (H @ E - (H - A) @ transposed(C))
        crossed = C - gamma * (H @ C - (H - A) @ U)
        mixed = self.operators.mixed((C - U) @ A)
        square = self.operators.plain(A @ U @ A) + self.operators.curvature2(E - C - transposed(C) + U)
        square += mixed + transposed(mixed)
        second = kept + transposed(kept) - E + gamma**2 * square
        new = second if self.variant == "b" else E
        cross = p * (second if self.variant == "b" else kept) + (1 - p) * crossed
        return from_blocks(second, cross, p * new + (1 - p) * U)
