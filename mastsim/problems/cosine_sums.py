"""Short cosine sums ψ(u) ≈ Σ_k g_k (1 − cos t_k u) for |u| ≤ U, fitted beforehand, with proven errors.

`scripts/fit_cosine_sums.py` fits them and proves the errors, which are those of the stored doubles.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np


@dataclass(frozen=True, eq=False)
class CosineSum:
    """Σ_k g_k (1 − cos t_k u), near ψ(u) for |u| ≤ reach.

    Parameters
    ----------
    reach : float
        The largest |u| for which the errors hold.
    errors : tuple of float
        Proven bounds on how far the sum and its first three derivatives are from those of ψ.
    frequencies, weights : ndarray, shape (count,)
        t_k and g_k, all positive.
    """

    reach: float
    errors: tuple[float, ...]
    frequencies: np.ndarray
    weights: np.ndarray


def cosine_sum(name: str, reach: float, accuracy: float, order: int = 0) -> CosineSum | None:
    """Return the shortest stored sum that reaches far enough and is accurate enough, or None where there is none.

    Parameters
    ----------
    name : str
        ``"log cosh"`` for ψ(u) = log cosh(u/2), ``"gaussian"`` for ψ(u) = 1 − e^{−u²/2}.
    reach : float
        The largest |u| that matters.
    accuracy : float
        The largest error accepted, relative to 1 + reach; ten times that in the first derivative.
    order : int, default 0
        Which derivative of ψ is what matters.

    Examples
    --------
    >>> found = cosine_sum("log cosh", 2.0, 1e-14)
    >>> len(found.weights), found.reach > 2, max(found.errors[:2]) < 1e-14
    (8, True, True)
    """
    most = accuracy * (1 + reach)
    fits = (
        found
        for found in _stored(name)
        if found.reach >= reach and found.errors[order] <= most and found.errors[order + 1] <= 10 * most
    )
    return min(fits, key=lambda found: (len(found.weights), -found.reach), default=None)


@cache
def _stored(name: str) -> tuple[CosineSum, ...]:
    text = resources.files("mastsim.problems").joinpath("cosine_sums.json").read_text()
    return tuple(
        CosineSum(each["reach"], tuple(each["errors"]), np.array(each["frequencies"]), np.array(each["weights"]))
        for each in json.loads(text)[name]
    )


def total(weights: np.ndarray) -> float:
    """Return Σ g_k, rounded once."""
    return math.fsum(weights)
