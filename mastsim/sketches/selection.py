"""Diagonal sketches that keep or drop units of coordinates, drawn from their law."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from mastsim.backend import Array, columns_at, namespace, put
from mastsim.sketches.base import Sketch
from mastsim.sketches.batches import DiagonalBatch
from mastsim.sketches.laws import Selection


class SelectionSketch(Sketch):
    """A sketch whose law is a `Selection`; subclasses only say which."""

    example = "RandK(dim, k=3)"

    @property
    @abstractmethod
    def law(self) -> Selection:
        """The law of the kept set."""

    @property
    def uniforms(self) -> int:
        """One uniform number per independent unit, or per kept unit of a subset."""
        s = self.law
        return len(s.members) if s.independent else int(s.kept.sum())

    def from_uniforms(self, u: Array) -> DiagonalBatch:
        """Return one sketch per row of `u`, shape (replicas, uniforms)."""
        s = self.law
        mask = _independent_mask(s, u) if s.independent else _subset_mask(s, u)
        xp = namespace(u)
        return DiagonalBatch(xp.astype(columns_at(mask, s.unit), xp.float64) * xp.asarray(1 / s.keep))


def _independent_mask(s: Selection, u: Array) -> Array:
    return u < namespace(u).asarray(s.kept)


def _subset_mask(s: Selection, u: Array) -> Array:
    # Partial Fisher-Yates in all groups at once: position i of a group's list is swapped with a uniform one at or after it.
    xp = namespace(u)
    members, kept = s.members.astype(int), s.kept.astype(int)
    first, used = np.cumsum(members) - members, np.cumsum(kept) - kept
    replicas = xp.arange(u.shape[0])[:, None]
    order = xp.broadcast_to(xp.arange(len(s.group)), (u.shape[0], len(s.group)))
    order = xp.asarray(order, copy=True)
    mask = xp.zeros(order.shape, dtype=xp.bool)
    for i in range(int(kept.max())):
        groups = np.flatnonzero(kept > i)
        here = xp.asarray(first[groups] + i)
        left = xp.asarray((members[groups] - i).astype(float))
        pick = here + xp.astype(xp.floor(columns_at(u, used[groups] + i) * left), xp.int64)
        chosen = order[replicas, pick]
        order = put(order, replicas, pick, columns_at(order, first[groups] + i))
        mask = put(mask, replicas, chosen, True)
    return mask
