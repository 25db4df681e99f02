"""f_D as a finite sum over the support of the sketch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mastsim.backend import Array, asnumpy, namespace
from mastsim.devices import Device
from mastsim.expected.base import Evaluation, Expectation
from mastsim.problems import Problem
from mastsim.rounding import EPS, summed
from mastsim.sketches import Sketch, SketchBatch
from mastsim.sketches.batches import DiagonalBatch, MatrixBatch

ENUMERATION_LIMIT = 4096

_ROWS = 1 << 14
"""How many sketched points are looked at together."""


@dataclass(frozen=True, eq=False)
class Enumeration(Expectation):
    """f_D(x) = Σ_j w_j f(v + S_j(x − v)) over all values S_j of the sketch."""

    problem: Problem
    sketch: Sketch
    shift: np.ndarray

    @classmethod
    def refusal(cls, problem: Problem, sketch: Sketch) -> str | None:
        """Say why this evaluation does not apply, or None when it does."""
        if sketch.support_size > ENUMERATION_LIMIT:
            return f"the sketch has {sketch.support_size:.6g} values, more than {ENUMERATION_LIMIT}"
        return None

    @property
    def evaluation(self) -> Evaluation:
        """How values are obtained."""
        return Evaluation("enumeration", "exact", f"the sketch has {self.sketch.support_size:.0f} values")

    @cached_property
    def _support(self) -> tuple[SketchBatch, np.ndarray]:
        return self.sketch.support()

    def value(self, x: Array) -> Array:
        """Return f_D(x)."""
        return self._mean(lambda z: self.problem.value(self.shift + self._support[0].apply(z)), x)

    def gradient(self, x: Array) -> Array:
        """Return ∇f_D(x)."""
        return self._mean(self._sketched_gradients, x)

    def hessian_product(self, x: Array, w: Array) -> Array:
        """Return ∇²f_D(x) w."""
        return self._mean(self._sketched_products, x, w)

    def error_bound(self, x: Array) -> float:
        """Return the mean of the rounding of f over the support, that of the points and of the weights included."""
        points = np.reshape(asnumpy(x), (-1, self.problem.dim))
        together = max(1, _ROWS // len(self._support[1]))
        return max(self._value_error(points[k : k + together]) for k in range(0, len(points), together))

    @np.errstate(over="ignore", invalid="ignore")
    def gradient_error(self, x: np.ndarray) -> float:
        """Return a bound on ‖computed ∇f_D − ∇f_D‖ at one point."""
        (points, moved), f = self._sketched(x), self.problem
        norms = np.sqrt(np.asarray(self._support[0].square_norms()[1]))
        slope = f.gradient_error(points, moved) + 2 * self._chances * np.linalg.norm(f.gradient(points), axis=-1)
        return _known(float(self._support[1] @ (norms * slope)) * (1 + 1e-9))

    @np.errstate(over="ignore", invalid="ignore")
    def _value_error(self, x: np.ndarray) -> float:
        """Return the largest error of f_D at several points, shape (points, dim)."""
        points, moved = map(np.concatenate, zip(*(self._sketched(point) for point in x), strict=True))
        found = self.problem.error_bound(points, moved) + self._chances * np.abs(self.problem.value(points))
        return _known(float(np.max(np.reshape(found, (len(x), -1)) @ self._support[1])))

    @property
    def _chances(self) -> float:
        """The relative rounding of the weights, which are products of up to one factor a coordinate, and of their sum."""
        return float(summed(4 * self.problem.dim + len(self._support[1]) + 8))

    def _sketched(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return v + S(x − v) for all values of S, and by how much each may be off, both of shape (values, dim)."""
        z = x - self.shift
        points = self.shift + self._support[0].apply(z)
        return points, 4 * EPS * (np.abs(self.shift) + np.abs(points)) + self._product_error(z)

    def _product_error(self, z: np.ndarray) -> np.ndarray:
        """Return a bound on the rounding of every product S_j z, shape (values, dim)."""
        batch = self._support[0]
        if isinstance(batch, DiagonalBatch):
            return 4 * EPS * np.abs(batch.diagonals * z)
        if isinstance(batch, MatrixBatch):
            sizes = np.abs(batch.atoms) @ np.abs(z)
            return np.asarray(summed(len(z) + 4) * sizes[batch.index])
        # Any product of matrices of norm 1 with an S of known norm.
        norms = np.sqrt(np.asarray(batch.square_norms()[1])) * float(np.linalg.norm(z))
        return np.broadcast_to(summed(8 * len(z) + 64) * norms[:, None], (len(norms), len(z)))

    @property
    def runs_on_devices(self) -> bool:
        """True."""
        return True

    def on(self, device: Device) -> Any:
        """Return the same evaluation on a device; the support is listed on the host."""
        return device.copy(self, _support=self._support)

    def _sketched_gradients(self, z: Array) -> Array:
        batch = self._support[0]
        return batch.apply_transpose(self.problem.gradient(self.shift + batch.apply(z)))

    def _sketched_products(self, z: Array, w: Array) -> Array:
        batch = self._support[0]
        return batch.apply_transpose(self.problem.hessian_product(self.shift + batch.apply(z), batch.apply(w)))

    def _mean(self, over_support: Callable[..., Array], x: Array, *directions: Array) -> Array:
        # One point at a time: the support, not the batch of points, is the long axis here.
        xp = namespace(x)
        weights = xp.asarray(self._support[1])
        points = [xp.reshape(a, (-1, a.shape[-1])) for a in (x - xp.asarray(self.shift), *directions)]
        each = ([a[i, ...] for a in points] for i in range(points[0].shape[0]))
        means = [xp.tensordot(weights, over_support(*point), axes=1) for point in each]
        return xp.reshape(xp.stack(means), x.shape[:-1] + means[0].shape)


def _known(bound: float) -> float:
    """Return the bound, infinite where a value overflowed: there nothing is known."""
    return bound if np.isfinite(bound) else np.inf
