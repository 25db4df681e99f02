"""Quadratic forms of a data matrix: Gram matrices in 106-bit arithmetic where that is affordable."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from mastsim.linalg.curvature import Curvature
from mastsim.linalg.factor import PRECISE_LIMIT
from mastsim.linalg.pairs import Pair
from mastsim.linalg.quadratic_form import QuadraticForm
from mastsim.rounding import PAIR_EPS

WORK_LIMIT = 10**8
"""Most products of entries that are added up in 106-bit arithmetic for one Gram matrix."""

_STACK_LIMIT = 2**24
_EPS = float(np.finfo(float).eps)


def gram_form(
    A: Any, slopes: np.ndarray, bend: float, penalties: np.ndarray, weights: np.ndarray | None = None
) -> QuadraticForm:
    """Return (1/n) Σ_i w_i[½ bend·(a_iᵀx)² + slopes_i a_iᵀx + slopes_i²/(2·bend)] + ½ Σ_j penalties_j x_j² as a form of x.

    Parameters
    ----------
    A : array or scipy.sparse matrix, shape (n, dim)
        One row a data point.
    slopes : ndarray, shape (n,)
        Derivatives at zero of the losses of the rows.
    bend : float
        Their second derivative, above 0.
    penalties : ndarray, shape (dim,)
        The regularisation of each coordinate, at least 0.
    weights : ndarray, shape (n,), optional
        The w_i ≥ 0; all 1 when left out.
    """
    rows, dim = A.shape
    matrix, plain, rooted = sparse.csr_matrix(A), A, 0.0
    if weights is not None:
        # The kernel is that of the rows as they are: their products with rounded roots may be of another rank.
        root, plain, rooted = np.sqrt(weights), sparse.csr_matrix(A)[np.flatnonzero(weights)], 4 * _EPS
        matrix, slopes = sparse.csr_matrix(sparse.diags(root) @ matrix), root * slopes
    work = int((np.diff(matrix.indptr).astype(np.int64) ** 2).sum())
    if dim > PRECISE_LIMIT or work > WORK_LIMIT:
        return _plain(matrix, plain, slopes, bend, penalties)
    both = sparse.hstack([matrix, slopes[:, None]], format="csr")
    from mastsim.linalg.double_double import gram

    hi, lo = gram(both.indptr.astype(np.int64), both.indices.astype(np.int64), both.data, dim + 1)
    total = Pair(hi, lo) / Pair.of(float(rows))
    curvature = total[:dim, :dim] * Pair.of(bend) + Pair.of(np.diag(penalties))
    constant = total[dim, dim] / Pair.of(2 * bend)
    # A number of rows that is a power of 2, or small integers, leave no rounding; otherwise each entry has one of 106 bits.
    doubt = (rows + 4) * PAIR_EPS + rooted
    diagonal = np.sqrt(np.abs(np.diag(total.hi)))
    error = doubt * diagonal[:dim] * diagonal[dim]
    return QuadraticForm(
        Curvature(curvature.hi, curvature.lo, doubt, float(penalties.min()), _stack(plain, penalties), True),
        total[:dim, dim],
        constant,
        error,
        doubt * float(constant.size),
    )


def _plain(A: Any, plain: Any, slopes: np.ndarray, bend: float, penalties: np.ndarray) -> QuadraticForm:
    """Return the same form from products of floats, with the doubt that they leave."""
    rows = A.shape[0]
    gram = np.asarray((A.T @ A).todense()) / rows
    doubt = (rows + 8) * _EPS
    slope, constant = np.asarray(A.T @ slopes) / rows, float(slopes @ slopes) / (2 * bend * rows)
    error = doubt * np.sqrt(np.diag(gram) * (slopes @ slopes) / rows)
    matrix = bend * gram + np.diag(penalties)
    curvature = Curvature(matrix, None, doubt, float(penalties.min()), _stack(plain, penalties), True)
    return QuadraticForm(curvature, Pair.of(slope), Pair.of(constant), error, doubt * constant)


def _stack(A: Any, penalties: np.ndarray) -> tuple[tuple[np.ndarray, ...], ...] | None:
    """Return matrices whose common kernel is that of the form's, unless they take too much memory."""
    if A.shape[0] * A.shape[1] > _STACK_LIMIT:
        return None
    rows = np.asarray(A.toarray() if hasattr(A, "toarray") else A, dtype=float)
    # Where all are penalised the kernel is zero, and known by its floor; where none is, rows alone make it.
    mixed = penalties.max(initial=0.0) > penalties.min(initial=0.0)
    return ((rows,), (np.diag(penalties),)) if mixed else ((rows,),)
