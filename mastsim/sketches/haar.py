"""Haar sketch: projection on a uniformly random subspace."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from mastsim.backend import Array, namespace
from mastsim.sketches.arguments import whole_numbers
from mastsim.sketches.base import Sketch
from mastsim.sketches.batches import SketchBatch
from mastsim.sketches.laws import RandomProjection
from mastsim.sketches.thin_factors import FactorBatch, normal_uniforms, normals
from mastsim.validation import integer


@dataclass(frozen=True)
class Haar(Sketch):
    """S = (d/k)·UUᵀ with U uniform among the d × k matrices with orthonormal columns.

    Parameters
    ----------
    dim : int
        Dimension d, at least 1.
    k : int
        Dimension of the subspace, from 1 to `dim`; S is the identity when they are equal.

    Raises
    ------
    ValueError
        If `k` is not an integer from 1 to `dim`.

    References
    ----------
    This package.

    Examples
    --------
    >>> S = Haar(4, k=2)
    >>> S.L_D, S.L_max
    (2.0, 4.0)
    """

    dim: int
    k: int

    keyword: ClassVar[str] = "haar"
    form: ClassVar[str] = "haar:K, for example haar:12"

    @classmethod
    def from_text(cls, argument: str, dim: int) -> Haar:
        """Return the sketch that ``haar:K`` names."""
        (k,) = whole_numbers(argument, cls.form)
        return cls(dim, k)

    @classmethod
    def examples(cls, dim: int) -> list[Haar]:
        """Return all members."""
        return [cls(dim, k) for k in range(1, dim + 1)]

    def __post_init__(self) -> None:
        object.__setattr__(self, "dim", integer("dim", self.dim, 1))
        object.__setattr__(self, "k", integer("k", self.k, 1, self.dim))

    @property
    def name(self) -> str:
        """For example ``Haar-12 of 123``."""
        return f"Haar-{self.k} of {self.dim}"

    @cached_property
    def law(self) -> RandomProjection:
        """That of d/k times the projection on a uniformly random subspace."""
        return RandomProjection(self.dim, self.k)

    @property
    def uniforms(self) -> int:
        """As many as d·k normal numbers take, two for each pair."""
        return normal_uniforms(self.dim * self.k)

    def from_uniforms(self, u: Array) -> SketchBatch:
        """Return one sketch per row of `u`, shape (replicas, uniforms), by a QR factorisation of a normal matrix."""
        xp = namespace(u)
        if self.k == self.dim:
            return FactorBatch(xp.broadcast_to(xp.eye(self.dim), (u.shape[0], self.dim, self.dim)), 1.0)
        return FactorBatch(xp.linalg.qr(normals(u, (self.dim, self.k)))[0], self.law.scale)
