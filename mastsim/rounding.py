"""The unit of rounding, and how much of it a sum takes."""

from __future__ import annotations

from typing import Any

import numpy as np

EPS = float(np.finfo(float).eps)
"""The distance of 1 from the next larger number."""
PAIR_EPS = 2.0**-102
"""Bound on the relative error of one addition or product of unevaluated sums of two floats, with room to spare."""


def summed(count: Any) -> Any:
    """Return γ = mu/(1 − mu), the relative error of a sum of m products, with the unit roundoff u = ε/2.

    The error is relative to the sum of their sizes, in whatever order the sum is taken.

    Parameters
    ----------
    count : float or ndarray
        The number m of products.

    Examples
    --------
    >>> bool(summed(1) >= EPS / 2)
    True
    """
    return count * (0.5 * EPS) / (1 - np.minimum(count * EPS, 0.5))
