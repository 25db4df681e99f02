"""What can be named on the command line: listed at the end of help, and offered where the shell completes words."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import click
from click.shell_completion import CompletionItem

Entries = list[tuple[str, str]]
"""Names with what they stand for."""


def sketches() -> Entries:
    """Return how every sketch is written, with an example."""
    from mastsim.sketches.families import sketch_names

    return [(kind.form.partition(",")[0] or name, _with_example(kind)) for name, kind in sketch_names().items()]


def methods() -> Entries:
    """Return every method with its settings."""
    from mastsim.methods.families import method_names

    return [(name, _with_settings(kind, kind.settings())) for name, kind in method_names().items()]


def problems() -> Entries:
    """Return every loss with its settings."""
    from mastsim.problems.families import AUTO, problem_names, problem_settings

    settings = problem_settings()
    known = [(name, _with_settings(kind, settings[name])) for name, kind in problem_names().items()]
    return [(AUTO, "Logistic when there are two distinct labels, else least-squares."), *known]


def theorems() -> Entries:
    """Return every theorem of the registry."""
    from mastsim.theorems import ALL

    return [(kind.id, kind.title) for kind in ALL]


def attackable() -> Entries:
    """Return every record that can be attacked."""
    from mastsim.verification.attack import attackable

    return [(name, kind.title) for name, kind in attackable().items()]


def figures() -> Entries:
    """Return every figure."""
    from mastsim.reproduce import ALL_FIGURES

    return [(name, figure.TITLE) for name, figure in ALL_FIGURES.items()]


def _summary(kind: type[Any]) -> str:
    return (kind.__doc__ or "").strip().partition("\n")[0]


def _with_example(kind: type[Any]) -> str:
    example = kind.form.partition("for example ")[2]
    return f"{_summary(kind)} Example: {example}." if example else _summary(kind)


def _with_settings(kind: type[Any], settings: Iterable[str]) -> str:
    names = ", ".join(settings)
    return f"{_summary(kind)} Settings: {names}." if names else _summary(kind)


class Naming(click.Option):
    """An option that names something, and lets the shell complete what it may name."""

    def __init__(self, *words: Any, names: Callable[[], Entries], **settings: Any) -> None:
        super().__init__(*words, **settings)
        self.names = names

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the names that start with what is typed; of a form such as randk:KEEP, the keyword and the colon."""
        return completions(self.names, incomplete)


def completions(names: Callable[[], Entries], incomplete: str) -> list[CompletionItem]:
    """Return the names that start with what is typed; none where a package is broken, as there is no place to say it."""
    entries: Entries = []
    with suppress(ImportError):
        entries = names()
    offered = {name.partition(":")[0] + name.partition(":")[1]: told for name, told in entries}
    return [CompletionItem(name, help=told) for name, told in offered.items() if name.startswith(incomplete)]


SECTIONS: dict[str, Callable[[], Entries]] = {
    "Sketches": sketches,
    "Methods": methods,
    "Losses": problems,
    "Theorems": theorems,
    "Figures": figures,
}
"""What the help of a command may end with."""
