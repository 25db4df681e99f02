"""Polyak steps: the rule by hand, one step of both theorems over every sketch, refusals, and what is false about them."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import mastsim as ms
from mastsim import theorems
from mastsim.advice import covering, guarantee_of
from mastsim.moments import contraction, propagate
from mastsim.theorems import AssumptionError, ConvexPolyakStep, StronglyConvexPolyakStep
from mastsim.verification import verify
from mastsim.verification.false_polyak_steps import agreeing_masks, false_polyak_steps
from mastsim.verification.outcome_tree import decide_rate_on_tree
from mastsim.verification.trial import Trial, exact_recursion
from tests.oracles.listed_laws import law


def objective(seed, dim=2, count=3):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((dim, dim)) * 10.0 ** rng.uniform(-1, 1, dim)
    values = rng.standard_normal((count, dim, dim)) * rng.choice([0.3, 1.0, 3.0])
    f = ms.Quadratic(A.T @ A + 0.01 * np.eye(dim), rng.standard_normal(dim))
    return ms.Mast(f, ms.FiniteSupport(values + np.eye(dim) - values.mean(axis=0)), shift=rng.standard_normal(dim))


def infimum_on_range(F, S):
    """Return inf of f over v + range(S), by least squares."""
    A, b, v = F.problem.A, F.problem.b, F.center
    z = np.linalg.lstsq(S.T @ A @ S, S.T @ (b - A @ v), rcond=1e-12)[0]
    return float(F.problem.value(v + S @ z))


@pytest.mark.parametrize("lower", [None, -30.0, "sketch infimum"])
@pytest.mark.parametrize("sketch", [ms.RandK(3, k=2), ms.Bernoulli(3, [0.9, 0.3, 0.5]), ms.Identity(3)], ids=str)
def test_a_step_is_the_formula_for_every_sketch(sketch, lower):
    rng = np.random.default_rng(0)
    A = rng.standard_normal((3, 3))
    f = ms.Quadratic(A.T @ A + 0.1 * np.eye(3), rng.standard_normal(3))
    F, cap, c = ms.Mast(f, sketch, shift=rng.standard_normal(3)), 0.4, 0.7
    x0 = rng.standard_normal(3)
    run = ms.simulate(ms.DSGD(ms.PolyakStep(cap, c, lower)), F, steps=1, replicas=200, seed=3, x0=x0)
    ends, seen = [], 0
    for S in law(sketch)[0]:
        point = F.center + S @ (x0 - F.center)
        g = S.T @ (f.A @ point - f.b)
        known = f.minimize().value if lower is None else lower if lower == -30.0 else infimum_on_range(F, S)
        size = min((float(f.value(point)) - known) / (c * g @ g), cap) if g @ g > 0 else cap
        seen += size < cap
        ends.append(x0 - size * g)
    apart = np.linalg.norm(run.x[:, None] - np.array(ends), axis=2).min(axis=1)
    assert apart.max() <= 1e-9
    assert seen or lower == -30.0


def test_sizes_never_leave_the_range_of_floats():
    rule = ms.PolyakStep(2.0, 0.5)
    sizes = rule.sizes(np.array([1e300, 1.0, 1.0, -1e-20]), np.array([1e-300, 0.0, 4.0, 1.0]), 0.0)
    np.testing.assert_array_equal(sizes, [2.0, 2.0, 0.5, 0.0])


# Both theorems: one step, exactly over sketches, of functions whose curvature changes -----------------------------------


class Bent:
    """f(x) = Σ h_i(u_i), u = Bx, h'' between two positive numbers that change at 0: convex, least at m."""

    def __init__(self, rng):
        self.B, self.m = rng.standard_normal((2, 2)), rng.standard_normal(2) * rng.choice([0.0, 1.0])
        self.low, self.high = np.sort(10.0 ** rng.uniform(-2, 1, (2, 2)), axis=0)
        self.width = 10.0 ** rng.uniform(-2, 1)

    def gradient(self, x):
        u = (x - self.m) @ self.B.T
        bent = np.clip(u, -self.width, self.width)
        return (self.low * u + (self.high - self.low) * bent) @ self.B

    def value(self, x):
        u = (x - self.m) @ self.B.T
        inside = np.minimum(np.abs(u), self.width)
        huber = inside**2 / 2 + self.width * (np.abs(u) - inside)
        return (self.low * u**2 / 2 + (self.high - self.low) * huber).sum(axis=-1)

    def curvature(self, sizes):
        return self.B.T @ np.diag(sizes) @ self.B

    def hessian(self, x):
        u = (x - self.m) @ self.B.T
        return self.curvature(np.where(np.abs(u) < self.width, self.high, self.low))


def minimiser(gradient, hessian, upper):
    """Return a zero of a monotone piecewise linear gradient: Newton's step where that helps, else one by the upper bound."""
    x = np.zeros(2)
    for _ in range(100):
        newton, safe = (x - np.linalg.solve(H, gradient(x)) for H in (hessian(x), upper))
        x = newton if np.linalg.norm(gradient(newton)) < 0.5 * np.linalg.norm(gradient(x)) else safe
    return x


