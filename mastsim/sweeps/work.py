"""What a worker does with a task: build the objective, choose the step size, simulate, and keep the record."""

from __future__ import annotations

import platform
import threading
import time
import warnings
from contextlib import nullcontext
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from mastsim import version
from mastsim.expected import Objective
from mastsim.orphans import end_with
from mastsim.problems.dataset import sha256
from mastsim.run import Run
from mastsim.run_files import seal_of
from mastsim.simulation import simulate
from mastsim.single_thread import one_thread
from mastsim.spec import Spec
from mastsim.sweeps.records import read_record, run_path, write_record
from mastsim.sweeps.tasks import Task
from mastsim.theorems import Rate


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
        record = record | {"run_sha256": seal_of(run_path(folder, task))}
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
    hashes = task.shift_sha256, task.weights_sha256, task.module_sha256
    F = objective(task.about_objective(), task.data_sha256, *hashes)
    chosen = task.choose(F, task.steps)
    measures = chosen.measures if task.measures is None else task.measures
    settings: Any = {"steps": task.steps, "replicas": task.replicas, "seed": task.seed, "every": task.every}
    settings |= {"measures": measures, "measure_accuracy": task.measure_accuracy}
    with _quiet():
        run = simulate(chosen.method, F, **settings, progress=False)
    result = {
        "objective": F.name,
        "evaluation": F.evaluation.name,
        "method": run.method,
        "objective_sha256": run.request.objective_hash,
        "method_sha256": run.request.method_hash,
        "stepsize": run.stepsize,
        "stepsize_theorem": chosen.record()["theorem"],
        "stepsize_source": chosen.source,
        "final_step": run.steps_done,
        "diverged": 0 if run.divergence is None else run.divergence.replicas,
        "final": run.final(),
        "bound": None if chosen.claim is None else _promise(chosen.claim, run),
    }
    seconds = {"simulation": run.seconds, "task": time.perf_counter() - begin}
    return {"mastsim": version.__version__, "libraries": _libraries(), "result": result, "seconds": seconds}, run


@lru_cache(maxsize=2)
def objective(
    spec: Spec,
    data_sha256: str,
    shift_sha256: str | None = None,
    weights_sha256: str | None = None,
    module_sha256: str | None = None,
) -> Objective:
    """Return the objective of tasks; the last two are kept, since tasks that share one follow each other.

    Parameters
    ----------
    spec : Spec
        The description.
    data_sha256 : str
        Hash of its data when the grid was read.
    shift_sha256, weights_sha256, module_sha256 : str, optional
        Hashes of the files of its shift, of its weights and of parts of one's own.

    Raises
    ------
    ValueError
        If a file has changed since.
    """
    data = spec.load()
    if data.sha256 != data_sha256:
        raise ValueError(f"data {spec.data!r} are not those of the grid: their sha256 is {data.sha256}, not {data_sha256}")
    hashes = {"shift": shift_sha256, "weights": weights_sha256, "module": module_sha256}
    for name, held in hashes.items():
        file = getattr(spec, name)
        if held is not None and sha256(Path(str(file)).read_bytes()) != held:
            raise ValueError(f"{name}={file!r} is not the one of the grid: the file has changed")
    return spec.objective_of(data)[1]


def _promise(claim: Rate, run: Run) -> dict[str, Any]:
    value = float(claim.claim(run.steps_done, run.stepsize, claim.initial))
    return {"theorem": claim.id, "measure": claim.measure, "over": claim.over, "value": value, "kind": "upper"}


def _quiet() -> Any:
    # Interruption is told by the sweep. Filters of warnings belong to the process, and only its main thread is interrupted.
    main = threading.current_thread() is threading.main_thread()
    return warnings.catch_warnings(action="ignore", category=UserWarning) if main else nullcontext()


def _libraries() -> dict[str, str]:
    versions = {name: metadata.version(name) for name in ("numpy", "scipy", "numba")}
    return {"python": platform.python_version(), "machine": platform.machine()} | versions
