"""Masks without the factor 1/keep: DropConnect as it is often coded, which no theorem covers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mastsim.backend import Array, namespace
from mastsim.memory import check_square
from mastsim.sketches.base import DiagonalBatch, Sketch
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

    @property
    def unbiased(self) -> bool:
        """True only when everything is kept."""
        return bool((self._keep == 1).all())

    @property
    def _keep(self) -> np.ndarray:
        return self.sketch.selection.keep

    @property
    def L_max(self) -> float:
        """Masks have norm one."""
        return 1.0

    @property
    def L_D(self) -> float:
        """λ_max(E[SᵀS]) = max keep."""
        return float(self._keep.max())

    @property
    def mu_D(self) -> float:
        """λ_min(E[SᵀS]) = min keep."""
        return float(self._keep.min())

    def second_moment(self) -> np.ndarray:
        """Return E[SᵀS] = Diag(keep), shape (dim, dim)."""
        check_square(f"the second moment of {self.name}", self.dim, change="use a sketch of fewer dimensions")
        return np.diag(self._keep)

    def quadratic_moment(self, A: np.ndarray) -> np.ndarray:
        """Return E[SᵀAS], shape (dim, dim)."""
        return self._keep[:, None] * self.sketch.quadratic_moment(A) * self._keep

    @property
    def uniforms(self) -> int:
        """As many as the scaled sketch takes."""
        return self.sketch.uniforms

    def from_uniforms(self, u: Array) -> DiagonalBatch:
        """Return one mask per row of `u`."""
        xp = namespace(u)
        return DiagonalBatch(xp.astype(self.sketch.from_uniforms(u).diagonals != 0, xp.float64))

    @property
    def support_size(self) -> float:
        """The number of different masks."""
        return self.sketch.support_size

    def _enumerate(self) -> tuple[DiagonalBatch, np.ndarray]:
        batch, weights = self.sketch.support()
        return DiagonalBatch((batch.apply(np.ones(self.dim)) != 0).astype(float)), weights
