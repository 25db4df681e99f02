"""f_D of a generalised linear model, row by row: the sketch enters only through the law of one scalar a row.

Row i sees w_i = offset_i + a_iᵀSz. Its expected loss is an integral against the law of w_i, which the sketch's law knows;
masks have compiled kernels for it, which are the fast path of the same integral.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
import scipy.sparse as sp

from mastsim.backend import Array, asnumpy
from mastsim.expected.base import Evaluation, Expectation
from mastsim.expected.layout import RowLayout, lay_out, most_terms
from mastsim.expected.row_integrals import RowIntegrals
from mastsim.expected.row_sums import error_bound, longest_row, row_sums
from mastsim.problems import GeneralizedLinearModel, Problem
from mastsim.sketches import Law, Selection, Sketch


@dataclass(frozen=True, eq=False)
class RowExpectation(Expectation):
    """E (1/n)Σ φ(a_iᵀ(v + Sz); y_i) + (λ/2)E‖v + Sz‖² with z = x − v, to rounding accuracy.

    References
    ----------
    This package.
    """

    problem: Problem
    sketch: Sketch
    shift: np.ndarray

    @classmethod
    def refusal(cls, problem: Problem, sketch: Sketch) -> str | None:
        """Say why this evaluation does not apply, or None when it does."""
        if not isinstance(problem, GeneralizedLinearModel):
            return "f is not a generalised linear model"
        if not sketch.unbiased:
            return "E[S] differs from I"
        law, model = sketch.law.core, turned(problem, sketch.law)
        if isinstance(law, Selection):
            most = longest_row(problem.loss)
            if most < math.inf and (longest := most_terms(model, law)) > most:
                return f"a row touches {longest} units, and the {problem.loss.name} loss is exact for at most {most:.0f}"
            return None
        laws = law.rows(model.A)
        return "the law of aᵀSz is not known in closed form" if laws is None else RowIntegrals.refusal(problem.loss, laws)

    @property
    def evaluation(self) -> Evaluation:
        """How values are obtained."""
        reason = f"the {self._model.loss.name} loss is integrated against the law of one scalar a row"
        return Evaluation("rows", "exact", reason)

    @cached_property
    def _law(self) -> Law:
        """The law in the coordinates where rows are simplest, in which everything private here is written."""
        return self.sketch.law.core

    @cached_property
    def _model(self) -> GeneralizedLinearModel:
        return turned(cast(GeneralizedLinearModel, self.problem), self.sketch.law)

    @cached_property
    def _center(self) -> np.ndarray:
        """The shift."""
        return self._turn(self.shift)

    @cached_property
    def layout(self) -> RowLayout:
        """What the kernels for masks need that depends on data and sketch but not on x."""
        return lay_out(self._model, cast(Selection, self._law), self._center)

    @cached_property
    def integrals(self) -> RowIntegrals:
        """The integrals for laws without kernels."""
        model = self._model
        form = model.loss.row_form(model.y)
        signed = sp.csr_array(sp.diags_array(np.broadcast_to(form.sign, model.rows)) @ sp.csr_array(model.A))
        laws = self._law.rows(signed)
        assert laws is not None
        return RowIntegrals(model.loss, laws, signed @ self._center + form.offset)

    @cached_property
    def _slopes(self) -> tuple[np.ndarray, float]:
        """The part of the loss that is linear in the predictions: its gradient in x, and its mean constant."""
        model = self._model
        form = model.loss.row_form(model.y)
        slope = np.broadcast_to(form.slope, model.rows)
        return np.asarray(model.A.T @ slope) / model.rows, float(np.mean(form.constant))

    def value(self, x: Array) -> Array:
        """Return f_D(x)."""
        return self._each(self._turn(x), lambda point: self._evaluate(point, 0)[0])

    def gradient(self, x: Array) -> Array:
        """Return ∇f_D(x)."""
        return self._turn_back(self._each(self._turn(x), lambda point: self._evaluate(point, 1)[1]))

    def value_and_gradient(self, x: Array) -> tuple[Array, Array]:
        """Return f_D(x) and ∇f_D(x), in one pass."""
        both = self._each(self._turn(x), lambda point: np.append(*self._evaluate(point, 1)[:2]))
        return both[..., 0], self._turn_back(both[..., 1:])

    def hessian_product(self, x: Array, w: Array) -> Array:
        """Return ∇²f_D(x) w."""
        both = np.concatenate([self._turn(x), self._turn(w)], axis=-1)
        each = self._each(both, lambda pair: self._evaluate(pair[: self.problem.dim], 2, pair[self.problem.dim :])[2])
        return self._turn_back(each)

    def error_bound(self, x: Array) -> float:
        """Return a bound on the error of the values at the points `x`; zero when every row is enumerated."""
        points = np.reshape(self._turn(x), (-1, self.problem.dim)) - self._center
        if isinstance(self._law, Selection):
            return max(error_bound(self._model.loss, self.layout, self.layout.gather(z)) for z in points)
        return max(self.integrals.error(z) for z in points)

    def _turn(self, x: Array) -> np.ndarray:
        return np.asarray(self.sketch.law.turn(asnumpy(x)))

    def _turn_back(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self.sketch.law.turn_back(x))

    @staticmethod
    def _each(x: Array, function: Callable[[np.ndarray], Any]) -> np.ndarray:
        points = asnumpy(x)
        flat = points.reshape(-1, points.shape[-1])
        out = np.stack([np.asarray(function(p)) for p in flat])
        return out.reshape(points.shape[:-1] + out.shape[1:])

    def _evaluate(self, x: np.ndarray, order: int, w: np.ndarray | None = None) -> tuple[float, np.ndarray, np.ndarray]:
        z, v = x - self._center, self._center
        if not np.isfinite(z).all():
            return math.nan, np.full(len(x), math.nan), np.full(len(x), math.nan)
        values, gradient, product = (self._by_kernels if isinstance(self._law, Selection) else self._by_laws)(z, order, w)
        ridge, n, second = self._model.ridge, self._model.rows, self._law.second_times(z)
        slope, constant = self._slopes
        penalty = 0.5 * ridge * float(v @ (v + 2 * z) + second @ z)
        value = math.fsum(values) / n + float(slope @ x) + constant + penalty
        if order >= 1:
            gradient = gradient / n + slope + ridge * (v + second)
        if w is not None:
            product = product / n + ridge * self._law.second_times(w)
        return value, gradient, product

    def _by_kernels(self, z: np.ndarray, order: int, w: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return expected losses, the gradient of their sum, and its change along w, for masks."""
        layout, gradient, product = self.layout, np.zeros(0), np.zeros(0)
        theta, delta = layout.gather(z), None if w is None else layout.gather(w)
        rows = row_sums(self._model.loss, layout, theta, order, delta)
        if order >= 1:
            gradient = layout.scatter(rows.derivatives, len(z))
        if w is not None:
            product = layout.scatter(rows.directionals, len(z))
        return rows.values, gradient, product

    def _by_laws(self, z: np.ndarray, order: int, w: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return expected losses, the gradient of their sum, and its change along w, for any law."""
        found = self.integrals.totals(z, order, w)
        return found.values, found.gradient, found.product


def turned(problem: GeneralizedLinearModel, law: Law) -> GeneralizedLinearModel:
    """Return a model with its rows in the coordinates of a law's core; the same model where these are the original ones."""
    return problem if law.core is law else problem.with_rows(np.asarray(law.turn(problem.dense_rows)))
