"""A file of one's own parts: theorems, sketches, problems and methods, by explicit tuples, without any registry."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np

from mastsim.methods import Method
from mastsim.problems import GeneralizedLinearModel, Loss, Problem
from mastsim.sketches import Sketch
from mastsim.theorems import Theorem
from mastsim.validation import shown

_EXAMPLE = {
    "THEOREMS": "(MyRate,)",
    "SKETCHES": "(MySketch(4),)",
    "PROBLEMS": "(MyRegression,)",
    "METHODS": "(MyMethod,)",
}


@dataclass(frozen=True)
class OwnParts:
    """What a module brings: classes, or instances, which stand for their class and its settings.

    Parameters
    ----------
    theorems : tuple of type of Theorem
        Records.
    sketches : tuple of Sketch or type of Sketch
        Sketches; a class is built from a text by its `from_text`.
    problems : tuple of Problem or type of Problem
        Problems; those of generalised linear models are built from any data.
    methods : tuple of Method or type of Method
        Methods.
    """

    theorems: tuple[type[Theorem], ...] = ()
    sketches: tuple[Any, ...] = ()
    problems: tuple[Any, ...] = ()
    methods: tuple[Any, ...] = ()

    @property
    def families(self) -> dict[str, type[Any]]:
        """Families of problems that data are turned into, by name."""
        kinds = (_kind(part) for part in self.problems)
        return {_name(kind): kind for kind in kinds if issubclass(kind, GeneralizedLinearModel)}

    @property
    def method_kinds(self) -> dict[str, type[Method]]:
        """Methods by name."""
        return {_name(kind): kind for kind in map(_kind, self.methods)}

    @property
    def losses(self) -> tuple[Loss, ...]:
        """The losses of problems that are generalised linear models."""
        models = (each for part in self.problems for each in members(part))
        return tuple(each.loss for each in models if isinstance(each, GeneralizedLinearModel))

    def method(self, name: str) -> Method | None:
        """Return the instance of a method that is named, or None where its class is."""
        return next((part for part in self.methods if not isinstance(part, type) and _name(_kind(part)) == name), None)

    def sketch(self, text: str, dim: int) -> Sketch | None:
        """Return the sketch that a text names, in a dimension; None where it is not one of these.

        Parameters
        ----------
        text : str
            A name, and perhaps what the `from_text` of a class reads.
        dim : int
            The dimension.

        Raises
        ------
        ValueError
            If no instance of that name has the dimension, or several have it.
        """
        name, colon, argument = text.partition(":")
        named = [part for part in self.sketches if _name(_kind(part)) == name]
        ready = [part for part in named if not isinstance(part, type)]
        classes: list[Any] = [part for part in named if isinstance(part, type)]
        if not named:
            return None
        if classes and (colon or not ready):
            made: Sketch = classes[0].from_text(argument, dim)
            return made
        if colon:
            raise ValueError(
                f"sketch={text!r} is not accepted: the module has {name} ready made, so that it takes no settings"
            )
        fitting = [part for part in ready if part.dim == dim]
        if len(fitting) != 1:
            found = ", ".join(str(part.dim) for part in ready)
            raise ValueError(
                f"sketch={text!r} is not accepted: one of dimension {dim} is needed, and the module's have {found}"
            )
        ready_made: Sketch = fitting[0]
        return ready_made


def load_parts(path: str | Path) -> OwnParts:
    """Run a Python file and return the parts in its tuples THEOREMS, SKETCHES, PROBLEMS and METHODS.

    A part is named by its `keyword`, or else by its class. A file is run again when it has changed.

    Parameters
    ----------
    path : str or Path
        The file; its folder is where it may import from while it runs.

    Returns
    -------
    OwnParts
        Records as classes, everything else as classes or instances.

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
    file = Path(path)
    if not file.is_file():
        raise ValueError(f"module={str(path)!r} is not accepted: there is no such file")
    state = file.stat()
    return _loaded(file.resolve(), state.st_mtime_ns, state.st_size)


def members(part: Any) -> list[Any]:
    """Return what a part is checked by: itself, or what can be made of a class without further arguments.

    Parameters
    ----------
    part : Sketch, Problem, Method or a class of these
        A part of a module.
    """
    if not isinstance(part, type):
        return [part]
    kind: Any = part
    if issubclass(kind, Sketch):
        return list(kind.examples(4))
    if issubclass(kind, Method):
        return [kind(0.05)]
    if not issubclass(kind, GeneralizedLinearModel):
        return []
    rng = np.random.Generator(np.random.Philox(0))
    loss = kind(np.ones((1, 1)), np.ones(1), l2=1.0).loss
    return [kind(rng.standard_normal((8, 3)), loss.labels_like(rng.standard_normal(8)), l2=0.1)]


@lru_cache(maxsize=16)
def _loaded(path: Path, *_changes: int) -> OwnParts:
    module = _run(path)
    if not any(hasattr(module, name) for name in _EXAMPLE):
        said = ", ".join(f"{name} = {example}" for name, example in _EXAMPLE.items())
        raise ValueError(f"module={str(path)!r} brings nothing: give it one of {said}")
    kinds = {"SKETCHES": Sketch, "PROBLEMS": Problem, "METHODS": Method}
    return OwnParts(
        theorems=tuple(_checked(module, "THEOREMS", lambda part: isinstance(part, type) and issubclass(part, Theorem))),
        **{
            name.lower(): tuple(_checked(module, name, lambda part, kind=kind: issubclass(_kind(part), kind)))
            for name, kind in kinds.items()
        },
    )


def _kind(part: Any) -> type[Any]:
    return part if isinstance(part, type) else type(part)


def _name(kind: type[Any]) -> str:
    return str(getattr(kind, "keyword", "")) or kind.__name__


class _AsItIsNow(SourceFileLoader):
    """A loader that keeps no bytecode: Python takes that of a file of the same size and second for the file's."""

    def get_code(self, fullname: str) -> CodeType:
        """Return what the file says."""
        return self.source_to_code(self.get_data(self.path), self.path)


def _run(path: Path) -> Any:
    if path.suffix != ".py":
        raise ValueError(f"module={str(path)!r} is not accepted: it must be a Python file, such as mine.py")
    loader = _AsItIsNow(path.stem, str(path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(path.stem, loader))  # type: ignore[arg-type]
    folder = str(path.parent.resolve())
    sys.path.insert(0, folder)
    sys.modules[path.stem], before = module, sys.modules.get(path.stem)
    try:
        loader.exec_module(module)
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
        if name == "THEOREMS" and (lacking := part.missing()):
            raise TypeError(f"{part.__name__} of {name} lacks {', '.join(lacking)}: give each in the body of the class")
    return list(parts)
