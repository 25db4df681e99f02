"""The scratch memory of one row: a flat buffer of doubles and where its parts are."""

from __future__ import annotations

from itertools import accumulate
from typing import NamedTuple

import numpy as np

from mastsim.compilation import njit
from mastsim.expected.transforms.simd import LANES, PAIR


class Scratch(NamedTuple):
    """Order and sizes of a call, and where the parts of the buffer start, in doubles.

    Attributes
    ----------
    order
        0, 1 or 2 derivatives.
    states
        The most states of a chain.
    slot, level
        Distance from state to state, each a value and at order 2 its tangent, and from entry to entry; the level is 0 at
        order 0, where no history is kept.
    theta, scale
        One number per entry: theta, and the factor of the kept branch.
    nodes
        The imaginary parts of the nodes of the tile.
    odds
        Probabilities of the chain: per entry that of dropping it (independent), per entry and state those of dropping and
        of keeping it (subset).
    factor
        ``scale * exp(1j t theta)`` for the nodes t of the tile, per entry.
    prefix, suffix
        The chain from the left, per entry and state, and from the right, per state.
    lanes
        Running sums: first and second derivative per entry, then the value.
    size
        Length of the buffer.
    """

    order: int
    states: int
    slot: int
    level: int
    theta: int
    scale: int
    nodes: int
    odds: int
    factor: int
    prefix: int
    suffix: int
    lanes: int
    size: int


def lay_out(order: int, width: int, states: int) -> Scratch:
    """Lay out the scratch of rows of at most ``width`` entries; every part starts on a whole vector."""
    padded = (width + LANES) // LANES * LANES
    slot = 2 * PAIR if order == 2 else PAIR
    level = slot * states if order > 0 else 0
    parts = {
        "theta": padded,
        "scale": padded,
        "nodes": PAIR,
        "odds": 2 * states * padded,
        "factor": PAIR * padded,
        "prefix": level * width + slot * states,
        "suffix": slot * (states + 1),
        "lanes": PAIR * (width + 1),
    }
    *starts, size = accumulate(parts.values(), initial=0)
    return Scratch(order, states, slot, level, size=size, **dict(zip(parts, starts, strict=True)))


@njit(inner=True, makes_arrays=True)
def allocate(size: int) -> np.ndarray:
    """Allocate ``size`` doubles on a 64-byte boundary: a vector that straddles two cache lines costs double."""
    block = np.empty(size + LANES)
    skip = (-(block.ctypes.data // 8)) % LANES
    return block[skip : skip + size]
