"""Rows held out, accuracies of dense and of randomly sparsified classifiers on them, and what a box plot shows of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mastsim.backend import Streams
from mastsim.problems import Dataset
from mastsim.reproduce.common import own_tests
from mastsim.sketches import Sketch

TEST_SHARE = 0.3
"""How much of the data is held out where they do not come with a test set."""
VALIDATION_SHARE = 0.2
"""How much of the training rows early stopping sets aside."""


class Table(NamedTuple):
    """Rows with their labels.

    Parameters
    ----------
    A : array or scipy.sparse array, shape (n, dim)
        Features.
    y : ndarray, shape (n,)
        Labels -1 and 1.
    """

    A: Any
    y: np.ndarray


class Examination(NamedTuple):
    """What is trained on and what is tested on.

    Parameters
    ----------
    train, test : Table
        The rows.
    how : str
        Where the test rows come from.
    """

    train: Table
    test: Table
    how: str


def examination(data: Dataset, seed: int) -> Examination:
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
    >>> seen = examination(ms.load("synthetic:n=20,d=2"), seed=0)
    >>> seen.train.A.shape, seen.test.A.shape, seen.how
    ((14, 2), (6, 2), '30% of the rows, seed 0')
    """
    if data.n < 4:
        raise ValueError(f"data with {data.n} rows are not accepted: at least 4 are needed to train, validate and test")
    test = own_tests(data)
    if test is not None:
        return Examination(Table(data.A, data.signs), Table(test.A, test.signs), test.name)
    train, held = set_aside(Table(data.A, data.signs), TEST_SHARE, seed)
    return Examination(train, held, f"{TEST_SHARE:.0%} of the rows, seed {seed}")


def set_aside(table: Table, share: float, seed: int) -> tuple[Table, Table]:
    """Return the rows that stay, and a random share of them, at least one, that is set aside.

    Parameters
    ----------
    table : Table
        At least two rows.
    share : float
        In (0, 1).
    seed : int
        The seed of the permutation.

    Examples
    --------
    >>> kept, aside = set_aside(Table(np.eye(5), np.ones(5)), 0.4, seed=0)
    >>> len(kept.y), len(aside.y), float((kept.A.sum(axis=0) + aside.A.sum(axis=0)).min())
    (3, 2, 1.0)
    """
    rows = len(table.y)
    order = np.random.Generator(np.random.Philox(seed)).permutation(rows)
    cut = max(1, round(share * rows))
    aside, kept = np.sort(order[:cut]), np.sort(order[cut:])
    return Table(table.A[kept], table.y[kept]), Table(table.A[aside], table.y[aside])


def correct(points: np.ndarray, table: Table) -> np.ndarray:
    """Return how many rows each linear classifier gets right; a zero score counts as -1.

    Parameters
    ----------
    points : ndarray, shape (count, dim)
        One classifier a row.
    table : Table
        The rows.

    Returns
    -------
    ndarray of int, shape (count,)
        From 0 to the number of rows.

    Examples
    --------
    >>> correct(np.array([[1.0], [0.0]]), Table(np.array([[1.0], [-2.0], [-3.0]]), np.array([1.0, -1.0, 1.0])))
    array([2, 1])
    """
    said = np.asarray(table.A @ points.T) > 0
    counts: np.ndarray = (said == (table.y > 0)[:, None]).sum(axis=0)
    return counts


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


def masked_accuracy(points: np.ndarray, sketch: Sketch, table: Table, count: int, seed: int, batch: int) -> np.ndarray:
    """Return the mean accuracy of every classifier under the same `count` sketches with v = 0, shape (points,).

    Parameters
    ----------
    points : ndarray, shape (points, dim)
        The classifiers.
    sketch : Sketch
        The law of S.
    table : Table
        The rows.
    count : int
        How many sketches.
    seed, batch : int
        Which sketches; see `masked`.

    Examples
    --------
    >>> import mastsim as ms
    >>> table = Table(np.array([[1.0], [-2.0]]), np.array([1.0, 1.0]))
    >>> masked_accuracy(np.array([[1.0]]), ms.Identity(1), table, 2, seed=0, batch=0)
    array([0.5])
    """
    zero = np.zeros(sketch.dim)
    each = [correct(masked(x[None], sketch, zero, count, seed, batch), table).mean() for x in points]
    return np.array(each) / len(table.y)


def box(values: np.ndarray) -> dict[str, float]:
    """Return median, quartiles, whiskers (the farthest values within 1.5 interquartile ranges of the box) and mean.

    Parameters
    ----------
    values : ndarray, shape (count,)
        The values.

    Examples
    --------
    >>> box(np.array([1.0, 2.0, 3.0, 4.0, 100.0]))
    {'q1': 2.0, 'med': 3.0, 'q3': 4.0, 'whislo': 1.0, 'whishi': 4.0, 'mean': 22.0}
    """
    q1, med, q3 = (float(q) for q in np.percentile(values, [25, 50, 75]))
    reach = 1.5 * (q3 - q1)
    low, high = values[values >= q1 - reach].min(), values[values <= q3 + reach].max()
    whiskers = {"whislo": min(float(low), q1), "whishi": max(float(high), q3)}
    return {"q1": q1, "med": med, "q3": q3, **whiskers, "mean": float(values.mean())}
