"""Minibatches against their laws listed here: weights, frequencies, the two constants of every row; step rules."""

import itertools
import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
import scipy.stats
from hypothesis import example, given
from hypothesis import strategies as st

from mastsim.methods import (
    ALL_SAMPLINGS,
    FullBatch,
    IndependentSampling,
    Minibatch,
    Nice,
    WithReplacement,
    importance_sampling,
)
from mastsim.methods.steprules import ConstantStep, HarmonicStep, InverseSqrtStep, StepRule, step_rule

LAST = 1 - 2.0**-53
ERROR = 1e-9  # probability with which a correct sampler fails a test of frequencies


# --- the oracle: total weight of every component, in every outcome, in plain Python ----------------------------------


def listed(sampling, n):
    """Return every outcome as (chance, total weights), by the definition of each sampling."""
    if isinstance(sampling, FullBatch):
        return [(1.0, [1 / n] * n)]
    if isinstance(sampling, Nice):
        subsets = list(itertools.combinations(range(n), sampling.tau))
        return [(1 / len(subsets), [(i in s) / sampling.tau for i in range(n)]) for s in subsets]
    if isinstance(sampling, IndependentSampling):
        p = [float(x) for x in np.broadcast_to(sampling.probabilities, (n,))]
        masks = [m for m in itertools.product((0, 1), repeat=n) if all(b or x < 1 for b, x in zip(m, p, strict=True))]
        chances = [math.prod(x if b else 1 - x for b, x in zip(m, p, strict=True)) for m in masks]
        return [(c, [b / (n * x) for b, x in zip(m, p, strict=True)]) for c, m in zip(chances, masks, strict=True)]
    q = [1 / n] * n if sampling.probabilities is None else [float(x) for x in sampling.probabilities]
    draws = list(itertools.product(range(n), repeat=sampling.tau))
    return [(math.prod(q[i] for i in d), [d.count(i) / (sampling.tau * n * q[i]) for i in range(n)]) for d in draws]


def total_weights(batch, n):
    """Return the total weight of every component, one minibatch a row."""
    if batch.index is None:
        return np.asarray(batch.weights)
    out = np.zeros((len(batch.weights), n))
    for row, (index, weights) in enumerate(zip(batch.index, batch.weights, strict=True)):
        for i, w in zip(index, weights, strict=True):
            out[row, i] += w
    return out


def left_side(sampling, g):
    """Return E‖Σ weight_i g_i‖²."""
    return sum(chance * float(((np.array(w) @ g) ** 2).sum()) for chance, w in listed(sampling, len(g)))


def right_side(sampling, L, g):
    """Return A·mean(‖g_i‖²/L_i) + B‖mean g_i‖²."""
    A, B = sampling.expected_smoothness(L)
    return A * float(((g**2).sum(axis=1) / L).mean()) + B * float((g.mean(axis=0) ** 2).sum())


# --- what is drawn ---------------------------------------------------------------------------------------------------

CHANCES = st.sampled_from([1.0, 0.5, 1e-3, 1e-12]) | st.floats(1e-3, 1.0)
SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def samplings(draw):
    n = draw(st.integers(1, 5))
    kind = draw(st.sampled_from(ALL_SAMPLINGS))
    if kind is FullBatch:
        return FullBatch(), n
    if kind is Nice:
        return Nice(draw(st.sampled_from([1, n]) | st.integers(1, n))), n
    if kind is IndependentSampling:
        p = draw(CHANCES | st.lists(CHANCES, min_size=n, max_size=n).map(np.array))
        return IndependentSampling(p), n
    q = draw(st.none() | st.lists(CHANCES, min_size=n, max_size=n).map(lambda v: np.array(v) / math.fsum(v)))
    return WithReplacement(draw(st.integers(1, 4)), q), n


# --- the law ---------------------------------------------------------------------------------------------------------


