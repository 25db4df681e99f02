"""Distributed objectives and DistributedDSGD by enumeration of all clients' sketches, minibatches and compressors."""

import copy
import dataclasses
import itertools
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mastsim as ms
from mastsim import theorems
from mastsim.constants import Constants
from mastsim.draws import outcomes
from mastsim.methods import FullBatch, NaturalCompressor, Nice, SketchCompressor, State
from mastsim.moments import recursion, standard_forms
from mastsim.simulation import simulate
from mastsim.theorems import AssumptionError
from mastsim.theorems.theorem6_witness import theorem6_witness
from mastsim.verification.exact_rates import decide_rate_exactly
from mastsim.verification.trial import Trial
from tests.oracles.listed_laws import law

V, GAMMA = np.array([0.5, -1.0]), 0.3
ROWS, LABELS = np.array([[1.0, 2.0], [-1.5, 0.5], [0.3, -1.0], [0.7, 0.2]]), np.array([1.0, -1.0, 1.0, -1.0])


def pair(A, b):
    return ms.Quadratic(np.array(A), np.array(b))


def clients(of):
    """Return two clients with two components each, and for each a function that gives all slopes of its components."""
    if of == "quadratics":
        parts = [
            [pair([[2.0, 0.5], [0.5, 1.0]], [1.0, -1.0]), pair([[0.5, 0.0], [0.0, 6.0]], [2.0, 1.0])],
            [pair([[1.0, -0.9], [-0.9, 1.0]], [-1.0, 3.0]), pair([[4.0, 0.0], [0.0, 0.5]], [0.0, 1.0])],
        ]
        slopes = [lambda x, own=own: np.array([f.A @ x - f.b for f in own]) for own in parts]
        return [ms.FiniteSum(own) for own in parts], slopes
    shards = [(ROWS[:2], LABELS[:2]), (ROWS[2:], LABELS[2:])]
    slopes = [lambda x, A=A, y=y: (-y / (1 + np.exp(y * (A @ x))))[:, None] * A + 0.1 * x for A, y in shards]
    return [ms.LogisticRegression(A, y, l2=0.1) for A, y in shards], slopes


WILD = ms.FiniteSupport([np.array([[1.0, 1.5], [-1.5, 1.0]]), np.array([[1.0, -0.5], [0.5, 1.0]])], [0.25, 0.75])
LAWS = {
    "independent": (ms.RandK(2, k=1), [ms.RandK(2, k=1)] * 2),
    "heterogeneous": ([ms.Bernoulli(2, np.array([0.9, 0.3])), WILD], [ms.Bernoulli(2, np.array([0.9, 0.3])), WILD]),
    "one not sketched": ([ms.Identity(2), ms.RandK(2, k=1)], [ms.Identity(2), ms.RandK(2, k=1)]),
    "perm-k, each by itself": ([ms.PermK(2, clients=2)] * 2, [ms.RandK(2, k=1)] * 2),
    "perm-k": (ms.PermK(2, clients=2), None),
}


def joint(name):
    """Return every pair of sketches with its probability."""
    if name == "perm-k":
        left, right = np.diag([2.0, 0.0]), np.diag([0.0, 2.0])
        return [((left, right), 0.5), ((right, left), 0.5)]
    laws = [list(zip(*law(S), strict=True)) for S in LAWS[name][1]]
    return [((S, T), p * q) for (S, p), (T, q) in itertools.product(*laws)]


def single(of, name):
    problems, slopes = clients(of)
    return ms.Distributed(problems, LAWS[name][0], shift=V), slopes


def sampled(tau):
    return [(np.full(2, 0.5), 1.0)] if tau != 1 else [(np.array([1.0, 0.0]), 0.5), (np.array([0.0, 1.0]), 0.5)]


