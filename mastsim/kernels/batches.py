"""Minibatches drawn inside kernels, as the samplings of `mastsim.methods` draw them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mastsim.compilation import njit, uint64
from mastsim.kernels.philox import room
from mastsim.methods import IndependentSampling, Nice, WithReplacement
from mastsim.methods.minibatch import Sampling

SUBSET, UNIFORM, WEIGHTED, COINS = range(4)


class Batch(NamedTuple):
    """The law of a minibatch, as kernels read it.

    Parameters
    ----------
    code : int
        Which law.
    size : int
        The most rows that one draw gives.
    rows : int
        n.
    edges : ndarray
        For weighted draws the inner edges of the intervals, for coins the probabilities, otherwise empty.
    weights : ndarray, shape (n,) or (1,)
        The weight of each row when it is drawn, or of all.
    uniforms : int
        How many uniform numbers one draw takes.
    """

    code: int
    size: int
    rows: int
    edges: np.ndarray
    weights: np.ndarray
    uniforms: int


def batch_of(sampling: Sampling, n: int, dtype: type) -> Batch | None:
    """Return a sampling's law of n rows as kernels read it, or None where they cannot draw it.

    Parameters
    ----------
    sampling : Sampling
        The sampling.
    n : int
        The number of rows.
    dtype : type
        ``numpy.float64`` or ``numpy.float32``.

    Examples
    --------
    >>> import mastsim as ms
    >>> batch_of(ms.Nice(2), 4, np.float64).weights
    array([0.5])
    """
    sampling.check(n)
    law = _LAWS.get(type(sampling))
    return None if law is None else law(sampling, n, dtype)


def _coins(sampling: IndependentSampling, n: int, dtype: type) -> Batch:
    p = np.broadcast_to(sampling.probabilities, (n,)).astype(float)
    return Batch(COINS, n, n, p, (1 / p / n).astype(dtype), sampling.law(n).uniforms)


def _subset(sampling: Nice, n: int, dtype: type) -> Batch:
    return Batch(SUBSET, sampling.tau, n, np.zeros(0), np.full(1, 1 / sampling.tau, dtype), sampling.law(n).uniforms)


def _draws(sampling: WithReplacement, n: int, dtype: type) -> Batch:
    uniforms = sampling.law(n).uniforms
    if sampling.probabilities is None:
        return Batch(UNIFORM, sampling.tau, n, np.zeros(0), np.full(1, 1 / sampling.tau, dtype), uniforms)
    weights = 1 / (sampling.tau * n * sampling.probabilities)
    return Batch(WEIGHTED, sampling.tau, n, sampling.edges, weights.astype(dtype), uniforms)


_LAWS: dict[type[Sampling], Callable[..., Batch]] = {
    IndependentSampling: _coins,
    Nice: _subset,
    WithReplacement: _draws,
}
"""What kernels read of each sampling that they can draw; of a subclass, which may draw otherwise, they read nothing."""


class BatchScratch(NamedTuple):
    """What drawing a minibatch writes into.

    Parameters
    ----------
    u : ndarray
        Uniform numbers.
    index : ndarray of int, shape (size,)
        The rows drawn.
    seen : ndarray of int, shape (n,)
        The number of the last draw that a row was in.
    """

    u: np.ndarray
    index: np.ndarray
    seen: np.ndarray


@njit(inner=True, makes_arrays=True)
def batch_scratch(batch):
    """Return scratch for one thread."""
    return BatchScratch(np.empty(room(batch.uniforms)), np.empty(batch.size, np.uint64), np.zeros(batch.rows, np.int64))


@njit(forceinline=True)
def draw_batch(batch, scratch, number):
    """Write the rows that the uniform numbers stand for, and return how many; draws are numbered from 1."""
    u, index = scratch.u, scratch.index
    if batch.code == COINS:
        count = 0
        for i in range(batch.rows):
            if u[i] < batch.edges[i]:
                index[count] = i
                count += 1
        return count
    if batch.code == SUBSET:
        _draw_subset(batch, scratch, number)
    elif batch.code == WEIGHTED:
        for i in range(batch.size):
            index[i] = np.searchsorted(batch.edges, u[i], side="right")
    else:
        for i in range(batch.size):
            index[i] = uint64(u[i] * batch.rows)
    return batch.size


@njit(forceinline=True)
def _draw_subset(batch, scratch, number):
    # Floyd's algorithm; what was seen in earlier draws bears smaller numbers and need not be cleared.
    for i in range(batch.size):
        last = batch.rows - batch.size + i
        pick = uint64(scratch.u[i] * (last + 1))
        if scratch.seen[pick] == number:
            pick = uint64(last)
        scratch.seen[pick] = number
        scratch.index[i] = pick
