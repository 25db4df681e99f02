"""Transposes, symmetric parts and outer products along the last axes, of one matrix or of many."""

from __future__ import annotations

import numpy as np


def transposed(M: np.ndarray) -> np.ndarray:
    """Return Mᵀ of every matrix, shape (…, columns, rows)."""
    return M.swapaxes(-1, -2)


def symmetric_part(M: np.ndarray) -> np.ndarray:
    """Return (M + Mᵀ)/2, exactly symmetric, of every square matrix."""
    return np.asarray((M + M.swapaxes(-1, -2)) / 2)


def outer(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return xyᵀ of every pair of vectors, shape (…, rows, columns)."""
    return np.asarray(x[..., :, None] * y[..., None, :])


def diagonal(M: np.ndarray) -> np.ndarray:
    """Return the diagonal of every square matrix, shape (…, dim)."""
    return np.diagonal(M, axis1=-2, axis2=-1)
