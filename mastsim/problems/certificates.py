"""Points with a proof of how far they are from optimal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mastsim.provenance import Constant
from mastsim.readonly import ReadOnly

if TYPE_CHECKING:
    from mastsim.problems.base import Problem


@dataclass(frozen=True, eq=False)
class Minimum(ReadOnly):
    """A point with a proof of how far it is from optimal.

    Parameters
    ----------
    x : ndarray, shape (dim,)
        The point; kept as a copy that cannot be written to, since a minimum is computed once and handed to many.
    value : float
        The objective there.
    gap_bound : float
        A proven bound on ``value - infimum``; infinite when nothing is proven.
    gradient_norm : float
        Norm of the gradient there.
    certificate : str
        The inequality that proves the bound.
    """

    x: np.ndarray
    value: float
    gap_bound: float
    gradient_norm: float
    certificate: str

    def infimum(self) -> Constant:
        """Return the infimum with its tier of truth: exact up to the bound, or an upper bound on it."""
        kind: Any = "exact" if self.gap_bound <= 1e-9 * max(1.0, abs(self.value)) else "upper"
        return Constant(self.value, kind, f"value at a minimiser; {self.certificate}", self.gap_bound)


def certified(objective: Any, x: np.ndarray, mu: float, smoothness: float) -> Minimum:
    """Return `x` with the sharper of two certificates: ‖gradient‖²/(2μ), and value − lower bound.

    The norm is enlarged by what rounding may have hidden: 1e-14 of the smoothness (where that is infinite, of the curvature
    at the point) times the size of the point.
    """
    value = float(objective.value(x))
    norm = float(np.linalg.norm(objective.gradient(x)))
    floor = max(value - objective.lower_bound, 0.0)
    if mu > 0:
        if not math.isfinite(smoothness):
            smoothness = float(np.linalg.norm(objective.hessian(x)))
        hidden = 1e-14 * smoothness * (1.0 + float(np.linalg.norm(x)))
        if (norm + hidden) ** 2 / (2 * mu) <= floor:
            return Minimum(x, value, (norm + hidden) ** 2 / (2 * mu), norm, f"‖gradient‖²/(2μ) with μ = {mu:.6g}")
    where = "stationary point of a nonconvex function; " if mu < 0 else ""
    return Minimum(x, value, floor, norm, f"{where}value minus the lower bound {objective.lower_bound:g}")


def least_norm_solution(A: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the solution of Ax = b of least norm, taking eigenvalues below 1e-13 of the largest for zero."""
    solution: np.ndarray = np.linalg.lstsq(A, b, rcond=1e-13)[0]
    return solution


def quadratic_minimum(problem: Problem, x: np.ndarray, slope: float) -> Minimum:
    """Return a minimiser of a quadratic f ≥ inf f > −∞ with a certificate of one term for each eigenvalue.

    With a single μ the certificate would be too good as soon as f has a smaller positive eigenvalue than that μ. Where
    an eigenvalue is lost in rounding, f is taken to be constant (it is bounded below), unless the gradient says otherwise.

    Parameters
    ----------
    problem : Problem
        A quadratic f, of a dimension for which matrices can be formed.
    x : ndarray, shape (dim,)
        The minimiser, as good as rounding allows.
    slope : float
        The size of the terms that cancel in the gradient.
    """
    spectrum, basis = np.linalg.eigh(problem.upper_curvature.matrix)
    rounding = 4 * problem.dim * np.finfo(float).eps
    top, gradient = max(float(spectrum[-1]), 0.0), np.asarray(problem.gradient(x))
    parts, floor = np.abs(basis.T @ gradient), max(rounding * top, np.finfo(float).tiny)
    hidden = rounding * (top * float(np.linalg.norm(x)) + slope)
    counted = np.where((spectrum <= floor) & (parts <= hidden), 0.0, parts)
    gap = float((counted**2 / (2 * np.maximum(spectrum, floor))).sum())
    return Minimum(x, float(problem.value(x)), gap, float(np.linalg.norm(gradient)), "½ Σ gradientᵢ²/λᵢ over the spectrum")
