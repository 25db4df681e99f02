"""Gradients of a linear model from the rows of a minibatch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mastsim.compilation import njit, uint64
from mastsim.kernels.batches import batch_scratch, draw_batch
from mastsim.kernels.masks import draw_mask, mask_scratch
from mastsim.kernels.philox import fill_uniforms
from mastsim.kernels.slopes import psi_slope
from mastsim.simd import fma, index_at, lanes_of, load, store, value_at


class RowScratch(NamedTuple):
    """What a minibatch gradient writes into.

    Parameters
    ----------
    point, gradient : ndarray, shape (dim,)
        S(x − v), and the sum of the rows; zero between two gradients.
    weight, sign, offset, slope, margin : ndarray, shape (size rounded up to whole vectors,)
        Weights, row form of the loss, and predictions, of the rows drawn.
    """

    point: np.ndarray
    gradient: np.ndarray
    weight: np.ndarray
    sign: np.ndarray
    offset: np.ndarray
    slope: np.ndarray
    margin: np.ndarray


@njit(inner=True, makes_arrays=True)
def row_scratch(dim, size, like):
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
    )


@njit(forceinline=True)
def sketched_rows(model, x, kept, count, scale, index, size, s, out):
    """Write the kept coordinates of Sᵀg, g the gradient at v + S(x − v) of the rows drawn, weighted as the scratch says."""
    for a in range(count):
        j = kept[a]
        s.point[j] = model.factor[j] * (scale[j] * (x[j] - model.center[j]))
    entries = _predict(model, index, size, s)
    _differentiate(model.slopes, size, s)
    total = _accumulate(model, index, size, s)
    for a in range(count):
        j = kept[a]
        point = model.center[j] + scale[j] * (x[j] - model.center[j])
        out[a] = scale[j] * (model.factor[j] * s.gradient[j] + total * point)
        s.point[j] = 0
    if entries < uint64(x.size):
        for k in range(size):
            begin, end = model.row_starts[index[k]], model.row_starts[index[k] + uint64(1)]
            for place in range(begin, end):
                s.gradient[index_at(model.row_columns, place, begin)] = 0
    else:
        s.gradient[:] = 0


@njit(forceinline=True)
def _predict(model, index, size, s):
    entries = uint64(0)
    for k in range(size):
        i = index[k]
        begin, end = model.row_starts[i], model.row_starts[i + uint64(1)]
        u = model.forms[i, 0]
        for place in range(begin, end):
            u = fma(s.point[index_at(model.row_columns, place, begin)], value_at(model.row_data, place), u)
        entries += end - begin
        s.margin[k] = u
        s.sign[k], s.offset[k], s.slope[k] = model.forms[i, 1], model.forms[i, 2], model.forms[i, 3]
    return entries


@njit(forceinline=True)
def _differentiate(slopes, size, s):
    """Replace the predictions by the derivatives of the loss."""
    for at in range(0, size, lanes_of(s.margin)):
        sign = load(s.sign, at)
        w = fma(load(s.margin, at), sign, load(s.offset, at))
        store(s.margin, at, fma(psi_slope(slopes, w, s.margin.itemsize == 4), sign, load(s.slope, at)))


@njit(forceinline=True)
def _accumulate(model, index, size, s):
    """Add the weighted gradients of the rows, and return λ times their total weight."""
    total = s.margin.dtype.type(0)
    for k in range(size):
        i = index[k]
        slope = s.weight[k] * s.margin[k]
        total += s.weight[k]
        begin, end = model.row_starts[i], model.row_starts[i + uint64(1)]
        for place in range(begin, end):
            j = index_at(model.row_columns, place, begin)
            s.gradient[j] = fma(slope, value_at(model.row_data, place), s.gradient[j])
    return model.ridge * total


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
    s, out = row_scratch(x.shape[1], batch.size, x), np.empty(x.shape[1], x.dtype)
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
