"""Points that are evaluated together: the same bits as each alone, whatever the loss, the sketch and where they lie."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mastsim as ms
from mastsim.expected import row_sums
from mastsim.expected.base import OutOfReachError

DIM = 9
SKETCHES = (
    ms.Bernoulli(DIM, 0.3),
    ms.RandK(DIM, k=4),
    ms.BlockBernoulli(DIM, np.arange(DIM) // 2, 0.4),
    ms.NofM(DIM, 1, 3),
    ms.Identity(DIM),
)


def losses(rows, seed):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((rows, DIM)) * (rng.random((rows, DIM)) < 0.8)
    y, counts = np.sign(rng.standard_normal(rows)), rng.poisson(2.0, rows).astype(float)
    weights = rng.random(rows) + 0.5
    return (
        ms.LogisticRegression(A, y, l2=0.1),
        ms.LogisticRegression(A, y, l2=0.1, weights=weights),
        ms.SigmoidClassification(A, y, l2=0.01),
        ms.PoissonRegression(A, counts, l2=0.1),
        ms.HuberRegression(A, y, l2=0.1),
    )


@given(st.integers(1, 6), st.integers(2, 11), st.sampled_from(SKETCHES), st.integers(0, 4), st.integers(0, 1000))
def test_company_changes_no_bit(rows, points, sketch, which, seed):
    rng = np.random.default_rng(seed)
    F = ms.Mast(losses(rows, seed)[which], sketch, shift=0.1 * rng.standard_normal(DIM), evaluate="rows")
    X, W = rng.standard_normal((2, points, DIM)) * 10 ** rng.uniform(-2, 0.3, (points, 1))
    together = F.value(X), F.gradient(X), F.hessian_product(X, W)
    alone = [(F.value(x), F.gradient(x), F.hessian_product(x, w)) for x, w in zip(X, W, strict=True)]
    for found, each in zip(together, zip(*alone, strict=True), strict=True):
        assert np.array_equal(found, np.array(each))


def test_points_that_are_too_many_together_are_taken_alone(monkeypatch):
    F = ms.Mast(losses(4, 0)[0], SKETCHES[1], evaluate="rows")
    X = 3 * np.random.default_rng(1).standard_normal((8, DIM))
    before, rows = F.value(X), F.expectation._selected
    counts = [rows._ladder.counts(rows.layout.reach(rows.layout.gather(x))) for x in X]
    monkeypatch.setattr(row_sums, "MOST_WORK", max(row_sums._work(each, rows.layout)[1].sum() for each in counts))
    several = rows._several(8, DIM)
    with pytest.raises(OutOfReachError):
        several.sums(several.layout.gather(X.ravel()), 0)
    assert np.array_equal(F.value(X), before)
