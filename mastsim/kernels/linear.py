"""Descent and gradients on linear models: from kept columns, or two vectors of replicas in one pass over the rows.

Both give the same bits, so that the cheaper one is taken for every group of replicas, and the other one is not compiled.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from mastsim.compilation import njit, uint64
from mastsim.kernels.columns import copy, sketched_columns
from mastsim.kernels.lanes import row_pass, width_of
from mastsim.kernels.masks import Mask, draw_mask, mask_scratch, ordering_scratch, put_in_order
from mastsim.kernels.models import LinearModel
from mastsim.kernels.philox import Key, fill_uniforms
from mastsim.simd import aligned_zeros

PASS, SLOPES = 3.0, 0.09
"""What a pass over the rows with two vectors of replicas costs, and the slopes of all rows, in units of all columns of one
replica; measured on sparse data, and not critical."""
_WIDTH = 128
"""Bytes of two vectors."""


def by_columns(replicas: int, keep: float) -> bool:
    """Return whether so many replicas, at most two vectors, take less work one by one from a share `keep` of the columns."""
    return replicas * (keep + SLOPES) < PASS


def _parts(x: np.ndarray, keep: float) -> Iterator[tuple[slice, bool]]:
    """Yield whole groups of replicas and the rest, and whether each of their groups goes by columns."""
    width = _WIDTH // x.itemsize
    whole = len(x) - len(x) % width
    for part, size in ((slice(0, whole), width), (slice(whole, len(x)), len(x) - whole)):
        if part.stop > part.start:
            yield part, by_columns(size, keep)


def descend_linear(
    x: np.ndarray, replicas: np.ndarray, first: int, stepsizes: np.ndarray, key: Key, mask: Mask, model: LinearModel
) -> None:
    """Take steps x⁺ = x − γ_t·Sᵀ∇f(v + S(x − v)) in place, every replica with its own sketches."""
    for part, columns in _parts(x, mask.keep):
        descend: Any = _descend_by_columns if columns else _descend_by_lanes
        descend(x[part], replicas[part], first, stepsizes, key, mask, model)


def linear_gradients(model: LinearModel, x: np.ndarray, diagonals: np.ndarray, keep: float) -> np.ndarray:
    """Return Sᵀ∇f(v + S(x − v)) of every replica, shape of `x`, for sketches that keep a share `keep` on average."""
    total = np.zeros_like(x)
    for part, columns in _parts(x, keep):
        gradients: Any = _gradients_by_columns if columns else _gradients_by_lanes
        gradients(model, x[part], diagonals[part], total[part])
    return total


@njit(cache=True, nogil=True)
def _descend_by_columns(x, replicas, first, stepsizes, key, mask, model):
    scratch, bits = mask_scratch(mask), ordering_scratch(x.shape[1])
    margins, out = aligned_zeros(model.slopes.sign.size, x), np.empty(x.shape[1], x.dtype)
    for r in range(x.shape[0]):
        for t in range(stepsizes.size):
            fill_uniforms(key, first + t, replicas[r], mask.uniforms, scratch.u)
            count = draw_mask(mask, scratch)
            put_in_order(scratch.kept, count, bits)
            sketched_columns(model, x[r], scratch.kept, count, mask.scale, margins, out)
            for a in range(count):
                x[r, scratch.kept[a]] -= stepsizes[t] * out[a]


@njit(cache=True, nogil=True)
def _descend_by_lanes(x, replicas, first, stepsizes, key, mask, model):
    width, dim = width_of(x), x.shape[1]
    scratch = mask_scratch(mask)
    points, sums = aligned_zeros(width * dim, x), aligned_zeros(width * dim, x)
    slopes = aligned_zeros(width * model.block, x)
    kept, counts = np.empty((width, dim), np.uint64), np.zeros(width, np.int64)
    for start in range(0, x.shape[0], width):
        size = min(width, x.shape[0] - start)
        for t in range(stepsizes.size):
            for r in range(size):
                fill_uniforms(key, first + t, replicas[start + r], mask.uniforms, scratch.u)
                counts[r] = draw_mask(mask, scratch)
                copy(scratch.kept, counts[r], kept[r])
                _place(model, x[start + r], kept[r], counts[r], mask.scale, r, points)
            row_pass(model, points, sums, slopes)
            for r in range(size):
                _step(model, x[start + r], kept[r], counts[r], mask.scale, r, points, sums, stepsizes[t])
            sums[:] = 0


@njit(forceinline=True)
def _place(model, x, kept, count, scale, lane, points):
    """Write S(x − v), times what all entries of a column are, into a lane."""
    width = uint64(width_of(x))
    for a in range(count):
        j = kept[a]
        points[j * width + uint64(lane)] = model.factor[j] * (scale[j] * (x[j] - model.center[j]))


@njit(forceinline=True)
def _step(model, x, kept, count, scale, lane, points, sums, stepsize):
    width, rows = uint64(width_of(x)), x.dtype.type(model.base.size)
    for a in range(count):
        j = kept[a]
        at, point = j * width + uint64(lane), model.center[j] + scale[j] * (x[j] - model.center[j])
        x[j] -= stepsize * (scale[j] * (model.factor[j] * sums[at] / rows + model.ridge * point))
        points[at] = 0


@njit(cache=True, nogil=True)
def _gradients_by_columns(model, x, diagonals, total):
    kept, out = np.empty(x.shape[1] + 1, np.uint64), np.empty(x.shape[1], x.dtype)
    margins = aligned_zeros(model.slopes.sign.size, x)
    for r in range(x.shape[0]):
        count = support_of(diagonals[r], kept)
        sketched_columns(model, x[r], kept, count, diagonals[r], margins, out)
        for a in range(count):
            total[r, kept[a]] = out[a]


@njit(forceinline=True)
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
    slopes = aligned_zeros(width * model.block, x)
    for start in range(0, x.shape[0], width):
        size = min(width, x.shape[0] - start)
        sums[:] = 0
        for r in range(size):
            for j in range(dim):
                z = diagonals[start + r, j] * (x[start + r, j] - model.center[j])
                points[j * width + r] = model.factor[j] * z
        row_pass(model, points, sums, slopes)
        for r in range(size):
            for j in range(dim):
                scale = diagonals[start + r, j]
                point = model.center[j] + scale * (x[start + r, j] - model.center[j])
                mean = model.factor[j] * sums[j * width + r] / rows
                total[start + r, j] = scale * (mean + model.ridge * point)
