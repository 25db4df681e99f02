"""What a method is: frozen settings, a state, and one step on a batch of replicas."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

from mastsim.backend import Array, Streams
from mastsim.expected import Mast
from mastsim.sketches import Sketch, SketchBatch


class State(NamedTuple):
    """The state of a method that only carries its iterate.

    Parameters
    ----------
    x : array, shape (replicas, dim)
        The iterates.
    """

    x: Array


@dataclass(frozen=True, eq=False)
class Draw:
    """The randomness of one step for some replicas.

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

    def sketch(self, sketch: Sketch) -> SketchBatch:
        """Return one sketch a replica."""
        return sketch.from_uniforms(self.streams.uniform("sketch", self.step, self.replicas, sketch.uniforms))


class Method(ABC):
    """An iterative method for a MAST objective.

    Subclasses are frozen dataclasses of settings with a field ``stepsize``; whatever changes is in the state, a NamedTuple
    of arrays whose first axis is the replica and whose first field is the iterate ``x``.
    """

    stepsize: float

    @property
    def name(self) -> str:
        """The name of the method."""
        return type(self).__name__

    @abstractmethod
    def init(self, objective: Mast, x0: Array) -> State:
        """Return the first state for the starting points `x0`, shape (replicas, dim)."""

    @abstractmethod
    def step(self, state: State, objective: Mast, draw: Draw) -> State:
        """Return the state after one more step."""
