"""The rows of a generalised linear model as sums over kept units: what depends on data and sketch but not on x."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from mastsim.expected.transforms import Groups
from mastsim.problems import GeneralizedLinearModel
from mastsim.readonly import ReadOnly
from mastsim.sketches import Selection


@dataclass(frozen=True, eq=False)
class RowLayout(ReadOnly, copy=False):
    """Row i sees the scalar w_i = offset_i + Σ_e θ_e·[unit of e is kept], one term e for each unit the row touches.

    Parameters
    ----------
    column, coefficient : ndarray, shape (nnz,)
        For every stored entry of the data: its column j and sign_i·a_ij/keep_j.
    term : ndarray of int, shape (nnz,)
        The term that the entry adds to.
    start : ndarray of int, shape (n + 1,)
        Terms of row i are ``start[i]:start[i + 1]``, ordered by group.
    row : ndarray of int, shape (terms,)
        The row of each term.
    segment : ndarray of int, shape (terms,)
        The (row, group) pair of each term, numbered consecutively.
    segment_start, row_segment_start : ndarray of int
        Terms of each segment, and segments of each row, as index pointers.
    members, kept : ndarray, shape (segments,)
        M and N of the segment's group.
    offset : ndarray, shape (n,)
        The part of w_i that does not depend on the sketch.
    sign : ndarray, shape (n,)
        What the loss turns the predictions of the row by, −1 or 1.
    """

    column: np.ndarray
    coefficient: np.ndarray
    term: np.ndarray
    start: np.ndarray
    row: np.ndarray
    segment: np.ndarray
    segment_start: np.ndarray
    row_segment_start: np.ndarray
    members: np.ndarray
    kept: np.ndarray
    offset: np.ndarray
    sign: np.ndarray

    def stacked(self, count: int, dim: int) -> RowLayout:
        """Return so many copies of the rows, each of which sees its own of as many points, in all (count·dim,)."""
        copies = np.arange(count)[:, None]

        def counted(index: np.ndarray, size: int) -> np.ndarray:
            return (index + size * copies).ravel()

        def pointers(index: np.ndarray) -> np.ndarray:
            return np.append(counted(index[:-1], index[-1]), count * index[-1])

        return RowLayout(
            column=counted(self.column, dim),
            coefficient=np.tile(self.coefficient, count),
            term=counted(self.term, len(self.row)),
            start=pointers(self.start),
            row=counted(self.row, len(self.offset)),
            segment=counted(self.segment, len(self.members)),
            segment_start=pointers(self.segment_start),
            row_segment_start=pointers(self.row_segment_start),
            members=np.tile(self.members, count),
            kept=np.tile(self.kept, count),
            offset=np.tile(self.offset, count),
            sign=np.tile(self.sign, count),
        )

    @cached_property
    def keep(self) -> np.ndarray:
        """The probability that a term is kept, shape (terms,)."""
        return (self.kept / self.members)[self.segment]

    @cached_property
    def variance_slope(self) -> tuple[np.ndarray, np.ndarray]:
        """Factors a, b such that the variance of w_i has the derivative a_e·θ_e − b_e·Σ_segment θ in θ_e, each (terms,).

        In a segment of a uniform subset of N of M they are 2p(1−p)·M/(M−1) and 2p(1−p)/(M−1), for a term kept on its own
        2p(1−p) and 0.
        """
        members, spread = self.members[self.segment], 2 * self.keep * (1 - self.keep)
        shared = np.where(members > 1, spread / np.maximum(members - 1, 1), 0.0)
        return np.where(members > 1, members * shared, spread), shared

    @cached_property
    def groups(self) -> Groups:
        """The segments as the transforms take them."""
        return Groups(self.row_segment_start, self.segment_start, self.members, self.kept)

    @cached_property
    def independent(self) -> bool:
        """Whether all terms are kept independently of each other."""
        return bool((self.members == 1).all())

    @cached_property
    def one_group(self) -> tuple[int, int] | None:
        """N and M of the group that all terms belong to, or None where rows touch several groups, or single units."""
        groups = np.unique(np.stack([self.kept, self.members]), axis=1)
        alone = bool((np.diff(self.row_segment_start) <= 1).all())
        return (int(groups[0, 0]), int(groups[1, 0])) if alone and groups.shape[1] == 1 and groups[1, 0] > 1 else None

    @cached_property
    def tilt(self) -> tuple[np.ndarray, float]:
        """The gradient in z of Σ E w_i, up to the last column that is held, and its value at z = 0."""
        return self.tilt_of(np.ones(len(self.offset), dtype=bool))

    def tilt_of(self, rows: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the same for the rows that a mask of shape (n,) has."""
        return self.scatter(self.keep * rows[self.row], int(self.column.max()) + 1), math.fsum(self.offset[rows])

    @cached_property
    def longest(self) -> int:
        """The most terms of a row."""
        return int(np.diff(self.start).max(initial=0))

    def gather(self, z: np.ndarray) -> np.ndarray:
        """Return θ for the point z = x − v, shape (terms,)."""
        return np.bincount(self.term, weights=self.coefficient * z[self.column], minlength=len(self.row))

    def scatter(self, derivative: np.ndarray, dim: int) -> np.ndarray:
        """Return the gradient in z of a function with the given derivative in θ, shape (dim,)."""
        return np.bincount(self.column, weights=self.coefficient * derivative[self.term], minlength=dim)

    def reach(self, theta: np.ndarray) -> np.ndarray:
        """Return a bound on |w_i| over the support, shape (n,).

        All terms of one sign add up, but in crowded layouts no more of a segment than can be kept at once.
        """
        high, low = np.maximum(theta, 0), np.minimum(theta, 0)
        if self._crowded:
            order = np.lexsort((-theta, self.segment))
            first, last = self._ends
            high, low = high[order] * first, low[order] * last
        return np.maximum(np.abs(self.offset + self.row_sum(high)), np.abs(self.offset + self.row_sum(low)))

    def row_sum(self, per_term: np.ndarray) -> np.ndarray:
        """Return the sum over the terms of each row, shape (n,)."""
        return np.bincount(self.row, weights=per_term, minlength=len(self.offset))

    @cached_property
    def _most(self) -> np.ndarray:
        """How many terms of a segment can be kept at once, shape (segments,)."""
        return np.where(self.members == 1, 1, self.kept)

    @cached_property
    def _crowded(self) -> bool:
        """Whether some segment has so many terms that those of one sign, about half, may be more than can be kept."""
        return bool((np.diff(self.segment_start) > 2 * self._most).any())

    @cached_property
    def _ends(self) -> tuple[np.ndarray, np.ndarray]:
        """Whether a place in a segment is among the first, and among the last, as many as can be kept."""
        place, most = np.arange(len(self.row)), self._most[self.segment]
        return place < self.segment_start[self.segment] + most, place >= self.segment_start[self.segment + 1] - most


