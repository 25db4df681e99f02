"""Sketches against their definitions: every family, through `check_sketch` and through enumerations written here."""

import itertools
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mastsim.sketches import (
    ALL_SKETCHES,
    Bernoulli,
    DiagonalBatch,
    FiniteSupport,
    Identity,
    MatrixBatch,
    RandK,
    Selection,
    SelectionSketch,
    Unscaled,
    parse_sketch,
    sketch_names,
)
from mastsim.testing import check_sketch
from mastsim.testing.sketch_strategies import SKETCHES, sketches
from tests.examples import examples
from tests.oracles.listed_laws import keep_of, kept_sets, law, mean, semidefinite, symmetric

BELOW_ONE = np.nextafter(1.0, 0.0)
MASKS = [Identity, Bernoulli, RandK]
KNOWN_BY_HAND = [*MASKS, FiniteSupport]
SEEDS = st.integers(0, 2**32 - 1)


class Groups(SelectionSketch):
    """2 of 3 units and 1 of 2 units, of one to three coordinates each: a selection of a shape that no family has."""

    dim = 8
    law = Selection(np.array([0, 0, 1, 2, 2, 2, 3, 4]), np.array([0, 0, 0, 1, 1]), np.array([3, 2]), np.array([2.0, 1.0]))
    name = "groups"


@pytest.mark.parametrize("family", ALL_SKETCHES)
@settings(max_examples=examples(25))
@given(data=st.data(), seed=st.integers(0, 9))
def test_every_family_is_what_it_says(family, data, seed):
    dims = [dim for dim in range(1, 6) if family in SKETCHES or family.examples(dim)]
    check_sketch(data.draw(sketches(data.draw(st.sampled_from(dims)), [family])), seed)


@pytest.mark.parametrize(
    "sketch",
    [
        Bernoulli(30, 0.4),
        Bernoulli(30, np.linspace(0.2, 1.0, 30)),
        Bernoulli(21, 1e-3),
        RandK(40, 13),
        RandK(25, 24),
        Unscaled(RandK(40, 13)),
        FiniteSupport(np.eye(30) + np.array([1, -1])[:, None, None] * np.random.default_rng(0).normal(size=(30, 30))),
        Groups(),
    ],
    ids=lambda sketch: sketch.name,
)
def test_sketches_too_large_to_list_and_unusual_ones(sketch):
    # check_sketch states its error probability: 1e-9 an instance.
    check_sketch(sketch)


@given(data=st.data(), dim=st.integers(1, 6), family=st.sampled_from(MASKS))
def test_support_lists_every_kept_set(data, dim, family):
    sketch = data.draw(sketches(dim, [family]))
    expected = dict(kept_sets(sketch))
    batch, weights = sketch.support()
    found = {tuple(int(kept) for kept in row != 0): w for row, w in zip(batch.diagonals, weights, strict=True)}
    assert len(weights) == sketch.support_size == len(expected)
    assert found.keys() == expected.keys()
    for mask, chance in expected.items():
        assert found[mask] == pytest.approx(chance, rel=1e-13)
    scale = np.where(batch.diagonals != 0, 1 / keep_of(sketch), 0)
    np.testing.assert_allclose(batch.diagonals, scale, rtol=1e-15)


@given(data=st.data(), dim=st.integers(1, 6), seed=SEEDS)
def test_moments_and_spectra_against_enumeration(data, dim, seed):
    sketch = data.draw(sketches(dim, KNOWN_BY_HAND))
    S, chances = law(sketch)
    np.testing.assert_allclose(mean(chances, S), np.eye(dim), atol=1e-12 * np.abs(S).max())
    second = mean(chances, [s.T @ s for s in S])
    np.testing.assert_allclose(sketch.second_moment(), second, rtol=1e-12, atol=1e-12 * np.abs(second).max())
    A = symmetric(np.random.default_rng(seed), dim)
    quadratic, size = (mean(chances, [f(s).T @ f(A) @ f(s) for s in S]) for f in (np.asarray, np.abs))
    assert (np.abs(sketch.quadratic_moment(A) - quadratic) <= 1e-12 * size).all()
    spectrum = np.linalg.eigvalsh(second)
    assert pytest.approx(spectrum[-1], rel=1e-11) == sketch.L_D
    assert sketch.mu_D == pytest.approx(spectrum[0], rel=1e-11, abs=1e-13 * spectrum[-1])
    assert sketch.L_max == pytest.approx(max(np.linalg.norm(s, ord=2) ** 2 for s in S), rel=1e-12)
    assert sketch.unbiased


