"""Every constant of the theory for one MAST objective, each with its tier of truth."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import ClassVar

import numpy as np

from mastsim.expected import Distributed, Mast
from mastsim.expected.objective import difference
from mastsim.problems.base import DENSE_LIMIT
from mastsim.provenance import Constant, Kind, graded
from mastsim.rounding import summed
from mastsim.sketches.base import CACHED_SUPPORT
from mastsim.validation import shown

_EPS = float(np.finfo(float).eps)


class _Table(Mapping[str, Constant]):
    """Constants as attributes and as a mapping; nothing is computed before it is asked for, and nothing twice."""

    names: ClassVar[tuple[str, ...]]

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


class Constants(_Table):
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
        if not isinstance(objective, Mast):
            raise TypeError(f"objective={shown(objective)} is not accepted: it must be a Mast; see DistributedConstants")
        self.objective = objective

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
        return self._of_sketch(self.objective.sketch.L_D, "exact", "λ_max(E[SᵀS]) (MAST, Section 2)")

    @cached_property
    def mu_D(self) -> Constant:
        """λ_min(E[SᵀS])."""
        return self._of_sketch(self.objective.sketch.mu_D, "exact", "λ_min(E[SᵀS]) (MAST, Section 2)")

    @cached_property
    def L_S_max(self) -> Constant:
        """Sup λ_max(SᵀS)."""
        kind: Kind = "exact" if self.objective.sketch.L_max_is_exact else "upper"
        return self._of_sketch(self.objective.sketch.L_max, kind, "ess sup λ_max(SᵀS) (MAST, Section 2)")

    def _of_sketch(self, value: float, kind: Kind, source: str) -> Constant:
        """Return an eigenvalue of the sketch's own matrices with its rounding."""
        sketch = self.objective.sketch
        rounding = 4 * _EPS * (abs(value) if sketch.is_diagonal or value == math.inf else 4 * sketch.dim * sketch.L_D)
        return Constant(value, kind, source, 0.0 if value == math.inf else rounding)

    @cached_property
    def L_fD(self) -> Constant:
        """Smoothness constant of f_D by the paper."""
        return product([self.L_D, self.L_f], "upper", "L_D·L_f (MAST, Lemma 1 (ii))")

    @cached_property
    def mu_fD(self) -> Constant:
        """Strong convexity constant of f_D by the paper; for a negative μ_f the weaker L_D·μ_f."""
        if self.mu_f < 0:
            return product([self.L_D, self.mu_f], "lower", "L_D·μ_f, as μ_f < 0 (this package)")
        return product([self.mu_D, self.mu_f], "lower", "μ_D·μ_f (MAST, Lemma 3 (ii))")

    @cached_property
    def L_fD_sharp(self) -> Constant:
        """Smoothness constant of f_D from the curvature matrix."""
        return self.objective.smoothness

    @cached_property
    def mu_fD_sharp(self) -> Constant:
        """Strong convexity constant of f_D from the curvature matrix."""
        return self.objective.strong_convexity

    @cached_property
    def expected_smoothness(self) -> Constant:
        """L with E‖∇f_S(x)‖² ≤ 2L(f_D(x) − f^inf), by the paper."""
        return product([self.L_f, self.L_S_max], "upper", "L_f·L_S^max (MAST, Theorem 2)")

    @cached_property
    def expected_smoothness_sharp(self) -> Constant:
        """The same for convex f, from the curvature matrix: sup_S λ_max(SᵀLS)."""
        paper = self.expected_smoothness
        if self.L_f == math.inf or self.objective.dim > DENSE_LIMIT:
            return Constant(paper, "upper", "L_f·L_S^max: no curvature matrix is formed", paper.error)
        curvature = self.objective.problem.upper_curvature
        sup = self.objective.sketch.supremum_curvature(curvature.matrix)
        rounding = (8 * _EPS + curvature.doubt) * self.objective.dim * float(sup)
        source = f"sup λ_max(SᵀLS): {sup.source} (this package)"
        return Constant(min(sup, paper), "upper", source, max(rounding, paper.error) if sup > paper else rounding)

    @cached_property
    def f_inf(self) -> Constant:
        """The infimum of f."""
        return self.objective.problem.minimize().infimum()

    @cached_property
    def fD_inf(self) -> Constant:
        """The infimum of f_D."""
        return _least_value(self.objective)

    @cached_property
    def gap(self) -> Constant:
        """f_D^inf − f^inf."""
        return self.objective.gap()

    @cached_property
    def fS_inf(self) -> Constant:
        """E inf_x f_S(x), at least f^inf."""
        return self.objective.sketched_infimum()

    @cached_property
    def gap_sharp(self) -> Constant:
        """f_D^inf − E inf f_S, which may replace the gap."""
        return _sharper_gap(self.gap, self.fD_inf, self.fS_inf, "f_D^inf − E inf f_S (this package)")

    @cached_property
    def nonconvex_variance(self) -> Constant:
        """𝔇 = L_f²·L_D·L_S^max, by the paper."""
        return product([self.L_fD, self.expected_smoothness], "upper", "L_f²·L_D·L_S^max (MAST, Theorem 3)")

    @cached_property
    def nonconvex_variance_sharp(self) -> Constant:
        """The same with λ_max(E[SᵀLS])·sup λ_max(SᵀLS)."""
        factors = [self.L_fD_sharp, self.expected_smoothness_sharp]
        return product(factors, "upper", "λ_max(E[SᵀLS])·sup λ_max(SᵀLS) (this package)")

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
        """The largest smoothness constant of a component f_i."""
        problem = self.objective.problem
        largest = float(problem.component_smoothness.max())
        return Constant(largest, "upper", "max L_i (MAST, Section 4)", problem.component_smoothness_error)

    @cached_property
    def L_i_mean(self) -> Constant:
        """The mean smoothness constant of the components f_i."""
        problem = self.objective.problem
        mean = float(problem.component_smoothness.mean())
        rounding = summed(problem.components + 2) * mean if math.isfinite(mean) else 0.0
        return Constant(mean, "upper", "mean L_i (MAST, Section 4)", problem.component_smoothness_error + rounding)

    @cached_property
    def component_gap(self) -> Constant:
        """Δ = f^inf − (1/n)Σ f_i^inf."""
        best, infima = self.f_inf, self.objective.problem.component_infima
        most = best.value + (best.error if best.kind == "exact" else 0.0)
        sizes = abs(most) + float(np.abs(infima).mean())
        value = max(most - float(infima.mean()), 0.0)
        kind: Kind = "estimate" if best.kind == "estimate" else "upper"
        rounding = summed(len(infima) + 4) * sizes if math.isfinite(sizes) else 0.0
        return Constant(value, kind, "Δ = f^inf − mean f_i^inf (MAST, Section 4)", rounding)

    @cached_property
    def sigma2_star(self) -> Constant:
        """σ*² = E‖∇f_S(x_D*)‖²."""
        F, L = self.objective, min(self.expected_smoothness_sharp, self.expected_smoothness)
        bound = self._noise_by_gap(L)
        if F.sketch.support_size > CACHED_SUPPORT:
            return bound
        noise, rounding = self._noise_at_minimum()
        # E‖∇f_S(x) − ∇f_S(x_D*)‖² ≤ 2L(f_D(x) − f_D^inf) for convex f, and 𝔇‖x − x_D*‖² in any case.
        best = F.minimize()
        excess = best.excess_bound if best.proven else math.inf
        moved = 2 * (L + L.error) * excess
        if not F.problem.is_convex:
            moved = self.nonconvex_variance * 2 * excess / self.mu_PL if self.mu_PL > 0 else math.inf
        away = math.sqrt(moved) + rounding
        error, size = away**2 + 2 * math.sqrt(noise) * away, 2 * float(L) * (abs(best.value) + best.scale)
        found = graded(noise, error, "enumeration of E‖∇f_S(x_D*)‖²", "upper", size)
        return found if found.kind == "exact" or found < bound else bound

    def _noise_by_gap(self, L: Constant) -> Constant:
        """Return 2L·gap, an estimate where the gap is one; 0 where the gap is, whether or not L is finite."""
        if self.gap.kind == "exact" and self.gap.value == 0 and self.gap.error == 0:
            return Constant(0.0, "exact", "gap = 0: x_D* is a minimiser of almost every f_S (this package)")
        kind: Kind = "estimate" if "estimate" in (self.gap.kind, L.kind) else "upper"
        if math.inf == L:
            return Constant(math.inf, kind, "2L·gap (MAST, Theorem 5)")
        error = 2 * self.gap * L.error
        return Constant(2 * L * (self.gap + self.gap.error), kind, "2L·gap (MAST, Theorem 5)", error)

    def _noise_at_minimum(self) -> tuple[float, float]:
        """Return E‖∇f_S‖² at the minimiser of f_D, and what rounding may change in its root."""
        F = self.objective
        batch, weights = F.sketch.support()
        x, v = F.minimize().x, F.center
        gradients = np.asarray(F.sketched_gradient(x, batch))
        noise = float(weights @ (gradients**2).sum(axis=1))
        sketched = np.asarray(batch.apply(np.broadcast_to(x - v, (len(weights), F.dim))))
        stretch = np.sqrt(np.asarray(batch.square_norms()[1]))
        # Rounding of x − v comes back multiplied by S, that of the products comes beside it.
        units = 4 * F.dim * _EPS
        moved = units * (np.abs(v) + np.abs(sketched) + stretch[:, None] * np.linalg.norm(np.abs(x) + np.abs(v)))
        slopes = np.linalg.norm(F.problem.gradient(v + sketched), axis=1)
        errors = stretch * (F.problem.gradient_error(v + sketched, moved) + units * slopes)
        return noise, math.sqrt(float(weights @ errors**2)) + units * math.sqrt(noise)


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
"""Every constant, in the order in which they are reported."""
Constants.names = NAMES


