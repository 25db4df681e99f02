"""Which coordinates are kept together: units of coordinates, groups of units, and the chances of subsets.

The coordinates are partitioned into *units* (kept or dropped as a whole) and the units into *groups*. Within a group either
a uniform subset of N of its M units is kept, or (M = 1) its single unit is kept with some probability; groups are
independent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
from scipy.special import gammaln

from mastsim.sketches.laws.diagonal import DiagonalLaw


@dataclass(frozen=True, eq=False)
class KeptSets(DiagonalLaw):
    """Which coordinates are kept together, and with what probability; they are multiplied by 1/keep.

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
    dim: int = field(init=False)

    extreme: ClassVar[str] = "when everything is kept"

    def __post_init__(self) -> None:
        object.__setattr__(self, "dim", len(self.unit))
        super().__post_init__()

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

    def inclusion(self, count: int) -> np.ndarray:
        """Return the probability that `count` different units of a group are all kept, shape (groups,).

        It is N(N−1)…/(M(M−1)…) with `count` factors, and 0 where a group has fewer units.
        """
        taken = np.arange(count)[:, None]
        return np.prod(np.maximum(self.kept - taken, 0) / np.maximum(self.members - taken, 1), axis=0)
