"""Replicas of a method: one loop that owns the randomness, the traces, the progress bar and interruption."""

from __future__ import annotations

import sys
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from mastsim.backend import Array, Streams, asnumpy, inner, namespace
from mastsim.draws import StreamDraw
from mastsim.expected import Objective
from mastsim.methods import Method, State
from mastsim.run import DEFAULT_MEASURES, MEASURES, Run
from mastsim.validation import finite, instance, integer, one_of

_CHUNK = 64
_CHEAP_RECORDS, _COSTLY_RECORDS = 100, 10


def simulate(
    method: Method,
    objective: Objective,
    *,
    steps: int,
    replicas: int = 1,
    seed: int = 0,
    x0: Array | str | None = None,
    every: int | None = None,
    measures: tuple[str, ...] | None = None,
    threads: int = 1,
    chunk: int = _CHUNK,
    progress: bool | None = None,
    resume: Run | None = None,
) -> Run:
    """Run independent replicas of a method and record how far they are from x_D*.

    The result depends on `method`, `objective`, `steps`, `seed`, `x0`, `every` and `measures` only: a replica's path is
    bitwise the same for any `replicas`, `threads` and `chunk`.

    Parameters
    ----------
    method : Method
        For example ``DSGD(stepsize)``.
    objective : Objective
        The objective f_D.
    steps : int
        Number of steps, at least 1.
    replicas : int, default 1
        Number of independent replicas, at least 1.
    seed : int, default 0
        From 0 to 2**64 − 1.
    x0 : array, shape (dim,) or (replicas, dim), or "normal", optional
        Starting point(s); the shift v when left out; ``"normal"`` draws N(0, I) for every replica.
    every : int, optional
        Record every so many steps, and the last. By default 100 records, or 10 when f_D takes quadrature; as in `resume`
        when that is given.
    measures : tuple of str, optional
        What to record; `mastsim.run.DEFAULT_MEASURES` by default, as in `resume` when that is given.
    threads : int, default 1
        Threads that share the replicas.
    chunk : int, default 64
        Replicas a thread advances at once.
    progress : bool, optional
        Whether to show a bar on stderr; by default when stderr is a terminal.
    resume : Run, optional
        An interrupted or shorter run to be continued; the result is that of one run without interruption.

    Returns
    -------
    Run
        When interrupted (Ctrl-C), what was recorded so far, with ``steps_done < steps``.

    Raises
    ------
    ValueError
        If an argument is outside its range, `x0` has another shape, or `resume` belongs to another simulation: its method,
        objective, seed, replicas, and, where they are given, start, stride and measures must be the same.

    Examples
    --------
    >>> import numpy as np, mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1))
    >>> run = simulate(ms.DSGD(0.25), F, steps=20, replicas=8, seed=0)
    >>> run.distance.shape
    (8, 21)
    """
    instance("method", method, Method)
    instance("objective", objective, Objective)
    steps, replicas = integer("steps", steps, 1), integer("replicas", replicas, 1)
    threads, chunk = integer("threads", threads, 1), integer("chunk", chunk, 1)
    streams = Streams(integer("seed", seed, 0, 2**64 - 1))
    asked = Run.begin(
        method,
        objective,
        _starts(objective, x0, replicas, streams),
        steps=steps,
        seed=streams.seed,
        every=_stride(objective, steps, every, resume),
        measures=_known(measures, resume),
    )
    start = asked if resume is None else _checked_resume(resume, asked, compare_start=x0 is not None)
    engine = _Engine(method, objective, streams, threads, chunk)
    recorder = _Recorder(start, steps)
    bar = tqdm(total=steps, initial=start.steps_done, disable=not _show(progress), unit="step", file=sys.stderr)
    with threadpool_limits(limits=1, user_api="blas"), bar:
        try:
            _drive(engine, recorder, _revive(method, objective, start), start.steps_done, bar)
        except KeyboardInterrupt:
            kept = f"everything up to step {recorder.held.steps_done} of {steps} is kept"
            warnings.warn(f"interrupted: {kept}; pass resume= to go on", stacklevel=2)
    return recorder.run()


