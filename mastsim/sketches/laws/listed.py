"""Laws with few values, listed one by one."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from mastsim.sketches.laws.base import Law, MomentOperators

WORK_LIMIT = 1 << 28
MEMORY_LIMIT = 1 << 24
SPECTRA_LIMIT = 1 << 20


def few(count: float, dim: int) -> bool:
    """Return whether the spectra of so many values in a dimension can be computed."""
    return count * dim**2 <= SPECTRA_LIMIT


def as_matrices(values: np.ndarray) -> np.ndarray:
    """Return values as matrices, shape (N, dim, dim), from matrices or diagonals."""
    return values if values.ndim == 3 else values[:, :, None] * np.eye(values.shape[1])


def largest_curvature(values: np.ndarray, weights: np.ndarray, A: np.ndarray) -> float:
    """Return the largest λ_max(SᵀAS) over values of positive probability."""
    S = as_matrices(values[weights > 0])
    return float(np.linalg.eigvalsh(S.transpose(0, 2, 1) @ A @ S)[:, -1].max())


@dataclass(frozen=True, eq=False)
class Listed(Law):
    """A law given by its values and their probabilities.

    Parameters
    ----------
    atoms : ndarray, shape (N, dim, dim)
        The values of S.
    weights : ndarray, shape (N,)
        Their probabilities, which add up to 1.

    Examples
    --------
    >>> law = Listed(np.array([[[2.0]], [[0.0]]]), np.array([0.5, 0.5]))
    >>> law.L_max, law.L_D
    (4.0, 2.0)
    """

    atoms: np.ndarray
    weights: np.ndarray
    dim: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "dim", self.atoms.shape[1])
        super().__post_init__()

    @cached_property
    def unbiased(self) -> bool:
        """Whether E[S] = I, up to rounding of the values."""
        size = float(np.tensordot(self.weights, np.abs(self.atoms), axes=1).max())
        off = np.abs(np.tensordot(self.weights, self.atoms, axes=1) - np.eye(self.dim)).max()
        return bool(off <= 1e-8 * max(1.0, size))

    @cached_property
    def symmetric(self) -> bool:
        """Whether all values are."""
        return bool((self.atoms == self.atoms.transpose(0, 2, 1)).all())

    @cached_property
    def L_max(self) -> float:
        """The largest λ_max(SᵀS)."""
        return float((np.linalg.norm(self.atoms, ord=2, axis=(1, 2)) ** 2).max())

    @property
    def L_max_is_exact(self) -> bool:
        """True."""
        return True

    def mean_times(self, z: np.ndarray) -> np.ndarray:
        """Return E[S] z, shape (dim,)."""
        return np.tensordot(self.weights, self.atoms, axes=1) @ z

    def quadratic_moment(self, A: np.ndarray) -> np.ndarray:
        """Return E[SᵀAS], shape (dim, dim)."""
        total: np.ndarray = np.tensordot(self.weights, self.atoms.transpose(0, 2, 1) @ A @ self.atoms, axes=1)
        return total

    def moment_operators(self, A: np.ndarray) -> MomentOperators | None:
        """Return the maps M ↦ E[HMH], E[HMS], E[SᵀMS] for H = SᵀAS, or None where they take too much memory."""
        fits = can_be_enumerated(self.support_size * A[..., 0, 0].size, self.dim)
        return EnumeratedOperators(self, A, self.atoms, self.weights) if fits else None

    def fourth_moment(self, A: np.ndarray) -> np.ndarray:
        """Return E[SᵀASSᵀAS], shape (dim, dim)."""
        total = np.zeros((self.dim, self.dim))
        for S, weight in zip(self.atoms, self.weights, strict=True):
            H = S.T @ A @ S
            total += weight * (H @ H)
        return total

    @property
    def support_size(self) -> float:
        """The number of values."""
        return float(len(self.weights))

    def values(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the values and their probabilities."""
        return self.atoms, self.weights


@dataclass(frozen=True, eq=False)
class EnumeratedOperators(MomentOperators):
    """The operators summed over the support.

    Parameters
    ----------
    law, matrix
        As for `MomentOperators`.
    atoms : ndarray, shape (N, dim, dim)
        The values of S.
    weights : ndarray, shape (N,)
        Their probabilities.
    """

    atoms: np.ndarray
    weights: np.ndarray

    @cached_property
    def _transposed(self) -> np.ndarray:
        return self.weights[:, None, None] * self.atoms.transpose(0, 2, 1)

    @cached_property
    def _hessians(self) -> np.ndarray:
        return self.atoms.transpose(0, 2, 1) @ self.matrix[..., None, :, :] @ self.atoms

    @cached_property
    def _weighted(self) -> np.ndarray:
        return self.weights[:, None, None] * self._hessians

    @cached_property
    def mean(self) -> np.ndarray:
        """H_D = E[H], shape (dim, dim)."""
        total: np.ndarray = self._weighted.sum(axis=-3)
        return total

    def curvature2(self, M: np.ndarray) -> np.ndarray:
        """Return E[HMH], shape (dim, dim)."""
        return _summed(self._weighted @ M[..., None, :, :], self._hessians)

    def mixed(self, M: np.ndarray) -> np.ndarray:
        """Return E[HMS], shape (dim, dim)."""
        return _summed(self._weighted @ M[..., None, :, :], self.atoms)

    def plain(self, M: np.ndarray) -> np.ndarray:
        """Return E[SᵀMS], shape (dim, dim)."""
        return _summed(self._transposed @ M[..., None, :, :], self.atoms)


def _summed(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the sum of left_n right_n, as one long product instead of many short ones."""
    count, d = right.shape[-3:-1]
    rows = left.swapaxes(-3, -2).reshape(*left.shape[:-3], d, count * d)
    return np.asarray(rows @ right.reshape(*right.shape[:-3], count * d, d))


def can_be_enumerated(count: float, dim: int) -> bool:
    """Return whether operators can be summed over so many values in a dimension."""
    return count * dim**3 <= WORK_LIMIT and count * dim**2 <= MEMORY_LIMIT
