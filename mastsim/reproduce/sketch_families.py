"""Sketch families of equal keep: DSGD with exact and sampled gradients, distributed DSGD, and subspace sketches."""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from mastsim.expected import Distributed, Mast, Objective
from mastsim.layout import finish, page
from mastsim.methods import Nice
from mastsim.problems import Dataset, Problem
from mastsim.problems.columns import widest
from mastsim.reproduce.curve_plots import draw_curve, logarithmic
from mastsim.reproduce.curves import CROSSING, curve, follow, spaced
from mastsim.reproduce.figure_head import facts, setting
from mastsim.reproduce.paper_problems import CONDITION_NUMBER, LEAST_SQUARES, LOGISTIC
from mastsim.reproduce.theory_trials import away_start
from mastsim.sketches import PermK, Sketch, parse_sketch
from mastsim.theorems import (
    ConvexDistributed,
    IndependentDistributed,
    Rate,
    SampledStronglyConvexDSGD,
    StronglyConvexDSGD,
)

NAME = "sketch-families"
TITLE = "Sketch families that keep the same share"
CLIENTS = (4, 2)
"""Clients among whom Perm-K deals the coordinates; the keep fractions are 1/4 and 1/2."""
MINIBATCH = 32
BLOCKS = 8
SMALL, QUICK_SMALL = 16, 8
"""Columns of the problem on which subspace sketches are tried, and of all problems in quick runs."""

PANELS = {
    "exact": "logistic regression, exact gradients",
    "minibatch": "logistic regression, minibatches",
    "distributed": "least squares, distributed",
    "subspace": "least squares, subspaces",
}


FAMILIES = {
    "exact": {
        "Rand-K": "randk:{share}",
        "Bernoulli": "bernoulli:{keep}",
        "Bernoulli, {blocks} blocks": "block-bernoulli:{keep}:{blocks}",
        "N:M": "nofm:{few}:4",
    },
    "distributed": {
        "Perm-K, {clients} clients": "permk:{clients}",
        "independent Rand-{k}, {clients} clients": "randk:{share}",
    },
    "subspace": {"Rand-K": "randk:{share}", "Haar": "haar:{k}", "Gaussian": "gaussian:{k}"},
}
"""Labels and sketches of every panel, as the command line writes them."""


class _RunBudget(NamedTuple):
    """How many replicas, for how many steps, and how often they are looked at."""

    replicas: int
    longest: int
    records: int
    seed: int


def compute(data: Dataset, quick: bool, seed: int = 0) -> dict[str, Any]:
    """Return squared distances to x_D* beside their bounds for sketches that keep a quarter, and a half, of the coordinates.

    v = 0 and κ_f = 100; problems take the columns that vary most: as many as are a multiple of four, and at most sixteen for
    subspace sketches. On logistic regression f_D and x_D* are exact for sketches that select coordinates; subspace sketches
    are tried on least squares, where they are exact too. Every run takes the largest step that its theorem allows with the
    published constants. The clients of distributed runs hold the same least squares problem, where they need no quadrature,
    and together keep as many coordinates as there are.

    Parameters
    ----------
    data : Dataset
        With labels -1 and 1.
    quick : bool
        Fewer replicas and steps.
    seed : int, default 0
        The seed.

    Raises
    ------
    ValueError
        If the labels are not -1 and 1.

    References
    ----------
    MAST, arXiv 2311.16086, Theorems 2 and 4, Algorithm 3; theorems distributed-convex and distributed-independent: this
    package.

    Examples
    --------
    >>> import mastsim as ms
    >>> numbers = compute(ms.load("synthetic:n=20,d=4,condition=10"), quick=True)
    >>> [run["label"] for run in numbers["runs"] if run["keep"] == 0.25 and run["panel"] == "distributed"]
    ['Perm-K, 4 clients', 'independent Rand-1, 4 clients']
    """
    budget = _RunBudget(*((4, 150, 12) if quick else (10, 4000, 24)), seed)
    wide = data.d - data.d % 4 if data.d >= 4 else data.d
    few = min(wide, QUICK_SMALL if quick else SMALL)
    f = LOGISTIC.problem_on(widest(data.A, few if quick else wide), data.signs)
    squares = LEAST_SQUARES.problem_on(f.A, f.y)
    small = LEAST_SQUARES.problem_on(widest(data.A, few), data.y)
    runs: list[dict[str, Any]] = []
    skipped: list[dict[str, Any]] = []
    for clients in CLIENTS:
        for panel, problem in (("exact", f), ("distributed", squares), ("subspace", small)):
            for label, text in _sketches(panel, problem.dim, clients).items():
                found, refused = _runs(panel, clients, label, problem, text, budget)
                runs, skipped = runs + found, skipped + refused
    numbers = {
        **facts(NAME, data, quick, seed),
        "condition_number": CONDITION_NUMBER,
        "columns": {panel: few if panel == "subspace" else f.dim for panel in PANELS},
        "minibatch": min(MINIBATCH, data.n),
        "replicas": budget.replicas,
        "crossing": CROSSING,
        "runs": sorted(runs, key=lambda run: (run["keep"], list(PANELS).index(run["panel"]))),
        "skipped": skipped,
    }
    return {**numbers, "findings": _findings(numbers)}


