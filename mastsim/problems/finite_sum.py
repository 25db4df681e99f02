"""The mean of several problems of one dimension: clients of a distributed method, or shards of data."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mastsim.arithmetic import mean
from mastsim.backend import Array, contiguous, namespace
from mastsim.linalg import (
    Curvature,
    QuadraticForm,
    SparseCurvature,
    mean_curvature,
    mean_form,
    mean_sparse_curvature,
)
from mastsim.problems.base import DENSE_LIMIT, Components, Problem
from mastsim.problems.certificates import Minimum, quadratic_minimum, reported
from mastsim.provenance import Constant
from mastsim.rounding import summed
from mastsim.validation import has, instances


@dataclass(frozen=True, eq=False)
class FiniteSum(Problem):
    """f = (1/n) Σ f_i for given problems f_i of one dimension.

    Parameters
    ----------
    problems : sequence of Problem
        The components f_i, at least one.

    Raises
    ------
    ValueError
        If there is no problem, or the dimensions differ.
    TypeError
        If `problems` is not a list or tuple of problems.

    References
    ----------
    MAST, arXiv 2311.16086, Section 4 (distributed problem).

    Examples
    --------
    >>> from mastsim.problems import Quadratic
    >>> f = FiniteSum([Quadratic(np.eye(1), np.ones(1)), Quadratic(3 * np.eye(1), -np.ones(1))])
    >>> f.components, float(f.L_f), f.component_smoothness.tolist(), f.minimize().value
    (2, 2.0, [1.0, 3.0], 0.0)
    """

    problems: Sequence[Problem]

    def __post_init__(self) -> None:
        problems = instances("problems", self.problems, Problem)
        if not problems:
            raise ValueError("problems is empty, but there must be at least one problem")
        for i, part in enumerate(problems):
            if part.dim != problems[0].dim:
                raise ValueError(f"problems[{i}] has dimension {part.dim}, but problems[0] has dimension {problems[0].dim}")
        object.__setattr__(self, "problems", problems)

    @property
    def dim(self) -> int:
        """The dimension d."""
        return self.problems[0].dim

    @property
    def name(self) -> str:
        """For example ``mean of 3 problems (d = 30)``."""
        return f"mean of {self.components} problems (d = {self.dim})"

    def value(self, x: Array) -> Array:
        """Return f(x), shape ``x.shape[:-1]``."""
        x = self._points("x", x)
        return self._mean(lambda part: part.value(x))

    def gradient(self, x: Array) -> Array:
        """Return ∇f(x), shape of `x`."""
        x = self._points("x", x)
        return self._mean(lambda part: part.gradient(x))

    def hessian_product(self, x: Array, w: Array) -> Array:
        """Return ∇²f(x) w, shape of `x`."""
        x, w = self._points("x", x), self._points("w", w)
        return self._mean(lambda part: part.hessian_product(x, w))

    def error_bound(self, x: np.ndarray, moved: np.ndarray | None = None) -> np.ndarray:
        """Return a bound on the rounding of `value`; see `Problem.error_bound`."""
        sizes = self._mean(lambda part: np.abs(part.value(x)))
        return np.asarray(self._mean(lambda part: part.error_bound(x, moved)) + summed(self.components + 2) * sizes)

    def gradient_error(self, x: np.ndarray, moved: np.ndarray | None = None) -> np.ndarray:
        """Return a bound on the rounding of `gradient`; see `Problem.gradient_error`."""
        sizes = self._mean(lambda part: np.linalg.norm(part.gradient(x), axis=-1))
        return np.asarray(self._mean(lambda part: part.gradient_error(x, moved)) + summed(self.components + 2) * sizes)

    def hessian(self, x: Array) -> np.ndarray:
        """Return ∇²f(x) at one point, shape (dim, dim)."""
        return np.asarray(self._mean(lambda part: part.hessian(x)))

    @cached_property
    def column_scale(self) -> np.ndarray:
        """One over the root of the mean of the components' curvatures along each coordinate."""
        return np.asarray(1 / np.sqrt(self._mean(lambda part: part.column_scale**-2.0)))

    def _mean(self, of: Callable[[Problem], Any]) -> Any:
        total = of(self.problems[0])
        for part in self.problems[1:]:
            total = total + of(part)
        return total / len(self.problems)

    @cached_property
    def upper_curvature(self) -> Curvature:
        """The mean of the matrices of the components; refused where one of them has none."""
        return mean_curvature([part.upper_curvature for part in self.problems])

    @cached_property
    def lower_curvature(self) -> Curvature:
        """The mean of the matrices of the components; refused where one of them has none."""
        return mean_curvature([part.lower_curvature for part in self.problems])

    @cached_property
    def quadratic_form(self) -> QuadraticForm:
        """The mean of the forms of the components."""
        return mean_form([part.quadratic_form for part in self.problems])

    @property
    def components_are_convex(self) -> bool:
        """Whether every f_i is convex."""
        return all(part.is_convex for part in self.problems)

    @property
    def curvature_is_attained(self) -> bool:
        """Whether all components are quadratic, or there is one and its curvature is attained."""
        return self.is_quadratic or (self.components == 1 and self.problems[0].curvature_is_attained)

    @cached_property
    def sparse_upper_curvature(self) -> SparseCurvature | None:
        """The mean of the operators of the components; None where one of them has none."""
        return mean_sparse_curvature([part.sparse_upper_curvature for part in self.problems])

    @cached_property
    def sparse_lower_curvature(self) -> SparseCurvature | None:
        """The mean of the operators of the components; None where one of them has none."""
        return mean_sparse_curvature([part.sparse_lower_curvature for part in self.problems])

    @cached_property
    def L_f(self) -> Constant:
        """Smoothness constant of f; infinite where that of a component is."""
        own = mean([part.L_f for part in self.problems], "(1/n) Σ L_i", "upper")
        if self.components == 1 or not math.isfinite(own):
            return own
        if self.dim <= DENSE_LIMIT:
            return super().L_f
        found = self.sparse_upper_curvature
        return own if found is None else min(self._smoothness(found.largest, f"; {found.largest.source}"), own)

    @cached_property
    def mu_f(self) -> Constant:
        """Strong convexity constant of f; −∞ where nothing is known of a component."""
        own = mean([part.mu_f for part in self.problems], "(1/n) Σ μ_i", "lower")
        if self.components == 1 or not math.isfinite(own):
            return own
        if self.dim <= DENSE_LIMIT:
            return super().mu_f
        found = self.sparse_lower_curvature
        return own if found is None else max(self._convexity(found.smallest, f"; {found.smallest.source}"), own)

    @property
    def is_quadratic(self) -> bool:
        """Whether all components are quadratic."""
        return all(part.is_quadratic for part in self.problems)

    @property
    def components(self) -> int:
        """The number n of problems."""
        return len(self.problems)

    @cached_property
    def component_smoothness(self) -> np.ndarray:
        """L_f of each problem, shape (n,)."""
        return np.array([part.L_f.value for part in self.problems])

    @property
    def component_smoothness_error(self) -> float:
        """The largest error of an L_f of the problems; see `Problem.component_smoothness_error`."""
        return max(float(part.L_f.error) for part in self.problems)

    @cached_property
    def component_infima(self) -> np.ndarray:
        """A lower bound of each problem, shape (n,); the minimum of a quadratic one less its error."""
        return np.array([_floor(part) for part in self.problems])

    def minibatch_gradient(self, x: Array, minibatch: Components) -> Array:
        """Return Σ_j weights[r, j] ∇f_{index[r, j]}(x_r) for every replica r, shape of `x`, (replicas, dim)."""
        x = self._points("x", x)
        xp = namespace(x)
        total = xp.zeros_like(x)
        has("minibatch", minibatch, "index", "weights")
        for i, part in enumerate(self.problems):
            if minibatch.index is None:
                total += minibatch.weights[:, i, None] * part.gradient(x)
                continue
            chosen = minibatch.index == i
            # Only the replicas that drew this component pay for it.
            who = xp.any(chosen, axis=-1)
            if xp.any(who):
                weight = xp.sum(contiguous(xp.where(chosen, minibatch.weights, 0.0)[who]), axis=-1)
                total[who] = total[who] + weight[:, None] * part.gradient(x[who])
        return total

    @cached_property
    def lower_bound(self) -> float:
        """The certified minimum of a quadratic f, otherwise the mean of the components' lower bounds."""
        if self._is_direct:
            return self._minimum.value
        return float(self.component_infima.mean())

    @property
    def _is_direct(self) -> bool:
        return self.is_quadratic and self.dim <= DENSE_LIMIT

    def _find_minimum(self, accuracy: float | None) -> Minimum:
        """Return a minimiser; that of least norm for a quadratic f."""
        if self._is_direct:
            return reported(self, quadratic_minimum(self, self.quadratic_form), accuracy)
        return super()._find_minimum(accuracy)


def _floor(part: Problem) -> float:
    """Return a number that a problem never goes below, its rounding taken off; −∞ where none is proven."""
    floor = float(part.lower_bound)
    if not part.is_quadratic or floor < (best := part.minimize()).value - best.gap_bound:
        return floor
    return best.value - best.gap_bound if best.proven else -math.inf
