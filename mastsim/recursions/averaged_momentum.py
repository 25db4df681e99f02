"""Exact moments of momentum as averaging of iterates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from mastsim.linalg import symmetric_part, transposed
from mastsim.recursions.base import MomentState, blocks_of, from_blocks, started
from mastsim.recursions.gradient_descent import OneGradient
from mastsim.recursions.gradient_moments import GradientMoments
from mastsim.validation import STEPS, positive


@dataclass(frozen=True, eq=False)
class AveragedRecursion(OneGradient):
    """The moments of (x, z) − x_D* for z⁺ = z − γ(Hy + ζ), y = x − x_D*, and x⁺ = (λx + z⁺)/(λ + 1), λ = growth·(index + 1).

    Parameters
    ----------
    gradient : GradientMoments
        The moments of Hy + ζ.
    stepsize : float
        γ > 0.
    growth : float
        By how much λ grows a step.
    index : int, default 0
        Which step, from 0.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> from mastsim.recursions import SketchedGradient
    >>> from mastsim.recursions.base import run
    >>> half = ms.Bernoulli(1, 0.5).moment_operators(np.eye(1))
    >>> run(AveragedRecursion(SketchedGradient(half, np.zeros(1), np.zeros(1)), 0.25, 0.5), np.ones(1), 1)[:, 0]
    array([1.        , 0.55555556])
    """

    gradient: GradientMoments
    stepsize: float
    growth: float
    index: int = 0

    fields = ("x", "z")
    alike = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "stepsize", positive("stepsize", self.stepsize, STEPS))

    def at(self, step: int, stepsize: float | None = None) -> AveragedRecursion:
        """Return the recursion of one step, from 0."""
        return replace(self, index=step, stepsize=self.stepsize if stepsize is None else stepsize)

    def start(self, y0: np.ndarray) -> MomentState:
        """Return the moments at x⁰ = z⁰ = x_D* + y⁰."""
        return started(y0, y0)

    def mean_after(self, mean: np.ndarray) -> np.ndarray:
        """Return the mean of (x, z) after a step."""
        x, z = np.split(mean, 2, axis=-1)
        return np.asarray(np.concatenate([x, z - self.stepsize * (x @ self.hessian.T)], axis=-1) @ self._average.T)

    def _second_after(self, state: MomentState) -> np.ndarray:
        x = state.mean[..., : len(self.hessian)]
        return self._second(state.second, self.gradient.second(x, blocks_of(state.second)[0]))

    def linear(self, X: np.ndarray) -> np.ndarray:
        """Return Φ(X) for symmetric X, shape (…, 2·dim, 2·dim)."""
        return self._second(X, symmetric_part(self.gradient.curvature2(blocks_of(X)[0])))

    def _second(self, X: np.ndarray, square: np.ndarray) -> np.ndarray:
        """Return the second moment after a step, given E[(Hy + ζ)(Hy + ζ)ᵀ]."""
        gamma, H = self.stepsize, self.hessian
        Y, C, Z = blocks_of(X)
        slope = H @ C
        moved = from_blocks(Y, C - gamma * Y @ H.T, Z - gamma * (slope + transposed(slope)) + gamma**2 * square)
        return np.asarray(self._average @ moved @ self._average.T)

    @cached_property
    def _average(self) -> np.ndarray:
        """The map (x, z⁺) ↦ (x⁺, z⁺)."""
        weight, one = self.growth * (self.index + 1), np.eye(len(self.hessian))
        return np.block([[weight / (weight + 1) * one, one / (weight + 1)], [np.zeros_like(one), one]])
