"""Weights of the set partitions in the moments of diagonal sketches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mastsim.sketches.laws.kept_sets import KeptSets


@dataclass(frozen=True, eq=False)
class Weights:
    """The weights of the partitions, one number a coordinate, constant within each unit.

    Parameters
    ----------
    none, pair, triple : ndarray, shape (dim,)
        Weights of the partition into single indices, and of those with one pair or one triple that shares a unit.
    quadruple : ndarray, shape (dim,), optional
        Weight of all four indices in one unit; left out for three factors.
    left, right : ndarray, shape (dim,), optional
        The weight of two pairs in units b and c is left_b·right_c; left out for three factors.
    """

    none: np.ndarray
    pair: np.ndarray
    triple: np.ndarray
    quadruple: np.ndarray | None = None
    left: np.ndarray | None = None
    right: np.ndarray | None = None


def partition_weights(selection: KeptSets, factors: int, dim: int) -> Weights:
    """Return the weights of E[∏c] over `factors` coordinates of a single group of exchangeable units."""
    s = 1 / selection.keep
    e = {u: s**factors * float(selection.inclusion(u)[0]) for u in range(1, factors + 1)}
    if factors == 2:
        return Weights(e[2], e[1] - e[2], np.zeros(dim))
    if factors == 3:
        return Weights(e[3], e[2] - e[3], e[1] - 3 * e[2] + 2 * e[3])
    return moebius(e[4], e[3], e[2], e[2], e[1])


def moebius(apart: np.ndarray, pair: np.ndarray, pairs: np.ndarray, triple: np.ndarray, all_: np.ndarray) -> Weights:
    """Return the weights of four exchangeable factors from the tensor's values by pattern of equal units."""
    w2 = pair - apart
    w22, w3 = pairs - apart - 2 * w2, triple - apart - 3 * w2
    return Weights(apart, w2, w3, all_ - apart - 6 * w2 - 3 * w22 - 4 * w3, w22, np.ones_like(w22))
