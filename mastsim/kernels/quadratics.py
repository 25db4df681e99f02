"""Gradients of a quadratic from the kept K × K block of its matrix, or for whole panels of replicas."""

from __future__ import annotations

import numpy as np

from mastsim.compilation import njit, uint64
from mastsim.kernels.columns import copy
from mastsim.kernels.masks import draw_mask, mask_scratch, ordering_scratch, put_in_order
from mastsim.kernels.philox import fill_uniforms
from mastsim.simd import aligned_zeros, fma, lanes_of, load, splat, store

CACHE = 1 << 20
"""Bytes of a matrix beyond which it pays to read one triangle only."""
PANEL = 4
"""Vectors of replicas that go through the matrix together; even."""


@njit(forceinline=True)
def sketched_block(model, x, kept, count, scale, points, out):
    """Write the kept coordinates of Sᵀ∇f(v + S(x − v)), in the order of `kept`.

    Half of the block is read: what lies across the diagonal is the same.
    """
    # Indices without a sign: Python's may count from the end, which takes as long to find out as to multiply.
    size, one = uint64(count), uint64(1)
    for a in range(size):
        j = kept[a]
        points[a] = scale[j] * (x[j] - model.center[j])
        out[a] = fma(model.A[j, j], points[a], model.base[j])
    # Two rows at a time: what both need is read once.
    for a in range(one, size, uint64(2)):
        upper, lower, y, z = model.A[kept[a - one]], model.A[kept[a]], points[a - one], points[a]
        across = upper[kept[a]]
        total, other = fma(across, z, out[a - one]), fma(across, y, out[a])
        for b in range(a + one, size):
            j, point = kept[b], points[b]
            above, below = upper[j], lower[j]
            total, other = fma(above, point, total), fma(below, point, other)
            out[b] = fma(below, z, fma(above, y, out[b]))
        out[a - one], out[a] = scale[kept[a - one]] * total, scale[kept[a]] * other
    if size & one:
        out[size - one] *= scale[kept[size - one]]


@njit(cache=True, nogil=True)
def descend_block(x, replicas, first, stepsizes, key, mask, model):
    """Take steps x⁺ = x − γ_t·Sᵀ∇f(v + S(x − v)) in place, every replica with its own sketches."""
    scratch = mask_scratch(mask)
    points, out = np.empty(x.shape[1], x.dtype), np.empty(x.shape[1], x.dtype)
    bits, large = ordering_scratch(x.shape[1]), model.A.nbytes > CACHE
    for r in range(x.shape[0]):
        for t in range(stepsizes.size):
            fill_uniforms(key, first + t, replicas[r], mask.uniforms, scratch.u)
            count = draw_mask(mask, scratch)
            if large:
                put_in_order(scratch.kept, count, bits)
            sketched_block(model, x[r], scratch.kept, count, mask.scale, points, out)
            for a in range(uint64(count)):
                x[r, scratch.kept[a]] -= stepsizes[t] * out[a]


@njit(cache=True, nogil=True)
def descend_panel(x, replicas, first, stepsizes, key, mask, model):
    """Take the steps of `descend_block` with whole products Az, several vectors of replicas at a time."""
    lanes, dim = lanes_of(x), x.shape[1]
    width = PANEL * lanes
    scratch = mask_scratch(mask)
    points = aligned_zeros(PANEL * dim * lanes, x).reshape(PANEL, dim * lanes)
    products = aligned_zeros(PANEL * dim * lanes, x).reshape(PANEL, dim * lanes)
    kept, counts = np.empty((width, dim), np.uint64), np.zeros(width, np.int64)
    for start in range(0, x.shape[0], width):
        own = x[start : start + width]
        vectors = 2 * ((own.shape[0] + 2 * lanes - 1) // (2 * lanes))
        for t in range(stepsizes.size):
            for r in range(own.shape[0]):
                fill_uniforms(key, first + t, replicas[start + r], mask.uniforms, scratch.u)
                counts[r] = draw_mask(mask, scratch)
                copy(scratch.kept, counts[r], kept[r])
                _place(model, own[r], kept[r], counts[r], mask.scale, r % lanes, points[r // lanes])
            multiply(model.A, points, products, vectors)
            for r in range(own.shape[0]):
                _step(model, own[r], kept[r], counts[r], mask.scale, r % lanes, points, products, r // lanes, stepsizes[t])


@njit(inner=True)
def _place(model, x, kept, count, scale, lane, points):
    """Write S(x − v) into a lane."""
    lanes = uint64(lanes_of(x))
    for a in range(count):
        j = kept[a]
        points[j * lanes + uint64(lane)] = scale[j] * (x[j] - model.center[j])


@njit(inner=True)
def _step(model, x, kept, count, scale, lane, points, products, vector, stepsize):
    lanes = uint64(lanes_of(x))
    for a in range(count):
        j = kept[a]
        at = j * lanes + uint64(lane)
        x[j] -= stepsize * (scale[j] * (model.base[j] + products[vector, at]))
        points[vector, at] = 0


@njit(inner=True)
def multiply(A, points, products, vectors):
    """Write A·z for the lanes of an even number of vectors; a lane's sums do not depend on the lanes beside it."""
    whole = A.shape[0] - A.shape[0] % 4
    for i in range(0, whole, 4):
        for v in range(0, vectors, 2):
            _four_rows(A, i, points[v], points[v + 1], products[v], products[v + 1])
    for i in range(whole, A.shape[0]):
        for v in range(vectors):
            _one_row(A, i, points[v], products[v])


@njit(forceinline=True)
def _four_rows(A, i, left, right, left_out, right_out):
    lanes = lanes_of(left)
    a = b = c = d = splat(left.dtype.type(0))
    e = f = g = h = splat(left.dtype.type(0))
    for j in range(A.shape[1]):
        z, w = load(left, j * lanes), load(right, j * lanes)
        a, e = fma(z, A[i, j], a), fma(w, A[i, j], e)
        b, f = fma(z, A[i + 1, j], b), fma(w, A[i + 1, j], f)
        c, g = fma(z, A[i + 2, j], c), fma(w, A[i + 2, j], g)
        d, h = fma(z, A[i + 3, j], d), fma(w, A[i + 3, j], h)
    at = i * lanes
    store(left_out, at, a)
    store(left_out, at + lanes, b)
    store(left_out, at + 2 * lanes, c)
    store(left_out, at + 3 * lanes, d)
    store(right_out, at, e)
    store(right_out, at + lanes, f)
    store(right_out, at + 2 * lanes, g)
    store(right_out, at + 3 * lanes, h)


@njit(forceinline=True)
def _one_row(A, i, points, products):
    lanes = lanes_of(points)
    total = splat(points.dtype.type(0))
    for j in range(A.shape[1]):
        total = fma(load(points, j * lanes), A[i, j], total)
    store(products, i * lanes, total)
