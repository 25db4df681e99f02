"""What exact moments are: expectations of quadratic forms of the state, step by step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mastsim.expected import Objective
from mastsim.linalg import Pair, QuadraticForm
from mastsim.methods import Method
from mastsim.moments.probes import require_linear_gradient
from mastsim.readonly import ReadOnly
from mastsim.recursions import AVERAGE
from mastsim.recursions.base import UNIT, range_of
from mastsim.validation import instance, vector

Form = dict[tuple[str, str], np.ndarray]
"""A quadratic form of a state: a matrix for each pair of fields, where the field "" is the constant 1.

Fields that are points are counted from the center of the recursion, so that ("x", "x") with the identity is the squared
distance to it. Beside those of the state there is "average", the running average x̄_T = (x^0 + … + x^{T−1})/T, x̄_0 = x^0.
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
    error : ndarray, shape (steps + 1,)
        E‖x^t − x*‖², x* the minimiser of f.
    f_gap : ndarray, shape (steps + 1,)
        E f(x^t) − f^inf.
    f_gradient_norm2 : ndarray, shape (steps + 1,)
        E‖∇f(x^t)‖².
    average_distance, average_gap, average_gradient_norm2 : ndarray, shape (steps + 1,)
        E‖x̄_T − x_D*‖² and so on, of the running average x̄_T = (x^0 + … + x^{T−1})/T, x̄_0 = x^0.
    average_error, average_f_gap, average_f_gradient_norm2 : ndarray, shape (steps + 1,)
        The same about f.
    """

    distance: np.ndarray
    gap: np.ndarray
    gradient_norm2: np.ndarray
    error: np.ndarray
    f_gap: np.ndarray
    f_gradient_norm2: np.ndarray
    average_distance: np.ndarray
    average_gap: np.ndarray
    average_gradient_norm2: np.ndarray
    average_error: np.ndarray
    average_f_gap: np.ndarray
    average_f_gradient_norm2: np.ndarray


@dataclass(frozen=True, eq=False)
class Expectations(ReadOnly):
    """Expectations of forms along the paths from one start or from several.

    Parameters
    ----------
    values : ndarray, shape (…, steps + 1, forms)
        What was found; infinite where it overflowed.
    bounds : callable
        What finds `rounding`.
    """

    values: np.ndarray
    bounds: Callable[[], np.ndarray]

    @cached_property
    def rounding(self) -> np.ndarray:
        """Bounds on |values − the exact expectations|, shape (…, steps + 1, forms).

        They count what every step may round by, relative to the size of its terms, and carry it along the recursion, so that
        they grow with the number of steps; and how far `Recursion.center` may be from the point that it stands for. They
        cost no more than the values, and are infinite where these overflow.
        """
        return self.bounds()


class Recursion(ABC):
    """A method on a quadratic, as a recursion that is closed on mean and second moment of its state.

    Forms are meant to be nonnegative, as squared lengths are.
    """

    @property
    @abstractmethod
    def center(self) -> np.ndarray:
        """The point from which points are counted, shape (dim,)."""

    @abstractmethod
    def follow(self, x0: np.ndarray, steps: int, forms: list[Form]) -> Expectations:
        """Return the expectations of forms along the path from every `x0`, shape (…, dim), with what rounding may change.

        Raises
        ------
        ArithmeticError
            If an expectation is below zero by more than rounding; what is below zero by less is returned as zero.
        """

    def run(self, x0: np.ndarray, steps: int, forms: list[Form]) -> np.ndarray:
        """Return the expectations alone, shape (…, steps + 1, forms); see `follow`."""
        return self.follow(x0, steps, forms).values


def standard_forms(objective: Objective, center: np.ndarray) -> dict[str, Form]:
    """Return the forms of ‖x − x_D*‖², f_D(x) − f_D^inf and ‖∇f_D(x)‖², and of the same for f, whose minimiser is x*.

    Parameters
    ----------
    objective : Objective
        A quadratic.
    center : ndarray, shape (dim,)
        The point from which x is counted.
    """
    instance("objective", objective, Objective)
    center, f = vector("center", center, objective.dim), objective.problem
    about_f = forms_about(f.quadratic_form, center, f.minimize().x)
    own = forms_about(objective.quadratic_form.around(-objective.center), center, objective.minimize().x)
    own_names, names = ("distance", "gap", "gradient_norm2"), ("error", "f_gap", "f_gradient_norm2")
    return dict(zip((*own_names, *names), (*own, *about_f), strict=True))


def forms_about(function: QuadraticForm, center: np.ndarray, best: np.ndarray) -> tuple[Form, Form, Form]:
    """Return the forms of ‖x − x*‖², q(x) − q(x*) and ‖∇q(x)‖² of a quadratic function q with a minimiser `best`.

    They are made of the slope and the gap of q at the center, known to 106 bits: differences of points that are rounded
    would not be, where q is steep in one direction and flat in another.
    """
    H, identity, apart = function.curvature, np.eye(len(center)), center - best
    if not apart.any():
        return squared(identity, apart), squared(0.5 * H.matrix, apart), squared(H.matrix @ H.matrix, apart)
    here = function.around(center)
    slope, slopes = here.slope.rounded, H.pair @ here.slope
    bottom = QuadraticForm(H, here.slope, Pair.of(0.0), here.slope_error).minimize()
    if bottom.proven and H.rank == len(center):
        apart = -bottom.point
    return (
        squared(identity, apart),
        _of_terms(0.5 * H.matrix, slope, -bottom.value),
        _of_terms(H.matrix @ H.matrix, 2 * slopes.rounded, float((here.slope @ here.slope).rounded)),
    )


def of_average(form: Form) -> Form:
    """Return what a form of x says of the running average instead."""
    return {tuple(AVERAGE if name == "x" else name for name in pair): matrix for pair, matrix in form.items()}  # type: ignore


def needs_average(forms: list[Form]) -> bool:
    """Return whether one of the forms is about the running average."""
    return any(AVERAGE in pair for form in forms for pair in form)


def squared(matrix: np.ndarray, apart: np.ndarray) -> Form:
    """Return (x + apart)ᵀ·matrix·(x + apart) as a form; without linear and constant terms where `apart` is zero."""
    return _of_terms(matrix, 2 * (matrix @ apart), float(apart @ matrix @ apart)) if apart.any() else {("x", "x"): matrix}


def _of_terms(matrix: np.ndarray, linear: np.ndarray, constant: float) -> Form:
    """Return xᵀ·matrix·x + linear·x + constant as a form."""
    return {("x", "x"): matrix, ("x", ""): linear[:, None], ("", ""): np.array([[constant]])}


def require_quadratic(objective: Objective) -> None:
    """Refuse an objective whose Hessian is not constant, or whose gradients are not those of the form it states."""
    instance("objective", objective, Objective)
    if not objective.is_quadratic:
        raise ValueError(f"{objective.name} is not a quadratic in closed form: exact moments need a constant Hessian")
    for node in getattr(objective, "clients", (objective,)):
        require_linear_gradient(node.problem)


def written_out(form: Form, fields: tuple[str, ...], dim: int) -> np.ndarray:
    """Return a form as a symmetric matrix of the state with a 1 appended, shape (fields·dim + 1, fields·dim + 1)."""
    size = len(fields) * dim + 1
    place = {name: slice(i * dim, (i + 1) * dim) for i, name in enumerate(fields)} | {"": slice(size - 1, size)}
    whole = np.zeros((size, size))
    for (left, right), matrix in form.items():
        whole[place[left], place[right]] += matrix
    return (whole + whole.T) / 2


def misplacement(objective: Objective, method: Method) -> float:
    """Return how far the target of a method may be off along the range of the Hessian of f_D, or of f where it is x*."""
    if (known := method.target_error(objective)) is not None:
        return known
    center = method.target(objective)
    best, middle = objective.minimize().x, objective.center
    off = _off(
        objective.curvature, np.asarray(objective.gradient(best)), np.asarray(objective.gradient(middle)), best - middle
    )
    if np.array_equal(center, best):
        return off
    A, f = objective.problem.upper_curvature.matrix, objective.problem
    return off + _off(A, np.asarray(f.gradient(center)), np.asarray(f.gradient(middle)), center - middle)


def _off(H: np.ndarray, slope: np.ndarray, linear: np.ndarray, away: np.ndarray) -> float:
    """Return the Newton step for a slope and what it rounds by; H times `away` and `linear` are the terms of the slope."""
    values, U, _ = range_of(H)
    size = float(np.linalg.norm(H) * np.linalg.norm(away) + np.linalg.norm(linear))
    return float(np.linalg.norm((np.abs(U.T @ slope) + UNIT * len(H) * size) / values))


def displaced(
    history: np.ndarray, rounding: np.ndarray, forms: list[np.ndarray], reach: float, points: np.ndarray, dim: int
) -> np.ndarray:
    """Return bounds on rounding that also count a center off by `reach` in every point of a state, at such coordinates."""
    count = len(points) / dim
    sizes = np.array([float(np.linalg.norm(Q[np.ix_(points, points)], 2)) * count * reach**2 for Q in forms])
    with np.errstate(over="ignore", invalid="ignore"):
        value = history + rounding
        shifted = rounding + 2 * np.sqrt(value * sizes) + sizes
    return np.where(np.isnan(shifted), np.inf, shifted)
