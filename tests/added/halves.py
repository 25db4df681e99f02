"""A mask that keeps one of two halves."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mastsim.sketches.laws import Selection
from mastsim.sketches.selection import SelectionSketch


@dataclass(frozen=True)
class Halves(SelectionSketch):
    """One of two interleaved halves of the coordinates kept, times two."""

    dim: int
    keyword = "halves"

    @classmethod
    def from_text(cls, argument, dim):
        return cls(dim)

    @classmethod
    def examples(cls, dim):
        return [cls(dim)]

    @property
    def name(self):
        return f"halves of {self.dim}"

    @cached_property
    def law(self):
        labels = np.arange(self.dim) % 2 if self.dim > 1 else np.zeros(1, int)
        units = int(labels.max()) + 1
        return Selection(labels, np.zeros(units, int), np.array([units]), np.array([1.0]))
