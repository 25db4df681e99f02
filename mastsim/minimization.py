"""Minimisation of smooth convex functions to rounding accuracy, from gradients and Hessian products alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize
from scipy.sparse.linalg import LinearOperator, cg

Vector = np.ndarray


def minimize_convex(
    value_and_gradient: Callable[[Vector], tuple[float, Vector]],
    hessian_product: Callable[[Vector, Vector], Vector],
    start: Vector,
) -> Vector:
    """Return a point whose gradient is as small as rounding allows.

    L-BFGS comes close; Newton-CG steps, accepted only when they shrink the gradient norm, remove what the rounding of
    function values hides from a line search.

    Parameters
    ----------
    value_and_gradient : callable
        Maps a point of shape (d,) to the value and the gradient.
    hessian_product : callable
        Maps a point and a direction to the Hessian times the direction.
    start : ndarray, shape (d,)
        First point.

    Returns
    -------
    ndarray, shape (d,)
        The point; how good it is, is for the caller to certify.
    """
    rough = minimize(value_and_gradient, start, jac=True, method="L-BFGS-B", options={"maxiter": 5000, "gtol": 1e-6})
    x = np.asarray(rough.x)
    gradient = value_and_gradient(x)[1]
    for _ in range(20):
        norm = float(np.linalg.norm(gradient))
        if norm == 0:
            break
        step = _newton_direction(hessian_product, x, gradient)
        ahead = value_and_gradient(x + step)[1]
        if not float(np.linalg.norm(ahead)) < 0.5 * norm:
            break
        x, gradient = x + step, ahead
    return x


def _newton_direction(hessian_product: Callable[[Vector, Vector], Vector], x: Vector, gradient: Vector) -> Vector:
    size = len(x)
    operator = LinearOperator((size, size), matvec=lambda w: hessian_product(x, w), dtype=float)
    direction, _ = cg(operator, -gradient, rtol=1e-4, maxiter=10 * size)
    return np.asarray(direction)
