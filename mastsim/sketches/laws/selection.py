"""Keeping or dropping units of coordinates: one law for Bernoulli, Rand-K and their relatives.

The coordinates are partitioned into *units* (kept or dropped as a whole) and the units into *groups*. Within a group either
a uniform subset of N of its M units is kept, or (M = 1) its single unit is kept with some probability; groups are
independent. Kept coordinates are multiplied by 1/keep, so that E[S] = I.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from mastsim.linalg import SparseCurvature, split, squares_of
from mastsim.provenance import Constant
from mastsim.rounding import summed
from mastsim.sketches.laws.base import MomentOperators
from mastsim.sketches.laws.diagonal import DiagonalLaw
from mastsim.sketches.laws.group_moments import GroupOperators
from mastsim.sketches.laws.kept_sets import KeptSets
from mastsim.sketches.laws.kept_sums import ScalarLaw
from mastsim.sketches.laws.listed import few, largest_curvature
from mastsim.sketches.laws.unit_moments import exchangeable_units, independent_units


@dataclass(frozen=True, eq=False)
class Selection(KeptSets):
    """The law of a diagonal sketch that keeps or drops units of coordinates, with all its moments.

    Parameters
    ----------
    unit, group, members, kept
        As for `KeptSets`.
    """

    @property
    def second_moments(self) -> np.ndarray:
        """E c_i² = 1/keep, shape (dim,)."""
        return 1 / self.keep

    @property
    def largest_squares(self) -> np.ndarray:
        """The largest c_i², shape (dim,)."""
        return 1 / self.keep**2

    @property
    def jointly_largest(self) -> bool:
        """Whether everything can be kept at once."""
        return bool((self.kept >= np.where(self.members == 1, 0, self.members)).all())

    def pair_moments(self) -> np.ndarray:
        """Return the matrix of E[c_i c_j], shape (dim, dim)."""
        return self.moment_mask()

    def sparse_moment(self, H: SparseCurvature) -> SparseCurvature:
        """Return E[SᵀHS]: within a group the entries of H shrink, within a unit they grow.

        An entry is multiplied by 1 between groups, by M(N − 1)/(N(M − 1)) between two units of one, by M/N within a unit.
        """
        single, several = len(self.members) == 1, self.members > 1
        beside = np.where(several, self.pair, 1.0)
        within = (1 / self.keep) - beside[self.group[self.unit]]
        diagonal, pieces = H.diagonal / self.keep, []
        for rows, weights in H.pieces:
            pieces.append((rows, weights * beside[0] if single else weights))
            if not single and several.any():
                own = self.group[self.unit]
                parts, row, group = split(rows, np.where(several[own], own, -1))
                pieces.append((parts, weights[row] * (beside[group] - 1)))
            if len(self.group) == self.dim:
                diagonal = diagonal + within * squares_of(rows, weights)
            elif within.any():
                parts, row, unit = split(rows, np.where(within != 0, self.unit, -1))
                each = np.zeros(len(self.group))
                each[self.unit] = within
                pieces.append((parts, weights[row] * each[unit]))
        return H.with_diagonal(diagonal, pieces, H.floor_times(self.mu_D, self.L_D))

    def mixed_moments(self, k: int) -> np.ndarray:
        """Return the matrix of E[c_i c_k² c_j]: E[c_i c_j]/keep_k² times the chance that k is kept when i and j are."""
        unit, group = self.unit, self.group[self.unit]
        M, N = self.members[group[k]], self.kept[group[k]]
        mine, own = group == group[k], unit == unit[k]
        taken = mine[:, None].astype(int) + mine - (mine & (unit[:, None] == unit))
        given = np.array([max(N - used, 0) / max(M - used, 1) for used in range(3)])[taken]
        given[own[:, None] | own] = 1.0
        return self.moment_mask() * given / self.keep[k] ** 2

    def moment_operators(self, A: np.ndarray) -> MomentOperators:
        """Return the maps M ↦ E[HMH], E[HMS], E[SᵀMS] for H = SᵀAS, in O(dim³)."""
        if self.independent:
            p, q = self.keep, 1 - self.keep
            cumulants = q / p, q * (1 - 2 * p) / p**2, q * (1 - 6 * p * q) / p**3
            return independent_units(self, A, self.unit, np.ones(self.dim), cumulants)
        if len(self.members) == 1:
            return exchangeable_units(self, A)
        return GroupOperators(self, A, self)

    def fourth_moment(self, A: np.ndarray) -> np.ndarray:
        """Return E[SASSAS] for any `A`, shape (dim, dim), with no more cancellation in an entry than the sum itself has.

        The entries are Σ_k A_ik A_kj E[c_i c_k² c_j], where E[∏c] over coordinates of u different units of one group is
        (1/keep)^(number of factors) times the probability that u given units are all kept. The sum is split by whether k
        shares the unit, only the group, or neither with i and with j, which makes it nine products of disjoint parts of `A`.
        """
        unit, group = self.unit, self.group[self.unit]
        one, two, three = (self.inclusion(count)[group] for count in (1, 2, 3))
        s = 1 / self.keep
        same_unit = unit[:, None] == unit
        same_group = (group[:, None] == group) & ~same_unit
        apart = group[:, None] != group
        U, G, O = A * same_unit, A * same_group, A * apart  # noqa: E741
        total: np.ndarray = self.moment_mask() * ((O * s) @ O)
        total += same_unit * (s**4 * (one * (U @ U) + two * (G @ G)))
        total += same_group * (s**4 * (two * (U @ G + G @ U) + three * (G @ G)))
        left = (s**3)[:, None] * ((one[:, None] * U + two[:, None] * G) @ O)
        right = O @ (U * one + G * two) * s**3
        return total + apart * (left + right)

    def supremum_curvature(self, A: np.ndarray) -> Constant:
        """Return sup_S λ_max(SᵀAS) for a positive semidefinite `A`.

        Exact when all units can be kept at once (then that pattern attains it) or the patterns can be enumerated; otherwise
        the smaller of L_S^max·λ_max(A) and the largest trace of SᵀAS.
        """
        if self.independent:
            return self.largest_everywhere(A)
        if few(self.support_size, self.dim):
            return Constant(largest_curvature(*self.values(), A), "exact", "enumeration of the support")
        top = max(float(np.linalg.eigvalsh(A)[-1]), 0.0)
        return min(Constant(self.L_max * top, "upper", "L_S^max·λ_max(L)"), self._largest_trace(np.diag(A)))

    def sparse_supremum(self, H: SparseCurvature) -> Constant:
        """Return sup_S λ_max(SᵀHS) for a positive semidefinite H; see `supremum_curvature`."""
        found = super().sparse_supremum(H)
        return found if self.jointly_largest else min(found, self._largest_trace(H.entries))

    def _largest_trace(self, entries: np.ndarray) -> Constant:
        """Return the largest trace of SᵀAS over S for a matrix with these diagonal entries."""
        weight = np.bincount(self.unit, weights=entries * self.largest_squares, minlength=len(self.group))
        order = np.lexsort((-weight, self.group))
        rank = np.arange(len(order)) - np.searchsorted(self.group, self.group)
        trace = float(weight[order][rank < np.maximum(np.round(self.kept), 1)[self.group]].sum())
        return Constant(trace, "upper", "largest trace of SᵀLS", float(summed(self.dim + 16)) * trace)

    def scalar(self, a: np.ndarray, z: np.ndarray) -> ScalarLaw:
        """Return the law of the scalar aᵀSz."""
        theta = np.bincount(self.unit, weights=a * z / self.keep, minlength=len(self.group))
        return ScalarLaw(theta, self.group, self.members, self.kept)

    @property
    def support_size(self) -> float:
        """The number of different kept sets."""
        return self.patterns

    def values(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the diagonals of every value, shape (N, dim), and the probabilities, shape (N,)."""
        masks, weights = np.zeros((1, 0), dtype=bool), np.ones(1)
        for M, N in zip(self.members.astype(int), self.kept, strict=True):
            own, chance = _group_patterns(M, N)
            masks = np.concatenate([np.repeat(masks, len(own), axis=0), np.tile(own, (len(masks), 1))], axis=1)
            weights = np.repeat(weights, len(own)) * np.tile(chance, len(weights))
        return masks[:, self.unit] / self.keep, weights