class DistributedConstants(_Table):
    """The constants of a distributed objective, as attributes and as a mapping.

    Parameters
    ----------
    objective : Distributed
        The objective.

    Raises
    ------
    KeyError
        When an unknown name is looked up.

    References
    ----------
    MAST, arXiv 2311.16086, Theorem 6; L̂ and L̃: this package.

    Examples
    --------
    >>> import mastsim as ms
    >>> F = ms.Distributed([ms.Quadratic(np.eye(2), np.ones(2)), ms.Quadratic(3 * np.eye(2), np.ones(2))], ms.RandK(2, k=1))
    >>> c = DistributedConstants(F)
    >>> float(c.L_max), float(c.L_mean), float(c.L_hat), float(c.variance_quoted), float(c.variance)
    (12.0, 8.0, 4.0, 72.0, 32.0)
    """

    names = (
        "L_max",
        "L_mean",
        "L_hat",
        "L_hat_sharp",
        "variance_quoted",
        "variance",
        "mu",
        "mu_sharp",
        "fD_inf",
        "clients_inf",
        "gap",
        "gap_sharp",
    )

    def __init__(self, objective: Distributed) -> None:
        if not isinstance(objective, Distributed):
            raise TypeError(f"objective={shown(objective)} is not accepted: it must be a Distributed; see Constants")
        self.objective = objective

    @cached_property
    def clients(self) -> tuple[Constants, ...]:
        """The constants of the clients."""
        return tuple(Constants(client) for client in self.objective.clients)

    @cached_property
    def L_max(self) -> Constant:
        """L̄ = max L_{f_i}·L_{S_i}^max."""
        top = max((c.expected_smoothness for c in self.clients), key=float)
        return Constant(top, "upper", "max L_fi·L_Si^max (MAST, Section 4)", top.error)

    @cached_property
    def L_mean(self) -> Constant:
        """L̃, the mean of L_{f_i}·L_{S_i}^max."""
        return _mean([c.expected_smoothness for c in self.clients], "upper", "mean L_fi·L_Si^max (this package)")

    @cached_property
    def L_hat(self) -> Constant:
        """L̂, the mean of L_{f_i}·L_{D_i}, at least the smoothness constant of f_D."""
        return _mean([c.L_fD for c in self.clients], "upper", "mean L_fi·L_Di (this package)")

    @cached_property
    def L_hat_sharp(self) -> Constant:
        """The smoothness constant of f_D from the curvature matrices."""
        return self.objective.smoothness

    @cached_property
    def variance_quoted(self) -> Constant:
        """𝔇_max = max L_{f_i}²·L_{D_i}·L_{S_i}^max; not an upper bound of what Theorem 6 needs when clients differ."""
        largest = max((c.nonconvex_variance for c in self.clients), key=float)
        return Constant(largest, "estimate", "max L_fi²·L_Di·L_Si^max (quoted from MAST, Theorem 6)", largest.error)

    @cached_property
    def variance(self) -> Constant:
        """𝔇 = L̂·L̃."""
        return product([self.L_hat, self.L_mean], "upper", "L̂·L̃ (this package)")

    @cached_property
    def mu(self) -> Constant:
        """The mean of μ_{D_i}·μ_{f_i}."""
        return _mean([c.mu_fD for c in self.clients], "lower", "mean μ_Di·μ_fi (this package)")

    @cached_property
    def mu_sharp(self) -> Constant:
        """The strong convexity constant of f_D from the curvature matrices."""
        return self.objective.strong_convexity

    @cached_property
    def fD_inf(self) -> Constant:
        """The infimum of f_D."""
        return _least_value(self.objective)

    @cached_property
    def clients_inf(self) -> Constant:
        """The mean of the clients' infima."""
        return self.objective.clients_minimum().infimum()

    @cached_property
    def gap(self) -> Constant:
        """gap_M = f_D^inf − (1/M)Σ f_i^inf."""
        return self.objective.gap()

    @cached_property
    def gap_sharp(self) -> Constant:
        """f_D^inf − (1/M)Σ E inf f_{i,S_i}, which may replace gap_M for convex functions."""
        found = self.objective.sketched_infimum()
        return _sharper_gap(self.gap, self.fD_inf, found, "f_D^inf − mean E inf f_{i,S_i} (this package)")


