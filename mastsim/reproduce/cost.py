"""What a step costs as a function of K, counted: operations, bytes of memory, bytes sent; and operations to accuracy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mastsim.expected import Mast
from mastsim.layout import finish, page
from mastsim.problems import Dataset
from mastsim.reproduce.curve_plots import draw_line
from mastsim.reproduce.figure_head import facts, setting
from mastsim.reproduce.paper_problems import CONDITION_NUMBER, rand_k, regression
from mastsim.reproduce.step_costs import FORMULAS, StepCosts
from mastsim.reproduce.step_search import ACCURACY, RESOLUTION, RULES, Search, first_held, runs, searched, to_accuracy
from mastsim.run import Run
from mastsim.standard_errors import mean_and_error
from mastsim.theorems import StronglyConvexDSGD

NAME = "cost"
TITLE = "What a step costs as a function of K, and what accuracy costs"
F_GOAL = 0.25
"""The excess of f aimed at, the same for every keep, as a share of f(0) − f^inf."""
MINIBATCH = 0.1
"""The size of the minibatch as a share of the rows."""
_KEEPS, _QUICK_KEEPS = (0.1, 0.3, 0.5, 0.7, 0.9, 1.0), (0.3, 1.0)
_POINTS = 40
_FULL, _QUICK = Search(800, 4, 2.0), Search(300, 4, 2.0)
_F_FULL, _F_QUICK = Search(150, 64, 2.0), Search(150, 16, 2.0)
_CHOOSING = 16
"""Replicas of the runs by which the best step to the goal in f is chosen."""


def compute(data: Dataset, quick: bool, seed: int = 0) -> dict[str, Any]:
    """Return counted costs of a step over K, and operations to accuracy for several keep fractions; nothing is timed.

    Steps to accuracy are those of DSGD with Rand-K on logistic regression, κ_f = 100, v = 0, from 0: to 5% of the squared
    distance to its own target x_D* (x* without a sketch), and to a quarter of f(0) − f^inf, the same for all. Both at the
    paper's step, and at the best of a grid of steps, chosen by runs with one seed and reported from runs with another.

    Parameters
    ----------
    data : Dataset
        With labels -1 and 1.
    quick : bool
        Fewer keep fractions, steps and replicas, and a coarser grid.
    seed : int, default 0
        The seed.

    Raises
    ------
    ValueError
        If the labels are not -1 and 1.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> numbers = compute(ms.load("synthetic:n=20,d=3"), quick=True)
    >>> [step["nonzeros"] for step in numbers["steps"]]
    [20.0, 40.0, 60.0]
    """
    costs, f, d, search = StepCosts(data.A), regression(data), data.d, _QUICK if quick else _FULL
    every = np.unique(np.linspace(1, d, _POINTS).round().astype(int)).tolist()
    rows = []
    for keep in _QUICK_KEEPS if quick else _KEEPS:
        sketch = rand_k(d, keep)
        rows.append({"keep": keep, **_to_accuracy(Mast(f, sketch), sketch.k, costs, search, seed)})
    return {
        **facts(NAME, data, quick, seed),
        "condition_number": CONDITION_NUMBER,
        "formulas": FORMULAS,
        "rules": {
            **RULES,
            "to f goal": "as to accuracy, for f(x) − f^inf and 25% of f(0) − f^inf; best: over the whole grid",
            "seeds": "the best step is chosen by runs with the seed; steps and flops are of runs with the seed plus one",
            "measured_f": "those runs take twice the steps that were needed before, plus ten, and as many replicas as that "
            "saves; fewest and most: for the mean less and plus two standard errors",
        },
        "resolution": RESOLUTION,
        "search": vars(search),
        "search_f": vars(_F_QUICK if quick else _F_FULL) | {"replicas_choosing": _CHOOSING},
        "accuracy": ACCURACY,
        "f_goal": F_GOAL,
        "minibatch": MINIBATCH,
        "nnz": costs.nnz,
        "flops_full": costs.flops_full,
        "memory_full": 24 * (costs.nnz + data.n + d),
        "sent_full": 16 * d,
        "steps": [_step(costs, K) for K in every],
        "rows": rows,
        "findings": _findings(costs, rows),
    }


def _step(costs: StepCosts, K: int) -> dict[str, float]:
    """Return what a step with K coordinates costs."""
    full = costs.A.shape[1] == K
    return {
        "K": K,
        "nonzeros": costs.nonzeros(K),
        "nonzeros_spread": costs.nonzeros_spread(K),
        "rows": costs.rows(K),
        "flops": costs.flops_full if full else costs.flops(K),
        "flops_minibatch": costs.flops(K, MINIBATCH) - 2 * K * full,
        "memory": costs.memory(K),
        "sent": 16 * K,
        "sent_with_indices": 16 * K if full else 20 * K,
    }


def _to_accuracy(F: Mast, K: int, costs: StepCosts, search: Search, seed: int) -> dict[str, Any]:
    """Return steps and operations to both goals, at the paper's step and at the best of a grid."""
    theorem, f = StronglyConvexDSGD(F), F.problem
    lowest = f.minimize().value
    excess = float(f.value(np.zeros(F.dim))) - lowest
    each = _step(costs, K)["flops"]
    out: dict[str, Any] = {
        "K": K,
        "flops_a_step": each,
        "bound_to_accuracy": theorem.steps_to_accuracy(ACCURACY * theorem.initial),
        "target_excess": (float(f.value(F.minimize().x)) - lowest) / excess,
    }
    # Without a sketch all replicas are equal.
    own, by_f = (replace(s, replicas=1) if F.dim == K else s for s in (search, _F_QUICK if search == _QUICK else _F_FULL))
    goal, found = lowest + F_GOAL * excess, searched(runs(F, own, seed), theorem.stepsize, own)
    grid = [row["stepsize"] for row in found["grid"]]
    choose = runs(F, replace(by_f, replicas=min(_CHOOSING, by_f.replicas)), seed, "f")
    ways: dict[str, dict[str, float | None]] = {
        "own": {"paper": grid[0], "best": found["best"]},
        "f": {"paper": grid[0], "best": _fastest(choose, grid, goal)},
    }
    again = runs(F, own, _other(seed))
    measured = {choice: _again(F, choose, gamma, goal, by_f, seed) for choice, gamma in ways["f"].items()}
    steps = {
        "own": {choice: None if gamma is None else to_accuracy(again(gamma)) for choice, gamma in ways["own"].items()},
        "f": {choice: reached["steps"] for choice, reached in measured.items()},
    }
    flops = {name: {choice: None if t is None else t * each for choice, t in taken.items()} for name, taken in steps.items()}
    return {**out, "steps": steps, "measured_f": measured, "flops": flops, "stepsizes": ways, "grid": grid}


