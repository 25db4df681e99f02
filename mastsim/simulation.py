"""Replicas of a method: one loop that owns the randomness, the traces, the progress bar and interruption."""

from __future__ import annotations

import sys
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from mastsim.backend import Array, Streams, asnumpy, inner, namespace
from mastsim.expected import Mast
from mastsim.methods import Draw, Method, State
from mastsim.provenance import content_hash
from mastsim.run import MEASURES, Run
from mastsim.validation import finite, integer, one_of

_CHUNK = 64
_CHEAP_RECORDS, _COSTLY_RECORDS = 100, 10


def simulate(
    method: Method,
    objective: Mast,
    *,
    steps: int,
    replicas: int = 1,
    seed: int = 0,
    x0: Array | str | None = None,
    every: int | None = None,
    measures: tuple[str, ...] = MEASURES,
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
    objective : Mast
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
        Record every so many steps, and the last. By default 100 records, or 10 when f_D takes quadrature.
    measures : tuple of str, default ("distance", "gap", "gradient_norm", "f")
        What to record; see `Run`.
    threads : int, default 1
        Threads that share the replicas.
    chunk : int, default 64
        Replicas a thread advances at once.
    progress : bool, optional
        Whether to show a bar on stderr; by default when stderr is a terminal.
    resume : Run, optional
        An interrupted or shorter run of the same method, objective and seed, to be continued.

    Returns
    -------
    Run
        When interrupted (Ctrl-C), what was recorded so far, with ``steps_done < steps``.

    Raises
    ------
    ValueError
        If an argument is outside its range, `x0` has another shape, or `resume` belongs to another simulation.

    Examples
    --------
    >>> import numpy as np, mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1))
    >>> run = simulate(ms.DSGD(0.25), F, steps=20, replicas=8, seed=0)
    >>> run.distance.shape
    (8, 21)
    """
    steps, replicas = integer("steps", steps, 1), integer("replicas", replicas, 1)
    seed = integer("seed", seed, 0, 2**64 - 1)
    threads, chunk = integer("threads", threads, 1), integer("chunk", chunk, 1)
    for measure in measures:
        one_of("measure", measure, MEASURES)
    stride = _stride(objective, steps) if every is None else integer("every", every, 1)
    streams = Streams(seed)
    if resume is None:
        start = Run.begin(method, objective, _starts(objective, x0, replicas, streams), steps, seed, measures)
    else:
        start = _checked_resume(resume, method, objective, steps, seed, replicas)
    stops = np.unique(np.append(np.arange(0, steps, stride), steps))
    recorder = _Recorder(objective, start, stops[stops >= start.next_record])
    bar = tqdm(total=steps, initial=start.steps_done, disable=not _show(progress), unit="step", file=sys.stderr)
    engine = _Engine(method, objective, streams, threads, chunk)
    with threadpool_limits(limits=1, user_api="blas"), np.errstate(over="ignore", invalid="ignore"), bar:
        states, now = _revive(method, objective, start), start.steps_done
        for stop in recorder.stops.tolist():
            try:
                states = engine.advance(states, now, stop)
                recorder.add(states)
            except KeyboardInterrupt:
                warnings.warn(
                    f"interrupted: everything up to step {now} of {steps} is kept; pass resume= to go on", stacklevel=2
                )
                break
            bar.update(stop - now)
            now = stop
    return recorder.run(start, steps)


class _Recorder:
    """Collects measures in tables that are allocated once."""

    def __init__(self, objective: Mast, start: Run, stops: np.ndarray) -> None:
        self.objective, self.stops, self.filled = objective, stops, 0
        self.tables = {name: np.empty((start.replicas, len(stops))) for name in start.traces}
        self.state = start.state
        self.begin = time.perf_counter()

    def add(self, states: State) -> None:
        """Measure the states at the next stop; a stop counts only when every measure was taken."""
        columns = {name: measure_points(self.objective, states.x, name) for name in self.tables}
        for name, column in columns.items():
            self.tables[name][:, self.filled] = column
        self.state = {name: asnumpy(field) for name, field in states._asdict().items()}
        self.filled += 1

    def run(self, start: Run, steps: int) -> Run:
        """Return what was collected, after what `start` already held."""
        recorded = np.append(start.recorded, self.stops[: self.filled])
        return replace(
            start,
            steps=steps,
            steps_done=int(recorded[-1]) if len(recorded) else 0,
            recorded=recorded,
            traces={name: np.hstack([start.traces[name], t[:, : self.filled]]) for name, t in self.tables.items()},
            state=self.state,
            seconds=start.seconds + time.perf_counter() - self.begin,
        )


class _Engine:
    """Advances all replicas, chunk by chunk, possibly on several threads."""

    def __init__(self, method: Method, objective: Mast, streams: Streams, threads: int, chunk: int) -> None:
        self.method, self.objective, self.streams = method, objective, streams
        self.threads, self.chunk = threads, chunk
        self.stopped = threading.Event()

    def advance(self, states: State, begin: int, end: int) -> State:
        """Return the states after the steps from `begin` up to `end`."""
        count = states.x.shape[0]
        pieces = [slice(i, min(i + self.chunk, count)) for i in range(0, count, self.chunk)]
        work: Callable[[slice], State] = lambda piece: self._advance_piece(states, piece, begin, end)  # noqa: E731
        if self.threads == 1:
            return self._join([work(piece) for piece in pieces])
        with ThreadPoolExecutor(self.threads) as pool:
            try:
                return self._join(list(pool.map(work, pieces)))
            except KeyboardInterrupt:
                self.stopped.set()
                raise

    def _advance_piece(self, states: State, piece: slice, begin: int, end: int) -> State:
        own = type(states)(*(field[piece] for field in states))
        numbers = namespace(own.x).arange(piece.start, piece.stop)
        for step in range(begin, end):
            if self.stopped.is_set():
                break
            own = self.method.step(own, self.objective, Draw(self.streams, step, numbers))
        return own

    @staticmethod
    def _join(pieces: list[State]) -> State:
        xp = namespace(pieces[0].x)
        return type(pieces[0])(*(xp.concat(fields, axis=0) for fields in zip(*pieces, strict=True)))


def measure_points(objective: Mast, x: Array, measure: str) -> np.ndarray:
    """Return one measure of every point, shape ``(replicas,)``; a diverged point measures infinite.

    Parameters
    ----------
    objective : Mast
        The objective.
    x : array, shape (replicas, dim)
        The points.
    measure : {"distance", "gap", "gradient_norm", "f"}
        What to measure; see `Run`.
    """
    if measure == "distance":
        y = x - namespace(x).asarray(objective.minimize().x)
        out = inner(y, y)
    elif measure == "gap":
        out = objective.value(x) - objective.minimize().value
    elif measure == "gradient_norm":
        gradient = objective.gradient(x)
        out = namespace(x).sqrt(inner(gradient, gradient))
    else:
        out = objective.problem.value(x)
    host = asnumpy(out)
    return np.where(np.isnan(host), np.inf, host)


def _stride(objective: Mast, steps: int) -> int:
    records = _CHEAP_RECORDS if objective.evaluation.name == "closed form" else _COSTLY_RECORDS
    return max(1, steps // records)


def _show(progress: bool | None) -> bool:
    return sys.stderr.isatty() if progress is None else progress


def _starts(objective: Mast, x0: Array | str | None, replicas: int, streams: Streams) -> np.ndarray:
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
    return np.array(np.broadcast_to(start, (replicas, objective.dim)))


def _checked_resume(resume: Run, method: Method, objective: Mast, steps: int, seed: int, replicas: int) -> Run:
    asked: dict[str, Any] = {
        "method": content_hash(method),
        "objective": content_hash(objective),
        "seed": seed,
        "replicas": replicas,
    }
    found = {"method": resume.method_hash, "objective": resume.objective_hash, "seed": resume.seed}
    found["replicas"] = resume.replicas
    for name, value in asked.items():
        if found[name] != value:
            raise ValueError(f"resume belongs to another simulation: its {name} is {found[name]}, not {value}")
    if resume.steps_done > steps:
        raise ValueError(f"steps={steps} is not accepted: the run to resume has already done {resume.steps_done}")
    return resume


def _revive(method: Method, objective: Mast, start: Run) -> State:
    fresh = method.init(objective, start.state["x"])
    return fresh if start.next_record == 0 else type(fresh)(**start.state)
