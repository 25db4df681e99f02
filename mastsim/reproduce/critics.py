"""What the answers to critics share: the problem, curves beside their bounds, accuracy, and more colours."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes

from mastsim.backend import Array
from mastsim.expected import Mast
from mastsim.methods import DSGD
from mastsim.problems import Dataset
from mastsim.reproduce.common import COLOURS, MARKERS, mean_and_error, own_tests
from mastsim.run import Run
from mastsim.simulation import simulate
from mastsim.theorems import StronglyConvexDSGD

KEEPS = (0.1, 0.3, 0.5, 0.9)
MORE_COLOURS = (*COLOURS, "#CC79A7", "#E69F00")
MORE_MARKERS = (*MARKERS, "v", "P")
CONFIDENCE = "a curve crosses its bound where the mean less two standard errors is above bound and rounding"


class Rows(NamedTuple):
    """Rows of a table with labels: what they are called, features, labels."""

    name: str
    A: Any
    y: np.ndarray


def held_out_rows(data: Dataset) -> Rows | None:
    """Return the rows that a data set's makers set aside for tests, where they lie on this machine; nothing is downloaded.

    Parameters
    ----------
    data : Dataset
        The data.

    Examples
    --------
    >>> import mastsim as ms
    >>> held_out_rows(ms.load("breast-cancer")) is None
    True
    """
    found = own_tests(data)
    return None if found is None else Rows(found.name, found.A, found.y)


def accuracy(rows: Rows, x: Array) -> np.ndarray:
    """Return the fraction of labels that linear classifiers get right; a score of zero counts as -1.

    Parameters
    ----------
    rows : Rows
        Features, shape (n, dim), and labels.
    x : array, shape (..., dim)
        The classifiers.

    Examples
    --------
    >>> accuracy(Rows("two", np.eye(2), np.array([1.0, -1.0])), np.array([[1.0, 0.0], [0.0, 0.0]]))
    array([1. , 0.5])
    """
    scores = np.asarray(rows.A @ np.atleast_2d(x).T)
    right = np.where(scores > 0, 1.0, -1.0) == rows.y[:, None]
    return right.mean(axis=0).reshape(np.shape(x)[:-1])


def distances(F: Mast, gamma: float, *, steps: int, replicas: int, seed: int, x0: Array | str, records: int = 60) -> Run:
    """Return a run of `DSGD` that records squared distances to x_D* and values of f.

    Parameters
    ----------
    F : Mast
        The objective.
    gamma : float
        The step size.
    steps, replicas, seed : int
        As for `simulate`.
    x0 : array, shape (dim,), or str
        The start.
    records : int, default 60
        About how many records.

    Examples
    --------
    >>> import mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1))
    >>> distances(F, 0.25, steps=60, replicas=3, seed=0, x0=np.zeros(2)).distance.shape
    (3, 61)
    """
    return simulate(
        DSGD(gamma),
        F,
        steps=steps,
        replicas=replicas,
        seed=seed,
        x0=x0,
        every=max(1, steps // records),
        measures=("distance", "f"),
        progress=False,
    )


def beside_bound(F: Mast, gamma: float, run: Run, sharp: bool = False, stride: int = 1) -> dict[str, Any]:
    """Return the mean distance of a run beside the bound of Theorem 2, and where it crosses it.

    The bound starts from the mean over replicas of the distance at the start, where their ratio is 1 by construction; the
    largest ratio is that over all later records.

    Parameters
    ----------
    F : Mast
        The objective.
    gamma : float
        The step size of the run, at most the largest that Theorem 2 allows.
    run : Run
        With squared distances to x_D*.
    sharp : bool, default False
        Whether to use the sharp constants.
    stride : int, default 1
        Which records are listed, every one or fewer; all are compared with the bound.

    References
    ----------
    MAST, arXiv 2311.16086, Theorem 2.

    Examples
    --------
    >>> import mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1))
    >>> run = distances(F, 0.25, steps=60, replicas=3, seed=0, x0=np.zeros(2))
    >>> beside_bound(F, 0.25, run)["crosses_at"]
    []
    """
    theorem = StronglyConvexDSGD(F, sharp=sharp)
    mean, error = mean_and_error(run.distance)
    bound = np.asarray(theorem.bound(run.recorded, gamma, float(mean[0])))
    allowed = (np.sqrt(bound * (1 + 1e-9)) + theorem.rounding(gamma, run.steps)) ** 2
    return {
        "sketch": F.sketch_name,
        "stepsize": gamma,
        "replicas": run.replicas,
        "steps": run.recorded[::stride].tolist(),
        "mean": mean[::stride].tolist(),
        "stderr": error[::stride].tolist(),
        "bound": bound[::stride].tolist(),
        "rounding": theorem.rounding(gamma, run.steps) ** 2,
        "largest_ratio": float((mean / allowed)[1:].max()),
        "crosses_at": run.recorded[mean - 2 * error > allowed].tolist(),
    }


def bound_findings(curves: list[dict[str, Any]]) -> list[dict[str, float]]:
    """Return how many curves cross their bounds, and how near to them the nearest comes after the start.

    Parameters
    ----------
    curves : list of dict
        As `beside_bound` returns them.

    Examples
    --------
    >>> bound_findings([{"crosses_at": [], "largest_ratio": 0.5}, {"crosses_at": [3], "largest_ratio": 1.5}])[0]
    {'curves that cross': 1.0}
    """
    return [
        {"curves that cross": float(sum(bool(curve["crosses_at"]) for curve in curves))},
        {"largest measured over bound after the start": max(curve["largest_ratio"] for curve in curves)},
    ]


def draw_line(axes: Axes, x: Any, y: Any, *, place: int, label: str, bound: bool = False, error: Any = None) -> None:
    """Draw a line with its marker, a bound dashed and hollow, and two standard errors if they are given.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    x, y : sequence of float or None
        The points; None is left out.
    place : int
        Which colour and marker.
    label : str
        What the line is called.
    bound : bool, default False
        Whether it is a bound.
    error : sequence of float, optional
        Standard errors.
    """
    style: dict[str, Any] = {
        "color": MORE_COLOURS[place],
        "marker": MORE_MARKERS[place],
        "markersize": 4.5,
        "linewidth": 1.2,
    }
    if bound:
        style |= {"linestyle": "--", "markerfacecolor": "white"}
    values = np.array(y, dtype=float)
    if error is None:
        axes.plot(x, values, label=label, **style)
    else:
        axes.errorbar(x, values, yerr=2 * np.array(error, dtype=float), capsize=3, label=label, **style)
    axes.grid(visible=True, alpha=0.3)
