"""Which step sizes are usable, and which is fastest, as simulation finds them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from mastsim.expected import Mast
from mastsim.methods import DSGD
from mastsim.run import Run
from mastsim.simulation import simulate

ACCURACY = 0.05
"""The squared distance to x_D* aimed at, as a share of that at the start."""
RESOLUTION = 1
"""Steps between records."""
RULES = {
    "start": "x0 = v = 0",
    "usable": "the largest step of the grid, from the paper's upwards, such that for it and every smaller one no replica "
    "overflows and the mean over replicas and over the second half of the steps of ‖x − x_D*‖² is below that at the start",
    "to accuracy": "the first recorded step at which the mean over replicas of ‖x − x_D*‖² is at most 5% of that at the "
    "start, and its average over this and all later records is as well",
    "best": "the usable step of the grid that takes the fewest steps to accuracy, the smaller one of equals",
}
_LARGEST_FACTOR = 2.0**12


@dataclass(frozen=True)
class Search:
    """How steps are searched for by simulation.

    Parameters
    ----------
    steps, replicas : int
        Of every run.
    ratio : float
        Of neighbours on the grid of step sizes.

    Examples
    --------
    >>> Search(300, 4, 2.0).ratio
    2.0
    """

    steps: int
    replicas: int
    ratio: float


def runs(F: Mast, search: Search, seed: int, measure: str = "distance") -> Callable[[float], Run]:
    """Return the function that runs `DSGD` from 0 at a step size, each step size once, and records every step.

    Parameters
    ----------
    F : Mast
        The objective.
    search : Search
        Length and number of runs.
    seed : int
        The seed.
    measure : str, default "distance"
        What is recorded.

    Examples
    --------
    >>> import mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(1), np.ones(1)), ms.RandK(1, k=1))
    >>> runs(F, Search(300, 4, 2.0), seed=0)(0.5).distance.shape
    (4, 301)
    """
    start = np.zeros(F.dim)

    @cache
    def run_at(gamma: float) -> Run:
        return simulate(
            DSGD(gamma),
            F,
            steps=search.steps,
            replicas=search.replicas,
            seed=seed,
            x0=start,
            every=RESOLUTION,
            measures=(measure,),
            progress=False,
        )

    return run_at


def searched(run_at: Callable[[float], Run], first: float, search: Search) -> dict[str, Any]:
    """Return the largest usable and the best step of a grid that starts at `first`; `RULES` says what they are.

    Parameters
    ----------
    run_at : callable
        Gives the run at a step size.
    first : float
        The smallest step of the grid.
    search : Search
        With the ratio of neighbours.

    Examples
    --------
    >>> import mastsim as ms
    >>> F = ms.Mast(ms.LeastSquares(np.eye(2), np.ones(2), l2=0.5), ms.RandK(2, k=2))
    >>> search = Search(300, 4, 2.0)
    >>> found = searched(runs(F, search, seed=0), 0.75 / F.problem.L_f, search)
    >>> round(found["usable"] * F.problem.L_f, 9), found["grid"][-1]["usable"]
    (1.5, False)
    """
    grid: list[dict[str, Any]] = []
    while not grid or (grid[-1]["usable"] and grid[-1]["factor"] < _LARGEST_FACTOR):
        factor = search.ratio ** len(grid)
        run = run_at(first * factor)
        settled = late(run)
        usable = settled is not None and settled < float(run.distance[:, 0].mean())
        row = {"factor": factor, "stepsize": first * factor, "usable": usable, "last_half": settled}
        grid.append(row | {"to_accuracy": to_accuracy(run)})
    kept = [row for row in grid if row["usable"]]
    fast = [row for row in kept if row["to_accuracy"] is not None]
    best = min(fast, key=lambda row: (row["to_accuracy"], row["stepsize"])) if fast else None
    return {
        "usable": kept[-1]["stepsize"] if kept else None,
        "best": best and best["stepsize"],
        "best_to_accuracy": best and best["to_accuracy"],
        "grid": grid,
    }


def late(run: Run) -> float | None:
    """Return the mean distance over replicas and the second half of a run, None where a replica overflowed.

    Parameters
    ----------
    run : Run
        With squared distances.

    Examples
    --------
    >>> import mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(1), np.ones(1)), ms.RandK(1, k=1))
    >>> late(ms.simulate(ms.DSGD(1.0), F, steps=4, measures=("distance",)))
    0.0
    """
    mean = float(run.distance[:, run.recorded >= run.steps / 2].mean())
    return mean if math.isfinite(mean) else None


def to_accuracy(run: Run) -> int | None:
    """Return the first recorded step at which 5% of the distance at the start is reached and held, None if there is none.

    Parameters
    ----------
    run : Run
        With squared distances.

    Examples
    --------
    >>> import mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(1), np.ones(1)), ms.RandK(1, k=1))
    >>> to_accuracy(ms.simulate(ms.DSGD(0.5), F, steps=5, measures=("distance",)))
    3
    """
    mean = run.distance.mean(axis=0)
    return first_held(run.recorded, mean, ACCURACY * float(mean[0]))


def first_held(steps: np.ndarray, values: np.ndarray, goal: float) -> int | None:
    """Return the first step at which a value is at most a goal, and so is the average of it and all later values.

    Parameters
    ----------
    steps, values : ndarray, shape (records,)
        The curve.
    goal : float
        The goal.

    Examples
    --------
    >>> first_held(np.array([0, 5, 10]), np.array([0.0, 2.0, 0.5]), 0.75)
    10
    """
    with np.errstate(over="ignore", invalid="ignore"):
        later = np.cumsum(values[::-1])[::-1] / np.arange(len(values), 0, -1)
    reached = np.flatnonzero((values <= goal) & (later <= goal))
    return int(steps[reached[0]]) if len(reached) else None
