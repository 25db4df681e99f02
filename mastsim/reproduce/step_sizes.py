"""How conservative the step size is: paper, sharp, largest stable, and what simulation finds usable and best, over keep."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mastsim.expected import Mast
from mastsim.layout import finish, page
from mastsim.moments import largest_stable_stepsize
from mastsim.problems import Dataset, Quadratic
from mastsim.reproduce.curve_plots import draw_band, draw_line
from mastsim.reproduce.curves import CONFIDENCE, beside_bound, bound_findings
from mastsim.reproduce.figure_head import facts, setting
from mastsim.reproduce.paper_problems import CONDITION_NUMBER, rand_k, regression
from mastsim.reproduce.step_search import ACCURACY, RESOLUTION, RULES, Search, late, runs, searched, to_accuracy
from mastsim.theorems import StronglyConvexDSGD

NAME = "step-sizes"
TITLE = "How conservative is the step size of DSGD?"
STEPS = {
    "paper": "paper: 1/(L_f·L_S^max)",
    "sharp": "sharp: 1/sup λ_max(SᵀLS)",
    "quadratic": "1/ℒ: proved for quadratics",
    "stable": "largest stable: on the quadratic",
    "best": "fastest to 5%: simulated",
    "usable": "largest usable: simulated",
}
_KEEPS, _QUICK_KEEPS = (0.1, 0.3, 0.5, 0.7, 0.9), (0.3, 0.9)
_LISTED = 200
FULL, QUICK = Search(800, 4, 2**0.5), Search(300, 4, 2.0)


def compute(data: Dataset, quick: bool, seed: int = 0) -> dict[str, Any]:
    """Return step sizes and steps to accuracy for Rand-K over keep, on logistic regression with κ_f = 100 and v = 0.

    The largest stable step, and 1/ℒ, are those of the quadratic with the same curvature matrix, as in docs/step-sizes.md;
    they are not proved for logistic regression. `RULES` says how simulation decides.

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
    MAST, arXiv 2311.16086, Theorem 2; all others: this package.

    Examples
    --------
    >>> import mastsim as ms
    >>> row = compute(ms.load("synthetic:n=20,d=3"), quick=True)["rows"][0]
    >>> row["stepsizes"]["paper"] <= row["stepsizes"]["sharp"] <= row["stepsizes"]["stable"]
    True
    """
    f, search = regression(data), QUICK if quick else FULL
    model, rows = Quadratic(f.upper_curvature.matrix, np.zeros(f.dim)), []
    for keep in _QUICK_KEEPS if quick else _KEEPS:
        sketch = rand_k(data.d, keep)
        F, least = Mast(f, sketch), _of_quadratic(Mast(model, sketch))
        rows.append({"keep": keep, "sketch": sketch.name, **_row(F, least, search, seed)})
    return {
        **facts(NAME, data, quick, seed),
        "condition_number": CONDITION_NUMBER,
        "accuracy": ACCURACY,
        "rules": RULES,
        "resolution": RESOLUTION,
        "search": {"steps": search.steps, "replicas": search.replicas, "ratio": search.ratio},
        "confidence": CONFIDENCE,
        "rows": rows,
        "findings": _findings(rows),
    }


def _of_quadratic(F: Mast) -> dict[str, float]:
    """Return 1/ℒ, for the largest generalised eigenvalue ℒ of (E[SᵀASSᵀAS], H_D), and the largest stable step."""
    fourth = F.sketch.fourth_moment(F.problem.upper_curvature.matrix)
    smoothness = float(scipy.linalg.eigh(fourth, F.curvature, eigvals_only=True)[-1])
    return {"quadratic": 1 / smoothness, "stable": largest_stable_stepsize(F).lower}


def _row(F: Mast, least: dict[str, float], search: Search, seed: int) -> dict[str, Any]:
    """Return all step sizes at one keep fraction, and what runs with them reach."""
    paper, sharp = StronglyConvexDSGD(F), StronglyConvexDSGD(F, sharp=True)
    run_at = runs(F, search, seed)
    found = searched(run_at, paper.stepsize, search)
    steps = {"paper": paper.stepsize, "sharp": sharp.stepsize, **least, "best": found["best"], "usable": found["usable"]}
    taken = {name: run_at(gamma) for name, gamma in steps.items() if gamma is not None}
    stride = max(1, search.steps // _LISTED)
    curves = {
        name: beside_bound(F, steps[name], taken[name], sharp=name == "sharp", stride=stride) for name in ("paper", "sharp")
    }
    return {
        "stepsizes": steps,
        "to_accuracy": {name: to_accuracy(taken[name]) if name in taken else None for name in steps},
        "last_half": {name: late(taken[name]) if name in taken else None for name in steps},
        "start": paper.initial,
        "neighbourhood": paper.radius,
        "bound_to_accuracy": paper.steps_to_accuracy(ACCURACY * paper.initial),
        "grid": found["grid"],
        "curves": curves,
    }


def _findings(rows: list[dict[str, Any]]) -> list[dict[str, float]]:
    """Return the numbers to be quoted."""
    found: list[dict[str, float]] = []
    for row in rows:
        paper, words = row["stepsizes"]["paper"], f"keep {row['keep']:g}"
        for name in ("sharp", "quadratic", "stable", "best", "usable"):
            gamma = row["stepsizes"][name]
            found += [] if gamma is None else [{f"{name} step over paper's, {words}": gamma / paper}]
        found.append({f"neighbourhood of Theorem 2 over the start, {words}": row["neighbourhood"] / row["start"]})
        times = row["to_accuracy"]
        found += [{f"steps to accuracy, {name}, {words}": times[name]} for name in times if times[name] is not None]
    return found + bound_findings([curve for row in rows for curve in row["curves"].values()])


def draw(numbers: dict[str, Any]) -> Figure:
    """Return step sizes over keep, steps to accuracy over keep, and runs at the proved steps with their bounds dashed.

    Parameters
    ----------
    numbers : dict
        What `compute` returned, or its JSON.
    """
    figure, (left, middle, right) = page(1, 3, height=2.9)
    rows = numbers["rows"]
    keeps = [row["keep"] for row in rows]
    for place, (name, label) in enumerate(STEPS.items()):
        draw_line(left, keeps, [row["stepsizes"][name] for row in rows], place=place, label=label)
        draw_line(middle, keeps, [row["to_accuracy"][name] for row in rows], place=place, label=label)
    middle.set_title(f"steps to accuracy (no point: not reached in {numbers['search']['steps']})")
    middle.set_ylabel(f"steps to {numbers['accuracy']:.0%} of E‖x⁰ − x_D*‖²")
    left.set_title("step sizes: logistic regression, Rand-K")
    left.set_ylabel("step size γ")
    for axes in (left, middle):
        axes.set_xlabel("share kept, K/d")
        axes.set_yscale("log")
    _draw_runs(right, rows[0])
    words = f"v = 0, steps counted to within {numbers['resolution']}"
    return finish(figure, f"{TITLE}\n{setting(numbers)}, {words}")


def _draw_runs(axes: Axes, row: dict[str, Any]) -> None:
    """Draw the runs at the proved steps."""
    for place, (name, curve) in enumerate(row["curves"].items()):
        draw_band(axes, curve, place=place, label=STEPS[name])
    gammas = " and ".join(dict.fromkeys(f"{curve['stepsize']:.3g}" for curve in row["curves"].values()))
    axes.set_title(f"{row['sketch']}, γ = {gammas}, {row['curves']['paper']['replicas']} replicas, bounds of Theorem 2")
    axes.set_xlabel("step")
    axes.set_ylabel("E‖x − x_D*‖²")
