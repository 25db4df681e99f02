"""What a task of a sweep is: a description of an experiment, and the simulation that is made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mastsim.spec import Spec


@dataclass(frozen=True, kw_only=True)
class Task(Spec):
    """The settings of one simulation, all of them plain values; those of `Spec` and the following.

    Parameters
    ----------
    data_sha256 : str
        Hash of the data when the grid was read.
    shift_sha256 : str or None
        Hash of the shift's file.
    steps, replicas, seed : int
        As in `simulate`.
    every : int or None
        As in `simulate`.
    measures : tuple of str or None
        As in `simulate`.

    Examples
    --------
    >>> from mastsim.sweeps import read_grid
    >>> task = read_grid({"data": "synthetic:n=20,d=4", "sketch": "randk:0.5", "steps": 10})[0]
    >>> task.method, task.stepsize, len(task.key)
    ('dsgd', 'theory', 64)
    """

    data_sha256: str
    shift_sha256: str | None = None
    steps: int = 1000
    replicas: int = 16
    seed: int = 0
    every: int | None = None
    measures: tuple[str, ...] | None = None

    def record(self) -> dict[str, Any]:
        """Return the settings as a JSON-able dictionary."""
        return super().record() | {"measures": None if self.measures is None else list(self.measures)}
