"""The eigenvalues that theory asks of a sketch, each with its tier of truth and its rounding."""

from __future__ import annotations

import math

from mastsim.provenance import Constant, Kind
from mastsim.rounding import EPS
from mastsim.sketches.base import Sketch


def L_D(sketch: Sketch) -> Constant:
    """Return λ_max(E[SᵀS]).

    Examples
    --------
    >>> import mastsim as ms
    >>> S = ms.RandK(4, k=1)
    >>> L_D(S), mu_D(S).value, L_S_max(S).value
    (Constant(4, 'exact', 'λ_max(E[SᵀS]) (MAST, Section 2)'), 4.0, 16.0)
    """
    return _labelled(sketch, sketch.L_D, "exact", "λ_max(E[SᵀS]) (MAST, Section 2)")


def mu_D(sketch: Sketch) -> Constant:
    """Return λ_min(E[SᵀS])."""
    return _labelled(sketch, sketch.mu_D, "exact", "λ_min(E[SᵀS]) (MAST, Section 2)")


def L_S_max(sketch: Sketch) -> Constant:
    """Return the essential supremum of λ_max(SᵀS), or an upper bound of it."""
    kind: Kind = "exact" if sketch.L_max_is_exact else "upper"
    return _labelled(sketch, sketch.L_max, kind, "ess sup λ_max(SᵀS) (MAST, Section 2)")


def _labelled(sketch: Sketch, value: float, kind: Kind, source: str) -> Constant:
    """Return an eigenvalue with its rounding, which is relative to the largest of its matrix unless that is diagonal."""
    if value == math.inf:
        return Constant(value, kind, source)
    size = abs(value) if sketch.is_diagonal else 4 * sketch.dim * max(abs(value), sketch.L_D)
    return Constant(value, kind, source, 4 * EPS * size)
