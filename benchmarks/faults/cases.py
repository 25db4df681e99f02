"""What is tried, how it must end, and how it ended."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

REFUSED, HANDLED, INTERRUPTED = "refused in a sentence", "handled", "interrupted, nothing half done"
TRACEBACK, SILENT, HANG, CRASH = "TRACEBACK", "SILENT", "HANG", "CRASH"
FAILURES = (TRACEBACK, SILENT, HANG, CRASH)
OUTCOMES = (REFUSED, HANDLED, INTERRUPTED, *FAILURES)


@dataclass(frozen=True)
class Ended:
    """How a run ended: its exit code (None where it was stopped because it hung), and what it said."""

    code: int | None
    out: str
    err: str


@dataclass(frozen=True)
class Case:
    """One input or fault.

    Parameters
    ----------
    kind, command : str
        Where it belongs in the table.
    told : str
        What was tried, for whoever has to repeat it.
    run : callable
        Takes a new folder; runs it and returns how it ended.
    must : {"end", "refuse", "handle"}
        Whether any clear end is right, or only one.
    sound : callable, optional
        Takes the folder and how it ended; returns what is wrong with what lies there, or None.
    """

    kind: str
    command: str
    told: str
    run: Callable[[Path], Ended]
    must: str = "end"
    sound: Callable[[Path, Ended], str | None] | None = None


def outcome(case: Case, folder: Path, ended: Ended) -> str:
    """Return how a case ended, in one of the words above."""
    if ended.code is None:
        return HANG
    if "Traceback (most recent call last)" in ended.err or ended.code == 1:
        return TRACEBACK
    if ended.code not in (0, 2, 3, 130):
        return CRASH
    if case.sound is not None and case.sound(folder, ended) is not None:
        return SILENT
    if list(folder.rglob("*.partial")):
        return SILENT
    if ended.code == 130:
        return INTERRUPTED
    if ended.code == 0:
        return SILENT if case.must == "refuse" else HANDLED
    spoken = "Error: " in ended.err or not ended.err  # a closed stderr says nothing
    return REFUSED if spoken and case.must != "handle" else SILENT
