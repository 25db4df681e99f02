"""The law of S = (d/k)·UUᵀ, the projection on a uniformly random subspace."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import eigh_tridiagonal
from scipy.special import betaincinv

from mastsim.provenance import Constant
from mastsim.rounding import EPS, summed
from mastsim.sketches.laws.pairings import InvariantLaw, Type, invariant_coefficients, types_of
from mastsim.sketches.laws.rows import InvariantRows, Invariants, Psi, RowRounding, RowTotals, csr

_CHUNK = 1 << 19
_PANEL = 20
DROPPED = 1e-21
"""The most probability that is left out of a rule."""


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

    β has the beta law with parameters k/2 and (d − k)/2, and ω is a coordinate of a uniform unit vector in d − 1 dimensions.
    Both are cut to where all but 1e-21 of them is; there, two Gauss rules of n nodes are exact for polynomials in X of
    degree 2n − 1, because only even powers of ω count.

    Parameters
    ----------
    A
        As for `RowLaws`.
    law : RandomProjection
        The law of S.
    """

    law: RandomProjection

    def extreme(self, z: np.ndarray) -> np.ndarray:
        """Return (d/k)(|aᵀz| + |a||z|)/2, shape (n,)."""
        at = self.of(np.arange(self.A.shape[0]), z, None)
        farthest: np.ndarray = self.law.scale * (np.abs(at.p) + np.sqrt(at.r * at.q)) / 2
        return farthest

    def reach(self, z: np.ndarray) -> np.ndarray:
        """Return a bound on |X_i| where all but 1e-21 of the law is, shape (n,)."""
        (_, high), away = self._box
        at = self.of(np.arange(self.A.shape[0]), z, None)
        return np.minimum(self.law.scale * (np.abs(at.p) * high + np.sqrt(at.area) * away), self.extreme(z))

    def half_width(self, z: np.ndarray) -> np.ndarray:
        """Return half the length of the interval where all but 1e-21 of the law is, shape (n,)."""
        (low, high), away = self._box
        at = self.of(np.arange(self.A.shape[0]), z, None)
        inside = np.abs(at.p) * (high - low) / 2 + np.sqrt(at.area) * away
        return np.minimum(inside, np.sqrt(at.r * at.q) / 2) * self.law.scale

    @property
    def _box(self) -> tuple[tuple[float, float], float]:
        """The ends of β, and the largest √(β(1−β))·|ω|, where ω may be any of the spheres that are used."""
        d, k = self.law.dim, self.law.k
        low, high = beta_ends(k / 2, (d - k) / 2)
        spread = np.sqrt(np.array([low * (1 - low), high * (1 - high), 0.25 if low < 0.5 < high else 0.0])).max()
        return (low, high), float(spread) * (1.0 if d == 2 else 2 * beta_ends((d - 2) / 2, (d - 2) / 2)[1] - 1)

    def square(self, weights: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Return Σ_i weights_i E[Sᵀa_i a_iᵀS] z, shape (dim,)."""
        return self.law.square_times(self.A.T @ (weights * (self.A @ z)), float(weights @ self.norms2), z)

    def rounding(self, z: np.ndarray, size: np.ndarray) -> RowRounding:
        """Return what rounding does to the law: aᵀz moves, and so do the nodes; h and √(β(1−β)) count by their squares.

        The Lanczos process is taken to place nodes within 64 units of rounding.
        """
        d, c, length = self.law.dim, self.law.scale, np.sqrt(self.norms2 * float(z @ z))
        moved = c * length * (summed(self.terms + 8) + 64 * EPS)
        bent = (c * length) ** 2 * (summed(3 * self.terms + d + 16) + 128 * EPS) / math.sqrt(d - 1)
        return RowRounding(moved, bent, np.full(len(size), 64 + 8 * d), 1.5 * c * length / (d - 1))

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
        values, none = (psi(x, 0) * rule.weights).sum(axis=1), np.zeros((2, len(offset)))
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
    i, j = np.nonzero(weights > DROPPED / 4 / weights.size)
    return JointRule(beta[i], np.sqrt(beta[i] * (1 - beta[i])), omega[j], weights[i, j])


@lru_cache(maxsize=64)
def beta_ends(a: float, b: float) -> tuple[float, float]:
    """Return an interval that the beta law with parameters a and b leaves with a chance of 1e-21 at most."""
    return float(betaincinv(a, b, DROPPED / 8)), 1 - float(betaincinv(b, a, DROPPED / 8))


@lru_cache(maxsize=64)
def beta_rule(count: int, a: float, b: float) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes and weights of the Gauss rule for the beta law with parameters a and b, cut to `beta_ends`.

    With β = sin²φ the density sin^{2a−1}φ cos^{2b−1}φ is smooth, so that a composite Gauss-Legendre rule stands for the law;
    the rule for that is found by the Lanczos process.
    """
    low, high = beta_ends(a, b)
    legendre, share = np.polynomial.legendre.leggauss(_PANEL)
    edges = np.linspace(math.asin(math.sqrt(low)), math.asin(math.sqrt(high)), max(64, 3 * count // _PANEL) + 1)
    half = np.diff(edges)[:, None] / 2
    angle = (edges[:-1, None] + half * (1 + legendre)).ravel()
    # Where an exponent is zero the logarithm does not matter, and elsewhere an end of the interval has no node.
    density = (2 * a - 1) * np.log(np.sin(angle)) + (2 * b - 1) * np.log(np.cos(angle))
    weights = (half * share).ravel() * np.exp(density - density.max())
    return _gauss(np.sin(angle) ** 2, weights / weights.sum(), count)


@lru_cache(maxsize=64)
def sphere_rule(count: int, dimension: int) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes and weights of the Gauss rule for a coordinate of a uniform unit vector."""
    if dimension == 1:
        return np.array([-1.0, 1.0]), np.array([0.5, 0.5])
    nodes, weights = beta_rule(count, (dimension - 1) / 2, (dimension - 1) / 2)
    return 2 * nodes - 1, weights


def _gauss(points: np.ndarray, weights: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the Gauss rule of a discrete law, by the Lanczos process with every vector made orthogonal to all before it."""
    basis = np.empty((count, len(points)))
    basis[0] = np.sqrt(weights)
    diagonal, beside = np.empty(count), np.empty(count - 1)
    for n in range(count):
        along = points * basis[n]
        diagonal[n] = along @ basis[n]
        if n + 1 < count:
            for _ in range(2):
                along -= (basis[: n + 1] @ along) @ basis[: n + 1]
            beside[n] = np.linalg.norm(along)
            basis[n + 1] = along / beside[n]
    nodes, vectors = eigh_tridiagonal(diagonal, beside)
    return nodes, vectors[0] ** 2 / (vectors[0] ** 2).sum()
