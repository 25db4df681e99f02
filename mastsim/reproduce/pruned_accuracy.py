"""Accuracies of randomly pruned networks, what a validation chooses, and what is gained."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.stats import t as student

from mastsim.backend import Array
from mastsim.problems import TwoLayerNetwork
from mastsim.sketches import Sketch
from mastsim.standard_errors import mean_and_error

_AT_ONCE = 1 << 22


def accuracy(f: TwoLayerNetwork, x: Array) -> np.ndarray:
    """Return the fraction of labels that networks get right, shape ``x.shape[:-1]``; an output of zero counts as -1.

    Parameters
    ----------
    f : TwoLayerNetwork
        The rows and their labels.
    x : array, shape (..., dim)
        The parameters.

    Examples
    --------
    >>> f = TwoLayerNetwork(np.eye(2), np.array([1.0, -1.0]), width=1, l2=0.0)
    >>> accuracy(f, np.array([[1.0, -1.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0]]))
    array([1. , 0.5])
    """
    flat = np.reshape(x, (-1, f.dim))
    size = max(1, _AT_ONCE // (f.components * f.width))
    with np.errstate(over="ignore", invalid="ignore"):
        pieces = [np.where(f.output(flat[i : i + size]) > 0, 1.0, -1.0) == f.y for i in range(0, len(flat), size)]
    found = np.concatenate([np.mean(piece, axis=-1) for piece in pieces])
    return np.asarray(found.reshape(np.shape(x)[:-1]))


def pruned(f: TwoLayerNetwork, x: Array, diagonals: np.ndarray) -> np.ndarray:
    """Return the accuracies of networks under every mask of a list, shape ``(*x.shape[:-1], masks)``.

    Parameters
    ----------
    f : TwoLayerNetwork
        The rows and their labels.
    x : array, shape (..., dim)
        The parameters.
    diagonals : array, shape (masks, dim)
        What the parameters are multiplied by.

    Examples
    --------
    >>> f = TwoLayerNetwork(np.eye(2), np.array([1.0, -1.0]), width=1, l2=0.0)
    >>> pruned(f, np.array([1.0, -1.0, 0.0, 1.0, 0.0]), np.array([np.ones(5), np.zeros(5)]))
    array([1. , 0.5])
    """
    points = np.asarray(x)
    # One iterate at a time: all products at once would take iterates × masks × dim memory.
    found = [accuracy(f, diagonals * point) for point in points.reshape(-1, f.dim)]
    return np.stack(found).reshape(*points.shape[:-1], len(diagonals))


def diagonals(sketch: Sketch, count: int, key: tuple[int, int]) -> np.ndarray:
    """Return so many draws of a diagonal sketch as vectors, shape (count, dim).

    Parameters
    ----------
    sketch : Sketch
        Diagonal.
    count : int
        How many.
    key : tuple of two int
        The seed, and what the draws are for.

    Examples
    --------
    >>> import mastsim as ms
    >>> diagonals(ms.RandK(2, 2), 1, (0, 2))
    array([[1., 1.]])
    """
    rng = np.random.Generator(np.random.Philox(list(key)))
    return np.asarray(sketch.sample(rng, count).apply(np.ones(sketch.dim)))


class Choice(NamedTuple):
    """Which step size and which records a validation chooses.

    Parameters
    ----------
    step : int
        Position of the step size.
    records : ndarray of int, shape (replicas,)
        Position of the record of each replica.
    """

    step: int
    records: np.ndarray


def chosen(scores: np.ndarray, early: bool) -> Choice:
    """Return the step size of the best mean score, each replica at its own best record, or all at the last.

    Parameters
    ----------
    scores : array, shape (step sizes, records, replicas)
        Validation scores; of equal ones the first is taken.
    early : bool
        Whether replicas stop early.

    Examples
    --------
    >>> scores = np.array([[[0.5], [0.7]], [[0.9], [0.6]]])
    >>> chosen(scores, early=True), chosen(scores, early=False)
    (Choice(step=1, records=array([0])), Choice(step=0, records=array([1])))
    """
    _, records, replicas = scores.shape
    at = scores.argmax(axis=1) if early else np.full((len(scores), replicas), records - 1)
    step = int(np.take_along_axis(scores, at[:, None, :], axis=1).mean(axis=(1, 2)).argmax())
    return Choice(step, at[step])


def gain(row: dict[str, Any], stopping: str, over: str) -> tuple[float, float]:
    """Return by how much DSGD is more accurate than a baseline, seed by seed: mean and its standard error.

    Parameters
    ----------
    row : dict
        One of the rows of the figure.
    stopping : {"early", "last"}
        With or without early stopping.
    over : {"baseline", "baseline_unscaled"}
        Which baseline.

    Examples
    --------
    >>> arm = {"early": {"seed_means": [0.5, 0.75]}}
    >>> gain({"mast": arm, "baseline": {"early": {"seed_means": [0.5, 0.5]}}}, "early", "baseline")
    (0.125, 0.125)
    """
    apart = np.subtract(row["mast"][stopping]["seed_means"], row[over][stopping]["seed_means"])
    mean, error = mean_and_error(apart)
    return float(mean), float(error)


def side(row: dict[str, Any], stopping: str, over: str) -> int:
    """Return 1 or −1 where the 95 % interval of the gain, Student's over seeds, lies above or below 0, and 0 elsewhere.

    No correction is made for looking at many settings.

    Parameters
    ----------
    row, stopping, over
        As for `gain`; at least two seeds.

    Examples
    --------
    >>> row = {"mast": {"early": {"seed_means": [0.6, 0.62]}}, "baseline": {"early": {"seed_means": [0.5, 0.5]}}}
    >>> side(row, "early", "baseline")
    0
    """
    mean, error = gain(row, stopping, over)
    reach = float(student.ppf(0.975, len(row["mast"][stopping]["seed_means"]) - 1)) * error
    return int(mean > reach) - int(mean < -reach)
