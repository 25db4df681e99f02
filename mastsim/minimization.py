"""Minimisation of smooth functions to rounding accuracy: damped Newton steps in scaled columns.

For a convex function every decision can be made from slopes along a line, which stay accurate where the rounding of values
hides their decrease.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve, qr, solve_triangular
from scipy.optimize import minimize
from scipy.sparse.linalg import LinearOperator, cg
from threadpoolctl import threadpool_limits

Vector = np.ndarray
Enough = Callable[[float, np.ndarray], bool]
"""Says whether a point with such a value and gradient is good enough."""

DENSE = 1000
"""Largest dimension for which Newton steps are taken with a matrix; beyond, by conjugate gradients."""

_STEPS, _TRIALS, _POLISHES = 300, 60, 4
_FIRST_DAMPING, _LEAST_DAMPING = 1e-3, 1e-32
_PIVOT = 1e-10  # a squared pivot of a Cholesky factor below it has lost most of its digits
_HIDDEN = 1e-15  # of the value: a smaller decrease is rounding
_ROUNDING = 2.2e-16  # of the first gradient: a smaller one is rounding, if anything
_CLOSE = 1e-13  # of the value: so near the lower bound of the function there is nothing left to gain
_NEWTON_STEPS, _HALVINGS = 50, 20


@dataclass(frozen=True)
class Curvatures:
    """What is known of the Hessian of a function of d numbers; every field may be left out.

    Parameters
    ----------
    hessian : callable, optional
        Maps a point to the Hessian itself, shape (d, d).
    root : callable, optional
        Maps a point to a matrix R with RᵀR = Hessian, for steps where the Hessian is too ill-conditioned to be formed.
    model : callable, optional
        Maps a point to a positive semidefinite matrix near the Hessian, shape (d, d), or to its diagonal, shape (d,): it
        preconditions conjugate gradients where `hessian` is left out.
    scale : ndarray, shape (d,), optional
        Positive factors: the search is done in the coordinates x/scale.
    """

    hessian: Callable[[Vector], np.ndarray] | None = None
    root: Callable[[Vector], np.ndarray] | None = None
    model: Callable[[Vector], np.ndarray] | None = None
    scale: Vector | None = None


class _Point(NamedTuple):
    """A point in scaled coordinates with value and gradient there."""

    y: Vector
    value: float
    gradient: Vector


@dataclass(frozen=True)
class _Scaled:
    """The function in scaled coordinates y = x/scale."""

    value_and_gradient: Callable[[Vector], tuple[float, Vector]]
    hessian_product: Callable[[Vector, Vector], Vector]
    known: Curvatures
    scale: Vector
    enough: Enough | None = None

    def ends(self, point: _Point) -> bool:
        """Say whether a point is as good as was asked for."""
        return self.enough is not None and self.enough(point.value, point.gradient / self.scale)

    def at(self, y: Vector) -> _Point:
        value, gradient = self.value_and_gradient(self.scale * y)
        return _Point(y, float(value), self.scale * np.asarray(gradient))

    def norm(self, point: _Point) -> float:
        return float(np.linalg.norm(point.gradient / self.scale))

    def steps(self, point: _Point) -> Callable[[float], Vector]:
        """Return the map from a damping μ to the step −(H + μI)⁻¹ gradient at a point."""
        x = self.scale * point.y
        if self.known.hessian is None:
            return self._truncated(x, point)
        matrix = _scaled_matrix(self.known.hessian(x), self.scale)
        root = self.known.root

        def step(damping: float) -> Vector:
            direct = _by_cholesky(matrix, point.gradient, damping)
            if direct is not None or root is None:
                return _raised(matrix, point.gradient, damping) if direct is None else direct
            return _by_root(root(x) * self.scale, point.gradient, damping)

        return step

    def _truncated(self, x: Vector, point: _Point) -> Callable[[float], Vector]:
        model = np.ones(len(x)) if self.known.model is None else self.known.model(x)
        model = model * self.scale**2 if model.ndim == 1 else _scaled_matrix(model, self.scale)

        def product(w: Vector) -> Vector:
            return self.scale * np.asarray(self.hessian_product(x, self.scale * w))

        return lambda damping: _by_conjugate_gradients(product, model, point, damping)


def minimize_convex(
    value_and_gradient: Callable[[Vector], tuple[float, Vector]],
    hessian_product: Callable[[Vector, Vector], Vector],
    start: Vector,
    known: Curvatures | None = None,
    lower_bound: float = -math.inf,
    enough: Enough | None = None,
) -> Vector:
    """Return a point where a convex function is as low, and its gradient as small, as rounding allows.

    Newton steps with a damping that follows their success, made longer or shorter along their line. Where the infimum is not
    attained, the steps end once they gain nothing that rounding would not hide.

    Parameters
    ----------
    value_and_gradient : callable
        Maps a point of shape (d,) to the value and the gradient; where they are not finite, steps are made shorter.
    hessian_product : callable
        Maps a point and a direction to the Hessian times the direction.
    start : ndarray, shape (d,)
        First point.
    known : Curvatures, optional
        What else is known of the Hessian.
    lower_bound : float, optional
        A number that the function never goes below; once the value is within 1e-13 of it the search ends.
    enough : callable, optional
        Says from the value and the gradient of a point whether it is good enough for the search to end there.

    Returns
    -------
    ndarray, shape (d,)
        The point; how good it is, is for the caller to certify.

    Examples
    --------
    >>> def exponential(x):
    ...     return float(np.exp(x[0]) - 2 * x[0]), np.exp(x) - 2
    >>> x = minimize_convex(exponential, lambda x, w: np.exp(x) * w, np.zeros(1))
    >>> bool(abs(x[0] - np.log(2)) < 1e-15)
    True
    """
    known = known or Curvatures()
    scale = np.ones(len(start)) if known.scale is None else known.scale
    f = _Scaled(value_and_gradient, hessian_product, known, scale, enough)
    # One thread: small problems gain nothing from more, and the result must not depend on their number.
    with threadpool_limits(limits=1, user_api="blas"), np.errstate(all="ignore"):
        first = f.at(np.asarray(start, dtype=float) / scale)
        return scale * _polish(f, _descend(f, first, lower_bound), _ROUNDING * f.norm(first)).y


def _descend(f: _Scaled, here: _Point, lower_bound: float) -> _Point:
    """Go down until a step promises less than the rounding of the value."""
    damping = _FIRST_DAMPING
    for _ in range(_STEPS):
        if here.value - lower_bound <= _CLOSE * max(1.0, abs(here.value)) or not here.gradient.any() or f.ends(here):
            break
        steps = f.steps(here)
        for _ in range(8):
            step = steps(damping)
            slope = float(step @ here.gradient)
            ahead, share = _along(f, here, step, slope) if slope < 0 else (None, 0.0)
            if ahead is not None:
                break
            damping = max(damping, 1e-14) * 1e3
        if ahead is None:
            break
        here = ahead
        damping = max(damping * 1e-2, _LEAST_DAMPING) if share >= 0.5 else min(damping * 10, 1e6)
        if -slope * min(share, 1.0) <= _HIDDEN * abs(here.value):
            break
    return here


def _along(f: _Scaled, here: _Point, step: Vector, slope: float) -> tuple[_Point | None, float]:
    """Return a point further down along a step, and the share of the step taken; None where there is none."""
    # Along a line a convex function has slopes that grow: while they are negative, it decreases.
    best, share = None, 1.0
    low, low_slope, high, high_slope = 0.0, slope, math.inf, math.inf
    for _ in range(_TRIALS):
        ahead = f.at(here.y + share * step)
        new = float(ahead.gradient @ step)
        lower = math.isfinite(ahead.value) and math.isfinite(new) and _is_lower(here, ahead, share, slope, new)
        if lower:
            best, taken = ahead, share
            if abs(new) <= 0.5 * abs(slope):
                return best, taken
        if lower and new < 0:
            low, low_slope = share, new
        else:
            high, high_slope = share, new
        share = _between(low, low_slope, high, high_slope)
        if not low < share < high:
            break
    return (None, 0.0) if best is None else (best, taken)


def _between(low: float, low_slope: float, high: float, high_slope: float) -> float:
    """Return the next share to try: where a line through the slopes is zero, but not near an end."""
    if high == math.inf:
        return 4 * low
    zero = low + (high - low) * low_slope / (low_slope - high_slope) if 0 < high_slope < math.inf else low
    return min(max(zero, low + 0.1 * (high - low)), high - 0.1 * (high - low))


def _is_lower(here: _Point, ahead: _Point, share: float, slope: float, new: float) -> bool:
    if new <= 0 or ahead.value <= here.value + 0.1 * share * slope:
        return True
    # The minimum along the line was passed by little, and the values say nothing else beyond their rounding.
    return new <= 0.1 * abs(slope) and ahead.value <= here.value + 1e-12 * abs(here.value)


def _polish(f: _Scaled, here: _Point, small: float) -> _Point:
    """Take full steps with hardly any damping as long as they shrink a gradient that is not small."""
    # Less damping helps only where steps are exact.
    damping, failed, most = 1e-12, 0, 1 if f.known.hessian is None else _POLISHES
    while failed < most and f.norm(here) > small and not f.ends(here):
        ahead = f.at(here.y + f.steps(here)(damping))
        if math.isfinite(ahead.value) and np.isfinite(ahead.gradient).all() and f.norm(ahead) < 0.7 * f.norm(here):
            here = ahead
        else:
            failed += 1
            damping = max(damping * 1e-4, _LEAST_DAMPING)
    return here


def _scaled_matrix(matrix: np.ndarray, scale: Vector) -> np.ndarray:
    return np.asarray(scale[:, None] * matrix * scale)


def _by_cholesky(matrix: np.ndarray, gradient: Vector, damping: float) -> Vector | None:
    """Return the damped step, or None where the factor has lost too many digits."""
    try:
        factor = cho_factor(matrix + damping * np.eye(len(matrix)), lower=True)
    except (LinAlgError, ValueError):
        return None
    pivots = np.diag(factor[0]) ** 2
    if pivots.min() < _PIVOT * pivots.max():
        return None
    return np.asarray(cho_solve(factor, -gradient))


def _raised(matrix: np.ndarray, gradient: Vector, damping: float) -> Vector:
    """Return the step with eigenvalues lost in rounding raised to it."""
    if not np.isfinite(matrix).all():
        return -gradient
    spectrum, basis = np.linalg.eigh(matrix)
    floor = max(len(matrix) * np.finfo(float).eps * float(spectrum[-1]), np.finfo(float).tiny)
    return np.asarray(-basis @ ((basis.T @ gradient) / (np.maximum(spectrum, floor) + damping)))


def _by_root(root: np.ndarray, gradient: Vector, damping: float) -> Vector:
    """Return the damped step from a root R of the Hessian, whose condition number is the square root of the Hessian's."""
    size = root.shape[1]
    rows = np.vstack([root, math.sqrt(damping) * np.eye(size)])
    if not np.isfinite(rows).all():
        return -gradient
    # Pivots order the columns, so that the small ones at the end keep their own digits.
    triangle, order = qr(rows, mode="r", pivoting=True)
    triangle, step = triangle[:size], np.empty(size)
    if (np.diag(triangle) == 0).any():
        return -gradient
    inner = solve_triangular(triangle, -gradient[order], trans="T")
    step[order] = solve_triangular(triangle, inner)
    return step


