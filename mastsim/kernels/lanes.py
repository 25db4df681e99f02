"""Gradients of a linear model for as many replicas as two vectors have lanes: one pass over the rows, whatever is kept.

Two vectors go together because each entry's index is then read once for both.
"""

from __future__ import annotations

from numba import uint64

from mastsim.compilation import njit
from mastsim.kernels.slopes import row_slope
from mastsim.simd import fma, lanes_of, load, splat, store


@njit(cache=True, nogil=True, forceinline=True)
def width_of(array):
    """Return how many replicas go together."""
    return 2 * lanes_of(array)


@njit(cache=True, nogil=True, forceinline=True)
def _fetch(array, at):
    return load(array, at), load(array, at + uint64(lanes_of(array)))


@njit(cache=True, nogil=True, forceinline=True)
def _put(array, at, pair):
    store(array, at, pair[0])
    store(array, at + uint64(lanes_of(array)), pair[1])


@njit(cache=True, nogil=True, forceinline=True)
def _spread(number):
    return splat(number), splat(number)


@njit(cache=True, nogil=True, forceinline=True)
def _plus(a, b):
    return a[0] + b[0], a[1] + b[1]


@njit(cache=True, nogil=True, forceinline=True)
def _plus_times(a, number, b):
    return fma(a[0], number, b[0]), fma(a[1], number, b[1])


@njit(cache=True, nogil=True)
def row_pass(model, points, sums, slopes):
    """Add Σ_i φ'(a_iᵀz; y_i)·a_i of every lane; all arrays hold the lanes of a coordinate or row side by side.

    A block of rows at a time: predictions row by row, slopes, then sums column by column, so that sums stay in registers.
    """
    rows = model.base.size
    for start in range(0, rows, model.block):
        stop = min(start + model.block, rows)
        _predict(model, start, stop, points, slopes)
        _differentiate(model, start, stop, slopes)
        _accumulate(model, start // model.block, slopes, sums)


@njit(cache=True, nogil=True)
def _predict(model, start, stop, points, slopes):
    width = uint64(width_of(points))
    for i in range(start, stop):
        u = _spread(model.base[i])
        begin, end = model.row_starts[i], model.row_starts[i + 1]
        if model.ones:
            for place in range(begin, end):
                u = _plus(u, _fetch(points, model.row_columns[place] * width))
        else:
            for place in range(begin, end):
                u = _plus_times(_fetch(points, model.row_columns[place] * width), model.row_data[place], u)
        _put(slopes, uint64(i - start) * width, u)


@njit(cache=True, nogil=True)
def _differentiate(model, start, stop, slopes):
    lanes, narrow = lanes_of(slopes), slopes.itemsize == 4
    for i in range(start, stop):
        for half in range(2):
            at = (2 * (i - start) + half) * lanes
            store(slopes, at, row_slope(model.slopes, i, load(slopes, at), narrow))


@njit(cache=True, nogil=True)
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
        if model.ones:
            for place in range(begin, stop, uint64(4)):
                a = _plus(a, _fetch(slopes, index[place] * width))
                b = _plus(b, _fetch(slopes, index[place + one] * width))
                c = _plus(c, _fetch(slopes, index[place + two] * width))
                d = _plus(d, _fetch(slopes, index[place + three] * width))
        else:
            for place in range(begin, stop, uint64(4)):
                a = _plus_times(_fetch(slopes, index[place] * width), data[place], a)
                b = _plus_times(_fetch(slopes, index[place + one] * width), data[place + one], b)
                c = _plus_times(_fetch(slopes, index[place + two] * width), data[place + two], c)
                d = _plus_times(_fetch(slopes, index[place + three] * width), data[place + three], d)
        for place in range(stop, end):
            a = _plus_times(_fetch(slopes, index[place] * width), data[place], a)
        _put(sums, at, _plus(_plus(a, b), _plus(c, d)))
