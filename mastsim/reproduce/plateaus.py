"""Where the second moments of a method settle on a quadratic, without sampling."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.sparse.linalg import LinearOperator, gmres

from mastsim.expected import Mast, Objective
from mastsim.methods import Method
from mastsim.moments.closed import closed_chain
from mastsim.recursions import MomentState

_TOLERANCE = 1e-11
_GROWTH_STEPS = 400


def plateau(objective: Objective, method: Method) -> np.ndarray:
    """Return the limit of E (x^t − x_D*)(x^t − x_D*)ᵀ for t → ∞, shape (dim, dim).

    Parameters
    ----------
    objective : Objective
        A quadratic with a positive definite Hessian.
    method : Method
        `DSGD` or `DistributedDSGD` at a step size below the largest stable one.

    Raises
    ------
    ValueError
        If no closed moment recursion is known, or its fixed point is not found.

    References
    ----------
    This package: a fixed point of the closed moment recursion.

    Examples
    --------
    >>> import mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1))
    >>> far = ms.moments.propagate(F, ms.DSGD(0.25), np.zeros(2), 200)
    >>> bool(np.isclose(np.trace(plateau(F, ms.DSGD(0.25))), far.distance[-1], rtol=1e-9))
    True
    """
    chain, still = closed_chain(objective, method), np.zeros(objective.dim)
    return fixed_point(lambda M: chain.step(MomentState(still, M)).second, objective.dim)


def compressed_iterates_plateau(objective: Mast, stepsize: float) -> np.ndarray | None:
    """Return the limit of E (x^t − x*)(x^t − x*)ᵀ for gradient descent with compressed iterates, or None where it diverges.

    Parameters
    ----------
    objective : Mast
        A quadratic with a positive definite Hessian and a symmetric sketch, which compresses the iterates.
    stepsize : float
        γ > 0.

    References
    ----------
    This package: the fixed point of E zzᵀ = B·E[CzzᵀC]·B + …, B = I − γA, counted from v; the mean settles at x*.

    Examples
    --------
    >>> import mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(1), np.ones(1)), ms.Bernoulli(1, 0.9))
    >>> float(compressed_iterates_plateau(F, 1.0)[0, 0])
    0.0
    """
    A = objective.problem.upper_curvature.matrix
    pull = -stepsize * np.asarray(objective.problem.gradient(objective.center))
    B = np.eye(objective.dim) - stepsize * A
    best = objective.problem.minimize().x - objective.center

    def linear(X: np.ndarray) -> np.ndarray:
        return np.asarray(B @ objective.sketch.quadratic_moment(X) @ B)

    if _grows(linear, objective.dim):
        return None
    cross = np.outer(pull, B @ best)
    constant = cross + cross.T + np.outer(pull, pull)
    second = fixed_point(lambda X: linear(X) + constant, objective.dim)
    return second - np.outer(best, best)


def fixed_point(step: Callable[[np.ndarray], np.ndarray], dim: int) -> np.ndarray:
    """Return the matrix X with step(X) = X, for an affine map of symmetric matrices.

    Parameters
    ----------
    step : callable
        Affine, from and to shape (dim, dim).
    dim : int
        The size of the matrices.

    Raises
    ------
    ValueError
        If none is found to eleven digits.

    Examples
    --------
    >>> float(fixed_point(lambda X: 0.5 * X + 1.0, 1)[0, 0])
    2.0
    """
    constant = step(np.zeros((dim, dim)))

    def residual(flat: np.ndarray) -> np.ndarray:
        X = flat.reshape(dim, dim)
        return np.asarray(X - step(X) + constant).ravel()

    operator = LinearOperator((dim**2, dim**2), matvec=residual, dtype=float)
    found, failed = gmres(operator, constant.ravel(), rtol=_TOLERANCE, atol=0.0, restart=80, maxiter=60)
    left = float(np.linalg.norm(residual(found) - constant.ravel()))
    if failed and left > 1e3 * _TOLERANCE * float(np.linalg.norm(constant)):
        raise ValueError(f"no fixed point was found: the residual is {left:.3g} of {np.linalg.norm(constant):.3g}")
    X = found.reshape(dim, dim)
    return np.asarray((X + X.T) / 2)


def _grows(linear: Callable[[np.ndarray], np.ndarray], dim: int) -> bool:
    """Whether powers of a positive linear map grow, by its growth over the last of many steps."""
    X, growth = np.eye(dim), 1.0
    for _ in range(_GROWTH_STEPS):
        X = linear(X)
        growth = float(np.linalg.norm(X))
        if growth == 0:
            return False
        X = X / growth
    return growth >= 1