@given(samplings())
@example((Nice(1), 1))
@example((Nice(5), 5))
@example((IndependentSampling(np.array([1.0, 1e-12, 0.5])), 3))
@example((WithReplacement(3, np.array([1 - 2e-12, 1e-12, 1e-12])), 3))
@example((WithReplacement(3), 1))
def test_support_is_the_definition(case):
    sampling, n = case
    law, expected = sampling.law(n), listed(sampling, n)
    batch, chance = law.support()
    found = total_weights(batch, n)
    assert len(chance) == len(found) == law.support_size == len(expected)
    ours, theirs = Counter(), Counter()
    for weights, c in zip(found, chance, strict=True):
        ours[tuple(f"{x:.5e}" for x in weights)] += c
    for c, weights in expected:
        theirs[tuple(f"{x:.5e}" for x in weights)] += c
    assert set(ours) == set(theirs)
    for weights, c in theirs.items():
        assert ours[weights] == pytest.approx(c, rel=1e-12)
    assert chance @ found == pytest.approx(np.full(n, 1 / n), rel=1e-9)


@given(samplings())
def test_expected_size(case):
    sampling, n = case
    size = sum(c * (sum(x > 0 for x in w)) for c, w in listed(sampling, n))
    if isinstance(sampling, WithReplacement):
        size = sampling.tau
    assert sampling.expected_size(n) == pytest.approx(size, rel=1e-12)


CASES = [
    (Nice(2), 5),
    (Nice(3), 5),
    (Nice(1), 7),
    (Nice(6), 7),
    (Nice(2), 9),
    (IndependentSampling(np.array([0.1, 1.0, 0.7])), 3),
    (IndependentSampling(0.3), 4),
    (WithReplacement(2), 3),
    (WithReplacement(2, np.array([0.7, 0.05, 0.25])), 3),
]


@pytest.mark.parametrize(("sampling", "n"), CASES, ids=lambda v: getattr(v, "name", v))
def test_frequencies(sampling, n):
    draws, law = 60_000, sampling.law(n)
    found = total_weights(law.from_uniforms(np.random.default_rng(7).random((draws, law.uniforms))), n)
    cells = Counter()
    for chance, w in listed(sampling, n):
        cells[tuple(np.round(w, 9))] += chance
    counts = Counter(map(tuple, np.round(found, 9)))
    assert set(counts) <= set(cells)
    observed = [counts[cell] for cell in cells]
    expected = [draws * chance for chance in cells.values()]
    assert min(expected) > 50
    if len(cells) > 1:
        assert scipy.stats.chisquare(observed, expected, sum_check=False).pvalue > ERROR


def floyd(u, n):
    """Return the subset that Floyd's algorithm picks, with rational arithmetic."""
    chosen = []
    for x, last in zip(u, range(n - len(u), n), strict=True):
        pick = math.floor(Fraction(float(x)) * (last + 1))
        chosen.append(last if pick in chosen else pick)
    return chosen


@given(st.integers(1, 120).flatmap(lambda n: st.tuples(st.just(n), st.sampled_from([1, n]) | st.integers(1, n))), SEEDS)
@example((101, 10), 0)
@example((100, 11), 0)
def test_subsets_are_floyds(case, seed):
    n, tau = case
    u = np.random.default_rng(seed).random((6, tau))
    u[0], u[1], u[2] = 0.0, LAST, np.where(u[2] < 0.5, 0.0, LAST)
    law = Nice(tau).law(n)
    assert law.uniforms == tau
    batch = law.from_uniforms(u)
    assert batch.index.tolist() == [floyd(row, n) for row in u]
    assert all(len(set(row)) == tau and set(row) <= set(range(n)) for row in batch.index.tolist())
    assert (batch.weights == 1 / tau).all()


