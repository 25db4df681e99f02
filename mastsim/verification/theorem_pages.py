"""One Markdown page a theorem, with charts in SVG, generated from the registry and from what a trial decided."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from pathlib import Path

from mastsim.files import write_whole
from mastsim.svg import standing_alone
from mastsim.tables import markdown_table
from mastsim.theorems import ALL, Inequality, Rate, Theorem
from mastsim.typesetting import markdown_statement
from mastsim.verification.grouping import Group, grouped, where
from mastsim.verification.verdict import Verdict

_MEASURES = {
    "distance": r"the mean squared distance $\mathbb E\|x - x_D^*\|^2$",
    "gap": r"the mean gap $\mathbb E f_D(x) - f_D^{\inf}$",
    "gradient_norm2": r"the mean squared gradient $\mathbb E\|\nabla f_D(x)\|^2$",
    "error": r"the mean squared distance $\mathbb E\|x - x^*\|^2$ to the minimiser of f",
    "f_gap": r"the mean gap $\mathbb E f(x) - f^{\inf}$",
    "f_gradient_norm2": r"the mean squared gradient $\mathbb E\|\nabla f(x)\|^2$",
    "lyapunov": "the mean of the Lyapunov function in the statement",
}
_OVER = {
    "last": "after T steps",
    "average": r"averaged over $x^0, \dots, x^{T-1}$",
    "minimum": r"at the best of $x^0, \dots, x^{T-1}$",
}


_MARKED = re.compile(r"[\\`*_\[\]<>$]")
_OUTCOMES = ("tier", "outcome", "instances", "largest left/right", "attained on")


def write_pages(folder: Path, verdicts: Sequence[Verdict], how: str, also: Sequence[type[Theorem]] = ()) -> list[Path]:
    """Write a page for every theorem in the registry and every one of `also`, their charts, and an index.

    Parameters
    ----------
    folder : Path
        The folder; it is made. What it holds as ``proofs/ID.md`` goes into the page of that theorem.
    verdicts : sequence of Verdict
        What was decided.
    how : str
        The command that decided it.
    also : sequence of type of Theorem, default ()
        Records that are not in the registry.
    """
    folder.mkdir(parents=True, exist_ok=True)
    groups = {group.id: group for group in grouped(verdicts, also)}
    kinds = (*ALL, *also)
    texts = {"README.md": _index(groups, how, kinds)}
    texts |= {f"{kind.id}.md": page(kind, verdicts, how, _proof(folder, kind)) for kind in kinds}
    for group in groups.values():
        texts |= {name: standing_alone(chart) for name, (_, _, chart) in _charts(group).items()}
    for name, text in texts.items():
        write_whole(folder / name, text)
    return [folder / name for name in texts]


def page(kind: type[Theorem], verdicts: Sequence[Verdict], how: str, proof: str = "") -> str:
    """Return the page of one theorem.

    Parameters
    ----------
    kind : type of Theorem
        The record.
    verdicts : sequence of Verdict
        What was decided, also about other theorems.
    how : str
        The command that decided it.
    proof : str, default ""
        Its proof, in Markdown; left out when empty.
    """
    mine = [v for v in verdicts if v.theorem == kind.id or v.theorem.startswith(f"{kind.id}/")]
    group = next(iter(grouped(mine, [kind])), Group(kind.id, kind, ()))
    summary, *remarks = _words(kind)
    assumed = [[each.name, each.remedy] for each in kind.assumptions]
    parts = [
        f"# {kind.title}",
        # What is an inequality already is typeset better just below.
        *([] if "≤" in summary else [summary]),
        markdown_statement(kind.statement),
        "\n".join(_facts(kind)),
        *remarks,
        "## Assumptions",
        markdown_table(["assumption", "what to do where it fails"], assumed),
        "## What was decided",
        f"By `{how}`. *Left/right* is what the theorem bounds, divided by its bound: 1 means that the bound is attained.",
        *_decided(group),
        *_false_variants(group),
        *(["## Proof", proof] if proof else []),
    ]
    return "\n\n".join(parts) + "\n"


def _proof(folder: Path, kind: type[Theorem]) -> str:
    path = folder / "proofs" / f"{kind.id}.md"
    return path.read_text(encoding="utf-8").strip() if path.exists() else ""


def _words(kind: type[Theorem]) -> list[str]:
    """Return the paragraphs of a record's docstring before its parameters."""
    text = inspect.cleandoc((kind.__doc__ or "").strip() or kind.title).split("\nParameters\n----")[0]
    return [_plain(" ".join(paragraph.split())) for paragraph in text.split("\n\n") if paragraph.strip()]


