"""What is wrong with a picture for those who read it: texts that are small, cut or on top of each other, hidden data."""

import itertools

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

PIXELS, DOTS = 800, 96
SMALLEST = 7.0
"""Points at the width at which a README shows pictures: 800 pixels, of which 96 make an inch."""
CLOSE, WIDER = 0.5, 1.0
"""Points within which curves are one, and by how many the lower one must be wider to be seen beside the upper one."""


def drawn_texts(figure, monkeypatch):
    """Return every text that is really drawn, with its box in pixels."""
    found = []

    def record(self, renderer):
        if self.get_visible() and self.get_text().strip():
            found.append((self, self.get_window_extent(renderer)))
        return plain(self, renderer)

    plain = Text.draw
    with monkeypatch.context() as patched:
        patched.setattr(Text, "draw", record)
        figure.set_dpi(DOTS)
        FigureCanvasAgg(figure).draw()
    return found


def faults(figure, monkeypatch):
    """Return what a reader could not read, as sentences; none for a good picture."""
    texts = drawn_texts(figure, monkeypatch)
    return [*small(figure, texts), *cut(figure, texts), *overlapping(texts), *covered(figure), *hidden(figure)]


def small(figure, texts):
    scale = PIXELS / DOTS / figure.get_figwidth()
    return [f"small: {t.get_text()!r}" for t, _ in texts if t.get_fontsize() * scale < SMALLEST]


def cut(figure, texts):
    width, height = figure.bbox.size
    inside = [b.x0 > -0.5 and b.y0 > -0.5 and b.x1 < width + 0.5 and b.y1 < height + 0.5 for _, b in texts]
    return [f"cut: {t.get_text()!r}" for (t, _), whole in zip(texts, inside, strict=True) if not whole]


def overlapping(texts):
    found = []
    for (one, a), (other, b) in itertools.combinations(texts, 2):
        if min(a.x1, b.x1) - max(a.x0, b.x0) > 1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1:
            found.append(f"overlap: {one.get_text()!r} and {other.get_text()!r}")
    return found


def seen(axes, line):
    """Return the points of a line that lie in the frame, in pixels, with many in between."""
    xy = np.ma.filled(np.ma.asarray(line.get_xydata(), dtype=float), np.nan)
    with np.errstate(all="ignore"):
        points = line.get_transform().transform(xy)
        if len(points) > 1 and line.get_linestyle() != "None":
            points = np.concatenate([np.linspace(a, b, max(2, 1500 // len(points))) for a, b in itertools.pairwise(points)])
        box = axes.bbox
        return points[((points >= box.min - 1) & (points <= box.max + 1)).all(axis=1)]


def covered(figure):
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes if axes.get_legend())]
    for legend, axes in itertools.product(legends, figure.axes):
        box = legend.get_window_extent()
        for line in axes.lines:
            points = seen(axes, line)
            if ((points > box.min) & (points < box.max)).all(axis=1).any():
                yield f"covered: {line.get_label()!r} in {axes.get_title()!r}"


def names(axes):
    """Return lines with their names, those of error bars too."""
    found = {line: line.get_label() for line in axes.lines}
    found |= {c.lines[0]: c.get_label() for c in axes.containers if hasattr(c, "has_yerr") and c.lines[0] is not None}
    return found


def hidden(figure):
    for axes in figure.axes:
        # Box plots call their parts "_nolegend_".
        curves = [(line, name) for line, name in names(axes).items() if name != "_nolegend_"]
        lines = [(line, name, seen(axes, line)) for line, name in curves if line.get_linestyle() != "None"]
        for (low, below, a), (high, above, b) in itertools.combinations(lines, 2):
            if len(a) < 2 or len(b) < 2:
                continue
            a = a[:: max(1, len(a) // 100)]
            apart = np.sqrt(((a[:, None] - b[None]) ** 2).sum(axis=2)).min(axis=1).max()
            if apart > CLOSE * DOTS / 72:
                continue
            if low.get_linewidth() < high.get_linewidth() + WIDER and low.get_linestyle() == high.get_linestyle():
                yield f"hidden: {below!r} by {above!r} in {axes.get_title()!r}, no wider"
            first = str(above).partition(": ")[0].removesuffix(", bound").rpartition(", ")[2]
            said = " ".join(axes.get_xlabel().split())
            named = not (str(below).startswith("_") or str(above).startswith("_"))
            if named and not ("the same curve" in said and first in said):
                yield f"hidden: {below!r} by {above!r} in {axes.get_title()!r}, not said"
