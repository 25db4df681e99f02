"""Array namespaces: NumPy, CuPy, or what arrays name as theirs, with the names of the array standard that one lacks."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np

_FILLED: dict[str, Callable[[Any], Any]] = {
    "astype": lambda xp: lambda x, dtype, copy=True: x.astype(dtype, copy=copy),
    "bool": lambda xp: xp.bool_,
    "concat": lambda xp: xp.concatenate,
    "cumulative_sum": lambda xp: lambda x, axis=None: xp.cumsum(x, axis=axis),
    "matrix_transpose": lambda xp: lambda x: xp.swapaxes(x, -1, -2),
    "svdvals": lambda xp: lambda x: xp.svd(x, compute_uv=False),
}
"""Names of the standard that a version of CuPy may not have, from what it has."""


class Filled:
    """A module like NumPy, and what it lacks of the standard's names that this package uses.

    Parameters
    ----------
    module : module
        The module.

    Examples
    --------
    >>> Filled(np).concat([np.ones(1), np.zeros(1)]).tolist()
    [1.0, 0.0]
    """

    def __init__(self, module: Any) -> None:
        self._module, self.__name__ = module, module.__name__

    def __getattr__(self, name: str) -> Any:
        if hasattr(self._module, name) or name not in _FILLED:
            found = getattr(self._module, name)
            found = Filled(found) if isinstance(found, ModuleType) else found
        else:
            found = _FILLED[name](self._module)
        setattr(self, name, found)
        return found


NUMPY: Any = np
"""The namespace of arrays on the host."""


def is_cupy(thing: Any) -> bool:
    """Return whether an array, or a namespace, is CuPy's.

    Examples
    --------
    >>> is_cupy(np.ones(2)), is_cupy(NUMPY)
    (False, False)
    """
    name = thing.__name__ if hasattr(thing, "__name__") else type(thing).__module__
    return str(name).partition(".")[0] == "cupy"


def namespace_of(array: Any) -> Any:
    """Return the namespace of one array.

    Raises
    ------
    TypeError
        If it is none.

    Examples
    --------
    >>> namespace_of(np.ones(2)) is NUMPY
    True
    """
    if isinstance(array, (np.ndarray, np.generic)):
        return NUMPY
    if is_cupy(array):
        return _cupy()
    if not hasattr(array, "__array_namespace__"):
        raise TypeError(f"{type(array).__name__} is no array that mastsim knows; pass a NumPy or CuPy array")
    return array.__array_namespace__()


@cache
def _cupy() -> Any:
    return Filled(importlib.import_module("cupy"))
