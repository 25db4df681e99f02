"""What a grid may say about the method and its step size."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, NamedTuple

from mastsim import methods
from mastsim.methods import ALL_METHODS, Method, Nice, StochasticMethod
from mastsim.validation import STEPS, number, one_of, positive

_METHODS = {("distributed" if kind.__name__ == "DistributedDSGD" else kind.__name__.lower()): kind for kind in ALL_METHODS}
_NO_NUMBERS = ("stepsize", "sampling", "compression")

Choice = tuple[str, tuple[tuple[str, Any], ...]]


class Asked(NamedTuple):
    """A step size: ``factor`` times what a theorem allows, or times 1.

    Parameters
    ----------
    factor : float
        The factor, above 0.
    unit : {"theory", "sharp"} or None
        The published or the sharp constants; None for a plain number.
    """

    factor: float
    unit: str | None


def parse_stepsize(given: Any) -> float | str:
    """Return a step size in its one spelling: a float, or theory or sharp, perhaps with a factor in front.

    Parameters
    ----------
    given : float or str
        For example 0.01, ``"theory"`` or ``"0.5*sharp"``.

    Raises
    ------
    ValueError
        If it is anything else, or not above 0.

    Examples
    --------
    >>> parse_stepsize(1), parse_stepsize("2 * theory"), parse_stepsize("1.0*sharp")
    (1.0, '2.0*theory', 'sharp')
    """
    if not isinstance(given, str):
        return positive("stepsize", given, STEPS)
    factor, unit = asked(given)
    if unit is None:
        return factor
    return unit if factor == 1 else f"{factor!r}*{unit}"


def asked(stepsize: float | str) -> Asked:
    """Return the factor and the unit of a step size."""
    if not isinstance(stepsize, str):
        return Asked(stepsize, None)
    form = "a number, theory, sharp, or a multiple of these such as 0.5*theory"
    factor, star, unit = (part.strip() for part in stepsize.rpartition("*"))
    if not star and unit not in ("theory", "sharp"):
        if unit[:1].isalpha() and unit.lower() not in ("nan", "inf", "infinity"):
            one_of("stepsize", unit, ["theory", "sharp", "0.5*theory"])
        return Asked(positive("stepsize", number("stepsize", unit, form), STEPS), None)
    one_of("stepsize", unit, ["theory", "sharp"])
    return Asked(positive("stepsize", number("stepsize", factor, form), STEPS) if star else 1.0, unit)


def method_choices(given: Any) -> list[Choice]:
    """Return the methods and settings that an entry of a grid stands for.

    Parameters
    ----------
    given : str or mapping
        A name, or a table of a name and settings whose values may be lists.

    Raises
    ------
    ValueError
        If the name or a setting is unknown.

    Examples
    --------
    >>> method_choices({"name": "page", "probability": [0.1, 0.5]})
    [('page', (('probability', 0.1),)), ('page', (('probability', 0.5),))]
    """
    if not isinstance(given, (str, Mapping)):
        raise TypeError(f"{given!r} is not accepted: it must be a name, or a table of a name and settings")
    table = {"name": given} if isinstance(given, str) else dict(given)
    if "name" not in table:
        raise ValueError(f"{table!r} has no 'name': write for example {{name = 'page', probability = 0.1}}")
    name = one_of("method", table.pop("name"), _METHODS)
    known = _settings(_METHODS[name])
    for key, value in table.items():
        if not known:
            raise ValueError(f"{name} has no setting {key!r}: it takes none")
        one_of(f"setting of {name}", key, known)
        if value in ([], ()):
            raise ValueError(f"setting {key!r} of {name} is an empty list: give at least one value, or leave it out")
    plain = [value.tolist() if hasattr(value, "tolist") else value for value in table.values()]
    lists = [list(value) if isinstance(value, (list, tuple)) else [value] for value in plain]
    return [(name, tuple(sorted(zip(table, values, strict=True)))) for values in itertools.product(*lists)]


def method(name: str, stepsize: float, settings: Mapping[str, Any], clients: int | None) -> Method:
    """Return a method with a step size and settings.

    Parameters
    ----------
    name : str
        As a grid writes it, for example ``dsgd``.
    stepsize : float
        γ > 0.
    settings : mapping
        Its settings.
    clients : int or None
        The number of clients it will run for.

    Raises
    ------
    ValueError
        If a setting is not accepted, or the method does not fit the clients.

    Examples
    --------
    >>> method("dsgd", 0.1, {"minibatch": 8}, None).name
    'DSGD, 8-nice'
    """
    kind = _METHODS[name]
    if kind is methods.DistributedDSGD and clients is None:
        raise ValueError("method 'distributed' needs the grid key 'clients'")
    if clients is not None and kind not in (methods.DistributedDSGD, methods.GD):
        raise ValueError(
            f"method {name!r} is not for clients: use 'distributed' or 'gd', or leave the grid key 'clients' out"
        )
    options = {key: _plain(key, value) for key, value in settings.items() if key != "minibatch"}
    if "minibatch" in settings:
        options["sampling"] = Nice(_plain("minibatch", settings["minibatch"]))
    return kind(stepsize, **options)


def _plain(key: str, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{key}={value!r} is not accepted: it must be a number")
    return value


def _settings(kind: type[Method]) -> list[str]:
    own = [field.name for field in fields(kind) if field.name not in _NO_NUMBERS]
    return ["minibatch", *own] if issubclass(kind, StochasticMethod) else own
