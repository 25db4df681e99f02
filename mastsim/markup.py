"""HTML that stands alone: escaped tables, and figures within the page."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #111; }
table { border-collapse: collapse; font-size: 13px; width: 100%; }
th, td { border-bottom: 1px solid #ccc; padding: .3rem .5rem; text-align: left; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.surprise { background: #fde8d8; font-weight: bold; }
img { max-width: 100%; }
"""


def page(title: str, body: str) -> str:
    """Return a page; the body is HTML already."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style></head><body>{body}</body></html>\n"
    )


def html_table(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[str] = ()) -> str:
    """Return a table of texts, all of them escaped.

    Parameters
    ----------
    columns : sequence of str
        The heading.
    rows : sequence of sequence of str
        The cells.
    right : collection of str, default ()
        Columns of numbers, aligned to the right.

    References
    ----------
    This package.

    Examples
    --------
    >>> html_table(["a"], [["<b>"]])
    '<table><thead><tr><th>a</th></tr></thead><tbody><tr><td>&lt;b&gt;</td></tr></tbody></table>'
    """
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    starts = ['<td class="number">' if name in right else "<td>" for name in columns]
    cells = ["".join(f"{start}{html.escape(cell)}</td>" for start, cell in zip(starts, row, strict=True)) for row in rows]
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


TIER_COLOURS = {
    "exact": "#d9f0d3",
    "upper": "#d6e6f4",
    "lower": "#d6e6f4",
    "estimate": "#fde8d8",
    "holds": "#d9f0d3",
    "refuted": "#fde8d8",
    "inconclusive": "#eeeeee",
}
"""What tiers of truth and decisions are coloured; the word is always beside it."""


def coloured(word: str, tier: str) -> str:
    """Return a word on the colour of its tier or decision."""
    colour = TIER_COLOURS.get(tier, "#eeeeee")
    return f'<span style="background: {colour}; color: #111; padding: 0 .3em">{html.escape(word)}</span>'


def typeset(statement: str) -> str:
    """Return a LaTeX statement as notebooks typeset it."""
    return f"<p>$\\displaystyle {html.escape(statement)}$</p>" if statement else ""


def png(figure: Figure) -> bytes:
    """Return a figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()


def image(content: bytes, description: str) -> str:
    """Return a picture within the page."""
    return f'<img alt="{html.escape(description)}" src="data:image/png;base64,{base64.b64encode(content).decode()}">'
