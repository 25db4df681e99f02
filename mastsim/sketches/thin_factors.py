"""Sketches of the form c·FFᵀ with a thin random factor F, stored as F."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mastsim.backend import Array, contiguous, namespace, rows_at
from mastsim.sketches.batches import SketchBatch


@dataclass(frozen=True, eq=False)
class FactorBatch(SketchBatch):
    """Positive semidefinite sketches S = c·FFᵀ, stored as their factors: no matrix of shape (dim, dim) is formed.

    Parameters
    ----------
    factor : array, shape (replicas, dim, k)
        One factor F per replica.
    scale : float
        The number c > 0.
    """

    factor: Array
    scale: float

    def apply(self, z: Array) -> Array:
        """Return S z for every replica."""
        xp = namespace(self.factor, z)
        replicas, dim, _ = self.factor.shape
        column = contiguous(xp.broadcast_to(z, (replicas, dim)))[..., None]
        return self.scale * xp.matmul(self.factor, xp.matmul(xp.matrix_transpose(self.factor), column))[..., 0]

    def apply_transpose(self, g: Array) -> Array:
        """Return Sᵀ g for every replica, which is S g."""
        return self.apply(g)

    def take(self, index: Array) -> FactorBatch:
        """Return the sketches at the given positions."""
        return FactorBatch(rows_at(self.factor, index), self.scale)

    def matrices(self) -> Array:
        """Return the sketches written out, shape (replicas, dim, dim)."""
        xp = namespace(self.factor)
        return self.scale * xp.matmul(self.factor, xp.matrix_transpose(self.factor))

    def square_norms(self) -> tuple[Array, Array]:
        """Return λ_min(SᵀS) and λ_max(SᵀS) of every sketch, each of shape (replicas,)."""
        xp = namespace(self.factor)
        squares = (self.scale * xp.linalg.svdvals(self.factor) ** 2) ** 2
        _, dim, k = self.factor.shape
        low = squares[:, -1] if k >= dim else xp.zeros_like(squares[:, 0])
        return low, squares[:, 0]


def normal_uniforms(count: int) -> int:
    """Return how many uniform numbers `normals` needs for `count` normal ones: they come in pairs."""
    return count + count % 2


def normals(u: Array, shape: tuple[int, ...]) -> Array:
    """Return standard normal numbers by the Box–Muller transform.

    Source: Box, Muller, A note on the generation of random normal deviates, Ann. Math. Statist. 29 (1958).
    """
    xp = namespace(u)
    half = u.shape[1] // 2
    radius = xp.sqrt(-2 * xp.log1p(-u[:, :half]))
    angle = 2 * math.pi * u[:, half:]
    pairs = xp.concat([radius * xp.cos(angle), radius * xp.sin(angle)], axis=1)
    return xp.reshape(contiguous(pairs[:, : math.prod(shape)]), (u.shape[0], *shape))
