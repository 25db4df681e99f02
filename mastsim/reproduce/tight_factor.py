"""Tight against proven one-step factor of DSGD, over all smooth strongly convex functions: the same for every data set."""

from __future__ import annotations

import importlib.metadata
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mastsim.colours import COLOURS, MARKERS
from mastsim.layout import BOUND, finish, page
from mastsim.problems import Dataset
from mastsim.reproduce.figure_head import facts, subtitle
from mastsim.tables import markdown_table
from mastsim.worstcase import WorstCase, worst_case_factor

NAME = "tight-factor"
TITLE = "One step of DSGD in the worst case: the tight factor and that of Theorem 2"
CONDITIONS = (2, 10, 100)
SHAPES = ((2, 1), (3, 1))
"""Numbers of blocks, and of blocks kept."""

_FULL, _QUICK = tuple(j / 20 for j in range(1, 41)), (0.1, 0.25, 0.5, 1.0, 1.5, 2.0)
_CASE = ("m, keep", "κ", "γ·L_f·L_S^max")
_STYLES = {2: 0, 10: 1, 100: 3}
_REFERENCE = (
    *(((2, 1), 10, step) for step in (0.25, 0.5, 1.0)),
    *((shape, 10, 1.0) for shape in ((1, 1), (3, 1), (3, 2), (4, 1), (4, 2), (4, 3))),
    *(((2, 1), condition, 1.0) for condition in (2, 100, 10000)),
    *(((2, 1), 10, step) for step in (1.5, 2.0)),
)
_FIRST_ORDER = (
    *(((2, 1), 10, step) for step in (0.125, 0.25, 0.5, 1.0)),
    *(((3, 2), 10, step) for step in (0.25, 1.0)),
    *(((4, 1), condition, 1.0) for condition in (2, 10, 100)),
)


def compute(data: Dataset, quick: bool, seed: int = 0) -> dict[str, Any]:
    """Return tight factors with their certificates beside the proven ones, over step sizes, for L_f = 1.

    Parameters
    ----------
    data : Dataset
        Named in the head; nothing depends on it.
    quick : bool
        Fewer step sizes, and short tables.
    seed : int, default 0
        Named in the head; nothing depends on it.

    References
    ----------
    This package, docs/worst-case.md; the proven factor: MAST, arXiv 2311.16086, Theorem 2.

    Examples
    --------
    >>> import mastsim as ms
    >>> numbers = compute(ms.load("synthetic:n=9,d=2"), quick=True)
    >>> [max(c["certified"][j] - c["proven"][j] for c in numbers["curves"]) < 0 for j in range(4)]
    [True, True, True, True]
    """
    steps = _QUICK if quick else _FULL
    curves = [_curve(condition, *shape, steps) for shape in SHAPES for condition in CONDITIONS]
    head = facts(NAME, data, quick, seed)
    head["versions"] |= {name: importlib.metadata.version(name) for name in ("cvxpy", "clarabel")}
    return {
        **head,
        "depends_on_data": False,
        "x": "stepsize * L_f * L_S_max",
        "steps": list(steps),
        "curves": curves,
        "reference": [_row(*case) for case in (_REFERENCE[:3] if quick else _REFERENCE)],
        "first_order": [_row(*case) for case in (_FIRST_ORDER[:4] if quick else _FIRST_ORDER)],
        "bound_crossed": _crossed(curves),
        "findings": _findings(curves),
    }


def _solve(step: float, condition: float, blocks: int, keep: int) -> WorstCase:
    """Solve for γ·L_f·L_S^max = step."""
    gamma = step * (keep / blocks) ** 2
    return worst_case_factor(gamma, smoothness=1.0, strong_convexity=1 / condition, blocks=blocks, keep=keep)


def _curve(condition: float, blocks: int, keep: int, steps: tuple[float, ...]) -> dict[str, Any]:
    """Return factors over step sizes."""
    worst = [_solve(step, condition, blocks, keep) for step in steps]
    return {
        "blocks": blocks,
        "keep": keep,
        "condition_number": condition,
        "tight": [w.value for w in worst],
        "certified": [w.certified for w in worst],
        "attained": [w.lower for w in worst],
        "proven": [w.proven if step <= 1 else None for w, step in zip(worst, steps, strict=True)],
        "largest_duality_gap": max(w.residuals.gap for w in worst),
        "solvers": sorted({w.solver for w in worst}),
    }


def _row(shape: tuple[int, int], condition: float, step: float) -> dict[str, Any]:
    """Return the factors at one step size."""
    worst = _solve(step, condition, *shape)
    return {
        "blocks": shape[0],
        "keep": shape[1],
        "condition_number": condition,
        "step": step,
        "tight": worst.value,
        "certified": worst.certified,
        "attained": worst.lower,
        "proven": worst.proven,
    }


