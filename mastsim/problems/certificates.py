"""Points with a proof of how far they are from optimal."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from mastsim.linalg import QuadraticForm
from mastsim.provenance import Constant, Kind
from mastsim.readonly import ReadOnly

_ACCURACY = 2e-9  # of the value that makes a minimum exact
_NOTHING = 1e-12  # a bound so small is worth no warning, whatever it is beside the value


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
        A proven bound on ``|value - infimum|``, rounding included; infinite when nothing is known.
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
    rounding : float, default 0.0
        A bound on how far `value` may be below the function at `x` for rounding alone, so that the infimum is not above
        their sum.
    """

    x: np.ndarray
    value: float
    gap_bound: float
    gradient_norm: float
    certificate: str
    proven: bool = True
    scale: float = 0.0
    excess_bound: float = math.nan
    rounding: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "x", np.asarray(self.x, dtype=float))
        super().__post_init__()
        if math.isnan(self.excess_bound):
            object.__setattr__(self, "excess_bound", self.gap_bound)

    def infimum(self) -> Constant:
        """Return the infimum with its tier of truth: exact up to the bound, or an upper bound on it, or an estimate.

        An upper bound is moved up by the rounding of the value, and its error says how far below it the infimum may be.
        """
        small = self.gap_bound <= max(_ACCURACY * abs(self.value), 1e-12 * self.scale)
        kind: Kind = "estimate" if not self.proven else "exact" if small else "upper"
        moved = self.rounding if kind == "upper" else 0.0
        return Constant(self.value + moved, kind, f"value at a minimiser; {self.certificate}", self.gap_bound + moved)


class CertificateWarning(UserWarning):
    """A minimum whose certificate does not reach the accuracy of an exact value; the message says by how much, and why."""


def certified(objective: Any, x: np.ndarray, mu: float, smoothness: float) -> Minimum:
    """Return `x` with the sharper of two certificates: ‖gradient‖²/(2μ), and value − lower bound.

    Where μ = 0 the first is ‖gradient‖·‖x − x*‖, if anything is known of where a minimiser x* is.

    Both hold for the number that is reported: the rounding of the value is added, that of the gradient enlarges its norm.
    """
    value, gradient = float(objective.value(x)), np.asarray(objective.gradient(x))
    slack, hidden = float(objective.error_bound(x)), float(objective.gradient_error(x))
    norm, floor = float(np.linalg.norm(gradient)), value - float(objective.lower_bound)
    # The infimum is at most the value, which may be rounded down.
    above, floor = floor + slack, max(floor, slack) if math.isfinite(value) else math.inf
    where = "stationary point of a nonconvex function; " if mu < 0 else ""
    if mu > 0:
        # The last factor covers the rounding of this line.
        excess = (norm + hidden) ** 2 / (2 * min(mu, smoothness)) * (1 + 1e-14)
        if (bound := (excess + slack) * (1 + 1e-14)) <= floor:
            how = f"‖gradient‖²/(2μ) with μ = {mu:.6g}, and rounding"
            return Minimum(x, value, bound, norm, how, excess_bound=excess, rounding=slack)
    if mu == 0 and (reach := objective.sublevel_radius(value + slack)) < math.inf:
        excess = (norm + hidden) * (float(np.linalg.norm(x)) + reach) * (1 + 1e-14)
        if (bound := (excess + slack) * (1 + 1e-14)) <= floor:
            how = f"convexity, a gradient of {norm:.3g} and a minimiser within {reach:.3g} of 0, and rounding"
            return Minimum(x, value, bound, norm, how, excess_bound=excess, rounding=slack)
    how = f"{where}value minus the lower bound {objective.lower_bound:g}"
    return Minimum(x, value, floor, norm, how, excess_bound=above, rounding=slack)


def below(constant: Constant) -> float:
    """Return a number that a strong convexity constant is not below, 0 where its error is larger than it is."""
    least = constant.value - constant.error if constant.kind != "estimate" else 0.0
    return max(least, 0.0) if constant >= 0 else least


def report(objective: Any, found: Minimum, mu: float, accuracy: float | None = None) -> None:
    """Warn where a minimum is not certified within the accuracy asked for, or else within that of an exact value.

    Without an accuracy asked for, a minimum of which nothing is proven says so itself, and so does one without convexity.
    """
    wanted = max(_ACCURACY * abs(found.value), _NOTHING) if accuracy is None else accuracy
    within = found.gap_bound if accuracy is None else found.excess_bound
    if within <= wanted or (accuracy is None and (mu < 0 or not found.proven)):
        return
    asked = "of an exact value" if accuracy is None else "asked for"
    warnings.warn(
        f"{objective.name}: the minimum {found.value:.9g} is certified within {within:.3g} only, "
        f"{within / wanted:.3g} times the {wanted:.3g} {asked}: {_reason(objective, found, mu)}",
        CertificateWarning,
        stacklevel=5,
    )


def reported(objective: Any, found: Minimum, accuracy: float | None) -> Minimum:
    """Return the minimum of a quadratic; warn where an accuracy was asked for and is not met."""
    if accuracy is not None:
        report(objective, found, math.inf, accuracy)
    return found


def _reason(objective: Any, found: Minimum, mu: float) -> str:
    if not found.proven or found.excess_bound == math.inf or mu == math.inf:
        return found.certificate
    if mu <= 0:
        what = f"the function is not strongly convex (μ = {mu:.3g})"
        if objective.sublevel_radius(found.value) < math.inf:
            return f"{what} along its intercept, and is certified by {found.certificate}"
        return f"{what}, so that only its lower bound says how low it goes; regularisation l2 > 0 makes it so"
    hidden = float(objective.gradient_error(found.x))
    if found.gradient_norm <= 2 * hidden:
        return (
            f"the gradient has only its rounding left, up to {hidden:.3g}, which a strong convexity of μ = {mu:.3g} turns "
            "into that; scale the columns of the data, or take a larger l2"
        )
    return f"the search ended where the gradient has norm {found.gradient_norm:.3g}, and μ = {mu:.3g}"


def quadratic_minimum(problem: Any, form: QuadraticForm, center: np.ndarray | None = None) -> Minimum:
    """Return the minimiser of least norm of a quadratic function that is bounded below."""
    bottom = form.minimize(center)
    norm = float(np.linalg.norm(problem.gradient(bottom.point)))
    how = "Cholesky factor with residuals of 106 bits"
    if not bottom.proven:
        how = "nothing is proven: eigenvalues of the Hessian that are below rounding were taken for 0"
    scale = float(form.constant.size) + abs(bottom.value)
    rounding = bottom.error - bottom.excess + 4 * float(np.finfo(float).eps) * bottom.error
    return Minimum(bottom.point, bottom.value, bottom.error, norm, how, bottom.proven, scale, bottom.excess, rounding)
