"""Reshuffled sketches: exact epochs against every order, the theorem against them, and what a fresh partition does."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mastsim as ms
from mastsim import theorems
from mastsim.moments import ClosedRecursion, EnumeratedRecursion, propagate
from mastsim.recursions.reshuffled import fits, mean_over_orders
from mastsim.theorems import AssumptionError
from mastsim.verification.exact_rates import decide_rate_exactly
from mastsim.verification.false_reshuffling import PartitionAsList, alternating, false_reshuffling
from mastsim.verification.trial import Trial, exact_recursion
from tests.oracles.listed_laws import law

pytestmark = pytest.mark.slow


def listed(seed, count, dim=2):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((dim, dim))
    values = rng.standard_normal((count, dim, dim))
    S = ms.FiniteSupport(values + np.eye(dim) - values.mean(axis=0))
    f = ms.Quadratic(A.T @ A + 0.1 * np.eye(dim), rng.standard_normal(dim))
    return ms.Mast(f, S, shift=rng.standard_normal(dim))


@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 3))
def test_sets_stand_for_orders(seed, count, dim):
    rng = np.random.default_rng(seed)
    maps, X = rng.standard_normal((count, dim, dim)), rng.standard_normal((dim, dim))
    ends = []
    for order in itertools.permutations(maps):
        Y = X @ X.T
        for T in order:
            Y = T @ Y @ T.T
        ends.append(Y)
    np.testing.assert_allclose(mean_over_orders(maps, X @ X.T), np.mean(ends, axis=0), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("count", [1, 2, 4, 6])
def test_the_closed_recursion_is_the_enumerated_one(count):
    F = listed(count, count)
    method = ms.DSGD(0.5 / (F.problem.L_f * F.sketch.L_max * count), order=ms.Reshuffled())
    forms, x0 = [{("x", "x"): np.eye(2)}, {("x", "x"): F.curvature / 2}], np.array([3.0, -1.0])
    closed, every = ClosedRecursion(F, method), EnumeratedRecursion(F, method)
    one, two = closed.run(x0, 30, forms), every.run(x0, 30, forms)
    np.testing.assert_allclose(one, two, rtol=1e-9)
    assert (np.abs(one - two) <= closed.follow(x0, 30, forms).rounding + every.follow(x0, 30, forms).rounding).all()


def test_longer_lists_are_not_enumerated_but_exact():
    F = listed(3, 8)
    method = ms.DSGD(0.01, order=ms.Reshuffled())
    with pytest.raises(ValueError, match="outcomes"):
        EnumeratedRecursion(F, method)
    x0 = np.array([1.0, 2.0])
    exact = propagate(F, method, x0, 3).distance
    run = ms.simulate(method, F, steps=3, replicas=4000, seed=1, x0=x0, every=1, measures=("distance",))
    mean, spread = run.traces["distance"].mean(axis=0), run.traces["distance"].std(axis=0) / 4000**0.5
    # Three means beyond six standard errors: a chance below 1e-8 by the normal law.
    assert (np.abs(mean - exact) <= 6 * spread + 1e-12).all()
    assert not fits(25, 2)
    with pytest.raises(ValueError, match="an epoch of 4060 steps"):
        propagate(ms.Mast(ms.Quadratic(np.eye(30), np.ones(30)), ms.RandK(30, k=3)), method, np.zeros(30), 1)


def test_the_neighbourhood_is_of_second_order():
    # All six masks of two of four coordinates: with a quarter of the step, independent masks leave a quarter of the noise,
    # reshuffled ones a sixteenth.
    F = alternating()
    best, L = F.minimize().x, F.problem.L_f * F.sketch.L_max
    plain, shuffled = [], []
    for share in (1 / 4, 1 / 16, 1 / 64):
        plain.append(propagate(F, ms.DSGD(share / L), best, int(600 / share)).distance[-1])
        shuffled.append(propagate(F, ms.DSGD(share / L, order=ms.Reshuffled()), best, int(100 / share)).distance[-1])
    ratios = np.array(plain) / shuffled
    assert ratios[0] > 15
    assert ratios[1] > 3.5 * ratios[0]
    assert shuffled[2] / shuffled[1] == pytest.approx(1 / 16, rel=0.15)
    assert plain[2] / plain[1] == pytest.approx(1 / 4, rel=0.15)


def test_constants_by_hand():
    F = ms.Mast(ms.Quadratic(np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([3.0, 0.0])), ms.RandK(2, k=1))
    theorem = theorems.StronglyConvexReshuffled(F)
    sigma2 = np.mean([np.sum((S.T @ (F.problem.A @ S @ F.minimize().x - F.problem.b)) ** 2) for S in law(F.sketch)[0]])
    assert (theorem.N, theorem.L, theorem.mu) == (2, 12.0, 2.0)
    assert theorem.sigma2 == pytest.approx(sigma2)
    for a, c in ((0.25, 24 / 23), (0.5, 4 / 3), (math.sqrt(5) / 2 - 0.5, 2.0), (math.sqrt(0.5), 6.83)):
        assert theorem.excess(a / 24) == pytest.approx(c, rel=1e-3)
    gamma = 0.5 / 24
    assert theorem.neighbourhood(gamma) == pytest.approx(3 / 6 * 4 / 3 * gamma**2 * 6 * sigma2)
    assert theorem.contraction(gamma) == pytest.approx(gamma * 2 * 2)
    assert theorem.limit == pytest.approx((math.sqrt(3) - 1) / 24)
    with pytest.raises(AssumptionError, match="above the largest"):
        theorem.bound(1, stepsize=0.74 / 24)
    convex = theorems.ConvexReshuffled(F)
    assert float(convex.bound(5, gamma, initial=1.0)) == pytest.approx(
        1 / (20 * gamma) + 3 / 12 * 4 / 3 * gamma**2 * 12 * sigma2
    )


@given(st.integers(0, 10**6), st.integers(1, 4), st.floats(0.05, 0.999))
def test_the_theorem_holds_up_to_the_end_of_its_range(seed, count, fraction):
    F = listed(seed, count)
    theorem = theorems.StronglyConvexReshuffled(F, sharp=True)
    gamma = fraction * theorem.limit
    chain = exact_recursion(Trial(theorem, gamma, F))
    verdict = decide_rate_exactly(Trial(theorem, gamma, F), chain, 40)
    assert verdict.verdict == "holds" or (verdict.verdict, verdict.reason) == ("inconclusive", "rounding")
    assert not verdict.max_ratio > 1 + 1e-9


def test_a_fresh_partition_is_refused_and_exceeds_the_bound_by_as_much_as_the_step_is_small():
    F = alternating()
    with pytest.raises(AssumptionError, match="one fixed list of sketches"):
        theorems.StronglyConvexReshuffled(F, order=ms.FreshPartition())
    with pytest.raises(AssumptionError, match="equally likely"):
        theorems.StronglyConvexReshuffled(ms.Mast(F.problem, ms.Bernoulli(4, 0.3)))
    ratios = []
    for share in (1 / 16, 1 / 256, 1 / 4096):
        (trial,) = false_reshuffling(share)
        chain = exact_recursion(trial)
        limit = chain.table
        for _ in range(40):
            limit = limit @ limit
        still = np.zeros((5, 5))
        still[-1, -1] = 1.0
        ratios.append(np.trace((limit @ still.ravel()).reshape(5, 5)[:4, :4]) / trial.theorem.neighbourhood(trial.stepsize))
    assert ratios[0] > 4
    np.testing.assert_allclose(np.array(ratios[1:]) / ratios[:-1], 16.0, rtol=0.02)
    assert isinstance(trial.theorem, PartitionAsList)


@pytest.mark.parametrize("trial", false_reshuffling(), ids=lambda trial: trial.theorem.id)
def test_the_false_variant_is_refuted_where_the_true_one_holds(trial):
    assert decide_rate_exactly(trial, exact_recursion(trial), 100).verdict == "refuted"
    true = theorems.StronglyConvexReshuffled(trial.objective, sharp=True)
    assert decide_rate_exactly(Trial.of(true), exact_recursion(Trial.of(true)), 100).verdict == "holds"
