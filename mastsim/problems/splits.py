"""Partitions of the rows of a problem among clients."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from mastsim.problems.glm import GeneralizedLinearModel
from mastsim.validation import integer, one_of

Model = TypeVar("Model", bound=GeneralizedLinearModel)


def split(problem: Model, clients: int, by: str = "iid", seed: int = 0) -> list[Model]:
    """Return one problem a client: the same loss and the same λ on disjoint shards of the rows.

    The sizes of the shards differ by one at most. ``FiniteSum(split(f, clients))`` is the mean of the shards' means, which
    is f where the shards are equal, that is, where `clients` divides the number of rows, and rows have no weights, which are
    divided by the mean of their shard.

    Parameters
    ----------
    problem : GeneralizedLinearModel
        The problem whose rows are divided.
    clients : int
        The number of shards, from 1 to the number of rows.
    by : {"iid", "label"}, default "iid"
        A random permutation, or rows sorted by label, so that clients differ as much as labels do.
    seed : int, default 0
        Seed of the permutation; unused with ``by="label"``.

    Returns
    -------
    list of GeneralizedLinearModel
        Problems of the type of `problem`, which keep its λ even where it came from a condition number.

    Raises
    ------
    ValueError
        If `clients` or `seed` is out of range, or `by` is unknown.
    TypeError
        If `problem` is not a generalised linear model, or a number is not an integer.

    References
    ----------
    This package.

    Examples
    --------
    >>> from mastsim.problems import LeastSquares
    >>> f = LeastSquares(np.arange(5.0)[:, None], np.array([1.0, 0.0, 1.0, 0.0, 1.0]), l2=0.1)
    >>> [part.y.tolist() for part in split(f, 2, by="label")]
    [[0.0, 0.0, 1.0], [1.0, 1.0]]
    """
    if not isinstance(problem, GeneralizedLinearModel):
        raise TypeError(f"problem is not accepted: it must be a generalised linear model, not {type(problem).__name__}")
    clients = integer("clients", clients, 1, problem.rows)
    seed = integer("seed", seed, 0)
    if one_of("by", by, ("iid", "label")) == "iid":
        order = np.random.Generator(np.random.Philox(seed)).permutation(problem.rows)
    else:
        order = np.argsort(problem.y, kind="stable")
    # Within a shard rows keep their order.
    shards = [np.sort(shard) if by == "iid" else shard for shard in np.array_split(order, clients)]
    return [problem.part(i) for i in shards]
