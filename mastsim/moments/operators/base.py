"""Symmetric parts."""

from __future__ import annotations

import numpy as np


def symmetric(M: np.ndarray) -> np.ndarray:
    """Return (M + Mᵀ)/2.

    Parameters
    ----------
    M : ndarray, shape (dim, dim)
        Any matrix.

    Returns
    -------
    ndarray, shape (dim, dim)
        Its symmetric part.

    Examples
    --------
    >>> symmetric(np.array([[0.0, 2.0], [0.0, 0.0]]))
    array([[0., 1.],
           [1., 0.]])
    """
    return (M + M.T) / 2
