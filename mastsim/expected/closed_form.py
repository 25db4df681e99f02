"""f_D in closed form when f is quadratic: only E[SᵀAS] is needed, whatever the sketch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mastsim.backend import Array, asnumpy, inner, namespace, rows_times
from mastsim.devices import Device
from mastsim.expected.base import Evaluation, Expectation
from mastsim.expected.sketched_curvature import sketched_curvature
from mastsim.linalg import QuadraticForm
from mastsim.problems import Problem
from mastsim.problems.base import DENSE_LIMIT
from mastsim.rounding import summed
from mastsim.sketches import Sketch


@dataclass(frozen=True, eq=False)
class ClosedForm(Expectation):
    """f_D(x) = f(v) + ∇f(v)ᵀz + ½ zᵀ E[SᵀAS] z with z = x − v.

    References
    ----------
    This package; MAST, arXiv 2311.16086, Section 3 treats v = 0.
    """

    problem: Problem
    sketch: Sketch
    shift: np.ndarray

    @classmethod
    def refusal(cls, problem: Problem, sketch: Sketch) -> str | None:
        """Say why this evaluation does not apply, or None when it does."""
        if not problem.is_quadratic:
            return "f is not quadratic"
        if problem.dim > DENSE_LIMIT:
            return f"E[SᵀAS] has {problem.dim} rows, more than {DENSE_LIMIT}"
        return None if sketch.unbiased else "E[S] differs from I"

    @property
    def evaluation(self) -> Evaluation:
        """How values are obtained."""
        return Evaluation("closed form", "exact", "f is quadratic: f_D needs only E[SᵀAS]")

    @property
    def is_quadratic(self) -> bool:
        """True."""
        return True

    @cached_property
    def form(self) -> QuadraticForm:
        """f_D as a quadratic form of z = x − v, with the matrix H_D = E[SᵀAS]."""
        around = self.problem.quadratic_form.around(self.shift)
        return around.of_matrix(sketched_curvature(self.sketch, around.curvature))

    @cached_property
    def matrix(self) -> np.ndarray:
        """H_D = E[SᵀAS], shape (dim, dim)."""
        return self.form.curvature.matrix

    @cached_property
    def _at_shift(self) -> tuple[float, np.ndarray]:
        return float(self.form.constant.rounded), self.form.slope.rounded

    def value(self, x: Array) -> Array:
        """Return f_D(x)."""
        xp = namespace(x)
        z = x - xp.asarray(self.shift)
        constant, slope = self._at_shift
        return constant + inner(z, xp.asarray(slope)) + 0.5 * inner(z, rows_times(xp.asarray(self.matrix), z))

    def gradient(self, x: Array) -> Array:
        """Return ∇f_D(x)."""
        xp = namespace(x)
        return xp.asarray(self._at_shift[1]) + rows_times(xp.asarray(self.matrix), x - xp.asarray(self.shift))

    def hessian_product(self, x: Array, w: Array) -> Array:
        """Return ∇²f_D(x) w = H_D w."""
        return rows_times(namespace(w).asarray(self.matrix), w)

    @property
    def runs_on_devices(self) -> bool:
        """True."""
        return True

    def on(self, device: Device) -> Any:
        """Return the same evaluation on a device; its matrix is computed on the host."""
        return device.copy(self, matrix=self.matrix, _at_shift=self._at_shift)

    def error_bound(self, x: Array) -> float:
        """Return what rounding may change in a value at the points `x`."""
        z = np.abs(np.asarray(asnumpy(x)) - self.shift)
        reach = z @ np.sqrt(np.maximum(np.diag(self.matrix), 0.0))
        slope, constant = self.form.slope, self.form.constant
        rounding = 2 * (self.problem.dim + 4) * float(np.finfo(float).eps)
        terms = rounding * (float(constant.size) + z @ slope.size + reach**2)
        doubt = self.form.constant_error + z @ self.form.slope_errors + self.form.curvature.doubt * reach**2
        return float(np.max(terms + doubt, initial=0.0))

    def gradient_error(self, x: np.ndarray) -> float:
        """Return a bound on the rounding of ∇f_D at one point; E[SᵀAS] is taken to be off by a product's rounding."""
        turn = np.abs(self.matrix) @ np.abs(x - self.shift) + np.abs(self._at_shift[1])
        at_shift = float(self.problem.gradient_error(self.shift))
        return at_shift + float(np.linalg.norm(2 * summed(len(x) + 8) * turn))
