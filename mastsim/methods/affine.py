"""Whether a method says that its step is affine: what exact moments may read off it."""

from __future__ import annotations

from typing import Any

from mastsim.methods.base import Method
from mastsim.methods.steprules import ConstantStep

_SAYS_NOTHING = ("name", "target", "points", "compresses_points", "affine", "linear", "closed_recursion", "moment_operators")


def implementation(thing: Any) -> type:
    """Return the class that last changed how a method or compressor works: subclasses that only rename it do not count."""
    return next(kind for kind in type(thing).__mro__ if _changes(kind))


def _changes(kind: type) -> bool:
    """Whether a class body defines anything that runs, apart from what is known to say nothing about a step."""
    ours = {name: value for name, value in vars(kind).items() if not _is_special(name) and name not in _SAYS_NOTHING}
    runs = any(callable(value) or hasattr(value, "__get__") for value in ours.values())
    return runs or "__post_init__" in vars(kind) or "__getattribute__" in vars(kind) or "__getattr__" in vars(kind)


def _is_special(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def declared(thing: Any, what: str) -> Any:
    """Return the class attribute `what` if the class that last changed how something works, or one derived from it, has it.

    Returns None otherwise, so that what a base class says is not taken for what a changed subclass does.
    """
    for kind in type(thing).__mro__:
        if what in vars(kind):
            return vars(kind)[what]
        if _changes(kind):
            return None
    return None


def steps_are_constant(method: Method) -> bool:
    """Whether every step has the size that `ConstantStep` gives: a subclass that changes how it works does not count."""
    return implementation(method.rule) is ConstantStep


def steps_are_alike(method: Method) -> bool:
    """Whether every step has the same law."""
    return steps_are_constant(method) and not method.changes_with_time


def require_alike(method: Method, what: str) -> None:
    """Refuse a method whose steps change with their number, in which what is asked for has no meaning."""
    if not steps_are_constant(method):
        raise ValueError(f"{method.name} has a step size that changes: {what} needs a constant one")
    if method.changes_with_time:
        raise ValueError(f"the steps of {method.name} change with their number: {what} needs steps that are alike")


def rules_of(method: Method) -> tuple[Any, ...]:
    """Return the rules that a step of a method follows: how the shift moves, and in which order sketches come."""
    return tuple(getattr(method, name) for name in ("shift", "order", "participation") if hasattr(method, name))


def require_affine(method: Method) -> None:
    """Refuse a method that does not say that every step is one random affine map of its state."""
    if method.rule.adapts:
        raise ValueError(
            f"the step sizes of {method.name} depend on the iterate, so that its steps are not affine: there are no exact "
            "moments; use simulate, or verify for verdicts from trees and replicas"
        )
    if declared(method, "affine") is not True:
        kind = implementation(method).__name__
        raise ValueError(
            f"{method.name} does not say that its step is affine: exact moments need a step that is an affine map of the "
            f"state for every outcome of its draws; if it is, write `affine = True` in the body of class {kind}"
        )
    for rule in rules_of(method):
        if declared(rule, "affine") is not True:
            raise ValueError(
                f"{method.name} has the rule {rule.name}, which does not say that it is affine: exact moments need that; "
                f"if it is, write `affine = True` in the body of class {implementation(rule).__name__}"
            )
    compressor = getattr(method, "compression", None)
    if compressor is not None and declared(compressor, "linear") is not True:
        raise ValueError(
            f"{method.name} compresses by {compressor.name}, which does not say that it is linear: exact moments need that; "
            f"if it is, write `linear = True` in the body of class {implementation(compressor).__name__}"
        )
