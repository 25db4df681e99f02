"""What goes into the kernels and what comes out: plain tuples of arrays, checked so that no index can leave its array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from mastsim.simd import LANES


class Nodes(NamedTuple):
    """Exponential sums shared by the rows.

    Attributes
    ----------
    sigma : array, shape (B,)
        Real part of the nodes.
    start : integer array, shape (B + 1,)
        Sum b has the nodes and weights ``start[b]:start[b + 1]``, a multiple of LANES of them.
    frequency : array, shape (start[B],)
        Imaginary parts of the nodes.
    w_re, w_im : array, shape (start[B],)
        Real and imaginary part of the weights.
    """

    sigma: np.ndarray
    start: np.ndarray
    frequency: np.ndarray
    w_re: np.ndarray
    w_im: np.ndarray


def pack(sums: Sequence[tuple[float, np.ndarray, np.ndarray]]) -> Nodes:
    """Return the nodes of sums given as (sigma, frequencies, complex weights), filled up with weights of zero."""
    sizes = [-(-len(weights) // LANES) * LANES for _, _, weights in sums]
    start = np.cumsum([0, *sizes])
    frequency, weights = np.zeros(start[-1]), np.zeros(start[-1], dtype=complex)
    for first, (_, t, w) in zip(start, sums, strict=False):
        frequency[first : first + len(w)], weights[first : first + len(w)] = t, w
    sigma = np.array([each[0] for each in sums], dtype=float)
    return Nodes(sigma, start, frequency, weights.real.copy(), weights.imag.copy())


class Groups(NamedTuple):
    """Which entries of a row are drawn together, and how.

    Attributes
    ----------
    row_group_ptr : integer array, shape (n + 1,)
        Row i holds the groups ``row_group_ptr[i]:row_group_ptr[i + 1]``.
    group_ptr : integer array, shape (G + 1,)
        Group g holds the entries ``group_ptr[g]:group_ptr[g + 1]``; groups do not cross rows.
    units : integer array, shape (G,)
        M: the units the subset is drawn from, at least as many as the group has entries.
    kept : integer array, shape (G,)
        N: the units kept, ``0 <= N <= M``.
    """

    row_group_ptr: np.ndarray
    group_ptr: np.ndarray
    units: np.ndarray
    kept: np.ndarray


class Transforms(NamedTuple):
    """Expectations of all rows; arrays beyond the order asked for are empty.

    Attributes
    ----------
    values : array, shape (n,)
        ``Re sum_k w_k E exp(s_k u_i)``.
    derivatives : array, shape (nnz,)
        Derivative of an entry's row value in that entry of ``theta``.
    directionals : array, shape (nnz,)
        Derivative of ``derivatives`` along ``delta``.
    """

    values: np.ndarray
    derivatives: np.ndarray
    directionals: np.ndarray


class Rows(NamedTuple):
    """The rows, as :func:`~mastsim.expected.transforms.independent` takes them; ``delta`` is empty below order 2."""

    indptr: np.ndarray
    theta: np.ndarray
    offset: np.ndarray
    bucket: np.ndarray
    delta: np.ndarray


def make_rows(order: int, indptr: Any, theta: Any, offset: Any, bucket: Any, sums: int, delta: Any) -> Rows:
    """Check and convert what describes the rows, each of which uses one of so many sums."""
    if order not in (0, 1, 2):
        raise ValueError(f"order is {order!r}, but it must be 0, 1 or 2")
    if (order == 2) != (delta is not None):
        raise ValueError(
            f"delta is {'missing' if delta is None else 'given'} at order {order}, but order 2 and only it takes one"
        )
    theta = floats("theta", theta, np.size(theta))
    delta = np.empty(0) if delta is None else floats("delta", delta, theta.size)
    indptr = pointers("indptr", indptr, theta.size)
    bucket = integers("bucket", bucket, indptr.size - 1)
    if bucket.size and (bucket.min() < 0 or bucket.max() >= sums):
        raise ValueError(f"bucket goes from {bucket.min()} to {bucket.max()}, but the sums are 0 to {sums - 1}")
    return Rows(indptr, theta, floats("offset", offset, bucket.size), bucket, delta)


def make_nodes(nodes: Nodes) -> Nodes:
    """Check and convert the exponential sums."""
    w_re = floats("w_re", nodes.w_re, np.size(nodes.w_re))
    start = pointers("start", nodes.start, w_re.size)
    if np.any(start % LANES):
        raise ValueError(f"start holds {start[start % LANES != 0][0]}, but sums begin at multiples of {LANES}")
    frequency, w_im = (floats(name, getattr(nodes, name), w_re.size) for name in ("frequency", "w_im"))
    return Nodes(floats("sigma", nodes.sigma, start.size - 1), start, frequency, w_re, w_im)


def floats(name: str, array: Any, size: int) -> np.ndarray:
    """Return ``array`` as numba was compiled for it: contiguous, writable doubles, ``size`` of them."""
    return _required(name, array, np.float64, size)


def integers(name: str, array: Any, size: int) -> np.ndarray:
    """Return ``array`` as contiguous, writable int64, ``size`` of them; refuse to round."""
    result = _required(name, array, np.int64, size)
    if not np.array_equal(result, array):
        raise ValueError(f"{name} holds {np.asarray(array)[result != array][0]}, but it must hold integers")
    return result


def pointers(name: str, array: Any, last: int) -> np.ndarray:
    """Return ``array`` as pointers: int64, from 0 up to ``last``, never decreasing."""
    result = integers(name, array, np.size(array))
    if result.size == 0 or result[0] != 0 or result[-1] != last or np.any(np.diff(result) < 0):
        raise ValueError(f"{name} must hold non-decreasing pointers from 0 to {last}")
    return result


def _required(name: str, array: Any, dtype: Any, size: int) -> np.ndarray:
    result = np.require(array, dtype, ["C", "A", "W"])
    if result.shape != (size,):
        raise ValueError(f"{name} has shape {result.shape}, but it must be ({size},)")
    return result
