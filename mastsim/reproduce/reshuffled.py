"""Masks without replacement: the stationary error over the step size, beside that of independent masks."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mastsim.expected import Mast
from mastsim.layout import BOUND, finish, page
from mastsim.methods import DSGD, Method, Reshuffled
from mastsim.moments import EnumeratedRecursion
from mastsim.problems import Dataset, LeastSquares, Quadratic
from mastsim.problems.columns import widest
from mastsim.reproduce.curve_plots import draw_line
from mastsim.reproduce.figure_head import facts, subtitle
from mastsim.sketches import BlockRandK
from mastsim.theorems import StronglyConvexReshuffled

NAME = "reshuffled"
TITLE = "Masks without replacement: E‖x^∞ − x_D*‖² of reshuffled and of independent masks"
BLOCKS, KEPT, COLUMNS = 4, 2, 8
CONDITION = 10.0
SHARES, QUICK_SHARES = (1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 256), (1 / 4, 1 / 16, 1 / 64)
"""γL, L the largest curvature of a mask."""
_DOUBLINGS = 40


def compute(data: Dataset, quick: bool, seed: int = 0) -> dict[str, Any]:
    """Return stationary errors at epoch starts for all masks of two of four blocks, with the bound of the theorem.

    The problem is ℓ2-regularised least squares, κ_f = 10, on the columns that vary most, at most eight.

    Parameters
    ----------
    data : Dataset
        The data.
    quick : bool
        Fewer step sizes.
    seed : int, default 0
        Has no effect: nothing is drawn.

    Raises
    ------
    ValueError
        If the data have fewer than four columns.

    References
    ----------
    This package: theorem reshuffled-strongly-convex.

    Examples
    --------
    >>> import mastsim as ms
    >>> numbers = compute(ms.load("synthetic:n=40,d=4,condition=10"), quick=True)
    >>> gains = [row["independent"] / row["reshuffled"] for row in numbers["rows"]]
    >>> gains == sorted(gains), gains[0] > 2
    (True, True)
    """
    dim = min(COLUMNS, data.d)
    f = LeastSquares(widest(data.A, dim), data.y, condition_number=CONDITION)
    # The form alone: every order of the masks is followed, which on the rows would take their number as often.
    form = Quadratic(f.upper_curvature.matrix, -np.asarray(f.gradient(np.zeros(dim))))
    F = Mast(form, BlockRandK(dim, blocks=min(BLOCKS, dim), k=min(KEPT, dim)))
    theorem = StronglyConvexReshuffled(F, sharp=True)
    rows = [_row(F, theorem, share) for share in (QUICK_SHARES if quick else SHARES)]
    numbers = {
        **facts(NAME, data, quick, seed),
        "tier": "exact",
        "problem": f.name,
        "condition_number": CONDITION,
        "sketch": F.sketch_name,
        "N": theorem.N,
        "L": theorem.L,
        "rows": rows,
    }
    return {**numbers, "findings": _findings(rows)}


def _row(F: Mast, theorem: StronglyConvexReshuffled, share: float) -> dict[str, Any]:
    gamma = share / theorem.L
    independent, reshuffled = (stationary(F, method) for method in (DSGD(gamma), DSGD(gamma, order=Reshuffled())))
    bound = theorem.neighbourhood(gamma)
    return {
        "share": share,
        "stepsize": gamma,
        "independent": independent,
        "reshuffled": reshuffled,
        "bound": bound if np.isfinite(bound) else None,
        "crosses": bool(reshuffled > bound * (1 + 1e-9)),
    }


def stationary(F: Mast, method: Method) -> float:
    """Return E‖x − x_D*‖² in the limit of many steps of a method whose step has few outcomes."""
    chain = EnumeratedRecursion(F, method)
    limit = chain.table
    for _ in range(_DOUBLINGS):
        limit = limit @ limit
    # Started at the origin, where only the constant 1 differs from zero.
    second = limit[:, -1].reshape(chain.size, chain.size)
    return max(float(np.trace(second[: F.dim, : F.dim])), 0.0)


def _findings(rows: list[dict[str, Any]]) -> list[dict[str, float]]:
    """Return how many times smaller the error of reshuffled masks is, and how often it is above its bound."""
    found: list[dict[str, float]] = [
        {f"times smaller than of independent masks at γL = {row['share']:g}": row["independent"] / row["reshuffled"]}
        for row in rows
        if row["reshuffled"] > 0
    ]
    return [*found, {"bounds_crossed": sum(row["crosses"] for row in rows)}]


def draw(numbers: dict[str, Any]) -> Figure:
    """Return both stationary errors over γL, and the bound of the theorem dashed.

    Parameters
    ----------
    numbers : dict
        What `compute` returned, or its JSON.
    """
    figure, (axes,) = page(1, 1, height=3.2)
    rows = numbers["rows"]
    at = [row["share"] for row in rows]
    draw_line(axes, at, [row["independent"] for row in rows], place=0, label="independent masks")
    label = f"all {numbers['N']} masks, reshuffled every epoch"
    draw_line(axes, at, [row["reshuffled"] for row in rows], place=1, label=label)
    draw_line(axes, at, [row["bound"] for row in rows], place=1, label=f"{label}{BOUND}", bound=True)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("γL: the step over 1/L, L the largest curvature of a mask")
    axes.set_ylabel("E‖x^∞ − x_D*‖²")
    return finish(figure, f"{TITLE}\n{subtitle(numbers)}, {numbers['sketch']}, exact moments")
