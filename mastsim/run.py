"""The record of a simulation: traces, final state and provenance, saved without pickles."""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mastsim.expected import Objective
from mastsim.methods import Method
from mastsim.provenance import content_hash
from mastsim.readonly import ReadOnly
from mastsim.validation import array
from mastsim.validation import path as checked_path

DEFAULT_MEASURES: tuple[str, ...] = ("distance", "gap", "gradient_norm", "f")
"""What a run records unless told otherwise: ‖x − x_D*‖², f_D(x) − f_D^inf, ‖∇f_D(x)‖ and f(x)."""

MEASURES: tuple[str, ...] = (*DEFAULT_MEASURES, "error", "f_gap", "f_gradient_norm")
"""What a run of any method can record: the default measures, and ‖x − x*‖², f(x) − f^inf and ‖∇f(x)‖, x* minimising f."""

LYAPUNOV = "lyapunov"
"""What a run of a method with a Lyapunov function records besides, where it can be computed: see `Method.lyapunov`."""

_TABLES = ("recorded", "traces", "state")


@dataclass(frozen=True, eq=False)
class Run(ReadOnly):
    """What replicas of a method did.

    Parameters
    ----------
    method, objective : str
        What was run, in words.
    method_hash, objective_hash, start_hash : str
        SHA-256 of their contents, and of the starting points.
    stepsize : float
        The step size γ; the largest, when it changes.
    steps, steps_done : int
        How many steps were asked for, and how many are recorded; fewer when interrupted.
    seed : int
        The seed.
    every : int
        How many steps lie between two records.
    recorded : ndarray of int, shape (records,)
        The steps at which measures were taken, from 0.
    traces : dict of str to ndarray, shape (replicas, records)
        One table a measure, see `MEASURES` and `LYAPUNOV`; `distance` is squared, and a diverged replica measures infinite.
    state : dict of str to ndarray
        The state of the method after `steps_done` steps; ``state["x"]`` has shape (replicas, dim).
    seconds : float
        Time spent stepping and measuring.
    device : str, default "cpu"
        Where the steps were taken.
    engine : str, default "array"
        What took them: array operations or a kernel.
    precision : {"float64", "float32"}, default "float64"
        The type of the iterates.
    """

    noun: ClassVar[str] = "run"
    example: ClassVar[str] = "what simulate returns"

    method: str
    objective: str
    method_hash: str
    objective_hash: str
    start_hash: str
    stepsize: float
    steps: int
    steps_done: int
    seed: int
    every: int
    recorded: np.ndarray
    traces: dict[str, np.ndarray]
    state: dict[str, np.ndarray]
    seconds: float
    device: str = "cpu"
    engine: str = "array"
    precision: str = "float64"

    def __post_init__(self) -> None:
        for name, held in {**self.traces, **self.state}.items():
            array(name, held)
            if held.dtype.kind not in "biuf":
                raise ValueError(f"the run holds {name!r} of {held.dtype}: traces and states must be of real numbers")
        super().__post_init__()

    @classmethod
    def begin(
        cls,
        method: Method,
        objective: Objective,
        x0: np.ndarray,
        *,
        steps: int,
        seed: int,
        every: int,
        measures: tuple[str, ...],
        device: str = "cpu",
        engine: str = "array",
        precision: str = "float64",
    ) -> Run:
        """Return a run with nothing recorded yet."""
        return cls(
            method=method.name,
            objective=objective.name,
            method_hash=content_hash(method),
            objective_hash=content_hash(objective),
            start_hash=content_hash(x0),
            stepsize=method.rule.largest,
            steps=steps,
            steps_done=0,
            seed=seed,
            every=every,
            recorded=np.zeros(0, dtype=int),
            traces={name: np.zeros((len(x0), 0)) for name in measures},
            state={"x": x0},
            seconds=0.0,
            device=device,
            engine=engine,
            precision=precision,
        )

    @property
    def next_record(self) -> int:
        """The first step that has not been recorded."""
        return int(self.recorded[-1]) + 1 if len(self.recorded) else 0

    @property
    def replicas(self) -> int:
        """The number of replicas."""
        return int(self.state["x"].shape[0])

    @property
    def x(self) -> np.ndarray:
        """The last iterates, shape (replicas, dim)."""
        return self.state["x"]

    @property
    def distance(self) -> np.ndarray:
        """‖x − x_D*‖² (squared), shape (replicas, records)."""
        return self._trace("distance")

    @property
    def gap(self) -> np.ndarray:
        """f_D(x) − f_D^inf, shape (replicas, records)."""
        return self._trace("gap")

    @property
    def gradient_norm(self) -> np.ndarray:
        """‖∇f_D(x)‖, shape (replicas, records)."""
        return self._trace("gradient_norm")

    @property
    def f(self) -> np.ndarray:
        """f(x), shape (replicas, records)."""
        return self._trace("f")

    @property
    def replica_steps_per_second(self) -> float:
        """Steps times replicas, by the time they took."""
        return self.steps_done * self.replicas / self.seconds if self.seconds > 0 else 0.0

    def _trace(self, name: str) -> np.ndarray:
        if name not in self.traces:
            raise ValueError(f"this run did not record {name!r}; it has {', '.join(self.traces)}")
        return self.traces[name]

    def final(self) -> dict[str, dict[str, float]]:
        """Return mean and standard error over replicas of every measure at the last record.

        The standard error is NaN when it is not known: for a single replica, and when a replica diverged.

        Raises
        ------
        ValueError
            If nothing was recorded, because the run was interrupted at once.
        """
        if len(self.recorded) == 0:
            raise ValueError("nothing was recorded before the run was interrupted; pass it as resume= to simulate")
        out = {}
        for name, table in self.traces.items():
            last, count = table[:, -1], table.shape[0]
            with np.errstate(over="ignore"):
                spread = float(last.std(ddof=1)) if count > 1 and np.isfinite(last).all() else float("nan")
                out[name] = {"mean": float(last.mean()), "stderr": spread / count**0.5}
        return out

    def save(self, path: str | Path) -> None:
        """Write the run to one .npz file, all or nothing.

        Parameters
        ----------
        path : str or Path
            Where to; an existing file is replaced.
        """
        target = checked_path("path", path)
        partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
        facts = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in _TABLES}
        arrays: dict[str, Any] = {"recorded": self.recorded, "facts": np.array(json.dumps(facts))}
        arrays |= {f"trace/{name}": table for name, table in self.traces.items()}
        arrays |= {f"state/{name}": field for name, field in self.state.items()}
        try:
            with partial.open("wb") as file:
                np.savez(file, **arrays)
            os.replace(partial, target)
        finally:
            partial.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | Path) -> Run:
        """Return the run that `save` wrote.

        Parameters
        ----------
        path : str or Path
            The file.

        Raises
        ------
        ValueError
            If the file is not one that `save` wrote.
        """
        source = checked_path("path", path)
        try:
            with source.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                held = {key: file[key] for key in file.files}
            facts = json.loads(str(held.pop("facts")))
            traces = {key.removeprefix("trace/"): table for key, table in held.items() if key.startswith("trace/")}
            state = {key.removeprefix("state/"): field for key, field in held.items() if key.startswith("state/")}
            return cls(**facts, recorded=held["recorded"], traces=traces, state=state)
        except (ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as problem:
            raise ValueError(f"{path} is not a saved run: it must be a file written by Run.save") from problem
