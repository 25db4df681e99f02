"""What advances and measures the replicas of a simulation, chunk by chunk, on the host or a device."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from mastsim.backend import Array, Streams, namespace, pieces
from mastsim.devices import Device
from mastsim.draws import StreamDraw
from mastsim.expected import Objective
from mastsim.expected.relative import RelativeValues
from mastsim.kernels import Plan, plan
from mastsim.kernels.planning import Descent
from mastsim.measuring import Estimates, Reaching, measure_errors, measure_points, measure_states
from mastsim.methods import Method, State
from mastsim.methods.states import RUNNING_AVERAGE, with_average
from mastsim.pace import PATIENCE, Stride
from mastsim.parallel import thread_count
from mastsim.run import AVERAGE_MEASURES, LYAPUNOV, Run

REFERRED = frozenset({"distance", "gap", "average_distance", "average_gap", LYAPUNOV})
"""The measures that refer to x_D*."""
_MOST_AT_ONCE = 1 << 16
"""Steps of one compiled call at the most: their step sizes are listed."""
_FIRST_POINTS = 8
"""Points that are measured before it is known how long that takes."""


class Columns(NamedTuple):
    """The measures of all replicas at one step, and the standard errors of those that are estimates, by name.

    Parameters
    ----------
    values, errors : dict of str to ndarray, shape (replicas,)
        In double precision; `errors` has measures only where one of their records is an estimate.
    """

    values: dict[str, np.ndarray]
    errors: dict[str, np.ndarray]


class Engine:
    """Advances and measures all replicas, chunk by chunk, possibly on several threads."""

    def __init__(
        self,
        method: Method,
        records: RelativeValues,
        streams: Streams,
        threads: int,
        chunk: int,
        device: Device,
        plan: Plan,
        averages: bool = False,
    ) -> None:
        self.method, self.objective, self.records, self.streams = method, records.objective, records, streams
        self.threads, self.chunk, self.device, self.plan = threads, chunk, device, plan
        self.planned = plan.objective
        self.estimates, self.estimated_steps = Estimates(self.objective), 0
        self.compiled, self.averages = False, averages
        self.kind: Any = State
        self.together = min(_FIRST_POINTS, chunk)
        self.strides: dict[int, Stride] = {}
        self.stopped, self.lock = threading.Event(), threading.Lock()

    def states_of(self, start: Run) -> State:
        """Return the states at the end of a run, on the device; first ones where nothing is recorded."""
        # An average in short numbers would stop moving when its share of a step is below their rounding.
        kept = {name: np.float64 if name == RUNNING_AVERAGE else self.plan.dtype for name in start.state}
        state = {name: self.device.move(field.astype(kept[name], copy=False)) for name, field in start.state.items()}
        begins = start.next_record == 0
        reaching = Reaching(self.planned, self.estimates)
        fresh: Any = self.method.init(reaching, state["x"] if begins else state["x"][:1, ...])
        if self.averages:
            self.kind = type(fresh)
            xp = namespace(fresh.x)
            fresh = with_average(type(fresh))(*fresh, xp.astype(fresh.x, xp.float64))
        if not self.device.is_host:
            # What cannot run there is refused now, not after x_D* was computed for the first record.
            self._advance_piece(fresh, slice(0, 1), 0, 1)
        if begins:
            self.estimated_steps += reaching.estimated
            return fresh
        if set(state) != set(fresh._fields):
            raise ValueError(
                f"resume holds the state {', '.join(state)}, but {self.method.name} has {', '.join(fresh._fields)}"
            )
        return type(fresh)(**state)

    def advance(self, states: State, begin: int, end: int) -> State:
        """Return the states after the steps from `begin` up to `end`."""
        if begin == end:
            return states
        if self.plan.descent is not None and not self.compiled:
            self._prepare(self.plan.descent, states.x)
        parts = self._each(states.x.shape[0], lambda piece: self._advance_piece(states, piece, begin, end))
        xp = namespace(states.x)
        return type(states)(*(xp.concat(fields, axis=0) for fields in zip(*parts, strict=True)))

    def _prepare(self, descent: Descent, x: np.ndarray) -> None:
        """Share threads out among the chunks, and compile kernels: here, where Ctrl-C is heard, not on a thread."""
        cut = pieces(x.shape[0], self.chunk)
        threads = max(1, min(self.threads, thread_count()) // len(cut))
        members = min(threads, descent.shares)
        self.strides = {piece.start: Stride(members, piece.stop - piece.start) for piece in cut}
        if self.threads > 1:
            for piece in (cut[0], cut[-1]):
                for count in {1, members}:
                    descent._replace(members=count).compile(np.array(x[piece, ...], order="C"))
        self.compiled = True

    def measure(self, states: State, names: tuple[str, ...]) -> Columns:
        """Return the measures of all replicas."""
        self._find_minimizers(names)
        if self.plan.dtype is np.float32:
            states = type(states)(*(field.astype(np.float64) for field in states))
        parts = self._each(states.x.shape[0], lambda piece: self._measure_piece(states, piece, names))
        joined = [{name: np.concatenate([part[i][name] for part in parts]) for name in names} for i in (0, 1)]
        return Columns(joined[0], {name: column for name, column in joined[1].items() if column.any()})

    def _find_minimizers(self, names: tuple[str, ...]) -> None:
        """Find the points that measures refer to: here, where Ctrl-C is heard, not on a thread."""
        if REFERRED & set(names):
            self.objective.minimize()
        if {"error", "average_error"} & set(names):
            self.objective.problem.minimize()

    def _measure_piece(self, states: State, piece: slice, names: tuple[str, ...]) -> Columns:
        """Return the measures of a chunk, some points at a time, so that Ctrl-C is heard."""
        parts = [self._measure_some(states, part, names) for part in self._unhurried(piece)]
        return Columns(*({name: np.concatenate([part[i][name] for part in parts]) for name in names} for i in (0, 1)))

    def _unhurried(self, piece: slice) -> Iterator[slice]:
        """Yield the parts of a chunk, longer ones while they take little time; none of them changes what is measured."""
        now = piece.start
        while now < piece.stop:
            if self.stopped.is_set():
                raise KeyboardInterrupt
            started, count = time.perf_counter(), self.together
            yield slice(now, stop := min(now + count, piece.stop))
            slow = time.perf_counter() - started > PATIENCE
            now, self.together = stop, max(1, count // 2) if slow else min(2 * count, self.chunk)

    def _measure_some(self, states: State, piece: slice, names: tuple[str, ...]) -> Columns:
        """Return the measures of some replicas."""
        own = type(states)(*(field[piece, ...] for field in states))
        joint = {"gap", "gradient_norm"} <= set(names)
        objective = Reaching(self.objective, self.estimates, joint, self.records)
        planned = objective if self.planned is self.objective else Reaching(self.planned, self.estimates, joint)
        values, errors = {}, {}
        for name in names:
            if name == LYAPUNOV:
                states_alone = self._without_average(own)
                values[name] = measure_states(self.method, self.objective, states_alone)
                errors[name] = np.zeros(len(own.x))
            else:
                x = own[-1] if name in AVERAGE_MEASURES else own.x
                values[name] = measure_points(objective, x, name.removeprefix("average_"), planned)
                errors[name] = measure_errors(planned if planned.estimated else objective, x, name.removeprefix("average_"))
        return Columns(values, errors)

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

    def _advance_piece(self, states: Any, piece: slice, begin: int, end: int) -> State:
        own = type(states)(*(field[piece, ...] for field in states))
        numbers = namespace(own.x).arange(piece.start, piece.stop)
        if not self.averages:
            return self._moved(own, numbers, begin, end)
        for step in range(begin, end):
            with np.errstate(over="ignore", invalid="ignore"):
                average = own[-1] + (own.x - own[-1]) / (step + 1)
            own = type(states)(*self._moved(self._without_average(own), numbers, step, step + 1), average)
        return own

    def _without_average(self, states: State) -> State:
        """Return the states of the method, without the running average where there is one."""
        if not self.averages:
            return states
        return self.kind(*states[:-1])

    def _moved(self, own: State, numbers: Array, begin: int, end: int) -> State:
        """Return the states of some replicas after the steps from `begin` up to `end`."""
        if self.plan.descent is not None:
            return type(own)(self._descend(own.x, numbers, begin, end))
        reaching = Reaching(self.planned, self.estimates)
        # NumPy's error state belongs to a thread; iterates may diverge, and then measure infinite.
        with np.errstate(over="ignore", invalid="ignore"):
            for step in range(begin, end):
                if self.stopped.is_set():
                    break
                own = self.method.step(own, reaching, self.plan.draw(self.streams, step, numbers))
        with self.lock:
            self.estimated_steps += reaching.estimated
        return own

    def _descend(self, x: np.ndarray, numbers: np.ndarray, begin: int, end: int) -> np.ndarray:
        assert self.plan.descent is not None
        x, now, stride = np.array(x, order="C"), begin, self.strides[int(numbers[0])]
        while now < end and not self.stopped.is_set():
            started, (steps, threads) = time.perf_counter(), stride.next(min(end - now, _MOST_AT_ONCE))
            # To ask for every step takes a fortieth of a step's time.
            one, rule = self.method.rule.constant, self.method.rule
            stepsizes = np.full(steps, rule.at(now)) if one else np.array([rule.at(now + step) for step in range(steps)])
            self.plan.descent._replace(members=threads).advance(x, numbers, now, stepsizes, self.streams)
            stride.took(steps, threads, time.perf_counter() - started)
            now += steps
        return x


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
