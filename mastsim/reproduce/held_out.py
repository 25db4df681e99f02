"""Rows with labels, some of them held out, and accuracies of dense and of randomly sparsified classifiers on them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mastsim.backend import Array, Streams
from mastsim.problems import Dataset, load
from mastsim.problems.catalogue import locate
from mastsim.sketches import Sketch

TEST_SHARE = 0.3
"""How much of the data is held out where they do not come with a test set."""
VALIDATION_SHARE = 0.2
"""How much of the training rows early stopping sets aside."""
_TEST_SETS = {"a5a": "a5a.t"}


class LabelledRows(NamedTuple):
    """Rows with their labels, and what they are called.

    Parameters
    ----------
    A : array or scipy.sparse array, shape (n, dim)
        Features.
    y : ndarray, shape (n,)
        Labels -1 and 1.
    name : str
        Where the rows come from.
    """

    A: Any
    y: np.ndarray
    name: str = ""

    def taken(self, index: np.ndarray, name: str) -> LabelledRows:
        """Return some of the rows, in their order, under a name."""
        index = np.sort(index)
        return LabelledRows(self.A[index], self.y[index], name)


def own_tests(data: Dataset) -> Dataset | None:
    """Return what a data set's makers set aside for tests, where it lies on this machine; nothing is downloaded.

    Parameters
    ----------
    data : Dataset
        The data.

    Examples
    --------
    >>> import mastsim as ms
    >>> own_tests(ms.load("breast-cancer")) is None
    True
    """
    name = _TEST_SETS.get(data.name)
    return None if name is None or locate(name) is None else load(name)


def own_test_rows(data: Dataset) -> LabelledRows | None:
    """Return the rows of `own_tests`.

    Parameters
    ----------
    data : Dataset
        The data.

    Examples
    --------
    >>> import mastsim as ms
    >>> own_test_rows(ms.load("breast-cancer")) is None
    True
    """
    found = own_tests(data)
    return None if found is None else LabelledRows(found.A, found.signs, found.name)


def training_and_test_rows(data: Dataset, seed: int) -> tuple[LabelledRows, LabelledRows]:
    """Return all rows and the data's own test set where it has one on this machine, otherwise a random split.

    Parameters
    ----------
    data : Dataset
        At least four rows.
    seed : int
        The seed of the split.

    Raises
    ------
    ValueError
        If there are fewer than four rows.

    Examples
    --------
    >>> import mastsim as ms
    >>> train, test = training_and_test_rows(ms.load("synthetic:n=20,d=2"), seed=0)
    >>> train.A.shape, test.A.shape, test.name
    ((14, 2), (6, 2), '30% of the rows, seed 0')
    """
    if data.n < 4:
        raise ValueError(f"data with {data.n} rows are not accepted: at least 4 are needed to train, validate and test")
    rows, test = LabelledRows(data.A, data.signs, data.name), own_test_rows(data)
    return set_aside(rows, TEST_SHARE, seed) if test is None else (rows, test)


def set_aside(rows: LabelledRows, share: float, seed: int) -> tuple[LabelledRows, LabelledRows]:
    """Return the rows that stay, and a random share of them, at least one, that is set aside.

    Parameters
    ----------
    rows : LabelledRows
        At least two rows.
    share : float
        In (0, 1).
    seed : int
        The seed of the permutation.

    Examples
    --------
    >>> kept, aside = set_aside(LabelledRows(np.eye(5), np.ones(5)), 0.4, seed=0)
    >>> len(kept.y), len(aside.y), float((kept.A.sum(axis=0) + aside.A.sum(axis=0)).min())
    (3, 2, 1.0)
    """
    order = np.random.Generator(np.random.Philox(seed)).permutation(len(rows.y))
    cut = max(1, round(share * len(rows.y)))
    return rows.taken(order[cut:], "the other rows"), rows.taken(order[:cut], f"{share:.0%} of the rows, seed {seed}")


def correct(points: np.ndarray, rows: LabelledRows) -> np.ndarray:
    """Return how many rows each linear classifier gets right; a zero score counts as -1.

    Parameters
    ----------
    points : ndarray, shape (count, dim)
        One classifier a row.
    rows : LabelledRows
        The rows.

    Returns
    -------
    ndarray of int, shape (count,)
        From 0 to the number of rows.

    Examples
    --------
    >>> correct(np.array([[1.0], [0.0]]), LabelledRows(np.array([[1.0], [-2.0], [-3.0]]), np.array([1.0, -1.0, 1.0])))
    array([2, 1])
    """
    said = np.asarray(rows.A @ points.T) > 0
    counts: np.ndarray = (said == (rows.y > 0)[:, None]).sum(axis=0)
    return counts


def accuracy(points: Array, rows: LabelledRows) -> np.ndarray:
    """Return the fraction of labels that linear classifiers get right, shape ``points.shape[:-1]``.

    Parameters
    ----------
    points : array, shape (..., dim)
        The classifiers.
    rows : LabelledRows
        The rows.

    Examples
    --------
    >>> accuracy(np.array([[1.0, 0.0], [0.0, 0.0]]), LabelledRows(np.eye(2), np.array([1.0, -1.0])))
    array([1. , 0.5])
    """
    points = np.asarray(points)
    return np.reshape(correct(points.reshape(-1, points.shape[-1]), rows) / len(rows.y), points.shape[:-1])


def masked(points: np.ndarray, sketch: Sketch, center: np.ndarray, count: int, seed: int, batch: int = 0) -> np.ndarray:
    """Return v + S_j(x − v) for `count` drawn sketches, which depend on sketch, seed and batch only.

    Parameters
    ----------
    points : ndarray, shape (points, dim)
        The classifiers x; sketch j is put on the one with number j modulo their number.
    sketch : Sketch
        The law of S.
    center : ndarray, shape (dim,)
        The shift v.
    count : int
        How many sketches.
    seed : int
        The seed.
    batch : int, default 0
        Which of the seed's independent lists of sketches.

    Examples
    --------
    >>> import mastsim as ms
    >>> np.sort(masked(np.ones((1, 2)), ms.RandK(2, 1), np.zeros(2), 3, seed=0), axis=1).tolist()
    [[0.0, 2.0], [0.0, 2.0], [0.0, 2.0]]
    """
    u = Streams(seed).uniform("probe", batch, np.arange(count), sketch.uniforms)
    x = points[np.arange(count) % len(points)]
    out: np.ndarray = center + sketch.from_uniforms(u).apply(x - center)
    return out


def masked_accuracy(points: np.ndarray, sketch: Sketch, rows: LabelledRows, count: int, seed: int, batch: int) -> np.ndarray:
    """Return the mean accuracy of every classifier under the same `count` sketches with v = 0, shape (points,).

    Parameters
    ----------
    points : ndarray, shape (points, dim)
        The classifiers.
    sketch : Sketch
        The law of S.
    rows : LabelledRows
        The rows.
    count : int
        How many sketches.
    seed, batch : int
        Which sketches; see `masked`.

    Examples
    --------
    >>> import mastsim as ms
    >>> rows = LabelledRows(np.array([[1.0], [-2.0]]), np.array([1.0, 1.0]))
    >>> masked_accuracy(np.array([[1.0]]), ms.Identity(1), rows, 2, seed=0, batch=0)
    array([0.5])
    """
    zero = np.zeros(sketch.dim)
    each = [correct(masked(x[None], sketch, zero, count, seed, batch), rows).mean() for x in points]
    return np.array(each) / len(rows.y)
