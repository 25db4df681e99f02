"""The states of methods that carry an iterate, and a shift beside it."""

from __future__ import annotations

from typing import NamedTuple

from mastsim.backend import Array


class State(NamedTuple):
    """The state of a method that only carries its iterate.

    Parameters
    ----------
    x : array, shape (replicas, dim)
        The iterates.
    """

    x: Array


class ShiftedState(NamedTuple):
    """The state of a method whose shift moves.

    Parameters
    ----------
    x : array, shape (replicas, dim)
        The iterates.
    v : array, shape (replicas, dim)
        The shifts.
    """

    x: Array
    v: Array
