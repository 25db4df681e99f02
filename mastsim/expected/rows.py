"""f_D of a generalised linear model, row by row: the sketch enters only through the law of one scalar a row.

Row i sees w_i = offset_i + a_iᵀSz. Its expected loss is an integral against the law of w_i, which the sketch's law knows;
masks have compiled kernels for it, which are the fast path of the same integral.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

import numpy as np
import scipy.sparse as sp

from mastsim.backend import Array, asnumpy
from mastsim.expected.base import NEAR_FACTOR, NEAR_WORK, Evaluation, Expectation
from mastsim.expected.columns import Totals
from mastsim.expected.layout import RowLayout, lay_out, most_terms
from mastsim.expected.rounding import RowErrors, RowSizes
from mastsim.expected.row_integrals import RowIntegrals
from mastsim.expected.row_sums import SelectionRows, longest_row, most_nodes, work
from mastsim.problems import GeneralizedLinearModel, Problem
from mastsim.readonly import frozen_rows
from mastsim.rounding import EPS, summed
from mastsim.sketches import Law, Selection, Sketch
from mastsim.sketches.laws import DiagonalLaw

ACCURACY = 1e-14
"""The accuracy of expectations that nobody asks to be less accurate."""
_MOST_ROWS = 1 << 22


@dataclass(frozen=True, eq=False)
class RowExpectation(Expectation):
    """E (1/n)Σ w_i φ(a_iᵀ(v + Sz); y_i) + (λ/2)E‖v + Sz‖² with z = x − v.

    Parameters
    ----------
    problem, sketch, shift
        f, D and v.
    accuracy : float, default 1e-14
        The largest error of a row's expectation, rounding aside, relative to 1 + the row's largest |w_i|; of its
        derivative in w_i ten times that.

    References
    ----------
    This package.
    """

    problem: Problem
    sketch: Sketch
    shift: np.ndarray
    accuracy: float = ACCURACY

    @classmethod
    def refusal(cls, problem: Problem, sketch: Sketch) -> str | None:
        """Say why this evaluation does not apply, or None when it does."""
        if not isinstance(problem, GeneralizedLinearModel):
            return "f is not a generalised linear model"
        if not sketch.unbiased:
            return "E[S] differs from I"
        law = sketch.law.core
        if problem.intercept and not (law is sketch.law and isinstance(law, DiagonalLaw)):
            return "the sketch turns an intercept, which is not penalised, into coordinates that are"
        model = turned(problem, sketch.law)
        if isinstance(law, Selection):
            most = longest_row(problem.loss)
            if most < math.inf and (longest := most_terms(model, law)) > most:
                return f"a row touches {longest} units, and the {problem.loss.name} loss is exact for at most {most:.0f}"
            return None
        laws = law.rows(model.table)
        return "the law of aᵀSz is not known in closed form" if laws is None else RowIntegrals.refusal(problem.loss, laws)

    def at(self, accuracy: float) -> RowExpectation:
        """Return the same expectation with another accuracy; what does not depend on it is shared."""
        if accuracy == self.accuracy or self._model.loss.is_exact:
            return self
        sharper = replace(self, accuracy=accuracy)
        names = {"_law", "_model", "_center", "_layout", "_slopes", "_sizes_of_rows"} & self.__dict__.keys()
        sharper.__dict__.update({name: self.__dict__[name] for name in names})
        return sharper

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
    def _layout(self) -> RowLayout:
        """What the kernels for masks need that depends on data and sketch but not on x."""
        return lay_out(self._model, cast(Selection, self._law), self._center)

    @cached_property
    def _selected(self) -> SelectionRows:
        """The expectations for masks."""
        return SelectionRows(self._model.loss, self._layout, self.accuracy, self._model.weights)

    @cached_property
    def _integrals(self) -> RowIntegrals:
        """The integrals for laws without kernels."""
        model = self._model
        form = model.loss.row_form(model.y)
        signed = sp.csr_array(sp.diags_array(np.broadcast_to(form.sign, model.rows)) @ sp.csr_array(model.table))
        laws = self._law.rows(frozen_rows(signed, copy=False))
        assert laws is not None
        return RowIntegrals(model.loss, laws, signed @ self._center + form.offset, self.accuracy, model.weights)

    @cached_property
    def _slopes(self) -> tuple[np.ndarray, float]:
        """The part of the loss that is linear in the predictions: its gradient in x, and its mean constant."""
        model = self._model
        form = model.loss.row_form(model.y)
        slope = model.share * form.slope
        return np.asarray(model.table.T @ slope) / model.rows, float(np.mean(model.share * form.constant))

    def is_far(self, x: Array) -> np.ndarray:
        """Say which finite points take much more work than the shift does, shape ``x.shape[:-1]``."""
        z = self._turn(x).reshape(-1, self.problem.dim) - self._center
        far = np.array([not self._is_near(each) and self._work(each) > self._near_work for each in z])
        return far.reshape(x.shape[:-1])

    def inaccuracy(self, x: Array) -> tuple[np.ndarray, np.ndarray]:
        """Return bounds on how far values and gradients are off, rounding aside; infinite for laws that are no masks.

        The sum of a row is off by at most half of the accuracy times 1 + the reach that it is for, and so is its law; the
        derivative in w by ten times that. Rows within 1/4 share a sum whose reach is up to 1.1, and all others one that
        reaches at most half as far again, so that both are off by at most twice the accuracy times 1 + Σ|θ| + |offset|.
        """
        if self._model.loss.is_exact:
            return super().inaccuracy(x)
        if not isinstance(self._law, Selection):
            return np.full(x.shape[:-1], math.inf), np.full(x.shape[:-1], math.inf)
        z, (level, slope), (steep, bend) = np.abs(self._turn(x) - self._center), *self._sizes_of_rows
        return 2 * self.accuracy * (level + z @ slope), 20 * self.accuracy * (steep + z @ bend)

    @cached_property
    def _sizes_of_rows(self) -> tuple[tuple[float, np.ndarray], tuple[float, np.ndarray]]:
        """The mean of s = 1 + |offset| + Σ|coefficient z| over rows: a constant, factors of |z|; of s·|coefficients|."""
        # Lengths of rows are Euclidean, so that the second bounds the length of a gradient.
        layout, dim = self._layout, self.problem.dim
        row, n = layout.row[layout.term], len(layout.offset)
        size, fixed = np.abs(layout.coefficient), 1 + np.abs(layout.offset)
        length = np.sqrt(np.bincount(row, weights=size**2, minlength=n))
        plain, steep = (np.bincount(layout.column, weights=size * by[row], minlength=dim) / n for by in (np.ones(n), length))
        return (float(fixed.mean()), plain), (float((fixed * length).mean()), steep)

    def _is_near(self, z: np.ndarray) -> bool:
        """Say whether a point is so near that no row can be far."""
        if not isinstance(self._law, Selection):
            return False
        factor, offset = self._widest
        most = factor * float(np.abs(z).max()) + offset
        return np.isfinite(most) and len(self._layout.row) * most_nodes(self._model.loss, most) <= self._near_work

    @cached_property
    def _widest(self) -> tuple[float, float]:
        """The largest Σ|coefficients| and |offset| of a row."""
        layout = self._layout
        each = np.bincount(layout.row[layout.term], weights=np.abs(layout.coefficient), minlength=len(layout.offset))
        return float(each.max(initial=0.0)), float(np.abs(layout.offset).max(initial=0.0))

    @cached_property
    def _near_work(self) -> float:
        """How much work is done without second thoughts: at points within reach."""
        return max(NEAR_WORK, NEAR_FACTOR * self._work(np.zeros(self.problem.dim)))

    @np.errstate(over="ignore", invalid="ignore")
    def _work(self, z: np.ndarray) -> float:
        """Return about how many numbers f_D at v + z takes."""
        if not np.isfinite(z).all():
            return 0.0
        if isinstance(self._law, Selection):
            return work(self._model.loss, self._layout, self._layout.gather(z))
        return self._integrals.work(z)

    def value(self, x: Array) -> Array:
        """Return f_D(x)."""
        return self._evaluate(x, 0).value.reshape(x.shape[:-1])[()]

    def gradient(self, x: Array) -> Array:
        """Return ∇f_D(x)."""
        return self._turn_back(self._evaluate(x, 1).gradient.reshape(x.shape))

    def value_and_gradient(self, x: Array) -> tuple[Array, Array]:
        """Return f_D(x) and ∇f_D(x), in one pass."""
        found = self._evaluate(x, 1)
        return found.value.reshape(x.shape[:-1])[()], self._turn_back(found.gradient.reshape(x.shape))

    def hessian_product(self, x: Array, w: Array) -> Array:
        """Return ∇²f_D(x) w."""
        return self._turn_back(self._evaluate(x, 2, w).product.reshape(x.shape))

    def error_bound(self, x: Array) -> float:
        """Return a bound on the error of the values at the points `x`, rounding included, also that of a rotation."""
        return max(self._errors(point)[0] for point in np.reshape(self._turn(x), (-1, self.problem.dim)))

    def gradient_error(self, x: np.ndarray) -> float:
        """Return a bound on ‖computed ∇f_D − ∇f_D‖ at one point."""
        point, away = self._turn(x), self.sketch.law.departure
        back = away * float(np.linalg.norm(self._evaluate(x, 1).gradient)) if away else 0.0
        return (1 + away) * self._errors(point)[1] + back

    @np.errstate(over="ignore", invalid="ignore")
    def _errors(self, x: np.ndarray) -> tuple[float, float]:
        """Return bounds on the errors of value and gradient at one point."""
        z, model = x - self._center, self._model
        if not np.isfinite(z).all():
            return math.inf, math.inf
        rows, moved = self._sizes(z)
        found = self._row_errors(z, rows)
        data, v, penalties = model.rounding, np.abs(self._center), model.penalties
        slope, n, d = data.share * np.abs(data.slope), model.rows, len(z)
        linear = slope * (summed(n + d + 4) * (data.majorant @ np.abs(x)) + moved)
        rest = 4 * EPS * (found.level + data.share * np.abs(data.constant))
        lengths = penalties @ (v * (v + 2 * np.abs(z))) + self._second_norm * float(penalties @ (self._scale * z**2))
        squares = summed(d + 9) * float(lengths) + 6 * model.ridge * self.sketch.law.departure * self._length(z) ** 2
        value = float(np.mean(found.value + linear + rest)) + 0.5 * squares
        return math.inf if math.isnan(value) else value, self._gradient_error(z, found)

    def _gradient_error(self, z: np.ndarray, rows: RowErrors) -> float:
        model, data, away = self._model, self._model.rounding, self.sketch.law.departure
        most, majorant, norms = float(self._largest.max()), data.majorant.T, self._norms
        slope = data.share * np.abs(data.slope)
        plain = summed(model.rows + 9) * (majorant @ slope) / model.rows
        ridge = model.penalties * 8 * EPS * (np.abs(self._center) + self._second_norm * self._scale * np.abs(z))
        if isinstance(self._law, DiagonalLaw):
            entries = summed(data.column_terms + 8) * (majorant @ rows.steep) + majorant @ rows.slope
            total = float(np.linalg.norm(self._largest * entries / model.rows + plain + ridge))
        else:
            turned = 1.0 if self._law.symmetric else math.sqrt(len(z))
            total = turned * most * float(np.mean(norms * (rows.slope + summed(model.rows + 16) * rows.steep))) + float(
                np.linalg.norm(plain + ridge)
            )
        total += 3 * away * float(np.mean(norms * (most * rows.steep + slope)))
        total += 3 * away * model.ridge * most * self._length(z)
        return math.inf if math.isnan(total) else total

    def _sizes(self, z: np.ndarray) -> tuple[RowSizes, np.ndarray]:
        """Return the sizes of the rows, and how far a rotation moves each."""
        data = self._model.rounding
        fixed = data.majorant @ np.abs(self._center) + np.abs(data.offset)
        moved = 3 * self.sketch.law.departure * self._norms * self._length(z)
        away, drawn = summed(data.row_terms + 4) * fixed + moved, self._drawn(z)
        if isinstance(self._law, Selection):
            # Entries of a row that share a unit share a term.
            away = away + summed(8 + data.row_terms - np.diff(self._layout.start)) * drawn
        return RowSizes(fixed + drawn, fixed, data.row_terms, away), moved

    def _drawn(self, z: np.ndarray) -> np.ndarray:
        """Return bounds on |aᵀSz| made of absolute values, shape (n,); of its root mean square where it has none."""
        if isinstance(self._law, DiagonalLaw):
            return np.asarray(self._model.rounding.majorant @ (self._largest * np.abs(z)))
        return np.maximum(self._norms * float(self._largest.max() * np.linalg.norm(z)), self._integrals.size(z))

    def _row_errors(self, z: np.ndarray, rows: RowSizes) -> RowErrors:
        if isinstance(self._law, Selection):
            return self._selected.errors(z, rows)
        return self._integrals.errors(z, rows)

    @cached_property
    def _norms(self) -> np.ndarray:
        """|a_i|, shape (n,)."""
        return np.sqrt(self._model.row_squares)

    def _length(self, z: np.ndarray) -> float:
        """Return a bound on ‖v + Sz‖, or on its root mean square where it has none."""
        return float(np.linalg.norm(self._center)) + float(self._largest.max()) * float(np.linalg.norm(z))

    @cached_property
    def _largest(self) -> np.ndarray:
        """The largest size of each diagonal entry of S, or √L_D for laws that are not diagonal, shape (dim,)."""
        if isinstance(self._law, DiagonalLaw):
            return np.sqrt(self._law.largest_squares)
        return np.full(self._law.dim, math.sqrt(self._law.L_D))

    @cached_property
    def _scale(self) -> np.ndarray:
        """E c_i², or L_D for laws that are not diagonal, shape (dim,)."""
        if isinstance(self._law, DiagonalLaw):
            return self._law.second_moments
        return np.full(self._law.dim, self._law.L_D)

    @property
    def _second_norm(self) -> float:
        """By how much products with |E[SᵀS]| may exceed those with its spectrum."""
        return 1.0 if isinstance(self._law, DiagonalLaw) else math.sqrt(self._law.dim)

    def _turn(self, x: Array) -> np.ndarray:
        return np.asarray(self.sketch.law.turn(asnumpy(x)))

    def _turn_back(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self.sketch.law.turn_back(x))

    def _evaluate(self, x: Array, order: int, w: Array | None = None) -> Totals:
        """Return f_D, its gradient and its change along `w` at points in any shape, listed; later ones may be empty."""
        dim = self.problem.dim
        points = self._turn(x).reshape(-1, dim)
        along = None if w is None else self._turn(w).reshape(-1, dim)
        sound = np.isfinite(points - self._center).all(axis=1)
        at_once = max(1, _MOST_ROWS // max(self._model.rows, 16 * dim))
        if len(points) <= at_once and sound.all():
            return self._evaluate_sound(points, order, along)
        nothing = np.full((len(points), dim), math.nan)
        out = Totals(np.full(len(points), math.nan), nothing, nothing.copy() if w is not None else nothing)
        for here in np.split(np.flatnonzero(sound), range(at_once, int(sound.sum()), at_once)):
            if len(here):
                found = self._evaluate_sound(points[here], order, None if along is None else along[here])
                parts = ("value", "gradient", "product")[: order + 1]
                for whole, part in ((getattr(out, name), getattr(found, name)) for name in parts):
                    whole[here] = part
        return out

    def _evaluate_sound(self, x: np.ndarray, order: int, w: np.ndarray | None) -> Totals:
        """Return the same for finite points, shape (points, dim)."""
        z, v = x - self._center, self._center
        total = (self._by_kernels if isinstance(self._law, Selection) else self._by_laws)(z, order, w)
        penalties, n = self._model.penalties, self._model.rows
        slope, constant = self._slopes
        second = np.stack([self._law.second_times(each) for each in z])
        penalty = [0.5 * float(v @ (penalties * (v + 2 * a)) + b @ (penalties * a)) for a, b in zip(z, second, strict=True)]
        linear = np.array([float(slope @ each) for each in x])
        value, gradient, product = total.value / n + linear + constant + np.array(penalty), total.gradient, total.product
        if order >= 1:
            gradient = gradient / n + slope + penalties * (v + second)
        if w is not None:
            product = product / n + penalties * np.stack([self._law.second_times(each) for each in w])
        return Totals(value, gradient, product)

    def _by_kernels(self, z: np.ndarray, order: int, w: np.ndarray | None) -> Totals:
        """Return the sum of expected losses, its gradient, and its change along w, for masks."""
        return self._selected.totals(z, order, w)

    def _by_laws(self, z: np.ndarray, order: int, w: np.ndarray | None) -> Totals:
        """Return the sum of expected losses, its gradient, and its change along w, for any law."""
        each = [self._integrals.totals(point, order, None if w is None else w[k]) for k, point in enumerate(z)]
        gradient, product = (np.stack([getattr(found, name) for found in each]) for name in ("gradient", "product"))
        return Totals(np.array([math.fsum(found.values) for found in each]), gradient, product)


def turned(problem: GeneralizedLinearModel, law: Law) -> GeneralizedLinearModel:
    """Return a model with its rows in the coordinates of a law's core; the same model where these are the original ones."""
    return problem if law.core is law else problem.with_rows(np.asarray(law.turn(problem.dense_rows)))
