"""Plots that read in black and white: measured curves with their band, and the theoretical bound beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mastsim.run import Run
from mastsim.theorems import Rate

MEASURED, BOUND, REFUTED = "#0072B2", "#000000", "#D55E00"
"""Colours that remain apart for colour-blind readers (Okabe and Ito)."""


def draw_bound(axes: Axes, steps: np.ndarray, measured: np.ndarray, bound: np.ndarray, band: np.ndarray | None) -> None:
    """Draw a measured mean, its band, and the bound it must stay under, on a logarithmic axis.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    steps, measured, bound : ndarray, shape (records,)
        The curves.
    band : ndarray, shape (2, records), optional
        Edges of the interval around `measured`.
    """
    axes.plot(steps, bound, color=BOUND, linestyle="--", label="bound")
    axes.plot(steps, measured, color=MEASURED, label="measured")
    if band is not None:
        axes.fill_between(steps, *band, color=MEASURED, alpha=0.25, label="± 2 standard errors")
    positive = np.concatenate([measured, bound])
    if (positive[np.isfinite(positive)] > 0).any():
        axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.grid(visible=True, alpha=0.3)
    axes.legend(fontsize=8)


def plot_run(run: Run, theorem: Rate | None, path: Path) -> None:
    """Write a plot of E‖x − x_D*‖² of a run, beside a theorem's bound when there is one.

    Parameters
    ----------
    run : Run
        The run; it must have recorded the distance.
    theorem : Rate, optional
        The theorem whose bound to draw.
    path : Path
        File to write; its suffix chooses the format.
    """
    mean, error = run.distance.mean(axis=0), run.distance.std(axis=0) / run.replicas**0.5
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    nothing = np.full(len(mean), np.nan)
    bound = nothing if theorem is None else np.asarray(theorem.claim(run.recorded, run.stepsize, float(mean[0])))
    draw_bound(axes, run.recorded, mean, bound, np.stack([np.maximum(mean - 2 * error, 1e-300), mean + 2 * error]))
    axes.set_ylabel("E‖x − x_D*‖²")
    axes.set_title(f"{run.method}, γ = {run.stepsize:.3g}: {run.objective}", fontsize=9)
    figure.savefig(path, dpi=150)
