"""Counter-based uniform numbers inside kernels, with the bits of `mastsim.backend.Streams`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mastsim.backend import PURPOSES
from mastsim.compilation import njit, uint64


class Key(NamedTuple):
    """What a stream's numbers depend on besides step and replica.

    Parameters
    ----------
    low, high : uint64
        The halves of the seed.
    stream : uint64
        The number of the purpose.
    """

    low: np.uint64
    high: np.uint64
    stream: np.uint64


def key_of(seed: int, purpose: str) -> Key:
    """Return the key of a purpose's stream.

    Parameters
    ----------
    seed : int
        From 0 to 2**64 − 1.
    purpose : str
        One of `mastsim.backend.PURPOSES`.

    Examples
    --------
    >>> int(key_of(1 << 32, "sketch").high)
    1
    """
    return Key(np.uint64(seed & 0xFFFFFFFF), np.uint64(seed >> 32), np.uint64(PURPOSES.index(purpose)))


@njit(forceinline=True)
def _mixed(c0, c1, c2, c3, k0, k1):
    """Return the counter after one round."""
    word = uint64(0xFFFFFFFF)
    half = uint64(32)
    p0, p1 = c0 * uint64(0xD2511F53), c2 * uint64(0xCD9E8D57)
    return (p1 >> half) ^ c1 ^ k0, p1 & word, (p0 >> half) ^ c3 ^ k1, p0 & word


@njit(forceinline=True)
def room(count):
    """Return how many numbers are written when `count` are asked for."""
    return 16 * ((count + 15) // 16)


@njit(forceinline=True)
def fill_uniforms(key, step, replica, count, out):
    """Write the first `count` numbers of a stream into `out`, which must have room for `room(count)`."""
    word = uint64(0xFFFFFFFF)
    weyl0, weyl1 = uint64(0x9E3779B9), uint64(0xBB67AE85)
    t, r = uint64(step) & word, uint64(replica)
    # Beyond 32 bits the step goes on in the word of the purpose.
    stream = key.stream + ((uint64(step) >> uint64(32)) << uint64(8))
    # Whole vectors of eight blocks: a remainder in scalars would take longer than all of them.
    for block in range(room(count) // 2):
        c0, c1, c2, c3 = uint64(block), t, r, stream
        k0, k1 = key.low, key.high
        for _ in range(10):
            c0, c1, c2, c3 = _mixed(c0, c1, c2, c3, k0, k1)
            k0, k1 = (k0 + weyl0) & word, (k1 + weyl1) & word
        out[2 * block] = _unit(c0, c1)
        out[2 * block + 1] = _unit(c2, c3)


@njit(forceinline=True)
def _unit(a, b):
    """Return the number in [0, 1) that the leading 53 of 64 bits stand for."""
    return float((a >> uint64(5)) * uint64(67108864) + (b >> uint64(6))) * (1.0 / 9007199254740992.0)
