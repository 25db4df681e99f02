"""Long rows with small phases: the logarithm of a row's product as a power series in the sums of powers of its entries.

log Π (1 + q(e^{itθ_j} − 1)) = Σ_m g_m(q) (it)^m Σ_j θ_j^m, so a row costs a few powers of its entries and a few terms a
node, not entries times nodes. The terms that are left out are below rounding where all |θ_j| are within a radius.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from mastsim.compilation import njit
from mastsim.expected.transforms.simd import LANES, add, load, product, rotation, splat, store, times
from mastsim.simd import fma, power_of_two

TERMS = 12
"""Terms of a series."""
ROOM = (4 * TERMS + 1) * LANES
"""The room that LANES rows take, in doubles: their values, sums of powers and those along a direction, and derivatives."""
_LEAST_ROW = 16
_KNOWN = 48
_GRID = 256
_LN2 = (float.fromhex("0x1.62e42fefa3800p-1"), float.fromhex("0x1.ef35793c76730p-45"))
_LOG2E = 1 / math.log(2)
_TO_INTEGER = 1.5 * 2.0**52
_INVERSE_FACTORIALS = tuple(1 / math.factorial(k) for k in range(14))


class Series(NamedTuple):
    """The power series of the nodes.

    Attributes
    ----------
    radius : array, shape (B,)
        The largest |θ| of a row that may use the series of a sum; 0 for none.
    re, im : array, shape (TERMS · nodes,)
        g_m(q)(it)^m of every node, m = 1, …, TERMS one after the other.
    """

    radius: np.ndarray
    re: np.ndarray
    im: np.ndarray


def make_series(start: np.ndarray, frequency: np.ndarray, keep: np.ndarray) -> Series:
    """Return the series of pairs of frequencies and complex chances, those of sum b from ``start[b]`` on."""
    table = _cumulants(keep)
    powers = (1j * frequency) ** np.arange(1, TERMS + 1)[:, None]
    each = table[1 : TERMS + 1] * powers
    radius = np.zeros(len(start) - 1)
    for b, (first, last) in enumerate(pairwise(start)):
        if last > first:
            safe = _phase(table[:, first:last], keep[first:last])
            radius[b] = float((safe / frequency[first:last]).min())
    return Series(radius, np.ascontiguousarray(each.real).ravel(), np.ascontiguousarray(each.imag).ravel())


def _cumulants(q: np.ndarray) -> np.ndarray:
    """Return the coefficients of log(1 + q(e^x − 1)) up to the power _KNOWN, shape (_KNOWN + 1, len(q))."""
    f = [np.ones_like(q)] + [q / float(math.factorial(m)) for m in range(1, _KNOWN + 1)]
    g = [np.zeros_like(q)]
    for m in range(1, _KNOWN + 1):
        g.append(f[m] - sum((k * g[k] * f[m - k] for k in range(1, m)), np.zeros_like(q)) / m)
    return np.array(g)


def _phase(g: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Return the largest |tθ| at which the terms left out, and their derivatives, are below a quarter of rounding."""
    # The coefficients beyond those known are at most M/R^m, where |log f| ≤ M on the disc of radius R, f = 1 + q(e^x − 1).
    # It is analytic up to the nearest zero of f, x = log(1 − 1/q), and log f(0) = 0, so that M = R·max|f'/f|, where
    # |f'| ≤ |q|e^R; |f| is least on the circle, and between the points of a grid there it falls by at most |q|e^R times half
    # an arc.
    with np.errstate(divide="ignore"):
        zero = np.where(q == 1, np.inf, np.abs(np.log(1 - 1 / q)))
    R = np.minimum(0.7 * zero, 1.5)
    circle = R * np.exp(2j * np.pi * np.arange(_GRID) / _GRID)[:, None]
    steep = np.abs(q) * np.exp(R)
    least = np.abs(1 - q + q * np.exp(circle)).min(axis=0) - 1.01 * np.pi * R / _GRID * steep
    M = np.where(least > 0, 1.01 * R * steep / np.maximum(least, 1e-300), np.inf)
    m = np.arange(TERMS + 1, _KNOWN + 1)[:, None]
    known_terms, tried = m * np.abs(g[TERMS + 1 :]), np.concatenate([[0.0], np.geomspace(1e-3, 1.0, 40)])
    safe = np.zeros(len(q), dtype=int)
    # What is left out grows with the phase, so that halving finds the largest.
    for step in (32, 16, 8, 4, 2, 1):
        next_one = np.minimum(safe + step, len(tried) - 1)
        phase = tried[next_one]
        ratio = phase / R
        rest = M * _KNOWN * ratio**_KNOWN / (1 - np.minimum(ratio, 0.5)) ** 2 / phase
        left_out = (known_terms * phase ** (m - 1)).sum(axis=0) + rest
        safe = np.where((left_out <= 0.25 * np.finfo(float).eps) & (ratio <= 0.5), next_one, safe)
    return tried[safe]