def _again(
    F: Mast, choose: Callable[[float], Run], gamma: float | None, goal: float, search: Search, seed: int
) -> dict[str, int | None]:
    """Return steps to the goal in f from other runs: shorter and more of them where the goal was reached early."""
    # With few steps to the goal one step more or less changes the answer much, and replicas decide which it is.
    if gamma is None:
        return dict.fromkeys(("steps", "fewest", "most", "replicas"))
    before = _to_goal(choose(gamma), goal)
    length = search.steps if before is None else min(search.steps, 2 * before + 10)
    replicas = search.steps * search.replicas // length
    run = runs(F, Search(length, replicas, search.ratio), _other(seed), "f")(gamma)
    mean, error = mean_and_error(run.f, alone=0.0)
    first = {"steps": mean, "fewest": mean - 2 * error, "most": mean + 2 * error}
    return {**{name: first_held(run.recorded, curve, goal) for name, curve in first.items()}, "replicas": replicas}


def _other(seed: int) -> int:
    """Return the seed of the runs that are reported, another one than that of the runs by which a step is chosen."""
    return (seed + 1) % 2**64


def _to_goal(run: Run, goal: float) -> int | None:
    """Return the first step at which the mean value of f is at most a goal, and held there."""
    return first_held(run.recorded, run.f.mean(axis=0), goal)


