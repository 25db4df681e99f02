"""What is known of the curvature of a generalised linear model: bounds on ∇²f, dense and as operators."""

from __future__ import annotations

import math
from abc import abstractmethod
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from mastsim.backend import contiguous
from mastsim.linalg import Curvature, Pair, QuadraticForm, SparseCurvature, gram_form
from mastsim.memory import check_square
from mastsim.problems.base import DENSE_LIMIT, Problem
from mastsim.problems.losses import Loss
from mastsim.provenance import Constant


class LinearModelCurvature(Problem):
    """The curvature of (1/n) Σ w_i φ(a_iᵀx; y_i) + ½ Σ λ_j x_j²; see `GeneralizedLinearModel`, which says the rest."""

    y: np.ndarray
    weights: Any
    condition_number: float | None

    @property
    @abstractmethod
    def loss(self) -> Loss:
        """The loss φ."""

    @property
    @abstractmethod
    def rows(self) -> int:
        """The number of data points n."""

    @property
    @abstractmethod
    def table(self) -> Any:
        """The rows a_i, shape (n, dim)."""

    @property
    @abstractmethod
    def share(self) -> np.ndarray:
        """The weights w_i, shape (n,)."""

    @property
    @abstractmethod
    def penalties(self) -> np.ndarray:
        """The λ_j, shape (dim,)."""

    @cached_property
    def _transposed(self) -> Any:
        return self.table.T.tocsr() if hasattr(self.table, "tocsr") else contiguous(self.table.T)

    @cached_property
    def _squares(self) -> Any:
        return self.table.multiply(self.table).tocsr() if hasattr(self.table, "multiply") else self.table**2

    @cached_property
    def column_scale(self) -> np.ndarray:
        """One over the root of the largest curvature along each coordinate; of its mean square where that is unbounded."""
        bend = self.loss.bend if math.isfinite(self.loss.bend) else 1.0
        diagonal = bend * np.asarray(self._squares.T @ self.share) / self.rows + self.penalties
        # A column of zeros that is not penalised has no scale.
        return 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))

    @cached_property
    def _gram(self) -> np.ndarray:
        check_square("the matrix AᵀA of the data", self.dim)
        A, s = self.table, self.share[:, None]
        gram = self._transposed @ (A if self.weights is None else A.multiply(s) if hasattr(A, "multiply") else s * A)
        return np.asarray(gram.toarray() if hasattr(gram, "toarray") else gram) / self.rows

    @property
    def _data_curvature(self) -> float:
        if not math.isfinite(self.loss.bend):
            raise ValueError(
                f"condition_number={self.condition_number} is not accepted: the curvature of the {self.loss.name} loss is "
                "unbounded; pass l2 instead"
            )
        return self.loss.bend * self._gram_top

    @cached_property
    def _gram_top(self) -> Constant:
        """A number that λ_max(AᵀA/n) is not above."""
        if self.dim > DENSE_LIMIT:
            return self._sparse_curvature(1.0, np.zeros(self.dim)).largest
        return Constant(max(float(np.linalg.eigvalsh(self._gram)[-1]), 0.0), "exact", "dense eigenvalues")

    @cached_property
    def upper_curvature(self) -> Curvature:
        """**L** = (sup|φ''|/n) AᵀA + λI; refused where φ'' is unbounded."""
        self._check_curvature()
        return self._curvature(self.loss.bend)

    def _check_curvature(self) -> None:
        if not math.isfinite(self.loss.bend):
            raise ValueError(f"the curvature of the {self.loss.name} loss is unbounded: there is no matrix L ⪰ ∇²f")

    @cached_property
    def L_f(self) -> Constant:
        """Smoothness constant of f; infinite where φ'' is unbounded."""
        if not math.isfinite(self.loss.bend):
            return Constant(math.inf, "exact", f"the curvature of the {self.loss.name} loss is unbounded")
        if self.dim <= DENSE_LIMIT:
            return super().L_f
        top = self.sparse_upper_curvature.largest
        return self._smoothness(top, f"; {top.source}")

    @cached_property
    def mu_f(self) -> Constant:
        """Strong convexity constant of f (0 when f is only convex, negative when it is not)."""
        if self.loss.curvature_min == -math.inf:
            return Constant(-math.inf, "lower", f"nothing bounds the curvature of the {self.loss.name} loss from below")
        if self.dim <= DENSE_LIMIT:
            return super().mu_f
        least = self.sparse_lower_curvature.smallest
        return self._convexity(least, f"; {least.source}")

    @cached_property
    def sparse_upper_curvature(self) -> SparseCurvature:
        """**L** as an operator; refused where φ'' is unbounded."""
        self._check_curvature()
        return self._sparse_curvature(self.loss.bend, self.penalties)

    @cached_property
    def sparse_lower_curvature(self) -> SparseCurvature:
        """**M** as an operator; −**M** is what rows make where φ'' is negative somewhere."""
        if self.is_quadratic:
            return self.sparse_upper_curvature
        return self._sparse_curvature(self.loss.curvature_min, self.penalties)

    def _sparse_curvature(self, bend: float, penalties: np.ndarray) -> SparseCurvature:
        """Return (bend/n) AᵀA + Diag(penalties) as an operator."""
        rows, sign = sp.csr_array(self.table), -1.0 if bend < 0 else 1.0
        pieces = [(rows, abs(bend) * self.share / self.rows)] if bend != 0 else []
        return SparseCurvature(pieces, sign * penalties, float(penalties.min()) if bend >= 0 else -math.inf, sign)

    @cached_property
    def lower_curvature(self) -> Curvature:
        """**M** = (φ''min/n) AᵀA + λI; refused where nothing bounds φ'' from below."""
        if self.loss.curvature_min == -math.inf:
            raise ValueError(f"nothing bounds the curvature of the {self.loss.name} loss from below: there is no M ⪯ ∇²f")
        return self.upper_curvature if self.is_quadratic else self._curvature(self.loss.curvature_min)

    def _curvature(self, bend: float) -> Curvature:
        """Return (bend/n) AᵀA + λI."""
        check_square("the curvature matrix", self.dim)
        if bend > 0 and self.is_quadratic:
            return self.quadratic_form.curvature
        penalties, floor = np.diag(self.penalties), float(self.penalties.min())
        if bend == 0:
            return Curvature(penalties, floor=floor, semidefinite=True)
        doubt = (self.rows + 5) * float(np.finfo(float).eps)
        if bend > 0:
            return Curvature(bend * self._gram + penalties, None, doubt, floor, None, True)
        # Where the two parts cancel, the doubt is beside what they are, not beside their sum.
        matrix = bend * self._gram + penalties
        parts, diagonal = abs(bend) * np.diag(self._gram) + self.penalties, np.abs(np.diag(matrix))
        share = np.divide(parts, diagonal, out=np.where(parts > 0, 1 / doubt, 0.0), where=diagonal > 0)
        return Curvature(matrix, None, doubt * float(share.max(initial=1.0)))

    @cached_property
    def quadratic_form(self) -> QuadraticForm:
        """The form around zero of a model whose loss is quadratic."""
        if not self.is_quadratic:
            return super().quadratic_form
        zero = np.zeros(self.rows)
        bend, slopes = self.loss.curvature_max, np.asarray(self.loss.derivative(zero, self.y))
        form = gram_form(self.table, slopes, bend, self.penalties, self.weights)
        offsets = self.share * (np.asarray(self.loss.value(zero, self.y)) - slopes**2 / (2 * bend))
        error = 4 * float(np.finfo(float).eps) * float(np.abs(offsets).mean())
        constant = form.constant + Pair.of(float(offsets.mean()))
        return QuadraticForm(form.curvature, form.slope, constant, form.slope_errors, form.constant_error + error)

    @property
    def curvature_is_attained(self) -> bool:
        """Whether φ'' reaches its largest value in all rows at once and comes as near its least as one likes."""
        return self.loss.curvature_is_attained