@given(data=st.data(), dim=st.integers(1, 6), seed=SEEDS, rank=st.integers(1, 6))
def test_supremum_curvature_against_enumeration(data, dim, seed, rank):
    sketch = data.draw(sketches(dim, KNOWN_BY_HAND))
    A = semidefinite(np.random.default_rng(seed), dim, rank)
    top = max(np.linalg.eigvalsh(s.T @ A @ s)[-1] for s in law(sketch)[0])
    found = sketch.supremum_curvature(A)
    assert found.kind == "exact"
    assert found.value == pytest.approx(top, rel=1e-10)


@pytest.mark.parametrize(("k", "rank", "by_trace"), [(2, 50, True), (10, 1, True), (100, 200, False)])
def test_supremum_curvature_that_cannot_be_listed_is_the_better_of_two_bounds(k, rank, by_trace):
    rng = np.random.default_rng(0)
    sketch = RandK(200, k)
    A = semidefinite(rng, sketch.dim, rank)
    largest = np.linalg.eigvalsh(A)[-1]
    trace = sum(sorted(np.diag(A), reverse=True)[:k])
    found = sketch.supremum_curvature(A)
    assert found.kind == "upper"
    assert found.value == pytest.approx((sketch.dim / k) ** 2 * min(largest, trace), rel=1e-10)
    assert (trace < largest) == by_trace
    for _ in range(50):
        chosen = rng.choice(sketch.dim, k, replace=False)
        assert (sketch.dim / k) ** 2 * np.linalg.eigvalsh(A[np.ix_(chosen, chosen)])[-1] <= found * (1 + 1e-12)


def test_supremum_curvature_of_bernoulli_is_exact_in_any_dimension():
    keep = np.linspace(0.1, 1.0, 60)
    A = semidefinite(np.random.default_rng(0), 60, 60)
    found = Bernoulli(60, keep).supremum_curvature(A)
    assert found.kind == "exact"
    assert found.value == pytest.approx(np.linalg.norm(np.diag(1 / keep) @ A @ np.diag(1 / keep), ord=2), rel=1e-12)


@pytest.mark.parametrize("sketch", [Bernoulli(2000, 0.5), RandK(2000, 1000), RandK(10**6, 10**5)])
def test_a_support_beyond_floating_point_is_infinite(sketch):
    assert sketch.support_size == math.inf
    with pytest.raises(ValueError, match=r"the support of .* has inf values .*at most 1048576 are accepted"):
        sketch.support()


@pytest.mark.parametrize(("dim", "k"), [(20, 10), (21, 10), (30, 3), (64, 5), (300, 7), (2000, 1)])
def test_support_size_of_rand_k_is_the_binomial_coefficient(dim, k):
    assert RandK(dim, k).support_size == pytest.approx(math.comb(dim, k), rel=1e-12)


@pytest.mark.parametrize(("dim", "k"), [(1, 1), (3, 1), (4, 2), (5, 3), (4, 4)])
def test_rand_k_is_exactly_uniform(dim, k):
    """The unit cube of the uniforms splits into equal boxes, one for each ordered choice: every subset gets k! of them."""
    steps = [(np.arange(dim - i) + 0.5) / (dim - i) for i in range(k)]
    sketch = RandK(dim, k)
    u = np.array(list(itertools.product(*steps)))[:, : sketch.uniforms]
    kept = [tuple(np.flatnonzero(row)) for row in sketch.from_uniforms(u).diagonals]
    for subset in itertools.combinations(range(dim), k):
        assert kept.count(subset) == math.factorial(k)


def assert_counts(counts, chances, draws, error=1e-9):
    """Each count is binomial; its exact two-sided tails, joined by the union bound, are missed with chance `error`."""
    each = error / (2 * len(counts))
    for count, chance in zip(counts, chances, strict=True):
        assert stats.binom.cdf(count, draws, chance) > each
        assert stats.binom.sf(count - 1, draws, chance) > each


