"""What the small network of the pruning figure is: its rows, its masks, its starts, and how much is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mastsim.problems import Dataset, TwoLayerNetwork
from mastsim.reproduce.held_out import own_tests
from mastsim.reproduce.paper_problems import rand_k
from mastsim.sketches import Bernoulli, BlockBernoulli, Sketch
from mastsim.validation import one_of

FAMILIES = ("weights, Bernoulli", "hidden units, Bernoulli", "weights, Rand-K")
"""Masks of all parameters each on its own coin, of whole hidden units with the bias of the output kept, of exactly K."""

_LEAST_ROWS = 10


class NetworkSplit(NamedTuple):
    """The same network on three sets of rows.

    Parameters
    ----------
    train, validation, test : TwoLayerNetwork
        On rows to learn from, to choose steps and stopping times by, and to report.
    note : str
        Where the rows come from.
    """

    train: TwoLayerNetwork
    validation: TwoLayerNetwork
    test: TwoLayerNetwork
    note: str


def split_rows(data: Dataset, *, width: int, l2: float, most: tuple[int, int, int], seed: int) -> NetworkSplit:
    """Return a network on disjoint random rows: three fifths, one fifth and one fifth, at most so many of each.

    The test rows are those of ``NAME.t`` where it lies on this machine; then four fifths are for training.

    Parameters
    ----------
    data : Dataset
        At least ten rows with labels -1 and 1.
    width : int
        Hidden units.
    l2 : float
        Regularisation.
    most : tuple of three int
        The most rows for training, validation and tests.
    seed : int
        The seed of the permutation.

    Raises
    ------
    ValueError
        If there are fewer than ten rows, or a label is not -1 or 1.

    Examples
    --------
    >>> import mastsim as ms
    >>> split = split_rows(ms.load("breast-cancer"), width=2, l2=0.0, most=(100, 100, 100), seed=0)
    >>> split.train.components, split.validation.components, split.test.components
    (100, 100, 100)
    """
    if data.n < _LEAST_ROWS:
        raise ValueError(
            f"data={data.name} has {data.n} rows, but at least {_LEAST_ROWS} are needed for three disjoint sets"
        )
    rng = np.random.Generator(np.random.Philox(seed))
    order, fifth = rng.permutation(data.n), data.n // 5
    own, apart = own_tests(data), order[:fifth]
    rest = order[fifth:] if own is None else order
    validation, train = rest[:fifth], rest[fifth:]
    table, note = (
        (data, f"the test rows are a fifth of {data.name}") if own is None else (own, f"the test rows are {own.name}'s")
    )
    chosen = apart if own is None else rng.permutation(own.n)

    def network(source: Dataset, rows: np.ndarray, limit: int) -> TwoLayerNetwork:
        rows = np.sort(rows[:limit])
        return TwoLayerNetwork(source.A[rows], source.y[rows], width, l2)

    note += f"; at most {most[0]}, {most[1]} and {most[2]} rows for training, validation and tests"
    sources = ((data, train), (data, validation), (table, chosen))
    parts = [network(source, rows, limit) for (source, rows), limit in zip(sources, most, strict=True)]
    return NetworkSplit(parts[0], parts[1], parts[2], note)


def masks(family: str, keep: float, f: TwoLayerNetwork) -> Sketch:
    """Return the sketch of a family that keeps a given fraction.

    Parameters
    ----------
    family : str
        One of `FAMILIES`.
    keep : float
        In (0, 1].
    f : TwoLayerNetwork
        The network.

    Raises
    ------
    ValueError
        If the family is unknown or `keep` is out of range.

    Examples
    --------
    >>> f = TwoLayerNetwork(np.eye(2), np.array([1.0, -1.0]), width=3, l2=0.0)
    >>> [masks(family, 0.5, f).name for family in FAMILIES]
    ['Bernoulli(0.5)', 'Bernoulli(0.5..1) of 4 blocks', 'Rand-6 of 13']
    """
    one_of("family", family, FAMILIES)
    if family == FAMILIES[0]:
        return Bernoulli(f.dim, keep)
    if family == FAMILIES[1]:
        return BlockBernoulli(f.dim, f.unit_blocks, np.append(np.full(f.width, keep), 1.0))
    return rand_k(f.dim, keep)


def starts(f: TwoLayerNetwork, count: int, seed: int) -> np.ndarray:
    """Return random networks: weights with variance 1/inputs of their unit, biases zero, shape (count, dim).

    Parameters
    ----------
    f : TwoLayerNetwork
        The network.
    count : int
        How many.
    seed : int
        The seed.

    Examples
    --------
    >>> f = TwoLayerNetwork(np.eye(2), np.array([1.0, -1.0]), width=3, l2=0.0)
    >>> x = starts(f, 4, seed=0)
    >>> x.shape, bool((x[:, 6:9] == 0).all())
    ((4, 13), True)
    """
    rng = np.random.Generator(np.random.Philox([seed, 1]))
    h, d = f.width, f.inputs
    scale = np.concatenate([np.full(h * d, d**-0.5), np.zeros(h), np.full(h, h**-0.5), np.zeros(1)])
    return np.asarray(rng.standard_normal((count, f.dim)) * scale)


@dataclass(frozen=True)
class TrainingBudget:
    """How much is trained and looked at.

    Parameters
    ----------
    width : int
        Hidden units.
    steps, records, minibatch : int
        Steps of every run, how often validation looks, and rows a step.
    stepsizes : tuple of float
        The grid, the same for all.
    keeps, few_keeps : tuple of float
        Keep fractions; those of Rand-K, whose draws take longest.
    seeds, masks, validation_masks : int
        Trained networks, masks for tests, and masks for validation.
    most : tuple of three int
        The most rows for training, validation and tests.
    l2 : float, default 1e-4
        Regularisation.

    Examples
    --------
    >>> FULL.seeds, QUICK.seeds
    (5, 3)
    """

    width: int
    steps: int
    records: int
    minibatch: int
    stepsizes: tuple[float, ...]
    keeps: tuple[float, ...]
    few_keeps: tuple[float, ...]
    seeds: int
    masks: int
    validation_masks: int
    most: tuple[int, int, int]
    l2: float = 1e-4

    @property
    def stops(self) -> list[int]:
        """The numbers of steps after which validation looks."""
        spread = np.linspace(0, self.steps, self.records + 1).round().astype(int)
        return [int(stop) for stop in np.unique(spread)[1:]]


FULL = TrainingBudget(8, 1000, 10, 32, (0.03, 0.1, 0.3, 1.0), (0.3, 0.5, 0.7, 0.9), (0.5,), 5, 100, 8, (1000, 400, 1000))
QUICK = TrainingBudget(6, 300, 6, 32, (0.1, 0.5), (0.5, 0.9), (0.5,), 3, 20, 4, (400, 100, 400))
