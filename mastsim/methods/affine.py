"""Whether a method says that its step is affine: what exact moments may read off it."""

from __future__ import annotations

from typing import Any

from mastsim.methods.base import Method
from mastsim.methods.steprules import ConstantStep

_SAYS_NOTHING = ("name", "target", "points", "compresses_points", "affine", "linear")


def implementation(thing: Any) -> type:
    """Return the class that last changed how a method or compressor works: subclasses that only rename it do not count.

    Parameters
    ----------
    thing : object
        A method or a compressor.

    Examples
    --------
    >>> import mastsim as ms
    >>> class Renamed(ms.DSGD):
    ...     name = "mine"
    >>> implementation(Renamed(0.1)).__name__
    'DSGD'
    """
    return next(kind for kind in type(thing).__mro__ if _changes(kind))


def _changes(kind: type) -> bool:
    """Whether a class body defines anything that runs, apart from what is known to say nothing about a step."""
    ours = {name: value for name, value in vars(kind).items() if not _is_special(name) and name not in _SAYS_NOTHING}
    runs = any(callable(value) or hasattr(value, "__get__") for value in ours.values())
    return runs or "__post_init__" in vars(kind) or "__getattribute__" in vars(kind) or "__getattr__" in vars(kind)


def _is_special(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def declares(thing: Any, what: str) -> bool:
    """Whether the class that last changed how something works, or one derived from it, says `what` in its own body.

    Parameters
    ----------
    thing : object
        A method or a compressor.
    what : {"affine", "linear"}
        The class attribute.

    Examples
    --------
    >>> import mastsim as ms
    >>> class Doubled(ms.DSGD):
    ...     def step(self, state, objective, draw):
    ...         return super().step(super().step(state, objective, draw), objective, draw)
    >>> declares(ms.DSGD(0.1), "affine"), declares(Doubled(0.1), "affine")
    (True, False)
    """
    for kind in type(thing).__mro__:
        if what in vars(kind):
            return vars(kind)[what] is True
        if _changes(kind):
            return False
    return False


def steps_are_constant(method: Method) -> bool:
    """Whether every step has the size that `ConstantStep` gives: a subclass that changes how it works does not count.

    Parameters
    ----------
    method : Method
        Any method.

    Examples
    --------
    >>> import mastsim as ms
    >>> class Halving(ms.ConstantStep):
    ...     def at(self, step):
    ...         return self.stepsize / 2**step
    >>> steps_are_constant(ms.DSGD(0.1)), steps_are_constant(ms.DSGD(Halving(0.1)))
    (True, False)
    """
    return implementation(method.rule) is ConstantStep


def rules_of(method: Method) -> tuple[Any, ...]:
    """Return the rules that a step of a method follows: how the shift moves, and in which order sketches come.

    Parameters
    ----------
    method : Method
        Any method.

    Examples
    --------
    >>> import mastsim as ms
    >>> [rule.name for rule in rules_of(ms.DSGD(0.1))], rules_of(ms.GD(0.1))
    (['fixed shift', 'independent sketches'], ())
    """
    return tuple(getattr(method, name) for name in ("shift", "order") if hasattr(method, name))


def require_affine(method: Method) -> None:
    """Refuse a method that does not say that every step is one random affine map of its state, the same law every step.

    Parameters
    ----------
    method : Method
        Any method.

    Raises
    ------
    ValueError
        If the step size changes, or the class of the method or of its compressor does not say so.

    Examples
    --------
    >>> import mastsim as ms
    >>> require_affine(ms.DSGD(0.1))
    """
    if not steps_are_constant(method):
        raise ValueError(f"{method.name} has a step size that changes: exact moments need a constant one")
    if not declares(method, "affine"):
        kind = implementation(method).__name__
        raise ValueError(
            f"{method.name} does not say that its step is affine: exact moments need a step that is an affine map of the "
            f"state for every outcome of its draws; if it is, write `affine = True` in the body of class {kind}"
        )
    for rule in rules_of(method):
        if not declares(rule, "affine"):
            raise ValueError(
                f"{method.name} has the rule {rule.name}, which does not say that it is affine: exact moments need that; "
                f"if it is, write `affine = True` in the body of class {implementation(rule).__name__}"
            )
    compressor = getattr(method, "compression", None)
    if compressor is not None and not declares(compressor, "linear"):
        raise ValueError(
            f"{method.name} compresses by {compressor.name}, which does not say that it is linear: exact moments need that; "
            f"if it is, write `linear = True` in the body of class {implementation(compressor).__name__}"
        )
