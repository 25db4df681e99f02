"""Q: unbiased compression of a gradient; none, and linear by a sketch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from mastsim.backend import Array, asnumpy, namespace
from mastsim.readonly import ReadOnly
from mastsim.sketches import Sketch, sketch_names
from mastsim.sketches.laws import MomentOperators
from mastsim.validation import integer, shown


class Compressor(ReadOnly, ABC):
    """A law of random maps Q with E Q(g) = g and E‖Q(g)‖² ≤ (1+ω)‖g‖²; subclasses are frozen dataclasses.

    References
    ----------
    Khaled, Richtárik, arXiv 1909.04716, Definition 1 (ω); MAST, arXiv 2311.16086, Section 4 (compressed gradients).
    """

    noun = "compressor"
    example = "NaturalCompressor()"

    keyword: ClassVar[str] = ""
    """The compressor's name in a text such as ``dithering:4``; empty for compressors that cannot be written in one."""

    @classmethod
    def from_text(cls, argument: str, dim: int) -> Compressor:
        """Return the compressor of vectors of length `dim` that the text after ``keyword:`` names."""
        raise ValueError(f"{cls.__name__} cannot be named in a text; build it in Python")

    @classmethod
    def readers(cls) -> dict[str, Callable[[str, int], Compressor]]:
        """Return what reads the rest of a text, by the keyword that the text starts with."""
        return {cls.keyword: cls.from_text} if cls.keyword else {}

    linear: ClassVar[bool] = False
    """Whether every map Q is linear; exact moments need it. A subclass that changes anything must say it again."""

    @property
    @abstractmethod
    def name(self) -> str:
        """A short text that says which compressor this is."""

    @abstractmethod
    def law(self, dim: int) -> Any:
        """Return the law of Q on vectors of length `dim`.

        It takes `uniforms` uniform numbers a draw, and ``from_uniforms(u)`` returns maps with ``apply(g)`` for `g` of shape
        (replicas, dim) or (dim,), and ``take(index)``.
        """

    @abstractmethod
    def omega(self, dim: int) -> float:
        """Return ω for vectors of length `dim`."""

    def moment_operators(self, dim: int) -> MomentOperators | None:
        """Return the moments of Q as of a sketch, or None where Q does nothing; only known for diagonal sketches."""
        raise ValueError(f"no closed moments are known for compression by {self.name}: it is not a sketch")

    def sharp_omega(self, dim: int) -> float:
        """Return the smallest valid ω this package has a proof of, at most `omega`."""
        return self.omega(dim)


@dataclass(frozen=True)
class Uncompressed(Compressor):
    """Q(g) = g.

    Examples
    --------
    >>> Uncompressed().law(3).uniforms, Uncompressed().omega(3)
    (0, 0.0)
    """

    keyword = "none"
    linear = True

    @classmethod
    def from_text(cls, argument: str, dim: int) -> Uncompressed:
        """Return the identity map; it takes no argument."""
        if argument:
            raise ValueError(f"compression 'none:{argument}' is not accepted: none takes no argument")
        return cls()

    @property
    def name(self) -> str:
        """The word ``uncompressed``."""
        return "uncompressed"

    def law(self, dim: int) -> UnchangedLaw:
        """Return the law with one value, the identity map."""
        return UnchangedLaw(integer("dim", dim, 1))

    def moment_operators(self, dim: int) -> None:
        """Return None: nothing is done."""

    def omega(self, dim: int) -> float:
        """Return 0."""
        integer("dim", dim, 1)
        return 0.0


@dataclass(frozen=True, eq=False)
class UnchangedBatch:
    """One identity map per replica.

    Parameters
    ----------
    replicas : int
        How many.
    """

    replicas: int

    def apply(self, g: Array) -> Array:
        """Return g for every replica; `g` has shape (replicas, dim) or (dim,)."""
        return namespace(g).broadcast_to(g, (self.replicas, g.shape[-1]))

    def take(self, index: Array) -> UnchangedBatch:
        """Return the replicas that `index` lists."""
        return UnchangedBatch(int(np.empty(self.replicas)[asnumpy(index)].size))


@dataclass(frozen=True)
class UnchangedLaw:
    """The law of the identity map: it takes no random numbers.

    Parameters
    ----------
    dim : int
        Length of the vectors.
    """

    dim: int
    uniforms: int = 0
    support_size: float = 1.0

    def from_uniforms(self, u: Array) -> UnchangedBatch:
        """Return one identity map per row of `u`, shape (replicas, 0)."""
        return UnchangedBatch(u.shape[0])

    def support(self) -> tuple[UnchangedBatch, np.ndarray]:
        """Return the one value and its probability."""
        return UnchangedBatch(1), np.ones(1)


@dataclass(frozen=True, eq=False)
class SketchCompressor(Compressor):
    """Q(g) = Sg with a fresh unbiased sketch, for example Rand-K of the gradient.

    Parameters
    ----------
    sketch : Sketch
        Any sketch with E[S] = I.

    Raises
    ------
    TypeError
        If `sketch` is not a sketch.
    ValueError
        If it is biased.

    References
    ----------
    MAST, arXiv 2311.16086, Assumption 1: E‖Sg‖² = gᵀE[SᵀS]g ≤ L_D‖g‖², attained by a leading eigenvector.

    Examples
    --------
    >>> from mastsim.sketches import RandK
    >>> SketchCompressor(RandK(4, k=1)).omega(4)
    3.0
    """

    linear = True

    sketch: Sketch

    @classmethod
    def readers(cls) -> dict[str, Callable[[str, int], Compressor]]:
        """Return one reader for each sketch that has a name: ``randk:0.1`` is compression by that sketch."""
        return {name: partial(cls._named, family) for name, family in sketch_names().items()}

    @classmethod
    def _named(cls, family: type[Sketch], argument: str, dim: int) -> SketchCompressor:
        """Return compression by the sketch of a family that the text after its keyword names."""
        return cls(family.from_text(argument, dim))

    def __post_init__(self) -> None:
        if not isinstance(self.sketch, Sketch):
            raise TypeError(f"sketch={shown(self.sketch)} is not accepted: it must be a sketch such as RandK(dim, k)")
        if not self.sketch.unbiased:
            raise ValueError(f"sketch={self.sketch.name} is not accepted: a compressor must satisfy E[S] = I")

    @property
    def name(self) -> str:
        """The name of the sketch."""
        return self.sketch.name

    def law(self, dim: int) -> Sketch:
        """Return the sketch itself, refusing another dimension."""
        if integer("dim", dim, 1) != self.sketch.dim:
            raise ValueError(f"dim={dim} is not accepted: {self.name} compresses vectors of length {self.sketch.dim}")
        return self.sketch

    def moment_operators(self, dim: int) -> MomentOperators:
        """Return the moments of the sketch, refusing one that is not diagonal."""
        if not self.law(dim).law.symmetric:
            raise ValueError(f"no closed moments are known for compression by {self.name}: it is not diagonal")
        return self.sketch.moment_operators(np.eye(dim))

    def omega(self, dim: int) -> float:
        """Return L_D − 1."""
        return self.law(dim).L_D - 1