def _sketches(panel: str, d: int, clients: int) -> dict[str, str]:
    """Return the sketches of a panel that keep one coordinate of `clients`, by label."""
    k = max(1, d // clients)
    values = {"keep": 1 / clients, "share": k / d, "k": k, "clients": clients, "few": 4 // clients}
    values["blocks"] = min(BLOCKS, max(1, d // 2))
    return {label.format(**values): text.format(**values) for label, text in FAMILIES[panel].items()}


def _runs(
    panel: str, clients: int, label: str, problem: Problem, text: str, budget: _RunBudget
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the runs of a family, or the reason why there is none."""
    head = {"panel": panel, "keep": 1 / clients, "label": label}
    try:
        theorems = _claims(panel, problem, parse_sketch(text, problem.dim), clients)
    except ValueError as refused:
        return [], [{**head, "reason": str(refused)}]
    return [{**head, "panel": name, **_run(theorem, budget)} for name, theorem in theorems.items()], []


def _claims(panel: str, f: Problem, sketch: Sketch, clients: int) -> dict[str, Rate]:
    """Return the theorems that bound the runs of a sketch, by panel."""
    if panel == "distributed":
        F = Distributed([f] * clients, sketch)
        kind = ConvexDistributed if isinstance(sketch, PermK) else IndependentDistributed
        return {panel: kind(F)}
    single = Mast(f, sketch)
    found: dict[str, Rate] = {panel: StronglyConvexDSGD(single)}
    if panel == "exact":
        few = Nice(min(MINIBATCH, f.components))
        found["minibatch"] = SampledStronglyConvexDSGD(single, sampling=few)
    return found


def _run(theorem: Rate, budget: _RunBudget) -> dict[str, Any]:
    """Return the curve of replicas from a start away from x_D*, over the time in which the bound's first term fades."""
    F, gamma = theorem.objective, theorem.stepsize
    start = away_start(theorem)
    stops = spaced(min(budget.longest, math.ceil(4 / (1 - theorem.rate))), budget.records)
    path = follow(theorem.method_at(gamma), F, stops, replicas=budget.replicas, seed=budget.seed, x0=start)
    apart = ((path.points - F.minimize().x) ** 2).sum(axis=-1)
    bound = np.asarray(theorem.bound(np.array(stops), gamma, theorem.initial_at(start)))
    return {
        "sketch": F.sketch_name,
        "theorem": theorem.id,
        **_constants(F),
        "stepsize": gamma,
        "rate": theorem.rate,
        "radius": theorem.radius,
        "steps": stops,
        "distance": curve(stops, apart, bound, theorem.rounding(gamma, stops[-1]) ** 2),
    }


def _constants(F: Objective) -> dict[str, float]:
    """Return the minimum of f_D, its certificate and the gap."""
    best = F.minimize()
    return {"fD_inf": best.value, "gap": float(F.gap()), "certificate": best.gap_bound}


def _findings(numbers: dict[str, Any]) -> list[dict[str, float]]:
    """Return the numbers to be quoted."""
    found: list[dict[str, float]] = [
        {"bounds_crossed": sum(bool(run["distance"]["crosses_at"]) for run in numbers["runs"])},
        {"runs": len(numbers["runs"])},
    ]
    for run in numbers["runs"]:
        at = f"{run['panel']}, {run['label']}, keep {run['keep']:g}"
        found.append({f"final_distance {at}": run["distance"]["mean"][-1]})
        found.append({f"final_distance_over_bound {at}": run["distance"]["mean"][-1] / run["distance"]["bound"][-1]})
        found.append({f"stepsize {at}": run["stepsize"]})
        found.append({f"gap {at}": run["gap"]})
    return found


def draw(numbers: dict[str, Any]) -> Figure:
    """Return distances over steps, one row for each keep fraction and one panel for each setting, bounds broken.

    Parameters
    ----------
    numbers : dict
        What `compute` returned, or its JSON.
    """
    keeps = list(dict.fromkeys(run["keep"] for run in numbers["runs"]))
    figure, panels = page(len(PANELS), len(keeps), height=2.2)
    for axes, (panel, keep) in zip(panels, itertools.product(PANELS, keeps), strict=True):
        runs = [run for run in numbers["runs"] if run["keep"] == keep and run["panel"] == panel]
        for place, run in enumerate(runs):
            draw_curve(axes, run["steps"], run["distance"], place=place, label=run["label"])
            axes.set_xscale("log")
        extra = f" of {numbers['minibatch']}" if panel == "minibatch" else ""
        axes.set_title(f"{PANELS[panel]}{extra}, d = {numbers['columns'][panel]}, share {keep:g} kept")
        theorems = ", ".join(dict.fromkeys(run["theorem"].replace("theorem", "Theorem ") for run in runs))
        missing = [s["label"] for s in numbers["skipped"] if s["keep"] == keep and s["panel"] == panel]
        without = f"; no bound, or does not fit: {', '.join(missing)}" if missing else ""
        axes.set_xlabel(f"step (bounds: {theorems or 'none'}{without})")
        axes.set_ylabel("E‖x − x_D*‖²")
        if runs:
            logarithmic(axes, 1e-12)
    title = f"{TITLE}, v = 0, {numbers['replicas']} replicas ± 2 standard errors"
    return finish(figure, f"{title}\nwidest columns of {setting(numbers)}", shared=False)
