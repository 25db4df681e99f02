"""Random elements, and the draws that a step of a method makes of them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from mastsim.backend import Array, Streams, rows_at
from mastsim.validation import real

OUTCOME_LIMIT = 1 << 16
"""The most outcomes of one step that are listed."""


class RandomElement(Protocol):
    """Anything random that is a deterministic function of uniforms, and can be listed when it has few values.

    Its values, one a replica, come as an object with a method ``take(index)`` that picks replicas.
    """

    @property
    def uniforms(self) -> int:
        """How many uniform random numbers one draw takes."""

    def from_uniforms(self, u: Array) -> Any:
        """Return one value per row of `u`, shape (replicas, uniforms)."""

    @property
    def support_size(self) -> float:
        """How many values there are; infinite where they cannot be listed."""

    def support(self) -> tuple[Any, np.ndarray]:
        """Return every value and its probability."""


@dataclass(frozen=True, eq=False)
class Values:
    """Values of several random elements, replica by replica.

    Parameters
    ----------
    parts : tuple
        The values of each element.
    """

    parts: tuple[Any, ...]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.parts)

    def __len__(self) -> int:
        return len(self.parts)

    def take(self, index: Array) -> Values:
        """Return the values of the replicas at the given positions."""
        return Values(tuple(part.take(index) for part in self.parts))


@dataclass(frozen=True, eq=False)
class Independent:
    """Several random elements that are drawn independently.

    Parameters
    ----------
    elements : tuple of RandomElement
        The elements.

    Examples
    --------
    >>> Independent((Coin(0.5), Coin(0.25))).support()[1]
    array([0.125, 0.375, 0.125, 0.375])
    """

    elements: tuple[RandomElement, ...]

    @property
    def uniforms(self) -> int:
        """As many uniforms as all elements together."""
        return sum(element.uniforms for element in self.elements)

    def from_uniforms(self, u: Array) -> Values:
        """Return one value of each element per row of `u`."""
        ends = np.cumsum([element.uniforms for element in self.elements]).tolist()
        starts = [0, *ends[:-1]]
        pieces = zip(self.elements, starts, ends, strict=True)
        return Values(tuple(element.from_uniforms(u[:, start:end]) for element, start, end in pieces))

    @property
    def support_size(self) -> float:
        """The product of the numbers of values."""
        return math.prod(element.support_size for element in self.elements)

    def support(self) -> tuple[Values, np.ndarray]:
        """Return every combination of values and its probability."""
        supports = [element.support() for element in self.elements]
        index, chance = _product([weights for _, weights in supports])
        return Values(tuple(values.take(at) for (values, _), at in zip(supports, index, strict=True))), chance


@dataclass(frozen=True, eq=False)
class Flips:
    """Coins that have landed.

    Parameters
    ----------
    heads : array of bool, shape (replicas,)
        Which show heads.
    """

    heads: Array

    def take(self, index: Array) -> Flips:
        """Return the coins at the given positions."""
        return Flips(rows_at(self.heads, index))


@dataclass(frozen=True)
class Coin:
    """A coin that shows heads with a given probability.

    Parameters
    ----------
    probability : float
        In (0, 1].

    Raises
    ------
    ValueError
        If `probability` is outside (0, 1].

    Examples
    --------
    >>> Coin(0.25).support()[1]
    array([0.25, 0.75])
    """

    probability: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "probability", probability("probability", self.probability))

    @property
    def uniforms(self) -> int:
        """One."""
        return 1

    def from_uniforms(self, u: Array) -> Flips:
        """Return one coin per row of `u`, shape (replicas, 1)."""
        return Flips(u[:, 0] < self.probability)

    @property
    def support_size(self) -> float:
        """Two, or one when it always shows heads."""
        return 2.0 if self.probability < 1 else 1.0

    def support(self) -> tuple[Flips, np.ndarray]:
        """Return both sides and their probabilities."""
        sides = int(self.support_size)
        return Flips(np.array([True, False])[:sides]), np.array([self.probability, 1 - self.probability])[:sides]


def probability(name: str, value: float) -> float:
    """Return a probability, refusing what is outside (0, 1]."""
    number = real(name, value)
    if not 0 < number <= 1:
        raise ValueError(f"{name}={number} is not accepted: it must lie in (0, 1]")
    return number


class Draw(ABC):
    """The randomness of one step, for some replicas."""

    step: int

    @abstractmethod
    def of(self, purpose: str, element: RandomElement) -> Any:
        """Return a value of `element` a replica; a purpose serves one element a step."""

    def inner(self, number: int, count: int, **held: Any) -> Draw:
        """Return the randomness of one of the `count` steps that this one is made of, from 0; `held` values stay."""
        return InnerDraw(self, number, count, held)


@dataclass(frozen=True, eq=False)
class InnerDraw(Draw):
    """The randomness of a step within a step.

    Parameters
    ----------
    outer : Draw
        The randomness of the whole step.
    number, count : int
        Which of the steps within it, from 0, and how many there are.
    held : dict of str to values
        What some purposes drew for the whole step.
    """

    outer: Draw
    number: int
    count: int
    held: dict[str, Any]

    @property
    def step(self) -> int:  # type: ignore[override]
        """The number of the step, counted through all steps within steps."""
        return self.outer.step * self.count + self.number

    def of(self, purpose: str, element: RandomElement) -> Any:
        """Return what is held for the purpose, or a value of `element` a replica, a fresh one in every step within."""
        return self.held[purpose] if purpose in self.held else self.outer.of(f"{purpose} {self.number}", element)


@dataclass(frozen=True, eq=False)
class StreamDraw(Draw):
    """Draws from counter-based streams.

    Parameters
    ----------
    streams : Streams
        Where the numbers come from.
    step : int
        The step, from 0.
    replicas : array of int, shape (replicas,)
        Which replicas.
    """

    streams: Streams
    step: int
    replicas: Array

    def of(self, purpose: str, element: RandomElement) -> Any:
        """Return a value of `element` a replica."""
        return element.from_uniforms(self.streams.uniform(purpose, self.step, self.replicas, element.uniforms))

    def inner(self, number: int, count: int, **held: Any) -> Draw:
        """Return the draws of one of `count` steps within this one: those of a step of its own, but for what is held."""
        own = replace(self, step=self.step * count + number)
        return HoldingDraw(own, held) if held else own


@dataclass(frozen=True, eq=False)
class HoldingDraw(Draw):
    """Draws of one step, but for what is held from another.

    Parameters
    ----------
    own : Draw
        The draws of the step.
    held : dict of str to values
        What some purposes drew before.
    """

    own: Draw
    held: dict[str, Any]

    @property
    def step(self) -> int:  # type: ignore[override]
        """The number of the step."""
        return self.own.step

    def of(self, purpose: str, element: RandomElement) -> Any:
        """Return what is held for the purpose, or a value of `element` a replica."""
        return self.held[purpose] if purpose in self.held else self.own.of(purpose, element)


@dataclass(frozen=True, eq=False)
class ListedDraw(Draw):
    """Draws that were chosen beforehand.

    Parameters
    ----------
    values : dict of str to values
        What each purpose draws.
    step : int, default 0
        The step.
    """

    values: dict[str, Any]
    step: int = 0

    def of(self, purpose: str, element: RandomElement) -> Any:
        """Return the value chosen for the purpose."""
        return self.values[purpose]


class _Noting(Draw):
    """Notes what a step draws, and gives it the first value of each support."""

    def __init__(self, step: int, limit: int) -> None:
        self.step, self.limit = step, limit
        self.supports: dict[str, tuple[Any, np.ndarray]] = {}
        self.outcomes = 1.0

    def of(self, purpose: str, element: RandomElement) -> Any:
        self.outcomes *= element.support_size
        if not self.outcomes <= self.limit:
            raise ValueError(
                f"one step has {self.outcomes:.6g} outcomes or more, but at most {self.limit} can be listed; use a "
                "sketch, a sampling and a compressor with fewer values"
            )
        self.supports[purpose] = element.support()
        return self.supports[purpose][0].take(np.zeros(1, dtype=int))


class Step(Protocol):
    """A step of a method on some replicas; what it draws may not depend on where they are."""

    def __call__(self, replicas: np.ndarray, draw: Draw, /) -> Any:
        """Take the step; `replicas` says which of the states each row starts from."""


def outcomes(step: Step, count: int, number: int = 0, limit: int = OUTCOME_LIMIT) -> tuple[Any, np.ndarray]:
    """Return what a step leads to from `count` states under every outcome of its draws, and their probabilities.

    Parameters
    ----------
    step : callable
        Maps the positions of the states to start from, and a draw, to a result.
    count : int
        How many states there are.
    number : int, default 0
        The number of the step, for step rules.
    limit : int, default 2**16
        The most outcomes that are accepted.

    Returns
    -------
    result
        Of ``step`` for ``count`` × outcomes rows: all outcomes of the first state, then of the second, and so on.
    ndarray, shape (outcomes,)
        The probabilities.

    Raises
    ------
    ValueError
        If there are more outcomes than `limit`.
    """
    noting = _Noting(number, limit)
    step(np.zeros(1, dtype=int), noting)
    index, chance = _product([weights for _, weights in noting.supports.values()])
    rows = [np.tile(at, count) for at in index]
    chosen = {purpose: noting.supports[purpose][0].take(at) for purpose, at in zip(noting.supports, rows, strict=True)}
    return step(np.repeat(np.arange(count), len(chance)), ListedDraw(chosen, number)), chance


def _product(weights: list[np.ndarray]) -> tuple[list[np.ndarray], np.ndarray]:
    """Return, for every combination, the position in each list and the product of the weights there."""
    index = [axis.ravel() for axis in np.indices([len(w) for w in weights])] if weights else []
    chance = np.ones(1) if not weights else math.prod(w[at] for w, at in zip(weights, index, strict=True))
    return index, np.asarray(chance)
