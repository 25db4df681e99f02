"""Values as messages show them."""

from __future__ import annotations

from typing import Any

_NOUNS = {
    "Problem": "problem",
    "Objective": "objective",
    "Sketch": "sketch",
    "Method": "method",
    "Sampling": "sampling",
    "Compressor": "compressor",
    "StepRule": "step rule",
    "Theorem": "theorem",
    "Run": "run",
    "Dataset": "data set",
}


def shown(value: Any) -> str:
    """Return a value as a message shows it: itself where that is short, and otherwise what it is."""
    if isinstance(value, type) or type(value).__module__.startswith("mastsim."):
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
    for base in type(value).__mro__:
        if base.__module__.startswith("mastsim.") and base.__name__ in _NOUNS:
            return f"the {_NOUNS[base.__name__]} {getattr(value, 'name', type(value).__name__)}"
    return kind_of(value)


def kind_of(value: Any) -> str:
    """Return the type of a value as a message names it."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    home, name = type(value).__module__.partition(".")[0], type(value).__name__
    full = name if home == "builtins" else f"{home}.{name}"
    return f"{full} of {value.dtype}" if hasattr(value, "dtype") else full


def own_kind_of(value: Any) -> str:
    """Return what a value of this package is, and the type of any other."""
    own = isinstance(value, type) or type(value).__module__.startswith("mastsim.")
    return described(value) if own else kind_of(value)
