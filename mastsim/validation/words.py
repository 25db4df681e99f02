"""Values as messages show them."""

from __future__ import annotations

from typing import Any


def shown(value: Any) -> str:
    """Return a value as a message shows it: itself where that is short, and otherwise what it is."""
    if isinstance(value, type) or is_of_this_package(type(value)):
        return f"({described(value)})"
    if isinstance(value, int) and abs(value) > 10**60:
        return "(a number of more than 60 digits)"
    written = repr(value)
    return written if len(written) <= 60 and "\n" not in written else f"({kind_of(value)})"


def described(value: Any) -> str:
    """Return what a value is, in a few words: ``the problem least squares (n = 5, d = 2)``, ``the class RandK``."""
    if value is None:
        return "None"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    # The classes that users pass say what they are called.
    noun = next(
        (vars(base)["noun"] for base in type(value).__mro__ if is_of_this_package(base) and "noun" in vars(base)), None
    )
    return kind_of(value) if noun is None else f"the {noun} {getattr(value, 'name', type(value).__name__)}"


def is_of_this_package(kind: type) -> bool:
    """Return whether a class is defined in this package, which is known to do what it says."""
    return kind.__module__.partition(".")[0] == __name__.partition(".")[0]


def kind_of(value: Any) -> str:
    """Return the type of a value as a message names it."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    home, name = type(value).__module__.partition(".")[0], type(value).__name__
    full = name if home == "builtins" else f"{home}.{name}"
    return f"{full} of {value.dtype}" if hasattr(value, "dtype") else full


def own_kind_of(value: Any) -> str:
    """Return what a value of this package is, and the type of any other."""
    own = isinstance(value, type) or is_of_this_package(type(value))
    return described(value) if own else kind_of(value)
