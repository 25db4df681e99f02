"""Confidence intervals for ratios of means, which is what factors, exponents and slopes are functions of."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import scipy.stats


class Interval(NamedTuple):
    """An estimate between the ends of its interval.

    Parameters
    ----------
    low, value, high : float
        Lower end, estimate, upper end; the ends are infinite where the data say nothing.
    """

    low: float
    value: float
    high: float


def paired_ratio(top: np.ndarray, bottom: np.ndarray, alpha: float) -> Interval:
    """Return E top/E bottom with Fieller's interval, from pairs that are independent of each other.

    The interval is all θ for which the mean of top − θ·bottom is not told from zero by a t test of level alpha. It is exact
    for normal pairs, asymptotic (by the central limit theorem) for others, and has no bias as logarithms of means have. It
    is one point where nothing varies, and the whole line where the mean of `bottom` is not told from zero.

    Parameters
    ----------
    top, bottom : ndarray, shape (n,)
        The pairs; a single one counts as known exactly.
    alpha : float
        The probability that the interval misses the ratio.

    References
    ----------
    Fieller, Some problems in interval estimation, J. R. Stat. Soc. B 16 (1954).

    Examples
    --------
    >>> [round(end, 6) for end in paired_ratio(np.array([8.0, 9.0, 10.0]), np.array([16.0, 18.0, 20.0]), 0.05)]
    [0.5, 0.5, 0.5]
    """
    n = len(top)
    covariance = np.zeros((2, 2)) if n < 2 else np.cov(np.stack([top, bottom])) / n
    return _fieller(float(np.mean(top)), float(np.mean(bottom)), covariance, n - 1, alpha)


def independent_ratio(top: np.ndarray, bottom: np.ndarray, alpha: float) -> Interval:
    """Return E top/E bottom with Fieller's interval, from two independent samples.

    The number of degrees of freedom is that of the smaller sample, which makes the interval wider than need be.

    Parameters
    ----------
    top, bottom : ndarray, shape (n,) and (m,)
        The samples; one of a single number counts as known exactly.
    alpha : float
        The probability that the interval misses the ratio.

    References
    ----------
    Fieller, Some problems in interval estimation, J. R. Stat. Soc. B 16 (1954).

    Examples
    --------
    >>> independent_ratio(np.array([3.0]), np.array([2.0]), 0.05)
    Interval(low=1.5, value=1.5, high=1.5)
    """
    spread = [float(np.var(side, ddof=1)) / len(side) if len(side) > 1 else 0.0 for side in (top, bottom)]
    fewest = min((len(side) for side in (top, bottom) if len(side) > 1), default=1)
    return _fieller(float(np.mean(top)), float(np.mean(bottom)), np.diag(spread), fewest - 1, alpha)


def _fieller(top: float, bottom: float, covariance: np.ndarray, freedom: int, alpha: float) -> Interval:
    """Return all θ with (top − θ·bottom)² ≤ t²·Var(top − θ·bottom), for the t quantile of level alpha."""
    if bottom == 0:
        return Interval(-math.inf, math.nan, math.inf)
    # In units of the denominator nothing overflows.
    ratio, C = top / bottom, (covariance / bottom**2).tolist()
    if not any(map(any, C)):
        return Interval(ratio, ratio, ratio)
    square = float(scipy.stats.t.ppf(1 - alpha / 2, freedom)) ** 2
    lead = 1 - square * C[1][1]
    if lead <= 0:
        return Interval(-math.inf, ratio, math.inf)
    middle, rest = ratio - square * C[0][1], ratio**2 - square * C[0][0]
    root = math.sqrt(max(middle**2 - lead * rest, 0.0))
    return Interval(min((middle - root) / lead, ratio), ratio, max((middle + root) / lead, ratio))
