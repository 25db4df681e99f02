"""One theorem on one objective: replicas from away at the largest step, beside the bound."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from mastsim.backend import Array
from mastsim.draws import Draw
from mastsim.expected import Objective
from mastsim.methods import Method
from mastsim.request import LYAPUNOV
from mastsim.run import Run
from mastsim.simulation import simulate
from mastsim.standard_errors import mean_and_error
from mastsim.theorems import DoubleSketchedPAGE, HorizonRate, LooplessSVRDSG, Rate
from mastsim.theorems.rates import trace_of


@dataclass(frozen=True)
class TrialBudget:
    """How much is simulated in the name of a theorem.

    Parameters
    ----------
    longest : int
        Most steps of a run that records distances only.
    horizon : int
        Steps of a run that records f_D or its gradient.
    exact_gradients : int
        Exact gradients of f_D that each replica of `LSVRDSG` and `PAGE` may take.
    replicas : int
        Replicas.

    Examples
    --------
    >>> FULL.replicas, QUICK.replicas
    (16, 8)
    """

    longest: int
    horizon: int
    exact_gradients: int
    replicas: int


FULL = TrialBudget(longest=3000, horizon=1000, exact_gradients=20, replicas=16)
QUICK = TrialBudget(longest=150, horizon=40, exact_gradients=1, replicas=8)


def tried(theorem: Rate, budget: TrialBudget, seed: int) -> dict[str, Any]:
    """Return what theory says of an objective and what replicas did, for one theorem at its largest step.

    Parameters
    ----------
    theorem : Rate
        The theorem with its settings.
    budget : TrialBudget
        How long, and how many replicas.
    seed : int
        The seed.

    Returns
    -------
    dict
        The row of the table; ``curve`` holds mean, standard error and bound at the recorded steps.

    Examples
    --------
    >>> import mastsim as ms
    >>> from mastsim.theorems import StronglyConvexDSGD
    >>> F = ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1))
    >>> row = tried(StronglyConvexDSGD(F), QUICK, seed=0)
    >>> row["T"], row["measured"] < row["bound"]
    (6, True)
    """
    steps, records = planned(theorem, budget)
    if isinstance(theorem, HorizonRate):
        theorem = replace(theorem, horizon=steps)
    start = away_start(theorem)
    times, mean, error = _paths(theorem, budget, seed, start, steps, records)
    bound = np.asarray(theorem.bound(times, theorem.stepsize, theorem.initial_at(start)), dtype=float)
    return {
        **_said(theorem),
        "T": int(times[-1]),
        "replicas": budget.replicas,
        "measured": float(mean[-1]),
        "stderr": float(error[-1]),
        "bound": float(bound[-1]),
        "ratio": float(mean[-1] / bound[-1]),
        "curve": {"steps": times.tolist(), "mean": mean.tolist(), "stderr": error.tolist(), "bound": bound.tolist()},
    }


def _paths(
    theorem: Rate, budget: TrialBudget, seed: int, start: np.ndarray, steps: int, records: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return numbers of steps, means and standard errors of what a theorem bounds."""
    method: Method = theorem.method_at(theorem.stepsize)
    iterate = theorem.over == "average" and theorem.measure == "gap"
    shared: dict[str, Any] = {
        "replicas": budget.replicas,
        "seed": seed,
        "x0": start,
        "measures": (_trace(theorem),),
        "threads": 2,
        "chunk": 8,
    }
    if theorem.over == "average" and not iterate:
        return average_along(theorem, steps, shared)
    if iterate:
        method = AverageIterate(method.rule, inner=method)
    run = simulate(method, theorem.objective, steps=steps, every=max(1, -(-steps // records)), **shared)
    return measured(theorem, run)


class AverageState(NamedTuple):
    """The state of `AverageIterate`.

    Parameters
    ----------
    x : array, shape (replicas, dim)
        The averages of the iterates before the present one.
    y : array, shape (replicas, dim)
        The present iterates.
    """

    x: Array
    y: Array


@dataclass(frozen=True)
class AverageIterate(Method):
    """A method that carries nothing but its iterate, seen through the average x̄^T of its iterates x^0, …, x^{T−1}.

    Parameters
    ----------
    stepsize : float or StepRule
        That of `inner`.
    inner : Method
        The method, for example `DSGD`.

    Examples
    --------
    >>> import mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(1), np.zeros(1)), ms.Bernoulli(1, 1.0))
    >>> seen = AverageIterate(0.5, inner=ms.DSGD(0.5))
    >>> ms.simulate(seen, F, steps=2, x0=np.ones(1)).x
    array([[0.75]])
    """

    inner: Method = field(kw_only=True)

    points = ("x", "y")

    def init(self, objective: Objective, x0: Array) -> AverageState:
        """Return the first state."""
        return AverageState(x0, x0)

    def step(self, state: AverageState, objective: Objective, draw: Draw) -> AverageState:
        """Return the state after one more step of the method."""
        after = self.inner.step(self.inner.init(objective, state.y), objective, draw)
        return AverageState(state.x + (state.y - state.x) / (draw.step + 1), after.x)


def average_along(theorem: Rate, steps: int, shared: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return numbers of steps T, and mean and standard error of the average of a measure over the steps before T.

    The measure is taken at the steps 0, 1, 2, 4, 8, … and T, and read off a straight line between them, which is at least
    the measure where its mean is a convex function of the step.

    Parameters
    ----------
    theorem : Rate
        The theorem.
    steps : int
        T.
    shared : dict
        Further arguments of `simulate`, with one measure.

    Examples
    --------
    >>> import mastsim as ms
    >>> from mastsim.theorems import DoubleSketchedPAGE
    >>> theorem = DoubleSketchedPAGE(ms.Mast(ms.Quadratic(np.eye(1), np.zeros(1)), ms.Bernoulli(1, 1.0)), probability=1.0)
    >>> shared = {"replicas": 2, "x0": np.ones(1), "measures": ("gradient_norm",)}
    >>> [column.tolist() for column in average_along(theorem, 2, shared)]
    [[1, 2], [1.0, 0.5], [0.0, 0.0]]
    """
    stops = np.unique([*(2**j for j in range(steps.bit_length()) if 2**j < steps), steps])
    columns: list[np.ndarray] = []
    run, power = None, 2 if theorem.measure == "gradient_norm2" else 1
    for stop in stops.tolist():
        # A stride beyond the end: each run records its start and its end only.
        method = theorem.method_at(theorem.stepsize)
        run = simulate(method, theorem.objective, steps=stop, every=steps + 1, resume=run, **shared)
        table = run.traces[_trace(theorem)] ** power
        columns += [table[:, 0], table[:, -1]] if not columns else [table[:, -1]]
    seen, knots = np.stack(columns, axis=1), np.append(0, stops)
    hats = np.stack([np.interp(np.arange(steps), knots, row) for row in np.eye(len(knots))], axis=1)
    averages = np.stack([seen @ hats[:T].mean(axis=0) for T in stops], axis=1)
    return stops, *mean_and_error(averages)


def away_start(theorem: Rate) -> np.ndarray:
    """Return a start at the distance 1 + ‖target − v‖ from what the method is drawn to, where the first term is visible.

    Parameters
    ----------
    theorem : Rate
        The theorem, whose method has the target.

    Returns
    -------
    ndarray, shape (dim,)
        The target moved along (1, …, 1).

    Examples
    --------
    >>> import mastsim as ms
    >>> from mastsim.theorems import StronglyConvexDSGD
    >>> away_start(StronglyConvexDSGD(ms.Mast(ms.Quadratic(np.eye(1), np.zeros(1)), ms.Bernoulli(1, 0.5))))
    array([1.])
    """
    F = theorem.objective
    target = theorem.method_at(theorem.stepsize).target(F)
    away = 1.0 + float(np.linalg.norm(target - F.center))
    start: np.ndarray = target + away * np.ones(F.dim) / math.sqrt(F.dim)
    return start


def planned(theorem: Rate, budget: TrialBudget) -> tuple[int, int]:
    """Return how many steps to run, and how often to record, by what steps and records of a theorem cost.

    Distances cost nothing: three times the steps in which the first term shrinks by e, as far as allowed. Minima are taken
    over four recorded steps.

    Parameters
    ----------
    theorem : Rate
        The theorem with its settings.
    budget : TrialBudget
        How long.

    Examples
    --------
    >>> import mastsim as ms
    >>> from mastsim.theorems import StronglyConvexDSGD
    >>> planned(StronglyConvexDSGD(ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1))), FULL)
    (6, 12)
    """
    if isinstance(theorem, (LooplessSVRDSG, DoubleSketchedPAGE)):
        return max(4, math.ceil(budget.exact_gradients / theorem.probability)), 8
    if theorem.measure in ("distance", "error"):
        return min(budget.longest, max(2, math.ceil(3 / (1 - theorem.rate)))), 12
    return budget.horizon, 4


def measured(theorem: Rate, run: Run) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return numbers of steps T, and mean and standard error of what is bounded after T steps, as far as it was recorded.

    Averages are of iterates, see `AverageIterate`, so that what is recorded after T steps is bounded; a minimum over
    recorded steps is at least that over all, and is left out where it would be over the start alone.

    Parameters
    ----------
    theorem : Rate
        The theorem, which says what is measured and whether at the last step, on average or at its minimum.
    run : Run
        Replicas, with the trace of the measure.

    Returns
    -------
    ndarray of int, ndarray, ndarray, each of shape (records − 1,) or (records − 2,)
        T, means, and their standard errors.

    Examples
    --------
    >>> import mastsim as ms
    >>> from mastsim.theorems import ConvexDSGD
    >>> theorem = ConvexDSGD(ms.Mast(ms.Quadratic(np.eye(1), np.zeros(1)), ms.Bernoulli(1, 1.0)))
    >>> method = AverageIterate(0.5, inner=ms.DSGD(0.5))
    >>> run = ms.simulate(method, theorem.objective, steps=2, replicas=2, x0=np.ones(1))
    >>> measured(theorem, run)[:2]
    (array([1, 2]), array([0.5    , 0.28125]))
    """
    table = run.traces[_trace(theorem)] ** (2 if theorem.measure == "gradient_norm2" else 1)
    if theorem.over != "minimum":
        return run.recorded[1:], *mean_and_error(table[:, 1:])
    before = table[:, :-1]
    mean, error = mean_and_error(before)
    least = [int(np.argmin(mean[: c + 1])) for c in range(len(mean))]
    return run.recorded[2:], mean[least][1:], error[least][1:]


def _trace(theorem: Rate) -> str:
    """Return the trace that is looked at: of a Lyapunov function, which not every objective can compute, the distance."""
    return "distance" if theorem.measure == LYAPUNOV else trace_of(theorem.measure)


def _said(theorem: Rate) -> dict[str, Any]:
    """Return what a theorem says of its objective."""
    F: Objective = theorem.objective
    return {
        "theorem": theorem.id,
        "title": theorem.title,
        "settings": theorem.settings,
        "objective": F.name,
        "sketch": F.sketch_name,
        "measure": theorem.measure,
        "over": theorem.over,
        "stepsize": float(theorem.stepsize),
        "rate": _finite_or_none(theorem.rate),
        "radius": _finite_or_none(theorem.radius),
    }


def _finite_or_none(value: float | None) -> float | None:
    """Return a number, or None in place of infinity and NaN, which standard JSON cannot hold."""
    return float(value) if value is not None and math.isfinite(value) else None
