"""Which operators a sketch gets."""

from __future__ import annotations

import numpy as np

from mastsim.moments.operators.base import MomentOperators
from mastsim.moments.operators.diagonal import exchangeable_units, independent_units
from mastsim.moments.operators.finite import RotatedOperators, enumerated_operators, rotation_matrix
from mastsim.moments.operators.groups import group_operators
from mastsim.sketches import IndependentDiagonal, Rotated, SelectionSketch, Sketch

_SYMMETRIC = 1e-12


def moment_operators(sketch: Sketch, A: np.ndarray) -> MomentOperators:
    """Return the maps M ↦ E[HMH], E[HMS], E[SᵀMS] for H = SᵀAS.

    Selections (Bernoulli, Rand-K, blocks, N:M, one client of Perm-K) and independent diagonals of any kind have closed
    forms of O(dim³); rotated sketches those of the sketch that is rotated; all others are enumerated when they have few
    values.

    Parameters
    ----------
    sketch : Sketch
        The law of S.
    A : ndarray, shape (dim, dim)
        Symmetric matrix.

    Returns
    -------
    MomentOperators
        With `mean` = E[H] and the methods `curvature2`, `mixed` and `plain`.

    Raises
    ------
    ValueError
        If `A` is not symmetric or not (dim, dim), or the sketch has neither a closed form nor few values, as Haar and
        Gaussian sketches.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> moment_operators(ms.RandK(300, 30), np.eye(300)).curvature2(np.eye(300))[:2, :2].round(9)
    array([[1000.,    0.],
           [   0., 1000.]])
    """
    A = _symmetric(sketch.check_matrix(A))
    if sketch.support_size == 1:
        return enumerated_operators(sketch, A)
    if isinstance(sketch, Rotated):
        Q = rotation_matrix(sketch)
        inside = Q @ A @ Q.T
        return RotatedOperators(sketch, A, moment_operators(sketch.sketch, (inside + inside.T) / 2), Q)
    if isinstance(sketch, IndependentDiagonal):
        return independent_units(sketch, A)
    if not isinstance(sketch, SelectionSketch):
        return enumerated_operators(sketch, A)
    if sketch.selection.independent:
        return independent_units(sketch, A)
    if len(sketch.selection.members) == 1:
        return exchangeable_units(sketch, A)
    return group_operators(sketch, A)


def _symmetric(A: np.ndarray) -> np.ndarray:
    off = float(np.abs(A - A.T).max())
    if off > _SYMMETRIC * float(np.abs(A).max()):
        raise ValueError(f"A is not symmetric: it differs from its transpose by {off:.3g} (largest entry); pass (A + Aᵀ)/2")
    return (A + A.T) / 2
