"""Changed versions of one's own claim, made at run time: its constants and its step multiplied, its gap dropped."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import fields
from functools import cached_property
from typing import Any, NamedTuple

from mastsim.constants.node import Node
from mastsim.provenance import Constant
from mastsim.theorems import Rate, Theorem

FACTORS = (0.5, 0.9, 1.1)
_STEPS, _SLACK = (1, 3, 30, 1000), 1 + 1e-12
GAPS = frozenset(("gap", "gap_sharp", "component_gap"))


class Mutant(NamedTuple):
    """A changed version of a record.

    Parameters
    ----------
    what : str
        What was changed, for example ``mu_fD × 1.1``.
    kind : type of Theorem
        The record with the change.
    """

    what: str
    kind: type[Theorem]


class Lookups:
    """A table of constants that notes what is looked up, and multiplies some of it.

    Parameters
    ----------
    table : Constants or Node
        The table.
    names : frozenset of str
        What is multiplied.
    factor : float
        By what.
    seen : set of str
        Where names that were looked up are put.
    """

    def __init__(self, table: Any, names: frozenset[str], factor: float, seen: set[str]) -> None:
        self._table, self._names, self._factor, self._seen = table, names, factor, seen

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._changed(name, getattr(self._table, name))

    def __getitem__(self, name: str) -> Any:
        return self._changed(name, self._table[name])

    def _changed(self, name: str, found: Any) -> Any:
        if isinstance(found, tuple) and found and all(isinstance(part, Node) for part in found):
            return tuple(Lookups(part, self._names, self._factor, self._seen) for part in found)
        if not isinstance(found, Constant):
            return found
        self._seen.add(name)
        if name not in self._names:
            return found
        return Constant(self._factor * found, found.kind, found.source, abs(self._factor) * found.error)


def with_constants(kind: type[Theorem], names: frozenset[str], factor: float, seen: set[str]) -> type[Theorem]:
    """Return a record whose look-ups of some constants are multiplied, and noted."""

    def constants(self: Any) -> Lookups:
        return Lookups(super(made, self).constants, names, factor, seen)

    made = _derived(kind, constants=cached_property(constants))
    return made


def with_step(kind: type[Theorem], factor: float) -> type[Theorem]:
    """Return a rate whose largest step size is multiplied."""

    def stepsize(self: Any) -> float:
        return factor * float(super(made, self).stepsize)

    made = _derived(kind, stepsize=property(stepsize))
    return made


def _derived(kind: type[Theorem], **members: Any) -> type[Theorem]:
    named = {"__module__": kind.__module__, "__doc__": kind.__doc__, "__qualname__": kind.__qualname__}
    return type(kind.__name__, (kind,), named | members)


def rebuilt(kind: type[Theorem], claim: Theorem) -> Theorem:
    """Return a record of a kind with the objective and the settings of a claim."""
    return kind(**{item.name: getattr(claim, item.name) for item in fields(claim)})


def looked_up(claim: Theorem) -> set[str]:
    """Return the names of the constants that a claim looks up."""
    seen: set[str] = set()
    kind = with_constants(type(claim), frozenset(), 1.0, seen)
    twin = rebuilt(kind, claim)
    if isinstance(twin, Rate):
        twin.claim(1, twin.stepsize, 1.0)
    else:
        for part in twin.parts:  # type: ignore[attr-defined]
            twin.spectral_sides(part)  # type: ignore[attr-defined]
    return seen


def says_less(changed: Theorem, claim: Theorem) -> bool:
    """Return whether a changed rate allows no larger step than the claim, and promises no more wherever it is looked at.

    Parameters
    ----------
    changed, claim : Theorem
        A changed version of a record and the record, on one objective; False for records that are no rates.
    """
    if not (isinstance(changed, Rate) and isinstance(claim, Rate)):
        return False
    largest = float(changed.stepsize)
    if not largest <= float(claim.stepsize) * _SLACK:
        return False
    places = itertools.product(_STEPS, (largest, 0.5 * largest, 0.01 * largest), (0.0, 1e-6, 1.0, 1e6))
    return all(
        float(changed.claim(steps, gamma, start)) * _SLACK >= float(claim.claim(steps, gamma, start))
        for steps, gamma, start in places
    )


def mutants(kind: type[Theorem], names: set[str]) -> Iterator[Mutant]:
    """Yield changed versions of a record: each constant that it looks up, and its step, times `FACTORS`; no gap."""
    for name in sorted(names):
        for factor in FACTORS:
            yield Mutant(f"{name} × {factor:g}", with_constants(kind, frozenset((name,)), factor, set()))
    if issubclass(kind, Rate):
        yield from (Mutant(f"step × {factor:g}", with_step(kind, factor)) for factor in FACTORS)
    if gaps := GAPS & names:
        yield Mutant("the gap dropped", with_constants(kind, gaps, 0.0, set()))
