"""The three tiers of truth: a number that carries how it was obtained."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from typing import Any, Literal, get_args

import numpy as np

from mastsim.readonly import FrozenDict, FrozenRows, ReadOnly, frozen, is_frozen
from mastsim.validation import a_float, shown, text

Kind = Literal["exact", "upper", "lower", "estimate"]

EXACT_WITHIN = 1e-6
"""The largest error, relative to the number, with which a number is called exact."""


class Constant(float):
    """A real number with its tier of truth.

    A `Constant` is a float, so it can be used in formulas; the result of a formula is a plain float.

    Parameters
    ----------
    value : float
        The number itself; may be infinite.
    kind : {"exact", "upper", "lower", "estimate"}
        Whether `value` equals the quantity, is proven to be at least or at most it, or estimates it.
    source : str
        The formula and where it comes from.
    error : float, default 0.0
        A proven bound on the numerical error: the truth is within it of an exact value, at most the error above an upper and
        at most the error below a lower bound. For ``"estimate"`` a standard error, or a guess at the error.

    Raises
    ------
    ValueError
        If `kind` is not one of the four.

    Examples
    --------
    >>> L = Constant(2.0, "upper", "Lemma 1 (ii)")
    >>> 1 / L, L.kind
    (0.5, 'upper')
    >>> Constant(0.5, "exact", "measured", error=1e-3).text
    '0.5 ± 0.001'
    """

    kind: Kind
    source: str
    error: float

    def __new__(cls, value: float, kind: Kind, source: str, error: float = 0.0) -> Constant:
        """Return the number with its tier of truth."""
        if not (isinstance(kind, str) and kind in get_args(Kind)):
            raise ValueError(f"kind={shown(kind)} is not accepted: it must be one of {', '.join(get_args(Kind))}")
        self = super().__new__(cls, a_float("value", value))
        self.kind = kind
        self.source = text("source", source)
        self.error = a_float("error", error)
        return self

    @property
    def value(self) -> float:
        """The number as a plain float."""
        return float(self)

    @property
    def text(self) -> str:
        """The number to eight digits, and its error where that shows in them."""
        shows = 0 < self.error < math.inf and self.error > 1e-8 * abs(self.value)
        return f"{self.value:.8g} ± {self.error:.2g}" if shows else f"{self.value:.8g}"

    def __repr__(self) -> str:
        return f"Constant({self.value:.6g}, {self.kind!r}, {self.source!r})"

    def __getnewargs__(self) -> tuple[float, Kind, str, float]:  # type: ignore[override]
        return (self.value, self.kind, self.source, self.error)

    def record(self) -> dict[str, Any]:
        """Return the number and its provenance as a JSON-able dictionary."""
        return {"value": self.value, "kind": self.kind, "source": self.source, "error": self.error}


def graded(value: float, error: float, source: str, otherwise: Kind, scale: float = 0.0) -> Constant:
    """Return a number as exact where its error is small beside it, and otherwise as what it is then good for.

    Parameters
    ----------
    value : float
        The number.
    error : float
        A proven bound on how far it is from the truth.
    source : str
        The formula and where it comes from.
    otherwise : {"upper", "lower", "estimate"}
        The tier where the error is more than 1e-6 of the number; it is then moved by the error to the side it is good for.
    scale : float, default 0.0
        The size of the terms whose difference the number is; errors of 1e-12 of it are small.

    Returns
    -------
    Constant
        The number with its tier.

    Examples
    --------
    >>> graded(1.0, 1e-15, "λ_min", otherwise="lower").kind, float(graded(1.0, 0.5, "λ_min", otherwise="lower"))
    ('exact', 0.5)
    """
    if error <= max(EXACT_WITHIN * abs(value), 1e-12 * scale) or value == math.inf:
        return Constant(value, "exact", source, error)
    if otherwise == "estimate" or not math.isfinite(error):
        return Constant(value, "estimate", source, error)
    return Constant(value + error if otherwise == "upper" else value - error, otherwise, f"{source}, within {error:.3g}")


def content_hash(thing: Any) -> str:
    """Return a SHA-256 of what an object contains, the same in every process.

    Objects whose arrays can never change keep the hash, so that data are read once, whatever is made of them.

    Parameters
    ----------
    thing : object
        Frozen dataclasses, arrays, sparse matrices, numbers, texts, None, and tuples, lists or dictionaries of these.

    Returns
    -------
    str
        Sixty-four hexadecimal digits.

    Raises
    ------
    TypeError
        For anything else, since its content would not be known.

    Examples
    --------
    >>> content_hash((1, 2.0)) == content_hash((1, 2.0)), content_hash(1) == content_hash(1.0)
    (True, False)
    """
    return _digest(thing)[0].hex()


_KEPT = "_content_digest"


def _digest(thing: Any) -> tuple[bytes, bool]:
    """Return the SHA-256 of a content, and whether the content can never change."""
    if isinstance(thing, ReadOnly) and _KEPT in vars(thing):
        return vars(thing)[_KEPT], True
    data, parts, lasting = _content(thing)
    digest = hashlib.sha256(f"{type(thing).__name__}(".encode())
    for each in data:
        digest.update(each)
    for part in parts:
        own, lasts = _digest(part)
        digest.update(own)
        lasting = lasting and lasts
    if lasting and isinstance(thing, ReadOnly):
        object.__setattr__(thing, _KEPT, digest.digest())
    return digest.digest(), lasting


def _content(thing: Any) -> tuple[tuple[bytes, ...], Iterable[Any], bool]:
    """Return the bytes of an object itself, what else it holds, and whether it will always hold these."""
    if thing is None or type(thing) in (bool, int, float, str):
        return (repr(thing).encode(),), (), True
    if isinstance(thing, Constant):
        return (), thing.record().items(), True
    if hasattr(thing, "tocsr"):
        rows = thing.tocsr()
        places = (frozen(part.astype(np.int64), copy=False) for part in (rows.indptr, rows.indices))
        return (), (rows.shape, *places, rows.data), isinstance(thing, FrozenRows)
    if isinstance(thing, (np.ndarray, np.generic)) and not thing.dtype.hasobject:
        array = np.asarray(thing)
        data = f"{array.dtype.str}{array.shape}".encode(), np.ascontiguousarray(array).tobytes()
        return data, (), isinstance(thing, np.generic) or is_frozen(thing)
    if isinstance(thing, (tuple, list)):
        return (), thing, isinstance(thing, tuple)
    if isinstance(thing, dict):
        return (), ((key, thing[key]) for key in sorted(thing)), isinstance(thing, FrozenDict)
    if is_dataclass(thing) and not isinstance(thing, type):
        held = ((field.name, getattr(thing, field.name)) for field in fields(thing))
        return (), held, thing.__dataclass_params__.frozen  # type: ignore[attr-defined]
    raise TypeError(f"the content of {thing!r} is not known: it must be made of dataclasses, arrays and plain values")
