"""Tables in files: CSV and TSV by the standard library, npz by NumPy, Parquet by pandas; refused with line and column."""

from __future__ import annotations

import csv
import importlib
import io
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mastsim.validation import one_of

SUFFIXES = (".csv", ".tsv", ".parquet", ".npz")
"""The endings of files of tables; any other is taken for a LIBSVM file."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", flags=re.ASCII)
_MISSING = ("", "na", "n/a", "nan", "null", "none", "?")
_SHOWN = 8


class Table(NamedTuple):
    """What a file of a table holds.

    Parameters
    ----------
    columns : tuple of str
        Names of the features.
    A : ndarray, shape (n, d)
        The features.
    y : ndarray, shape (n,)
        The targets; 0 and 1 where the file has two texts.
    said : str
        What the targets are, in words.
    weights : ndarray, shape (n,), or None
        The column of weights of the rows, where one is asked for.
    classes : tuple of str, or None
        The two texts that became 0 and 1.
    """

    columns: tuple[str, ...]
    A: np.ndarray
    y: np.ndarray
    said: str
    weights: np.ndarray | None = None
    classes: tuple[str, ...] | None = None


def read_table(path: Path, content: bytes, target: str | None, weights: str | None = None) -> Table:
    """Return the table in a file.

    Parameters
    ----------
    path : Path
        The file; its suffix says what it is.
    content : bytes
        What is in it.
    target : str or None
        The column of the targets; in a file without a heading columns are called 1, 2, …
    weights : str, optional
        The column of the weights of the rows, which is no feature.

    Raises
    ------
    ValueError
        If there is no such column, or a cell is missing or no finite number; the message names line and column.
    ImportError
        If it is Parquet, and pandas with pyarrow is not installed.
    """
    kind = path.suffix.lower()
    if kind == ".npz":
        if weights is not None:
            raise ValueError(
                f"weights={weights!r} is not accepted for file {str(path)!r}: give them as a .npy file of their own"
            )
        return _read_npz(str(path), content, target)
    names, columns, lines = _read_parquet(path) if kind == ".parquet" else _read_text(str(path), content, kind)
    where, heavy = _column_of(target, names, str(path)), None
    if weights is not None:
        heavy = names.index(one_of("column of weights", weights, [name for i, name in enumerate(names) if i != where]))
    y, said, classes = _targets(names[where], columns[where], lines, str(path))
    features = [i for i in range(len(names)) if i not in (where, heavy)]
    if not features:
        raise ValueError(f"file {str(path)!r} holds no features besides the target {names[where]!r}")
    A = np.column_stack([_numbers(names[i], columns[i], lines, str(path)) for i in features])
    share = None if heavy is None else _numbers(names[heavy], columns[heavy], lines, str(path))
    return Table(tuple(names[i] for i in features), A, y, said, share, classes)


def _column_of(target: str | None, names: Sequence[str], origin: str) -> int:
    """Return the place of the column of the targets."""
    if target is None:
        listed = ", ".join([*names[:_SHOWN], *(["…"] if len(names) > _SHOWN else [])])
        raise ValueError(f"target (--target COLUMN) is needed for file {origin!r}: its columns are {listed}")
    return names.index(one_of("target", target, list(names)))


def _read_text(origin: str, content: bytes, kind: str) -> tuple[list[str], list[Sequence[Any]], list[int]]:
    """Return names, columns and the number of each row's line of a text of cells."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"file {origin!r} is not text in UTF-8: {error}") from error
    first = text.split("\n", 1)[0]
    mark = "\t" if kind == ".tsv" else max(",;\t", key=first.count)
    rows, lines = [], []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append([cell.strip() for cell in row])
                lines.append(reader.line_num)
    except csv.Error as error:
        raise ValueError(f"file {origin!r} cannot be read as a table, line {reader.line_num}: {error}") from error
    if not rows:
        raise ValueError(f"file {origin!r} holds no rows")
    names = [str(i + 1) for i in range(len(rows[0]))]
    if not all(_NUMBER.fullmatch(cell) or cell.lower() in _MISSING for cell in rows[0]):
        names, rows, lines = rows[0], rows[1:], lines[1:]
    _check_names(names, origin)
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(names):
            raise ValueError(f"file {origin!r}, line {line}: it has {len(row)} cells, but there are {len(names)} columns")
    if not rows:
        raise ValueError(f"file {origin!r} holds no rows below its heading")
    return names, list(zip(*rows, strict=True)), lines


