"""Replicas of a method: one loop that owns the randomness, the traces, the progress bar and interruption."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from mastsim.backend import STEPS, Array, Streams
from mastsim.devices import Device, find_device
from mastsim.engine import REFERRED, Engine, plan_on
from mastsim.expected import Objective
from mastsim.expected.relative import RelativeValues
from mastsim.interruption import Interrupted
from mastsim.kernels import ENGINES, PRECISIONS
from mastsim.memory import check_room
from mastsim.methods import Method, State
from mastsim.pace import Pace
from mastsim.recording import Recorder
from mastsim.run import AVERAGE_MEASURES, DEFAULT_MEASURES, LYAPUNOV, MEASURE_ACCURACY, MEASURES, Request, Run
from mastsim.validation import EVALUATIONS, finite, flag, floats, instance, integer, one_of, positive, texts

_CHUNK, _LEAST_CHUNK, _DEVICE_CHUNK = 64, 16, 4096
_CHEAP_RECORDS, _COSTLY_RECORDS = 100, 10
REPLICAS = 1 << 32
"""How many replicas have random numbers of their own."""
_COPIES = 6
"""How often the iterates are in memory at once: starts, states before and after, what a step is made of."""


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
    measure_accuracy: float | None = None,
    threads: int = 1,
    chunk: int | None = None,
    device: str | Device = "cpu",
    engine: str = "auto",
    precision: str = "float64",
    progress: bool | None = None,
    resume: Run | None = None,
) -> Run:
    """Run independent replicas of a method and record how far they are from x_D*.

    The result depends on `method`, `objective`, `steps`, `seed`, `x0`, `every`, what is measured and the engine only: a
    replica's path is bitwise the same for any `replicas`, `threads` and `chunk`. On a GPU the random numbers are the same
    and all else agrees to rounding; steps run there, while constants, minimisers and the measures of f_D by kernels for the
    host (row by row) are computed on the host, from points copied at each record. Methods that step along such an exact ∇f_D
    are refused.

    Parameters
    ----------
    method : Method
        For example ``DSGD(stepsize)``.
    objective : Objective
        The objective f_D.
    steps : int
        Number of steps, from 1 to 2**56. A warning says about how long they take where that is more than an hour.
    replicas : int, default 1
        Number of independent replicas, from 1 to 2**32.
    seed : int, default 0
        From 0 to 2**64 − 1.
    x0 : array, shape (dim,) or (replicas, dim), or "normal", optional
        Starting point(s); the shift v when left out; ``"normal"`` draws N(0, I) for every replica.
    every : int, optional
        Record every so many steps, and the last. By default 100 records, or 10 when f_D takes quadrature; as in `resume`
        when that is given.
    measures : tuple of str, optional
        What to record; by default `mastsim.run.DEFAULT_MEASURES` and the Lyapunov function where the method has one that can
        be computed (``"lyapunov"``), as in `resume` when that is given. With ``average_`` before it, for example
        ``"average_gap"``, a measure is that of the running average x̄_T = (x^0 + … + x^{T−1})/T of every replica, x̄_0 = x^0.
    measure_accuracy : float, optional
        How far records of f_D − f_D^inf and ‖∇f_D‖ may be off, relative to what is recorded, from 1e-15 to 1e-4: by default
        1e-9, as in `resume` when that is given. The rounding of f_D is all that is added, whatever the accuracy of
        `objective`, so that no curve flattens early. Verdicts count it.
    threads : int, default 1
        Threads that share the replicas, and the steps of each replica where there are more threads than chunks.
    chunk : int, optional
        Replicas a thread advances at once; by default 64 on the host, fewer where a thread would stay without, and 4096 on a
        GPU.
    device : {"cpu", "gpu"}, default "cpu"
        Where steps are taken; ``"gpu"`` needs CuPy (``mastsim[gpu]``) and a CUDA GPU. What comes back is on the host.
    engine : {"auto", "kernel", "array"}, default "auto"
        Compiled kernels where there are any (see `mastsim.kernels.plan`), kernels or an error, or array operations only. The
        random numbers are the same, and all else agrees to rounding; `Run.engine` says what was used.
    precision : {"float64", "float32"}, default "float64"
        The type of the iterates; floats need a kernel for the whole run. Measures are always taken in double precision.
    progress : bool, optional
        Whether to show a bar on stderr; by default when stderr is a terminal.
    resume : Run, optional
        An interrupted or shorter run to be continued; the result is that of one run without interruption.

    Returns
    -------
    Run
        What the replicas did. Points too far out for an exact value of f_D are measured by estimates; see `Run.errors`, and
        `Run.divergence` for replicas that a step too large drove away.

    Raises
    ------
    Interrupted
        On Ctrl-C; a KeyboardInterrupt whose attribute ``run`` holds what was recorded so far, for `resume`.
    ValueError
        If an argument is outside its range, there is not enough memory for the iterates or the records, `x0` has another
        shape, the device is not there or lacks what the method needs, a kernel is asked for and there is none, or `resume`
        belongs to another simulation: its method, objective, seed, replicas, device, engine, precision, and, where they are
        given, start, stride, measures and their accuracy must be the same.

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
    if resume is not None:
        instance("resume", resume, Run)
    steps, replicas = integer("steps", steps, 1), integer("replicas", replicas, 1)
    threads, where = integer("threads", threads, 1), find_device(device)
    chunk = _chunk(replicas, threads, where) if chunk is None else integer("chunk", chunk, 1)
    streams = Streams(integer("seed", seed, 0, 2**64 - 1))
    stride, recorded = _stride(objective, steps, every, resume), _known(measures, resume, method, objective)
    asked = resume.measure_accuracy if measure_accuracy is None and resume is not None else measure_accuracy
    relative = MEASURE_ACCURACY if asked is None else positive("measure_accuracy", asked, EVALUATIONS)
    check_sizes(objective.dim, steps, replicas, stride, recorded)
    _check_draws(objective, min(min(chunk, replicas) * threads, replicas))
    one_of("engine", engine, ENGINES)
    one_of("precision", precision, PRECISIONS)
    shown = _show(progress)
    plan = plan_on(where, method, objective, engine, precision)
    x0s = _starts(objective, x0, replicas, streams)
    where_and_how: Any = {"device": where.name, "engine": plan.name, "precision": precision}
    what: Any = {"every": stride, "measures": recorded, "measure_accuracy": relative}
    request = Request.of(method, objective, x0s, steps=steps, seed=streams.seed, **what, **where_and_how)
    start = Run.begin(request, x0s) if resume is None else _continued(resume, request, from_start=x0 is not None)
    records = RelativeValues(objective, relative, minimized=bool(REFERRED & set(recorded)))
    averages = not set(recorded).isdisjoint(AVERAGE_MEASURES)
    replicated = Engine(method, records, streams, threads, chunk, where, plan, averages)
    recorder = Recorder(start)
    bar = tqdm(total=steps, initial=start.steps_done, disable=not shown, unit="step", file=sys.stderr)
    try:
        with threadpool_limits(limits=1, user_api="blas"), bar:
            _drive(replicated, recorder, replicated.states_of(start), start.steps_done, bar)
        return recorder.with_divergence(recorder.run(replicated.estimated_steps), method, objective)
    except KeyboardInterrupt as stop:
        raise Interrupted(recorder.run(replicated.estimated_steps)) from stop


