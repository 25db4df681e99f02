"""Files of runs: arrays in a .npz archive with a checksum behind it, checked whole before anything is believed."""

from __future__ import annotations

import hashlib
import json
import math
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np

from mastsim.files import write_whole
from mastsim.memory import spell_bytes
from mastsim.request import Divergence, Request
from mastsim.validation import path as checked_path
from mastsim.validation import shown

Made = TypeVar("Made")

_SEAL = 64
"""Bytes of the checksum that ends a file: SHA-256 of all before it, in hexadecimal."""
_TABLES = {"trace": "traces", "error": "errors", "state": "state"}
_NONE = type(None)
_FACTS: dict[str, tuple[type, ...]] = {
    "request": (dict,),
    "steps_done": (int,),
    "seconds": (float,),
    "estimated_steps": (int,),
    "divergence": (dict, _NONE),
}
_JSON = {"str": (str,), "int": (int,), "float": (float,), "float | None": (float, _NONE), "tuple[str, ...]": (list,)}
_FACTS_LIMIT = 1 << 20
_BLOCK = 1 << 20
_UNREADABLE = (
    *(ValueError, KeyError, TypeError, AttributeError, EOFError, OverflowError, RuntimeError, SyntaxError),
    *(MemoryError, NotImplementedError, struct.error, zlib.error, zipfile.BadZipFile),
)
"""What damaged archives make the libraries raise."""


class _Sealed:
    """A file that only grows, and the checksum of what was written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.digest = file, hashlib.sha256()

    def write(self, data: Any) -> int:
        """Write some bytes."""
        self.digest.update(data)
        return self.file.write(data)

    def flush(self) -> None:
        """Do nothing: the file is flushed at its end."""


def write_parts(parts: Mapping[str, Any], path: str | Path) -> None:
    """Write the parts of a run, under the names of its fields, with a checksum, all or nothing."""
    facts = {name: parts[name] for name in ("steps_done", "seconds", "estimated_steps")}
    diverged = parts["divergence"]
    facts |= {"request": asdict(parts["request"]), "divergence": None if diverged is None else asdict(diverged)}
    arrays = {"facts": np.array(json.dumps(facts, allow_nan=False)), "recorded": parts["recorded"]}
    for short, name in _TABLES.items():
        arrays |= {f"{short}/{key}": table for key, table in parts[name].items()}
    write_whole(checked_path("path", path), lambda file: _write(file, arrays))


def _write(file: BinaryIO, arrays: dict[str, np.ndarray]) -> None:
    """Write an archive and its checksum."""
    sealed = _Sealed(file)
    with zipfile.ZipFile(sealed, "w") as archive:  # type: ignore[call-overload]
        for name, table in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, table, version=(1, 0), allow_pickle=False)
    file.write(sealed.digest.hexdigest().encode())


def read_parts(path: str | Path, make: Callable[..., Made]) -> Made:
    """Return what `make` makes of the parts of a saved run, every one checked; what it refuses is the file's fault."""
    source = checked_path("path", path)
    if source.exists() and not source.is_file():
        raise ValueError(f"{path} is not a saved run: it must be a file")
    with source.open("rb") as file:
        try:
            return make(**_read(file, source.stat().st_size))
        except _UNREADABLE as problem:
            why = str(problem).partition("\n")[0] or type(problem).__name__
            raise ValueError(f"{path} is not a saved run: it must be a file written by Run.save ({why})") from problem


def seal_of(path: str | Path) -> str:
    """Return the checksum that ends a saved run, which tells it from every other one; `read_parts` finds whether it is true.

    Parameters
    ----------
    path : str or Path
        The file.

    Raises
    ------
    ValueError
        If the file is too short to have one.
    OSError
        If it cannot be read.
    """
    with Path(path).open("rb") as file:
        if file.seek(0, 2) < _SEAL:
            raise ValueError(f"{path} is not a saved run: it must be a file written by Run.save")
        file.seek(-_SEAL, 2)
        return file.read().decode("ascii", "replace")


def _read(file: BinaryIO, size: int) -> dict[str, Any]:
    """Return the parts of the run in an open file of that many bytes."""
    with zipfile.ZipFile(file) as archive:
        _check_sizes(archive, size)
        _check_seal(file, size)
        held = dict(_arrays(archive))
    facts = _facts(held.pop("facts.npy"))
    tables: dict[str, dict[str, np.ndarray]] = {name: {} for name in _TABLES.values()}
    recorded = held.pop("recorded.npy")
    for name, table in held.items():
        kind, _, key = name.removesuffix(".npy").partition("/")
        tables[_TABLES[kind]][key] = table
    if recorded.dtype != np.dtype(int):
        raise ValueError(f"the list of recorded steps is of {recorded.dtype}")
    return {"recorded": recorded, **tables, **facts}


def _check_sizes(archive: zipfile.ZipFile, size: int) -> None:
    """Refuse members that would be larger than the file, before any is read."""
    members = archive.infolist()
    if (declared := sum(member.file_size for member in members)) > size:
        raise ValueError(f"its contents declare {spell_bytes(declared)} in a file of {spell_bytes(size)}")
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ValueError("its contents are compressed")
    if len({member.filename for member in members}) < len(members):
        raise ValueError("it holds two arrays of one name")


def _check_seal(file: BinaryIO, size: int) -> None:
    """Refuse a file whose checksum is not that of its contents."""
    file.seek(0)
    digest, left = hashlib.sha256(), size - _SEAL
    while left > 0 and (block := file.read(min(left, _BLOCK))):
        digest.update(block)
        left -= len(block)
    if file.read(_SEAL) != digest.hexdigest().encode():
        raise ValueError("its checksum is not that of its contents: it was changed or cut")


def _arrays(archive: zipfile.ZipFile) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the name and the contents of every member; what it says of its size must be true."""
    for member in archive.infolist():
        with archive.open(member) as file:
            if np.lib.format.read_magic(file) != (1, 0):
                raise ValueError(f"{member.filename!r} is of another version")
            shape, by_column, dtype = np.lib.format.read_array_header_1_0(file)
            data = file.read()
        if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(data):
            raise ValueError(f"{member.filename!r} declares {shape} of {dtype}, which is not what it holds")
        yield member.filename, np.frombuffer(data, dtype).reshape(shape, order="F" if by_column else "C")


def _facts(table: np.ndarray) -> dict[str, Any]:
    """Return what a file says besides arrays, every name and type as it was written."""
    if table.dtype.kind != "U" or table.ndim or table.dtype.itemsize > _FACTS_LIMIT:
        raise ValueError("its facts are no text")
    facts = _typed(json.loads(str(table)), _FACTS)
    request = _typed(facts["request"], _kinds(Request))
    facts["request"] = Request(**request | {"measures": tuple(request["measures"])})
    if facts["divergence"] is not None:
        facts["divergence"] = Divergence(**_typed(facts["divergence"], _kinds(Divergence)))
    return facts


def _kinds(record: type[Any]) -> dict[str, tuple[type, ...]]:
    """Return the JSON types of the fields of a dataclass."""
    return {item.name: _JSON[str(item.type)] for item in fields(record)}


def _typed(record: Any, kinds: dict[str, tuple[type, ...]]) -> dict[str, Any]:
    """Return a dictionary that has exactly these names and types, refusing anything else."""
    if not isinstance(record, dict) or record.keys() != kinds.keys():
        raise ValueError(f"its facts must be {', '.join(kinds)}")
    for name, value in record.items():
        if type(value) not in kinds[name]:
            raise ValueError(f"{name}={shown(value)} has another type than was written")
    return record
