"""The objectives on which theorems are tried: a user's data, and small quadratics chosen to be hard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mastsim.expected import Distributed, Mast, Objective
from mastsim.problems import (
    Dataset,
    FiniteSum,
    LeastSquares,
    LogisticRegression,
    Problem,
    Quadratic,
    SigmoidClassification,
    split,
)
from mastsim.problems.families import DEFAULT_CONDITION
from mastsim.sketches import Bernoulli, FiniteSupport, Identity, PermK, RandK, Sketch

DEFAULT_SKETCHES: tuple[str, ...] = ("randk:0.1", "randk:0.5", "bernoulli:0.3")
"""Sketches tried on the data when none is named."""

FEW_ROWS = 16
"""To how many rows data are cut where f_D takes quadrature."""


@dataclass(frozen=True, eq=False)
class Instances:
    """The objectives of one suite.

    Parameters
    ----------
    whole : list of Objective
        All data, and small instances: for what costs nothing but sketched gradients.
    few_rows : list of Objective
        The same with the data cut to a few rows where f_D takes quadrature: for bounds on averages and minima, which
        replicas decide soon.
    exact : list of Objective
        Only what is decided without sampling: for methods that take gradients of f_D, and last values of f_D.
    small : list of Objective
        The small instances alone.
    """

    whole: list[Objective]
    few_rows: list[Objective]
    exact: list[Objective]
    small: list[Objective]

    @classmethod
    def beside(cls, own: Sequence[Objective]) -> Instances:
        """Return the small objectives, and some of one's own beside them."""
        small = [*small_quadratics(), *degenerate_quadratics(), *finite_sums(), *distributed(), *tiny_losses()]
        exact = [*(F for F in own if F.is_quadratic), *small]
        return cls([*own, *small], [*own, *small], exact, small)

    @classmethod
    def of(cls, data: Dataset, sketches: list[Sketch]) -> Instances:
        """Return the objectives for a data set under the given sketches."""
        found = cls.beside([*on_data(data, sketches), *distributed_data(data)])
        return replace(found, few_rows=[*on_few_rows(data), *found.exact])


def one_dimension(keep: float = 0.25) -> Mast:
    """Return f(x) = ½x² with a Bernoulli sketch, on which the first term of Theorem 2 is an equality."""
    return Mast(Quadratic(np.eye(1), np.zeros(1)), Bernoulli(1, keep))


def two_signs() -> Mast:
    """Return f(x) = ½x² with v = 1 and S = ±3, E[S] = 1, on which the neighbourhood of Theorem 2 is an equality."""
    return Mast(
        Quadratic(np.eye(1), np.zeros(1)),
        FiniteSupport([np.array([[3.0]]), np.array([[-3.0]])], [2 / 3, 1 / 3]),
        shift=np.ones(1),
    )


def small_quadratics() -> list[Mast]:
    """Return small strongly convex quadratics: correlated, ill-conditioned, shifted, with oblique and uneven sketches."""
    rng = np.random.Generator(np.random.Philox(20231128))
    basis = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    ill = Quadratic(basis @ np.diag(np.geomspace(1.0, 1e4, 4)) @ basis.T, basis @ np.ones(4))
    pair = Quadratic(np.array([[2.0, 1.9], [1.9, 2.0]]), np.array([1.0, -1.0]))
    turn = np.array([[0.0, 1.0], [-1.0, 0.0]])
    oblique = FiniteSupport([np.eye(2) + 1.5 * turn, np.eye(2) - 1.5 * turn])
    return [
        one_dimension(),
        two_signs(),
        Mast(Quadratic(np.array([[3.0]]), np.array([6.0])), Bernoulli(1, 0.9)),
        Mast(pair, RandK(2, k=1)),
        Mast(pair, oblique, shift=np.array([1.0, 2.0])),
        Mast(pair, Bernoulli(2, np.array([0.9, 0.05])), shift=pair.minimize().x),
        Mast(ill, RandK(4, k=2)),
        Mast(ill, Bernoulli(4, 0.5), shift=np.array([1.0, -2.0, 0.5, 3.0])),
        Mast(ill, Identity(4)),
    ]


def degenerate_quadratics() -> list[Mast]:
    """Return quadratics that are convex but not strongly: rank one, and zero."""
    ones = Quadratic(np.ones((3, 3)), np.full(3, 2.0))
    return [
        Mast(ones, Bernoulli(3, 0.5)),
        Mast(ones, RandK(3, k=1), shift=np.array([1.0, 0.0, 0.0])),
        Mast(Quadratic(np.zeros((2, 2)), np.zeros(2)), RandK(2, k=1)),
    ]


