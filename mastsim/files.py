"""Files that appear whole: written beside their place under a name of their own, and moved there at the end."""

from __future__ import annotations

import io
import os
import shutil
import signal
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

PARTIAL = ".partial"
"""How the name of a file that is still being written ends."""

Content = str | bytes | Callable[[BinaryIO], object]
"""What a file is to hold: text (UTF-8, line ends as they are), bytes, or a function that writes to the open file."""


def write_whole(path: str | os.PathLike[str], content: Content) -> Path:
    """Write a file such that its name never stands for a part of it, and return its path.

    Nothing is left behind where writing fails, and an existing file is then as it was. Writers in other processes and
    threads do not disturb each other: the last to end wins. A link is followed; a device or a pipe is written to as it is.

    Parameters
    ----------
    path : path
        The file; replaced if it exists, its permissions kept.
    content : str, bytes or callable
        Text, bytes, or a function that takes the open binary file.

    Raises
    ------
    OSError
        If the file cannot be written; it names `path`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_whole(Path(folder) / "a.txt", "done").read_text()
    'done'
    """
    target = Path(os.path.realpath(path))
    # The name does not hold the target's, which may already be as long as the file system allows.
    partial = target.with_name(f".{uuid.uuid4().hex}{PARTIAL}")
    try:
        if target.exists() and not target.is_file():
            _write_through(target, content)
            return Path(path)
        with partial.open("xb") as file:
            _fill(file, content)
            file.flush()
            os.fsync(file.fileno())
        _move(partial, target)
    except OSError as failed:
        # One without a number is a sentence, which a file name would replace.
        if failed.errno is not None and failed.filename in (None, str(partial)):
            failed.filename, failed.filename2 = os.fspath(path), None
        raise
    finally:
        with suppress(OSError):
            partial.unlink()
    return Path(path)


def _write_through(device: Path, content: Content) -> None:
    """Write to what cannot be replaced, and cannot be searched either, as formats like that of zip files want."""
    held = io.BytesIO()
    _fill(held, content)
    with device.open("wb") as file:
        file.write(held.getvalue())


def _fill(file: BinaryIO, content: Content) -> None:
    """Write the content to an open file."""
    if callable(content):
        content(file)
    else:
        # Bytes of a file name that are no text were decoded to lone surrogates; JSON writes them in just this way.
        file.write(content.encode(errors="backslashreplace") if isinstance(content, str) else content)


def _move(partial: Path, target: Path) -> None:
    """Put a finished file in its place, with the permissions of the file that was there."""
    if target.exists():
        shutil.copymode(target, partial)
    os.replace(partial, target)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait until the end of a with statement, so that files which belong together all appear.

    Examples
    --------
    >>> with undisturbed():
    ...     pass
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard: list[int] = []
    numbers = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not None]
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        for number in numbers:
            signal.signal(number, lambda told, _: heard.append(told))
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if heard:
            signal.raise_signal(heard[0])
