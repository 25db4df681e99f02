"""Symmetric matrices made of sparse rows, too large to be formed, with their extreme eigenvalues bracketed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from mastsim.provenance import EXACT_WITHIN, Constant
from mastsim.readonly import ReadOnly
from mastsim.rounding import EPS, summed
from mastsim.spectra import collatz_wielandt, lanczos

_BOTTOM_STEPS = 100  # the least eigenvalues lie close together: more steps gain little
_SEARCH = 1e-8  # of an eigenvalue: how close the ends of its bracket should come

Piece = tuple[Any, np.ndarray]
"""Sparse rows B, shape (m, dim), in CSR form, and their weights s, shape (m,): they stand for Σ_r s_r b_r b_rᵀ."""


@dataclass(frozen=True, eq=False)
class SparseCurvature(ReadOnly):
    """The matrix H = ±(Σ B_kᵀ Diag(s_k) B_k + Diag(δ)).

    No entry off the diagonal of the sum may be larger than it is with all B_k replaced by |B_k|. So it is for weights that
    are not negative, and for whatever E[SᵀHS] makes of these where E[c_i c_j] ≥ 0.

    Parameters
    ----------
    pieces : sequence of pairs
        The B_k with their s_k; see `Piece`.
    diagonal : ndarray, shape (dim,)
        δ.
    floor : float, default -inf
        A number λ with λI ⪯ the sum, proven elsewhere.
    sign : {1.0, -1.0}
        The sign before the sum.

    References
    ----------
    This package.

    Examples
    --------
    >>> H = SparseCurvature([(sp.csr_array(np.ones((1, 3))), np.ones(1))], np.full(3, 0.5))
    >>> bool(abs(H.largest - 3.5) < 1e-6), H.smallest
    (True, Constant(0.5, 'exact', 'λ_min, by rank'))
    """

    pieces: Sequence[Piece]
    diagonal: np.ndarray
    floor: float = -np.inf
    sign: float = 1.0

    @property
    def dim(self) -> int:
        """The number of rows."""
        return len(self.diagonal)

    def times(self, w: np.ndarray) -> np.ndarray:
        """Return Hw, shape (dim,)."""
        return self.sign * self._sum(w)

    @cached_property
    def row_squares(self) -> np.ndarray:
        """The diagonal of what the rows make, δ and sign left out, shape (dim,)."""
        return np.asarray(sum((squares_of(*piece) for piece in self.pieces), np.zeros(self.dim)))

    @property
    def entries(self) -> np.ndarray:
        """The diagonal of the sum, its sign left out, shape (dim,)."""
        return np.asarray(self.diagonal + self.row_squares)

    def floor_times(self, least: float, most: float) -> float:
        """Return a λ with λI ⪯ E[SᵀHS], sign left out, from the eigenvalues least I ⪯ E[SᵀS] ⪯ most I."""
        return self.floor * (least if self.floor >= 0 else most)

    def with_diagonal(self, diagonal: np.ndarray, pieces: Iterable[Piece], floor: float) -> SparseCurvature:
        """Return a matrix with the same sign and other parts."""
        return SparseCurvature(tuple(pieces), diagonal, floor, self.sign)

    def between(self, scale: np.ndarray) -> SparseCurvature:
        """Return Diag(scale) H Diag(scale)."""
        pieces = [((B @ sp.diags_array(scale)).tocsr(), s) for B, s in self.pieces]
        square = scale**2
        return self.with_diagonal(square * self.diagonal, pieces, self.floor_times(float(square.min()), float(square.max())))

    @cached_property
    def largest(self) -> Constant:
        """λ_max: exact where two certain ends meet, otherwise an upper end, whose source names the lower one."""
        return self._top if self.sign > 0 else _negated(self._bottom)

    @cached_property
    def smallest(self) -> Constant:
        """λ_min: exact where two certain ends meet, otherwise a lower end, whose source names the upper one."""
        return self._bottom if self.sign > 0 else _negated(self._top)

    @cached_property
    def _top(self) -> Constant:
        if not self.pieces:
            top = float(self.diagonal.max())
            return Constant(top, "exact", "λ_max, the largest entry of a diagonal", 8 * EPS * abs(top))
        found, vector = lanczos(self._sum, self.dim, _SEARCH, self._rounding)
        enough, shift = found.lower + 0.1 * EXACT_WITHIN * abs(found.lower), max(0.0, -float(self.diagonal.min()))
        certain = collatz_wielandt(self._bounded, vector, enough, shift)
        low = max(found.lower, float(self.entries.max() - self._units * self._entry_sizes.max()))
        if certain - low <= EXACT_WITHIN * abs(low):
            how = "λ_max, between a Rayleigh quotient and a Collatz-Wielandt bound"
            return Constant(certain, "exact", how, certain - low)
        upper, how = min((certain, "Collatz-Wielandt bound"), (found.upper, found.how))
        return Constant(upper, "upper", f"λ_max ≥ {low:.9g}, upper end by {how}")

    @cached_property
    def _bottom(self) -> Constant:
        least = float(self.diagonal.min())
        if not self.pieces:
            return Constant(least, "exact", "λ_min, the least entry of a diagonal", 8 * EPS * abs(least))
        plain = all((s >= 0).all() for _, s in self.pieces)
        floor = max(self.floor, least if plain else -np.inf)
        if plain and least >= self.floor and (self.diagonal == least).sum() > sum(len(s) for _, s in self.pieces):
            return Constant(least, "exact", "λ_min, by rank", 8 * EPS * abs(least))
        high = float((self.entries + self._units * self._entry_sizes).min())
        if floor < high * (1 - EXACT_WITHIN):
            found, _ = lanczos(lambda w: -self._sum(w), self.dim, _SEARCH, self._rounding, steps=_BOTTOM_STEPS)
            high = min(high, -found.lower)
            if -found.upper > floor:
                return Constant(-found.upper, "lower", f"λ_min ≤ {high:.9g}, lower end by {found.how}")
        if high - floor <= EXACT_WITHIN * abs(floor):
            return Constant(floor, "exact", "λ_min, between a certain bound and a Rayleigh quotient", max(high - floor, 0.0))
        return Constant(floor, "lower", f"λ_min ≤ {high:.9g}, lower end by its diagonal part")

    def _sum(self, w: np.ndarray) -> np.ndarray:
        return _times(self.pieces, self.diagonal, w)

    @cached_property
    def _entry_sizes(self) -> np.ndarray:
        return np.asarray(sum((squares_of(B, np.abs(s)) for B, s in self.pieces), np.abs(self.diagonal)))

    @cached_property
    def _majorants(self) -> list[Piece]:
        return [(abs(B), s) for B, s in self.pieces]

    @cached_property
    def _sizes(self) -> list[Piece] | None:
        """The majorants with weights of absolute values, where some are negative."""
        if (self.diagonal >= 0).all() and all((s >= 0).all() for _, s in self.pieces):
            return None
        return [(B, np.abs(s)) for B, s in self._majorants]

    def _bounded(self, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the majorant's product with a positive w, and a bound on its rounding."""
        found = _times(self._majorants, self.diagonal, w)
        size = found if self._sizes is None else _times(self._sizes, np.abs(self.diagonal), w)
        return found, self._units * size

    @cached_property
    def _units(self) -> float:
        """A bound on the rounding of an entry of a product, relative to the same product of absolute values."""
        rows = sum(int(np.diff(B.indptr).max(initial=0)) for B, _ in self.pieces)
        columns = sum(int(np.bincount(B.indices, minlength=1).max()) for B, _ in self.pieces)
        return float(summed(rows + columns + 16))

    @cached_property
    def _rounding(self) -> float:
        """A bound on the norm of the rounding of a product with a unit vector."""
        pieces, diagonal = self._sizes or self._majorants, np.abs(self.diagonal)
        size = collatz_wielandt(lambda w: (_times(pieces, diagonal, w), 0 * w), np.sqrt(self._entry_sizes), np.inf)
        return self._units * size


