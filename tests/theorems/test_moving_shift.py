"""Theorems about shifts that move: constants by hand, one step of every Lyapunov function, losses that are not quadratic."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mastsim as ms
from mastsim import theorems
from mastsim.advice import covering
from mastsim.moments import contraction
from mastsim.simulation import simulate
from mastsim.sketches.laws import Law
from mastsim.theorems import AssumptionError
from mastsim.theorems.full_model_constants import FullModelConstants, transposed_moment
from mastsim.theorems.held_shift import StronglyConvexHeld
from mastsim.verification import verify
from mastsim.verification.exact_rates import decide_rate_exactly
from mastsim.verification.false_shifts import agreeing, false_shifts, rare_and_large, sheared
from mastsim.verification.outcome_tree import decide_rate_on_tree, tree_depth
from mastsim.verification.trial import Trial, exact_recursion
from tests.oracles.listed_laws import law

pytestmark = pytest.mark.slow

K = theorems


def objective(seed, symmetric=False, dim=2):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((dim, dim)) * 10.0 ** rng.uniform(-1, 1, dim)
    f = ms.Quadratic(A.T @ A + 0.01 * np.eye(dim), rng.standard_normal(dim))
    values = rng.standard_normal((3, dim, dim)) * rng.choice([0.3, 1.0, 3.0])
    S = ms.RandK(dim, 1) if symmetric else ms.FiniteSupport(values + np.eye(dim) - values.mean(axis=0))
    return ms.Mast(f, S, shift=rng.standard_normal(dim))


def root_of(A):
    values, vectors = np.linalg.eigh(A)
    return (vectors * np.sqrt(values)) @ vectors.T


# Constants --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("symmetric", [True, False])
@given(seed=st.integers(0, 10**6))
def test_constants_are_those_of_the_enumeration(symmetric, seed):
    F = objective(seed, symmetric)
    values, weights = law(F.sketch)
    A, c = F.problem.A, FullModelConstants(F)
    square = sum(w * S @ S.T for S, w in zip(values, weights, strict=True))
    top = lambda M: np.linalg.eigvalsh(M)[-1]  # noqa: E731
    theta = top(sum(w * S @ A @ S.T for S, w in zip(values, weights, strict=True)))
    H = sum(w * S.T @ A @ S for S, w in zip(values, weights, strict=True))
    assert float(c.step_second_moment) == pytest.approx(top(square), rel=1e-9)
    assert float(c.step_second_moment_least) == pytest.approx(np.linalg.eigvalsh(square)[0], rel=1e-6)
    assert float(c.step_smoothness_sharp) == pytest.approx(theta, rel=1e-9)
    assert float(c.distance_smoothness_sharp) == pytest.approx(top(root_of(A) @ square @ root_of(A)), rel=1e-9)
    assert float(c.shift_condition_sharp) == pytest.approx(np.linalg.eigvals(np.linalg.solve(A, H)).real.max(), rel=1e-6)
    assert c.shift_condition_sharp <= c.shift_condition * (1 + 1e-9)
    assert c.step_smoothness_sharp <= c.step_smoothness * (1 + 1e-9)
    assert c.mu_f_PL == pytest.approx(np.linalg.eigvalsh(A)[0], rel=1e-6)


def test_the_side_of_the_sketch_matters():
    F = sheared()
    assert float(FullModelConstants(F).step_smoothness_sharp) == pytest.approx(10.1)
    assert float(ms.Constants(F).L_fD_sharp) == pytest.approx(2.0)
    np.testing.assert_allclose(transposed_moment(F.sketch, np.eye(2)), [[1.0, 0.0], [0.0, 11.0]], atol=1e-12)


def test_what_is_not_known_is_refused():
    plain = ms.Identity(2)
    unknown = type("Unknown", (ms.Identity,), {"law": property(lambda self: Law(2))})(2)
    assert transposed_moment(plain, np.eye(2)).tolist() == np.eye(2).tolist()
    assert transposed_moment(unknown, np.eye(2)) is None


# One step of every Lyapunov function, for every state -------------------------------------------------------------------


@given(st.integers(0, 10**6), st.floats(0.02, 1), st.sampled_from("ab"), st.floats(0.05, 1), st.booleans())
def test_v_falls_by_as_much_as_is_claimed_from_every_state(seed, p, variant, fraction, symmetric):
    F = objective(seed, symmetric)
    A, R, zero, one = F.problem.A, F.curvature - F.problem.A, np.zeros((2, 2)), np.eye(2)
    theorem = K.StronglyConvexQuadraticShift(F, sharp=True, shift=ms.Refreshed(p, variant=variant))
    gamma = fraction * theorem.stepsize
    # The state is (e, u) with u the shift before the coin in variant b, whose cycle is a coin and then a step.
    V = np.block([[one, zero], [zero, (gamma / p if variant == "a" else gamma * (1 - p) / p) * R]])
    after = np.zeros((4, 4))
    for S, w in zip(*law(F.sketch), strict=True):
        step = np.hstack([one - gamma * S.T @ A @ S, gamma * (S.T @ A @ S - S.T @ A)])
        moved, kept = np.hstack([one, zero]), np.hstack([zero, one])
        for chance, shift in ((p, moved), (1 - p, kept)):
            T = np.vstack([step, shift]) if variant == "a" else np.vstack([step @ np.vstack([moved, shift]), shift])
            after += chance * w * T.T @ V @ T
    assert np.linalg.eigvalsh(after - (1 - theorem.contraction(gamma)) * V)[-1] <= 1e-9 * np.abs(V).max()
    # What the convex theorem says of any step up to 1/L, in its own words.
    gain = 2 * (2 - gamma * theorem.L) * np.block([[A / 2, zero], [zero, zero]])
    apart = np.block([[R, -R], [-R, R]]) * (1 if variant == "a" else 1 - p)
    rest = after - V + gamma * gain + gamma * (1 - gamma * theorem.L) * apart
    assert np.linalg.eigvalsh(rest)[-1] <= 1e-9 * np.abs(V).max()


@given(st.integers(0, 10**6), st.floats(0.02, 1), st.sampled_from("ab"), st.floats(0.05, 1), st.booleans())
def test_the_rate_of_a_refreshed_quadratic_is_within_the_exact_one(seed, p, variant, fraction, symmetric):
    F = objective(seed, symmetric)
    theorem = K.StronglyConvexQuadraticShift(F, sharp=True, shift=ms.Refreshed(p, variant=variant))
    gamma = fraction * theorem.stepsize
    assert contraction(F, theorem.method_at(gamma)).lower <= 1 - theorem.contraction(gamma) + 1e-12


def test_starts_count_the_shift_and_runs_say_so():
    F = objective(3)
    x0 = np.array([1.0, 2.0])
    e, u = x0 - F.problem.minimize().x, F.center - F.problem.minimize().x
    R = F.curvature - F.problem.A
    theorem = K.ConvexQuadraticShift(F, shift=ms.Refreshed(0.2))
    gamma = 0.5 * theorem.stepsize
    run = simulate(theorem.method_at(gamma), F, steps=4, replicas=3, x0=x0, every=1, measures=("error", "f_gap"))
    expected = e @ e + gamma / 0.2 * u @ R @ u
    assert theorem.initial_at(x0, gamma) == pytest.approx(expected)
    np.testing.assert_allclose(theorem.initial_of(run), expected)
    always = K.ConvexQuadraticShift(F, shift=ms.Refreshed(1.0))
    assert always.initial_at(x0, gamma) == pytest.approx(e @ e)
    general = K.StronglyConvexShift(F, shift=ms.Refreshed(0.2))
    gamma = general.stepsize
    apart = x0 - F.center
    assert general.initial_at(x0) == pytest.approx(e @ e + 0.2 / (8 * 0.8 * gamma * general.L) * apart @ apart)
    near = simulate(general.method_at(gamma), F, steps=4, replicas=3, measures=("error",))
    np.testing.assert_allclose(general.initial_of(near), u @ u)
    far = simulate(general.method_at(gamma), F, steps=4, replicas=3, x0=x0, measures=("error",))
    assert (general.initial_of(far) >= general.initial_at(x0) * (1 - 1e-12)).all()


def test_a_users_run_is_judged():
    F = objective(5, symmetric=True)
    theorem = K.ConvexSketchedGradient(F)
    told = {"steps": 60, "replicas": 400, "x0": np.array([3.0, -4.0]), "every": 10}
    method = theorem.method_at(theorem.stepsize)
    assert verify(theorem, simulate(method, F, measures=("error", "f_gap"), **told)).verdict == "holds"
    with pytest.raises(ValueError, match="did not record 'f_gap'"):
        verify(theorem, simulate(method, F, measures=("error",), **told))
    part = K.StronglyConvexQuadraticShift(F, shift=ms.Refreshed(0.5))
    run = simulate(part.method_at(part.stepsize), F, measures=("error",), **told)
    assert verify(part, run).words == "inconclusive (a part)"


# Losses that are not quadratic ------------------------------------------------------------------------------------------


def curved(kind, S):
    A, y = np.array([[2.0, 1.0], [-1.0, 3.0], [0.5, -2.0]]), np.array([1.0, -1.0, 1.0])
    return ms.Mast(kind(A, y, l2=0.05), S, shift=np.array([0.7, -0.4]))


GENERAL = [
    (K.NonconvexSketchedGradient, {}),
    (K.PolyakLojasiewiczSketchedGradient, {}),
    (K.ConvexSketchedGradient, {}),
    (K.StronglyConvexSketchedGradient, {}),
    (K.SketchedGradientDistance, {}),
    (K.SketchedGradientAverage, {}),
    (K.StronglyConvexShift, {"shift": ms.Refreshed(0.3)}),
    (K.StronglyConvexShift, {"shift": ms.Refreshed(1.0)}),
    (K.NonconvexHeldSketch, {"shift": ms.HeldSketch(3)}),
    (K.PolyakLojasiewiczHeldSketch, {"shift": ms.HeldSketch(2)}),
]


@pytest.mark.parametrize("sketch", [ms.RandK(2, k=1), ms.Bernoulli(2, [0.9, 0.3])], ids=str)
@pytest.mark.parametrize(("kind", "chosen"), GENERAL, ids=lambda part: getattr(part, "id", ""))
def test_rates_hold_on_trees(kind, chosen, sketch):
    for loss in (ms.LogisticRegression, ms.SigmoidClassification):
        F = curved(loss, sketch)
        if kind.refuse(F) is not None:
            assert loss is ms.SigmoidClassification
            continue
        trial = Trial.of(kind(F, **chosen))
        assert exact_recursion(trial) is None
        verdict = decide_rate_on_tree(trial, tree_depth(trial, most=5))
        assert verdict.verdict == "holds"
        assert verdict.max_ratio > 0.05


def test_held_sketches_hold_without_convexity_too():
    assert K.NonconvexHeldSketch.refuse(curved(ms.SigmoidClassification, ms.RandK(2, k=1))) is None


@given(st.integers(0, 10**6), st.floats(0.05, 1))
def test_the_general_theorem_from_every_state_of_piecewise_quadratic_losses(seed, p):
    # f(x) = Σ a_i/2·max(x_i, 0)² + b_i/2·min(x_i, 0)²: x* = 0, curvature between min and max of a and b.
    rng = np.random.default_rng(seed)
    a, b = 10.0 ** rng.uniform(-1, 0.5, (2, 2))
    L_f, mu = max(a.max(), b.max()), min(a.min(), b.min())
    values = rng.standard_normal((3, 2, 2)) * rng.choice([0.1, 1.0])
    values = values + np.eye(2) - values.mean(axis=0)
    gradient = lambda x: np.where(x > 0, a, b) * x  # noqa: E731
    L_D = np.linalg.eigvalsh(np.mean(values.transpose(0, 2, 1) @ values, axis=0))[-1]
    L, w, kappa = L_f * max(np.linalg.norm(S, 2) ** 2 for S in values), L_D - 1, L_f / mu
    gamma = min(1 / (4 * L), p / (8 * math.sqrt(max((1 - p) * L * L_f * w * (1.25 + 2 * kappa * w), 1e-300))))
    weight = 0.0 if p == 1 else p / (8 * (1 - p) * gamma * L)
    for x, v in rng.standard_normal((20, 2, 2)) * rng.choice([0.1, 1, 10], (20, 2, 1)):
        v = x if p == 1 else v
        moved = [x - gamma * S.T @ gradient(v + S @ (x - v)) for S in values]
        after = np.mean([y @ y + (1 - p) * weight * np.sum((y - v) ** 2) for y in moved])
        before = x @ x + weight * np.sum((x - v) ** 2)
        assert after <= (1 - min(gamma * mu, p / 4)) * before * (1 + 1e-9)


# What is false ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trial", false_shifts(), ids=lambda trial: f"{trial.theorem.id}, {trial.theorem.settings}")
def test_false_variants_are_refuted_where_true_ones_hold(trial):
    chain = exact_recursion(trial)
    assert decide_rate_exactly(trial, chain, 100).verdict == "refuted"
    true = type(trial.theorem).__mro__[1]
    # What FewSteps changes is the shift; the true theorem has one of its own.
    chosen = {"shift": trial.theorem.shift} if hasattr(trial.theorem, "shift") and true is not StronglyConvexHeld else {}
    assert verify(true(trial.objective, sharp=True, **chosen)).verdict == "holds"


def test_the_numbers_of_the_witnesses():
    one = sheared()
    x = np.array([0.0, 1.0])
    after = [x - 0.5 * S.T @ one.problem.gradient(x) for S in law(one.sketch)[0]]
    assert np.mean(one.problem.value(np.array(after))) / one.problem.value(x) == pytest.approx(1.1525, rel=1e-9)
    F = rare_and_large()

    def factor(p, variant, gamma=0.25):
        return contraction(F, ms.DSGD(gamma, shift=ms.Refreshed(p, variant=variant))).upper

    assert factor(0.2, "b") == pytest.approx(2.44, abs=5e-3)
    assert factor(0.5, "b") == pytest.approx(1.63, abs=5e-3)
    assert factor(1.0, "a") == pytest.approx(3.62, abs=5e-3)
    assert factor(0.776, "b") > 1 > factor(0.778, "b")
    assert all(factor(p, v, 1 / 16) < 1 for p, v in itertools.product((0.01, 0.2, 0.5, 1.0), "ab"))
    half = ms.Mast(ms.Quadratic(np.eye(1), np.zeros(1)), ms.Bernoulli(1, 0.5))
    assert contraction(half, ms.DSGD(0.5, shift=ms.Refreshed(1, variant="a"))).upper == pytest.approx(1.366, abs=5e-4)
    # r_1/r_0 tends to d − 1 as ε does to 0.
    F = agreeing(12, 10**6)
    x, S = np.full(12, 1 / 12), law(F.sketch)[0]
    gamma = 1 / FullModelConstants(F).step_smoothness_sharp
    grown = np.mean([np.sum((x - gamma * s.T @ F.problem.gradient(x)) ** 2) for s in S]) / (x @ x)
    assert grown == pytest.approx(11, rel=1e-3)


def test_the_value_is_needed_more_the_higher_the_dimension():
    # δ_T·γT/r_0 tends to (d − 1)/(4e).
    F = agreeing(12, 3000)
    theorem = K.ConvexSketchedGradient(F, sharp=True)
    found = ms.moments.propagate(F, theorem.method_at(theorem.stepsize), np.full(12, 1 / 12), 3000).f_gap[-1]
    assert found * theorem.stepsize * 3000 * 12 == pytest.approx(1.010, abs=2e-3)


# Settings ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda F: K.ConvexQuadraticShift(F, shift=ms.Refreshed(0)), "must be Refreshed, p > 0, in variant a or b"),
        (lambda F: K.StronglyConvexShift(F, shift=ms.Refreshed(0.5, variant="a")), "p > 0, in variant b"),
        (lambda F: K.StronglyConvexShift(F, shift=ms.Held(3)), "must be Refreshed"),
        (lambda F: K.NonconvexHeldSketch(F, shift=ms.Refreshed(1)), "must be HeldSketch"),
        (lambda F: K.StronglyConvexQuadraticShift(curved(ms.LogisticRegression, F.sketch)), "quadratic f fails"),
    ],
)
def test_other_rules_are_refused(make, message):
    with pytest.raises(AssumptionError, match=message):
        make(objective(0, symmetric=True))


def test_step_sizes_are_found_for_the_rule_that_is_run():
    F = objective(0, symmetric=True)
    assert covering(F, ms.DSGD(1.0), 10, sharp=False).id == "theorem2"
    assert covering(F, ms.DSGD(1.0, shift=ms.Refreshed(0)), 10, sharp=False).id == "theorem2"
    assert covering(F, ms.DSGD(1.0, shift=ms.Refreshed(0.3, variant="a")), 10, sharp=False).id == "moving-shift-quadratic"
    assert covering(F, ms.DSGD(1.0, shift=ms.HeldSketch(7)), 10, sharp=False).shift.tau == 7
    assert covering(F, ms.DSGD(1.0, shift=ms.Refreshed(1)), 10, sharp=False).id.startswith("sketched-gradient")
    assert covering(F, ms.DSGD(1.0, order=ms.Reshuffled()), 10, sharp=False).id == "reshuffled-strongly-convex"
    assert covering(F, ms.DSGD(1.0, order=ms.FreshPartition()), 10, sharp=False) is None