@given(
    st.sampled_from(["quadratics", "logistic"]),
    st.sampled_from(sorted(LAWS)),
    st.sampled_from([0, 1, 2]),
    st.booleans(),
    st.integers(0, 10**6),
)
def test_a_step_is_the_mean_of_what_clients_send(of, name, tau, compressed, seed):
    F, slopes = single(of, name)
    x = np.random.default_rng(seed).normal(scale=2, size=2)
    coins = ms.Bernoulli(2, np.array([1.0, 0.5]))
    Q = list(zip(*law(coins), strict=True)) if compressed else [(np.eye(2), 1.0)]
    extra = {"compression": SketchCompressor(coins)} if compressed else {}
    method = ms.DistributedDSGD(GAMMA, Nice(tau) if tau else FullBatch(), **extra)
    ends, chances = [], []
    for (sketches, p), (a, q), (b, r), (C, s), (D, t) in itertools.product(joint(name), sampled(tau), sampled(tau), Q, Q):
        each = zip(sketches, (a, b), (C, D), slopes, strict=True)
        sent = [K @ S.T @ (weights @ slope(V + S @ (x - V))) for S, weights, K, slope in each]
        ends.append(x - GAMMA * (sent[0] + sent[1]) / 2)
        chances.append(p * q * r * s * t)
    found, weights = outcomes(lambda rows, draw: method.step(State(np.tile(x, (len(rows), 1))), F, draw).x, 1)
    ends, chances = np.array(ends), np.array(chances)
    assert weights.sum() == pytest.approx(1, rel=1e-12)
    np.testing.assert_allclose(weights @ found, chances @ ends, rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(
        found.T @ (weights[:, None] * found), ends.T @ (chances[:, None] * ends), rtol=1e-10, atol=1e-10
    )
    for w in np.random.default_rng(0).standard_normal((3, 2)):
        assert abs(weights @ np.exp(1j * found @ w) - chances @ np.exp(1j * ends @ w)) < 1e-10
    full = (
        sum(
            p * (S.T @ slopes[0](V + S @ (x - V)).mean(0) + T.T @ slopes[1](V + T @ (x - V)).mean(0))
            for (S, T), p in joint(name)
        )
        / 2
    )
    np.testing.assert_allclose((x - weights @ found) / GAMMA, full, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(F.gradient(x), full, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", sorted(LAWS))
@pytest.mark.parametrize("of", ["quadratics", "logistic"])
def test_the_objective_is_the_mean_over_clients_and_sketches(of, name):
    F, _ = single(of, name)
    x, w = np.array([1.5, 0.3]), np.array([0.2, -0.7])

    def by_hand(x):
        each = [
            p * sum(f.value(V + S @ (x - V)) for f, S in zip(F.problems, both, strict=True)) / 2 for both, p in joint(name)
        ]
        return sum(each)

    assert float(F.value(x)) == pytest.approx(float(by_hand(x)), rel=1e-12)
    value, gradient = F.value_and_gradient(x)
    assert float(value) == pytest.approx(float(by_hand(x)), rel=1e-12)
    h = 1e-5
    slope = [(by_hand(x + h * e) - by_hand(x - h * e)) / (2 * h) for e in np.eye(2)]
    np.testing.assert_allclose(gradient, slope, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(
        F.hessian_product(x, w), (F.gradient(x + h * w) - F.gradient(x - h * w)) / (2 * h), rtol=1e-6, atol=1e-7
    )
    best = F.minimize()
    for e in np.eye(2):
        assert by_hand(best.x) <= min(by_hand(best.x + 1e-3 * e), by_hand(best.x - 1e-3 * e))
    least = sum(f.minimize().value for f in F.problems) / 2
    assert F.gap() == pytest.approx(float(by_hand(best.x)) - least, rel=1e-6, abs=1e-9)


def test_perm_k_is_only_drawn_jointly_when_it_is_shared():
    problems, _ = clients("quadratics")
    assert ms.Distributed(problems, ms.PermK(2, clients=2)).correlated
    assert not ms.Distributed(problems, [ms.PermK(2, clients=2)] * 2).correlated
    assert len(ms.Distributed(problems, [ms.PermK(2, clients=2)] * 2).joint.support()[1]) == 4
    assert theorems.IndependentDistributed.refuse(ms.Distributed(problems, [ms.PermK(2, clients=2)] * 2)) is None
    with pytest.raises(AssumptionError, match="independent clients fails"):
        theorems.IndependentDistributed(ms.Distributed(problems, ms.PermK(2, clients=2)))


def test_perm_k_of_equal_slopes_has_no_variance():
    # For clients f_i = −bᵀx + ½λ|x|² at x = v the sketched gradients add up to the gradient itself.
    f = ms.Quadratic(np.diag([2.0, 2.0]), np.array([1.0, -3.0]))
    F = ms.Distributed([f, f], ms.PermK(2, clients=2), shift=V)
    run = simulate(ms.DistributedDSGD(0.1), F, steps=1, replicas=50, x0=V)
    np.testing.assert_allclose(run.x, np.tile(V - 0.1 * f.gradient(V), (50, 1)), rtol=1e-14)


# Limit cases ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sketch", [ms.RandK(2, k=1), ms.Bernoulli(2, 0.3), WILD, ms.Identity(2)], ids=lambda S: S.name)
@pytest.mark.parametrize(
    "extra", [(), (Nice(1),), (Nice(1), NaturalCompressor()), (FullBatch(), SketchCompressor(ms.RandK(2, k=1)))], ids=str
)
@pytest.mark.parametrize("of", ["quadratics", "logistic"])
def test_one_client_is_dsgd_draw_for_draw(sketch, extra, of):
    f = clients(of)[0][0]
    fixed = {"steps": 20, "replicas": 7, "seed": 5, "x0": "normal", "measures": ("f",)}
    own = simulate(ms.DSGD(0.05, *extra), ms.Mast(f, sketch, shift=V), **fixed)
    one = simulate(ms.DistributedDSGD(0.05, *extra), ms.Distributed([f], sketch, shift=V), **fixed)
    np.testing.assert_array_equal(own.x, one.x)


def test_constants_of_one_client_and_of_many_alike():
    f, S = clients("quadratics")[0][0], WILD
    own = Constants(ms.Mast(f, S, shift=V))
    for count in (1, 3):
        c = Constants(ms.Distributed([f] * count, S, shift=V))
        same = {"expected_smoothness_max": "expected_smoothness", "nonconvex_variance_quoted": "nonconvex_variance"}
        same |= {"clients_inf": "f_inf"} | {name: name for name in own if name != "sigma2_star"}
        for name, single_name in same.items():
            assert float(c[name]) == pytest.approx(float(own[single_name]), rel=1e-12), (name, count)
        # Independent clients divide the noise.
        assert float(c.sigma2_star) == pytest.approx(float(own.sigma2_star) / count, rel=1e-9)
        three = theorems.NonconvexDSGD(ms.Mast(f, S, shift=V), horizon=10)
        assert theorems.NonconvexDistributed(ms.Distributed([f] * count, S, shift=V), horizon=10).stepsize == pytest.approx(
            three.stepsize
        )


def test_constants_of_different_clients_by_hand():
    # L_f = 1, 3; Identity: L_D = L^max = 1, Rand-1 of 2: L_D = 2, L^max = 4.
    F = ms.Distributed(
        [ms.Quadratic(np.eye(2), np.zeros(2)), ms.Quadratic(3 * np.eye(2), np.ones(2))], [ms.Identity(2), ms.RandK(2, k=1)]
    )
    c = Constants(F)
    assert (float(c.expected_smoothness_max), float(c.expected_smoothness), float(c.L_fD)) == pytest.approx((12.0, 6.5, 3.5))
    assert (float(c.nonconvex_variance), float(c.nonconvex_variance_quoted)) == pytest.approx((6.5 * 3.5, 9 * 2 * 4))
    assert (float(c.mu_fD), float(c.mu_fD_sharp), float(c.L_fD_sharp)) == pytest.approx((3.5, 3.5, 3.5))
    # f_D = ½(½|x|² + 3|x|² − Σx): minimum −½·2·1/(4·3.5); f_2^inf = −1/3, E f_{2,S}^inf = −1/6 (one coordinate at a time).
    least = -2 * 0.25 / (2 * 3.5)
    assert float(c.gap) == pytest.approx(least + 1 / 6)
    assert float(c.gap_sharp) == pytest.approx(least + 1 / 12)
    independent = theorems.IndependentDistributed(F)
    assert independent.stepsize == pytest.approx(1 / (3.5 / 2 + 6))
    assert independent.neighbourhood(0.1) == pytest.approx(2 * 0.1 * 6 / 3.5 * (least + 1 / 6))
    assert theorems.ConvexDistributed(F).neighbourhood(0.1) == pytest.approx(2 * 0.1 * 6.5 / 3.5 * (least + 1 / 6))


@pytest.mark.parametrize("count", [1, 2, 4])
def test_independent_clients_divide_the_noise(count):
    # Clients alike: the stationary E|x − x_D*|² solves a scalar equation, r = (1 − γh)²r + γ²(var + r·spread)/M.
    S = ms.FiniteSupport(np.array([[[3.0]], [[-1.0]]]), [0.5, 0.5])
    F = ms.Distributed([ms.Quadratic(np.eye(1), np.zeros(1))] * count, S, shift=np.ones(1))
    gamma, best = 0.01, F.minimize().x[0]
    slopes = np.array([s * (1 + s * (best - 1)) for s in (3.0, -1.0)])
    h, spread, cross = 5.0, 16.0, np.mean(slopes * np.array([9.0, 1.0]))
    assert slopes.mean() == pytest.approx(0, abs=1e-12)
    form = [standard_forms(F, F.minimize().x)["distance"]]
    found = recursion(F, ms.DistributedDSGD(gamma)).run(F.minimize().x, 1500, form)[-1, 0]
    assert abs(cross) < 10  # it multiplies E(x − x_D*), which is 0 from this start
    stationary = gamma**2 * np.mean(slopes**2) / count / (1 - (1 - gamma * h) ** 2 - gamma**2 * spread / count)
    assert found == pytest.approx(stationary, rel=1e-9)


# Theorem 6 -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("p", "horizon", "ratio"), [(1e-3, 900, 1.09357), (1e-4, 900, 2.35898), (1e-5, 2500, 6.02202), (1e-6, 10_000, 15.66883)]
)
def test_the_witness_against_theorem_6_as_quoted(p, horizon, ratio):
    F, corner = theorem6_witness(p)
    quoted = theorems.NonconvexDistributedQuoted(F, horizon=horizon)
    gamma = horizon**-0.5
    assert quoted.stepsize == pytest.approx(gamma, rel=1e-12)
    start = np.array([np.sqrt(gamma / 16), corner[1]])
    chain = recursion(F, ms.DistributedDSGD(gamma))
    means = chain.run(start, horizon, [standard_forms(F, chain.center)["gradient_norm2"]])[:horizon, 0]
    # By hand: x_1 ← x_1 − (γ/2)x_1 − (γε/2)·cross, where S_2 = [[1, 0], [±c, c]] and f_2 = (ε/2)x_2².
    eps = 1 / np.sqrt(float(F.clients[1].sketch.L_D) * float(F.clients[1].sketch.L_max))
    second = np.outer(start, start)
    outcomes_of_step = [(np.diag([1.0, 0.0]), 1 - p)]
    outcomes_of_step += [(np.array([[1.0, 0.0], [sign / p, 1 / p]]), p / 2) for sign in (1, -1)]
    maps = [(np.eye(2) - gamma / 2 * (np.diag([1.0, 0.0]) + eps * np.outer(S[1], S[1])), w) for S, w in outcomes_of_step]
    H = (np.diag([1.0, 0.0]) + eps * sum(w * np.outer(S[1], S[1]) for S, w in outcomes_of_step)) / 2
    for t in range(20):
        assert means[t] == pytest.approx(np.trace(H @ H @ second), rel=1e-9)
        second = sum(w * M @ second @ M.T for M, w in maps)
    delta = 0.5 * start @ H @ start
    assert means.min() / (3 * delta / (gamma * horizon)) == pytest.approx(ratio, abs=5.1e-6)
    own = decide_rate_exactly(Trial(quoted, quoted.stepsize, F, "refuted", start), chain, horizon)
    assert own.verdict == "refuted"
    assert own.max_ratio == pytest.approx(ratio, abs=5.1e-6)
    fixed = theorems.NonconvexDistributed(F, horizon=horizon)
    trial = Trial(fixed, fixed.stepsize, F, start=start)
    assert decide_rate_exactly(trial, recursion(F, trial.method), horizon).verdict == "holds"
    assert fixed.stepsize < gamma


# Refusals ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda f: ms.Distributed([f, f, f], ms.PermK(2, clients=2)), "sketches is for 2 clients, but there are 3 problems"),
        (lambda f: ms.Distributed([f, f], [ms.RandK(2, k=1)]), "sketches has 1 entries, but there are 2 problems"),
        (lambda f: ms.Distributed([f, f], ms.RandK(3, k=1)), "the sketch has dimension 3, but the problem has dimension 2"),
        (
            lambda f: ms.Distributed([f, ms.Quadratic(np.eye(1), np.ones(1))], ms.RandK(2, k=1)),
            r"problems\[1\] has dimension 1",
        ),
        (lambda f: ms.Distributed([], []), "problems is empty"),
        (lambda f: ms.Distributed([f], ms.RandK(2, k=1), shift=np.ones(3)), "shift"),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make(ms.Quadratic(np.eye(2), np.ones(2)))


def test_theorems_about_clients_need_clients():
    F = ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1))
    with pytest.raises(AssumptionError, match="distributed objective fails: the objective has one node"):
        theorems.ConvexDistributed(F)
    D = ms.Distributed([F.problem] * 2, ms.RandK(2, k=1))
    with pytest.raises(AssumptionError, match="one node fails: the objective has 2 clients"):
        theorems.StronglyConvexDSGD(D)
    with pytest.raises(TypeError, match=r"objective=.*Quadratic.* is not accepted: it must be of type Objective"):
        Constants(F.problem)


def test_a_copy_of_clients_with_one_perm_k_deals_out_as_well():
    f = ms.Quadratic(np.eye(2), np.ones(2))
    F = ms.Distributed([f, f], ms.PermK(2, clients=2))
    for same in (dataclasses.replace(F, shift=np.ones(2)), pickle.loads(pickle.dumps(F)), copy.copy(F)):
        assert same.correlated
        assert type(same.joint) is type(F.joint)
        assert same.dealt == F.dealt
    apart = ms.Distributed([f, f], [ms.PermK(2, clients=2)] * 2)
    assert not apart.correlated
    assert not dataclasses.replace(apart, shift=np.ones(2)).correlated
