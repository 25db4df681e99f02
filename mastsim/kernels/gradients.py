"""Sketched gradients of a batch of replicas whose sketches and minibatches are given: the same kernels, for any method."""

from __future__ import annotations

import numpy as np
from numba import njit

from mastsim.kernels.columns import sketched_columns
from mastsim.kernels.lanes import row_pass
from mastsim.kernels.models import BLOCK
from mastsim.kernels.quadratics import sketched_block
from mastsim.kernels.rows import row_scratch, sketched_rows
from mastsim.simd import lanes_of


@njit(cache=True, nogil=True, forceinline=True)
def _support(diagonal, kept):
    count = 0
    for j in range(diagonal.size):
        kept[count] = j
        count += diagonal[j] != 0
    return count


@njit(cache=True, nogil=True, forceinline=True)
def _spread(values, kept, count, out):
    for a in range(count):
        out[kept[a]] = values[a]


@njit(cache=True, nogil=True)
def gradients_by_columns(model, x, diagonals):
    """Return Sᵀ∇f(v + S(x − v)) of every replica, shape of `x`, from the kept columns."""
    total, out, kept = np.zeros_like(x), np.empty(x.shape[1], x.dtype), np.empty(x.shape[1] + 1, np.uint64)
    margins = np.zeros(model.slopes.sign.size, x.dtype)
    for r in range(x.shape[0]):
        count = _support(diagonals[r], kept)
        sketched_columns(model, x[r], kept, count, diagonals[r], margins, out)
        _spread(out, kept, count, total[r])
    return total


@njit(cache=True, nogil=True)
def gradients_by_block(model, x, diagonals):
    """Return Sᵀ∇f(v + S(x − v)) of every replica for a quadratic, shape of `x`, from the kept block."""
    total, out, kept = np.zeros_like(x), np.empty(x.shape[1], x.dtype), np.empty(x.shape[1] + 1, np.uint64)
    points = np.empty(x.shape[1], x.dtype)
    for r in range(x.shape[0]):
        count = _support(diagonals[r], kept)
        sketched_block(model, x[r], kept, count, diagonals[r], points, out)
        _spread(out, kept, count, total[r])
    return total


@njit(cache=True, nogil=True)
def gradients_by_rows(model, x, diagonals, index, weights):
    """Return Sᵀg of every replica, shape of `x`, g the gradient at v + S(x − v) of the rows drawn with their weights."""
    total, out, kept = np.zeros_like(x), np.empty(x.shape[1], x.dtype), np.empty(x.shape[1] + 1, np.uint64)
    s, size = row_scratch(x.shape[1], index.shape[1], x), index.shape[1]
    for r in range(x.shape[0]):
        count = _support(diagonals[r], kept)
        s.weight[:size] = weights[r]
        sketched_rows(model, x[r], kept, count, diagonals[r], index[r], size, s, out)
        _spread(out, kept, count, total[r])
    return total


@njit(cache=True, nogil=True)
def gradients_by_lanes(model, x, diagonals):
    """Return Sᵀ∇f(v + S(x − v)) of every replica, shape of `x`, a vector of replicas in one pass over the rows."""
    lanes, dim, rows = lanes_of(x), x.shape[1], model.base.size
    points, sums = np.zeros(lanes * dim, x.dtype), np.zeros(lanes * dim, x.dtype)
    slopes, total = np.empty(lanes * BLOCK, x.dtype), np.empty_like(x)
    for start in range(0, x.shape[0], lanes):
        own = x[start : start + lanes]
        for r in range(own.shape[0]):
            for j in range(dim):
                points[j * lanes + r] = diagonals[start + r, j] * (own[r, j] - model.center[j])
        row_pass(model, points, sums, slopes)
        for r in range(own.shape[0]):
            for j in range(dim):
                at = j * lanes + r
                gradient = sums[at] / rows + model.ridge * (model.center[j] + points[at])
                total[start + r, j] = diagonals[start + r, j] * gradient
        sums[:] = 0
    return total
