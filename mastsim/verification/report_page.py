"""The report as one HTML page: a summary, filters, and a section for every theorem; nothing is loaded from elsewhere."""

from __future__ import annotations

import html
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from mastsim.markup import coloured, page
from mastsim.svg import STYLE
from mastsim.theorems import Theorem
from mastsim.typesetting import typeset
from mastsim.verification.grouping import Group, grouped, where
from mastsim.verification.verdict import Verdict

_COLUMNS = (
    "claim",
    "problem",
    "sketch",
    "method",
    "tier",
    "verdict",
    "largest left/right",
    "attained at",
    "speaks for",
    "α spent",
    "replicas",
    "smallest violation it would refute",
)
_NUMBERS = ("largest left/right", "α spent", "replicas", "smallest violation it would refute")


def report_page(verdicts: Sequence[Verdict], document: dict[str, Any], said: str, also: Sequence[type[Theorem]] = ()) -> str:
    """Return the page.

    Parameters
    ----------
    verdicts : sequence of Verdict
        What was decided.
    document : dict
        The head of the JSON document: package, seed, data, error probability.
    said : str
        The summary in one sentence.
    also : sequence of type of Theorem, default ()
        Records that are not in the registry.
    """
    groups = grouped(verdicts, also)
    body = (
        f'<header><h1>The theorems on trial</h1><p class="summary"><strong>{html.escape(said)}.</strong></p>'
        f"{_outcomes(verdicts)}{_facts(document)}</header>{_filters(groups)}{_overview(groups)}"
        f"<main>{''.join(map(_section, groups))}</main>"
    )
    return page("mastsim verify", body, f"{STYLE}\n{_asset('report.css')}", _asset("report.js"))


def _asset(name: str) -> str:
    return files("mastsim.verification").joinpath(name).read_text(encoding="utf-8")


def _outcomes(verdicts: Sequence[Verdict]) -> str:
    """Return what was refuted, what was expected to be, and what else is not as expected, by name."""
    refuted = [v for v in verdicts if v.verdict == "refuted"]
    lists = {
        "Refuted, as expected": [v for v in refuted if v.expected == "refuted"],
        "Refuted, though expected to hold": [v for v in refuted if v.expected != "refuted"],
        "Expected to be refuted, but not": [v for v in verdicts if v.expected == "refuted" and v.verdict != "refuted"],
        "Expected to hold, but undecided": [v for v in verdicts if v.expected == "holds" and v.verdict == "inconclusive"],
    }
    return f"<dl>{''.join(f'<dt>{name}</dt><dd>{_names(those)}</dd>' for name, those in lists.items())}</dl>"


def _names(verdicts: Sequence[Verdict]) -> str:
    """Return the claims of verdicts, each with the number of its instances and a link to its section."""
    if not verdicts:
        return "none"
    counts: dict[tuple[str, str], int] = {}
    for verdict in verdicts:
        key = (verdict.theorem.split("/")[0], verdict.title)
        counts[key] = counts.get(key, 0) + 1
    linked = [
        f"<li>{_link(name, title)}{f' ({number} instances)' if number > 1 else ''}</li>"
        for (name, title), number in counts.items()
    ]
    return f"<ul>{''.join(linked)}</ul>"


def _link(name: str, title: str) -> str:
    return f'<a href="#{html.escape(name)}">{html.escape(title)}</a>'


def _facts(document: dict[str, Any]) -> str:
    data = document["data"]
    said = (
        f"mastsim {document['mastsim']}, seed {document['seed']}, data {data['name']} (n = {data['n']}, d = {data['d']}, "
        f"sha256 {data['sha256'][:16]}…). All sampled verdicts together are wrong with probability at most "
        f"{document['alpha']:g}. The largest left/right is the most that was found of what a theorem bounds, divided by the "
        "bound: 1 means that the bound is attained, more that it fails."
    )
    return f"<p>{html.escape(said)}</p>"


