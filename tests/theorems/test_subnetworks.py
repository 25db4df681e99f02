"""Subnetworks: constants against every dealing of coordinates, one step from every point, the assumption and its failure."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mastsim as ms
from mastsim.advice import covering
from mastsim.moments import propagate
from mastsim.theorems import (
    AssumptionError,
    SubnetworkBias,
    SubnetworkDescent,
    SubnetworkDistance,
    SubnetworkGradient,
    SubnetworkNoise,
)
from mastsim.theorems.subnetwork_constants import SubnetworkConstants
from mastsim.verification.exact_rates import decide_rate_exactly
from mastsim.verification.false_subnetworks import false_subnetworks, rising, worst_start
from mastsim.verification.trial import Trial, exact_recursion

pytestmark = pytest.mark.slow


def matrices(rng, count, dim=2):
    A = rng.standard_normal((count, dim, dim))
    return A @ A.transpose(0, 2, 1) + 0.05 * np.eye(dim)


def dealt(dim):
    """Return what Perm-1 does with as many clients as coordinates: client i keeps coordinate π(i), times the dimension."""
    return [
        np.array([dim * np.diag(np.eye(dim)[order[i]]) for i in range(dim)]) for order in itertools.permutations(range(dim))
    ]


def steps_of(F):
    """Return B and b_C − (shift's part) of y⁺ = y − γ(By + ζ), y = x − v, for every dealing, equally likely."""
    L = np.array([problem.A for problem in F.problems])
    g = np.array([problem.A @ F.center - problem.b for problem in F.problems])
    found = dealt(F.dim)
    B = np.array([np.mean([C @ A @ C for C, A in zip(Cs, L, strict=True)], axis=0) for Cs in found])
    zeta = np.array([np.mean([C @ slope for C, slope in zip(Cs, g, strict=True)], axis=0) for Cs in found])
    return L.mean(axis=0), B, zeta


def clients(seed, agree=False, dim=2):
    rng = np.random.default_rng(seed)
    v = rng.standard_normal(dim)
    slopes = 0.0 if agree else rng.standard_normal((dim, dim))
    problems = [
        ms.Quadratic(A, A @ v + b) for A, b in zip(matrices(rng, dim, dim), np.zeros((dim, dim)) + slopes, strict=True)
    ]
    return ms.Distributed(problems, ms.PermK(dim, clients=dim), shift=v)


def top(left, right):
    return np.linalg.eigvals(np.linalg.solve(right, left)).real


@pytest.mark.parametrize("dim", [2, 3])
@given(seed=st.integers(0, 10**6))
def test_constants_are_those_of_every_dealing(dim, seed):
    F = clients(seed, dim=dim)
    L, B, zeta = steps_of(F)
    H = B.mean(axis=0)
    W = (L @ H + H @ L) / 2
    c = SubnetworkConstants(F)
    np.testing.assert_allclose(c.W, W, atol=1e-9 * np.linalg.norm(W))
    assert c.square_smoothness == pytest.approx(top(np.mean(B @ B, axis=0), H).max(), rel=1e-6)
    assert c.descent_gain == pytest.approx(top(W, L).min(), rel=1e-6, abs=1e-9)
    assert c.gradient_gain == pytest.approx(top(W, L @ L).min(), rel=1e-6, abs=1e-9)
    if np.linalg.eigvalsh(W)[0] > 1e-9:
        assert c.descent_smoothness == pytest.approx(top(np.mean(B @ L @ B, axis=0), W).max(), rel=1e-5)
    best, other = -np.linalg.solve(H, zeta.mean(axis=0)), F.problem.minimize().x - F.center
    assert c.bias == pytest.approx(math.sqrt((best - other) @ L @ (best - other)), rel=1e-6, abs=1e-9)
    assert c.sigma2_star == pytest.approx(np.mean(np.sum((B @ best + zeta) ** 2, axis=1)), rel=1e-6, abs=1e-12)


@given(seed=st.integers(0, 10**6), fraction=st.floats(0.05, 1))
def test_one_step_from_every_point(seed, fraction):
    F = clients(seed, agree=True)
    L, B, _ = steps_of(F)
    one = np.eye(2)
    distance = SubnetworkDistance(F)
    gamma = fraction * distance.stepsize
    after = np.mean([(one - gamma * M).T @ (one - gamma * M) for M in B], axis=0)
    assert np.linalg.eigvalsh(after - (1 - distance.contraction(gamma)) * one)[-1] <= 1e-9
    if SubnetworkDescent.refuse(F) is not None:
        assert np.linalg.eigvalsh(SubnetworkConstants(F).W)[0] <= 1e-9
        return
    descent, gradient = SubnetworkDescent(F), SubnetworkGradient(F)
    gamma = fraction * descent.stepsize
    after = np.mean([(one - gamma * M).T @ L @ (one - gamma * M) for M in B], axis=0)
    assert np.linalg.eigvalsh(after - (1 - descent.contraction(gamma)) * L)[-1] <= 1e-9 * np.linalg.norm(L)
    gain = gamma / float(gradient.weight(np.ones(1), gamma)[0]) * 2
    assert np.linalg.eigvalsh(after - L + gain * L @ L)[-1] <= 1e-9 * np.linalg.norm(L)


KINDS = [SubnetworkDescent, SubnetworkGradient, SubnetworkDistance, SubnetworkNoise, SubnetworkBias]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.id)
@given(seed=st.integers(0, 10**6), fraction=st.floats(0.05, 1), apart=st.booleans())
def test_theorems_hold_on_random_clients(kind, seed, fraction, apart):
    F = clients(seed, agree=kind in KINDS[:3])
    if apart:
        F = ms.Distributed(F.problems, ms.RandK(2, k=1), shift=F.center)
    if kind.refuse(F) is not None:
        return
    trial = Trial(kind(F), fraction * kind(F).stepsize, F)
    verdict = decide_rate_exactly(trial, exact_recursion(trial), 25)
    assert verdict.verdict == "holds" or (verdict.verdict, verdict.reason) == ("inconclusive", "rounding")
    assert not verdict.max_ratio > 1 + 1e-9


