"""A shift that is held: exact moments of cycles against all sketches, the theorem for every length, cycles too short."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import mastsim as ms
from mastsim.advice import covering
from mastsim.moments import ClosedRecursion, EnumeratedRecursion, contraction, propagate
from mastsim.recursions import HeldRecursion
from mastsim.theorems import AssumptionError, StronglyConvexHeld
from mastsim.verification.exact_rates import decide_rate_exactly
from mastsim.verification.false_shifts import FewSteps, rare_and_large
from mastsim.verification.trial import Trial, exact_recursion
from tests.oracles.listed_laws import law


def objective(seed, count=2, dim=2, narrow=False):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((dim, dim))
    values = rng.standard_normal((count, dim, dim)) * (0.2 if narrow else rng.choice([0.3, 1.0]))
    f = ms.Quadratic(A.T @ A / (8 if narrow else 1) + (1.0 if narrow else 0.2) * np.eye(dim), rng.standard_normal(dim))
    return ms.Mast(f, ms.FiniteSupport(values + np.eye(dim) - values.mean(axis=0)), shift=rng.standard_normal(dim))


@pytest.mark.parametrize("tau", [1, 2, 4])
def test_a_cycle_is_the_mean_over_all_sketches(tau):
    F, x0, gamma = objective(tau), np.array([2.0, -1.0]), 0.05
    A, b, values = F.problem.A, F.problem.b, law(F.sketch)[0]
    other, expected = F.problem.minimize().x, 0.0
    for chosen in itertools.product(values, repeat=tau - 1):
        x, path = x0, [x0]
        for S in chosen:
            x = x - gamma * S.T @ (A @ (x0 + S @ (x - x0)) - b)
            path.append(x)
        expected += np.sum((np.mean(path, axis=0) - other) ** 2) / len(values) ** (tau - 1)
    method, forms = ms.DSGD(gamma, shift=ms.Held(tau)), [{("x", "x"): np.eye(2)}]
    closed, every = ClosedRecursion(F, method), EnumeratedRecursion(F, method)
    assert isinstance(closed.chain, HeldRecursion)
    assert closed.follow(x0, 1, forms).values[-1, 0] == pytest.approx(expected, rel=1e-11)
    one, two = closed.follow(np.stack([x0, -x0]), 5, forms), every.follow(np.stack([x0, -x0]), 5, forms)
    np.testing.assert_allclose(one.values, two.values, rtol=1e-10)
    assert (np.abs(one.values - two.values) <= one.rounding + two.rounding).all()
    assert contraction(F, method).upper == pytest.approx((one.values[0, 5] / one.values[0, 4]).item(), rel=0.2)


def test_long_cycles_are_exact_and_soon_done():
    F, method, x0 = objective(7, count=3), ms.DSGD(0.02, shift=ms.Held(40)), np.array([1.0, 2.0])
    exact = propagate(F, method, x0, 2).error
    run = ms.simulate(method, F, steps=2, replicas=2000, seed=1, x0=x0, every=1, measures=("error",))
    mean, spread = run.traces["error"].mean(axis=0), run.traces["error"].std(axis=0) / 2000**0.5
    # Two means beyond six standard errors: a chance below 1e-8 by the normal law.
    assert (np.abs(mean - exact) <= 6 * spread + 1e-12).all()


def test_constants_by_hand():
    F = ms.Mast(ms.Quadratic(np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([3.0, 0.0])), ms.RandK(2, k=1))
    theorem = StronglyConvexHeld(F)
    kappa, L, mu = 6.0, 12.0, 2.0
    assert (theorem.kappa, theorem.L, theorem.mu_D) == (kappa, L, mu)
    assert theorem.shift == ms.Held(math.ceil(16 * kappa * L / mu))
    assert theorem.stepsize == pytest.approx(1 / (4 * kappa * L))
    # With τ = 16κL/μ exactly the factor is 1 − 2/(4κ − 1), at most 1 − 1/(2κ).
    assert theorem.rate == pytest.approx(1 - 2 / (4 * kappa - 1))
    gamma, tau = 0.5 * theorem.stepsize, 3 * theorem.shift.tau
    phi = 1 / (2 * (1 - gamma * L))
    worst = max(G + phi * (2 / (mu * gamma * tau) * (1 - G) + 2 * gamma * L * G) for G in (0.0, 1 - 1 / kappa))
    assert 1 - StronglyConvexHeld(F, shift=ms.Held(tau)).contraction(gamma) == pytest.approx(worst)


@given(seed=st.integers(0, 10**6), share=st.floats(0.55, 3))
def test_the_theorem_holds_for_every_length(seed, share):
    F = objective(seed, narrow=True)
    whole = StronglyConvexHeld(F, sharp=True)
    tau = max(math.ceil(share * whole.shift.tau), 1)
    assume(tau <= 120)
    try:
        theorem = StronglyConvexHeld(F, sharp=True, shift=ms.Held(tau))
    except AssumptionError:
        assert share < 1
        return
    verdict = decide_rate_exactly(Trial.of(theorem), exact_recursion(Trial.of(theorem)), 3)
    assert verdict.verdict == "holds" or (verdict.verdict, verdict.reason) == ("inconclusive", "rounding")
    assert not verdict.max_ratio > 1 + 1e-9


def test_what_does_not_fit_is_refused_and_the_rule_of_a_method_is_kept():
    F = objective(3)
    with pytest.raises(AssumptionError, match=r"has no rate for shift held for 2 steps.*hold it for"):
        StronglyConvexHeld(F, shift=ms.Held(2))
    with pytest.raises(AssumptionError, match="it must be Held"):
        StronglyConvexHeld(F, shift=ms.Refreshed(0.5))
    tau = StronglyConvexHeld(F).shift.tau + 5
    assert covering(F, ms.DSGD(1.0, shift=ms.Held(tau)), 10, sharp=False).shift == ms.Held(tau)


def test_eight_steps_are_not_enough():
    claim = FewSteps(rare_and_large())
    trial = Trial(claim, claim.stepsize, claim.objective, "refuted", np.ones(1))
    assert decide_rate_exactly(trial, exact_recursion(trial), 4).verdict == "refuted"
    true = Trial.of(StronglyConvexHeld(claim.objective))
    assert decide_rate_exactly(true, exact_recursion(true), 3).verdict == "holds"
