"""Comparisons that raise AssertionError with the name of the identity and the size of the deviation."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


def require(identity: str, holds: Any, detail: str) -> None:
    """Raise unless `holds`; `detail` says what was found."""
    if not bool(holds):
        raise AssertionError(f"{identity} fails: {detail}")


def agree(identity: str, found: Any, expected: Any, tolerance: Any) -> None:
    """Raise unless every entry of `found` is within `tolerance` of `expected`."""
    found, expected = np.asarray(found), np.asarray(expected)
    require(identity, found.shape == expected.shape, f"shape {found.shape} instead of {expected.shape}")
    _inside(identity, np.abs(found - expected), tolerance, found, expected)


def at_most(identity: str, left: Any, right: Any, tolerance: Any = 0.0) -> None:
    """Raise unless every entry of `left` is at most `right` plus `tolerance`."""
    left, right = np.broadcast_arrays(np.asarray(left, dtype=float), np.asarray(right, dtype=float))
    with np.errstate(invalid="ignore"):
        excess = np.where(left <= right, 0.0, left - right)
    _inside(identity, excess, tolerance, left, right)


def same(identity: str, found: Any, expected: Any) -> None:
    """Raise unless two arrays are equal bit for bit."""
    found, expected = np.asarray(found), np.asarray(expected)
    require(identity, found.shape == expected.shape, f"shape {found.shape} instead of {expected.shape}")
    differs = int(np.sum(found != expected))
    require(identity, differs == 0, f"{differs} of {found.size} entries differ")


def empirical_bernstein(sample: np.ndarray, spread: float, error: float) -> float:
    """Return a bound on |mean of `sample` − expectation| that fails with probability at most `error`.

    Source: Maurer, Pontil, "Empirical Bernstein bounds and sample variance penalization", COLT 2009, Theorem 4.
    """
    n, variance = len(sample), float(np.var(sample, ddof=1))
    remainder = 7 * spread * math.log(4 / error) / (3 * (n - 1)) if math.isfinite(spread) else 0.0
    return math.sqrt(2 * variance * math.log(4 / error) / n) + remainder


@contextmanager
def about(subject: str) -> Iterator[None]:
    """Put the name of the object under test before the message of a failure."""
    try:
        yield
    except AssertionError as failure:
        raise AssertionError(f"{subject}: {failure}") from None


def _inside(identity: str, deviation: np.ndarray, tolerance: Any, found: np.ndarray, expected: np.ndarray) -> None:
    inside = deviation <= tolerance
    if inside.all():
        return
    worst = np.unravel_index(np.argmax(np.where(inside, -1.0, np.nan_to_num(deviation, nan=np.inf))), deviation.shape)
    place = f" at {tuple(map(int, worst))}" if worst else ""
    accepted = np.broadcast_to(tolerance, deviation.shape)[worst]
    raise AssertionError(
        f"{identity} fails{place}: {found[worst]:.9g} against {expected[worst]:.9g}, "
        f"off by {deviation[worst]:.3g} where {accepted:.3g} is accepted"
    )