def test_rand_k_samples_are_uniform_over_subsets():
    # Fails for a correct sampler with probability at most 1e-9.
    kept = RandK(5, 2).sample(np.random.default_rng(1), 100_000).diagonals != 0
    codes = kept @ 2 ** np.arange(5)
    assert_counts([int((codes == 2**i + 2**j).sum()) for i, j in itertools.combinations(range(5), 2)], [0.1] * 10, 100_000)


def test_bernoulli_samples_keep_each_coordinate_on_its_own_coin():
    # Fails for a correct sampler with probability at most 1e-9.
    keep = np.array([0.02, 0.5, 0.9])
    kept = Bernoulli(3, keep).sample(np.random.default_rng(2), 100_000).diagonals != 0
    masks = list(itertools.product((False, True), repeat=3))
    chances = [math.prod(np.where(mask, keep, 1 - keep)) for mask in masks]
    assert_counts([int((kept == mask).all(axis=1).sum()) for mask in masks], chances, 100_000)


def test_finite_support_samples_follow_the_weights():
    # Fails for a correct sampler with probability at most 1e-9.
    weights = np.array([0.003, 0.597, 0.4])
    sketch = FiniteSupport([np.diag([1 / w, 0, 0][-j:] + [1 / w, 0, 0][:-j]) for j, w in enumerate(weights)], weights)
    index = sketch.sample(np.random.default_rng(3), 100_000).index
    assert_counts(np.bincount(index, minlength=3).tolist(), weights, 100_000)


def test_draws_at_the_ends_of_the_uniforms():
    for u, subset in ((0.0, [0, 1, 2]), (BELOW_ONE, [4, 5, 6])):
        kept = RandK(7, 3).from_uniforms(np.full((1, 3), u)).diagonals[0]
        assert np.count_nonzero(kept) == 3
        assert (u > 0) or np.flatnonzero(kept).tolist() == subset
    some = Bernoulli(3, np.array([1.0, 0.5, 1e-3]))
    assert (some.from_uniforms(np.zeros((1, 3))).diagonals == [[1.0, 2.0, 1000.0]]).all()
    assert (some.from_uniforms(np.full((1, 3), BELOW_ONE)).diagonals == [[1.0, 0.0, 0.0]]).all()
    pair = FiniteSupport([np.diag([2.0, 0.0]), np.diag([0.0, 2.0])])
    assert pair.from_uniforms(np.array([[0.0], [0.5], [BELOW_ONE]])).index.tolist() == [0, 1, 1]


@given(dim=st.integers(1, 200), data=st.data())
def test_rand_k_keeps_exactly_k_for_any_uniforms(dim, data):
    k = data.draw(st.integers(1, dim))
    u = data.draw(st.lists(st.sampled_from([0.0, 0.5, BELOW_ONE]) | st.floats(0, BELOW_ONE), min_size=k, max_size=k))
    sketch = RandK(dim, k)
    diagonal = sketch.from_uniforms(np.array([u])[:, : sketch.uniforms]).diagonals[0]
    assert np.count_nonzero(diagonal) == k
    np.testing.assert_allclose(diagonal[diagonal != 0], dim / k, rtol=1e-15)


@given(dim=st.integers(1, 6), data=st.data(), seed=SEEDS, family=st.sampled_from([*MASKS, Groups]))
def test_scalar_law_against_enumeration(dim, data, seed, family):
    sketch = Groups() if family is Groups else data.draw(sketches(dim, [family]))
    rng = np.random.default_rng(seed)
    a, z = rng.integers(-2, 3, sketch.dim) * rng.choice([1.0, 0.37]), rng.standard_normal(sketch.dim)
    S, chances = law(sketch) if family is not Groups else groups_law()
    values = [float(a @ s @ z) for s in S]
    size = max(np.abs(a) @ np.abs(s) @ np.abs(z) for s in S) or 1.0
    found = sketch.projection(a, z)
    center = mean(chances, values)
    assert found.mean == pytest.approx(center, abs=1e-13 * size)
    assert found.variance == pytest.approx(mean(chances, [(v - center) ** 2 for v in values]), abs=1e-13 * size**2)
    t = np.array([-2.0, 0.0, 0.7]) / size
    np.testing.assert_allclose(
        found.characteristic_function(t), mean(chances, [np.exp(1j * t * v) for v in values]), atol=1e-13
    )
    generating = found.moment_generating_function(t)
    assert generating.dtype == float
    np.testing.assert_allclose(generating, mean(chances, [np.exp(t * v) for v in values]), rtol=1e-12)
    low, high = found.bounds
    assert low - 1e-12 * size <= min(values) <= max(values) <= high + 1e-12 * size
    assert_same_law(found.support(), values, chances, size)


