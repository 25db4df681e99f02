"""One page for every picture: as wide as a README shows it, text that is read there, legends off the data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain, pairwise
from string import ascii_lowercase
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import text_to_path
from matplotlib.ticker import LogFormatter
from matplotlib.transforms import ScaledTranslation

WIDTH = 800 / 96
"""Inches: a README shows a picture 800 pixels wide, of which 96 make an inch."""
TEXT, PANEL, HEAD = 7.5, 8.0, 8.5
"""Sizes in points of labels, titles of panels, and the title of the page."""
BOUND = ", bound"
"""How the label of a bound ends, after the label of the curve that it bounds."""
_BOUNDS = "its bound, broken"
_TIED = re.compile(r" (?=[=−±/] )|(?<= [=−±/]) |(?<=Theorem) (?=\d)|(?<=Lemma) (?=\d)|(?<=share) (?=\d)")
"""Blanks at which a line is not broken: beside signs, and before numbers."""
_TIE = "\N{NO-BREAK SPACE}"
_LINE = 1.35
_HANDLE = 34.0
"""Points that a legend's line and the gap to the next column take."""
_NEAR = 1.5
"""Points within which two curves look like one."""
_FINE, _FEW = 2000, 200
"""About as many points of a curve are near to each other, and as many are looked for on another curve."""
_STEP = 1.4
"""Points by which a curve is wider than the one that lies on it."""


