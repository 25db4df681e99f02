"""The report of a trial: a table for the terminal, and one self-contained HTML page with plots."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mastsim.documents import dumps
from mastsim.files import write_whole
from mastsim.markup import image, page, png
from mastsim.plots import LABELS, MEASURED, REFUTED, draw_bound
from mastsim.tables import aligned_table
from mastsim.theorems import ALL
from mastsim.verification.verdict import Verdict

_COLUMNS = ("claim", "tier", "verdicts", "left/right", "attained on")
_CURVES = 4


def table(verdicts: list[Verdict], part: str | None = None) -> str:
    """Return the verdicts as a table of plain text, one line a theorem and tier, with a summary or words for a part."""
    groups: dict[tuple[str, str], list[Verdict]] = {}
    for verdict in verdicts:
        groups.setdefault((verdict.title, verdict.tier), []).append(verdict)
    lines = aligned_table(_COLUMNS, [_cells(group) for group in groups.values()])
    surprises = [f"! {verdict.problem}, {verdict.sketch}: {verdict}" for verdict in verdicts if not verdict.as_expected]
    return "\n".join([lines, "", summary(verdicts) if part is None else part, *surprises])


def summary(verdicts: list[Verdict]) -> str:
    """Return one sentence: how many claims hold, what became of theorems refuted as quoted, and what surprised."""
    quoted = [v for v in verdicts if v.expected == "refuted" and v.theorem in _QUOTED]
    true = [v for v in verdicts if v.expected == "holds"]
    false = [v for v in verdicts if v.expected == "refuted" and v.theorem not in _QUOTED]
    parts = [f"{sum(v.as_expected for v in true)} of {len(true)} claims hold"] if true else []
    parts += [_said_of(name, [v for v in quoted if v.theorem == name]) for name in dict.fromkeys(v.theorem for v in quoted)]
    parts += [f"{sum(v.as_expected for v in false)} of {len(false)} false variants are refuted"] if false else []
    surprises = sum(not v.as_expected for v in verdicts)
    return "; ".join([*parts, "all as expected" if surprises == 0 else f"{surprises} not as expected"])


_QUOTED = {kind.id: f"{kind.title.split(' (')[0]} as quoted" for kind in ALL if kind.status == "refuted as quoted"}
"""The theorems of the registry whose wording is known only from quotations, and false."""


def _said_of(name: str, witnesses: list[Verdict]) -> str:
    right = sum(v.as_expected for v in witnesses)
    if right == len(witnesses):
        return f"{_QUOTED[name]} is refuted, as expected"
    return f"{_QUOTED[name]} is refuted on {right} of {len(witnesses)} witnesses, not as expected"


def write_report(folder: Path, verdicts: list[Verdict], document: dict[str, Any]) -> Path:
    """Write ``index.html``, ``tightness.png`` and ``verdicts.json`` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    chart = png(tightness_chart(verdicts))
    write_whole(folder / "tightness.png", chart)
    write_whole(folder / "verdicts.json", dumps(document) + "\n")
    curves = png(bound_plots(verdicts)) if any(v.curve is not None for v in verdicts) else None
    return write_whole(folder / "index.html", _page(verdicts, document, chart, curves))


