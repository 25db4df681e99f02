"""Products of two independent sketches."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np

from mastsim.backend import Array, asnumpy, contiguous, namespace
from mastsim.provenance import Constant
from mastsim.sketches.base import SPECTRA_LIMIT, DiagonalBatch, MatrixBatch, Sketch, SketchBatch
from mastsim.sketches.diagonal import IndependentDiagonal
from mastsim.sketches.fourth_moment import (
    independent_mixed_moments,
    selection_mixed_moments,
)
from mastsim.sketches.selection import SelectionSketch


@dataclass(frozen=True, eq=False)
class ComposedBatch(SketchBatch):
    """Products of drawn sketches, S = S_outer S_inner for every replica.

    Parameters
    ----------
    outer, inner : SketchBatch
        The two factors, with as many replicas.

    Examples
    --------
    >>> twice, first = (DiagonalBatch(np.array([d])) for d in ([2.0, 2.0], [1.0, 0.0]))
    >>> ComposedBatch(twice, first).apply(np.array([3.0, 5.0]))
    array([[6., 0.]])
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

    @property
    def unbiased(self) -> bool:
        """Whether both factors are."""
        return self.outer.unbiased and self.inner.unbiased

    @cached_property
    def _diagonal(self) -> _DiagonalMoments | None:
        return _diagonal_moments(self)

    @cached_property
    def L_max(self) -> float:
        """L_S^max, or an upper bound for it: `L_max_is_exact` says which.

        Exact when both factors are diagonal or all products can be enumerated, or when it is infinite; otherwise the product
        of the two constants.
        """
        if self._diagonal is not None:
            return float(self._diagonal.largest_squares.max())
        if self._listed:
            return float(np.asarray(self.support()[0].square_norms()[1]).max())
        return self.outer.L_max * self.inner.L_max

    @property
    def L_max_is_exact(self) -> bool:
        """Whether `L_max` is L_S^max itself; otherwise it is an upper bound."""
        # Infinite is exact: E over the bounded factor, whose mean is I, would bound the other one.
        return self._diagonal is not None or self._listed or math.isinf(self.L_max)

    @property
    def _listed(self) -> bool:
        return self.support_size * self.dim**2 <= SPECTRA_LIMIT

    @cached_property
    def _spectrum(self) -> np.ndarray:
        if self._diagonal is not None:
            return np.sort(self._diagonal.mean_squares)
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
        return self.inner.quadratic_moment(self.outer.second_moment())

    def quadratic_moment(self, A: np.ndarray) -> np.ndarray:
        """Return E[SᵀAS], the inner moment of the outer one, shape (dim, dim)."""
        return self.inner.quadratic_moment(self.outer.quadratic_moment(A))

    def fourth_moment(self, A: np.ndarray) -> np.ndarray:
        """Return E[SᵀASSᵀAS], shape (dim, dim).

        Known when both factors are diagonal, one of them is the identity, or the products can be enumerated.

        Raises
        ------
        ValueError
            Otherwise: it is not a composition of the fourth moments of the factors.
        """
        A = self.check_matrix(A)
        for first, second in ((self.outer, self.inner), (self.inner, self.outer)):
            if first.support_size == 1 and first.unbiased:
                return second.fourth_moment(A)
        if self._diagonal is not None:
            each = (self._diagonal.mixed(k) * np.outer(A[:, k], A[k]) for k in range(self.dim))
            return sum(each, np.zeros_like(A))
        return super().fourth_moment(A)

    def supremum_curvature(self, A: np.ndarray) -> Constant:
        """Return sup_S λ_max(SᵀAS) for a positive semidefinite `A`, exactly or as an upper bound."""
        if self._diagonal is None or not self._diagonal.jointly_largest:
            return super().supremum_curvature(A)
        scale = np.sqrt(self._diagonal.largest_squares)
        top = float(np.linalg.eigvalsh(scale[:, None] * self.check_matrix(A) * scale)[-1])
        return Constant(top, "exact", "attained where every diagonal entry is largest")

    @property
    def uniforms(self) -> int:
        """Those of the outer and those of the inner sketch, in this order."""
        return self.outer.uniforms + self.inner.uniforms

    def from_uniforms(self, u: Array) -> SketchBatch:
        """Return one sketch per row of `u`, shape (replicas, uniforms)."""
        parts = u[:, : self.outer.uniforms], u[:, self.outer.uniforms :]
        outer, inner = (s.from_uniforms(contiguous(p)) for s, p in zip((self.outer, self.inner), parts, strict=True))
        return _product(outer, inner)

    @property
    def support_size(self) -> float:
        """The number of pairs of values; different pairs may have one product."""
        return self.outer.support_size * self.inner.support_size

    def _enumerate(self) -> tuple[SketchBatch, np.ndarray]:
        (outer, p), (inner, q) = self.outer.support(), self.inner.support()
        i, j = np.divmod(np.arange(len(p) * len(q)), len(q))
        return _product(_take(outer, i), _take(inner, j)), p[i] * q[j]


@dataclass(frozen=True, eq=False)
class _DiagonalMoments:
    """E c_i², sup c_i², E[c_i c_k² c_j] as a function of k, and whether all c_i² can be largest at once."""

    mean_squares: np.ndarray
    largest_squares: np.ndarray
    mixed: Callable[[int], np.ndarray]
    jointly_largest: bool


def _diagonal_moments(sketch: Sketch) -> _DiagonalMoments | None:
    if isinstance(sketch, SelectionSketch):
        s = sketch.selection
        everything = bool((s.kept >= np.where(s.members == 1, 0, s.members)).all())
        return _DiagonalMoments(1 / s.keep, 1 / s.keep**2, partial(selection_mixed_moments, s), everything)
    if isinstance(sketch, IndependentDiagonal):
        own = sketch.moments
        return _DiagonalMoments(own[2], sketch.largest_squares, partial(independent_mixed_moments, own), True)
    if not isinstance(sketch, Composed):
        return None
    outer, inner = _diagonal_moments(sketch.outer), _diagonal_moments(sketch.inner)
    if outer is None or inner is None:
        return None
    return _DiagonalMoments(
        outer.mean_squares * inner.mean_squares,
        outer.largest_squares * inner.largest_squares,
        partial(_mixed_product, outer, inner),
        outer.jointly_largest and inner.jointly_largest,
    )


def _mixed_product(outer: _DiagonalMoments, inner: _DiagonalMoments, k: int) -> np.ndarray:
    return outer.mixed(k) * inner.mixed(k)


def _product(outer: SketchBatch, inner: SketchBatch) -> SketchBatch:
    if isinstance(outer, DiagonalBatch) and isinstance(inner, DiagonalBatch):
        return DiagonalBatch(outer.diagonals * inner.diagonals)
    return ComposedBatch(outer, inner)


def _take(batch: SketchBatch, index: np.ndarray) -> SketchBatch:
    if isinstance(batch, DiagonalBatch):
        return DiagonalBatch(batch.diagonals[index])
    if isinstance(batch, MatrixBatch):
        return MatrixBatch(batch.atoms, batch.index[index])
    return MatrixBatch(asnumpy(batch.matrices()), index)
