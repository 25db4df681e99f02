"""What is printed arrives: in encodings without Greek, to streams that are closed, and into pipes that nobody reads."""

from __future__ import annotations

import codecs
import io
import os
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

_PAIRS = "≤ <= ≥ >= ⪰ >= ⪯ <= ≠ != ≈ ~ ± +- × x · * − - – - — - ‖ || ∇ grad_ ∞ inf √ sqrt ∈ in → -> … ... ᵀ T λ lambda"
_SPELLED = dict(zip(_PAIRS.split()[::2], _PAIRS.split()[1::2], strict=True))
"""What NFKD has no ASCII for, or Unicode no usual name."""
_ASCII = "mastsim-ascii"
"""An encoding of that name, because click takes plain ASCII for a mistake and writes UTF-8."""


def _spell(problem: UnicodeError) -> tuple[str, int]:
    """Return ASCII for what an encoding lacks, as codecs ask for it."""
    if not isinstance(problem, UnicodeEncodeError):
        raise problem
    return "".join(map(_in_ascii, problem.object[problem.start : problem.end])), problem.end


def _in_ascii(character: str) -> str:
    known = _SPELLED.get(character)
    if known is not None:
        return known
    if unicodedata.name(character, "").startswith("GREEK"):
        return unicodedata.name(character).split()[3 if "LETTER" in unicodedata.name(character) else -1].lower()
    return unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode() or "?"


def _find(name: str) -> codecs.CodecInfo | None:
    plain = codecs.lookup("ascii")
    if name.replace("_", "-") != _ASCII:
        return None
    return codecs.CodecInfo(
        plain.encode,
        plain.decode,
        incrementalencoder=plain.incrementalencoder,
        incrementaldecoder=plain.incrementaldecoder,
        name=_ASCII,
    )


codecs.register(_find)
codecs.register_error("mastsim-spelled", _spell)


@contextmanager
def sound_streams() -> Iterator[None]:
    """Replace streams that are closed, and spell what the encoding of a stream lacks, inside a with statement."""
    before = sys.stdout, sys.stderr
    settings = [{name: getattr(stream, name, None) for name in ("encoding", "errors")} for stream in before]
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        sys.stdout, sys.stderr = (nowhere if _is_closed(stream) else stream for stream in before)
        for stream in before:
            if isinstance(stream, io.TextIOWrapper) and not _is_closed(stream):
                ascii_only = codecs.lookup(stream.encoding).name == "ascii"
                stream.reconfigure(encoding=_ASCII if ascii_only else None, errors="mastsim-spelled")
        try:
            yield
        finally:
            _restore(before, settings)


def _restore(streams: tuple[Any, Any], settings: list[dict[str, Any]]) -> None:
    sys.stdout, sys.stderr = streams
    for stream, setting in zip(streams, settings, strict=True):
        if isinstance(stream, io.TextIOWrapper) and not _is_closed(stream):
            try:
                stream.reconfigure(**setting)
            except OSError:  # what it still held cannot be written, which was said
                drop(stream)


def _is_closed(stream: object) -> bool:
    return stream is None or getattr(stream, "closed", False)


def say(text: object, err: bool = False) -> None:
    """Print a line, on stdout or stderr; where nobody reads any more, it is dropped."""
    try:
        click.echo(text, err=err)
    except BrokenPipeError:
        drop(sys.stderr if err else sys.stdout)
    except OSError as problem:
        problem.filename = "standard error" if err else "standard output"
        raise


def drop(stream: Any) -> None:
    """Let all that goes to a stream from now on vanish, also what the interpreter flushes at its end."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except (OSError, AttributeError, ValueError):
        return


def occupy_closed_descriptors() -> None:
    """Open nothing where stdin, stdout or stderr are closed, lest files that are opened later get what is printed there."""
    while (number := os.open(os.devnull, os.O_RDWR)) < 3:
        os.set_inheritable(number, True)
    os.close(number)


def shows_progress() -> bool:
    """Return whether somebody watches stderr."""
    return not _is_closed(sys.stderr) and sys.stderr.isatty()
