"""What a simulation records as it goes, and how it is seen that replicas diverged."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from mastsim.advice import covering
from mastsim.backend import asnumpy
from mastsim.engine import Columns
from mastsim.expected import Objective
from mastsim.methods import Method, State
from mastsim.request import Divergence
from mastsim.run import Run, stops

_GROWTH = 1e6
"""By how much a squared distance must have grown before a replica counts as diverged."""


class _Held(NamedTuple):
    """What is certain: how many records are complete, and the state at the last of them."""

    records: int
    steps_done: int
    state: Mapping[str, np.ndarray]


class Recorder:
    """Collects measures in tables that are allocated once.

    Parameters
    ----------
    start : Run
        The run that is continued, perhaps with nothing recorded yet.
    """

    def __init__(self, start: Run) -> None:
        every = stops(start.every, start.steps)
        self.start, self.stops = start, every[every >= start.next_record]
        self.tables = {name: np.empty((start.replicas, len(self.stops))) for name in start.traces}
        self.errors: dict[str, np.ndarray] = {}
        self.held = _Held(0, start.steps_done, start.state)
        self.begin, self.times = time.perf_counter(), np.empty(len(self.stops))

    def add(self, stop: int, states: State, columns: Columns) -> None:
        """Record measures and states at the next stop; they count from the last assignment on, all at once."""
        place = self.held.records
        for name, column in columns.values.items():
            self.tables[name][:, place] = column
        for name, column in columns.errors.items():
            self.errors.setdefault(name, np.zeros_like(self.tables[name]))[:, place] = column
        self.times[place] = self._seconds()
        state = {name: asnumpy(field) for name, field in states._asdict().items()}
        self.held = _Held(place + 1, stop, state)

    def _seconds(self) -> float:
        """Return the time since the beginning, of the run that is continued included."""
        return self.start.seconds + time.perf_counter() - self.begin

    def run(self, estimated_steps: int) -> Run:
        """Return what was collected, after what the run to resume already held."""
        start, records = self.start, self.held.records
        recorded = np.append(start.recorded, self.stops[:records])
        # A shorter run ends with a record that a longer one does not have.
        keep = recorded % start.every == 0
        keep[-1:] = True
        none = np.zeros((start.replicas, len(start.recorded)))
        traces = {name: np.hstack([start.traces[name], table[:, :records]])[:, keep] for name, table in self.tables.items()}
        errors: dict[str, np.ndarray] = {}
        for name in [name for name in traces if name in start.errors or name in self.errors]:
            mine = self.errors.get(name, np.zeros_like(self.tables[name]))[:, :records]
            table = np.hstack([start.errors.get(name, none), mine])[:, keep]
            errors |= {name: table} if table.any() else {}
        return replace(
            start,
            steps_done=self.held.steps_done,
            recorded=recorded[keep],
            traces=traces,
            errors=errors,
            state=dict(self.held.state),
            seconds=self._seconds(),
            estimated_steps=start.estimated_steps + estimated_steps,
        )

    def with_divergence(self, run: Run, method: Method, objective: Objective) -> Run:
        """Return a run that says whether and how its replicas diverged."""
        overflowed, grown = _overflowed(run), _grown(run, objective)
        if not (overflowed.any() or grown.any()):
            return run
        safe, source = largest_safe_step(objective, method, run.steps)
        if not overflowed.any() and safe is not None and run.stepsize <= safe * (1 + 1e-12):
            return run
        away = overflowed | grown
        place = int(np.flatnonzero(away.any(axis=0))[0]) if away.size else -1
        step = int(run.recorded[place])
        return replace(run, divergence=Divergence(int(away.any(axis=1).sum()), step, self._when(step), safe, source))

    def _when(self, step: int) -> float:
        """Return the time at which a step was recorded; that of the run to resume where it was recorded there."""
        if step in self.stops:
            return float(self.times[np.searchsorted(self.stops, step)])
        return self.start.seconds if self.start.divergence is None else self.start.divergence.seconds


def _overflowed(run: Run) -> np.ndarray:
    """Say which replicas left the floating numbers by which record, shape (replicas, records)."""
    out = np.zeros((run.replicas, len(run.recorded)), dtype=bool)
    for table in run.traces.values():
        # What is infinite from its start on was put there.
        out |= np.isinf(table) & np.isfinite(table[:, :1])
    if out.shape[1] > 1:
        out[:, -1] |= ~np.all([np.isfinite(field).all(axis=-1) for field in run.state.values()], axis=0)
    return out


def _grown(run: Run, objective: Objective) -> np.ndarray:
    """Say which replicas were far outside where they began by which record, shape (replicas, records)."""
    if "distance" not in run.traces or not len(run.recorded):
        return np.zeros((run.replicas, len(run.recorded)), dtype=bool)
    away = objective.minimize().x - objective.center
    table = run.traces["distance"]
    with np.errstate(over="ignore"):
        scale = np.maximum(table[:, :1], float(away @ away))
        return np.asarray(table > _GROWTH * np.where(scale > 0, scale, 1.0))


def largest_safe_step(objective: Objective, method: Method, steps: int) -> tuple[float | None, str]:
    """Return the largest step size that is known to be safe for a method, None where none is, and whose it is.

    Parameters
    ----------
    objective : Objective
        The objective.
    method : Method
        The method; its own step size plays no role.
    steps : int
        Number of steps, for theorems whose step size depends on it.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1))
    >>> largest_safe_step(F, ms.DSGD(9.0), steps=10)
    (0.25, 'Theorem 2 (strongly convex DSGD)')
    """
    theorem = covering(objective, method, steps, sharp=False)
    if theorem is not None and np.isfinite(theorem.limit):
        return float(theorem.limit), theorem.title
    if (safe := method.safe_step(objective, sharp=False)) is not None:
        return safe.value, safe.source
    return None, f"no theorem covers {method.name} here"
