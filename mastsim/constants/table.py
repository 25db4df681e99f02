"""The table of constants of an objective: one vocabulary, whether it has one node or many."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from mastsim.arithmetic import difference, largest, mean, product, smallest
from mastsim.constants.node import Node
from mastsim.constants.noise import noise_at, noise_by_gap
from mastsim.expected import Distributed, Objective
from mastsim.frames import to_frame
from mastsim.markup import coloured
from mastsim.provenance import Constant, Kind, graded
from mastsim.validation import instance

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
    "fS_inf",
    "gap_sharp",
    "nonconvex_variance",
    "nonconvex_variance_sharp",
    "mu_PL",
    "L_i_max",
    "L_i_mean",
    "component_gap",
    "sigma2_star",
)
"""The constants of every objective, in the order in which they are reported."""

CLIENT_NAMES: tuple[str, ...] = ("clients_inf", "expected_smoothness_max", "nonconvex_variance_quoted")
"""What objectives of clients have besides."""


class Constants(Mapping[str, Constant]):
    """The constants of an objective, as attributes and as a mapping.

    With clients, f is the mean of their f_i and f_D that of their f_{i,D}; constants of sketches are those of the worst
    client, and the others are such that the same inequalities hold as with one node, g being the mean of the clients'
    sketched gradients and f^inf the mean of their infima where a gap is counted from it. Nothing is computed before it is
    asked for, and nothing twice.

    Parameters
    ----------
    objective : Mast or Distributed
        The objective f_D.

    Raises
    ------
    TypeError
        If `objective` is no objective.
    KeyError
        When an unknown name is looked up.

    References
    ----------
    MAST, arXiv 2311.16086, Sections 2-4; the names that end in ``_sharp``, and means over clients: this package.

    Examples
    --------
    >>> import numpy as np, mastsim as ms
    >>> f, S = ms.Quadratic(np.diag([1.0, 4.0]), np.zeros(2)), ms.RandK(2, k=1)
    >>> c = Constants(ms.Mast(f, S))
    >>> float(c.L_f), float(c["L_S_max"]), float(c.L_fD), float(c.L_fD_sharp)
    (4.0, 4.0, 8.0, 8.0)
    >>> c.L_fD.kind, c.L_fD_sharp.kind
    ('upper', 'exact')
    >>> many = Constants(ms.Distributed([f, ms.Quadratic(np.eye(2), np.ones(2))], S))
    >>> float(many.L_f), float(many.L_fD), float(many.expected_smoothness), float(many.expected_smoothness_max)
    (2.5, 5.0, 10.0, 16.0)
    """

    def __init__(self, objective: Objective) -> None:
        instance("objective", objective, Objective)
        self.objective = objective

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the table, in the order in which they are reported."""
        return NAMES + CLIENT_NAMES if isinstance(self.objective, Distributed) else NAMES

    def __getitem__(self, name: str) -> Constant:
        if name not in self.names:
            raise KeyError(f"unknown constant {name!r}; known: {', '.join(self.names)}")
        constant: Constant = getattr(self, name)
        return constant

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def to_frame(self) -> Any:
        """Return the table as a pandas data frame, one row a constant; ImportError where pandas is not installed."""
        return to_frame([{"constant": name, **constant.record()} for name, constant in self.items()], "constant")

    def _repr_html_(self) -> str:
        """Return the table for notebooks, every tier coloured and worded."""
        rows = [
            f"<tr><td>{name}</td><td>{html.escape(c.text)}</td><td>{coloured(c.kind, c.kind)}</td>"
            f"<td>{html.escape(c.source)}</td></tr>"
            for name, c in self.items()
        ]
        head = "<tr><th>constant</th><th>value</th><th>tier</th><th>source</th></tr>"
        return f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """What each node contributes."""
        return tuple(Node(node) for node in self.objective.nodes)

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
        """λ_max(E[SᵀS]), the largest of a client."""
        return largest([node.L_D for node in self.nodes], "max λ_max(E[S_iᵀS_i]) over clients (MAST, Section 2)")

    @cached_property
    def mu_D(self) -> Constant:
        """λ_min(E[SᵀS]), the smallest of a client."""
        return smallest([node.mu_D for node in self.nodes], "min λ_min(E[S_iᵀS_i]) over clients (MAST, Section 2)")

    @cached_property
    def L_S_max(self) -> Constant:
        """Sup λ_max(SᵀS), the largest of a client."""
        return largest([node.L_S_max for node in self.nodes], "ess sup max λ_max(S_iᵀS_i) over clients (MAST, Section 2)")

    @cached_property
    def L_fD(self) -> Constant:
        """Smoothness constant of f_D by the paper; with clients L̂, the mean of theirs."""
        return self.objective.L_fD

    @cached_property
    def mu_fD(self) -> Constant:
        """Strong convexity constant of f_D by the paper; for a negative μ_f the weaker L_D·μ_f."""
        return self.objective.mu_fD

    @cached_property
    def L_fD_sharp(self) -> Constant:
        """Smoothness constant of f_D from the curvature matrix."""
        return self.objective.L_fD_sharp

    @cached_property
    def mu_fD_sharp(self) -> Constant:
        """Strong convexity constant of f_D from the curvature matrix."""
        return self.objective.mu_fD_sharp

    @cached_property
    def expected_smoothness(self) -> Constant:
        """L with E‖g(x)‖² ≤ 2L(f_D(x) − f^inf), by the paper; with clients L̃, the mean of theirs."""
        return mean([node.expected_smoothness for node in self.nodes], "L̃ = mean L_fi·L_Si^max (this package)")

    @cached_property
    def expected_smoothness_sharp(self) -> Constant:
        """The same from the curvature matrices: sup_S λ_max(SᵀLS)."""
        return mean([node.expected_smoothness_sharp for node in self.nodes], "mean sup λ_max(SᵀL_iS) (this package)")

    @cached_property
    def expected_smoothness_max(self) -> Constant:
        """L̄, the largest L_{f_i}·L_{S_i}^max of a client."""
        return largest([node.expected_smoothness for node in self.nodes], "L̄ = max L_fi·L_Si^max (MAST, Section 4)")

    @cached_property
    def f_inf(self) -> Constant:
        """The infimum of f."""
        return self.objective.problem.minimize().infimum()

    @cached_property
    def fD_inf(self) -> Constant:
        """The infimum of f_D."""
        found = self.objective.minimize().infimum()
        estimated = self.objective.evaluation.tier == "estimate"
        return Constant(found, "estimate" if estimated else found.kind, found.source, found.error)

    @cached_property
    def clients_inf(self) -> Constant:
        """The mean of the infima of the clients' f_i."""
        return self.objective.nodes_minimum().infimum()

    @cached_property
    def gap(self) -> Constant:
        """f_D^inf − f^inf; with clients f_D^inf less the mean of the infima of their f_i."""
        return self.objective.gap()

    @cached_property
    def fS_inf(self) -> Constant:
        """E inf_x f_S(x), at least f^inf; with clients the mean of theirs."""
        return self.objective.sketched_infimum()

    @cached_property
    def gap_sharp(self) -> Constant:
        """f_D^inf − E inf f_S, which may replace the gap."""
        one_node = len(self.nodes) == 1
        source = "f_D^inf − E inf f_S (this package)" if one_node else "f_D^inf − mean E inf f_{i,S} (this package)"
        return _sharper_gap(self.gap, self.fD_inf, self.fS_inf, source)

    @cached_property
    def nonconvex_variance(self) -> Constant:
        """𝔇 with E‖g(x) − g(y)‖² ≤ 𝔇‖x − y‖², by the paper: L_f²·L_D·L_S^max; with clients L̂·L̃."""
        one_node = len(self.nodes) == 1
        source = "L_f²·L_D·L_S^max (MAST, Theorem 3)" if one_node else "L̂·L̃ (this package)"
        return product([self.L_fD, self.expected_smoothness], "upper", source)

    @cached_property
    def nonconvex_variance_sharp(self) -> Constant:
        """The same with λ_max(E[SᵀLS])·sup λ_max(SᵀLS)."""
        factors = [self.L_fD_sharp, self.expected_smoothness_sharp]
        return product(factors, "upper", "λ_max(E[SᵀLS])·sup λ_max(SᵀLS) (this package)")

    @cached_property
    def nonconvex_variance_quoted(self) -> Constant:
        """𝔇_max = max L_{f_i}²·L_{D_i}·L_{S_i}^max; not an upper bound of what Theorem 6 needs when clients differ."""
        top = largest([node.nonconvex_variance for node in self.nodes], "max")
        return Constant(top, "estimate", "max L_fi²·L_Di·L_Si^max (quoted from MAST, Theorem 6)", top.error)

    @cached_property
    def mu_PL(self) -> Constant:
        """A Polyak-Łojasiewicz constant of f_D: ‖∇f_D‖² ≥ 2μ_PL(f_D − f_D^inf); 0 when none is known."""
        if self.objective.is_quadratic:
            least = self.objective.upper_curvature.least_positive
            value = max(least.value, 0.0) if least < math.inf else 1.0
            return Constant(value, least.kind, "least positive eigenvalue of E[SᵀAS]", least.error)
        mu = self.mu_fD_sharp
        return Constant(max(mu, 0.0), "estimate" if mu.kind == "estimate" else "lower", "strong convexity of f_D", mu.error)

    @cached_property
    def L_i_max(self) -> Constant:
        """The largest smoothness constant of a component f_i, of all clients'."""
        return largest([node.L_i_max for node in self.nodes], "max L_ij over clients (MAST, Section 4)")

    @cached_property
    def L_i_mean(self) -> Constant:
        """The mean smoothness constant of the components f_i; with clients the mean of their means."""
        return mean([node.L_i_mean for node in self.nodes], "mean over clients of mean L_ij (MAST, Section 4)")

    @cached_property
    def component_gap(self) -> Constant:
        """Δ = f^inf − (1/n)Σ f_i^inf; with clients the mean of the means of their components' infima is taken off."""
        found = difference(self.f_inf, mean([node.components_inf for node in self.nodes], "mean f_i^inf"), "Δ")
        return Constant(found, found.kind, "Δ = f^inf − mean f_i^inf (MAST, Section 4)", found.error)

    @cached_property
    def sigma2_star(self) -> Constant:
        """σ*² = E‖g(x_D*)‖²."""
        F, L = self.objective, self.expected_smoothness_sharp
        bound, best = noise_by_gap(L, self.gap), F.minimize()
        listed = noise_at(F, best.x)
        if listed is None:
            return bound
        noise, rounding = listed
        away, size = math.sqrt(self._moved_noise) + rounding, 2 * float(L) * (abs(best.value) + best.scale)
        error = away**2 + 2 * math.sqrt(noise) * away if away < math.inf else math.inf
        found = graded(noise, error, "enumeration of E‖∇f_S(x_D*)‖²", "upper", size)
        if found.kind == "estimate" != bound.kind:
            return bound
        return found if found.kind == "exact" or found < bound else bound

    @cached_property
    def _moved_noise(self) -> float:
        """A bound on E‖g(x) − g(x_D*)‖² for the x that stands for the minimiser of f_D."""
        best, L = self.objective.minimize(), self.expected_smoothness_sharp
        if not best.proven:
            return math.inf
        # It is at most 2L(f_D(x) − f_D^inf) where every f_i is convex, and 𝔇‖x − x_D*‖² in any case.
        if all(node.problem.is_convex for node in self.objective.nodes):
            return 2 * (L + L.error) * best.excess_bound if best.excess_bound > 0 else 0.0
        return self.nonconvex_variance * 2 * best.excess_bound / self.mu_PL if self.mu_PL > 0 else math.inf


def _sharper_gap(gap: Constant, fD_inf: Constant, sketched: Constant, source: str) -> Constant:
    """Return f_D^inf less the mean of sketched infima where that is known to be smaller than the gap, else the gap."""
    if gap.value == 0.0 and gap.error == 0:
        return gap
    found = difference(fD_inf, sketched, source)
    if found.kind == "estimate" or (found.kind == "upper" and gap.kind == "exact" and gap <= found):
        kind: Kind = "estimate" if gap.kind == "estimate" else "upper"
        return Constant(gap, kind, f"the gap itself: {sketched.source}", gap.error)
    if found.kind == "exact" and gap.kind == "exact" and gap + gap.error < found + found.error:
        low, high = max(found - found.error, 0.0), gap + gap.error
        return Constant((low + high) / 2, "exact", found.source, max(high - low, 0.0) / 2)
    return found