def assert_same_law(support, values, chances, size):
    listed, weights = support
    assert (np.diff(listed) > 0).all()
    assert (weights > 0).all()
    for v in [*listed, *values]:
        near = [np.abs(np.asarray(points) - v) <= 1e-11 * size for points in (listed, values)]
        assert weights[near[0]].sum() == pytest.approx(np.asarray(chances)[near[1]].sum(), abs=1e-12)


def groups_law():
    kept = [(*two, *one) for two in itertools.combinations((0, 1, 2), 2) for one in ((3,), (4,))]
    units = [0, 0, 1, 2, 2, 2, 3, 4]
    return [np.diag([(1.5 if u < 3 else 2.0) * (u in chosen) for u in units]) for chosen in kept], np.full(6, 1 / 6)


def test_a_selection_of_groups_of_units():
    S, chances = groups_law()
    A = symmetric(np.random.default_rng(0), 8)
    np.testing.assert_allclose(Groups().quadratic_moment(A), mean(chances, [s @ A @ s for s in S]), atol=1e-13)
    B = semidefinite(np.random.default_rng(1), 8, 8)
    assert Groups().supremum_curvature(B) == pytest.approx(max(np.linalg.norm(s @ B @ s, ord=2) for s in S))


def test_variance_of_a_scalar_does_not_cancel():
    a = 1e8 + np.array([0.0, 1.0, 2.0])
    values = [3 / 2 * (a[i] + a[j] - 2e8) for i, j in ((0, 1), (0, 2), (1, 2))]
    assert RandK(3, 2).projection(a, np.ones(3)).variance == pytest.approx(np.var(values), rel=1e-7)
    assert RandK(3, 2).projection(np.ones(3), np.full(3, 0.1)).variance >= 0


def test_scalar_support_counts_kept_sets_not_terms():
    values, chances = RandK(1000, 1).projection(np.ones(1000), np.arange(1.0, 1001.0)).support()
    assert (len(values), chances.sum()) == (1000, pytest.approx(1.0))
    everything = Bernoulli(40, 1.0).projection(np.ones(40), np.ones(40)).support()
    assert [part.tolist() for part in everything] == [[40.0], [1.0]]
    for sketch in (Bernoulli(21, 0.5), Bernoulli(3000, 0.5), RandK(30, 15)):
        ones = np.ones(sketch.dim)
        with pytest.raises(ValueError, match="more than 1048576 kept sets"):
            sketch.projection(ones, ones).support()


@given(data=st.data(), dim=st.integers(1, 5), seed=SEEDS)
def test_a_draw_does_not_depend_on_the_draws_beside_it(data, dim, seed):
    sketch, rng = data.draw(sketches(dim)), np.random.default_rng(seed)
    u, z = rng.random((6, sketch.uniforms)), rng.standard_normal((6, dim))
    together = sketch.from_uniforms(u)
    for i in range(6):
        alone = sketch.from_uniforms(u[i : i + 1])
        assert (alone.apply(z[i : i + 1])[0] == together.apply(z)[i]).all()
        assert (alone.apply_transpose(z[i : i + 1])[0] == together.apply_transpose(z)[i]).all()


def test_batches_multiply_whole_numbers_without_truncation():
    matrix = MatrixBatch(np.array([[[1.5, 0.25], [0.0, 0.5]]]), np.array([0, 0]))
    assert matrix.apply(np.array([1, 1])).tolist() == [[1.75, 0.5]] * 2
    assert matrix.apply_transpose(np.array([[1, 1], [2, 0]])).tolist() == [[1.5, 0.75], [3.0, 0.5]]
    assert DiagonalBatch(np.array([[0.5, 1.5]])).apply(np.array([1, 1])).tolist() == [[0.5, 1.5]]
    assert [part.tolist() for part in DiagonalBatch(np.array([[-3.0, 2.0]])).square_norms()] == [[4.0], [9.0]]