def _by_conjugate_gradients(product: Callable[[Vector], Vector], model: np.ndarray, point: _Point, damping: float) -> Vector:
    """Return an approximate damped step; every one but zero goes downhill."""
    precondition = _preconditioner(model, damping)
    residual = -point.gradient
    step, search = np.zeros(len(residual)), precondition(residual)
    size = first = float(residual @ search)
    if not (math.isfinite(first) and first > 0):
        return residual
    accuracy = min(0.1, max(math.sqrt(first / max(abs(point.value), first)), 1e-4)) ** 2
    for _ in range(min(10 * len(step), 500)):
        image = product(search) + damping * search
        bend = float(search @ image)
        # A convex function may have no curvature along its gradient: the line search then finds how far to go.
        if not (math.isfinite(bend) and bend > 1e-300):
            return step if step.any() else search
        step = step + size / bend * search
        residual = residual - size / bend * image
        ready = precondition(residual)
        size, before = float(residual @ ready), size
        if not (math.isfinite(size) and size > accuracy * first):
            break
        search = ready + size / before * search
    return step if np.isfinite(step).all() else -point.gradient


def _preconditioner(model: np.ndarray, damping: float) -> Callable[[Vector], Vector]:
    top = float(model.max(initial=0.0)) or 1.0
    if model.ndim == 1:
        return lambda w: w / (np.maximum(model, 1e-14 * top) + damping)
    for raised in np.geomspace(1e-15, 1.0, 6) * top * len(model):
        try:
            factor = cho_factor(model + (damping + raised) * np.eye(len(model)), lower=True)
        except (LinAlgError, ValueError):
            continue
        return lambda w: np.asarray(cho_solve(factor, w))
    return lambda w: w


