"""Checks of what users pass in: every message names the argument, the value and what would be accepted.

Sizes. One range holds everywhere, so that no product that theory forms (L_f·L_S^max·gap, squares, fourth moments) leaves the
range of floating numbers:

- entries of data, labels, linear terms, shifts and starts of exact moments are at most 1e20 in size (`ENTRIES`); small ones
  are not refused, since where a square of theirs underflows the loss is below every rounding error;
- l2 and the settings of losses are zero (where that is allowed) or from 1e-60 to 1e60 (`SETTINGS`), condition numbers at
  most 1e20 (`CONDITIONS`);
- keep fractions and probabilities of values of a sketch are at least 1e-40, and its entries at most 1e40 (`SCALES`);
- accuracies, which are squares, are from 1e-120 to 1e120 (`ACCURACIES`), step sizes at most 1e120 (`STEPS`), and matrices
  whose moments are asked for have entries up to 1e65 (`HESSIANS`).

Points at which functions are evaluated and simulations start may be of any size: a path that overflows has diverged, and
measures infinite.
"""

from __future__ import annotations

import difflib
import math
import numbers
import operator
import os
from collections.abc import Iterable, Sequence
from dataclasses import fields
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from mastsim.readonly import FrozenRows, frozen, frozen_rows


class Span(NamedTuple):
    """Sizes that are accepted, both ends included."""

    least: float
    most: float


ENTRIES = Span(0.0, 1e20)
SETTINGS = Span(1e-60, 1e60)
CONDITIONS = Span(1.0, 1e20)
SCALES = Span(1e-40, 1e40)
HESSIANS = Span(0.0, 1e65)
ACCURACIES = Span(1e-120, 1e120)
STEPS = Span(0.0, 1e120)
UNLIMITED = Span(0.0, math.inf)

_WORD = 2**63 - 1

_EXAMPLES = {
    "Problem": "LogisticRegression(A, y, l2=0.01)",
    "GeneralizedLinearModel": "LogisticRegression(A, y, l2=0.01)",
    "Objective": "Mast(problem, sketch)",
    "Mast": "Mast(problem, sketch)",
    "Distributed": "Distributed(problems, sketches)",
    "Sketch": "RandK(dim, k=3)",
    "SelectionSketch": "RandK(dim, k=3)",
    "Method": "DSGD(0.1)",
    "Sampling": "Nice(32)",
    "Compressor": "NaturalCompressor()",
    "StepRule": "InverseSqrtStep(0.1)",
    "Theorem": "theorems.StronglyConvexDSGD(objective)",
    "Inequality": "theorems.Lemma1(objective)",
    "Run": "what simulate returns",
    "Dataset": "what load returns",
    "Minibatch": "what a sampling draws",
    "SketchBatch": "what the method sample of a sketch returns",
    "Verdict": "what verify returns",
}
_NOUNS = {
    "Problem": "problem",
    "Objective": "objective",
    "Sketch": "sketch",
    "Method": "method",
    "Sampling": "sampling",
    "Compressor": "compressor",
    "StepRule": "step rule",
    "Theorem": "theorem",
    "Run": "run",
    "Dataset": "data set",
}


def instance(name: str, value: Any, *kinds: type) -> None:
    """Refuse what is not an instance of a class, or of one of several, and say what to pass."""
    if not isinstance(value, kinds):
        wanted = " or ".join(kind.__name__ for kind in kinds)
        raise TypeError(f"{name}={shown(value)} is not accepted: it must be of type {wanted}{_for_example(kinds[0])}")


def instances(name: str, values: Any, kind: type) -> tuple[Any, ...]:
    """Return a sequence of instances of a class as a tuple, refusing anything else."""
    if isinstance(values, (str, bytes, kind)) or not isinstance(values, Sequence):
        wanted = f"it must be a list or tuple of {name}"
        raise TypeError(f"{name} is not accepted: {wanted}, not {described(values)}{_for_example(kind)}")
    for i, value in enumerate(values):
        if not isinstance(value, kind):
            wanted = f"it must be a {kind.__name__}"
            raise TypeError(f"{name}[{i}] is not accepted: {wanted}, not {described(value)}{_for_example(kind)}")
    return tuple(values)


