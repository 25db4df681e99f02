"""Matrices and vectors of unevaluated sums hi + lo of two floats: about 32 digits, by error-free transformations."""

from __future__ import annotations

import numpy as np

from mastsim.compilation import njit, register_jitable

_SPLIT = 134217729.0  # 2**27 + 1
_PIECE = 1 << 14
"""Entries that NumPy takes at a time: what is between stays in the cache."""


@register_jitable
def _two_sum(a, b):
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


@register_jitable
def _two_product(a, b):
    p = a * b
    u = _SPLIT * a
    a_hi = u - (u - a)
    a_lo = a - a_hi
    u = _SPLIT * b
    b_hi = u - (u - b)
    b_lo = b - b_hi
    return p, ((a_hi * b_hi - p) + a_hi * b_lo + a_lo * b_hi) + a_lo * b_lo


@register_jitable
def _add(a, a_lo, b, b_lo):
    s, e = _two_sum(a, b)
    t, f = _two_sum(a_lo, b_lo)
    e += t
    h = s + e
    e = (s - h) + e + f
    s = h + e
    return s, (h - s) + e


@register_jitable
def _multiply(a, a_lo, b, b_lo):
    p, e = _two_product(a, b)
    e += a * b_lo + a_lo * b
    s = p + e
    return s, (p - s) + e


@register_jitable
def _divide(a, a_lo, b, b_lo):
    q = a / b
    p, p_lo = _multiply(q, 0.0, b, b_lo)
    r, r_lo = _add(a, a_lo, -p, -p_lo)
    q_lo = r / b
    p, p_lo = _multiply(q_lo, 0.0, b, b_lo)
    r, r_lo = _add(r, r_lo, -p, -p_lo)
    s = q + q_lo
    return _add(s, (q - s) + q_lo, r / b, 0.0)


@register_jitable
def _square_root(a, a_lo):
    if a <= 0.0:
        return 0.0, 0.0
    x = np.sqrt(a)
    p, p_lo = _two_product(x, x)
    r, r_lo = _add(a, a_lo, -p, -p_lo)
    e = (r + r_lo) / (2.0 * x)
    p, p_lo = _add(x, 0.0, e, 0.0)
    q, q_lo = _multiply(p, p_lo, p, p_lo)
    r, r_lo = _add(a, a_lo, -q, -q_lo)
    return _add(p, p_lo, (r + r_lo) / (2.0 * x), 0.0)


@njit(cache=True)
def gram(indptr, indices, data, size):
    """Return hi and lo of Σ_i a_i a_iᵀ for the rows a_i of a CSR matrix with `size` columns."""
    hi, lo = np.zeros((size, size)), np.zeros((size, size))
    for i in range(len(indptr) - 1):
        for s in range(indptr[i], indptr[i + 1]):
            for t in range(indptr[i], s + 1):
                j, k = max(indices[s], indices[t]), min(indices[s], indices[t])
                p, e = _two_product(data[s], data[t])
                hi[j, k], lo[j, k] = _add(hi[j, k], lo[j, k], p, e)
    for j in range(size):
        for k in range(j):
            hi[k, j], lo[k, j] = hi[j, k], lo[j, k]
    return hi, lo


@njit(cache=True)
def cholesky(hi, lo, least):
    """Return L (hi, lo), the order of pivots and their number, with L Lᵀ the matrix in that order.

    It stops at the first pivot that is at most `least`; columns of L beyond that are zero.
    """
    size = len(hi)
    hi, lo, order = hi.copy(), lo.copy(), np.arange(size)
    for k in range(size):
        best = k
        for i in range(k + 1, size):
            if hi[i, i] > hi[best, best]:
                best = i
        if not hi[best, best] > least:
            hi[k:, k:] = 0.0
            lo[k:, k:] = 0.0
            return _lower(hi), _lower(lo), order, k
        if best != k:
            order[k], order[best] = order[best], order[k]
            _exchange(hi, k, best)
            _exchange(lo, k, best)
        root, root_lo = _square_root(hi[k, k], lo[k, k])
        hi[k, k], lo[k, k] = root, root_lo
        for i in range(k + 1, size):
            hi[i, k], lo[i, k] = _divide(hi[i, k], lo[i, k], root, root_lo)
        for i in range(k + 1, size):
            a, a_lo = -hi[i, k], -lo[i, k]
            for j in range(k + 1, i + 1):
                p, e = _multiply(a, a_lo, hi[j, k], lo[j, k])
                hi[i, j], lo[i, j] = _add(hi[i, j], lo[i, j], p, e)
    return _lower(hi), _lower(lo), order, size


