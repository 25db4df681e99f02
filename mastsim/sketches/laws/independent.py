"""Diagonal matrices whose entries are independent and have finitely many values each."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from mastsim.linalg import SparseCurvature
from mastsim.rounding import summed
from mastsim.sketches.laws.base import MomentOperators
from mastsim.sketches.laws.diagonal import DiagonalLaw
from mastsim.sketches.laws.rows import Psi, RowLaws, RowRounding, RowTotals, csr
from mastsim.sketches.laws.unit_moments import independent_units

_CHUNK = 1 << 20
_SUPPORT_LIMIT = 1 << 20


@dataclass(frozen=True, eq=False)
class IndependentEntries(DiagonalLaw):
    """S = Diag(c) with independent c_i that equal `entries[i, a]` with probability `weights[i, a]`, of mean one.

    Parameters
    ----------
    entries, weights : ndarray, shape (dim, n)
        What c_i can be, and with what probability; entries of probability zero lie between the others.

    Examples
    --------
    >>> law = IndependentEntries(np.array([[0.5, 1.5], [0.0, 4.0]]), np.array([[0.5, 0.5], [0.75, 0.25]]))
    >>> law.L_D, law.L_max
    (4.0, 16.0)
    """

    entries: np.ndarray
    weights: np.ndarray
    dim: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "dim", len(self.entries))
        super().__post_init__()

    @cached_property
    def moments(self) -> np.ndarray:
        """E[c_i^p] for p = 0, …, 4, shape (5, dim)."""
        return np.array([(self.weights * self.entries**p).sum(axis=1) for p in range(5)])

    @cached_property
    def largest_squares(self) -> np.ndarray:
        """The largest c_i², shape (dim,)."""
        squares: np.ndarray = (self.entries**2).max(axis=1)
        return squares

    @property
    def second_moments(self) -> np.ndarray:
        """E c_i², shape (dim,)."""
        second: np.ndarray = self.moments[2]
        return second

    @property
    def jointly_largest(self) -> bool:
        """True: the entries are independent."""
        return True

    def mean_times(self, z: np.ndarray) -> np.ndarray:
        """Return E[S] z, shape (dim,)."""
        mean: np.ndarray = self.moments[1] * z
        return mean

    def quadratic_moment(self, A: np.ndarray) -> np.ndarray:
        """Return E[SᵀAS], which is `A` with its diagonal multiplied by E c_i², shape (dim, dim)."""
        moment = np.array(A)
        np.fill_diagonal(moment, np.diag(moment) * self.second_moments)
        return moment

    def sparse_moment(self, H: SparseCurvature) -> SparseCurvature:
        """Return E[SᵀHS]: H with its diagonal multiplied by E c_i²."""
        diagonal = self.second_moments * H.diagonal + (self.second_moments - 1) * H.row_squares
        return H.with_diagonal(diagonal, H.pieces, H.floor_times(self.mu_D, self.L_D))

    def pair_moments(self) -> np.ndarray:
        """Return the matrix of E[c_i c_j], shape (dim, dim)."""
        return self.quadratic_moment(np.ones((self.dim, self.dim)))

    def mixed_moments(self, k: int) -> np.ndarray:
        """Return the matrix of E[c_i c_k² c_j] over i and j, shape (dim, dim)."""
        _, _, second, third, fourth = self.moments
        mixed = np.full((self.dim, self.dim), second[k])
        np.fill_diagonal(mixed, second * second[k])
        mixed[k], mixed[:, k] = third[k], third[k]
        mixed[k, k] = fourth[k]
        return mixed

    def fourth_moment(self, A: np.ndarray) -> np.ndarray:
        """Return E[SASSAS] for any `A`, shape (dim, dim), with no more cancellation in an entry than the sum itself has."""
        _, _, second, third, fourth = self.moments
        a = np.diag(A)
        off = A - np.diag(a)
        total: np.ndarray = (off * second) @ off
        corner = second * np.diag(total) + fourth * a**2
        total += (third * a)[:, None] * off + off * (third * a)
        np.fill_diagonal(total, corner)
        return total

    def moment_operators(self, A: np.ndarray) -> MomentOperators:
        """Return the maps M ↦ E[HMH], E[HMS], E[SᵀMS] for H = SᵀAS, in O(dim³)."""
        mean = self.moments[1]
        shifted = self.entries / mean[:, None] - 1
        second, third, fourth = ((self.weights * shifted**n).sum(axis=1) for n in (2, 3, 4))
        return independent_units(self, A, np.arange(self.dim), mean, (second, third, fourth - 3 * second**2))

    @cached_property
    def support_size(self) -> float:
        """The product of the numbers of values of the entries; infinite when it overflows."""
        counts = (self.weights > 0).sum(axis=1)
        return float(math.prod(counts.tolist())) if np.log2(counts).sum() < 1000 else math.inf

    def values(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the diagonals of every value, shape (N, dim), and the probabilities, shape (N,)."""
        diagonals, chances = np.zeros((1, 0)), np.ones(1)
        for entries, weights in zip(self.entries, self.weights, strict=True):
            own, chance = entries[weights > 0], weights[weights > 0]
            column = np.tile(own, len(diagonals))[:, None]
            diagonals = np.concatenate([np.repeat(diagonals, len(own), axis=0), column], axis=1)
            chances = np.repeat(chances, len(own)) * np.tile(chance, len(chances))
        return diagonals, chances

    def scalar(self, a: np.ndarray, z: np.ndarray) -> IndependentLaw:
        """Return the law of the scalar aᵀSz."""
        active = (terms := a * z) != 0
        return IndependentLaw(terms[active, None] * self.entries[active], self.weights[active])

    def rows(self, A: Any) -> IndependentRows:
        """Return the laws of the scalars aᵀSz of all rows a of `A`."""
        return IndependentRows(csr(A), self)