def find_stationary(
    value_and_gradient: Callable[[Vector], tuple[float, Vector]],
    hessian_product: Callable[[Vector, Vector], Vector],
    start: Vector,
) -> Vector:
    """Return a point near the start where the gradient of a function, convex or not, is as small as rounding allows.

    L-BFGS comes close; Newton-CG steps, shortened until they shrink the gradient norm, remove what the rounding of
    function values hides from a line search on values.

    Parameters
    ----------
    value_and_gradient, hessian_product, start
        As in `minimize_convex`.

    Returns
    -------
    ndarray, shape (d,)
        The point.
    """
    # One thread: small problems gain nothing from more, and the result must not depend on their number.
    with threadpool_limits(limits=1, user_api="blas"), np.errstate(over="ignore", invalid="ignore"):
        rough = minimize(value_and_gradient, start, jac=True, method="L-BFGS-B", options={"maxiter": 5000, "gtol": 1e-6})
        x = np.asarray(rough.x)
        value, gradient = value_and_gradient(x)
        for _ in range(_NEWTON_STEPS):
            direction = _newton_direction(hessian_product, x, gradient)
            # Once the step promises less than rounding of the value, only the full one is worth a try.
            promised = -0.5 * float(gradient @ direction)
            trials = 1 if promised <= 1e-15 * max(1.0, abs(value)) else _HALVINGS
            for share in 0.5 ** np.arange(trials):
                value, ahead = value_and_gradient(x + share * direction)
                if np.linalg.norm(ahead) < (1 - 0.5 * share) * np.linalg.norm(gradient):
                    x, gradient = x + share * direction, ahead
                    break
            else:
                break
        return x


def _newton_direction(hessian_product: Callable[[Vector, Vector], Vector], x: Vector, gradient: Vector) -> Vector:
    size = len(x)
    operator = LinearOperator((size, size), matvec=lambda w: hessian_product(x, w), dtype=float)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        direction = np.asarray(cg(operator, -gradient, rtol=1e-3, maxiter=10 * size)[0])
    # On a singular Hessian the conjugate gradients break down once the rest of the residual is rounding.
    return direction if np.isfinite(direction).all() else np.zeros(size)
