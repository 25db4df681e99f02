"""Gradients of a linear model from the kept columns only: the work is that of the entries in K columns.

Every sum is taken in the order of `mastsim.kernels.lanes`, entry by entry, so that both give the same bits.
"""

from __future__ import annotations

from mastsim.compilation import njit, uint64
from mastsim.kernels.slopes import psi_slope
from mastsim.simd import fma, index_at, lanes_of, load, store, value_at


@njit(inner=True)
def copy(source, count, out):
    """Copy the first numbers."""
    # No slices: the message of NumPy's for two that do not fit takes longer to compile than a kernel.
    for i in range(count):
        out[i] = source[i]


@njit(inner=True)
def sketched_columns(model, x, kept, count, scale, margins, out):
    """Write the kept coordinates of Sᵀ∇f(v + S(x − v)), in the order of `kept`, which must be increasing.

    ``margins`` has room for n numbers, rounded up to whole vectors.
    """
    copy(model.base, model.base.size, margins)
    for a in range(count):
        j = kept[a]
        _add_column(model, j, model.factor[j] * (scale[j] * (x[j] - model.center[j])), margins)
    _row_slopes(model.slopes, margins)
    rows = x.dtype.type(model.base.size)
    for a in range(count):
        j = kept[a]
        point = model.center[j] + scale[j] * (x[j] - model.center[j])
        out[a] = scale[j] * (model.factor[j] * _column_sum(model, j, margins) / rows + model.ridge * point)


@njit(forceinline=True)
def _add_column(model, j, z, margins):
    begin, end = model.column_starts[j], model.column_starts[j + uint64(1)]
    for place in range(begin, end):
        i = index_at(model.column_rows, place, begin)
        margins[i] = fma(z, value_at(model.column_data, place), margins[i])


@njit(forceinline=True)
def _column_sum(model, j, values):
    """Return Σ_i a_ij·values_i, one block of rows after the other."""
    total, first = values.dtype.type(0), model.column_starts[j]
    for segment in range(model.column_segments[j], model.column_segments[j + uint64(1)]):
        begin, end = model.segment_starts[segment], model.segment_starts[segment + uint64(1)]
        total = _segment_sum(model, first, begin, end, values, total)
    return total


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
def _row_slopes(slopes, margins):
    """Replace the predictions of all rows by the derivatives of the loss."""
    lanes, narrow = lanes_of(margins), margins.itemsize == 4
    for i in range(0, slopes.sign.size, lanes):
        sign = load(slopes.sign, i)
        w = fma(load(margins, i), sign, load(slopes.offset, i))
        store(margins, i, fma(psi_slope(slopes, w, narrow), sign, load(slopes.slope, i)))
