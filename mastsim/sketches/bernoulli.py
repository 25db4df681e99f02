"""Bernoulli sketch: every coordinate kept on its own coin."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from mastsim.readonly import frozen
from mastsim.sketches.laws import Selection
from mastsim.sketches.selection import SelectionSketch
from mastsim.validation import integer, keep_fraction, number


@dataclass(frozen=True, eq=False)
class Bernoulli(SelectionSketch):
    """Independent mask S = Diag(b_i / p_i) with P(b_i = 1) = p_i.

    Parameters
    ----------
    dim : int
        Dimension d, at least 1.
    keep : float or array of float, shape (dim,)
        The probabilities p_i, in (0, 1].

    Raises
    ------
    ValueError
        If a keep fraction is outside (0, 1] or their number is not `dim`.

    References
    ----------
    MAST, arXiv 2311.16086, Section 2 (Bernoulli independent sparsification).

    Examples
    --------
    >>> S = Bernoulli(3, keep=0.5)
    >>> S.L_D, S.L_max
    (2.0, 4.0)
    """

    dim: int
    keep: float | np.ndarray

    keyword: ClassVar[str] = "bernoulli"
    form: ClassVar[str] = "bernoulli:KEEP, for example bernoulli:0.3"

    @classmethod
    def from_text(cls, argument: str, dim: int) -> Bernoulli:
        """Return the sketch that ``bernoulli:KEEP`` names."""
        return cls(dim, keep=number("bernoulli keep fraction", argument, cls.form))

    def __post_init__(self) -> None:
        object.__setattr__(self, "dim", integer("dim", self.dim, 1))
        keep = keep_fraction("keep", self.keep)
        if keep.shape not in ((), (self.dim,)):
            raise ValueError(f"keep has shape {keep.shape}, but it must be a number or a vector of length {self.dim}")
        object.__setattr__(self, "keep", float(keep) if keep.ndim == 0 else frozen(keep, copy=False))

    @property
    def name(self) -> str:
        """For example ``Bernoulli(0.5)``."""
        if isinstance(self.keep, float):
            return f"Bernoulli({self.keep:g})"
        return f"Bernoulli({self.keep.min():g}..{self.keep.max():g})"

    @cached_property
    def law(self) -> Selection:
        """The law of the kept set: one group per coordinate."""
        each = np.arange(self.dim)
        return Selection(each, each, np.ones(self.dim, dtype=int), np.broadcast_to(self.keep, (self.dim,)).astype(float))