@njit(forceinline=True)
def _exponential(x: Any) -> Any:
    """Return e^x for a vector of numbers of moderate size."""
    c = _INVERSE_FACTORIALS
    shifted = x * _LOG2E + _TO_INTEGER
    turns = shifted - _TO_INTEGER
    r = (x - turns * _LN2[0]) - turns * _LN2[1]
    p = splat(c[13])
    p = fma(p, r, c[12])
    p = fma(p, r, c[11])
    p = fma(p, r, c[10])
    p = fma(p, r, c[9])
    p = fma(p, r, c[8])
    p = fma(p, r, c[7])
    p = fma(p, r, c[6])
    p = fma(p, r, c[5])
    p = fma(p, r, c[4])
    p = fma(p, r, c[3])
    p = fma(p, r, c[2])
    p = fma(p, r, 1.0)
    return fma(p, r, 1.0) * power_of_two(shifted)


@njit(inner=True)
def _powers(buf: np.ndarray, at: Any, level: int, width: int) -> None:
    """Fill Σ θ^m, m = 1, …, TERMS, and at level 2 Σ m θ^(m − 1) δ, for all lanes."""
    for place in range(at.series, at.size, LANES):
        store(buf, place, splat(0.0))
    for j in range(0, LANES * width, LANES):
        theta, power, place = load(buf, at.theta + j), splat(1.0), at.series + LANES
        for m in range(TERMS):
            if level == 2:
                along = place + TERMS * LANES
                store(buf, along, load(buf, along) + power * load(buf, at.delta + j) * (m + 1.0))
            power = power * theta
            store(buf, place, load(buf, place) + power)
            place += LANES


@njit(inner=True)
def _derive(buf: np.ndarray, at: Any, level: int, width: int) -> None:
    """Write Σ_m g_m m θ^(m − 1), and Σ_m h_m m θ^(m − 1) + δ Σ_m g_m m (m − 1) θ^(m − 2), for all entries."""
    for j in range(0, LANES * width, LANES):
        theta, zero = load(buf, at.theta + j), splat(0.0)
        first, second, bend, place = zero, zero, zero, at.size - TERMS * LANES
        for m in range(TERMS, 0, -1):
            place -= LANES
            g = load(buf, place) * (m * 1.0)
            if level == 2:
                second = second * theta + load(buf, place + TERMS * LANES) * (m * 1.0)
                if m > 1:
                    bend = bend * theta + g * (m - 1.0)
            first = first * theta + g
        store(buf, at.first + j, first)
        if level == 2:
            store(buf, at.second + j, second + load(buf, at.delta + j) * bend)


@njit(forceinline=True)
def _node(buf: np.ndarray, at: Any, level: int, pairs: Any, k: int) -> None:
    """Add pair k to the values, and to the sums that derivatives are made of."""
    count, series = pairs.frequency.size, pairs.series
    sums, zero = at.series + LANES, splat(0.0)
    log, turn = (zero, load(buf, at.offset) * pairs.frequency[k]), (zero, zero)
    for m in range(TERMS):
        term = splat(series.re[m * count + k]), splat(series.im[m * count + k])
        log = add(log, times(term, load(buf, sums + LANES * m)))
        if level == 2:
            turn = add(turn, times(term, load(buf, sums + LANES * (TERMS + m))))
    f = times(product(rotation(log[1]), (splat(pairs.w_re[k]), splat(pairs.w_im[k]))), _exponential(log[0]))
    store(buf, at.series, load(buf, at.series) + f[0])
    if level >= 1:
        turned = product(f, turn)
        for m in range(TERMS):
            re, im, place = series.re[m * count + k], series.im[m * count + k], sums + LANES * (2 * TERMS + m)
            store(buf, place, load(buf, place) + (f[0] * re - f[1] * im))
            if level == 2:
                place += LANES * TERMS
                store(buf, place, load(buf, place) + (turned[0] * re - turned[1] * im))


@njit(inner=True)
def evaluate_series(buf: np.ndarray, at: Any, level: int, width: int, pairs: Any, b: int) -> bool:
    """Evaluate sum b for rows that lie side by side by its power series; say whether that was possible."""
    if width < _LEAST_ROW or pairs.series.radius[b] == 0.0:
        return False
    for place in range(at.theta, at.theta + LANES * width):
        if abs(buf[place]) > pairs.series.radius[b]:
            return False
    _powers(buf, at, level, width)
    for k in range(pairs.start[b], pairs.start[b + 1]):
        _node(buf, at, level, pairs, k)
    if level >= 1:
        _derive(buf, at, level, width)
    return True