@given(st.lists(st.sampled_from([1.0, 1e-3, 1e-9, 1e-12]) | st.floats(1e-6, 1.0), min_size=1, max_size=400), SEEDS)
@example([1.0] * 399 + [1e-12], 0)
@example([1e-12] + [1.0] * 399, 0)
def test_share_of_the_unit_interval_is_the_probability(shares, seed):
    q = np.array(shares) / math.fsum(shares)
    sampling = WithReplacement(1, q)
    law, n = sampling.law(len(q)), len(q)
    # The smallest multiple of 2**-53 at which an index above i comes out, by bisection for all i at once.
    low, high = np.full(n, -1, dtype=np.int64), np.full(n, 2**53, dtype=np.int64)
    while (high - low > 1).any():
        middle = (low + high) // 2
        index = law.from_uniforms((middle * 2.0**-53)[:, None]).index[:, 0]
        above = (index > np.arange(n)) & (middle >= 0)
        high, low = np.where(above, middle, high), np.where(above, low, middle)
    share = np.diff(np.concatenate([[0], high])) * 2.0**-53
    assert np.abs(share - sampling.probabilities).max() <= 3 * 2.0**-53
    extreme = law.from_uniforms(np.array([[0.0], [LAST]])).index[:, 0]
    assert extreme.tolist() == [0, n - 1]


@given(st.integers(1, 10**6))
def test_uniform_draws_stay_in_range(n):
    index = WithReplacement(2).law(n).from_uniforms(np.array([[0.0, LAST], [0.5, LAST]])).index
    assert index.min() == 0
    assert index.max() == n - 1


@given(samplings(), SEEDS)
def test_a_replica_does_not_depend_on_those_beside_it(case, seed):
    sampling, n = case
    law = sampling.law(n)
    u = np.random.default_rng(seed).random((7, law.uniforms))
    together, rows = law.from_uniforms(u), np.array([5, 0, 5])
    picked = together.take(rows)
    for row, r in enumerate(rows):
        alone = law.from_uniforms(u[r : r + 1])
        assert (picked.weights[row] == alone.weights[0]).all()
        assert (picked.index is None) == (alone.index is None)
        assert alone.index is None or (picked.index[row] == alone.index[0]).all()
        assert isinstance(picked, Minibatch)


# --- the two constants -----------------------------------------------------------------------------------------------


@given(samplings(), SEEDS, st.integers(1, 3))
@example((Nice(1), 1), 0, 1)
@example((Nice(4), 4), 0, 2)
def test_constants_bound_the_second_moment(case, seed, dim):
    sampling, n = case
    rng = np.random.default_rng(seed)
    L = 10.0 ** rng.uniform(-4, 4, n)
    g = rng.standard_normal((n, dim)) * 10.0 ** rng.uniform(-2, 2, (n, 1)) + rng.choice([0, 10])
    assert left_side(sampling, g) <= right_side(sampling, L, g) * (1 + 1e-12)


@given(samplings(), SEEDS)
@example((Nice(2), 5), 0)
@example((IndependentSampling(np.array([0.2, 1e-12, 1.0])), 3), 0)
@example((WithReplacement(2, np.array([0.9, 0.1 - 1e-12, 1e-12])), 3), 0)
def test_constants_are_attained_by_one_gradient(case, seed):
    sampling, n = case
    L = 10.0 ** np.random.default_rng(seed).uniform(-4, 4, n)
    alone = [np.eye(n)[i][:, None] for i in range(n)]
    ratios = [left_side(sampling, g) / right_side(sampling, L, g) for g in alone if right_side(sampling, L, g) > 0]
    assert max(ratios) == pytest.approx(1, abs=1e-12)
    assert len(ratios) == n


def balanced(sampling, n):
    """Return L for which every component has the same share in A, so that the bound is an identity."""
    if isinstance(sampling, IndependentSampling):
        p = np.broadcast_to(sampling.probabilities, (n,))
        return p / (1 - p)
    if isinstance(sampling, WithReplacement) and sampling.probabilities is not None:
        return sampling.probabilities
    return np.ones(n)


@given(samplings(), SEEDS)
@example((Nice(2), 5), 0)
@example((IndependentSampling(np.array([0.2, 1e-6, 0.99])), 3), 0)
@example((WithReplacement(3, np.array([0.9, 0.1 - 1e-6, 1e-6])), 3), 0)
def test_constants_are_an_identity_for_balanced_smoothness(case, seed):
    sampling, n = case
    if isinstance(sampling, IndependentSampling) and np.max(sampling.probabilities) == 1:
        sampling = IndependentSampling(np.minimum(sampling.probabilities, 0.9))
    rng = np.random.default_rng(seed)
    for g in (rng.standard_normal((n, 2)), np.ones((n, 1)), np.ones((n, 1)) + 1e-3 * rng.standard_normal((n, 1))):
        right = right_side(sampling, balanced(sampling, n), g)
        assert left_side(sampling, g) == pytest.approx(right, rel=1e-11)


