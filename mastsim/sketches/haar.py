"""Haar sketch: projection on a uniformly random subspace."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mastsim.backend import Array, namespace
from mastsim.memory import check_square
from mastsim.provenance import Constant
from mastsim.sketches.base import Sketch, SketchBatch
from mastsim.sketches.factors import FactorBatch, normal_uniforms, normals, symmetric
from mastsim.sketches.text import whole_numbers
from mastsim.validation import integer


@dataclass(frozen=True)
class Haar(Sketch):
    """S = (d/k)·UUᵀ with U uniform among the d × k matrices with orthonormal columns.

    Parameters
    ----------
    dim : int
        Dimension d, at least 1.
    k : int
        Dimension of the subspace, from 1 to `dim`; S is the identity when they are equal.

    Raises
    ------
    ValueError
        If `k` is not an integer from 1 to `dim`.

    References
    ----------
    This package; the moments are those of Collins, Śniady, Integration with respect to the Haar measure on unitary,
    orthogonal and symplectic group, arXiv math-ph/0402073.

    Examples
    --------
    >>> S = Haar(4, k=2)
    >>> S.L_D, S.L_max
    (2.0, 4.0)
    """

    dim: int
    k: int

    keyword: ClassVar[str] = "haar"

    @classmethod
    def from_text(cls, argument: str, dim: int) -> Haar:
        """Return the sketch that ``haar:K`` names."""
        (k,) = whole_numbers(argument, "haar:K, for example haar:12")
        return cls(dim, k)

    def __post_init__(self) -> None:
        object.__setattr__(self, "dim", integer("dim", self.dim, 1))
        object.__setattr__(self, "k", integer("k", self.k, 1, self.dim))

    @property
    def name(self) -> str:
        """For example ``Haar-12 of 123``."""
        return f"Haar-{self.k} of {self.dim}"

    @property
    def _scale(self) -> float:
        return self.dim / self.k

    @property
    def L_max(self) -> float:
        """L_S^max = (d/k)², the norm of every draw."""
        return self._scale**2

    @property
    def L_D(self) -> float:
        """λ_max(E[SᵀS]) = d/k."""
        return self._scale

    @property
    def mu_D(self) -> float:
        """λ_min(E[SᵀS]) = d/k."""
        return self._scale

    def second_moment(self) -> np.ndarray:
        """Return E[SᵀS] = (d/k)·I, shape (dim, dim)."""
        check_square(f"the second moment of {self.name}", self.dim, change="use a sketch of fewer dimensions")
        return self._scale * np.eye(self.dim)

    def quadratic_moment(self, A: np.ndarray) -> np.ndarray:
        """Return E[SᵀAS] = (d/k)²·(αA + β(Aᵀ + tr(A) I)), shape (dim, dim), for any square `A`."""
        A = self.check_matrix(A)
        alpha, beta = self._second_order
        return self._scale**2 * (alpha * A + beta * (A.T + np.trace(A) * np.eye(self.dim)))

    @property
    def _second_order(self) -> tuple[float, float]:
        # E[P_ab P_cd] = (α + 2β if all equal; α for ab|cd; β for ac|bd and ad|bc), P the projection.
        d, k = self.dim, self.k
        beta = k * (d - k) / (d * (d - 1) * (d + 2)) if d > 1 else 0.0
        return (k / d) ** 2 - 2 * beta / d, beta

    def fourth_moment(self, A: np.ndarray) -> np.ndarray:
        """Return E[SᵀASSᵀAS], shape (dim, dim), for a symmetric `A`.

        With P² = P it is (d/k)⁴·E[PAPAP], and by invariance E[PAPAP] = x₁A² + x₂tr(A)A + x₃tr(A)²I + x₄tr(A²)I. Replacing
        one A by I, taking the trace, and A = e₁e₁ᵀ, where P₁₁ has a beta law, determine the four numbers.
        """
        A = symmetric(self.check_matrix(A))
        x1, x2, x3, x4 = self._third_order
        trace, squares = float(np.trace(A)), float((A * A).sum())
        moment: np.ndarray = x1 * A @ A + x2 * trace * A + (x3 * trace**2 + x4 * squares) * np.eye(self.dim)
        return self._scale**4 * moment

    @property
    def _third_order(self) -> tuple[float, float, float, float]:
        d, k = self.dim, self.k
        alpha, beta = self._second_order
        x3 = beta * (d - 2 * k) / ((d - 2) * (d + 4)) if d > 2 else 0.0
        x2 = beta - d * x3
        return alpha + beta - d * x2 / 2, x2, x3, x2 / 2

    def supremum_curvature(self, A: np.ndarray) -> Constant:
        """Return ess sup λ_max(SᵀAS) = (d/k)²·λ_max(A) for a positive semidefinite `A`.

        The random subspace comes as near to the leading eigenvector as one likes with positive probability.
        """
        top = float(np.linalg.eigvalsh(self.check_matrix(A))[-1])
        return Constant(self.L_max * top, "exact", "(d/k)²·λ_max(L), the essential supremum")

    @property
    def uniforms(self) -> int:
        """As many as d·k normal numbers take, two for each pair."""
        return normal_uniforms(self.dim * self.k)

    def from_uniforms(self, u: Array) -> SketchBatch:
        """Return one sketch per row of `u`, shape (replicas, uniforms), by a QR factorisation of a normal matrix."""
        xp = namespace(u)
        if self.k == self.dim:
            return FactorBatch(xp.broadcast_to(xp.eye(self.dim), (u.shape[0], self.dim, self.dim)), 1.0)
        return FactorBatch(xp.linalg.qr(normals(u, (self.dim, self.k)))[0], self._scale)

    @property
    def support_size(self) -> float:
        """Infinite; 1 when k = d, where S is the identity."""
        return 1.0 if self.k == self.dim else math.inf

    def _enumerate(self) -> tuple[SketchBatch, np.ndarray]:
        return FactorBatch(np.eye(self.dim)[None], 1.0), np.ones(1)
