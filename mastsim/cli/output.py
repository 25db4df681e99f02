"""What commands print and write: the text or the document first, then files, undisturbed."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from mastsim.cli.streams import say

if TYPE_CHECKING:
    from mastsim.expected import Objective
    from mastsim.problems import Dataset
    from mastsim.spec import Spec

_COLOURS = {"holds": "green", "hold": "green", "refuted": "magenta", "inconclusive": "yellow"}


def label_lines(dataset: Dataset) -> list[str]:
    """Return the line that says which label is which class, or that there are none; nothing where labels are -1 and +1."""
    if dataset.labels is None:
        return ["labels: taken as they stand, as targets"]
    if all(label == sign for label, sign in dataset.labels.items()):
        return []
    said = ", ".join(f"{dataset.spell(label)} is {sign:+d}" for label, sign in dataset.labels.items())
    other = next(label for label, sign in dataset.labels.items() if sign < 0)
    return [f"labels: {said} (--positive {shlex.quote(dataset.spell(other))} turns them round)"]


def about(spec: Spec, dataset: Dataset, seed: int | None, F: Objective) -> dict[str, Any]:
    """Return the head of a document: version, seed, data, the description and what it stands for."""
    from mastsim.documents import header
    from mastsim.provenance import content_hash

    facts = {"problem": F.problem.name, "sketch": F.sketch_name, "shifted": bool(F.center.any())}
    objective = facts | {"evaluation": F.evaluation.name, "sha256": content_hash(F)}
    return header(dataset, seed) | {"spec": spec.record() | {"sha256": spec.key}, "objective": objective}


def emit(document: dict[str, Any], json_to: str | None, text: str, *writes: Callable[[], object]) -> None:
    """Print what was found, and then write every file; whoever interrupts that is heard when all are whole.

    Parameters
    ----------
    document : dict
        The document.
    json_to : str or None
        The file it is written to; ``-`` prints it, in ASCII, in place of the text.
    text : str
        What is printed.
    *writes : callable
        What writes other files.
    """
    from mastsim.documents import dumps
    from mastsim.files import undisturbed, write_whole

    said = dumps(document)
    say(_escaped(said) if json_to == "-" else _coloured(text))
    with undisturbed():
        if json_to not in (None, "-"):
            write_whole(json_to, said + "\n")
        for write in writes:
            write()


def _coloured(text: str) -> str:
    """Return a text with its verdicts in colour and surprises in red, where a terminal shows it and NO_COLOR is not set."""
    if os.environ.get("NO_COLOR") or not sys.stdout.isatty():
        return text
    text = re.sub("^! .*$", lambda found: click.style(found[0], fg="red"), text, flags=re.MULTILINE)
    return re.sub(f"\\b({'|'.join(_COLOURS)})\\b", lambda found: click.style(found[0], fg=_COLOURS[found[0]]), text)


def _escaped(document: str) -> str:
    """Return a JSON document in ASCII."""
    return re.sub(r"[^\x00-\x7f]", lambda found: json.dumps(found[0])[1:-1], document)
