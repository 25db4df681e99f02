"""Which columns of a table of data are taken where all are too many."""

from __future__ import annotations

from typing import Any

import numpy as np


def widest(A: Any, count: int) -> np.ndarray | Any:
    """Return the columns of the largest variance, in their order.

    Parameters
    ----------
    A : array or scipy.sparse array, shape (n, dim)
        The table.
    count : int
        How many, at most dim.

    Examples
    --------
    >>> widest(np.array([[1.0, 0.0, 5.0], [1.0, 1.0, -5.0]]), 2)
    array([[ 0.,  5.],
           [ 1., -5.]])
    """
    mean = np.asarray(A.mean(axis=0)).ravel()
    square = np.asarray((A.power(2) if hasattr(A, "power") else A**2).mean(axis=0)).ravel()
    return A[:, np.sort(np.argsort(mean**2 - square, kind="stable")[:count])]
