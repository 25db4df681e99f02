"""Types of options of the command line: plain numbers, and files that can be written, refused before any work."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click


class _Plain(click.ParamType):
    """Numbers written in ASCII digits: Python's own syntax lets 1_0 pass for 10, and digits of other scripts."""

    def __init__(self, of: click.ParamType) -> None:
        self.of, self.name = of, of.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number, or fail as click does."""
        if isinstance(value, str) and ("_" in value or not value.isascii()):
            self.fail(f"{value!r} is not a number written in digits alone, such as 10 or 0.1.", param, ctx)
        return self.of.convert(value, param, ctx)


class _Output(click.ParamType):
    """A file or folder to be written, refused where that cannot be done; ``-`` stands where a document may be printed."""

    name = "path"

    def __init__(self, *, folder: bool = False, printed: bool = False) -> None:
        self.folder, self.printed = folder, printed

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path (a text where it may be ``-``), or fail as click does."""
        if self.printed and value == "-":
            return value
        path = Path(value)
        try:
            why = self._obstacle(path)
        except (OSError, ValueError) as problem:
            why = str(problem)
        if why is not None:
            self.fail(f"{os.fspath(value)!r} cannot be written: {why}.", param, ctx)
        return value if self.printed else path

    def _obstacle(self, path: Path) -> str | None:
        """Return what stands in the way of writing, or None."""
        if self.folder:
            there = next(each for each in (path, *path.absolute().parents) if each.exists())
            if not there.is_dir():
                return f"{str(there)!r} is a file, where a folder is needed"
        else:
            if path.is_dir():
                return "it is a folder, where a file is needed"
            there = path if path.exists() else path.parent
            if not there.exists():
                return f"there is no folder {str(there)!r}"
            if there != path and not there.is_dir():
                return f"{str(there)!r} is a file, where a folder is needed"
        return None if os.access(there, os.W_OK) else f"{str(there)!r} is write-protected"


NUMBER, WHOLE = _Plain(click.FLOAT), _Plain(click.INT)
FILE, FOLDER, DOCUMENT = _Output(), _Output(folder=True), _Output(printed=True)
