"""f_D of a generalised linear model, row by row: the sketch enters only through the law of one scalar a row.

Row i sees w_i = offset_i + Σ θ_e·[term e is kept]. Its expected loss is a polynomial part, from mean and variance of w_i,
plus either a sum of exponentials, whose expectation is the transform of w_i (fused kernels), or an enumeration of the kept
sets, whichever is cheaper for that row.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np

from mastsim.backend import Array, asnumpy
from mastsim.expected.base import Evaluation, Expectation
from mastsim.expected.layout import RowLayout, lay_out, most_terms
from mastsim.expected.rounding import RowErrors, RowSizes
from mastsim.expected.row_sums import longest_row, row_errors, row_sums
from mastsim.problems import GeneralizedLinearModel, Problem
from mastsim.problems.rounding import EPS, summed
from mastsim.sketches import SelectionSketch, Sketch


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
        if not isinstance(sketch, SelectionSketch):
            return "the sketch does not select coordinates"
        most = longest_row(problem.loss)
        if most < math.inf and (longest := most_terms(problem, sketch.selection)) > most:
            return f"a row touches {longest} units, and the {problem.loss.name} loss is exact for at most {most:.0f}"
        return None

    @property
    def evaluation(self) -> Evaluation:
        """How values are obtained."""
        reason = f"the {self._model.loss.name} loss is integrated against the law of one scalar a row"
        return Evaluation("rows", "exact", reason)

    @property
    def _model(self) -> GeneralizedLinearModel:
        return cast(GeneralizedLinearModel, self.problem)

    @property
    def _scale(self) -> np.ndarray:
        return 1 / cast(SelectionSketch, self.sketch).selection.keep

    @cached_property
    def layout(self) -> RowLayout:
        """What depends on data and sketch but not on x."""
        return lay_out(self._model, cast(SelectionSketch, self.sketch).selection, self.shift)

    @cached_property
    def _slopes(self) -> tuple[np.ndarray, float]:
        """The part of the loss that is linear in the predictions: its gradient in x, and its mean constant."""
        model = self._model
        form = model.loss.row_form(model.y)
        slope = np.broadcast_to(form.slope, model.rows)
        return np.asarray(model.A.T @ slope) / model.rows, float(np.mean(form.constant))

    def value(self, x: Array) -> Array:
        """Return f_D(x)."""
        return self._each(x, lambda point: self._evaluate(point, 0)[0])

    def gradient(self, x: Array) -> Array:
        """Return ∇f_D(x)."""
        return self._each(x, lambda point: self._evaluate(point, 1)[1])

    def value_and_gradient(self, x: Array) -> tuple[Array, Array]:
        """Return f_D(x) and ∇f_D(x), in one pass."""
        both = self._each(x, lambda point: np.append(*self._evaluate(point, 1)[:2]))
        return both[..., 0], both[..., 1:]

    def hessian_product(self, x: Array, w: Array) -> Array:
        """Return ∇²f_D(x) w."""
        both = np.concatenate([asnumpy(x), asnumpy(w)], axis=-1)
        return self._each(both, lambda pair: self._evaluate(pair[: self.problem.dim], 2, pair[self.problem.dim :])[2])

    def error_bound(self, x: Array) -> float:
        """Return a bound on the error of the values at the points `x`, rounding included."""
        return max(self.errors(point)[0] for point in np.reshape(asnumpy(x), (-1, self.problem.dim)))

    def gradient_error(self, x: np.ndarray) -> float:
        """Return a bound on ‖computed ∇f_D − ∇f_D‖ at one point."""
        return self.errors(x)[1]

    @np.errstate(over="ignore", invalid="ignore")
    def errors(self, x: np.ndarray, turned: float = 0.0) -> tuple[float, float]:
        """Return bounds on the errors of value and gradient at one point.

        Parameters
        ----------
        x : ndarray, shape (dim,)
            The point.
        turned : float, default 0.0
            How far data, shift and points may be from the truth, each relative to its norm.
        """
        z, model = np.asarray(x, dtype=float) - self.shift, self._model
        if not np.isfinite(z).all():
            return math.inf, math.inf
        rows, moved = self._sizes(z, turned)
        found = self._row_errors(z, rows)
        data, v = model.rounding, np.abs(self.shift)
        slope, n, d = np.abs(data.slope), model.rows, len(z)
        linear = slope * (summed(n + d + 4) * (data.majorant @ np.abs(x)) + moved)
        rest = 4 * EPS * (found.level + np.abs(data.constant))
        squares = summed(d + 8) * (v * (v + 2 * np.abs(z)) + self._scale * z**2).sum() + 6 * turned * self._length(z) ** 2
        value = float(np.mean(found.value + linear + rest)) + 0.5 * model.ridge * float(squares)
        return math.inf if math.isnan(value) else value, self._gradient_error(z, found, turned)

    def _gradient_error(self, z: np.ndarray, rows: RowErrors, turned: float) -> float:
        data, model = self._model.rounding, self._model
        slope, most, majorant = np.abs(data.slope), self._largest, data.majorant.T
        sketched = most * (majorant @ rows.slope + summed(data.column_terms + 8) * (majorant @ rows.steep))
        plain = summed(model.rows + 8) * (majorant @ slope)
        ridge = model.ridge * 8 * EPS * (np.abs(self.shift) + self._scale * np.abs(z))
        norms = np.sqrt(model.row_squares)
        rotation = 3 * turned * float(np.mean(norms * (float(most.max()) * rows.steep + slope)))
        rotation += 3 * turned * model.ridge * float(most.max()) * self._length(z)
        total = float(np.linalg.norm((sketched + plain) / model.rows + ridge)) + rotation
        return math.inf if math.isnan(total) else total

    def _sizes(self, z: np.ndarray, turned: float) -> tuple[RowSizes, np.ndarray]:
        """Return the sizes of the rows, and how far a rotation moves each."""
        data = self._model.rounding
        fixed = data.majorant @ np.abs(self.shift) + np.abs(data.offset)
        drawn = data.majorant @ (self._largest * np.abs(z))
        moved = 3 * turned * np.sqrt(self._model.row_squares) * self._length(z)
        away = summed(data.row_terms + 4) * fixed + summed(8 + self._grouped) * drawn + moved
        return RowSizes(fixed + drawn, fixed, data.row_terms, away), moved

    def _length(self, z: np.ndarray) -> float:
        """Return a bound on ‖v + Sz‖."""
        return float(np.linalg.norm(self.shift)) + float(self._largest.max()) * float(np.linalg.norm(z))

    @property
    def _largest(self) -> np.ndarray:
        """The largest size of each diagonal entry of S, shape (dim,)."""
        return self._scale

    @property
    def _grouped(self) -> np.ndarray:
        """How many entries of each row share a term with others, shape (n,)."""
        return self._model.rounding.row_terms - np.diff(self.layout.start)

    def _row_errors(self, z: np.ndarray, rows: RowSizes) -> RowErrors:
        return row_errors(self._model.loss, self.layout, self.layout.gather(z), rows)

    @staticmethod
    def _each(x: Array, function: Callable[[np.ndarray], Any]) -> np.ndarray:
        points = asnumpy(x)
        flat = points.reshape(-1, points.shape[-1])
        out = np.stack([np.asarray(function(p)) for p in flat])
        return out.reshape(points.shape[:-1] + out.shape[1:])

    def _evaluate(self, x: np.ndarray, order: int, w: np.ndarray | None = None) -> tuple[float, np.ndarray, np.ndarray]:
        z, layout = x - self.shift, self.layout
        theta, delta = layout.gather(z), None if w is None else layout.gather(w)
        if not np.isfinite(theta).all():
            return math.nan, np.full(len(x), math.nan), np.full(len(x), math.nan)
        rows = row_sums(self._model.loss, layout, theta, order, delta)
        scale, ridge, n = self._scale, self._model.ridge, self._model.rows
        slope, constant = self._slopes
        penalty = 0.5 * ridge * float(self.shift @ (self.shift + 2 * z) + (scale * z) @ z)
        value = math.fsum(rows.values) / n + float(slope @ x) + constant + penalty
        gradient = product = np.zeros(0)
        if order >= 1:
            gradient = layout.scatter(rows.derivatives, len(x)) / n + slope + ridge * (self.shift + scale * z)
        if order == 2 and w is not None:
            product = layout.scatter(rows.directionals, len(x)) / n + ridge * scale * w
        return value, gradient, product
