"""The largest eigenvalue of a positive semidefinite operator, bracketed from both sides."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Product = Callable[[np.ndarray], np.ndarray]

_FAILURE = 1e-12
_STEPS = 200
_POWER_STEPS = 100


@dataclass(frozen=True)
class Bracket:
    """lower ≤ λ_max ≤ upper.

    Parameters
    ----------
    lower, upper : float
        The two ends; the lower one is a Rayleigh quotient and always valid.
    how : str
        Why the upper end is valid.
    """

    lower: float
    upper: float
    how: str


def bracket_largest(product: Product, dim: int, majorant: Product | None = None, seed: int = 0) -> Bracket:
    """Return a two-sided bracket of λ_max of a positive semidefinite operator.

    The lower end is a Lanczos Ritz value. The upper end is the smaller of two: the Collatz-Wielandt bound max (Mw)_i/w_i for
    a positive w and an entrywise nonnegative majorant M of the operator, always valid; and the Ritz value enlarged by what
    Lanczos from a random start may have missed, valid with probability 1 − 1e-12 over the start.

    Parameters
    ----------
    product : callable
        Maps a vector of shape (dim,) to the operator times it.
    dim : int
        Dimension.
    majorant : callable, optional
        The same for an entrywise nonnegative matrix M ≥ |operator|; the operator itself when its entries are nonnegative.
    seed : int, default 0
        Seed of the random start.

    Returns
    -------
    Bracket
        The two ends, and how the upper one was obtained.

    References
    ----------
    Kuczyński and Woźniakowski, "Estimating the largest eigenvalue by the power and Lanczos algorithms with a random start",
    SIAM J. Matrix Anal. Appl. 13, 1992, Theorem 4.2; Collatz 1942, Wielandt 1950.

    Examples
    --------
    >>> A = np.diag(np.arange(1.0, 301.0))
    >>> found = bracket_largest(lambda w: A @ w, 300, majorant=lambda w: A @ w)
    >>> bool(found.lower <= 300.0 + 1e-9 <= found.upper + 2e-9 and found.upper < 1.02 * found.lower)
    True
    """
    steps = min(_STEPS, dim)
    lower = _ritz(product, dim, steps, seed)
    complete = steps == dim
    missed = (math.log(1.648 * math.sqrt(dim) / _FAILURE) / (2 * steps - 1)) ** 2
    # Rounding in the recurrence is far below 1e-10 of the value with full reorthogonalisation.
    upper = lower * (1 + 1e-10) if complete else lower / (1 - missed) if missed < 1 else math.inf
    how = "complete Lanczos basis" if complete else f"Lanczos from a random start, failure probability {_FAILURE:g}"
    if majorant is not None and (certain := _collatz_wielandt(majorant, dim)) <= upper:
        return Bracket(lower, certain, "Collatz-Wielandt bound")
    return Bracket(lower, upper, how)


def _ritz(product: Product, dim: int, steps: int, seed: int) -> float:
    start = np.random.Generator(np.random.Philox(seed)).standard_normal(dim)
    basis = np.zeros((steps, dim))
    basis[0] = start / np.linalg.norm(start)
    diagonal, beside = np.zeros(steps), np.zeros(steps)
    for k in range(steps):
        w = product(basis[k])
        diagonal[k] = w @ basis[k]
        for _ in range(2):
            w = w - basis[: k + 1].T @ (basis[: k + 1] @ w)
        beside[k] = np.linalg.norm(w)
        if k + 1 == steps or beside[k] <= 1e-14 * abs(diagonal[: k + 1]).max(initial=0.0):
            diagonal, beside = diagonal[: k + 1], beside[:k]
            break
        basis[k + 1] = w / beside[k]
    tridiagonal = np.diag(diagonal) + np.diag(beside[: len(diagonal) - 1], 1) + np.diag(beside[: len(diagonal) - 1], -1)
    return float(np.linalg.eigvalsh(tridiagonal)[-1])


def _collatz_wielandt(majorant: Product, dim: int) -> float:
    w, best = np.ones(dim), math.inf
    for _ in range(_POWER_STEPS):
        ahead = majorant(w)
        best = min(best, float((ahead / w).max()))
        # Kept away from zero, so that the bound stays finite where the majorant does not reach.
        w = np.maximum(ahead / ahead.max(initial=np.finfo(float).tiny), 1e-12)
    return best
