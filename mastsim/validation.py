"""Checks of what users pass in: every message names the argument, the value and what would be accepted."""

from __future__ import annotations

import difflib
import math
import operator
from collections.abc import Iterable
from typing import Any

import numpy as np
import scipy.sparse as sp


def instance(name: str, value: Any, kind: type) -> None:
    """Refuse what is not an instance of a class."""
    if not isinstance(value, kind):
        shown = getattr(value, "name", repr(value))
        raise TypeError(f"{name}={shown} is not accepted: it must be of type {kind.__name__}")


def positive(name: str, value: Any) -> float:
    """Return ``value`` as a float, refusing anything that is not a finite number above zero."""
    number = _float(name, value)
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{name}={value!r} is not accepted: it must be a finite number > 0")
    return number


def nonnegative(name: str, value: Any) -> float:
    """Return ``value`` as a float, refusing anything that is not a finite number at or above zero."""
    number = _float(name, value)
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"{name}={value!r} is not accepted: it must be a finite number >= 0")
    return number


def real(name: str, value: Any) -> float:
    """Return ``value`` as a float, refusing anything that is not a finite number."""
    number = _float(name, value)
    if not math.isfinite(number):
        raise ValueError(f"{name}={value!r} is not accepted: it must be a finite number")
    return number


def integer(name: str, value: Any, low: int, high: int | None = None) -> int:
    """Return ``value`` as an int in ``[low, high]`` (no upper end when ``high`` is None)."""
    span = f"an integer >= {low}" if high is None else f"an integer from {low} to {high}"
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}={value!r} is not accepted: it must be {span}") from None
    if number < low or (high is not None and number > high):
        raise ValueError(f"{name}={number} is not accepted: it must be {span}")
    return number


def floats(name: str, value: Any) -> np.ndarray:
    """Return ``value`` as a float64 array of any shape, a copy on the host, refusing what is not made of real numbers."""
    try:
        array = np.asarray(_on_host(value))
        if array.dtype.kind not in "biufO":
            raise TypeError
        return array.astype(float, order="C")
    except (TypeError, ValueError):
        raise TypeError(f"{name} is not accepted: it must be an array of real numbers, not {_kind(value)}") from None


def vector(name: str, value: Any, dim: int) -> np.ndarray:
    """Return ``value`` as a finite float64 vector of length ``dim``, a copy."""
    array = floats(name, value)
    if array.shape != (dim,):
        raise ValueError(f"{name} has shape {array.shape}, but it must be a vector of length {dim}")
    return finite(name, array)


def matrix(name: str, value: Any) -> Any:
    """Return a copy of ``value`` as a finite float64 matrix, in canonical CSR form when it is sparse."""
    value = _on_host(value)
    table = _csr(name, value) if sp.issparse(value) else finite(name, floats(name, value))
    if table.ndim != 2 or 0 in table.shape:
        raise ValueError(f"{name} has shape {table.shape}, but it must be a matrix with at least one row and one column")
    return table


def _on_host(value: Any) -> Any:
    # Constants are computed on the host in double precision, so that is where data are kept; devices get copies.
    # Sparse matrices of a device show it by their entries.
    on_device = any(hasattr(part, "__cuda_array_interface__") for part in (value, getattr(value, "data", None)))
    return value.get() if on_device else value


def finite(name: str, array: np.ndarray) -> np.ndarray:
    """Return ``array`` unchanged, refusing NaN and infinity and saying where the first one is."""
    bad = ~np.isfinite(array)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(_not_finite(name, array[where], where))
    return array


def keep_fraction(name: str, value: Any) -> np.ndarray:
    """Return a keep fraction (scalar or vector) as a float array, refusing entries outside (0, 1]."""
    array = floats(name, value)
    bad = ~((array > 0) & (array <= 1))
    if bad.any():
        raise ValueError(f"{name}={array[bad][0]} is not accepted: a keep fraction must lie in (0, 1]")
    return array


def number(name: str, text: str, form: str) -> float:
    """Return the number that `text` spells, refusing anything else and showing the accepted form."""
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{name} {text!r} is not accepted: write {form}") from None


def one_of(name: str, value: str, known: Iterable[str]) -> str:
    """Return ``value`` if it is among ``known``; otherwise refuse and suggest the nearest name."""
    names = list(known)
    if value in names:
        return value
    near = difflib.get_close_matches(str(value), names, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise ValueError(f"unknown {name} {value!r}{hint} Known names: {', '.join(names)}")


def _float(name: str, value: Any) -> float:
    try:
        if isinstance(value, (str, bytes)):
            raise TypeError
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"{name}={value!r} is not accepted: it must be a real number") from None


def _csr(name: str, value: Any) -> Any:
    if value.dtype.kind not in "biuf":
        raise TypeError(f"{name} is not accepted: it must be a matrix of real numbers, not {_kind(value)}")
    table = sp.csr_array(value, dtype=float, copy=True)
    bad = np.flatnonzero(~np.isfinite(table.data))
    if len(bad):
        row = int(np.searchsorted(table.indptr, bad[0], side="right")) - 1
        raise ValueError(_not_finite(name, table.data[bad[0]], (row, int(table.indices[bad[0]]))))
    table.sum_duplicates()
    return table


def _not_finite(name: str, value: float, where: tuple[int, ...]) -> str:
    return f"{name} holds {value} at index {where}: every entry must be finite"


def _kind(value: Any) -> str:
    home, name = type(value).__module__.partition(".")[0], type(value).__name__
    full = name if home == "builtins" else f"{home}.{name}"
    return f"{full} of {value.dtype}" if hasattr(value, "dtype") else full
