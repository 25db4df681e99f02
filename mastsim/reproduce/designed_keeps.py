"""Keeps designed for every column against uniform ones and Rand-K: step, smoothness and floor over the budget."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mastsim.designs import Design, design
from mastsim.layout import finish, page
from mastsim.problems import Dataset
from mastsim.reproduce.curve_plots import draw_line
from mastsim.reproduce.figure_head import facts, setting
from mastsim.reproduce.paper_problems import CONDITION_NUMBER, regression

NAME = "designed-keeps"
TITLE = "What do keeps designed for every column buy?"
PANELS = {
    "step": "largest step γ of Theorem 2, sharp constants",
    "smoothness": "smoothness λ_max(E[SᵀLS]) of f_D",
    "floor": "½ Σ (1/p_i − 1) L_ii (x*_i)², at least the gap",
}
MASKS = ("designed", "uniform", "rand-k")
_KEEPS, _QUICK_KEEPS = (0.1, 0.2, 0.3, 0.5, 0.7, 0.9), (0.3, 0.7)


def compute(data: Dataset, quick: bool, seed: int = 0) -> dict[str, Any]:
    """Return what masks of three kinds come to for each objective and budget, on logistic regression with κ_f = 100, v = 0.

    Parameters
    ----------
    data : Dataset
        With labels -1 and 1.
    quick : bool
        Fewer budgets.
    seed : int, default 0
        Written down with the others; nothing here is drawn.

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
    >>> row = compute(ms.load("synthetic:n=20,d=3"), quick=True)["rows"][0]
    >>> row["step"]["designed"] >= row["step"]["uniform"] * (1 - 1e-6)
    True
    """
    f = regression(data)
    keeps = _QUICK_KEEPS if quick else _KEEPS
    rows = [_row({goal: design(f, keep * data.d, goal) for goal in PANELS}, keep) for keep in keeps]
    return {
        **facts(NAME, data, quick, seed),
        "condition_number": CONDITION_NUMBER,
        "columns": list(data.column_names),
        "rows": rows,
        "findings": _findings(rows),
    }


def _row(found: dict[str, Design], keep: float) -> dict[str, Any]:
    """Return what every mask comes to where its keeps are designed for just that."""
    compared = {goal: {mask: each.compared[mask][goal] for mask in MASKS} for goal, each in found.items()}
    keeps = {f"keeps for the {goal}": each.keep.tolist() for goal, each in found.items()}
    return {"keep": keep, **compared, **keeps, "to be gained": {goal: each.gap for goal, each in found.items()}}


def _findings(rows: list[dict[str, Any]]) -> list[dict[str, float]]:
    """Return the numbers to be quoted."""
    found: list[dict[str, float]] = []
    for row in rows:
        for goal in PANELS:
            for other in MASKS[1:]:
                ratio = row[goal]["designed"] / row[goal][other] if row[goal][other] > 0 else 1.0
                found.append({f"{goal}, designed over {other}, keep {row['keep']:g}": ratio})
    return [*found, {"most that other keeps could gain": max(max(row["to be gained"].values()) for row in rows)}]


def draw(numbers: dict[str, Any]) -> Figure:
    """Return step, smoothness and floor over the budget, and the designed keeps in decreasing order.

    Parameters
    ----------
    numbers : dict
        What `compute` returned, or its JSON.
    """
    figure, (*panels, last) = page(2, 2)
    rows = numbers["rows"]
    keeps = [row["keep"] for row in rows]
    for axes, (goal, label) in zip(panels, PANELS.items(), strict=True):
        for place, mask in enumerate(MASKS):
            draw_line(axes, keeps, [row[goal][mask] for row in rows], place=place, label=mask)
        axes.set_xlabel("mean share kept, Σ p_i / d")
        axes.set_ylabel(goal)
        axes.set_title(label)
        axes.set_yscale("log")
    middle = rows[min(2, len(rows) - 1)]
    for place, goal in enumerate(PANELS):
        ordered = np.sort(middle[f"keeps for the {goal}"])[::-1]
        draw_line(last, np.arange(1, len(ordered) + 1), ordered, place=place, label=f"for the {goal}")
    last.set_xlabel("columns, most kept first")
    last.set_ylabel("designed keep p_i")
    last.set_title(f"designed keeps, mean {middle['keep']:g}")
    gained = max(max(row["to be gained"].values()) for row in rows)
    words = f"v = 0, at most {gained:.0e} from the best keeps (certified)"
    return finish(figure, f"{TITLE}\n{setting(numbers)}, {words}", shared=False)
