"""Vectors in files: NumPy's own form or numbers as text, never anything that runs code when it is read."""

from __future__ import annotations

import codecs
import os
from pathlib import Path
from typing import BinaryIO

import numpy as np

from mastsim.validation import vector

_NUMPY, _ZIP, _PICKLE = b"\x93NUMPY", b"PK\x03\x04", b"\x80"
_REMEDY = "numpy.save(file, vector) of a vector of numbers writes one that is, and so does a .csv file of numbers"


def read_vector(name: str, path: str | os.PathLike[str], dim: int) -> np.ndarray:
    """Return the vector in a .npy file, or in a text of numbers apart by commas, spaces or ends of lines.

    What kind of file it is shows by its first bytes, not by its name.

    Parameters
    ----------
    name : str
        What errors call it.
    path : str or path
        The file.
    dim : int
        The length it must have.

    Returns
    -------
    ndarray, shape (dim,)
        Finite numbers, in double precision.

    Raises
    ------
    ValueError
        If the file is empty, a pickle, an archive or no text, or does not hold `dim` finite real numbers.
    OSError
        If it cannot be read.

    References
    ----------
    This package.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "v.csv").write_text("1,2.5,-3e2")
    ...     read_vector("shift", Path(folder, "v.csv"), 3)
    array([   1. ,    2.5, -300. ])
    """
    what = f"{name}={os.fspath(path)!r}"
    with Path(path).open("rb") as file:
        head = file.read(8)
        file.seek(0)
        if not head:
            raise ValueError(f"{what} is not accepted: the file is empty")
        if head.startswith(_ZIP):
            raise ValueError(f"{what} is not accepted: it is an archive and not one vector; {_REMEDY}")
        if head.startswith(_PICKLE):
            raise _pickled(what)
        numbers = _numpy_array(what, file, dim) if head.startswith(_NUMPY) else _text_array(what, file, dim)
    return vector(what, numbers, dim)


def _pickled(what: str) -> ValueError:
    return ValueError(f"{what} is not accepted: it is a pickle, which can run any program when it is read; {_REMEDY}")


def _numpy_array(what: str, file: BinaryIO, dim: int) -> np.ndarray:
    # The header is checked first: what it promises would be allocated before a number is read.
    form = np.lib.format
    try:
        version = form.read_magic(file)
        shape, _, dtype = (form.read_array_header_1_0 if version == (1, 0) else form.read_array_header_2_0)(file)
    except (ValueError, EOFError) as problem:
        raise ValueError(f"{what} is not accepted: its header is not that of a whole .npy file; {_REMEDY}") from problem
    if dtype.hasobject:
        raise _pickled(what)
    if dtype.kind not in "biuf":
        raise ValueError(f"{what} is not accepted: it holds {dtype}, but it must hold real numbers")
    if shape != (dim,):
        raise ValueError(f"{what} has shape {shape}, but it must be a vector of length {dim}")
    content = file.read(dim * dtype.itemsize)
    if len(content) < dim * dtype.itemsize:
        raise ValueError(f"{what} is not accepted: the file ends before its {dim} numbers do")
    return np.frombuffer(content, dtype=dtype)


def _text_array(what: str, file: BinaryIO, dim: int) -> np.ndarray:
    content = file.read()
    if content.startswith(codecs.BOM_UTF8):
        raise ValueError(f"{what} is not accepted: it starts with a byte order mark; save it as plain text without one")
    if b"\0" in content or not content.isascii():
        raise ValueError(f"{what} is not accepted: it is neither a .npy file nor plain text of numbers; {_REMEDY}")
    numbers: list[float] = []
    for place, line in enumerate(content.decode().splitlines(), start=1):
        cells = [cell.strip() for cell in line.split(",")] if "," in line else line.split()
        numbers += [_number(f"{what}, line {place}", cell) for cell in cells]
    if len(numbers) != dim:
        raise ValueError(f"{what} holds {len(numbers)} numbers, but it must hold {dim}")
    return np.array(numbers)


def _number(what: str, cell: str) -> float:
    try:
        # Python's number syntax lets 1_0 pass for 10.
        return float("nothing" if "_" in cell else cell)
    except ValueError:
        raise ValueError(f"{what}: {cell!r} is not a number; put commas or ends of lines between numbers") from None
