"""The report of a trial: a table for the terminal, a sentence, and the files of a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mastsim.documents import dumps
from mastsim.files import write_whole
from mastsim.tables import aligned_table
from mastsim.theorems import ALL, Theorem
from mastsim.verification.report_page import report_page
from mastsim.verification.verdict import Verdict

_COLUMNS = ("claim", "tier", "verdicts", "left/right", "attained on")


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


def write_report(
    folder: Path, verdicts: list[Verdict], document: dict[str, Any], also: Sequence[type[Theorem]] = ()
) -> Path:
    """Write ``index.html``, one page that needs nothing else, and ``verdicts.json`` into a folder.

    Parameters
    ----------
    folder : Path
        The folder; it is made.
    verdicts : list of Verdict
        What was decided.
    document : dict
        The JSON document of the trial.
    also : sequence of type of Theorem, default ()
        Records that are not in the registry.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "verdicts.json", dumps(document) + "\n")
    return write_whole(folder / "index.html", report_page(verdicts, document, summary(verdicts), also))


def _cells(group: list[Verdict]) -> tuple[str, ...]:
    tightest = max(group, key=lambda v: v.max_ratio)
    words = sorted((v.words for v in group), key=lambda word: ("holds", "refuted", "inconclusive").index(word.split(" ")[0]))
    outcomes = ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words))
    where = f"{tightest.problem}, {tightest.sketch}"
    return (tightest.title, tightest.tier, outcomes, f"{tightest.max_ratio:.4g}", where)
