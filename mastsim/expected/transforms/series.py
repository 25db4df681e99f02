"""Long rows with small phases: the logarithm of a row's product as a power series in the sums of powers of its entries.

log Π (1 + q(e^{itθ_j} − 1)) = Σ_m g_m(q) (it)^m Σ_j θ_j^m, so a row costs a few powers of its entries and a few terms a
node, not entries times nodes. The terms that are left out are below rounding where all |θ_j| are within a radius.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from mastsim.compilation import njit
from mastsim.expected.transforms.arguments import Nodes, Rows, Transforms
from mastsim.expected.transforms.scratch import Scratch
from mastsim.expected.transforms.simd import (
    LANES,
    add,
    lane_sum,
    load,
    product,
    rotation,
    splat,
    store,
    times,
)
from mastsim.simd import fma, power_of_two

TERMS = 12
"""Terms of a series."""
ROOM = (2 * TERMS + 1) * LANES
"""The room that a row takes, in doubles."""
_LEAST_ROW = 16
_KNOWN = 48
_GRID = 1024
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


def make_series(nodes: Nodes, keep: np.ndarray) -> Series:
    """Return the series of nodes with the chances `keep`, complex, shape (nodes,)."""
    table = _cumulants(keep)
    powers = (1j * nodes.frequency) ** np.arange(1, TERMS + 1)[:, None]
    each = table[1 : TERMS + 1] * powers
    radius = np.zeros(len(nodes.start) - 1)
    for b, (first, last) in enumerate(zip(nodes.start[:-1], nodes.start[1:], strict=True)):
        used = (nodes.w_re[first:last] != 0) | (nodes.w_im[first:last] != 0)
        if used.any():
            safe = _phase(table[:, first:last][:, used], keep[first:last][used])
            radius[b] = float((safe / nodes.frequency[first:last][used]).min())
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
    least = np.abs(1 + q * np.expm1(circle)).min(axis=0) - 1.01 * np.pi * R / _GRID * steep
    M = np.where(least > 0, 1.01 * R * steep / np.maximum(least, 1e-300), np.inf)
    out, m = np.zeros(len(q)), np.arange(TERMS + 1, _KNOWN + 1)[:, None]
    for phase in np.geomspace(1e-3, 1.0, 40):
        known = (m * np.abs(g[TERMS + 1 :]) * phase ** (m - 1)).sum(axis=0)
        ratio = phase / R
        rest = M * _KNOWN * ratio**_KNOWN / (1 - np.minimum(ratio, 0.5)) ** 2 / phase
        out = np.where((known + rest <= 0.25 * np.finfo(float).eps) & (ratio <= 0.5), phase, out)
    return out


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
def _powers(rows: Rows, order: int, sums: np.ndarray, along: np.ndarray) -> None:
    """Fill Σ θ^m, m = 1, …, TERMS, and at order 2 Σ m θ^(m − 1) δ."""
    sums[:] = 0.0
    along[:] = 0.0
    for j in range(rows.indptr[1]):
        theta, power = rows.theta[j], 1.0
        for m in range(TERMS):
            if order == 2:
                along[m] += (m + 1) * power * rows.delta[j]
            power *= theta
            sums[m] += power


@njit(inner=True)
def _derive(rows: Rows, order: int, g: np.ndarray, h: np.ndarray, out: Transforms) -> None:
    """Write Σ_m g_m m θ^(m − 1), and Σ_m h_m m θ^(m − 1) + δ Σ_m g_m m (m − 1) θ^(m − 2), for all entries."""
    for j in range(rows.indptr[1]):
        theta, first, second, bend = rows.theta[j], 0.0, 0.0, 0.0
        for m in range(TERMS, 0, -1):
            bend = bend * theta + (m - 1) * m * g[m - 1] if m > 1 else bend
            first = first * theta + m * g[m - 1]
            if order == 2:
                second = second * theta + m * h[m - 1]
        out.derivatives[j] = first
        if order == 2:
            out.directionals[j] = second + rows.delta[j] * bend


@njit(inner=True)
def _largest(theta: np.ndarray, count: int) -> float:
    """Return the largest modulus of the first numbers."""
    # Not NumPy's: it takes longer to compile than the rest of the series.
    found = 0.0
    for j in range(count):
        found = max(found, abs(theta[j]))
    return found


@njit
def evaluate_series(buf: np.ndarray, at: Scratch, rows: Rows, nodes: Nodes, series: Series, out: Transforms) -> bool:
    """Evaluate the only row by its sum's power series; say whether that was possible."""
    b, r = rows.bucket[0], rows.indptr[1]
    if r < _LEAST_ROW or _largest(rows.theta, r) > series.radius[b]:
        return False
    sums, along = np.empty(TERMS), np.empty(TERMS)
    _powers(rows, at.order, sums, along)
    zero, count = splat(0.0), nodes.frequency.size
    for m in range(2 * TERMS + 1):
        store(buf, LANES * m, zero)
    for k0 in range(nodes.start[b], nodes.start[b + 1], LANES):
        log = zero, load(nodes.frequency, k0) * rows.offset[0]
        turn = zero, zero
        for m in range(TERMS):
            term = load(series.re, m * count + k0), load(series.im, m * count + k0)
            log = add(log, times(term, sums[m]))
            turn = add(turn, times(term, along[m]))
        f = times(product(rotation(log[1]), (load(nodes.w_re, k0), load(nodes.w_im, k0))), _exponential(log[0]))
        store(buf, 2 * TERMS * LANES, load(buf, 2 * TERMS * LANES) + f[0])
        if at.order >= 1:
            turned = product(f, turn)
            for m in range(TERMS):
                re, im = load(series.re, m * count + k0), load(series.im, m * count + k0)
                store(buf, LANES * m, load(buf, LANES * m) + (re * f[0] - im * f[1]))
                if at.order == 2:
                    place = LANES * (TERMS + m)
                    store(buf, place, load(buf, place) + (re * turned[0] - im * turned[1]))
    out.values[0] = lane_sum(buf, 2 * TERMS * LANES)
    if at.order >= 1:
        for m in range(TERMS):
            sums[m], along[m] = lane_sum(buf, LANES * m), lane_sum(buf, LANES * (TERMS + m))
        _derive(rows, at.order, sums, along, out)
    return True
