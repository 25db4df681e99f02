"""Rand-K seen by few coordinates, as a mixture of a few Bernoulli laws with complex keeps, and how far off that is.

Σ_l w_l q_l^m is the chance that m given units are all among the K of d that are kept, for m < 2n: the q_l are Gauss nodes of
the moments of Beta(−K, −(d − K)). What a transform of r entries needs beyond the degree 2n is bounded with what is known of
the entries: E Π (1 − c_j + c_j e_j) is off by at most Σ_{m ≥ 2n} |E_m| ρ^{−m} Π (√(1 − q̂ t_j²) + ρ t_j) for any ρ > 0, where
E_m is the error of the rule for (q − K/d)^m, q̂ = (K/d)(1 − K/d), t_j = |e_j − 1|. The logarithm of a factor is concave in
t_j, so the product is largest where all t_j are equal.

Everything is computed once in integers of many digits, with 2^scale (q − K/d) as the variable.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np

MOST_NODES = 24
"""The most laws of a mixture."""
MOST_TERMS = 1024
"""The longest rows whose bounds are computed."""
MOST_GROWTH = 64.0
"""By how much the rounding of a mixture may exceed that of a single law, at nodes whose weight is not small."""
_RHO = np.geomspace(1e-2, 1e7, 160)

Complex = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Recurrence:
    """p_{k+1} = (y − a_k) p_k − b_k p_{k−1} for y = 2^scale (q − K/d), in units of 2^−bits."""

    a: tuple[int, ...]
    b: tuple[int, ...]
    scale: int
    bits: int


@lru_cache(maxsize=64)
def recurrence(kept: int, units: int, bits: int) -> Recurrence:
    """Return the monic orthogonal polynomials of the moments (K)_m/(d)_m, as far as rows of MOST_TERMS entries need them."""
    K, d = kept, units
    scale = max(0, round(0.5 * math.log2(d**3 / (K * (d - K)))))
    last, unit, a, b = min(K, d - K, MOST_TERMS // 2 + 1), 1 << bits, [], []
    for k in range(last + 1):
        s = 2 * k - d - 2
        # s + 2 vanishes only where K is d/2, and there everything is symmetric.
        skew = Fraction(d + 2, s * (s + 2)) - Fraction(1, d) if s + 2 else Fraction(0)
        a.append(round(Fraction(2 * K - d, 2) * skew * 2**scale * unit))
        square = Fraction(k * (k - (d - K) - 1) * (k - K - 1) * (k - d - 2), s**2 * (s + 1) * (s - 1)) if k else Fraction(1)
        b.append(round(square * 4**scale * unit))
    return Recurrence(tuple(a), tuple(b), scale, bits)


@lru_cache(maxsize=512)
def mixture(kept: int, units: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return keeps q and weights w of the mixture with `count` laws, at most min(kept, units − kept), both complex.

    Examples
    --------
    >>> q, w = mixture(3, 8, 2)
    >>> [complex(w @ q**m).real.__round__(12) for m in range(4)], [1, 3 / 8, 3 * 2 / 56, 1 / 56]
    ([1.0, 0.375, 0.107142857143, 0.017857142857], [1, 0.375, 0.10714285714285714, 0.017857142857142856])
    """
    poly = recurrence(kept, units, 320)
    one = 1 << poly.bits
    jacobi = np.zeros((count, count), dtype=complex)
    jacobi[np.arange(count), np.arange(count)] = [a / one for a in poly.a[:count]]
    for k in range(1, count):
        jacobi[k, k - 1] = jacobi[k - 1, k] = np.sqrt(complex(poly.b[k] / one))
    q, w = [], []
    for start in np.linalg.eigvals(jacobi):
        node = _root(poly, count, (round(start.real * one), round(start.imag * one)))
        total, norm = (one, 0), one
        for k, value in enumerate(_values(poly, count, node)[0][1:count], start=1):
            norm = (norm * poly.b[k]) >> poly.bits
            square = _times(value, value, poly.bits)
            total = total[0] + (square[0] << poly.bits) // norm, total[1] + (square[1] << poly.bits) // norm
        size = (total[0] ** 2 + total[1] ** 2) >> poly.bits
        w.append(complex((total[0] << poly.bits) / size / one, -((total[1] << poly.bits) / size / one)))
        q.append(complex(node[0] / one / 2**poly.scale + kept / units, node[1] / one / 2**poly.scale))
    return np.array(q), np.array(w)


def _times(x: Complex, y: Complex, bits: int) -> Complex:
    return (x[0] * y[0] - x[1] * y[1]) >> bits, (x[0] * y[1] + x[1] * y[0]) >> bits


def _values(poly: Recurrence, count: int, y: Complex) -> tuple[list[Complex], Complex]:
    """Return p_0, …, p_count at a place, and the derivative of the last."""
    bits, values, slopes = poly.bits, [(0, 0), (1 << poly.bits, 0)], [(0, 0), (0, 0)]
    for k in range(count):
        away = y[0] - poly.a[k], y[1]
        first, second = _times(away, values[-1], bits), _times(away, slopes[-1], bits)
        slopes.append(
            (
                values[-1][0] + second[0] - (poly.b[k] * slopes[-2][0] >> bits),
                values[-1][1] + second[1] - (poly.b[k] * slopes[-2][1] >> bits),
            )
        )
        values.append((first[0] - (poly.b[k] * values[-2][0] >> bits), first[1] - (poly.b[k] * values[-2][1] >> bits)))
    return values[1:], slopes[-1]


