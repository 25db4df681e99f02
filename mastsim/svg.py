"""Small charts as SVG: they scale, take the colours of the page around them, and need no plotting library."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

WIDTH = 340
"""Units of a chart's width: about pixels on a phone, so that text is not scaled down there."""
STYLE = (
    "svg.chart { width: 100%; max-width: 30rem; height: auto; font: 11px system-ui, sans-serif; display: block } "
    ".chart text { fill: currentColor } .chart .axis { stroke: currentColor; stroke-width: 1; fill: none } "
    ".chart .grid { stroke: currentColor; stroke-opacity: .18 } "
    ".chart .limit, .chart .bound { stroke: currentColor; stroke-dasharray: 5 3; stroke-width: 1.5; fill: none } "
    ".chart .measured { stroke: var(--measured, #0072b2); stroke-width: 2; fill: none } "
    ".chart .band { fill: var(--measured, #0072b2); fill-opacity: .2 } "
    ".chart .mark { stroke: var(--measured, #0072b2); stroke-width: 1.5; fill: var(--measured, #0072b2); "
    "fill-opacity: .35 } "
    ".chart .mark.sampled { fill: none } .chart .mark.refuted { stroke: var(--refuted, #d55e00); fill: none }"
)
"""What charts look like; a page has it once."""

_HEIGHT = 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 26, 36
_LOWEST, _HIGHEST = -4, 2
_POINTS = 200


class Mark(NamedTuple):
    """A point of a strip.

    Parameters
    ----------
    value : float
        Where it stands, on a logarithmic axis.
    shape : {"exact", "sampled", "refuted"}
        A circle, a square, or a cross.
    label : str
        What is shown when one points at it.
    """

    value: float
    shape: str
    label: str


@dataclass(frozen=True)
class _Axis:
    """Where a number stands on an axis from `low` to `high`, in units of the chart; logarithmic when `log`."""

    low: float
    high: float
    start: float
    end: float
    log: bool

    def place(self, value: float) -> float:
        at = (self._level(value) - self._level(self.low)) / (self._level(self.high) - self._level(self.low))
        return self.start + min(max(at, 0.0), 1.0) * (self.end - self.start)

    def _level(self, value: float) -> float:
        return math.log10(max(value, 5e-324)) if self.log else value

    def ticks(self) -> list[float]:
        """Return about five numbers to write beside the axis: powers of ten, or round numbers."""
        if self.log:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            if last > first:
                return [10.0**k for k in range(first, last + 1, max(1, math.ceil((last - first) / 5)))]
            return [m * 10.0**k for k in (first - 1, first) for m in (1, 2, 5) if self.low <= m * 10.0**k <= self.high]
        unit = 10.0 ** math.floor(math.log10((self.high - self.low) / 2))
        unit *= next(m for m in (1, 2, 5, 10) if (self.high - self.low) / (m * unit) <= 4)
        return [k * unit for k in range(math.ceil(self.low / unit), math.floor(self.high / unit) + 1)]


def strip(marks: Sequence[Mark], name: str) -> str:
    """Return a strip of largest left/right found, from 0.0001 to 100, with a line where the bound is attained.

    Parameters
    ----------
    marks : sequence of Mark
        What to draw; values beyond the ends stand at them.
    name : str
        What the chart is called for those who do not see it.

    References
    ----------
    This package.

    Examples
    --------
    >>> strip([Mark(1.0, "exact", "<b>")], "Theorem 2").count("&lt;b&gt;")
    1
    """
    axis = _Axis(10.0**_LOWEST, 10.0**_HIGHEST, 14, WIDTH - 14, log=True)
    middle, bottom = 16, 30
    ticks = [f'<text x="{axis.place(t):.1f}" y="44" text-anchor="middle">{_tick(t)}</text>' for t in axis.ticks()]
    lines = [_line(axis.place(t), 4, axis.place(t), bottom, "grid") for t in axis.ticks()]
    lines += [_line(axis.start, bottom, axis.end, bottom, "axis"), _line(axis.place(1), 0, axis.place(1), bottom, "limit")]
    drawn = [_mark(mark, axis.place(mark.value), middle) for mark in marks]
    return _chart(48, name, [*lines, *ticks, *drawn])


