"""Kept coordinates of a diagonal sketch, drawn inside kernels as `mastsim.sketches.selection` draws them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mastsim.compilation import int64, njit, uint64
from mastsim.kernels.philox import room
from mastsim.simd import lowest_bit
from mastsim.sketches.laws import Selection


class Mask(NamedTuple):
    """The law of the kept coordinates, as kernels read it.

    Parameters
    ----------
    independent : bool
        Whether every unit has a coin of its own; otherwise each group keeps a uniform subset of its units.
    singles : bool
        Whether every unit is one coordinate, of the same number.
    first : ndarray of int, shape (groups,)
        The first unit of each group.
    members : ndarray of int, shape (groups,)
        The number of units of each group.
    kept : ndarray of float, shape (groups,)
        How many units are kept, or the probability that the only one is.
    starts : ndarray of int, shape (units + 1,)
        Where the coordinates of each unit begin in `coordinates`.
    coordinates : ndarray of int, shape (dim,)
        The coordinates, unit by unit.
    scale : ndarray, shape (dim,)
        1/keep.
    uniforms : int
        How many uniform numbers one draw takes.
    keep : float
        The mean share of kept coordinates.
    """

    independent: bool
    singles: bool
    first: np.ndarray
    members: np.ndarray
    kept: np.ndarray
    starts: np.ndarray
    coordinates: np.ndarray
    scale: np.ndarray
    uniforms: int
    keep: float


def mask_of(selection: Selection, dtype: type) -> Mask:
    """Return a selection's law as kernels read it, with scales of the given type.

    Parameters
    ----------
    selection : Selection
        The law.
    dtype : type
        ``numpy.float64`` or ``numpy.float32``.

    Examples
    --------
    >>> import mastsim as ms
    >>> mask_of(ms.RandK(4, k=2).law, np.float64).scale
    array([2., 2., 2., 2.])
    """
    members = selection.members.astype(np.int64)
    sizes = np.bincount(selection.unit, minlength=len(selection.group))
    return Mask(
        independent=selection.independent,
        singles=bool((selection.unit == np.arange(len(selection.unit))).all()),
        first=(np.cumsum(members) - members).astype(np.uint64),
        members=members,
        kept=selection.kept.astype(float),
        starts=np.concatenate([[0], np.cumsum(sizes)]).astype(np.uint64),
        coordinates=np.argsort(selection.unit, kind="stable").astype(np.uint64),
        scale=_scale(selection.keep, dtype),
        uniforms=len(members) if selection.independent else int(selection.kept.sum()),
        keep=float(selection.keep.mean()),
    )


def _scale(keep: np.ndarray, dtype: type) -> np.ndarray:
    with np.errstate(over="ignore"):
        return (1 / keep).astype(dtype)


class MaskScratch(NamedTuple):
    """What drawing a mask writes into.

    Parameters
    ----------
    u : ndarray, shape (room(uniforms),)
        Uniform numbers.
    order : ndarray of int, shape (units,)
        The units in order, which every draw leaves as it was.
    picks : ndarray of int, shape (uniforms,)
        Where a draw changed the order.
    kept : ndarray of int, shape (dim + 1,)
        The kept coordinates.
    """

    u: np.ndarray
    order: np.ndarray
    picks: np.ndarray
    kept: np.ndarray


@njit(inner=True, makes_arrays=True)
def mask_scratch(mask):
    """Return scratch for one thread."""
    order = np.empty(mask.starts.size - 1, np.uint64)
    for unit in range(order.size):
        order[unit] = unit
    return MaskScratch(
        np.empty(room(mask.uniforms)),
        order,
        np.empty(mask.uniforms, np.uint64),
        np.empty(mask.coordinates.size + 1, np.uint64),
    )


@njit(forceinline=True)
def draw_mask(mask, scratch):
    """Write the kept coordinates that the uniform numbers stand for, and return how many there are."""
    return _draw_coins(mask, scratch) if mask.independent else _draw_subsets(mask, scratch)


@njit(forceinline=True)
def _draw_coins(mask, scratch):
    count = 0
    for unit in range(mask.kept.size):
        heads = scratch.u[unit] < mask.kept[unit]
        for place in range(mask.starts[unit], mask.starts[unit + 1]):
            # No branch: the next coordinate overwrites one that was not kept.
            scratch.kept[count] = mask.coordinates[place]
            count += heads
    return count


@njit(forceinline=True)
def _draw_subsets(mask, scratch):
    # A partial Fisher-Yates shuffle of each group; afterwards the order is put back for the next draw.
    used, count, one = uint64(0), uint64(0), uint64(1)
    order, picks = scratch.order, scratch.picks
    for group in range(uint64(mask.members.size)):
        first, left = mask.first[group], float(mask.members[group])
        for here in range(first, first + uint64(mask.kept[group])):
            pick = here + uint64(scratch.u[used] * left)
            chosen = order[pick]
            order[pick] = order[here]
            picks[used] = pick
            used += one
            left -= 1.0
            if mask.singles:
                scratch.kept[count] = chosen
                count += one
            else:
                for place in range(mask.starts[chosen], mask.starts[chosen + one]):
                    scratch.kept[count] = mask.coordinates[place]
                    count += one
    for i in range(used):
        order[picks[i]] = picks[i]
    return int64(count)


@njit(inner=True, makes_arrays=True)
def ordering_scratch(dim):
    """Return the bits that `put_in_order` writes into, none of them set."""
    return np.zeros(dim // 64 + 1, np.uint64)


@njit(forceinline=True)
def put_in_order(kept, count, bits):
    """Sort the kept coordinates; ``bits`` holds one a coordinate, and none is set before and after."""
    for a in range(count):
        j = kept[a]
        bits[j >> uint64(6)] |= uint64(1) << (j & uint64(63))
    found = 0
    for w in range(bits.size):
        word = bits[w]
        bits[w] = 0
        while word != 0:
            kept[found] = uint64(64 * w) + lowest_bit(word)
            found += 1
            word &= word - uint64(1)