def _fastest(run_at: Callable[[float], Run], grid: list[float], goal: float) -> float | None:
    """Return the step size that takes the fewest steps to a goal, the smaller one of equals."""
    taken = [(_to_goal(run_at(gamma), goal), gamma) for gamma in grid]
    return min(((t, gamma) for t, gamma in taken if t is not None), default=(0, None))[1]


def _findings(costs: StepCosts, rows: list[dict[str, Any]]) -> list[dict[str, float]]:
    """Return the numbers to be quoted."""
    found: list[dict[str, float]] = []
    for row in rows:
        words = f"keep {row['keep']:g}"
        found.append({f"flops of a step over those of gradient descent, {words}": row["flops_a_step"] / costs.flops_full})
        for goal, ways in row["flops"].items():
            found += [{f"flops to {goal} goal, {choice} step, {words}": n} for choice, n in ways.items() if n is not None]
        found.append({f"f(x_D*) − f^inf over f(0) − f^inf, {words}": row["target_excess"]})
        for choice, n in row["flops"]["f"].items():
            whole = rows[-1]["flops"]["f"][choice]
            found += [
                {f"{key} steps to f goal within two standard errors, {choice} step, {words}": t}
                for key in ("fewest", "most")
                if (t := row["measured_f"][choice][key]) is not None
            ]
            known = n is not None and whole is not None and row is not rows[-1]
            found += (
                [{f"flops to f goal over those of gradient descent, {choice} step, {words}": n / whole}] if known else []
            )
    return found


def draw(numbers: dict[str, Any]) -> Figure:
    """Return operations and bytes of a step over K, and operations to either goal over keep.

    Parameters
    ----------
    numbers : dict
        What `compute` returned, or its JSON.
    """
    figure, (left, middle, right) = page(1, 3, height=2.9)
    steps = numbers["steps"]
    for axes, names in (
        (left, {"flops": "sketched gradient", "flops_minibatch": f"the same on {numbers['minibatch']:.0%} of the rows"}),
        (middle, {"memory": "memory", "sent": "sent, shared seed", "sent_with_indices": "sent, with indices"}),
    ):
        for place, (name, label) in enumerate(names.items()):
            draw_line(axes, [s["K"] for s in steps], [s[name] for s in steps], place=place, label=label)
        axes.set_xlabel("K")
        axes.set_yscale("log")
    left.axhline(numbers["flops_full"], color="black", linestyle=":", label="gradient of f")
    left.set_ylabel("operations a step")
    left.set_title("operations, expected over K random columns")
    middle.axhline(numbers["memory_full"], color="black", linestyle=":", label="memory, gradient of f")
    middle.axhline(numbers["sent_full"], color="black", linestyle="-.", label="sent, gradient of f")
    middle.set_ylabel("bytes a step")
    middle.set_title("bytes: memory, and what a client sends")
    rows, goals = (
        numbers["rows"],
        {"own": f"distance² to x_D* to {numbers['accuracy']:.0%}", "f": f"excess of f to {numbers['f_goal']:.0%}"},
    )
    for place, (goal, choice) in enumerate((g, w) for g in goals for w in ("paper", "best")):
        label = f"{goals[goal]}, {choice} step"
        draw_line(
            right, [row["keep"] for row in rows], [row["flops"][goal][choice] for row in rows], place=place, label=label
        )
    right.set_xlabel("share kept, K/d (1: gradient descent)")
    right.set_ylabel("operations to accuracy")
    right.set_yscale("log")
    right.set_title("operations to a goal (no point: not reached; in f, x_D* itself may be too bad)")
    words = f"Rand-K, v = 0, steps counted to within {numbers['resolution']}"
    return finish(figure, f"{TITLE}\n{setting(numbers)}, {words}", shared=False)
