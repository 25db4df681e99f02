"""Files of a sweep: written all at once or not at all, and recognised when something happened to them since."""

from __future__ import annotations

import json
import os
import time
import uuid
from pathlib import Path
from typing import Any

from mastsim.documents import dumps
from mastsim.problems.dataset import sha256
from mastsim.run import Run
from mastsim.sweeps.tasks import Task

_ABANDONED = 3600.0


def record_path(folder: Path, task: Task) -> Path:
    """Return where the record of a task lies."""
    return folder / f"{task.key}.json"


def run_path(folder: Path, task: Task) -> Path:
    """Return where the traces of a task lie, when they are kept."""
    return folder / f"{task.key}.npz"


def write_atomically(target: Path, text: str) -> None:
    """Write a file such that its name never stands for a part of it, not even after a power failure.

    Parameters
    ----------
    target : Path
        The file; replaced if it exists.
    text : str
        What it will hold.

    Raises
    ------
    OSError
        If it cannot be written; then nothing is left behind.
    """
    partial = target.with_name(f"{target.name}.{uuid.uuid4().hex}.partial")
    try:
        with partial.open("x", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


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
    write_atomically(record_path(folder, task), dumps(body | {"record_sha256": _seal(body)}) + "\n")


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
    return body if not runs or _sound_run(run_path(folder, task)) else None


def remove_abandoned(folder: Path) -> None:
    """Remove what killed writers left behind more than an hour ago; what is younger may still be written.

    Parameters
    ----------
    folder : Path
        The folder of the sweep.
    """
    for partial in folder.glob("*.partial"):
        try:
            if time.time() - partial.stat().st_mtime > _ABANDONED:
                partial.unlink()
        except FileNotFoundError:
            continue


def _seal(body: dict[str, Any]) -> str:
    return sha256(dumps(body).encode())


def _sound_run(path: Path) -> bool:
    try:
        Run.load(path)
    except (FileNotFoundError, ValueError):
        return False
    return True
