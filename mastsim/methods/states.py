"""The states of methods that carry an iterate, and a shift beside it; and states with a running average added."""

from __future__ import annotations

from collections import namedtuple
from typing import Any, NamedTuple

from mastsim.backend import Array

RUNNING_AVERAGE = "running_average"
"""The field of a state that holds x̄_T = (x^0 + … + x^{T−1})/T, x̄_0 = x^0."""


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


def with_average(kind: Any) -> Any:
    """Return the kind of states that hold what a kind of states does and, last, the running average of the iterates.

    Parameters
    ----------
    kind : type of NamedTuple
        The state of a method.

    Raises
    ------
    ValueError
        If it has a field of that name.

    Examples
    --------
    >>> with_average(ShiftedState)._fields
    ('x', 'v', 'running_average')
    """
    if RUNNING_AVERAGE in kind._fields:
        raise ValueError(f"{kind.__name__} has a field {RUNNING_AVERAGE!r}, where simulate keeps averages: rename it")
    return namedtuple(f"Averaged{kind.__name__}", (*kind._fields, RUNNING_AVERAGE))
