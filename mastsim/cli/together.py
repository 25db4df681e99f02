"""Which options go together: those that would do nothing beside others, and files that would overwrite each other."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.core import ParameterSource

ALONE = {
    "verify": {"attack": ("budget", "witness", "seed", "module", "json_to"), "replay": ("witness", "module", "json_to")},
}
"""Options that are a way of their own to run a command, and what each of them takes beside itself."""

NEEDS: dict[str, dict[str, tuple[str, ...]]] = {
    "verify": {"budget": ("attack",), "witness": ("attack", "replay")},
    "constants": {"split": ("clients",)},
    "stepsize": {"split": ("clients",)},
    "simulate": {"split": ("clients",)},
    "reproduce": {"target": ("data",), "features": ("data",), "zero_based": ("data",)},
}
"""Options that do nothing without another."""

WRITTEN, READ = ("json_to", "witness", "out", "plot", "page"), ("data", "shift", "module", "replay", "grid")
"""Options that name files which are written, and files which are read."""


def check_together(ctx: click.Context) -> None:
    """Refuse options of a command that do nothing together, before any work.

    Raises
    ------
    ValueError
        If there are such options; the message says what goes together.
    """
    command = ctx.command.name or ""
    spelled = {each.name: max(each.opts, key=len) for each in ctx.command.params if each.name}
    given = [name for name in spelled if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    for lead, beside in ALONE.get(command, {}).items():
        if lead in given:
            idle = [name for name in given if name not in (lead, *beside)]
            if idle:
                takes = ", ".join(spelled[name] for name in beside)
                said = f"{_said(ctx, lead)} and {_said(ctx, idle[0])} exclude each other"
                raise ValueError(f"{said}: {spelled[lead]} takes only {takes}")
    for name, any_of in NEEDS.get(command, {}).items():
        if name in given and not set(any_of) & set(given):
            others = " or ".join(spelled[each] for each in any_of)
            raise ValueError(f"{_said(ctx, name)} is not accepted without {others}: it would do nothing")
    _check_files(ctx, spelled)


def _check_files(ctx: click.Context, spelled: dict[str, str]) -> None:
    """Refuse a file that would be written twice, or over one that is read."""
    taken: dict[str, str] = {}
    for name in (*READ, *WRITTEN):
        value = ctx.params.get(name)
        if value is None or name not in spelled or not _is_plain_file(value, name):
            continue
        place = os.path.realpath(value)
        if place in taken:
            raise ValueError(f"{spelled[name]} and {taken[place]} name the same file {os.fspath(value)!r}: name another")
        taken[place] = spelled[name]


def _said(ctx: click.Context, name: str) -> str:
    value = ctx.params[name]
    return f"{name.removesuffix('_to')}={str(value) if isinstance(value, Path) else value!r}"


def _is_plain_file(value: str | os.PathLike[str], name: str) -> bool:
    """Return whether a value names a file: one that is there, or one that is to be made."""
    try:
        path = Path(value)
        return value != "-" and (path.is_file() if name in READ else not path.exists() or path.is_file())
    except (OSError, ValueError):
        return False
