"""Counterexamples as tests to paste: text that builds the instance from public names and runs as it stands."""

from __future__ import annotations

import importlib
import re
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any

import numpy as np

from mastsim.theorems import Theorem
from mastsim.verification import attack


def runnable(text: str, kind: type[Theorem]) -> bool:
    """Return whether a test runs as it stands and passes."""
    scope: dict[str, Any] = {kind.__name__: kind}
    try:
        exec(text, scope)
        scope[_name(kind)]()
    except Exception:
        return False
    return True


def by_verdict(claim: Theorem, how: str) -> str:
    """Return a test that builds a claim that was refuted, and passes for as long as `mastsim.verify` refutes it."""
    writer, kind = _Writer(), type(claim)
    built = writer.expression(claim.objective)
    settings = "".join(
        f", {item.name}={writer.expression(getattr(claim, item.name))}"
        for item in fields(claim)[1:]
        if not _is_default(item, getattr(claim, item.name))
    )
    body = [
        f"F = {built}",
        f"verdict = ms.verify({kind.__name__}(F{settings}))",
        'assert verdict.verdict == "refuted", verdict',
    ]
    return _text(kind, how, ["import mastsim as ms", *writer.imports()], body)


def by_instance(instance: Any, kind: type[Theorem], how: str) -> str:
    """Return a test that builds an instance of an attack, and passes for as long as left exceeds right there."""
    writer = _Writer()
    body = [
        f"witness = {writer.expression(instance)}",
        f"ratio = witness.ratio({kind.__name__})",
        "assert ratio > 1 + 1e-9, ratio",
    ]
    return _text(kind, how, writer.imports(), body)


class _Writer:
    """Writes objects as the calls that build them, and remembers what these calls need imported."""

    def __init__(self) -> None:
        self.needed: dict[str, set[str]] = {}
        self.numpy = False

    def imports(self) -> list[str]:
        lines = [f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(self.needed.items())]
        return ["import numpy as np", *lines] if self.numpy else lines

    def expression(self, thing: Any) -> str:
        """Return an expression for a number, text, container, array or dataclass."""
        if isinstance(thing, np.ndarray):
            self.numpy = True
            return f"np.array({thing.tolist()!r})"
        if isinstance(thing, (list, tuple)):
            parts = ", ".join(self.expression(part) for part in thing)
            return f"[{parts}]" if isinstance(thing, list) else f"({parts}{',' * (len(thing) == 1)})"
        if isinstance(thing, dict):
            return "{" + ", ".join(f"{key!r}: {self.expression(value)}" for key, value in thing.items()) + "}"
        if is_dataclass(thing) and not isinstance(thing, type):
            said = (item for item in fields(thing) if item.init and not _is_default(item, getattr(thing, item.name)))
            return f"{self._name(type(thing))}({', '.join(self._given(thing, item) for item in said)})"
        return repr(thing)

    def _given(self, thing: Any, item: Field) -> str:
        return f"{item.name}={self.expression(getattr(thing, item.name))}"

    def _name(self, kind: type) -> str:
        if getattr(importlib.import_module("mastsim"), kind.__name__, None) is kind:
            return f"ms.{kind.__name__}"
        public = attack.__name__ if getattr(attack, kind.__name__, None) is kind else kind.__module__
        self.needed.setdefault(public, set()).add(kind.__name__)
        return kind.__name__


def _is_default(item: Field, value: Any) -> bool:
    """Whether a field has a plain default, or makes one, and holds just that."""
    default = item.default if item.default_factory is MISSING else item.default_factory()
    if default is MISSING or isinstance(default, np.ndarray) or type(value) is not type(default):
        return False
    return bool(value == default)


def _text(kind: type[Theorem], how: str, imports: list[str], body: list[str]) -> str:
    mine = [] if "<locals>" in kind.__qualname__ else [f"from {kind.__module__} import {kind.__name__}"]
    lines = [f'"""{how}"""', *imports, *mine, "", *body]
    return "\n".join([f"def {_name(kind)}():", *(f"    {line}".rstrip() for line in lines)]) + "\n"


def _name(kind: type[Theorem]) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", kind.__name__).lower()
    return f"test_{words}_is_refuted"
