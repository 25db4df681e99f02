"""The law of S = (d/k)·UUᵀ, the projection on a uniformly random subspace."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import eigh_tridiagonal

from mastsim.provenance import Constant
from mastsim.sketches.laws.pairings import InvariantLaw, Type, invariant_coefficients, types_of
from mastsim.sketches.laws.rows import InvariantRows, Invariants, Psi, RowTotals, csr

_CHUNK = 1 << 19
DROPPED = 1e-21
"""The most weight that is left out of a rule."""


@dataclass(frozen=True, eq=False)
class RandomProjection(InvariantLaw):
    """The projection on a uniformly random subspace of dimension k, times d/k.

    Parameters
    ----------
    dim : int
        The dimension d.
    k : int
        That of the subspace, from 1 to `dim`.

    References
    ----------
    Collins, Śniady, Integration with respect to the Haar measure on unitary, orthogonal and symplectic group, arXiv
    math-ph/0402073; the linear systems here: this package.

    Examples
    --------
    >>> RandomProjection(4, 2).L_D, RandomProjection(4, 2).L_max
    (2.0, 4.0)
    """

    dim: int
    k: int

    @property
    def scale(self) -> float:
        """The number d/k."""
        return self.dim / self.k

    @property
    def L_max(self) -> float:
        """L_S^max = (d/k)², the norm of every draw."""
        return self.scale**2

    @property
    def L_max_is_exact(self) -> bool:
        """True."""
        return True

    @property
    def L_D(self) -> float:
        """λ_max(E[SᵀS]) = d/k."""
        return self.scale

    def coefficients(self, factors: int) -> dict[Type, float]:
        """Return the coefficients of pairings: every tr((k/d·S)^a) is k, surely."""
        return _coefficients(factors, self.dim, self.k)

    def supremum_curvature(self, A: np.ndarray) -> Constant:
        """Return ess sup λ_max(SᵀAS) = (d/k)²·λ_max(A) for a positive semidefinite `A`.

        The random subspace comes as near to the leading eigenvector as one likes with positive probability.
        """
        top = float(np.linalg.eigvalsh(A)[-1])
        return Constant(self.L_max * top, "exact", "(d/k)²·λ_max(L), the essential supremum")

    def rows(self, A: Any) -> ProjectionRows | None:
        """Return the laws of the scalars aᵀSz of all rows a of `A`; None for k = d, where S is the identity."""
        return ProjectionRows(csr(A), self) if self.k < self.dim else None

    @property
    def support_size(self) -> float:
        """Infinite; 1 when k = d, where S is the identity."""
        return 1.0 if self.k == self.dim else math.inf

    def values(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the identity, when k = d."""
        return (np.ones((1, self.dim)), np.ones(1)) if self.k == self.dim else super().values()


@lru_cache
def _coefficients(factors: int, d: int, k: int) -> dict[Type, float]:
    exact = invariant_coefficients(d, tuple((kind, Fraction(k) ** len(kind)) for kind in types_of(factors)))
    return {kind: float(Fraction(d, k) ** factors * value) for kind, value in exact.items()}