def _times(pieces: Sequence[Piece], diagonal: np.ndarray, w: np.ndarray) -> np.ndarray:
    total = diagonal * w
    for B, s in pieces:
        total = total + B.T @ (s * (B @ w))
    return np.asarray(total)


def _negated(end: Constant) -> Constant:
    kind = {"upper": "lower", "lower": "upper"}.get(end.kind, end.kind)
    return Constant(-end, kind, f"−({end.source})", end.error)  # type: ignore[arg-type]


def squares_of(rows: Any, weights: np.ndarray) -> np.ndarray:
    """Return the diagonal of Σ_r weights_r b_r b_rᵀ, shape (dim,)."""
    return np.asarray(rows.multiply(rows).T @ weights)


def split(rows: Any, label: np.ndarray) -> tuple[Any, np.ndarray, np.ndarray]:
    """Return every row as several, one for each label of its columns, with the row and the label of each.

    Parameters
    ----------
    rows : csr_array, shape (m, dim)
        The rows.
    label : ndarray of int, shape (dim,)
        At least 0; columns with a negative label are left out.

    Examples
    --------
    >>> B, row, label = split(sp.csr_array(np.array([[1.0, 2.0, 3.0]])), np.array([0, 1, 0]))
    >>> B.toarray(), row, label
    (array([[1., 0., 3.],
           [0., 2., 0.]]), array([0, 0]), array([0, 1]))
    """
    coo, count = rows.tocoo(), int(label.max(initial=0)) + 1
    i, j = (np.asarray(index, dtype=np.int64) for index in coo.coords)
    kept = label[j] >= 0
    key, inverse = np.unique(i[kept] * count + label[j[kept]], return_inverse=True)
    parts = sp.csr_array((coo.data[kept], (inverse, j[kept])), shape=(len(key), rows.shape[1]))
    return parts, key // count, key % count


def mean_sparse_curvature(parts: Sequence[SparseCurvature | None]) -> SparseCurvature | None:
    """Return the mean of matrices of one sign; None where one of them is not known, or has the other sign."""
    known = [part for part in parts if part is not None]
    if len(known) < len(parts) or len({part.sign for part in known}) > 1:
        return None
    share = 1 / len(known)
    pieces = [(B, share * s) for part in known for B, s in part.pieces]
    diagonal = share * np.sum([part.diagonal for part in known], axis=0)
    return known[0].with_diagonal(diagonal, pieces, share * sum(part.floor for part in known))
