"""Exact moments of epochs that visit every value of a sketch once, in a fresh random order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mastsim.recursions.base import MomentRecursion, MomentState, from_blocks
from mastsim.validation import STEPS, finite, floats, integer, positive, vector

EPOCH_WORK = 1 << 24
"""The largest 2^N·N·d³, the work of one epoch, that is accepted."""
_TABLE_WORK = 1 << 26


@dataclass(frozen=True, eq=False)
class ReshuffledRecursion(MomentRecursion):
    """The moments of epochs of y⁺ = y − γ(H_i y + ζ_i), every i once, all N! orders equally likely.

    The mean over the orders of a set is the mean over what comes last of its map of the mean over the orders of the rest, so
    that 2^N sets stand for N! orders, without an error.

    Parameters
    ----------
    hessians : array, shape (N, dim, dim)
        The H_i = S_iᵀAS_i.
    noises : array, shape (N, dim)
        The ζ_i = ∇f_{S_i}(x_D*), of mean zero.
    stepsize : float
        γ > 0.

    Raises
    ------
    ValueError
        If the step size is not positive, a shape does not fit, or an epoch is too much work.

    References
    ----------
    This package.

    Examples
    --------
    >>> from mastsim.recursions.base import run
    >>> chain = ReshuffledRecursion(np.array([[[0.0]], [[2.0]]]), np.array([[0.5], [-0.5]]), 0.25)
    >>> run(chain, np.ones(1), 1)[:, 0]
    array([1.        , 0.28320312])
    """

    hessians: np.ndarray
    noises: np.ndarray
    stepsize: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "stepsize", positive("stepsize", self.stepsize, STEPS))
        H = finite("hessians", floats("hessians", self.hessians))
        if H.ndim != 3 or H.shape[1] != H.shape[2]:
            raise ValueError(f"hessians has shape {H.shape}, but it must be (N, dim, dim)")
        object.__setattr__(self, "hessians", H)
        object.__setattr__(self, "noises", np.stack([vector("noises", part, H.shape[1]) for part in self.noises]))
        integer("noises", len(self.noises), len(H), len(H))
        if not fits(len(H), H.shape[1]):
            raise ValueError(f"{len(H)} values in dimension {H.shape[1]} are too many for exact moments of an epoch")

    @cached_property
    def hessian(self) -> np.ndarray:
        """H_D, shape (dim, dim)."""
        return np.asarray(self.hessians.mean(axis=0))

    @cached_property
    def curvature_size(self) -> float:
        """The mean of ‖H_i‖² in the Frobenius norm."""
        return float(np.mean(np.sum(self.hessians**2, axis=(1, 2))))

    @cached_property
    def noise_size(self) -> float:
        """γ²N² times the largest ‖ζ_i‖², carried through an epoch."""
        most = float(np.max(np.sum(self.noises**2, axis=1)))
        return self.stepsize**2 * len(self.noises) ** 2 * most * self.amplification

    @cached_property
    def amplification(self) -> float:
        """That of every step in turn, of one after another."""
        largest = float(np.max(np.linalg.norm(self.hessians, axis=(1, 2))))
        return float((1 + self.stepsize * largest) ** (2 * len(self.hessians)))

    @cached_property
    def _maps(self) -> np.ndarray:
        """The maps of (y, 1), shape (N, dim + 1, dim + 1)."""
        N, d = self.noises.shape
        maps = np.zeros((N, d + 1, d + 1))
        maps[:, :d, :d] = np.eye(d) - self.stepsize * self.hessians
        maps[:, :d, d], maps[:, d, d] = -self.stepsize * self.noises, 1.0
        return maps

    def mean_after(self, mean: np.ndarray) -> np.ndarray:
        """Return the mean after an epoch."""
        return np.asarray(mean @ self._mean_map[:-1, :-1].T + self._mean_map[:-1, -1])

    @cached_property
    def _mean_map(self) -> np.ndarray:
        """The mean over the orders of the map of (y, 1) that an epoch is."""
        return _over_sets(len(self._maps), np.eye(self._maps.shape[1]), lambda i, products: self._maps[i] @ products)

    def _second_after(self, state: MomentState) -> np.ndarray:
        mean, second = state
        whole = from_blocks(second, mean[..., None], np.ones((*mean.shape[:-1], 1, 1)))
        return self._epoch(whole)[..., :-1, :-1]

    def linear(self, X: np.ndarray) -> np.ndarray:
        """Return Φ(X) for a symmetric X of shape (dim, dim)."""
        return self._epoch(np.pad(X, [(0, 0)] * (X.ndim - 2) + [(0, 1)] * 2))[..., :-1, :-1]

    def _epoch(self, whole: np.ndarray) -> np.ndarray:
        """Return the second moment of (y, 1) after one epoch."""
        if self._table is None:
            return mean_over_orders(self._maps, whole)
        return np.asarray((whole.reshape(*whole.shape[:-2], -1) @ self._table.T).reshape(whole.shape))

    @cached_property
    def _table(self) -> np.ndarray | None:
        """The epoch as one matrix on second moments, where that is found soon."""
        N, size = len(self._maps), self._maps.shape[1]
        if 2**N * N * size**6 > _TABLE_WORK:
            return None
        pairs = np.einsum("nij,nkl->nikjl", self._maps, self._maps).reshape(N, size**2, size**2)
        return _over_sets(N, np.eye(size**2), lambda i, tables: pairs[i] @ tables)


def fits(count: int, dim: int) -> bool:
    """Return whether the exact moments of an epoch of `count` steps in a dimension are computed."""
    return count <= 24 and 2**count * count * dim**3 <= EPOCH_WORK


def mean_over_orders(maps: np.ndarray, X: np.ndarray) -> np.ndarray:
    """Return the mean over all orders of T_N … T_1 X T_1ᵀ … T_Nᵀ.

    Parameters
    ----------
    maps : ndarray, shape (N, size, size)
        The T_i.
    X : ndarray, shape (…, size, size)
        Symmetric matrices.

    Examples
    --------
    >>> mean_over_orders(np.array([[[2.0]], [[3.0]]]), np.ones((1, 1)))
    array([[36.]])
    """
    return _over_sets(len(maps), X, lambda i, seconds: maps[i] @ seconds @ maps[i].T)


def _over_sets(count: int, start: np.ndarray, move: Callable[[int, np.ndarray], np.ndarray]) -> np.ndarray:
    """Return the mean over all orders of what `count` moves make of a matrix, from that over the orders of every set."""
    sets = np.arange(1 << count)
    sizes = np.array([int(s).bit_count() for s in sets])
    means = np.zeros((1 << count, *start.shape))
    means[0] = start
    for size in range(count):
        for i in range(count):
            rest = sets[(sizes == size) & (sets >> i & 1 == 0)]
            means[rest | 1 << i] += move(i, means[rest]) / (size + 1)
    return np.asarray(means[-1])
