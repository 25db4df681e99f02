"""Every constant of the theory for one MAST objective, each with its tier of truth."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import cached_property

from mastsim.expected import Mast
from mastsim.problems.base import DENSE_LIMIT
from mastsim.provenance import Constant


class Constants(Mapping[str, Constant]):
    """The constants of a MAST objective, as attributes and as a mapping.

    Nothing is computed before it is asked for, and nothing twice.

    Parameters
    ----------
    objective : Mast
        The objective f_D.

    Raises
    ------
    KeyError
        When an unknown name is looked up.

    References
    ----------
    MAST, arXiv 2311.16086, Sections 2-4; the names that end in ``_sharp``: this package.

    Examples
    --------
    >>> import numpy as np, mastsim as ms
    >>> c = Constants(ms.Mast(ms.Quadratic(np.diag([1.0, 4.0]), np.zeros(2)), ms.RandK(2, k=1)))
    >>> float(c.L_f), float(c["L_S_max"]), float(c.L_fD), float(c.L_fD_sharp)
    (4.0, 4.0, 8.0, 8.0)
    >>> c.L_fD.kind, c.L_fD_sharp.kind
    ('upper', 'exact')
    """

    def __init__(self, objective: Mast) -> None:
        self.objective = objective

    def __getitem__(self, name: str) -> Constant:
        if name not in NAMES:
            raise KeyError(f"unknown constant {name!r}; known: {', '.join(NAMES)}")
        constant: Constant = getattr(self, name)
        return constant

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES)

    def __len__(self) -> int:
        return len(NAMES)

    def __contains__(self, name: object) -> bool:
        return name in NAMES

    @cached_property
    def L_f(self) -> Constant:
        """Smoothness constant of f."""
        return self.objective.problem.L_f

    @cached_property
    def mu_f(self) -> Constant:
        """Strong convexity constant of f."""
        return self.objective.problem.mu_f

    @cached_property
    def L_D(self) -> Constant:
        """λ_max(E[SᵀS])."""
        return Constant(self.objective.sketch.L_D, "exact", "λ_max(E[SᵀS]) (MAST, Section 2)")

    @cached_property
    def mu_D(self) -> Constant:
        """λ_min(E[SᵀS])."""
        return Constant(self.objective.sketch.mu_D, "exact", "λ_min(E[SᵀS]) (MAST, Section 2)")

    @cached_property
    def L_S_max(self) -> Constant:
        """Sup λ_max(SᵀS)."""
        return Constant(
            self.objective.sketch.L_max,
            "exact" if self.objective.sketch.L_max_is_exact else "upper",
            "ess sup λ_max(SᵀS) (MAST, Section 2)",
        )

    @cached_property
    def L_fD(self) -> Constant:
        """Smoothness constant of f_D by the paper."""
        return Constant(self.L_D * self.L_f, "upper", "L_D·L_f (MAST, Lemma 1 (ii))")

    @cached_property
    def mu_fD(self) -> Constant:
        """Strong convexity constant of f_D by the paper; for a negative μ_f the weaker L_D·μ_f."""
        if self.mu_f < 0:
            return Constant(self.L_D * self.mu_f, "lower", "L_D·μ_f, as μ_f < 0 (this package)")
        return Constant(self.mu_D * self.mu_f, "lower", "μ_D·μ_f (MAST, Lemma 3 (ii))")

    @cached_property
    def L_fD_sharp(self) -> Constant:
        """Smoothness constant of f_D from the curvature matrix."""
        return self.objective.smoothness

    @cached_property
    def mu_fD_sharp(self) -> Constant:
        """Strong convexity constant of f_D from the curvature matrix."""
        value = self.objective.strong_convexity
        return Constant(value, "exact" if self._quadratic else "lower", "λ_min(E[SᵀMS]) (this package)")

    @cached_property
    def expected_smoothness(self) -> Constant:
        """L with E‖∇f_S(x)‖² ≤ 2L(f_D(x) − f^inf), by the paper."""
        return Constant(self.L_f * self.L_S_max, "upper", "L_f·L_S^max (MAST, Theorem 2)")

    @cached_property
    def expected_smoothness_sharp(self) -> Constant:
        """The same for convex f, from the curvature matrix: sup_S λ_max(SᵀLS)."""
        if self.L_f == math.inf or self.objective.dim > DENSE_LIMIT:
            return Constant(self.expected_smoothness, "upper", "L_f·L_S^max: no curvature matrix is formed")
        sup = self.objective.sketch.supremum_curvature(self.objective.problem.upper_curvature.matrix)
        return Constant(min(sup, self.expected_smoothness), "upper", f"sup λ_max(SᵀLS): {sup.source} (this package)")

    @cached_property
    def f_inf(self) -> Constant:
        """The infimum of f."""
        return self.objective.problem.minimize().infimum()

    @cached_property
    def fD_inf(self) -> Constant:
        """The infimum of f_D."""
        return self.objective.minimize().infimum()

    @cached_property
    def gap(self) -> Constant:
        """f_D^inf − f^inf."""
        return self.objective.gap()

    @property
    def _quadratic(self) -> bool:
        return self.objective.problem.is_quadratic


NAMES: tuple[str, ...] = (
    "L_f",
    "mu_f",
    "L_D",
    "mu_D",
    "L_S_max",
    "L_fD",
    "mu_fD",
    "L_fD_sharp",
    "mu_fD_sharp",
    "expected_smoothness",
    "expected_smoothness_sharp",
    "f_inf",
    "fD_inf",
    "gap",
)
"""Every constant, in the order in which they are reported."""
