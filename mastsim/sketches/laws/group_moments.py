"""Diagonal sketches of several independent groups of exchangeable units, such as N:M."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mastsim.sketches.laws.base import MomentOperators
from mastsim.sketches.laws.kept_sets import KeptSets
from mastsim.sketches.laws.unit_moments import four_index, three_index
from mastsim.sketches.laws.units import Units, crossing, units_of
from mastsim.sketches.laws.weights import Weights, moebius


@dataclass(frozen=True, eq=False)
class GroupOperators(MomentOperators):
    """The operators from the joint cumulants of c, which vanish between groups.

    E[c_i c_k c_l c_j] is the sum over the set partitions of {i, k, l, j} of products of joint cumulants of the parts. Those
    of two are the covariance V = E[ccᵀ] − 11ᵀ; those of three and four are exchangeable within a group.

    Parameters
    ----------
    law, matrix
        As for `MomentOperators`.
    selection : Selection
        The law of the kept set.
    """

    selection: KeptSets

    @cached_property
    def _units(self) -> Units:
        return units_of(self.selection.unit)

    @cached_property
    def _groups(self) -> Units:
        return units_of(self.selection.group[self.selection.unit])

    @cached_property
    def _mask(self) -> np.ndarray:
        group = self._groups.labels
        return (group[:, None] == group).astype(float)

    @cached_property
    def _covariance(self) -> np.ndarray:
        return self.selection.moment_mask() - 1

    @cached_property
    def _cumulants(self) -> tuple[Weights, Weights, Weights]:
        return group_cumulants(self.selection)

    def curvature2(self, M: np.ndarray) -> np.ndarray:
        """Return E[HMH], shape (dim, dim)."""
        A, V, G = self.matrix, self._covariance, self._mask
        AM, MA, VA = A @ M, M @ A, V * A
        total = self.mixed(M) @ A
        total += (AM + VA @ M) @ VA
        total += A @ (V * MA + self._triple(M, A))
        total += V * ((AM + A @ (V * M)) @ A)
        total += self._triple(A, MA) + self._triple(AM, A) + self._crossing(M)
        return total + four_index(A * G, M * G, self._units, self._cumulants[2])

    def mixed(self, M: np.ndarray) -> np.ndarray:
        """Return E[HMS], shape (dim, dim)."""
        A, V = self.matrix, self._covariance
        AM = A @ M
        return AM + (V * A) @ M + A @ (V * M) + V * AM + self._triple(A, M)

    def plain(self, M: np.ndarray) -> np.ndarray:
        """Return E[SMS], shape (dim, dim)."""
        return M + self._covariance * M

    def _triple(self, X: np.ndarray, Y: np.ndarray) -> np.ndarray:
        return three_index(X * self._mask, Y * self._mask, self._units, self._cumulants[1])

    def _crossing(self, M: np.ndarray) -> np.ndarray:
        w = self._cumulants[0]
        levels = (self._groups, w.none), (self._units, w.pair)
        pairs = ((p, x, q, y) for p, x in levels for q, y in levels)
        return sum((x[:, None] * crossing(p, q, self.matrix, M) * y for p, x, q, y in pairs), np.zeros(1))


def group_cumulants(selection: KeptSets) -> tuple[Weights, Weights, Weights]:
    """Return the weights of the joint cumulants of two, three and four factors of one group, per coordinate."""
    moment, members = _moments(selection)
    a, b = moment[2, 1], moment[2, 2]
    two_apart, two_same = b - 1, a - 1
    c1, c2, c3 = (moment[3, u] for u in (1, 2, 3))
    three = c3 - 3 * b + 2, c2 - a - 2 * b + 2, c1 - 3 * a + 2
    d1, d2, d3, d4 = (moment[4, u] for u in (1, 2, 3, 4))
    apart = d4 - 4 * c3 - 3 * b**2 + 12 * b - 6
    pair = d3 - 2 * (c2 + c3) - a * b - 2 * b**2 + 2 * a + 10 * b - 6
    pairs = d2 - 4 * c2 - a**2 - 2 * b**2 + 4 * a + 8 * b - 6
    triple = d2 - c1 - 3 * c2 - 3 * a * b + 6 * (a + b) - 6
    same = d1 - 4 * c1 - 3 * a**2 + 12 * a - 6

    def possible(units: int, value: np.ndarray) -> np.ndarray:
        return np.where(members >= units, value, 0.0)

    x0, x1, x2 = (possible(u, value) for u, value in zip((3, 2, 1), three, strict=True))
    y0 = possible(2, two_apart)
    four = moebius(possible(4, apart), possible(3, pair), possible(2, pairs), possible(2, triple), same)
    return Weights(y0, two_same - y0, np.zeros_like(y0)), Weights(x0, x1 - x0, x2 - 3 * x1 + 2 * x0), four


def _moments(selection: KeptSets) -> tuple[dict[tuple[int, int], np.ndarray], np.ndarray]:
    # E[∏c] of n factors in u different units of a group, and the number of units of each coordinate's group.
    group, s = selection.group[selection.unit], 1 / selection.keep
    inclusion = {u: selection.inclusion(u)[group] for u in (1, 2, 3, 4)}
    moment = {(n, u): s**n * inclusion[u] for n in (2, 3, 4) for u in range(1, n + 1)}
    return moment, selection.members[group]
