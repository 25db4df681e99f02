"""Quadratic problems f(x) = ½ xᵀAx − bᵀx + c."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mastsim.backend import Array, inner, namespace, rows_times
from mastsim.linalg import Curvature, Pair, QuadraticForm
from mastsim.memory import check_room
from mastsim.problems.base import Problem
from mastsim.problems.certificates import Minimum, quadratic_minimum, reported
from mastsim.readonly import frozen
from mastsim.rounding import summed
from mastsim.validation import ENTRIES, SETTINGS, matrix, real, vector

_COPIES = 4
_RANGE = 1e-9


@dataclass(frozen=True, eq=False)
class Quadratic(Problem):
    """f(x) = ½ xᵀAx − bᵀx + c with a positive semidefinite A and b in its range.

    Parameters
    ----------
    A : array, shape (dim, dim)
        Symmetric positive semidefinite matrix.
    b : array, shape (dim,)
        Linear term; must lie in the range of `A`, or f is unbounded below.
    c : float, default 0.0
        Constant term.

    Raises
    ------
    ValueError
        If an entry is not finite, a shape does not fit, `A` is not symmetric or not positive semidefinite, or `b` is
        outside the range of `A`.

    Examples
    --------
    >>> f = Quadratic(np.diag([1.0, 4.0]), np.array([1.0, 0.0]))
    >>> float(f.value(np.zeros(2))), float(f.L_f), float(f.mu_f)
    (0.0, 4.0, 1.0)
    >>> f.minimize().x
    array([1., 0.])
    """

    A: np.ndarray
    b: np.ndarray
    c: float = 0.0

    def __post_init__(self) -> None:
        A = matrix("A", self.A)
        check_room("the matrix A as a dense table", *A.shape, change="use a smaller A", itemsize=8 * _COPIES)
        A = A.toarray() if hasattr(A, "toarray") else A
        if A.shape[0] != A.shape[1]:
            raise ValueError(f"A has shape {A.shape}, but it must be square")
        scale = max(float(np.abs(A).max()), np.finfo(float).tiny)
        if (asymmetry := float(np.abs(A - A.T).max())) > 1e-10 * scale:
            raise ValueError(f"A is not symmetric: largest deviation {asymmetry:.3g}; pass (A + A.T) / 2")
        for name, value in (
            ("A", frozen((A + A.T) / 2)),
            ("b", vector("b", self.b, len(A), ENTRIES)),
            ("c", real("c", self.c, SETTINGS)),
        ):
            object.__setattr__(self, name, value)
        if self.lower_curvature.smallest < 0:
            least = self.lower_curvature.smallest
            raise ValueError(f"A has the eigenvalue {least:.3g}: it must be positive semidefinite")
        if (outside := self._outside()) > _RANGE * max(float(np.linalg.norm(self.b)), np.finfo(float).tiny):
            raise ValueError(f"b is outside the range of A by {outside:.3g}: f is then unbounded below")

    @property
    def dim(self) -> int:
        """The dimension d."""
        return int(self.b.shape[0])

    @property
    def is_quadratic(self) -> bool:
        """True."""
        return True

    def _outside(self) -> float:
        """Return the norm of what no Ax makes up of b; none where A is invertible."""
        curvature = self.upper_curvature
        if curvature.rank == self.dim:
            return 0.0
        x = curvature.factor.solve(Pair.of(self.b))
        return float(np.linalg.norm((curvature.pair @ x - Pair.of(self.b)).rounded))

    @cached_property
    def quadratic_form(self) -> QuadraticForm:
        """The form around zero, as it was given."""
        return QuadraticForm(self.upper_curvature, Pair.of(-self.b), Pair.of(self.c))

    def value(self, x: Array) -> Array:
        """Return f(x), shape ``x.shape[:-1]``."""
        x = self._points("x", x)
        return 0.5 * inner(x, rows_times(self.A, x)) - inner(x, self.b) + self.c

    def gradient(self, x: Array) -> Array:
        """Return Ax − b, shape of `x`."""
        return rows_times(self.A, self._points("x", x)) - self.b

    def hessian_product(self, x: Array, w: Array) -> Array:
        """Return Aw for every pair of a point and a direction, shape of `x` and `w` broadcast against each other."""
        x, w = self._points("x", x), self._points("w", w)
        product = rows_times(self.A, w)
        shape = np.broadcast_shapes(x.shape, w.shape)
        return product if product.shape == shape else _spread(product, shape)

    def error_bound(self, x: np.ndarray, moved: np.ndarray | None = None) -> np.ndarray:
        """Return a bound on the rounding of `value`, every operation counted; see `Problem.error_bound`."""
        x, away = np.asarray(self._points("x", x), dtype=float), np.zeros(self.dim) if moved is None else moved
        size, A, b = np.abs(x), np.abs(self.A), np.abs(self.b)
        terms = 0.5 * inner(size, rows_times(A, size)) + inner(size, b) + abs(self.c)
        slope = rows_times(A, size + 0.5 * away) + b
        return np.asarray(summed(2 * self.dim + 8) * terms + (slope * away).sum(axis=-1))

    def gradient_error(self, x: np.ndarray, moved: np.ndarray | None = None) -> np.ndarray:
        """Return a bound on the rounding of `gradient`, every operation counted; see `Problem.gradient_error`."""
        x, away = np.asarray(self._points("x", x), dtype=float), np.zeros(self.dim) if moved is None else moved
        size, A = np.abs(x), np.abs(self.A)
        each = summed(self.dim + 4) * (rows_times(A, size) + np.abs(self.b)) + rows_times(A, away + np.zeros(x.shape))
        return np.asarray(np.linalg.norm(each, axis=-1))

    @cached_property
    def column_scale(self) -> np.ndarray:
        """One over the root of the curvature along each coordinate."""
        diagonal = np.diag(self.A)
        return 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))

    @cached_property
    def upper_curvature(self) -> Curvature:
        """The matrix A."""
        return Curvature(self.A)

    @property
    def lower_curvature(self) -> Curvature:
        """The matrix A."""
        return self.upper_curvature

    @property
    def curvature_is_attained(self) -> bool:
        """True: the Hessian is A."""
        return True

    @cached_property
    def lower_bound(self) -> float:
        """The minimum."""
        return self.minimize().value

    def _find_minimum(self, accuracy: float | None) -> Minimum:
        """Return the minimiser of least norm."""
        return reported(self, quadratic_minimum(self, self.quadratic_form), accuracy)


def _spread(product: Array, shape: tuple[int, ...]) -> Array:
    xp = namespace(product)
    return xp.asarray(xp.broadcast_to(product, shape), copy=True)