@given(data=st.data(), dim=st.integers(1, 5), family=st.sampled_from(MASKS))
def test_unscaled_masks(data, dim, family):
    sketch = Unscaled(data.draw(sketches(dim, [family])))
    check_sketch(sketch)
    masks, chances = zip(*kept_sets(sketch.sketch), strict=True)
    A = symmetric(np.random.default_rng(0), dim)
    expected = mean(chances, [np.diag(m) @ A @ np.diag(m) for m in masks])
    np.testing.assert_allclose(sketch.quadratic_moment(A), expected, atol=1e-13 * np.abs(A).max())
    np.testing.assert_allclose(sketch.second_moment(), np.diag(keep_of(sketch.sketch)), rtol=1e-13)
    assert sketch.unbiased == (keep_of(sketch.sketch) == 1).all()


def test_unscaled_masks_are_exactly_zero_and_one():
    # In floating point 1/(7/9) · (7/9) is not 1.
    sketch = Unscaled(RandK(9, 7))
    assert set(np.unique(sketch.sample(np.random.default_rng(0), 20).diagonals)) == {0.0, 1.0}
    assert set(np.unique(sketch.support()[0].diagonals)) == {0.0, 1.0}


def test_a_finite_support_with_one_rare_value_is_held_to_the_mean_not_to_its_largest_entry():
    FiniteSupport([[[1e6]], [[0.0]]], [1e-6, 1 - 1e-6])
    with pytest.raises(ValueError, match=r"E\[S\] differs from the identity by 0.0001 "):
        FiniteSupport([[[1e6]], [[1e-4]]], [1e-6, 1 - 1e-6])


def test_sketches_keep_their_own_copies_and_plain_numbers():
    keep, atoms = np.array([0.5, 0.5]), np.array([np.eye(2)])
    bernoulli, finite = Bernoulli(2, keep), FiniteSupport(atoms)
    keep[0], atoms[0, 0, 0] = 0.1, 9.0
    assert bernoulli.keep.tolist() == [0.5, 0.5]
    assert np.asarray(finite.matrices)[0, 0, 0] == 1.0
    assert repr(RandK(np.int64(4), np.int64(2))) == "RandK(dim=4, k=2)"
    assert RandK(np.int64(4), k=np.int32(2)) == RandK(4, 2)


@pytest.mark.parametrize(
    ("text", "dim", "expected"),
    [
        ("identity", 3, Identity(3)),
        ("randk:0.1", 123, RandK(123, 12)),
        ("randk:1", 7, RandK(7, 7)),
        ("randk:1e-9", 7, RandK(7, 1)),
        ("randk:0.5", 1, RandK(1, 1)),
    ],
)
def test_parse_sketch(text, dim, expected):
    assert parse_sketch(text, dim) == expected


def test_parse_sketch_bernoulli():
    sketch = parse_sketch("bernoulli:0.3", 4)
    assert (type(sketch), sketch.dim, sketch.keep) == (Bernoulli, 4, 0.3)


