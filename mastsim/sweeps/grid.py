"""Reading a grid: lists of settings, checked before any work, whose cartesian product is the tasks."""

from __future__ import annotations

import itertools
import math
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from mastsim.problems import Dataset, load
from mastsim.problems.catalogue import DEFAULT_DATA
from mastsim.problems.dataset import sha256
from mastsim.problems.row_weights import column_of_weights
from mastsim.run import AVERAGE_MEASURES, MEASURES
from mastsim.simulation import check_sizes
from mastsim.spec import CHECKS, FITS, Fit, Spec, read_method, read_problem
from mastsim.sweeps.tasks import NUMBERS, Task
from mastsim.validation import EVALUATIONS, integer, one_of, positive, shown
from mastsim.verification.own_module import OwnParts, load_parts

MOST_TASKS = 100_000
"""The most tasks of a grid: they are listed in seconds."""


def read_grid(grid: Mapping[str, Any] | str | os.PathLike[str]) -> list[Task]:
    """Return the tasks of a grid, the last key of `Task` varying fastest.

    Parameters
    ----------
    grid : mapping, or path of a TOML file
        Keys are ``data``, ``problem``, ``l2`` or ``condition_number``, ``weights``, ``intercept``, ``sketch``, ``shift``,
        ``clients``, ``split``, ``method``, ``stepsize``, ``steps``, ``replicas`` and ``seed``, each with a value or a list
        of values, and those that are the same for all tasks: ``measures``, ``measure_accuracy`` and ``every`` as in
        `simulate`, ``module`` as in `Spec`, and ``target``, ``standardise``, ``positive``, ``features`` and ``zero_based``
        as in `mastsim.load`. Only ``sketch`` has no default. A method is a name or a table of its name and settings, which
        may be lists too: ``{name = "page", probability = [0.1, 0.5]}``.

    Returns
    -------
    list of Task
        One task for every combination.

    Raises
    ------
    ValueError
        If a key or a value is not accepted, there are more than 100,000 tasks, or a task needs more memory than is free; the
        message names it.
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
    shared = {key: check(given[key]) if key in given else default for key, (check, default) in _SHARED.items()}
    known = _axes_with(OwnParts() if shared["module"] is None else load_parts(shared["module"]))
    axes = {key: _axis(key, given[key], check) if key in given else [default] for key, (check, default) in known.items()}
    for key in _CHOICES:
        axes[key] = [case for choices in axes[key] for case in choices]
        _no_repeats(key, axes[key])
    if (count := math.prod(len(values) for values in axes.values())) > MOST_TASKS:
        raise ValueError(f"the grid has {count} tasks, but at most {MOST_TASKS} are accepted: split it up")
    reading = {key: shared[key] for key in ("features", "zero_based", "target", "standardise")}
    datasets = {
        (name, column): _checked("data", name, partial(load, **reading, weights=column))
        for name in axes["data"]
        for column in {column_of_weights(weights) for weights in axes["weights"]}
    }
    files = {name: _hash_of(name) for name in (*axes["shift"], *axes["weights"])}
    numbers = [axes.pop(name) for name in NUMBERS]
    tasks = []
    for values in itertools.product(*axes.values()):
        first = _task(dict(zip(axes, values, strict=True)), datasets, files, shared)
        tasks += [first.with_numbers(*each) for each in itertools.product(*numbers)]
    _check_fit(tasks, datasets)
    return tasks


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
    if key not in _CHOICES:
        _no_repeats(key, values)
    return values


def _no_repeats(key: str, values: list[Any]) -> None:
    seen = set()
    for value in values:
        if value in seen:
            raise ValueError(f"grid key {key!r} repeats {value!r}: every value must be there once")
        seen.add(value)


def _checked(key: str, value: Any, check: Callable[[Any], Any]) -> Any:
    with _named(key):
        if isinstance(value, bool) and check is not CHECKS.get("zero_based"):
            raise TypeError(f"{value} is not accepted: it must not be true or false")
        return check(value)


def _choices(read: Callable[[Any], Any], given: Any) -> list[Any]:
    """Return the names and settings that an entry stands for: settings in a table may be lists."""
    if not isinstance(given, Mapping):
        return [read(given)]
    for key, value in given.items():
        if isinstance(value, (list, tuple)) and not value:
            raise ValueError(
                f"setting {key!r} of {given.get('name')} is an empty list: give at least one value, or leave it out"
            )
    plain = [value.tolist() if hasattr(value, "tolist") else value for value in given.values()]
    lists = [list(value) if isinstance(value, (list, tuple)) else [value] for value in plain]
    return [read(dict(zip(given, values, strict=True))) for values in itertools.product(*lists)]


def _known(name: str, *names: str) -> Callable[[Any], str]:
    return lambda value: one_of(name, value, names)


def _whole(name: str, low: int, high: int | None = None) -> Callable[[Any], int]:
    return lambda value: integer(name, value, low, high)


_CHOICES = ("problem", "method")
# The order is that of the product: what is costly to build changes least often.
_AXES: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "data": (CHECKS["data"], DEFAULT_DATA),
    "problem": (partial(_choices, read_problem), [(Spec.problem, ())]),
    "l2": (CHECKS["l2"], None),
    "condition_number": (CHECKS["condition_number"], None),
    "weights": (CHECKS["weights"], None),
    "intercept": (CHECKS["intercept"], Spec.intercept),
    "sketch": (CHECKS["sketch"], None),
    "shift": (CHECKS["shift"], Spec.shift),
    "clients": (CHECKS["clients"], None),
    "split": (CHECKS["split"], Spec.split),
    "method": (partial(_choices, read_method), [("dsgd", ())]),
    "stepsize": (CHECKS["stepsize"], Spec.stepsize),
    "steps": (_whole("steps", 1), Task.steps),
    "replicas": (_whole("replicas", 1), Task.replicas),
    "seed": (_whole("seed", 0, 2**64 - 1), Task.seed),
}


def _axes_with(own: OwnParts) -> dict[str, tuple[Callable[[Any], Any], Any]]:
    """Return how keys are read beside parts of one's own."""
    problem, method = partial(read_problem, own=own.families), partial(read_method, own=own.method_kinds)
    changed = {"problem": partial(_choices, problem), "method": partial(_choices, method)}
    return _AXES | {key: (check, _AXES[key][1]) for key, check in changed.items()}


