"""Means over replicas with their standard errors."""

from __future__ import annotations

import math

import numpy as np


def mean_and_error(table: np.ndarray, alone: float = math.nan) -> tuple[np.ndarray, np.ndarray]:
    """Return means over replicas and their standard errors s/√n, with s² the sum of squared deviations over n − 1.

    Parameters
    ----------
    table : ndarray, shape (replicas, ...)
        One row a replica, at least one.
    alone : float, default NaN
        The error of a single finite replica, which says nothing of its own: 0 where all replicas are known to be alike.

    Returns
    -------
    ndarray, ndarray, shape (...) each
        Means and errors; the error is NaN where a replica is not finite.

    Examples
    --------
    >>> mean, error = mean_and_error(np.array([[1.0], [3.0]]))
    >>> mean.tolist(), error.tolist(), mean_and_error(np.array([[2.0]]))[1].tolist()
    ([2.0], [1.0], [nan])
    """
    table = np.asarray(table, dtype=float)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = np.asarray(table.mean(axis=0))
        if len(table) == 1:
            return mean, np.where(np.isfinite(mean), alone, math.nan)
        return mean, np.asarray(table.std(axis=0, ddof=1) / len(table) ** 0.5)
