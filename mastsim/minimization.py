"""Minimisation of smooth convex functions to rounding accuracy, from gradients and Hessian products alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.linalg import solve_triangular
from scipy.optimize import minimize
from scipy.sparse.linalg import LinearOperator, cg
from threadpoolctl import threadpool_limits

Vector = np.ndarray

_NEWTON_STEPS = 50
_HALVINGS = 20


def minimize_convex(
    value_and_gradient: Callable[[Vector], tuple[float, Vector]],
    hessian_product: Callable[[Vector, Vector], Vector],
    start: Vector,
    metric: np.ndarray | None = None,
) -> Vector:
    """Return a point whose gradient is as small as rounding allows.

    L-BFGS comes close; Newton-CG steps, shortened until they shrink the gradient norm, remove what the rounding of
    function values hides from a line search on values.

    Parameters
    ----------
    value_and_gradient : callable
        Maps a point of shape (d,) to the value and the gradient.
    hessian_product : callable
        Maps a point and a direction to the Hessian times the direction.
    start : ndarray, shape (d,)
        First point.
    metric : ndarray, shape (d, d), optional
        A positive definite matrix near the Hessian; the search is done in coordinates where it is the identity.

    Returns
    -------
    ndarray, shape (d,)
        The point; how good it is, is for the caller to certify.
    """
    if metric is None:
        return _descend(value_and_gradient, hessian_product, start)
    root = np.linalg.cholesky(metric)
    # Conjugate gradients that break down may ask for products with infinite directions; `_newton_direction` discards them.

    def back(y: Vector) -> Vector:
        return np.asarray(solve_triangular(root, y, lower=True, trans="T", check_finite=False))

    def scaled(y: Vector) -> tuple[float, Vector]:
        value, gradient = value_and_gradient(back(y))
        return value, solve_triangular(root, gradient, lower=True, check_finite=False)

    def product(y: Vector, w: Vector) -> Vector:
        return np.asarray(solve_triangular(root, hessian_product(back(y), back(w)), lower=True, check_finite=False))

    return back(_descend(scaled, product, root.T @ start))


@np.errstate(over="ignore", invalid="ignore")
def _descend(
    value_and_gradient: Callable[[Vector], tuple[float, Vector]],
    hessian_product: Callable[[Vector, Vector], Vector],
    start: Vector,
) -> Vector:
    # One thread: small problems gain nothing from more, and the result must not depend on their number.
    with threadpool_limits(limits=1, user_api="blas"):
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
