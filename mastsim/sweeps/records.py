"""Files of a sweep: written all at once or not at all, and recognised when something happened to them since."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from mastsim.documents import dumps
from mastsim.files import PARTIAL, write_whole
from mastsim.problems.dataset import sha256
from mastsim.run import Run
from mastsim.run_files import seal_of
from mastsim.sweeps.tasks import Task

_ABANDONED = 3600.0


def record_path(folder: Path, task: Task) -> Path:
    """Return where the record of a task lies."""
    return folder / f"{task.key}.json"


def run_path(folder: Path, task: Task) -> Path:
    """Return where the traces of a task lie, when they are kept."""
    return folder / f"{task.key}.npz"


def write_record(folder: Path, task: Task, body: dict[str, Any]) -> None:
    """Write the record of a finished task, with a hash of all that it holds.

    Parameters
    ----------
    folder : Path
        The folder of the sweep.
    task : Task
        The task.
    body : dict
        What is known about it.
    """
    body = {"key": task.key, "task": task.record()} | body
    write_whole(record_path(folder, task), dumps(body | {"record_sha256": _seal(body)}) + "\n")


def read_record(folder: Path, task: Task, runs: bool) -> dict[str, Any] | None:
    """Return the record of a task, or None where there is none, or it is damaged.

    Parameters
    ----------
    folder : Path
        The folder of the sweep.
    task : Task
        The task.
    runs : bool
        Whether its traces must be there too.

    Raises
    ------
    OSError
        If there is a file that cannot be read.
    """
    try:
        body = json.loads(record_path(folder, task).read_bytes())
        if body.pop("record_sha256") != _seal(body) or (body["key"], body["task"]) != (task.key, task.record()):
            return None
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return body if not runs or has_run(folder, task, body) else None


def has_run(folder: Path, task: Task, body: dict[str, Any]) -> bool:
    """Return whether the traces that belong to a record are there, whole and unchanged.

    Parameters
    ----------
    folder : Path
        The folder of the sweep.
    task : Task
        The task.
    body : dict
        Its record.
    """
    path = run_path(folder, task)
    try:
        if seal_of(path) != body["run_sha256"]:
            return False
        Run.load(path)
    except (FileNotFoundError, ValueError, KeyError):
        return False
    return True


def remove_abandoned(folder: Path) -> None:
    """Remove what killed writers left behind more than an hour ago; what is younger may still be written.

    Parameters
    ----------
    folder : Path
        The folder of the sweep.
    """
    for partial in folder.glob(f"*{PARTIAL}"):
        try:
            if time.time() - partial.stat().st_mtime > _ABANDONED:
                partial.unlink()
        except FileNotFoundError:
            continue


def _seal(body: dict[str, Any]) -> str:
    return sha256(dumps(body).encode())