def test_rows_of_one_component():
    for sampling in (FullBatch(), Nice(1), IndependentSampling(1.0)):
        assert sampling.expected_smoothness(np.array([3.0])) == (0.0, 1.0)
        assert left_side(sampling, np.array([[2.0]])) == pytest.approx(4.0)
    one = WithReplacement(2), np.array([[3.0]])
    assert right_side(one[0], np.array([5.0]), one[1]) == pytest.approx(left_side(*one)) == 9


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=5), st.integers(1, 3), SEEDS)
def test_importance_sampling_is_the_best_of_its_kind(L, tau, seed):
    L = np.array(L)
    best = importance_sampling(L, tau)
    smoothness, weight = best.expected_smoothness(L)
    assert smoothness == pytest.approx(L.mean() / tau, rel=1e-12)
    other = np.random.default_rng(seed).dirichlet(np.ones(len(L))) * 0.999 + 0.001 / len(L)
    assert WithReplacement(tau, other).expected_smoothness(L)[0] >= smoothness * (1 - 1e-9)
    g = np.sqrt(L)[:, None] * np.random.default_rng(seed).standard_normal((len(L), 2))
    right = smoothness * ((g**2).sum(axis=1) / L).mean() + weight * (g.mean(axis=0) ** 2).sum()
    assert left_side(best, g) == pytest.approx(right)


def test_importance_sampling_of_huge_and_tiny_smoothness():
    for scale in (1e-300, 1e300):
        q = importance_sampling(np.array([1.0, 3.0]) * scale, 2).probabilities
        assert q == pytest.approx([0.25, 0.75])


def test_probabilities_are_made_to_add_up():
    q = np.array([0.25, 0.75]) * (1 + 5e-10)
    assert math.fsum(WithReplacement(1, q).probabilities) == pytest.approx(1, abs=1e-16)
    p = np.array([0.5, 0.5])
    sampling = IndependentSampling(p)
    p[0] = 0.1
    assert sampling.probabilities[0] == 0.5


# --- sizes and refusals ----------------------------------------------------------------------------------------------


def test_support_sizes():
    assert Nice(3).law(50).support_size == 19600
    assert Nice(32).law(6414).support_size == float(math.comb(6414, 32))
    assert Nice(3000).law(6414).support_size == math.inf
    assert IndependentSampling(0.5).law(10).support_size == 1024
    assert IndependentSampling(np.array([1.0, 0.5, 1.0])).law(3).support_size == 2
    assert IndependentSampling(0.5).law(5000).support_size == math.inf
    assert WithReplacement(3).law(7).support_size == 343
    assert WithReplacement(300).law(7000).support_size == math.inf
    assert WithReplacement(300).law(1).support()[1].tolist() == [1.0]
    assert IndependentSampling(1.0).law(5000).support()[0].weights.shape == (1, 5000)


