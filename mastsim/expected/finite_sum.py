"""f_D of a mean of problems, as the mean of the expectations of its components."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mastsim.backend import Array
from mastsim.devices import Device
from mastsim.expected.base import Evaluation, Expectation
from mastsim.problems import Problem
from mastsim.rounding import summed
from mastsim.sketches import Sketch


@dataclass(frozen=True, eq=False)
class SumExpectation(Expectation):
    """f_D = (1/n) Σ E f_i(v + S(x − v)), each term evaluated in its own way.

    Parameters
    ----------
    problem, sketch, shift
        f, D and v.
    parts : tuple of Expectation
        The expectations of the components f_i, at least one.

    References
    ----------
    This package.
    """

    problem: Problem
    sketch: Sketch
    shift: np.ndarray
    parts: tuple[Expectation, ...]

    @property
    def evaluation(self) -> Evaluation:
        """How values are obtained."""
        names = " and ".join(dict.fromkeys(part.evaluation.name for part in self.parts))
        return Evaluation("finite sum", "exact", f"a mean over {len(self.parts)} components: {names}")

    @property
    def runs_on_devices(self) -> bool:
        """Whether the evaluations of all components do."""
        return all(part.runs_on_devices for part in self.parts)

    def at(self, accuracy: float) -> Expectation:
        """Return the same expectation, every component as accurate as asked for."""
        parts = tuple(part.at(accuracy) for part in self.parts)
        return self if all(a is b for a, b in zip(parts, self.parts, strict=True)) else replace(self, parts=parts)

    def inaccuracy(self, x: Array) -> tuple[np.ndarray, np.ndarray]:
        """Return the means of the components' bounds."""
        values, gradients = zip(*(part.inaccuracy(x) for part in self.parts), strict=True)
        return np.mean(values, axis=0), np.mean(gradients, axis=0)

    def on(self, device: Device) -> Expectation:
        """Return the same evaluation on a device, component by component."""
        return device.copy(self) if self.runs_on_devices else super().on(device)

    def is_far(self, x: Array) -> np.ndarray:
        """Say which points are far for one of the components."""
        return np.any([part.is_far(x) for part in self.parts], axis=0)

    def value(self, x: Array) -> Array:
        """Return f_D(x)."""
        return self._mean(lambda part: part.value(x))

    def gradient(self, x: Array) -> Array:
        """Return ∇f_D(x)."""
        return self._mean(lambda part: part.gradient(x))

    def hessian_product(self, x: Array, w: Array) -> Array:
        """Return ∇²f_D(x) w."""
        return self._mean(lambda part: part.hessian_product(x, w))

    def error_bound(self, x: Array) -> float:
        """Return the mean of the components' bounds, and the rounding of the mean."""
        sizes = self._mean(lambda part: np.abs(part.value(x)).max())
        return float(self._mean(lambda part: part.error_bound(x)) + summed(len(self.parts) + 2) * sizes)

    def gradient_error(self, x: np.ndarray) -> float:
        """Return the mean of the components' bounds, and the rounding of the mean."""
        sizes = self._mean(lambda part: np.linalg.norm(part.gradient(x)))
        return float(self._mean(lambda part: part.gradient_error(x)) + summed(len(self.parts) + 2) * sizes)

    def value_and_gradient(self, x: Array) -> tuple[Array, Array]:
        """Return f_D(x) and ∇f_D(x), each component's work shared."""
        values, gradients = zip(*(part.value_and_gradient(x) for part in self.parts), strict=True)
        return sum(values[1:], values[0]) / len(values), sum(gradients[1:], gradients[0]) / len(gradients)

    def _mean(self, of: Callable[[Expectation], Any]) -> Any:
        values = [of(part) for part in self.parts]
        return sum(values[1:], values[0]) / len(values)
