"""One Markdown page a theorem, generated from the registry and from what a trial decided."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mastsim.files import write_whole
from mastsim.theorems import ALL, Inequality, Rate, Theorem
from mastsim.verification.verdict import Verdict

_MEASURES = {
    "distance": "E‖x − x_D*‖²",
    "gap": "E f_D(x) − f_D^inf",
    "gradient_norm2": "E‖∇f_D(x)‖²",
    "error": "E‖x − x*‖², where x* minimises f",
    "f_gap": "E f(x) − f^inf",
    "f_gradient_norm2": "E‖∇f(x)‖²",
    "lyapunov": "the Lyapunov function E Ψ of the statement",
}
_OVER = {
    "last": "after T steps",
    "average": "averaged over x^0, …, x^{T−1}",
    "minimum": "at the best of x^0, …, x^{T−1}",
}


def write_pages(folder: Path, verdicts: Sequence[Verdict], how: str, also: Sequence[type[Theorem]] = ()) -> list[Path]:
    """Write a page for every theorem in the registry and every one of `also`, and an index."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"README.md": _index(verdicts, how, (*ALL, *also))}
    texts |= {f"{kind.id}.md": page(kind, verdicts, how) for kind in (*ALL, *also)}
    for name, text in texts.items():
        write_whole(folder / name, text)
    return [folder / name for name in texts]


def page(kind: type[Theorem], verdicts: Sequence[Verdict], how: str) -> str:
    """Return the page of one theorem."""
    summary = ((kind.__doc__ or "").strip() or kind.title).splitlines()[0]
    lines = [
        f"# {kind.title}",
        "",
        summary,
        "",
        f"$${kind.statement}$$",
        "",
        f"- Source: {kind.source}",
        f"- Status: {kind.status}",
        f"- Command line: `mastsim verify --theorem {kind.id}`; Python: `mastsim.theorems.{kind.__name__}`",
        *_about(kind),
        f"- Constants: {', '.join(f'`{name}`' for name in kind.constants_used) or 'none'}",
        "",
        "## Assumptions",
        "",
        *(f"- {each.name}; otherwise: {each.remedy}" for each in kind.assumptions),
        "",
        "## What was decided",
        "",
        f"By `{how}`.",
        "",
        *_decided([v for v in verdicts if v.theorem == kind.id]),
        *_controls([v for v in verdicts if v.theorem.startswith(f"{kind.id}/")]),
    ]
    return "\n".join(lines) + "\n"


def _about(kind: type[Theorem]) -> list[str]:
    if issubclass(kind, Rate):
        measure = _MEASURES.get(kind.measure, f"the {kind.measure} of the statement")
        return [f"- Bounds {measure}, {_OVER[kind.over]}, for `{kind.method}`"]
    assert issubclass(kind, Inequality)
    return [f"- Parts: {'; '.join(kind.parts)}"]


def _decided(verdicts: list[Verdict]) -> list[str]:
    if not verdicts:
        return ["Nothing: no instance of this trial meets the assumptions."]
    tightest = max((v for v in verdicts if v.verdict != "refuted"), key=lambda v: v.max_ratio, default=None)
    rows = ["| tier | outcome | instances | largest left/right | attained |", "| --- | --- | --- | --- | --- |"]
    groups: dict[tuple[str, str], list[Verdict]] = {}
    for verdict in verdicts:
        groups.setdefault((verdict.tier, verdict.verdict), []).append(verdict)
    for (tier, outcome), group in groups.items():
        top = max(group, key=lambda v: v.max_ratio)
        where = f"{top.problem}; {top.sketch}; {top.method}; {top.witness}".replace("; ;", ";").replace("|", "\\|")
        rows.append(f"| {tier} | {outcome} | {len(group)} | {top.max_ratio:.6g} | {where} |")
    if tightest is None:
        return rows
    slack = 1 - tightest.max_ratio
    closing = "The bound is attained." if slack < 1e-6 else f"Where it holds, the least slack found is {slack:.3g}."
    return [*rows, "", closing]


def _controls(verdicts: list[Verdict]) -> list[str]:
    if not verdicts:
        return []
    names = dict.fromkeys((v.title, v.verdict) for v in verdicts)
    return ["", "## False variants", "", *(f"- {title}: {outcome}" for title, outcome in names)]


def _index(verdicts: Sequence[Verdict], how: str, kinds: Sequence[type[Theorem]]) -> str:
    rows = ["| theorem | source | status | largest left/right where it holds |", "| --- | --- | --- | --- |"]
    for kind in kinds:
        ratios = [v.max_ratio for v in verdicts if v.theorem == kind.id and v.verdict == "holds"]
        top = f"{max(ratios):.4g}" if ratios else "–"
        rows.append(f"| [{kind.title}]({kind.id}.md) | {kind.source} | {kind.status} | {top} |")
    return "\n".join(["# Theorems", "", f"Generated from the registry and from `{how}`.", "", *rows]) + "\n"