def _drive(engine: _Engine, recorder: _Recorder, states: State, now: int, bar: tqdm) -> None:
    for stop in recorder.stops.tolist():
        states = engine.advance(states, now, stop)
        recorder.add(stop, states, engine.measure(states.x, tuple(recorder.tables)))
        bar.update(stop - now)
        now = stop


class _Held(NamedTuple):
    """What is certain: how many records are complete, and the state at the last of them."""

    records: int
    steps_done: int
    state: dict[str, np.ndarray]


class _Recorder:
    """Collects measures in tables that are allocated once."""

    def __init__(self, start: Run, steps: int) -> None:
        stops = np.unique(np.append(np.arange(0, steps, start.every), steps))
        self.start, self.steps, self.stops = start, steps, stops[stops >= start.next_record]
        self.tables = {name: np.empty((start.replicas, len(self.stops))) for name in start.traces}
        self.held = _Held(0, start.steps_done, start.state)
        self.begin = time.perf_counter()

    def add(self, stop: int, states: State, columns: dict[str, np.ndarray]) -> None:
        """Record measures and states at the next stop; they count from the last assignment on, all at once."""
        for name, column in columns.items():
            self.tables[name][:, self.held.records] = column
        state = {name: asnumpy(field) for name, field in states._asdict().items()}
        self.held = _Held(self.held.records + 1, stop, state)

    def run(self) -> Run:
        """Return what was collected, after what the run to resume already held."""
        start, records = self.start, self.held.records
        recorded = np.append(start.recorded, self.stops[:records])
        # A shorter run ends with a record that a longer one does not have.
        keep = recorded % start.every == 0
        keep[-1:] = True
        traces = {name: np.hstack([start.traces[name], table[:, :records]])[:, keep] for name, table in self.tables.items()}
        return replace(
            start,
            steps=self.steps,
            steps_done=self.held.steps_done,
            recorded=recorded[keep],
            traces=traces,
            state=self.held.state,
            seconds=start.seconds + time.perf_counter() - self.begin,
        )


class _Engine:
    """Advances and measures all replicas, chunk by chunk, possibly on several threads."""

    def __init__(self, method: Method, objective: Objective, streams: Streams, threads: int, chunk: int) -> None:
        self.method, self.objective, self.streams = method, objective, streams
        self.threads, self.chunk = threads, chunk
        self.stopped = threading.Event()

    def advance(self, states: State, begin: int, end: int) -> State:
        """Return the states after the steps from `begin` up to `end`."""
        pieces = self._each(len(states.x), lambda piece: self._advance_piece(states, piece, begin, end))
        xp = namespace(states.x)
        return type(states)(*(xp.concat(fields, axis=0) for fields in zip(*pieces, strict=True)))

    def measure(self, x: Array, names: tuple[str, ...]) -> dict[str, np.ndarray]:
        """Return the measures of all replicas."""
        pieces = self._each(len(x), lambda piece: [measure_points(self.objective, x[piece], name) for name in names])
        return {name: np.concatenate(columns) for name, columns in zip(names, zip(*pieces, strict=True), strict=True)}

    def _each(self, count: int, work: Callable[[slice], Any]) -> list[Any]:
        pieces = [slice(i, min(i + self.chunk, count)) for i in range(0, count, self.chunk)]
        if self.threads == 1 or len(pieces) == 1:
            return [work(piece) for piece in pieces]
        with ThreadPoolExecutor(self.threads) as pool:
            try:
                return list(pool.map(work, pieces))
            except BaseException:
                self.stopped.set()
                raise

    def _advance_piece(self, states: State, piece: slice, begin: int, end: int) -> State:
        own = type(states)(*(field[piece] for field in states))
        numbers = namespace(own.x).arange(piece.start, piece.stop)
        # NumPy's error state belongs to a thread; iterates may diverge, and then measure infinite.
        with np.errstate(over="ignore", invalid="ignore"):
            for step in range(begin, end):
                if self.stopped.is_set():
                    break
                own = self.method.step(own, self.objective, StreamDraw(self.streams, step, numbers))
        return own


