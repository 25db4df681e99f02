"""Synthetic data with an exact condition number and labels of a planted model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.special import expit

from mastsim.digits import plain_number
from mastsim.memory import check_room
from mastsim.problems.dataset import Dataset, digest
from mastsim.validation import integer, one_of

_MARGIN_RMS = 2.0
_LARGEST_CONDITION = 1e12
_COPIES = 5


@dataclass(frozen=True)
class _Options:
    n: int = 500
    d: int = 40
    condition: float = 100.0
    seed: int = 0
    noise: float = 0.0
    density: float | None = None

    def __str__(self) -> str:
        given = {key: value for key, value in asdict(self).items() if value is not None}
        return ",".join(f"{key}={repr(value).removesuffix('.0')}" for key, value in given.items())


def _whole(low: int) -> Callable[[str, str], int]:
    def convert(name: str, text: str) -> int:
        try:
            value = int(plain_number(text))
        except ValueError:
            raise ValueError(f"{name}={text!r} is not accepted: it must be an integer >= {low}") from None
        return integer(name, value, low)

    return convert


def _between(low: float, high: float) -> Callable[[str, str], float]:
    def convert(name: str, text: str) -> float:
        try:
            value = float(plain_number(text))
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise ValueError(f"{name}={text!r} is not accepted: it must be a number from {low:g} to {high:g}")
        return value

    return convert


_CONVERT: Mapping[str, Callable[[str, str], float]] = MappingProxyType(
    {
        "n": _whole(1),
        "d": _whole(1),
        "condition": _between(1, _LARGEST_CONDITION),
        "seed": _whole(0),
        "noise": _between(0, 0.5),
        "density": _between(0, 1),
    }
)


def _parse_options(text: str) -> _Options:
    found: dict[str, Any] = {}
    for item in text.split(",") if text else []:
        key, equals, value = (part.strip() for part in item.partition("="))
        if not equals:
            raise ValueError(f"synthetic option {item!r} is not accepted: write option=value, as in n=500")
        one_of("synthetic option", key, _CONVERT)
        if key in found:
            raise ValueError(f"synthetic option {key}={value!r} is not accepted: {key} is given twice")
        found[key] = _CONVERT[key](f"synthetic option {key}", value)
    if found.get("d") == 1:
        found.setdefault("condition", 1.0)
    options = _Options(**found)
    _check_options(options)
    return options


def _check_options(options: _Options) -> None:
    n, d, density = options.n, options.d, options.density
    if d > n:
        raise ValueError(
            f"synthetic option d={d} is not accepted with n={n}: it must be an integer from 1 to {n}, since with more "
            "columns than rows AᵀA is singular and has no condition number"
        )
    # The table, its factors and what their computation takes; d ≤ n here.
    check_room("synthetic data of n × d", n, d, change="choose a smaller n or d", itemsize=_COPIES * 8)
    if d == 1 and options.condition != 1:
        raise ValueError(
            f"synthetic option condition={options.condition:g} is not accepted with d=1: it must be 1, the condition "
            "number of every 1 by 1 matrix"
        )
    if density is not None and density < 1 / d:
        raise ValueError(
            f"synthetic option density={density:g} is not accepted with d={d}: it must be a number from 1/d = {1 / d} "
            "to 1, so that every row holds an entry"
        )


def make_synthetic(text: str) -> Dataset:
    """Return the data set that the options after ``synthetic:`` describe, for example ``n=500,d=40,condition=100``."""
    options = _parse_options(text)
    rng = np.random.Generator(np.random.Philox(options.seed))
    singular_values = np.sqrt(options.n * np.geomspace(1.0, 1.0 / options.condition, options.d))
    A: np.ndarray | sp.csr_array
    if options.density is None:
        left = np.linalg.qr(rng.standard_normal((options.n, options.d)))[0]
        right = np.linalg.qr(rng.standard_normal((options.d, options.d)))[0]
        A = (left * singular_values) @ right.T
    else:
        A = sp.csr_array(_sparse_with(singular_values, options.n, options.density, rng))
    y = _planted_labels(A, options.noise, rng)
    source = f"Synthetic ({options}): features with a planted spectrum, labels of a planted logistic model."
    labels = {-1.0: -1, 1.0: 1}
    return Dataset(f"synthetic:{options}", A, y, digest(A, y), source, labels, copy=False)


def _planted_labels(A: np.ndarray | sp.csr_array, noise: float, rng: np.random.Generator) -> np.ndarray:
    n, d = A.shape
    margins = np.asarray(A.dot(rng.standard_normal(d)))
    margins *= _MARGIN_RMS * math.sqrt(n) / np.linalg.norm(margins)
    positive = rng.random(n) < expit(margins)
    flipped = rng.random(n) < noise
    return np.where(positive ^ flipped, 1.0, -1.0)


def _sparse_with(singular_values: np.ndarray, n: int, density: float, rng: np.random.Generator) -> np.ndarray:
    """Return an (n, d) array with these singular values and a share `density`, or just under, of nonzeros."""
    d = len(singular_values)
    table = np.zeros((n, d))
    # Away from zero, so that no column of a short table can vanish.
    table[np.arange(n), rng.permutation(n) % d] = rng.choice([-1.0, 1.0], n) * rng.uniform(0.5, 1.5, n)
    table *= singular_values[rng.permutation(d)] / np.linalg.norm(table, axis=0)
    target = max(n, math.floor(density * n * d))
    filling = True
    while filling and np.count_nonzero(table) < target:
        _rotate_pairs(table.T, target - int(np.count_nonzero(table)), rng)
        filling = _rotate_pairs(table, target - int(np.count_nonzero(table)), rng)
    return table


def _rotate_pairs(table: np.ndarray, budget: int, rng: np.random.Generator) -> bool:
    """Rotate random disjoint pairs of rows in place, adding at most `budget` nonzeros; tell if all were rotated."""
    first, second = rng.permutation(len(table))[: len(table) // 2 * 2].reshape(2, -1)
    filled = table != 0
    union = (filled[first] | filled[second]).sum(axis=1)
    growth = 2 * union - filled[first].sum(axis=1) - filled[second].sum(axis=1)
    count = int(np.searchsorted(np.cumsum(growth), budget, side="right"))
    first, second = first[:count], second[:count]
    angle = rng.uniform(0.1, np.pi / 2 - 0.1, (count, 1))
    cos, sin = np.cos(angle), np.sin(angle)
    table[first], table[second] = cos * table[first] - sin * table[second], sin * table[first] + cos * table[second]
    return count == len(growth)
