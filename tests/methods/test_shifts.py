"""Shifts that move, and sketches in order: steps against a loop written out here, and exact moments against replicas."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mastsim as ms
from mastsim.methods import ALL_ORDERS, ALL_SHIFT_RULES, FixedShift, ShiftRule
from mastsim.methods.affine import rules_of
from mastsim.moments import ClosedRecursion, EnumeratedRecursion, contraction, propagate, recursion
from mastsim.simulation import simulate
from tests.oracles.listed_laws import law

RULES = [ms.Refreshed(0.3), ms.Refreshed(0.3, variant="a"), ms.Refreshed(1), ms.Held(2), ms.HeldSketch(3)]
ORDERS = [ms.Reshuffled(), ms.FreshPartition()]
CHANGED = [*({"shift": rule} for rule in RULES), *({"order": order} for order in ORDERS)]


def named(settings):
    return next(iter(settings.values())).name


def objective(seed, dim=2, symmetric=True):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((dim + 1, dim))
    f = ms.Quadratic(A.T @ A, rng.standard_normal(dim))
    values = rng.standard_normal((3, dim, dim))
    oblique = ms.FiniteSupport(values + np.eye(dim) - values.mean(axis=0))
    return ms.Mast(f, ms.RandK(dim, 1) if symmetric else oblique, shift=rng.standard_normal(dim))


# One step, written out ------------------------------------------------------------------------------------------------


def states_after(F, rule, gamma, x, v):
    """Return every (probability, x, v) that a step of a shift rule leads to."""
    f, found = F.problem, []
    values = list(zip(*law(F.sketch), strict=True))

    def move(x, v, S):
        return x - gamma * S.T @ (f.A @ (v + S @ (x - v)) - f.b)

    if isinstance(rule, ms.Refreshed):
        for S, w in values:
            after = move(x, v, S)
            found += [
                (w * rule.probability, after, after if rule.variant == "b" else x),
                (w * (1 - rule.probability), after, v),
            ]
    elif isinstance(rule, ms.HeldSketch):
        for S, w in values:
            y = x
            for _ in range(rule.tau):
                y = move(y, x, S)
            found.append((w, x + S @ (y - x), None))
    else:
        for chosen in itertools.product(values, repeat=rule.tau - 1):
            path = [x]
            for S, _ in chosen:
                path.append(move(path[-1], x, S))
            found.append((np.prod([w for _, w in chosen]), np.mean(path, axis=0), None))
    return found


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_moments_after_two_steps_are_those_of_every_outcome(rule, symmetric):
    F = objective(3, symmetric=symmetric)
    x0, gamma = np.array([1.5, -0.5]), 0.3
    best = F.problem.minimize().x
    first = x0 if rule == ms.Refreshed(1) else F.center
    leaves = [(1.0, x0, first)]
    for step in (1, 2):
        leaves = [(w * p, y, u) for w, x, v in leaves for p, y, u in states_after(F, rule, gamma, x, v)]
        exact = sum(w * np.sum((x - best) ** 2) for w, x, _ in leaves)
        found = propagate(F, ms.DSGD(gamma, shift=rule), x0, 2)
        assert found.error[step] == pytest.approx(exact, rel=1e-12)
        value = sum(w * F.problem.value(x) for w, x, _ in leaves) - F.problem.minimize().value
        assert found.f_gap[step] == pytest.approx(value, rel=1e-12)


def test_an_epoch_visits_every_value_once_in_every_order():
    F = objective(5, symmetric=False)
    f, x0, gamma = F.problem, np.array([1.0, -2.0]), 0.2
    values = law(F.sketch)[0]
    ends = []
    for order in itertools.permutations(values):
        x = x0
        for S in order:
            x = x - gamma * S.T @ (f.A @ (F.center + S @ (x - F.center)) - f.b)
        ends.append(np.sum((x - F.minimize().x) ** 2))
    assert propagate(F, ms.DSGD(gamma, order=ms.Reshuffled()), x0, 1).distance[1] == pytest.approx(np.mean(ends), rel=1e-12)
    assert np.ptp(ends) > 0.01


def test_a_fresh_partition_keeps_every_coordinate_once():
    rng = np.random.default_rng(0)
    f = ms.Quadratic(np.diag([1.0, 2.0, 3.0, 4.0]), np.zeros(4))
    F, x0 = ms.Mast(f, ms.RandK(4, k=2)), rng.standard_normal(4)
    run = simulate(ms.DSGD(0.05, order=ms.FreshPartition()), F, steps=1, replicas=20, x0=x0)
    # A diagonal quadratic shrinks each coordinate when it is kept, which is once.
    np.testing.assert_allclose(run.state["x"], np.tile(x0 * (1 - 0.05 * 4 * np.arange(1, 5)), (20, 1)), rtol=1e-12)


# What the ends of the range are ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["quadratic", "logistic"])
@pytest.mark.parametrize("variant", ["a", "b"])
def test_a_shift_that_is_never_refreshed_is_algorithm_1_bit_for_bit(loss, variant):
    rng = np.random.default_rng(1)
    f = (
        objective(1, 6).problem
        if loss == "quadratic"
        else ms.LogisticRegression(rng.standard_normal((9, 6)), np.ones(9), l2=0.1)
    )
    F = ms.Mast(f, ms.RandK(6, k=2), shift=rng.standard_normal(6))
    told = {"steps": 30, "replicas": 5, "seed": 2, "x0": "normal", "measures": ("f",)}
    plain = simulate(ms.DSGD(0.01), F, **told)
    never = simulate(ms.DSGD(0.01, shift=ms.Refreshed(0, variant=variant)), F, **told)
    np.testing.assert_array_equal(plain.state["x"], never.state["x"])


def test_a_shift_that_is_always_refreshed_is_the_sketched_gradient():
    F = objective(2, symmetric=False)
    f, values, x0 = F.problem, law(F.sketch)[0], np.array([0.3, 1.0])
    second = np.mean([np.sum((x0 - 0.1 * S.T @ (f.A @ x0 - f.b) - f.minimize().x) ** 2) for S in values])
    assert propagate(F, ms.DSGD(0.1, shift=ms.Refreshed(1)), x0, 1).error[1] == pytest.approx(second, rel=1e-12)


def test_variants_differ_by_one_step():
    # With p = 1 variant a uses the iterate of the step before: b after two steps from v0 = x0 is not a.
    F = ms.Mast(objective(4).problem, ms.RandK(2, k=1), shift=np.array([0.5, 1.0]))
    a, b = (propagate(F, ms.DSGD(0.1, shift=ms.Refreshed(1, variant=v)), F.center, 2).error for v in "ab")
    assert a[1] == pytest.approx(b[1], rel=1e-12)
    assert abs(a[2] - b[2]) > 1e-6


# Exact moments, closed and enumerated, and replicas ------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["a", "b"])
@pytest.mark.parametrize("p", [1e-3, 0.4, 1.0])
@pytest.mark.parametrize("sketch", [ms.RandK(3, k=2), ms.Bernoulli(3, [0.9, 0.2, 0.5]), "oblique"], ids=str)
def test_the_closed_recursion_is_the_enumerated_one(sketch, p, variant):
    F = objective(7, 3, symmetric=False)
    F = F if sketch == "oblique" else ms.Mast(F.problem, sketch, shift=F.center)
    method = ms.DSGD(0.5 / (F.problem.L_f * F.sketch.L_max), shift=ms.Refreshed(p, variant=variant))
    forms = [
        {("x", "x"): np.eye(3)},
        {("v", "v"): np.diag([1.0, 2.0, 3.0])},
        {("x", "v"): np.arange(9.0).reshape(3, 3) / 30, ("x", "x"): np.eye(3), ("v", "v"): np.eye(3)},
    ]
    x0 = np.array([1.0, -1.0, 2.0])
    closed, listed = (kind(F, method) for kind in (ClosedRecursion, EnumeratedRecursion))
    one, two = closed.run(x0, 50, forms), listed.run(x0, 50, forms)
    np.testing.assert_allclose(one, two, rtol=1e-10)
    assert (np.abs(one - two) <= closed.follow(x0, 50, forms).rounding + listed.follow(x0, 50, forms).rounding).all()


@given(st.integers(0, 10**6), st.floats(0.01, 1), st.sampled_from("ab"), st.booleans())
def test_the_contraction_of_a_refreshed_shift_is_a_spectral_radius(seed, p, variant, symmetric):
    F = objective(seed, symmetric=symmetric)
    method = ms.DSGD(0.5 / (F.problem.L_f * F.sketch.L_max), shift=ms.Refreshed(p, variant=variant))
    maps, weights = EnumeratedRecursion(F, method).maps
    linear = maps[:, :-1, :-1]
    table = sum(w * np.kron(T, T) for w, T in zip(weights, linear, strict=True))
    radius = np.abs(np.linalg.eigvals(table)).max()
    found = contraction(F, method)
    assert found.lower * (1 - 1e-9) <= radius <= found.upper * (1 + 1e-9)


@pytest.mark.parametrize("settings", CHANGED, ids=named)
def test_replicas_agree_with_exact_moments(settings):
    F = objective(9)
    method = ms.DSGD(0.5 / (F.problem.L_f * F.sketch.L_max), **settings)
    x0, chain = np.array([1.0, -3.0]), recursion(F, method)
    run = simulate(method, F, steps=8, replicas=4000, seed=3, x0=x0, every=1, measures=("error",))
    exact = propagate(F, method, x0, 8).error
    mean, spread = run.traces["error"].mean(axis=0), run.traces["error"].std(axis=0) / 4000**0.5
    # Nine means beyond six standard errors: a chance below 1e-7 by the normal law.
    assert (np.abs(mean - exact) <= 6 * spread + 1e-9 * exact).all()
    assert np.allclose(chain.center, method.target(F))


@pytest.mark.parametrize("settings", CHANGED, ids=named)
def test_a_replica_does_not_depend_on_replicas_chunks_or_threads(settings):
    rng = np.random.default_rng(5)
    F = ms.Mast(ms.LogisticRegression(rng.standard_normal((20, 6)), np.ones(20), l2=0.2), ms.RandK(6, k=3))
    method = ms.DSGD(0.01, ms.Nice(5), **settings)
    fixed = {"steps": 9, "seed": 3, "x0": "normal", "every": 3, "measures": ("f",)}
    few, many = simulate(method, F, replicas=3, **fixed), simulate(method, F, replicas=23, chunk=4, threads=2, **fixed)
    first = simulate(method, F, replicas=3, **fixed | {"steps": 4})
    resumed = simulate(method, F, replicas=3, resume=first, **fixed)
    for name, field in few.state.items():
        np.testing.assert_array_equal(field, many.state[name][:3], err_msg=name)
        np.testing.assert_array_equal(field, resumed.state[name], err_msg=name)


def test_the_noise_of_steps_within_a_cycle_is_independent():
    # x_1 and x_2 of a cycle with d = 1: S is 0 or 2; the four paths must be equally likely, not two of them.
    F = ms.Mast(ms.Quadratic(np.eye(1), np.zeros(1)), ms.Bernoulli(1, 0.5))
    run = simulate(ms.DSGD(0.1, shift=ms.Held(3)), F, steps=1, replicas=2000, seed=0, x0=np.ones(1))
    values, counts = np.unique(np.round(run.state["x"][:, 0], 12), return_counts=True)
    assert len(values) == 4
    # 2000 draws with chance 1/4: a count is off by six standard deviations with a chance below 1e-8.
    assert (np.abs(counts - 500) <= 6 * np.sqrt(2000 * 3 / 16)).all()


# Settings ------------------------------------------------------------------------------------------------------------------


def test_rules_are_read_from_text():
    texts = {"fixed": FixedShift(), "refreshed:0.1": ms.Refreshed(0.1), "refreshed:0.25:a": ms.Refreshed(0.25, variant="a")}
    texts |= {"held:8": ms.Held(8), "held-sketch:4": ms.HeldSketch(4)}
    assert {type(rule) for rule in texts.values()} == set(ALL_SHIFT_RULES)
    known = ms.DSGD.settings()
    for text, rule in texts.items():
        assert known["shift"].build(text, None) == rule
        assert rule.text == text
        assert ms.DSGD.from_settings(0.5, ms.DSGD.spell({"shift": text}), objective(0).problem).shift == rule
    assert ms.DSGD.spell({"shift": "refreshed:0.10:b"}) == (("shift", "refreshed:0.1"),)
    assert {known["order"].build(kind.keyword, None) for kind in ALL_ORDERS} == {kind() for kind in ALL_ORDERS}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ms.Refreshed(1.5), r"probability=1\.5 is not accepted: it must lie in \[0, 1\]"),
        (lambda: ms.Refreshed(0.5, variant="c"), "variant"),
        (lambda: ms.Held(0), "tau=0 is not accepted"),
        (lambda: ms.HeldSketch(2.5), "tau=2.5 is not accepted"),
        (lambda: ms.DSGD(0.1, shift="b"), "shift='b' is not accepted"),
        (lambda: ms.DSGD(0.1, shift=ms.Held(2), order=ms.Reshuffled()), "needs a fixed shift"),
        (lambda: ms.DSGD.spell({"shift": "refreshed"}), "probability"),
        (lambda: ms.DSGD.spell({"shift": "refreshd:1"}), "did you mean 'refreshed'"),
        (lambda: ms.DSGD.spell({"order": "reshuffled:2"}), "takes no argument"),
        (
            lambda: simulate(
                ms.DSGD(0.1, order=ms.Reshuffled()), ms.Mast(objective(0).problem, ms.Bernoulli(2, 0.3)), steps=1
            ),
            "values are all equally likely",
        ),
        (
            lambda: simulate(ms.DSGD(0.1, order=ms.FreshPartition()), objective(0, symmetric=False), steps=1),
            "needs Rand-K of a multiple of K",
        ),
    ],
)
def test_settings_that_fit_nothing_are_refused(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()


class Impatient(FixedShift):
    """A rule of one's own that does not say whether it is affine."""

    def after(self, state, x, draw):
        return super().after(state, np.maximum(x, 0.0), draw)


def test_a_rule_of_ones_own_must_say_that_it_is_affine():
    with pytest.raises(ValueError, match=r"does not say that it is affine.*class Impatient"):
        propagate(objective(0), ms.DSGD(0.1, shift=Impatient()), np.ones(2), 2)
    Claiming = type("Claiming", (Impatient,), {"affine": True, "__module__": "mine"})
    with pytest.raises(ValueError, match="affine map read off"):
        propagate(objective(0), ms.DSGD(0.1, shift=Claiming()), np.ones(2), 2)
    assert all(isinstance(rule, ShiftRule) or rule in [kind() for kind in ALL_ORDERS] for rule in rules_of(ms.DSGD(0.1)))
