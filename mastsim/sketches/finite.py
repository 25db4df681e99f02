"""A sketch with finitely many explicit values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from mastsim.backend import Array, namespace
from mastsim.readonly import frozen
from mastsim.sketches.base import Sketch
from mastsim.sketches.batches import MatrixBatch
from mastsim.sketches.laws import Listed
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
    def law(self) -> Listed:
        """The list."""
        return Listed(self._atoms, self._weights)

    @property
    def uniforms(self) -> int:
        """One uniform number picks a value."""
        return 1

    def from_uniforms(self, u: Array) -> MatrixBatch:
        """Return one sketch per row of `u`, shape (replicas, 1)."""
        xp = namespace(u)
        edges = xp.asarray(np.cumsum(self._weights)[:-1])
        return MatrixBatch(xp.asarray(self._atoms), xp.searchsorted(edges, u[:, 0], side="right"))