@njit(cache=True)
def _exchange(matrix, k, m):
    """Exchange rows and columns k < m of a symmetric matrix of which the lower triangle is kept."""
    for j in range(k):
        matrix[k, j], matrix[m, j] = matrix[m, j], matrix[k, j]
    matrix[k, k], matrix[m, m] = matrix[m, m], matrix[k, k]
    for j in range(k + 1, m):
        matrix[j, k], matrix[m, j] = matrix[m, j], matrix[j, k]
    for i in range(m + 1, len(matrix)):
        matrix[i, k], matrix[i, m] = matrix[i, m], matrix[i, k]


@njit(cache=True)
def _lower(matrix):
    """Return the lower triangle of a matrix."""
    out = np.zeros_like(matrix)
    for i in range(len(matrix)):
        out[i, : i + 1] = matrix[i, : i + 1]
    return out


@njit(cache=True)
def solve(L, L_lo, b, b_lo):
    """Return hi and lo of the solution of L Lᵀ x = b."""
    size = len(b)
    x, x_lo = b.copy(), b_lo.copy()
    for i in range(size):
        for j in range(i):
            p, e = _multiply(L[i, j], L_lo[i, j], x[j], x_lo[j])
            x[i], x_lo[i] = _add(x[i], x_lo[i], -p, -e)
        x[i], x_lo[i] = _divide(x[i], x_lo[i], L[i, i], L_lo[i, i])
    for i in range(size - 1, -1, -1):
        for j in range(i + 1, size):
            p, e = _multiply(L[j, i], L_lo[j, i], x[j], x_lo[j])
            x[i], x_lo[i] = _add(x[i], x_lo[i], -p, -e)
        x[i], x_lo[i] = _divide(x[i], x_lo[i], L[i, i], L_lo[i, i])
    return x, x_lo


@njit(cache=True)
def product(A, A_lo, B, B_lo):
    """Return hi and lo of AB for matrices A, shape (m, k), and B, shape (k, n)."""
    m, n = A.shape[0], B.shape[1]
    out, out_lo = np.zeros((m, n)), np.zeros((m, n))
    for i in range(m):
        for k in range(A.shape[1]):
            a, a_lo = A[i, k], A_lo[i, k]
            if a != 0.0:
                for j in range(n):
                    p, e = _multiply(a, a_lo, B[k, j], B_lo[k, j])
                    out[i, j], out_lo[i, j] = _add(out[i, j], out_lo[i, j], p, e)
    return out, out_lo


def add(a, a_lo, b, b_lo):
    """Return hi and lo of a + b for flat arrays."""
    return _entrywise(_add, a, a_lo, b, b_lo)


def multiply(a, a_lo, b, b_lo):
    """Return hi and lo of the entrywise product of flat arrays."""
    return _entrywise(_multiply, a, a_lo, b, b_lo)


def divide(a, a_lo, b, b_lo):
    """Return hi and lo of the entrywise quotient of flat arrays."""
    return _entrywise(_divide, a, a_lo, b, b_lo)


def _entrywise(operation, *arrays):
    """Return hi and lo of an operation on flat arrays, by NumPy: it is not worth compiling once more."""
    out, out_lo = np.empty_like(arrays[0]), np.empty_like(arrays[0])
    with np.errstate(all="ignore"):
        for start in range(0, len(out), _PIECE):
            part = slice(start, start + _PIECE)
            out[part], out_lo[part] = operation(*(array[part] for array in arrays))
    return out, out_lo
