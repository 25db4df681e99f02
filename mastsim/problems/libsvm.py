"""LIBSVM files: sparse rows of text, refused with the line that is wrong."""

from __future__ import annotations

import codecs
import math
import re
import unicodedata
from io import BytesIO
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from mastsim.dependencies import needed
from mastsim.memory import check_room, spell_bytes
from mastsim.validation import integer

_NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_WIDTH_LIMIT = 1 << 31
"""Bytes that one vector of a file's features may take: 2 GiB. One wrong digit must not ask for all of the memory."""
LARGEST_WIDTH = _WIDTH_LIMIT // 8


class _Form(NamedTuple):
    """How the lines of a file have to read: the least index, and the largest where the number of features was given."""

    first: int
    last: int | None

    def __str__(self) -> str:
        return (
            "a line must read 'label index:value index:value ...' with finite numbers and increasing indices from "
            f"{self.first}"
        )


def parse_libsvm(
    content: bytes, origin: str, features: int | None = None, zero_based: bool = False
) -> tuple[sp.csr_array, np.ndarray]:
    """Return rows and raw labels of a LIBSVM file."""
    if not isinstance(zero_based, (bool, np.bool_)):
        raise TypeError(f"zero_based={zero_based!r} is not accepted: it must be True or False")
    if features is not None:
        features = integer("features", features, 1)
        check_room("a vector of all features", features, change="use a smaller number of features", limit=_WIDTH_LIMIT)
    first = 0 if zero_based else 1
    form = _Form(first, None if features is None else features - 1 + first)
    datasets = needed("sklearn.datasets", "reading LIBSVM files")
    # Python's number syntax lets 1_0 pass for 10, which no LIBSVM file means; and some of its spaces are not plain ones.
    if b"_" in content or not content.isascii():
        _refuse_bad_line(content, origin, form)
    try:
        table, y = datasets.load_svmlight_file(BytesIO(content), dtype=np.float64, zero_based=bool(zero_based))
    except (ValueError, OverflowError) as error:
        _refuse_bad_line(content, origin, form)
        raise ValueError(f"file {origin!r} cannot be read as LIBSVM data: {error}") from error
    sound = np.isfinite(table.data).all() and np.isfinite(y).all()
    if not sound or table.shape[1] > min(features or LARGEST_WIDTH, LARGEST_WIDTH):
        _refuse_bad_line(content, origin, form)
    # The parser gives a table without any entry one column, so its width does not tell.
    for size, what in ((len(y), "rows"), (table.nnz, "features")):
        if size == 0:
            raise ValueError(f"file {origin!r} holds no {what}: {form}")
    shape = (table.shape[0], table.shape[1] if features is None else features)
    A = sp.csr_array((table.data, table.indices, table.indptr), shape=shape)
    A.sort_indices()
    return A, np.asarray(y, dtype=float)


def _refuse_bad_line(content: bytes, origin: str, form: _Form) -> None:
    for number, line in enumerate(content.split(b"\n"), start=1):
        text = line.split(b"#", 1)[0]
        fault = (_mark_fault(line) if number == 1 else None) or _line_fault(text) or _range_fault(text, form)
        if fault:
            raise ValueError(f"file {origin!r} cannot be read as LIBSVM data, line {number}: {fault}; {form}")


def _mark_fault(line: bytes) -> str | None:
    marks = {codecs.BOM_UTF8: "UTF-8", codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}
    for mark, encoding in marks.items():
        if line.startswith(mark):
            return f"the file starts with a byte order mark of {encoding} (save it as plain text without one)"
    return None


def _line_fault(line: bytes) -> str | None:
    if not line.isascii() or b"\0" in line:
        return _character_fault(line)
    label, *pairs = line.split() or [b"0"]
    if b":" in label:
        return f"there is no label before {label.decode()!r}"
    if not _is_finite_number(label):
        return f"the label {label.decode()!r} is not a finite number"
    if pairs and pairs[0].startswith(b"qid:"):
        del pairs[0]
    last = -1
    for pair in pairs:
        fault = _pair_fault(pair, last)
        if fault:
            return fault
        last = int(pair.partition(b":")[0])
    return None


def _character_fault(line: bytes) -> str:
    text = "" if b"\0" in line else line.decode("utf-8", errors="ignore")
    if text.encode() != line:
        # One byte is what older encodings have for it.
        text = "\N{NO-BREAK SPACE}" if b"\0" not in line and line.replace(b"\xa0", b" ").isascii() else ""
    if not text:
        return "this is not plain text (a compressed file has to be unpacked first)"
    odd = next(character for character in text if not character.isascii())
    if odd == "\N{NO-BREAK SPACE}":
        return "there is a non-breaking space, U+00A0 (replace it by a plain one)"
    if odd == "\N{ZERO WIDTH NO-BREAK SPACE}":
        return "there is a byte order mark, U+FEFF (remove it)"
    return f"there is the character {odd!r}, U+{ord(odd):04X} {unicodedata.name(odd, 'without a name')}, outside a remark"


def _pair_fault(pair: bytes, last: int) -> str | None:
    index, colon, value = pair.partition(b":")
    if not (colon and index.isdigit()):
        return f"{pair.decode()!r} is not index:value"
    if int(index) > np.iinfo(np.int32).max:
        return f"{pair.decode()!r} has an index above {np.iinfo(np.int32).max}"
    if int(index) <= last:
        return f"{pair.decode()!r} comes after index {last}, but indices must increase"
    if not _is_finite_number(value):
        return f"{pair.decode()!r} has a value that is not a finite number"
    return None


def _range_fault(line: bytes, form: _Form) -> str | None:
    """Return what is wrong with the first or the last index of a line whose form is right."""
    pairs = [pair for pair in line.split()[1:] if not pair.startswith(b"qid:")]
    if not pairs:
        return None
    first, last = (int(pair.partition(b":")[0]) for pair in (pairs[0], pairs[-1]))
    if first < form.first:
        return f"{pairs[0].decode()!r} has index 0, but indices are 1-based (zero_based, --zero-based, takes them from 0)"
    width, shown = last + 1 - form.first, pairs[-1].decode()
    if width > LARGEST_WIDTH:
        size, most = f"{spell_bytes(8 * width)} ({8 * width} bytes)", spell_bytes(_WIDTH_LIMIT)
        return f"{shown!r} would make every vector of features need {size}, but at most {most} are accepted"
    if form.last is not None and last > form.last:
        return f"{shown!r} lies beyond features={form.last + 1 - form.first}: raise --features, or leave it out"
    return None


def _is_finite_number(token: bytes) -> bool:
    return bool(_NUMBER.fullmatch(token)) and math.isfinite(float(token))
