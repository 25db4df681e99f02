"""Exact moments of the running average of the iterates, beside those of the state that a method carries."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from mastsim.linalg import transposed
from mastsim.recursions.base import MomentRecursion, MomentState, from_blocks

AVERAGE = "average"
"""The field that holds the running average of the iterates."""


@dataclass(frozen=True, eq=False)
class AveragingRecursion(MomentRecursion):
    """The moments of the state and of x̄_T = (x^0 + … + x^{T−1})/T, x̄_0 = x^0, counted from where x is.

    What a step draws is independent of the state and of the average before it, so that the state after it and the average
    depend on each other through the mean of the step alone.

    Parameters
    ----------
    chain : MomentRecursion
        That of the state.
    index : int, default 0
        Which step, from 0.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> from mastsim.recursions import GradientRecursion, SketchedGradient
    >>> half = ms.Bernoulli(1, 0.5).moment_operators(np.eye(1))
    >>> chain = AveragingRecursion(GradientRecursion(SketchedGradient(half, np.zeros(1), np.zeros(1)), 0.25))
    >>> state = chain.at(1).step(chain.step(chain.start(np.ones(1))))
    >>> state.second.ravel()  # E x², E x·x̄, E x̄² for x after two steps, x̄ the mean of the two before
    array([0.25 , 0.25 , 0.25 , 0.625])
    """

    chain: MomentRecursion
    index: int = 0

    alike = False

    @property
    def fields(self) -> tuple[str, ...]:  # type: ignore[override]
        """Those of the state, and the average."""
        return (*self.chain.fields, AVERAGE)

    @property
    def stepsize(self) -> float:  # type: ignore[override]
        """γ."""
        return self.chain.stepsize

    @property
    def keeps_range(self) -> bool:  # type: ignore[override]
        """Whether a step only moves along range(H_D): then the average does too."""
        return self.chain.keeps_range

    @property
    def hessian(self) -> np.ndarray:
        """H_D, shape (dim, dim)."""
        return self.chain.hessian

    @property
    def curvature_size(self) -> float:
        """That of a step."""
        return self.chain.curvature_size

    @property
    def noise_size(self) -> float:
        """That of a step."""
        return self.chain.noise_size

    @property
    def amplification(self) -> float:
        """That of a step, and an average of two points, which are two parts of one state."""
        return 2 * (self.chain.amplification + 4)

    def at(self, step: int, stepsize: float | None = None) -> AveragingRecursion:
        """Return the recursion of one step, from 0."""
        return replace(self, chain=self.chain.at(step, stepsize), index=step)

    def start(self, y0: np.ndarray) -> MomentState:
        """Return the moments at x⁰, which is its own average."""
        mean, second = self.chain.start(y0)
        d = y0.shape[-1]
        return MomentState(np.concatenate([mean, y0], axis=-1), from_blocks(second, second[..., :, :d], second[..., :d, :d]))

    def mean_after(self, mean: np.ndarray) -> np.ndarray:
        """Return the means of the state and of the average after a step."""
        state, average = self._parts(mean)
        share, d = 1 / (self.index + 1), average.shape[-1]
        return np.concatenate([self.chain.mean_after(state), (1 - share) * average + share * state[..., :d]], axis=-1)

    def _second_after(self, state: MomentState) -> np.ndarray:
        own, _ = self._parts(state.mean)
        size = own.shape[-1]
        before = MomentState(own, state.second[..., :size, :size])
        return self._moved(
            state.second, self.chain.step(before).second, self._still, self.mean_after(state.mean)[..., size:]
        )

    def linear(self, X: np.ndarray) -> np.ndarray:
        """Return Φ(X) for a symmetric X, shape (…, size, size)."""
        size = X.shape[-1] - len(self.hessian)
        return self._moved(X, self.chain.linear(X[..., :size, :size]), np.zeros(size), np.zeros(len(self.hessian)))

    def _parts(self, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        size = mean.shape[-1] - len(self.hessian)
        return mean[..., :size], mean[..., size:]

    @cached_property
    def _still(self) -> np.ndarray:
        """Where the mean of a step leads from the center, shape (size,)."""
        return self.chain.mean_after(np.zeros(len(self.chain.fields) * len(self.hessian)))

    def _moved(self, X: np.ndarray, second: np.ndarray, still: np.ndarray, average: np.ndarray) -> np.ndarray:
        """Return the second moment after a step, given that of the state and the mean of the average after it."""
        share, d = 1 / (self.index + 1), len(self.hessian)
        size = X.shape[-1] - d
        # The products of the state, and of the old average, with the new average before the state moves.
        mixed = (1 - share) * X[..., :, size:] + share * X[..., :, :d]
        moved = self.chain.mean_after(transposed(mixed[..., :size, :])) - self._still
        cross = transposed(moved) + still[:, None] * average[..., None, :]
        own = (1 - share) * mixed[..., size:, :] + share * mixed[..., :d, :]
        return from_blocks(second, cross, own)
