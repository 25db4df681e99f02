"""How figures draw curves with their bands and bounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from mastsim.colours import COLOURS, DASHES, MARKERS
from mastsim.layout import BOUND

LINE: dict[str, Any] = {"linewidth": 1.2, "markersize": 4.0}
"""How curves are drawn."""
_MOST_MARKERS = 20


def draw_curve(axes: Axes, steps: Sequence[int], shown: dict[str, Any], *, place: int, label: str) -> None:
    """Draw a mean with two standard errors to both sides, and its bound, if any, broken in the same colour.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    steps : sequence of int
        The steps.
    shown : dict
        With ``mean``, ``stderr`` and perhaps ``bound``, lists as long as `steps`.
    place : int
        Which colour, marker and dashes.
    label : str
        What the curve is called.
    """
    mean, error = (np.array(shown[key], dtype=float) for key in ("mean", "stderr"))
    every = max(1, len(steps) // _MOST_MARKERS)
    style: dict[str, Any] = {"color": COLOURS[place], "marker": MARKERS[place], **LINE}
    axes.plot(steps, mean, markevery=every, label=label, **style)
    # A band that reaches zero would fill a logarithmic axis.
    axes.fill_between(steps, np.maximum(mean - 2 * error, 0.1 * mean), mean + 2 * error, color=COLOURS[place], alpha=0.25)
    if "bound" in shown:
        bound = np.array(shown["bound"], dtype=float)
        axes.plot(steps, bound, linestyle=DASHES[place], color=COLOURS[place], linewidth=1.2, label=f"{label}{BOUND}")
    axes.set_xlabel("step")
    axes.grid(visible=True, alpha=0.3)


def draw_band(axes: Axes, curve: dict[str, Any], *, place: int, label: str) -> None:
    """Draw a curve with its bound on a logarithmic axis of values; both are named.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    curve : dict
        With ``steps``, ``mean``, ``stderr`` and ``bound``, lists of one length.
    place : int
        Which colour, marker and dashes.
    label : str
        What the curve is called.
    """
    draw_curve(axes, curve["steps"], curve, place=place, label=label)
    axes.set_yscale("log")


def draw_line(axes: Axes, x: Any, y: Any, *, place: int, label: str, bound: bool = False, error: Any = None) -> None:
    """Draw a line with its marker, a bound dashed and hollow, and two standard errors if they are given.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    x, y : sequence of float or None
        The points; None is left out.
    place : int
        Which colour and marker.
    label : str
        What the line is called.
    bound : bool, default False
        Whether it is a bound.
    error : sequence of float, optional
        Standard errors.
    """
    style: dict[str, Any] = {"color": COLOURS[place], "marker": MARKERS[place], **LINE}
    style["markevery"] = max(1, len(x) // _MOST_MARKERS)
    if bound:
        style |= {"linestyle": "--", "markerfacecolor": "white"}
    values = np.array(y, dtype=float)
    if error is None:
        axes.plot(x, values, label=label, **style)
    else:
        axes.errorbar(x, values, yerr=2 * np.array(error, dtype=float), capsize=3, label=label, **style)
    axes.grid(visible=True, alpha=0.3)


def logarithmic(axes: Axes, smallest: float) -> None:
    """Make the vertical axis logarithmic, and cut it where only rounding is seen.

    Parameters
    ----------
    axes : Axes
        The axes.
    smallest : float
        Where to cut, above 0.
    """
    axes.set_yscale("log", nonpositive="clip")
    axes.set_ylim(bottom=max(smallest, axes.get_ylim()[0]))
