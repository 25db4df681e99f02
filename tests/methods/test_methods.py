"""Steps of every method against laws written out by hand: sketch × minibatch × coin × compressor, and their limit cases."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mastsim as ms
from mastsim.draws import outcomes
from mastsim.methods import (
    ALL_METHODS,
    DitheringCompressor,
    FullBatch,
    HarmonicStep,
    IndependentSampling,
    NaturalCompressor,
    Nice,
    SketchCompressor,
    WithReplacement,
)
from mastsim.methods.variance_reduced import AnchoredState, EstimatingState
from mastsim.moments import recursion, standard_forms
from mastsim.simulation import simulate
from tests.oracles.listed_laws import law

GAMMA = 0.3
V = np.array([0.5, -1.0])
ROWS, LABELS = np.array([[1.0, 2.0], [-1.5, 0.5], [0.3, -1.0]]), np.array([1.0, -1.0, 1.0])


# Problems by hand ----------------------------------------------------------------------------------------------------


def bowls():
    first = ms.Quadratic(np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([1.0, -1.0]))
    second = ms.Quadratic(np.diag([0.5, 6.0]), np.array([2.0, 1.0]))
    return [first, second, ms.Quadratic(np.array([[1.0, -0.9], [-0.9, 1.0]]), np.array([-1.0, 3.0]))]


def quadratic_slopes(x):
    return np.array([f.A @ x - f.b for f in bowls()])


def logistic_slopes(x):
    u = LABELS * (ROWS @ x)
    return (-LABELS / (1 + np.exp(u)))[:, None] * ROWS + 0.1 * x


def sigmoid_slopes(x):
    u = LABELS * (ROWS @ x)
    return (-LABELS * np.exp(u) / (1 + np.exp(u)) ** 2)[:, None] * ROWS + 0.01 * x


PROBLEMS = {
    "quadratics": (lambda: ms.FiniteSum(bowls()), quadratic_slopes),
    "logistic": (lambda: ms.LogisticRegression(ROWS, LABELS, l2=0.1), logistic_slopes),
    "sigmoid": (lambda: ms.SigmoidClassification(ROWS, LABELS, l2=0.01), sigmoid_slopes),
}
SKETCHES = {
    "identity": ms.Identity(2),
    "bernoulli": ms.Bernoulli(2, np.array([0.9, 0.3])),
    "rand-k": ms.RandK(2, k=1),
    "finite": ms.FiniteSupport([np.array([[1.0, 1.5], [-1.5, 1.0]]), np.array([[1.0, -0.5], [0.5, 1.0]])], [0.25, 0.75]),
    "three": ms.FiniteSupport([np.diag([3.0, 0.0]), np.diag([0.0, 1.5]), np.array([[0.0, 0.0], [0.0, 1.5]])]),
}
COMPRESSIONS = {"none": None, "rand-1": ms.RandK(2, k=1), "bernoulli": ms.Bernoulli(2, np.array([1.0, 0.5]))}
SAMPLINGS = {
    "full": FullBatch(),
    "1-nice": Nice(1),
    "2-nice": Nice(2),
    "3-nice": Nice(3),
    "independent": IndependentSampling(np.array([0.2, 1.0, 0.7])),
    "replacement": WithReplacement(2, np.array([0.2, 0.5, 0.3])),
    "importance": ms.importance_sampling(np.array([1.0, 3.0, 2.0]), 1),
}


def minibatches(sampling, n=3):
    """Return the weights of the components in every minibatch, with its probability."""
    if isinstance(sampling, FullBatch):
        return [(np.full(n, 1 / n), 1.0)]
    if isinstance(sampling, Nice):
        subsets = list(itertools.combinations(range(n), sampling.tau))
        return [(np.array([(i in s) / sampling.tau for i in range(n)]), 1 / len(subsets)) for s in subsets]
    if isinstance(sampling, IndependentSampling):
        p = sampling.probabilities
        coins = [np.array(c) for c in itertools.product((0, 1), repeat=n)]
        return [(c / (n * p), float(np.where(c, p, 1 - p).prod())) for c in coins if np.where(c, p, 1 - p).prod() > 0]
    q, tau = sampling.probabilities, sampling.tau
    return [
        (np.array([drawn.count(i) / (tau * n * q[i]) for i in range(n)]), math.prod(q[i] for i in drawn))
        for drawn in itertools.product(range(n), repeat=tau)
    ]


@dataclasses.dataclass
class Case:
    """An objective, and everything about it computed from definitions."""

    of: str
    by: str

    def __post_init__(self):
        make, self.slopes = PROBLEMS[self.of]
        self.F = ms.Mast(make(), SKETCHES[self.by], shift=V)
        self.values = list(zip(*law(SKETCHES[self.by]), strict=True))

    def sketched(self, x, S, weights):
        """Return the gradient of f_S from the components of a minibatch."""
        return S.T @ (weights @ self.slopes(V + S @ (x - V)))

    def gradient(self, x):
        """Return ∇f_D(x)."""
        return sum(chance * self.sketched(x, S, np.full(3, 1 / 3)) for S, chance in self.values)


def compressions(name):
    return [(np.eye(2), 1.0)] if COMPRESSIONS[name] is None else list(zip(*law(COMPRESSIONS[name]), strict=True))


def compressor(name):
    return {} if COMPRESSIONS[name] is None else {"compression": SketchCompressor(COMPRESSIONS[name])}


def every(*lists):
    """Return every combination of values, each list with probabilities, and the probability of all."""
    for combination in itertools.product(*lists):
        values, chances = zip(*combination, strict=True)
        yield (*values, math.prod(chances))


def found_law(method, F, state):
    """Return every state after a step, its fields side by side, and its probability, as the package lists them."""
    kind = type(state)
    many = kind(*(np.asarray(field, dtype=float)[None] for field in state))

    def step(rows, draw):
        return np.hstack(method.step(kind(*(field[rows] for field in many)), F, draw))

    return outcomes(step, 1)


def assert_same_law(found, by_hand):
    """Compare total, mean, second moments and characteristic functions."""
    rng = np.random.default_rng(0)
    one, two = (np.asarray(points, dtype=float) for points in (found[0], by_hand[0]))
    p, q = (np.asarray(chances, dtype=float) for chances in (found[1], by_hand[1]))
    assert p.sum() == pytest.approx(1, rel=1e-12)
    assert q.sum() == pytest.approx(1, rel=1e-12)
    np.testing.assert_allclose(p @ one, q @ two, rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(one.T @ (p[:, None] * one), two.T @ (q[:, None] * two), rtol=1e-10, atol=1e-10)
    for _ in range(3):
        w = rng.standard_normal(one.shape[1])
        assert abs(p @ np.exp(1j * (one @ w)) - q @ np.exp(1j * (two @ w))) < 1e-10


points = st.integers(0, 10**6).map(lambda seed: np.random.default_rng(seed).normal(scale=2, size=(3, 2)))
cases = st.builds(Case, st.sampled_from(sorted(PROBLEMS)), st.sampled_from(sorted(SKETCHES)))


# One step ------------------------------------------------------------------------------------------------------------


@given(cases, st.sampled_from(sorted(SAMPLINGS)), st.sampled_from(sorted(COMPRESSIONS)), points)
def test_dsgd(case, sampling, compression, at):
    x, method = at[0], ms.DSGD(GAMMA, SAMPLINGS[sampling], **compressor(compression))
    moved = [
        (x - GAMMA * Q @ case.sketched(x, S, weights), chance)
        for S, weights, Q, chance in every(case.values, minibatches(SAMPLINGS[sampling]), compressions(compression))
    ]
    ends, chances = zip(*moved, strict=True)
    found = found_law(method, case.F, method.init(case.F, x))
    assert_same_law(found, (ends, chances))
    np.testing.assert_allclose((x - found[1] @ found[0]) / GAMMA, case.gradient(x), rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(case.F.gradient(x), case.gradient(x), rtol=1e-9, atol=1e-10)


@given(cases, st.sampled_from(sorted(SAMPLINGS)), st.sampled_from(sorted(COMPRESSIONS)), points)
def test_sgd(case, sampling, compression, at):
    x, method = at[0], ms.SGD(GAMMA, SAMPLINGS[sampling], **compressor(compression))
    moved = [
        (x - GAMMA * Q @ (weights @ case.slopes(x)), chance)
        for weights, Q, chance in every(minibatches(SAMPLINGS[sampling]), compressions(compression))
    ]
    found = found_law(method, case.F, method.init(case.F, x))
    assert_same_law(found, tuple(zip(*moved, strict=True)))
    np.testing.assert_allclose((x - found[1] @ found[0]) / GAMMA, case.slopes(x).mean(axis=0), rtol=1e-9, atol=1e-10)


@given(
    cases,
    st.sampled_from(["full", "1-nice", "independent"]),
    st.sampled_from(["none", "rand-1"]),
    st.sampled_from([0.2, 1.0]),
    st.integers(0, 3),
    points,
)
def test_lsvrdsg(case, sampling, compression, p, anchor, at):
    x, w, _ = at
    uniform = {"identity": 1, "rand-k": 2, "three": 3}.get(case.by, 0)
    b = min(anchor, uniform) or None
    method = ms.LSVRDSG(GAMMA, SAMPLINGS[sampling], probability=p, anchor=b, **compressor(compression))
    full, coins = np.full(3, 1 / 3), [(True, p), (False, 1 - p)][: 2 if p < 1 else 1]
    subsets = list(itertools.combinations([S for S, _ in case.values], b)) if b else []
    held = case.gradient(w)
    anchors = [(np.mean([case.sketched(w, S, full) for S in some], axis=0), 1 / len(subsets)) for some in subsets]
    state = AnchoredState(x, w, np.zeros(2) if b else held)
    moved = []
    sampled = minibatches(SAMPLINGS[sampling])
    for S, weights, h, Q, heads, chance in every(
        case.values, sampled, anchors or [(held, 1.0)], compressions(compression), coins
    ):
        g = case.sketched(x, S, weights) - case.sketched(w, S, weights) + h
        next_h = state.h if b or not heads else case.gradient(x)
        moved.append((np.concatenate([x - GAMMA * Q @ g, x if heads else w, next_h]), chance))
    found = found_law(method, case.F, state)
    assert_same_law(found, tuple(zip(*moved, strict=True)))
    np.testing.assert_allclose((x - found[1] @ found[0][:, :2]) / GAMMA, case.gradient(x), rtol=1e-9, atol=1e-10)


@given(
    cases,
    st.sampled_from(["full", "1-nice", "replacement"]),
    st.sampled_from(["none", "rand-1"]),
    st.sampled_from([0.2, 1.0]),
    st.integers(1, 2),
    points,
)
def test_page(case, sampling, compression, p, count, at):
    x, g, _ = at
    method = ms.PAGE(GAMMA, SAMPLINGS[sampling], probability=p, sketches=count, **compressor(compression))
    coins = [(True, p), (False, 1 - p)][: 2 if p < 1 else 1]
    moved = []
    lists = [case.values] * count
    for *S, weights, Q, heads, chance in every(*lists, minibatches(SAMPLINGS[sampling]), compressions(compression), coins):
        end = x - GAMMA * Q @ g
        change = sum(case.sketched(end, one, weights) - case.sketched(x, one, weights) for one in S) / count
        moved.append((np.concatenate([end, case.gradient(end) if heads else g + change]), chance))
    found = found_law(method, case.F, EstimatingState(x, g))
    assert_same_law(found, tuple(zip(*moved, strict=True)))
    if compression == "none":
        end = x - GAMMA * g
        expected = p * case.gradient(end) + (1 - p) * (g + case.gradient(end) - case.gradient(x))
        np.testing.assert_allclose(found[1] @ found[0][:, 2:], expected, rtol=1e-9, atol=1e-10)


@given(cases, st.sampled_from([None, "rand-1", "bernoulli"]), points)
def test_gdci(case, compression, at):
    x = at[0]
    method = ms.GDCI(GAMMA, **({} if compression is None else compressor(compression)))
    moved = []
    for C, chance in case.values if compression is None else compressions(compression):
        z = V + C @ (x - V)
        moved.append((z - GAMMA * case.slopes(z).mean(axis=0), chance))
    assert_same_law(found_law(method, case.F, method.init(case.F, x)), tuple(zip(*moved, strict=True)))


@given(cases, points)
def test_gd_and_what_the_first_states_are(case, at):
    x = at[0]
    found = found_law(ms.GD(GAMMA), case.F, ms.GD(GAMMA).init(case.F, x))
    np.testing.assert_allclose(found[0], (x - GAMMA * case.gradient(x))[None], rtol=1e-9, atol=1e-10)
    many = np.stack([x, at[1]])
    full, batch = ms.LSVRDSG(1.0).init(case.F, many), ms.LSVRDSG(1.0, anchor=1)
    for state in (full, ms.PAGE(1.0).init(case.F, many)):
        np.testing.assert_allclose(state[-1], np.stack([case.gradient(row) for row in many]), rtol=1e-9, atol=1e-10)
        assert state.x is many
    np.testing.assert_array_equal(full.w, many)
    if case.by in ("identity", "rand-k", "three"):
        assert not batch.init(case.F, many).h.any()


def test_a_step_rule_counts_steps():
    case = Case("quadratics", "identity")
    rule = HarmonicStep(0.2, decay=0.5)
    x, path = np.ones(2), []
    for step in range(4):
        x = x - 0.2 / (1 + 0.5 * step) * case.gradient(x)
        path.append(x)
    for method in (ms.GD(rule), ms.DSGD(rule), ms.SGD(rule), ms.GDCI(rule), ms.LSVRDSG(rule), ms.PAGE(rule)):
        run = simulate(method, case.F, steps=4, x0=np.ones(2), measures=("f",))
        np.testing.assert_allclose(run.x[0], path[-1], rtol=1e-12, err_msg=method.name)


# Quantising compressors, whose values cannot be listed ----------------------------------------------------------------


def rounded(quantiser, g):
    """Return every value of Q(g) with its probability: two neighbours a coordinate."""
    neighbours = []
    for entry in g:
        if isinstance(quantiser, NaturalCompressor):
            low = 2.0 ** math.floor(math.log2(abs(entry)))
            high = 2 * low
        else:
            unit = float(np.linalg.norm(g)) / quantiser.levels
            low = unit * math.floor(abs(entry) / unit)
            high = low + unit
        up = (abs(entry) - low) / (high - low)
        neighbours.append([(math.copysign(low, entry), 1 - up), (math.copysign(high, entry), up)])
    return [(np.array(values), chance) for *values, chance in every(*neighbours)]


@pytest.mark.parametrize("quantiser", [NaturalCompressor(), DitheringCompressor(1), DitheringCompressor(3)])
@pytest.mark.parametrize("kind", ["DSGD", "SGD"])
def test_quantised_steps_have_the_law_of_the_definition(quantiser, kind):
    # At most 64 outcomes; by Hoeffding one of them strays by 0.018 in 40,000 draws with probability 128·exp(−25.9) < 1e-9.
    case, x, count = Case("logistic", "rand-k"), np.array([1.7, 0.4]), 40_000
    method = getattr(ms, kind)(GAMMA, Nice(1), quantiser)
    values = case.values if kind == "DSGD" else [(None, 1.0)]
    by_hand = {}
    for S, weights, chance in every(values, minibatches(Nice(1))):
        g = weights @ case.slopes(x) if S is None else case.sketched(x, S, weights)
        live = np.flatnonzero(g)
        for rest, share in rounded(quantiser, g[live]):
            Q = np.zeros(2)
            Q[live] = rest
            end = tuple(np.round(x - GAMMA * Q, 9))
            by_hand[end] = by_hand.get(end, 0.0) + chance * share
    ends, times = np.unique(
        np.round(simulate(method, case.F, steps=1, replicas=count, chunk=count, x0=x, measures=("f",)).x, 9),
        axis=0,
        return_counts=True,
    )
    assert len(by_hand) <= 64
    seen = dict(zip(map(tuple, ends), times / count, strict=True))
    assert seen.keys() <= by_hand.keys()
    for end, chance in by_hand.items():
        assert seen.get(end, 0.0) == pytest.approx(chance, abs=0.018)


@pytest.mark.parametrize("kind", ["LSVRDSG", "PAGE"])
def test_quantised_variance_reduction_is_unbiased(kind):
    # A coordinate of Q(g) lies in [|g|/2, 2|g|]; by Hoeffding the mean of 40,000 strays by 0.04·|g| with probability at most
    # 2·exp(−2·4e4·(0.04/1.5)²) < 1e-24.
    case, x, count = Case("quadratics", "identity"), np.array([1.7, 0.4]), 40_000
    method = getattr(ms, kind)(GAMMA, compression=NaturalCompressor())
    moved = (x - simulate(method, case.F, steps=1, replicas=count, chunk=count, x0=x, measures=("f",)).x) / GAMMA
    g = case.gradient(x)
    assert (np.abs(moved.mean(axis=0) - g) <= 0.04 * np.abs(g)).all()
    powers = np.log2(np.abs(moved))
    assert np.abs(powers - np.round(powers)).max() < 1e-9


# Limit cases ---------------------------------------------------------------------------------------------------------


def path(method, F, steps=25, replicas=5):
    return simulate(method, F, steps=steps, replicas=replicas, seed=7, x0="normal", measures=("f",)).x


LIMITS = {
    "no sketch: DSGD is SGD": ("identity", ms.DSGD(0.1, Nice(2)), ms.SGD(0.1, Nice(2))),
    "no sketch: DSGD is SGD, independent": (
        "identity",
        ms.DSGD(0.1, SAMPLINGS["independent"]),
        ms.SGD(0.1, SAMPLINGS["independent"]),
    ),
    "no sketch: L-SVRDSG is GD": ("identity", ms.LSVRDSG(0.1), ms.GD(0.1)),
    "no sketch: PAGE is GD": ("identity", ms.PAGE(0.1), ms.GD(0.1)),
    "no sketch: GDCI is GD": ("identity", ms.GDCI(0.1), ms.GD(0.1)),
    "p = 1: PAGE is GD": ("rand-k", ms.PAGE(0.1, probability=1.0), ms.GD(0.1)),
    "all components: tau-nice is the full batch": ("rand-k", ms.DSGD(0.1, Nice(3)), ms.DSGD(0.1)),
    "all components: independent is the full batch": ("rand-k", ms.DSGD(0.1, IndependentSampling(1.0)), ms.DSGD(0.1)),
    "omega = 0: DSGD": ("rand-k", ms.DSGD(0.1, Nice(1), SketchCompressor(ms.Identity(2))), ms.DSGD(0.1, Nice(1))),
    "omega = 0: L-SVRDSG": ("rand-k", ms.LSVRDSG(0.1, compression=SketchCompressor(ms.Identity(2))), ms.LSVRDSG(0.1)),
    "b = N: L-SVRDSG has the full anchor": ("rand-k", ms.LSVRDSG(0.1, anchor=2), ms.LSVRDSG(0.1)),
    "b = N of three": ("three", ms.LSVRDSG(0.02, anchor=3), ms.LSVRDSG(0.02)),
}


@pytest.mark.parametrize("of", ["quadratics", "logistic"])
@pytest.mark.parametrize("name", LIMITS)
def test_limit_cases_of_paths(name, of):
    by, one, two = LIMITS[name]
    F = Case(of, by).F
    np.testing.assert_allclose(path(one, F), path(two, F), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("by", ["rand-k", "three", "identity"])
@pytest.mark.parametrize("p", [0.1, 1.0])
def test_an_anchor_of_all_values_has_the_moments_of_the_full_anchor(by, p):
    F = Case("quadratics", by).F
    gamma, values = 0.02, len(SKETCHES[by].support()[1])
    forms = list(standard_forms(F, F.minimize().x).values())
    found = [recursion(F, ms.LSVRDSG(gamma, probability=p, anchor=b)).run(np.ones(2), 60, forms) for b in (None, values)]
    np.testing.assert_allclose(*found, rtol=1e-10, atol=1e-14)
    if values > 1:
        fewer = recursion(F, ms.LSVRDSG(gamma, probability=p, anchor=values - 1)).run(np.ones(2), 60, forms)
        assert (fewer[-1] > found[0][-1]).all()


# Repeatability -------------------------------------------------------------------------------------------------------

DIM, COUNT = 9, 17


def larger(of):
    rng = np.random.default_rng(5)
    A, y = rng.standard_normal((COUNT, DIM)), np.where(rng.random(COUNT) < 0.5, 1.0, -1.0)
    kind = ms.LogisticRegression if of == "logistic" else ms.LeastSquares
    return ms.Mast(kind(A, y, l2=0.2), ms.RandK(DIM, k=4), shift=np.linspace(-0.5, 1.0, DIM))


def shuffled():
    """Return clients of different kinds."""
    rng = np.random.default_rng(6)
    parts = [ms.LeastSquares(rng.standard_normal((7, DIM)), rng.standard_normal(7), l2=0.1) for _ in range(3)]
    return ms.Distributed(parts, ms.PermK(DIM, clients=3), shift=np.linspace(-0.5, 1.0, DIM))


METHODS = [
    ms.GD(0.01),
    ms.DSGD(0.01, Nice(5), SketchCompressor(ms.Bernoulli(DIM, 0.5))),
    ms.DSGD(0.01, IndependentSampling(0.3), NaturalCompressor()),
    ms.SGD(0.01, WithReplacement(4), DitheringCompressor(2)),
    ms.GDCI(0.01),
    ms.GDCI(0.01, NaturalCompressor()),
    ms.LSVRDSG(0.01, probability=0.3),
    ms.LSVRDSG(0.01, Nice(5), NaturalCompressor(), probability=0.3, anchor=20),
    ms.PAGE(0.01, probability=0.3),
    ms.PAGE(0.01, WithReplacement(3), NaturalCompressor(), probability=0.3, sketches=2),
    ms.DistributedDSGD(0.01),
    ms.DistributedDSGD(0.01, Nice(2), NaturalCompressor()),
    ms.AveragedMomentum(0.01, Nice(5), NaturalCompressor(), growth=0.7),
]


def test_every_method_is_tried():
    assert {type(method) for method in METHODS} == set(ALL_METHODS)


def on(method, of):
    return shuffled() if isinstance(method, ms.DistributedDSGD) else larger(of)


@pytest.mark.parametrize("of", ["logistic", "least squares"])
@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_replica_does_not_depend_on_replicas_chunks_or_threads(method, of):
    F = on(method, of)
    fixed = {"steps": 12, "seed": 3, "x0": "normal", "every": 4, "measures": ("f",)}
    few = simulate(method, F, replicas=5, **fixed)
    many = simulate(method, F, replicas=23, chunk=4, threads=2, **fixed)
    for name, field in few.state.items():
        np.testing.assert_array_equal(field, many.state[name][:5], err_msg=name)
    np.testing.assert_array_equal(few.traces["f"], many.traces["f"][:5])
    other = simulate(method, F, replicas=5, **fixed | {"seed": 4, "x0": few.state["x"]})
    again = simulate(method, F, replicas=5, **fixed | {"x0": few.state["x"]})
    assert isinstance(method, ms.GD) or (other.x != again.x).any()


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_longer_run_is_a_resumed_shorter_one(method):
    F = on(method, "least squares")
    fixed = {"replicas": 6, "seed": 3, "x0": "normal", "every": 5, "measures": ("f",)}
    first = simulate(method, F, steps=7, **fixed)
    whole, resumed = simulate(method, F, steps=20, **fixed), simulate(method, F, steps=20, resume=first, **fixed)
    assert whole.recorded.tolist() == resumed.recorded.tolist()
    np.testing.assert_array_equal(whole.traces["f"], resumed.traces["f"])
    assert whole.state.keys() == resumed.state.keys() == set(method.init(F, np.zeros((1, DIM)))._fields)
    for name, field in whole.state.items():
        np.testing.assert_array_equal(field, resumed.state[name], err_msg=name)


@pytest.mark.parametrize("of", ["logistic", "least squares"])
def test_what_masked_updates_leave_in_the_state(of):
    # A replica whose coin showed tails keeps its anchor; what is stored beside an anchor is always the gradient there.
    F = larger(of)
    start = np.random.default_rng(0).standard_normal((40, DIM))
    method = ms.LSVRDSG(0.01, probability=0.3)
    before = method.init(F, start)
    state = simulate(method, F, steps=1, replicas=40, seed=1, x0=start).state
    stayed = (state["w"] == before.w).all(axis=1)
    assert stayed.all()  # the first anchor is the start, and so is what replaces it
    state = simulate(method, F, steps=6, replicas=40, seed=1, x0=start).state
    moved = (state["w"] != start).any(axis=1)
    assert 0 < moved.sum() < 40
    np.testing.assert_allclose(state["h"], F.gradient(state["w"]), rtol=1e-12, atol=1e-13)
    before, kept = start.copy(), simulate(ms.PAGE(0.01, probability=0.3), F, steps=6, replicas=40, seed=1, x0=start).state
    exact = np.isclose(kept["g"], F.gradient(kept["x"]), rtol=1e-11, atol=1e-12).all(axis=1)
    assert 0 < exact.sum() < 40
    np.testing.assert_array_equal(start, before)


# Convergence to the minimiser itself ---------------------------------------------------------------------------------


def test_the_full_anchor_converges_to_the_minimiser_where_dsgd_stalls():
    F = Case("quadratics", "finite").F
    assert F.gap() > 0.1  # a sketch that keeps one coordinate at a time would not do: there DSGD converges too
    theorem = ms.theorems.LooplessSVRDSG(F)
    gamma, steps, start = theorem.stepsize, 3000, np.array([30.0, -20.0])
    forms = [standard_forms(F, F.minimize().x)["distance"]]
    reduced = recursion(F, ms.LSVRDSG(gamma)).run(start, steps, forms)[:, 0]
    plain = recursion(F, ms.DSGD(gamma)).run(start, steps, forms)[:, 0]
    assert reduced[-1] <= 1e-24
    assert plain[-1] > 1e-3
    assert plain[-1] == pytest.approx(plain[-1000], rel=1e-6)
    best = F.minimize().x
    by_hand = V - np.linalg.solve(F.curvature, Case("quadratics", "finite").slopes(V).mean(axis=0))
    np.testing.assert_allclose(best, by_hand, rtol=1e-12)
    run = simulate(ms.LSVRDSG(gamma), F, steps=steps, replicas=4, x0=start, every=steps, measures=("distance",))
    assert run.distance[:, -1].max() <= 1e-24
    run = simulate(ms.DSGD(gamma), F, steps=steps, replicas=4, x0=start, every=steps, measures=("distance",))
    assert run.distance[:, -1].min() > 1e-9


# Refusals ------------------------------------------------------------------------------------------------------------


def uneven():
    return ms.Mast(ms.FiniteSum(bowls()), SKETCHES["finite"])


@pytest.mark.parametrize(
    ("method", "F", "message"),
    [
        (ms.LSVRDSG(0.1, anchor=1), uneven, "a minibatch anchor needs a sketch whose values are all equally likely"),
        (ms.LSVRDSG(0.1, anchor=3), lambda: Case("quadratics", "rand-k").F, "anchor of 3 values is not accepted: .* only 2"),
        (ms.LSVRDSG(0.1, anchor=1), lambda: ms.Mast(bowls()[0], ms.Gaussian(2, k=1)), "has inf values and cannot be enum"),
        (ms.DSGD(0.1, Nice(4)), uneven, r"tau=4 is not accepted: a subset of n=3 components needs 1 <= tau <= 3"),
        (ms.SGD(0.1, IndependentSampling([0.5, 0.5])), uneven, "probabilities has length 2, but there are n=3 components"),
        (ms.PAGE(0.1, WithReplacement(1, [0.5, 0.5])), uneven, "probabilities has length 2, but there are n=3 components"),
        (ms.DSGD(0.1, compression=SketchCompressor(ms.Identity(3))), uneven, "dim=2 is not accepted: .* of length 3"),
        (ms.DistributedDSGD(0.1), uneven, "DistributedDSGD needs clients; use DSGD"),
        (ms.DSGD(0.1), shuffled, "DSGD needs one node; use DistributedDSGD"),
        (ms.GDCI(0.1), shuffled, "GDCI needs one node; use DistributedDSGD"),
        (ms.LSVRDSG(0.1), shuffled, "LSVRDSG needs one node; use DistributedDSGD"),
        (ms.PAGE(0.1), shuffled, "PAGE needs one node; use DistributedDSGD"),
        (ms.DistributedDSGD(0.1, Nice(8)), shuffled, "tau=8 is not accepted: a subset of n=7"),
    ],
)
def test_what_does_not_fit_is_refused(method, F, message):
    with pytest.raises(ValueError, match=message):
        simulate(method, F(), steps=1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ms.LSVRDSG(0.1, anchor=0), "anchor=0 is not accepted"),
        (lambda: ms.PAGE(0.1, sketches=0), "sketches=0 is not accepted"),
        (lambda: ms.PAGE(0.0), r"stepsize=0\.0 is not accepted"),
        (lambda: SketchCompressor(ms.Unscaled(ms.RandK(2, k=1))), "a compressor must satisfy"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
