"""Softmax regression: more than two classes, one row of parameters a class."""

from __future__ import annotations

from dataclasses import KW_ONLY, InitVar, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mastsim.backend import Array, contiguous, inner, namespace, rows_at, rows_times
from mastsim.linalg import Curvature
from mastsim.memory import check_square
from mastsim.problems.base import Components, Problem, ridge, total_weight
from mastsim.problems.row_weights import row_weights
from mastsim.provenance import Constant
from mastsim.validation import CONDITIONS, ENTRIES, flag, matrix, positive, vector

_BEND = 0.5


@dataclass(frozen=True, eq=False)
class SoftmaxRegression(Problem):
    """f(W) = (1/n) Σ (log Σ_c exp(w_cᵀa_i) − w_{y_i}ᵀa_i) + (λ/2)‖W‖², one row w_c of W a class.

    W is one vector of dimension classes·features, row by row. The Hessian of a row of data lies below ½(I − 11ᵀ/C) ⊗ a aᵀ.
    What f sees of x is a vector, so that f_D is not reduced to scalars: it is enumerated where the sketch has few values,
    and estimated otherwise, which its evaluation says.

    Parameters
    ----------
    A : array or scipy.sparse matrix, shape (n, features)
        One row a data point.
    y : array, shape (n,)
        Labels: at least two different numbers, one a class.
    l2 : float, optional
        Regularisation λ ≥ 0. Exactly one of `l2` and `condition_number` must be given.
    condition_number : float, optional
        κ > 1; λ is chosen so that L_f/λ = κ.
    weights : array of shape (n,), mapping or "balanced", optional
        Weights of the rows, a weight for each label, or such that every label weighs the same; only their ratios count.
    copy : bool, default True
        Whether to take a copy of `A`; without, a large `A` is shared, and made read-only as far as its type allows.

    Raises
    ------
    ValueError
        If an entry is not finite, a shape does not fit, there is only one class, or not exactly one of the two
        regularisations is given.

    References
    ----------
    Böhning, "Multinomial logistic regression algorithm", Ann. Inst. Statist. Math. 44, 1992 (the bound on the Hessian).

    Examples
    --------
    >>> f = SoftmaxRegression(np.eye(3), np.array([0, 1, 2]), l2=0.1)
    >>> f.dim, bool(f.value(np.zeros(9)) == np.log(3.0)), round(float(f.L_f), 12)
    (9, True, 0.266666666667)
    """

    A: Any
    y: np.ndarray
    l2: float | None = None
    condition_number: float | None = None
    _: KW_ONLY
    weights: Any = None
    copy: InitVar[bool] = True

    def __post_init__(self, copy: bool) -> None:
        A = matrix("A", self.A, copy=flag("copy", copy))
        y = vector("y", self.y, A.shape[0], ENTRIES)
        object.__setattr__(self, "A", A)
        object.__setattr__(self, "y", y)
        object.__setattr__(self, "weights", row_weights(self.weights, y))
        if len(self.classes) < 2:
            raise ValueError(f"y holds the single label {y[0]:g}, but softmax regression needs at least two classes")
        if (kappa := self.condition_number) is not None:
            object.__setattr__(self, "condition_number", positive("condition_number", kappa, CONDITIONS))
        object.__setattr__(self, "l2", ridge(self.l2, kappa, self._data_curvature if kappa is not None else 0.0))

    @cached_property
    def classes(self) -> np.ndarray:
        """The labels, in increasing order, one a row of W."""
        return np.unique(self.y)

    @cached_property
    def _one_hot(self) -> np.ndarray:
        return (self.y == self.classes[:, None]).astype(float)

    @property
    def features(self) -> int:
        """The number of columns of the data."""
        return int(self.A.shape[1])

    @property
    def dim(self) -> int:
        """The dimension classes·features."""
        return len(self.classes) * self.features

    @property
    def name(self) -> str:
        """For example ``softmax regression (n = 150, classes = 3, d = 12)``."""
        return f"softmax regression (n = {self.components}, classes = {len(self.classes)}, d = {self.dim})"

    @property
    def ridge(self) -> float:
        """The regularisation λ."""
        assert self.l2 is not None
        return self.l2

    def _weighed(self, each: Array) -> Array:
        return each if self.weights is None else self.weights * each

    def scores(self, x: Array) -> Array:
        """Return w_cᵀa_i, shape ``(*x.shape[:-1], classes, n)``."""
        return rows_times(self.A, self._table("x", x))

    def _table(self, name: str, x: Array) -> Array:
        x = self._points(name, x)
        return namespace(x).reshape(contiguous(x), (*x.shape[:-1], len(self.classes), self.features))

    def _flat(self, table: Array) -> Array:
        return namespace(table).reshape(contiguous(table), (*table.shape[:-2], self.dim))

    @cached_property
    def _transposed(self) -> Any:
        return self.A.T.tocsr() if hasattr(self.A, "tocsr") else contiguous(self.A.T)

    def value(self, x: Array) -> Array:
        """Return f(x), shape ``x.shape[:-1]``."""
        z = self.scores(x)
        xp = namespace(z)
        top = xp.max(z, axis=-2, keepdims=True)
        total = xp.log(xp.sum(xp.exp(z - top), axis=-2)) + top[..., 0, :]
        right = xp.sum(z * xp.asarray(self._one_hot), axis=-2)
        return xp.mean(contiguous(self._weighed(total - right)), axis=-1) + 0.5 * self.ridge * inner(x, x)

    def gradient(self, x: Array) -> Array:
        """Return ∇f(x), shape of `x`."""
        slopes = _softmax(self.scores(x)) - namespace(x).asarray(self._one_hot)
        return self._flat(rows_times(self._transposed, self._weighed(slopes))) / self.components + self.ridge * x

    def hessian_product(self, x: Array, w: Array) -> Array:
        """Return ∇²f(x) w, shape of `x`."""
        p, s = _softmax(self.scores(x)), self.scores(w)
        bends = p * (s - namespace(x).sum(p * s, axis=-2, keepdims=True))
        return self._flat(rows_times(self._transposed, self._weighed(bends))) / self.components + self.ridge * w

    def minibatch_gradient(self, x: Array, minibatch: Components) -> Array:
        """Return Σ_j weights[r, j] ∇f_{index[r, j]}(x_r) for every replica r, shape of `x`, (replicas, dim)."""
        table, xp = self._table("x", x), namespace(x)
        ridge_part = (self.ridge * total_weight(minibatch))[:, None] * x
        if minibatch.index is None:
            slopes = (_softmax(rows_times(self.A, table)) - xp.asarray(self._one_hot)) * minibatch.weights[:, None, :]
            return self._flat(rows_times(self._transposed, self._weighed(slopes))) + ridge_part
        rows = rows_at(xp.asarray(self._dense), minibatch.index)
        z = xp.sum(table[:, :, None, :] * rows[:, None, :, :], axis=-1)
        right = xp.moveaxis(rows_at(xp.asarray(np.ascontiguousarray(self._one_hot.T)), minibatch.index), -1, 1)
        weights = minibatch.weights if self.weights is None else minibatch.weights * rows_at(self.weights, minibatch.index)
        slopes = (_softmax(z) - right) * weights[:, None, :]
        return self._flat(xp.sum(slopes[..., None] * rows[:, None, :, :], axis=2)) + ridge_part

    @cached_property
    def _dense(self) -> np.ndarray:
        return np.asarray(self.A.toarray() if hasattr(self.A, "toarray") else self.A)

    @cached_property
    def _gram(self) -> np.ndarray:
        check_square("the matrix AᵀA of the data", self.features)
        A, s = self.A, np.ones(self.components) if self.weights is None else self.weights
        gram = self._transposed @ (A.multiply(s[:, None]) if hasattr(A, "multiply") else s[:, None] * A)
        return np.asarray(gram.toarray() if hasattr(gram, "toarray") else gram) / self.components

    @property
    def _data_curvature(self) -> float:
        return _BEND * max(float(np.linalg.eigvalsh(self._gram)[-1]), 0.0)

    @cached_property
    def upper_curvature(self) -> Curvature:
        """**L** = ½(I − 11ᵀ/C) ⊗ AᵀA/n + λI."""
        check_square("the curvature matrix", self.dim)
        C = len(self.classes)
        bound = np.kron(_BEND * (np.eye(C) - 1 / C), self._gram) + self.ridge * np.eye(self.dim)
        doubt = (self.components + 9) * float(np.finfo(float).eps)
        return Curvature(bound, None, doubt, self.ridge, None, True)

    @cached_property
    def lower_curvature(self) -> Curvature:
        """**M** = λI: along W = 1wᵀ nothing but the ridge bends."""
        return Curvature(self.ridge * np.eye(self.dim), floor=self.ridge, semidefinite=True)

    @property
    def curvature_is_attained(self) -> bool:
        """False: of more than two classes, no point has the largest curvature in all rows."""
        return False

    @cached_property
    def L_f(self) -> Constant:
        """The smoothness constant ½λ_max(AᵀA/n) + λ."""
        rounding = (self.components + 64) * float(np.finfo(float).eps) * (self._data_curvature + self.ridge)
        return Constant(self._data_curvature + self.ridge, "upper", "½λ_max(AᵀA/n) + λ (Böhning 1992)", rounding)

    @cached_property
    def mu_f(self) -> Constant:
        """The strong convexity constant λ."""
        return Constant(self.ridge, "exact", "λ: along W = 1wᵀ nothing else bends")

    @property
    def components(self) -> int:
        """The number n of rows."""
        return int(self.A.shape[0])

    @cached_property
    def component_smoothness(self) -> np.ndarray:
        """½w_i‖a_i‖² + λ for every row, shape (n,)."""
        squares = self.A.multiply(self.A).sum(axis=1) if hasattr(self.A, "multiply") else (self.A**2).sum(axis=1)
        return _BEND * np.asarray(self._weighed(np.asarray(squares).ravel())) + self.ridge

    @cached_property
    def component_infima(self) -> np.ndarray:
        """Zero for every row: neither the loss nor the ridge is ever negative."""
        return np.zeros(self.components)

    @property
    def lower_bound(self) -> float:
        """Zero."""
        return 0.0


def _softmax(z: Array) -> Array:
    """Return the chances of the classes, along the last axis but one."""
    xp = namespace(z)
    raised = xp.exp(z - xp.max(z, axis=-2, keepdims=True))
    return raised / xp.sum(raised, axis=-2, keepdims=True)