def lay_out(problem: GeneralizedLinearModel, selection: Selection, shift: np.ndarray) -> RowLayout:
    """Return the layout of a problem's rows under a selection, for the shift v of shape (dim,)."""
    A = sp.csr_array(problem.table)
    form = problem.loss.row_form(problem.y)
    sign = np.broadcast_to(form.sign, A.shape[:1])
    row = np.repeat(np.arange(A.shape[0]), np.diff(A.indptr))
    column = A.indices.astype(np.int64)
    unit = selection.unit[column]
    key = row * len(selection.group) + unit
    keys, term = np.unique(key, return_inverse=True)
    term_row, term_unit = np.divmod(keys, len(selection.group))
    pair = term_row * len(selection.members) + selection.group[term_unit]
    pairs, first, segment = np.unique(pair, return_index=True, return_inverse=True)
    pair_row, pair_group = np.divmod(pairs, len(selection.members))
    edges = np.arange(A.shape[0] + 1)
    return RowLayout(
        column=column,
        coefficient=sign[row] * A.data / selection.keep[column],
        term=term,
        start=np.searchsorted(term_row, edges),
        row=term_row,
        segment=segment,
        segment_start=np.append(first, len(keys)),
        row_segment_start=np.searchsorted(pair_row, edges),
        members=selection.members[pair_group],
        kept=selection.kept[pair_group],
        offset=sign * (A @ shift) + form.offset,
        sign=np.array(sign, dtype=float),
    )


def most_terms(problem: GeneralizedLinearModel, selection: Selection) -> int:
    """Return the largest number of units that a row of the data touches."""
    A = sp.csr_array(problem.table)
    row = np.repeat(np.arange(A.shape[0]), np.diff(A.indptr))
    keys = np.unique(row * len(selection.group) + selection.unit[A.indices])
    return int(np.bincount(keys // len(selection.group), minlength=1).max())
