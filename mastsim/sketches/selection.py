"""Diagonal sketches that keep or drop units of coordinates: one law for Bernoulli, Rand-K and their relatives.

The coordinates are partitioned into *units* (kept or dropped as a whole) and the units into *groups*. Within a group either
a uniform subset of N of its M units is kept, or (M = 1) its single unit is kept with some probability; groups are
independent. Kept coordinates are multiplied by 1/keep, so that E[S] = I.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
from scipy.special import gammaln

from mastsim.backend import Array, columns_at, namespace, put
from mastsim.memory import check_room, check_square
from mastsim.provenance import Constant
from mastsim.readonly import ReadOnly
from mastsim.sketches.base import DiagonalBatch, Sketch
from mastsim.sketches.fourth_moment import selection_fourth_moment
from mastsim.sketches.law import ScalarLaw
from mastsim.validation import vector


@dataclass(frozen=True, eq=False)
class Selection(ReadOnly):
    """Which coordinates are kept together, and with what probability.

    Parameters
    ----------
    unit : ndarray of int, shape (dim,)
        The unit of each coordinate, numbered from 0; units of one group are numbered consecutively.
    group : ndarray of int, shape (units,)
        The group of each unit, non-decreasing.
    members : ndarray of int, shape (groups,)
        M, the number of units in each group.
    kept : ndarray of float, shape (groups,)
        N, the number of units kept; for M = 1 the probability of keeping, in (0, 1].
    """

    unit: np.ndarray
    group: np.ndarray
    members: np.ndarray
    kept: np.ndarray

    @cached_property
    def keep(self) -> np.ndarray:
        """The probability that a coordinate is kept, shape (dim,)."""
        return (self.kept / self.members)[self.group[self.unit]]

    @cached_property
    def independent(self) -> bool:
        """Whether all units are kept independently of each other."""
        return bool((self.members == 1).all())

    @cached_property
    def pair(self) -> np.ndarray:
        """E[c_i c_j] for two coordinates in different units of one group, shape (groups,)."""
        M, N = self.members, self.kept
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(M > 1, M * (N - 1) / (N * (M - 1)), 1.0)

    def moment_mask(self) -> np.ndarray:
        """Return C with C_ij = E[c_i c_j], shape (dim, dim)."""
        group = self.group[self.unit]
        C = np.where(group[:, None] == group[None, :], self.pair[group][:, None], 1.0)
        same = self.unit[:, None] == self.unit[None, :]
        return np.where(same, (1 / self.keep)[:, None], C)

    @cached_property
    def patterns(self) -> float:
        """The number of different kept sets, exact up to 2**20 at least; infinite when it overflows."""
        M, N = self.members, self.kept
        logarithm = float(np.where(N < 1, math.log(2), gammaln(M + 1) - gammaln(N + 1) - gammaln(M - N + 1)).sum())
        if logarithm > 30:
            return math.exp(logarithm) if logarithm < 709 else math.inf
        return float(math.prod(2 if n < 1 else math.comb(m, int(n)) for m, n in zip(M.tolist(), N.tolist(), strict=True)))


class SelectionSketch(Sketch):
    """A diagonal sketch given by a `Selection`; subclasses only say which."""

    @property
    @abstractmethod
    def selection(self) -> Selection:
        """The law of the kept set."""

    @property
    def is_diagonal(self) -> bool:
        """True."""
        return True

    @property
    def L_max(self) -> float:
        """L_S^max = max 1/keep²."""
        return float((1 / self.selection.keep**2).max())

    @property
    def L_D(self) -> float:
        """λ_max(E[SᵀS]) = max 1/keep."""
        return float((1 / self.selection.keep).max())

    @property
    def mu_D(self) -> float:
        """λ_min(E[SᵀS]) = min 1/keep."""
        return float((1 / self.selection.keep).min())

    def second_moment(self) -> np.ndarray:
        """Return E[SᵀS] = Diag(1/keep), shape (dim, dim)."""
        check_square(f"the second moment of {self.name}", self.dim, change="use a sketch of fewer dimensions")
        return np.diag(1 / self.selection.keep)

    def quadratic_moment(self, A: np.ndarray) -> np.ndarray:
        """Return E[SᵀAS] = C ∘ A with C_ij = E[c_i c_j], shape (dim, dim)."""
        return self.selection.moment_mask() * self.check_matrix(A)

    def fourth_moment(self, A: np.ndarray) -> np.ndarray:
        """Return E[SᵀASSᵀAS], shape (dim, dim), in closed form."""
        return selection_fourth_moment(self.selection, self.check_matrix(A))

    def supremum_curvature(self, A: np.ndarray) -> Constant:
        """Return sup_S λ_max(SᵀAS) for a positive semidefinite `A`.

        Exact when all units can be kept at once (then that pattern attains it) or the patterns can be enumerated; otherwise
        the smaller of L_S^max·λ_max(A) and the largest trace of SᵀAS.
        """
        A, s = self.check_matrix(A), self.selection
        scale = 1 / s.keep
        if s.independent:
            top = float(np.linalg.eigvalsh(scale[:, None] * A * scale)[-1])
            return Constant(top, "exact", "attained when everything is kept")
        bound = super().supremum_curvature(A)
        if bound.kind == "exact":
            return bound
        weight = np.bincount(s.unit, weights=np.diag(A) * scale**2, minlength=len(s.group))
        trace = sum(float(np.sort(weight[s.group == g])[-round(N) :].sum()) for g, N in enumerate(s.kept))
        return min(bound, Constant(trace, "upper", "largest trace of SᵀLS"))

    @property
    def uniforms(self) -> int:
        """One uniform number per independent unit, or per kept unit of a subset."""
        s = self.selection
        return len(s.members) if s.independent else int(s.kept.sum())

    def from_uniforms(self, u: Array) -> DiagonalBatch:
        """Return one sketch per row of `u`, shape (replicas, uniforms)."""
        s = self.selection
        mask = _independent_mask(s, u) if s.independent else _subset_mask(s, u)
        xp = namespace(u)
        return DiagonalBatch(xp.astype(columns_at(mask, s.unit), xp.float64) * xp.asarray(1 / s.keep))

    @property
    def support_size(self) -> float:
        """The number of different kept sets."""
        return self.selection.patterns

    def _enumerate(self) -> tuple[DiagonalBatch, np.ndarray]:
        check_room(
            f"the support of {self.name}", self.support_size, self.dim, change="sample the sketch instead", itemsize=32
        )
        s = self.selection
        masks, weights = np.zeros((1, 0), dtype=bool), np.ones(1)
        for M, N in zip(s.members.astype(int), s.kept, strict=True):
            own, chance = _group_patterns(M, N)
            masks = np.concatenate([np.repeat(masks, len(own), axis=0), np.tile(own, (len(masks), 1))], axis=1)
            weights = np.repeat(weights, len(own)) * np.tile(chance, len(weights))
        return DiagonalBatch(masks[:, s.unit] / s.keep), weights

    def projection(self, a: Array, z: Array) -> ScalarLaw:
        """Return the law of the scalar aᵀSz.

        Parameters
        ----------
        a, z : array, shape (dim,)
            The two vectors.

        Returns
        -------
        ScalarLaw
            With mean, variance, characteristic and moment generating functions, and support.
        """
        s = self.selection
        terms = vector("a", a, self.dim) * vector("z", z, self.dim) / s.keep
        theta = np.bincount(s.unit, weights=terms, minlength=len(s.group))
        return ScalarLaw(theta, s.group, s.members, s.kept)


def _independent_mask(s: Selection, u: Array) -> Array:
    return u < namespace(u).asarray(s.kept)


def _subset_mask(s: Selection, u: Array) -> Array:
    # Partial Fisher-Yates in all groups at once: position i of a group's list is swapped with a uniform one at or after it.
    xp = namespace(u)
    members, kept = s.members.astype(int), s.kept.astype(int)
    first, used = np.cumsum(members) - members, np.cumsum(kept) - kept
    replicas = xp.arange(u.shape[0])[:, None]
    order = xp.broadcast_to(xp.arange(len(s.group)), (u.shape[0], len(s.group)))
    order = xp.asarray(order, copy=True)
    mask = xp.zeros(order.shape, dtype=xp.bool)
    for i in range(int(kept.max())):
        groups = np.flatnonzero(kept > i)
        here = xp.asarray(first[groups] + i)
        left = xp.asarray((members[groups] - i).astype(float))
        pick = here + xp.astype(xp.floor(columns_at(u, used[groups] + i) * left), xp.int64)
        chosen = order[replicas, pick]
        order = put(order, replicas, pick, columns_at(order, first[groups] + i))
        mask = put(mask, replicas, chosen, True)
    return mask


def _group_patterns(M: int, N: float) -> tuple[np.ndarray, np.ndarray]:
    if M == 1 and N < 1:
        return np.array([[False], [True]]), np.array([1 - N, N])
    subsets = np.array(list(combinations(range(M), int(N))), dtype=int)
    masks = np.zeros((len(subsets), M), dtype=bool)
    np.put_along_axis(masks, subsets, True, axis=1)
    return masks, np.full(len(subsets), 1 / len(subsets))