def check_sizes(
    dim: int, steps: int, replicas: int, every: int | None = None, measures: tuple[str, ...] | None = None
) -> None:
    """Refuse a simulation that does not fit in memory, or has more steps or replicas than there are random numbers for.

    Parameters
    ----------
    dim : int
        The dimension d.
    steps, replicas : int
        How many, at least 1.
    every : int, optional
        Steps between two records; by default as for an f_D in closed form.
    measures : tuple of str, optional
        What is recorded; `mastsim.run.DEFAULT_MEASURES` by default.

    Raises
    ------
    ValueError
        If iterates or records need more memory than is free, with the bytes and what to change, or there are too many.

    References
    ----------
    This package.

    Examples
    --------
    >>> check_sizes(10, steps=100, replicas=16)
    """
    records = steps // (every or max(1, steps // _CHEAP_RECORDS)) + 2
    tables = DEFAULT_MEASURES if measures is None else measures
    fewer = "use fewer replicas (--replicas)"
    check_room("the iterates of replicas × d", replicas, dim, change=fewer, itemsize=8 * _COPIES)
    # A table, its columns that are kept, and where they were taken.
    check_room(
        "the records of measures × replicas × records",
        *(len(tables), replicas, records),
        change=f"{fewer}, or record less often: a larger every (--every)",
        itemsize=16,
    )
    check_room("the list of records", records, change="record less often: a larger every (--every)", itemsize=32)
    for name, count, most in (("steps", steps, STEPS), ("replicas", replicas, REPLICAS)):
        if count > most:
            raise ValueError(f"{name}={count} is not accepted: random numbers are told apart up to {most}, so use no more")


