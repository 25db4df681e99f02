"""In which order sketches come: independent ones, a fixed list in random order, or the blocks of a random partition."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mastsim.backend import Array, namespace, rows_at
from mastsim.draws import Draw
from mastsim.methods.shifts import Once
from mastsim.readonly import ReadOnly
from mastsim.sketches import PermK, RandK, Sketch

_LISTED = 6


class Order(ReadOnly, ABC):
    """A law of the sketches of successive gradient steps; subclasses are frozen dataclasses of settings."""

    keyword: ClassVar[str] = ""
    """The order's name in a text; empty for orders that cannot be written in one."""
    affine: ClassVar[bool] = False
    """Whether an epoch is an affine map of the state wherever a gradient step is; exact moments need it."""

    @classmethod
    def from_text(cls, argument: str) -> Order:
        """Return the order that the text after the colon of ``keyword:argument`` names; it takes no argument."""
        if argument:
            raise ValueError(f"order '{cls.keyword}:{argument}' is not accepted: {cls.keyword} takes no argument")
        return cls()

    @property
    @abstractmethod
    def name(self) -> str:
        """A short text that says which order this is."""

    @property
    def text(self) -> str:
        """The text that names the order."""
        return self.keyword

    def length(self, sketch: Sketch) -> int:
        """Return how many gradient steps one step of the method takes, refusing a sketch that the order does not fit."""
        return 1

    def step(self, once: Once, state: Any, objective: Any, draw: Draw) -> Any:
        """Return the state after one step of the method, made of gradient steps."""
        return once(state, draw)


@dataclass(frozen=True)
class IndependentSketches(Order):
    """A fresh sketch every step: Algorithm 1 of MAST.

    Examples
    --------
    >>> IndependentSketches().name
    'independent sketches'
    """

    keyword = "independent"
    affine = True

    @property
    def name(self) -> str:
        """The words ``independent sketches``."""
        return "independent sketches"


@dataclass(frozen=True)
class Reshuffled(Order):
    """Every value of the sketch once an epoch, in a fresh random order; one step of the method is one epoch.

    The sketch must have finitely many values, all equally likely.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> Reshuffled().length(ms.RandK(4, k=2))
    6
    """

    keyword = "reshuffled"
    affine = True

    @property
    def name(self) -> str:
        """The word ``reshuffled``."""
        return "reshuffled"

    def length(self, sketch: Sketch) -> int:
        """Return N, the number of values of the sketch."""
        sketch.require_uniform_support("a random order", 1)
        return int(sketch.support_size)

    def step(self, once: Once, state: Any, objective: Any, draw: Draw) -> Any:
        """Return the state after one epoch."""
        values, weights = objective.support
        order = draw.of("order", RandomOrder(len(weights))).index
        for k in range(len(weights)):
            state = once(state, draw.inner(k, len(weights), sketch=values.take(order[:, k])))
        return state


@dataclass(frozen=True)
class FreshPartition(Order):
    """Every epoch a fresh random partition of the coordinates into blocks of K, each kept alone once: one step is one epoch.

    The sketch must be Rand-K of a multiple of K coordinates; a gradient step has its law, but those of an epoch depend on
    each other. Every theorem about reshuffled sketches is about one fixed list, and refuses this order.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> FreshPartition().length(ms.RandK(4, k=2))
    2
    """

    keyword = "fresh-partition"
    affine = True

    @property
    def name(self) -> str:
        """The words ``fresh partition``."""
        return "fresh partition"

    def length(self, sketch: Sketch) -> int:
        """Return d/K, the number of blocks."""
        if not isinstance(sketch, RandK) or sketch.dim % sketch.k:
            raise ValueError(f"order={self.name!r} is not accepted: it needs Rand-K of a multiple of K, not {sketch.name}")
        return sketch.dim // sketch.k

    def step(self, once: Once, state: Any, objective: Any, draw: Draw) -> Any:
        """Return the state after one epoch."""
        count = self.length(objective.sketch)
        for k, batch in enumerate(draw.of("sketch", PermK(objective.dim, count).joint)):
            state = once(state, draw.inner(k, count, sketch=batch))
        return state


ALL_ORDERS: tuple[type[Order], ...] = (IndependentSketches, Reshuffled, FreshPartition)
"""Every order."""


@dataclass(frozen=True, eq=False)
class Orders:
    """Orders of N things.

    Parameters
    ----------
    index : array of int, shape (replicas, N)
        What comes first, second, ….
    """

    index: Array

    def take(self, index: Array) -> Orders:
        """Return the orders at the given positions."""
        return Orders(rows_at(self.index, index))


@dataclass(frozen=True)
class RandomOrder:
    """A uniformly random order of N things.

    Parameters
    ----------
    count : int
        N, at least 1.

    Examples
    --------
    >>> RandomOrder(3).support()[0].index.tolist()[1]
    [0, 2, 1]
    """

    count: int

    @property
    def uniforms(self) -> int:
        """N."""
        return self.count

    def from_uniforms(self, u: Array) -> Orders:
        """Return one order per row of `u`, shape (replicas, N)."""
        return Orders(namespace(u).argsort(u, axis=-1))

    @property
    def support_size(self) -> float:
        """N!; infinite beyond six, where there are better ways than to list all orders."""
        return float(math.factorial(self.count)) if self.count <= _LISTED else math.inf

    def support(self) -> tuple[Orders, np.ndarray]:
        """Return every order and its probability."""
        orders = np.array(list(itertools.permutations(range(self.count))))
        return Orders(orders), np.full(len(orders), 1 / len(orders))
