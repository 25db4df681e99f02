"""Iterates at chosen steps, curves beside their bounds with the steps at which they cross them, and how curves look."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes

from mastsim.expected import Objective
from mastsim.methods import Method
from mastsim.reproduce.common import COLOURS, MARKERS, mean_and_error
from mastsim.simulation import simulate

PALETTE = (*COLOURS, "#CC79A7", "#E69F00", "#56B4E9")
SHAPES = (*MARKERS, "v", "P", "X")
DASHES = ("--", ":", "-.", (0, (5, 1)), (0, (1, 1)), (0, (3, 1, 1, 1)), (0, (7, 3)))
CROSSING = "mean − 2 standard errors above the bound"


class Path(NamedTuple):
    """Where replicas were.

    Parameters
    ----------
    points : ndarray, shape (replicas, stops, dim)
        The iterates.
    initial : ndarray, shape (replicas,)
        Squared distances to x_D* at the start, or NaN where they were not asked for.
    """

    points: np.ndarray
    initial: np.ndarray


def follow(method: Method, objective: Objective, stops: Sequence[int], distances: bool = True, **settings: Any) -> Path:
    """Return the iterates of a simulation after chosen numbers of steps.

    Parameters
    ----------
    method : Method
        The method.
    objective : Objective
        The objective.
    stops : sequence of int
        Increasing numbers of steps, the first at least 1.
    distances : bool, default True
        Whether to measure how far the start is from x_D*, which takes x_D*.
    **settings
        What `simulate` takes: replicas, seed, x0.

    Examples
    --------
    >>> import mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(1), np.zeros(1)), ms.Identity(1))
    >>> seen = follow(ms.DSGD(0.5), F, [1, 3], x0=np.ones(1))
    >>> seen.points.ravel().tolist(), seen.initial.tolist()
    ([0.5, 0.125], [1.0])
    """
    settings |= {"measures": ("distance",) if distances else (), "every": int(stops[-1]) + 1, "progress": False}
    run, points = None, []
    for stop in stops:
        run = simulate(method, objective, steps=int(stop), resume=run, **settings)
        points.append(run.x)
    assert run is not None
    initial = run.traces["distance"][:, 0] if distances else np.full(run.replicas, np.nan)
    return Path(np.stack(points, axis=1), initial)


def spaced(last: int, count: int) -> list[int]:
    """Return numbers of steps from 1 to `last`, at most `count`, evenly spaced on a logarithmic axis.

    Examples
    --------
    >>> spaced(100, 3)
    [1, 10, 100]
    """
    stops: list[int] = np.unique(np.round(np.geomspace(1, last, count)).astype(int)).tolist()
    return stops


def curve(table: np.ndarray, bound: np.ndarray | None = None, slack: float = 0.0) -> dict[str, Any]:
    """Return mean, standard error and range over replicas, with the bound and the places where the mean crosses it.

    Parameters
    ----------
    table : ndarray, shape (replicas, records)
        One row a replica.
    bound : ndarray, shape (records,), optional
        What theory says of the mean.
    slack : float, default 0.0
        How much rounding may add to the measure.

    Examples
    --------
    >>> found = curve(np.array([[1.0, 3.0], [1.0, 3.0]]), bound=np.array([2.0, 2.0]))
    >>> found["mean"], found["crosses_at"], found["largest_ratio"]
    ([1.0, 3.0], [1], 1.5)
    """
    mean, error = mean_and_error(table)
    out: dict[str, Any] = {"mean": mean.tolist(), "stderr": error.tolist()}
    out |= {"low": table.min(axis=0).tolist(), "high": table.max(axis=0).tolist()}
    if bound is not None:
        above = mean - 2 * error > bound * (1 + 1e-9) + slack
        out |= {"bound": np.asarray(bound).tolist(), "crosses_at": np.flatnonzero(above).tolist()}
        out["largest_ratio"] = float((mean / np.maximum(bound, slack + 1e-300)).max())
    return out


def draw_curve(axes: Axes, steps: Sequence[int], shown: dict[str, Any], *, place: int, label: str) -> None:
    """Draw a mean with two standard errors to both sides on a logarithmic axis of steps, and its bound, if any, dashed.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    steps : sequence of int
        The steps.
    shown : dict
        What `curve` returned.
    place : int
        Which colour, marker and dashes.
    label : str
        What the curve is called.
    """
    mean, error = np.array(shown["mean"]), np.array(shown["stderr"])
    colour = PALETTE[place]
    axes.plot(steps, mean, color=colour, marker=SHAPES[place], markersize=3.5, linewidth=1.2, label=label)
    # A band that reaches zero would fill a logarithmic axis.
    axes.fill_between(steps, np.maximum(mean - 2 * error, 0.1 * mean), mean + 2 * error, color=colour, alpha=0.25)
    if "bound" in shown:
        axes.plot(steps, shown["bound"], color=colour, linestyle=DASHES[place], linewidth=1.2)
    axes.set_xscale("log")
    axes.set_xlabel("step")
    axes.grid(visible=True, alpha=0.3)


def logarithmic(axes: Axes, smallest: float, room: float = 1.0) -> None:
    """Make the vertical axis logarithmic, with room for a legend below, and cut it where only rounding is seen.

    Parameters
    ----------
    axes : Axes
        The axes.
    smallest : float
        Where to cut, above 0.
    room : float, default 1.0
        Factor by which the axis goes on below the curves.
    """
    axes.set_yscale("log", nonpositive="clip")
    axes.set_ylim(bottom=max(smallest, axes.get_ylim()[0]) / room)
