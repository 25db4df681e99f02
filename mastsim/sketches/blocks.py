"""Block sketches: whole blocks of coordinates (layers, neurons) kept or dropped together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from mastsim.readonly import frozen
from mastsim.sketches.arguments import keep_and_count, whole_numbers
from mastsim.sketches.laws import Selection
from mastsim.sketches.selection import SelectionSketch
from mastsim.validation import integer, keep_fraction, refuse_masks


@dataclass(frozen=True, eq=False)
class BlockBernoulli(SelectionSketch):
    """Every block of coordinates kept on its own coin: S = Diag(b_{B(i)} / p_{B(i)}).

    Parameters
    ----------
    dim : int
        Dimension d, at least 1.
    blocks : int or array of int, shape (dim,)
        The number of contiguous, nearly equal blocks, or a label for each coordinate: equal labels, same block.
    keep : float or array of float, shape (blocks,)
        The probability p in (0, 1] that a block is kept; a vector follows the labels in increasing order.

    Raises
    ------
    ValueError
        If `blocks` is not from 1 to `dim`, there is not one label a coordinate, a keep fraction is outside (0, 1] or their
        number is not that of the blocks.

    References
    ----------
    This package; MAST, arXiv 2311.16086, Section 2 (Bernoulli independent sparsification) is the case of blocks of size 1.

    Examples
    --------
    >>> S = BlockBernoulli(4, blocks=2, keep=0.5)
    >>> S.L_D, S.support_size
    (2.0, 4.0)
    >>> BlockBernoulli(3, blocks=np.array([7, 2, 7]), keep=0.5).quadratic_moment(np.ones((3, 3)))
    array([[2., 1., 2.],
           [1., 2., 1.],
           [2., 1., 2.]])
    """

    dim: int
    blocks: int | np.ndarray
    keep: float | np.ndarray

    keyword: ClassVar[str] = "block-bernoulli"
    form: ClassVar[str] = "block-bernoulli:KEEP:BLOCKS, for example block-bernoulli:0.5:8"

    @classmethod
    def from_text(cls, argument: str, dim: int) -> BlockBernoulli:
        """Return the sketch that ``block-bernoulli:KEEP:BLOCKS`` names."""
        keep, blocks = keep_and_count(argument, cls.form)
        return cls(dim, blocks, keep)

    def __post_init__(self) -> None:
        object.__setattr__(self, "dim", integer("dim", self.dim, 1))
        object.__setattr__(self, "blocks", _checked_blocks(self.blocks, self.dim))
        keep = keep_fraction("keep", self.keep)
        if keep.shape not in ((), (self.count,)):
            raise ValueError(f"keep has shape {keep.shape}, but it must be a number or a vector of length {self.count}")
        object.__setattr__(self, "keep", float(keep) if keep.ndim == 0 else frozen(keep, copy=False))

    @property
    def name(self) -> str:
        """For example ``Bernoulli(0.5) of 8 blocks``."""
        keep = f"{self.keep:g}" if isinstance(self.keep, float) else f"{self.keep.min():g}..{self.keep.max():g}"
        return f"Bernoulli({keep}) of {self.count} blocks"

    @cached_property
    def labels(self) -> np.ndarray:
        """The block of each coordinate, numbered from 0, shape (dim,)."""
        return _labels(self.blocks, self.dim)

    @property
    def count(self) -> int:
        """The number of blocks."""
        return int(self.labels.max()) + 1

    @cached_property
    def law(self) -> Selection:
        """The law of the kept set: one group per block."""
        keep = np.broadcast_to(self.keep, (self.count,)).astype(float)
        return Selection(self.labels, np.arange(self.count), np.ones(self.count, dtype=int), keep)


@dataclass(frozen=True, eq=False)
class BlockRandK(SelectionSketch):
    """Exactly `k` of the blocks of coordinates kept, uniformly, scaled by blocks/k.

    Parameters
    ----------
    dim : int
        Dimension d, at least 1.
    blocks : int or array of int, shape (dim,)
        The number of contiguous, nearly equal blocks, or a label for each coordinate: equal labels, same block.
    k : int
        Number of kept blocks, from 1 to the number of blocks.

    Raises
    ------
    ValueError
        If `blocks` is not from 1 to `dim`, there is not one label a coordinate, or `k` is out of range.

    References
    ----------
    This package; MAST, arXiv 2311.16086, Section 2 (random sparsification, Rand-K) is the case of blocks of size 1.

    Examples
    --------
    >>> S = BlockRandK(6, blocks=3, k=1)
    >>> S.L_D, S.L_max, S.support_size
    (3.0, 9.0, 3.0)
    """

    dim: int
    blocks: int | np.ndarray
    k: int

    keyword: ClassVar[str] = "block-randk"
    form: ClassVar[str] = "block-randk:K:BLOCKS, for example block-randk:2:8"

    @classmethod
    def from_text(cls, argument: str, dim: int) -> BlockRandK:
        """Return the sketch that ``block-randk:K:BLOCKS`` names, K of BLOCKS blocks."""
        k, blocks = whole_numbers(argument, cls.form)
        return cls(dim, blocks, k)

    def __post_init__(self) -> None:
        object.__setattr__(self, "dim", integer("dim", self.dim, 1))
        object.__setattr__(self, "blocks", _checked_blocks(self.blocks, self.dim))
        object.__setattr__(self, "k", integer("k", self.k, 1, self.count))

    @property
    def name(self) -> str:
        """For example ``Rand-2 of 8 blocks``."""
        return f"Rand-{self.k} of {self.count} blocks"

    @cached_property
    def labels(self) -> np.ndarray:
        """The block of each coordinate, numbered from 0, shape (dim,)."""
        return _labels(self.blocks, self.dim)

    @property
    def count(self) -> int:
        """The number of blocks."""
        return int(self.labels.max()) + 1

    @cached_property
    def law(self) -> Selection:
        """The law of the kept set: one group of all blocks."""
        return Selection(self.labels, np.zeros(self.count, dtype=int), np.array([self.count]), np.array([float(self.k)]))


def _checked_blocks(blocks: int | np.ndarray, dim: int) -> int | np.ndarray:
    refuse_masks("blocks", blocks)
    labels = np.asarray(blocks)
    if labels.ndim == 0:
        return integer("blocks", blocks, 1, dim)
    if labels.dtype.kind not in "iu":
        raise TypeError(
            f"blocks is not accepted: it must be a number of blocks or an array of integer labels, not {labels.dtype}"
        )
    if labels.shape != (dim,):
        raise ValueError(
            f"blocks has shape {labels.shape}, but it must be a number or one label for each of {dim} coordinates"
        )
    return frozen(labels)


def _labels(blocks: int | np.ndarray, dim: int) -> np.ndarray:
    if isinstance(blocks, int):
        return np.arange(dim) * blocks // dim
    return np.unique(blocks, return_inverse=True)[1]
