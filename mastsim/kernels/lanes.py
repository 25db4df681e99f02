"""Gradients of a linear model for as many replicas as two vectors have lanes: one pass over the rows, whatever is kept.

Two vectors go together because each entry's index is then read once for both.
"""

from __future__ import annotations

from mastsim.compilation import njit, uint64
from mastsim.kernels.slopes import row_slope
from mastsim.simd import fma, index_at, lanes_of, load, splat, store, value_at


@njit(forceinline=True)
def width_of(array):
    """Return how many replicas go together."""
    return 2 * lanes_of(array)


@njit(forceinline=True)
def _fetch(array, at):
    return load(array, at), load(array, at + uint64(lanes_of(array)))


@njit(forceinline=True)
def _put(array, at, pair):
    store(array, at, pair[0])
    store(array, at + uint64(lanes_of(array)), pair[1])


@njit(forceinline=True)
def _spread(number):
    return splat(number), splat(number)


@njit(forceinline=True)
def _plus(a, b):
    return a[0] + b[0], a[1] + b[1]


@njit(forceinline=True)
def _plus_times(a, number, b):
    return fma(a[0], number, b[0]), fma(a[1], number, b[1])


@njit(inner=True)
def row_pass(model, points, sums, totals, slopes):
    """Add Σ_i φ'(a_iᵀz; y_i)·a_i of every lane; all arrays hold the lanes of a coordinate or row side by side.

    A block of rows at a time: predictions row by row, slopes, then sums column by column, so that sums stay in registers.
    ``sums`` is 0 before and after.
    """
    blocks = model.block_rows.size - 1
    for block in range(blocks):
        start, stop = model.block_rows[block], model.block_rows[block + 1]
        _predict(model, start, stop, points, slopes)
        _differentiate(model, start, stop, slopes)
        # Those of the first share need no addition.
        first = block * model.shares < blocks
        _accumulate(model, block, slopes, totals if first else sums)
        if not first and (block + 1) * model.shares % blocks == 0:
            _add_up(sums, totals)


# Not inlined, all four: the compiler would keep the arrays of all loops at once and run out of registers.
@njit(inner=True)
def _predict(model, start, stop, points, slopes):
    width = uint64(width_of(points))
    for i in range(start, stop):
        u = _spread(slopes.dtype.type(0))
        begin, end = model.row_starts[i], model.row_starts[i + 1]
        for place in range(begin, end):
            at = index_at(model.row_columns, place, begin) * width
            u = _plus_times(_fetch(points, at), value_at(model.row_data, place), u)
        _put(slopes, uint64(i - start) * width, u)


@njit(inner=True)
def _differentiate(model, start, stop, slopes):
    lanes, narrow = lanes_of(slopes), slopes.itemsize == 4
    for i in range(start, stop):
        for half in range(2):
            at = (2 * (i - start) + half) * lanes
            store(slopes, at, row_slope(model.slopes, i, load(slopes, at), narrow))


@njit(inner=True)
def _accumulate(model, block, slopes, sums):
    width, data, index = uint64(width_of(slopes)), model.list_data, model.list_rows
    one, two, three = uint64(1), uint64(2), uint64(3)
    for k in range(model.block_starts[block], model.block_starts[block + 1]):
        begin, end = model.list_starts[k], model.list_starts[k + one]
        at = model.list_columns[k] * width
        # Four sums at a time, or each addition would wait for the one before.
        a = _fetch(sums, at)
        b = c = d = _spread(slopes.dtype.type(0))
        stop = end - (end - begin) % uint64(4)
        for place in range(begin, stop, uint64(4)):
            a = _plus_entry(slopes, index, data, place, begin, a)
            b = _plus_entry(slopes, index, data, place + one, begin, b)
            c = _plus_entry(slopes, index, data, place + two, begin, c)
            d = _plus_entry(slopes, index, data, place + three, begin, d)
        for place in range(stop, end):
            a = _plus_entry(slopes, index, data, place, begin, a)
        _put(sums, at, _plus(_plus(a, b), _plus(c, d)))


@njit(forceinline=True)
def _plus_entry(slopes, index, data, place, begin, total):
    at = index_at(index, place, begin) * uint64(width_of(slopes))
    return _plus_times(_fetch(slopes, at), value_at(data, place), total)


@njit(inner=True)
def _add_up(sums, totals):
    """Add the sums of a share of the rows to those before, and begin anew."""
    zero = splat(sums.dtype.type(0))
    for at in range(0, sums.size, lanes_of(sums)):
        store(totals, at, load(totals, at) + load(sums, at))
        store(sums, at, zero)
