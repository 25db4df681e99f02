"""LIBSVM files: sparse rows of text, refused with the line that is wrong."""

from __future__ import annotations

import math
import re
from io import BytesIO

import numpy as np
import scipy.sparse as sp

_NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_LINE_FORM = "a line must read 'label index:value index:value ...' with finite numbers and increasing indices from 1"


def parse_libsvm(content: bytes, origin: str, d: int | None = None) -> tuple[sp.csr_array, np.ndarray]:
    """Return rows and raw labels of a LIBSVM file; `origin` names it in errors, `d` pins the number of columns."""
    from sklearn.datasets import load_svmlight_file

    # Python's number syntax lets 1_0 pass for 10, which no LIBSVM file means.
    if b"_" in content:
        _refuse_bad_line(content, origin)
    try:
        table, y = load_svmlight_file(BytesIO(content), n_features=d, dtype=np.float64, zero_based=False)
    except (ValueError, OverflowError) as error:
        _refuse_bad_line(content, origin)
        raise ValueError(f"file {origin!r} cannot be read as LIBSVM data: {error}") from error
    if not (np.isfinite(table.data).all() and np.isfinite(y).all()):
        _refuse_bad_line(content, origin)
    # The parser gives a table without any entry one column, so its width does not tell.
    for size, what in ((len(y), "rows"), (table.nnz, "features")):
        if size == 0:
            raise ValueError(f"file {origin!r} holds no {what}: {_LINE_FORM}")
    A = sp.csr_array(table)
    A.sort_indices()
    return A, np.asarray(y, dtype=float)


def _refuse_bad_line(content: bytes, origin: str) -> None:
    for number, line in enumerate(content.split(b"\n"), start=1):
        fault = _line_fault(line.split(b"#", 1)[0])
        if fault:
            raise ValueError(f"file {origin!r}, line {number}: {fault}; {_LINE_FORM}")


def _line_fault(line: bytes) -> str | None:
    if not line.isascii() or b"\0" in line:
        return "this is not plain text (a compressed file has to be unpacked first)"
    label, *pairs = line.split() or [b"0"]
    if b":" in label:
        return f"there is no label before {label.decode()!r}"
    if not _is_finite_number(label):
        return f"the label {label.decode()!r} is not a finite number"
    if pairs and pairs[0].startswith(b"qid:"):
        del pairs[0]
    last = 0
    for pair in pairs:
        fault = _pair_fault(pair, last)
        if fault:
            return fault
        last = int(pair.partition(b":")[0])
    return None


def _pair_fault(pair: bytes, last: int) -> str | None:
    index, colon, value = pair.partition(b":")
    if not (colon and index.isdigit()):
        return f"{pair.decode()!r} is not index:value"
    if int(index) == 0:
        return f"{pair.decode()!r} has index 0, but indices are 1-based"
    if int(index) > np.iinfo(np.int32).max:
        return f"{pair.decode()!r} has an index above {np.iinfo(np.int32).max}"
    if int(index) <= last:
        return f"{pair.decode()!r} comes after index {last}, but indices must increase"
    if not _is_finite_number(value):
        return f"{pair.decode()!r} has a value that is not a finite number"
    return None


def _is_finite_number(token: bytes) -> bool:
    return bool(_NUMBER.fullmatch(token)) and math.isfinite(float(token))


# ------------------------------------------------------------------------------------------------ bundled
