"""What exact moments are: expectations of quadratic forms of the state, step by step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from mastsim.expected import Objective
from mastsim.readonly import ReadOnly
from mastsim.validation import instance, vector

Form = dict[tuple[str, str], np.ndarray]
"""A quadratic form of a state: a matrix for each pair of fields, where the field "" is the constant 1.

Fields that are points are counted from the center of the recursion, so that ("x", "x") with the identity is the squared
distance to it.
"""


@dataclass(frozen=True, eq=False)
class Moments(ReadOnly):
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


class Recursion(ABC):
    """A method on a quadratic, as a recursion that is closed on mean and second moment of its state."""

    @property
    @abstractmethod
    def center(self) -> np.ndarray:
        """The point from which points are counted, shape (dim,)."""

    @abstractmethod
    def run(self, x0: np.ndarray, steps: int, forms: list[Form]) -> np.ndarray:
        """Return the expectations of forms along the path from `x0`, shape (steps + 1, forms); overflow is infinite."""


def standard_forms(objective: Objective, center: np.ndarray) -> dict[str, Form]:
    """Return the forms of ‖x − x_D*‖², f_D(x) − f_D^inf, ‖∇f_D(x)‖² and ‖x − x*‖², where x* minimises f.

    Parameters
    ----------
    objective : Objective
        A quadratic.
    center : ndarray, shape (dim,)
        The point from which x is counted.
    """
    instance("objective", objective, Objective)
    H, identity = objective.curvature, np.eye(objective.dim)
    center = vector("center", center, objective.dim)
    best, without = objective.minimize().x, objective.problem.minimize().x
    return {
        "distance": squared(identity, center - best),
        "gap": squared(0.5 * H, center - best),
        "gradient_norm2": squared(H @ H, center - best),
        "error": squared(identity, center - without),
    }


def squared(matrix: np.ndarray, apart: np.ndarray) -> Form:
    """Return (x + apart)ᵀ·matrix·(x + apart) as a form; without linear and constant terms where `apart` is zero."""
    form = {("x", "x"): matrix}
    if apart.any():
        form |= {("x", ""): 2 * (matrix @ apart)[:, None], ("", ""): np.array([[apart @ matrix @ apart]])}
    return form


def require_quadratic(objective: Objective) -> None:
    """Refuse an objective whose Hessian is not constant."""
    instance("objective", objective, Objective)
    if not objective.is_quadratic:
        raise ValueError(f"{objective.name} is not a quadratic in closed form: exact moments need a constant Hessian")


def finished(history: np.ndarray) -> np.ndarray:
    """Return a history of nonnegative expectations, where what overflowed is infinite and rounding below zero is cut off."""
    return np.maximum(np.where(np.isnan(history), np.inf, history), 0.0)
