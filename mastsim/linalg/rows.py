"""Quadratic forms of a data matrix: Gram matrices in 106-bit arithmetic where that is affordable."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from mastsim.linalg import double_double as dd
from mastsim.linalg.curvature import Curvature
from mastsim.linalg.factor import PRECISE_LIMIT
from mastsim.linalg.pairs import Pair
from mastsim.linalg.quadratic_form import QuadraticForm

WORK_LIMIT = 10**8
"""Most products of entries that are added up in 106-bit arithmetic for one Gram matrix."""

_STACK_LIMIT = 2**24
_EPS = float(np.finfo(float).eps)


def gram_form(A: Any, slopes: np.ndarray, bend: float, ridge: float) -> QuadraticForm:
    """Return (1/n) Σ_i [½ bend·(a_iᵀx)² + slopes_i a_iᵀx + slopes_i²/(2·bend)] + (ridge/2)‖x‖² as a form of x.

    Parameters
    ----------
    A : array or scipy.sparse matrix, shape (n, dim)
        One row a data point.
    slopes : ndarray, shape (n,)
        Derivatives at zero of the losses of the rows.
    bend : float
        Their second derivative, above 0.
    ridge : float
        The regularisation, at least 0.
    """
    rows, dim = A.shape
    matrix = sparse.csr_matrix(A)
    work = int((np.diff(matrix.indptr).astype(np.int64) ** 2).sum())
    if dim > PRECISE_LIMIT or work > WORK_LIMIT:
        return _plain(matrix, slopes, bend, ridge)
    both = sparse.hstack([matrix, slopes[:, None]], format="csr")
    hi, lo = dd.gram(both.indptr.astype(np.int64), both.indices.astype(np.int64), both.data, dim + 1)
    total = Pair(hi, lo) / Pair.of(float(rows))
    curvature = total[:dim, :dim] * Pair.of(bend) + Pair.of(ridge * np.eye(dim))
    constant = total[dim, dim] / Pair.of(2 * bend)
    # A number of rows that is a power of 2, or small integers, leave no rounding; otherwise each entry has one of 106 bits.
    doubt = (rows + 4) * dd.UNIT
    diagonal = np.sqrt(np.abs(np.diag(total.hi)))
    error = doubt * diagonal[:dim] * diagonal[dim]
    return QuadraticForm(
        Curvature(curvature.hi, curvature.lo, doubt, ridge, _stack(matrix), True),
        total[:dim, dim],
        constant,
        error,
        doubt * float(constant.size),
    )


def _plain(A: Any, slopes: np.ndarray, bend: float, ridge: float) -> QuadraticForm:
    """Return the same form from products of floats, with the doubt that they leave."""
    rows, dim = A.shape
    gram = np.asarray((A.T @ A).todense()) / rows
    doubt = (rows + 4) * _EPS
    slope, constant = np.asarray(A.T @ slopes) / rows, float(slopes @ slopes) / (2 * bend * rows)
    error = doubt * np.sqrt(np.diag(gram) * (slopes @ slopes) / rows)
    curvature = Curvature(bend * gram + ridge * np.eye(dim), None, doubt, ridge, _stack(A), True)
    return QuadraticForm(curvature, Pair.of(slope), Pair.of(constant), error, doubt * constant)


def _stack(A: Any) -> tuple[tuple[np.ndarray, ...], ...] | None:
    """Return the rows written out, whose kernel is that of the Gram matrix, unless they take too much memory."""
    if A.shape[0] * A.shape[1] > _STACK_LIMIT:
        return None
    return ((np.asarray(A.toarray() if hasattr(A, "toarray") else A, dtype=float),),)
