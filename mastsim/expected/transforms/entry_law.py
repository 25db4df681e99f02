"""Rows straight from the data: entries gathered, the sum found, the mixture evaluated and the gradient scattered in one go.

A task is a piece of the rows at one point. It adds up into a gradient of its own, so that nothing depends on the threads.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mastsim.compilation import njit
from mastsim.expected.transforms.arguments import Nodes, Rows, Transforms
from mastsim.expected.transforms.mixed_law import Laws, evaluate
from mastsim.expected.transforms.scratch import Scratch, allocate
from mastsim.expected.transforms.series import ROOM, Series, evaluate_series


class Data(NamedTuple):
    """The rows: entry e of row i, from ``indptr[i]`` on, adds ``coefficient[e] z[column[e]]`` when it is kept."""

    indptr: np.ndarray
    column: np.ndarray
    coefficient: np.ndarray
    offset: np.ndarray
    prob: np.ndarray


class Pieces(NamedTuple):
    """The rows ``first[k]:last[k]`` at the point ``point[k]``."""

    point: np.ndarray
    first: np.ndarray
    last: np.ndarray


class Found(NamedTuple):
    """Sums over the rows of every task: values and what rounding took from them, (tasks, 2), derivatives, (tasks, dim).

    `missed` says whether a row of the task reaches farther than the sums, and nothing else then holds.
    """

    values: np.ndarray
    gradient: np.ndarray
    product: np.ndarray
    missed: np.ndarray


@njit(forceinline=True)
def _gather(data: Data, i: int, z: np.ndarray, out: np.ndarray) -> float:
    """Fill the terms of row i and return how far its scalar may be from zero."""
    high, low, first = data.offset[i], data.offset[i], data.indptr[i]
    for e in range(first, data.indptr[i + 1]):
        t = data.coefficient[e] * z[data.column[e]]
        out[e - first] = t
        high += max(t, 0.0)
        low += min(t, 0.0)
    return max(abs(high), abs(low))


@njit(forceinline=True)
def _scatter(data: Data, i: int, parts: np.ndarray, out: np.ndarray) -> None:
    """Add the derivatives of row i to those of the point."""
    first = data.indptr[i]
    for e in range(first, data.indptr[i + 1]):
        out[data.column[e]] += data.coefficient[e] * parts[e - first]


@njit(inner=True)
def _bucket(limits: np.ndarray, reach: float) -> int:
    """Return the number of the first limit that is not exceeded."""
    left, right = 0, limits.size
    while left < right:
        middle = (left + right) // 2
        if limits[middle] < reach:
            left = middle + 1
        else:
            right = middle
    return left


@njit(cache=True, nogil=True)
def find_sums(data: Data, limits: np.ndarray, z: np.ndarray, theta: np.ndarray, out: np.ndarray) -> None:
    """Write the number of the sum that every row takes at a point; ``theta`` is room for the longest row."""
    for i in range(data.offset.size):
        out[i] = _bucket(limits, _gather(data, i, z, theta))


@njit(inner=True)
def _task(
    at: Scratch,
    longest: int,
    data: Data,
    limits: np.ndarray,
    z: np.ndarray,
    w: np.ndarray,
    rows: Any,
    sums: Any,
    k: int,
    out: Found,
) -> None:
    """Evaluate task k, which are the rows from ``rows[0]`` up to ``rows[1]``."""
    buf, (nodes, laws, series, constants) = allocate(max(at.size, ROOM)), sums
    indptr, bucket, offset = np.zeros(2, dtype=np.int64), np.zeros(1, dtype=np.int64), np.zeros(1)
    theta, delta, total, lost = np.zeros(longest), np.zeros(longest), 0.0, 0.0
    own = Transforms(np.zeros(1), np.zeros(longest), np.zeros(longest))
    for i in range(rows[0], rows[1]):
        b = _bucket(limits, _gather(data, i, z, theta))
        if b >= limits.size or nodes.start[b] == nodes.start[b + 1]:
            out.missed[k] = True
            return
        if at.order == 2:
            _gather(data, i, w, delta)
        first = data.indptr[i]
        indptr[1], bucket[0], offset[0] = data.indptr[i + 1] - first, b, data.offset[i]
        row = Rows(indptr, theta, offset, bucket, delta)
        if not evaluate_series(buf, at, row, nodes, series, own):
            evaluate(buf, at, 0, row, data.prob[first : data.indptr[i + 1]], laws, nodes, own)
        term = own.values[0] + constants[b]
        new = total + term
        back = new - total
        lost += (total - (new - back)) + (term - back)
        total = new
        if at.order >= 1:
            _scatter(data, i, own.derivatives, out.gradient[k])
        if at.order == 2:
            _scatter(data, i, own.directionals, out.product[k])
    out.values[k, 0] = total
    out.values[k, 1] = lost


@njit(cache=True, nogil=True)
def add_up(
    start: int,
    stride: int,
    at: Scratch,
    longest: int,
    data: Data,
    limits: np.ndarray,
    z: np.ndarray,
    w: np.ndarray,
    pieces: Pieces,
    nodes: Nodes,
    laws: Laws,
    series: Series,
    constants: np.ndarray,
    out: Found,
) -> None:
    """Evaluate tasks ``start``, ``start + stride``, … at the points ``z``, along ``w`` at order 2, both (points, dim)."""
    for k in range(start, pieces.point.size, stride):
        p, rows = pieces.point[k], (pieces.first[k], pieces.last[k])
        _task(at, longest, data, limits, z[p], w[p], rows, (nodes, laws, series, constants), k, out)