@given(st.integers(0, 10**6), st.floats(0.5, 3), st.floats(-1.5, 2), st.booleans())
def test_one_step_from_every_state_of_bent_functions(seed, c, log_cap, aligned):
    rng = np.random.default_rng(seed)
    f = Bent(rng)
    values = rng.standard_normal((3, 2, 2)) * rng.choice([0.3, 1.0])
    values = values + np.eye(2) - values.mean(axis=0)
    if aligned:
        values = np.array([np.diag([2.0, 0.0]), np.diag([0.0, 2.0])])
    v = f.m if aligned and seed % 2 else rng.standard_normal(2)
    upper, lower = f.curvature(f.high), f.curvature(f.low)
    L = max(np.linalg.eigvalsh(S.T @ upper @ S)[-1] for S in values)
    H = np.mean([S.T @ upper @ S for S in values], axis=0)
    mu = np.linalg.eigvalsh(np.mean([S.T @ lower @ S for S in values], axis=0))[0]
    slope = lambda x: np.mean([S.T @ f.gradient(v + S @ (x - v)) for S in values], axis=0)  # noqa: E731
    bend = lambda x: np.mean([S.T @ f.hessian(v + S @ (x - v)) @ S for S in values], axis=0)  # noqa: E731
    best = minimiser(slope, bend, H)
    assume(np.linalg.norm(slope(best)) <= 1e-10 * (1 + L))
    cap, f_inf = 10.0**log_cap / L, 0.0
    q, alpha = 2 - 1 / c, min(1 / (2 * c * L), cap)
    rho, gap = alpha * mu * (1 + q / 2), np.mean([f.value(v + S @ (best - v)) for S in values]) - f_inf
    for x in best + rng.standard_normal((8, 2)) * 10.0 ** rng.uniform(-2, 2, (8, 1)):
        after, excess = 0.0, 0.0
        for S in values:
            point = v + S @ (x - v)
            g, A = S.T @ f.gradient(point), f.value(point) - f_inf
            size = min(A / (c * g @ g), cap) if g @ g > 0 else cap
            after += np.sum((x - size * g - best) ** 2) / len(values)
            excess += f.value(point) / len(values)
        before = np.sum((x - best) ** 2)
        slack = 1e-9 * (before + (2 * cap - q * alpha) * gap)
        assert after <= (1 - rho) * before + (2 * cap - q * alpha) * gap + slack
        assert after <= before - q * alpha * (excess - f_inf - gap) + (2 * cap - q * alpha) * gap + slack


def test_constants_by_hand():
    F = ms.Mast(ms.Quadratic(np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([3.0, 0.0])), ms.RandK(2, k=1))
    gap = float(ms.Constants(F).gap)
    convex, strong = ConvexPolyakStep(F), StronglyConvexPolyakStep(F, c=0.75)
    assert (convex.L, strong.mu) == (12.0, 2.0)
    assert (convex.stepsize, convex.q) == (1 / 12, 1.0)
    assert float(convex.bound(10, 0.5, initial=3.0)) == pytest.approx(3 * 24 / 10 + (2 * 0.5 * 24 - 1) * gap)
    alpha, q = 1 / 18, 2 - 1 / 0.75
    assert strong.contraction(0.5) == pytest.approx(alpha * 2 * (1 + q / 2))
    assert strong.neighbourhood(0.5) == pytest.approx((1 - q * alpha) * gap / (alpha * 2 * (1 + q / 2)))
    assert strong.contraction(0.01) == pytest.approx(0.01 * 2 * (1 + q / 2))
    assert StronglyConvexPolyakStep(F, c=0.5).contraction(1.0) == pytest.approx(2 / 12)
    listed = StronglyConvexPolyakStep(F, lower="sketch infimum")
    assert listed.gap == pytest.approx(F.minimize().value - np.mean([infimum_on_range(F, S) for S in law(F.sketch)[0]]))
    assert StronglyConvexPolyakStep(F, lower=-7.0).gap == pytest.approx(F.minimize().value + 7)
    assert convex.limit == math.inf


