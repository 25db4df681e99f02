"""The law of S = (d/k)·UUᵀ, the projection on a uniformly random subspace."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.linalg import eigh_tridiagonal

from mastsim.provenance import Constant
from mastsim.sketches.laws.pairings import InvariantLaw, Type, invariant_coefficients, types_of
from mastsim.sketches.laws.rows import InvariantRows, Psi, RowTotals, csr

_CHUNK = 1 << 20


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

    def square(self, weights: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Return Σ_i weights_i E[Sᵀa_i a_iᵀS] z, shape (dim,)."""
        return self.law.square_times(self.A.T @ (weights * (self.A @ z)), float(weights @ self.norms2), z)

    def by_nodes(
        self, rows: np.ndarray, z: np.ndarray, offset: np.ndarray, psi: Psi, count: int, w: np.ndarray | None = None
    ) -> RowTotals:
        """Return E ψ(offset_i + X_i) by two Gauss rules of `count` nodes, with derivatives."""
        values, first, second = (np.zeros((2, len(rows))) for _ in range(3))
        for place in np.array_split(np.arange(len(rows)), max(1, len(rows) * count**2 // _CHUNK)):
            found = self._block(rows[place], z, offset[place], psi, count, w)
            values[0, place], first[:, place], second[:, place] = found
        return self.assemble(rows, z, w, values[0], (first[0], first[1]), (second[0], second[1]))

    def _block(
        self, rows: np.ndarray, z: np.ndarray, offset: np.ndarray, psi: Psi, count: int, w: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return values (m,) and their derivatives in aᵀz and |z|², with the changes of these, both (2, m)."""
        d, k, c, at = self.law.dim, self.law.k, self.law.scale, self.of(rows, z, w)
        beta, chance = beta_rule(count, k / 2, (d - k) / 2)
        spread, h = np.sqrt(beta * (1 - beta)), np.sqrt(at.area)
        center = offset[:, None] + c * np.outer(at.p, beta)

        def over_sphere(dimension: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            """Return the nodes of ω on a sphere, where they take w, shape (m, β, ω), and their joint weights."""
            omega, share = sphere_rule(count, dimension)
            return omega, center[..., None] + c * (h[:, None] * spread)[..., None] * omega, chance[:, None] * share

        omega, x, weights = over_sphere(d - 1)
        # By parts, E ω ψ'(u + tω) = t·E ψ''(u + tω')/(d − 1) with ω' on a sphere of two dimensions more: h cancels.
        _, wide, wide_weights = over_sphere(d + 1)
        bend = c**2 / (d - 1) * (psi(wide, 2) * wide_weights * (spread**2)[:, None]).sum(axis=(1, 2))
        along = c * (psi(x, 1) * weights * beta[:, None]).sum(axis=(1, 2))
        values, first = (psi(x, 0) * weights).sum(axis=(1, 2)), np.stack([along - bend * at.p, bend * at.r / 2])
        if w is None:
            return values, first, np.zeros_like(first)
        safe = np.where(h > 0, h, 1.0)
        dh = np.where(h > 0, (at.r * at.dq / 2 - at.p * at.dp) / safe, 0.0)
        weighted = c**2 * psi(x, 2) * weights
        squares = (weighted * (beta**2)[:, None]).sum(axis=(1, 2))
        across = (weighted * (beta * spread)[:, None] * omega).sum(axis=(1, 2))
        outward = (weighted * (spread**2)[:, None] * omega**2).sum(axis=(1, 2)) - bend
        turn = np.where(h > 0, (across * at.dp + outward * dh) / safe, 0.0)
        of_p = squares * at.dp + across * dh - bend * at.dp - at.p * turn
        return values, first, np.stack([of_p, at.r * turn / 2])


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
