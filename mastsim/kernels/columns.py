"""Gradients of a linear model from the kept columns only: the work is that of the entries in K columns.

Every sum is taken in the order of `mastsim.kernels.lanes`, entry by entry, so that both give the same bits.
"""

from __future__ import annotations

import numpy as np

from mastsim.compilation import njit, uint64
from mastsim.kernels.models import LinearModel
from mastsim.kernels.slopes import psi_slope
from mastsim.simd import fma, index_at, lanes_of, load, splat, store, value_at

_LINE = 64
"""Bytes of a line of the cache."""


@njit(inner=True)
def copy(source, count, out):
    """Copy the first numbers."""
    # No slices: the message of NumPy's for two that do not fit takes longer to compile than a kernel.
    for i in range(count):
        out[i] = source[i]


def share_sums(model: LinearModel, halves: int) -> np.ndarray:
    """Return room for the sums of every share of rows over all columns, as often as asked for.

    Parameters
    ----------
    model : LinearModel
        The model.
    halves : int
        How many sums of everything there is room for.

    Returns
    -------
    ndarray, shape (halves, shares, at least dim)
        Zeros. Rows are a line of the cache apart, or threads would fight for those in which two shares meet.
    """
    line = _LINE // model.center.itemsize
    return np.zeros((halves, model.shares, -(-model.center.size // line) * line + line), model.center.dtype)


@njit(inner=True)
def add_shares(model, x, kept, count, scale, begin, end, margins, sums):
    """Write Σ_i φ'(a_iᵀS(x − v) + a_iᵀv; y_i)·a_ij over the rows of the shares from `begin` up to `end`, one by one.

    ``kept`` must be increasing; ``sums`` has a row a share and a number a kept coordinate, and ``margins`` room for n
    numbers, rounded up to whole vectors.
    """
    blocks, zero = (model.block_rows.size - 1) // model.shares, splat(x.dtype.type(0))
    first, stop = model.block_rows[begin * blocks], model.block_rows[end * blocks]
    for i in range(first, stop, lanes_of(margins)):
        store(margins, i, zero)
    for a in range(count):
        j = kept[a]
        _add_column(model, j, begin, end, model.factor[j] * (scale[j] * (x[j] - model.center[j])), margins)
    _row_slopes(model.slopes, first, stop, margins)
    for a in range(count):
        _sum_column(model, kept[a], begin, end, margins, sums, a)


@njit(inner=True)
def sketched_columns(model, x, kept, count, scale, sums, out):
    """Write the kept coordinates of Sᵀ∇f(v + S(x − v)), in the order of `kept`, from the sums of all shares."""
    rows = x.dtype.type(model.rows)
    for a in range(count):
        j, total = kept[a], x.dtype.type(0)
        for share in range(model.shares):
            total += sums[share, a]
        point = model.center[j] + scale[j] * (x[j] - model.center[j])
        out[a] = scale[j] * (model.factor[j] * total / rows + model.ridge * point)


@njit(forceinline=True)
def _place_of(model, j, share):
    """Return where a share of a column stands among those of all columns; that after the last is the first of the next."""
    return j * uint64(model.shares) + uint64(share)


@njit(forceinline=True)
def _add_column(model, j, begin, end, z, margins):
    start, stop = model.share_starts[_place_of(model, j, begin)], model.share_starts[_place_of(model, j, end)]
    first = model.column_starts[j]
    for place in range(start, stop):
        i = index_at(model.column_rows, place, first)
        margins[i] = fma(z, value_at(model.column_data, place), margins[i])


@njit(forceinline=True)
def _sum_column(model, j, begin, end, values, sums, a):
    """Write Σ_i a_ij·values_i over the rows of each share, one block of them after the other."""
    at, first = _place_of(model, j, begin), model.column_starts[j]
    segment, place = model.share_segments[at], model.share_starts[at]
    for share in range(begin, end):
        at += uint64(1)
        total, last = values.dtype.type(0), model.share_segments[at]
        while segment < last:
            segment += uint64(1)
            stop = model.segment_starts[segment]
            total = _segment_sum(model, first, place, stop, values, total)
            place = stop
        sums[share, a] = total


@njit(forceinline=True)
def _segment_sum(model, first, begin, end, values, a):
    # Four sums at a time, or each addition would wait for the one before.
    index, data = model.column_rows, model.column_data
    one, two, three = uint64(1), uint64(2), uint64(3)
    b = c = d = values.dtype.type(0)
    stop = end - (end - begin) % uint64(4)
    for place in range(begin, stop, uint64(4)):
        a = fma(values[index_at(index, place, first)], value_at(data, place), a)
        b = fma(values[index_at(index, place + one, first)], value_at(data, place + one), b)
        c = fma(values[index_at(index, place + two, first)], value_at(data, place + two), c)
        d = fma(values[index_at(index, place + three, first)], value_at(data, place + three), d)
    for place in range(stop, end):
        a = fma(values[index_at(index, place, first)], value_at(data, place), a)
    return (a + b) + (c + d)


@njit(inner=True)
def _row_slopes(slopes, first, stop, margins):
    """Replace the predictions of some rows by the derivatives of the loss."""
    lanes, narrow = lanes_of(margins), margins.itemsize == 4
    for i in range(first, stop, lanes):
        sign = load(slopes.sign, i)
        w = fma(load(margins, i), sign, load(slopes.offset, i))
        store(margins, i, fma(psi_slope(slopes, w, narrow), sign, load(slopes.slope, i)))
