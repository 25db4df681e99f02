"""What a task of a sweep is: the settings of one simulation, and the key that they have."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from mastsim.provenance import content_hash


@dataclass(frozen=True)
class Task:
    """The settings of one simulation, all of them plain values.

    Parameters
    ----------
    data : str
        The data set, as `mastsim.load` takes it.
    data_sha256 : str
        Its hash when the grid was read.
    problem : {"auto", "logistic", "least-squares"}
        The loss.
    l2, condition_number : float or None
        One of the two is given.
    sketch : str
        The sketch as a text, for example ``randk:0.1``.
    shift : str
        ``zero``, ``erm`` or the path of a .npy or .csv file.
    shift_sha256 : str or None
        Hash of that file.
    clients : int or None
        Number of clients among whom the data are divided.
    split : {"iid", "label"}
        How they are divided.
    method : str
        The method as the command line writes it, for example ``dsgd``.
    settings : tuple of (str, int or float)
        Settings of the method.
    stepsize : float or str
        A number, or ``theory`` or ``sharp``, perhaps with a factor: ``0.5*theory``.
    steps, replicas, seed : int
        As in `simulate`.
    every : int or None
        As in `simulate`.
    measures : tuple of str or None
        As in `simulate`.
    positive, features : float or None, int or None
        As in `mastsim.load`.
    zero_based : bool
        As in `mastsim.load`.

    Examples
    --------
    >>> from mastsim.sweeps import read_grid
    >>> task = read_grid({"data": "synthetic:n=20,d=4", "sketch": "randk:0.5", "steps": 10})[0]
    >>> task.method, task.stepsize, len(task.key)
    ('dsgd', 'theory', 64)
    """

    data: str
    data_sha256: str
    problem: str
    l2: float | None
    condition_number: float | None
    sketch: str
    shift: str
    shift_sha256: str | None
    clients: int | None
    split: str
    method: str
    settings: tuple[tuple[str, int | float], ...]
    stepsize: float | str
    steps: int
    replicas: int
    seed: int
    every: int | None
    measures: tuple[str, ...] | None
    positive: float | None
    features: int | None
    zero_based: bool

    @cached_property
    def key(self) -> str:
        """SHA-256 of the settings and of nothing else: not of the version, nor of where or when the task runs."""
        return content_hash(self.record())

    def record(self) -> dict[str, Any]:
        """Return the settings as a JSON-able dictionary."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        measures = None if self.measures is None else list(self.measures)
        return plain | {"settings": dict(self.settings), "measures": measures}
