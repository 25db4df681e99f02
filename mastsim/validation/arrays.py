"""Checks of arrays, tables and sparse matrices."""

from __future__ import annotations

import math
import numbers
from decimal import Decimal
from typing import Any

import numpy as np
import scipy.sparse as sp

from mastsim.readonly import FrozenRows, frozen, frozen_rows
from mastsim.validation.spans import ENTRIES, SCALES, UNLIMITED, Span
from mastsim.validation.words import kind_of, own_kind_of, shown


def floats(name: str, value: Any) -> np.ndarray:
    """Return ``value`` as a float64 array of any shape, an own copy on the host, refusing what is not made of real numbers.

    Masks, dates, complex numbers and texts are refused, in tables by column.
    """
    value = _on_host(value)
    refuse_masks(name, value)
    if hasattr(value, "columns") and hasattr(value, "iloc"):
        return _frame(name, value)
    try:
        table = np.asarray(value)
        if table.dtype.kind in "US" and not isinstance(value, np.ndarray):
            table = np.asarray(value, dtype=object)
        if table.dtype.kind in "OUS" and table.ndim:
            return _from_entries(name, table, value)
        if table.dtype.kind not in "biuf" or isinstance(value, type):
            raise TypeError
        with np.errstate(over="ignore"):
            return table.astype(float, order="C")
    except (TypeError, ValueError, RuntimeError, OverflowError) as refused:
        if str(refused).startswith(f"{name} "):
            raise
        found, dates = own_kind_of(value), "; pass dates as numbers, for example of days" if _is_date(value) else ""
        raise TypeError(f"{name} is not accepted: it must be an array of real numbers, not {found}{dates}") from None


def points(name: str, value: Any, dim: int) -> Any:
    """Return points as an array whose last axis has length ``dim``: arrays of a device and of floats as they are."""
    # Methods pass points on at every step: what is an array of floats already is not looked at again.
    if type(value) is not np.ndarray or value.dtype.kind != "f":
        elsewhere = hasattr(value, "__array_namespace__") and not isinstance(value, np.ndarray)
        if not elsewhere and not hasattr(value, "__cuda_array_interface__"):
            value = floats(name, value)
    if value.shape[-1:] != (dim,):
        raise ValueError(f"{name} has shape {value.shape}, but its last axis must have length {dim}")
    return value


def vector(name: str, value: Any, dim: int, span: Span = UNLIMITED) -> np.ndarray:
    """Return ``value`` as a finite float64 vector of length ``dim``, a copy that cannot be written to."""
    found = value if _is_plain(value) else floats(name, value)
    if found.shape != (dim,):
        raise ValueError(f"{name} has shape {found.shape}, but it must be a vector of length {dim}")
    return frozen(entries(name, found, span), copy=found is value)


def matrix(name: str, value: Any, copy: bool = True, span: Span = ENTRIES) -> Any:
    """Return ``value`` as a finite float64 matrix that cannot be written to, in canonical CSR form when it is sparse.

    A copy, unless ``copy`` is False and ``value`` is an array of floats in row-major order or a canonical CSR matrix.
    """
    value = _on_host(value)
    if sp.issparse(value):
        return _csr(name, value, copy, span)
    table = value if _is_plain(value) else floats(name, value)
    if table.ndim != 2 or 0 in table.shape:
        raise ValueError(f"{name} has shape {table.shape}, but it must be a matrix with at least one row and one column")
    entries(name, table, span, labels=_labels(value))
    return frozen(table, copy=copy and table is value)


def square(name: str, value: Any) -> np.ndarray:
    """Return ``value`` as a finite float64 matrix with as many rows as columns, a copy that cannot be written to."""
    found = value if _is_plain(value) else floats(name, value)
    if found.ndim != 2 or found.shape[0] != found.shape[1]:
        raise ValueError(f"{name} has shape {found.shape}, but it must be a square matrix")
    return frozen(finite(name, found), copy=found is value)


def entries(name: str, table: np.ndarray, span: Span = ENTRIES, labels: list[str] | None = None) -> np.ndarray:
    """Return an array unchanged, refusing entries that are not finite or too large, and naming their column (last axis)."""
    if table.size == 0:
        return table
    flat = table.reshape(-1, table.shape[-1]) if table.ndim > 1 else table.reshape(-1, 1)
    sizes = np.maximum(flat.max(axis=0), -flat.min(axis=0))
    if not np.isfinite(sizes).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(table))[0])
        raise ValueError(_not_finite(name, table[where], where, labels))
    _refuse_sizes(name, sizes, span.most, labels, single=table.ndim < 2)
    return table


def finite(name: str, table: np.ndarray) -> np.ndarray:
    """Return an array unchanged, refusing NaN and infinity and saying where the first one is."""
    return entries(name, table, UNLIMITED)


def keep_fraction(name: str, value: Any) -> np.ndarray:
    """Return a keep fraction (scalar or vector) as a float array, refusing entries outside [1e-40, 1]."""
    found = floats(name, value)
    bad = ~((found > 0) & (found <= 1))
    if bad.any():
        raise ValueError(f"{name}={found[bad][0]} is not accepted: a keep fraction must lie in (0, 1]")
    if (found < SCALES.least).any():
        raise ValueError(f"{name}={found.min()} is not accepted: a keep fraction must be at least {SCALES.least:g}")
    return found


