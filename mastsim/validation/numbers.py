"""Checks of single numbers."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from mastsim.digits import plain_number
from mastsim.validation.spans import SETTINGS, UNLIMITED, Span
from mastsim.validation.words import shown

_WORD = 2**63 - 1


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
    return _sized(name, number, span) if number else 0.0  # without a sign


def real(name: str, value: Any, span: Span = UNLIMITED) -> float:
    """Return ``value`` as a float, refusing anything that is not a finite number of an accepted size."""
    number = a_float(name, value)
    if not math.isfinite(number):
        raise ValueError(f"{name}={shown(value)} is not accepted: it must be a finite number")
    return math.copysign(_sized(name, abs(number), Span(0.0, span.most)), number)


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


def number(name: str, text: str, form: str) -> float:
    """Return the number that `text` spells, refusing anything else and showing the accepted form."""
    try:
        return float(plain_number(text))
    except (TypeError, ValueError):
        raise ValueError(f"{name} {shown(text)} is not accepted: write {form}") from None


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