_SHARED: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "measures": (lambda value: tuple(_axis("measures", value, _known("measure", *MEASURES, *AVERAGE_MEASURES))), None),
    "every": (lambda value: _checked("every", value, _whole("every", 1)), None),
    "measure_accuracy": (
        lambda value: _checked("measure_accuracy", value, lambda given: positive("measure_accuracy", given, EVALUATIONS)),
        Task.measure_accuracy,
    ),
    "positive": (lambda value: _checked("positive", value, CHECKS["positive"]), None),
    "module": (lambda value: _checked("module", value, CHECKS["module"]), None),
    "target": (lambda value: _checked("target", value, CHECKS["target"]), None),
    "standardise": (lambda value: _checked("standardise", value, CHECKS["standardise"]), Spec.standardise),
    "features": (lambda value: _checked("features", value, CHECKS["features"]), None),
    "zero_based": (lambda value: _checked("zero_based", value, CHECKS["zero_based"]), Spec.zero_based),
}


def _fit_sizes(task: Any, data: Dataset) -> None:
    check_sizes(data.d, task.steps, task.replicas, task.every, task.measures)


_FITS = (*FITS, Fit("replicas", ("steps", "replicas"), _fit_sizes))


def _check_fit(tasks: list[Task], datasets: Mapping[tuple[str, str | None], Dataset]) -> None:
    """Refuse tasks that do not fit their data, each combination of what a check reads once."""
    for part in _FITS:
        distinct = {tuple(getattr(task, key) for key in ("data", *part.reads)): task for task in reversed(tasks)}
        for task in reversed(distinct.values()):
            with _named(part.key, task.data):
                part.check(task, datasets[task.data, task.weights_column])


@contextmanager
def _named(key: str, data: str | None = None) -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError) as refusal:
        where = "" if data is None else f" with data {data!r}"
        raise ValueError(f"grid key {key!r}{where}: {refusal}") from refusal


def _hash_of(name: str | None) -> str | None:
    """Return the hash of the file of a vector, or None where a name is none."""
    named = name is None or name in ("zero", "erm", "balanced")
    return None if name is None or named or not Path(name).is_file() else sha256(Path(name).read_bytes())


def _task(
    values: dict[str, Any],
    datasets: Mapping[tuple[str, str | None], Dataset],
    files: Mapping[str | None, str | None],
    shared: dict[str, Any],
) -> Task:
    method, settings = values.pop("method")
    problem, problem_settings = values.pop("problem")
    return Task(
        **values,
        **shared,
        data_sha256=datasets[values["data"], column_of_weights(values["weights"])].sha256,
        shift_sha256=files[values["shift"]],
        weights_sha256=files[values["weights"]],
        module_sha256=_hash_of(shared["module"]),
        problem=problem,
        problem_settings=problem_settings,
        method=method,
        settings=settings,
    )
