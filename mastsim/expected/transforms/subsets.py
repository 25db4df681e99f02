"""The law of groups that belong to uniform subsets, as its kernel takes it.

The growth exp(sigma u) is taken out of the chain so that the kept set where it is greatest, the main set, has factor 1 and
all others less: exp(-tilt) per kept entry leaves only the main set's entries above 1, what they have above 1 is divided out,
and the last entry of the group, where the number kept is known, puts the tilts back.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mastsim.expected.transforms.arguments import Groups, Rows, integers, pointers


class Subsets(NamedTuple):
    """The fields of :class:`Groups`, and per group the tilt and the size of the main set."""

    row_group_ptr: np.ndarray
    group_ptr: np.ndarray
    units: np.ndarray
    kept: np.ndarray
    tilt: np.ndarray
    main: np.ndarray


def make_subsets(groups: Groups, rows: Rows, sigma: np.ndarray) -> Subsets:
    """Check and convert the groups of rows whose sums have the real parts ``sigma``, shape (n,)."""
    group_ptr = pointers("group_ptr", groups.group_ptr, rows.theta.size)
    row_group_ptr = pointers("row_group_ptr", groups.row_group_ptr, group_ptr.size - 1)
    if not np.array_equal(group_ptr[row_group_ptr], rows.indptr):
        raise ValueError("the groups of a row must hold exactly the entries of that row")
    units, kept = (integers(name, getattr(groups, name), group_ptr.size - 1) for name in ("units", "kept"))
    if np.any((kept < 0) | (kept > units) | (np.diff(group_ptr) > units)):
        raise ValueError("a group must keep from 0 to all of its units, and hold no more entries than units")
    growth = np.repeat(sigma, np.diff(rows.indptr)) * rows.theta
    return Subsets(row_group_ptr, group_ptr, units, kept, *_tilts(growth, group_ptr, units, kept))


def _tilts(growth: np.ndarray, group_ptr: np.ndarray, units: np.ndarray, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a number between the growths of the entries in the main set of each group and of the others, and its size."""
    # The main set holds the entries that grow, or the nearest number of them that the group can keep.
    length = np.diff(group_ptr)
    tilt, main = np.zeros(length.size), np.zeros(length.size, dtype=np.int64)
    if not growth.any():
        return tilt, main
    group = np.repeat(np.arange(length.size), length)
    descending = growth[np.lexsort((-growth, group))]
    grows = np.bincount(group[growth > 0], minlength=length.size)
    main = np.clip(grows, np.maximum(0, kept - (units - length)), np.minimum(length, kept))
    short = main != grows
    tilt[short] = descending[(group_ptr[:-1] + np.maximum(main, 1) - 1)[short]]
    return tilt, main