def curves(
    steps: np.ndarray, measured: np.ndarray, bound: np.ndarray, band: np.ndarray | None, label: str, name: str
) -> str:
    """Return a chart of what was measured beside the bound, both named at the top.

    Parameters
    ----------
    steps, measured, bound : ndarray, shape (records,)
        The curves; values that are not finite are left out.
    band : ndarray, shape (2, records), optional
        Two standard errors below and above what was measured.
    label : str
        What is measured.
    name : str
        What the chart is called for those who do not see it.

    References
    ----------
    This package.

    Examples
    --------
    >>> drawn = curves(np.arange(3), np.ones(3), 2 * np.ones(3), None, "gap", "Theorem 2")
    >>> drawn.count("<polyline"), "NaN" in drawn
    (2, False)
    """
    kept = _thinned(len(steps))
    steps, measured, bound = steps[kept], measured[kept], bound[kept]
    across = _Axis(float(steps[0]), float(max(steps[-1], steps[0] + 1)), _LEFT, WIDTH - _RIGHT, log=False)
    up = _vertical(np.concatenate([measured, bound]))
    frame = [_line(_LEFT, up.start, WIDTH - _RIGHT, up.start, "axis"), _line(_LEFT, up.start, _LEFT, up.end, "axis")]
    for tick in up.ticks():
        y = up.place(tick)
        frame.append(_line(_LEFT, y, WIDTH - _RIGHT, y, "grid"))
        frame.append(f'<text x="{_LEFT - 4}" y="{y + 4:.1f}" text-anchor="end">{_tick(tick)}</text>')
    for tick in across.ticks():
        x = across.place(tick)
        frame.append(f'<text x="{x:.1f}" y="{up.start + 14:.1f}" text-anchor="{_anchor(x)}">{_tick(tick)}</text>')
    frame.append(f'<text x="{WIDTH - _RIGHT}" y="{up.start + 29:.1f}" text-anchor="end">step</text>')
    lines = [] if band is None else [_band(across, up, steps, band[:, kept])]
    lines += [_polyline(across, up, steps, measured, "measured"), _polyline(across, up, steps, bound, "bound")]
    return _chart(_HEIGHT, name, [*frame, *lines, *_key(label)])


def standing_alone(chart: str) -> str:
    """Return a chart as the text of a file of its own, on white.

    Examples
    --------
    >>> standing_alone(strip([], "none"))[:34]
    '<svg xmlns="http://www.w3.org/2000'
    """
    start, _, rest = chart.partition(">")
    ground = f'<style>svg.chart {{ color: #111 }} {STYLE}</style><rect width="100%" height="100%" fill="#fff"/>'
    return start.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1) + ">" + ground + rest + "\n"


def _chart(height: float, name: str, parts: list[str]) -> str:
    said = html.escape(name)
    return f'<svg class="chart" viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{said}">{"".join(parts)}</svg>'


def _vertical(values: np.ndarray) -> _Axis:
    """Return the vertical axis for some curves: logarithmic where they are positive and differ by much."""
    known = values[np.isfinite(values)]
    low, high = float(known.min(initial=np.inf)), float(known.max(initial=-np.inf))
    if high > 0 and (positive := known[known > 0]).size and (lowest := float(positive.min())) < high / 4:
        return _Axis(max(lowest, high * 1e-40), high, _HEIGHT - _BOTTOM, _TOP, log=True)
    low, high = (low, high) if low <= high else (0.0, 1.0)
    room = 0.15 * (high - low) or 0.1 * abs(high) or 1.0
    return _Axis(low - room, high + room, _HEIGHT - _BOTTOM, _TOP, log=False)


def _thinned(records: int) -> np.ndarray:
    return np.unique(np.linspace(0, records - 1, min(records, _POINTS)).round().astype(int))


def _polyline(across: _Axis, up: _Axis, steps: np.ndarray, values: np.ndarray, kind: str) -> str:
    points = " ".join(
        f"{across.place(float(t)):.1f},{up.place(float(value)):.1f}"
        for t, value in zip(steps, values, strict=True)
        if np.isfinite(value)
    )
    return f'<polyline class="{kind}" points="{points}"/>'


def _band(across: _Axis, up: _Axis, steps: np.ndarray, band: np.ndarray) -> str:
    known = np.isfinite(band).all(axis=0)
    lower = [(across.place(float(t)), up.place(float(e))) for t, e in zip(steps[known], band[0, known], strict=True)]
    upper = [(across.place(float(t)), up.place(float(e))) for t, e in zip(steps[known], band[1, known], strict=True)]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in [*lower, *reversed(upper)])
    return f'<polygon class="band" points="{points}"/>'


def _key(label: str) -> list[str]:
    """Return the words at the top: what the lines are, and what is measured."""
    return [
        _line(_LEFT, 10, _LEFT + 22, 10, "bound"),
        f'<text x="{_LEFT + 26}" y="14">bound</text>',
        _line(_LEFT + 66, 10, _LEFT + 88, 10, "measured"),
        f'<text x="{_LEFT + 92}" y="14">measured</text>',
        f'<text x="{WIDTH - _RIGHT}" y="14" text-anchor="end">{html.escape(label)}</text>',
    ]


def _mark(mark: Mark, x: float, y: float) -> str:
    shapes = {
        "exact": f'<circle cx="{x:.1f}" cy="{y}" r="4" class="mark exact">',
        "sampled": f'<rect x="{x - 4:.1f}" y="{y - 4}" width="8" height="8" class="mark sampled">',
        "refuted": f'<path d="M{x - 4:.1f} {y - 4}l8 8m0 -8l-8 8" class="mark refuted">',
    }
    closing = {"exact": "circle", "sampled": "rect", "refuted": "path"}[mark.shape]
    return f"{shapes[mark.shape]}<title>{html.escape(mark.label)}</title></{closing}>"


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _anchor(x: float) -> str:
    """Return how a label below the axis is aligned, so that none is cut at an edge."""
    return "end" if x > WIDTH - 30 else "middle"


def _tick(value: float) -> str:
    if value == 0 or 1e-3 < abs(value) < 1e5:
        return f"{value:,.5g}"
    digits, power = f"{value:.0e}".split("e")
    return f"{digits}e{int(power)}"
