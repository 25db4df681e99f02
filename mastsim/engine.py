"""What advances and measures the replicas of a simulation, chunk by chunk, on the host or a device."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from mastsim.backend import Array, Streams, asnumpy, inner, namespace, pieces
from mastsim.devices import Device
from mastsim.draws import StreamDraw
from mastsim.expected import Objective
from mastsim.kernels import Plan, plan
from mastsim.methods import Method, State
from mastsim.run import LYAPUNOV, MEASURES, Run

_PATIENCE = 0.1
"""Seconds that one compiled call may take before Ctrl-C is heard."""
_MOST_AT_ONCE = 1 << 16
"""Steps of one compiled call at the most: their step sizes are listed."""


class Engine:
    """Advances and measures all replicas, chunk by chunk, possibly on several threads."""

    def __init__(
        self, method: Method, objective: Objective, streams: Streams, threads: int, chunk: int, device: Device, way: Plan
    ) -> None:
        self.method, self.objective, self.streams = method, objective, streams
        self.threads, self.chunk, self.device, self.way = threads, chunk, device, way
        self.there = way.objective
        self.stopped = threading.Event()

    def revive(self, start: Run) -> State:
        """Return the states at the end of a run, on the device; first ones where nothing is recorded."""
        state = {name: self.device.move(field.astype(self.way.dtype, copy=False)) for name, field in start.state.items()}
        fresh = self.method.init(self.there, state["x"])
        if not self.device.is_host:
            # What cannot run there is refused now, not after x_D* was computed for the first record.
            self._advance_piece(fresh, slice(0, 1), 0, 1)
        return fresh if start.next_record == 0 else type(fresh)(**state)

    def advance(self, states: State, begin: int, end: int) -> State:
        """Return the states after the steps from `begin` up to `end`."""
        parts = self._each(states.x.shape[0], lambda piece: self._advance_piece(states, piece, begin, end))
        xp = namespace(states.x)
        return type(states)(*(xp.concat(fields, axis=0) for fields in zip(*parts, strict=True)))

    def measure(self, states: State, names: tuple[str, ...]) -> dict[str, np.ndarray]:
        """Return the measures of all replicas, in double precision."""
        if self.way.dtype is np.float32:
            states = type(states)(*(field.astype(np.float64) for field in states))
        parts = self._each(states.x.shape[0], lambda piece: self._measure_piece(states, piece, names))
        return {name: np.concatenate(columns) for name, columns in zip(names, zip(*parts, strict=True), strict=True)}

    def _measure_piece(self, states: State, piece: slice, names: tuple[str, ...]) -> list[np.ndarray]:
        own = type(states)(*(field[piece, ...] for field in states))
        objective: Any = self.objective
        there: Any = self.there
        if {"gap", "gradient_norm"} <= set(names):
            objective, there = _Joint(objective), _Joint(there)
        return [
            measure_states(self.method, self.objective, own)
            if name == LYAPUNOV
            else measure_points(objective, own.x, name, there)
            for name in names
        ]

    def _each(self, count: int, work: Callable[[slice], Any]) -> list[Any]:
        cut = pieces(count, self.chunk)
        if self.threads == 1 or len(cut) == 1:
            return [work(piece) for piece in cut]
        with ThreadPoolExecutor(self.threads) as pool:
            try:
                return list(pool.map(work, cut))
            except BaseException:
                self.stopped.set()
                raise

    def _advance_piece(self, states: State, piece: slice, begin: int, end: int) -> State:
        own = type(states)(*(field[piece, ...] for field in states))
        numbers = namespace(own.x).arange(piece.start, piece.stop)
        if self.way.descent is not None:
            return type(states)(self._descend(own.x, numbers, begin, end))
        # NumPy's error state belongs to a thread; iterates may diverge, and then measure infinite.
        with np.errstate(over="ignore", invalid="ignore"):
            for step in range(begin, end):
                if self.stopped.is_set():
                    break
                own = self.method.step(own, self.there, self.way.draw(self.streams, step, numbers))
        return own

    def _descend(self, x: np.ndarray, numbers: np.ndarray, begin: int, end: int) -> np.ndarray:
        assert self.way.descent is not None
        x, now, count = np.array(x, order="C"), begin, 1
        while now < end and not self.stopped.is_set():
            started, stop = time.perf_counter(), min(now + count, end)
            stepsizes = np.array([self.method.rule.at(step) for step in range(now, stop)])
            self.way.descent.advance(x, numbers, now, stepsizes, self.streams)
            slow = time.perf_counter() - started > _PATIENCE
            now, count = stop, max(1, count // 2) if slow else min(2 * count, _MOST_AT_ONCE)
        return x


class _Joint:
    """An objective that gets f_D and its gradient in one pass, and remembers both for the last points it was asked about."""

    def __init__(self, objective: Objective) -> None:
        self.objective, self.points = objective, None
        self.found: tuple[Array, Array] = (None, None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.objective, name)

    def value(self, x: Array) -> Array:
        return self._both(x)[0]

    def gradient(self, x: Array) -> Array:
        return self._both(x)[1]

    def _both(self, x: Array) -> tuple[Array, Array]:
        if x is not self.points:
            self.points, self.found = x, self.objective.value_and_gradient(x)
        return self.found


def plan_on(device: Device, method: Method, objective: Objective, engine: str = "auto", precision: str = "float64") -> Plan:
    """Return how steps are taken: with kernels on the host, by array operations in double precision on a device.

    Parameters
    ----------
    device : Device
        Where.
    method : Method
        The method.
    objective : Objective
        The objective.
    engine : {"auto", "kernel", "array"}
        Which engine.
    precision : {"float64", "float32"}
        The type of the iterates.

    Raises
    ------
    ValueError
        If there is no such engine for the method, the objective or the device.
    """
    if device.is_host:
        return plan(method, objective, engine, precision)
    if engine == "kernel":
        raise ValueError("engine='kernel' is not accepted: kernels are for the host; use device='cpu' or engine='array'")
    if precision != "float64":
        raise ValueError(f"precision={precision!r} is not accepted: a device computes in float64; use device='cpu'")
    return Plan("array", objective.on(device), StreamDraw, None, np.float64)


def measure_points(objective: Objective, x: Array, measure: str, there: Objective | None = None) -> np.ndarray:
    """Return one measure of every point, shape ``(replicas,)``; a diverged point measures infinite.

    Parameters
    ----------
    objective : Objective
        The objective.
    x : array, shape (replicas, dim)
        The points.
    measure : {"distance", "gap", "gradient_norm", "f", "error", "f_gap", "f_gradient_norm"}
        What to measure; see `Run`.
    there : Objective, optional
        The same objective where the points are, when that is a device.
    """
    xp, out = namespace(x), np.full(x.shape[0], np.inf)
    with np.errstate(over="ignore", invalid="ignore"):
        finite_rows = xp.all(xp.isfinite(x), axis=-1)
        sound = asnumpy(finite_rows)
        if sound.any():
            points = x if sound.all() else x[finite_rows]
            out[sound] = asnumpy(_measure(objective, points, measure, objective if there is None else there))
    return np.where(np.isnan(out), np.inf, out)


def measure_states(method: Method, objective: Objective, states: State) -> np.ndarray:
    """Return the Lyapunov function of a method at every state, shape ``(replicas,)``; a diverged state measures infinite.

    Parameters
    ----------
    method : Method
        A method that knows its Lyapunov function on the objective.
    objective : Objective
        The objective, on the host.
    states : State
        The states, fields of shape (replicas, dim).
    """
    fields = [asnumpy(field) for field in states]
    sound = np.all([np.isfinite(field).all(axis=-1) for field in fields], axis=0)
    out = np.full(len(fields[0]), np.inf)
    if sound.any():
        with np.errstate(over="ignore", invalid="ignore"):
            out[sound] = method.lyapunov(objective, type(states)(*(field[sound] for field in fields)))
    return np.where(np.isnan(out), np.inf, out)


def _measure(objective: Objective, x: Array, measure: str, there: Objective) -> Array:
    if measure == "distance":
        y = x - namespace(x).asarray(objective.minimize().x)
        return inner(y, y)
    if measure in ("gap", "gradient_norm") and not there.runs_on_devices:
        there, x = objective, asnumpy(x)
    if measure == "gap":
        return there.value(x) - objective.minimize().value
    if measure == "gradient_norm":
        gradient = there.gradient(x)
        return namespace(x).sqrt(inner(gradient, gradient))
    if measure == "error":
        y = x - namespace(x).asarray(objective.problem.minimize().x)
        return inner(y, y)
    if measure == "f":
        return there.problem.value(x)
    if measure == "f_gap":
        return there.problem.value(x) - objective.problem.minimize().value
    if measure == "f_gradient_norm":
        slope = there.problem.gradient(x)
        return namespace(x).sqrt(inner(slope, slope))
    raise ValueError(f"measure={measure!r} is not accepted: points are measured by {', '.join(MEASURES)}")