class PlainPowers(LogFormatter):
    """Labels of a logarithmic axis without raised digits, which would be too small: 0.01, 1, 100, 1e-5."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """Return the label of a tick, empty where there should be none."""
        if not super().__call__(x, pos):
            return ""
        if 0.01 <= x <= 1000:
            return f"{x:g}"
        digits, _, power = f"{x:e}".partition("e")
        return f"{float(digits):g}e{int(power)}"


def page(rows: int, columns: int, *, height: float = 2.3, **grid: Any) -> tuple[Figure, list[Axes]]:
    """Return an empty page and its panels, row by row.

    Parameters
    ----------
    rows, columns : int
        Of panels; at most three columns can be read.
    height : float, default 2.3
        Inches for a row of panels, without the page's title and legend.
    **grid
        What `Figure.subplots` takes.
    """
    figure = Figure(figsize=(WIDTH, height * rows), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False, **grid).ravel())


def finish(figure: Figure, head: str = "", *, shared: bool = True) -> Figure:
    """Return a page made readable: sizes and breaks of all texts, letters, legends below, and words where curves coincide.

    Parameters
    ----------
    figure : Figure
        From `page`, its panels drawn with `label`, ``set_title``, ``set_xlabel`` and ``set_ylabel``.
    head : str, default ""
        Title of the page.
    shared : bool, default True
        Whether one legend below speaks for all panels; otherwise each has its own, below it.
    """
    panels = [axes for axes in figure.axes if axes.has_data() or axes.get_ylabel()]
    for unused in set(figure.axes) - set(panels):
        unused.remove()
    for letter, axes in zip(ascii_lowercase, panels, strict=False):
        _set_texts(axes, f"({letter}) " if len(panels) > 1 else "")
    lines = 0.0
    if shared:
        lines += _legend_of_page(figure, panels)
    else:
        lines += sum(max(_own_legend(axes) for axes in row) for row in _rows(panels))
    if head:
        head = wrapped(head, 0.97 * WIDTH * 72, HEAD)
        figure.suptitle(head, fontsize=HEAD)
        lines += (head.count("\n") + 2) * HEAD / TEXT
    figure.set_size_inches(WIDTH, figure.get_figheight() + lines * _LINE * TEXT / 72)
    return figure


def wrapped(text: str, width: float, size: float = TEXT) -> str:
    r"""Return a text broken into lines, at blanks where there are some.

    Parameters
    ----------
    text : str
        The text; its own line breaks are kept.
    width : float
        The longest line, in points.
    size : float, optional
        Of the font, in points.

    Examples
    --------
    >>> wrapped("one two three", 40.0)
    'one two\nthree'
    """
    return "\n".join(line for given in text.split("\n") for line in _evenly(given, width, size))


def _evenly(line: str, width: float, size: float) -> list[str]:
    """Return a text in as few lines as fit, and these as even as this number allows."""
    found = _broken(line, width, size)
    while width > 10 and len(found) > 1:
        width *= 0.95
        narrower = _broken(line, width, size)
        if len(narrower) > len(found) or any(measured(part, size) > width for part in narrower):
            break
        found = narrower
    return found


def _broken(line: str, width: float, size: float) -> list[str]:
    """Return a text in lines, each with as many words as fit; a word that does not is cut."""
    done, rest = [], ""
    tied = _TIED.sub(_TIE, line).split(" ")
    parts = [[word.replace(_TIE, " ")] if measured(word, size) <= width else word.split(_TIE) for word in tied]
    for word in chain.from_iterable(parts):
        longer = f"{rest} {word}" if rest else word
        if measured(longer, size) <= width:
            rest = longer
            continue
        done += [rest] if rest else []
        rest = word
        while measured(rest, size) > width and len(rest) > 1:
            fits = next(cut for cut in range(len(rest) - 1, 0, -1) if cut == 1 or measured(rest[:cut], size) <= width)
            done, rest = [*done, rest[:fits]], rest[fits:]
    return [*done, rest]


@lru_cache(maxsize=4096)
def measured(text: str, size: float = TEXT) -> float:
    """Return how wide the widest line of a text is, in points.

    Parameters
    ----------
    text : str
        The text.
    size : float, optional
        Of the font, in points.

    Examples
    --------
    >>> 10 < measured("step") < 20
    True
    """
    font = FontProperties(size=size)
    return max(float(text_to_path.get_text_width_height_descent(line, font, False)[0]) for line in text.split("\n"))


def _set_texts(axes: Axes, letter: str) -> None:
    """Break and size the texts of a panel, put its letter before its title, and say which curves coincide."""
    box = axes.get_position()
    assert isinstance(axes.figure, Figure)
    width, height = 1.12 * 72 * WIDTH * box.width, 72 * axes.figure.get_figheight() * box.height
    axes.set_title(wrapped(letter + axes.get_title(), width, PANEL), fontsize=PANEL, loc="center")
    words = "\n".join([axes.get_xlabel(), *coinciding(axes)])
    axes.set_xlabel(wrapped(words, width), fontsize=TEXT)
    axes.set_ylabel(wrapped(axes.get_ylabel(), 0.9 * height), fontsize=TEXT)
    axes.tick_params(which="both", labelsize=TEXT)
    for axis in (axes.xaxis, axes.yaxis):
        axis.get_offset_text().set_fontsize(TEXT)
        if axis.get_scale() == "log" and isinstance(axis.get_major_formatter(), LogFormatter):
            axis.set_major_formatter(PlainPowers())
            axis.set_minor_formatter(PlainPowers())


def _rows(panels: Sequence[Axes]) -> list[list[Axes]]:
    """Return the panels of each row of the page."""
    rows: dict[int, list[Axes]] = {}
    for axes in panels:
        spec = axes.get_subplotspec()
        assert spec is not None
        rows.setdefault(spec.rowspan.start, []).append(axes)
    return list(rows.values())


def _entries(panels: Iterable[Axes]) -> dict[str, Any]:
    """Return what a legend names, each once; all bounds share one entry, the last."""
    found: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    named = {label: handle for label, handle in found.items() if not label.endswith(BOUND)}
    if len(named) < len(found):
        named[_BOUNDS] = Line2D([], [], color="0.35", linestyle="--", linewidth=1.2)
    return named


def _columns(labels: Sequence[str], width: float) -> int:
    """Return in how many columns labels fit, evenly filled."""
    most = max(1, int(width // (max(map(measured, labels)) + _HANDLE)))
    lines = -(-len(labels) // most)
    return -(-len(labels) // lines)


def _legend_of_page(figure: Figure, panels: Sequence[Axes]) -> float:
    """Put one legend below all panels, and return how many lines it has."""
    named = _entries(panels)
    if not named:
        return 0.0
    labels = [wrapped(label, 72 * WIDTH - 2 * _HANDLE) for label in named]
    columns = _columns(labels, 0.97 * 72 * WIDTH)
    figure.legend(list(named.values()), labels, loc="outside lower center", ncols=columns, fontsize=TEXT, frameon=False)
    return _lines(labels, columns)


def _own_legend(axes: Axes) -> float:
    """Put a panel's legend below its axis, and return how many lines it has."""
    named = _entries([axes])
    if not named:
        return 0.0
    width = 1.12 * 72 * WIDTH * axes.get_position().width
    labels = [wrapped(label, width - _HANDLE) for label in named]
    columns = _columns(labels, width)
    # Below the tick labels and the lines of the axis' own label.
    drop = 3.2 * TEXT + _LINE * TEXT * (axes.get_xlabel().count("\n") + 1)
    assert isinstance(axes.figure, Figure)
    below = axes.transAxes + ScaledTranslation(0, -drop / 72, axes.figure.dpi_scale_trans)
    axes.legend(
        list(named.values()), labels, loc="upper center", bbox_to_anchor=(0.5, 0.0), bbox_transform=below, ncols=columns,
        fontsize=TEXT, frameon=False, borderaxespad=0.0,
    )  # fmt: skip
    return _lines(labels, columns)


