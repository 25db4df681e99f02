"""Exact mean and second moment of the iterates on quadratics: no sampling, hence no sampling error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mastsim.expected import Mast
from mastsim.methods import DSGD, GD, Method
from mastsim.validation import integer, vector

WORK_LIMIT = 1 << 28
TABLE_LIMIT = 1 << 24


@dataclass(frozen=True, eq=False)
class Moments:
    """Exact expectations along the path of a method, one number a step from 0.

    Parameters
    ----------
    distance : ndarray, shape (steps + 1,)
        E‖x^t − x_D*‖².
    gap : ndarray, shape (steps + 1,)
        E f_D(x^t) − f_D^inf.
    gradient_norm2 : ndarray, shape (steps + 1,)
        E‖∇f_D(x^t)‖².
    """

    distance: np.ndarray
    gap: np.ndarray
    gradient_norm2: np.ndarray


@dataclass(frozen=True, eq=False)
class Recursion:
    """y⁺ = (I − γH_j)y − γζ_j with probability w_j, for y = x − x_D*: closed on mean and second moment.

    Parameters
    ----------
    transition : ndarray, shape (dim², dim²)
        E[(I − γH) ⊗ (I − γH)].
    cross : ndarray, shape (dim², dim)
        Maps the mean to −γE[(I − γH)y ζᵀ + its transpose].
    noise : ndarray, shape (dim²,)
        γ²E[ζζᵀ].
    mean : ndarray, shape (dim, dim)
        I − γH_D.
    hessian : ndarray, shape (dim, dim)
        H_D.
    """

    transition: np.ndarray
    cross: np.ndarray
    noise: np.ndarray
    mean: np.ndarray
    hessian: np.ndarray

    def run(self, y0: np.ndarray, steps: int) -> Moments:
        """Return the moments from the deterministic start y0; what overflows is infinite."""
        second, first = np.outer(y0, y0).ravel(), y0
        functionals = _functionals(self.hessian)
        history = np.empty((steps + 1, 3))
        with np.errstate(over="ignore", invalid="ignore"):
            for t in range(steps + 1):
                history[t] = functionals @ second
                second = self.transition @ second + self.cross @ first + self.noise
                first = self.mean @ first
        return _moments(history)


def propagate(objective: Mast, method: Method, x0: np.ndarray, steps: int) -> Moments:
    """Return the exact moments of a method on a quadratic, by enumeration of the sketch.

    Parameters
    ----------
    objective : Mast
        f must be quadratic; for `DSGD` the sketch's support and the dimension must be small enough to enumerate.
    method : Method
        `GD` or `DSGD`.
    x0 : array, shape (dim,)
        Starting point.
    steps : int
        Number of steps T ≥ 0.

    Returns
    -------
    Moments
        Exact up to rounding.

    Raises
    ------
    ValueError
        If f is not quadratic, the enumeration would be too large, or an argument is outside its range.
    TypeError
        If the method is not one of those above.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(1), np.zeros(1)), ms.Bernoulli(1, 0.5))
    >>> propagate(F, ms.DSGD(0.25), np.ones(1), 2).distance
    array([1.  , 0.5 , 0.25])
    """
    steps = integer("steps", steps, 0)
    start = vector("x0", x0, objective.dim)
    _require_quadratic(objective)
    y0 = start - objective.minimize().x
    if isinstance(method, GD):
        return _deterministic(objective.curvature, method.stepsize, y0, steps)
    return recursion(objective, method).run(y0, steps)


def recursion(objective: Mast, method: Method) -> Recursion:
    """Return the recursion of `DSGD` on a quadratic; raises as `propagate` does."""
    _require_quadratic(objective)
    if not isinstance(method, DSGD):
        raise TypeError(f"method={method!r} is not accepted: exact moments are known for GD and DSGD")
    d, gamma = objective.dim, method.stepsize
    hessians, noises, weights = _values(objective)
    steps = np.eye(d) - gamma * hessians
    return Recursion(
        transition=np.einsum("n,nij,nkl->ikjl", weights, steps, steps, optimize=True).reshape(d * d, d * d),
        cross=-gamma * _symmetric(np.einsum("n,nij,nk->ikj", weights, steps, noises, optimize=True)).reshape(d * d, d),
        noise=gamma**2 * np.einsum("n,ni,nk->ik", weights, noises, noises, optimize=True).ravel(),
        mean=np.eye(d) - gamma * objective.curvature,
        hessian=objective.curvature,
    )


def _require_quadratic(objective: Mast) -> None:
    if not objective.problem.is_quadratic:
        raise ValueError(f"{objective.problem.name} is not quadratic: exact moments need a constant Hessian")


def _deterministic(hessian: np.ndarray, stepsize: float, y: np.ndarray, steps: int) -> Moments:
    history = np.empty((steps + 1, 3))
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(steps + 1):
            slope = hessian @ y
            history[t] = y @ y, 0.5 * (y @ slope), slope @ slope
            y = y - stepsize * slope
    return _moments(history)


def _functionals(hessian: np.ndarray) -> np.ndarray:
    return np.stack([np.eye(len(hessian)), 0.5 * hessian, hessian @ hessian]).reshape(3, -1)


def _moments(history: np.ndarray) -> Moments:
    return Moments(*np.maximum(np.where(np.isnan(history), np.inf, history), 0.0).T)


def _values(objective: Mast) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return per value of the sketch: Hessian of f_S, gradient of f_S at x_D*, probability."""
    table = objective.dim**4
    work = objective.sketch.support_size * table
    if work > WORK_LIMIT or table > TABLE_LIMIT:
        raise ValueError(
            f"{objective.sketch.name} takes {work:.3g} operations and a table of {table} numbers to enumerate, but at most "
            f"{WORK_LIMIT} and {TABLE_LIMIT} are accepted; use a smaller dimension or a sketch with fewer values"
        )
    batch, weights = objective.sketch.support()
    S = np.asarray(batch.matrices())
    hessians = S.transpose(0, 2, 1) @ objective.problem.upper_curvature.matrix @ S
    return hessians, np.asarray(objective.sketched_gradient(objective.minimize().x, batch)), weights


def _symmetric(tensor: np.ndarray) -> np.ndarray:
    return tensor + tensor.transpose(1, 0, 2)
