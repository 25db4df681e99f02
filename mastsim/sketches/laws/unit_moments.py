"""Diagonal sketches that multiply whole units: independent units, or one group of exchangeable units.

E[c_i c_k c_l c_j] is a sum over the 15 set partitions of {i, k, l, j} of a weight times the indicator that the indices in
each part are in one unit; with three factors there are five partitions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mastsim.sketches.laws.base import Law, MomentOperators
from mastsim.sketches.laws.kept_sets import KeptSets
from mastsim.sketches.laws.units import Part, Units, crossing, units_of
from mastsim.sketches.laws.weights import Weights, partition_weights


def three_index(A: np.ndarray, M: np.ndarray, units: Units, w: Weights) -> np.ndarray:
    """Return Σ_k A_ik M_kj e(i, k, j) for the three-index tensor e with the given weights."""
    return _three(A, M, A @ M, units, w)


def _three(A: np.ndarray, M: np.ndarray, AM: np.ndarray, units: Units, w: Weights) -> np.ndarray:
    a, m = units.part(A), units.part(M)
    total = w.none[:, None] * AM
    total += units.left(units.scale(w.pair, a), M)
    total += units.right(A, units.scale(w.pair, m))
    own = units.total(units.scale(w.pair, units.part(AM)), units.scale(w.triple, units.both(a, m)))
    return units.add(total, own)


def four_index(A: np.ndarray, M: np.ndarray, units: Units, w: Weights) -> np.ndarray:
    """Return Σ_kl A_ik M_kl A_lj e(i, k, l, j) for the four-index tensor e with the given weights."""
    assert w.left is not None
    assert w.right is not None
    AM = A @ M
    a, m, ma = units.part(A), units.part(M), units.part_of_product(M, A)
    # Where j is in no part with others, what is left is the three-index sum over i, k, l.
    total = _three(A, M, AM, units, w) @ A
    total += units.right(AM, units.scale(w.pair, a))
    total += units.right(A, units.total(units.scale(w.pair, ma), units.scale(w.triple, units.both(m, a))))
    total += units.left(units.scale(w.left, a), units.right(M, units.scale(w.right, a)))
    total += w.left[:, None] * crossing(units, units, A, M) * w.right
    return units.add(total, _within(A, M, AM, ma, units, w))


def _within(A: np.ndarray, M: np.ndarray, AM: np.ndarray, ma: Part, units: Units, w: Weights) -> Part:
    a, m = units.part(A), units.part(M)
    assert w.quadruple is not None
    assert w.left is not None
    assert w.right is not None
    return units.total(
        units.scale(w.pair, units.part_of_product(AM, A)),
        units.scale(w.left, units.part_of_product(units.right(A, units.scale(w.right, m)), A)),
        units.scale(w.triple, units.total(units.both(a, ma), units.both(units.part(AM), a))),
        units.scale(w.quadruple, units.both(units.both(a, m), a)),
    )


@dataclass(frozen=True, eq=False)
class UnitOperators(MomentOperators):
    """The operators of S = Diag(scale ∘ c), where c has the moments that the weights say.

    Parameters
    ----------
    law, matrix
        As for `MomentOperators`.
    units : Units
        The units of coordinates.
    four, three, two : Weights
        The weights of E[c_i c_k c_l c_j], E[c_i c_k c_j] and E[c_i c_j].
    scale : ndarray, shape (dim,)
        E[c]; the weights belong to c divided by it.
    """

    units: Units
    four: Weights
    three: Weights
    two: Weights
    scale: np.ndarray

    @cached_property
    def _scaled(self) -> np.ndarray:
        return self.scale[:, None] * self.matrix * self.scale

    def curvature2(self, M: np.ndarray) -> np.ndarray:
        """Return E[HMH], shape (dim, dim)."""
        return four_index(self._scaled, M, self.units, self.four)

    def mixed(self, M: np.ndarray) -> np.ndarray:
        """Return E[HMS], shape (dim, dim)."""
        return three_index(self._scaled, M * self.scale, self.units, self.three)

    def plain(self, M: np.ndarray) -> np.ndarray:
        """Return E[SMS], shape (dim, dim)."""
        scaled = self.scale[:, None] * M * self.scale
        own = self.units.scale(self.two.pair, self.units.part(scaled))
        return self.units.add(self.two.none[:, None] * scaled, own)


def independent_units(
    law: Law, A: np.ndarray, labels: np.ndarray, mean: np.ndarray, cumulants: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> UnitOperators:
    """Return the operators of a diagonal law whose units are independent, from the cumulants of their factors."""
    one = np.ones(law.dim)
    second, third, fourth = cumulants
    three = Weights(one, second, third)
    four = Weights(one, second, third, fourth, second, second)
    return UnitOperators(law, A, units_of(labels), four, three, three, mean)


def exchangeable_units(law: KeptSets, A: np.ndarray) -> UnitOperators:
    """Return the operators of a law that keeps a uniform subset, of fixed size, of all its units."""
    e4, e3, e2 = (partition_weights(law, factors, law.dim) for factors in (4, 3, 2))
    return UnitOperators(law, A, units_of(law.unit), e4, e3, e2, np.ones(law.dim))
