"""Gradients of a linear model from the kept columns only: the work is that of the entries in K columns."""

from __future__ import annotations

import numpy as np
from numba import njit, uint64

from mastsim.kernels.masks import draw_mask, mask_scratch
from mastsim.kernels.philox import fill_uniforms
from mastsim.kernels.slopes import psi_slope
from mastsim.simd import fma, lanes_of, load, store


@njit(cache=True, nogil=True)
def sketched_columns(model, x, kept, count, scale, margins, out):
    """Write the kept coordinates of Sᵀ∇f(v + S(x − v)), in the order of `kept`.

    ``margins`` has room for n numbers, rounded up to whole vectors.
    """
    _margins(model, x, kept, count, scale, margins)
    _row_slopes(model.slopes, margins)
    rows = model.base.size
    for a in range(count):
        j = kept[a]
        total = _column_sum(model, j, margins)
        point = model.center[j] + scale[j] * (x[j] - model.center[j])
        out[a] = scale[j] * (total / rows + model.ridge * point)


@njit(cache=True, nogil=True)
def _margins(model, x, kept, count, scale, margins):
    margins[: model.base.size] = model.base
    for a in range(count):
        j = kept[a]
        z = scale[j] * (x[j] - model.center[j])
        begin, end = model.column_starts[j], model.column_starts[j + uint64(1)]
        if model.ones:
            for place in range(begin, end):
                margins[model.column_rows[place]] += z
        else:
            for place in range(begin, end):
                margins[model.column_rows[place]] += model.column_data[place] * z


@njit(cache=True, nogil=True)
def _column_sum(model, j, values):
    """Return Σ_i a_ij·values_i; four sums at a time, or each addition would wait for the one before."""
    begin, end = model.column_starts[j], model.column_starts[j + uint64(1)]
    index, data = model.column_rows, model.column_data
    a = b = c = d = values.dtype.type(0)
    stop = end - (end - begin) % uint64(4)
    if model.ones:
        for place in range(begin, stop, uint64(4)):
            a += values[index[place]]
            b += values[index[place + uint64(1)]]
            c += values[index[place + uint64(2)]]
            d += values[index[place + uint64(3)]]
    else:
        for place in range(begin, stop, uint64(4)):
            a += data[place] * values[index[place]]
            b += data[place + uint64(1)] * values[index[place + uint64(1)]]
            c += data[place + uint64(2)] * values[index[place + uint64(2)]]
            d += data[place + uint64(3)] * values[index[place + uint64(3)]]
    for place in range(stop, end):
        a += data[place] * values[index[place]]
    return (a + b) + (c + d)


@njit(cache=True, nogil=True)
def _row_slopes(slopes, margins):
    """Replace the predictions of all rows by the derivatives of the loss."""
    lanes, narrow = lanes_of(margins), margins.itemsize == 4
    for i in range(0, slopes.sign.size, lanes):
        sign = load(slopes.sign, i)
        w = fma(load(margins, i), sign, load(slopes.offset, i))
        store(margins, i, fma(psi_slope(slopes, w, narrow), sign, load(slopes.slope, i)))


@njit(cache=True, nogil=True)
def descend_columns(x, replicas, first, stepsizes, key, mask, model):
    """Take steps x⁺ = x − γ_t·Sᵀ∇f(v + S(x − v)) in place, every replica with its own sketches."""
    scratch = mask_scratch(mask)
    margins, out = np.zeros(model.slopes.sign.size, x.dtype), np.empty(x.shape[1], x.dtype)
    for r in range(x.shape[0]):
        for t in range(stepsizes.size):
            fill_uniforms(key, first + t, replicas[r], mask.uniforms, scratch.u)
            count = draw_mask(mask, scratch)
            sketched_columns(model, x[r], scratch.kept, count, mask.scale, margins, out)
            for a in range(count):
                x[r, scratch.kept[a]] -= stepsizes[t] * out[a]
