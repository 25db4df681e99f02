"""Groups of entries that belong to uniform subsets: one chain per group, whose state is the number of entries kept.

After l entries of a group, m of them kept, the next is kept with probability (N - m)/(M - l). Reachable states are
max(0, N - (M - l)) <= m <= min(l, N); there the probabilities are ratios of exact integers, so the forced moves come out as
exactly 0 and 1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mastsim.compilation import njit
from mastsim.expected.transforms.arguments import Nodes, Rows, Transforms
from mastsim.expected.transforms.scratch import Scratch, allocate
from mastsim.expected.transforms.simd import LANES, PAIR, add, get, load, product, put, real_product, splat, store, times
from mastsim.expected.transforms.subsets import Subsets
from mastsim.expected.transforms.tiles import branches, kept_branch, row_evaluator, second


@njit(forceinline=True)
def _reach(law: Subsets, group: int, seen: int) -> tuple[int, int]:
    """Return the least and the greatest number of kept entries after ``seen`` of a group."""
    kept = law.kept[group]
    return max(0, kept - (law.units[group] - seen)), min(seen, kept)


@njit(inner=True)
def _odds(buf: np.ndarray, at: Scratch, i: int, rows: Rows, law: Subsets, sigma: float) -> float:
    """Fill kept factors and the chains' probabilities of row i; return the log of what was taken out."""
    growth, first = 0.0, rows.indptr[i]
    for group in range(law.row_group_ptr[i], law.row_group_ptr[i + 1]):
        begin, end = law.group_ptr[group], law.group_ptr[group + 1]
        growth += law.tilt[group] * law.main[group]
        for entry in range(begin, end):
            scale, dropped, log = branches(sigma * rows.theta[entry] - law.tilt[group])
            buf[at.scale + entry - first] = scale
            growth += log
            place = at.odds + 2 * (entry - first) * at.states
            _moves(buf, place, law, group, entry - begin, dropped, entry == end - 1)
    return growth


@njit(inner=True)
def _moves(buf: np.ndarray, place: int, law: Subsets, group: int, seen: int, dropped: float, last: bool) -> None:
    """Fill the probabilities of dropping and of keeping an entry in each state; the last entry undoes the tilt."""
    left, tilt, main = law.units[group] - seen, law.tilt[group], law.main[group]
    low, high = _reach(law, group, seen)
    for m in range(low, high + 1):
        wanted = law.kept[group] - m
        drop, keep = dropped * (float(left - wanted) / float(left)), float(wanted) / float(left)
        # Only the possible moves: the factor of an impossible one may overflow, and 0 times infinity is NaN.
        if last and drop > 0.0:
            drop *= math.exp(tilt * (m - main))
        if last and keep > 0.0:
            keep *= math.exp(tilt * (m + 1 - main))
        buf[place + 2 * m] = drop
        buf[place + 2 * m + 1] = keep


@njit(forceinline=True)
def _push(buf: np.ndarray, at: Scratch, j: int, low: int, high: int, grows: bool, delta: float) -> None:
    """Carry the states low..high of the chain across entry j; ``grows`` when one more state becomes reachable."""
    q, zero = kept_branch(buf, at, j), splat(0.0)
    carry, dcarry = (zero, zero), (zero, zero)
    source = at.prefix + at.level * j + at.slot * low
    odds = at.odds + 2 * (j * at.states + low)
    for _ in range(low, high + 1):
        drop, keep = buf[odds], buf[odds + 1]
        f = get(buf, source)
        if at.order == 2:
            df = get(buf, source + PAIR)
            put(buf, source + at.level + PAIR, add(times(df, drop), dcarry))
            dcarry = times(product(q, add(df, times(f, delta))), keep)
        put(buf, source + at.level, add(times(f, drop), carry))
        carry = times(product(q, f), keep)
        source += at.slot
        odds += 2
    if grows:
        put(buf, source + at.level, carry)
        if at.order == 2:
            put(buf, source + at.level + PAIR, dcarry)


