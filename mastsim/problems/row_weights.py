"""Weights of rows, and the column of ones of an intercept: options of every generalised linear model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from mastsim.problems.dataset import Dataset, spell_label
from mastsim.readonly import frozen, frozen_rows
from mastsim.rounding import summed
from mastsim.validation import ENTRIES, number, real, shown, vector
from mastsim.vectors import read_vector

BALANCED, COLUMN = "balanced", "column:"
_FORMS = "one number a row, a mapping of labels to weights, or 'balanced'"


def row_weights(given: Any, y: np.ndarray) -> np.ndarray | None:
    """Return weights of mean 1, or None where all rows weigh the same.

    Parameters
    ----------
    given : array of shape (n,), mapping, "balanced" or None
        Weights of the rows; a weight for each label; or such that every label weighs the same.
    y : ndarray, shape (n,)
        Labels.

    Raises
    ------
    ValueError, TypeError
        If a weight is negative or not finite, none is above 0, or a label has none.

    Examples
    --------
    >>> row_weights({-1: 1, 1: 3}, np.array([-1.0, 1.0])), row_weights("balanced", np.array([0.0, 0.0, 1.0])).tolist()
    (array([0.5, 1.5]), [0.75, 0.75, 1.5])
    """
    if given is None:
        return None
    if isinstance(given, str) and given != BALANCED:
        raise ValueError(f"weights={shown(given)} is not accepted: it must be {_FORMS}")
    if isinstance(given, str):
        _, label, count = np.unique(y, return_inverse=True, return_counts=True)
        weights = (1 / count)[label]
    elif isinstance(given, Mapping):
        weights = _by_label(given, y)
    else:
        weights = vector("weights", given, len(y), ENTRIES)
    _check_signs(weights)
    mean = float(weights.mean())
    return None if float(np.ptp(weights)) == 0 else frozen(weights / mean)


def read_weights(given: str) -> str:
    """Return a text that says what rows weigh, in its one spelling.

    Parameters
    ----------
    given : str
        ``balanced``; a weight for each label, ``0:1,1:5``; ``column:NAME``, a column of a table; or a .npy or .csv file.

    Raises
    ------
    ValueError
        If it is none of these.

    Examples
    --------
    >>> read_weights("1:5, 0:1.0"), read_weights("column:size")
    ('0:1,1:5', 'column:size')
    """
    if given == BALANCED or (given.startswith(COLUMN) and given != COLUMN):
        return given
    if Path(given).is_file():
        return given
    pairs = [pair.strip().split(":") for pair in given.split(",")]
    if any(len(pair) != 2 or not all(pair) for pair in pairs):
        raise ValueError(
            f"weights={shown(given)} is not accepted: it must be balanced, a weight for each label such as 0:1,1:5, "
            "column:NAME or an existing .npy or .csv file"
        )
    found = label_weights(given)
    if len(found) < len(pairs):
        raise ValueError(f"weights={shown(given)} is not accepted: it names a label twice")
    return ",".join(f"{_spelled(label)}:{_spelled(weight)}" for label, weight in sorted(found.items()))


def weights_for(given: str | None, data: Dataset) -> Any:
    """Return what the rows of a data set weigh, as problems take it; what the data set says where nothing is given.

    Parameters
    ----------
    given : str or None
        As `read_weights` takes it.
    data : Dataset
        The data, with the labels that the problem is about.

    Raises
    ------
    ValueError
        If a label, a row or the column has no weights.
    """
    if given is None or column_of_weights(given) is not None:
        if given is not None and data.weights is None:
            raise ValueError(f"weights={given!r} is not accepted: data set {data.name!r} has no such column")
        return data.weights
    if given == BALANCED:
        return BALANCED
    if Path(given).is_file():
        return read_vector("weights", given, data.n)
    found = label_weights(given)
    if data.labels is None:
        return found
    for label in found:
        if label not in data.labels:
            listed = ", ".join(map(spell_label, data.labels))
            raise ValueError(f"weights={given!r} is not accepted: the labels of {data.name!r} are {listed}")
    return {float(data.labels[label]): weight for label, weight in found.items()}


def column_of_weights(given: str | None) -> str | None:
    """Return the column that a text names, where it names one."""
    return given.removeprefix(COLUMN) if given is not None and given.startswith(COLUMN) else None


def label_weights(text: str) -> dict[float, float]:
    """Return the weights by label that a text such as ``0:1,1:5`` gives."""
    pairs = (pair.strip().split(":") for pair in text.split(","))
    form = "a weight for each label, such as 0:1,1:5"
    return {number("weights", label, form): number("weights", weight, form) for label, weight in pairs}


def _spelled(value: float) -> str:
    return repr(value).removesuffix(".0")


def with_ones(A: Any) -> Any:
    """Return a data matrix with a last column of ones.

    Parameters
    ----------
    A : ndarray or scipy.sparse array, shape (n, dim)
        The matrix.

    Examples
    --------
    >>> with_ones(np.array([[2.0], [3.0]])).tolist()
    [[2.0, 1.0], [3.0, 1.0]]
    """
    ones = np.ones((A.shape[0], 1))
    if hasattr(A, "tocsr"):
        return frozen_rows(sp.hstack([A, ones], format="csr"), copy=False)
    return frozen(np.hstack([A, ones]), copy=False)


def without_rows(A: Any, left_out: np.ndarray) -> Any:
    """Return a data matrix in which some rows are 0.

    Parameters
    ----------
    A : ndarray or scipy.sparse array, shape (n, dim)
        The matrix.
    left_out : ndarray of bool, shape (n,)
        Those rows.

    Examples
    --------
    >>> without_rows(np.array([[2.0], [3.0]]), np.array([True, False])).tolist()
    [[0.0], [3.0]]
    """
    if not hasattr(A, "tocsr"):
        return frozen(np.where(left_out[:, None], 0.0, A), copy=False)
    kept = A.tocsr(copy=True)
    kept.data[np.repeat(left_out, np.diff(kept.indptr))] = 0.0
    kept.eliminate_zeros()
    return frozen_rows(kept, copy=False)


def mean_floor(share: np.ndarray, infima: np.ndarray) -> float:
    """Return a number that the mean of `share`·`infima` is not below, where a row that does not count has no infimum.

    Parameters
    ----------
    share, infima : ndarray, shape (n,)
        Weights of mean 1, and lower bounds.
    """
    each = share * np.where(share > 0, infima, 0.0)
    return float(each.mean() - summed(math.log2(len(each)) + 24) * np.abs(each).mean())


def _by_label(given: Mapping[Any, Any], y: np.ndarray) -> np.ndarray:
    """Return the weight of each row by its label."""
    known = {real("a label of weights", label): real("weights", weight) for label, weight in given.items()}
    missing = [label for label in np.unique(y).tolist() if label not in known]
    if missing:
        raise ValueError(f"weights={shown(dict(given))} is not accepted: it has no weight for the label {missing[0]:g}")
    return np.array([known[label] for label in y.tolist()])


def _check_signs(weights: np.ndarray) -> None:
    if (weights < 0).any():
        where = int(np.argmax(weights < 0))
        raise ValueError(f"weights[{where}]={weights[where]:g} is not accepted: a weight must be at least 0")
    if not (weights > 0).any():
        raise ValueError("weights is zero for every row, but at least one must be above 0")
