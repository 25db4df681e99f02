"""Reading a grid: lists of settings, checked before any work, whose cartesian product is the tasks."""

from __future__ import annotations

import itertools
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from mastsim.memory import check_room
from mastsim.methods import Nice
from mastsim.problems import Dataset, family_for, load
from mastsim.problems.dataset import sha256
from mastsim.problems.families import FAMILIES
from mastsim.run import MEASURES
from mastsim.simulation import check_sizes
from mastsim.sketches import parse_sketch
from mastsim.sweeps.choices import method, method_choices, parse_stepsize
from mastsim.sweeps.tasks import Task
from mastsim.validation import integer, nonnegative, one_of, positive, real, shown
from mastsim.vectors import read_vector

_CONDITION = 100.0


def read_grid(grid: Mapping[str, Any] | str | os.PathLike[str]) -> list[Task]:
    """Return the tasks of a grid, the last key of `Task` varying fastest.

    Parameters
    ----------
    grid : mapping, or path of a TOML file
        Keys are ``data``, ``problem``, ``l2`` or ``condition_number``, ``sketch``, ``shift``, ``clients``, ``split``,
        ``method``, ``stepsize``, ``steps``, ``replicas`` and ``seed``, each with a value or a list of values, and those
        that are the same for all tasks: ``measures`` and ``every`` as in `simulate`, ``positive``, ``features`` and
        ``zero_based`` as in `mastsim.load`. Only ``sketch`` has no default. A method is a name or
        a table of its name and settings, which may be lists too: ``{name = "page", probability = [0.1, 0.5]}``.

    Returns
    -------
    list of Task
        One task for every combination.

    Raises
    ------
    ValueError
        If a key or a value is not accepted, or a task needs more memory than is free; the message names it.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> tasks = read_grid({"data": "synthetic:n=20,d=4", "sketch": ["randk:0.5", "identity"], "seed": [0, 1, 2]})
    >>> [(task.sketch, task.seed) for task in tasks][:4]
    [('randk:0.5', 0), ('randk:0.5', 1), ('randk:0.5', 2), ('identity', 0)]
    """
    given = {key: value for key, value in _mapping(grid).items() if value is not None}
    for key in given:
        one_of("grid key", key, [*_AXES, *_SHARED])
    if "sketch" not in given:
        raise ValueError("the grid has no key 'sketch': name at least one, for example sketch = ['randk:0.1']")
    if "l2" in given and "condition_number" in given:
        raise ValueError("the grid has both 'l2' and 'condition_number': give one of the two")
    axes = {key: _axis(key, given[key], check) if key in given else [default] for key, (check, default) in _AXES.items()}
    if "l2" not in given and "condition_number" not in given:
        axes["condition_number"] = [_CONDITION]
    if "method" in given:
        axes["method"] = [case for choice in axes["method"] for case in choice]
        _no_repeats("method", axes["method"])
    shared = {key: check(given[key]) if key in given else default for key, (check, default) in _SHARED.items()}
    reading = {key: shared[key] for key in ("features", "zero_based")}
    datasets = {name: _checked("data", name, partial(load, **reading)) for name in axes["data"]}
    _check_fit(axes, datasets, shared)
    check_room(
        "the tasks of the grid", *(len(values) for values in axes.values()), change="split it up", itemsize=_TASK_BYTES
    )
    return [_task(dict(zip(axes, values, strict=True)), datasets, shared) for values in itertools.product(*axes.values())]


def _mapping(grid: Mapping[str, Any] | str | os.PathLike[str]) -> Mapping[str, Any]:
    if isinstance(grid, Mapping):
        return grid
    if not isinstance(grid, (str, os.PathLike)):
        raise TypeError(f"grid={shown(grid)} is not accepted: it must be a mapping or the path of a TOML file")
    try:
        text = Path(grid).read_text(encoding="utf-8")
        if not text.strip():
            raise ValueError(f"grid={os.fspath(grid)!r} is not accepted: the file is empty")
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise ValueError(f"{os.fspath(grid)} is not a TOML file: {problem}") from problem


def _axis(key: str, given: Any, check: Callable[[Any], Any]) -> list[Any]:
    plain = given.tolist() if hasattr(given, "tolist") else given
    listed = list(plain) if isinstance(plain, (list, tuple)) else [plain]
    if not listed:
        raise ValueError(f"grid key {key!r} is an empty list: give at least one value, or leave the key out")
    values = [_checked(key, value, check) for value in listed]
    if key != "method":
        _no_repeats(key, values)
    return values


