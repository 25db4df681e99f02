"""Rows whose entries are the same wherever they occur in a column, as in binary and one-hot data: a factor a column.

An atom is a column with one of its values. Its factor 1 + p q(e − 1) at a node is computed once, and those of unions of
atoms from them; a row's transform is the product of the factors of its parts, and the derivative in an atom's θ is what the
products of its rows add up to, times one number. Factors are divided by: one that is zero to the last digit is replaced by
one so small that no sum feels it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mastsim.compilation import njit
from mastsim.expected.transforms.scratch import allocate
from mastsim.expected.transforms.simd import (
    LANES,
    PAIR,
    add,
    get,
    lane_sum,
    load,
    product,
    put,
    rotation,
    splat,
    store,
    times,
)
from mastsim.expected.transforms.unions import Unions
from mastsim.simd import from_knot

_TINY = 1e-30


class Entries(NamedTuple):
    """The rows: the atoms of row i are ``atom[indptr[i]:indptr[i + 1]]``.

    Attributes
    ----------
    indptr, atom : integer array
        The atoms of every row.
    offset, sign : array, shape (n,)
        What a row's scalar is when nothing is kept, and the sign that the loss turns it by.
    prob, own : array, shape (atoms,)
        The chance of keeping an atom (1 where the nodes have one), and a in the derivative a θ − b Σθ of a row's variance.
    keep : array, shape (atoms,)
        The chance of keeping an atom, in moments.
    shared : float
        b in the derivative of a row's variance.
    unions : Unions
        The same rows with fewer parts.
    """

    indptr: np.ndarray
    atom: np.ndarray
    offset: np.ndarray
    sign: np.ndarray
    prob: np.ndarray
    keep: np.ndarray
    own: np.ndarray
    shared: float
    unions: Unions


class Sums(NamedTuple):
    """Sums of exponentials with what is polynomial besides; a sum has whole tiles of pairs of a node and a law.

    Attributes
    ----------
    start : integer array, shape (B + 1,)
        Where the pairs of each sum begin.
    frequency, keep_re, keep_im, w_re, w_im : array, shape (start[B],)
        Frequency, chance and weight of every pair.
    odd : boolean array, shape (B,)
        Whether the sum changes its sign with the scalar.
    slope, square : array, shape (B,)
        Coefficients of w and w².
    """

    start: np.ndarray
    frequency: np.ndarray
    keep_re: np.ndarray
    keep_im: np.ndarray
    w_re: np.ndarray
    w_im: np.ndarray
    odd: np.ndarray
    slope: np.ndarray
    square: np.ndarray


class Tasks(NamedTuple):
    """What is computed at once: the rows ``order[point, first:last]``, which use one sum; each of shape (tasks,)."""

    point: np.ndarray
    bucket: np.ndarray
    first: np.ndarray
    last: np.ndarray


class Found(NamedTuple):
    """Sums over the rows of every task: values, shape (tasks, 2), and derivatives in θ, shape (tasks, atoms) or empty."""

    values: np.ndarray
    gradient: np.ndarray
    product: np.ndarray


@njit(cache=True, nogil=True)
def sort_rows(
    begin: int, stride: int, entries: Entries, theta: np.ndarray, limits: np.ndarray, order: np.ndarray, start: np.ndarray
) -> None:
    """Sort the rows of every point by the first limit that they do not exceed: (points, n), (points, limits + 2)."""
    rows, (left_part, right_part, indptr, part) = entries.offset.size, entries.unions
    atoms = theta.shape[1]
    bucket, ends = np.empty(rows, dtype=np.int32), np.empty((atoms + left_part.size, 2))
    for p in range(begin, theta.shape[0], stride):
        for a in range(atoms):
            ends[a, 0], ends[a, 1] = max(theta[p, a], 0.0), min(theta[p, a], 0.0)
        for u in range(left_part.size):
            a, b = left_part[u], right_part[u]
            ends[atoms + u, 0], ends[atoms + u, 1] = ends[a, 0] + ends[b, 0], ends[a, 1] + ends[b, 1]
        for i in range(rows):
            high, low = entries.offset[i], entries.offset[i]
            for e in range(indptr[i], indptr[i + 1]):
                high += ends[part[e], 0]
                low += ends[part[e], 1]
            reach, left, right = max(abs(high), abs(low)), 0, limits.size
            while left < right:
                middle = (left + right) // 2
                if limits[middle] < reach:
                    left = middle + 1
                else:
                    right = middle
            bucket[i] = left
            start[p, left + 1] += 1
        for b in range(1, start.shape[1]):
            start[p, b] += start[p, b - 1]
        place = start[p, :-1].copy()
        for i in range(rows):
            order[p, place[bucket[i]]] = i
            place[bucket[i]] += 1


@njit(forceinline=True)
def _one_plus(x: Any) -> Any:
    return x[0] + 1.0, x[1]


@njit(forceinline=True)
def _fill(buf: np.ndarray, theta: np.ndarray, entries: Entries, t: Any, q: Any) -> None:
    """Fill the factors of all atoms and unions at the pairs of a tile."""
    prob, left, right, atoms = entries.prob, entries.unions.left, entries.unions.right, theta.size
    for a in range(atoms):
        e = rotation(t * theta[a])
        f = _one_plus(product(times(q, prob[a]), (e[0] - 1.0, e[1])))
        size = f[0] * f[0] + f[1] * f[1]
        put(buf, PAIR * a, (from_knot(size, _TINY * _TINY, f[0], splat(_TINY)), f[1]))
    for u in range(left.size):
        put(buf, PAIR * (atoms + u), product(get(buf, PAIR * np.intp(left[u])), get(buf, PAIR * np.intp(right[u]))))


@njit(forceinline=True)
def _relative(f: Any, kept: Any) -> Any:
    """Return (f − 1 + kept)/f, the part of a factor that is kept, relative to the factor."""
    top = f[0] - 1.0 + kept[0], f[1] + kept[1]
    size = f[0] * f[0] + f[1] * f[1]
    return (top[0] * f[0] + top[1] * f[1]) / size, (top[1] * f[0] - top[0] * f[1]) / size


@njit(forceinline=True)
def _two_sum(buf: np.ndarray, place: int, x: Any) -> None:
    """Add a vector to a running sum and what rounding takes from it to another."""
    old = load(buf, place)
    new = old + x
    back = new - old
    store(buf, place, new)
    store(buf, place + LANES, load(buf, place + LANES) + ((old - (new - back)) + (x - back)))


@njit(forceinline=True)
def _row(buf: np.ndarray, atom: np.ndarray, first: int, last: int, f: Any) -> Any:
    """Return the product of a row's factors, as two chains that run side by side."""
    one = splat(1.0), splat(0.0)
    g, h, m = one, one, one
    for k in range((last - first) // 4):
        e = first + 4 * k
        f = product(f, get(buf, PAIR * np.intp(atom[e])))
        g = product(g, get(buf, PAIR * np.intp(atom[e + 1])))
        h = product(h, get(buf, PAIR * np.intp(atom[e + 2])))
        m = product(m, get(buf, PAIR * np.intp(atom[e + 3])))
    for k in range((last - first) % 4):
        f = product(f, get(buf, PAIR * np.intp(atom[last - 1 - k])))
    return product(product(f, g), product(h, m))


@njit(forceinline=True)
def _fill_along(buf: np.ndarray, places: int, entries: Entries, delta: np.ndarray, q: Any) -> None:
    """Fill c_j δ_j of all atoms, and its sums over unions."""
    prob, left, right, atoms = entries.prob, entries.unions.left, entries.unions.right, delta.size
    for a in range(atoms):
        put(buf, places + PAIR * a, times(_relative(get(buf, PAIR * a), times(q, prob[a])), delta[a]))
    for u in range(left.size):
        found = add(get(buf, places + PAIR * np.intp(left[u])), get(buf, places + PAIR * np.intp(right[u])))
        put(buf, places + PAIR * (atoms + u), found)


@njit(forceinline=True)
def _along(buf: np.ndarray, part: np.ndarray, first: int, last: int, places: int) -> Any:
    """Return Σ c_j δ_j over the parts of a row."""
    total = splat(0.0), splat(0.0)
    for e in range(first, last):
        total = add(total, get(buf, places + PAIR * np.intp(part[e])))
    return total


@njit(forceinline=True)
def _spread(buf: np.ndarray, atom: np.ndarray, first: int, last: int, places: int, x: Any) -> None:
    """Add a complex vector to the sums of the atoms of a row."""
    for e in range(first, last):
        place = places + PAIR * np.intp(atom[e])
        put(buf, place, add(get(buf, place), x))


@njit(forceinline=True)
def _hand_down(buf: np.ndarray, places: int, atoms: int, unions: Unions) -> None:
    """Add the sums of unions to those of what they are made of, the last union first."""
    left, right = unions.left, unions.right
    for u in range(left.size - 1, -1, -1):
        found = get(buf, places + PAIR * (atoms + u))
        for part in (left[u], right[u]):
            place = places + PAIR * np.intp(part)
            put(buf, place, add(get(buf, place), found))


@njit(forceinline=True)
def _tile(
    buf: np.ndarray, level: int, entries: Entries, theta: Any, delta: Any, rows: Any, sums: Any, at: Any, out: Any
) -> None:
    """Evaluate one tile of pairs for the rows of a task; ``at`` is (first pair, sum, task)."""
    k0, b, k = at
    t, q = load(sums.frequency, k0), (load(sums.keep_re, k0), load(sums.keep_im, k0))
    weight = load(sums.w_re, k0), load(sums.w_im, k0)
    # Handing over whole tuples costs a count of references for each of their arrays, a row.
    unions, zero = entries.unions, splat(0.0)
    size, part, indptr = PAIR * (theta.size + unions.left.size), unions.part, unions.indptr
    _fill(buf, theta, entries, t, q)
    if level >= 1:
        buf[size : (level + 1) * size] = 0.0
    if level == 2:
        _fill_along(buf, 3 * size, entries, delta, q)
    sum_at = 4 * size
    put(buf, sum_at, (zero, zero))
    for i in rows:
        first, last = indptr[i], indptr[i + 1]
        f = _row(buf, part, first, last, weight)
        if entries.offset[i] != 0.0:
            f = product(f, rotation(t * entries.offset[i]))
        if sums.odd[b]:
            f = times(f, entries.sign[i])
        _two_sum(buf, sum_at, f[0])
        if level >= 1:
            _spread(buf, part, first, last, size, f)
        if level == 2:
            _spread(buf, part, first, last, 2 * size, product(f, _along(buf, part, first, last, 3 * size)))
    out.values[k, 0] += lane_sum(buf, sum_at)
    out.values[k, 1] += lane_sum(buf, sum_at + LANES)
    for places in range(1, level + 1):
        _hand_down(buf, places * size, theta.size, unions)
    if level >= 1:
        _derive(buf, level, entries, delta, (t, q), (size, sum_at), k, out)


@njit(forceinline=True)
def _derive(buf: np.ndarray, level: int, entries: Entries, delta: Any, node: Any, room: Any, k: int, out: Any) -> None:
    """Add the derivatives in every atom's θ: i t c_j Σ F, and −t² (c_j Σ F Σ c δ + (c_j − c_j²) δ_j Σ F)."""
    (t, q), (size, spare), atoms = node, room, entries.prob.size
    for a in range(atoms):
        c = _relative(get(buf, PAIR * a), times(q, entries.prob[a]))
        found = product(c, get(buf, size + PAIR * a))
        store(buf, spare, found[1] * t)
        out.gradient[k, a] -= lane_sum(buf, spare)
        if level == 2:
            rest = product(found, (1.0 - c[0], zero_minus(c[1])))
            turned = add(product(c, get(buf, 2 * size + PAIR * a)), times(rest, delta[a]))
            store(buf, spare, turned[0] * t * t)
            out.product[k, a] -= lane_sum(buf, spare)


@njit(forceinline=True)
def zero_minus(x: Any) -> Any:
    """Return −x."""
    return 0.0 - x


@njit(inner=True)
def _moments(
    level: int, entries: Entries, theta: Any, delta: Any, rows: Any, slope: float, square: float, k: int, out: Any
) -> None:
    """Add slope·w + square·w² and its derivatives."""
    total, lost = 0.0, 0.0
    for i in rows:
        mean, plain, bend, turn, whole = entries.offset[i], 0.0, 0.0, 0.0, 0.0
        for e in range(entries.indptr[i], entries.indptr[i + 1]):
            a = entries.atom[e]
            mean += entries.keep[a] * theta[a]
            plain += theta[a]
            bend += entries.own[a] * theta[a] * theta[a]
            if level == 2:
                turn += entries.keep[a] * delta[a]
                whole += delta[a]
        lean = slope * entries.sign[i]
        term = lean * mean + square * (mean * mean + 0.5 * (bend - entries.shared * plain * plain))
        new = total + term
        back = new - total
        lost += (total - (new - back)) + (term - back)
        total = new
        if level >= 1:
            for e in range(entries.indptr[i], entries.indptr[i + 1]):
                a = entries.atom[e]
                spread = entries.own[a] * theta[a] - entries.shared * plain
                out.gradient[k, a] += (lean + 2.0 * square * mean) * entries.keep[a] + square * spread
                if level == 2:
                    spread = entries.own[a] * delta[a] - entries.shared * whole
                    out.product[k, a] += square * (2.0 * turn * entries.keep[a] + spread)
    out.values[k, 0] += total
    out.values[k, 1] += lost


@njit(inner=True)
def _task(
    buf: np.ndarray, level: int, entries: Entries, theta: Any, delta: Any, rows: Any, sums: Sums, b: int, k: int, out: Found
) -> None:
    """Evaluate task k, which are some rows that use sum b."""
    for k0 in range(sums.start[b], sums.start[b + 1], LANES):
        _tile(buf, level, entries, theta, delta, rows, sums, (k0, b, k), out)
    if sums.slope[b] != 0.0 or sums.square[b] != 0.0:
        _moments(level, entries, theta, delta, rows, sums.slope[b], sums.square[b], k, out)


@njit(cache=True, nogil=True)
def add_up(
    begin: int,
    stride: int,
    level: int,
    entries: Entries,
    theta: np.ndarray,
    delta: np.ndarray,
    order: np.ndarray,
    tasks: Tasks,
    turns: np.ndarray,
    sums: Sums,
    out: Found,
) -> None:
    """Evaluate tasks ``turns[begin]``, ``turns[begin + stride]``, …, at level 2 along ``delta``, shaped as ``theta``."""
    buf = allocate(4 * PAIR * (theta.shape[1] + entries.unions.left.size) + PAIR)
    for turn in range(begin, turns.size, stride):
        k = turns[turn]
        p = tasks.point[k]
        rows = order[p, tasks.first[k] : tasks.last[k]]
        _task(buf, level, entries, theta[p], delta[p if level == 2 else 0], rows, sums, tasks.bucket[k], k, out)
