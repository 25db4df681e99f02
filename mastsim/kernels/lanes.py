"""Gradients of a linear model for as many replicas as a vector has lanes: one pass over the rows, whatever is kept."""

from __future__ import annotations

from numba import njit, uint64

from mastsim.kernels.models import BLOCK
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
        # Four sums at a time, or each addition would wait for the one before.
        a = load(gradients, at)
        b = c = d = splat(slopes.dtype.type(0))
        stop = end - (end - begin) % uint64(4)
        if model.ones:
            for place in range(begin, stop, uint64(4)):
                a = a + load(slopes, model.list_rows[place] * lanes)
                b = b + load(slopes, model.list_rows[place + one] * lanes)
                c = c + load(slopes, model.list_rows[place + uint64(2)] * lanes)
                d = d + load(slopes, model.list_rows[place + uint64(3)] * lanes)
        else:
            for place in range(begin, stop, uint64(4)):
                a = fma(load(slopes, model.list_rows[place] * lanes), model.list_data[place], a)
                b = fma(load(slopes, model.list_rows[place + one] * lanes), model.list_data[place + one], b)
                c = fma(load(slopes, model.list_rows[place + uint64(2)] * lanes), model.list_data[place + uint64(2)], c)
                d = fma(load(slopes, model.list_rows[place + uint64(3)] * lanes), model.list_data[place + uint64(3)], d)
        for place in range(stop, end):
            a = fma(load(slopes, model.list_rows[place] * lanes), model.list_data[place], a)
        store(gradients, at, (a + b) + (c + d))
