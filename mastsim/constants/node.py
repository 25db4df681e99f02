"""What one node contributes to the constants of an objective."""

from __future__ import annotations

import math
from functools import cached_property

from mastsim.arithmetic import product
from mastsim.expected import Mast
from mastsim.problems.base import DENSE_LIMIT
from mastsim.provenance import Constant
from mastsim.rounding import EPS, summed
from mastsim.sketches import eigenvalues


class Node:
    """The constants of one node's f_i and S_i, computed when asked for and once only.

    Parameters
    ----------
    objective : Mast
        The node's own objective.
    """

    def __init__(self, objective: Mast) -> None:
        self.objective = objective

    @cached_property
    def L_D(self) -> Constant:
        """λ_max(E[SᵀS])."""
        return eigenvalues.L_D(self.objective.sketch)

    @cached_property
    def mu_D(self) -> Constant:
        """λ_min(E[SᵀS])."""
        return eigenvalues.mu_D(self.objective.sketch)

    @cached_property
    def L_S_max(self) -> Constant:
        """Sup λ_max(SᵀS)."""
        return eigenvalues.L_S_max(self.objective.sketch)

    @cached_property
    def expected_smoothness(self) -> Constant:
        """L_f·L_S^max."""
        return product([self.objective.problem.L_f, self.L_S_max], "upper", "L_f·L_S^max (MAST, Theorem 2)")

    @cached_property
    def expected_smoothness_sharp(self) -> Constant:
        """Sup λ_max(SᵀLS), and at most L_f·L_S^max."""
        paper, F = self.expected_smoothness, self.objective
        if F.problem.L_f == math.inf:
            return Constant(paper, "upper", "L_f·L_S^max: the curvature of f is unbounded", paper.error)
        if F.dim > DENSE_LIMIT:
            return self._supremum_of_rows
        curvature = F.problem.upper_curvature
        sup = F.sketch.supremum_curvature(curvature.matrix)
        rounding = (8 * EPS + curvature.doubt) * F.dim * float(sup)
        source = f"sup λ_max(SᵀLS): {sup.source} (this package)"
        return Constant(min(sup, paper), "upper", source, max(rounding, paper.error) if sup > paper else rounding)

    @property
    def _supremum_of_rows(self) -> Constant:
        paper, rows = self.expected_smoothness, self.objective.problem.sparse_upper_curvature
        sup = None if rows is None else self.objective.sketch.law.sparse_supremum(rows)
        if sup is None or sup >= paper:
            return Constant(paper, "upper", "L_f·L_S^max", paper.error)
        return Constant(sup, "upper", f"sup λ_max(SᵀLS): {sup.source} (this package)", sup.error)

    @cached_property
    def nonconvex_variance(self) -> Constant:
        """L_f²·L_D·L_S^max."""
        factors = [self.objective.L_fD, self.expected_smoothness]
        return product(factors, "upper", "L_f²·L_D·L_S^max (MAST, Theorem 3)")

    @cached_property
    def L_i_max(self) -> Constant:
        """The largest smoothness constant of a component of f."""
        problem = self.objective.problem
        largest = float(problem.component_smoothness.max())
        return Constant(largest, "upper", "max L_i (MAST, Section 4)", problem.component_smoothness_error)

    @cached_property
    def L_i_mean(self) -> Constant:
        """The mean smoothness constant of the components of f."""
        problem = self.objective.problem
        mean = float(problem.component_smoothness.mean())
        rounding = summed(problem.components + 2) * mean if math.isfinite(mean) else 0.0
        return Constant(mean, "upper", "mean L_i (MAST, Section 4)", problem.component_smoothness_error + rounding)

    @cached_property
    def components_inf(self) -> Constant:
        """The mean of lower bounds of the components of f."""
        infima = self.objective.problem.component_infima
        mean = float(infima.mean())
        rounding = float(summed(len(infima) + 2) * abs(infima).mean()) if math.isfinite(mean) else 0.0
        return Constant(mean, "lower", "mean inf f_i", rounding)
