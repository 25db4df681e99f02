"""The results of a sweep as one tidy table, with its provenance in every row."""

from __future__ import annotations

import csv
import importlib
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mastsim.files import write_whole
from mastsim.frames import to_frame
from mastsim.provenance import content_hash
from mastsim.run import Run
from mastsim.run_files import seal_of
from mastsim.sweeps.records import run_path
from mastsim.sweeps.tasks import Task

_FLOATS = ("mean", "stderr")
_FOUND = (
    *("stepsize", "stepsize_theorem", "stepsize_source", "final_step", "diverged"),
    *("measure", *_FLOATS, "estimated", "bound", "theorem", "key", "mastsim"),
    *("objective_sha256", "method_sha256", "evaluation", "status", "reason"),
)
"""The columns that say what was found."""


@dataclass(frozen=True, eq=False)
class Sweep:
    """The finished tasks of a sweep.

    Parameters
    ----------
    folder : Path
        Where their records are.
    tasks : tuple of Task
        All tasks of the grid, in its order.
    records : mapping of str to dict
        The record of every finished task, by key.
    computed : int
        How many of them were not there before.
    failures : mapping of str to str
        Why tasks failed, by key.

    Examples
    --------
    >>> import tempfile, mastsim.sweeps as sweeps
    >>> grid = {"data": "synthetic:n=20,d=4", "sketch": "randk:0.5", "steps": 10, "measures": "distance"}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     row = sweeps.sweep(grid, folder, progress=False).table()[0]
    >>> row["measure"], row["final_step"], row["theorem"], row["mean"] < row["bound"]
    ('distance', 10, 'theorem2', True)
    """

    folder: Path
    tasks: tuple[Task, ...] = field(repr=False)
    records: Mapping[str, dict[str, Any]] = field(repr=False)
    computed: int
    failures: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """A hash of the tasks in their order: what one grid is told by from others in the same folder."""
        return content_hash(tuple(task.key for task in self.tasks))

    @property
    def done(self) -> int:
        """How many tasks are finished."""
        return len(self.records)

    @property
    def seconds(self) -> dict[str, float]:
        """How long each finished task took, by key; not part of the table, whose numbers depend on the grid alone."""
        return {key: record["seconds"]["task"] for key, record in self.records.items()}

    def table(self) -> list[dict[str, Any]]:
        """Return one row for each finished task and measure, and one for each other task, in the order of the grid.

        ``status`` is ``done``, ``failed`` with a ``reason``, or ``missing``: interrupted before its turn.
        ``mean`` and ``stderr`` are over replicas at ``final_step``. ``bound`` stands in the row of the mean that it bounds;
        where a theorem bounds what is not recorded, for example a minimum over all steps, it has a row of its own, whose
        mean is NaN. Numbers that do not exist are None.
        """
        return [row for task in self.tasks for row in self._rows(task)]

    def to_frame(self) -> Any:
        """Return the table as a pandas data frame; ImportError where pandas is not installed."""
        return to_frame(self.table())

    def plot(self, measure: str = "distance") -> Any:
        """Return a matplotlib figure of the means of a measure over step sizes, one line a sketch and method.

        Parameters
        ----------
        measure : str, default "distance"
            A measure that the tasks recorded.

        Raises
        ------
        ValueError
            If no task recorded it.
        """
        from mastsim.plots import plot_rows

        rows = self.table()
        known = sorted({row["measure"] for row in rows if row["mean"] is not None})
        if measure not in known:
            raise ValueError(f"measure={measure!r} is not accepted: the tasks recorded {', '.join(known) or 'nothing'}")
        return plot_rows(rows, measure)

    def _rows(self, task: Task) -> list[dict[str, Any]]:
        """Return the rows of one task."""
        if (record := self.records.get(task.key)) is not None:
            return [row | {"status": "done", "reason": None} for row in _rows(task, record)]
        why = self.failures.get(task.key)
        status = {"status": "missing" if why is None else "failed", "reason": why}
        return [_about(task) | dict.fromkeys(_FOUND) | dict.fromkeys(_FLOATS, math.nan) | {"key": task.key} | status]

    def run(self, task: Task) -> Run:
        """Return the run of a task, where ``runs=True`` has kept it.

        Parameters
        ----------
        task : Task
            One of `tasks`.

        Raises
        ------
        FileNotFoundError
            If it was not kept.
        ValueError
            If the file belongs to another task, or was changed since.
        """
        run = Run.load(path := run_path(self.folder, task))
        if seal_of(path) != self.records.get(task.key, {}).get("run_sha256"):
            raise ValueError(f"{path} is not the run of this task, which its record knows by another checksum")
        return run

    def save_csv(self, path: str | Path) -> None:
        """Write the table as a CSV file, all or nothing; floats are written such that they are read back exactly.

        Parameters
        ----------
        path : str or Path
            The file; replaced if it exists.
        """
        rows, text = self.table(), io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: "" if _missing(value) else value for name, value in row.items()} for row in rows)
        write_whole(path, text.getvalue())

    def save_parquet(self, path: str | Path) -> None:
        """Write the table as a Parquet file, all or nothing.

        Parameters
        ----------
        path : str or Path
            The file; replaced if it exists.

        Raises
        ------
        ModuleNotFoundError
            If pyarrow is not installed.
        """
        try:
            arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
        except ModuleNotFoundError as missing:
            raise ModuleNotFoundError("Parquet needs pyarrow: install it, or use save_csv") from missing
        rows = [row | {"stepsize_asked": str(row["stepsize_asked"])} for row in self.table()]
        write_whole(path, lambda file: parquet.write_table(arrow.Table.from_pylist(rows), file))


def _about(task: Task) -> dict[str, Any]:
    """Return the columns that say what was asked for."""
    about = {name: value for name, value in task.record().items() if name not in ("measures", "every")}
    for table in ("settings", "problem_settings"):
        about[table] = " ".join(f"{name}={value}" for name, value in about[table].items())
    return about | {"stepsize_asked": about.pop("stepsize")}


def _rows(task: Task, record: dict[str, Any]) -> list[dict[str, Any]]:
    result = record["result"]
    about = _about(task) | {"stepsize": _float(result["stepsize"])}
    about |= {name: result[name] for name in ("stepsize_theorem", "stepsize_source", "final_step", "diverged")}
    source = {"key": task.key, "mastsim": record["mastsim"]}
    source |= {name: result[name] for name in ("objective_sha256", "method_sha256", "evaluation")}
    promise = result["bound"]
    name = None if promise is None else promise["measure"] if promise["over"] == "last" else _spelled(promise)
    measured = {
        measure: {part: _float(final[part]) for part in _FLOATS} | {"estimated": final.get("estimated", 0)}
        for measure, final in result["final"].items()
    }
    if name is not None and name not in measured:
        measured[name] = dict.fromkeys(_FLOATS, math.nan) | {"estimated": None}
    return [
        about | {"measure": measure} | numbers | _bound(promise if measure == name else None) | source
        for measure, numbers in measured.items()
    ]


def _spelled(promise: dict[str, Any]) -> str:
    return f"{promise['over']} {promise['measure']}"


def _bound(promise: dict[str, Any] | None) -> dict[str, Any]:
    if promise is None:
        return {"bound": None, "theorem": None}
    return {"bound": _float(promise["value"]), "theorem": promise["theorem"]}


def _float(written: float | str | None) -> float:
    return math.nan if written is None else float(written)


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