def _no_repeats(key: str, values: list[Any]) -> None:
    for place, value in enumerate(values):
        if value in values[:place]:
            raise ValueError(f"grid key {key!r} repeats {value!r}: every value must be there once")


def _checked(key: str, value: Any, check: Callable[[Any], Any]) -> Any:
    with _named(key):
        if isinstance(value, bool):
            raise TypeError(f"{value} is not accepted: it must not be true or false")
        return check(value)


def _text(value: Any) -> str:
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"{value!r} is not accepted: it must be a text")
    return str(os.fspath(value))


def _shift(value: Any) -> str:
    if _text(value) not in ("zero", "erm") and not Path(value).is_file():
        raise ValueError(f"shift={value!r} is not accepted: it must be zero, erm or an existing .npy or .csv file")
    return _text(value)


def _known(name: str, *names: str) -> Callable[[Any], str]:
    return lambda value: one_of(name, value, names)


def _number(name: str, accepts: Callable[[str, Any], float]) -> Callable[[Any], float]:
    return lambda value: accepts(name, value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"grid key 'zero_based': {value!r} is not accepted: it must be true or false")
    return value


def _whole(name: str, low: int, high: int | None = None) -> Callable[[Any], int]:
    return lambda value: integer(name, value, low, high)


# The order is that of the product: what is costly to build changes least often.
_AXES: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "data": (_text, "breast-cancer"),
    "problem": (_known("problem", *FAMILIES), "auto"),
    "l2": (_number("l2", nonnegative), None),
    "condition_number": (_number("condition_number", positive), None),
    "sketch": (_text, None),
    "shift": (_shift, "zero"),
    "clients": (_whole("clients", 1), None),
    "split": (_known("split", "iid", "label"), "iid"),
    "method": (method_choices, ("dsgd", ())),
    "stepsize": (parse_stepsize, "theory"),
    "steps": (_whole("steps", 1), 1000),
    "replicas": (_whole("replicas", 1), 16),
    "seed": (_whole("seed", 0, 2**64 - 1), 0),
}
_SHARED: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "measures": (lambda value: tuple(_axis("measures", value, _known("measure", *MEASURES))), None),
    "every": (lambda value: _checked("every", value, _whole("every", 1)), None),
    "positive": (lambda value: _checked("positive", value, partial(real, "positive")), None),
    "features": (lambda value: _checked("features", value, _whole("features", 1)), None),
    "zero_based": (_flag, False),
}
_TASK_BYTES = 2048


def _check_fit(axes: Mapping[str, list[Any]], datasets: Mapping[str, Dataset], shared: Mapping[str, Any]) -> None:
    for (name, dataset), problem in itertools.product(datasets.items(), axes["problem"]):
        with _named("problem", name):
            family_for(dataset, problem, shared["positive"])
    for (name, dataset), shift in itertools.product(datasets.items(), axes["shift"]):
        if shift not in ("zero", "erm"):
            with _named("shift", name):
                read_vector("shift", shift, dataset.d)
    for (name, dataset), steps, replicas in itertools.product(datasets.items(), axes["steps"], axes["replicas"]):
        with _named("replicas", name):
            check_sizes(dataset.d, steps, replicas, shared["every"], shared["measures"])
    for (name, dataset), sketch in itertools.product(datasets.items(), axes["sketch"]):
        with _named("sketch", name):
            parse_sketch(sketch, dataset.d)
    for (name, dataset), clients in itertools.product(datasets.items(), axes["clients"]):
        if clients is not None:
            with _named("clients", name):
                integer("clients", clients, 1, dataset.n)
    for (name, dataset), (_, settings) in itertools.product(datasets.items(), axes["method"]):
        with _named("method", name):
            Nice(dict(settings).get("minibatch", 1)).check(dataset.n)
    for (kind, settings), clients in itertools.product(axes["method"], axes["clients"]):
        with _named("method"):
            method(kind, 1.0, dict(settings), clients)


@contextmanager
def _named(key: str, data: str | None = None) -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError) as refusal:
        where = "" if data is None else f" with data {data!r}"
        raise ValueError(f"grid key {key!r}{where}: {refusal}") from refusal


def _task(values: dict[str, Any], datasets: Mapping[str, Dataset], shared: dict[str, Any]) -> Task:
    kind, settings = values.pop("method")
    file = values["shift"] not in ("zero", "erm")
    return Task(
        **values,
        **shared,
        data_sha256=datasets[values["data"]].sha256,
        shift_sha256=sha256(Path(values["shift"]).read_bytes()) if file else None,
        method=kind,
        settings=settings,
    )
