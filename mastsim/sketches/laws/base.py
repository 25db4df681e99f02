"""What a law of random matrices S knows, on arrays only: nothing here draws."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mastsim.arithmetic import product
from mastsim.linalg import SparseCurvature
from mastsim.provenance import Constant
from mastsim.readonly import ReadOnly
from mastsim.sketches.laws.rows import RowLaws


class Law(ReadOnly):
    """The law of a random matrix S of shape (dim, dim); this one knows its dimension and nothing else.

    Subclasses say what they know, and everything that builds on it follows: constants, exact objectives, moment recursions.
    The least that most laws have is `quadratic_moment`; `moment_operators` makes second moments of iterates exact, `rows`
    makes generalised linear models exact.

    Parameters
    ----------
    dim : int
        The dimension d.

    Examples
    --------
    >>> Law(3).L_max, Law(3).moment_operators(np.eye(3)) is None
    (inf, True)
    """

    dim: int

    def __init__(self, dim: int) -> None:
        self.dim = dim

    @property
    def unbiased(self) -> bool:
        """Whether E[S] = I."""
        return True

    @property
    def symmetric(self) -> bool:
        """Whether every value of S is known to be symmetric."""
        return False

    @property
    def L_max(self) -> float:
        """The essential supremum of λ_max(SᵀS), or an upper bound: `L_max_is_exact` says which."""
        return math.inf

    @property
    def L_max_is_exact(self) -> bool:
        """Whether `L_max` is the supremum itself."""
        return False

    @property
    def L_D(self) -> float:
        """λ_max(E[SᵀS])."""
        return float(self._spectrum[-1])

    @property
    def mu_D(self) -> float:
        """λ_min(E[SᵀS])."""
        return float(self._spectrum[0])

    @cached_property
    def _spectrum(self) -> np.ndarray:
        """The eigenvalues of E[SᵀS], in increasing order."""
        return np.linalg.eigvalsh(self.second_moment())

    def second_moment(self) -> np.ndarray:
        """Return E[SᵀS], shape (dim, dim)."""
        return self.quadratic_moment(np.eye(self.dim))

    def mean_times(self, z: np.ndarray) -> np.ndarray:
        """Return E[S] z, shape (dim,); z itself for unbiased laws."""
        return z

    def second_times(self, z: np.ndarray) -> np.ndarray:
        """Return E[SᵀS] z, shape (dim,)."""
        return self.second_moment() @ z

    def quadratic_moment(self, A: np.ndarray) -> np.ndarray:
        """Return E[SᵀAS] for any matrix `A` of shape (dim, dim).

        Raises
        ------
        ValueError
            If it is not known.
        """
        raise ValueError(f"E[SᵀAS] is not known for {type(self).__name__}: give the sketch a law that has quadratic_moment")

    def sparse_moment(self, H: SparseCurvature) -> SparseCurvature | None:
        """Return E[SᵀHS] without forming a matrix, or None where that is not known."""
        return None

    def sparse_supremum(self, H: SparseCurvature) -> Constant:
        """Return sup_S λ_max(SᵀHS) for a positive semidefinite H, or an upper bound."""
        return product([Constant(self.L_max, "upper", "L_S^max"), H.largest], "upper", "L_S^max·λ_max(L)")

    def moment_operators(self, A: np.ndarray) -> MomentOperators | None:
        """Return the maps M ↦ E[HMH], E[HMS], E[SᵀMS] for H = SᵀAS and a symmetric `A`, or None where they are not known."""
        return None

    def fourth_moment(self, A: np.ndarray) -> np.ndarray | None:
        """Return E[SᵀASSᵀAS] for a symmetric `A`, shape (dim, dim), or None where it is not known."""
        operators = self.moment_operators(A)
        return None if operators is None else operators.curvature2(np.eye(self.dim))

    def supremum_curvature(self, A: np.ndarray) -> Constant | None:
        """Return sup_S λ_max(SᵀAS) for a positive semidefinite `A`, or an upper bound, or None where nothing is known."""
        return None

    def scalar(self, a: np.ndarray, z: np.ndarray) -> Any:
        """Return the law of the scalar aᵀSz, with mean, variance, bounds, transforms and support; None where not known."""
        return None

    def rows(self, A: Any) -> RowLaws | None:
        """Return the laws of the scalars aᵀSz of all rows a of `A`, shape (n, dim), or None where they are not known."""
        return None

    @property
    def core(self) -> Law:
        """The law in the coordinates where rows are simplest, reached by `turn`; this law itself unless it is rotated."""
        return self

    @property
    def departure(self) -> float:
        """How far `turn`, rounding included, may be from an orthogonal map, relative to the size of what is turned."""
        return 0.0

    def turn(self, x: Any) -> Any:
        """Return points in the coordinates of `core`, along the last axis."""
        return x

    def turn_back(self, x: Any) -> Any:
        """Undo `turn`."""
        return x

    @property
    def support_size(self) -> float:
        """How many values S has; infinite where they cannot be listed."""
        return math.inf

    def values(self) -> tuple[np.ndarray, np.ndarray]:
        """Return every value of S, as diagonals (N, dim) or matrices (N, dim, dim), and the probabilities (N,)."""
        raise ValueError(f"the values of {type(self).__name__} cannot be listed")


@dataclass(frozen=True, eq=False)
class MomentOperators(ReadOnly, ABC):
    """The linear maps M ↦ E[HMH], E[HMS], E[SᵀMS] for H = SᵀAS, on matrices of shape (…, dim, dim), symmetric or not.

    They are all that the mean and the second moment of ∇f_S(x) = Sᵀg₀ + H(x − v) of a quadratic need.

    Parameters
    ----------
    law : Law
        The law of S.
    matrix : ndarray, shape (dim, dim) or (count, dim, dim)
        The symmetric matrix A, or several: the maps are then those of each, on matrices of shape (…, 1 or count, dim, dim).

    References
    ----------
    This package.
    """

    law: Law
    matrix: np.ndarray

    @property
    def dim(self) -> int:
        """The dimension d."""
        return self.matrix.shape[-1]

    @cached_property
    def mean(self) -> np.ndarray:
        """H_D = E[H], shape (dim, dim)."""
        return self.plain(self.matrix)

    @abstractmethod
    def curvature2(self, M: np.ndarray) -> np.ndarray:
        """Return E[HMH] = E[SᵀAS·M·SᵀAS], shape (dim, dim)."""

    @abstractmethod
    def mixed(self, M: np.ndarray) -> np.ndarray:
        """Return E[HMS] = E[SᵀAS·M·S], shape (dim, dim).

        For M = z gᵀ it is E[(Hz)(Sᵀg)ᵀ], the covariance of the two parts of a sketched gradient.
        """

    @abstractmethod
    def plain(self, M: np.ndarray) -> np.ndarray:
        """Return E[SᵀMS], shape (dim, dim)."""
