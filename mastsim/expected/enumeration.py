"""f_D as a finite sum over the support of the sketch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mastsim.backend import Array, asnumpy, namespace, pieces
from mastsim.devices import Device
from mastsim.expected.base import Evaluation, Expectation
from mastsim.problems import Problem
from mastsim.rounding import EPS, summed
from mastsim.sketches import Sketch, SketchBatch
from mastsim.sketches.batches import DiagonalBatch, MatrixBatch

ENUMERATION_LIMIT = 4096

_ENTRIES = 1 << 16
"""How many numbers sketched points that are looked at together, or their losses, have at the most: as fit in a cache."""


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
        return self._mean(lambda batch, z: self.problem.value(self.shift + batch.apply(z)), x)

    def gradient(self, x: Array) -> Array:
        """Return ∇f_D(x)."""
        return self._mean(self._sketched_gradients, x)

    def hessian_product(self, x: Array, w: Array) -> Array:
        """Return ∇²f_D(x) w."""
        return self._mean(self._sketched_products, x, w)

    def error_bound(self, x: Array) -> float:
        """Return the mean of the rounding of f over the support, that of the points and of the weights included."""
        points = np.reshape(asnumpy(x), (-1, self.problem.dim))
        return max(self._value_error(points[part]) for part in self._parts(len(points)))

    @np.errstate(over="ignore", invalid="ignore")
    def gradient_error(self, x: np.ndarray) -> float:
        """Return a bound on ‖computed ∇f_D − ∇f_D‖ at one point."""
        (points, moved), f = self._sketched(x[None]), self.problem
        norms = np.sqrt(np.asarray(self._support[0].square_norms()[1]))
        slope = f.gradient_error(points, moved) + 2 * self._chances * np.linalg.norm(f.gradient(points), axis=-1)
        return _known(float(self._support[1] @ (norms * slope)) * (1 + 1e-9))

    @np.errstate(over="ignore", invalid="ignore")
    def _value_error(self, x: np.ndarray) -> float:
        """Return the largest error of f_D at several points, shape (points, dim)."""
        points, moved = self._sketched(x)
        found = self.problem.error_bound(points, moved) + self._chances * np.abs(self.problem.value(points))
        return _known(float(np.max(np.reshape(found, (len(x), -1)) @ self._support[1])))

    @property
    def _chances(self) -> float:
        """The relative rounding of the weights, which are products of up to one factor a coordinate, and of their sum."""
        return float(summed(4 * self.problem.dim + len(self._support[1]) + 8))

    def _sketched(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return v + S(x − v) for all values of S at every point, and by how much each may be off, one row each."""
        batch, (z,) = self._repeated([x - self.shift])
        points = self.shift + batch.apply(z)
        return points, 4 * EPS * (np.abs(self.shift) + np.abs(points)) + _product_error(batch, z)

    def _repeated(self, points: list[Array]) -> tuple[SketchBatch, list[Array]]:
        """Return all values of S once a point, and every point once a value."""
        xp, (batch, weights), count = namespace(points[0]), self._support, points[0].shape[0]
        if count > 1:
            batch = batch.take(xp.tile(xp.arange(weights.shape[0]), (count,)))
        return batch, [xp.repeat(a, weights.shape[0], axis=0) for a in points]

    @property
    def runs_on_devices(self) -> bool:
        """True."""
        return True

    def on(self, device: Device) -> Any:
        """Return the same evaluation on a device; the support is listed on the host."""
        return device.copy(self, _support=self._support)

    def _sketched_gradients(self, batch: SketchBatch, z: Array) -> Array:
        return batch.apply_transpose(self.problem.gradient(self.shift + batch.apply(z)))

    def _sketched_products(self, batch: SketchBatch, z: Array, w: Array) -> Array:
        return batch.apply_transpose(self.problem.hessian_product(self.shift + batch.apply(z), batch.apply(w)))

    def _mean(self, over_support: Callable[..., Array], x: Array, *directions: Array) -> Array:
        """Return the mean over the support of a function of a batch and of as many points, at every point of `x`."""
        xp = namespace(x)
        columns = [xp.reshape(a, (-1, a.shape[-1])) for a in (x - xp.asarray(self.shift), *directions)]
        parts = ([a[k, ...] for a in columns] for k in self._parts(columns[0].shape[0]))
        found = [self._mean_of_some(over_support, xp, points) for points in parts]
        return xp.reshape(xp.concat(found, axis=0), (*x.shape[:-1], *found[0].shape[1:]))

    def _mean_of_some(self, over_support: Callable[..., Array], xp: Any, points: list[Array]) -> Array:
        batch, repeated = self._repeated(points)
        found, weights, count = over_support(batch, *repeated), self._support[1], points[0].shape[0]
        # A product of its own for every point: what is found at one does not depend on those beside it.
        means = xp.matmul(xp.asarray(weights)[None, :], xp.reshape(found, (count, weights.shape[0], -1)))
        return xp.reshape(means, (count, *found.shape[1:]))

    def _parts(self, count: int) -> list[slice]:
        """Cut points into parts that are handled together."""
        each = self._support[1].shape[0] * max(self.problem.dim, self.problem.components)
        return pieces(count, max(1, _ENTRIES // each))


def _product_error(batch: SketchBatch, z: np.ndarray) -> np.ndarray:
    """Return a bound on the rounding of every product S_j z_j, shape of `z`."""
    dim = z.shape[-1]
    if isinstance(batch, DiagonalBatch):
        return 4 * EPS * np.abs(batch.diagonals * z)
    if isinstance(batch, MatrixBatch):
        return np.asarray(summed(dim + 4) * MatrixBatch(np.abs(batch.atoms), batch.index).apply(np.abs(z)))
    # Any product of matrices of norm 1 with an S of known norm.
    norms = np.sqrt(np.asarray(batch.square_norms()[1])) * np.linalg.norm(z, axis=-1)
    return np.broadcast_to(summed(8 * dim + 64) * norms[:, None], z.shape)


def _known(bound: float) -> float:
    """Return the bound, infinite where a value overflowed: there nothing is known."""
    return bound if np.isfinite(bound) else np.inf