def measure_points(objective: Objective, x: Array, measure: str) -> np.ndarray:
    """Return one measure of every point, shape ``(replicas,)``; a diverged point measures infinite.

    Parameters
    ----------
    objective : Objective
        The objective.
    x : array, shape (replicas, dim)
        The points.
    measure : {"distance", "gap", "gradient_norm", "f", "error"}
        What to measure; see `Run`.
    """
    out = np.full(x.shape[0], np.inf)
    with np.errstate(over="ignore", invalid="ignore"):
        sound = np.isfinite(asnumpy(x)).all(axis=-1)
        if sound.any():
            out[sound] = asnumpy(_measure(objective, x if sound.all() else x[sound], measure))
    return np.where(np.isnan(out), np.inf, out)


def _measure(objective: Objective, x: Array, measure: str) -> Array:
    if measure == "distance":
        y = x - namespace(x).asarray(objective.minimize().x)
        return inner(y, y)
    if measure == "gap":
        return objective.value(x) - objective.minimize().value
    if measure == "gradient_norm":
        gradient = objective.gradient(x)
        return namespace(x).sqrt(inner(gradient, gradient))
    if measure == "error":
        y = x - namespace(x).asarray(objective.problem.minimize().x)
        return inner(y, y)
    return objective.problem.value(x)


def _known(measures: tuple[str, ...] | None, resume: Run | None) -> tuple[str, ...]:
    if measures is None:
        return DEFAULT_MEASURES if resume is None else tuple(resume.traces)
    if isinstance(measures, str):
        raise TypeError(f"measures={measures!r} is not accepted: it must be a tuple of names, for example ({measures!r},)")
    return tuple(one_of("measure", name, MEASURES) for name in measures)


def _stride(objective: Objective, steps: int, every: int | None, resume: Run | None) -> int:
    if every is not None:
        return integer("every", every, 1)
    if resume is not None:
        return resume.every
    records = _CHEAP_RECORDS if objective.evaluation.name == "closed form" else _COSTLY_RECORDS
    return max(1, steps // records)


def _show(progress: bool | None) -> bool:
    return sys.stderr.isatty() if progress is None else progress


def _starts(objective: Objective, x0: Array | str | None, replicas: int, streams: Streams) -> np.ndarray:
    if isinstance(x0, str):
        one_of("x0", x0, ["normal"])
        u = streams.uniform("start", 0, np.arange(replicas), 2 * objective.dim)
        # Box-Muller: 1 - u is never 0.
        radius, angle = np.sqrt(-2 * np.log1p(-u[:, ::2])), 2 * np.pi * u[:, 1::2]
        normal: np.ndarray = radius * np.cos(angle)
        return normal
    start = objective.center if x0 is None else finite("x0", np.asarray(x0, dtype=float))
    if start.shape not in ((objective.dim,), (replicas, objective.dim)):
        raise ValueError(f"x0 has shape {start.shape}, but it must be ({objective.dim},) or ({replicas}, {objective.dim})")
    # A problem's sums along a row may depend on the memory layout in the last bit.
    return np.array(np.broadcast_to(start, (replicas, objective.dim)), order="C")


def _checked_resume(resume: Run, asked: Run, compare_start: bool) -> Run:
    same = ["method_hash", "objective_hash", "seed", "replicas", "every", *(["start_hash"] if compare_start else [])]
    for name in same:
        found, wanted = getattr(resume, name), getattr(asked, name)
        if found != wanted:
            what = name.removesuffix("_hash")
            raise ValueError(f"resume belongs to another simulation: its {what} is {found}, not {wanted}")
    if set(resume.traces) != set(asked.traces):
        raise ValueError(f"resume belongs to another simulation: it recorded {', '.join(resume.traces)}")
    if resume.steps_done > asked.steps:
        raise ValueError(f"steps={asked.steps} is not accepted: the run to resume has already done {resume.steps_done}")
    return resume


def _revive(method: Method, objective: Objective, start: Run) -> State:
    fresh = method.init(objective, start.state["x"])
    return fresh if start.next_record == 0 else type(fresh)(**start.state)
