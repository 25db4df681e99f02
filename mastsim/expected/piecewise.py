"""E ψ(w) for piecewise quadratic ψ, exactly, by meeting in the middle.

A row with r terms has 2^r kept sets; here its terms are cut into two halves whose 2^(r/2) partial sums are listed. With one
half sorted, the other half's partial sum says where the pieces of ψ begin, and cumulative moments give the expectation on
each piece. Groups of a subset law may straddle the cut: the first half is then taken by the number of units it keeps of
that group, on which the law of the second half depends.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mastsim.compilation import njit
from mastsim.expected.layout import RowLayout
from mastsim.parallel import run_shares
from mastsim.problems.losses import Pieces

MOST_TERMS = 30
DIRECT_TERMS = 12
"""Up to so many terms of a row, parabolas are summed one by one: cumulative moments cancel where w is large."""
_DIRECT_SUMS = 1 << (DIRECT_TERMS // 2)


class _Terms(NamedTuple):
    """The terms of all rows: value, direction, and the law of the group each is in."""

    theta: Any
    delta: Any
    members: Any
    kept: Any
    seen: Any


class _Half(NamedTuple):
    """All kept sets of half a row: partial sums, their direction, probabilities, and the order of the sums."""

    sums: Any
    tilts: Any
    chances: Any
    ranks: Any


@njit(cache=True)
def _list_half(theta: Any, terms: Any, low: int, high: int, begin: int) -> tuple[Any, Any, Any]:
    """Return partial sums, probabilities and units kept of the last group, over all kept sets of the terms low:high."""
    size = 1 << (high - low)
    sums, chances, counts = np.zeros(size), np.zeros(size), np.zeros(size, np.int64)
    chances[0], counts[0] = 1.0, begin
    for e in range(low, high):
        half, seen = 1 << (e - low), terms.seen[e]
        for i in range(half):
            count = 0 if seen == 0 else counts[i]
            go = min(max((terms.kept[e] - count) / (terms.members[e] - seen), 0.0), 1.0)
            sums[half + i] = sums[i] + theta[e]
            chances[half + i] = chances[i] * go
            counts[half + i] = count + 1
            chances[i] *= 1.0 - go
            counts[i] = count
    return sums, chances, counts


@njit(cache=True)
def _cumulate(sums: Any, weights: Any, order: Any) -> Any:
    """Return cumulative Σ weight·sum^q, q = 0, 1, 2, in sorted order, shape (3, size + 1)."""
    out = np.zeros((3, len(order) + 1))
    for rank in range(len(order)):
        i = order[rank]
        w, s = weights[i], sums[i]
        out[0, rank + 1] = out[0, rank] + w
        out[1, rank + 1] = out[1, rank] + w * s
        out[2, rank + 1] = out[2, rank] + w * s * s
    return out


@njit(cache=True)
def _rank(sums: Any, order: Any, limit: float) -> int:
    """Return how many of the sorted sums are below the limit."""
    low, high = 0, len(order)
    while low < high:
        middle = (low + high) // 2
        if sums[order[middle]] < limit:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True)
def _integrate(x: float, half: Any, mass: Any, psi: Any, derivative: int) -> float:
    """Return Σ mass·ψ⁽ᵈ⁾(x + sum) over a sorted half, for d = 0, 1 or 2; for d = 0 the mass is that of the chances."""
    total, before = 0.0, 0
    for j in range(len(psi.coefficients)):
        after = _rank(half.sums, half.ranks, psi.knots[j] - x) if j < len(psi.knots) else len(half.ranks)
        m0, m1, m2 = mass[:, after] - mass[:, before]
        c0, c1, c2 = psi.coefficients[j]
        if derivative == 0 and c2 != 0.0 and len(half.ranks) <= _DIRECT_SUMS:
            for i in half.ranks[before:after]:
                w = x + half.sums[i]
                total += half.chances[i] * (c0 + w * (c1 + w * c2))
        elif derivative == 0:
            total += c0 * m0 + c1 * (x * m0 + m1) + c2 * (x * x * m0 + 2 * x * m1 + m2)
        elif derivative == 1:
            total += c1 * m0 + 2 * c2 * (x * m0 + m1)
        else:
            total += 2 * c2 * m0
        before = after
    return total


@njit(cache=True)
def _share(target: Any, first: int, pattern: int, amount: float) -> None:
    """Add an amount to every term of a kept set."""
    e = first
    while pattern:
        if pattern & 1:
            target[e] += amount
        pattern >>= 1
        e += 1


@njit(cache=True)
def _value(offset: float, own: Any, other: Any, psi: Any) -> float:
    """Return E ψ(w), the outer sum over one half and the inner one by cumulative moments of the other."""
    mass = _cumulate(other.sums, other.chances, other.ranks)
    total = 0.0
    for i in range(len(own.sums)):
        if own.chances[i] > 0.0:
            total += own.chances[i] * _integrate(offset + own.sums[i], other, mass, psi, 0)
    return total


@njit(cache=True)
def _slopes(order: int, offset: float, own: Any, other: Any, first: int, psi: Any, first_out: Any, second_out: Any) -> None:
    """Add E ψ'(w)·[e kept], and its change along the direction, for the terms e of one half."""
    mass = _cumulate(other.sums, other.chances, other.ranks)
    tilted = _cumulate(other.sums, other.chances * other.tilts, other.ranks)
    for i in range(len(own.sums)):
        if own.chances[i] > 0.0:
            x = offset + own.sums[i]
            _share(first_out, first, i, own.chances[i] * _integrate(x, other, mass, psi, 1))
            if order == 2:
                bend = own.tilts[i] * _integrate(x, other, mass, psi, 2) + _integrate(x, other, tilted, psi, 2)
                _share(second_out, first, i, own.chances[i] * bend)


