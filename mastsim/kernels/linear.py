"""Descent and gradients on linear models: from kept columns, or two vectors of replicas in one pass over the rows.

Both give the same bits, so that the cheaper one is taken for every group of replicas.
"""

from __future__ import annotations

import numpy as np
from numba import uint64

from mastsim.compilation import njit
from mastsim.kernels.columns import sketched_columns
from mastsim.kernels.lanes import row_pass, width_of
from mastsim.kernels.masks import draw_mask, mask_scratch, put_in_order
from mastsim.kernels.philox import fill_uniforms
from mastsim.simd import aligned_zeros

PASS, SLOPES = 3.0, 0.09
"""What a pass over the rows with two vectors of replicas costs, and the slopes of all rows, in units of all columns of one
replica; measured on sparse data, and not critical."""


@njit(cache=True, nogil=True, forceinline=True)
def by_columns(replicas, keep):
    """Return whether so many replicas, at most two vectors, take less work one by one from a share `keep` of the columns."""
    return replicas * (keep + SLOPES) < PASS


@njit(cache=True, nogil=True)
def descend_linear(x, replicas, first, stepsizes, key, mask, model):
    """Take steps x⁺ = x − γ_t·Sᵀ∇f(v + S(x − v)) in place, every replica with its own sketches."""
    width = width_of(x)
    for start in range(0, x.shape[0], width):
        own, numbers = x[start : start + width], replicas[start : start + width]
        if by_columns(own.shape[0], mask.keep):
            _descend_by_columns(own, numbers, first, stepsizes, key, mask, model)
        else:
            _descend_by_lanes(own, numbers, first, stepsizes, key, mask, model)


@njit(cache=True, nogil=True)
def _descend_by_columns(x, replicas, first, stepsizes, key, mask, model):
    scratch, marks = mask_scratch(mask), np.zeros(x.shape[1], np.bool_)
    margins, out = aligned_zeros(model.slopes.sign.size, x), np.empty(x.shape[1], x.dtype)
    for r in range(x.shape[0]):
        for t in range(stepsizes.size):
            fill_uniforms(key, first + t, replicas[r], mask.uniforms, scratch.u)
            count = draw_mask(mask, scratch)
            put_in_order(scratch.kept, count, marks)
            sketched_columns(model, x[r], scratch.kept, count, mask.scale, margins, out)
            for a in range(count):
                x[r, scratch.kept[a]] -= stepsizes[t] * out[a]


@njit(cache=True, nogil=True)
def _descend_by_lanes(x, replicas, first, stepsizes, key, mask, model):
    width, dim = width_of(x), x.shape[1]
    scratch = mask_scratch(mask)
    points, sums, slopes = (
        aligned_zeros(width * dim, x),
        aligned_zeros(width * dim, x),
        aligned_zeros(width * model.block, x),
    )
    kept, counts = np.empty((width, dim), np.uint64), np.zeros(width, np.int64)
    for t in range(stepsizes.size):
        for r in range(x.shape[0]):
            fill_uniforms(key, first + t, replicas[r], mask.uniforms, scratch.u)
            counts[r] = draw_mask(mask, scratch)
            kept[r, : counts[r]] = scratch.kept[: counts[r]]
            place_point(model, x[r], kept[r], counts[r], mask.scale, r, width, points)
        row_pass(model, points, sums, slopes)
        for r in range(x.shape[0]):
            _step(model, x[r], kept[r], counts[r], mask.scale, r, points, sums, stepsizes[t])
        sums[:] = 0


@njit(cache=True, nogil=True)
def place_point(model, x, kept, count, scale, lane, width, points):
    """Write S(x − v) into one of `width` lanes."""
    for a in range(count):
        j = kept[a]
        points[j * uint64(width) + uint64(lane)] = scale[j] * (x[j] - model.center[j])


@njit(cache=True, nogil=True)
def _step(model, x, kept, count, scale, lane, points, sums, stepsize):
    width, rows = width_of(x), x.dtype.type(model.base.size)
    for a in range(count):
        j = kept[a]
        at = j * uint64(width) + uint64(lane)
        x[j] -= stepsize * (scale[j] * (sums[at] / rows + model.ridge * (model.center[j] + points[at])))
        points[at] = 0


@njit(cache=True, nogil=True)
def linear_gradients(model, x, diagonals, keep):
    """Return Sᵀ∇f(v + S(x − v)) of every replica, shape of `x`, for sketches that keep a share `keep` on average."""
    width, total = width_of(x), np.zeros_like(x)
    for start in range(0, x.shape[0], width):
        own, end = x[start : start + width], start + width
        if by_columns(own.shape[0], keep):
            _gradients_by_columns(model, own, diagonals[start:end], total[start:end])
        else:
            _gradients_by_lanes(model, own, diagonals[start:end], total[start:end])
    return total


@njit(cache=True, nogil=True)
def _gradients_by_columns(model, x, diagonals, total):
    kept, out = np.empty(x.shape[1] + 1, np.uint64), np.empty(x.shape[1], x.dtype)
    margins = aligned_zeros(model.slopes.sign.size, x)
    for r in range(x.shape[0]):
        count = support_of(diagonals[r], kept)
        sketched_columns(model, x[r], kept, count, diagonals[r], margins, out)
        for a in range(count):
            total[r, kept[a]] = out[a]


@njit(cache=True, nogil=True, forceinline=True)
def support_of(diagonal, kept):
    """Write the kept coordinates in increasing order, and return how many there are."""
    count = 0
    for j in range(diagonal.size):
        kept[count] = j
        count += diagonal[j] != 0
    return count


@njit(cache=True, nogil=True)
def _gradients_by_lanes(model, x, diagonals, total):
    width, dim, rows = width_of(x), x.shape[1], x.dtype.type(model.base.size)
    points, sums = aligned_zeros(width * dim, x), aligned_zeros(width * dim, x)
    for r in range(x.shape[0]):
        for j in range(dim):
            points[j * width + r] = diagonals[r, j] * (x[r, j] - model.center[j])
    row_pass(model, points, sums, aligned_zeros(width * model.block, x))
    for r in range(x.shape[0]):
        for j in range(dim):
            at = j * width + r
            total[r, j] = diagonals[r, j] * (sums[at] / rows + model.ridge * (model.center[j] + points[at]))
