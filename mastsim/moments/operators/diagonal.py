"""Diagonal sketches that multiply whole units: independent units, or one group of exchangeable units.

E[c_i c_k c_l c_j] is a sum over the 15 set partitions of {i, k, l, j} of a weight times the indicator that the indices in
each part are in one unit; with three factors there are five partitions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mastsim.moments.operators.base import MomentOperators
from mastsim.moments.operators.units import Part, Units, crossing, units_of
from mastsim.moments.operators.weights import Weights, partition_weights
from mastsim.sketches import IndependentDiagonal, SelectionSketch


def three_index(A: np.ndarray, M: np.ndarray, units: Units, w: Weights) -> np.ndarray:
    """Return Σ_k A_ik M_kj e(i, k, j) for the three-index tensor e with the given weights.

    Parameters
    ----------
    A, M : ndarray, shape (dim, dim)
        Any matrices.
    units : Units
        The partition of the coordinates.
    w : Weights
        Those of three factors.

    Returns
    -------
    ndarray, shape (dim, dim)
        The contraction, by five terms of O(dim³) at most.

    Examples
    --------
    >>> one, zero = np.ones(2), np.zeros(2)
    >>> three_index(np.eye(2), np.eye(2), units_of(np.arange(2)), Weights(one, one, zero))
    array([[4., 0.],
           [0., 4.]])
    """
    return _three(A, M, A @ M, units, w)


def _three(A: np.ndarray, M: np.ndarray, AM: np.ndarray, units: Units, w: Weights) -> np.ndarray:
    a, m = units.part(A), units.part(M)
    total = w.none[:, None] * AM
    total += units.left(units.scale(w.pair, a), M)
    total += units.right(A, units.scale(w.pair, m))
    own = units.total(units.scale(w.pair, units.part(AM)), units.scale(w.triple, units.both(a, m)))
    return units.add(total, own)


def four_index(A: np.ndarray, M: np.ndarray, units: Units, w: Weights) -> np.ndarray:
    """Return Σ_kl A_ik M_kl A_lj e(i, k, l, j) for the four-index tensor e with the given weights.

    Parameters
    ----------
    A, M : ndarray, shape (dim, dim)
        Any matrices.
    units : Units
        The partition of the coordinates.
    w : Weights
        Those of four factors.

    Returns
    -------
    ndarray, shape (dim, dim)
        The contraction, by fifteen terms of O(dim³) at most, two of them dense products.

    Examples
    --------
    >>> one, zero = np.ones(2), np.zeros(2)
    >>> four_index(np.eye(2), np.eye(2), units_of(np.arange(2)), Weights(one, zero, zero, one, zero, zero))
    array([[2., 0.],
           [0., 2.]])
    """
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
    sketch, matrix
        As for `MomentOperators`.
    units : Units
        The units of coordinates.
    four, three, two : Weights
        The weights of E[c_i c_k c_l c_j], E[c_i c_k c_j] and E[c_i c_j].
    scale : ndarray, shape (dim,)
        E[c] of the sketch; the weights belong to c divided by it.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> independent_units(ms.Bernoulli(1, 0.5), np.array([[3.0]])).curvature2(np.array([[1.0]]))
    array([[72.]])
    """

    units: Units
    four: Weights
    three: Weights
    two: Weights
    scale: np.ndarray

    @cached_property
    def _scaled(self) -> np.ndarray:
        return self.scale[:, None] * self.matrix * self.scale

    @cached_property
    def mean(self) -> np.ndarray:
        """H_D = E[H], shape (dim, dim)."""
        # Not from the sketch, which takes E[c] = 1 where it is 1 up to its tolerance only.
        return self.plain(self.matrix)

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


def independent_units(sketch: SelectionSketch | IndependentDiagonal, A: np.ndarray) -> UnitOperators:
    """Return the operators of a diagonal sketch whose units are independent, from the cumulants of their factors.

    Parameters
    ----------
    sketch : SelectionSketch or IndependentDiagonal
        Its units must be independent.
    A : ndarray, shape (dim, dim)
        The symmetric matrix.

    Returns
    -------
    UnitOperators
        With cumulants that involve no cancellation for selections.

    Examples
    --------
    >>> import mastsim as ms
    >>> independent_units(ms.Bernoulli(2, 0.5), np.eye(2)).plain(np.ones((2, 2)))
    array([[2., 1.],
           [1., 2.]])
    """
    one = np.ones(sketch.dim)
    if isinstance(sketch, IndependentDiagonal):
        labels, mean = np.arange(sketch.dim), sketch.moments[1]
        shifted = sketch.values / mean[:, None] - 1
        second, third, fourth = ((sketch.weights * shifted**n).sum(axis=1) for n in (2, 3, 4))
        fourth = fourth - 3 * second**2
    else:
        labels, mean, p = sketch.selection.unit, one, sketch.selection.keep
        q = 1 - p
        second, third, fourth = q / p, q * (1 - 2 * p) / p**2, q * (1 - 6 * p * q) / p**3
    three = Weights(one, second, third)
    four = Weights(one, second, third, fourth, second, second)
    return UnitOperators(sketch, A, units_of(labels), four, three, three, mean)


def exchangeable_units(sketch: SelectionSketch, A: np.ndarray) -> UnitOperators:
    """Return the operators of a sketch that keeps a uniform subset, of fixed size, of all its units.

    Parameters
    ----------
    sketch : SelectionSketch
        With a single group of units.
    A : ndarray, shape (dim, dim)
        The symmetric matrix.

    Returns
    -------
    UnitOperators
        With weights from the inclusion probabilities.

    Examples
    --------
    >>> import mastsim as ms
    >>> exchangeable_units(ms.RandK(2, 1), np.eye(2)).curvature2(np.eye(2))
    array([[8., 0.],
           [0., 8.]])
    """
    selection = sketch.selection
    e4, e3, e2 = (partition_weights(selection, factors, sketch.dim) for factors in (4, 3, 2))
    return UnitOperators(sketch, A, units_of(selection.unit), e4, e3, e2, np.ones(sketch.dim))
