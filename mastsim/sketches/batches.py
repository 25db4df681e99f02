"""Draws of sketches, one a replica: as diagonals, and as matrices."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from mastsim.backend import Array, asnumpy, namespace, rows_at, rows_times
from mastsim.devices import Device
from mastsim.validation import array


class SketchBatch(ABC):
    """A batch of drawn sketches, one per replica, in a compact form."""

    example = "what the method sample of a sketch returns"

    @abstractmethod
    def apply(self, z: Array) -> Array:
        """Return S z for every replica; `z` has shape (replicas, dim) or (dim,)."""

    @abstractmethod
    def apply_transpose(self, g: Array) -> Array:
        """Return Sᵀ g for every replica; `g` has shape (replicas, dim) or (dim,)."""

    @abstractmethod
    def take(self, index: Array) -> SketchBatch:
        """Return the sketches at the given positions, shape of `index` (replicas,)."""

    @abstractmethod
    def matrices(self) -> Array:
        """Return the sketches written out, shape (replicas, dim, dim): for small checks only."""

    @abstractmethod
    def square_norms(self) -> tuple[Array, Array]:
        """Return λ_min(SᵀS) and λ_max(SᵀS) of every sketch, each of shape (replicas,)."""

    def on(self, device: Device) -> SketchBatch:
        """Return the same sketches with their arrays on a device."""
        moved: SketchBatch = device.copy(self)
        return moved


@dataclass(frozen=True, eq=False)
class DiagonalBatch(SketchBatch):
    """Diagonal sketches, stored as their diagonals.

    Parameters
    ----------
    diagonals : array, shape (replicas, dim)
        One diagonal per replica.

    Examples
    --------
    >>> DiagonalBatch(np.array([[2.0, 0.0]])).apply(np.array([3.0, 5.0]))
    array([[6., 0.]])
    """

    diagonals: Array

    def __post_init__(self) -> None:
        array("diagonals", self.diagonals)

    def apply(self, z: Array) -> Array:
        """Return S z for every replica."""
        return self.diagonals * z

    def apply_transpose(self, g: Array) -> Array:
        """Return Sᵀ g for every replica, which is S g."""
        return self.diagonals * g

    def take(self, index: Array) -> DiagonalBatch:
        """Return the sketches at the given positions."""
        return DiagonalBatch(rows_at(self.diagonals, index))

    def matrices(self) -> Array:
        """Return the sketches written out, shape (replicas, dim, dim)."""
        xp = namespace(self.diagonals)
        return self.diagonals[:, :, None] * xp.eye(self.diagonals.shape[-1])

    def square_norms(self) -> tuple[Array, Array]:
        """Return λ_min(SᵀS) and λ_max(SᵀS) of every sketch, each of shape (replicas,)."""
        xp = namespace(self.diagonals)
        return xp.min(self.diagonals**2, axis=-1), xp.max(self.diagonals**2, axis=-1)


@dataclass(frozen=True, eq=False)
class MatrixBatch(SketchBatch):
    """Sketches picked from a short list of explicit matrices.

    Parameters
    ----------
    atoms : array, shape (N, dim, dim)
        The list.
    index : array of int, shape (replicas,)
        Which matrix each replica drew.

    Examples
    --------
    >>> MatrixBatch(np.array([[[0.0, 1.0], [1.0, 0.0]]]), np.array([0])).apply(np.array([3.0, 5.0]))
    array([[5., 3.]])
    """

    atoms: Array
    index: Array

    def __post_init__(self) -> None:
        array("atoms", self.atoms)
        array("index", self.index)

    def apply(self, z: Array) -> Array:
        """Return S z for every replica."""
        return self._multiply(self.atoms, z)

    def apply_transpose(self, g: Array) -> Array:
        """Return Sᵀ g for every replica."""
        return self._multiply(namespace(self.atoms).matrix_transpose(self.atoms), g)

    def take(self, index: Array) -> MatrixBatch:
        """Return the sketches at the given positions."""
        return MatrixBatch(self.atoms, rows_at(self.index, index))

    def matrices(self) -> Array:
        """Return the sketches written out, shape (replicas, dim, dim)."""
        return rows_at(self.atoms, self.index)

    def square_norms(self) -> tuple[Array, Array]:
        """Return λ_min(SᵀS) and λ_max(SᵀS) of every sketch, each of shape (replicas,)."""
        xp = namespace(self.atoms)
        singular = xp.linalg.svdvals(self.atoms) ** 2
        return rows_at(singular[:, -1], self.index), rows_at(singular[:, 0], self.index)

    def _multiply(self, atoms: Array, z: Array) -> Array:
        # One drawn matrix at a time: gathering one matrix per replica would take replicas × dim² memory.
        xp = namespace(z)
        z = xp.broadcast_to(z, (self.index.shape[0], z.shape[-1]))
        out = xp.empty(z.shape, dtype=xp.result_type(atoms, z))
        for j in np.unique(asnumpy(self.index)).tolist():
            mine = self.index == j
            out[mine] = rows_times(atoms[j, ...], z[mine])
        return out
