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
:root { color-scheme: light dark; --ink: #16181d; --paper: #fff; --line: #c9ced6; --soft: #f3f5f8; --link: #0b57a4;
  --good: #d9f0d3; --bad: #fde8d8; --bound: #d6e6f4; --other: #e7e9ed; --measured: #0072b2; --refuted: #c04a00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ec; --paper: #15181d; --line: #3b424d; --soft: #1f242b;
  --link: #8ec1ff; --good: #1f4a26; --bad: #5a3013; --bound: #1d3f5f; --other: #39404a; --measured: #56b4e9;
  --refuted: #ff9a52; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 0 auto; padding: 1.5rem 1rem 4rem;
  color: var(--ink); background: var(--paper); overflow-wrap: break-word; }
a { color: var(--link); }
table { border-collapse: collapse; font-size: 13px; width: 100%; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .5rem; text-align: left; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.surprise { background: var(--bad); font-weight: bold; }
.scroll { overflow-x: auto; }
img { max-width: 100%; background: #fff; }
.statement { overflow-x: auto; }
.statement p { display: flex; align-items: baseline; margin: .15rem 0; line-height: 2.3; }
.clause { flex: none; width: 3.6rem; opacity: .75; font-style: italic; }
math { font-family: "Latin Modern Math", "STIX Two Math", "Cambria Math", "DejaVu Math TeX Gyre", math; }
@media print { body { max-width: none; font-size: 11px; } }
"""


def page(title: str, body: str, style: str = "", script: str = "") -> str:
    """Return a page, with style and script of its own; the body is HTML already."""
    run = f"<script>{script}</script>" if script else ""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}{style}</style></head><body>{body}{run}</body></html>\n"
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


def png(figure: Figure) -> bytes:
    """Return a figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()


def image(content: bytes, description: str) -> str:
    """Return a picture within the page."""
    return f'<img alt="{html.escape(description)}" src="data:image/png;base64,{base64.b64encode(content).decode()}">'
