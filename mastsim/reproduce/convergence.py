"""Figures 2 and 3: DSGD with Rand-K at several keep fractions beside gradient descent, with the bound of Theorem 2."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from mastsim.colours import COLOURS
from mastsim.expected import Mast
from mastsim.problems import Dataset
from mastsim.reproduce.curve_plots import draw_curve, logarithmic
from mastsim.reproduce.curves import CROSSING, Iterates, curve, follow, spaced
from mastsim.reproduce.figure_head import facts, subtitle
from mastsim.reproduce.held_out import LabelledRows, accuracy, training_and_test_rows
from mastsim.reproduce.paper_problems import CONDITION_NUMBER, LOGISTIC, rand_k
from mastsim.sketches import Identity, Sketch
from mastsim.theorems import StronglyConvexDSGD

NAME = "convergence"
TITLE = "DSGD with Rand-K beside gradient descent"
KEEPS, QUICK_KEEPS = (0.1, 0.3, 0.5, 0.9), (0.1, 0.5)
RULES = {"paper": "step of Theorem 2", "sharp": "sharp step"}

_LONGEST, _QUICK_LONGEST = 4000, 200
_SAME = 1e-9


def compute(data: Dataset, quick: bool, seed: int = 0) -> dict[str, Any]:
    """Return losses f_D and f, distances to x_D* and accuracies along DSGD at the paper's and the sharp step, and along GD.

    The problem is logistic regression with κ_f = 100, v = 0; x^0 ~ N(0, I), the same starts for all runs; GD is DSGD
    without a sketch, on f. The bound on the distance is that of Theorem 2 from the mean of the starts; that on
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
    MAST, arXiv 2311.16086, Theorem 2; Section 5, Figures 2 and 3.

    Examples
    --------
    >>> import mastsim as ms
    >>> numbers = compute(ms.load("synthetic:n=40,d=4,condition=10"), quick=True)
    >>> [(run["keep"], run["rule"], run["distance"]["crosses_at"]) for run in numbers["runs"]][:2]
    [(1.0, 'paper', []), (1.0, 'sharp', [])]
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
    """Return a run for each step rule; where both steps are the same, as they are without a sketch, its numbers twice."""
    out: list[dict[str, Any]] = []
    stepsize = 0.0
    for rule in RULES:
        theorem = StronglyConvexDSGD(F, sharp=rule == "sharp")
        if abs(theorem.stepsize - stepsize) > _SAME * theorem.stepsize:
            stepsize = theorem.stepsize
            shared: dict[str, Any] = {"replicas": schedule.replicas, "seed": schedule.seed, "x0": "normal"}
            path = follow(theorem.method_at(stepsize), F, schedule.stops, **shared)
            seen = _seen(F, path, schedule.test)
        said = {"keep": keep, "sketch": F.sketch.name, "rule": rule, "stepsize": theorem.stepsize, "rate": theorem.rate}
        said |= {"radius": theorem.radius, "fD_inf": F.minimize().value, "gap_to_f": float(F.gap())}
        said["best_accuracy"] = float(accuracy(F.minimize().x, schedule.test))
        out.append({**said, **_beside(seen, theorem, path, schedule.stops)})
    return out


def _seen(F: Mast, path: Iterates, test: LabelledRows) -> dict[str, np.ndarray]:
    """Return tables of squared distances, f_D − f_D^inf, f and accuracies, shape (replicas, stops) each."""
    flat = path.points.reshape(-1, F.dim)
    best, apart = F.minimize(), flat - F.minimize().x
    tables = {"distance": (apart**2).sum(axis=1), "gap": np.asarray(F.value(flat)) - best.value}
    tables |= {"f": np.asarray(F.problem.value(flat)), "accuracy": accuracy(flat, test)}
    return {name: table.reshape(path.points.shape[:2]) for name, table in tables.items()}


def _beside(
    seen: dict[str, np.ndarray], theorem: StronglyConvexDSGD, path: Iterates, stops: list[int]
) -> dict[str, dict[str, Any]]:
    """Return the curves, the first two beside their bounds."""
    F, gamma = theorem.objective, theorem.stepsize
    bound = np.asarray(theorem.bound(np.array(stops), gamma, float(path.initial.mean())))
    rounding = theorem.rounding(gamma, stops[-1]) ** 2
    half = 0.5 * F.L_fD_sharp.value
    value = 1e-14 * (1 + abs(F.minimize().value)) + F.minimize().gap_bound
    bounds = {"distance": (bound, rounding), "gap": (half * bound, value)}
    return {name: curve(stops, table, *bounds.get(name, ())) for name, table in seen.items()}


