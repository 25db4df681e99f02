"""Momentum as averaging and steps that fall: exact moments against all sequences of sketches, theorems, false variants."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mastsim as ms
from mastsim.advice import covering, guarantee_of
from mastsim.moments import ClosedRecursion, EnumeratedRecursion, contraction, propagate
from mastsim.stepsizes import AskedStep
from mastsim.theorems import (
    ALL,
    AssumptionError,
    ConvexAveragedMomentum,
    DecreasingStepDSGD,
    NonconvexDistributedQuoted,
    StagewiseStepDSGD,
)
from mastsim.verification.exact_rates import decide_rate_exactly
from mastsim.verification.false_falling_steps import false_falling_steps
from mastsim.verification.outcome_tree import decide_rate_on_tree
from mastsim.verification.trial import Trial, exact_recursion
from tests.oracles.listed_laws import law


def objective(seed, count=2, dim=2):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((dim, dim))
    values = rng.standard_normal((count, dim, dim)) * rng.choice([0.3, 1.0])
    f = ms.Quadratic(A.T @ A + 0.1 * np.eye(dim), rng.standard_normal(dim))
    return ms.Mast(f, ms.FiniteSupport(values + np.eye(dim) - values.mean(axis=0)), shift=rng.standard_normal(dim))


def gradient(F, S, x):
    return S.T @ (F.problem.A @ (F.center + S @ (x - F.center)) - F.problem.b)


def heavy_ball(F, sketches, x0, gamma, growth):
    """Return the iterates of momentum in its other form, for one sequence of sketches."""
    path, last = [x0], x0
    for t, S in enumerate(sketches):
        now, up = path[-1], growth * (t + 1)
        path.append(now - gamma / (up + 1) * gradient(F, S, now) + growth * t / (up + 1) * (now - last))
        last = now
    return np.array(path)


def descent(F, sketches, x0, rule):
    path = [x0]
    for t, S in enumerate(sketches):
        path.append(path[-1] - rule(t) * gradient(F, S, path[-1]))
    return np.array(path)


def mean_over_sequences(F, steps, follow):
    """Return E‖x^t − x_D*‖² over all sequences of sketches."""
    values, weights = law(F.sketch)
    total, best = np.zeros(steps + 1), F.minimize().x
    for chosen in itertools.product(range(len(values)), repeat=steps):
        path = follow([values[i] for i in chosen])
        total += math.prod(weights[i] for i in chosen) * ((path - best) ** 2).sum(axis=1)
    return total


@pytest.mark.parametrize("growth", [0.5, 0.9])
@pytest.mark.parametrize("recursion", [ClosedRecursion, EnumeratedRecursion])
def test_momentum_is_the_heavy_ball_that_grows(recursion, growth):
    F, x0, gamma = objective(1), np.array([2.0, -1.0]), 0.05
    expected = mean_over_sequences(F, 5, lambda chosen: heavy_ball(F, chosen, x0, gamma, growth))
    method = ms.AveragedMomentum(gamma, growth=growth)
    apart = recursion(F, method).center - F.minimize().x
    np.testing.assert_array_equal(apart, 0.0)
    found = recursion(F, method).follow(x0, 5, [{("x", "x"): np.eye(2)}]).values[:, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-11)


@pytest.mark.parametrize("sampled", [{"sampling": ms.Nice(1)}, {"compression": ms.SketchCompressor(ms.Bernoulli(2, 0.5))}])
def test_momentum_with_sampled_and_compressed_gradients_is_enumerated_and_closed(sampled):
    parts = [ms.Quadratic(np.diag([1.0, 3.0]), np.ones(2)), ms.Quadratic(np.array([[2.0, 1.0], [1.0, 2.0]]), -np.ones(2))]
    F = ms.Mast(ms.FiniteSum(parts), ms.RandK(2, k=1), shift=np.array([0.3, 0.0]))
    method, forms = ms.AveragedMomentum(ms.HarmonicStep(0.1, 0.2), **sampled), [{("x", "x"): np.eye(2)}]
    closed, every = ClosedRecursion(F, method), EnumeratedRecursion(F, method)
    one, two = (chain.follow(np.ones((3, 2)), 12, forms) for chain in (closed, every))
    np.testing.assert_allclose(one.values, two.values, rtol=1e-10)
    assert (np.abs(one.values - two.values) <= one.rounding + two.rounding).all()


RULES = [ms.HarmonicStep(0.1, decay=0.7), ms.InverseSqrtStep(0.1), ms.StagewiseStep(0.1, length=2, factor=0.4)]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.keyword)
@pytest.mark.parametrize("recursion", [ClosedRecursion, EnumeratedRecursion])
def test_steps_that_fall_have_exact_moments(recursion, rule):
    F, x0 = objective(2), np.array([2.0, -1.0])
    expected = mean_over_sequences(F, 6, lambda chosen: descent(F, chosen, x0, rule.at))
    found = recursion(F, ms.DSGD(rule)).follow(x0, 6, [{("x", "x"): np.eye(2)}]).values[:, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-11)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.keyword)
@pytest.mark.parametrize(
    "make",
    [
        ms.GD,
        lambda step: ms.PAGE(step, probability=0.3),
        lambda step: ms.LSVRDSG(step, probability=0.3),
        lambda step: ms.DSGD(step, shift=ms.Refreshed(0.3, variant="a")),
        lambda step: ms.AveragedMomentum(step),
    ],
)
def test_closed_and_enumerated_moments_agree_at_steps_that_fall(make, rule):
    F, x0, forms = objective(3), np.array([1.0, 1.0]), [{("x", "x"): np.eye(2)}]
    closed, every = ClosedRecursion(F, make(rule)), EnumeratedRecursion(F, make(rule))
    one, two = closed.follow(x0, 8, forms), every.follow(x0, 8, forms)
    np.testing.assert_allclose(one.values, two.values, rtol=1e-10)
    assert (np.abs(one.values - two.values) <= one.rounding + two.rounding).all()
    constant = ClosedRecursion(F, make(rule.largest)).follow(x0, 8, forms).values
    assert np.abs(one.values - constant).max() > 1e-4


def test_step_sizes_within_a_cycle_count_gradient_steps():
    F, x0, rule = objective(4), np.array([1.0, -2.0]), ms.HarmonicStep(0.2, decay=1.0)
    values, best, expected = law(F.sketch)[0], F.minimize().x, 0.0
    for first, second in itertools.product(itertools.permutations(values), repeat=2):
        expected += np.sum((descent(F, [*first, *second], x0, rule.at)[-1] - best) ** 2) / 4
    found = propagate(F, ms.DSGD(rule, order=ms.Reshuffled()), x0, 2).distance
    assert found[-1] == pytest.approx(expected, rel=1e-11)


def test_what_needs_steps_that_are_alike_says_so():
    F = objective(5)
    with pytest.raises(ValueError, match="has a step size that changes: a factor of contraction needs a constant one"):
        contraction(F, ms.DSGD(ms.HarmonicStep(0.1, 0.1)))
    with pytest.raises(ValueError, match="the steps of AveragedMomentum change with their number"):
        contraction(F, ms.AveragedMomentum(0.1))
    with pytest.raises(AssumptionError, match="growth must be below 1"):
        ConvexAveragedMomentum(F, growth=1.0)


def test_stages_by_hand():
    rule = ms.StagewiseStep(1.0, length=3, factor=0.4)
    # Stages of 3, ⌈7.5⌉ and ⌈18.75⌉ steps.
    assert [rule.at(t) for t in (0, 2, 3, 10, 11, 29, 30)] == pytest.approx([1.0, 1.0, 0.4, 0.4, 0.16, 0.16, 0.064])
    assert rule.at(10**15) > 0
    assert AskedStep.read("stagewise:theory:100:0.5").of(2.0) == ms.StagewiseStep(2.0, length=100)
    for bad in ({"length": 0}, {"length": 2, "factor": 1.0}, {"length": 2, "factor": 0.0}):
        with pytest.raises(ValueError, match=r"(length|factor)=.* is not accepted"):
            ms.StagewiseStep(1.0, **bad)


def test_constants_by_hand():
    F = ms.Mast(ms.Quadratic(np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([3.0, 0.0])), ms.RandK(2, k=1))
    gap, L, mu = float(ms.Constants(F).gap), 12.0, 2.0
    falling, stages, momentum = DecreasingStepDSGD(F), StagewiseStepDSGD(F), ConvexAveragedMomentum(F, growth=0.8)
    t0 = 2 * L / mu
    for T in (1, 7, 1000):
        bound = ((t0 - 1) * (t0 - 2) * 5 + 8 * L * gap / mu**2 * T) / ((T + t0 - 1) * (T + t0 - 2))
        assert float(falling.bound(T, initial=5.0)) == pytest.approx(bound)
    assert float(falling.bound(0, initial=5.0)) == 5.0
    assert [falling.method_at(1 / L).rule.at(t) for t in (0, 5)] == pytest.approx([2 / (mu * (t + t0)) for t in (0, 5)])
    rule, r = stages.method_at(1 / L).rule, 5.0
    assert rule.length == math.ceil(math.log(4) * L / mu)
    for t in range(100):
        assert float(stages.bound(t, initial=5.0)) == pytest.approx(r)
        r = (1 - rule.at(t) * mu) * r + 2 * rule.at(t) ** 2 * L * gap
    assert momentum.stepsize == pytest.approx(0.2 / L)
    assert float(momentum.bound(9, 0.1 / L, initial=5.0)) == pytest.approx((5 * L / 0.1 / 10 + 0.2 * gap) / 1.6)
    for theorem in (falling, stages, momentum):
        accuracy = 0.3 * 5 + theorem.radius
        T = theorem.steps_to_accuracy(accuracy, initial=5.0)
        gamma = theorem.stepsize_to_accuracy(accuracy)
        assert float(theorem.bound(T, gamma, initial=5.0)) <= accuracy * (1 + 1e-12)
        assert float(theorem.bound(T - 1, gamma, initial=5.0)) > accuracy


def test_they_are_listed_and_the_default_stays():
    F = objective(6)
    assert covering(F, ms.DSGD(1.0), 10, sharp=False).id == "theorem2"
    assert covering(F, ms.AveragedMomentum(1.0, growth=0.7), 10, sharp=False).growth == 0.7
    told = {each.theorem: each for each in ms.guarantees(F) if each.applies}
    assert {"averaged-momentum", "decreasing-step", "decreasing-step-stages"} <= set(told)
    assert guarantee_of(DecreasingStepDSGD(F), accuracy=1e-6).steps_to_accuracy < math.inf


KINDS = [ConvexAveragedMomentum, DecreasingStepDSGD, StagewiseStepDSGD]


@given(st.floats(0, 25), st.sampled_from([0.0, 1e-30, 1.0]), st.floats(0.1, 1))
def test_stages_keep_what_is_small_beside_one(spread, start, fraction):
    """From the minimiser itself the bound is its neighbourhood alone, of which γμ below 1e-16 must not take all."""
    F = ms.Mast(ms.Quadratic(np.diag([1.0, 10.0**-spread]), np.array([3.0, 1.0])), ms.RandK(2, k=1))
    stages = StagewiseStepDSGD(F)
    gamma = fraction * stages.stepsize
    rule, r = stages.rule(gamma), Fraction(start)
    mu, noise = Fraction(stages.mu), 2 * Fraction(float(stages.L)) * Fraction(float(stages.gap))
    for t in range(20):
        assert float(stages.bound(t, gamma, initial=start)) == pytest.approx(float(r), rel=1e-12)
        step = Fraction(rule.at(t))
        r = (1 - step * mu) * r + step**2 * noise


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind is not NonconvexDistributedQuoted], ids=lambda kind: kind.id)
def test_no_true_theorem_is_refuted_where_steps_are_below_rounding(kind):
    A = np.array([[1e-12, 3e-4, 3e-4], [3e-4, 1.3e6, 3e5], [3e-4, 3e5, 1.3e6]])
    F = ms.Mast(ms.Quadratic(A, np.array([-2e-10, -2e-11, -1e-10])), ms.RandK(3, k=2))
    try:
        theorem = kind(F)
    except AssumptionError:
        return
    assert ms.verify(theorem).verdict != "refuted"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.id)
@given(seed=st.integers(0, 10**6), fraction=st.floats(0.05, 1), growth=st.floats(0.05, 0.95))
def test_theorems_hold_on_random_quadratics(kind, seed, fraction, growth):
    F = objective(seed, count=3)
    theorem = kind(F, sharp=True, **({"growth": growth} if kind is ConvexAveragedMomentum else {}))
    trial = Trial(theorem, fraction * theorem.stepsize, F)
    verdict = decide_rate_exactly(trial, exact_recursion(trial), 20)
    assert verdict.verdict == "holds" or (verdict.verdict, verdict.reason) == ("inconclusive", "rounding")
    assert not verdict.max_ratio > 1 + 1e-9


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.id)
def test_theorems_hold_where_curvature_changes(kind):
    A, y = np.array([[2.0, 1.0], [-1.0, 3.0], [0.5, -2.0]]), np.array([1.0, -1.0, 1.0])
    f, v = ms.LogisticRegression(A, y, l2=0.05), np.array([0.7, -0.4])
    F = ms.Mast(f, ms.RandK(2, k=1), shift=v, evaluate="enumeration")
    verdict = decide_rate_on_tree(Trial.of(kind(F, sharp=True)), 4)
    assert verdict.verdict == "holds"
    assert verdict.max_ratio > 0.1


def test_a_users_run_is_judged():
    F = objective(7)
    for theorem in (DecreasingStepDSGD(F), StagewiseStepDSGD(F)):
        run = ms.simulate(theorem.method_at(theorem.stepsize), F, steps=40, replicas=300, every=10, x0=np.array([9.0, 9.0]))
        assert ms.verify(theorem, run).verdict != "refuted"
        with pytest.raises(ValueError, match="is about DSGD with the same settings"):
            ms.verify(theorem, ms.simulate(ms.DSGD(theorem.stepsize), F, steps=4, replicas=3))


@pytest.mark.parametrize("trial", false_falling_steps(), ids=lambda trial: trial.theorem.id)
def test_the_false_variants_are_refuted_where_the_true_one_holds(trial):
    assert decide_rate_exactly(trial, exact_recursion(trial), 40).verdict == "refuted"
    kind = type(trial.theorem).__mro__[1]
    true = kind(trial.objective)
    assert decide_rate_exactly(Trial.of(true), exact_recursion(Trial.of(true)), 40).verdict == "holds"