def _check_names(names: Sequence[str], origin: str) -> None:
    """Refuse headings that do not tell columns apart."""
    for i, name in enumerate(names):
        if not name:
            raise ValueError(f"file {origin!r}: column {i + 1} has no name in the heading")
        if name in names[:i]:
            raise ValueError(f"file {origin!r}: two columns are called {name!r}")


def _read_parquet(path: Path) -> tuple[list[str], list[Sequence[Any]], list[int]]:
    """Return names, columns and row numbers of a Parquet file."""
    try:
        pandas = importlib.import_module("pandas")
        importlib.import_module("pyarrow")
    except ImportError as missing:
        raise ImportError(f"reading {str(path)!r} needs the extra 'frames': pip install 'mastsim[frames]'") from missing
    try:
        frame = pandas.read_parquet(path)
    except (ValueError, OSError) as error:
        raise ValueError(f"file {str(path)!r} cannot be read as Parquet: {error}") from error
    names = [str(name) for name in frame.columns]
    _check_names(names, str(path))
    if len(frame) == 0:
        raise ValueError(f"file {str(path)!r} holds no rows")
    cells = [["" if cell is None or cell != cell else str(cell) for cell in frame[name]] for name in frame.columns]
    numbers = {"True": "1", "False": "0"}
    return names, [[numbers.get(cell, cell) for cell in column] for column in cells], list(range(1, len(frame) + 1))


def _read_npz(origin: str, content: bytes, target: str | None) -> Table:
    """Return the table of an archive of arrays: A or X, y, and perhaps columns."""
    if target is not None:
        raise ValueError(f"target={target!r} is not accepted for file {origin!r}: targets of npz files are their array y")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            held = {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"file {origin!r} cannot be read as npz: {error}") from error
    A = held.get("A", held.get("X"))
    if A is None or "y" not in held:
        found = ", ".join(held) or "nothing"
        raise ValueError(f"file {origin!r} must hold arrays A (or X) and y, and may hold columns; it holds {found}")
    names = held.get("columns", np.arange(1, A.shape[-1] + 1 if A.ndim else 1)).astype(str).ravel().tolist()
    if A.ndim != 2 or held["y"].shape != A.shape[:1] or len(names) != A.shape[1]:
        shapes = f"{A.shape}, {held['y'].shape} and {len(names)} names"
        raise ValueError(f"file {origin!r} must hold A of shape (n, d), y of shape (n,) and d names; it holds {shapes}")
    _check_names(names, origin)
    return Table(tuple(names), A, held["y"], "the array y as it stands")


def _targets(
    name: str, cells: Sequence[Any], lines: Sequence[int], origin: str
) -> tuple[np.ndarray, str, tuple[str, ...] | None]:
    """Return the targets, what they are, and the two texts that become 0 and 1, if there are."""
    texts = sorted(set(cells))
    if len(texts) == 2 and not any(_NUMBER.fullmatch(text) or text.lower() in _MISSING for text in texts):
        said = f"{name}: {texts[0]} is 0, {texts[1]} is 1"
        return np.array([float(cell == texts[1]) for cell in cells]), said, tuple(texts)
    return _numbers(name, cells, lines, origin), f"{name}, as it stands", None


def _numbers(name: str, cells: Sequence[str], lines: Sequence[int], origin: str) -> np.ndarray:
    """Return a column of finite numbers."""
    for cell, line in zip(cells, lines, strict=True):
        if _NUMBER.fullmatch(cell) and math.isfinite(float(cell)):
            continue
        where = f"file {origin!r}, line {line}, column {name!r}"
        if cell.lower() in _MISSING:
            raise ValueError(f"{where}: the cell is {cell!r}, a missing value; fill it in, or leave the row or column out")
        comma = _NUMBER.fullmatch(cell.replace(",", ".", 1))
        remedy = "write a decimal point in place of the comma" if comma else "turn categories into columns of 0 and 1 first"
        raise ValueError(f"{where}: {cell!r} is not a finite number; {remedy}")
    return np.array(cells, dtype=float)