def test_the_assumption_is_that_of_two_by_two_matrices():
    # Perm-1 on [[a, c], [c, b]]: W ⪰ 0 if and only if |c| ≤ 2ab/(a + b).
    for a, b in ((1.0, 0.1), (2.0, 1.5)):
        edge = 2 * a * b / (a + b)
        for c, fits in ((0.99 * edge, True), (1.01 * edge, False), (-0.99 * edge, True), (-1.01 * edge, False)):
            if abs(c) >= math.sqrt(a * b):
                continue
            f = ms.Quadratic(np.array([[a, c], [c, b]]), np.zeros(2))
            F = ms.Distributed([f, f], ms.PermK(2, clients=2))
            assert (SubnetworkDescent.refuse(F) is None) == fits
            # Scaled to a constant diagonal it always holds.
            S = np.diag(1 / np.sqrt([a, b]))
            g = ms.Quadratic(S @ f.A @ S, np.zeros(2))
            assert SubnetworkDescent.refuse(ms.Distributed([g, g], ms.PermK(2, clients=2))) is None


def test_its_failure_is_a_rise_at_first_and_no_divergence():
    F, start = rising(), worst_start()
    why = SubnetworkDescent.refuse(F)
    assert "λ_min(W) = -0.03355" in why
    assert "f may grow at first" in why
    with pytest.raises(AssumptionError, match="scale the coordinates"):
        SubnetworkGradient(F)
    theorem = SubnetworkDistance(F)
    for share in (1e-3, 0.1, 1.0):
        gamma = share * theorem.stepsize
        path = propagate(F, ms.DistributedDSGD(gamma), start, int(100 / share))
        assert path.f_gap[1] > path.f_gap[0]
        assert path.f_gap[-1] < 1e-3 * path.f_gap[0]
        assert (np.diff(path.error) < 0).all()


def test_what_does_not_fit_is_refused_and_defaults_stay():
    F = clients(1)
    for kind in KINDS[:3]:
        with pytest.raises(AssumptionError, match=r"one minimiser of all clients.*subnetworks-noise"):
            kind(F)
    losses = [ms.LogisticRegression(np.eye(2), np.array([1.0, -1.0]), l2=0.1)] * 2
    with pytest.raises(AssumptionError, match="use quadratics"):
        SubnetworkNoise(ms.Distributed(losses, ms.RandK(2, k=1)))
    with pytest.raises(AssumptionError, match="the objective has one node"):
        SubnetworkNoise(ms.Mast(F.problems[0], ms.RandK(2, k=1)))
    assert covering(F, ms.DistributedDSGD(1.0), 10, sharp=False).id == "distributed-convex"
    listed = {each.theorem for each in ms.guarantees(F) if each.applies}
    assert {"subnetworks-noise", "subnetworks-bias"} <= listed


def test_the_bias_stays_and_accuracies_below_it_are_out_of_reach():
    F = clients(4)
    theorem = SubnetworkBias(F)
    bias = theorem.bias**2 / 2
    path = propagate(F, ms.DistributedDSGD(1e-3 * theorem.stepsize), F.minimize().x, 3)
    assert path.f_gap[0] == pytest.approx(bias, rel=1e-6)
    assert theorem.steps_to_accuracy(0.9 * bias) == math.inf
    assert theorem.stepsize_to_accuracy(0.9 * bias) == 0
    target = 2 * bias
    gamma, steps = theorem.stepsize_to_accuracy(target), theorem.steps_to_accuracy(target, initial=3.0)
    assert float(theorem.bound(steps, gamma, 3.0)) <= target * (1 + 1e-9)
    assert float(theorem.bound(steps - 1, gamma, 3.0)) > target


@pytest.mark.parametrize("trial", false_subnetworks(), ids=lambda trial: trial.theorem.id)
def test_false_variants_are_refuted_and_a_missing_assumption_is_refused(trial):
    assert decide_rate_exactly(trial, exact_recursion(trial), 40).verdict == "refuted"
    if isinstance(trial.theorem, SubnetworkDescent):
        assert SubnetworkDescent.refuse(trial.objective) is not None
