"""The results of a sweep as one tidy table, with its provenance in every row."""

from __future__ import annotations

import csv
import importlib
import io
import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mastsim.run import Run
from mastsim.sweeps.records import run_path, write_atomically
from mastsim.sweeps.tasks import Task

_FLOATS = ("mean", "stderr")


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

    @property
    def done(self) -> int:
        """How many tasks are finished."""
        return len(self.records)

    @property
    def seconds(self) -> dict[str, float]:
        """How long each finished task took, by key; not part of the table, whose numbers depend on the grid alone."""
        return {key: record["seconds"]["task"] for key, record in self.records.items()}

    def table(self) -> list[dict[str, Any]]:
        """Return one row for each finished task and measure, in the order of the grid.

        ``mean`` and ``stderr`` are over replicas at ``final_step``. ``bound`` stands in the row of the mean that it bounds;
        where a theorem bounds what is not recorded, for example a minimum over all steps, it has a row of its own, whose
        mean is NaN. Numbers that do not exist are None.
        """
        return [row for task in self.tasks if task.key in self.records for row in _rows(task, self.records[task.key])]

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
        """
        return Run.load(run_path(self.folder, task))

    def save_csv(self, path: str | Path) -> None:
        """Write the table as a CSV file, all or nothing; floats are written such that they are read back exactly.

        Parameters
        ----------
        path : str or Path
            The file; replaced if it exists.

        Raises
        ------
        ValueError
            If no task is finished.
        """
        rows, text = self._some_rows(), io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: "" if _missing(value) else value for name, value in row.items()} for row in rows)
        write_atomically(Path(path), text.getvalue())

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
        ValueError
            If no task is finished.
        """
        rows = self._some_rows()
        try:
            arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
        except ModuleNotFoundError as missing:
            raise ModuleNotFoundError("Parquet needs pyarrow: install it, or use save_csv") from missing
        target = Path(path)
        partial = target.with_name(f"{target.name}.{uuid.uuid4().hex}.partial")
        try:
            parquet.write_table(
                arrow.Table.from_pylist([row | {"stepsize_asked": str(row["stepsize_asked"])} for row in rows]), partial
            )
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)

    def _some_rows(self) -> list[dict[str, Any]]:
        if not (rows := self.table()):
            raise ValueError("no task of the sweep is finished, so there is nothing to write")
        return rows


def _rows(task: Task, record: dict[str, Any]) -> list[dict[str, Any]]:
    result = record["result"]
    about = {name: value for name, value in task.record().items() if name not in ("measures", "every")}
    for table in ("settings", "problem_settings"):
        about[table] = " ".join(f"{name}={value}" for name, value in about[table].items())
    about |= {"stepsize_asked": about.pop("stepsize"), "stepsize": _float(result["stepsize"])}
    about |= {"stepsize_theorem": result["stepsize_theorem"], "stepsize_source": result["stepsize_source"]}
    about |= {"final_step": result["final_step"]}
    source = {"key": task.key, "mastsim": record["mastsim"]}
    source |= {name: result[name] for name in ("objective_sha256", "method_sha256", "evaluation")}
    promise = result["bound"]
    name = None if promise is None else promise["measure"] if promise["over"] == "last" else _spelled(promise)
    measured = {measure: {part: _float(final[part]) for part in _FLOATS} for measure, final in result["final"].items()}
    if name is not None and name not in measured:
        measured[name] = dict.fromkeys(_FLOATS, math.nan)
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
