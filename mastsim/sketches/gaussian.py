"""Gaussian sketch: a Wishart matrix of mean one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from mastsim.backend import Array
from mastsim.sketches.arguments import whole_numbers
from mastsim.sketches.base import Sketch
from mastsim.sketches.batches import SketchBatch
from mastsim.sketches.laws import Wishart
from mastsim.sketches.thin_factors import FactorBatch, normal_uniforms, normals
from mastsim.validation import integer


@dataclass(frozen=True)
class Gaussian(Sketch):
    """S = GᵀG/k with G a k × d matrix of independent standard normal numbers.

    S is unbounded: `L_max` is infinite, and theorems that need it refuse.

    Parameters
    ----------
    dim : int
        Dimension d, at least 1.
    k : int
        Number of rows of G, at least 1; it may exceed `dim`.

    Raises
    ------
    ValueError
        If `k` is below 1.

    References
    ----------
    This package.

    Examples
    --------
    >>> S = Gaussian(3, k=2)
    >>> S.L_D, S.L_max
    (3.0, inf)
    """

    dim: int
    k: int

    keyword: ClassVar[str] = "gaussian"
    form: ClassVar[str] = "gaussian:K, for example gaussian:12"

    @classmethod
    def from_text(cls, argument: str, dim: int) -> Gaussian:
        """Return the sketch that ``gaussian:K`` names."""
        (k,) = whole_numbers(argument, cls.form)
        return cls(dim, k)

    @classmethod
    def examples(cls, dim: int) -> list[Gaussian]:
        """Return the members with up to dim + 2 rows."""
        return [cls(dim, k) for k in range(1, dim + 3)]

    def __post_init__(self) -> None:
        object.__setattr__(self, "dim", integer("dim", self.dim, 1))
        object.__setattr__(self, "k", integer("k", self.k, 1))

    @property
    def name(self) -> str:
        """For example ``Gaussian-12 in dimension 123``."""
        return f"Gaussian-{self.k} in dimension {self.dim}"

    @cached_property
    def law(self) -> Wishart:
        """That of a Wishart matrix divided by k."""
        return Wishart(self.dim, self.k)

    @property
    def uniforms(self) -> int:
        """As many as d·k normal numbers take, two for each pair."""
        return normal_uniforms(self.dim * self.k)

    def from_uniforms(self, u: Array) -> SketchBatch:
        """Return one sketch per row of `u`, shape (replicas, uniforms)."""
        return FactorBatch(normals(u, (self.dim, self.k)), 1 / self.k)
