"""Points with a proof of how far they are from optimal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from mastsim.linalg import QuadraticForm
from mastsim.provenance import Constant, Kind


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
        A proven bound on ``value - infimum``, rounding included; infinite when nothing is known.
    gradient_norm : float
        Norm of the gradient there.
    certificate : str
        The inequality that proves the bound.
    proven : bool, default True
        Whether the bound is proven; otherwise it is a guess.
    scale : float, default 0.0
        The size of the terms of which `value` is the difference, for those that know it.
    excess_bound : float, optional
        A bound on how far the function at `x` is above its infimum, whatever the rounding of `value`; `gap_bound` when left
        out.
    """

    x: np.ndarray
    value: float
    gap_bound: float
    gradient_norm: float
    certificate: str
    proven: bool = True
    scale: float = 0.0
    excess_bound: float = math.nan

    def __post_init__(self) -> None:
        x = np.array(self.x, dtype=float)
        x.setflags(write=False)
        object.__setattr__(self, "x", x)
        if math.isnan(self.excess_bound):
            object.__setattr__(self, "excess_bound", self.gap_bound)

    def infimum(self) -> Constant:
        """Return the infimum with its tier of truth: exact up to the bound, or an upper bound on it, or an estimate."""
        small = self.gap_bound <= max(2e-9 * abs(self.value), 1e-12 * self.scale)
        kind: Kind = "estimate" if not self.proven else "exact" if small else "upper"
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


def quadratic_minimum(problem: Any, form: QuadraticForm, center: np.ndarray | None = None) -> Minimum:
    """Return the minimiser of least norm of a quadratic function that is bounded below.

    Parameters
    ----------
    problem : Problem or Objective
        The function, for the norm of its gradient.
    form : QuadraticForm
        The same function of z = x − center.
    center : ndarray, shape (dim,), optional
        Zero when left out.
    """
    bottom = form.minimize(center)
    norm = float(np.linalg.norm(problem.gradient(bottom.point)))
    how = "Cholesky factor with residuals of 106 bits"
    if not bottom.proven:
        how = "nothing is proven: eigenvalues of the Hessian that are below rounding were taken for 0"
    scale = float(form.constant.size) + abs(bottom.value)
    return Minimum(bottom.point, bottom.value, bottom.error, norm, how, bottom.proven, scale, bottom.excess)