@dataclass(frozen=True, eq=False)
class Masked(DiagonalLaw):
    """A selection with the factor 1/keep left out, so that E[S] = Diag(keep).

    Parameters
    ----------
    selection : Selection
        The law of the kept set.
    """

    selection: Selection
    dim: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "dim", self.selection.dim)
        super().__post_init__()

    @property
    def unbiased(self) -> bool:
        """True only when everything is kept."""
        return bool((self.selection.keep == 1).all())

    @property
    def second_moments(self) -> np.ndarray:
        """E c_i² = keep, shape (dim,)."""
        return self.selection.keep

    @property
    def largest_squares(self) -> np.ndarray:
        """One, shape (dim,)."""
        return np.ones(self.dim)

    @property
    def jointly_largest(self) -> bool:
        """Whether everything can be kept at once."""
        return self.selection.jointly_largest

    def mean_times(self, z: np.ndarray) -> np.ndarray:
        """Return E[S] z, shape (dim,)."""
        mean: np.ndarray = self.selection.keep * z
        return mean

    def pair_moments(self) -> np.ndarray:
        """Return the matrix of E[c_i c_j], shape (dim, dim)."""
        return np.outer(self.selection.keep, self.selection.keep) * self.selection.pair_moments()

    def sparse_moment(self, H: SparseCurvature) -> SparseCurvature:
        """Return E[SᵀHS]."""
        return self.selection.sparse_moment(H.between(self.selection.keep))

    def mixed_moments(self, k: int) -> np.ndarray:
        """Return the matrix of E[c_i c_k² c_j], shape (dim, dim)."""
        keep = self.selection.keep
        return np.outer(keep, keep) * keep[k] ** 2 * self.selection.mixed_moments(k)

    @property
    def support_size(self) -> float:
        """The number of different masks."""
        return self.selection.support_size

    def values(self) -> tuple[np.ndarray, np.ndarray]:
        """Return all masks, shape (N, dim), and their probabilities."""
        diagonals, weights = self.selection.values()
        return (diagonals != 0).astype(float), weights


def _group_patterns(M: int, N: float) -> tuple[np.ndarray, np.ndarray]:
    if M == 1 and N < 1:
        return np.array([[False], [True]]), np.array([1 - N, N])
    subsets = np.array(list(combinations(range(M), int(N))), dtype=int)
    masks = np.zeros((len(subsets), M), dtype=bool)
    np.put_along_axis(masks, subsets, True, axis=1)
    return masks, np.full(len(subsets), 1 / len(subsets))
