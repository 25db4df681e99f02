"""Rows: exponential sums with a proven error, plans, layouts, and rows too long or too far out for the usual oracles."""

import itertools
import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import assume, given
from hypothesis import strategies as st

import mastsim as ms
from mastsim.expected import row_sums
from mastsim.expected.ladder import Ladder
from mastsim.expected.layout import lay_out
from mastsim.expected.row_enumeration import MOST_TERMS
from mastsim.expected.row_moments import RowMoments
from mastsim.problems import LogisticLoss, SquaredLoss
from tests.oracles.brute_force import LONG, MASKS, TINY, instances

pytestmark = pytest.mark.slow

PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803")


# The exponential sum of the logistic loss, in 60 digits ---------------------------------------------------------------


@pytest.fixture
def digits():
    with localcontext() as context:
        context.prec = 60
        yield context


def cosine(x):
    """Return cos x by its series after reduction to one turn."""
    x = x.remainder_near(2 * PI)
    term, total = Decimal(1), Decimal(1)
    for k in range(1, 60):
        term *= -x * x / ((2 * k - 1) * 2 * k)
        total += term
    return total


def weighted_cosines(weights, angle):
    """Return Σ weights[k]·cos(k·angle), k = 0, 1, …, by Chebyshev's recurrence."""
    twice = 2 * cosine(angle)
    behind, now, total = twice / 2, Decimal(1), Decimal(0)
    for weight in weights:
        total += weight * now
        behind, now = now, twice * now - behind
    return total


def sinh(x):
    return (x.exp() - (-x).exp()) / 2


def ideal_weights(step, count):
    """Return the weights of the rule in 60 digits, the cosine terms only."""
    nodes = [step * k for k in range(1, count)]
    return [Decimal(0)] + [-step / (t * sinh(PI * t)) for t in nodes]


def rule(step, weights, w):
    """Return log 2 + Σ weights·(cos − 1) − w/2 + step·w²/(4π): the trapezoid rule for log(1 + e^−w)."""
    return Decimal(2).ln() - sum(weights) + weighted_cosines(weights, step * w) - w / 2 + step * w * w / (4 * PI)


def softplus(w):
    """Return log(1 + e^−w)."""
    return (1 + (-w).exp()).ln()


@pytest.mark.parametrize("reach", [1.0, 7.3, 40.0, 1000.0])
def test_the_error_bound_of_the_rule_is_true_and_not_vacuous(reach, digits):
    """The rule itself, free of rounding: nowhere off by more than the bound, somewhere by a hundredth of it."""
    s = LogisticLoss().exponential_sum(reach)
    step = Decimal(s.step)
    weights = ideal_weights(step, len(s.weights))
    places = [Decimal(reach) * k / 12 for k in range(-12, 13)] + [Decimal(k) / 7 for k in range(-3, 4)]
    errors = [abs(rule(step, weights, w) - softplus(w)) for w in places]
    assert max(errors) <= Decimal(s.error)
    assert max(errors) >= Decimal(s.error) / 100
    assert s.error < 2e-16


@pytest.mark.parametrize("reach", [1.0, 7.3, 40.0, 1000.0])
def test_the_stored_sum_is_the_rule_up_to_rounding(reach, digits):
    """Stored constants, squares and weights are doubles; the terms are as large as the reach and off by an ulp or two."""
    s = LogisticLoss().exponential_sum(reach)
    assert s.reach == reach
    assert (s.rate, s.slope, s.weights[0]) == (0.0, -0.5, 0.0)
    assert not s.weights.imag.any()
    weights = [Decimal(float(w)) for w in s.weights.real]
    for k in range(-12, 13):
        w = Decimal(reach) * k / 12
        stored = Decimal(s.constant) + Decimal(s.slope) * w + Decimal(s.square) * w * w
        stored += weighted_cosines(weights, Decimal(s.step) * w)
        assert abs(stored - softplus(w)) <= Decimal(s.error) + Decimal("2e-16") * (4 + Decimal(reach))


