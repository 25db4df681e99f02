"""Theorem 1: what the minimiser of f_D is worth for f."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from mastsim.backend import Array
from mastsim.sketches import SketchBatch
from mastsim.theorems.assumptions import CONVEX, SINGLE_NODE, SMOOTH, UNBIASED, Assumption
from mastsim.theorems.base import Inequality, Sides


class MinimizerSuboptimality(Inequality):
    """f(x_D*) exceeds f^inf by at most ½(L_D − 1)L_f‖x* − v‖² − ½(μ_D − 1)μ_f‖x_D* − v‖².

    False without convexity: f = −cos, v = 0, S ∈ {0, 2} with equal chances.

    Examples
    --------
    >>> import mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1))
    >>> MinimizerSuboptimality(F).spectral_sides("x_D* is nearly optimal")
    Sides(left=0.25, right=0.75, scale=4.75)
    """

    id = "theorem1"
    title = "Theorem 1 (minimiser of f_D)"
    source = "MAST (arXiv 2311.16086), Theorem 1"
    statement = (
        r"f^{\inf} \le f(x_D^*) \le f(x^*) + \tfrac12 (L_D - 1) L_f \|x^* - v\|^2 "
        r"- \tfrac12 (\mu_D - 1) \mu_f \|x_D^* - v\|^2"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (SINGLE_NODE, UNBIASED, SMOOTH, CONVEX)
    constants_used = ("L_f", "mu_f", "L_D", "mu_D")
    parts = ("x_D* is nearly optimal",)
    speaks_of = "the two minimisers"

    def sides(self, part: str, x: Array, y: Array, batch: SketchBatch) -> Sides:
        """Return both sides, which do not depend on the points."""
        return Sides(*(np.full(x.shape[:-1], side) for side in self._both))

    def spectral_sides(self, part: str) -> Sides:
        """Return both sides: the theorem speaks of two points only."""
        return self._both

    @property
    def _both(self) -> Sides:
        F, c = self.objective, self.constants
        best, sketched = F.problem.minimize(), F.minimize()
        left = max(float(F.problem.value(sketched.x)) - best.value, 0.0)
        above = 0.5 * (c.L_D - 1) * c.L_f * float(((best.x - F.center) ** 2).sum())
        below = 0.5 * (c.mu_D - 1) * max(c.mu_f, 0.0) * float(((sketched.x - F.center) ** 2).sum())
        size = c.L_f * sum(float(x @ x) for x in (best.x, sketched.x, F.center))
        return Sides(left, above - below, abs(best.value) + above + below + size)

    def uncertainty(self, part: str) -> float:
        """Return what the certificates of x* and x_D* leave open in f(x_D*) and in the squared distances to v."""
        F, c = self.objective, self.constants
        best, sketched = F.problem.minimize(), F.minimize()
        apart, apart_D = _away(best.excess_bound, float(c.mu_f)), _away(sketched.excess_bound, float(c.mu_PL))
        slope = float(np.linalg.norm(F.problem.gradient(sketched.x)))
        v = F.center
        return (
            best.excess_bound
            + _times(slope, apart_D)
            + _times(0.5 * c.L_f, apart_D**2)
            + _times(0.5 * (c.L_D - 1) * c.L_f, apart * (2 * float(np.linalg.norm(best.x - v)) + apart))
            + _times(0.5 * (c.mu_D - 1) * max(c.mu_f, 0.0), apart_D * (2 * float(np.linalg.norm(sketched.x - v)) + apart_D))
        )


def _away(excess_bound: float, mu: float) -> float:
    """Return how far a point with a certified gap may be from the nearest minimiser."""
    return 0.0 if excess_bound == 0 else math.sqrt(2 * excess_bound / mu) if mu > 0 else math.inf


def _times(factor: float, size: float) -> float:
    return 0.0 if factor <= 0 else factor * size