def product(factors: Sequence[Constant], kind: Kind, source: str) -> Constant:
    """Return a product of constants, with the error that theirs leave; an estimate where one of them is.

    Parameters
    ----------
    factors : sequence of Constant
        The factors.
    kind : {"exact", "upper", "lower"}
        The tier of the product where every factor is what its own tier says.
    source : str
        The formula and where it comes from.
    """
    value = math.prod(float(factor) for factor in factors)
    relative = sum(f.error / abs(f.value) if f.value != 0 else 0.0 for f in factors) + len(factors) * _EPS
    error = abs(value) * relative if math.isfinite(value) else 0.0
    return Constant(value, "estimate" if any(factor.kind == "estimate" for factor in factors) else kind, source, error)


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


def _least_value(objective: Mast | Distributed) -> Constant:
    found = objective.minimize().infimum()
    if objective.evaluation.tier == "estimate":
        return Constant(found, "estimate", found.source, found.error)
    return found


def _mean(values: list[Constant], kind: Kind, source: str) -> Constant:
    """Return a mean of constants with the mean of their errors; an estimate where one of them is."""
    mean = float(np.mean([float(value) for value in values]))
    rounding = len(values) * _EPS * abs(mean) if math.isfinite(mean) else 0.0
    error = float(np.mean([value.error for value in values])) + rounding
    return Constant(mean, "estimate" if any(value.kind == "estimate" for value in values) else kind, source, error)