@pytest.mark.parametrize(
    ("sampling", "n"), [(Nice(2), 1449), (IndependentSampling(0.5), 21), (WithReplacement(21), 2), (Nice(3000), 6414)]
)
def test_long_supports_are_refused(sampling, n):
    with pytest.raises(ValueError, match=r"cannot be listed; at most 1048576 are accepted") as caught:
        sampling.law(n).support()
    assert sampling.name in str(caught.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Nice(0), r"tau=0 is not accepted"),
        (lambda: Nice(6).law(5), r"tau=6 is not accepted.*1 <= tau <= 5"),
        (lambda: Nice(6).expected_smoothness(np.ones(5)), r"tau=6 is not accepted"),
        (lambda: Nice(6).expected_size(5), r"tau=6 is not accepted"),
        (lambda: FullBatch().law(0), r"n=0 is not accepted"),
        (lambda: IndependentSampling(0.0), r"must lie in \(0, 1\]"),
        (lambda: IndependentSampling(np.array([0.5, 1.5])), r"probabilities=1.5 is not accepted"),
        (lambda: IndependentSampling(2.0**-54), r"below 2\*\*-53"),
        (lambda: IndependentSampling(np.ones((2, 2))), r"shape \(2, 2\)"),
        (lambda: IndependentSampling(np.ones(0)), r"shape \(0,\)"),
        (lambda: IndependentSampling(np.ones(3)).law(2), r"length 3, but there are n=2"),
        (lambda: IndependentSampling(np.ones(1)).expected_size(2), r"length 1, but there are n=2"),
        (lambda: WithReplacement(0), r"tau=0 is not accepted"),
        (lambda: WithReplacement(1, np.array([0.5, 0.6])), r"add up to 1"),
        (lambda: WithReplacement(1, np.array([0.5, 0.5 + 2e-9])), r"add up to 1"),
        (lambda: WithReplacement(1, np.array([0.0, 1.0])), r"numbers > 0"),
        (lambda: WithReplacement(1, np.array([1e-17, 1.0])), r"below 2\*\*-53"),
        (lambda: WithReplacement(1, np.array([np.nan, 1.0])), r"holds nan at index \(0,\)"),
        (lambda: WithReplacement(1, np.array([0.5, 0.5])).law(3), r"length 2, but there are n=3"),
        (lambda: FullBatch().expected_smoothness(np.array([1.0, -2.0])), r"component_smoothness=-2.0 is not accepted"),
        (lambda: FullBatch().expected_smoothness(np.ones((2, 2))), r"shape \(2, 2\)"),
        (lambda: importance_sampling(np.array([1.0, 0.0]), 1), r"problem_smoothness=0.0 is not accepted"),
        (lambda: importance_sampling(np.array([1.0, 1e-17]), 1), r"below 2\*\*-53"),
        (lambda: importance_sampling(np.array([1.0, np.inf]), 1), r"problem_smoothness holds inf"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_names():
    assert FullBatch().name == "full batch"
    assert Nice(32).name == "32-nice"
    assert IndependentSampling(0.1).name == "independent(0.1)"
    assert IndependentSampling(np.array([0.1, 0.5])).name == "independent(0.1..0.5)"
    assert WithReplacement(8).name == "8 with replacement"
    assert WithReplacement(8, np.array([0.5, 0.5])).name == "8 weighted with replacement"


# --- step rules ------------------------------------------------------------------------------------------------------


@given(st.floats(1e-6, 1e6), st.floats(0, 10), st.integers(0, 10**6))
def test_step_rules(initial, decay, step):
    root, harmonic = InverseSqrtStep(initial), HarmonicStep(initial, decay)
    assert root.at(step) ** 2 * (step + 1) == pytest.approx(initial**2)
    assert harmonic.at(step) + decay * step * harmonic.at(step) == pytest.approx(initial)
    assert step_rule(initial) == ConstantStep(initial)
    for rule in (root, harmonic, step_rule(initial)):
        assert rule.largest == rule.at(0) == initial
        assert rule.at(step + 1) <= rule.at(step) <= rule.largest
        assert step_rule(rule) is rule
        assert isinstance(rule, StepRule)
    assert step_rule(initial).at(step) == initial


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: step_rule(0.0), ValueError, r"stepsize=0.0 is not accepted"),
        (lambda: step_rule(math.inf), ValueError, r"stepsize=inf is not accepted"),
        (lambda: step_rule("fast"), TypeError, r"stepsize='fast' is not accepted"),
        (lambda: InverseSqrtStep(-1.0), ValueError, r"initial=-1.0 is not accepted"),
        (lambda: HarmonicStep(math.nan, 1.0), ValueError, r"initial=nan is not accepted"),
        (lambda: HarmonicStep(1.0, -1.0), ValueError, r"decay=-1.0 is not accepted"),
        (lambda: ConstantStep(1.0).at(-1), ValueError, r"step=-1 is not accepted"),
        (lambda: InverseSqrtStep(1.0).at(0.5), TypeError, r"step=0.5 is not accepted"),
    ],
)
def test_bad_step_rules_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()