def _for_example(kind: type) -> str:
    return f", for example {_EXAMPLES[kind.__name__]}" if kind.__name__ in _EXAMPLES else ""


def array(name: str, value: Any) -> None:
    """Refuse what is not an array, on the host or a device: for what is made too often to be looked at in full."""
    if not (hasattr(value, "shape") and hasattr(value, "dtype")) or isinstance(value, type):
        raise TypeError(f"{name} is not accepted: it must be an array, not {described(value)}")


def has(name: str, value: Any, *attributes: str) -> None:
    """Refuse what lacks one of the attributes that are asked of it."""
    missing = [each for each in attributes if not hasattr(value, each)]
    if missing or isinstance(value, type):
        raise TypeError(f"{name} is not accepted: it must offer {', '.join(attributes)}; {described(value)} does not")


def settings(thing: Any, **kinds: type) -> None:
    """Refuse fields of a dataclass that are not of the kind given for their name, but for None where it is the default."""
    for item in fields(thing):
        value, kind = getattr(thing, item.name), kinds.get(item.name)
        if kind is None or (value is None and item.default is None):
            continue
        if kind is bool:
            flag(item.name, value)
        else:
            instance(item.name, value, kind)


def text(name: str, value: Any) -> str:
    """Return ``value``, refusing anything that is not a text."""
    if not isinstance(value, str):
        raise TypeError(f"{name} is not accepted: it must be a text, not {described(value)}")
    return value


def texts(name: str, values: Any) -> tuple[str, ...]:
    """Return a list or another sequence of texts as a tuple, refusing anything else."""
    if isinstance(values, (str, dict)) or not isinstance(values, Iterable) or isinstance(values, type):
        raise TypeError(f"{name} is not accepted: it must be a tuple of texts, not {described(values)}")
    return tuple(text(f"{name}[{i}]", value) for i, value in enumerate(values))


def path(name: str, value: Any) -> Path:
    """Return ``value`` as a path, refusing anything that is neither a text nor a path."""
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"{name} is not accepted: it must be the path of a file or folder, not {described(value)}")
    return Path(value)


def flag(name: str, value: Any) -> bool:
    """Return ``value`` as a bool, refusing anything but True and False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} is not accepted: it must be True or False, not {described(value)}")
    return bool(value)


def described(value: Any) -> str:
    """Return what a value is, in a few words: ``the problem least squares (n = 5, d = 2)``, ``the class RandK``."""
    if value is None:
        return "None"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    for base in type(value).__mro__:
        if base.__module__.startswith("mastsim.") and base.__name__ in _NOUNS:
            return f"the {_NOUNS[base.__name__]} {getattr(value, 'name', type(value).__name__)}"
    return _kind(value)


def positive(name: str, value: Any, span: Span = SETTINGS) -> float:
    """Return ``value`` as a float, refusing anything that is not a number above zero of an accepted size."""
    number = a_float(name, value)
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{name}={shown(value)} is not accepted: it must be a finite number > 0")
    return _sized(name, number, span)


def nonnegative(name: str, value: Any, span: Span = SETTINGS) -> float:
    """Return ``value`` as a float, refusing anything that is not zero or a number above it of an accepted size."""
    number = a_float(name, value)
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"{name}={shown(value)} is not accepted: it must be a finite number >= 0")
    return _sized(name, number, span) if number else number


def real(name: str, value: Any, span: Span = UNLIMITED) -> float:
    """Return ``value`` as a float, refusing anything that is not a finite number of an accepted size."""
    number = a_float(name, value)
    if not math.isfinite(number):
        raise ValueError(f"{name}={shown(value)} is not accepted: it must be a finite number")
    return math.copysign(_sized(name, abs(number), Span(0.0, span.most)), number)


def between(name: str, value: Any, low: float, high: float) -> float:
    """Return ``value`` as a float, refusing anything outside the open interval."""
    number = a_float(name, value)
    if not low < number < high:
        raise ValueError(f"{name}={shown(value)} is not accepted: it must be a number between {low:g} and {high:g}")
    return number


def integer(name: str, value: Any, low: int, high: int | None = None) -> int:
    """Return ``value`` as an int in ``[low, high]`` (no upper end when ``high`` is None)."""
    span = f"an integer >= {low}" if high is None else f"an integer from {low} to {high}"
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}={shown(value)} is not accepted: it must be {span}") from None
    if not low <= number <= (_WORD if high is None else high):
        beyond = " and below 2**63" if high is None and number > _WORD else ""
        raise ValueError(f"{name}={shown(number)} is not accepted: it must be {span}{beyond}")
    return number


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
        dates = "; pass dates as numbers, for example of days" if _is_date(value) else ""
        raise TypeError(f"{name} is not accepted: it must be an array of real numbers, not {_of(value)}{dates}") from None


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


def number(name: str, text: str, form: str) -> float:
    """Return the number that `text` spells, refusing anything else and showing the accepted form."""
    try:
        return float(plain_number(text))
    except (TypeError, ValueError):
        raise ValueError(f"{name} {shown(text)} is not accepted: write {form}") from None


def plain_number(text: str) -> str:
    """Return a text that may spell a number; Python's own syntax lets 1_0 pass for 10, and digits of other scripts."""
    if "_" in text or not text.isascii():
        raise ValueError(f"{shown(text)} is not a number written in digits")
    return text


