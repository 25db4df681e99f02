"""A theorem's weaker twin: the same claim, with every constant moved by its error to the side that makes it claim less."""

from __future__ import annotations

import copy
import math
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from mastsim.constants.node import Node
from mastsim.provenance import Constant

T = TypeVar("T")

ULPS = 8 * float(np.finfo(float).eps)
"""Relative rounding that every constant is taken to have, whatever error it states."""

SMALLER_IS_WEAKER = frozenset(
    (
        *("mu_f", "mu_D", "mu_fD", "mu_fD_sharp", "mu_PL", "f_inf", "fS_inf", "clients_inf", "components_inf"),
        *("mu_f_PL", "step_second_moment_least", "descent_gain", "gradient_gain"),
    )
)
"""Constants whose smaller values make a theorem claim less; of all others larger values do."""


class LenientConstants:
    """A table of constants in which every constant is moved by its error to the weaker side.

    Parameters
    ----------
    table : mapping of str to Constant
        The constants of an objective; also what its nodes contribute is moved.
    """

    def __init__(self, table: Any) -> None:
        self._table = table

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _moved(name, getattr(self._table, name))

    def __getitem__(self, name: str) -> Constant:
        return weakened(name, self._table[name])


def weakened(name: str, constant: Constant) -> Constant:
    """Return a constant moved by its error, and at least by rounding, to the side on which theorems claim less."""
    value, error = constant.value, max(constant.error, ULPS * abs(constant.value))
    if name in SMALLER_IS_WEAKER:
        # A convex function stays convex whatever the error: below 0 theorems would speak of something else.
        moved = max(value - error, 0.0) if value >= 0 and not name.endswith("_inf") else value - error
    else:
        moved = value + error
    return Constant(moved, constant.kind, constant.source)


def _moved(name: str, found: Any) -> Any:
    if isinstance(found, Constant):
        return weakened(name, found)
    if isinstance(found, tuple) and found and all(isinstance(part, Node) for part in found):
        return tuple(LenientConstants(part) for part in found)
    return found


def lenient(theorem: T) -> T:
    """Return a copy of a theorem that claims less: its `constants` are moved by their errors, its settings are the same.

    What the copy claims exceeds what the theorem claims by the errors of the constants that the claim looks up, so that only
    what exceeds the copy's claim refutes the theorem. It works for every subclass that looks constants up in `constants`.
    """
    kind = type(theorem)
    moved = LenientConstants(theorem.constants)  # type: ignore[attr-defined]
    twin = copy.copy(theorem)
    # A property goes before the instance's own attributes, whether the class has a cached property or a plain one.
    named = {"constants": property(lambda self: moved), "__module__": kind.__module__, "__doc__": kind.__doc__}
    object.__setattr__(twin, "__class__", type(kind.__name__, (kind,), named))
    for name in [key for key in twin.__dict__ if _is_cached(kind, key)]:
        del twin.__dict__[name]
    return twin


def _is_cached(kind: type, name: str) -> bool:
    return any(isinstance(vars(base).get(name), cached_property) for base in kind.__mro__)


def allowed_by(claim: Any, *arguments: Any) -> np.ndarray:
    """Return what a lenient claim allows: infinitely much where it cannot be computed, as when a divisor became zero."""
    try:
        with np.errstate(all="ignore"):
            found = np.asarray(claim(*arguments), dtype=float)
    except (ZeroDivisionError, OverflowError):
        return np.asarray(math.inf)
    return np.where(np.isnan(found), np.inf, found)