@dataclass(frozen=True, eq=False)
class IndependentLaw:
    """The law of a sum of independent numbers, each with finitely many values.

    Parameters
    ----------
    values, weights : ndarray, shape (terms, n)
        What each term can be, and with what probability; a probability may be zero.

    Examples
    --------
    >>> law = IndependentLaw(np.array([[0.0, 2.0], [1.0, 3.0]]), np.full((2, 2), 0.5))
    >>> law.mean, law.variance, law.bounds
    (3.0, 2.0, (1.0, 5.0))
    >>> law.support()
    (array([1., 3., 5.]), array([0.25, 0.5 , 0.25]))
    """

    values: np.ndarray
    weights: np.ndarray

    @property
    def mean(self) -> float:
        """The expectation."""
        return float(self._means.sum())

    @property
    def _means(self) -> np.ndarray:
        means: np.ndarray = (self.weights * self.values).sum(axis=1)
        return means

    @property
    def variance(self) -> float:
        """The variance, a sum of squares: nothing cancels."""
        return float((self.weights * (self.values - self._means[:, None]) ** 2).sum())

    @property
    def bounds(self) -> tuple[float, float]:
        """The smallest and the largest value."""
        return float(self.values.min(axis=1).sum()), float(self.values.max(axis=1).sum())

    def characteristic_function(self, t: np.ndarray) -> np.ndarray:
        """Return E exp(i t aᵀSz) for real `t`, shape of `t`."""
        return self.moment_generating_function(1j * np.asarray(t, dtype=float))

    def moment_generating_function(self, s: np.ndarray) -> np.ndarray:
        """Return E exp(s aᵀSz) for real or complex `s`, shape of `s`."""
        s = np.asarray(s, dtype=np.result_type(s, float))
        total = np.ones_like(s)
        for values, weights in zip(self.values, self.weights, strict=True):
            total = total * (np.exp(s[..., None] * values) @ weights)
        return total

    def support(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the values in increasing order and their probabilities; equal values are merged.

        Raises
        ------
        ValueError
            If more than 2**20 combinations would have to be listed.
        """
        if np.log2((self.weights > 0).sum(axis=1)).sum() > math.log2(_SUPPORT_LIMIT):
            raise ValueError(f"aᵀSz depends on more than {_SUPPORT_LIMIT} combinations of values: they are not listed")
        listed: np.ndarray = np.zeros(1)
        chances: np.ndarray = np.ones(1)
        for values, weights in zip(self.values, self.weights, strict=True):
            own, chance = values[weights > 0], weights[weights > 0]
            listed, inverse = np.unique((listed[:, None] + own).ravel(), return_inverse=True)
            chances = np.bincount(inverse, weights=(chances[:, None] * chance).ravel())
        return listed, chances


@dataclass(frozen=True, eq=False)
class IndependentRows(RowLaws):
    """X_i = Σ_j c_j a_ij z_j with independent c_j: transforms are products over the entries of a row.

    Parameters
    ----------
    A
        As for `RowLaws`.
    law : IndependentEntries
        The law of c.
    """

    law: IndependentEntries

    def reach(self, z: np.ndarray) -> np.ndarray:
        """Return Σ_j |a_ij z_j| max|c_j|, shape (n,)."""
        farthest: np.ndarray = abs(self.A) @ (np.sqrt(self.law.largest_squares) * np.abs(z))
        return farthest

    def mean_times(self, z: np.ndarray) -> np.ndarray:
        """Return E[S] z, shape (dim,)."""
        return self.law.mean_times(z)

    def square(self, weights: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Return Σ_i weights_i E[Sᵀa_i a_iᵀS] z, shape (dim,)."""
        mean, second = self.law.moments[1:3]
        diagonal = (second - mean**2) * (self.A.multiply(self.A).T @ weights)
        total: np.ndarray = mean * (self.A.T @ (weights * (self.A @ (mean * z)))) + diagonal * z
        return total

    @cached_property
    def atoms(self) -> np.ndarray:
        """The number of patterns of each row, infinite for the longest rows, shape (n,)."""
        return np.exp2(np.minimum(self.terms * math.log2(self.law.entries.shape[1]), 1000.0))

    @cached_property
    def work(self) -> np.ndarray:
        """How many values the entries of each row have, shape (n,)."""
        return np.maximum(self.terms * self.law.entries.shape[1], 1)

    def rounding(self, z: np.ndarray, size: np.ndarray) -> RowRounding:
        """Return what rounding does to the law: every term is rounded by itself."""
        none = np.zeros(len(size))
        return RowRounding(summed(8) * size, none, self.terms, none)

    def by_exponentials(
        self, rows: np.ndarray, z: np.ndarray, s: np.ndarray, weights: np.ndarray, w: np.ndarray | None = None
    ) -> RowTotals:
        """Return Re Σ_k weights_ik E exp(s_k X_i), by products of the entries before and after each one."""
        total = _Running(len(rows), len(z))
        for place, columns, entries in self._blocks(rows, len(s)):
            t, direction = entries * z[columns], entries * (0 * z if w is None else w)[columns]
            c, chance = self.law.entries[columns], self.law.weights[columns]
            wave = chance[..., None] * np.exp((t[..., None] * c)[..., None] * s)
            factor = wave.sum(axis=2)
            slope = (wave * c[..., None]).sum(axis=2) * s
            turn = slope * direction[..., None]
            start = weights[place]
            before, before_turn = _products(factor, turn, start)
            after, after_turn = (a[:, ::-1] for a in _products(factor[:, ::-1], turn[:, ::-1], np.ones_like(start)))
            around = before[:, :-1] * after[:, 1:]
            derivative = (around * slope).real.sum(axis=-1)
            change = np.zeros_like(derivative)
            if w is not None:
                bend = (wave * c[..., None] ** 2).sum(axis=2) * s**2
                around_turn = before_turn[:, :-1] * after[:, 1:] + before[:, :-1] * after_turn[:, 1:]
                change = (around * bend * direction[..., None] + around_turn * slope).real.sum(axis=-1)
            total.add(place, columns, before[:, -1].real.sum(axis=-1), entries * derivative, entries * change)
        return total.done

    def by_nodes(
        self,
        rows: np.ndarray,
        z: np.ndarray,
        offset: np.ndarray,
        psi: Psi,
        count: int,
        order: int = 1,
        w: np.ndarray | None = None,
    ) -> RowTotals:
        """Return E ψ(offset_i + X_i) over all patterns of each row."""
        total, n = _Running(len(rows), len(z)), self.law.entries.shape[1]
        for place, columns, entries in self._blocks(rows, n ** int(np.diff(self.A.indptr)[rows].max(initial=0))):
            r = columns.shape[1]
            pattern = np.stack(np.unravel_index(np.arange(n**r), (n,) * r), axis=-1) if r else np.zeros((1, 0), int)
            c = self.law.entries[columns][:, np.arange(r), pattern]
            chance = self.law.weights[columns][:, np.arange(r), pattern].prod(axis=-1)
            x = offset[place][:, None] + (c * (entries * z[columns])[:, None, :]).sum(axis=-1)
            derivative = ((chance * psi(x, 1))[..., None] * c).sum(axis=1)
            change = np.zeros_like(derivative)
            if w is not None:
                along = (c * (entries * w[columns])[:, None, :]).sum(axis=-1)
                change = ((chance * psi(x, 2) * along)[..., None] * c).sum(axis=1)
            total.add(place, columns, (chance * psi(x, 0)).sum(axis=1), entries * derivative, entries * change)
        return total.done

    def _blocks(self, rows: np.ndarray, width: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield places in `rows` of rows of equal length r, with their columns and entries, each (m, r)."""
        lengths = np.diff(self.A.indptr)[rows]
        for length in np.unique(lengths):
            same = np.flatnonzero(lengths == length)
            pieces = max(1, len(same) * (int(length) + 1) * width // _CHUNK)
            for chunk in np.array_split(same, min(pieces, len(same))):
                at = self.A.indptr[rows[chunk]][:, None] + np.arange(length)
                yield chunk, self.A.indices[at], self.A.data[at]


class _Running:
    """Totals that grow block by block."""

    def __init__(self, rows: int, dim: int) -> None:
        self.done = RowTotals(np.zeros(rows), np.zeros(dim), np.zeros(dim))

    def add(self, place: np.ndarray, columns: np.ndarray, values: np.ndarray, first: np.ndarray, second: np.ndarray) -> None:
        """Add a block: values (m,), derivatives and their changes at the columns (m, r)."""
        self.done.values[place] = values
        for out, part in ((self.done.gradient, first), (self.done.product, second)):
            out += np.bincount(columns.ravel(), weights=part.ravel(), minlength=len(out))


def _products(factor: np.ndarray, turn: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the products of the first 0, 1, …, r factors, and their change along the direction, (m, r + 1, nodes)."""
    m, r, nodes = factor.shape
    product, change = np.empty((m, r + 1, nodes), complex), np.zeros((m, r + 1, nodes), complex)
    product[:, 0] = start
    for j in range(r):
        product[:, j + 1] = product[:, j] * factor[:, j]
        change[:, j + 1] = change[:, j] * factor[:, j] + product[:, j] * turn[:, j]
    return product, change
