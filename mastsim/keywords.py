"""Families by their keyword, with settings: as a text such as ``page:probability=0.1,sketches=2``, or as a table."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeVar

from mastsim.digits import plain_number
from mastsim.validation import number, one_of, shown


class _Named(Protocol):
    keyword: str


Kind = TypeVar("Kind", bound=_Named)

_WHOLE = re.compile("[+-]?[0-9]{1,100}")
"""Whole numbers that stay whole; longer ones are beyond every range."""

Settings = tuple[tuple[str, Any], ...]


def by_keyword(kinds: Iterable[Kind]) -> dict[str, Kind]:
    """Return those of some families that have a keyword, under it."""
    return {kind.keyword: kind for kind in kinds if kind.keyword}


def named(module: str, kinds: Iterable[type[Any]]) -> Callable[[str], type[Any]]:
    """Return the ``__getattr__`` of a module that finds the classes of a list by name, so that nothing else lists them."""
    known = {kind.__name__: kind for kind in kinds}

    def find(name: str) -> type[Any]:
        if name not in known:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        return known[name]

    return find


def read_choice(
    what: str, given: Any, known: Mapping[str, Iterable[str]], bare: str = "it takes none"
) -> tuple[str, dict[str, Any]]:
    """Return the keyword and the settings that a text or a table names.

    Parameters
    ----------
    what : str
        What errors call it, for example ``method``.
    given : str or mapping
        ``page:probability=0.1``, or ``{"name": "page", "probability": 0.1}``; where there is only one setting, its value
        alone will do, ``huber:0.5``.
    known : mapping of str to iterable of str
        Every keyword, with the names of its settings.
    bare : str, default "it takes none"
        What is said of one without settings when it is given some.

    Returns
    -------
    tuple of str and dict
        The keyword, and values by name, texts as they stand.

    Raises
    ------
    TypeError
        If `given` is neither.
    ValueError
        If the keyword or a setting is unknown (the nearest is suggested), given twice or without a value.

    References
    ----------
    This package.

    Examples
    --------
    >>> read_choice("method", "page:probability=0.1", {"page": ["probability", "sketches"]})
    ('page', {'probability': '0.1'})
    """
    keyword, items = _parts(what, given)
    names = list(known[one_of(what, keyword, known)])
    settings: dict[str, Any] = {}
    for name, value in items:
        name = name or _only(what, keyword, names, value)
        if not names:
            raise ValueError(f"{keyword} has no setting {name!r}: {bare}")
        one_of(f"setting of {keyword}", name, names)
        if name in settings:
            raise ValueError(f"{what}={shown(given)} is not accepted: it gives {name!r} twice")
        settings[name] = value
    return keyword, settings


def _parts(what: str, given: Any) -> tuple[str, list[tuple[str, Any]]]:
    """Return the keyword and the pairs of name and value, the name empty for a value alone."""
    if isinstance(given, Mapping):
        if "name" not in given:
            raise ValueError(
                f"{what}={shown(dict(given))} has no 'name': write for example {{name = 'page', probability = 0.1}}"
            )
        return str(given["name"]), [(key, value) for key, value in given.items() if key != "name"]
    if not isinstance(given, str):
        raise TypeError(f"{what}={shown(given)} is not accepted: it must be a name, or a table of a name and settings")
    keyword, colon, rest = given.partition(":")
    pairs = [item.partition("=") for item in rest.split(",")] if colon else []
    return keyword, [(name.strip(), value.strip()) if equals else ("", name.strip()) for name, equals, value in pairs]


def _only(what: str, keyword: str, names: list[str], value: Any) -> str:
    if not names:
        raise ValueError(f"{what} '{keyword}:{value}' is not accepted: {keyword} has no settings")
    if len(names) > 1 or not value:
        raise ValueError(
            f"{what} '{keyword}:{value}' is not accepted: write {keyword}:SETTING=VALUE, SETTING one of {names}"
        )
    return names[0]


def write_choice(keyword: str, settings: Settings) -> str:
    """Return the text that `read_choice` reads.

    Examples
    --------
    >>> write_choice("page", (("probability", 0.1),))
    'page:probability=0.1'
    """
    return ":".join([keyword, ",".join(f"{name}={value}" for name, value in settings)] if settings else [keyword])


def read_number(name: str, value: Any) -> int | float:
    """Return the number that a value is or spells, whole where it is written so, refusing anything else."""
    plain = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(plain, str):
        plain = int(plain) if _WHOLE.fullmatch(plain) else number(name, plain, f"{name}=NUMBER")
    if isinstance(plain, bool) or not isinstance(plain, (int, float)):
        raise TypeError(f"{name}={shown(value)} is not accepted: it must be a number")
    return plain


def tidy(text: str) -> str:
    """Return a text whose parts between colons are spelled in one way where they are numbers.

    Examples
    --------
    >>> tidy("randk:0.10"), tidy("nofm:2:4"), tidy("bernoulli:1.0")
    ('randk:0.1', 'nofm:2:4', 'bernoulli:1')
    """
    return ":".join(_tidy(part.strip()) for part in text.split(":"))


def _tidy(part: str) -> str:
    try:
        value = float(plain_number(part))
    except ValueError:
        return part
    if not math.isfinite(value):
        return part
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
