"""Gradients of a linear model from the kept columns only: the work is that of the entries in K columns.

Every sum is taken in the order of `mastsim.kernels.lanes`, entry by entry, so that both give the same bits.
"""

from __future__ import annotations

from numba import uint64

from mastsim.compilation import njit
from mastsim.kernels.slopes import psi_slope
from mastsim.simd import fma, lanes_of, load, store


@njit(cache=True, nogil=True)
def sketched_columns(model, x, kept, count, scale, margins, out):
    """Write the kept coordinates of Sᵀ∇f(v + S(x − v)), in the order of `kept`, which must be increasing.

    ``margins`` has room for n numbers, rounded up to whole vectors.
    """
    _margins(model, x, kept, count, scale, margins)
    _row_slopes(model.slopes, margins)
    rows = x.dtype.type(model.base.size)
    for a in range(count):
        j = kept[a]
        point = model.center[j] + scale[j] * (x[j] - model.center[j])
        out[a] = scale[j] * (_column_sum(model, j, margins) / rows + model.ridge * point)


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
                i = model.column_rows[place]
                margins[i] = fma(z, model.column_data[place], margins[i])


@njit(cache=True, nogil=True, forceinline=True)
def _column_sum(model, j, values):
    """Return Σ_i a_ij·values_i, one block of rows after the other."""
    total = values.dtype.type(0)
    for segment in range(model.column_segments[j], model.column_segments[j + uint64(1)]):
        total = _segment_sum(model, model.segment_starts[segment], model.segment_starts[segment + uint64(1)], values, total)
    return total


@njit(cache=True, nogil=True, forceinline=True)
def _segment_sum(model, begin, end, values, a):
    # Four sums at a time, or each addition would wait for the one before.
    index, data = model.column_rows, model.column_data
    b = c = d = values.dtype.type(0)
    stop = end - (end - begin) % uint64(4)
    if model.ones:
        for place in range(begin, stop, uint64(4)):
            a += values[index[place]]
            b += values[index[place + uint64(1)]]
            c += values[index[place + uint64(2)]]
            d += values[index[place + uint64(3)]]
    else:
        for place in range(begin, stop, uint64(4)):
            a = fma(values[index[place]], data[place], a)
            b = fma(values[index[place + uint64(1)]], data[place + uint64(1)], b)
            c = fma(values[index[place + uint64(2)]], data[place + uint64(2)], c)
            d = fma(values[index[place + uint64(3)]], data[place + uint64(3)], d)
    for place in range(stop, end):
        a = fma(values[index[place]], data[place], a)
    return (a + b) + (c + d)


@njit(cache=True, nogil=True)
def _row_slopes(slopes, margins):
    """Replace the predictions of all rows by the derivatives of the loss."""
    lanes, narrow = lanes_of(margins), margins.itemsize == 4
    for i in range(0, slopes.sign.size, lanes):
        sign = load(slopes.sign, i)
        w = fma(load(margins, i), sign, load(slopes.offset, i))
        store(margins, i, fma(psi_slope(slopes, w, narrow), sign, load(slopes.slope, i)))
