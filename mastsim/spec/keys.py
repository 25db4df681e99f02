"""How each key of a description is read, checked and spelled; a refusal names the key, the value and what is accepted."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from mastsim.keywords import Settings, read_choice, read_number, tidy
from mastsim.methods import Method
from mastsim.methods.families import method_names
from mastsim.problems.dataset import read_label
from mastsim.problems.families import EMPTY, problem_names, problem_settings
from mastsim.problems.row_weights import read_weights
from mastsim.stepsizes import AskedStep
from mastsim.validation import instance, integer, nonnegative, one_of, positive, shown
from mastsim.verification.own_module import load_parts

SPLITS = ("iid", "label")
POINTS = ("zero", "erm")


def read_problem(given: Any, own: Mapping[str, type[Any]] = EMPTY) -> tuple[str, Settings]:
    """Return the keyword and the settings of a problem, each in its one spelling.

    Parameters
    ----------
    given : str or mapping
        ``huber:delta=0.5``, or a table of a name and settings.
    own : mapping of str to type, optional
        Families of one's own, by name.

    Raises
    ------
    ValueError
        If the name or a setting is unknown, or a value is not accepted.

    Examples
    --------
    >>> read_problem("huber:delta=1"), read_problem({"name": "huber", "delta": 0.5})
    (('huber', (('delta', 1.0),)), ('huber', (('delta', 0.5),)))
    """
    keyword, raw = read_choice("problem", given, problem_settings(own))
    if not raw:
        return keyword, ()
    numbers = tuple((name, float(read_number(name, value))) for name, value in sorted(raw.items()))
    family: Any = (problem_names() | dict(own))[keyword]
    try_problem(family, numbers, 1.0, None)
    return keyword, numbers


def read_method(given: Any, own: Mapping[str, type[Method]] = EMPTY) -> tuple[str, Settings]:
    """Return the keyword and the settings of a method, each in its one spelling.

    Parameters
    ----------
    given : str or mapping
        ``page:probability=0.1,sketches=2``, or a table of a name and settings.
    own : mapping of str to type, optional
        Methods of one's own, by name.

    Raises
    ------
    ValueError
        If the name or a setting is unknown, or a value is not accepted.

    Examples
    --------
    >>> read_method("dsgd:minibatch=8"), read_method({"name": "dsgd", "sampling": "nice:8"})
    (('dsgd', (('minibatch', 8),)), ('dsgd', (('minibatch', 8),)))
    """
    kinds = method_names() | dict(own)
    known = {name: kind.settings() for name, kind in kinds.items()}
    keyword, raw = read_choice("method", given, known, bare="it takes exact gradients and no settings")
    return keyword, kinds[keyword].spell(raw) if raw else ()


@lru_cache(maxsize=512)
def try_problem(family: Any, settings: Settings, l2: float | None, condition_number: float | None) -> None:
    """Refuse settings that a family refuses, on data of one row, so that no data are needed."""
    family(np.ones((1, 1)), np.ones(1), l2=l2, condition_number=condition_number, **dict(settings))


def named(key: str, value: Any, check: Callable[[Any], Any]) -> Any:
    """Return a checked value; a refusal names the key."""
    try:
        return check(value)
    except (ValueError, TypeError) as refusal:
        if key in str(refusal):
            raise
        raise type(refusal)(f"{key}: {refusal}") from refusal


def words(text: str) -> list[str]:
    """Return the words of a text of options; shlex would read None from the standard input."""
    instance("text", text, str)
    try:
        return shlex.split(text)
    except ValueError as problem:
        raise ValueError(f"text={shown(text)} is not accepted: {problem}") from None


def _text(value: Any) -> str:
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"{shown(value)} is not accepted: it must be a text")
    return str(os.fspath(value))


def _shift(value: Any) -> str:
    if _text(value) not in POINTS and not Path(value).is_file():
        raise ValueError(f"shift={shown(value)} is not accepted: it must be zero, erm or an existing .npy or .csv file")
    return _text(value)


def _module(value: str) -> str:
    load_parts(value)
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{shown(value)} is not accepted: it must be true or false")
    return value


def _number(name: str, accepts: Callable[[str, Any], Any]) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if isinstance(value, bool):
            raise TypeError(f"{name}={value} is not accepted: it must be a number")
        return accepts(name, value)

    return check


CHECKS: Mapping[str, Callable[[Any], Any]] = {
    "data": _text,
    "target": _text,
    "module": lambda value: _module(_text(value)),
    "l2": _number("l2", nonnegative),
    "condition_number": _number("condition_number", positive),
    "weights": lambda value: read_weights(_text(value)),
    "intercept": _flag,
    "sketch": lambda value: tidy(_text(value)),
    "shift": _shift,
    "clients": _number("clients", lambda name, value: integer(name, value, 1)),
    "split": lambda value: one_of("split", value, SPLITS),
    "stepsize": lambda value: AskedStep.read(value).spelled,
    "positive": _number("positive", lambda _, value: read_label(value)),
    "features": _number("features", lambda name, value: integer(name, value, 1)),
    "zero_based": _flag,
    "standardise": _flag,
}
"""How each key that stands alone is checked and spelled; `read_problem` and `read_method` read the other two."""
NUMBERS = ("l2", "condition_number", "clients", "features")
OPTIONAL = (*NUMBERS, "positive", "target", "weights", "module")
