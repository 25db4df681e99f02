"""Gradients of a linear model for as many replicas as a vector has lanes: one pass over the rows, whatever is kept."""

from __future__ import annotations

import numpy as np
from numba import njit, uint64

from mastsim.kernels.masks import draw_mask, mask_scratch
from mastsim.kernels.models import BLOCK
from mastsim.kernels.philox import fill_uniforms
from mastsim.kernels.slopes import row_slope
from mastsim.simd import fma, lanes_of, load, splat, store


@njit(cache=True, nogil=True)
def row_pass(model, points, gradients, slopes):
    """Add Σ_i φ'(a_iᵀz; y_i)·a_i of every lane; all arrays hold the lanes of a coordinate or row side by side.

    A block of rows at a time: predictions row by row, slopes, then sums column by column, so that sums stay in registers.
    """
    rows = model.base.size
    for start in range(0, rows, BLOCK):
        stop = min(start + BLOCK, rows)
        _predict(model, start, stop, points, slopes)
        _differentiate(model, start, stop, slopes)
        _accumulate(model, start // BLOCK, slopes, gradients)


@njit(cache=True, nogil=True)
def _predict(model, start, stop, points, slopes):
    lanes = uint64(lanes_of(points))
    for i in range(start, stop):
        u = splat(model.base[i])
        begin, end = model.row_starts[i], model.row_starts[i + 1]
        if model.ones:
            for place in range(begin, end):
                u = u + load(points, model.row_columns[place] * lanes)
        else:
            for place in range(begin, end):
                u = fma(load(points, model.row_columns[place] * lanes), model.row_data[place], u)
        store(slopes, uint64(i - start) * lanes, u)


@njit(cache=True, nogil=True)
def _differentiate(model, start, stop, slopes):
    lanes, narrow = lanes_of(slopes), slopes.itemsize == 4
    for i in range(start, stop):
        at = (i - start) * lanes
        store(slopes, at, row_slope(model.slopes, i, load(slopes, at), narrow))


@njit(cache=True, nogil=True)
def _accumulate(model, block, slopes, gradients):
    lanes, one = uint64(lanes_of(slopes)), uint64(1)
    for k in range(model.block_starts[block], model.block_starts[block + 1]):
        begin, end = model.list_starts[k], model.list_starts[k + one]
        at = model.list_columns[k] * lanes
        even, odd = load(gradients, at), splat(slopes.dtype.type(0))
        stop = end - (end - begin) % uint64(2)
        if model.ones:
            for place in range(begin, stop, uint64(2)):
                even = even + load(slopes, model.list_rows[place] * lanes)
                odd = odd + load(slopes, model.list_rows[place + one] * lanes)
        else:
            for place in range(begin, stop, uint64(2)):
                even = fma(load(slopes, model.list_rows[place] * lanes), model.list_data[place], even)
                odd = fma(load(slopes, model.list_rows[place + one] * lanes), model.list_data[place + one], odd)
        for place in range(stop, end):
            even = fma(load(slopes, model.list_rows[place] * lanes), model.list_data[place], even)
        store(gradients, at, even + odd)


@njit(cache=True, nogil=True)
def descend_lanes(x, replicas, first, stepsizes, key, mask, model):
    """Take steps x⁺ = x − γ_t·Sᵀ∇f(v + S(x − v)) in place, every replica with its own sketches."""
    lanes, dim = lanes_of(x), x.shape[1]
    scratch = mask_scratch(mask)
    points, gradients = np.zeros(lanes * dim, x.dtype), np.zeros(lanes * dim, x.dtype)
    slopes = np.empty(lanes * BLOCK, x.dtype)
    kept, counts = np.empty((lanes, dim), np.uint64), np.zeros(lanes, np.int64)
    for start in range(0, x.shape[0], lanes):
        own = x[start : start + lanes]
        for t in range(stepsizes.size):
            for lane in range(own.shape[0]):
                fill_uniforms(key, first + t, replicas[start + lane], mask.uniforms, scratch.u)
                counts[lane] = draw_mask(mask, scratch)
                kept[lane, : counts[lane]] = scratch.kept[: counts[lane]]
                place_point(model, own[lane], kept[lane], counts[lane], mask.scale, lane, points)
            row_pass(model, points, gradients, slopes)
            for lane in range(own.shape[0]):
                _step(model, own[lane], kept[lane], counts[lane], mask.scale, lane, points, gradients, stepsizes[t])
            gradients[:] = 0


@njit(cache=True, nogil=True)
def place_point(model, x, kept, count, scale, lane, points):
    """Write S(x − v) into one lane."""
    lanes = lanes_of(x)
    for a in range(count):
        j = kept[a]
        points[j * uint64(lanes) + uint64(lane)] = scale[j] * (x[j] - model.center[j])


@njit(cache=True, nogil=True)
def _step(model, x, kept, count, scale, lane, points, gradients, stepsize):
    lanes, rows = lanes_of(x), model.base.size
    for a in range(count):
        j = kept[a]
        at = j * uint64(lanes) + uint64(lane)
        gradient = gradients[at] / rows + model.ridge * (model.center[j] + points[at])
        x[j] -= stepsize * (scale[j] * gradient)
        points[at] = 0