def tightness_chart(verdicts: list[Verdict]) -> Figure:
    """Return a chart of the largest left/right of every verdict, one row a theorem."""
    titles = list(dict.fromkeys(v.title for v in verdicts))
    figure = Figure(figsize=(8, 0.45 * len(titles) + 1.5), layout="constrained")
    axes = figure.add_subplot()
    for verdict in verdicts:
        sampled = verdict.tier.startswith("Monte Carlo")
        color = REFUTED if verdict.verdict == "refuted" else MEASURED
        ratio = float(np.clip(verdict.max_ratio, 1e-4, 1e2))
        axes.plot(
            ratio,
            len(titles) - 1 - titles.index(verdict.title),
            marker="X" if verdict.verdict == "refuted" else "s" if sampled else "o",
            markerfacecolor="none" if sampled else color,
            color=color,
            linestyle="none",
        )
    axes.axvline(1.0, color="black", linestyle="--", linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks(range(len(titles)), titles[::-1], fontsize=8)
    axes.set_xlabel("largest left/right found (1 = the bound is attained; clipped to 0.0001 … 100)")
    axes.set_title("How tight is the theory: circles exact, squares Monte Carlo, crosses refuted", fontsize=9)
    axes.grid(visible=True, axis="x", alpha=0.3)
    return figure


def bound_plots(verdicts: list[Verdict]) -> Figure:
    """Return plots of measured left side against claimed right side, for the tightest trials of each tier."""
    drawn = _to_draw(verdicts)
    figure = Figure(figsize=(9, 3.6 * ((len(drawn) + 1) // 2)), layout="constrained")
    for i, verdict in enumerate(drawn):
        axes = figure.add_subplot((len(drawn) + 1) // 2, 2, i + 1)
        assert verdict.curve is not None
        draw_bound(axes, verdict.curve.steps, verdict.curve.measured, verdict.curve.bound, verdict.curve.band)
        axes.set_ylabel(LABELS[verdict.measure])
        axes.set_title(
            f"{verdict.title}: {verdict.verdict}, {verdict.tier}\n{verdict.problem}, {verdict.sketch}", fontsize=8
        )
    return figure


def _to_draw(verdicts: list[Verdict]) -> list[Verdict]:
    drawable = [v for v in verdicts if v.curve is not None and np.isfinite(v.curve.measured).all()]
    exact = sorted((v for v in drawable if v.tier == "exact" and v.verdict == "holds"), key=lambda v: -v.max_ratio)
    sampled = [v for v in drawable if v.tier != "exact" and v.verdict == "holds"]
    refuted = [v for v in drawable if v.verdict == "refuted"]
    return (exact[:1] + sampled[:2] + refuted[:1] + exact[1:])[:_CURVES]


def _cells(group: list[Verdict]) -> tuple[str, ...]:
    tightest = max(group, key=lambda v: v.max_ratio)
    words = sorted((v.words for v in group), key=lambda word: ("holds", "refuted", "inconclusive").index(word.split(" ")[0]))
    outcomes = ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words))
    where = f"{tightest.problem}, {tightest.sketch}"
    return (tightest.title, tightest.tier, outcomes, f"{tightest.max_ratio:.4g}", where)


def _page(verdicts: list[Verdict], document: dict[str, Any], chart: bytes, curves: bytes | None) -> str:
    facts = document["data"]
    about = (
        f"mastsim {document['mastsim']}, seed {document['seed']}, data {facts['name']} (n = {facts['n']}, d = {facts['d']}, "
        f"sha256 {facts['sha256'][:16]}…), family-wise error probability {document['alpha']:g}"
    )
    plots = "" if curves is None else f"<h2>Bound and measurement</h2>{image(curves, 'bounds beside measured means')}"
    body = (
        f"<h1>The theorems on trial</h1><p><strong>{html.escape(summary(verdicts))}.</strong> {html.escape(about)}.</p>"
        f"<h2>Tightness</h2>{image(chart, 'largest left over right per theorem')}{plots}"
        f"<h2>Verdicts</h2>{_html_table(verdicts)}"
    )
    return page("mastsim verify", body)


def _html_table(verdicts: list[Verdict]) -> str:
    names = ["theorem", "problem", "sketch", "method", "tier", "verdict", "largest left/right", "attained at", "speaks for"]
    names += ["α spent", "replicas", "smallest violation it would refute"]
    head = "".join(f"<th>{name}</th>" for name in names)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(map(_html_row, verdicts))}</tbody></table>"


def _html_row(verdict: Verdict) -> str:
    texts = (verdict.title, verdict.problem, verdict.sketch, verdict.method, verdict.tier, verdict.words)
    numbers = (f"{verdict.alpha:.2g}", str(verdict.samples), f"{verdict.smallest_violation:.4g}")
    cells = [f"<td>{html.escape(text)}</td>" for text in texts]
    cells.append(f'<td class="number">{verdict.max_ratio:.6g}</td>')
    cells += [f"<td>{html.escape(text)}</td>" for text in (verdict.witness, verdict.scope)]
    cells += [f'<td class="number">{number}</td>' for number in numbers]
    return f"<tr{'' if verdict.as_expected else ' class=surprise'}>{''.join(cells)}</tr>"
