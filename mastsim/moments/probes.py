"""Where a step that claims to be affine is tried."""

from __future__ import annotations

import numpy as np

from mastsim.methods.affine import implementation
from mastsim.problems import Problem
from mastsim.validation import is_of_this_package

STEPS = (*range(64), 100, 127, 499, 997, 999, 1000, 65535, 65536, 10**6 - 1, 10**6)
"""Numbers of steps: all early ones, and so every phase of short periods, late ones, and both ends of common periods."""

_SCALES = (1.0, 1e-6, 1e-3, 1e3, 1e6, 1e12)
_MULTIPLES = (-1.0, 0.5, 2.0, 1e3)
_SEED = 20_231_116
_AGREE = 1e-9


def probing_points(size: int, reach: float) -> np.ndarray:
    """Return random points at distances from 1e-6 to 1e12 times `reach`, and some on one line, shape (points, size).

    The directions are normal, and so are in general position. Some points lie on one line through the origin, others on one
    that misses it. The first two are about as far as `reach`.
    """
    rng = np.random.Generator(np.random.Philox(_SEED))
    apart = rng.standard_normal((len(_SCALES), size)) * np.array(_SCALES)[:, None]
    first, second = rng.standard_normal((2, size))
    through = np.array(_MULTIPLES)[:, None] * first
    between = first + np.array([0.0, 0.5, -3.0, 1.0])[:, None] * (second - first)
    return np.asarray(reach * np.concatenate([between[:1], apart, through, between[1:]]))


def require_linear_gradient(problem: Problem) -> None:
    """Refuse a quadratic of a class of one's own whose gradients are not those of its matrix, near or far."""
    for part in (problem, *getattr(problem, "problems", ())):
        if not is_of_this_package(kind := implementation(part)):
            _compare_gradients(part, kind.__name__)


def _compare_gradients(problem: Problem, name: str) -> None:
    H, zero = problem.upper_curvature.matrix, np.zeros((1, problem.dim))
    for reach in (1.0, 1.0 + float(np.abs(problem.minimize().x).max())):
        points = np.concatenate([zero, probing_points(problem.dim, reach)])
        found = np.asarray(problem.gradient(points))
        off = np.linalg.norm(found - found[0] - points @ H, axis=1)
        size = np.linalg.norm(H) * np.linalg.norm(points, axis=1) + np.linalg.norm(found[0])
        bad = ~(off <= _AGREE * (size + np.linalg.norm(H) * reach))
        if bad.any():
            at = int(np.argmax(bad))
            raise ValueError(
                f"{name} says that it is quadratic, but its gradient at distance {np.linalg.norm(points[at]):.3g} is "
                f"{off[at]:.3g} away from that of its matrix"
            )
