"""Rows straight from the data: power series at the edge of their radius, the ways taken, and bits that nothing changes."""

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mastsim as ms
from benchmarks.expected_rules import TrapezoidRows, plain
from mastsim.expected.mixtures import mixture
from mastsim.expected.transforms import mixed, pack
from mastsim.expected.transforms.entry_law import Data, Found, Pairs, Pieces, add_up, make_room
from mastsim.expected.transforms.series import TERMS, make_series
from mastsim.parallel import limited_threads
from tests.examples import examples

pytestmark = pytest.mark.slow


def one_node(q, t=1.0):
    """Return one sum, with the pair (t, q) and the weight 1."""
    start, frequency, q = np.array([0, 1]), np.array([t]), np.array([q], dtype=complex)
    series, one = make_series(start, frequency, q), np.ones(1)
    return Pairs(one * np.inf, 0 * one, start, frequency, np.array(q.real), np.array(q.imag), one, 0 * one, series)


def evaluated(pairs, theta, delta, offset):
    """Return value, derivatives and their change along delta of one row whose terms are theta."""
    r, one = len(theta), np.ones(len(theta))
    data = Data(np.array([0, r]), np.arange(r, dtype=np.int32), one, np.array([offset]), one)
    piece = Pieces(np.array([0, 1]), np.array([0, 1]), r)
    out = Found(np.zeros((1, 2)), np.zeros((1, r)), np.zeros((1, r)), np.zeros((1, 1), dtype=np.int64))
    add_up(0, 1, make_room(r), 2, data, theta[None], delta[None], piece, pairs, out)
    assert out.bucket[0, 0] == 0
    return out.values[0].sum(), out.gradient[0], out.product[0]


