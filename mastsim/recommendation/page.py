"""The page of advice: the answer, the tables, and three plots."""

from __future__ import annotations

import html
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mastsim.markup import html_table, image, page, png
from mastsim.plots import BOUND, MEASURED, REFUTED
from mastsim.standard_errors import mean_and_error


def advice_page(advice: Any) -> str:
    """Return the page; every text of the data is escaped, and nothing is loaded from elsewhere."""
    heading, rows = advice.rows()
    facts = "".join(f"<li>{html.escape(line)}</li>" for line in advice.facts())
    marked = any(each.guarantee.vacuous or each.guarantee.vacuous_to_accuracy for each in advice.keeps)
    note = "<p>† the bound at this step size stays above the start: it says nothing</p>" if marked else ""
    names, designed, ends = advice.design_rows()
    design = ""
    if advice.design is not None:
        listed = "".join(f"<li>{html.escape(end)}</li>" for end in ends)
        design = f"<h2>Designed keeps</h2>{html_table(names, designed, right=names[1:])}<ul>{listed}</ul>"
    body = (
        f"<h1>Advice for {html.escape(advice.data.name)}</h1><p><strong>{html.escape(advice.answer)}</strong></p>"
        f"<ul>{facts}</ul>{html_table(heading, rows, right=heading)}{note}{design}"
        f"{''.join(image(png(figure), said) for said, figure in advice_plots(advice).items())}"
    )
    return page(f"mastsim advise {advice.data.name}", body)


def advice_plots(advice: Any) -> dict[str, Figure]:
    """Return three plots by what they show: a run beside its floor, the steps that were tried, step and floor by keep."""
    drawn: dict[str, Figure] = {}
    for said, draw in (
        ("a run", _draw_run),
        ("steps that were tried", _draw_tried),
        ("step and floor by keep", _draw_keeps),
    ):
        figure = Figure(figsize=(5.5, 3.8), layout="constrained")
        axes = figure.add_subplot()
        draw(axes, advice)
        axes.grid(visible=True, alpha=0.3)
        axes.legend(fontsize=8)
        drawn[said] = figure
    return drawn


def _draw_run(axes: Axes, advice: Any) -> None:
    """Draw the mean squared distance of a run at the proven step, and the floor that is promised there."""
    first = advice.keeps[0]
    mean, error = mean_and_error(first.run.distance)
    axes.plot(first.run.recorded, mean, color=MEASURED, label="measured")
    axes.fill_between(first.run.recorded, np.maximum(mean - 2 * error, 1e-300), mean + 2 * error, color=MEASURED, alpha=0.25)
    if first.guarantee.measure == "distance":
        axes.axhline(first.guarantee.radius or 0.0, color=BOUND, linestyle="--", label="promised floor")
    axes.set_yscale("log")
    axes.set(xlabel="step", ylabel="E‖x − x_D*‖²", title=f"proven step, keep {first.keep:g}")


def _draw_tried(axes: Axes, advice: Any) -> None:
    """Draw how far replicas were at the end under multiples of the proven step."""
    for each in advice.keeps:
        known = {m: size for m, size in each.tried.items() if np.isfinite(size) and size > 0}
        line = axes.plot(list(known), list(known.values()), marker="o", label=f"keep {each.keep:g}")[0]
        axes.axvline(each.multiple, color=line.get_color(), linestyle=":")
    axes.axvline(1.0, color=BOUND, linestyle="--", label="proven step")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set(xlabel="step, in proven steps", ylabel="largest distance² / start", title="what was tried (dotted: usable)")


def _draw_keeps(axes: Axes, advice: Any) -> None:
    """Draw proven and usable step and floor by keep."""
    keep = [each.keep for each in advice.keeps]
    axes.plot(keep, [each.guarantee.stepsize or 0.0 for each in advice.keeps], color=BOUND, marker="o", label="proven step")
    axes.plot(keep, [float(each.usable) for each in advice.keeps], color=MEASURED, marker="s", label="usable step")
    floors = [each.guarantee.radius or 0.0 for each in advice.keeps]
    axes.plot(keep, floors, color=REFUTED, marker="^", linestyle="--", label="floor at the proven step")
    axes.set_yscale("log")
    axes.set(xlabel="keep", title="step sizes and floor")