def finite_sums() -> list[Mast]:
    """Return means of few strongly convex quadratics that disagree, with and without a sketch."""
    bowls = _bowls()
    alone = FiniteSum(bowls[:1])
    return [
        Mast(FiniteSum(bowls), RandK(2, k=1), shift=np.array([0.5, -1.0])),
        Mast(FiniteSum(bowls), Bernoulli(2, 0.5)),
        Mast(FiniteSum(bowls), Identity(2)),
        Mast(alone, RandK(2, k=1)),
    ]


def distributed() -> list[Distributed]:
    """Return clients that agree, that differ in data and sketch, and that share one permutation."""
    bowls = _bowls()
    return [
        Distributed(bowls[:2], PermK(2, clients=2), shift=np.array([0.5, -1.0])),
        Distributed(bowls[:2], RandK(2, k=1)),
        Distributed(bowls, [RandK(2, k=1), Bernoulli(2, 0.25), Identity(2)], shift=np.array([1.0, 1.0])),
        Distributed(bowls[:1] * 3, RandK(2, k=1)),
        Distributed(bowls[:1], Bernoulli(2, 0.5)),
        *(Distributed([F.problem], [F.sketch], shift=F.center) for F in (one_dimension(), two_signs())),
    ]


def _bowls() -> list[Quadratic]:
    first = Quadratic(np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([1.0, -1.0]))
    second = Quadratic(np.diag([0.5, 6.0]), np.array([2.0, 1.0]))
    return [first, second, Quadratic(np.array([[1.0, -0.9], [-0.9, 1.0]]), np.array([-1.0, 3.0]))]


def tiny_losses() -> list[Objective]:
    """Return problems that are not quadratic, small enough to follow every outcome of a few steps; one is not convex."""
    A, y = np.array([[1.0, 2.0], [-1.5, 0.5], [0.3, -1.0]]), np.array([1.0, -1.0, 1.0])
    logistic = LogisticRegression(A, y, l2=0.1)
    sigmoid = SigmoidClassification(A, y, l2=0.01)
    shards = [LogisticRegression(A[:2], y[:2], l2=0.1), LogisticRegression(A[2:], y[2:], l2=0.1)]
    return [
        Mast(logistic, RandK(2, k=1), shift=np.array([0.5, -0.5]), evaluate="enumeration"),
        Mast(logistic, Bernoulli(2, np.array([0.9, 0.3])), evaluate="enumeration"),
        Mast(sigmoid, RandK(2, k=1), shift=np.array([2.0, 1.0]), evaluate="enumeration"),
        Distributed(shards, PermK(2, clients=2), evaluate="enumeration"),
    ]


def on_few_rows(data: Dataset) -> list[Mast]:
    """Return a convex and a nonconvex loss on the first sixteen rows of a data set with two labels; nothing for others."""
    if not data.binary:
        return []
    A, y = data.A[:FEW_ROWS], data.signs[:FEW_ROWS]
    sketch = Bernoulli(data.d, 0.3)
    return [
        Mast(LogisticRegression(A, y, condition_number=DEFAULT_CONDITION), sketch),
        Mast(SigmoidClassification(A, y, l2=0.01), sketch),
    ]


def distributed_data(data: Dataset) -> list[Distributed]:
    """Return least squares and, when the labels allow it, logistic regression on four shards of a data set."""
    problems: list[Problem] = [LeastSquares(data.A, data.y, condition_number=DEFAULT_CONDITION)]
    if data.binary:
        problems.append(LogisticRegression(data.A, data.signs, condition_number=DEFAULT_CONDITION))
    sketch = RandK(data.d, k=max(1, data.d // 2))
    return [Distributed(split(f, min(4, data.n), by="label"), sketch) for f in problems]  # type: ignore[type-var]


def on_data(data: Dataset, sketches: list[Sketch]) -> list[Mast]:
    """Return logistic regression (when the labels allow it) and least squares on a data set, under each sketch.

    The first sketch is also tried with the shift at the minimiser of f, where the gap is zero.
    """
    problems: list[Problem] = [LeastSquares(data.A, data.y, condition_number=DEFAULT_CONDITION)]
    if data.binary:
        problems.insert(0, LogisticRegression(data.A, data.signs, condition_number=DEFAULT_CONDITION))
    out = []
    for f in problems:
        out += [Mast(f, S) for S in sketches]
        out.append(Mast(f, sketches[0], shift=f.minimize().x))
    return out
