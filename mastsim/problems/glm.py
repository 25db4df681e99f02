"""Regularised generalised linear models f(x) = (1/n) Σ φ(a_iᵀx; y_i) + (λ/2)‖x‖²."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import KW_ONLY, InitVar, dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import scipy.sparse as sp

from mastsim.backend import Array, contiguous, inner, namespace, rows_times
from mastsim.linalg import Curvature, Pair, QuadraticForm, SparseCurvature, gram_form
from mastsim.memory import check_room, check_square
from mastsim.problems.base import DENSE_LIMIT, Components, Problem, ridge, total_weight
from mastsim.problems.certificates import Minimum, quadratic_minimum, reported
from mastsim.problems.losses import Loss, SquaredLoss
from mastsim.problems.rounding import LinearModelRounding
from mastsim.problems.row_components import row_infima, rows_gradient
from mastsim.provenance import Constant
from mastsim.rounding import summed
from mastsim.validation import CONDITIONS, ENTRIES, flag, matrix, positive, vector


@dataclass(frozen=True, eq=False)
class GeneralizedLinearModel(Problem):
    """Mean loss of linear predictions plus ridge; subclasses choose the loss.

    Parameters
    ----------
    A : array or scipy.sparse matrix, shape (n, dim)
        One row a data point.
    y : array, shape (n,)
        Labels.
    l2 : float, optional
        Regularisation λ ≥ 0. Exactly one of `l2` and `condition_number` must be given.
    condition_number : float, optional
        κ_f = L_f/λ > 1, from which λ is computed.
    copy : bool, default True
        Whether to take a copy of `A`; without, a large `A` is shared, and made read-only as far as its type allows.

    Raises
    ------
    ValueError
        If an entry is not finite, a shape or a label does not fit, or not exactly one of the two regularisations is given
        (both are accepted where they agree, as when ``dataclasses.replace`` hands back what a problem knows).
    """

    example = "LogisticRegression(A, y, l2=0.01)"

    A: Any
    y: np.ndarray
    l2: float | None = None
    condition_number: float | None = None
    _: KW_ONLY
    copy: InitVar[bool] = True

    def __post_init__(self, copy: bool) -> None:
        A = matrix("A", self.A, flag("copy", copy))
        y = vector("y", self.y, A.shape[0], ENTRIES)
        self.loss.check_labels(y)
        object.__setattr__(self, "A", A)
        object.__setattr__(self, "y", y)
        if (kappa := self.condition_number) is not None:
            object.__setattr__(self, "condition_number", positive("condition_number", kappa, CONDITIONS))
        object.__setattr__(self, "l2", ridge(self.l2, kappa, self._data_curvature if kappa is not None else 0.0))

    @property
    @abstractmethod
    def loss(self) -> Loss:
        """The loss φ."""

    @property
    def dim(self) -> int:
        """The dimension d."""
        return int(self.A.shape[1])

    @property
    def rows(self) -> int:
        """The number of data points n."""
        return int(self.A.shape[0])

    @property
    def name(self) -> str:
        """For example ``logistic regression (n = 569, d = 30)``."""
        return f"{self.loss.name} regression (n = {self.rows}, d = {self.dim})"

    @property
    def ridge(self) -> float:
        """The regularisation λ."""
        assert self.l2 is not None
        return self.l2

    @property
    def is_quadratic(self) -> bool:
        """Whether φ'' is constant."""
        return self.loss.curvature_min == self.loss.curvature_max

    def with_rows(self, A: Any) -> Self:
        """Return the same model on other rows, with the same labels and the same λ."""
        return replace(self, A=A, l2=self.ridge, condition_number=None)

    @cached_property
    def dense_rows(self) -> np.ndarray:
        """The data as a dense array, shape (n, dim)."""
        check_room("the data as a dense table", *self.A.shape, change="use fewer rows or columns")
        return np.asarray(self.A.toarray() if hasattr(self.A, "toarray") else self.A)

    @cached_property
    def _transposed(self) -> Any:
        return self.A.T.tocsr() if hasattr(self.A, "tocsr") else contiguous(self.A.T)

    def value(self, x: Array) -> Array:
        """Return f(x), shape ``x.shape[:-1]``."""
        x = self._points("x", x)
        losses = self.loss.value(rows_times(self.A, x), self.y)
        return namespace(losses).mean(losses, axis=-1) + 0.5 * self.ridge * inner(x, x)

    def gradient(self, x: Array) -> Array:
        """Return ∇f(x), shape of `x`."""
        x = self._points("x", x)
        slopes = self.loss.derivative(rows_times(self.A, x), self.y)
        return rows_times(self._transposed, slopes) / self.rows + self.ridge * x

    def value_and_gradient(self, x: Array) -> tuple[Array, Array]:
        """Return f(x) and ∇f(x) from the same predictions."""
        x = self._points("x", x)
        predictions = rows_times(self.A, x)
        losses, slopes = self.loss.value(predictions, self.y), self.loss.derivative(predictions, self.y)
        value = namespace(losses).mean(losses, axis=-1) + 0.5 * self.ridge * inner(x, x)
        return value, rows_times(self._transposed, slopes) / self.rows + self.ridge * x

    def hessian_product(self, x: Array, w: Array) -> Array:
        """Return ∇²f(x) w, shape of `x`."""
        x, w = self._points("x", x), self._points("w", w)
        bends = self.loss.second_derivative(rows_times(self.A, x), self.y) * rows_times(self.A, w)
        return rows_times(self._transposed, bends) / self.rows + self.ridge * w

    @cached_property
    def rounding(self) -> LinearModelRounding:
        """The data as rounding errors see them."""
        return LinearModelRounding(self.A, self.y, self.loss, self.ridge)

    @np.errstate(over="ignore", invalid="ignore")
    def error_bound(self, x: np.ndarray, moved: np.ndarray | None = None) -> np.ndarray:
        """Return a bound on the rounding of `value`, every operation counted; see `Problem.error_bound`."""
        x = np.asarray(self._points("x", x), dtype=float)
        return self.rounding.value(x, np.zeros(x.shape) if moved is None else moved)

    @np.errstate(over="ignore", invalid="ignore")
    def gradient_error(self, x: np.ndarray, moved: np.ndarray | None = None) -> np.ndarray:
        """Return a bound on the rounding of `gradient`, every operation counted; see `Problem.gradient_error`."""
        x = np.asarray(self._points("x", x), dtype=float)
        return self.rounding.gradient(x, np.zeros(x.shape) if moved is None else moved)

    def _bends(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self.loss.second_derivative(self.A @ x, self.y))

    def hessian(self, x: Array) -> np.ndarray:
        """Return ∇²f(x) at one point, shape (dim, dim)."""
        check_square("the Hessian", self.dim, change="take products with it: hessian_product")
        return self._hessian_of(self._bends(np.asarray(self._points("x", x), dtype=float)))

    def mean_hessian(self, points: np.ndarray) -> np.ndarray:
        """Return the mean of ∇²f over points of shape (m, dim), shape (dim, dim)."""
        return self._hessian_of(np.mean([self._bends(point) for point in points], axis=0))

    def _hessian_of(self, bends: np.ndarray) -> np.ndarray:
        """Return (1/n) Aᵀ Diag(bends) A + λI."""
        A = self.A
        data = A.T @ (A.multiply(bends[:, None]).tocsr() if hasattr(A, "multiply") else bends[:, None] * A)
        return np.asarray(data.toarray() if hasattr(data, "toarray") else data) / self.rows + self.ridge * np.eye(self.dim)

    def hessian_root(self, x: np.ndarray) -> np.ndarray:
        """Return R with RᵀR = ∇²f(x) at one point, for convex losses, shape (n + dim, dim)."""
        data = np.sqrt(np.maximum(self._bends(x), 0.0) / self.rows)[:, None] * self.dense_rows
        return np.vstack([data, math.sqrt(self.ridge) * np.eye(self.dim)])

    def hessian_diagonal(self, x: np.ndarray) -> np.ndarray:
        """Return the diagonal of ∇²f(x) at one point, shape (dim,)."""
        return np.asarray(self._squares.T @ self._bends(x)) / self.rows + self.ridge

    @cached_property
    def _squares(self) -> Any:
        return self.A.multiply(self.A).tocsr() if hasattr(self.A, "multiply") else self.A**2

    @cached_property
    def column_scale(self) -> np.ndarray:
        """One over the root of the largest curvature along each coordinate; of its mean square where that is unbounded."""
        bend = self.loss.curvature_max if math.isfinite(self.loss.curvature_max) else 1.0
        diagonal = bend * np.asarray(self._squares.T @ np.ones(self.rows)) / self.rows + self.ridge
        # A column of zeros that is not penalised has no scale.
        return 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))

    @cached_property
    def _gram(self) -> np.ndarray:
        check_square("the matrix AᵀA of the data", self.dim)
        gram = self._transposed @ self.A
        return np.asarray(gram.toarray() if hasattr(gram, "toarray") else gram) / self.rows

    @property
    def _data_curvature(self) -> float:
        if not math.isfinite(self.loss.curvature_max):
            raise ValueError(
                f"condition_number={self.condition_number} is not accepted: the curvature of the {self.loss.name} loss is "
                "unbounded; pass l2 instead"
            )
        return self.loss.curvature_max * self._gram_top

    @cached_property
    def _gram_top(self) -> Constant:
        """A number that λ_max(AᵀA/n) is not above."""
        if self.dim > DENSE_LIMIT:
            return self._sparse_curvature(1.0, 0.0).largest
        return Constant(max(float(np.linalg.eigvalsh(self._gram)[-1]), 0.0), "exact", "dense eigenvalues")

    @cached_property
    def upper_curvature(self) -> Curvature:
        """**L** = (φ''max/n) AᵀA + λI; refused where φ'' is unbounded."""
        self._check_curvature()
        return self._curvature(self.loss.curvature_max)

    def _check_curvature(self) -> None:
        if not math.isfinite(self.loss.curvature_max):
            raise ValueError(f"the curvature of the {self.loss.name} loss is unbounded: there is no matrix L ⪰ ∇²f")

    @cached_property
    def L_f(self) -> Constant:
        """Smoothness constant of f; infinite where φ'' is unbounded."""
        if not math.isfinite(self.loss.curvature_max):
            return Constant(math.inf, "exact", f"the curvature of the {self.loss.name} loss is unbounded")
        if self.dim <= DENSE_LIMIT:
            return super().L_f
        top = self.sparse_upper_curvature.largest
        return self._smoothness(top, f"; {top.source}")

    @cached_property
    def mu_f(self) -> Constant:
        """Strong convexity constant of f (0 when f is only convex, negative when it is not)."""
        if self.dim <= DENSE_LIMIT:
            return super().mu_f
        least = self.sparse_lower_curvature.smallest
        return self._convexity(least, f"; {least.source}")

    @cached_property
    def sparse_upper_curvature(self) -> SparseCurvature:
        """**L** as an operator; refused where φ'' is unbounded."""
        self._check_curvature()
        return self._sparse_curvature(self.loss.curvature_max, self.ridge)

    @cached_property
    def sparse_lower_curvature(self) -> SparseCurvature:
        """**M** as an operator; −**M** is what rows make where φ'' is negative somewhere."""
        if self.is_quadratic:
            return self.sparse_upper_curvature
        return self._sparse_curvature(self.loss.curvature_min, self.ridge)

    def _sparse_curvature(self, bend: float, ridge: float) -> SparseCurvature:
        """Return (bend/n) AᵀA + ridge·I as an operator."""
        rows, sign = sp.csr_array(self.A), -1.0 if bend < 0 else 1.0
        pieces = [(rows, np.full(self.rows, abs(bend) / self.rows))] if bend != 0 else []
        return SparseCurvature(pieces, np.full(self.dim, sign * ridge), sign=sign)

    @cached_property
    def lower_curvature(self) -> Curvature:
        """**M** = (φ''min/n) AᵀA + λI."""
        return self.upper_curvature if self.is_quadratic else self._curvature(self.loss.curvature_min)

    def _curvature(self, bend: float) -> Curvature:
        """Return (bend/n) AᵀA + λI."""
        check_square("the curvature matrix", self.dim)
        if bend > 0 and self.is_quadratic:
            return self.quadratic_form.curvature
        ridge = self.ridge * np.eye(self.dim)
        if bend == 0:
            return Curvature(ridge, floor=self.ridge, semidefinite=True)
        doubt = (self.rows + 4) * float(np.finfo(float).eps)
        if bend > 0:
            return Curvature(bend * self._gram + ridge, None, doubt, self.ridge, None, True)
        # Where the two parts cancel, the doubt is beside what they are, not beside their sum.
        matrix = bend * self._gram + ridge
        parts, diagonal = abs(bend) * np.diag(self._gram) + self.ridge, np.abs(np.diag(matrix))
        share = np.divide(parts, diagonal, out=np.where(parts > 0, 1 / doubt, 0.0), where=diagonal > 0)
        return Curvature(matrix, None, doubt * float(share.max(initial=1.0)))

    @cached_property
    def quadratic_form(self) -> QuadraticForm:
        """The form around zero of a model whose loss is quadratic."""
        if not self.is_quadratic:
            return super().quadratic_form
        zero = np.zeros(self.rows)
        bend, slopes = self.loss.curvature_max, np.asarray(self.loss.derivative(zero, self.y))
        form = gram_form(self.A, slopes, bend, self.ridge)
        offsets = np.asarray(self.loss.value(zero, self.y)) - slopes**2 / (2 * bend)
        error = 4 * float(np.finfo(float).eps) * float(np.abs(offsets).mean())
        constant = form.constant + Pair.of(float(offsets.mean()))
        return QuadraticForm(form.curvature, form.slope, constant, form.slope_errors, form.constant_error + error)

    @property
    def curvature_is_attained(self) -> bool:
        """Whether φ'' reaches its largest value in all rows at once and comes as near its least as one likes."""
        return self.loss.curvature_is_attained

    @property
    def components(self) -> int:
        """The number n of rows; f_i(x) = φ(a_iᵀx; y_i) + (λ/2)‖x‖²."""
        return self.rows

    @cached_property
    def row_squares(self) -> np.ndarray:
        """‖a_i‖² for every row, shape (n,)."""
        squares = self.A.multiply(self.A).sum(axis=1) if hasattr(self.A, "multiply") else (self.A**2).sum(axis=1)
        return np.asarray(squares).ravel()

    @cached_property
    def _zero_rows(self) -> np.ndarray:
        # Not by the squares, which may underflow.
        entries = (self.A != 0).sum(axis=1)
        return np.asarray(entries).ravel() == 0

    @cached_property
    def component_smoothness(self) -> np.ndarray:
        """Smoothness of each f_i(x) = φ(a_iᵀx; y_i) + (λ/2)‖x‖², shape (n,)."""
        bend = max(self.loss.curvature_max, -self.loss.curvature_min)
        # A row of zeros has no curvature, not even where that of the loss is unbounded.
        squares = np.maximum(self.row_squares, np.finfo(float).tiny)
        return np.multiply(bend, squares, out=np.zeros(self.rows), where=~self._zero_rows) + self.ridge

    @property
    def components_are_convex(self) -> bool:
        """Whether the regularisation outweighs the least second derivative of the loss on the longest row."""
        if self.loss.curvature_min >= 0:
            return self.is_convex
        bend = max(self.loss.curvature_max, -self.loss.curvature_min)
        longest = float(self.component_smoothness.max() - self.ridge) / bend
        return bool(self.ridge + self.loss.curvature_min * longest >= 0)

    @property
    def component_smoothness_error(self) -> float:
        """The rounding of ‖a_i‖², of the product and of the sum; see `Problem.component_smoothness_error`."""
        largest = float(self.component_smoothness.max())
        return float(summed(self.dim + 6)) * largest if math.isfinite(largest) else 0.0

    @cached_property
    def component_infima(self) -> np.ndarray:
        """Proven lower bounds on inf f_i, shape (n,); for a convex loss they are the infima, up to rounding."""
        return row_infima(self.loss, self.y, self.row_squares, self._zero_rows, self.ridge)

    def minibatch_gradient(self, x: Array, minibatch: Components) -> Array:
        """Return Σ_j weights[r, j] ∇f_{index[r, j]}(x_r) for every replica r, shape of `x`, (replicas, dim)."""
        x = self._points("x", x)
        ridge = (self.ridge * total_weight(minibatch))[:, None] * x
        if minibatch.index is None:
            slopes = minibatch.weights * self.loss.derivative(rows_times(self.A, x), self.y)
            return rows_times(self._transposed, slopes) + ridge
        return rows_gradient(self.loss, self.A, self.y, x, minibatch.index, minibatch.weights) + ridge

    @property
    def lower_bound(self) -> float:
        """The infimum of the loss."""
        return self.loss.lower_bound(self.y)

    def _find_minimum(self, accuracy: float | None) -> Minimum:
        """Return a minimiser; that of least norm, whose certificate needs no μ, for a quadratic f."""
        if self.is_quadratic and self.dim <= DENSE_LIMIT:
            return reported(self, quadratic_minimum(self, self.quadratic_form), accuracy)
        return super()._find_minimum(accuracy)


@dataclass(frozen=True, eq=False)
class LeastSquares(GeneralizedLinearModel):
    """f(x) = (1/2n)‖Ax − y‖² + (λ/2)‖x‖².

    Parameters
    ----------
    A : array or scipy.sparse matrix, shape (n, dim)
        One row a data point.
    y : array, shape (n,)
        Real labels.
    l2 : float, optional
        Regularisation λ ≥ 0. Exactly one of `l2` and `condition_number` must be given.
    condition_number : float, optional
        κ > 1; λ is chosen so that L_f/λ = κ.
    copy : bool, default True
        Whether to take a copy of `A`; without, a large `A` is shared, and made read-only as far as its type allows.

    Raises
    ------
    ValueError
        If an entry is not finite, a shape does not fit, or not exactly one of the two regularisations is given.

    Examples
    --------
    >>> f = LeastSquares(np.eye(2), np.array([2.0, 0.0]), l2=0.5)
    >>> float(f.L_f), f.minimize().x
    (1.0, array([1., 0.]))
    """

    keyword = "least-squares"

    @property
    def loss(self) -> Loss:
        """The squared loss."""
        return SquaredLoss()