def test_every_keyword_belongs_to_a_family():
    assert sketch_names().items() >= {"identity": Identity, "bernoulli": Bernoulli, "randk": RandK}.items()
    assert set(sketch_names().values()) <= set(ALL_SKETCHES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rank:0.1", "unknown sketch 'rank'; did you mean 'randk'? Known names: identity, bernoulli, randk"),
        ("", "unknown sketch ''. Known names: identity"),
        ("zzz:1", "unknown sketch 'zzz'. Known names: identity"),
        ("identity:3", "sketch 'identity:3' is not accepted: identity takes no argument"),
        ("randk", "randk keep fraction '' is not accepted: write randk:KEEP, for example randk:0.1"),
        ("randk:few", "randk keep fraction 'few' is not accepted: write randk:KEEP"),
        ("randk:0", "keep=0.0 is not accepted: a keep fraction must lie in (0, 1]"),
        ("randk:1.5", "keep=1.5 is not accepted: a keep fraction must lie in (0, 1]"),
        ("randk:nan", "keep=nan is not accepted"),
        ("bernoulli", "bernoulli keep fraction '' is not accepted: write bernoulli:KEEP, for example bernoulli:0.3"),
        ("bernoulli:0.1:2", "bernoulli keep fraction '0.1:2' is not accepted"),
        ("bernoulli:-1", "keep=-1.0 is not accepted"),
    ],
)
def test_parse_sketch_refuses(text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        parse_sketch(text, 10)


def test_a_family_without_a_keyword_cannot_be_named():
    with pytest.raises(ValueError, match="FiniteSupport cannot be named in a text; build it in Python"):
        FiniteSupport.from_text("2", 3)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: Identity(0), ValueError, "dim=0 is not accepted: it must be an integer >= 1"),
        (lambda: Identity(2.0), TypeError, "dim=2.0 is not accepted: it must be an integer >= 1"),
        (lambda: RandK(4, 0), ValueError, "k=0 is not accepted: it must be an integer from 1 to 4"),
        (lambda: RandK(4, 5), ValueError, "k=5 is not accepted: it must be an integer from 1 to 4"),
        (lambda: RandK(4, 0.5), TypeError, "k=0.5 is not accepted: it must be an integer from 1 to 4"),
        (lambda: Bernoulli(3, 0), ValueError, "keep=0.0 is not accepted: a keep fraction must lie in (0, 1]"),
        (lambda: Bernoulli(3, 1.1), ValueError, "keep=1.1 is not accepted: a keep fraction must lie in (0, 1]"),
        (lambda: Bernoulli(2, [0.5, np.nan]), ValueError, "keep=nan is not accepted"),
        (
            lambda: Bernoulli(3, [0.5, 0.5]),
            ValueError,
            "keep has shape (2,), but it must be a number or a vector of length 3",
        ),
        (lambda: Bernoulli(3, "half"), TypeError, "keep is not accepted: it must be an array of real numbers, not str"),
        (lambda: FiniteSupport([np.eye(2), np.eye(3)]), TypeError, "matrices is not accepted"),
        (lambda: FiniteSupport([np.ones((2, 3))]), ValueError, "matrices has shape (1, 2, 3), but it must be (N, dim, dim)"),
        (lambda: FiniteSupport(np.eye(2)), ValueError, "matrices has shape (2, 2), but it must be (N, dim, dim)"),
        (lambda: FiniteSupport([[[np.inf]]]), ValueError, "matrices holds inf at index (0, 0, 0)"),
        (lambda: FiniteSupport([[[1j]]]), TypeError, "matrices is not accepted"),
        (lambda: FiniteSupport([2 * np.eye(2)]), ValueError, "E[S] differs from the identity by 1 (largest entry)"),
        (lambda: FiniteSupport([np.eye(1)], [1.0, 0.0]), ValueError, "it must be 1 positive numbers that add up to 1"),
        (lambda: FiniteSupport([np.eye(1)] * 2, [1.5, -0.5]), ValueError, "it must be 2 positive numbers that add up to 1"),
        (lambda: FiniteSupport([np.eye(1)] * 2, [0.5, 0.4]), ValueError, "it must be 2 positive numbers that add up to 1"),
        (lambda: FiniteSupport([np.eye(1)], [np.nan]), ValueError, "weights holds nan at index (0,)"),
        (lambda: Unscaled(FiniteSupport([np.eye(1)])), TypeError, "it must be a mask such as Bernoulli or RandK"),
        (lambda: RandK(3, 1).sample(0, 2), TypeError, "rng=0 is not accepted: it must be a numpy.random.Generator"),
        (lambda: RandK(3, 1).sample(np.random.default_rng(0), 0), ValueError, "size=0 is not accepted"),
        (lambda: RandK(3, 1).quadratic_moment(np.eye(2)), ValueError, "A has shape (2, 2), but this sketch needs (3, 3)"),
        (lambda: RandK(2, 1).supremum_curvature(np.full((2, 2), np.nan)), ValueError, "A holds nan at index (0, 0)"),
        (lambda: RandK(2, 1).projection(np.ones(3), np.ones(2)), ValueError, "a has shape (3,), but it must be a vector of"),
    ],
)
def test_bad_input_is_refused(build, error, message):
    with pytest.raises(error, match=re.escape(message)):
        build()
