"""Figures 2 and 3: DSGD with Rand-K at several shares kept beside gradient descent, at the steps of Theorems 2 and 3."""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from mastsim.colours import COLOURS
from mastsim.expected import Mast
from mastsim.layout import finish, page
from mastsim.problems import Dataset
from mastsim.reproduce.curve_plots import draw_curve, logarithmic
from mastsim.reproduce.curves import CROSSING, Iterates, curve, follow, spaced
from mastsim.reproduce.figure_head import facts, setting
from mastsim.reproduce.held_out import LabelledRows, accuracy, training_and_test_rows
from mastsim.reproduce.paper_problems import CONDITION_NUMBER, LOGISTIC, rand_k
from mastsim.sketches import Identity, Sketch
from mastsim.theorems import NonconvexDSGD, StronglyConvexDSGD

NAME = "convergence"
TITLE = "DSGD with Rand-K beside gradient descent"
KEEPS, QUICK_KEEPS = (0.1, 0.3, 0.5, 0.9), (0.1, 0.5)
RULES = {"paper": "step of Theorem 2", "theorem3": "step of Theorem 3", "sharp": "sharp step of Theorem 2"}
"""Public reviews of the main text disagree on which of the first two the paper's figures take, so that both are shown."""

_LONGEST, _QUICK_LONGEST = 4000, 200
_SAME = 1e-9


def compute(data: Dataset, quick: bool, seed: int = 0) -> dict[str, Any]:
    """Return losses f_D and f, distances to x_D* and accuracies along DSGD at the steps of `RULES`, and along GD.

    The problem is logistic regression with κ_f = 100, v = 0; x^0 ~ N(0, I), the same starts for all runs; GD is DSGD
    without a sketch, on f. Theorem 3's step is 1/√(𝔇T) for T the last step. The bound on the distance is that of Theorem 2
    at the step that is taken, from the mean of the starts, and absent where the step is above its largest; that on
    f_D − f_D^inf is L_{f_D}/2 times it. Accuracies are those of x itself, without a mask.

    Parameters
    ----------
    data : Dataset
        With labels -1 and 1; a5a is validated on a5a.t where it lies on this machine, other data on rows held out.
    quick : bool
        Fewer keep fractions, replicas and steps.
    seed : int, default 0
        The seed.

    Raises
    ------
    ValueError
        If the labels are not -1 and 1, or there are fewer than four rows.

    References
    ----------
    MAST, arXiv 2311.16086, Theorems 2 and 3; Section 5, Figures 2 and 3, as public reviews of the main text describe them.

    Examples
    --------
    >>> import mastsim as ms
    >>> numbers = compute(ms.load("synthetic:n=40,d=4,condition=10"), quick=True)
    >>> [(run["keep"], run["rule"], run["distance"]["crosses_at"]) for run in numbers["runs"]][:2]
    [(1.0, 'paper', []), (1.0, 'theorem3', [])]
    """
    train, test = training_and_test_rows(data, seed)
    f = LOGISTIC.problem_on(train.A, train.y)
    keeps, replicas, longest = (QUICK_KEEPS, 3, _QUICK_LONGEST) if quick else (KEEPS, 10, _LONGEST)
    sketches: dict[float, Sketch] = {1.0: Identity(f.dim)}
    sketches |= {keep: rand_k(f.dim, keep) for keep in keeps}
    shrinks = [StronglyConvexDSGD(Mast(f, sketch)) for sketch in sketches.values()]
    last = min(longest, math.ceil(4 / min(t.contraction(t.stepsize) for t in shrinks)))
    stops = spaced(last, 10 if quick else 20)
    schedule = _Schedule(test, stops, replicas, seed)
    runs = [run for keep, sketch in sketches.items() for run in _runs(Mast(f, sketch), keep, schedule)]
    head = {"condition_number": CONDITION_NUMBER, "validated_on": {"source": test.name, "rows": len(test.y)}}
    head |= {"replicas": replicas, "steps": stops, "f_inf": f.minimize().value, "crossing": CROSSING}
    numbers = {**facts(NAME, data, quick, seed), **head, "runs": runs}
    return {**numbers, "findings": _findings(numbers)}


class _Schedule(NamedTuple):
    """When, on what and how often runs are looked at."""

    test: LabelledRows
    stops: list[int]
    replicas: int
    seed: int


def _runs(F: Mast, keep: float, schedule: _Schedule) -> list[dict[str, Any]]:
    """Return a run for each step rule; where Theorem 2's two steps are the same, as without a sketch, its numbers twice."""
    paths: dict[float, Iterates] = {}
    out: list[dict[str, Any]] = []
    for rule in RULES:
        theorem = StronglyConvexDSGD(F, sharp=rule == "sharp")
        gamma = NonconvexDSGD(F, horizon=schedule.stops[-1]).stepsize if rule == "theorem3" else theorem.stepsize
        like = next((known for known in paths if abs(known - gamma) <= _SAME * gamma), gamma)
        if like not in paths:
            shared: dict[str, Any] = {"replicas": schedule.replicas, "seed": schedule.seed, "x0": "normal"}
            paths[like] = follow(theorem.method_at(gamma), F, schedule.stops, **shared)
        said = {
            "keep": keep,
            "sketch": F.sketch.name,
            "rule": rule,
            "stepsize": gamma,
            "rate": 1 - theorem.contraction(gamma),
        }
        said |= {"radius": theorem.neighbourhood(gamma), "fD_inf": F.minimize().value, "gap_to_f": float(F.gap())}
        said["best_accuracy"] = float(accuracy(F.minimize().x, schedule.test))
        out.append({**said, **_beside(_seen(F, paths[like], schedule.test), theorem, gamma, paths[like], schedule.stops)})
    return out


