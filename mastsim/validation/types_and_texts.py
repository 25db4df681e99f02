"""Checks of types, texts, paths and flags."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from mastsim.validation.words import described, shown


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
    """Return what to pass in place of what is no instance of a class, where the class says it."""
    return f", for example {vars(kind)['example']}" if "example" in vars(kind) else ""


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


def one_of(name: str, value: str, known: Iterable[str]) -> str:
    """Return ``value`` if it is among ``known``; otherwise refuse and suggest the nearest name."""
    names = list(known)
    if isinstance(value, str) and value in names:
        return value
    near = difflib.get_close_matches(value, names, n=1, cutoff=0.4) if isinstance(value, str) else []
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise ValueError(f"unknown {name} {shown(value)}{hint} Known names: {', '.join(names)}")
