"""Preconditioned subnetworks against every dealing of the coordinates, in fractions: all roots are rational."""

import dataclasses
import math
from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mastsim as ms
from mastsim.advice import covering
from mastsim.moments import ClosedRecursion, EnumeratedRecursion, propagate, standard_forms, stationary
from mastsim.theorems import AssumptionError, PreconditionedDescent, SubnetworkNoise
from mastsim.theorems.preconditioned_subnetworks import one_coordinate_each
from mastsim.verification.exact_rates import decide_rate_exactly
from mastsim.verification.false_subnetworks import false_subnetworks
from mastsim.verification.trial import Trial, exact_recursion
from tests.oracles.rational import eliminate, fractions

SIZES = {2: (2, 8, 0.5, 32), 3: (3, 12, 0.75, 48)}
"""Diagonal entries a with √(d·a) in fractions."""


def clients(dim, numbers, shift=True):
    """Return clients in floats, and (L_i, b_i) and v in fractions, of small numbers."""
    numbers = list(numbers)
    L, b = [], []
    for i in range(dim):
        A = np.diag([float(SIZES[dim][(numbers[i] + j) % 4]) for j in range(dim)])
        off = numbers[dim + i] / 16
        A[0, 1] = A[1, 0] = off * np.sqrt(np.float64(SIZES[dim][2])) // 0.0625 * 0.0625
        L.append(A)
        b.append(np.array([float(numbers[(2 * dim + i + j) % len(numbers)]) for j in range(dim)]))
    v = np.array(numbers[:dim], dtype=float) / 4 if shift else np.zeros(dim)
    F = ms.Distributed(
        [ms.Quadratic(A, c) for A, c in zip(L, b, strict=True)], ms.PermK(dim, clients=dim), shift=v if shift else None
    )
    return F, [fractions(A) for A in L], [fractions(c) for c in b], fractions(v)


def root(value):
    found = Fraction(math.isqrt(value.numerator), math.isqrt(value.denominator))
    assert found * found == value
    return found


def targets(L, b, v):
    """Return C_i for every dealing from their definition, and v − (1/d)ΣC_i∇f_i(v)."""
    d, out = len(v), []
    for order in permutations(range(d)):
        C = [np.zeros((d, d), dtype=object) + Fraction(0) for _ in range(d)]
        for i in range(d):
            j = order[i]
            C[i][j, j] = root(Fraction(d) / L[i][j, j])
        B = sum(c @ A @ c for c, A in zip(C, L, strict=True)) / Fraction(d)
        assert (fractions(np.eye(d)) == B).all()
        out.append((C, v - sum(c @ (A @ v - q) for c, A, q in zip(C, L, b, strict=True)) / Fraction(d)))
    return out


def gradient(L, b, v, C, x):
    """Return (1/d)ΣC_i∇f_i(v + C_i(x − v))."""
    return sum(c @ (A @ (v + c @ (x - v)) - q) for c, A, q in zip(C, L, b, strict=True)) / Fraction(len(v))


@given(st.sampled_from([2, 3]), st.lists(st.integers(-4, 4), min_size=9, max_size=9), st.booleans())
def test_moments_and_constants_are_those_of_every_dealing(dim, numbers, shift):
    F, L, b, v = clients(dim, numbers, shift)
    gamma, x0, mean = Fraction(1, 4), fractions(np.arange(1.0, dim + 1)), sum(L) / Fraction(dim)
    found = targets(L, b, v)
    best, share = eliminate(mean, sum(b) / Fraction(dim))[1], Fraction(1, len(found))
    points = [(Fraction(1), x0)]
    for _ in range(2):
        steps = [(w * share, x, C) for w, x in points for C, _ in found]
        points = [(w, x - gamma * gradient(L, b, v, C, x)) for w, x, C in steps]
    wanted = [float(sum(w * ((x - best) @ M @ (x - best)) for w, x in points)) for M in (fractions(np.eye(dim)), mean / 2)]
    for kind in (ClosedRecursion, EnumeratedRecursion):
        chain = kind(F, ms.PreconditionedSubnetworks(0.25))
        forms = [standard_forms(F, chain.center)[name] for name in ("error", "f_gap")]
        path = chain.follow(np.arange(1.0, dim + 1), 2, forms)
        np.testing.assert_allclose(path.values[-1], wanted, rtol=1e-10, atol=1e-11)
    middle = sum(t for _, t in found) * share
    h = middle - best
    noise = sum((t - middle) @ mean @ (t - middle) for _, t in found) * share
    np.testing.assert_allclose(F.problem.minimize().x, best.astype(float), atol=1e-12)
    np.testing.assert_allclose(chain.center, middle.astype(float), atol=1e-12)
    if PreconditionedDescent.refuse(F) is not None:
        assert np.linalg.eigvalsh(mean.astype(float))[0] < 1e-9
        return
    theorem = PreconditionedDescent(F)
    bias2, noise2 = theorem.constants.preconditioned_bias2, theorem.constants.preconditioned_noise2
    assert abs(bias2.value - float(h @ mean @ h)) <= bias2.error <= 1e-5 * (1 + bias2.value)
    assert abs(noise2.value - float(noise)) <= noise2.error <= 1e-9 * (1 + noise2.value)
    for step in (0.25, 1.0):
        exact = float((h @ mean @ h + Fraction(step) * noise) / 2)
        assert exact <= theorem.neighbourhood(step) * (1 + 1e-12) <= exact * (1 + 1e-5) + 1e-5