def _seen(F: Mast, path: Iterates, test: LabelledRows) -> dict[str, np.ndarray]:
    """Return tables of squared distances, f_D − f_D^inf, f and accuracies, shape (replicas, stops) each."""
    flat = path.points.reshape(-1, F.dim)
    best, apart = F.minimize(), flat - F.minimize().x
    tables = {"distance": (apart**2).sum(axis=1), "gap": np.asarray(F.value(flat)) - best.value}
    tables |= {"f": np.asarray(F.problem.value(flat)), "accuracy": accuracy(flat, test)}
    return {name: table.reshape(path.points.shape[:2]) for name, table in tables.items()}


def _beside(
    seen: dict[str, np.ndarray], theorem: StronglyConvexDSGD, gamma: float, path: Iterates, stops: list[int]
) -> dict[str, dict[str, Any]]:
    """Return the curves, the first two beside their bounds where Theorem 2 allows the step."""
    F, bounds = theorem.objective, {}
    if gamma <= theorem.limit * (1 + _SAME):
        bound = np.asarray(theorem.bound(np.array(stops), min(gamma, theorem.limit), float(path.initial.mean())))
        value = 1e-14 * (1 + abs(F.minimize().value)) + F.minimize().gap_bound
        half = 0.5 * F.L_fD_sharp.value
        bounds = {"distance": (bound, theorem.rounding(gamma, stops[-1]) ** 2), "gap": (half * bound, value)}
    return {name: curve(stops, table, *bounds.get(name, ())) for name, table in seen.items()}


def _findings(numbers: dict[str, Any]) -> list[dict[str, float]]:
    """Return the numbers to be quoted."""
    found: list[dict[str, float]] = []
    steps = {(run["keep"], run["rule"]): run["stepsize"] for run in numbers["runs"]}
    for run in numbers["runs"]:
        at = f"GD {run['rule']}" if run["keep"] == 1 else f"keep {run['keep']:g} {run['rule']}"
        if "bound" in run["distance"]:
            crossed = run["distance"]["crosses_at"] + run["gap"]["crosses_at"]
            found.append({f"steps_at_which_a_bound_is_crossed {at}": len(crossed)})
            found.append({f"largest_distance_over_bound {at}": run["distance"]["largest_ratio"]})
            found.append({f"final_distance_over_bound {at}": run["distance"]["mean"][-1] / run["distance"]["bound"][-1]})
        found.append({f"final_fD_above_fD_inf {at}": run["gap"]["mean"][-1]})
        found.append({f"final_f_above_f_inf {at}": run["f"]["mean"][-1] - numbers["f_inf"]})
        found.append({f"final_accuracy {at}": run["accuracy"]["mean"][-1]})
        if run["rule"] != "paper":
            found.append({f"{run['rule']}_over_paper_stepsize {at}": run["stepsize"] / steps[run["keep"], "paper"]})
    return found


def draw(numbers: dict[str, Any]) -> Figure:
    """Return distances and f_D − f_D^inf with bounds, f, and accuracies over steps; one column for each step that differs.

    Parameters
    ----------
    numbers : dict
        What `compute` returned, or its JSON.
    """
    columns = _columns(numbers["runs"])
    measures = _panels(numbers)
    figure, panels = page(len(measures), len(columns), height=2.1)
    for axes, (key, rules) in zip(panels, itertools.product(measures, columns), strict=True):
        runs = [run for run in numbers["runs"] if run["rule"] == rules[0]]
        for place, run in enumerate(runs):
            draw_curve(axes, numbers["steps"], run[key], place=place, label="GD on f" if run["keep"] == 1 else run["sketch"])
        axes.set_xscale("log")
        _finish(axes, key, runs, numbers["f_inf"])
        axes.set_ylabel(measures[key])
        axes.set_title(f"{RULES[rules[0]]}{''.join(f' (the {RULES[rule]} is the same)' for rule in rules[1:])}")
    words = f"v = 0, {numbers['replicas']} starts from N(0, I), means ± 2 standard errors, bounds of Theorem 2"
    return finish(figure, f"{TITLE}: logistic regression\n{setting(numbers)}, {words}")


def _columns(runs: list[dict[str, Any]]) -> list[list[str]]:
    """Return the rules that are run, those with the same step sizes together."""
    steps = {rule: [run["stepsize"] for run in runs if run["rule"] == rule] for rule in RULES}
    groups: list[list[str]] = []
    for rule in (rule for rule in RULES if steps[rule]):
        like = next((g for g in groups if np.allclose(steps[rule], steps[g[0]], rtol=_SAME, atol=0)), None)
        if like is None:
            groups.append([rule])
        else:
            like.append(rule)
    return groups


def _panels(numbers: dict[str, Any]) -> dict[str, str]:
    """Return what is drawn, with the label of its axis."""
    return {
        "distance": "‖x − x_D*‖²",
        "gap": "f_D(x) − f_D^inf (GD: of f)",
        "f": "f(x)",
        "accuracy": f"accuracy of x on {numbers['validated_on']['source']}",
    }


def _finish(axes: Any, key: str, runs: list[dict[str, Any]], f_inf: float) -> None:
    """Choose the axis of a panel, and draw where the curves should end."""
    if key in ("distance", "gap"):
        logarithmic(axes, 1e-10)
    elif key == "f":
        axes.axhline(f_inf, color="black", linewidth=0.8, linestyle="-.", label="the infimum of f")
        axes.set_yscale("log")
    else:
        for place, run in enumerate(runs):
            axes.axhline(run["best_accuracy"], color=COLOURS[place], linewidth=0.8, linestyle=":")
        axes.plot([], [], "k:", linewidth=0.8, label="dotted: accuracy of the minimiser, x* for GD, else x_D*")
