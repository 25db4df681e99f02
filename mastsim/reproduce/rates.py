"""Measured orders of every method on the data, in units of the claimed ones."""

from __future__ import annotations

import math
from typing import Any

from matplotlib.figure import Figure

from mastsim.colours import COLOURS, MARKERS
from mastsim.empirical_rates import measure_rates
from mastsim.layout import finish, page, wrapped
from mastsim.problems import Dataset
from mastsim.reproduce.figure_head import facts, subtitle
from mastsim.reproduce.paper_problems import CONDITION_NUMBER, LEAST_SQUARES
from mastsim.spec import Spec

NAME = "rates"
TITLE = "Measured orders of rates and floors, in units of the claimed ones"
SKETCH = "randk:0.5"
_REPLICAS, _QUICK_REPLICAS = 64, 16


def compute(data: Dataset, quick: bool, seed: int = 0) -> dict[str, Any]:
    """Return what `measure_rates` finds on ℓ2-regularised least squares, κ_f = 100, under Rand-K that keeps half.

    Parameters
    ----------
    data : Dataset
        The data.
    quick : bool
        Fewer replicas.
    seed : int, default 0
        The seed.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> numbers = compute(ms.load("synthetic:n=40,d=3"), quick=True)
    >>> numbers["findings"][0]
    {'not consistent': 0}
    """
    spec = Spec(problem=LEAST_SQUARES.problem, sketch=SKETCH)
    found = measure_rates(spec, data=data, seed=seed, replicas=_QUICK_REPLICAS if quick else _REPLICAS)
    numbers = {
        **facts(NAME, data, quick, seed),
        "sketch": SKETCH,
        "condition_number": CONDITION_NUMBER,
        "rows": found.record(),
        "not_measured": dict(found.refused),
    }
    return {**numbers, "findings": _findings(numbers["rows"])}


def _findings(rows: list[dict[str, Any]]) -> list[dict[str, float]]:
    """Return how many verdicts there are of each kind, and how many times the claimed rate the measured one is."""
    verdicts = [row["verdict"] for row in rows]
    found: list[dict[str, float]] = [{"not consistent": verdicts.count("not consistent")}]
    found += [{kind: verdicts.count(kind)} for kind in ("consistent", "better than claimed", "undecided")]
    claimed = [row for row in rows if row["claimed"]]
    ratios = [{f"{row['quantity']} of {row['method']}, over the claimed": row["value"] / row["claimed"]} for row in claimed]
    return [*found, *ratios]


def draw(numbers: dict[str, Any]) -> Figure:
    """Return measured over claimed orders with their intervals, one line a row, beside the line at 1.

    Parameters
    ----------
    numbers : dict
        What `compute` returned, or its JSON.
    """
    rows = [row for row in numbers["rows"] if row["claimed"]]
    figure, (axes,) = page(1, 1, height=1.0 + 0.36 * len(rows))
    for place, row in enumerate(rows):
        low, value, high = (_finite(row[key]) / row["claimed"] for key in ("low", "value", "high"))
        exact = row["tier"] == "exact"
        style: dict[str, Any] = {"color": COLOURS[0 if exact else 1], "marker": MARKERS[0 if exact else 1], "capsize": 3}
        axes.errorbar([value], [place], xerr=[[max(value - low, 0)], [max(high - value, 0)]], **style)
    axes.axvline(1.0, color="black", linestyle="--", linewidth=1)
    axes.axvline(0.5, color="0.5", linestyle=":", linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks(range(len(rows)), [wrapped(_name(row), 200.0) for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel("measured order over the claimed one (dashed: as claimed, dotted: half of it)")
    axes.set_ylabel("circles exact, squares from replicas")
    axes.grid(visible=True, alpha=0.3)
    words = f"least squares, {numbers['sketch']}; all intervals hold at 99 %"
    return finish(figure, f"{TITLE}\n{subtitle(numbers)}\n{words}")


def _name(row: dict[str, Any]) -> str:
    """Return what a line is called, and which side of the claim is good where that is the left."""
    return f"{row['quantity']}: {row['method']}" + (" (low is good)" if row["good"] == "low" else "")


def _finite(number: Any) -> float:
    """Return a number from JSON, where infinity is a text, within what can be drawn."""
    return math.copysign(1e3, float(number)) if not math.isfinite(float(number)) else float(number)