def test_a_neighbourhood_that_does_not_vanish_is_said_to_be_out_of_reach():
    theorem = ConvexPolyakStep(agreeing_masks())
    assert theorem.noise(theorem.stepsize * 1e-6) == pytest.approx(theorem.gap)
    assert theorem.steps_to_accuracy(theorem.gap) == math.inf
    assert theorem.stepsize_to_accuracy(theorem.gap) == 0
    steps = theorem.steps_to_accuracy(2 * theorem.gap, initial=5.0)
    assert float(theorem.bound(steps, theorem.stepsize_to_accuracy(2 * theorem.gap), 5.0)) <= 2 * theorem.gap * (1 + 1e-12)
    assert guarantee_of(theorem, accuracy=theorem.gap).steps_to_accuracy == math.inf
    assert {"polyak-step-convex", "polyak-step-strongly-convex"} <= {
        each.theorem for each in ms.guarantees(agreeing_masks()) if each.applies
    }


def test_what_is_refused_says_why():
    F, noisy = objective(1), ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.Haar(2, 1))
    for kind, arguments, why in (
        (ConvexPolyakStep, {"c": 0.5}, r"c=0.5.*must be above 0.5"),
        (StronglyConvexPolyakStep, {"c": 0.49}, r"c=0.49.*must be at least 0.5"),
        (StronglyConvexPolyakStep, {"lower": 1e3}, r"lower=1000: it is above f\^inf"),
    ):
        with pytest.raises(AssumptionError, match=why):
            kind(F, **arguments)
    with pytest.raises(AssumptionError, match="the sketch is not enumerated; use lower=None"):
        ConvexPolyakStep(noisy, lower="sketch infimum")
    with pytest.raises(ValueError, match="the sketch is not enumerated"):
        ms.simulate(ms.DSGD(ms.PolyakStep(1.0, lower="sketch infimum")), noisy, steps=1)
    rule = ms.PolyakStep(1.0)
    for build in (ms.GD, ms.SGD, ms.LSVRDSG, ms.PAGE, ms.DistributedDSGD, ms.GDCI):
        with pytest.raises(ValueError, match="may not depend on the iterate; use DSGD, or a number"):
            build(rule)
    for settings in (
        {"sampling": ms.Nice(1)},
        {"compression": ms.NaturalCompressor()},
        {"shift": ms.Held(2)},
        {"order": ms.Reshuffled()},
    ):
        with pytest.raises(ValueError, match="takes the value and the whole gradient of f_S"):
            ms.DSGD(rule, **settings)
    for exact in (lambda: propagate(F, ms.DSGD(rule), np.zeros(2), 1), lambda: contraction(F, ms.DSGD(rule))):
        with pytest.raises(ValueError, match="depend on the iterate, so that its steps are not affine"):
            exact()
    with pytest.raises(ValueError, match="depends on the iterate, not on its number"):
        rule.at(0)
    with pytest.raises(ValueError, match="engine='kernel' is not accepted: the step sizes of DSGD depend"):
        ms.simulate(ms.DSGD(rule), ms.Mast(noisy.problem, ms.RandK(2, k=1)), steps=1, engine="kernel")


def test_polyak_steps_are_no_ones_default():
    assert covering(objective(2), ms.DSGD(1.0), 10, sharp=False).id == "theorem2"


@pytest.mark.parametrize(("c", "lower"), list(itertools.product((0.5, 1.0, 2.0), (None, "sketch infimum"))))
def test_rates_hold_on_trees_and_replicas(c, lower):
    F = ms.Mast(
        ms.LogisticRegression(np.array([[2.0, 1.0], [-1.0, 3.0], [0.5, -2.0]]), np.array([1.0, -1.0, 1.0]), l2=0.05),
        ms.RandK(2, k=1),
        shift=np.array([0.7, -0.4]),
    )
    theorem = StronglyConvexPolyakStep(F, c=c, lower=lower, sharp=True)
    trial = Trial.of(theorem)
    assert exact_recursion(trial) is None
    verdict = decide_rate_on_tree(trial, 5)
    assert verdict.verdict == "holds"
    assert verdict.max_ratio > 0.3
    # Wrong with a chance of at most 1e-6.
    told = {"steps": 20, "replicas": 500, "every": 5, "x0": np.array([20.0, 20.0]), "measures": ("distance",)}
    run = ms.simulate(theorem.method_at(theorem.stepsize), F, **told)
    assert verify(theorem, run).verdict != "refuted"


@pytest.mark.parametrize("trial", false_polyak_steps(), ids=lambda trial: trial.theorem.id)
def test_the_false_variants_are_refuted_where_the_true_one_holds(trial):
    assert decide_rate_on_tree(trial, 4).verdict == "refuted"
    true = theorems.StronglyConvexPolyakStep(trial.objective, sharp=trial.theorem.sharp)
    assert decide_rate_on_tree(Trial(true, trial.stepsize, trial.objective, start=trial.start), 4).verdict == "holds"