def test_truncation_and_spacing_both_count(digits):
    """Half the nodes, or twice the spacing, break the bound: it is not there by accident."""
    s = LogisticLoss().exponential_sum(40.0)
    w = Decimal(40)
    half = ideal_weights(Decimal(s.step), len(s.weights) // 2)
    assert abs(rule(Decimal(s.step), half, Decimal("1.3")) - softplus(Decimal("1.3"))) > 1000 * Decimal(s.error)
    wide = ideal_weights(2 * Decimal(s.step), len(s.weights) // 2)
    assert abs(rule(2 * Decimal(s.step), wide, w) - softplus(w)) > 1000 * Decimal(s.error)


def test_the_squared_loss_is_its_own_sum():
    s = SquaredLoss().exponential_sum(3.0)
    assert (s.constant, s.slope, s.square, len(s.weights), s.error, s.reach) == (0.0, 0.0, 0.5, 0, 0.0, math.inf)


# Layouts and moments --------------------------------------------------------------------------------------------------


def row_values(instance):
    """Return w_i = sign_i·u_i + offset_i for every value of the sketch, shape (values, rows)."""
    u = instance.losses(instance.x)[3]
    return u * instance.y if instance.loss == "logistic" else u - instance.y


def laid_out(instance):
    problem = instance.problem
    layout = lay_out(problem, instance.sketch.law, instance.v)
    return layout, layout.gather(instance.x - instance.v)


def largest_values(instance):
    """Return max |w_i| over the sketch for every row, and what rounding may hide of it."""
    terms = np.abs(instance.data) * (np.abs(instance.v) + np.abs(instance.points(instance.x)).max(axis=0))
    size = terms.sum(axis=1) + np.abs(instance.y)
    return np.abs(row_values(instance)).max(axis=0).astype(float), 1e-14 * size.astype(float) + TINY


@given(instance=instances(families=MASKS))
def test_the_reach_bounds_every_value(instance):
    layout, theta = laid_out(instance)
    largest, rounding = largest_values(instance)
    assert (layout.reach(theta) >= largest - rounding).all()


@given(instance=instances(families=("bernoulli",)))
def test_the_reach_is_attained_when_anything_may_be_kept(instance):
    assume(instance.sketch.keep < 1)
    layout, theta = laid_out(instance)
    largest, rounding = largest_values(instance)
    assert (np.abs(layout.reach(theta) - largest) <= rounding).all()


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_reach_counts_no_more_terms_than_are_kept(k):
    """Seven of sixteen coordinates are in the row and nine are not, so any k of the seven may be all that is kept."""
    rng = np.random.default_rng(k)
    a = np.append(rng.standard_normal(7), np.zeros(9))
    f = ms.LogisticRegression(np.vstack([a, -a]), np.ones(2), l2=0.0)
    layout = lay_out(f, ms.RandK(16, k).law, np.full(16, 0.3))
    theta = layout.gather(np.ones(16))
    terms = a[:7] * 16 / k
    sums = [0.3 * a.sum() + sum(c) for m in range(k + 1) for c in itertools.combinations(terms, m)]
    np.testing.assert_allclose(layout.reach(theta), np.abs(sums).max(), rtol=1e-13)


@given(instance=instances(families=MASKS))
def test_moments_match_brute_force(instance):
    """E w, E w², their derivatives in θ and the change of these, the latter as polarised variances."""
    layout, theta = laid_out(instance)
    w, chances = row_values(instance), instance.support[1]
    size = 1 + float((chances @ w**2).max())
    moments = RowMoments(layout, theta)
    slope, square = np.linspace(-1, 1, w.shape[1]), np.linspace(2, 0.5, w.shape[1])
    assert np.abs(moments.mean - chances @ w).max() <= 1e-13 * size
    assert np.abs(moments.expectation(slope, square) - chances @ (slope * w + square * w**2)).max() <= 1e-12 * size
    step, derivative = 0.5, moments.derivative(slope, square)
    for e in range(len(theta)):
        ahead, behind = (RowMoments(layout, theta + s * np.eye(len(theta))[e]) for s in (step, -step))
        change = (ahead.expectation(slope, square) - behind.expectation(slope, square)).sum() / (2 * step)
        assert abs(change - derivative[e]) <= 1e-12 * size
    delta = np.cos(np.arange(len(theta)))
    ahead, behind = (RowMoments(layout, theta + s * delta).derivative(slope, square) for s in (step, -step))
    np.testing.assert_allclose(
        moments.directional(square, delta), (ahead - behind) / (2 * step), rtol=0, atol=1e-12 * (size + np.abs(theta).sum())
    )


# Plans ----------------------------------------------------------------------------------------------------------------


def rows_of(A, sketch):
    f = ms.LogisticRegression(A, np.ones(len(A)), l2=0.0)
    return row_sums.SelectionRows(f.loss, lay_out(f, sketch.law, np.zeros(sketch.dim)), 1e-14)


def plan(A, sketch, x):
    rows = rows_of(A, sketch)
    return rows._plan(rows.layout.gather(x))


def test_short_and_far_rows_are_enumerated_and_long_ones_are_not():
    A = np.triu(np.ones((20, 20)))[::-1]
    near = plan(A, ms.Bernoulli(20, 0.5), 30 * np.ones(20)).enumerated
    far = plan(A, ms.Bernoulli(20, 0.5), 1e4 * np.ones(20)).enumerated
    assert 0 < len(near) < len(far) == MOST_TERMS
    assert set(near) < set(far)


@pytest.mark.parametrize("size", [0.1, 1.0, 30.0])
def test_sums_are_shared_and_reach_far_enough(size):
    rng = np.random.default_rng(0)
    rows = rows_of(rng.standard_normal((300, 20)), ms.Bernoulli(20, 0.5))
    theta = rows.layout.gather(size * rng.standard_normal(20))
    found, reach = rows._plan(theta), rows.layout.reach(theta)
    assert 1 < len(found.sums) < 30
    far = np.setdiff1d(np.arange(300), found.enumerated)
    assert len(far) > 200
    assert (found.per_row("reach") >= reach * (1 - 1e-14))[far].all()
    assert (found.per_row("reach") <= np.maximum(1.5 * reach, 0.5))[far].all()


def test_the_shortest_sum_that_reaches_far_enough_is_found():
    """Against all sums, each asked for by its number."""
    ladder = Ladder(LogisticLoss(), 1e-14)
    sums = [ladder[k] for k in range(90)]
    reaches = np.array([found.reach for found in sums])
    np.testing.assert_array_equal(reaches, ladder.limits[:90])
    assert (np.diff(reaches) > 0).all()
    assert (np.diff([len(found.weights) for found in sums]) > 0).all()
    places = np.concatenate([[0.0, 1e-300], reaches[:80], np.nextafter(reaches[:80], np.inf), np.geomspace(0.1, 1e3, 50)])
    want = [int(np.flatnonzero(reaches >= place)[0]) for place in places]
    np.testing.assert_array_equal(ladder.find(places), want)


def test_node_counts_are_right():
    """The number of exponentials is known without listing them, up to the spacing of the sums."""
    loss, reach = LogisticLoss(), np.array([0.0, 1.0, 3.0, 50.0, 1025.0, 30000.0])
    ladder = Ladder(loss, 1e-14)
    exact = np.array([len(loss.shortest_sum(r, 1e-14).weights) for r in reach])
    np.testing.assert_allclose(ladder.counts(reach), exact, rtol=2e-3, atol=1)
    assert exact[1] == 5
    assert not Ladder(SquaredLoss(), 1e-14).counts(reach).any()


def test_no_sum_is_listed_that_no_row_uses():
    """Points may be as far out as they like when rows are short: listing 10^13 exponentials would never end."""
    found = plan(np.ones((2, 3)), ms.Bernoulli(3, 0.5), np.full(3, 1e13))
    assert found.sums == []
    assert list(found.enumerated) == [0, 1]


# Rows that are too long to enumerate ----------------------------------------------------------------------------------


def counted(chances, step):
    """Return E log(1 + e^−u) and E[count/(1 + e^u)] for u = step·count, given the law of the count."""
    counts = np.arange(len(chances))
    u = LONG(step) * counts
    return chances @ np.logaddexp(LONG(0), -u), chances @ (np.exp(-np.logaddexp(LONG(0), u)) * counts)


def binomial(r, p):
    return np.array([math.comb(r, m) * LONG(p) ** m * (1 - LONG(p)) ** (r - m) for m in range(r + 1)])


def hypergeometric(d, r, k):
    sets = [math.comb(r, m) * math.comb(d - r, k - m) for m in range(min(r, k) + 1)]
    return np.array([LONG(count) / LONG(math.comb(d, k)) for count in sets])


@pytest.mark.parametrize("scale", [0.01, -0.3, 5.0, 800.0])
@pytest.mark.parametrize(("r", "p"), [(15, 0.5), (40, 0.03), (40, 0.9), (300, 0.2)])
def test_many_equal_terms_kept_on_their_own_are_binomial(r, p, scale):
    f = ms.LogisticRegression(np.ones((1, r)), np.ones(1), l2=0.0)
    F = ms.Mast(f, ms.Bernoulli(r, p))
    value, slope = counted(binomial(r, p), scale / p)
    x = np.full(r, scale)
    assert F.error_bound(x) > 0
    assert abs(float(F.value(x) - value)) <= 1e-13 * (1 + r * abs(scale) / p)
    assert np.abs(F.gradient(x) + slope / (r * LONG(p))).max() <= 1e-14


@pytest.mark.parametrize("scale", [0.01, -0.3, 5.0, 100.0])
@pytest.mark.parametrize(("d", "r", "k"), [(40, 15, 3), (40, 40, 7), (40, 30, 39), (60, 30, 1), (300, 100, 12)])
def test_many_equal_terms_of_a_subset_are_hypergeometric(d, r, k, scale):
    a = (np.arange(d) < r).astype(float)
    F = ms.Mast(ms.LogisticRegression(a[None, :], np.ones(1), l2=0.0), ms.RandK(d, k))
    chances = hypergeometric(d, r, k)
    value, slope = counted(chances, scale * d / k)
    x = np.full(d, scale)
    assert F.error_bound(x) > 0
    assert abs(float(F.value(x) - value)) <= 1e-13 * (1 + r * abs(scale) * d / k)
    assert np.abs(F.gradient(x) + slope * d / (k * r) * a).max() <= 1e-14


def sixteen_terms(p):
    """Return a row of unequal terms, its 2^16 kept sets and their probabilities."""
    rng = np.random.default_rng(6)
    bits = (np.arange(1 << 16)[:, None] >> np.arange(16)) & 1
    chances = np.prod(np.where(bits == 1, p, 1 - p), axis=1)
    return rng.standard_normal(16), bits, chances


@pytest.mark.parametrize("p", [0.5, np.geomspace(1e-3, 1, 16)])
@pytest.mark.parametrize("size", [1.0, 50.0, 2000.0])
def test_sixteen_unequal_terms(p, size):
    """More terms than are ever enumerated by the package; predictions reach 1e5."""
    a, bits, chances = sixteen_terms(p)
    rng = np.random.default_rng(2)
    v, x, w = size * rng.standard_normal((3, 16)) * np.array([[1e-2], [1.0], [1.0 / size]])
    F = ms.Mast(ms.LogisticRegression(a[None, :], -np.ones(1), l2=0.0), ms.Bernoulli(16, p), shift=v)
    masks = bits / p
    u = (v + masks * (x - v)) @ a
    sigmoid = np.exp(-np.logaddexp(0, -u))
    assert F.error_bound(x) > 0
    assert abs(F.value(x) - chances @ np.logaddexp(0, u)) <= 1e-14 * (1 + np.abs(u).max())
    want = (chances * sigmoid) @ masks * a
    np.testing.assert_allclose(F.gradient(x), want, rtol=0, atol=1e-14 * np.abs(a).max())
    bends = chances * sigmoid * (1 - sigmoid) * (masks @ (a * w))
    largest = np.abs(a * w).sum() * (np.abs(a) / np.broadcast_to(p, (16,))).max()
    np.testing.assert_allclose(F.hessian_product(x, w), bends @ masks * a, rtol=0, atol=1e-14 * largest)


def test_what_sixteen_terms_reach():
    a, bits, _ = sixteen_terms(0.5)
    x = 2000.0 * np.random.default_rng(2).standard_normal((3, 16))[1]
    assert np.abs(bits / 0.5 * x @ a).max() > 2e4


def test_more_than_a_thousand_terms():
    """2^1100 is not a double."""
    d, p, scale = 1100, 0.5, 0.02
    F = ms.Mast(ms.LogisticRegression(np.ones((1, d)), np.ones(1), l2=0.0), ms.Bernoulli(d, p))
    chances = np.exp(
        [math.lgamma(d + 1) - math.lgamma(m + 1) - math.lgamma(d - m + 1) - d * math.log(2) for m in range(d + 1)]
    )
    value, _ = counted(chances, scale / p)
    assert F.value(np.full(d, scale)) == pytest.approx(float(value), rel=1e-11)


# Places where a transform vanishes or the point is out of reach -------------------------------------------------------


@pytest.mark.parametrize("odd", [1, 3])
def test_factors_of_the_transform_that_vanish(odd, monkeypatch):
    """With p = 1/2 and tθ = π the factor (1 + e^{itθ})/2 is 0."""
    monkeypatch.setattr(row_sums, "_ATOM_COST", math.inf)
    number = int(Ladder(LogisticLoss(), 5e-15).find(np.array([44.3]))[0])
    first = math.pi / Ladder(LogisticLoss(), 5e-15)[number].frequencies[odd]
    theta = np.array([first, 44.0 - first, 0.3])
    for sketch in (ms.Bernoulli(3, 0.5), ms.RandK(4, 2)):
        d = sketch.dim
        a, x = np.append(theta / 2, np.zeros(d - 3)), np.ones(d)
        used = plan(a[None, :], sketch, x)
        assert np.abs(used.sums[0].frequencies * first - math.pi).min() < 1e-14
        F = ms.Mast(ms.LogisticRegression(a[None, :], np.ones(1), l2=0.0), sketch)
        kept = np.array([m for m in itertools.product([0, 1], repeat=d) if d == 3 or sum(m) == 2])
        u = 2 * kept @ a
        slopes = -np.exp(-np.logaddexp(0, u))
        assert abs(F.value(x) - np.logaddexp(0, -u).mean()) <= 1e-14 * (1 + np.abs(u).max())
        np.testing.assert_allclose(F.gradient(x), slopes @ (2 * kept * a) / len(u), rtol=0, atol=1e-14 * np.abs(a).max())


def test_points_beyond_any_data_are_exact_when_rows_are_short():
    """At 1e12 the loss is max(−u, 0) to the last bit, of which the mean is known."""
    F = ms.Mast(ms.LogisticRegression(np.ones((1, 3)), np.ones(1), l2=0.0), ms.Bernoulli(3, 0.5))
    x = 1e12 * np.array([1.0, -2.0, 3.5])
    u = 2 * np.array(list(itertools.product([0, 1], repeat=3))) @ x
    want = np.where(u == 0, math.log(2), np.maximum(-u, 0)).mean()
    assert F.value(x) == pytest.approx(want, rel=1e-15)
    assert abs(float(F.value(x)) - want) <= F.error_bound(x) <= 1e-13 * 1e13


def test_long_rows_too_far_out_are_refused():
    F = ms.Mast(ms.LogisticRegression(np.ones((1, 20)), np.ones(1), l2=0.0), ms.Bernoulli(20, 0.5))
    with pytest.raises(ValueError, match=r"too far out .* 14 terms reaches .* = 4e\+13, and all rows take 7.* exp"):
        F.value(np.full(20, 1e12))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_points_that_are_not_finite_give_nan(bad):
    """A diverged run is to be seen, not to stop with an error."""
    f = ms.LogisticRegression(np.ones((2, 3)), np.ones(2), l2=0.1)
    for sketch in (ms.Bernoulli(3, 0.5), ms.RandK(3, 2)):
        F = ms.Mast(f, sketch)
        x = np.array([[0.0, bad, 1.0], [0.0, 1.0, 1.0]])
        values, gradients, products = F.value(x), F.gradient(x), F.hessian_product(x, np.ones((2, 3)))
        assert math.isnan(values[0])
        assert np.isnan(gradients[0]).all()
        assert np.isnan(products[0]).all()
        assert values[1] == F.value(x[1])
        assert np.isfinite(gradients[1]).all()


@given(st.integers(1, 40), st.integers(0, 99))
def test_sparse_and_dense_rows_are_the_same_rows(d, seed):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((5, d)) * (rng.random((5, d)) < 0.5)
    y = np.where(rng.random(5) < 0.5, 1.0, -1.0)
    v, x = rng.standard_normal((2, d))
    k = int(rng.integers(1, d + 1))
    for sketch in (ms.Bernoulli(d, 0.3), ms.RandK(d, k)):
        dense, sparse = (ms.Mast(ms.LogisticRegression(data, y, l2=0.1), sketch, shift=v) for data in (A, sp.csr_array(A)))
        np.testing.assert_allclose(dense.gradient(x), sparse.gradient(x), rtol=1e-12, atol=1e-14)
        assert dense.value(x) == pytest.approx(sparse.value(x), rel=1e-13)
