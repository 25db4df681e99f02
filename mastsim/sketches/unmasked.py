"""Masks that leave the last coordinates alone, as an intercept wants it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from mastsim.sketches.base import Sketch
from mastsim.sketches.laws import Selection
from mastsim.sketches.permk import PermK
from mastsim.sketches.randk import RandK
from mastsim.sketches.selection import SelectionSketch
from mastsim.validation import instance, integer


@dataclass(frozen=True, eq=False)
class Unmasked(SelectionSketch):
    """A mask on all coordinates but the last few, which are always kept: S = Diag(S', I).

    Parameters
    ----------
    sketch : SelectionSketch
        The mask S' on the first coordinates, such as ``RandK`` or ``Bernoulli``.
    count : int, default 1
        How many coordinates at the end are never masked, at least 1.

    Raises
    ------
    TypeError
        If `sketch` does not keep or drop coordinates, or is a `PermK`.
    ValueError
        If `count` is below 1.

    References
    ----------
    This package.

    Examples
    --------
    >>> S = Unmasked(RandK(4, k=2))
    >>> S.dim, S.mu_D, S.L_D, S.support_size
    (5, 1.0, 2.0, 6.0)
    """

    sketch: SelectionSketch
    count: int = 1
    dim: int = field(init=False)

    def __post_init__(self) -> None:
        instance("sketch", self.sketch, SelectionSketch)
        if isinstance(self.sketch, PermK):
            raise TypeError(f"sketch={self.sketch.name} is not accepted: its masks are dealt out to clients together")
        object.__setattr__(self, "count", integer("count", self.count, 1))
        object.__setattr__(self, "dim", self.sketch.dim + self.count)

    @classmethod
    def examples(cls, dim: int) -> Sequence[Sketch]:
        """Return the subsets beside a coordinate that is never masked."""
        return [cls(RandK(dim - 1, k)) for k in range(1, dim)]

    @property
    def name(self) -> str:
        """For example ``Rand-2 of 4, the last of 5 unmasked``."""
        return f"{self.sketch.name}, the last{'' if self.count == 1 else f' {self.count}'} of {self.dim} unmasked"

    @cached_property
    def law(self) -> Selection:
        """That of the mask, with one more unit, always kept, for each coordinate at the end."""
        s, more = self.sketch.law, np.arange(self.count)
        return Selection(
            np.concatenate([s.unit, len(s.group) + more]),
            np.concatenate([s.group, len(s.members) + more]),
            np.concatenate([s.members, np.ones(self.count, dtype=s.members.dtype)]),
            np.concatenate([s.kept, np.ones(self.count)]),
        )