def _findings(numbers: dict[str, Any]) -> list[dict[str, float]]:
    """Return the numbers to be quoted."""
    found: list[dict[str, float]] = []
    steps = {(run["keep"], run["rule"]): run["stepsize"] for run in numbers["runs"]}
    for run in numbers["runs"]:
        at = f"GD {run['rule']}" if run["keep"] == 1 else f"keep {run['keep']:g} {run['rule']}"
        found.append(
            {f"steps_at_which_a_bound_is_crossed {at}": len(run["distance"]["crosses_at"] + run["gap"]["crosses_at"])}
        )
        found.append({f"largest_distance_over_bound {at}": run["distance"]["largest_ratio"]})
        found.append({f"final_distance_over_bound {at}": run["distance"]["mean"][-1] / run["distance"]["bound"][-1]})
        found.append({f"final_fD_above_fD_inf {at}": run["gap"]["mean"][-1]})
        found.append({f"final_f_above_f_inf {at}": run["f"]["mean"][-1] - numbers["f_inf"]})
        found.append({f"final_accuracy {at}": run["accuracy"]["mean"][-1]})
        if run["rule"] == "sharp":
            found.append({f"sharp_over_paper_stepsize {at}": run["stepsize"] / steps[run["keep"], "paper"]})
    return found


def draw(numbers: dict[str, Any]) -> Figure:
    """Return distances and f_D − f_D^inf with bounds, f, and accuracies over steps; one row for each step that differs.

    Parameters
    ----------
    numbers : dict
        What `compute` returned, or its JSON.
    """
    step = {rule: [run["stepsize"] for run in numbers["runs"] if run["rule"] == rule] for rule in RULES}
    same = np.allclose(step["paper"], step["sharp"], rtol=_SAME, atol=0)
    rules = ["paper"] if same else list(RULES)
    figure = Figure(figsize=(17, 0.8 + 4.2 * len(rules)), layout="constrained")
    for line, rule in zip(figure.subplots(len(rules), 4, squeeze=False), rules, strict=True):
        runs = [run for run in numbers["runs"] if run["rule"] == rule]
        for axes, (key, label) in zip(line, _panels(numbers).items(), strict=True):
            for place, run in enumerate(runs):
                name = "GD on f" if run["keep"] == 1 else f"{run['sketch']}, γ = {run['stepsize']:.2g}"
                draw_curve(axes, numbers["steps"], run[key], place=place, label=name)
            axes.set_xscale("log")
            _finish(axes, key, runs, numbers["f_inf"])
            axes.set_ylabel(label)
            axes.set_title(f"{RULES[rule]}{' (the sharp step is the same)' if same else ''}", fontsize=9)
        line[0].legend(fontsize=7, loc="lower left", title="broken lines: bounds", title_fontsize=7)
    figure.suptitle(
        f"{TITLE}: logistic regression, κ_f = {numbers['condition_number']:g}, v = 0, {numbers['replicas']} starts "
        f"from N(0, I), means ± 2 standard errors\n{subtitle(numbers)}",
        fontsize=10,
    )
    return figure


def _panels(numbers: dict[str, Any]) -> dict[str, str]:
    """Return what is drawn, with the label of its axis."""
    return {
        "distance": "‖x − x_D*‖²",
        "gap": "f_D(x) − f_D^inf, GD: f(x) − f^inf",
        "f": "f(x)",
        "accuracy": f"accuracy of x on {numbers['validated_on']['source']}",
    }


def _finish(axes: Any, key: str, runs: list[dict[str, Any]], f_inf: float) -> None:
    """Choose the axis of a panel, and draw where the curves should end."""
    if key in ("distance", "gap"):
        logarithmic(axes, 1e-10)
    elif key == "f":
        line = axes.axhline(f_inf, color="black", linewidth=0.8, linestyle=":")
        axes.legend([line], ["f^inf"], fontsize=7)
        axes.set_yscale("log")
    else:
        accuracies = [run["best_accuracy"] for run in runs]
        lines = [axes.axhline(y, color=COLOURS[p], linewidth=0.8, linestyle=":") for p, y in enumerate(accuracies)]
        axes.legend(lines[:1], ["the minimiser, x* for GD, x_D* else"], fontsize=7, loc="lower right")