@given(st.sampled_from([2, 3]), st.lists(st.integers(-4, 4), min_size=9, max_size=9), st.floats(0.02, 1))
def test_the_theorem_holds(dim, numbers, gamma):
    F = clients(dim, numbers)[0]
    if PreconditionedDescent.refuse(F) is not None:
        return
    trial = Trial(PreconditionedDescent(F), gamma, F)
    verdict = decide_rate_exactly(trial, exact_recursion(trial), 20)
    assert verdict.verdict == "holds" or (verdict.verdict, verdict.reason) == ("inconclusive", "rounding")


@pytest.mark.parametrize("F", one_coordinate_each(), ids=lambda F: f"{F.dim}")
@pytest.mark.parametrize("gamma", [0.1, 1.0])
def test_the_limit_is_the_one_of_the_proof(F, gamma):
    """½(‖h‖² + γσ²/(2 − γ)); the bound is attained at γ = 1."""
    theorem, method = PreconditionedDescent(F), ms.PreconditionedSubnetworks(gamma)
    limit, L = stationary(F, method), F.problem.upper_curvature.matrix
    bias2, noise2 = theorem.constants.preconditioned_bias2.value, theorem.constants.preconditioned_noise2.value
    assert np.trace(L @ limit.covariance) == pytest.approx(gamma * noise2 / (2 - gamma), rel=1e-9)
    end = propagate(F, method, np.ones(F.dim), 400).f_gap[-1]
    assert end == pytest.approx((bias2 + gamma * noise2 / (2 - gamma)) / 2, rel=1e-9)
    assert end <= theorem.neighbourhood(gamma) * (1 + 1e-9)
    if gamma == 1.0:
        assert end == pytest.approx(theorem.neighbourhood(gamma), rel=1e-6)


def test_replicas_settle_where_moments_say():
    """Two means of 4,000 replicas within 6 standard errors: by the normal law 4e-9 that one is not."""
    F = one_coordinate_each()[2]
    run = ms.simulate(ms.PreconditionedSubnetworks(0.5), F, steps=12, replicas=4000, seed=5, measures=("f_gap", "error"))
    exact = propagate(F, ms.PreconditionedSubnetworks(0.5), F.center, 12)
    for name in ("f_gap", "error"):
        table = run.traces[name][:, -1]
        assert abs(table.mean() - getattr(exact, name)[-1]) < 6 * table.std() / np.sqrt(4000)
    assert run.engine == "array"


REFUSED = {
    "clients": (ms.Distributed([ms.Quadratic(np.eye(4), np.ones(4))] * 2, ms.PermK(4, clients=2)), "2 clients and 4 coord"),
    "drawn apart": (ms.Distributed([ms.Quadratic(np.eye(2), np.ones(2))] * 2, ms.RandK(2, k=1)), "2 coordinates, not dealt"),
    "no curvature": (
        ms.Distributed(
            [ms.Quadratic(np.diag([1.0, 0.0]), np.zeros(2)), ms.Quadratic(np.eye(2), np.zeros(2))], ms.PermK(2, 2)
        ),
        "positive diagonals of all L_i fails: the least diagonal entry is 0",
    ),
    "loss": (
        ms.Distributed([ms.LogisticRegression(np.eye(2), np.array([1.0, -1.0]), l2=0.1)] * 2, ms.PermK(2, clients=2)),
        "use quadratics",
    ),
    "one node": (ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1)), "the objective has one node"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused(name):
    F, message = REFUSED[name]
    with pytest.raises(AssumptionError, match=message):
        PreconditionedDescent(F)
    with pytest.raises((ValueError, TypeError), match="is not accepted"):
        ms.simulate(ms.PreconditionedSubnetworks(0.5), F, steps=1)


def test_no_other_theorem_speaks_of_it_and_it_speaks_of_nothing_else():
    F = one_coordinate_each()[0]
    assert covering(F, ms.PreconditionedSubnetworks(0.5), 10, sharp=False).id == "subnetworks-preconditioned"
    assert covering(F, ms.DistributedDSGD(0.5), 10, sharp=False).id != "subnetworks-preconditioned"
    # The plain method has another bias on the same clients.
    assert SubnetworkNoise(F).method == "DistributedDSGD"
    assert not np.allclose(F.minimize().x, ms.PreconditionedSubnetworks(0.5).target(F))
    with pytest.raises(TypeError):
        dataclasses.replace(ms.PreconditionedSubnetworks(0.5), sampling=None)


def test_without_the_bias_it_is_refuted():
    (trial,) = [trial for trial in false_subnetworks() if trial.theorem.id.startswith("subnetworks-preconditioned")]
    assert decide_rate_exactly(trial, exact_recursion(trial), 40).verdict == "refuted"


def test_the_largest_step_is_one_and_beyond_it_the_claim_is_false():
    theorem = PreconditionedDescent(one_coordinate_each()[0])
    assert theorem.stepsize == 1.0
    with pytest.raises(AssumptionError, match=r"stepsize=1\.01 is above the largest"):
        theorem.bound(3, 1.01)
    trial = Trial(theorem, 1.5, theorem.objective, "refuted", np.full(2, 9.0))
    assert decide_rate_exactly(trial, exact_recursion(trial), 10).verdict == "refuted"