def one_of(name: str, value: str, known: Iterable[str]) -> str:
    """Return ``value`` if it is among ``known``; otherwise refuse and suggest the nearest name."""
    names = list(known)
    if isinstance(value, str) and value in names:
        return value
    near = difflib.get_close_matches(value, names, n=1, cutoff=0.4) if isinstance(value, str) else []
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise ValueError(f"unknown {name} {shown(value)}{hint} Known names: {', '.join(names)}")


def shown(value: Any) -> str:
    """Return a value as a message shows it: itself where that is short, and otherwise what it is."""
    if isinstance(value, type) or type(value).__module__.startswith("mastsim."):
        return f"({described(value)})"
    if isinstance(value, int) and abs(value) > 10**60:
        return "(a number of more than 60 digits)"
    written = repr(value)
    return written if len(written) <= 60 and "\n" not in written else f"({_kind(value)})"


def a_float(name: str, value: Any) -> float:
    """Return ``value`` as a float, NaN and infinity too, refusing what is not a real number."""
    refused = isinstance(value, (str, bytes, type, np.ma.MaskedArray)) or getattr(value, "shape", ()) != ()
    kind = getattr(getattr(value, "dtype", None), "kind", "f")
    if not refused and kind in "biuf" and (hasattr(value, "__float__") or hasattr(value, "__index__")):
        try:
            return float(value)
        except (TypeError, ValueError, RuntimeError, OverflowError):
            pass
    raise TypeError(f"{name}={shown(value)} is not accepted: it must be a real number")


def _sized(name: str, number: float, span: Span) -> float:
    if not span.least <= number <= span.most:
        raise ValueError(f"{name}={number:g} is not accepted: it must be from {span.least:g} to {span.most:g}")
    return number


def _on_host(value: Any) -> Any:
    # Constants are computed on the host in double precision, so that is where data are kept; devices get copies.
    # Sparse matrices of a device show it by their entries.
    if isinstance(value, (np.ndarray, np.generic, type)):
        return value
    on_device = any(hasattr(part, "__cuda_array_interface__") for part in (value, getattr(value, "data", None)))
    if on_device:
        return value.get()
    return np.array(np.from_dlpack(value)) if hasattr(value, "__array_namespace__") else value


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
    what = f"{name} is not accepted: it must be an array of real numbers, not {_kind(given)}"
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
        raise TypeError(f"{name} is not accepted: it must be a matrix of real numbers, not {_kind(value)}")
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


def _kind(value: Any) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}"
    home, name = type(value).__module__.partition(".")[0], type(value).__name__
    full = name if home == "builtins" else f"{home}.{name}"
    return f"{full} of {value.dtype}" if hasattr(value, "dtype") else full


def _of(value: Any) -> str:
    own = isinstance(value, type) or type(value).__module__.startswith("mastsim.")
    return described(value) if own else _kind(value)
