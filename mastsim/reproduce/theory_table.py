"""Every rate on the logistic regression of the paper: simulated means under their bounds, and the table of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from tqdm import tqdm

from mastsim.colours import COLOURS, MARKERS
from mastsim.expected import Distributed, Mast, Objective
from mastsim.layout import finish, page, wrapped
from mastsim.problems import Dataset, LogisticRegression, split
from mastsim.reproduce.curve_plots import draw_band
from mastsim.reproduce.curves import DISTANCE_ROUNDING, crosses
from mastsim.reproduce.figure_head import facts, setting
from mastsim.reproduce.paper_problems import CONDITION_NUMBER, rand_k, regression
from mastsim.reproduce.theory_trials import FULL, QUICK, tried
from mastsim.request import AXIS_LABELS
from mastsim.sketches import Bernoulli, Identity
from mastsim.tables import markdown_table
from mastsim.theorems import ALL, DoubleSketchedPAGE, LooplessSVRDSG, Rate

NAME = "theory-table"
TITLE = "Every rate under its bound"
KEEPS = (0.1, 0.3, 0.5, 0.9)
QUICK_KEEPS = (0.3, 0.9)
CLIENTS = 4
WEAK = 0.99
"""A keep fraction at which the bound on compressed iterates says something."""

_RATES = tuple(kind for kind in ALL if issubclass(kind, Rate) and kind.status != "refuted as quoted" and not kind.beyond)
_FAMILIES = ("Rand-K", "Bernoulli", "Identity")
_NEEDS_EXACT_GRADIENTS = (LooplessSVRDSG, DoubleSketchedPAGE)


def compute(data: Dataset, quick: bool, seed: int = 0) -> dict[str, Any]:
    """Return, for every rate that applies, what it promises and what replicas did.

    The problem is ℓ2-regularised logistic regression with κ_f = 100 and v = 0, under Rand-K and Bernoulli sketches; the
    theorems about several nodes are tried on four shards, those of the baselines where they say something. Methods that
    need exact gradients of f_D are tried under Bernoulli sketches, where these are cheaper, for fewer steps.

    Parameters
    ----------
    data : Dataset
        With labels -1 and 1.
    quick : bool
        Fewer keep fractions and steps.
    seed : int, default 0
        The seed.

    Raises
    ------
    ValueError
        If the labels are not -1 and 1.

    References
    ----------
    MAST, arXiv 2311.16086, Section 5, for the problem.

    Examples
    --------
    >>> import mastsim as ms
    >>> numbers = compute(ms.load("synthetic:n=20,d=4,condition=10"), quick=True)
    >>> max(row["ratio"] for row in numbers["rows"]) < 1
    True
    """
    f = regression(data)
    budget = QUICK if quick else FULL
    todo = list(_todo(f, QUICK_KEEPS if quick else KEEPS, seed))
    rows, refused = [], []
    for family, keep, objective, kind in tqdm(todo, desc="theory-table", disable=None):
        where = {"family": family, "keep": keep}
        if (why := kind.refuse(objective)) is not None:
            refused.append({**where, "theorem": kind.id, "sketch": objective.sketch_name, "reason": why})
            continue
        rows += [{**where, **tried(case, budget, seed)} for case in kind.cases(objective)]
    order = [kind.id for kind in _RATES]
    rows.sort(key=lambda row: (order.index(row["theorem"]), row["settings"], row["keep"], row["family"] == "Bernoulli"))
    problem = {"loss": "logistic regression", "condition_number": CONDITION_NUMBER, "l2": f.ridge, "shift": "zero"}
    return {
        **facts(NAME, data, quick, seed),
        "problem": problem,
        "rows": rows,
        "refused": refused,
        "findings": _findings(rows),
    }


def _findings(rows: list[dict[str, Any]]) -> list[dict[str, float]]:
    """Return counts and extremes; a curve crosses where its mean less two standard errors is above bound and rounding."""
    curves = [row["curve"] for row in rows]
    above = sum(bool(crosses(c["mean"], c["bound"], c["stderr"], DISTANCE_ROUNDING).any()) for c in curves)
    return [
        {"rates_tried": float(len({row["theorem"] for row in rows}))},
        {"curves": float(len(rows))},
        {"curves_that_cross_their_bound": float(above)},
        {"largest_measured_over_bound": max(row["ratio"] for row in rows)},
        {"smallest_measured_over_bound": min(row["ratio"] for row in rows)},
    ]


def _todo(f: LogisticRegression, keeps: tuple[float, ...], seed: int) -> Iterator[tuple[str, float, Objective, type[Rate]]]:
    """Yield family, keep fraction, objective and theorem of every trial."""
    d = f.dim
    for keep in keeps:
        families = {"Rand-K": rand_k(d, keep), "Bernoulli": Bernoulli(d, keep)}
        for family, sketch in families.items():
            F = Mast(f, sketch)
            for kind in _RATES:
                if kind.method != "DistributedDSGD" and (
                    family == "Bernoulli" or not issubclass(kind, _NEEDS_EXACT_GRADIENTS)
                ):
                    yield family, keep, F, kind
    shards = split(f, min(CLIENTS, f.rows), seed=seed)
    clients = Distributed(shards, Bernoulli(d, 0.5))
    yield from (("Bernoulli", 0.5, clients, kind) for kind in _RATES if kind.method == "DistributedDSGD")
    yield from (("Identity", 1.0, Mast(f, Identity(d)), kind) for kind in _RATES if kind.id == "sgd")
    yield from (("Bernoulli", WEAK, Mast(f, Bernoulli(d, WEAK)), kind) for kind in _RATES if kind.id == "gdci")


def draw(numbers: dict[str, Any]) -> Figure:
    """Return an overview: for every rate, what was measured over its bound at the last step, a point for each sketch.

    Parameters
    ----------
    numbers : dict
        What `compute` returned, or its JSON.
    """
    rates: dict[str, list[dict[str, Any]]] = {}
    for row in numbers["rows"]:
        rates.setdefault(f"{row['title']}{', ' if row['settings'] else ''}{row['settings']}", []).append(row)
    figure, (axes,) = page(1, 1, height=0.36 * len(rates) + 0.5)
    for line, rows in enumerate(rates.values()):
        for row in rows:
            place = _FAMILIES.index(row["family"])
            at = line + 0.2 * (place - 1)
            style: dict[str, Any] = {"color": COLOURS[place], "marker": _marker(row["keep"]), "markersize": 4.5}
            axes.plot([row["ratio"]], [at], linestyle="none", **style)
    for place, family in enumerate(_FAMILIES):
        axes.plot([], [], color=COLOURS[place], linewidth=3, label="without a sketch" if family == "Identity" else family)
    for keep in sorted({row["keep"] for row in numbers["rows"]}):
        axes.plot([], [], color="0.35", marker=_marker(keep), linestyle="none", label=f"share {keep:g} kept")
    axes.axvline(1.0, color="0.35", linewidth=1.4, linestyle="--", label="the bound")
    axes.set_xscale("log")
    axes.set_yticks(range(len(rates)), [wrapped(name, 200.0) for name in rates])
    axes.invert_yaxis()
    axes.set_ylabel("rate")
    axes.set_xlabel("mean over replicas at the last step over its bound (above 1 it would be crossed)")
    axes.grid(visible=True, alpha=0.3)
    return finish(figure, f"{TITLE}: logistic regression\n{setting(numbers)}")


def draw_parts(numbers: dict[str, Any]) -> dict[str, Figure]:
    """Return a picture for each theorem, by the name of its file: a panel for each share kept, both sketches in it.

    Parameters
    ----------
    numbers : dict
        What `compute` returned, or its JSON.
    """
    theorems: dict[str, list[dict[str, Any]]] = {}
    for row in numbers["rows"]:
        theorems.setdefault(row["theorem"], []).append(row)
    return {f"{NAME}-{theorem}": _draw_theorem(numbers, rows) for theorem, rows in theorems.items()}


def _draw_theorem(numbers: dict[str, Any], rows: list[dict[str, Any]]) -> Figure:
    """Return the picture of one theorem."""
    panels: dict[tuple[str, float], list[dict[str, Any]]] = {}
    for row in rows:
        panels.setdefault((row["settings"], row["keep"]), []).append(row)
    columns = min(2, len(panels))
    figure, grid = page(-(-len(panels) // columns), columns, height=2.3 if columns > 1 else 3.0)
    for axes, ((settings, keep), shown) in zip(grid, panels.items(), strict=False):
        for row in shown:
            draw_band(axes, row["curve"], place=_FAMILIES.index(row["family"]), label=row["family"])
        axes.set_title(f"{settings}{', ' if settings else ''}share {keep:g} kept")
        axes.set_ylabel(_label(shown[0]))
        axes.set_xlabel("steps T")
    return finish(figure, f"{TITLE}: {rows[0]['title']}\nlogistic regression, {setting(numbers)}")


def _marker(keep: float) -> str:
    """Return the marker of a share kept."""
    return MARKERS[int(np.searchsorted((*KEEPS, WEAK), keep))]


def _label(row: dict[str, Any]) -> str:
    """Return what the axis of a theorem is called."""
    if (row["measure"], row["over"]) == ("gap", "average"):
        return "E f_D(average of x^t, t < T) − inf f_D"
    before = {"average": "mean over t < T of ", "minimum": "min over t < T of "}.get(row["over"], "")
    return before + {"lyapunov": AXIS_LABELS["distance"]}.get(
        row["measure"], AXIS_LABELS.get(row["measure"], row["measure"])
    )


def rates_table(numbers: dict[str, Any]) -> str:
    """Return the table of the documentation.

    Parameters
    ----------
    numbers : dict
        What `compute` returned, or its JSON.
    """
    columns = ["theorem", "settings", "sketch", "keep", "step γ", "rate", "radius", "T", "measured at T", "bound at T"]
    cells = [
        [
            row["theorem"],
            row["settings"] or "–",
            row["sketch"].removesuffix(", v = 0"),
            f"{row['keep']:g}",
            f"{row['stepsize']:.4g}",
            "1/T" if row["rate"] is None else f"{row['rate']:.6g}",
            f"{row['radius']:.4g}",
            str(row["T"]),
            f"{row['measured']:.4g} ± {row['stderr']:.1g}",
            f"{row['bound']:.4g}",
            f"{row['ratio']:.3g}",
        ]
        for row in numbers["rows"]
    ]
    return markdown_table([*columns, "measured/bound"], cells)


TABLES = {"theory-table": rates_table}
"""Tables of the documentation by name."""
