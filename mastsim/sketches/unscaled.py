"""Masks without the factor 1/keep: DropConnect as it is often coded, which no theorem covers."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from mastsim.backend import Array, namespace
from mastsim.sketches.base import Sketch
from mastsim.sketches.batches import DiagonalBatch
from mastsim.sketches.laws.selection import Masked
from mastsim.sketches.selection import SelectionSketch
from mastsim.validation import shown


@dataclass(frozen=True, eq=False)
class Unscaled(Sketch):
    """The mask of a selection sketch with the scaling 1/keep left out, so that E[S] = Diag(keep).

    It can be simulated; every theorem refuses it, because E[S] differs from the identity.

    Parameters
    ----------
    sketch : SelectionSketch
        The sketch whose mask is used, for example `Bernoulli` or `RandK`.

    Raises
    ------
    TypeError
        If `sketch` is not a selection sketch.

    Examples
    --------
    >>> import mastsim as ms
    >>> ms.Unscaled(ms.RandK(4, k=1)).unbiased
    False
    """

    sketch: SelectionSketch
    dim: int = field(init=False)

    def __post_init__(self) -> None:
        if not isinstance(self.sketch, SelectionSketch):
            raise TypeError(f"sketch={shown(self.sketch)} is not accepted: it must be a mask such as Bernoulli or RandK")
        object.__setattr__(self, "dim", self.sketch.dim)

    @property
    def name(self) -> str:
        """For example ``unscaled Rand-1 of 4``."""
        return f"unscaled {self.sketch.name}"

    @cached_property
    def law(self) -> Masked:
        """That of the mask alone."""
        return Masked(self.sketch.law)

    @property
    def uniforms(self) -> int:
        """As many as the scaled sketch takes."""
        return self.sketch.uniforms

    def from_uniforms(self, u: Array) -> DiagonalBatch:
        """Return one mask per row of `u`."""
        xp = namespace(u)
        return DiagonalBatch(xp.astype(self.sketch.from_uniforms(u).diagonals != 0, xp.float64))
