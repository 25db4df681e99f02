"""Settings of methods as texts and tables spell them: numbers, samplings and compressors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

from mastsim.keywords import by_keyword, read_number, tidy
from mastsim.methods.compression import Compressor, SketchCompressor, Uncompressed
from mastsim.methods.minibatch import Sampling
from mastsim.methods.orders import ALL_ORDERS
from mastsim.methods.participation import AVERAGES, Participation
from mastsim.methods.quantisers import DitheringCompressor, NaturalCompressor
from mastsim.methods.shifts import ALL_SHIFT_RULES
from mastsim.methods.uniform_sampling import FullBatch, Nice
from mastsim.methods.weighted_sampling import IndependentSampling, WithReplacement
from mastsim.problems import Problem
from mastsim.validation import integer, one_of, shown

T = TypeVar("T")

ALL_SAMPLINGS: tuple[type[Sampling], ...] = (FullBatch, Nice, IndependentSampling, WithReplacement)
"""Every sampling."""

ALL_COMPRESSORS: tuple[type[Compressor], ...] = (Uncompressed, SketchCompressor, NaturalCompressor, DitheringCompressor)
"""Every compressor."""


class Setting(NamedTuple):
    """How a setting of a method is read.

    Parameters
    ----------
    field : str
        The field of the method that it sets.
    spell : callable
        Maps the name of the setting and its value, as somebody wrote them, to the one spelling of both.
    build : callable
        Maps the value in that spelling, and a problem, to the value of the field.
    is_number : bool, default False
        Whether the value in its one spelling is that of the field.
    """

    field: str
    spell: Callable[[str, Any], tuple[str, Any]]
    build: Callable[[Any, Problem], Any]
    is_number: bool = False


def settings_of(names: Iterable[str]) -> dict[str, Setting]:
    """Return the settings of fields by name: samplings and compressors are known by that name, all others are numbers."""
    found: dict[str, Setting] = {}
    for name in names:
        found |= _KNOWN.get(name) or {name: Setting(name, _number, lambda value, problem: value, is_number=True)}
    return found


def parse_sampling(text: str, problem: Problem) -> Sampling:
    """Return the sampling that a text such as ``nice:32`` names."""
    kind, argument = _split("sampling", text, by_keyword(ALL_SAMPLINGS))
    return kind.from_text(argument, problem)


def parse_compressor(text: str, problem: Problem) -> Compressor:
    """Return the compressor that a text such as ``dithering:4`` names."""
    read, argument = _split("compression", text, _compressor_readers())
    return read(argument, problem.dim)


def _split(setting: str, text: str, known: Mapping[str, T]) -> tuple[T, str]:
    """Return what the keyword of a text stands for, and the rest of the text."""
    keyword, _, argument = text.partition(":")
    return known[one_of(setting, keyword, known)], argument


def _compressor_readers() -> dict[str, Callable[[str, int], Compressor]]:
    """Return what reads the rest of a text, by the keyword of a compressor or a sketch."""
    return {name: read for kind in ALL_COMPRESSORS for name, read in kind.readers().items()}


def _number(name: str, value: Any) -> tuple[str, Any]:
    return name, read_number(name, value)


def _minibatch(name: str, value: Any) -> tuple[str, Any]:
    return name, integer(name, read_number(name, value), 1)


def _sampling(name: str, value: Any) -> tuple[str, Any]:
    keyword, text = _keyword(name, value, by_keyword(ALL_SAMPLINGS))
    # A minibatch is the short spelling of a nice sampling, and the one that is kept.
    return _minibatch("minibatch", text.partition(":")[2]) if keyword == Nice.keyword else (name, text)


def _compression(name: str, value: Any) -> tuple[str, Any]:
    return name, _keyword(name, value, _compressor_readers())[1]


def _keyword(name: str, value: Any, known: Iterable[str]) -> tuple[str, str]:
    """Return the keyword of a text, and the text in its one spelling."""
    if not isinstance(value, str):
        raise TypeError(
            f"{name}={shown(value)} is not accepted: it must be a text that starts with one of {', '.join(known)}"
        )
    text = tidy(value)
    return one_of(name, text.partition(":")[0], known), text


def parse_rule(name: str, text: str) -> Any:
    """Return the shift rule, the order or the participation that a text such as ``refreshed:0.1`` names."""
    known = _KNOWN[name][name]
    return known.build(known.spell(name, text)[1], None)  # type: ignore[arg-type]


def _rule(field: str, readers: Mapping[str, Callable[[str], Any]]) -> dict[str, Setting]:
    """Return how a setting is read whose value is a rule, tried as it is written, by what reads the rest of a text."""

    def read(text: str) -> Any:
        keyword, _, argument = text.partition(":")
        return readers[keyword](argument)

    def spell(name: str, value: Any) -> tuple[str, str]:
        return name, read(_keyword(name, value, readers)[1]).text

    return {field: Setting(field, spell, lambda value, problem: read(value))}


def _readers(kinds: Iterable[Any]) -> dict[str, Callable[[str], Any]]:
    return {name: kind.from_text for name, kind in by_keyword(kinds).items()}


def _averaging(name: str, value: Any) -> tuple[str, Any]:
    return name, one_of(name, value, AVERAGES)


_KNOWN: dict[str, dict[str, Setting]] = {
    "sampling": {
        "minibatch": Setting("sampling", _minibatch, lambda value, problem: Nice(value)),
        "sampling": Setting("sampling", _sampling, parse_sampling),
    },
    "compression": {"compression": Setting("compression", _compression, parse_compressor)},
    "shift": _rule("shift", _readers(ALL_SHIFT_RULES)),
    "order": _rule("order", _readers(ALL_ORDERS)),
    "participation": _rule("participation", {"p": Participation.each, "m": Participation.several}),
    "averaging": {"averaging": Setting("averaging", _averaging, lambda value, problem: value)},
}
