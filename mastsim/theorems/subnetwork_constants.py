"""Constants of independent subnetwork training of quadratics, and what its theorems assume."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np

from mastsim.constants import CLIENT_NAMES, NAMES, Constants
from mastsim.expected import Distributed
from mastsim.linalg import symmetric_part
from mastsim.methods import DistributedDSGD
from mastsim.provenance import Constant
from mastsim.recursions import GradientRecursion
from mastsim.theorems.assumptions import Assumption

SUBNETWORK_NAMES: tuple[str, ...] = (
    "descent_gain",
    "gradient_gain",
    "descent_smoothness",
    "square_smoothness",
    "bias",
)
"""What training of subnetworks needs besides."""

_EPS = float(np.finfo(float).eps)


class SubnetworkConstants(Constants):
    """The constants of clients with quadratics whose steps are judged on f: L̄ is its Hessian, B the random one of a step.

    W = ½(L̄H_D + H_DL̄) is what a small step takes off f: f(x) − f^inf falls by γ(x − x*)ᵀW(x − x*).

    Parameters
    ----------
    objective : Distributed
        Clients with quadratics.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> f = ms.Quadratic(np.diag([1.0, 2.0]), np.zeros(2))
    >>> c = SubnetworkConstants(Distributed([f, f], ms.PermK(2, clients=2)))
    >>> [round(float(c[name]), 12) for name in SUBNETWORK_NAMES]
    [2.0, 2.0, 4.0, 4.0, 0.0]
    """

    objective: Distributed

    def __init__(self, objective: Distributed) -> None:
        super().__init__(objective)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the table, in the order in which they are reported."""
        return NAMES + CLIENT_NAMES + SUBNETWORK_NAMES

    @cached_property
    def hessian(self) -> np.ndarray:
        """L̄, shape (dim, dim)."""
        return np.asarray(self.objective.problem.upper_curvature.matrix)

    @cached_property
    def W(self) -> np.ndarray:
        """½(L̄H_D + H_DL̄), shape (dim, dim)."""
        return symmetric_part(self.hessian @ self.objective.curvature)

    @cached_property
    def descends(self) -> bool:
        """Whether W is positive definite, beyond rounding."""
        return _is_definite(np.linalg.eigvalsh(self.W))

    @cached_property
    def _chain(self) -> GradientRecursion:
        chain = DistributedDSGD(1.0).closed_recursion(self.objective)
        assert isinstance(chain, GradientRecursion)
        return chain

    def square(self, M: np.ndarray) -> np.ndarray:
        """Return E[BMB], shape (dim, dim)."""
        return symmetric_part(self._chain.gradient.curvature2(M))

    @cached_property
    def descent_gain(self) -> Constant:
        """λ_min(L̄^{-½}WL̄^{-½}): a small step takes at least 2γ times this share off f − f^inf, on average."""
        return self._end(self.W, self.hessian, 0, "λ_min(L̄^{-½}WL̄^{-½}) (this package)")

    @cached_property
    def gradient_gain(self) -> Constant:
        """λ_min(L̄⁻¹WL̄⁻¹): the same in proportion to ‖∇f‖²."""
        return self._end(self.W, self.hessian @ self.hessian, 0, "λ_min(L̄⁻¹WL̄⁻¹) (this package)")

    @cached_property
    def descent_smoothness(self) -> Constant:
        """The least θ with E[BL̄B] ⪯ θW; infinite where W is not positive definite."""
        return self._end(self.square(self.hessian), self.W, -1, "θ with E[BL̄B] ⪯ θW (this package)")

    @cached_property
    def square_smoothness(self) -> Constant:
        """The least θ₂ with E[B²] ⪯ θ₂H_D."""
        square = self.square(np.eye(self.objective.dim))
        return self._end(square, self.objective.curvature, -1, "θ₂ with E[B²] ⪯ θ₂H_D (this package)")

    @cached_property
    def bias(self) -> Constant:
        """‖x_D* − x*‖_L̄, which stays however small the steps are."""
        away = self.objective.minimize().x - self.objective.problem.minimize().x
        value, doubt = math.sqrt(max(float(away @ self.hessian @ away), 0.0)), self._doubt(away)
        return Constant(value, "exact", "‖x_D* − x*‖_L̄ (this package)", doubt)

    def _doubt(self, away: np.ndarray) -> float:
        """Return how far the bias may be off for the certificates of both minimisers."""
        F, L = self.objective, float(self.L_f)
        best, lowest, mu = F.minimize(), F.problem.minimize(), float(F.mu_fD_sharp)
        moved = math.sqrt(2 * best.excess_bound / mu) if mu > 0 else math.inf
        rounding = 8 * F.dim * _EPS * (float(np.linalg.norm(best.x)) + float(np.linalg.norm(lowest.x)))
        return math.sqrt(2 * lowest.excess_bound) + math.sqrt(L) * (moved + rounding)

    def _end(self, left: np.ndarray, right: np.ndarray, which: int, source: str) -> Constant:
        """Return an end of the eigenvalues of right^{-½}·left·right^{-½}; infinite where `right` is not definite."""
        values, vectors = np.linalg.eigh(right)
        if not _is_definite(values):
            return Constant(math.inf if which else -math.inf, "upper" if which else "lower", f"{source}: not definite")
        root = vectors / np.sqrt(values)
        found = np.linalg.eigvalsh(symmetric_part(root.T @ left @ root))
        # Rounding of the root comes back multiplied by the condition number.
        error = 16 * len(values) * _EPS * float(np.linalg.norm(left) / values[0] + np.abs(found).max())
        return Constant(float(found[which]), "exact", source, error)


def _is_definite(values: np.ndarray) -> bool:
    """Whether eigenvalues, in ascending order, are all above what rounding leaves of zero."""
    return bool(values[0] > 16 * len(values) * _EPS * float(np.abs(values).max()))


def _slope(node: Any) -> float:
    return float(np.linalg.norm(node.problem.gradient(node.center)))


def _slope_size(node: Any) -> float:
    """Return the size of the terms of ∇f_i(v), of which it is the difference."""
    size = np.linalg.norm(node.problem.upper_curvature.matrix) * np.linalg.norm(node.center)
    return float(size + np.linalg.norm(node.problem.gradient(np.zeros(node.dim))))


QUADRATIC_CLIENTS = Assumption(
    "quadratic clients",
    lambda F: F.is_quadratic,
    lambda F: f"{F.problem.name} is not one in closed form",
    "use quadratics",
)
CURVED = Assumption(
    "positive definite mean Hessian",
    lambda F: F.problem.mu_f > 0,
    lambda F: f"λ_min(L̄) = {F.problem.mu_f.value:g}",
    "add regularisation",
)
ONE_MINIMISER = Assumption(
    "one minimiser of all clients, at the shift",
    lambda F: all(_slope(node) <= 1e-12 * _slope_size(node) for node in F.nodes),
    lambda F: f"max ‖∇f_i(v)‖ = {max(_slope(node) for node in F.nodes):g}",
    "use the theorems with noise, subnetworks-noise and subnetworks-bias",
)
DESCENT = Assumption(
    "W = ½(L̄H_D + H_DL̄) positive definite",
    lambda F: F.is_quadratic and SubnetworkConstants(F).descends,
    lambda F: (
        f"λ_min(W) = {float(np.linalg.eigvalsh(SubnetworkConstants(F).W)[0]):.4g}, so that f may grow at first, "
        "whatever the step, though iterates converge"
        if F.is_quadratic
        else f"{F.problem.name} has no constant Hessian"
    ),
    "scale the coordinates so that the diagonal of L̄ is 1, or use subnetworks-distance",
)
