"""Symmetric parts of matrices."""

from __future__ import annotations

import numpy as np


def symmetric_part(M: np.ndarray) -> np.ndarray:
    """Return (M + Mᵀ)/2, exactly symmetric, for a square matrix."""
    return np.asarray((M + M.T) / 2)
