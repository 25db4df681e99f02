"""Products of two independent sketches."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from mastsim.backend import Array, contiguous, namespace
from mastsim.sketches.base import Sketch
from mastsim.sketches.batches import DiagonalBatch, SketchBatch
from mastsim.sketches.laws import Law, product_law


@dataclass(frozen=True, eq=False)
class ComposedBatch(SketchBatch):
    """Products of drawn sketches, S = S_outer S_inner for every replica.

    Parameters
    ----------
    outer, inner : SketchBatch
        The two factors, with as many replicas.
    """

    outer: SketchBatch
    inner: SketchBatch

    def apply(self, z: Array) -> Array:
        """Return S z for every replica."""
        return self.outer.apply(self.inner.apply(z))

    def apply_transpose(self, g: Array) -> Array:
        """Return Sᵀ g for every replica."""
        return self.inner.apply_transpose(self.outer.apply_transpose(g))

    def take(self, index: Array) -> ComposedBatch:
        """Return the sketches at the given positions."""
        return ComposedBatch(self.outer.take(index), self.inner.take(index))

    def matrices(self) -> Array:
        """Return the sketches written out, shape (replicas, dim, dim)."""
        outer, inner = self.outer.matrices(), self.inner.matrices()
        return namespace(outer, inner).matmul(outer, inner)

    def square_norms(self) -> tuple[Array, Array]:
        """Return λ_min(SᵀS) and λ_max(SᵀS) of every sketch, each of shape (replicas,); the sketches are written out."""
        matrices = self.matrices()
        squares = namespace(matrices).linalg.svdvals(matrices) ** 2
        return squares[:, -1], squares[:, 0]


@dataclass(frozen=True, eq=False)
class Composed(Sketch):
    """S = S_outer S_inner with independent factors.

    Parameters
    ----------
    outer, inner : Sketch
        The factors, of one dimension; the inner one is applied first.

    Raises
    ------
    TypeError
        If one of them is not a sketch.
    ValueError
        If their dimensions differ.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> S = Composed(ms.Bernoulli(4, 0.5), ms.RandK(4, k=2))
    >>> S.L_D, S.L_max, S.L_max_is_exact
    (4.0, 16.0, True)
    """

    outer: Sketch
    inner: Sketch
    dim: int = field(init=False)

    def __post_init__(self) -> None:
        for role in ("outer", "inner"):
            sketch = getattr(self, role)
            if not isinstance(sketch, Sketch):
                raise TypeError(f"{role} must be a sketch such as RandK(dim, k), not {type(sketch).__name__}")
        if self.outer.dim != self.inner.dim:
            raise ValueError(f"outer has dim={self.outer.dim} and inner has dim={self.inner.dim}, but they must be equal")
        object.__setattr__(self, "dim", self.outer.dim)

    @property
    def name(self) -> str:
        """For example ``Bernoulli(0.5) after Rand-2 of 4``."""
        return f"{self.outer.name} after {self.inner.name}"

    @cached_property
    def law(self) -> Law:
        """That of a product."""
        return product_law(self.outer.law, self.inner.law)

    @property
    def uniforms(self) -> int:
        """Those of the outer and those of the inner sketch, in this order."""
        return self.outer.uniforms + self.inner.uniforms

    def from_uniforms(self, u: Array) -> SketchBatch:
        """Return one sketch per row of `u`, shape (replicas, uniforms)."""
        parts = u[:, : self.outer.uniforms], u[:, self.outer.uniforms :]
        outer, inner = (s.from_uniforms(contiguous(p)) for s, p in zip((self.outer, self.inner), parts, strict=True))
        return _product(outer, inner)

    def enumerate(self) -> tuple[SketchBatch, np.ndarray]:
        """Return all products, outer values first, and their probabilities."""
        (outer, p), (inner, q) = self.outer.support(), self.inner.support()
        i, j = np.divmod(np.arange(len(p) * len(q)), len(q))
        return _product(outer.take(i), inner.take(j)), p[i] * q[j]


def _product(outer: SketchBatch, inner: SketchBatch) -> SketchBatch:
    if isinstance(outer, DiagonalBatch) and isinstance(inner, DiagonalBatch):
        return DiagonalBatch(outer.diagonals * inner.diagonals)
    return ComposedBatch(outer, inner)
