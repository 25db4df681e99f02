"""What all laws of diagonal matrices S = Diag(c) share."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np

from mastsim.linalg import SparseCurvature
from mastsim.provenance import Constant
from mastsim.sketches.laws.base import Law


class DiagonalLaw(Law):
    """The law of S = Diag(c), from the moments of c."""

    extreme: ClassVar[str] = "where every |c_i| is largest"
    """How all c_i² come to be largest at once."""

    @property
    @abstractmethod
    def second_moments(self) -> np.ndarray:
        """E c_i², shape (dim,)."""

    @property
    @abstractmethod
    def largest_squares(self) -> np.ndarray:
        """The largest c_i², shape (dim,)."""

    @property
    @abstractmethod
    def jointly_largest(self) -> bool:
        """Whether all c_i² can be largest at once."""

    @abstractmethod
    def pair_moments(self) -> np.ndarray:
        """Return the matrix of E[c_i c_j], shape (dim, dim)."""

    @abstractmethod
    def mixed_moments(self, k: int) -> np.ndarray:
        """Return the matrix of E[c_i c_k² c_j] over i and j, shape (dim, dim)."""

    @property
    def symmetric(self) -> bool:
        """True: diagonal matrices are."""
        return True

    @property
    def L_max(self) -> float:
        """L_S^max, the largest c_i²."""
        return float(self.largest_squares.max())

    @property
    def L_max_is_exact(self) -> bool:
        """True."""
        return True

    @property
    def L_D(self) -> float:
        """λ_max(E[SᵀS]) = max E c_i²."""
        return float(self.second_moments.max())

    @property
    def mu_D(self) -> float:
        """λ_min(E[SᵀS]) = min E c_i²."""
        return float(self.second_moments.min())

    def second_moment(self) -> np.ndarray:
        """Return E[SᵀS] = Diag(E c_i²), shape (dim, dim)."""
        return np.diag(self.second_moments)

    def second_times(self, z: np.ndarray) -> np.ndarray:
        """Return E[SᵀS] z, shape (dim,)."""
        return self.second_moments * z

    def quadratic_moment(self, A: np.ndarray) -> np.ndarray:
        """Return E[SᵀAS], the entries of `A` times E[c_i c_j], shape (dim, dim)."""
        return self.pair_moments() * A

    def fourth_moment(self, A: np.ndarray) -> np.ndarray:
        """Return E[SᵀASSᵀAS] = Σ_k A_ik A_kj E[c_i c_k² c_j], shape (dim, dim)."""
        each = (self.mixed_moments(k) * np.outer(A[:, k], A[k]) for k in range(self.dim))
        return sum(each, np.zeros_like(A))

    def largest_everywhere(self, A: np.ndarray) -> Constant:
        """Return sup_S λ_max(SᵀAS) = λ_max(A^½S²A^½) where all c_i² are largest at once."""
        scale = np.sqrt(self.largest_squares)
        top = float(np.linalg.eigvalsh(scale[:, None] * A * scale)[-1])
        return Constant(top, "exact", f"attained {self.extreme}")

    def sparse_supremum(self, H: SparseCurvature) -> Constant:
        """Return sup_S λ_max(SᵀHS) where all c_i² are largest at once, or the upper bound L_S^max·λ_max(H)."""
        if not self.jointly_largest:
            return super().sparse_supremum(H)
        top = H.between(np.sqrt(self.largest_squares)).largest
        return Constant(top, top.kind, f"attained {self.extreme}: {top.source}", top.error)

    def supremum_curvature(self, A: np.ndarray) -> Constant | None:
        """Return sup_S λ_max(SᵀAS) for a positive semidefinite `A` where it is known."""
        return self.largest_everywhere(A) if self.jointly_largest else None
