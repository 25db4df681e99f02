"""Points with a proof of how far they are from optimal."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mastsim.provenance import Constant

if TYPE_CHECKING:
    from mastsim.problems.base import Problem

_ACCURACY = 1e-9  # of the value, or absolute for values below 1, that makes a minimum exact


@dataclass(frozen=True, eq=False)
class Minimum:
    """A point with a proof of how far it is from optimal.

    Parameters
    ----------
    x : ndarray, shape (dim,)
        The point; kept as a copy that cannot be written to, since a minimum is computed once and handed to many.
    value : float
        The objective there.
    gap_bound : float
        A proven bound on ``|value - infimum|``, the rounding of the value counted; infinite when nothing is proven.
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

    def __post_init__(self) -> None:
        x = np.array(self.x, dtype=float)
        x.setflags(write=False)
        object.__setattr__(self, "x", x)

    def infimum(self) -> Constant:
        """Return the infimum with its tier of truth: exact up to the bound, or an upper bound on it."""
        kind: Any = "exact" if self.gap_bound <= _ACCURACY * max(1.0, abs(self.value)) else "upper"
        return Constant(self.value, kind, f"value at a minimiser; {self.certificate}", self.gap_bound)


class CertificateWarning(UserWarning):
    """A minimum whose certificate does not reach the accuracy of an exact value; the message says by how much, and why."""


def certified(objective: Any, x: np.ndarray, mu: float, smoothness: float) -> Minimum:
    """Return `x` with the sharper of two certificates: ‖gradient‖²/(2μ), and value − lower bound.

    Both hold for the number that is reported: the rounding of the value is added, that of the gradient enlarges its norm.

    Parameters
    ----------
    objective : Problem or Objective
        The function, with `value`, `gradient`, their bounds `error_bound` and `gradient_error`, and `lower_bound`.
    x : ndarray, shape (dim,)
        The point.
    mu : float
        A strong convexity constant; 0 for functions that are only convex, negative for others.
    smoothness : float
        A smoothness constant; a gap of ‖gradient‖²/(2·smoothness) is certain, and the bound is never below it.
    """
    value, gradient = float(objective.value(x)), np.asarray(objective.gradient(x))
    slack, hidden = float(objective.error_bound(x)), float(objective.gradient_error(x))
    norm, floor = float(np.linalg.norm(gradient)), value - float(objective.lower_bound)
    # The infimum is at most the value, which may be rounded down.
    floor = max(floor, slack) if math.isfinite(value) else math.inf
    where = "stationary point of a nonconvex function; " if mu < 0 else ""
    if mu > 0:
        # The last factor covers the rounding of this line.
        bound = ((norm + hidden) ** 2 / (2 * min(mu, smoothness)) + slack) * (1 + 1e-14)
        if bound <= floor:
            return Minimum(x, value, bound, norm, f"‖gradient‖²/(2μ) with μ = {mu:.6g}, and rounding")
    return Minimum(x, value, floor, norm, f"{where}value minus the lower bound {objective.lower_bound:g}")


def certified_minimum(objective: Any, x: np.ndarray, mu: float, smoothness: float) -> Minimum:
    """Return what `certified` makes of a point that is as good as the search for a minimiser could make it.

    Parameters
    ----------
    objective, x, mu, smoothness
        As in `certified`.

    Warns
    -----
    CertificateWarning
        If the function is convex and the bound is larger than 1e-9 of the value, or than 1e-9 for smaller values.
    """
    found = certified(objective, x, mu, smoothness)
    if mu >= 0 and found.gap_bound > _ACCURACY * max(1.0, abs(found.value)):
        _warn(objective, found, mu)
    return found


def _warn(objective: Any, found: Minimum, mu: float) -> None:
    wanted, hidden = _ACCURACY * max(1.0, abs(found.value)), float(objective.gradient_error(found.x))
    if mu == 0:
        why = (
            "the function is not strongly convex (μ = 0), so that only its lower bound says how low it goes; "
            "regularisation l2 > 0 makes it so"
        )
    elif found.gradient_norm <= 2 * hidden:
        why = (
            f"the gradient has only its rounding left, up to {hidden:.3g}, which a strong convexity of μ = {mu:.3g} turns "
            "into that; scale the columns of the data, or take a larger l2"
        )
    else:
        why = f"the search ended where the gradient has norm {found.gradient_norm:.3g}, and μ = {mu:.3g}"
    warnings.warn(
        f"{objective.name}: the minimum {found.value:.9g} is certified within {found.gap_bound:.3g} only, "
        f"{found.gap_bound / wanted:.3g} times the {wanted:.3g} of an exact value: {why}",
        CertificateWarning,
        stacklevel=4,
    )


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
