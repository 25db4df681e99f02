"""Rand-K sketch: exactly K coordinates kept, uniformly."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from mastsim.sketches.laws import Selection
from mastsim.sketches.selection import SelectionSketch
from mastsim.validation import integer, keep_fraction, number


@dataclass(frozen=True)
class RandK(SelectionSketch):
    """Uniform mask of exactly `k` of `dim` coordinates, scaled by d/K.

    Parameters
    ----------
    dim : int
        Dimension d, at least 1.
    k : int
        Number of kept coordinates K, from 1 to `dim`.

    Raises
    ------
    ValueError
        If `k` is not an integer from 1 to `dim`.

    References
    ----------
    MAST, arXiv 2311.16086, Section 2 (random sparsification, Rand-K).

    Examples
    --------
    >>> S = RandK(4, k=2)
    >>> S.L_D, S.L_max
    (2.0, 4.0)
    """

    dim: int
    k: int

    keyword: ClassVar[str] = "randk"
    form: ClassVar[str] = "randk:KEEP, for example randk:0.1"

    @classmethod
    def from_text(cls, argument: str, dim: int) -> RandK:
        """Return the sketch that ``randk:KEEP`` names, with K = KEEP · dim rounded to an integer from 1 to `dim`."""
        keep = keep_fraction("keep", number("randk keep fraction", argument, cls.form))
        return cls(dim, k=max(1, round(float(keep) * dim)))

    @classmethod
    def examples(cls, dim: int) -> list[RandK]:
        """Return all members."""
        return [cls(dim, k) for k in range(1, dim + 1)]

    def __post_init__(self) -> None:
        object.__setattr__(self, "dim", integer("dim", self.dim, 1))
        object.__setattr__(self, "k", integer("k", self.k, 1, self.dim))

    @property
    def name(self) -> str:
        """For example ``Rand-12 of 123``."""
        return f"Rand-{self.k} of {self.dim}"

    @cached_property
    def law(self) -> Selection:
        """The law of the kept set: one group of all coordinates."""
        each = np.arange(self.dim)
        return Selection(each, np.zeros(self.dim, dtype=int), np.array([self.dim]), np.array([float(self.k)]))