def _facts(kind: type[Theorem]) -> list[str]:
    names = ", ".join(f"`{name}`" for name in kind.constants_used) or "none"
    return [
        f"- Source: {kind.source}",
        f"- Status: {kind.status}",
        f"- {_about(kind)}",
        f"- Constants: {names}",
        f"- Python: `mastsim.theorems.{kind.__name__}`; command line: `mastsim verify --theorem {kind.id}`",
    ]


def _about(kind: type[Theorem]) -> str:
    if issubclass(kind, Rate):
        measure = _MEASURES.get(kind.measure, f"the {kind.measure} of the statement")
        return f"Bounds {measure}, {_OVER[kind.over]}, for `{kind.method}`"
    assert issubclass(kind, Inequality)
    return f"Parts: {'; '.join(kind.parts)}"


def _charts(group: Group) -> dict[str, tuple[str, str, str]]:
    """Return the charts of a theorem by the name of their file: what each is, what it shows in words, and the SVG."""
    said = "Every verdict: circles are exact, squares come from replicas, crosses are refuted; the dashed line is the bound"
    strip = ("largest left/right of every verdict", said, group.strip(group.verdicts))
    charts = {f"{group.id}-tightness.svg": strip} if group.verdicts else {}
    for number, (verdict, chart) in enumerate(group.drawn(), 1):
        shown = f"{verdict.title}: {verdict.words}, {verdict.tier}; {where(verdict)}"
        charts[f"{group.id}-curve-{number}.svg"] = ("bound, and what was measured", shown, chart)
    return charts


def _decided(group: Group) -> list[str]:
    if not group.claims:
        return ["Nothing: no instance of this trial meets the assumptions."]
    pictures = [f"![{what}]({name})\n\n{_plain(said)}." for name, (what, said, _) in _charts(group).items()]
    kinds: dict[tuple[str, str], list[Verdict]] = {}
    for verdict in group.claims:
        kinds.setdefault((verdict.tier, verdict.words), []).append(verdict)
    rows = []
    for (tier, outcome), those in kinds.items():
        top = max(those, key=lambda v: v.max_ratio)
        rows.append([tier, outcome, str(len(those)), f"{top.max_ratio:.6g}", _plain(where(top))])
    return [markdown_table(_OUTCOMES, rows), *_closing(group), *pictures]


def _closing(group: Group) -> list[str]:
    if (tightest := group.tightest) is None:
        return []
    slack = 1 - tightest.max_ratio
    return ["The bound is attained." if slack < 1e-6 else f"Where it holds, the least slack found is {slack:.3g}."]


def _plain(text: str) -> str:
    """Return a text as Markdown shows it unchanged, but for names between backticks."""
    parts = text.split("`") if text.count("`") % 2 == 0 else [text]
    return "`".join(part if i % 2 else _MARKED.sub(r"\\\g<0>", part) for i, part in enumerate(parts))


def _false_variants(group: Group) -> list[str]:
    if not group.variants:
        return []
    rows = [[_plain(v.title), v.tier, v.words, f"{v.max_ratio:.4g}", _plain(where(v))] for v in group.variants]
    said = "The same claim with a fault put in on purpose, which a trial worth its name must refute."
    columns = ["variant", "tier", "outcome", "largest left/right", "attained on"]
    return ["## False variants", said, markdown_table(columns, rows)]


def _index(groups: dict[str, Group], how: str, kinds: Sequence[type[Theorem]]) -> str:
    rows = []
    for kind in kinds:
        tightest = groups[kind.id].tightest if kind.id in groups else None
        top = "–" if tightest is None else f"{tightest.max_ratio:.4g}"
        rows.append([f"[{kind.title}]({kind.id}.md)", kind.source, kind.status, top])
    table = markdown_table(["theorem", "source", "status", "largest left/right where it holds"], rows)
    said = (
        f"Generated from the registry and from `{how}`. *Left/right* is what a theorem bounds, divided by its bound: 1 "
        "means that the bound is attained on some instance, 0.3 that nothing tried came nearer than 30 % of it."
    )
    return "\n\n".join(["# Theorems", said, table]) + "\n"
