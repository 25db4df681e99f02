"""The sweep: what is missing is given to joblib, and what is finished is never lost."""

from __future__ import annotations

import importlib.util
import os
import sys
import warnings
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import joblib
from joblib.parallel import BACKENDS, EXTERNAL_BACKENDS
from tqdm import tqdm

from mastsim import version
from mastsim.sweeps.grid import read_grid
from mastsim.sweeps.records import read_record, record_path, remove_abandoned
from mastsim.sweeps.results import Sweep
from mastsim.sweeps.tasks import Task
from mastsim.sweeps.work import objective, work
from mastsim.validation import flag, integer, one_of, path


class _Stopped(BaseException):
    """A sweep ended before its time: what happened, how much is done and how to go on, and the sweep so far."""

    def __init__(self, message: str, sweep: Sweep) -> None:
        super().__init__(message, sweep)
        self.sweep = sweep

    def __str__(self) -> str:
        return str(self.args[0])


class SweepError(_Stopped, RuntimeError):
    """A worker of a sweep died; what is finished is kept, and in the attribute ``sweep``."""


class SweepInterrupted(_Stopped, KeyboardInterrupt):
    """A sweep was interrupted; what is finished is kept, and in the attribute ``sweep``."""


def sweep(
    grid: Mapping[str, Any] | str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    workers: int = 1,
    backend: str | None = "loky",
    progress: bool | None = None,
    runs: bool = False,
) -> Sweep:
    """Run every combination of a grid of settings, and keep each result as soon as it is there.

    A task that is finished has a file of its own in `folder`, named after a hash of its settings and written all at once.
    Whatever ends the sweep before its time, the same call later does only what is missing. A damaged file counts as
    missing. The numbers depend on the grid alone, and are bitwise the same for any number of workers and any backend; only
    BLAS, OpenMP and numba are limited to one thread a task.

    Parameters
    ----------
    grid : mapping, or path of a TOML file
        The settings; see `mastsim.sweeps.read_grid`.
    folder : path
        Where the records are kept; made if it does not exist. Sweeps may share one, even at the same time.
    workers : int, default 1
        Number of workers, at least 1.
    backend : str or None, default "loky"
        A backend of joblib: ``loky`` (processes), ``threading``, ``dask`` (needs `distributed` and a connected client), any
        that was registered with joblib; None takes that of an enclosing ``joblib.parallel_config``, `workers` included.
    progress : bool, optional
        Whether to show a bar on stderr; by default when stderr is a terminal.
    runs : bool, default False
        Whether to keep the traces of every task too, as ``Run.save`` writes them.

    Returns
    -------
    Sweep
        All tasks, their records, and why tasks failed, if some did: one that fails does not stop the others.

    Raises
    ------
    ValueError
        If the grid or an argument is not accepted; then nothing was started.
    SweepError
        If a worker died. As many tasks as possible were carried out; see its attribute ``sweep``.
    SweepInterrupted
        On Ctrl-C; a KeyboardInterrupt with an attribute ``sweep``.

    References
    ----------
    This package.

    Examples
    --------
    >>> import tempfile
    >>> grid = {"data": "synthetic:n=20,d=4", "sketch": ["randk:0.5", "identity"], "steps": 10, "seed": [0, 1]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sweep(grid, folder, progress=False).computed, sweep(grid, folder, progress=False).computed
    (4, 0)
    """
    count, backend = integer("workers", workers, 1), _checked_backend(backend)
    where, shown = path("folder", folder).absolute(), _show(progress)
    flag("runs", runs)
    tasks = read_grid(grid)
    where.mkdir(parents=True, exist_ok=True)
    remove_abandoned(where)
    before = _records(where, tasks, runs)
    _warn_of_versions(where, before)
    missing = [task for task in tasks if task.key not in before]
    bar = tqdm(total=len(tasks), initial=len(before), disable=not shown, unit="task", file=sys.stderr)
    failures: dict[str, str] = {}

    def found() -> Sweep:
        records = _records(where, tasks, runs)
        return Sweep(where, tuple(tasks), records, computed=len(records) - len(before), failures=failures)

    try:
        with bar:
            _drive(missing, where, count, backend, runs, bar, failures)
    except KeyboardInterrupt as stop:
        raise SweepInterrupted(_status("interrupted", part := found()), part) from stop
    except Exception as problem:
        first_line = str(problem).strip().partition("\n")[0]
        what = f"a worker was lost, {type(problem).__name__}: {first_line}"
        raise SweepError(_status(what, part := found()), part) from problem
    finally:
        objective.cache_clear()
    return found()


def _drive(
    missing: list[Task],
    folder: Path,
    workers: int,
    backend: str | None,
    runs: bool,
    bar: tqdm,
    failures: dict[str, str],
) -> None:
    if not missing:
        return
    settings = {} if backend is None else {"backend": backend, "n_jobs": workers}
    with joblib.parallel_config(**settings):
        parallel = joblib.Parallel(return_as="generator_unordered")
        with closing(parallel(joblib.delayed(work)(task, str(folder), runs, os.getpid()) for task in missing)) as outcomes:
            for key, failure in outcomes:
                if failure is not None:
                    failures[key] = failure
                bar.update()


def _records(folder: Path, tasks: list[Task], runs: bool) -> dict[str, dict[str, Any]]:
    """Return the records that are there, by key; a folder is listed once, not asked for every task."""
    kept = {path.name for path in folder.glob("*.json")}
    found = {task.key: read_record(folder, task, runs) for task in tasks if record_path(folder, task).name in kept}
    return {key: record for key, record in found.items() if record is not None}


def _checked_backend(backend: str | None) -> str | None:
    if backend is None:
        return None
    one_of("backend", backend, sorted({*BACKENDS, *EXTERNAL_BACKENDS} - {"multiprocessing"}))
    if backend == "dask" and importlib.util.find_spec("distributed") is None:
        raise ValueError("backend='dask' needs the package distributed: pip install 'mastsim[cluster]'")
    return backend


def _show(progress: bool | None) -> bool:
    return sys.stderr.isatty() if progress is None else flag("progress", progress)


def _warn_of_versions(folder: Path, records: Mapping[str, dict[str, Any]]) -> None:
    others = sorted({record["mastsim"] for record in records.values()} - {version.__version__})
    if others:
        mine = f"this is {version.__version__}; sweep into another folder to compute them again"
        warnings.warn(f"{folder} holds records of mastsim {', '.join(others)}, which are kept; {mine}", stacklevel=3)


def _status(what: str, part: Sweep) -> str:
    """Return what happened, how much is done and how to go on."""
    kept = f"{part.done} of {len(part.tasks)} tasks are done and kept in {part.folder}"
    return f"{what}; {kept}; start the same sweep with this folder again to do the other {len(part.tasks) - part.done}"
