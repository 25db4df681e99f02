"""Identity sketch: no sparsification."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from mastsim.sketches.laws import Selection
from mastsim.sketches.selection import SelectionSketch
from mastsim.validation import integer


@dataclass(frozen=True)
class Identity(SelectionSketch):
    """S = I: the MAST problem is then min f itself.

    Parameters
    ----------
    dim : int
        Dimension d, at least 1.

    Raises
    ------
    ValueError
        If `dim` is below 1.

    Examples
    --------
    >>> Identity(3).L_max
    1.0
    """

    dim: int

    keyword: ClassVar[str] = "identity"

    @classmethod
    def from_text(cls, argument: str, dim: int) -> Identity:
        """Return the identity; it takes no argument."""
        if argument:
            raise ValueError(f"sketch 'identity:{argument}' is not accepted: identity takes no argument")
        return cls(dim)

    @classmethod
    def examples(cls, dim: int) -> list[Identity]:
        """Return the only member."""
        return [cls(dim)]

    def __post_init__(self) -> None:
        object.__setattr__(self, "dim", integer("dim", self.dim, 1))

    @property
    def name(self) -> str:
        """The word ``identity``."""
        return "identity"

    @cached_property
    def law(self) -> Selection:
        """The law of the kept set: all coordinates, as one unit that is always kept."""
        whole = np.zeros(self.dim, dtype=int)
        return Selection(whole, np.zeros(1, dtype=int), np.ones(1, dtype=int), np.ones(1))
