"""Data whose columns hold few values: against sums over all masks in extended precision, bit for bit in any company."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mastsim as ms
from mastsim.parallel import limited_threads
from tests.examples import examples

pytestmark = pytest.mark.slow

LONG = np.longdouble
MODELS = (ms.LogisticRegression, ms.SigmoidClassification, ms.WelschRegression)


def sketches(rng, dim):
    """Return sketches of single coordinates, each with its masks and their chances."""
    bits = np.array(list(itertools.product([0, 1], repeat=dim)))
    keep = rng.choice([0.1, 0.5, 0.9, 1.0], dim)
    chances = np.prod(np.where(bits == 1, keep.astype(LONG), 1 - keep.astype(LONG)), axis=1)
    yield ms.Bernoulli(dim, keep), bits / keep.astype(LONG), chances
    for k in {1, dim // 2, dim - 1, int(rng.integers(1, dim))}:
        masks = bits[bits.sum(axis=1) == k]
        yield ms.RandK(dim, k), masks * LONG(dim) / k, np.full(len(masks), 1 / LONG(len(masks)))


def draw(seed):
    """Return a model whose rows repeat a few patterns of few values, with labels, a shift, a point and a direction."""
    rng = np.random.default_rng(seed)
    # Long data have unions of atoms, and the last of their rows fill no word.
    dim, rows = int(rng.integers(2, 8)), int(rng.integers(100, 130)) + int(rng.choice([0, 0, 412]))
    values = rng.choice([1.0, 1.0, -0.5, 3.0], (2, dim))
    A = np.take_along_axis(values, rng.integers(0, 2, (rows, dim)), axis=0) * (rng.random((rows, dim)) < 0.7)
    A[rng.random(rows) < 0.1] = 0.0
    model = MODELS[int(rng.integers(len(MODELS)))]
    y = (
        np.where(rng.random(rows) < 0.5, 1.0, -1.0)
        if model is not ms.WelschRegression
        else rng.choice([0.0, 1.0, 2.5], rows)
    )
    x, v, w = rng.standard_normal((3, dim)) * np.array([[10.0 ** rng.uniform(-3, 1.5)], [rng.choice([0.0, 1.0])], [1.0]])
    return rng, model(A, y, l2=float(rng.choice([0.0, 1e-2]))), v, v + x, w


def psi(f, u, order):
    """Return the mean over rows of φ and its derivatives at predictions u, shape (masks, n), in extended precision."""
    y = f.y.astype(LONG)
    if isinstance(f, ms.WelschRegression):
        r = u - y
        bell = np.exp(-r * r / 2)
        return (1 - bell, r * bell, (1 - r * r) * bell)[order]
    m = y * u
    if isinstance(f, ms.LogisticRegression):
        s = np.exp(-np.logaddexp(LONG(0), m))
        return (np.logaddexp(LONG(0), -m), -y * s, s * (1 - s))[order]
    s = np.exp(-np.logaddexp(LONG(0), m))
    return (s, -y * s * (1 - s), s * (1 - s) * (1 - 2 * s))[order]


def truth(f, masks, chances, v, x, w):
    """Return f_D, its gradient, and its change along w."""
    A = np.asarray(f.dense_rows, dtype=LONG)
    points = v + masks * (x - v).astype(LONG)
    u, along = points @ A.T, (masks * w) @ A.T
    value = chances @ (psi(f, u, 0).mean(axis=1) + LONG(f.l2) / 2 * (points**2).sum(axis=1))
    slopes = psi(f, u, 1) @ A / len(A) + LONG(f.l2) * points
    bends = (psi(f, u, 2) * along) @ A / len(A) + LONG(f.l2) * masks * w
    return value, chances @ (masks * slopes), chances @ (masks * bends)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=examples(20), deadline=None)
def test_values_gradients_and_products_are_within_their_bounds(seed):
    rng, f, v, x, w = draw(seed)
    for sketch, masks, chances in sketches(rng, f.dim):
        F = ms.Mast(f, sketch, shift=v, evaluate="rows")
        value, gradient, product = truth(f, masks, chances, v, x, w)
        assert abs(F.value(x) - value) <= F.error_bound(x)
        assert np.linalg.norm(F.gradient(x) - gradient) <= F.gradient_error(x)
        size = np.abs(masks).max() ** 2 * np.abs(f.dense_rows).max() ** 2 * np.abs(w).sum() * f.dim
        np.testing.assert_allclose(F.hessian_product(x, w), product, rtol=0, atol=3e-13 * (size + 1))
        reach = np.abs(f.dense_rows * (x - v)).sum(axis=1).max() * np.abs(masks).max()
        assert F.error_bound(x) <= 1e-13 * (1 + reach + np.abs(v).sum()) * (1 + f.l2 * (np.abs(masks) * x).max() ** 2)


def test_the_way_of_columns_is_taken_where_it_applies():
    rng = np.random.default_rng(0)
    binary = (rng.random((200, 10)) < 0.5).astype(float)
    y = np.where(rng.random(200) < 0.5, 1.0, -1.0)

    def columns(A, sketch, model=ms.LogisticRegression):
        return ms.Mast(model(A, y, l2=0.1), sketch, evaluate="rows").expectation._selected.columns

    assert columns(binary, ms.Bernoulli(10, 0.5)) is not None
    assert columns(binary, ms.RandK(10, 5)) is not None
    assert columns(binary * rng.standard_normal(binary.shape), ms.RandK(10, 5)) is None
    assert columns(binary, ms.NofM(10, 1, 2)) is None
    assert columns(binary, ms.BlockBernoulli(10, 5, 0.5)) is None
    assert columns(binary, ms.RandK(10, 5), ms.ExponentialClassification) is None
    assert columns(binary, ms.RandK(10, 5), ms.SmoothedHingeClassification) is None


def test_factors_that_are_exactly_zero():
    """Keep ½ and tθ = π: the factor of an atom is zero, alone and twice in a row; nothing divides by it."""
    rng = np.random.default_rng(1)
    A = np.concatenate([np.eye(4), np.ones((8, 4)), np.tile([1.0, 1.0, 0.0, 0.0], (40, 1))])
    f = ms.LogisticRegression(A, np.where(rng.random(52) < 0.5, 1.0, -1.0), l2=0.0)
    masks = np.array(list(itertools.product([0, 1], repeat=4))) * LONG(2)
    for scale in (1.0, 1e-9, 0.7):
        F = ms.Mast(f, ms.Bernoulli(4, 0.5), evaluate="rows")
        found = F.expectation._selected
        frequency = found._ladder[int(found._ladder.find(np.array([6.0]))[0])].frequencies[3]
        x = np.array([np.pi / frequency / 2, np.pi / frequency / 2, 0.3 * scale, 0.1])
        value, gradient, product = truth(f, masks, np.full(16, LONG(1) / 16), np.zeros(4), x, np.ones(4))
        assert abs(F.value(x) - value) <= 1e-14
        np.testing.assert_allclose(F.gradient(x), gradient, rtol=0, atol=2e-14)
        np.testing.assert_allclose(F.hessian_product(x, np.ones(4)), product, rtol=0, atol=1e-12)


@pytest.mark.parametrize("sketch", [ms.Bernoulli(12, 0.25), ms.RandK(12, 6)])
def test_company_and_threads_change_no_bit(sketch):
    rng = np.random.default_rng(2)
    A = (rng.random((5000, 12)) < 0.6) * rng.choice([1.0, 2.0], 12)
    F = ms.Mast(ms.LogisticRegression(A, np.where(rng.random(5000) < 0.5, 1.0, -1.0), l2=1e-3), sketch, evaluate="rows")
    x, w = 0.3 * rng.standard_normal((2, 7, 12))
    values, gradients = F.value_and_gradient(x)
    products = F.hessian_product(x, w)
    for count in (1, 2):
        with limited_threads(count):
            for k in range(7):
                value, gradient = F.value_and_gradient(x[k])
                assert value == values[k] == F.value(x[k])
                np.testing.assert_array_equal(gradient, gradients[k])
                np.testing.assert_array_equal(F.hessian_product(x[k], w[k]), products[k])


@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize("sketch", [ms.Bernoulli(12, 0.5), ms.RandK(12, 6), ms.RandK(12, 2)])
def test_points_of_all_sizes_in_one_call_are_evaluated_as_if_alone(sketch, real):
    """Near, far, beyond the stored sums and not finite: each by its own best way, whatever stands beside it."""
    rng = np.random.default_rng(3)
    A = (rng.random((150, 12)) < 0.6) * (rng.standard_normal((150, 12)) if real else 1.0)
    F = ms.Mast(ms.LogisticRegression(A, np.where(rng.random(150) < 0.5, 1.0, -1.0), l2=1e-3), sketch, evaluate="rows")
    x, w = rng.standard_normal((2, 8, 12))
    x *= np.array([1e-3, 0.1, 0.5, 1.0, 3.0, 20.0, 300.0, np.nan])[:, None]
    for order in ([0, 1, 2, 3, 4, 5, 6, 7], [6, 2], [1, 0, 3], [7, 4, 4]):
        values, gradients = F.value_and_gradient(x[order])
        products = F.hessian_product(x[order], w[order])
        for k, own in enumerate(order):
            np.testing.assert_array_equal(values[k], F.value(x[own]))
            np.testing.assert_array_equal(gradients[k], F.gradient(x[own]))
            np.testing.assert_array_equal(products[k], F.hessian_product(x[own], w[own]))


@pytest.mark.parametrize("accuracy", [1e-14, 1e-9])
@pytest.mark.parametrize("model", [ms.LogisticRegression, ms.SigmoidClassification])
def test_no_row_takes_a_sum_that_reaches_far_too_far(model, accuracy):
    """Sums of one cost are left out, but what 1 + the reach of a row is multiplied by stays below 2."""
    A = (np.random.default_rng(5).random((150, 12)) < 0.6).astype(float)
    F = ms.Mast(model(A, np.ones(150), l2=1e-3), ms.Bernoulli(12, 0.5), evaluate="rows", accuracy=accuracy)
    columns = F.expectation._selected.columns
    limits, every = columns._limits, columns.ladder.limits
    assert len(limits) < len(every)
    assert np.isin(limits, every).all()
    assert limits[-1] == every[-1]
    assert limits[0] <= max(every[0], 1.0)
    assert (1 + limits[1:] <= 2 * (1 + limits[:-1])).all()
