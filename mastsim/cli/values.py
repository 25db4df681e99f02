"""Types of options: plain numbers, and files that can be written and read, refused before any work."""

from __future__ import annotations

import os
import stat
import uuid
from pathlib import Path
from typing import Any

import click

from mastsim.digits import plain_number


class _Plain(click.ParamType):
    """Numbers written in ASCII digits: Python's own syntax lets 1_0 pass for 10, and digits of other scripts."""

    def __init__(self, of: click.ParamType) -> None:
        self.of, self.name = of, of.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number, or fail as click does."""
        try:
            plain = plain_number(value) if isinstance(value, str) else value
        except ValueError as problem:
            self.fail(f"{problem}.", param, ctx)
        return self.of.convert(plain, param, ctx)


class _Unwritable(click.BadParameter):
    """A file that the machine does not let be written."""

    exit_code = 3


class _Output(click.ParamType):
    """A file or folder to be written, refused where that cannot be done; ``-`` stands where a document may be printed."""

    name = "path"

    def __init__(self, *, folder: bool = False, printed: bool = False, suffix: str | None = None) -> None:
        self.folder, self.printed, self.suffix = folder, printed, suffix

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path (a text where it may be ``-``), or fail as click does; code 3 where the machine is in the way."""
        if self.printed and value == "-":
            return value
        path = Path(value)
        try:
            why = self._obstacle(path)
            if why is None:
                self._try(path)
        except OSError as problem:
            told = f"{os.fspath(value)!r} cannot be written: {problem.strerror or problem}."
            raise _Unwritable(told, ctx=ctx, param=param) from problem
        except ValueError as problem:
            why = str(problem)
        if why is not None:
            self.fail(f"{os.fspath(value)!r} cannot be written: {why}.", param, ctx)
        return value if self.printed else path

    def _obstacle(self, path: Path) -> str | None:
        """Return what about the path itself stands in the way, or None."""
        if not os.fspath(path).strip():
            return "it has no name"
        if self.folder:
            nearest = _nearest(path)
            return None if nearest.is_dir() else f"{str(nearest)!r} is a file, where a folder is needed"
        if path.is_dir():
            return "it is a folder, where a file is needed"
        if path.exists():
            return _kind_in_the_way(path) or self._wrong_suffix(path)
        if Path(os.path.realpath(path)).is_symlink():
            return "it is a link to itself"
        parent = Path(os.path.realpath(path)).parent
        if not parent.exists():
            return f"there is no folder {str(parent)!r}"
        return self._wrong_suffix(path) if parent.is_dir() else f"{str(parent)!r} is a file, where a folder is needed"

    def _wrong_suffix(self, path: Path) -> str | None:
        wrong = self.suffix is not None and path.suffix != self.suffix and not path.is_char_device()
        return f"its suffix must be {self.suffix}" if wrong else None

    def _try(self, path: Path) -> None:
        """Raise OSError where no file can be made beside the path, or where what is there cannot be written."""
        target = _nearest(path) if self.folder else Path(os.path.realpath(path))
        if not self.folder and target.exists():
            if not os.access(target, os.W_OK):
                raise PermissionError(13, "it is write-protected", str(path))
            if not target.is_file():
                return
        probe = (target if self.folder else target.parent) / f".{uuid.uuid4().hex}.partial"
        try:
            probe.open("xb").close()
        finally:
            probe.unlink(missing_ok=True)


class _Input(click.ParamType):
    """A file to be read, refused where there is none; a pipe or a device would never end."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path, or fail as click does."""
        path = Path(value)
        try:
            if not path.is_file():
                self.fail(f"{os.fspath(value)!r} is not a file that can be read.", param, ctx)
            path.open("rb").close()
        except (OSError, ValueError) as problem:
            self.fail(f"{os.fspath(value)!r} cannot be read: {getattr(problem, 'strerror', None) or problem}.", param, ctx)
        return path


def _nearest(path: Path) -> Path:
    """Return a path, or the nearest folder above it that is there."""
    return next(each for each in (path, *path.absolute().parents) if each.exists() or each.is_symlink())


def _kind_in_the_way(path: Path) -> str | None:
    """Return why what is there cannot be written, where it is neither a file nor a device like /dev/null."""
    found = path.stat()
    if stat.S_ISFIFO(found.st_mode) or stat.S_ISSOCK(found.st_mode) or stat.S_ISBLK(found.st_mode):
        return "it is a pipe, a socket or a disk, where a file is needed"
    for number in (1, 2):
        try:
            if stat.S_ISREG(found.st_mode) and os.path.samestat(found, os.fstat(number)):
                return "what is printed goes there"
        except OSError:
            continue
    return None


NUMBER, WHOLE = _Plain(click.FLOAT), _Plain(click.INT)
FILE, FOLDER, DOCUMENT, SAVED_RUN = _Output(), _Output(folder=True), _Output(printed=True), _Output(suffix=".npz")
INPUT = _Input()
