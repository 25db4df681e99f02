"""Plots that read in black and white: measured curves with their band, and the theoretical bound beside them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.figure import Figure

from mastsim.colours import COLOURS
from mastsim.files import write_whole
from mastsim.layout import finish, page
from mastsim.request import AXIS_LABELS, LYAPUNOV
from mastsim.standard_errors import mean_and_error
from mastsim.validation import floats

MEASURED, BOUND, REFUTED = COLOURS[0], COLOURS[3], COLOURS[1]

QUANTILES = (0.1, 0.9)
"""Between which replicas the band of a plot lies."""

_LOWEST = 1e-2
"""How far below the mean bands reach at most: one that reaches zero would fill a logarithmic axis."""


def draw_bound(
    axes: Axes,
    steps: np.ndarray,
    measured: np.ndarray,
    bound: np.ndarray,
    band: np.ndarray | None,
    spread: tuple[str, np.ndarray] | None = None,
) -> None:
    """Draw a measured mean, its bands, and the bound it must stay under, on a logarithmic axis.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    steps, measured, bound : ndarray, shape (records,)
        The curves.
    band : ndarray, shape (2, records), optional
        Edges of the interval around `measured`.
    spread : (str, ndarray of shape (2, records)), optional
        Edges of the band in which most replicas are, and what it is called.
    """
    axes.plot(steps, bound, color=BOUND, linestyle="--", label="bound")
    if spread is not None:
        edges: dict[str, Any] = {"edgecolor": MEASURED, "facecolor": "none", "linewidth": 0.0, "hatch": "....", "alpha": 0.4}
        axes.fill_between(steps, *spread[1], label=spread[0], **edges)
    axes.plot(steps, measured, color=MEASURED, label="measured")
    if band is not None:
        axes.fill_between(steps, *band, color=MEASURED, alpha=0.25, label="± 2 standard errors")
    positive = np.concatenate([measured, bound])
    if (positive[np.isfinite(positive)] > 0).any():
        axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.grid(visible=True, alpha=0.3)
    axes.legend(fontsize=8)


def plot_curve(curve: Any, label: str, title: str) -> Figure:
    """Return a plot of what a verdict measured beside the bound.

    Parameters
    ----------
    curve : Curve
        Steps, measured, bound and perhaps a band.
    label, title : str
        Of the vertical axis, and of the plot.
    """
    figure, (axes,) = page(1, 1, height=3.4)
    draw_bound(axes, curve.steps, curve.measured, curve.bound, curve.band)
    axes.set_ylabel(label)
    return finish(figure, title, shared=False)


def plot_rows(rows: Sequence[Mapping[str, Any]], measure: str) -> Figure:
    """Return a plot of the means of a measure of a sweep over step sizes, one line a sketch and method.

    Parameters
    ----------
    rows : sequence of mapping
        Rows of `Sweep.table`.
    measure : str
        The measure.
    """
    figure, (axes,) = page(1, 1, height=3.4)
    lines: dict[str, list[tuple[float, float, float]]] = {}
    for row in rows:
        if row["measure"] == measure and row["mean"] is not None and np.isfinite(row["mean"]):
            name = ", ".join(str(row[key]) for key in ("data", "sketch", "method") if row.get(key))
            lines.setdefault(name, []).append((row["stepsize"], row["mean"], row["stderr"] or 0.0))
    for (name, points), marker in zip(lines.items(), itertools.cycle("os^vDP")):
        step, mean, error = np.array(sorted(points)).T
        axes.errorbar(step, mean, yerr=2 * np.nan_to_num(error), marker=marker, capsize=2, label=name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("step size")
    axes.set_ylabel(AXIS_LABELS.get(measure, measure))
    axes.grid(visible=True, alpha=0.3)
    return finish(figure, shared=False)


def check_format(path: Path) -> None:
    """Refuse a file whose suffix is not that of a format of pictures.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    ValueError
        If plots are not written in that format.
    """
    known = FigureCanvasBase.get_supported_filetypes()
    if path.suffix[1:].lower() not in known:
        raise ValueError(f"plot={str(path)!r} is not accepted: its suffix must be one of {', '.join(sorted(known))}")


def draw_run(run: Any, theorem: Any = None, quantiles: tuple[float, float] | None = QUANTILES) -> Figure:
    """Return a plot of the mean of a measure of a run with its bands, beside a theorem's bound when there is one.

    One band is two standard errors of the mean to both sides, the other lies between two quantiles of the replicas: a mean
    may be that of a few replicas far above all others.

    Parameters
    ----------
    run : Run
        The run; it must have recorded what the theorem bounds, and the distance when there is none.
    theorem : Rate, optional
        The theorem whose bound to draw, beside the distance where the run did not record the Lyapunov function that it
        bounds; it is about the last step, or averages and minima of what is plotted.
    quantiles : tuple of two floats, optional
        0 ≤ low < high ≤ 1; no band of replicas where None. A single replica has none either.

    Raises
    ------
    ValueError
        If the run is a part: it was interrupted; or the quantiles are outside their range.
    """
    if not run.complete:
        raise ValueError(f"run ended at step {run.steps_done} of {run.steps}, and a part of a run is not drawn; resume it")
    measure = "distance" if theorem is None else theorem.measure
    if measure == LYAPUNOV and LYAPUNOV not in run.traces:
        measure = "distance"
    table = run.traces["gradient_norm"] ** 2 if measure == "gradient_norm2" else run.traces[measure]
    mean, error = mean_and_error(table)
    figure, (axes,) = page(1, 1, height=3.4)
    bound = np.full(len(mean), np.nan)
    if theorem is not None:
        bound = np.asarray(theorem.claim(run.recorded, run.stepsize, float(theorem.initial_of(run).mean())))
    band = np.stack([np.maximum(mean - 2 * error, _LOWEST * mean), mean + 2 * error])
    draw_bound(axes, run.recorded, mean, bound, band, _spread(table, quantiles))
    axes.set_ylabel(AXIS_LABELS[measure])
    return finish(figure, f"{run.method}, γ = {run.stepsize:.3g}: {run.objective}", shared=False)


def _spread(table: np.ndarray, quantiles: tuple[float, float] | None) -> tuple[str, np.ndarray] | None:
    """Return the name and the edges of the band between two quantiles of the replicas."""
    if quantiles is None or len(table) < 2:
        return None
    low, high = floats("quantiles", quantiles).tolist() if np.shape(quantiles) == (2,) else (1.0, 0.0)
    if not 0 <= low < high <= 1:
        raise ValueError(f"quantiles={quantiles} is not accepted: it must be two numbers, 0 <= low < high <= 1")
    edges = np.quantile(table, [low, high], axis=0, method="inverted_cdf")
    return f"{100 * (high - low):.3g} % of the replicas", np.maximum(edges, _LOWEST * table.mean(axis=0))


def plot_run(run: Any, theorem: Any, path: Path) -> None:
    """Write the plot of a run, beside a theorem's bound when there is one; see `draw_run`.

    Parameters
    ----------
    run : Run
        The run.
    theorem : Rate or None
        The theorem.
    path : Path
        File to write; its suffix chooses the format.
    """
    figure = draw_run(run, theorem)
    write_whole(path, lambda file: figure.savefig(file, format=path.suffix[1:].lower(), dpi=150))
