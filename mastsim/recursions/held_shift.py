"""Exact moments of cycles in which the shift is held, and then moves to the mean of the iterates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mastsim.linalg import symmetric_part, transposed
from mastsim.recursions.base import MomentState
from mastsim.recursions.moving_shift import AroundMinimizer
from mastsim.sketches.laws import MomentOperators
from mastsim.validation import STEPS, integer, positive


@dataclass(frozen=True, eq=False)
class HeldRecursion(AroundMinimizer):
    """The moments of x − x* over cycles of τ gradient steps around a shift that is held, which end at their mean.

    Within a cycle (e, u, s) = (x_k − x*, v − x*, Σ_{j≤k}(x_j − x*)) follows e⁺ = e − γ(SᵀAu + SᵀAS(e − u)), s⁺ = s + e⁺.
    x* is a fixed point whatever the sketch, so that there is no noise.

    Parameters
    ----------
    operators : MomentOperators
        Those of the sketch and A.
    stepsize : float
        γ > 0.
    tau : int
        τ, at least 1.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> from mastsim.recursions.base import run
    >>> half = ms.Bernoulli(1, 0.5).moment_operators(np.eye(1))
    >>> run(HeldRecursion(half, 0.25, 2), np.ones(1), 1)[:, 0]
    array([1.     , 0.78125])
    """

    operators: MomentOperators
    stepsize: float
    tau: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "stepsize", positive("stepsize", self.stepsize, STEPS))
        object.__setattr__(self, "tau", integer("tau", self.tau, 1))

    @cached_property
    def _slope(self) -> np.ndarray:
        """The mean gradient of (e, u, s), shape (dim, 3·dim)."""
        H = self.hessian
        return np.concatenate([H, self.operators.matrix - H, np.zeros_like(H)], axis=1)

    @cached_property
    def amplification(self) -> float:
        """What rounding of the steps of a cycle adds up to, for ‖X‖ = 1: errors are carried along as moments are."""
        d, gamma = len(self.hessian), self.stepsize
        once = 4 * ((1 + gamma * float(np.linalg.norm(self._slope))) ** 2 + 2 * gamma**2 * self.curvature_size)
        Z, E, one = self._begun(np.eye(d)), np.zeros((3 * d, 3 * d)), np.eye(3 * d)
        E += float(np.trace(Z)) * one
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in range(self.tau - 1):
                Z, E = self._within(Z), self._within(E) + float(np.trace(Z)) * one
            carried = float(np.trace(E[2 * d :, 2 * d :])) / self.tau**2
        return once * carried if np.isfinite(carried) else float("inf")

    def mean_after(self, mean: np.ndarray) -> np.ndarray:
        """Return the mean after a cycle."""
        e = u = total = mean
        for _ in range(self.tau - 1):
            e = e - self.stepsize * np.concatenate([e, u, total], axis=-1) @ self._slope.T
            total = total + e
        return np.asarray(total / self.tau)

    def _second_after(self, state: MomentState) -> np.ndarray:
        return self.linear(state.second)

    def linear(self, X: np.ndarray) -> np.ndarray:
        """Return Φ(X) for symmetric X, shape (…, dim, dim)."""
        Z, d = self._begun(X), X.shape[-1]
        for _ in range(self.tau - 1):
            Z = self._within(Z)
        return np.asarray(Z[..., 2 * d :, 2 * d :] / self.tau**2)

    @staticmethod
    def _begun(X: np.ndarray) -> np.ndarray:
        """Return the second moment of (e, u, s) at the start of a cycle, where all are equal."""
        return np.tile(X, (*(1,) * (X.ndim - 2), 3, 3))

    def _within(self, Z: np.ndarray) -> np.ndarray:
        """Return the second moment of (e, u, s) after one more gradient step, shape (…, 3·dim, 3·dim)."""
        d, gamma, A, operators = len(self.hessian), self.stepsize, self.operators.matrix, self.operators
        E, C, U = Z[..., :d, :d], Z[..., :d, d : 2 * d], Z[..., d : 2 * d, d : 2 * d]
        mixed = operators.mixed((C - U) @ A)
        square = operators.plain(A @ U @ A) + operators.curvature2(E - C - transposed(C) + U) + mixed + transposed(mixed)
        slope, out = gamma * self._slope @ Z, Z.copy()
        out[..., :d, :] -= slope
        out[..., :, :d] -= transposed(slope)
        out[..., :d, :d] += gamma**2 * square
        out[..., 2 * d :, :] += out[..., :d, :]
        out[..., :, 2 * d :] += out[..., :, :d]
        return symmetric_part(out)
