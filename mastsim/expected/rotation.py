"""f_D of a generalised linear model under a rotated sketch: the same model in rotated coordinates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np

from mastsim.backend import Array, asnumpy
from mastsim.expected.base import Evaluation, Expectation
from mastsim.expected.independent_rows import IndependentRows
from mastsim.expected.rows import RowExpectation
from mastsim.problems import GeneralizedLinearModel, Problem
from mastsim.problems.rounding import EPS, summed
from mastsim.sketches import Rotated, Sketch

_INNER: tuple[type[RowExpectation], ...] = (RowExpectation, IndependentRows)


@dataclass(frozen=True, eq=False)
class RotatedRows(Expectation):
    """With S = QᵀS₀Q, a_iᵀ(v + Sz) = (Qa_i)ᵀ(Qv + S₀Qz): rotate the rows once, and every point.

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
        if not isinstance(sketch, Rotated):
            return "the sketch is not rotated"
        if not isinstance(problem, GeneralizedLinearModel):
            return "f is not a generalised linear model"
        refusals = [way.refusal(problem.with_rows(problem.dense_rows), sketch.sketch) for way in _INNER]
        return None if None in refusals else str(refusals[0])

    @property
    def evaluation(self) -> Evaluation:
        """How values are obtained."""
        inner = self._inner.evaluation
        return Evaluation(f"rotated {inner.name}", inner.tier, inner.reason)

    @property
    def _rotation(self) -> Rotated:
        return cast(Rotated, self.sketch)

    @cached_property
    def _inner(self) -> RowExpectation:
        model = cast(GeneralizedLinearModel, self.problem)
        turned = model.with_rows(np.asarray(self._rotation.rotate(model.dense_rows)))
        way = next(w for w in _INNER if w.refusal(turned, self._rotation.sketch) is None)
        return way(turned, self._rotation.sketch, np.asarray(self._rotation.rotate(self.shift)))

    def value(self, x: Array) -> Array:
        """Return f_D(x)."""
        return self._inner.value(self._rotation.rotate(asnumpy(x)))

    def gradient(self, x: Array) -> Array:
        """Return ∇f_D(x)."""
        return self._rotation.rotate_back(self._inner.gradient(self._rotation.rotate(asnumpy(x))))

    def value_and_gradient(self, x: Array) -> tuple[Array, Array]:
        """Return f_D(x) and ∇f_D(x) at one point, in one pass."""
        value, gradient = self._inner.value_and_gradient(self._rotation.rotate(asnumpy(x)))
        return value, self._rotation.rotate_back(gradient)

    def hessian_product(self, x: Array, w: Array) -> Array:
        """Return ∇²f_D(x) w."""
        turn = self._rotation.rotate
        return self._rotation.rotate_back(self._inner.hessian_product(turn(asnumpy(x)), turn(asnumpy(w))))

    def error_bound(self, x: Array) -> float:
        """Return the error bound in rotated coordinates, the rounding of the rotation included."""
        points = np.reshape(self._rotation.rotate(asnumpy(x)), (-1, self.problem.dim))
        return max(self._inner.errors(point, self._turned)[0] for point in points)

    def gradient_error(self, x: np.ndarray) -> float:
        """Return a bound on ‖computed ∇f_D − ∇f_D‖ at one point."""
        point = self._rotation.rotate(x)
        back = self._turned * float(np.linalg.norm(self._inner.gradient(point)))
        return (1 + self._turned) * self._inner.errors(point, self._turned)[1] + back

    @cached_property
    def _turned(self) -> float:
        """How far Q as it is computed may be from an orthogonal matrix, relative to what it is applied to."""
        d = self.problem.dim
        if isinstance(self._rotation.rotation, str):
            # Fast transforms take log₂ d rounds, and some for tables of cosines.
            return 8 * EPS * (math.log2(d) + 4)
        Q = np.asarray(self._rotation.rotation)
        return summed(d + 4) * math.sqrt(d) + float(np.linalg.norm(Q.T @ Q - np.eye(d)))
