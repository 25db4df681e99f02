"""A file of one's own parts: theorems, sketches, problems and methods, by explicit tuples, without any registry."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mastsim.methods import Method
from mastsim.problems import Problem
from mastsim.sketches import Sketch
from mastsim.theorems import Theorem
from mastsim.validation import shown

_EXAMPLE = {
    "THEOREMS": "(MyRate,)",
    "SKETCHES": "(MySketch(4),)",
    "PROBLEMS": "(MyRegression(A, y, l2=0.1),)",
    "METHODS": "(MyMethod(0.1),)",
}


@dataclass(frozen=True)
class OwnParts:
    """What a module brings.

    Parameters
    ----------
    theorems : tuple of type of Theorem
        Records.
    sketches : tuple of Sketch
        Members to check.
    problems : tuple of Problem
        Problems to check.
    methods : tuple of Method
        Methods to check.
    """

    theorems: tuple[type[Theorem], ...] = ()
    sketches: tuple[Sketch, ...] = ()
    problems: tuple[Problem, ...] = ()
    methods: tuple[Method, ...] = ()


def load_parts(path: str | Path) -> OwnParts:
    """Run a Python file and return the parts in its tuples THEOREMS, SKETCHES, PROBLEMS and METHODS.

    Parameters
    ----------
    path : str or Path
        The file; its folder is where it may import from while it runs.

    Returns
    -------
    OwnParts
        Records as classes, everything else as instances.

    Raises
    ------
    ValueError
        If there is no such file, it fails, it has none of the tuples, or two records share an id; the message says what.
    TypeError
        If a tuple holds something else.

    References
    ----------
    This package.
    """
    module = _run(Path(path))
    if not any(hasattr(module, name) for name in _EXAMPLE):
        said = ", ".join(f"{name} = {example}" for name, example in _EXAMPLE.items())
        raise ValueError(f"module={str(path)!r} brings nothing: give it one of {said}")
    kinds = {"SKETCHES": Sketch, "PROBLEMS": Problem, "METHODS": Method}
    return OwnParts(
        theorems=tuple(_checked(module, "THEOREMS", lambda part: isinstance(part, type) and issubclass(part, Theorem))),
        **{
            name.lower(): tuple(_checked(module, name, lambda p, kind=kind: isinstance(p, kind)))
            for name, kind in kinds.items()
        },
    )


def _run(path: Path) -> Any:
    if not path.is_file():
        raise ValueError(f"module={str(path)!r} is not accepted: there is no such file")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"module={str(path)!r} is not accepted: it must be a Python file, such as mine.py")
    module = importlib.util.module_from_spec(spec)
    folder = str(path.parent.resolve())
    sys.path.insert(0, folder)
    sys.modules[path.stem], before = module, sys.modules.get(path.stem)
    try:
        spec.loader.exec_module(module)
    except Exception as failure:
        if before is None:
            del sys.modules[path.stem]
        else:
            sys.modules[path.stem] = before
        raise ValueError(f"module={str(path)!r} fails: {type(failure).__name__}: {failure}") from failure
    finally:
        sys.path.remove(folder)
    return module


def _checked(module: Any, name: str, accepts: Any) -> list[Any]:
    parts = getattr(module, name, ())
    if not isinstance(parts, (tuple, list)):
        raise TypeError(f"{name}={shown(parts)} is not accepted: it must be a tuple, such as {name} = {_EXAMPLE[name]}")
    for part in parts:
        if not accepts(part):
            raise TypeError(
                f"{name} holds {shown(part)}: it must hold what its name says, such as {name} = {_EXAMPLE[name]}"
            )
    return list(parts)
