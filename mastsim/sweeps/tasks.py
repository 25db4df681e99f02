"""What a task of a sweep is: a description of an experiment, and the simulation that is made of it."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mastsim.provenance import content_hash
from mastsim.run import MEASURE_ACCURACY
from mastsim.spec import Spec

NUMBERS = ("steps", "replicas", "seed")
"""The settings that tasks of one experiment differ in."""


@dataclass(frozen=True, kw_only=True)
class Task(Spec):
    """The settings of one simulation, all of them plain values; those of `Spec` and the following.

    Parameters
    ----------
    data_sha256 : str
        Hash of the data when the grid was read.
    shift_sha256 : str or None
        Hash of the shift's file.
    weights_sha256 : str or None
        Hash of the file of the weights.
    module_sha256 : str or None
        Hash of the file of one's own parts.
    steps, replicas, seed : int
        As in `simulate`.
    every : int or None
        As in `simulate`.
    measures : tuple of str or None
        As in `simulate`.
    measure_accuracy : float
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
    weights_sha256: str | None = None
    module_sha256: str | None = None
    steps: int = 1000
    replicas: int = 16
    seed: int = 0
    every: int | None = None
    measures: tuple[str, ...] | None = None
    measure_accuracy: float = MEASURE_ACCURACY

    @cached_property
    def _experiment(self) -> str:
        """A hash of all settings but the numbers, which tasks of one experiment share."""
        return content_hash(self.record() | dict.fromkeys(NUMBERS))

    @cached_property
    def key(self) -> str:
        """A hash of the settings, the same in every process."""
        return content_hash((self._experiment, *(getattr(self, name) for name in NUMBERS)))

    def with_numbers(self, steps: int, replicas: int, seed: int) -> Task:
        """Return the same experiment with other numbers, which are taken as they are."""
        _ = self._experiment
        task = copy.copy(self)
        vars(task).pop("key", None)
        vars(task).update(zip(NUMBERS, (steps, replicas, seed), strict=True))
        return task

    def record(self) -> dict[str, Any]:
        """Return the settings as a JSON-able dictionary."""
        return super().record() | {"measures": None if self.measures is None else list(self.measures)}
