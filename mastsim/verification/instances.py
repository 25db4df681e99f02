"""The objectives on which theorems are tried: a user's data, and small quadratics chosen to be hard."""

from __future__ import annotations

import numpy as np

from mastsim.expected import Mast
from mastsim.problems import Dataset, LeastSquares, LogisticRegression, Problem, Quadratic
from mastsim.sketches import Bernoulli, FiniteSupport, Identity, RandK, Sketch

DEFAULT_SKETCHES: tuple[str, ...] = ("randk:0.1", "randk:0.5", "bernoulli:0.3")
"""Sketches tried on the data when none is named."""

CONDITION_NUMBER = 100.0
"""κ_f of the regularised problems on data, as in Section 5 of the paper."""


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


def on_data(data: Dataset, sketches: list[Sketch]) -> list[Mast]:
    """Return logistic regression (when the labels allow it) and least squares on a data set, under each sketch.

    The first sketch is also tried with the shift at the minimiser of f, where the gap is zero.
    """
    problems: list[Problem] = [LeastSquares(data.A, data.y, condition_number=CONDITION_NUMBER)]
    if np.isin(data.y, (-1.0, 1.0)).all():
        problems.insert(0, LogisticRegression(data.A, data.y, condition_number=CONDITION_NUMBER))
    out = []
    for f in problems:
        out += [Mast(f, S) for S in sketches]
        out.append(Mast(f, sketches[0], shift=f.minimize().x))
    return out
