"""Regularised generalised linear models f(x) = (1/n) Σ w_i φ(a_iᵀx; y_i) + (λ/2)‖x‖², all w_i = 1 unless said otherwise."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import KW_ONLY, InitVar, dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from mastsim.backend import Array, inner, namespace, rows_at, rows_times
from mastsim.devices import Device
from mastsim.memory import check_room, check_square
from mastsim.problems.base import DENSE_LIMIT, Components, ridge, total_weight
from mastsim.problems.certificates import Minimum, quadratic_minimum, reported
from mastsim.problems.linear_model_curvature import LinearModelCurvature
from mastsim.problems.losses import Loss
from mastsim.problems.rounding import LinearModelRounding
from mastsim.problems.row_components import row_infima, rows_gradient
from mastsim.problems.row_weights import mean_floor, row_weights, with_ones, without_rows
from mastsim.problems.sublevels import intercept_radius
from mastsim.rounding import summed
from mastsim.validation import CONDITIONS, ENTRIES, flag, matrix, positive, vector


@dataclass(frozen=True, eq=False)
class GeneralizedLinearModel(LinearModelCurvature):
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
    weights : array of shape (n,), mapping or "balanced", optional
        Weights of the rows, at least 0; a weight for each label; or such that every label weighs the same. They are divided
        by their mean, so that only their ratios count.
    intercept : bool, default False
        Whether to add a column of ones, the last, whose coordinate is not penalised; `mastsim.Unmasked` keeps it unmasked.
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
    weights: Any = None
    intercept: bool = False
    copy: InitVar[bool] = True

    def __post_init__(self, copy: bool) -> None:
        A = matrix("A", self.A, flag("copy", copy))
        y = vector("y", self.y, A.shape[0], ENTRIES)
        self.loss.check_labels(y)
        object.__setattr__(self, "A", A)
        object.__setattr__(self, "y", y)
        object.__setattr__(self, "weights", row_weights(self.weights, y))
        object.__setattr__(self, "intercept", flag("intercept", self.intercept))
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
        return int(self.A.shape[1]) + self.intercept

    @property
    def rows(self) -> int:
        """The number of data points n."""
        return int(self.A.shape[0])

    @property
    def name(self) -> str:
        """For example ``logistic regression (n = 569, d = 30)``."""
        said = ["", ", intercept"][self.intercept] + ("" if self.weights is None else ", weighted rows")
        return f"{self.loss.name} regression (n = {self.rows}, d = {self.dim}{said})"

    @property
    def ridge(self) -> float:
        """The regularisation λ."""
        assert self.l2 is not None
        return self.l2

    @property
    def is_plain(self) -> bool:
        """Whether all rows weigh the same and all coordinates are penalised alike."""
        return self.weights is None and not self.intercept

    @cached_property
    def table(self) -> Any:
        """The rows that predictions are made of: `A`, with the ones of an intercept, and 0 where a row weighs nothing."""
        rows = with_ones(self.A) if self.intercept else self.A
        if self.weights is None or self.weights.all():
            return rows
        # A loss that overflows would make 0·∞ of what does not count.
        return without_rows(rows, self.weights == 0)

    @cached_property
    def share(self) -> np.ndarray:
        """The weights of the rows, of mean 1, shape (n,)."""
        return np.ones(self.rows) if self.weights is None else np.array(self.weights)

    @cached_property
    def penalties(self) -> np.ndarray:
        """λ, and 0 for an intercept, shape (dim,)."""
        return np.append(np.full(self.dim - 1, self.ridge), 0.0 if self.intercept else self.ridge)

    @property
    def is_quadratic(self) -> bool:
        """Whether φ'' is constant."""
        return self.loss.curvature_min == self.loss.curvature_max

    def with_rows(self, A: Any) -> Self:
        """Return the same model on other rows, with the same labels and the same λ."""
        return replace(self, A=A, l2=self.ridge, condition_number=None)

    def part(self, rows: Any) -> Self:
        """Return the same model on some of its rows, with the same λ; weights are divided by the mean of these rows'."""
        weights = None if self.weights is None else self.weights[rows]
        return replace(self, A=self.A[rows], y=self.y[rows], l2=self.ridge, condition_number=None, weights=weights)

    def on(self, device: Device) -> Self:
        """Return the same function with its data on a device."""
        there: Self = device.copy(self, table=self.table)
        return there

    @cached_property
    def dense_rows(self) -> np.ndarray:
        """The data as a dense array, shape (n, dim)."""
        check_room("the data as a dense table", *self.table.shape, change="use fewer rows or columns")
        return np.asarray(self.table.toarray() if hasattr(self.table, "toarray") else self.table)

    def _weighed(self, each: Array) -> Array:
        return each if self.weights is None else self.weights * each

    def _held(self, x: Array) -> Array:
        """Return what is penalised of points: all but an intercept."""
        if not self.intercept:
            return x
        xp = namespace(x)
        return xp.concat([x[..., :-1], xp.zeros_like(x[..., :1])], axis=-1)

    def value(self, x: Array) -> Array:
        """Return f(x), shape ``x.shape[:-1]``."""
        x = self._points("x", x)
        return self._value(x, self.loss.value(rows_times(self.table, x), self.y))

    def _value(self, x: Array, losses: Array) -> Array:
        held = self._held(x)
        return namespace(losses).mean(self._weighed(losses), axis=-1) + 0.5 * self.ridge * inner(held, held)

    def gradient(self, x: Array) -> Array:
        """Return ∇f(x), shape of `x`."""
        x = self._points("x", x)
        return self._combined(self.loss.derivative(rows_times(self.table, x), self.y), x)

    def _combined(self, slopes: Array, x: Array) -> Array:
        return rows_times(self._transposed, self._weighed(slopes)) / self.rows + self.ridge * self._held(x)

    def value_and_gradient(self, x: Array) -> tuple[Array, Array]:
        """Return f(x) and ∇f(x) from the same predictions."""
        x = self._points("x", x)
        predictions = rows_times(self.table, x)
        losses, slopes = self.loss.value(predictions, self.y), self.loss.derivative(predictions, self.y)
        return self._value(x, losses), self._combined(slopes, x)

    def hessian_product(self, x: Array, w: Array) -> Array:
        """Return ∇²f(x) w, shape of `x`."""
        x, w = self._points("x", x), self._points("w", w)
        return self._combined(self.loss.second_derivative(rows_times(self.table, x), self.y) * rows_times(self.table, w), w)

    @cached_property
    def rounding(self) -> LinearModelRounding:
        """The data as rounding errors see them."""
        return LinearModelRounding(self.table, self.y, self.loss, self.penalties, self.share)

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
        return np.asarray(self._weighed(self.loss.second_derivative(self.table @ x, self.y)))

    def hessian(self, x: Array) -> np.ndarray:
        """Return ∇²f(x) at one point, shape (dim, dim)."""
        check_square("the Hessian", self.dim, change="take products with it: hessian_product")
        return self._hessian_of(self._bends(np.asarray(self._points("x", x), dtype=float)))

    def mean_hessian(self, points: np.ndarray) -> np.ndarray:
        """Return the mean of ∇²f over points of shape (m, dim), shape (dim, dim)."""
        return self._hessian_of(np.mean([self._bends(point) for point in points], axis=0))

    def _hessian_of(self, bends: np.ndarray) -> np.ndarray:
        """Return (1/n) Aᵀ Diag(bends) A + λI, weights included in `bends`."""
        A = self.table
        data = A.T @ (A.multiply(bends[:, None]).tocsr() if hasattr(A, "multiply") else bends[:, None] * A)
        return np.asarray(data.toarray() if hasattr(data, "toarray") else data) / self.rows + np.diag(self.penalties)

    def hessian_root(self, x: np.ndarray) -> np.ndarray:
        """Return R with RᵀR = ∇²f(x) at one point, for convex losses, shape (n + dim, dim)."""
        data = np.sqrt(np.maximum(self._bends(x), 0.0) / self.rows)[:, None] * self.dense_rows
        return np.vstack([data, np.diag(np.sqrt(self.penalties))])

    def hessian_diagonal(self, x: np.ndarray) -> np.ndarray:
        """Return the diagonal of ∇²f(x) at one point, shape (dim,)."""
        return np.asarray(self._squares.T @ self._bends(x)) / self.rows + self.penalties

    @property
    def components(self) -> int:
        """The number n of rows; f_i(x) = w_i φ(a_iᵀx; y_i) + (λ/2)‖x‖²."""
        return self.rows

    @cached_property
    def row_squares(self) -> np.ndarray:
        """‖a_i‖² for every row, shape (n,)."""
        A = self.table
        return np.asarray((A.multiply(A) if hasattr(A, "multiply") else A**2).sum(axis=1)).ravel()

    @cached_property
    def _zero_rows(self) -> np.ndarray:
        # Not by the squares, which may underflow.
        entries = (self.table != 0).sum(axis=1)
        return (np.asarray(entries).ravel() == 0) | (self.share == 0)

    @cached_property
    def component_smoothness(self) -> np.ndarray:
        """Smoothness of each f_i(x) = w_i φ(a_iᵀx; y_i) + (λ/2)‖x‖², or just above it with an intercept, shape (n,)."""
        # A row of zeros has no curvature, not even where that of the loss is unbounded.
        squares = np.maximum(self._weighed(self.row_squares), np.finfo(float).tiny)
        return np.multiply(self.loss.bend, squares, out=np.zeros(self.rows), where=~self._zero_rows) + self.ridge

    @property
    def components_are_convex(self) -> bool:
        """Whether the regularisation outweighs the least second derivative of the loss on the longest row."""
        if self.loss.curvature_min >= 0:
            return self.is_convex
        if not math.isfinite(self.loss.bend):
            return False
        longest = float(self.component_smoothness.max() - self.ridge) / self.loss.bend
        return bool(float(self.penalties.min()) + self.loss.curvature_min * longest >= 0)

    @property
    def component_smoothness_error(self) -> float:
        """The rounding of ‖a_i‖², of the product and of the sum; see `Problem.component_smoothness_error`."""
        largest = float(self.component_smoothness.max())
        return float(summed(self.dim + 7)) * largest if math.isfinite(largest) else 0.0

    @cached_property
    def component_infima(self) -> np.ndarray:
        """Proven lower bounds on inf f_i, shape (n,); for a convex loss they are the infima, up to rounding."""
        return row_infima(self.loss, self.y, self.row_squares, self._zero_rows, float(self.penalties.min()), self.share)

    def minibatch_gradient(self, x: Array, minibatch: Components) -> Array:
        """Return Σ_j weights[r, j] ∇f_{index[r, j]}(x_r) for every replica r, shape of `x`, (replicas, dim)."""
        x = self._points("x", x)
        ridge = (self.ridge * total_weight(minibatch))[:, None] * self._held(x)
        index, weights = minibatch.index, minibatch.weights
        if index is None:
            slopes = weights * self._weighed(self.loss.derivative(rows_times(self.table, x), self.y))
            return rows_times(self._transposed, slopes) + ridge
        weights = weights if self.weights is None else weights * rows_at(self.weights, index)
        return rows_gradient(self.loss, self.table, self.y, x, index, weights) + ridge

    @property
    def lower_bound(self) -> float:
        """The infimum of the loss; a bound on it where rows have weights."""
        if self.weights is None:
            return self.loss.lower_bound(self.y)
        return mean_floor(self.share, self.loss.infima(self.y))

    def sublevel_radius(self, level: float) -> float:
        """Return a number that ‖x‖ is not above where f(x) ≤ `level`; infinite unless an intercept is why there is no μ."""
        if not self.intercept or self.ridge == 0 or self.loss.curvature_min < 0:
            return math.inf
        lengths, room = np.sqrt(np.maximum(self.row_squares - 1, 0.0)), level - self.lower_bound
        return intercept_radius(self.loss, self.y, lengths, self.share, self.ridge, room)

    def _find_minimum(self, accuracy: float | None) -> Minimum:
        """Return a minimiser; that of least norm, whose certificate needs no μ, for a quadratic f."""
        if self.is_quadratic and self.dim <= DENSE_LIMIT:
            return reported(self, quadratic_minimum(self, self.quadratic_form), accuracy)
        return super()._find_minimum(accuracy)