def _check_draws(objective: Objective, together: int) -> None:
    """Refuse sketches whose draws, for so many replicas at once, do not fit in memory."""
    nodes = getattr(objective, "clients", (objective,))
    draws = sum(node.sketch.uniforms for node in nodes if hasattr(node, "sketch"))
    check_room(
        "the sketches of replicas × draws", together, draws, change="use a sketch that draws fewer, or a smaller chunk"
    )


def _drive(engine: Engine, recorder: Recorder, states: State, now: int, bar: tqdm) -> None:
    """Take all steps, and record at every stop."""
    pace = Pace(recorder.start.steps - now)
    for stop in recorder.stops.tolist():
        while (count := pace.count) < stop - now:
            states = engine.advance(states, now, now + count)
            now += count
            pace.took(count)
            bar.update(count)
        states = engine.advance(states, now, stop)
        pace.took(stop - now)
        recorder.add(stop, states, engine.measure(states, recorder.start.request.measures))
        bar.update(stop - now)
        now = stop
        pace.start()


def _chunk(replicas: int, threads: int, where: Device) -> int:
    if not where.is_host:
        return _DEVICE_CHUNK
    # Every thread gets its share of few replicas, in whole vectors of them.
    share = -(-replicas // (threads * _LEAST_CHUNK)) * _LEAST_CHUNK
    return min(_CHUNK, share)


def _known(measures: tuple[str, ...] | None, resume: Run | None, method: Method, objective: Objective) -> tuple[str, ...]:
    own = (LYAPUNOV,) if method.knows_lyapunov(objective) else ()
    if measures is None:
        return (*DEFAULT_MEASURES, *own) if resume is None else resume.request.measures
    if isinstance(measures, str):
        raise TypeError(f"measures={measures!r} is not accepted: it must be a tuple of names, for example ({measures!r},)")
    names = texts("measures", measures)
    if LYAPUNOV in names and not own:
        raise ValueError(
            f"measure {LYAPUNOV!r} is not accepted: no Lyapunov function of {method.name} is computable on {objective.name}"
        )
    return tuple(dict.fromkeys(one_of("measure", name, (*MEASURES, *AVERAGE_MEASURES, *own)) for name in names))


def _stride(objective: Objective, steps: int, every: int | None, resume: Run | None) -> int:
    if every is not None:
        return integer("every", every, 1)
    if resume is not None:
        return resume.every
    records = _CHEAP_RECORDS if objective.is_quadratic else _COSTLY_RECORDS
    return max(1, steps // records)


def _show(progress: bool | None) -> bool:
    return sys.stderr.isatty() if progress is None else flag("progress", progress)


def _starts(objective: Objective, x0: Array | str | None, replicas: int, streams: Streams) -> np.ndarray:
    if isinstance(x0, str):
        one_of("x0", x0, ["normal"])
        u = streams.uniform("start", 0, np.arange(replicas), 2 * objective.dim)
        # Box-Muller: 1 - u is never 0.
        radius, angle = np.sqrt(-2 * np.log1p(-u[:, ::2])), 2 * np.pi * u[:, 1::2]
        normal: np.ndarray = radius * np.cos(angle)
        return normal
    start = objective.center if x0 is None else finite("x0", floats("x0", x0))
    if start.shape not in ((objective.dim,), (replicas, objective.dim)):
        raise ValueError(f"x0 has shape {start.shape}, but it must be ({objective.dim},) or ({replicas}, {objective.dim})")
    # A problem's sums along a row may depend on the memory layout in the last bit.
    return np.array(np.broadcast_to(start, (replicas, objective.dim)), order="C")


def _continued(resume: Run, request: Request, *, from_start: bool) -> Run:
    """Return a run to resume as the beginning of one of more steps, refusing one of another simulation."""
    request.check_continues(resume.request, from_start=from_start)
    if resume.steps_done > request.steps:
        raise ValueError(f"steps={request.steps} is not accepted: the run to resume has already done {resume.steps_done}")
    return resume.asked_for(request.steps)
