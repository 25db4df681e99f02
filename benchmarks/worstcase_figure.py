"""Tight against proven one-step factor of DSGD: figures/tight-factor.* and the tables of docs/worst-case.md.

Run as ``python -m benchmarks.worstcase_figure``.
"""

import importlib.metadata
import platform
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from mastsim.documents import dumps, header
from mastsim.worstcase import worst_case_factor

STEPS = np.arange(1, 41) / 20
CONDITIONS = (2, 10, 100)
SHAPES = ((2, 1), (3, 1))
STYLES = {2: ("#0072B2", "o"), 10: ("#D55E00", "s"), 100: ("#000000", "^")}
FOLDER = Path(__file__).resolve().parent.parent / "figures"


def solve(step, condition, blocks, keep):
    """Solve for γ·L_f·L_S^max = step, with L_f = 1."""
    gamma = step * (keep / blocks) ** 2
    return worst_case_factor(gamma, smoothness=1.0, strong_convexity=1 / condition, blocks=blocks, keep=keep)


def curve(condition, blocks, keep):
    worst = [solve(step, condition, blocks, keep) for step in STEPS]
    return {
        "blocks": blocks,
        "keep": keep,
        "condition_number": condition,
        "tight": [w.value for w in worst],
        "certified": [w.certified for w in worst],
        "attained": [w.lower for w in worst],
        "proven": [w.proven if step <= 1 else None for w, step in zip(worst, STEPS, strict=True)],
        "largest_duality_gap": max(w.residuals.gap for w in worst),
        "solvers": sorted({w.solver for w in worst}),
    }


def draw_curve(axes, c):
    color, marker = STYLES[c["condition_number"]]
    style = {"color": color, "marker": marker, "markevery": 4, "markersize": 5}
    proven = np.array([p for p in c["proven"] if p is not None])
    axes.plot(STEPS, c["tight"], label=f"tight, κ = {c['condition_number']}", **style)
    label = f"proven, κ = {c['condition_number']}"
    axes.plot(STEPS[: len(proven)], proven, linestyle="--", markerfacecolor="white", label=label, **style)


def draw(curves, path):
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    panels = figure.subplots(1, len(SHAPES), sharey=True)
    for axes, (blocks, keep) in zip(panels, SHAPES, strict=True):
        for c in curves:
            if (c["blocks"], c["keep"]) == (blocks, keep):
                draw_curve(axes, c)
        axes.axvline(1.0, color="0.5", linewidth=0.8, linestyle=":")
        scale = blocks / keep
        axes.set_title(f"keep {keep} of {blocks} blocks: L_S^max = {scale**2:g}, μ_D = {scale:g}", fontsize=10)
        axes.set_xlabel("step size γ·L_f·L_S^max  (dotted: the largest of Theorem 2)")
        axes.grid(visible=True, alpha=0.3)
    panels[0].set_ylabel("one-step factor of E‖x − y‖²")
    panels[0].legend(fontsize=8, loc="lower left")
    for suffix in ("png", "pdf"):
        metadata = {"CreationDate": None} if suffix == "pdf" else None
        figure.savefig(path.with_suffix(f".{suffix}"), dpi=150, metadata=metadata)


def heading(*columns):
    print("\n| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")


def reference_table():
    heading("m, keep", "κ", "γ·L_f·L_S^max", "tight (SDP)", "certified − attained", "proven 1 − γμ_Dμ_f")
    for (blocks, keep), condition, step in (
        *(((2, 1), 10, step) for step in (0.25, 0.5, 1.0)),
        *((shape, 10, 1.0) for shape in ((1, 1), (3, 1), (3, 2), (4, 1), (4, 2), (4, 3))),
        *(((2, 1), condition, 1.0) for condition in (2, 100, 10000)),
        *(((2, 1), 10, step) for step in (1.5, 2.0)),
    ):
        w = solve(step, condition, blocks, keep)
        proven = f"{w.proven:.7f}" if step <= 1 else "–"
        print(f"| {blocks}, {keep} | {condition} | {step} | {w.value:.7f} | {w.certified - w.lower:.0e} | {proven} |")


def first_order_table():
    heading("m, keep", "κ", "γ·L_f·L_S^max", "tight − (1 − 2γμ)", "γ²·L_S^max·μ_D·μ_f²", "difference")
    for blocks, keep, condition, step in (
        *((2, 1, 10, step) for step in (0.125, 0.25, 0.5, 1.0)),
        *((3, 2, 10, step) for step in (0.25, 1.0)),
        *((4, 1, condition, 1.0) for condition in (2, 10, 100)),
    ):
        w, scale = solve(step, condition, blocks, keep), blocks / keep
        shrink = 1 - w.proven
        left, right = w.value - 1 + 2 * shrink, shrink**2 * scale
        print(f"| {blocks}, {keep} | {condition} | {step} | {left:.9f} | {right:.9f} | {left - right:.0e} |")


def main():
    curves = [curve(condition, *shape) for shape in SHAPES for condition in CONDITIONS]
    draw(curves, FOLDER / "tight-factor")
    packages = ("numpy", "cvxpy", "clarabel", "matplotlib")
    document = header(None, None) | {
        "versions": {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in packages},
        "x": "stepsize * L_f * L_S_max",
        "steps": STEPS,
        "curves": curves,
    }
    (FOLDER / "tight-factor.json").write_text(dumps(document) + "\n", encoding="utf-8")
    reference_table()
    first_order_table()


if __name__ == "__main__":
    main()
