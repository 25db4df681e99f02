"""Exponential sums of scalars of Rand-K: each node with as few Bernoulli laws as its share of the error allows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mastsim.expected.mixtures import MOST_GROWTH, MOST_TERMS, bounds, mixture
from mastsim.problems import ExponentialSum
from mastsim.simd import LANES

_BENT = 10.0
"""Nodes above it count in second derivatives more than in first ones."""


@dataclass(frozen=True, eq=False)
class Mixed:
    """An exponential sum whose expectation under Rand-K is a sum over independent laws.

    Parameters
    ----------
    frequencies : ndarray, shape (pairs,)
        t of each pair of a node and a law; pairs fill tiles of LANES, the last of which may not be full.
    weights, keep : ndarray of complex, shape (pairs,)
        Weight of the node times that of the law, and the law's chance of keeping an entry.
    value, slope : float
        Bounds on the errors of the expectation of the sum and of E[sum' c].
    sizes : tuple of three floats
        What the rounding of the sum, its slope and its second derivative is relative to.
    """

    frequencies: np.ndarray
    weights: np.ndarray
    keep: np.ndarray
    value: float
    slope: float
    sizes: tuple[float, float, float]

    @property
    def padded_keep(self) -> np.ndarray:
        """`keep`, filled up to whole tiles."""
        return np.append(self.keep, np.zeros(-len(self.keep) % LANES))


@lru_cache(maxsize=256)
def mix(found: ExponentialSum, kept: int, units: int, terms: int, accuracy: float, crowded: bool = True) -> Mixed | None:
    """Return the mixtures for a sum, or None where states of the subset are fewer, or no mixture is accurate.

    Parameters
    ----------
    found : ExponentialSum
        The sum.
    kept, units : int
        K of d.
    terms : int
        The most entries of a row.
    accuracy : float
        The largest error of a value, relative to 1 + reach; ten times that for slopes.
    crowded : bool, default True
        Whether the reach of the sum covers only as many entries of a row as can be kept at once, or all of one sign.
    """
    t, weights = found.frequencies[found.weights != 0], found.weights[found.weights != 0]
    # A sum that is accurate everywhere says nothing of how large rows are, on which the bounds and the accuracy rest.
    if found.rate or math.isinf(found.reach) or not len(t) or not 1 <= terms <= MOST_TERMS or not 0 < kept < units:
        return None
    # What is covered adds up to the reach at most, on either side of an offset within it.
    covered = max(1.0, terms / kept) if crowded else 1.0
    limits = bounds(kept, units, terms, 2 * covered * t * found.reach)
    size, share = np.abs(weights), accuracy * (1 + found.reach) / len(t)
    good = (size * limits.value <= share) & (size * t * limits.slope <= 10 * share)
    good &= size * t * np.minimum(t / _BENT, 1.0) * limits.slope <= 10 * share
    # Rounding that grows counts little at nodes of little weight.
    good &= (limits.growth <= MOST_GROWTH) | (size * limits.growth <= size.max())
    if not good.any(axis=0).all():
        return None
    count = good.argmax(axis=0) + 1
    if count.mean() > min(terms, kept) + 1:
        return None
    at = count - 1, np.arange(len(t))
    growth = limits.growth[at]
    return Mixed(
        *_tiles(t, weights, count, kept, units),
        value=float(size @ limits.value[at]),
        slope=float((size * t) @ limits.slope[at]),
        sizes=tuple(float((size * t**k) @ growth) for k in range(3)),  # type: ignore[arg-type]
    )


def _tiles(
    t: np.ndarray, weights: np.ndarray, count: np.ndarray, kept: int, units: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return frequencies, weights and keeps of all pairs, those first that share the phases of whole tiles of nodes."""
    order = np.argsort(-count, kind="stable")
    nodes, laws, rest = [], [], []
    for first in range(0, len(t), LANES):
        tile = order[first : first + LANES]
        shared = count[tile].min() if len(tile) == LANES else 0
        nodes += [tile] * shared
        laws += [np.full(LANES, law) for law in range(shared)]
        rest += [(k, law) for k in tile for law in range(shared, count[k])]
    if rest:
        nodes.append(np.array([k for k, _ in rest]))
        laws.append(np.array([law for _, law in rest]))
    node, law = np.concatenate(nodes), np.concatenate(laws)
    parts = {n: mixture(kept, units, int(n)) for n in np.unique(count)}
    q, w = (np.array([parts[count[k]][part][one] for k, one in zip(node, law, strict=True)]) for part in (0, 1))
    return t[node], weights[node] * w, q