@njit(cache=True)
def _row(order: int, low: int, high: int, offset: float, terms: Any, psi: Any, first_out: Any, second_out: Any) -> float:
    """Return E ψ(w) of one row and write its derivatives."""
    cut = low + (high - low) // 2
    a, pa, counts = _list_half(terms.theta, terms, low, cut, 0)
    b = _list_half(terms.theta, terms, cut, high, 0)[0]
    ta, tb = _list_half(terms.delta, terms, low, cut, 0)[0], _list_half(terms.delta, terms, cut, high, 0)[0]
    ranks_a, ranks_b = np.argsort(a), np.argsort(b)
    straddles = cut < high and terms.seen[cut] > 0
    value = 0.0
    for count in range((counts.max() if straddles else 0) + 1):
        mine = np.where(counts == count, pa, 0.0) if straddles else pa
        left = _Half(a, ta, mine, ranks_a)
        right = _Half(b, tb, _list_half(terms.theta, terms, cut, high, count)[1], ranks_b)
        value += _value(offset, left, right, psi)
        if order >= 1:
            _slopes(order, offset, left, right, low, psi, first_out, second_out)
            _slopes(order, offset, right, left, cut, psi, first_out, second_out)
    return value


@njit(cache=True, nogil=True)
def _some_rows(
    first: int, stride: int, order: int, rows: Any, start: Any, offset: Any, terms: Any, psi: Any, out: Any
) -> None:
    for k in range(first, len(rows), stride):
        i = rows[k]
        out[0][i] = _row(order, start[i], start[i + 1], offset[i], terms, psi, out[1], out[2])


def piecewise(
    order: int, layout: RowLayout, theta: np.ndarray, rows: np.ndarray, pieces: Pieces, delta: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return E ψ(w_i), E[ψ'(w_i)·[e kept]] and the change of the latter along `delta`, for rows of at most 30 terms.

    Parameters
    ----------
    order : {0, 1, 2}
        How many of the three are wanted; the others are zero.
    layout : RowLayout
        The rows.
    theta : ndarray, shape (terms,)
        The value of each term.
    rows : ndarray of int, shape (m,)
        Which rows to do; results of others are zero.
    pieces : Pieces
        The function ψ; where a partial sum hits a knot, ψ'' is that of the piece above it.
    delta : ndarray, shape (terms,), optional
        The direction, for order 2.

    Returns
    -------
    tuple of ndarrays, shapes (n,), (terms,), (terms,)
        Exact up to rounding.

    Raises
    ------
    ValueError
        If a row has more than 30 terms.
    """
    longest = int(np.diff(layout.start)[rows].max(initial=0))
    if longest > MOST_TERMS:
        raise ValueError(f"a row has {longest} terms; at most {MOST_TERMS} are accepted")
    out = (np.zeros(len(layout.offset)), np.zeros(len(theta)), np.zeros(len(theta)))
    seen = np.arange(len(theta)) - layout.segment_start[layout.segment]
    law = (layout.members[layout.segment], layout.kept[layout.segment].astype(float), seen)
    # Whole numbers would have all kernels compiled once more.
    terms = _Terms(
        theta.astype(float, copy=False), np.zeros(len(theta)) if delta is None else delta.astype(float, copy=False), *law
    )
    what = (order, rows, layout.start, layout.offset, terms, pieces, out)
    run_shares(lambda first, stride: _some_rows(first, stride, *what))
    return out
