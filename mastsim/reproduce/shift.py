"""A pre-trained v in place of 0: gap and accuracy as v improves, and exact convergence once v is optimal."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mastsim.expected import Mast
from mastsim.layout import BOUND, finish, page
from mastsim.problems import Dataset
from mastsim.reproduce.curve_plots import draw_band, draw_line
from mastsim.reproduce.curves import CONFIDENCE, beside_bound, bound_findings, distances
from mastsim.reproduce.figure_head import facts, setting
from mastsim.reproduce.held_out import accuracy
from mastsim.reproduce.paper_problems import CONDITION_NUMBER, rand_k
from mastsim.reproduce.pretrained_shifts import EARLY_STEPS, SHIFTS, RowsByUse, divided
from mastsim.standard_errors import mean_and_error
from mastsim.theorems import StronglyConvexDSGD

NAME = "shift"
TITLE = "Pre-trained models: what v ≠ 0 does to gap, accuracy and convergence"
RUN_KEEP = 0.5
_KEEPS, _QUICK_KEEPS = (0.1, 0.3, 0.5), (0.3,)
_ALONG, _QUICK_ALONG = (0.2, 0.4, 0.6, 0.8, 0.9), (0.5,)
_GOAL, _QUICK_GOAL = 1e-27, 1e-8
_DRAWS = 64
_ROUNDING = 1e-14


def compute(data: Dataset, quick: bool, seed: int = 0) -> dict[str, Any]:
    """Return gap and accuracies for several shifts and along the way from 0 to x*, and runs of DSGD with their bounds.

    Parameters
    ----------
    data : Dataset
        With labels -1 and 1.
    quick : bool
        Fewer keep fractions, shifts along the way, steps and replicas.
    seed : int, default 0
        The seed, of the division of the rows as well.

    Raises
    ------
    ValueError
        If the labels are not -1 and 1.

    References
    ----------
    MAST, arXiv 2311.16086, Lemma 1 (iii) and Theorem 2; the gap is zero where v minimises f: this package.

    Examples
    --------
    >>> import mastsim as ms
    >>> numbers = compute(ms.load("synthetic:n=40,d=3"), quick=True)
    >>> [curve["mean"][-1] < 1e-11 for curve in numbers["curves"]]
    [False, True]
    """
    parts = divided(data, seed)
    best, rows = parts.problem.minimize().x, []
    for keep in _QUICK_KEEPS if quick else _KEEPS:
        rows += [_row(parts, keep, name, v, seed) for name, v in parts.shifts.items()]
        rows += [_row(parts, keep, f"{t:g}·x*", t * best, seed) | {"t": t} for t in (_QUICK_ALONG if quick else _ALONG)]
    curves = _curves(parts, quick, seed)
    return {
        **facts(NAME, data, quick, seed),
        "condition_number": CONDITION_NUMBER,
        "early_steps": EARLY_STEPS,
        "rows_used": {key: len(getattr(parts, key).y) for key in ("fit", "related", "judged")},
        "accuracy_on": parts.judged.name,
        "bound": "Lemma 1 (iii) at x*: ½(L_D − 1)L_f‖x* − v‖²",
        "confidence": CONFIDENCE,
        "rows": rows,
        "curves": curves,
        "findings": _findings(rows, curves),
    }


def _row(parts: RowsByUse, keep: float, name: str, v: np.ndarray, seed: int) -> dict[str, Any]:
    """Return gap, bound and accuracies for one shift: of v, of the dense x_D*, and of v + S(x_D* − v) over drawn S."""
    f, sketch = parts.problem, rand_k(parts.problem.dim, keep)
    F, best = Mast(f, sketch, shift=v), f.minimize()
    x, away = F.minimize().x, best.x - v
    batch = sketch.sample(np.random.Generator(np.random.Philox(seed)), _DRAWS)
    masked = accuracy(v + np.asarray(batch.apply(np.tile(x - v, (_DRAWS, 1)))), parts.judged)
    mean, error = mean_and_error(masked)
    return {
        "keep": keep,
        "sketch": sketch.name,
        "shift": name,
        "t": {"zero": 0.0, "optimal": 1.0}.get(name),
        "distance_to_minimiser": float(np.linalg.norm(away)),
        "f_excess_of_shift": max(float(f.value(v)) - best.value, 0.0),
        "fD_inf": F.minimize().value,
        "gap": float(F.gap()),
        # A gap that cannot be told from zero is an upper bound, moved up by both certificates.
        "rounding": float(F.gap().error) + F.minimize().gap_bound + best.gap_bound + _ROUNDING * (1 + abs(best.value)),
        "bound": 0.5 * (sketch.L_D - 1) * f.L_f.value * float(away @ away),
        "accuracy_of_shift": float(accuracy(v, parts.judged)),
        "accuracy": float(accuracy(x, parts.judged)),
        "accuracy_sketched": float(mean),
        "accuracy_sketched_stderr": float(error),
    }


def _curves(parts: RowsByUse, quick: bool, seed: int) -> list[dict[str, Any]]:
    """Return runs from 0 at the largest step of Theorem 2, as long as its bound takes to vanish for the optimal v."""
    f, sketch, start = parts.problem, rand_k(parts.problem.dim, RUN_KEEP), np.zeros(parts.problem.dim)
    theorem = StronglyConvexDSGD(Mast(f, sketch, shift=parts.shifts["optimal"]))
    steps = math.ceil(math.log(theorem.initial_at(start) / (_QUICK_GOAL if quick else _GOAL)) / -math.log(theorem.rate))
    curves = []
    for name in ("zero", "optimal") if quick else SHIFTS:
        F = Mast(f, sketch, shift=parts.shifts[name])
        run = distances(F, theorem.stepsize, steps=steps, replicas=2 if quick else 4, seed=seed, x0=start)
        curves.append({"shift": name, "keep": RUN_KEEP, "gap": float(F.gap()), **beside_bound(F, theorem.stepsize, run)})
    return curves


def _findings(rows: list[dict[str, Any]], curves: list[dict[str, Any]]) -> list[dict[str, float]]:
    """Return the numbers to be quoted."""
    found: list[dict[str, float]] = []
    for row in (row for row in rows if row["shift"] in SHIFTS and row["keep"] == rows[-1]["keep"]):
        words = f"{SHIFTS[row['shift']]}, keep {row['keep']:g}"
        found += [{f"{key}, {words}": row[key]} for key in ("gap", "accuracy_of_shift", "accuracy", "accuracy_sketched")]
    found += [{f"last distance, {SHIFTS[curve['shift']]}": curve["mean"][-1]} for curve in curves]
    found.append({"rows above Lemma 1": float(sum(row["gap"] > row["bound"] + row["rounding"] for row in rows))})
    return found + bound_findings(curves)


def draw(numbers: dict[str, Any]) -> Figure:
    """Return gap over the distance of v to x*, accuracy along the way from 0 to x*, and runs with their bounds dashed.

    Parameters
    ----------
    numbers : dict
        What `compute` returned, or its JSON.
    """
    figure, (left, middle, right) = page(1, 3, height=2.9)
    _draw_gap(left, numbers["rows"])
    _draw_accuracy(middle, numbers)
    for place, curve in enumerate(numbers["curves"]):
        draw_band(right, curve, place=place, label=SHIFTS[curve["shift"]])
    first = numbers["curves"][0]
    right.set_title(f"DSGD, {first['sketch'].partition(',')[0]}, γ = {first['stepsize']:.3g}, bounds of Theorem 2")
    right.set_ylim(bottom=0.1 * min(mean for curve in numbers["curves"] for mean in curve["mean"] if mean > 0))
    right.set_xlabel("step")
    right.set_ylabel("E‖x − x_D*‖²")
    return finish(figure, f"{TITLE}\n{setting(numbers)}, f on {numbers['rows_used']['fit']} rows", shared=False)


def _draw_gap(axes: Axes, rows: list[dict[str, Any]]) -> None:
    """Draw gaps and their bounds over the distance of v to x*."""
    for place, keep in enumerate(dict.fromkeys(row["keep"] for row in rows)):
        line = sorted((row for row in rows if row["keep"] == keep and row["t"] is not None), key=lambda row: row["t"])
        seen = [row for row in line if row["t"] < 1]
        away = [row["distance_to_minimiser"] for row in seen]
        draw_line(axes, away, [row["gap"] for row in seen], place=place, label=f"v = t·x*, share {keep:g} kept")
        draw_line(
            axes,
            away,
            [row["bound"] for row in seen],
            place=place,
            label=f"v = t·x*, share {keep:g} kept{BOUND}",
            bound=True,
        )
        for name, marker in (("early", "x"), ("related", "*")):
            row = next(row for row in rows if (row["keep"], row["shift"]) == (keep, name))
            words = SHIFTS[name] if not place else None
            axes.plot(row["distance_to_minimiser"], row["gap"], marker, color="black", markersize=8, label=words)
    axes.set_title("gap of the minima, bounds of Lemma 1 (at v = x* it is 0: not on this axis)")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("‖x* − v‖")
    axes.set_ylabel("f_D^inf − f^inf")


def _draw_accuracy(axes: Axes, numbers: dict[str, Any]) -> None:
    """Draw accuracies along the way from 0 to x*."""
    keep = numbers["rows"][-1]["keep"]
    rows = [row for row in numbers["rows"] if row["keep"] == keep]
    line = sorted((row for row in rows if row["t"] is not None), key=lambda row: row["t"])
    at = [row["t"] for row in line]
    draw_line(axes, at, [row["accuracy_of_shift"] for row in line], place=0, label="v itself")
    draw_line(axes, at, [row["accuracy"] for row in line], place=1, label="dense x_D*")
    means, errors = ([row[key] for row in line] for key in ("accuracy_sketched", "accuracy_sketched_stderr"))
    draw_line(axes, at, means, place=2, label="v + S(x_D* − v), mean over S", error=errors)
    for name, style in (("early", "-."), ("related", ":")):
        row = next(row for row in rows if row["shift"] == name)
        axes.axhline(row["accuracy"], color="black", linestyle=style, linewidth=1, label=f"dense x_D*, {SHIFTS[name]}")
    axes.set_title(f"accuracy on {numbers['accuracy_on']}, share {keep:g} kept")
    axes.set_xlabel("t, where v = t·x*")
    axes.set_ylabel("accuracy")