def refuse_masks(name: str, value: Any, depth: int = 3) -> None:
    """Refuse arrays with masked entries, also inside lists, where NumPy would drop the mask without a word."""
    if isinstance(value, np.ma.MaskedArray):
        hidden = np.ma.getmaskarray(value)
        if hidden.any():
            where = tuple(int(i) for i in np.argwhere(hidden)[0])
            raise ValueError(
                f"{name} is a masked array whose entry at index {where} is masked: fill masked entries or drop their rows"
            )
    elif isinstance(value, (list, tuple)) and depth:
        for part in value:
            if isinstance(part, (list, tuple, np.ma.MaskedArray)):
                refuse_masks(name, part, depth - 1)


def _on_host(value: Any) -> Any:
    # Constants are computed on the host in double precision, so that is where data are kept; devices get copies.
    # Sparse matrices of a device show it by their entries.
    if isinstance(value, (np.ndarray, np.generic, type)):
        return value
    on_device = any(hasattr(part, "__cuda_array_interface__") for part in (value, getattr(value, "data", None)))
    if on_device:
        return value.get()
    return np.array(np.from_dlpack(value)) if hasattr(value, "__array_namespace__") else value


def _frame(name: str, frame: Any) -> np.ndarray:
    """Return a data frame as an array, refusing the first column that is not made of numbers."""
    labels = _labels(frame) or []
    table = np.empty(frame.shape)
    for j in range(frame.shape[1]):
        column = frame.iloc[:, j]
        kind = getattr(column.dtype, "kind", "O")
        if kind in "biuf":
            table[:, j] = column.to_numpy(dtype=float, na_value=np.nan)
        elif kind in "mMc":
            raise TypeError(
                f"{name} is not accepted: it must be an array of real numbers, but column {labels[j]!r} is of {column.dtype}"
            )
        else:
            table[:, j] = _from_entries(name, np.asarray(column, dtype=object), frame, labels[j])
        if np.isnan(table[:, j]).any():
            row = int(np.argmax(np.isnan(table[:, j])))
            raise ValueError(
                f"{name} holds a missing value in column {labels[j]!r} at row {row}: every entry must be finite"
            )
    return table


def _from_entries(name: str, table: np.ndarray, given: Any, label: str | None = None) -> np.ndarray:
    """Return an array of objects as floats, refusing the first entry that is not a real number."""
    what = f"{name} is not accepted: it must be an array of real numbers, not {kind_of(given)}"
    found = np.empty(table.shape)
    for index, entry in np.ndenumerate(table):
        if not isinstance(entry, (numbers.Real, Decimal, np.bool_)) and not _is_scalar(entry):
            if table.ndim == 1 and label is None and not isinstance(entry, (str, bytes)) and np.ndim(entry):
                raise TypeError(f"{what}: its rows differ in length or kind")
            column = repr(label) if label is not None else index[-1]
            where = f"in column {column} at row {index[0]}" if table.ndim == 2 or label is not None else _place(index, None)
            raise TypeError(f"{what}: it holds {shown(entry)} {where}")
        try:
            found[index] = float(entry)
        except OverflowError:
            found[index] = math.inf
    return found


def _is_scalar(entry: Any) -> bool:
    return getattr(entry, "shape", None) == () and getattr(getattr(entry, "dtype", None), "kind", "O") in "biuf"


def _is_plain(value: Any) -> bool:
    return type(value) is np.ndarray and value.dtype == np.float64 and value.flags.c_contiguous


def _is_date(value: Any) -> bool:
    return getattr(getattr(value, "dtype", None), "kind", "") in tuple("mM")


def _labels(value: Any) -> list[str] | None:
    return [str(label) for label in value.columns] if hasattr(value, "columns") and hasattr(value, "iloc") else None


def _csr(name: str, value: Any, copy: bool, span: Span) -> FrozenRows:
    if value.dtype.kind not in "biuf":
        raise TypeError(f"{name} is not accepted: it must be a matrix of real numbers, not {kind_of(value)}")
    if value.ndim != 2 or 0 in value.shape:
        raise ValueError(f"{name} has shape {value.shape}, but it must be a matrix with at least one row and one column")
    table = value if value.format == "csr" else sp.csr_array(value)
    bad = np.flatnonzero(~np.isfinite(table.data))
    if len(bad):
        row = int(np.searchsorted(table.indptr, bad[0], side="right")) - 1
        raise ValueError(_not_finite(name, table.data[bad[0]], (row, int(table.indices[bad[0]])), None))
    sizes = np.zeros(table.shape[1])
    np.maximum.at(sizes, table.indices, np.abs(table.data))
    _refuse_sizes(name, sizes, span.most, None, single=False)
    return frozen_rows(table, copy and table is value)


def _refuse_sizes(name: str, sizes: np.ndarray, most: float, labels: list[str] | None, single: bool) -> None:
    if (sizes > most).any():
        j = int(np.argmax(sizes > most))
        where = "" if single else f" in column {labels[j]!r}" if labels else f" in column {j}"
        what = "entries" if single else "the column"
        raise ValueError(
            f"{name} holds an entry of size {sizes[j]:.6g}{where}: sizes must be at most {most:g}; "
            f"divide {what} by the largest"
        )


def _not_finite(name: str, value: float, where: tuple[int, ...], labels: list[str] | None) -> str:
    return f"{name} holds {value} {_place(where, labels)}: every entry must be finite"


def _place(where: tuple[int, ...], labels: list[str] | None) -> str:
    column = f", column {labels[where[1]]!r}" if labels and len(where) == 2 else ""
    return f"at index {tuple(int(i) for i in where)}{column}"
