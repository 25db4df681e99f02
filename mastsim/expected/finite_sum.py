"""f_D of a mean of problems, as the mean of what each problem's own best evaluation gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mastsim.backend import Array
from mastsim.devices import Device
from mastsim.expected.base import Evaluation, Expectation
from mastsim.problems import FiniteSum, Problem
from mastsim.rounding import summed
from mastsim.sketches import Sketch


@dataclass(frozen=True, eq=False)
class SumExpectation(Expectation):
    """f_D = (1/n) Σ E f_i(v + S(x − v)), each term by the sharpest exact evaluation that applies to it.

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
        if not isinstance(problem, FiniteSum):
            return "f is not a finite sum of problems"
        for i, part in enumerate(problem.problems):
            if _exact_way(part, sketch) is None:
                return f"no exact evaluation applies to component {i}, {part.name}"
        return None

    @property
    def evaluation(self) -> Evaluation:
        """How values are obtained."""
        names = " and ".join(dict.fromkeys(part.evaluation.name for part in self._parts))
        return Evaluation("finite sum", "exact", f"a mean over {len(self._parts)} components: {names}")

    @cached_property
    def _parts(self) -> list[Expectation]:
        assert isinstance(self.problem, FiniteSum)
        parts: list[Expectation] = []
        for part in self.problem.problems:
            way: Any = _exact_way(part, self.sketch)
            parts.append(way(part, self.sketch, self.shift))
        return parts

    @property
    def runs_on_devices(self) -> bool:
        """Whether the evaluations of all components do."""
        return all(part.runs_on_devices for part in self._parts)

    def on(self, device: Device) -> Expectation:
        """Return the same evaluation on a device, component by component."""
        return device.copy(self, _parts=self._parts) if self.runs_on_devices else super().on(device)

    def is_far(self, x: Array) -> np.ndarray:
        """Say which points are far for one of the components."""
        return np.any([part.is_far(x) for part in self._parts], axis=0)

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
        return float(self._mean(lambda part: part.error_bound(x)) + summed(len(self._parts) + 2) * sizes)

    def gradient_error(self, x: np.ndarray) -> float:
        """Return the mean of the components' bounds, and the rounding of the mean."""
        sizes = self._mean(lambda part: np.linalg.norm(part.gradient(x)))
        return float(self._mean(lambda part: part.gradient_error(x)) + summed(len(self._parts) + 2) * sizes)

    def value_and_gradient(self, x: Array) -> tuple[Array, Array]:
        """Return f_D(x) and ∇f_D(x), each component's work shared."""
        values, gradients = zip(*(part.value_and_gradient(x) for part in self._parts), strict=True)
        return sum(values[1:], values[0]) / len(values), sum(gradients[1:], gradients[0]) / len(gradients)

    def _mean(self, of: Callable[[Expectation], Any]) -> Any:
        values = [of(part) for part in self._parts]
        return sum(values[1:], values[0]) / len(values)


def _exact_way(problem: Problem, sketch: Sketch) -> type[Expectation] | None:
    # The list of evaluations names this one, so it can only be looked up once both modules are there.
    from mastsim.expected.mast import ALL_EXPECTATIONS
    from mastsim.expected.monte_carlo import MonteCarlo

    ways = (way for way in ALL_EXPECTATIONS.values() if not issubclass(way, MonteCarlo))
    return next((way for way in ways if way.refusal(problem, sketch) is None), None)
