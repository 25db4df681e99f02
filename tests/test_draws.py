"""Random elements and the outcomes of a step, against loops over every combination written out here."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mastsim as ms
from mastsim.backend import Streams
from mastsim.draws import Coin, Independent, ListedDraw, StreamDraw, outcomes
from mastsim.methods import IndependentSampling, Nice, WithReplacement
from tests.oracles.listed_laws import law


def as_distribution(keys, chances):
    """Return a dictionary from what happens to its probability."""
    found = {}
    for key, chance in zip(keys, chances, strict=True):
        found[key] = found.get(key, 0.0) + float(chance)
    return found


def key(*parts):
    """Return arrays, rounded, as something to look up."""
    return tuple(tuple(np.round(np.asarray(part, dtype=float), 9).ravel() + 0.0) for part in parts)


def assert_same_law(one, two):
    assert one.keys() == two.keys()
    for what, chance in one.items():
        assert chance == pytest.approx(two[what], rel=1e-12)


# Elements ------------------------------------------------------------------------------------------------------------


@given(st.sampled_from([1e-12, 0.1, 0.25, 1.0]))
def test_a_coin(p):
    flips, chances = Coin(p).support()
    assert as_distribution(flips.heads.tolist(), chances) == ({True: p, False: 1 - p} if p < 1 else {True: 1.0})
    assert Coin(p).support_size == len(chances)
    u = np.array([[0.0], [p * (1 - 1e-15)], [p]])
    assert Coin(p).from_uniforms(u).heads.tolist() == [True, True, False]
    assert Coin(p).from_uniforms(u).take(np.array([2, 0])).heads.tolist() == [False, True]


@pytest.mark.parametrize("bad", [0.0, -0.5, 1.0000001, math.nan, math.inf])
def test_a_probability_outside_its_range_is_refused(bad):
    for make in (Coin, lambda p: ms.PAGE(0.1, probability=p), lambda p: ms.LSVRDSG(0.1, probability=p)):
        with pytest.raises(ValueError, match=r"probability=\S+ is not accepted: it must"):
            make(bad)


SKETCHES = {
    "identity": ms.Identity(2),
    "bernoulli": ms.Bernoulli(2, np.array([0.25, 1.0])),
    "rand-k": ms.RandK(3, k=2),
    "finite": ms.FiniteSupport([np.array([[4.0, 0.0], [1.5, 4.0]]), np.array([[0.0, 0.0], [-0.5, 0.0]])], [0.25, 0.75]),
}


@pytest.mark.parametrize("names", [("identity",), ("bernoulli", "bernoulli"), ("rand-k", "finite"), ("finite",) * 3])
def test_independent_sketches_are_every_combination(names):
    sketches = [SKETCHES[name] for name in names]
    element = Independent(tuple(sketches))
    values, chances = element.support()
    assert element.support_size == len(chances) == math.prod(len(law(S)[1]) for S in sketches)
    found = as_distribution((key(*at) for at in zip(*(part.matrices() for part in values), strict=True)), chances)
    by_hand = []
    for combination in itertools.product(*(list(zip(*law(S), strict=True)) for S in sketches)):
        matrices, weights = zip(*combination, strict=True)
        by_hand.append((key(*matrices), math.prod(weights)))
    assert_same_law(found, as_distribution(*zip(*by_hand, strict=True)))


def test_independent_elements_share_no_uniforms():
    parts = (ms.Bernoulli(2, 0.5), Coin(0.5), Nice(2).law(3), ms.RandK(3, k=1))
    element = Independent(parts)
    assert element.uniforms == sum(part.uniforms for part in parts) == 2 + 1 + 2 + parts[-1].uniforms
    u = np.random.default_rng(0).random((5, element.uniforms))
    sketch, coin, batch, last = element.from_uniforms(u).take(np.array([4, 1]))
    rows = u[[4, 1]]
    np.testing.assert_array_equal(sketch.matrices(), parts[0].from_uniforms(rows[:, :2]).matrices())
    np.testing.assert_array_equal(coin.heads, rows[:, 2] < 0.5)
    np.testing.assert_array_equal(batch.index, parts[2].from_uniforms(rows[:, 3:5]).index)
    np.testing.assert_array_equal(last.matrices(), parts[3].from_uniforms(rows[:, 5:]).matrices())


@pytest.mark.parametrize(("dim", "clients"), [(1, 1), (2, 2), (3, 1), (4, 2), (3, 3), (6, 3), (6, 2)])
def test_perm_k_deals_out_a_uniform_permutation(dim, clients):
    sketch, k = ms.PermK(dim, clients=clients), dim // clients
    permutations = list(itertools.permutations(range(dim)))
    blocks = [
        key(*(np.diag([clients * float(j in order[i * k : (i + 1) * k]) for j in range(dim)]) for i in range(clients)))
        for order in permutations
    ]
    values, chances = sketch.joint.support()
    found = as_distribution((key(*at) for at in zip(*(part.matrices() for part in values), strict=True)), chances)
    assert len(found) == len(chances) == sketch.joint.support_size
    assert_same_law(found, as_distribution(blocks, [1 / len(permutations)] * len(permutations)))
    assert np.all(sum(part.matrices() for part in values) / clients == np.eye(dim))


def test_perm_k_from_uniforms_is_uniform_over_the_deals():
    # By Hoeffding one of 6 frequencies of 60,000 strays by 0.0145 with probability at most 12·exp(−2·6e4·0.0145²) < 2e-10.
    joint, count = ms.PermK(4, clients=2).joint, 60_000
    values = joint.from_uniforms(np.random.default_rng(1).random((count, joint.uniforms)))
    first = np.einsum("rii->ri", np.asarray(next(iter(values)).matrices()))
    _, times = np.unique(first, axis=0, return_counts=True)
    assert len(times) == 6
    assert np.abs(times / count - 1 / 6).max() < 0.0145


# Outcomes of a step --------------------------------------------------------------------------------------------------


def plain_step(states, sketch, sampling, n, coin):
    """Return a step that notes which state, sketch, minibatch and coin it saw."""

    def step(rows, draw):
        matrices = np.asarray(draw.of("sketch", sketch).matrices()).reshape(len(rows), -1)
        batch = draw.of("minibatch", sampling.law(n))
        index = np.broadcast_to(np.arange(n), batch.weights.shape) if batch.index is None else batch.index
        weights = np.zeros((len(rows), n))
        for r, (at, weight) in enumerate(zip(index, batch.weights, strict=True)):
            np.add.at(weights[r], at, weight)
        heads = draw.of("coin", Coin(coin)).heads[:, None]
        return np.hstack([states[rows][:, None], np.full((len(rows), 1), draw.step), matrices, weights, heads])

    return step


def minibatches(sampling, n):
    """Return the weight of every component in every minibatch, and its probability, from the definition."""
    if isinstance(sampling, Nice):
        subsets = list(itertools.combinations(range(n), sampling.tau))
        return [(np.array([(i in s) / sampling.tau for i in range(n)]), 1 / len(subsets)) for s in subsets]
    if isinstance(sampling, IndependentSampling):
        p = np.broadcast_to(sampling.probabilities, (n,))
        coins = itertools.product((0, 1), repeat=n)
        both = [(np.array(c) / p / n, math.prod(q if on else 1 - q for on, q in zip(c, p, strict=True))) for c in coins]
        return [(weights, chance) for weights, chance in both if chance > 0]
    q, tau = sampling.probabilities, sampling.tau
    return [
        (np.array([draws.count(i) / (tau * n * q[i]) for i in range(n)]), math.prod(q[i] for i in draws))
        for draws in itertools.product(range(n), repeat=tau)
    ]


SAMPLINGS = [
    Nice(1),
    Nice(2),
    Nice(3),
    IndependentSampling(np.array([0.2, 1.0, 0.7])),
    WithReplacement(2, np.array([0.2, 0.5, 0.3])),
]


@pytest.mark.parametrize("coin", [0.25, 1.0])
@pytest.mark.parametrize("sampling", SAMPLINGS, ids=lambda s: s.name)
@pytest.mark.parametrize("name", sorted(SKETCHES))
def test_outcomes_are_every_combination_of_what_a_step_draws(name, sampling, coin):
    sketch, states = SKETCHES[name], np.array([7.0, -3.0])
    found, chances = outcomes(plain_step(states, sketch, sampling, 3, coin), len(states), number=11)
    assert chances.sum() == pytest.approx(1.0, rel=1e-12)
    found = found.reshape(len(states), len(chances), -1)
    by_hand, weights = [], []
    for S, w in zip(*law(sketch), strict=True):
        for batch, chance in minibatches(sampling, 3):
            for heads, side in [(1.0, coin), (0.0, 1 - coin)][: 2 if coin < 1 else 1]:
                by_hand.append((S, batch, heads))
                weights.append(w * chance * side)
    for state, rows in zip(states, found, strict=True):
        expected = as_distribution((key([state, 11.0], S, batch, [heads]) for S, batch, heads in by_hand), weights)
        size = S.size
        seen = (key(row[:2], row[2 : 2 + size], row[2 + size : 5 + size], row[5 + size :]) for row in rows)
        assert_same_law(as_distribution(seen, chances), expected)


def test_a_step_that_draws_nothing_has_one_outcome():
    found, chances = outcomes(lambda rows, draw: rows * 10, 3)
    assert found.tolist() == [0, 10, 20]
    assert chances.tolist() == [1.0]


def test_too_many_outcomes_are_refused_before_they_are_listed():
    wide = ms.Bernoulli(60, 0.5)
    with pytest.raises(ValueError, match=r"one step has 1\.15292e\+18 outcomes or more, but at most 65536 can be listed"):
        outcomes(lambda rows, draw: draw.of("sketch", wide), 1)
    with pytest.raises(ValueError, match="has inf outcomes"):
        outcomes(lambda rows, draw: draw.of("sketch", ms.Gaussian(2, k=1)), 1)
    two = ms.Bernoulli(1, 0.5)
    step = lambda rows, draw: (draw.of("one", two), draw.of("two", two))  # noqa: E731
    assert len(outcomes(step, 1, limit=4)[1]) == 4
    with pytest.raises(ValueError, match="one step has 4 outcomes or more, but at most 3"):
        outcomes(step, 1, limit=3)


def test_a_listed_draw_gives_what_was_chosen():
    draw = ListedDraw({"sketch": "this"}, 5)
    assert draw.of("sketch", Coin(0.5)) == "this"
    assert draw.step == 5


def test_a_stream_draw_depends_on_purpose_step_and_replica_only():
    streams, element = Streams(3), Independent((Coin(0.5), ms.Bernoulli(4, 0.5)))

    def drawn(purpose, step, replicas):
        coin, sketch = StreamDraw(streams, step, np.asarray(replicas)).of(purpose, element)
        return np.hstack([coin.heads[:, None], np.asarray(sketch.matrices()).reshape(len(replicas), -1)])

    whole = drawn("sketch", 4, range(64))
    np.testing.assert_array_equal(whole[[9, 3]], drawn("sketch", 4, [9, 3]))
    assert (whole != drawn("sketch", 5, range(64))).any(axis=1).mean() > 0.5
    assert (whole != drawn("coin", 4, range(64))).any(axis=1).mean() > 0.5
