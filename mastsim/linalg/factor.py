"""Cholesky factors of scaled semidefinite matrices, with a proven margin to singular ones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import lapack

from mastsim.linalg.pairs import Pair
from mastsim.readonly import ReadOnly
from mastsim.rounding import PAIR_EPS

PRECISE_LIMIT = 400
"""Largest number of rows of a matrix that is factored in 106-bit arithmetic."""

_EPS = float(np.finfo(float).eps)
_REFINEMENTS = 8


@dataclass(frozen=True, eq=False)
class Factor(ReadOnly, copy=False):
    """L Lᵀ = D H D in the order of pivots, for a diagonal D of powers of 2 that makes the diagonal of D H D near 1.

    Parameters
    ----------
    matrix : Pair, shape (dim, dim)
        H itself.
    scale : ndarray, shape (dim,)
        The diagonal of D; 0 for rows of zeros.
    L : Pair, shape (dim, dim)
        The factor; columns from `rank` on are zero.
    order : ndarray of int, shape (dim,)
        Which row of H each row of L belongs to.
    rank : int
        The number of pivots above rounding.
    unit : float
        What rounding may change in an entry of D H D.
    doubt : float
        What the entries of D H D may be off besides.
    """

    matrix: Pair
    scale: np.ndarray
    L: Pair
    order: np.ndarray
    rank: int
    unit: float
    doubt: float

    @classmethod
    def of(cls, matrix: Pair, doubt: float, like: np.ndarray | None = None) -> Factor:
        """Return the factor of a matrix, scaled by itself or as another one was."""
        size = len(matrix.hi)
        scale = power_of_two_scale(np.diag(matrix.hi)) if like is None else like
        scaled = matrix * Pair.of(np.outer(scale, scale))
        unit = (size + 2) * (PAIR_EPS if size <= PRECISE_LIMIT else _EPS)
        least = 4 * size * (unit + doubt)
        if size <= PRECISE_LIMIT:
            from mastsim.linalg.double_double import cholesky

            hi, lo, order, rank = cholesky(scaled.hi, scaled.lo, least)
            return cls(matrix, scale, Pair(hi, lo), order, int(rank), unit, doubt)
        factor, pivots, rank, _ = lapack.dpstrf(scaled.hi, lower=1, tol=least)
        L = np.tril(factor)
        L[:, rank:] = 0.0
        return cls(matrix, scale, Pair.of(L), pivots - 1, int(rank), unit, doubt)

    @cached_property
    def live(self) -> np.ndarray:
        """The coordinates of the pivots, shape (rank,)."""
        return self.order[: self.rank]

    @cached_property
    def margin(self) -> float:
        """A lower bound on the least eigenvalue of D H D over the pivots; at most 0 where none is proven."""
        if self.rank == 0:
            return 1.0
        L = self.L.rounded[: self.rank, : self.rank]
        # Not solve_triangular, for which OpenBLAS wakes its threads: of 3 rows it takes a thousand times as long.
        inverse, _ = lapack.dtrtri(L, lower=1)
        # ‖I − X L‖ < 1 proves ‖L⁻¹‖ ≤ ‖X‖/(1 − ‖I − X L‖).
        spread = np.abs(inverse) @ np.abs(L)
        off = np.linalg.norm(np.eye(self.rank) - inverse @ L) + 2 * self.rank * _EPS * np.linalg.norm(spread)
        if not off < 0.5:
            return 0.0
        least = float(((1 - off) / np.linalg.norm(inverse)) ** 2)
        return least * (1 - 1e-9) - self.rank * (self.unit + self.doubt)

    @property
    def relative_error(self) -> float:
        """What rounding and doubt may change in an eigenvalue of H, relative to it."""
        return 4 * len(self.order) * (self.unit + self.doubt) / self.margin if self.margin > 0 else np.inf

    @property
    def root(self) -> Pair:
        """W of shape (dim, rank) with W Wᵀ = H."""
        rows = np.empty_like(self.order)
        rows[self.order] = np.arange(len(self.order))
        inverse = np.divide(1.0, self.scale, out=np.zeros_like(self.scale), where=self.scale > 0)
        return self.L[rows, : self.rank] * Pair.of(inverse[:, None])

    def solve(self, b: Pair) -> Pair:
        """Return x with H x = b over the pivots and zeros elsewhere, refined by residuals of 106 bits."""
        x = Pair.of(np.zeros(len(b.hi)))
        size = np.inf
        for _ in range(_REFINEMENTS):
            residual = b - self.matrix @ x
            rest = float(np.linalg.norm((self.scale * residual.rounded)[self.live]))
            if not rest < 0.5 * size:
                break
            size = rest
            x = x + self._approximate(residual)
        return x

    def _approximate(self, b: Pair) -> Pair:
        """Return the solution by one forward and one backward substitution."""
        from mastsim.linalg.double_double import solve

        live, k = self.live, self.rank
        if k == 0:
            return Pair.of(np.zeros(len(b.hi)))
        right = b[live] * Pair.of(self.scale[live])
        hi, lo = solve(np.ascontiguousarray(self.L.hi[:k, :k]), np.ascontiguousarray(self.L.lo[:k, :k]), right.hi, right.lo)
        found = Pair(hi, lo) * Pair.of(self.scale[live])
        out = np.zeros((2, len(b.hi)))
        out[0, live], out[1, live] = found.hi, found.lo
        return Pair(out[0].copy(), out[1].copy())


def power_of_two_scale(diagonal: np.ndarray) -> np.ndarray:
    """Return powers of 2 near 1/√h for h > 0, and 0 elsewhere, shape of `diagonal`."""
    positive = diagonal > 0
    _, exponent = np.frexp(np.where(positive, diagonal, 1.0))
    return np.where(positive, np.ldexp(1.0, -(exponent // 2)), 0.0)