def _lines(labels: Sequence[str], columns: int) -> float:
    """Return how many lines of text a legend takes."""
    deep = -(-len(labels) // columns)
    columns_of = [labels[start : start + deep] for start in range(0, len(labels), deep)]
    return 1.0 + max(sum(label.count("\n") + 1 for label in column) for column in columns_of)


def coinciding(axes: Axes) -> list[str]:
    """Return a sentence for each curve of a panel that lies on another, and make those below wide enough to be seen.

    Parameters
    ----------
    axes : Axes
        The panel, with all its curves; two that are nowhere further apart than a line is wide look like one.

    Examples
    --------
    >>> figure, (axes,) = page(1, 1)
    >>> for name, end in (("paper: small", 1.0), ("sharp: large", 1.0), ("best", 2.0)):
    ...     _ = axes.plot([0, 1], [0, end], label=name)
    >>> coinciding(axes)
    ['sharp: the same curve as paper']
    """
    groups: list[list[_Curve]] = []
    for curve in _curves(axes):
        like = next((group for group in groups if any(_hidden(known.points, curve.points) for known in group)), None)
        if like is None:
            groups.append([curve])
        else:
            like.append(curve)
    for group in groups:
        for above, curve in enumerate(reversed(group)):
            curve.line.set_linewidth(curve.line.get_linewidth() + _STEP * min(above, 3))
            curve.line.set_markersize(curve.line.get_markersize() + _STEP * min(above, 3))
    named = [[curve.name for curve in group if not curve.name.startswith("_")] for group in groups]
    return _sentences({first: others for first, *others in filter(None, named) if others})


class _Curve(NamedTuple):
    """A line, what it is called, and where it is seen, in points of the page."""

    line: Line2D
    name: str
    points: np.ndarray


def _curves(axes: Axes) -> list[_Curve]:
    """Return the curves of a panel in the order of drawing."""
    assert isinstance(axes.figure, Figure)
    names = {line: str(line.get_label()) for line in axes.lines}
    for held in axes.containers:
        if isinstance(held, ErrorbarContainer) and held.lines[0] is not None:
            names[held.lines[0]] = str(held.get_label())
    # Limits are chosen when they are asked for; transforms need them.
    low, high = axes.transAxes.transform([(0, 0), (1, 1)])
    axes.get_xlim(), axes.get_ylim()
    found = []
    for line, name in names.items():
        points: np.ndarray = np.asarray(np.ma.filled(np.ma.asarray(line.get_xydata(), dtype=float), np.nan))
        # Parts of a box plot are no curves, and are called so.
        if len(points) < 2 or line.get_linestyle() == "None" or name == "_nolegend_":
            continue
        with np.errstate(all="ignore"):
            shown = line.get_transform().transform(points)
            parts = max(2, _FINE // len(points))
            dense = np.concatenate([np.linspace(a, b, parts) for a, b in pairwise(shown)])
            dense = dense[((dense >= low - 1) & (dense <= high + 1)).all(axis=1)]
        if len(dense) > 1:
            found.append(_Curve(line, name, dense * 72 / axes.figure.dpi))
    return found


def _hidden(below: np.ndarray, above: np.ndarray) -> bool:
    """Whether every point of a curve is within the width of a line of a curve drawn later."""
    few = below[:: max(1, len(below) // _FEW)]
    return all(float(np.square(above - point).sum(axis=1).min()) < _NEAR**2 for point in few)


def _sentences(groups: dict[str, list[str]]) -> list[str]:
    """Return the words for curves that lie on others; a curve and its bound on another and its bound are said at once."""
    said: dict[tuple[str, str], list[str]] = {}
    for first, others in groups.items():
        for other in others:
            if first.endswith(BOUND) and other.removesuffix(BOUND) in groups.get(first.removesuffix(BOUND), ()):
                continue
            both = f"{other}{BOUND}" in groups.get(f"{first}{BOUND}", ())
            said.setdefault((first, "curves" if both else "curve"), []).append(other)
    return [_sentence(others, first, kind) for (first, kind), others in said.items()]


def _sentence(others: list[str], first: str, kind: str) -> str:
    """Return which curves are the same as the first one, by the first words of their labels."""
    names = [name.partition(": ")[0] + (BOUND if name.endswith(BOUND) and ": " in name else "") for name in (first, *others)]
    common = names[0].rpartition(", ")[0] + ", "
    if len(common) > 2 and all(name.startswith(common) for name in names) and not first.endswith(BOUND):
        names = [name.removeprefix(common) for name in names]
        return f"{common[:-2]}, {', '.join(names[1:])}: the same {kind} as {names[0]}"
    return f"{', '.join(names[1:])}: the same {kind} as {names[0]}"
