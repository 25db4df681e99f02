"""What a worker does with a task: build the objective, choose the step size, simulate, and keep the record."""

from __future__ import annotations

import platform
import threading
import time
import warnings
from contextlib import nullcontext
from dataclasses import fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numba
import numpy as np
import scipy

import mastsim
from mastsim import advice, methods
from mastsim.expected import Distributed, Mast, Objective
from mastsim.methods import Method
from mastsim.problems import family_for, load, split
from mastsim.problems.dataset import sha256
from mastsim.run import DEFAULT_MEASURES, Run
from mastsim.simulation import simulate
from mastsim.sketches import parse_sketch
from mastsim.sweeps.choices import asked, method
from mastsim.sweeps.orphans import end_with
from mastsim.sweeps.records import read_record, run_path, write_record
from mastsim.sweeps.tasks import Task
from mastsim.sweeps.threads import one_thread
from mastsim.theorems import Rate
from mastsim.vectors import read_vector

_ABOUT_OBJECTIVE = (
    "data",
    "data_sha256",
    "problem",
    "l2",
    "condition_number",
    "sketch",
    "shift",
    "shift_sha256",
    "clients",
    "split",
    "positive",
    "features",
    "zero_based",
)


def work(task: Task, folder: str, runs: bool, parent: int) -> tuple[str, str | None]:
    """Carry out a task unless its record is there, and keep the record.

    Parameters
    ----------
    task : Task
        The task.
    folder : str
        The folder of the sweep.
    runs : bool
        Whether to keep the traces too.
    parent : int
        Process number of the sweep, without which a process of its own has no use.

    Returns
    -------
    tuple of str and (str or None)
        The key of the task, and why it failed if it did.
    """
    where = Path(folder)
    end_with(parent)
    try:
        with one_thread():
            if read_record(where, task, runs) is None:
                record, run = carry_out(task)
                _keep(where, task, record, run if runs else None)
    except Exception as problem:  # whatever happens to one task, the others go on
        return task.key, f"{type(problem).__name__}: {problem}"
    return task.key, None


def _keep(folder: Path, task: Task, record: dict[str, Any], run: Run | None) -> None:
    # A worker whose sweep was killed may have finished the same task in the meantime.
    if read_record(folder, task, run is not None) is not None:
        return
    if run is not None:
        run.save(run_path(folder, task))
    write_record(folder, task, record)


def carry_out(task: Task) -> tuple[dict[str, Any], Run]:
    """Return what is known after a task, and its run.

    Parameters
    ----------
    task : Task
        The task.

    Raises
    ------
    ValueError
        If the data are no longer those of the grid, or no theorem gives the step size asked for.
    """
    begin = time.perf_counter()
    F = objective(*(getattr(task, name) for name in _ABOUT_OBJECTIVE))
    chosen, claim = method_and_claim(task, F)
    settings = {"steps": task.steps, "replicas": task.replicas, "seed": task.seed, "every": task.every}
    with _quiet():
        run = simulate(chosen, F, **settings, measures=_measures(task, claim), progress=False)  # type: ignore[arg-type]
    if run.steps_done < task.steps:
        raise KeyboardInterrupt
    result = {
        "objective": F.name,
        "evaluation": F.evaluation.name,
        "method": run.method,
        "objective_sha256": run.objective_hash,
        "method_sha256": run.method_hash,
        "stepsize": run.stepsize,
        "final_step": run.steps_done,
        "final": run.final(),
        "bound": None if claim is None else _promise(claim, run),
    }
    seconds = {"simulation": run.seconds, "task": time.perf_counter() - begin}
    return {"mastsim": mastsim.__version__, "libraries": _libraries(), "result": result, "seconds": seconds}, run


@lru_cache(maxsize=2)
def objective(
    data: str,
    data_sha256: str,
    problem: str,
    l2: float | None,
    condition_number: float | None,
    sketch: str,
    shift: str,
    shift_sha256: str | None,
    clients: int | None,
    by: str,
    positive: float | None,
    features: int | None,
    zero_based: bool,
) -> Objective:
    """Return the objective of a task; the last two are kept, since tasks that share one follow each other."""
    read = load(data, features=features, zero_based=zero_based)
    if read.sha256 != data_sha256:
        raise ValueError(f"data {data!r} are not those of the grid: their sha256 is {read.sha256}, not {data_sha256}")
    dataset, family = family_for(read, problem, positive)
    f = family(dataset.A, dataset.y, l2=l2, condition_number=condition_number)
    S, v = parse_sketch(sketch, f.dim), None
    if shift == "erm":
        v = f.minimize().x
    elif shift != "zero":
        if sha256(Path(shift).read_bytes()) != shift_sha256:
            raise ValueError(f"shift={shift!r} is not the one of the grid: the file has changed")
        v = read_vector("shift", shift, f.dim)
    return Mast(f, S, shift=v) if clients is None else Distributed(split(f, clients, by=by), S, shift=v)


def method_and_claim(task: Task, F: Objective) -> tuple[Method, Rate | None]:
    """Return the method of a task, and the theorem whose bound covers it, if one does.

    Parameters
    ----------
    task : Task
        The task.
    F : Objective
        Its objective.

    Raises
    ------
    ValueError
        If the step size is that of a theorem, and none covers the method.
    """
    factor, unit = asked(task.stepsize)
    trial = method(task.method, 1.0, dict(task.settings), task.clients)
    theorem = _covering(trial, F, task.steps, unit == "sharp")
    if unit is None:
        gamma = factor
    elif theorem is not None:
        gamma = factor * theorem.stepsize
    elif isinstance(trial, methods.GD):
        gamma = factor / (F.smoothness.value if unit == "sharp" else F.inherited_smoothness)
    else:
        raise ValueError(f"stepsize={task.stepsize!r} is not accepted: no theorem covers {trial.name} here; give a number")
    allowed = theorem is not None and gamma <= theorem.stepsize * (1 + 1e-12)
    return replace(trial, stepsize=gamma), theorem if allowed else None


def _covering(trial: Method, F: Objective, steps: int, sharp: bool) -> Rate | None:
    sampling = getattr(trial, "sampling", None)
    sampled = None if isinstance(sampling, methods.FullBatch) else sampling
    theorem = advice.covering(F, type(trial).__name__, steps, sampled, sharp)
    if theorem is None:
        return None
    own = {field.name for field in fields(trial) if field.name != "stepsize"}
    shared = own & {field.name for field in fields(theorem)}
    theorem = replace(theorem, **{name: getattr(trial, name) for name in shared})
    # A theorem about other settings promises nothing about these.
    return theorem if theorem.method_at(1.0) == trial else None


def _promise(claim: Rate, run: Run) -> dict[str, Any]:
    value = float(claim.claim(run.steps_done, run.stepsize, claim.initial))
    return {"theorem": claim.id, "measure": claim.measure, "over": claim.over, "value": value, "kind": "upper"}


def _measures(task: Task, claim: Rate | None) -> tuple[str, ...]:
    if task.measures is not None:
        return task.measures
    return (*DEFAULT_MEASURES, "error") if claim is not None and claim.measure == "error" else DEFAULT_MEASURES


def _quiet() -> Any:
    # Interruption is told by the sweep. Filters of warnings belong to the process, and only its main thread is interrupted.
    main = threading.current_thread() is threading.main_thread()
    return warnings.catch_warnings(action="ignore", category=UserWarning) if main else nullcontext()


def _libraries() -> dict[str, str]:
    versions = {module.__name__: module.__version__ for module in (np, scipy, numba)}
    return {"python": platform.python_version(), "machine": platform.machine()} | versions