def _proven(curves: list[dict[str, Any]]) -> list[tuple[float, float, float]]:
    """Return (attained, certified, proven) wherever Theorem 2 allows the step."""
    return [
        (low, high, bound)
        for c in curves
        for low, high, bound in zip(c["attained"], c["certified"], c["proven"], strict=True)
        if bound is not None
    ]


def _crossed(curves: list[dict[str, Any]]) -> list[dict[str, float]]:
    """Return where a factor that is attained exceeds the proven one: nowhere, as that would refute Theorem 2."""
    return [{"attained": low, "proven": bound} for low, _, bound in _proven(curves) if low > bound + 1e-12]


def _findings(curves: list[dict[str, Any]]) -> list[dict[str, float]]:
    """Return the numbers to be quoted."""
    proven = _proven(curves)
    # How many steps of the proven factor do as much as one of the tight factor.
    worth = [np.log(high) / np.log(bound) for _, high, bound in proven]
    return [
        {"fewest_proven_steps_that_one_certified_step_is_worth": float(min(worth))},
        {"most_proven_steps_that_one_certified_step_is_worth": float(max(worth))},
        {"largest_certified_minus_attained": float(max(high - low for low, high, _ in proven))},
        {"largest_attained_over_proven": float(max(low / bound for low, _, bound in proven))},
    ]


def draw(numbers: dict[str, Any]) -> Figure:
    """Return one panel for each number of blocks: tight factors solid, proven ones dashed.

    Parameters
    ----------
    numbers : dict
        What `compute` returned, or its JSON.
    """
    shapes = list(dict.fromkeys((c["blocks"], c["keep"]) for c in numbers["curves"]))
    figure, panels = page(1, len(shapes), height=3.0, sharey=True)
    for axes, (blocks, keep) in zip(panels, shapes, strict=True):
        for curve in numbers["curves"]:
            if (curve["blocks"], curve["keep"]) == (blocks, keep):
                _draw_curve(axes, numbers["steps"], curve)
        axes.axvline(1.0, color="0.5", linewidth=0.8, linestyle=":")
        axes.set_title(f"{keep} of {blocks} blocks kept")
        axes.set_xlabel("step size over the largest of Theorem 2, 1/(L_f·L_S^max) (dotted: 1)")
        axes.set_ylabel("one-step factor of E‖x − y‖²")
        axes.grid(visible=True, alpha=0.3)
    return finish(figure, f"{TITLE}\nno data enter; made beside {subtitle(numbers)}")


def _draw_curve(axes: Axes, steps: list[float], curve: dict[str, Any]) -> None:
    """Draw the tight and the proven factor of one condition number."""
    place, kappa = _STYLES[curve["condition_number"]], curve["condition_number"]
    style: dict[str, Any] = {"color": COLOURS[place], "marker": MARKERS[place], "markersize": 5}
    style["markevery"] = max(1, len(steps) // 10)
    axes.plot(steps, curve["tight"], label=f"tight, L_f/μ_f = {kappa}", **style)
    proven = [(step, bound) for step, bound in zip(steps, curve["proven"], strict=True) if bound is not None]
    label = f"tight, L_f/μ_f = {kappa}{BOUND}"
    axes.plot(*zip(*proven, strict=True), linestyle="--", markerfacecolor="white", label=label, **style)


def reference_table(numbers: dict[str, Any]) -> str:
    """Return the table of reference values in docs/worst-case.md.

    Parameters
    ----------
    numbers : dict
        What `compute` returned, or its JSON.
    """
    columns = [*_CASE, "tight (SDP)", "certified − attained", "proven 1 − γμ_Dμ_f"]
    cells = [
        [
            *_case(r),
            f"{r['tight']:.7f}",
            f"{r['certified'] - r['attained']:.0e}",
            f"{r['proven']:.7f}" if r["step"] <= 1 else "–",
        ]
        for r in numbers["reference"]
    ]
    return markdown_table(columns, cells)


def first_order_table(numbers: dict[str, Any]) -> str:
    """Return the table of the expansion in the step size in docs/worst-case.md.

    Parameters
    ----------
    numbers : dict
        What `compute` returned, or its JSON.
    """
    rows = []
    for r in numbers["first_order"]:
        shrink = 1 - r["proven"]
        left, right = r["tight"] - 1 + 2 * shrink, shrink**2 * r["blocks"] / r["keep"]
        rows.append([*_case(r), f"{left:.9f}", f"{right:.9f}", f"{left - right:.0e}"])
    return markdown_table([*_CASE, "tight − (1 − 2γμ)", "γ²·L_S^max·μ_D·μ_f²", "difference"], rows)


def _case(row: dict[str, Any]) -> list[str]:
    """Return the cells that name a case."""
    return [f"{row['blocks']}, {row['keep']}", f"{row['condition_number']}", f"{row['step']}"]


TABLES = {"tight-factor": reference_table, "tight-factor-first-order": first_order_table}
"""Tables of the documentation by name."""