@njit(forceinline=True)
def _forward(buf: np.ndarray, at: Scratch, i: int, rows: Rows, law: Subsets) -> Any:
    """Run the chains of row i left to right; return the end of the last."""
    f, df = (splat(1.0), splat(0.0)), (splat(0.0), splat(0.0))
    first = rows.indptr[i]
    for group in range(law.row_group_ptr[i], law.row_group_ptr[i + 1]):
        begin, end = law.group_ptr[group], law.group_ptr[group + 1]
        place = at.prefix + at.level * (begin - first)
        put(buf, place, f)
        if at.order == 2:
            put(buf, place + PAIR, df)
        for entry in range(begin, end):
            low, high = _reach(law, group, entry - begin)
            grows = high < min(entry + 1 - begin, law.kept[group])
            _push(buf, at, entry - first, low, high, grows, rows.delta[entry] if at.order == 2 else 0.0)
        low, high = _reach(law, group, end - begin)
        place = at.prefix + at.level * (end - first) + at.slot * low
        f = _sum_states(buf, place, at.slot, high - low)
        if at.order == 2:
            df = _sum_states(buf, place + PAIR, at.slot, high - low)
    return f


@njit(inner=True)
def _sum_states(buf: np.ndarray, place: int, slot: int, more: int) -> Any:
    """Return the complex vector at a place plus ``more`` that follow it, ``slot`` apart."""
    total = get(buf, place)
    for _ in range(more):
        place += slot
        total = add(total, get(buf, place))
    return total


@njit(forceinline=True)
def _pull(buf: np.ndarray, at: Scratch, j: int, low: int, high: int, delta: float, s: Any) -> None:
    """Carry the suffixes across entry j, right to left and in place, and add up the entry's derivatives."""
    q, lanes = get(buf, at.factor + PAIR * j), at.lanes + PAIR * j
    sum1, sum2 = load(buf, lanes), load(buf, lanes + LANES)
    here = at.suffix + at.slot * low
    prefix = at.prefix + at.level * j + at.slot * low
    odds = at.odds + 2 * (j * at.states + low)
    g = get(buf, here)
    dg = get(buf, here + at.slot - PAIR)  # the tangent, or the value again when there is none
    for _ in range(low, high + 1):
        drop, keep = buf[odds], buf[odds + 1]
        f, above = get(buf, prefix), get(buf, here + at.slot)
        y = product(q, times(above, keep))
        sum1 = sum1 + real_product(f, y)
        put(buf, here, add(times(g, drop), y))
        if at.order == 2:
            df, dabove = get(buf, prefix + PAIR), get(buf, here + at.slot + PAIR)
            dy = product(q, times(add(dabove, times(above, delta)), keep))
            sum2 = sum2 + second(f, df, y, dy, s)
            put(buf, here + PAIR, add(times(dg, drop), dy))
            dg = dabove
        g = above
        here += at.slot
        prefix += at.slot
        odds += 2
    store(buf, lanes, sum1)
    if at.order == 2:
        store(buf, lanes + LANES, sum2)


@njit(forceinline=True)
def _backward(buf: np.ndarray, at: Scratch, i: int, rows: Rows, law: Subsets, g: Any, s: Any) -> None:
    """Run the chains of row i right to left from ``g`` and add up the entry derivatives; ``s`` are the nodes."""
    first, dg = rows.indptr[i], (splat(0.0), splat(0.0))
    for group in range(law.row_group_ptr[i + 1] - 1, law.row_group_ptr[i] - 1, -1):
        begin, end = law.group_ptr[group], law.group_ptr[group + 1]
        # One state more than is reachable: it is read with probability 0, and 0 times stale memory may be NaN.
        for m in range(min(end - begin, law.kept[group]) + 2):
            put(buf, at.suffix + at.slot * m, g)
            if at.order == 2:
                put(buf, at.suffix + at.slot * m + PAIR, dg)
        for entry in range(end - 1, begin - 1, -1):
            low, high = _reach(law, group, entry - begin)
            _pull(buf, at, entry - first, low, high, rows.delta[entry] if at.order == 2 else 0.0, s)
        g = get(buf, at.suffix)
        if at.order == 2:
            dg = get(buf, at.suffix + PAIR)


_evaluate = row_evaluator(_odds, _forward, _backward)


@njit(cache=True, nogil=True)
def kernel(first: int, stride: int, at: Scratch, rows: Rows, law: Subsets, nodes: Nodes, out: Transforms) -> None:
    """Evaluate rows ``first``, ``first + stride``, … into ``out`` when their groups belong to uniform subsets."""
    buf = allocate(at.size)
    for i in range(first, rows.offset.size, stride):
        _evaluate(buf, at, i, rows, law, nodes, out)
