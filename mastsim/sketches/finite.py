"""A sketch with finitely many explicit values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from mastsim.backend import Array, namespace
from mastsim.memory import check_square
from mastsim.readonly import frozen
from mastsim.sketches.base import MatrixBatch, Sketch
from mastsim.validation import SCALES, entries, floats

_UNBIASED = 1e-9


@dataclass(frozen=True, eq=False)
class FiniteSupport(Sketch):
    """S equals `matrices[j]` with probability `weights[j]`.

    Parameters
    ----------
    matrices : sequence of arrays, shape (N, dim, dim)
        The values; they need not be symmetric or diagonal.
    weights : sequence of float, shape (N,), optional
        Positive probabilities that add up to 1; uniform when left out.

    Raises
    ------
    ValueError
        If the shapes do not fit, an entry is not finite, the weights are not a distribution, or E[S] differs from I.

    Examples
    --------
    >>> S = FiniteSupport([np.diag([2.0, 0.0]), np.diag([0.0, 2.0])])
    >>> S.dim, S.L_max
    (2, 4.0)
    """

    matrices: np.ndarray | Sequence[np.ndarray]
    weights: np.ndarray | Sequence[float] | None = None
    dim: int = field(init=False)

    def __post_init__(self) -> None:
        atoms = entries("matrices", floats("matrices", self.matrices), SCALES)
        if atoms.ndim != 3 or atoms.shape[1] != atoms.shape[2] or 0 in atoms.shape:
            raise ValueError(f"matrices has shape {atoms.shape}, but it must be (N, dim, dim)")
        weights = np.full(len(atoms), 1 / len(atoms)) if self.weights is None else floats("weights", self.weights)
        entries("weights", weights)
        if weights.shape != (len(atoms),) or (weights <= 0).any() or abs(weights.sum() - 1) > _UNBIASED:
            raise ValueError(f"weights={weights} is not accepted: it must be {len(atoms)} positive numbers that add up to 1")
        deviation = float(np.abs(np.tensordot(weights, atoms, axes=1) - np.eye(atoms.shape[1])).max())
        if deviation > _UNBIASED * max(1.0, float(np.tensordot(weights, np.abs(atoms), axes=1).max())):
            raise ValueError(
                f"E[S] differs from the identity by {deviation:.3g} (largest entry): a sketch must satisfy E[S] = I; "
                "rescale the matrices or the weights"
            )
        weights = weights / weights.sum()
        for name, value in (("matrices", frozen(atoms, copy=False)), ("weights", frozen(weights, copy=False))):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "dim", atoms.shape[1])

    @property
    def name(self) -> str:
        """For example ``finite support of 3``."""
        return f"finite support of {len(self._weights)}"

    @property
    def _atoms(self) -> np.ndarray:
        return np.asarray(self.matrices)

    @property
    def _weights(self) -> np.ndarray:
        return np.asarray(self.weights)

    @cached_property
    def L_max(self) -> float:
        """The largest λ_max(SᵀS) over the support."""
        return float((np.linalg.norm(self._atoms, ord=2, axis=(1, 2)) ** 2).max())

    @cached_property
    def _spectrum(self) -> np.ndarray:
        return np.linalg.eigvalsh(self.second_moment())

    @property
    def L_D(self) -> float:
        """λ_max(E[SᵀS])."""
        return float(self._spectrum[-1])

    @property
    def mu_D(self) -> float:
        """λ_min(E[SᵀS])."""
        return float(self._spectrum[0])

    def second_moment(self) -> np.ndarray:
        """Return E[SᵀS], shape (dim, dim)."""
        check_square(f"the second moment of {self.name}", self.dim, change="use a sketch of fewer dimensions")
        return self.quadratic_moment(np.eye(self.dim))

    def quadratic_moment(self, A: np.ndarray) -> np.ndarray:
        """Return E[SᵀAS], shape (dim, dim)."""
        each = self._atoms.transpose(0, 2, 1) @ self.check_matrix(A) @ self._atoms
        total: np.ndarray = np.tensordot(self._weights, each, axes=1)
        return total

    def fourth_moment(self, A: np.ndarray) -> np.ndarray:
        """Return E[SᵀASSᵀAS], shape (dim, dim), summed over the values."""
        A, total = self.check_matrix(A), np.zeros((self.dim, self.dim))
        for S, weight in zip(self._atoms, self._weights, strict=True):
            H = S.T @ A @ S
            total += weight * (H @ H)
        return total

    @property
    def uniforms(self) -> int:
        """One uniform number picks a value."""
        return 1

    def from_uniforms(self, u: Array) -> MatrixBatch:
        """Return one sketch per row of `u`, shape (replicas, 1)."""
        xp = namespace(u)
        edges = xp.asarray(np.cumsum(self._weights)[:-1])
        return MatrixBatch(xp.asarray(self._atoms), xp.searchsorted(edges, u[:, 0], side="right"))

    @property
    def support_size(self) -> float:
        """The number of values."""
        return float(len(self._weights))

    def _enumerate(self) -> tuple[MatrixBatch, np.ndarray]:
        return MatrixBatch(self._atoms, np.arange(len(self._weights))), self._weights
