"""Shrinking: fewer parts, shorter horizons, rounder numbers, as long as the ratio stays high enough."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np

from mastsim.theorems import Theorem
from mastsim.verification.attack.cosines import CosineInstance
from mastsim.verification.attack.quadratic_instance import Instance
from mastsim.verification.attack.search import confirmed

Found = Instance | CosineInstance
_PASSES = 4


def shrink(instance: Found, kind: type[Theorem], floor: float, evaluations: int = 4000) -> tuple[Found, int]:
    """Return a smaller and rounder instance whose ratio is at least `floor`, and how many evaluations that took.

    Parameters
    ----------
    instance : Instance or CosineInstance
        Where it starts.
    kind : type of Theorem
        The record.
    floor : float
        The ratio to keep; a candidate below it is not taken.
    evaluations : int, default 4000
        The most evaluations.

    References
    ----------
    This package; the idea is that of property-based testing.

    Examples
    --------
    >>> from mastsim import theorems
    >>> from mastsim.verification.attack.bowls_and_sketches import Bowl, SketchPart
    >>> found = Instance((Bowl(((1.2345,),), (0.0,)),), (SketchPart("bernoulli", keep=(0.4987,)),), (0.0,), (1.7,))
    >>> small, _ = shrink(found, theorems.StronglyConvexDSGD, 0.999)
    >>> small.bowls[0].curvature, small.start, small.horizon
    (((1.0,),), (1.0,), 1)
    """
    count = 0
    for _ in range(_PASSES):
        before = instance
        for step in (_fewer_parts, _shorter, _rounder):
            instance, used = _greedy(instance, kind, floor, step, evaluations - count)
            count += used
        if instance == before or count >= evaluations:
            break
    return instance, count


def _greedy(instance: Found, kind: type[Theorem], floor: float, step: Any, most: int) -> tuple[Found, int]:
    """Take candidates of a kind of step for as long as one is good enough; after each, go on behind its place."""
    count, place = 0, 0
    while True:
        groups = list(step(instance))[place:]
        taken = None
        for group in groups:
            place += 1
            for candidate in group:
                if count >= most:
                    return instance, count
                count += 1
                if confirmed(candidate, kind) >= floor:
                    taken = candidate
                    break
            if taken is not None:
                break
        if taken is None:
            return instance, count
        instance, place = taken, 0 if step is _fewer_parts else place


def _fewer_parts(instance: Found) -> Iterator[list[Found]]:
    for candidate in _tried(instance.smaller()):
        yield [candidate]


def _tried(candidates: Iterator[Any]) -> Iterator[Any]:
    """Yield candidates until one cannot be formed."""
    try:
        yield from candidates
    except (ValueError, ZeroDivisionError):
        return


def _shorter(instance: Found) -> Iterator[list[Found]]:
    yield from instance.shorter()  # type: ignore[misc]


def _rounder(instance: Found) -> Iterator[list[Found]]:
    """Yield, for every number, the instances in which it is replaced by a simpler one, the simplest first."""
    yield from instance.simplified()  # type: ignore[misc]
    record = instance.record()
    for path, value in _numbers(record):
        changed = []
        for simple in _simpler(value):
            copied = copy.deepcopy(record)
            _put(copied, path, simple)
            try:
                changed.append(type(instance).from_record(copied).tidy())
            except (ValueError, ZeroDivisionError, FloatingPointError):
                continue
        yield [candidate for candidate in changed if candidate != instance]


def _numbers(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], float]]:
    if isinstance(tree, float):
        yield path, tree
    elif isinstance(tree, (dict, list, tuple)):
        for key, part in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from _numbers(part, (*path, key))


def _put(tree: Any, path: tuple[Any, ...], value: float) -> None:
    """Replace a number in nested dictionaries and tuples; the tuples on the way become lists."""
    for key in path[:-1]:
        if isinstance(tree[key], tuple):
            tree[key] = list(tree[key])
        tree = tree[key]
    tree[path[-1]] = value


def _simpler(value: float) -> list[float]:
    """Return simpler numbers near or instead of a number, the simplest first; nothing for numbers simple already."""
    if value == 0 or not np.isfinite(value):
        return []
    found = [0.0, np.sign(value), np.sign(value) * 10.0 ** np.round(np.log10(abs(value)))]
    found += [float(f"{value:.{digits}g}") for digits in (1, 2, 3, 4)]
    own = _length(value)
    return [float(x) for x in dict.fromkeys(found) if _length(float(x)) < own]


def _length(value: float) -> int:
    """Return how long a number is: 0 for zero, 1 for one, otherwise its digits and its power of ten."""
    if value in (0.0, 1.0):
        return int(value)
    digits, _, power = f"{abs(value):.15e}".partition("e")
    return 1 + len(digits.replace(".", "").rstrip("0")) + (abs(int(power)) > 1) + (value < 0)
