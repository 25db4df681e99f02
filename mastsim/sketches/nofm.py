"""N:M sketch: N of every M consecutive coordinates kept, as semi-structured sparsity on accelerators does."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from mastsim.sketches.arguments import whole_numbers
from mastsim.sketches.laws import Selection
from mastsim.sketches.selection import SelectionSketch
from mastsim.validation import integer


@dataclass(frozen=True)
class NofM(SelectionSketch):
    """Uniform mask of exactly `n` of every `m` consecutive coordinates, scaled by m/n.

    Parameters
    ----------
    dim : int
        Dimension d, a multiple of `m`.
    n : int
        Number of kept coordinates in each group, from 1 to `m`.
    m : int
        Size of a group, from 1 to `dim`.

    Raises
    ------
    ValueError
        If `n` or `m` is out of range or `dim` is not a multiple of `m`.

    References
    ----------
    This package; the pattern is that of Zhou et al., Learning N:M fine-grained structured sparse neural networks from
    scratch, arXiv 2102.04010, drawn at random and scaled so that E[S] = I.

    Examples
    --------
    >>> S = NofM(8, n=2, m=4)
    >>> S.L_D, S.L_max, S.support_size
    (2.0, 4.0, 36.0)
    """

    dim: int
    n: int
    m: int

    keyword: ClassVar[str] = "nofm"
    form: ClassVar[str] = "nofm:N:M, for example nofm:2:4"

    @classmethod
    def from_text(cls, argument: str, dim: int) -> NofM:
        """Return the sketch that ``nofm:N:M`` names."""
        n, m = whole_numbers(argument, cls.form)
        return cls(dim, n, m)

    @classmethod
    def examples(cls, dim: int) -> list[NofM]:
        """Return all members."""
        return [cls(dim, n, m) for m in range(1, dim + 1) if dim % m == 0 for n in range(1, m + 1)]

    def __post_init__(self) -> None:
        object.__setattr__(self, "dim", integer("dim", self.dim, 1))
        object.__setattr__(self, "m", integer("m", self.m, 1, self.dim))
        object.__setattr__(self, "n", integer("n", self.n, 1, self.m))
        if self.dim % self.m:
            raise ValueError(f"dim={self.dim} is not accepted: an N:M sketch needs a multiple of m={self.m}")

    @property
    def name(self) -> str:
        """For example ``2:4 of 128``."""
        return f"{self.n}:{self.m} of {self.dim}"

    @cached_property
    def law(self) -> Selection:
        """The law of the kept set: one group for every `m` consecutive coordinates."""
        each, groups = np.arange(self.dim), self.dim // self.m
        return Selection(each, each // self.m, np.full(groups, self.m), np.full(groups, float(self.n)))
