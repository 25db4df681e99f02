"""E[SᵀAS] with what is known of A and what the sketch's rounding adds."""

from __future__ import annotations

import math

import numpy as np

from mastsim.linalg import Curvature, Pair
from mastsim.rounding import PAIR_EPS
from mastsim.sketches import Selection, Sketch

_EPS = float(np.finfo(float).eps)
_STACK_LIMIT = 64


def sketched_curvature(sketch: Sketch, curvature: Curvature) -> Curvature:
    """Return E[SᵀAS].

    Parameters
    ----------
    sketch : Sketch
        The law of S.
    curvature : Curvature
        A, of the same dimension.

    Returns
    -------
    Curvature
        A itself where S is the identity. For S = Diag(c) the entries are those of A times E[c_i c_j], so that doubts stay
        relative to the diagonal; otherwise rounding may be as large as L_S^max·λ_max(A) allows.
    """
    if sketch.support_size == 1 and sketch.unbiased:
        return curvature
    doubt = curvature.doubt + 8 * (PAIR_EPS if isinstance(sketch.law, Selection) else _EPS)
    if isinstance(sketch.law, Selection):
        product = _second_moments(sketch.law) * curvature.pair
    else:
        rest = np.zeros_like(curvature.matrix) if curvature.low is None else sketch.quadratic_moment(curvature.low)
        product = Pair(sketch.quadratic_moment(curvature.matrix), rest)
    if not sketch.is_diagonal:
        doubt = _doubt_of_products(sketch, curvature, np.diag(product.hi))
    if not curvature.is_proven_semidefinite:
        return Curvature(product.hi, product.lo, doubt)
    return Curvature(product.hi, product.lo, doubt, curvature.floor * sketch.mu_D, _stack(sketch, curvature), True)


def _second_moments(selection: Selection) -> Pair:
    """Return E[c_i c_j] for a mask, to 106 bits: M/N within a unit, M(N − 1)/(N(M − 1)) within a group, 1 elsewhere."""
    M, N = Pair.of(selection.members), Pair.of(selection.kept)
    single, beside = (
        M / N,
        Pair.of(selection.members * (selection.kept - 1))
        / Pair.of(np.where(selection.members > 1, selection.kept * (selection.members - 1), 1.0)),
    )
    group, unit = selection.group[selection.unit], selection.unit
    together = (group[:, None] == group[None, :]) & (selection.members > 1)[group][:, None]
    same = unit[:, None] == unit[None, :]
    parts = []
    for own, other, rest in ((single.hi, beside.hi, 1.0), (single.lo, beside.lo, 0.0)):
        parts.append(np.where(same, own[group][:, None], np.where(together, other[group][:, None], rest)))
    return Pair(*parts)


def _doubt_of_products(sketch: Sketch, curvature: Curvature, diagonal: np.ndarray) -> float:
    """Return what rounding of SᵀAS may change in an entry, relative to the least √(h_ii h_jj)."""
    live = diagonal[diagonal > 0]
    if not live.size:
        return 0.0
    size = sketch.L_max if math.isfinite(sketch.L_max) else sketch.dim * sketch.L_D
    top = float(np.abs(curvature.spectrum).max())
    return (8 * sketch.dim * _EPS + curvature.doubt * sketch.dim) * size * top / float(live.min())


def _stack(sketch: Sketch, curvature: Curvature) -> tuple[tuple[np.ndarray, ...], ...] | None:
    """Return A's rows times every S, whose common kernel is that of E[SᵀAS], for few sketches of a few dimensions."""
    rows = curvature.kernel_stack
    small = sketch.support_size <= _STACK_LIMIT and sketch.dim <= _STACK_LIMIT
    if rows is None or not small or curvature.floor > 0 or any(len(block) > 1 for block in rows):
        return None
    matrices = np.asarray(sketch.support()[0].matrices())
    return tuple((block[0], S) for block in rows for S in matrices)
