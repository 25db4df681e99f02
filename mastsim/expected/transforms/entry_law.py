"""Rows straight from the data: entries gathered, the sum found, the mixture evaluated and the gradient scattered in one go.

Rows that take the same sum are evaluated side by side, one a lane, so that nodes are numbers and every lane is in use. A
task is a piece of the rows at one point. It adds up into a gradient of its own, so that nothing depends on the threads.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from mastsim.compilation import njit
from mastsim.expected.transforms.scratch import allocate
from mastsim.expected.transforms.series import ROOM, Series, evaluate_series
from mastsim.expected.transforms.simd import LANES, PAIR, add, get, load, product, put, rotation, splat, store, times


class Data(NamedTuple):
    """The rows: entry e of row i, from ``indptr[i]`` on, adds ``coefficient[e] z[column[e]]`` when it is kept."""

    indptr: np.ndarray
    column: np.ndarray
    coefficient: np.ndarray
    offset: np.ndarray
    prob: np.ndarray


class Pairs(NamedTuple):
    """Sums as pairs of a node and a law; those of one node follow each other.

    Attributes
    ----------
    limits, constant : array, shape (B,)
        How far every sum reaches, and what is added to it.
    start : integer array, shape (B + 1,)
        Where the pairs of each sum begin; a sum that has none cannot be taken.
    frequency, keep_re, keep_im, w_re, w_im : array, shape (start[B],)
        Frequency of the node, chance of keeping an entry relative to its own, and weight.
    series : Series
        The power series of the pairs.
    """

    limits: np.ndarray
    constant: np.ndarray
    start: np.ndarray
    frequency: np.ndarray
    keep_re: np.ndarray
    keep_im: np.ndarray
    w_re: np.ndarray
    w_im: np.ndarray
    series: Series


class Pieces(NamedTuple):
    """The rows of a point in pieces ``edge[c]:edge[c + 1]``, and in tasks, the pieces ``start[k]:start[k + 1]``.

    `most` is how many entries a piece has at most.
    """

    edge: np.ndarray
    start: np.ndarray
    most: int


class Found(NamedTuple):
    """Sums over the rows of every task: values and what rounding took from them, (tasks, 2), derivatives, (tasks, dim).

    The tasks of a point follow each other. `bucket`, (points, n), is the sum that a row takes, −1 where it has no part in
    them: it reaches farther than the sums, or its own has no pairs.
    """

    values: np.ndarray
    gradient: np.ndarray
    product: np.ndarray
    bucket: np.ndarray


class Room(NamedTuple):
    """Where the parts of the buffer for LANES rows start: a vector an entry, two for phases, prefixes and their tangents."""

    theta: int
    prob: int
    delta: int
    first: int
    second: int
    phase: int
    prefix: int
    tangent: int
    offset: int
    series: int
    size: int


def make_room(longest: int) -> Room:
    """Return the room of rows of at most so many entries."""
    sizes = [LANES * longest] * 5 + [PAIR * longest] * 3 + [LANES, ROOM]
    return Room(*accumulate(sizes, initial=0))


@njit(forceinline=True)
def _gather(data: Data, i: int, z: np.ndarray, out: np.ndarray, place: int) -> float:
    """Write the terms of row i from a place on and return how far its scalar may be from zero."""
    high, low, first = data.offset[i], data.offset[i], data.indptr[i]
    for e in range(first, data.indptr[i + 1]):
        t = data.coefficient[e] * z[data.column[e]]
        out[place + e - first] = t
        high += max(t, 0.0)
        low += min(t, 0.0)
    return max(abs(high), abs(low))


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


@njit(forceinline=True)
def _lay_out(
    buf: np.ndarray, at: Room, data: Data, rows: np.ndarray, theta: np.ndarray, delta: np.ndarray, base: int
) -> int:
    """Lay the entries of some rows side by side, terms and directions from ``base`` on; return the most of a row."""
    width, zero = 0, splat(0.0)
    for lane in range(rows.size):
        width = max(width, data.indptr[rows[lane] + 1] - data.indptr[rows[lane]])
    for place in range(0, LANES * width, LANES):
        for part in (at.theta, at.prob, at.delta):
            store(buf, part + place, zero)
    store(buf, at.offset, zero)
    for lane in range(rows.size):
        i = rows[lane]
        first, place = data.indptr[i], lane
        buf[at.offset + lane] = data.offset[i]
        for e in range(first, data.indptr[i + 1]):
            buf[at.theta + place] = theta[e - base]
            buf[at.prob + place] = data.prob[e]
            if delta.size > 0:
                buf[at.delta + place] = delta[e - base]
            place += LANES
    return width


@njit(forceinline=True)
def _phases(buf: np.ndarray, at: Room, width: int, t: float) -> None:
    """Fill p(e − 1) for all entries at a node."""
    for j in range(width):
        e = rotation(load(buf, at.theta + LANES * j) * t)
        put(buf, at.phase + PAIR * j, times((e[0] - 1.0, e[1]), load(buf, at.prob + LANES * j)))


@njit(forceinline=True)
def _forward(buf: np.ndarray, at: Room, level: int, width: int, q: Any) -> Any:
    """Run the chain left to right, storing what each entry finds; return its end."""
    f, df = (splat(1.0), splat(0.0)), (splat(0.0), splat(0.0))
    for j in range(width):
        step = product(q, get(buf, at.phase + PAIR * j))
        factor = step[0] + 1.0, step[1]
        put(buf, at.prefix + PAIR * j, f)
        if level == 2:
            put(buf, at.tangent + PAIR * j, df)
            kept = add(step, times(q, load(buf, at.prob + LANES * j)))
            df = add(product(factor, df), product(kept, times(f, load(buf, at.delta + LANES * j))))
        f = product(factor, f)
    return f


@njit(forceinline=True)
def _backward(buf: np.ndarray, at: Room, level: int, width: int, q: Any, g: Any, t: float) -> None:
    """Run the chain right to left from the weight and add up i t Σ and (i t)² Σ, the derivatives in every entry."""
    dg = splat(0.0), splat(0.0)
    for j in range(width - 1, -1, -1):
        step, place = product(q, get(buf, at.phase + PAIR * j)), LANES * j
        factor, kept = (step[0] + 1.0, step[1]), add(step, times(q, load(buf, at.prob + place)))
        f, y = get(buf, at.prefix + PAIR * j), product(kept, g)
        store(buf, at.first + place, load(buf, at.first + place) - (f[0] * y[1] + f[1] * y[0]) * t)
        if level == 2:
            turn, df = times(y, load(buf, at.delta + place)), get(buf, at.tangent + PAIR * j)
            dy = add(product(kept, dg), turn)
            both = (df[0] * y[0] - df[1] * y[1]) + (f[0] * dy[0] - f[1] * dy[1])
            store(buf, at.second + place, load(buf, at.second + place) - both * (t * t))
            dg = add(product(factor, dg), turn)
        g = product(factor, g)


@njit(forceinline=True)
def _products(buf: np.ndarray, at: Room, level: int, width: int, pairs: Pairs, b: int) -> Any:
    """Evaluate sum b for all lanes by products of factors, derivatives into the buffer; return the values."""
    value, zero = splat(0.0), splat(0.0)
    for j in range(width):
        store(buf, at.first + LANES * j, zero)
        store(buf, at.second + LANES * j, zero)
    start, frequency = pairs.start[b], pairs.frequency
    for k in range(start, pairs.start[b + 1]):
        t = frequency[k]
        if k == start or t != frequency[k - 1]:
            _phases(buf, at, width, t)
        q = splat(pairs.keep_re[k]), splat(pairs.keep_im[k])
        e = product(rotation(load(buf, at.offset) * t), (splat(pairs.w_re[k]), splat(pairs.w_im[k])))
        f = _forward(buf, at, level, width, q)
        value = value + (e[0] * f[0] - e[1] * f[1])
        if level >= 1:
            _backward(buf, at, level, width, q, e, t)
    return value


@njit(forceinline=True)
def _scatter(buf: np.ndarray, part: int, data: Data, rows: np.ndarray, out: np.ndarray) -> None:
    """Add the derivatives of some rows to those of the point."""
    for lane in range(rows.size):
        place = part + lane
        for e in range(data.indptr[rows[lane]], data.indptr[rows[lane] + 1]):
            out[data.column[e]] += data.coefficient[e] * buf[place]
            place += LANES


@njit(inner=True, makes_arrays=True)
def _sort(data: Data, pairs: Pairs, z: np.ndarray, begin: int, theta: np.ndarray, order: np.ndarray, out: np.ndarray) -> Any:
    """Write the terms of rows from ``begin`` on, their sums, and the rows sorted by them; return where each begins."""
    # Rows that have no part in the sums come last.
    limits, base, last = pairs.limits, data.indptr[begin], pairs.limits.size
    start = np.zeros(last + 2, dtype=np.int64)
    for k in range(order.size):
        b = _bucket(limits, _gather(data, begin + k, z, theta, data.indptr[begin + k] - base))
        if b < last and pairs.start[b] == pairs.start[b + 1]:
            b = last
        out[begin + k] = b if b < last else -1
        start[b + 1] += 1
    for b in range(1, start.size):
        start[b] += start[b - 1]
    for k in range(order.size - 1, -1, -1):
        b = out[begin + k] if out[begin + k] >= 0 else last
        start[b + 1] -= 1
        order[start[b + 1]] = begin + k
    return start


@njit(inner=True)
def _add_values(buf: np.ndarray, place: int, count: int, constant: float, out: np.ndarray) -> None:
    """Add the values of some lanes to a running sum, and what rounding takes from it to another."""
    for lane in range(count):
        term = buf[place + lane] + constant
        new = out[0] + term
        back = new - out[0]
        out[1] += (out[0] - (new - back)) + (term - back)
        out[0] = new


@njit(cache=True, nogil=True)
def add_up(
    begin: int,
    stride: int,
    at: Room,
    level: int,
    data: Data,
    z: np.ndarray,
    w: np.ndarray,
    pieces: Pieces,
    pairs: Pairs,
    out: Found,
) -> None:
    """Evaluate tasks ``begin``, ``begin + stride``, … at the points ``z``, along ``w`` at level 2, both (points, dim)."""
    buf, theta, delta = allocate(at.size), np.empty(pieces.most), np.empty(pieces.most if level == 2 else 0)
    tasks = pieces.start.size - 1
    for k in range(begin, out.values.shape[0], stride):
        p = k // tasks
        for c in range(pieces.start[k % tasks], pieces.start[k % tasks + 1]):
            first, last = pieces.edge[c], pieces.edge[c + 1]
            base, order = data.indptr[first], np.empty(last - first, dtype=np.int64)
            start = _sort(data, pairs, z[p], first, theta, order, out.bucket[p])
            if level == 2:
                for i in range(first, last):
                    _gather(data, i, w[p], delta, data.indptr[i] - base)
            for b in range(pairs.limits.size):
                stop = start[b + 2]
                for i in range(start[b + 1], stop, LANES):
                    rows = order[i : min(i + LANES, stop)]
                    width = _lay_out(buf, at, data, rows, theta, delta, base)
                    if not evaluate_series(buf, at, level, width, pairs, b):
                        store(buf, at.series, _products(buf, at, level, width, pairs, b))
                    _add_values(buf, at.series, rows.size, pairs.constant[b], out.values[k])
                    if level >= 1:
                        _scatter(buf, at.first, data, rows, out.gradient[k])
                    if level == 2:
                        _scatter(buf, at.second, data, rows, out.product[k])
