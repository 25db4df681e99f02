"""Compressors that round every coordinate at random: natural compression and dithering."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from mastsim.backend import Array, inner, namespace, power_of_two_below, rows_at
from mastsim.methods.compression import Compressor
from mastsim.validation import integer

_SMALLEST_NORMAL = 2.0**-1022


class Quantiser(Compressor):
    """A compressor that rounds every coordinate to one of its two neighbours on a grid, unbiasedly and independently."""

    def law(self, dim: int) -> QuantiserLaw:
        """Return the law: `dim` uniform numbers, one a coordinate."""
        return QuantiserLaw(self, integer("dim", dim, 1))

    @abstractmethod
    def round(self, g: Array, u: Array) -> Array:
        """Return Q(g) for gradients `g` and uniform numbers `u` that broadcast against each other."""

    @abstractmethod
    def variance(self, g: Array) -> Array:
        """Return E‖Q(g) − g‖² exactly, shape (replicas,), for `g` of shape (replicas, dim)."""


@dataclass(frozen=True, eq=False)
class QuantiserBatch:
    """Rounding of one vector per replica, with its uniform numbers.

    Parameters
    ----------
    quantiser : Quantiser
        Which rounding.
    u : array, shape (replicas, dim)
        A coordinate is rounded away from zero when its number is below the fraction it has passed.
    """

    quantiser: Quantiser
    u: Array

    def apply(self, g: Array) -> Array:
        """Return Q(g) for every replica; `g` has shape (replicas, dim) or (dim,)."""
        return self.quantiser.round(g, self.u)

    def take(self, index: Array) -> QuantiserBatch:
        """Return the replicas that `index` lists."""
        return QuantiserBatch(self.quantiser, rows_at(self.u, index))


@dataclass(frozen=True)
class QuantiserLaw:
    """The law of a quantiser; its values cannot be listed, since they depend on what is rounded.

    Parameters
    ----------
    quantiser : Quantiser
        Which rounding.
    dim : int
        Length of the vectors.
    """

    quantiser: Quantiser
    dim: int
    support_size: float = math.inf

    @property
    def uniforms(self) -> int:
        """One uniform number a coordinate."""
        return self.dim

    def from_uniforms(self, u: Array) -> QuantiserBatch:
        """Return one map per row of `u`, shape (replicas, dim), entries in [0, 1)."""
        return QuantiserBatch(self.quantiser, u)

    def support(self) -> tuple[QuantiserBatch, np.ndarray]:
        """Refuse."""
        raise ValueError(
            f"the values of {self.quantiser.name} depend on the gradient: they cannot be listed; sample it instead"
        )


@dataclass(frozen=True)
class NaturalCompressor(Quantiser):
    """Natural compression: every coordinate is rounded at random to a neighbouring power of two, sign kept.

    Zeros and powers of two stay as they are. ω = 1/8 in any dimension, attained by the coordinates 4/3·2^a.

    References
    ----------
    Horváth, Ho, Horváth, Sahu, Canini, Richtárik, Natural compression for distributed deep learning, arXiv 1905.10988,
    Theorem 1.

    Examples
    --------
    >>> float(NaturalCompressor().variance(np.array([[3.0, 4.0]]))[0])
    1.0
    """

    keyword = "natural"

    @classmethod
    def from_text(cls, argument: str, dim: int) -> NaturalCompressor:
        """Return natural compression; it takes no argument."""
        if argument:
            raise ValueError(f"compression 'natural:{argument}' is not accepted: natural takes no argument")
        return cls()

    @property
    def name(self) -> str:
        """The word ``natural``."""
        return "natural"

    def omega(self, dim: int) -> float:
        """Return 1/8."""
        integer("dim", dim, 1)
        return 0.125

    def round(self, g: Array, u: Array) -> Array:
        """Return ±2^a or ±2^(a+1) for 2^a ≤ |g_i| < 2^(a+1)."""
        xp = namespace(g, u)
        power, passed = _power_of_two(g, xp)
        return xp.sign(g) * power * (1.0 + xp.astype(u < passed, xp.float64))

    def variance(self, g: Array) -> Array:
        """Return Σ (|g_i| − 2^a)(2^(a+1) − |g_i|), shape (replicas,)."""
        power, passed = _power_of_two(g, namespace(g))
        return inner(power * passed, power * (1 - passed))


@dataclass(frozen=True)
class DitheringCompressor(Quantiser):
    """Random dithering: every |g_i| is rounded at random to a neighbouring multiple of ‖g‖/s, sign kept.

    Parameters
    ----------
    levels : int
        s ≥ 1, the number of levels above zero.

    Raises
    ------
    ValueError
        If `levels` is below 1.

    References
    ----------
    Alistarh, Grubic, Li, Tomioka, Vojnović, QSGD, NeurIPS 2017, arXiv 1610.02132, Lemma 3.1 (ω); this package (sharp ω).

    Examples
    --------
    >>> Q = DitheringCompressor(2)
    >>> Q.omega(64), Q.sharp_omega(64)
    (4.0, 3.0)
    """

    levels: int

    keyword = "dithering"

    @classmethod
    def from_text(cls, argument: str, dim: int) -> DitheringCompressor:
        """Return the compressor that ``dithering:LEVELS`` names."""
        if not argument.isdecimal():
            raise ValueError(f"levels={argument!r} is not accepted: write dithering:LEVELS, for example dithering:4")
        return cls(int(argument))

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", integer("levels", self.levels, 1))

    @property
    def name(self) -> str:
        """For example ``dithering(4)``."""
        return f"dithering({self.levels})"

    def omega(self, dim: int) -> float:
        """Return min(d/s², √d/s)."""
        ratio = math.sqrt(integer("dim", dim, 1)) / self.levels
        return min(ratio**2, ratio)

    def sharp_omega(self, dim: int) -> float:
        """Return √d/s − 1 for 2s ≤ √d, d/(4s²) beyond, and 0 for d = 1.

        A coordinate at y = s|g_i|/‖g‖ adds y(1−y) ≤ ¼ below 1 and at most ¼ above, which a concave function of y² majorises:
        √w − w up to w = ¼, then ¼; Jensen's inequality with Σy² = s² gives the bound. It is attained by equal coordinates in
        the first case, and by half-integer y in the second.
        """
        ratio = math.sqrt(integer("dim", dim, 1)) / self.levels
        if dim == 1:
            return 0.0
        return ratio - 1 if ratio >= 2 else ratio**2 / 4

    def round(self, g: Array, u: Array) -> Array:
        """Return ±‖g‖·(a multiple of 1/s)."""
        xp = namespace(g, u)
        largest, spacing, below, passed = self._grid(g, xp)
        return xp.sign(g) * largest * (spacing * (below + xp.astype(u < passed, xp.float64)))

    def variance(self, g: Array) -> Array:
        """Return (‖g‖/s)² Σ θ_i(1 − θ_i), θ_i the fractional part of s|g_i|/‖g‖, shape (replicas,)."""
        largest, spacing, _, passed = self._grid(g, namespace(g))
        return (largest * spacing)[..., 0] ** 2 * inner(passed, 1 - passed)

    def _grid(self, g: Array, xp: Any) -> tuple[Array, Array, Array, Array]:
        # Scaled by the largest entry, since squares of gradients beyond 1e±154 leave the range of floats.
        largest = xp.max(xp.abs(g), axis=-1, keepdims=True)
        share = xp.abs(g) / xp.where(largest > 0, largest, 1.0)
        norm = xp.sqrt(inner(share, share))[..., None]
        height = share / xp.where(norm > 0, norm, 1.0) * self.levels
        below = xp.floor(height)
        return largest, norm / self.levels, below, height - below


def _power_of_two(g: Array, xp: Any) -> tuple[Array, Array]:
    """Return the largest power of two at or below |g_i|, and the fraction passed on the way to the next, both exactly."""
    size = xp.abs(xp.astype(g, xp.float64))
    # Clearing the mantissa is exact where log2 is not; a subnormal number has no exponent of its own until it is scaled.
    scale = xp.where(size < _SMALLEST_NORMAL, 2.0**60, xp.ones_like(size))
    power = power_of_two_below(size * scale) / scale
    passed = size / xp.where(power > 0, power, 1.0) - 1
    return power, xp.where(power > 0, passed, 0.0)