@dataclass(frozen=True, eq=False)
class ProjectionRows(InvariantRows):
    """X = (d/k)(pβ + h√(β(1−β))·ω) with p = aᵀz and h² = |a|²|z|² − p².

    β has the beta law with parameters k/2 and (d − k)/2, and ω is a coordinate of a uniform unit vector in d − 1 dimensions:
    two Gauss rules of n nodes are exact for polynomials in X of degree 2n − 1, because only even powers of ω count.

    Parameters
    ----------
    A
        As for `RowLaws`.
    law : RandomProjection
        The law of S.
    """

    law: RandomProjection

    def reach(self, z: np.ndarray) -> np.ndarray:
        """Return (d/k)(|aᵀz| + |a||z|)/2, shape (n,)."""
        at = self.of(np.arange(self.A.shape[0]), z, None)
        farthest: np.ndarray = self.law.scale * (np.abs(at.p) + np.sqrt(at.r * at.q)) / 2
        return farthest

    def half_width(self, z: np.ndarray) -> np.ndarray:
        """Return (d/k)|a||z|/2, shape (n,)."""
        widths: np.ndarray = self.law.scale * np.sqrt(self.norms2 * float(z @ z)) / 2
        return widths

    def square(self, weights: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Return Σ_i weights_i E[Sᵀa_i a_iᵀS] z, shape (dim,)."""
        return self.law.square_times(self.A.T @ (weights * (self.A @ z)), float(weights @ self.norms2), z)

    def by_nodes(
        self,
        rows: np.ndarray,
        z: np.ndarray,
        offset: np.ndarray,
        psi: Psi,
        count: int,
        order: int = 1,
        w: np.ndarray | None = None,
    ) -> RowTotals:
        """Return E ψ(offset_i + X_i) by two Gauss rules of `count` nodes, with derivatives."""
        values, first, second = np.zeros(len(rows)), np.zeros((2, len(rows))), np.zeros((2, len(rows)))
        nodes = len(joint_rule(count, self.law.dim, self.law.k, self.law.dim - 1).weights)
        for place in np.array_split(np.arange(len(rows)), max(1, len(rows) * nodes // _CHUNK)):
            at = self.of(rows[place], z, w)
            found = self._block(at, offset[place], psi, count, order if w is None else 2)
            values[place], first[:, place], second[:, place] = found
        return self.assemble(rows, z, w, values, (first[0], first[1]), (second[0], second[1]))

    def _block(
        self, at: Invariants, offset: np.ndarray, psi: Psi, count: int, order: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return values (m,) and their derivatives in aᵀz and |z|², with the changes of these, both (2, m)."""
        d, k, c, h = self.law.dim, self.law.k, self.law.scale, np.sqrt(at.area)
        rule = joint_rule(count, d, k, d - 1)
        beta, away = rule.beta, rule.spread * rule.omega
        x = offset[:, None] + c * (np.outer(at.p, beta) + np.outer(h, away))
        values, none = psi(x, 0) @ rule.weights, np.zeros((2, len(offset)))
        if order == 0:
            return values, none, none
        # By parts, E ω ψ'(u + tω) = t·E ψ''(u + tω')/(d − 1) with ω' on a sphere of two dimensions more: h cancels.
        wide = joint_rule(count, d, k, d + 1)
        far = offset[:, None] + c * (np.outer(at.p, wide.beta) + np.outer(h, wide.spread * wide.omega))
        bend = c**2 / (d - 1) * (psi(far, 2) @ (wide.weights * wide.spread**2))
        first = np.stack([c * (psi(x, 1) @ (rule.weights * beta)) - bend * at.p, bend * at.r / 2])
        if order == 1:
            return values, first, none
        safe = np.where(h > 0, h, 1.0)
        dh = np.where(h > 0, (at.r * at.dq / 2 - at.p * at.dp) / safe, 0.0)
        curved = c**2 * psi(x, 2)
        squares, across, outward = (curved @ (rule.weights * u) for u in (beta**2, beta * away, away**2))
        turn = np.where(h > 0, (across * at.dp + (outward - bend) * dh) / safe, 0.0)
        of_p = squares * at.dp + across * dh - bend * at.dp - at.p * turn
        return values, first, np.stack([of_p, at.r * turn / 2])


class JointRule(NamedTuple):
    """Nodes of β, √(β(1−β)) and ω, and their weights, all of one shape; those of hardly any weight are left out."""

    beta: np.ndarray
    spread: np.ndarray
    omega: np.ndarray
    weights: np.ndarray


@lru_cache(maxsize=32)
def joint_rule(count: int, d: int, k: int, dimension: int) -> JointRule:
    """Return the product of the rules for β and for ω on a sphere, without nodes whose weights add up to less than 1e-21."""
    beta, chance = beta_rule(count, k / 2, (d - k) / 2)
    omega, share = sphere_rule(count, dimension)
    weights = np.outer(chance, share)
    i, j = np.nonzero(weights > DROPPED / weights.size)
    return JointRule(beta[i], np.sqrt(beta[i] * (1 - beta[i])), omega[j], weights[i, j])


@lru_cache(maxsize=64)
def beta_rule(count: int, a: float, b: float) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes and weights of the Gauss rule for the beta law with parameters a and b.

    Examples
    --------
    >>> nodes, weights = beta_rule(2, 1.0, 1.0)
    >>> round(float(weights @ nodes**3), 12)
    0.25
    """
    nodes, weights = _jacobi(count, b - 1, a - 1)
    return np.clip((1 + nodes) / 2, 0.0, 1.0), weights


@lru_cache(maxsize=64)
def sphere_rule(count: int, dimension: int) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes and weights of the Gauss rule for a coordinate of a uniform unit vector.

    Examples
    --------
    >>> nodes, weights = sphere_rule(3, 3)
    >>> round(float(weights @ nodes**2), 12)
    0.333333333333
    """
    if dimension == 1:
        return np.array([-1.0, 1.0]), np.array([0.5, 0.5])
    return _jacobi(count, (dimension - 3) / 2, (dimension - 3) / 2)


def _jacobi(count: int, a: float, b: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the Gauss rule for the weight (1−x)^a (1+x)^b on [−1, 1], weights adding up to 1, by Golub and Welsch."""
    n = np.arange(1.0, count)
    t = 2 * n + a + b
    first = (b - a) / (a + b + 2)
    diagonal = np.append(first, (b - a) * (b + a) / (t * (t + 2)))
    with np.errstate(invalid="ignore", divide="ignore"):
        squares = 4 * n * (n + a) * (n + b) * (n + a + b) / (t**2 * (t + 1) * (t - 1))
    squares[:1] = 4 * (1 + a) * (1 + b) / ((2 + a + b) ** 2 * (3 + a + b))
    nodes, vectors = eigh_tridiagonal(diagonal, np.sqrt(squares))
    weights = vectors[0] ** 2
    return nodes, weights / weights.sum()
