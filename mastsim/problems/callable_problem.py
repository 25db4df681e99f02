"""A problem made of one's own functions: value, gradient and, where it is at hand, the product with the Hessian."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mastsim.backend import Array
from mastsim.linalg import Curvature
from mastsim.problems.base import Minimum, Problem
from mastsim.provenance import Constant
from mastsim.readonly import frozen
from mastsim.validation import a_float, integer, shown

_DIFFERENCE, _ACCURACY, _PROBES = 1e-5, 1e-7, 3


@dataclass(frozen=True, eq=False, init=False, repr=False)
class CallableProblem(Problem):
    """A function f of one's own, with what one knows of its curvature and its infimum.

    The functions are called with one point of shape (dim,) at a time, on the host. Bounds that are given are taken for
    proven; `mastsim.testing.check_problem` tries them. Without `smoothness` no theorem applies.

    Parameters
    ----------
    dim : int
        The dimension d.
    value : callable
        Maps x, shape (dim,), to the number f(x).
    gradient : callable
        Maps x to ∇f(x), shape (dim,).
    hessian_product : callable, optional
        Maps x and w to ∇²f(x) w; a central difference of gradients when left out, good to some eight digits.
    smoothness : float, default inf
        An upper bound on ‖∇²f‖ everywhere; infinite when none is known.
    strong_convexity : float, default -inf
        A lower bound on the eigenvalues of ∇²f everywhere, 0 for convex f; −∞ when none is known.
    lower_bound : float, default -inf
        A number that f never goes below; −∞ when none is known.

    Raises
    ------
    TypeError
        If a function is none.
    ValueError
        If `dim` is below 1, a bound is NaN, `smoothness` is negative or below `strong_convexity`, or a function returns
        something of another shape.

    References
    ----------
    This package.

    Examples
    --------
    >>> bowl = {"smoothness": 1.0, "strong_convexity": 1.0, "lower_bound": 0.0}
    >>> f = CallableProblem(2, lambda x: 0.5 * x @ x, lambda x: x, **bowl)
    >>> f.value(np.ones((3, 2))), f.is_convex
    (array([1., 1., 1.]), True)
    """

    size: int
    bounds: tuple[float, float, float]
    seen: np.ndarray

    def __init__(
        self,
        dim: int,
        value: Callable[[np.ndarray], Any],
        gradient: Callable[[np.ndarray], Any],
        hessian_product: Callable[[np.ndarray, np.ndarray], Any] | None = None,
        *,
        smoothness: float = math.inf,
        strong_convexity: float = -math.inf,
        lower_bound: float = -math.inf,
    ) -> None:
        for name, given in (("value", value), ("gradient", gradient), ("hessian_product", hessian_product)):
            if not (callable(given) or (given is None and name == "hessian_product")):
                raise TypeError(f"{name}={shown(given)} is not accepted: it must be a function of a point of shape (dim,)")
        top, least = a_float("smoothness", smoothness), a_float("strong_convexity", strong_convexity)
        lowest = a_float("lower_bound", lower_bound)
        if not top >= 0:
            raise ValueError(f"smoothness={smoothness} is not accepted: it must be a number >= 0, or inf")
        if not least <= top:
            raise ValueError(
                f"strong_convexity={strong_convexity} is not accepted: it must be at most smoothness={smoothness}"
            )
        if math.isnan(lowest):
            raise ValueError("lower_bound=nan is not accepted: it must be a number, or -inf")
        object.__setattr__(self, "size", integer("dim", dim, 1))
        object.__setattr__(self, "_functions", (value, gradient, hessian_product))
        object.__setattr__(self, "bounds", (top, max(least, -top), lowest))
        # What saved runs know a function by: it has no content that could be hashed.
        points = np.random.Generator(np.random.Philox(0)).standard_normal((_PROBES, self.size)) / math.sqrt(self.size)
        object.__setattr__(self, "seen", frozen(np.column_stack([self.value(points), self.gradient(points)])))

    @property
    def functions(self) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any] | None]:
        """Value, gradient, and product with the Hessian, None where it is a difference."""
        found: tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any] | None] = self.__dict__["_functions"]
        return found

    def __repr__(self) -> str:
        return f"<{self.name}>"

    @property
    def dim(self) -> int:
        """The dimension d."""
        return self.size

    def value(self, x: Array) -> Array:
        """Return f(x), shape ``x.shape[:-1]``."""
        x = np.asarray(self._points("x", x), dtype=float)
        return self._each("value", self.functions[0], (), x)

    def gradient(self, x: Array) -> Array:
        """Return ∇f(x), shape of `x`."""
        x = np.asarray(self._points("x", x), dtype=float)
        return self._each("gradient", self.functions[1], (self.dim,), x)

    def hessian_product(self, x: Array, w: Array) -> Array:
        """Return ∇²f(x) w, shape of `x`."""
        x, w = np.broadcast_arrays(self._points("x", x), self._points("w", w))
        return self._each("hessian_product", self.functions[2] or self._difference, (self.dim,), x, w)

    @property
    def hessian_accuracy(self) -> float:
        """Zero where a product with the Hessian was given, otherwise what differences are good for."""
        return 0.0 if self.functions[2] is not None else _ACCURACY

    def _each(self, name: str, function: Callable[..., Any], shape: tuple[int, ...], *points: np.ndarray) -> Any:
        """Return what a function gives at every point, one call a point, each with a copy of its own."""
        given = [np.reshape(part, (-1, self.dim)) for part in points]
        found = [np.asarray(function(*(np.array(part) for part in row)), dtype=float) for row in zip(*given, strict=True)]
        for each in found:
            if each.shape != shape:
                raise ValueError(f"{name} returned shape {each.shape} at a point of shape ({self.dim},): it must be {shape}")
        table = np.array(found).reshape(points[0].shape[:-1] + shape)
        return table if table.ndim else table[()]

    def _difference(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        length = float(np.linalg.norm(w))
        if length == 0:
            return np.zeros(self.dim)
        h = _DIFFERENCE * (1 + float(np.linalg.norm(x))) / length
        slope = self.functions[1]
        return (np.asarray(slope(x + h * w)) - np.asarray(slope(x - h * w))) / (2 * h)

    @cached_property
    def upper_curvature(self) -> Curvature:
        """The given bound times the identity; refused where there is none."""
        if not math.isfinite(self.bounds[0]):
            raise ValueError(f"{self.name} has no smoothness constant: pass smoothness=…; local_smoothness(x) estimates it")
        return Curvature(self.bounds[0] * np.eye(self.dim))

    @cached_property
    def lower_curvature(self) -> Curvature:
        """The given bound times the identity; refused where there is none."""
        if not math.isfinite(self.bounds[1]):
            raise ValueError(
                f"{self.name} has no bound on its curvature from below: pass strong_convexity=…, 0 for convex f"
            )
        return Curvature(self.bounds[1] * np.eye(self.dim))

    @property
    def curvature_is_attained(self) -> bool:
        """False: nobody says that the bounds are the best."""
        return False

    @cached_property
    def L_f(self) -> Constant:
        """The smoothness constant that was given."""
        kind, source = ("upper", "given") if math.isfinite(self.bounds[0]) else ("exact", "none was given")
        return Constant(self.bounds[0], kind, f"smoothness: {source}")  # type: ignore[arg-type]

    @cached_property
    def mu_f(self) -> Constant:
        """The strong convexity constant that was given, at least minus the smoothness constant."""
        return Constant(
            self.bounds[1], "lower", "strong_convexity: given" if self.bounds[1] > -math.inf else "none was given"
        )

    @property
    def lower_bound(self) -> float:
        """The lower bound that was given."""
        return self.bounds[2]

    def _find_minimum(self, accuracy: float | None) -> Minimum:
        return self._search(self._start).find(accuracy)

    @property
    def _start(self) -> np.ndarray:
        return np.zeros(self.dim)
