"""What the figures share: what their numbers depend on, colours, curves with bands, and files that appear whole."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import scipy
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mastsim.documents import header
from mastsim.problems import Dataset, LogisticRegression, load
from mastsim.problems.catalogue import DEFAULT_DATA, locate
from mastsim.sketches import RandK
from mastsim.spec import DEFAULT_CONDITION, Spec

PREFERRED_DATA = "a5a"
_TEST_SETS = {"a5a": "a5a.t"}
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#000000")
"""Colours that remain apart for colour-blind readers (Okabe and Ito); markers and dashes tell curves apart without them."""
MARKERS = ("o", "s", "^", "D")


LOGISTIC = Spec(problem="logistic")
LEAST_SQUARES = Spec(problem="least-squares")
"""The problems of Section 5 of the paper: κ_f = 100."""
CONDITION_NUMBER = DEFAULT_CONDITION
"""κ_f of these problems."""


def regression(data: Dataset) -> LogisticRegression:
    """Return the paper's problem on all rows: logistic regression with κ_f = 100.

    Parameters
    ----------
    data : Dataset
        With labels -1 and 1.

    Raises
    ------
    ValueError
        If the labels are not -1 and 1.

    Examples
    --------
    >>> import mastsim as ms
    >>> f = regression(ms.load("synthetic:n=20,d=3"))
    >>> round(f.L_f / f.mu_f, 9)
    100.0
    """
    f: LogisticRegression = LOGISTIC.problem_of(data)[1]
    return f


def rand_k(dim: int, keep: float) -> RandK:
    """Return the Rand-K sketch that keeps about a given fraction of the coordinates, and at least one.

    Parameters
    ----------
    dim : int
        The dimension d.
    keep : float
        From 0 to 1.

    Examples
    --------
    >>> rand_k(123, 0.1).name, rand_k(3, 0.01).name
    ('Rand-12 of 123', 'Rand-1 of 3')
    """
    return RandK.from_text(repr(float(keep)), dim)


def default_data() -> Dataset:
    """Return the paper's data set where it lies on this machine, otherwise the bundled one; nothing is downloaded.

    Examples
    --------
    >>> default_data().name in ("a5a", "breast-cancer")
    True
    """
    return load(PREFERRED_DATA if locate(PREFERRED_DATA) is not None else DEFAULT_DATA)


def own_tests(data: Dataset) -> Dataset | None:
    """Return what a data set's makers set aside for tests, where it lies on this machine; nothing is downloaded.

    Parameters
    ----------
    data : Dataset
        The data.

    Examples
    --------
    >>> import mastsim as ms
    >>> own_tests(ms.load("breast-cancer")) is None
    True
    """
    name = _TEST_SETS.get(data.name)
    return None if name is None or locate(name) is None else load(name)


def facts(name: str, data: Dataset, quick: bool, seed: int) -> dict[str, Any]:
    """Return the head of a figure's numbers: package, seed, data, versions of libraries, and whether it is a quick run.

    Parameters
    ----------
    name : str
        Name of the figure.
    data : Dataset
        The data.
    quick : bool
        Whether fewer steps, replicas and settings were used.
    seed : int
        The seed.

    Examples
    --------
    >>> import mastsim as ms
    >>> facts("gdci", ms.load("synthetic:n=9,d=2"), quick=True, seed=3)["seed"]
    3
    """
    versions = {"python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__}
    versions["matplotlib"] = matplotlib.__version__
    return {**header(data, seed), "figure": name, "quick": bool(quick), "versions": versions}


def finite_or_none(value: Any) -> float | None:
    """Return a number, or None in place of infinity and NaN, which standard JSON cannot hold.

    Parameters
    ----------
    value : float or None
        The number.

    Examples
    --------
    >>> finite_or_none(float("inf")), finite_or_none(2)
    (None, 2.0)
    """
    return float(value) if value is not None and math.isfinite(value) else None


def mean_and_error(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return means over replicas and their standard errors.

    Parameters
    ----------
    table : ndarray, shape (replicas, records)
        One row a replica.

    Examples
    --------
    >>> mean_and_error(np.array([[1.0], [3.0]]))
    (array([2.]), array([1.]))
    """
    return table.mean(axis=0), table.std(axis=0, ddof=min(1, len(table) - 1)) / len(table) ** 0.5


def subtitle(numbers: dict[str, Any]) -> str:
    """Return the words that say which data, and which kind of run, a figure shows."""
    data = numbers["data"]
    quick = ", quick run" if numbers["quick"] else ""
    return f"{data['name']} (n = {data['n']}, d = {data['d']}), seed {numbers['seed']}{quick}"


def draw_band(axes: Axes, curve: dict[str, Any], *, place: int, label: str) -> None:
    """Draw a measured mean with two standard errors to both sides, and its bound dashed in the same colour.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    curve : dict
        With ``steps``, ``mean``, ``stderr`` and ``bound``, lists of one length.
    place : int
        Which colour and marker.
    label : str
        What the curve is called.
    """
    steps, mean, error = (np.array(curve[key], dtype=float) for key in ("steps", "mean", "stderr"))
    style: dict[str, Any] = {"color": COLOURS[place], "markersize": 3.5, "linewidth": 1.2}
    axes.plot(steps, mean, marker=MARKERS[place], markevery=max(1, len(steps) // 6), label=label, **style)
    floor = mean[mean > 0].min() * 1e-3 if (mean > 0).any() else 1e-300
    axes.fill_between(steps, np.maximum(mean - 2 * error, floor), mean + 2 * error, color=COLOURS[place], alpha=0.25)
    axes.plot(
        steps, np.array(curve["bound"], dtype=float), linestyle=("--", ":")[place % 2], label=f"{label}, bound", **style
    )
    axes.set_yscale("log")
    axes.grid(visible=True, alpha=0.3)


def write_whole(path: Path, write: Callable[[Path], object]) -> Path:
    """Write a file that appears only once it is complete, and return its path.

    Parameters
    ----------
    path : Path
        Where to; an existing file is replaced.
    write : callable
        Writes to the path it is given.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_whole(Path(folder) / "a.txt", lambda path: path.write_text("done")).read_text()
    'done'
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        write(partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure in the format of the suffix of `path`, without the date, so that equal figures are equal files."""
    kind = path.suffix.removeprefix(".")
    metadata: dict[str, Any] | None = {"CreationDate": None} if kind == "pdf" else None
    return write_whole(path, lambda partial: figure.savefig(partial, format=kind, dpi=130, metadata=metadata))


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table.

    Parameters
    ----------
    columns : sequence of str
        The heading.
    rows : sequence of sequence of str
        The cells.

    Examples
    --------
    >>> print(markdown_table(["a", "b"], [["1", "2"]]))
    | a | b |
    |---|---|
    | 1 | 2 |
    """
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
