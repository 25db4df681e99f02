"""Sketched gradients of a batch of replicas whose sketches and minibatches are given: the same kernels, for any method."""

from __future__ import annotations

import numpy as np

from mastsim.compilation import njit
from mastsim.kernels.columns import copy
from mastsim.kernels.linear import support_of
from mastsim.kernels.quadratics import sketched_block
from mastsim.kernels.rows import row_scratch, sketched_rows


@njit(forceinline=True)
def _spread(values, kept, count, out):
    for a in range(count):
        out[kept[a]] = values[a]


@njit(cache=True, nogil=True)
def gradients_by_block(model, x, diagonals):
    """Return Sᵀ∇f(v + S(x − v)) of every replica for a quadratic, shape of `x`, from the kept block."""
    total, out, kept = np.zeros_like(x), np.empty(x.shape[1], x.dtype), np.empty(x.shape[1] + 1, np.uint64)
    points = np.empty(x.shape[1], x.dtype)
    for r in range(x.shape[0]):
        count = support_of(diagonals[r], kept)
        sketched_block(model, x[r], kept, count, diagonals[r], points, out)
        _spread(out, kept, count, total[r])
    return total


@njit(cache=True, nogil=True)
def gradients_by_rows(model, x, diagonals, index, weights):
    """Return Sᵀg of every replica, shape of `x`, g the gradient at v + S(x − v) of the rows drawn with their weights."""
    total, out, kept = np.zeros_like(x), np.empty(x.shape[1], x.dtype), np.empty(x.shape[1] + 1, np.uint64)
    s, size = row_scratch(x.shape[1], index.shape[1], x, model.row_bits.shape[1]), index.shape[1]
    for r in range(x.shape[0]):
        count = support_of(diagonals[r], kept)
        copy(weights[r], size, s.weight)
        sketched_rows(model, x[r], kept, count, diagonals[r], index[r], size, s, out)
        _spread(out, kept, count, total[r])
    return total