def _filters(groups: Sequence[Group]) -> str:
    every = [verdict for group in groups for verdict in group.verdicts]
    names = "".join(f'<option value="{html.escape(g.id)}">{html.escape(g.title)}</option>' for g in groups)
    return (
        '<form class="filters" aria-label="Filters" hidden><label>theorem <select name="theorem"><option value="">all'
        f"</option>{names}</select></label>{_boxes('tier', [v.tier for v in every])}"
        f"{_boxes('verdict', [v.verdict for v in every])}"
        '<button type="button" name="open">open all tables</button><output aria-live="polite"></output></form>'
    )


def _boxes(name: str, values: Sequence[str]) -> str:
    """Return a box to tick for every value that occurs."""
    boxes = [
        f'<label><input type="checkbox" name="{name}" value="{html.escape(value)}" checked> {html.escape(value)}</label>'
        for value in dict.fromkeys(values)
    ]
    return f"<fieldset><legend>{name}</legend>{''.join(boxes)}</fieldset>"


def _overview(groups: Sequence[Group]) -> str:
    """Return a strip for every theorem, beside its name."""
    rows = [f"<li>{_link(group.id, group.title)}{group.strip(group.claims or group.variants)}</li>" for group in groups]
    return (
        '<nav aria-label="Theorems"><h2 id="tightness">How tight is the theory</h2><p>The largest left/right of every '
        "verdict: circles are exact, squares come from replicas, crosses are refuted; the dashed line is the bound.</p>"
        f"<ul>{''.join(rows)}</ul></nav>"
    )


def _section(group: Group) -> str:
    name, kind = html.escape(group.id), group.kind
    outcome = "".join(f" {coloured(word, word)}" for word in dict.fromkeys(v.verdict for v in group.claims))
    parts = [
        f'<section id="{name}"><h2>{html.escape(group.title)}{outcome} '
        f'<a class="anchor" href="#{name}" aria-label="Link to {html.escape(group.title)}">#</a></h2>'
    ]
    if kind is not None:
        assumed = "; ".join(each.name for each in kind.assumptions) or "none"
        parts.append(f"{typeset(kind.statement)}<p>Source: {html.escape(kind.source)}. Assumes: {html.escape(assumed)}.</p>")
    if (tightest := group.tightest) is not None:
        found = f"{tightest.max_ratio:.6g}, {tightest.tier}: {where(tightest)}"
        parts.append(f"<p>Nearest to the bound: {html.escape(found)}.</p>")
    parts.append(group.strip(group.verdicts))
    drawn = "".join(f"<figure>{chart}<figcaption>{_caption(v)}</figcaption></figure>" for v, chart in group.drawn())
    parts.append(f'<div class="curves">{drawn}</div>' if drawn else "")
    parts.append(f"<details><summary>{_counted(len(group.verdicts))}</summary>{_table(group)}</details></section>")
    return "".join(parts)


def _caption(verdict: Verdict) -> str:
    said = f"{verdict.title}: {where(verdict)}"
    return f"{coloured(verdict.words, verdict.verdict)} {html.escape(verdict.tier)}. {html.escape(said)}"


def _counted(number: int) -> str:
    return "1 verdict" if number == 1 else f"{number} verdicts"


def _table(group: Group) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in _COLUMNS)
    label = html.escape(f"Verdicts on {group.title}")
    return (
        f'<div class="scroll" role="region" aria-label="{label}" tabindex="0"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(map(_row, group.verdicts))}</tbody></table></div>"
    )


def _row(verdict: Verdict) -> str:
    texts = (verdict.title, verdict.problem, verdict.sketch, verdict.method, verdict.tier, verdict.words)
    power = f"{verdict.smallest_violation:.4g}"
    numbers = (f"{verdict.alpha:.2g}", str(verdict.samples), power) if verdict.samples else ("–", "–", "–")
    values = (*texts, f"{verdict.max_ratio:.6g}", verdict.witness, verdict.scope, *numbers)
    cells = [
        f'<td data-name="{name}"{" class=number" if name in _NUMBERS else ""}>{html.escape(value)}</td>'
        for name, value in zip(_COLUMNS, values, strict=True)
    ]
    surprise = "" if verdict.as_expected else " class=surprise"
    return f'<tr data-tier="{verdict.tier}" data-verdict="{verdict.verdict}"{surprise}>{"".join(cells)}</tr>'
