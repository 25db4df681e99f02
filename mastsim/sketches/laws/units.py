"""Partitions of the coordinates into units, and the part X∘E of a matrix X within them, E_ij = 1[i and j in one unit].

Such parts are kept in a compact form: their diagonal when every unit is one coordinate, otherwise the diagonal blocks, one
array for each size of unit. So the products with them cost less than a dense product.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mastsim.linalg import diagonal, transposed

Part = Any


@dataclass(frozen=True, eq=False)
class Units(ABC):
    """A partition of the coordinates.

    Parameters
    ----------
    labels : ndarray of int, shape (dim,)
        Equal labels, same unit.
    """

    labels: np.ndarray

    @cached_property
    def classes(self) -> list[np.ndarray]:
        """For each size of unit the coordinates of its units, shape (units, size)."""
        order = np.argsort(self.labels, kind="stable")
        units = np.split(order, np.flatnonzero(np.diff(self.labels[order])) + 1)
        sizes = sorted({len(unit) for unit in units})
        return [np.array([unit for unit in units if len(unit) == size]) for size in sizes]

    @abstractmethod
    def part(self, X: np.ndarray) -> Part:
        """Return X∘E."""

    @abstractmethod
    def part_of_product(self, X: np.ndarray, Y: np.ndarray) -> Part:
        """Return (XY)∘E."""

    @abstractmethod
    def scale(self, weight: np.ndarray, part: Part) -> Part:
        """Return the part multiplied by weights, shape (dim,), that are constant within each unit."""

    @abstractmethod
    def both(self, first: Part, second: Part) -> Part:
        """Return the product of two parts."""

    @abstractmethod
    def total(self, *parts: Part) -> Part:
        """Return the sum of parts."""

    @abstractmethod
    def left(self, part: Part, X: np.ndarray) -> np.ndarray:
        """Return the part times X."""

    @abstractmethod
    def right(self, X: np.ndarray, part: Part) -> np.ndarray:
        """Return X times the part."""

    @abstractmethod
    def add(self, X: np.ndarray, part: Part) -> np.ndarray:
        """Add the part to X in place and return X."""


class Singletons(Units):
    """Every coordinate is its own unit; a part is a diagonal."""

    def part(self, X: np.ndarray) -> Part:
        """Return X∘E."""
        return diagonal(X)

    def part_of_product(self, X: np.ndarray, Y: np.ndarray) -> Part:
        """Return (XY)∘E."""
        return np.einsum("...ik,...ki->...i", X, Y)

    def scale(self, weight: np.ndarray, part: Part) -> Part:
        """Return the part multiplied by weights of shape (dim,)."""
        return weight * part

    def both(self, first: Part, second: Part) -> Part:
        """Return the product of two parts."""
        return first * second

    def total(self, *parts: Part) -> Part:
        """Return the sum of parts."""
        return sum(parts)

    def left(self, part: Part, X: np.ndarray) -> np.ndarray:
        """Return the part times X."""
        return part[..., :, None] * X

    def right(self, X: np.ndarray, part: Part) -> np.ndarray:
        """Return X times the part."""
        return X * part[..., None, :]

    def add(self, X: np.ndarray, part: Part) -> np.ndarray:
        """Add the part to X in place and return X."""
        each = np.arange(X.shape[-1])
        X[..., each, each] += part
        return X


class Blocks(Units):
    """Units of any size; a part is one array of diagonal blocks for each size of unit."""

    def part(self, X: np.ndarray) -> Part:
        """Return X∘E."""
        return [X[..., c[:, :, None], c[:, None, :]] for c in self.classes]

    def part_of_product(self, X: np.ndarray, Y: np.ndarray) -> Part:
        """Return (XY)∘E."""
        return [X[..., c, :] @ transposed(transposed(Y)[..., c, :]) for c in self.classes]

    def scale(self, weight: np.ndarray, part: Part) -> Part:
        """Return the part multiplied by weights, shape (dim,), that are constant within each unit."""
        return [weight[c][:, :, None] * block for c, block in zip(self.classes, part, strict=True)]

    def both(self, first: Part, second: Part) -> Part:
        """Return the product of two parts."""
        return [x @ y for x, y in zip(first, second, strict=True)]

    def total(self, *parts: Part) -> Part:
        """Return the sum of parts."""
        return [sum(blocks) for blocks in zip(*parts, strict=True)]

    def left(self, part: Part, X: np.ndarray) -> np.ndarray:
        """Return the part times X."""
        out = np.empty(np.broadcast_shapes(X.shape[:-2], part[0].shape[:-3]) + X.shape[-2:])
        for c, block in zip(self.classes, part, strict=True):
            out[..., c, :] = block @ X[..., c, :]
        return out

    def right(self, X: np.ndarray, part: Part) -> np.ndarray:
        """Return X times the part."""
        return transposed(self.left([transposed(block) for block in part], transposed(X)))

    def add(self, X: np.ndarray, part: Part) -> np.ndarray:
        """Add the part to X in place and return X."""
        for c, block in zip(self.classes, part, strict=True):
            X[..., c[:, :, None], c[:, None, :]] += block
        return X


def units_of(labels: np.ndarray) -> Units:
    """Return the partition into coordinates of equal labels."""
    return Singletons(labels) if len(np.unique(labels)) == len(labels) else Blocks(labels)


def crossing(rows: Units, columns: Units, A: np.ndarray, M: np.ndarray) -> np.ndarray:
    """Return Σ_kl A_ik M_kl A_lj over k in the unit of j by `columns` and l in the unit of i by `rows`."""
    if isinstance(rows, Singletons) and isinstance(columns, Singletons):
        return A * A * transposed(M)
    out = np.empty(np.broadcast_shapes(A.shape, M.shape))
    for b in rows.classes:
        for c in columns.classes:
            place = ..., b[:, None, :, None], c[None, :, None, :]
            outer, inner = A[place], M[..., c[None, :, :, None], b[:, None, None, :]]
            # The association with the smaller intermediate keeps memory at dim² numbers.
            small = b.shape[1] <= c.shape[1]
            out[place] = (outer @ inner) @ outer if small else outer @ (inner @ outer)
    return out