def _root(poly: Recurrence, count: int, y: Complex) -> Complex:
    """Return a zero of p_count by Newton's method."""
    for _ in range(60):
        values, slope = _values(poly, count, y)
        value, size = values[-1], slope[0] ** 2 + slope[1] ** 2
        step = (
            ((value[0] * slope[0] + value[1] * slope[1]) << poly.bits) // size,
            ((value[1] * slope[0] - value[0] * slope[1]) << poly.bits) // size,
        )
        y = y[0] - step[0], y[1] - step[1]
        if max(abs(step[0]), abs(step[1])) < 1 << (poly.bits // 3):
            return y
    raise ArithmeticError(f"no zero of the polynomial of degree {count} was found")


@lru_cache(maxsize=64)
def log_remainders(kept: int, units: int, terms: int, most: int) -> np.ndarray:
    """Return log |E_m| for rules of 1, …, `most` nodes and m = 0, …, terms, shape (most, terms + 1); −∞ below 2n."""
    poly = recurrence(kept, units, 192 + 3 * terms)
    powers = _moments(poly, len(poly.a), terms)
    out = np.full((most, terms + 1), -math.inf)
    for n in range(1, most + 1):
        found = _moments(poly, n, terms)
        for m in range(2 * n, terms + 1):
            if far := abs(powers[m] - found[m]):
                out[n - 1, m] = math.log(far) - (poly.bits + poly.scale * m) * math.log(2)
    return out


def _moments(poly: Recurrence, size: int, most: int) -> list[int]:
    """Return the moments of y up to a degree: those of the rule with `size` nodes, exact below degree 2·size."""
    bits, coefficients, out = poly.bits, [1 << poly.bits], [1 << poly.bits]
    for m in range(most):
        # What is more than the remaining steps away from p_0 has no part in any moment asked for.
        width = min(size, m + 2, most - m)
        c = [*coefficients, 0, 0]
        coefficients = [
            (c[k - 1] if k else 0) + (poly.a[k] * c[k] + (poly.b[k + 1] * c[k + 1] if k + 1 < len(poly.b) else 0) >> bits)
            for k in range(min(width, len(coefficients) + 1))
        ]
        out.append(coefficients[0])
    return out


@dataclass(frozen=True, eq=False)
class Bounds:
    """What mixtures of 1, 2, … laws do to a transform, each of shape (most, frequencies).

    Parameters
    ----------
    value, slope : ndarray
        Bounds on the error of E e^{itw}, and of E[c_j e^{itw}] for a single entry j.
    growth : ndarray
        Σ|w_l| Π|1 − q_l + q_l e_j|, which rounding is relative to.
    """

    value: np.ndarray
    slope: np.ndarray
    growth: np.ndarray


def bounds(kept: int, units: int, terms: int, spread: np.ndarray) -> Bounds:
    """Return the bounds for rows of at most so many entries.

    Parameters
    ----------
    kept, units : int
        K of d.
    terms : int
        The most entries of a row, at least 1.
    spread : ndarray, shape (frequencies,)
        Bounds on t·Σ_j |θ_j| ≥ Σ_j |e_j − 1|.
    """
    mean, most = kept / units, min(kept, units - kept, MOST_NODES)
    each = np.minimum(spread / terms, 2.0)
    factor = terms * _log_factor(_RHO[:, None], each, mean)
    m = np.arange(terms + 1)
    log_c, log_slope = np.full((2, len(spread), terms + 1), np.inf)
    for own, rho in zip(factor, _RHO, strict=True):
        table = own[:, None] - np.log(rho) * m
        np.minimum(log_c, table, out=log_c)
        np.minimum(log_slope, table + np.log(mean + rho), out=log_slope)
    remainders = log_remainders(kept, units, terms, most)[:, None, :]
    value, slope = (np.exp(np.minimum(remainders + log, 700.0)).sum(axis=2) * (1 + 1e-9) for log in (log_c, log_slope))
    growth = np.empty((most, len(spread)))
    for n in range(1, most + 1):
        q, w = mixture(kept, units, n)
        with np.errstate(over="ignore"):
            growth[n - 1] = np.abs(w) @ np.exp(terms * _log_factor(np.abs(q - mean)[:, None], each, mean))
    return Bounds(value, slope, growth)


def _log_factor(rho: np.ndarray, each: np.ndarray, mean: float) -> np.ndarray:
    """Return log max_{0 ≤ t ≤ each} (√(1 − q̂t²) + ρt), q̂ = mean(1 − mean)."""
    hat = mean * (1 - mean)
    top = rho / (hat * np.sqrt(1 + rho**2 / hat))
    t = np.minimum(each, top)
    return np.asarray(np.log(np.sqrt(np.maximum(1 - hat * t**2, 0.0)) + rho * t))