def chances(rng):
    """Return a chance: real, or that of a law of a mixture."""
    if rng.random() < 0.4:
        return complex(rng.uniform(0.01, 1))
    units = int(rng.choice([30, 123, 4000]))
    kept = int(rng.choice([max(4, units // 10), units // 2]))
    q = mixture(kept, units, int(rng.integers(1, 4)))[0]
    return complex(q[rng.integers(len(q))])


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=examples(60), deadline=None)
def test_a_series_is_exact_to_rounding_up_to_its_radius(seed):
    """Against products of factors in 40 digits, with all entries at the radius or some."""
    rng = np.random.default_rng(seed)
    q, t, r = chances(rng), float(10.0 ** rng.uniform(-1, 1.3)), int(rng.integers(16, 60))
    pairs = one_node(q, t)
    radius = pairs.series.radius[0]
    assert radius > 0.05 / t
    theta = radius * (rng.choice([-1.0, 1.0], r) if rng.random() < 0.5 else rng.uniform(-1, 1, r))
    delta, offset = rng.standard_normal(r), float(rng.standard_normal())
    value_found, slopes_found, bends_found = evaluated(pairs, theta, delta, offset)
    with mp.workdps(40):
        q, t = mp.mpc(q), mp.mpf(t)
        e = [mp.expj(t * mp.mpf(float(each))) for each in theta]
        factors = [1 - q + q * each for each in e]
        whole = mp.fprod(factors) * mp.expj(t * mp.mpf(offset))
        c = [q * each / f for each, f in zip(e, factors, strict=True)]
        along = mp.fsum(a * mp.mpf(float(b)) for a, b in zip(c, delta, strict=True))
        value, size = whole.real, float(abs(whole))
        slopes = [(1j * t * a * whole).real for a in c]
        bends = [-(t * t * whole * (a * along + (a - a * a) * mp.mpf(float(b)))).real for a, b in zip(c, delta, strict=True)]
    noise, t = 2e-16 * (r + 20) * size, float(t)
    reach = 1 + t * float(np.abs(theta).sum() + abs(offset)) + max(float(abs(a)) for a in c)
    assert abs(value_found - float(value)) <= noise * reach
    np.testing.assert_allclose(slopes_found, np.array(slopes, dtype=float), rtol=0, atol=4 * noise * t * reach)
    scale = t**2 * (1 + float(np.abs(delta).sum()))
    np.testing.assert_allclose(bends_found, np.array(bends, dtype=float), rtol=0, atol=8 * noise * scale * reach**2)


def test_beyond_its_radius_a_row_is_left_to_products():
    pairs = one_node(0.5)
    series = pairs.series
    # A series of nothing but zeros says 1, products say what is true.
    empty = pairs._replace(series=series._replace(re=0 * series.re, im=0 * series.im))
    for length, factor, done in ((20, 1.0, True), (20, 1.001, False), (15, 1.0, False)):
        theta = np.full(length, factor * series.radius[0])
        assert bool(evaluated(empty, theta, theta, 0.0)[0] == 1.0) is done
        theta[:-1] = 0.0
        assert bool(evaluated(empty, theta, theta, 0.0)[0] == 1.0) is done
    assert TERMS == 12
    assert 0.1 < series.radius[0] < 1


def test_mixed_agrees_with_products_of_factors():
    """Complex chances, whole tiles with the phases of the one before and without, and zero factors."""
    rng = np.random.default_rng(0)
    t = np.repeat(rng.uniform(0, 5, (2, 8)), [3, 1], axis=0).ravel()
    q = rng.uniform(0, 1, 32) + 0.3j * rng.standard_normal(32)
    t[5], q[5] = np.pi, 0.5
    weights = rng.standard_normal(32) + 1j * rng.standard_normal(32)
    theta, delta, offset = rng.standard_normal(6), rng.standard_normal(6), np.array([0.3, -0.2])
    theta[2] = 1.0  # at the sixth pair its factor is zero
    indptr = np.array([0, 4, 6])
    found = mixed(2, indptr, theta, offset, q, [0, 0], pack([(0.0, t, weights)]), delta)
    for i in range(2):
        own = slice(indptr[i], indptr[i + 1])
        e = np.exp(1j * np.outer(theta[own], t))
        f, start = 1 + q * (e - 1), weights * np.exp(1j * t * offset[i])
        others = np.array([np.prod(np.delete(f, j, axis=0), axis=0) for j in range(len(f))])
        assert found.values[i] == pytest.approx((start * f.prod(axis=0)).sum().real, abs=1e-13)
        np.testing.assert_allclose(found.derivatives[own], (start * 1j * t * q * e * others).sum(axis=1).real, atol=1e-12)
        for j in range(len(f)):
            bend = -(t**2) * q * e[j] * delta[own][j] * others[j]
            for k in set(range(len(f))) - {j}:
                rest = np.prod(np.delete(f, [j, k], axis=0), axis=0)
                bend -= t**2 * q * e[j] * q * e[k] * delta[own][k] * rest
            assert found.directionals[own][j] == pytest.approx((start * bend).sum().real, abs=1e-11)


def rows(sketch, scale=1.0, seed=3):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((700, sketch.dim)) * (rng.random((700, sketch.dim)) < 0.5) * scale
    f = ms.LogisticRegression(A, np.where(rng.random(700) < 0.5, 1.0, -1.0), l2=1e-3)
    return ms.Mast(f, sketch, evaluate="rows"), rng


@pytest.mark.parametrize("sketch", [ms.Bernoulli(60, 0.5), ms.RandK(60, 30), ms.Bernoulli(60, np.linspace(0.2, 1, 60))])
@pytest.mark.parametrize("scale", [1e-3, 0.02, 0.05])
def test_all_ways_agree(sketch, scale):
    """With the power series, products of factors, and states of the subset or entries on their own."""
    F, rng = rows(sketch)
    z, w = rng.standard_normal((2, 3, 60)) * np.array([[[scale]], [[1.0]]])
    found, selected = F.expectation._selected.totals(z, 2, w), F.expectation._selected
    assert selected.columns is None
    quick, bucket = selected.entries.totals(z, 2, w)
    assert (bucket >= 0).all()
    selected.__dict__["entries"] = None
    slow = selected.totals(z, 2, w)
    for name, tolerance in (("value", 3e-15), ("gradient", 3e-15), ("product", 3e-13)):
        np.testing.assert_array_equal(getattr(found, name), getattr(quick, name))
        np.testing.assert_allclose(getattr(found, name), getattr(slow, name), rtol=0, atol=700 * tolerance)


def test_points_beyond_the_stored_sums_are_left_to_the_general_way():
    F, rng = rows(ms.Bernoulli(60, 0.5))
    z = 3.0 * rng.standard_normal((2, 60))
    assert (F.expectation._selected.entries.totals(z, 1)[1] == -1).all()
    assert np.isfinite(F.value(z)).all()


@pytest.mark.parametrize("sketch", [ms.Bernoulli(30, 0.5), ms.RandK(30, 15), ms.Bernoulli(30, np.linspace(0.2, 1, 30))])
def test_rows_beyond_the_stored_sums_are_added_to_those_within(sketch):
    """Rows of all sizes at one point: against the general way for all of them, bounds included."""
    rng = np.random.default_rng(7)
    A = rng.standard_normal((400, 30)) * 10.0 ** rng.uniform(-2, 1, (400, 1)) * (rng.random((400, 30)) < 0.8)
    F = ms.Mast(ms.LogisticRegression(A, np.where(rng.random(400) < 0.5, 1.0, -1.0), l2=1e-3), sketch, evaluate="rows")
    x, w = rng.standard_normal((2, 3, 30))
    selected = F.expectation._selected
    missed = selected.entries.totals(x, 1)[1] < 0
    assert (missed.mean(axis=1) > 0.05).all()
    assert (missed.mean(axis=1) < 0.95).all()
    found, bound, slopes = selected.totals(x, 2, w), F.error_bound(x), [F.gradient_error(each) for each in x]
    selected.__dict__["entries"] = None
    slow = selected.totals(x, 2, w)
    assert (np.abs(found.value - slow.value) / 400 <= bound + F.error_bound(x)).all()
    away = np.linalg.norm(found.gradient - slow.gradient, axis=1) / 400
    assert (away <= np.array(slopes) + [F.gradient_error(each) for each in x]).all()
    np.testing.assert_allclose(found.product, slow.product, rtol=0, atol=1e-13 * np.abs(A).max() ** 2 * 400)
    assert bound < 1e-10


@pytest.mark.parametrize("sketch", [ms.Bernoulli(40, 0.5), ms.RandK(40, 20)])
@pytest.mark.parametrize("scale", [1e-3, 0.1])
def test_company_and_threads_change_no_bit(sketch, scale):
    rng = np.random.default_rng(4)
    A = rng.standard_normal((9000, 40))
    F = ms.Mast(ms.LogisticRegression(A, np.where(rng.random(9000) < 0.5, 1.0, -1.0), l2=1e-3), sketch, evaluate="rows")
    x, w = scale * rng.standard_normal((2, 5, 40))
    values, gradients = F.value_and_gradient(x)
    products = F.hessian_product(x[:2], w[:2])
    for count in (1, 2):
        with limited_threads(count):
            for k in range(5):
                assert F.value_and_gradient(x[k])[0] == values[k] == F.value(x[k])
                np.testing.assert_array_equal(F.gradient(x[k]), gradients[k])
            np.testing.assert_array_equal(F.hessian_product(x[1], w[1]), products[1])


def test_dense_rows_with_few_of_many_kept_are_mixed_as_accurately_as_the_subset():
    """Against the states of the subset, another algorithm, where one row in many reaches far."""
    rng = np.random.default_rng(4)
    A = rng.standard_normal((60, 300)) / np.sqrt(300)
    f, x = ms.LogisticRegression(A, np.where(rng.random(60) < 0.5, 1.0, -1.0), l2=1e-2), 0.25 * rng.standard_normal(300)
    F = ms.Mast(f, ms.RandK(300, 30))
    rows = F.expectation._selected
    assert (rows.entries.totals(x[None], 0)[1] >= 0).all()
    value, gradient = TrapezoidRows(f, F.sketch).value_and_gradient(x)
    found, slope = plain(F, x)
    assert abs(found - value) <= F.error_bound(x)
    assert np.linalg.norm(slope - gradient) <= F.gradient_error(x) + 1e-13
