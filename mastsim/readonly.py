"""Arrays that cannot be written to: what objects hold, what they compute once, and what they hand out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from functools import cached_property
from typing import Any, ClassVar, NoReturn

import numpy as np
import scipy.sparse as sp


class ReadOnly:
    """What frozen dataclasses inherit so that their arrays cannot be changed behind values that were computed from them.

    Cached properties of subclasses hand out arrays that cannot be written to, and what is unpickled is frozen again. Fields
    are frozen where they are checked, by `frozen`.
    """

    _copied: ClassVar[bool] = True

    def __init_subclass__(cls, copy: bool | None = None, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        if copy is not None:
            cls._copied = copy
        if "__repr__" not in vars(cls):
            cls.__repr__ = _described  # type: ignore[method-assign]
        for name, held in list(vars(cls).items()):
            if type(held) is cached_property:
                kept = _FrozenProperty(held.func)
                kept.__set_name__(cls, name)
                setattr(cls, name, kept)

    def __post_init__(self) -> None:
        """Replace arrays and dictionaries of arrays by read-only copies, or freeze the class's own with ``copy=False``."""
        if not self._copied:
            frozen_in_place(self)
            return
        for item in fields(self):  # type: ignore[arg-type]
            held = getattr(self, item.name)
            if isinstance(held, np.ndarray):
                object.__setattr__(self, item.name, frozen(held))
            elif isinstance(held, sp.csr_array) and held.dtype == float:
                object.__setattr__(self, item.name, frozen_rows(held))
            elif type(held) is dict:
                parts = {name: frozen(part) if isinstance(part, np.ndarray) else part for name, part in held.items()}
                object.__setattr__(self, item.name, FrozenDict(parts))

    def __setstate__(self, state: dict[str, Any]) -> None:
        # NumPy restores arrays as writable ones.
        self.__dict__.update({name: frozen_in_place(value) for name, value in state.items()})


_LONG = 12
"""The most entries of an array that is written out."""


class _FrozenProperty(cached_property):
    """A cached property whose arrays cannot be written to."""

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        if self.attrname in instance.__dict__:
            return instance.__dict__[self.attrname]
        # Set before it is returned, as a view: the flag of an array that owns its data could be set back.
        value = frozen_in_place(super().__get__(instance, owner))
        instance.__dict__[self.attrname] = value
        return value


def _described(self: Any) -> str:
    """Return a record as its call, long arrays by their shape: nothing that is printed is a wall of numbers."""
    if not is_dataclass(self):
        return object.__repr__(self)
    shown = [f"{item.name}={_shortened(getattr(self, item.name))}" for item in fields(self) if item.repr]
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _shortened(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key!r}: {_shortened(part)}' for key, part in value.items())}}}"
    if hasattr(value, "shape") and hasattr(value, "dtype") and (sp.issparse(value) or value.size > _LONG):
        return f"<array of shape {'×'.join(map(str, value.shape))}>"
    return repr(value)


class FrozenDict(dict):
    """A dictionary that refuses changes, and holds arrays that do."""

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("this dictionary is read-only; take a copy with dict(…)")

    __setitem__ = __delitem__ = __ior__ = update = pop = popitem = clear = setdefault = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)


class FrozenRows(sp.csr_array):  # type: ignore[misc]
    """A CSR matrix that refuses new entries for as long as its stored ones cannot be written to."""

    def __setitem__(self, key: Any, value: Any) -> None:
        if not self.data.flags.writeable:
            raise ValueError("this matrix is read-only; take a copy with copy()")
        super().__setitem__(key, value)


def frozen(array: np.ndarray, copy: bool = True) -> np.ndarray:
    """Return a read-only view of an own copy of an array in row-major order, or of the array itself if it is one already.

    Parameters
    ----------
    array : ndarray
        What to freeze.
    copy : bool, default True
        Whether to copy; without, the array itself becomes read-only as well.

    Examples
    --------
    >>> mine = np.ones(2)
    >>> held = frozen(mine)
    >>> mine[0], held.flags.writeable, frozen(held) is held
    (np.float64(1.0), False, True)
    """
    if is_frozen(array):
        return array
    own = np.array(array, order="C") if copy else array
    own.setflags(write=False)
    if isinstance(own.base, np.ndarray) and own.base.nbytes == own.nbytes:
        # The same memory by another name, as SciPy makes them.
        own.base.setflags(write=False)
    return own.view()


def frozen_rows(matrix: Any, copy: bool = True) -> FrozenRows:
    """Return a canonical CSR matrix of floats with read-only parts, of an own copy unless asked otherwise.

    Without a copy the parts of a canonical CSR matrix of floats are shared and become read-only.
    """
    if isinstance(matrix, FrozenRows) and is_frozen(matrix.data):
        return matrix
    shared = not copy and matrix.format == "csr" and matrix.dtype == float and matrix.has_canonical_format
    rows = matrix if shared else sp.csr_array(matrix, dtype=float, copy=True)
    rows.sum_duplicates()
    each = (getattr(rows, name) for name in ("data", "indices", "indptr"))
    parts = tuple(frozen(part, copy=not (shared or part.flags.owndata)) for part in each)
    table = FrozenRows(parts, shape=rows.shape)
    table.has_canonical_format = True
    return table


def frozen_in_place(value: Any) -> Any:
    """Return what a computation made with its arrays read-only, also those inside tuples, dictionaries and dataclasses."""
    if isinstance(value, np.ndarray):
        # What a view is cut from could still be written to.
        return frozen(value, copy=not value.flags.owndata)
    if isinstance(value, sp.csr_array):
        return frozen_rows(value, copy=False) if value.dtype == float else value
    if isinstance(value, tuple):
        parts: Iterable[Any] = (frozen_in_place(part) for part in value)
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if isinstance(value, dict):
        # Tables that fill up later stay the ones that their owner fills.
        dict.update(value, {name: frozen_in_place(part) for name, part in value.items()})
    if is_dataclass(value) and not isinstance(value, type):
        for item in fields(value):
            if isinstance(part := getattr(value, item.name, None), np.ndarray):
                object.__setattr__(value, item.name, frozen_in_place(part))
    return value


def is_frozen(array: np.ndarray) -> bool:
    """Return whether an array can never be written to again: a view of a read-only one, which owns its data and could."""
    base = array.base
    return type(array) is np.ndarray and isinstance(base, np.ndarray) and not (array.flags.writeable or base.flags.writeable)
