"""The law of a product of two independent matrices."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from mastsim.linalg import SparseCurvature
from mastsim.sketches.laws.base import Law, MomentOperators
from mastsim.sketches.laws.diagonal import DiagonalLaw
from mastsim.sketches.laws.listed import as_matrices, few


def product_law(outer: Law, inner: Law) -> Law:
    """Return the law of S = S_outer S_inner with independent factors.

    Examples
    --------
    >>> import mastsim as ms
    >>> product_law(ms.Bernoulli(4, 0.5).law, ms.RandK(4, k=2).law).L_D
    4.0
    """
    if isinstance(outer, DiagonalLaw) and isinstance(inner, DiagonalLaw):
        return DiagonalProduct(outer, inner)
    return ProductLaw(outer, inner)


@dataclass(frozen=True, eq=False)
class ProductLaw(Law):
    """The law of S = S_outer S_inner with independent factors.

    Parameters
    ----------
    outer, inner : Law
        The laws of the factors; the inner one is applied first.
    """

    outer: Law
    inner: Law
    dim: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "dim", self.outer.dim)
        super().__post_init__()

    @property
    def unbiased(self) -> bool:
        """Whether both factors are."""
        return self.outer.unbiased and self.inner.unbiased

    @cached_property
    def L_max(self) -> float:
        """L_S^max where all products can be listed; otherwise the product of the two constants, an upper bound."""
        if few(self.support_size, self.dim):
            S, weights = self.values()
            return float((np.linalg.norm(as_matrices(S[weights > 0]), ord=2, axis=(1, 2)) ** 2).max())
        return self.outer.L_max * self.inner.L_max

    @property
    def L_max_is_exact(self) -> bool:
        """Whether `L_max` is L_S^max itself; otherwise it is an upper bound."""
        # Infinite is exact: E over the bounded factor, whose mean is I, would bound the other one.
        return few(self.support_size, self.dim) or math.isinf(self.L_max)

    def quadratic_moment(self, A: np.ndarray) -> np.ndarray:
        """Return E[SᵀAS], the inner moment of the outer one, shape (dim, dim)."""
        return self.inner.quadratic_moment(self.outer.quadratic_moment(A))

    def sparse_moment(self, H: SparseCurvature) -> SparseCurvature | None:
        """Return E[SᵀHS], the inner moment of the outer one, or None where one of them is not known."""
        outer = self.outer.sparse_moment(H)
        return None if outer is None else self.inner.sparse_moment(outer)

    def second_moment(self) -> np.ndarray:
        """Return E[SᵀS], shape (dim, dim)."""
        return self.inner.quadratic_moment(self.outer.second_moment())

    @property
    def _only(self) -> Law | None:
        """The other factor where one is the identity."""
        for first, second in ((self.outer, self.inner), (self.inner, self.outer)):
            if first.support_size == 1 and first.unbiased:
                return second
        return None

    def fourth_moment(self, A: np.ndarray) -> np.ndarray | None:
        """Return E[SᵀASSᵀAS] where one factor is the identity; it is no composition of fourth moments."""
        return None if self._only is None else self._only.fourth_moment(A)

    def moment_operators(self, A: np.ndarray) -> MomentOperators | None:
        """Return the maps M ↦ E[HMH], E[HMS], E[SᵀMS] where one factor is the identity."""
        return None if self._only is None else self._only.moment_operators(A)

    @property
    def support_size(self) -> float:
        """The number of pairs of values; different pairs may have one product."""
        return self.outer.support_size * self.inner.support_size

    def values(self) -> tuple[np.ndarray, np.ndarray]:
        """Return all products, outer values first, and their probabilities."""
        (outer, p), (inner, q) = self.outer.values(), self.inner.values()
        each = as_matrices(outer)[:, None] @ as_matrices(inner)[None]
        return each.reshape(-1, self.dim, self.dim), np.outer(p, q).ravel()


@dataclass(frozen=True, eq=False)
class DiagonalProduct(DiagonalLaw):
    """The law of a product of two independent diagonal matrices: its moments are the products of theirs.

    Parameters
    ----------
    outer, inner : DiagonalLaw
        The laws of the factors.
    """

    outer: DiagonalLaw
    inner: DiagonalLaw
    dim: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "dim", self.outer.dim)
        super().__post_init__()

    @property
    def unbiased(self) -> bool:
        """Whether both factors are."""
        return self.outer.unbiased and self.inner.unbiased

    @property
    def second_moments(self) -> np.ndarray:
        """E c_i², shape (dim,)."""
        return self.outer.second_moments * self.inner.second_moments

    @property
    def largest_squares(self) -> np.ndarray:
        """The largest c_i², shape (dim,)."""
        return self.outer.largest_squares * self.inner.largest_squares

    @property
    def jointly_largest(self) -> bool:
        """Whether all c_i² can be largest at once."""
        return self.outer.jointly_largest and self.inner.jointly_largest

    def sparse_moment(self, H: SparseCurvature) -> SparseCurvature | None:
        """Return E[SᵀHS], the inner moment of the outer one, or None where one of them is not known."""
        outer = self.outer.sparse_moment(H)
        return None if outer is None else self.inner.sparse_moment(outer)

    def pair_moments(self) -> np.ndarray:
        """Return the matrix of E[c_i c_j], shape (dim, dim)."""
        return self.outer.pair_moments() * self.inner.pair_moments()

    def mixed_moments(self, k: int) -> np.ndarray:
        """Return the matrix of E[c_i c_k² c_j], shape (dim, dim)."""
        return self.outer.mixed_moments(k) * self.inner.mixed_moments(k)

    @property
    def support_size(self) -> float:
        """The number of pairs of values; different pairs may have one product."""
        return self.outer.support_size * self.inner.support_size

    def values(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the diagonals of all products, outer values first, and their probabilities."""
        (outer, p), (inner, q) = self.outer.values(), self.inner.values()
        return (outer[:, None] * inner[None]).reshape(-1, self.dim), np.outer(p, q).ravel()
