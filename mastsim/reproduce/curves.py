"""Iterates at chosen steps, and curves beside their bounds with the steps at which they cross them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from mastsim.backend import Array
from mastsim.expected import Mast, Objective
from mastsim.methods import DSGD, Method
from mastsim.run import Run
from mastsim.simulation import simulate
from mastsim.standard_errors import mean_and_error
from mastsim.theorems import StronglyConvexDSGD

CROSSING = "mean − 2 standard errors above the bound"
CONFIDENCE = "a curve crosses its bound where the mean less two standard errors is above bound and rounding"
DISTANCE_ROUNDING = 1e-26
"""A squared distance that rounding leaves at x_D*."""
_RELATIVE_ROUNDING = 1e-9


class Iterates(NamedTuple):
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


def follow(method: Method, objective: Objective, stops: Sequence[int], distances: bool = True, **settings: Any) -> Iterates:
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
    return Iterates(np.stack(points, axis=1), initial)


def spaced(last: int, count: int) -> list[int]:
    """Return numbers of steps from 1 to `last`, at most `count`, evenly spaced on a logarithmic axis.

    Parameters
    ----------
    last : int
        The last step, at least 1.
    count : int
        The most steps, at least 1.

    Examples
    --------
    >>> spaced(100, 3)
    [1, 10, 100]
    """
    stops: list[int] = np.unique(np.round(np.geomspace(1, last, count)).astype(int)).tolist()
    return stops


def crosses(mean: Any, bound: Any, error: Any = 0.0, slack: Any = 0.0) -> np.ndarray:
    """Return where a mean less two standard errors is above its bound and rounding.

    Parameters
    ----------
    mean, bound : float or array, shape (records,)
        What was measured, and what theory says of it.
    error : float or array, default 0.0
        Standard errors of the mean.
    slack : float or array, default 0.0
        How much rounding may add to the measure, besides 1e-9 of the bound.

    Examples
    --------
    >>> crosses([2.0, 3.0, 3.0], 2.0, error=[0.0, 0.0, 0.6]).tolist()
    [False, True, False]
    """
    mean, bound, error = (np.asarray(values, dtype=float) for values in (mean, bound, error))
    return np.asarray(mean - 2 * error > bound * (1 + _RELATIVE_ROUNDING) + slack)


def curve(steps: Any, table: np.ndarray, bound: Any = None, slack: Any = 0.0) -> dict[str, Any]:
    """Return mean, standard error and range over replicas, with the bound and the steps at which the mean crosses it.

    The largest ratio to the bound is that over all steps but 0, where it is 1 by construction.

    Parameters
    ----------
    steps : sequence of int, length records
        The steps.
    table : ndarray, shape (replicas, records)
        One row a replica.
    bound : array, shape (records,), optional
        What theory says of the mean.
    slack : float or array, default 0.0
        How much rounding may add to the measure.

    Examples
    --------
    >>> found = curve([1, 5], np.array([[1.0, 3.0], [1.0, 3.0]]), bound=np.array([2.0, 2.0]))
    >>> found["mean"], found["crosses_at"], round(found["largest_ratio"], 6)
    ([1.0, 3.0], [5], 1.5)
    """
    mean, error = mean_and_error(table)
    out: dict[str, Any] = {"mean": mean.tolist(), "stderr": error.tolist()}
    out |= {"low": table.min(axis=0).tolist(), "high": table.max(axis=0).tolist()}
    if bound is not None:
        at, ratio = np.asarray(steps), mean / np.maximum(bound + slack, 1e-300)
        out |= {"bound": np.asarray(bound).tolist(), "crosses_at": at[crosses(mean, bound, error, slack)].tolist()}
        out["largest_ratio"] = float(ratio[at > 0].max())
    return out


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
    every, measures = max(1, steps // records), ("distance", "f")
    shared: dict[str, Any] = {"replicas": replicas, "seed": seed, "x0": x0, "every": every, "measures": measures}
    return simulate(DSGD(gamma), F, steps=steps, progress=False, **shared)


def beside_bound(F: Mast, gamma: float, run: Run, sharp: bool = False, stride: int = 1) -> dict[str, Any]:
    """Return the mean distance of a run beside the bound of Theorem 2, and where it crosses it.

    The bound starts from the mean over replicas of the distance at the start.

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
    bound = np.asarray(theorem.bound(run.recorded, gamma, float(run.distance[:, 0].mean())))
    off = theorem.rounding(gamma, run.steps)
    # Rounding is of the distance itself, so that its square may reach (√bound + off)².
    allowed = (np.sqrt(bound * (1 + _RELATIVE_ROUNDING)) + off) ** 2
    found = curve(run.recorded, run.distance, bound, slack=allowed - bound)
    return {
        "sketch": F.sketch_name,
        "stepsize": gamma,
        "replicas": run.replicas,
        "steps": run.recorded[::stride].tolist(),
        **{key: found[key][::stride] for key in ("mean", "stderr", "bound")},
        "rounding": off**2,
        "largest_ratio": found["largest_ratio"],
        "crosses_at": found["crosses_at"],
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
