"""Bernoulli beside Rand-K at equal keep: minimisers, gaps, constants, accuracy, and runs under their bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mastsim.constants import Constants
from mastsim.expected import Mast
from mastsim.layout import BOUND, finish, page
from mastsim.problems import Dataset
from mastsim.reproduce.curve_plots import draw_band, draw_line
from mastsim.reproduce.curves import CONFIDENCE, beside_bound, bound_findings, distances
from mastsim.reproduce.figure_head import facts, setting
from mastsim.reproduce.held_out import LabelledRows, accuracy, own_test_rows
from mastsim.reproduce.paper_problems import CONDITION_NUMBER, rand_k, regression
from mastsim.sketches import Bernoulli
from mastsim.theorems import MinimizerSuboptimality, StronglyConvexDSGD

NAME = "bernoulli-randk"
TITLE = "Bernoulli beside Rand-K that keeps the same share"
FAMILIES = ("Rand-K", "Bernoulli")
KEEPS, RUN_KEEPS = (0.1, 0.3, 0.5, 0.9), (0.3, 0.9)
_CONSTANTS = ("L_fD", "L_fD_sharp", "mu_fD", "mu_fD_sharp", "expected_smoothness", "expected_smoothness_sharp")
_STEPS, _QUICK_STEPS = 1500, 300


def compute(data: Dataset, quick: bool, seed: int = 0) -> dict[str, Any]:
    """Return x_D*, f_D^inf, gap, constants and accuracy of both sketches over keep, and runs of DSGD; v = 0, κ_f = 100.

    A Bernoulli sketch keeps each coordinate with probability K/d exactly, so that only the dependence between coordinates
    differs. Runs start from N(0, I), as the paper's, and take the largest step of Theorem 2.

    Parameters
    ----------
    data : Dataset
        With labels -1 and 1.
    quick : bool
        Fewer keep fractions, steps and replicas.
    seed : int, default 0
        The seed.

    Raises
    ------
    ValueError
        If the labels are not -1 and 1.

    References
    ----------
    MAST, arXiv 2311.16086, Theorems 1 and 2.

    Examples
    --------
    >>> import mastsim as ms
    >>> numbers = compute(ms.load("synthetic:n=20,d=3"), quick=True)
    >>> [curve["crosses_at"] for curve in numbers["curves"]]
    [[], [], [], []]
    """
    f, judged = regression(data), own_test_rows(data) or LabelledRows(data.A, data.signs, "training rows")
    rows: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []
    for keep in RUN_KEEPS if quick else KEEPS:
        sketch = rand_k(data.d, keep)
        pair = [Mast(f, sketch), Mast(f, Bernoulli(data.d, sketch.k / data.d))]
        rows.append({"keep": sketch.k / data.d, "asked": keep, "K": sketch.k, **_apart(*pair)})
        for family, F in zip(FAMILIES, pair, strict=True):
            rows[-1][family] = _facts_of(F, judged)
            if keep in RUN_KEEPS:
                gamma = StronglyConvexDSGD(F).stepsize
                steps, replicas = (_QUICK_STEPS, 4) if quick else (_STEPS, 8)
                run = distances(F, gamma, steps=steps, replicas=replicas, seed=seed, x0="normal")
                curves.append({"family": family, "keep": keep, **beside_bound(F, gamma, run)})
    return {
        **facts(NAME, data, quick, seed),
        "condition_number": CONDITION_NUMBER,
        "accuracy_on": judged.name,
        "accuracy_of_erm": float(accuracy(f.minimize().x, judged)),
        "confidence": CONFIDENCE,
        "rows": rows,
        "curves": curves,
        "findings": _findings(rows, curves),
    }


def _apart(first: Mast, second: Mast) -> dict[str, float]:
    """Return how far apart two minimisers are, in units of the norm of the first."""
    x, y = first.minimize().x, second.minimize().x
    size = float(np.linalg.norm(x))
    return {"minimisers_apart": float(np.linalg.norm(x - y)) / size if size else 0.0}


def _facts_of(F: Mast, judged: LabelledRows) -> dict[str, Any]:
    """Return what is known of one objective without running anything."""
    best, constants = F.minimize(), Constants(F)
    suboptimality = MinimizerSuboptimality(F).spectral_sides("x_D* is nearly optimal")
    return {
        "sketch": F.sketch.name,
        "fD_inf": best.value,
        "certificate": best.gap_bound,
        "gap": float(F.gap()),
        "norm": float(np.linalg.norm(best.x)),
        "f_excess": suboptimality.left,
        "f_excess_bound": suboptimality.right,
        "accuracy": float(accuracy(best.x, judged)),
        "constants": {name: float(constants[name]) for name in _CONSTANTS},
        "stepsize": StronglyConvexDSGD(F).stepsize,
        "stepsize_sharp": StronglyConvexDSGD(F, sharp=True).stepsize,
    }


def _findings(rows: list[dict[str, Any]], curves: list[dict[str, Any]]) -> list[dict[str, float]]:
    """Return the numbers to be quoted."""
    found: list[dict[str, float]] = [{"farthest minimisers apart": max(row["minimisers_apart"] for row in rows)}]
    for name in ("gap", "stepsize", "stepsize_sharp"):
        # At K = d both gaps are zero.
        ratios = [row["Bernoulli"][name] / row["Rand-K"][name] for row in rows if row["Rand-K"][name] > 0]
        found += [{f"smallest {name} of Bernoulli over Rand-K": min(ratios)}]
        found += [{f"largest {name} of Bernoulli over Rand-K": max(ratios)}]
    apart = [abs(row["Bernoulli"]["accuracy"] - row["Rand-K"]["accuracy"]) for row in rows]
    found.append({"largest difference of accuracies": max(apart)})
    found += bound_findings(curves)
    for family in FAMILIES:
        for curve in (curve for curve in curves if curve["family"] == family):
            found.append({f"last distance, {family}, keep {curve['keep']:g}": curve["mean"][-1]})
    return found


def draw(numbers: dict[str, Any]) -> Figure:
    """Return gap, accuracy and constants over keep, and runs with their bounds dashed.

    Parameters
    ----------
    numbers : dict
        What `compute` returned, or its JSON.
    """
    figure, panels = page(3, 2)
    for axes, draw_panel in zip(panels, (_draw_gap, _draw_accuracy, _draw_constants, _draw_apart), strict=False):
        draw_panel(axes, numbers)
    for axes, keep in zip(panels[4:], RUN_KEEPS, strict=True):
        for place, curve in enumerate(curve for curve in numbers["curves"] if curve["keep"] == keep):
            draw_band(axes, curve, place=place, label=curve["sketch"].partition(",")[0])
        axes.set_title(f"DSGD from N(0, I), largest step of Theorem 2, {curve['replicas']} replicas")
        axes.set_xlabel("step")
        axes.set_ylabel("E‖x − x_D*‖²")
    return finish(figure, f"{TITLE}\n{setting(numbers)}, v = 0", shared=False)


def _over_keep(
    axes: Axes, numbers: dict[str, Any], key: str, place: int, label: str, what: str = "", *, bound: bool = False
) -> None:
    """Draw one number of both families over keep."""
    rows = numbers["rows"]
    for offset, family in enumerate(FAMILIES):
        values = [row[family].get(key, row[family]["constants"].get(key)) for row in rows]
        said = f"{label}, {family}{BOUND if bound else what}"
        draw_line(axes, [row["keep"] for row in rows], values, place=place + offset, label=said, bound=bound)
    axes.set_xlabel("share kept, K/d")


def _draw_gap(axes: Axes, numbers: dict[str, Any]) -> None:
    """Draw what sketching costs in the minimum."""
    _over_keep(axes, numbers, "gap", 0, "f_D^inf − f^inf")
    axes.set_title("what sketching costs in the minimum")
    axes.set_ylabel("gap")
    axes.set_yscale("log")


def _draw_accuracy(axes: Axes, numbers: dict[str, Any]) -> None:
    """Draw the accuracy of both minimisers, and of that of f."""
    _over_keep(axes, numbers, "accuracy", 0, "x_D*")
    axes.axhline(numbers["accuracy_of_erm"], color="black", linestyle=":", label="minimiser of f")
    axes.set_title(f"accuracy of the dense x_D* on {numbers['accuracy_on']}")
    axes.set_ylabel("accuracy")


def _draw_constants(axes: Axes, numbers: dict[str, Any]) -> None:
    """Draw the smoothness constants of both sketches."""
    _over_keep(axes, numbers, "expected_smoothness_sharp", 0, "single masks", ": sup λ_max(SᵀLS)")
    _over_keep(axes, numbers, "L_fD_sharp", 2, "f_D", ": λ_max(E[SᵀLS])")
    rows = numbers["rows"]
    paper = [row["Rand-K"]["constants"]["expected_smoothness"] for row in rows]
    draw_line(axes, [row["keep"] for row in rows], paper, place=4, label="the paper's, both: L_f·L_S^max", bound=True)
    axes.set_title("smoothness constants")
    axes.set_ylabel("smoothness")
    axes.set_yscale("log")


def _draw_apart(axes: Axes, numbers: dict[str, Any]) -> None:
    """Draw how good both minimisers are for f, and how far apart."""
    _over_keep(axes, numbers, "f_excess", 0, "f(x_D*) − f^inf")
    _over_keep(axes, numbers, "f_excess_bound", 0, "f(x_D*) − f^inf", bound=True)
    rows = numbers["rows"]
    apart = [row["minimisers_apart"] for row in rows]
    draw_line(axes, [row["keep"] for row in rows], apart, place=3, label="distance between both x_D*, relative")
    axes.set_title("how good x_D* is for f, bounds of Theorem 1")
    axes.set_ylabel("value")
    axes.set_yscale("log")
