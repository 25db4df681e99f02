"""Gradients of a linear model from the rows of a minibatch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mastsim.compilation import njit, uint64
from mastsim.kernels.batches import batch_scratch, draw_batch
from mastsim.kernels.masks import draw_mask, mask_scratch
from mastsim.kernels.philox import fill_uniforms
from mastsim.kernels.slopes import psi_slope
from mastsim.simd import fma, index_at, lanes_of, load, splat, store, sum_of_lanes, value_at, where_bit


class RowScratch(NamedTuple):
    """What a minibatch gradient writes into.

    Parameters
    ----------
    point, gradient : ndarray, shape (dim,)
        S(x − v), and the sum of the rows; zero between two gradients that go by entries.
    weight, sign, offset, slope, margin : ndarray, shape (size rounded up to whole vectors,)
        Weights, row form of the loss, and predictions, of the rows drawn.
    words : ndarray of uint64, shape (words of a row times the rounded size,)
        Where the rows drawn have entries: their first words, then their second ones, and so on.
    """

    point: np.ndarray
    gradient: np.ndarray
    weight: np.ndarray
    sign: np.ndarray
    offset: np.ndarray
    slope: np.ndarray
    margin: np.ndarray
    words: np.ndarray


@njit(inner=True, makes_arrays=True)
def row_scratch(dim, size, like, words):
    """Return scratch for one thread."""
    lanes = lanes_of(like)
    room = (size + lanes - 1) // lanes * lanes
    return RowScratch(
        np.zeros(dim, like.dtype),
        np.zeros(dim, like.dtype),
        np.zeros(room, like.dtype),
        np.zeros(room, like.dtype),
        np.zeros(room, like.dtype),
        np.zeros(room, like.dtype),
        np.zeros(room, like.dtype),
        np.zeros(words * room, np.uint64),
    )


@njit(forceinline=True)
def sketched_rows(model, x, kept, count, scale, index, size, s, out):
    """Write the kept coordinates of Sᵀg, g the gradient at v + S(x − v) of the rows drawn, weighted as the scratch says."""
    total = x.dtype.type(0)
    for k in range(size):
        total += s.weight[k]
    if model.row_bits.size > 0:
        _rows_by_bits(model, x, kept, count, scale, index, size, s, out)
    else:
        _rows_by_entries(model, x, kept, count, scale, index, size, s, out)
    for a in range(count):
        j = kept[a]
        point = model.center[j] + scale[j] * (x[j] - model.center[j])
        out[a] = scale[j] * (model.factor[j] * out[a] + model.ridge * total * point)


@njit(forceinline=True)
def _rows_by_bits(model, x, kept, count, scale, index, size, s, out):
    """Write the sums of the kept columns over the rows drawn, all rows of a vector at once."""
    lanes, words = lanes_of(x), model.row_bits.shape[1]
    room = s.margin.size
    for k in range(size):
        for w in range(words):
            s.words[w * room + k] = model.row_bits[index[k], w]
        _begin(model, index[k], k, s)
    for k in range(size, (size + lanes - 1) // lanes * lanes):
        for w in range(words):
            s.words[w * room + k] = 0
    for a in range(count):
        j = kept[a]
        s.point[a] = model.factor[j] * (scale[j] * (x[j] - model.center[j]))
    for at in range(0, size, lanes):
        u = load(s.margin, at)
        for a in range(count):
            u = u + where_bit(s.words, _place(kept[a], room, at), _bit(kept[a]), splat(s.point[a]))
        store(s.margin, at, u)
    _differentiate(model.slopes, size, s)
    for a in range(count):
        total = splat(x.dtype.type(0))
        for at in range(0, size, lanes):
            total = total + where_bit(s.words, _place(kept[a], room, at), _bit(kept[a]), load(s.margin, at))
        out[a] = sum_of_lanes(total)


@njit(forceinline=True)
def _place(j, room, at):
    """Return where the words with the bits of a coordinate are, of the rows from `at` on."""
    return (j >> uint64(6)) * uint64(room) + uint64(at)


@njit(forceinline=True)
def _bit(j):
    return uint64(1) << (j & uint64(63))


@njit(forceinline=True)
def _rows_by_entries(model, x, kept, count, scale, index, size, s, out):
    """Write the sums of the kept columns over the rows drawn, entry by entry."""
    for a in range(count):
        j = kept[a]
        s.point[j] = model.factor[j] * (scale[j] * (x[j] - model.center[j]))
    entries = _predict(model, index, size, s)
    _differentiate(model.slopes, size, s)
    _accumulate(model, index, size, s)
    for a in range(count):
        j = kept[a]
        out[a] = s.gradient[j]
        s.point[j] = 0
    if entries < uint64(x.size):
        for k in range(size):
            begin, end = model.row_starts[index[k]], model.row_starts[index[k] + uint64(1)]
            for place in range(begin, end):
                s.gradient[index_at(model.row_columns, place, begin)] = 0
    else:
        s.gradient[:] = 0


@njit(forceinline=True)
def _begin(model, i, k, s):
    """Write what is known of a row before its entries are read."""
    s.margin[k] = model.forms[i, 0]
    s.sign[k], s.offset[k], s.slope[k] = model.forms[i, 1], model.forms[i, 2], model.forms[i, 3]


@njit(forceinline=True)
def _predict(model, index, size, s):
    entries = uint64(0)
    for k in range(size):
        i = index[k]
        begin, end = model.row_starts[i], model.row_starts[i + uint64(1)]
        _begin(model, i, k, s)
        u = s.margin[k]
        for place in range(begin, end):
            u = fma(s.point[index_at(model.row_columns, place, begin)], value_at(model.row_data, place), u)
        entries += end - begin
        s.margin[k] = u
    return entries


@njit(forceinline=True)
def _differentiate(slopes, size, s):
    """Replace the predictions by the weighted derivatives of the loss."""
    for at in range(0, size, lanes_of(s.margin)):
        sign = load(s.sign, at)
        w = fma(load(s.margin, at), sign, load(s.offset, at))
        slope = fma(psi_slope(slopes, w, s.margin.itemsize == 4), sign, load(s.slope, at))
        store(s.margin, at, load(s.weight, at) * slope)


@njit(forceinline=True)
def _accumulate(model, index, size, s):
    """Add the weighted gradients of the rows."""
    for k in range(size):
        begin, end = model.row_starts[index[k]], model.row_starts[index[k] + uint64(1)]
        for place in range(begin, end):
            j = index_at(model.row_columns, place, begin)
            s.gradient[j] = fma(s.margin[k], value_at(model.row_data, place), s.gradient[j])


@njit(forceinline=True)
def _weigh(weights, index, size, out):
    if weights.size == 1:
        out[:size] = weights[0]
    else:
        for k in range(size):
            out[k] = weights[index[k]]


@njit(cache=True, nogil=True)
def descend_rows(x, replicas, first, stepsizes, key, mask, batch_key, batch, model):
    """Take steps x⁺ = x − γ_t·Sᵀg in place, every replica with its own sketches and minibatches."""
    scratch, drawn = mask_scratch(mask), batch_scratch(batch)
    s, out = row_scratch(x.shape[1], batch.size, x, model.row_bits.shape[1]), np.empty(x.shape[1], x.dtype)
    number = 0
    for r in range(x.shape[0]):
        for t in range(stepsizes.size):
            number += 1
            fill_uniforms(key, first + t, replicas[r], mask.uniforms, scratch.u)
            fill_uniforms(batch_key, first + t, replicas[r], batch.uniforms, drawn.u)
            count = draw_mask(mask, scratch)
            size = draw_batch(batch, drawn, number)
            _weigh(batch.weights, drawn.index, size, s.weight)
            sketched_rows(model, x[r], scratch.kept, count, mask.scale, drawn.index, size, s, out)
            for a in range(count):
                x[r, scratch.kept[a]] -= stepsizes[t] * out[a]
