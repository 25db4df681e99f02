"""The point that minimises f, or makes its gradient vanish where f is not convex."""

from __future__ import annotations

from typing import Any

import numpy as np

from mastsim.minimization import DENSE, Curvatures, find_stationary, minimize_convex
from mastsim.problems.base import Problem

_MOST_NUMBERS = 1 << 26  # that a root of the Hessian may hold


def least_point(problem: Problem, start: np.ndarray) -> np.ndarray:
    """Return the minimiser of a convex f, or a stationary point of another, as good as rounding allows."""

    def both(x: np.ndarray) -> tuple[float, np.ndarray]:
        return float(problem.value(x)), np.asarray(problem.gradient(x))

    if not problem.is_convex:
        return find_stationary(both, problem.hessian_product, start)
    return minimize_convex(both, problem.hessian_product, start, curvatures(problem), _lowest(problem))


def curvatures(problem: Problem) -> Curvatures:
    """Return what a search may know of the Hessian of f: all of it in low dimensions, otherwise its diagonal if possible."""
    if problem.dim > DENSE:
        diagonal: Any = getattr(problem, "hessian_diagonal", None)
        return Curvatures(model=diagonal, scale=problem.column_scale)
    root: Any = getattr(problem, "hessian_root", None)
    if root is not None and problem.components * problem.dim > _MOST_NUMBERS:
        root = None
    return Curvatures(hessian=problem.hessian, root=root, scale=problem.column_scale)


def _lowest(problem: Problem) -> float:
    # The lower bound of a quadratic is its minimum, which is what is being looked for.
    return -np.inf if problem.is_quadratic else problem.lower_bound
