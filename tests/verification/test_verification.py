"""Verdicts: true claims hold, false ones are refuted, errors are budgeted, and the words say no more than was done."""

import dataclasses
import json
import math
from dataclasses import dataclass

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import assume, given
from hypothesis import strategies as st

import mastsim as ms
from mastsim import sketches, theorems, verification
from mastsim.cli import main
from mastsim.moments.base import Expectations
from mastsim.problems import Dataset
from mastsim.simulation import simulate
from mastsim.theorems import (
    AssumptionError,
    Inequality,
    Lemma1,
    Lemma3,
    NonconvexDistributedQuoted,
    Rate,
    StronglyConvexDSGD,
    Theorem,
)
from mastsim.theorems.assumptions import DISTRIBUTED, EXACT
from mastsim.theorems.base import Sides
from mastsim.theorems.theorem6_witness import WITNESSES
from mastsim.verification import FAMILY_ALPHA, QUICK, Effort, Verdict, as_expected, run_suite, sampled_rates, suite, verify
from mastsim.verification.exact_rates import decide_rate_exactly
from mastsim.verification.inequalities import decide_inequality, probe, ratio
from mastsim.verification.instances import degenerate_quadratics, distributed, one_dimension, small_quadratics, two_signs
from mastsim.verification.negative_controls import false_inequalities, false_rates
from mastsim.verification.outcome_tree import decide_rate_on_tree, tree_depth
from mastsim.verification.sampled_rates import decide_by_simulation, decide_run, judge_run
from mastsim.verification.trial import Trial, exact_recursion
from tests.oracles.sketched_quadratics import quadratics, tree

pytestmark = pytest.mark.slow

SMALL = Effort(points=4, steps=12, depth=3, sampled_steps=8)


TINY = "synthetic:n=40,d=6,condition=10"


@pytest.fixture(scope="module")
def data():
    return ms.load(TINY)


@pytest.fixture(scope="module")
def printed_trial():
    """Return the document that `mastsim verify --quick` prints about the whole trial, and the verdicts it is made from."""
    kept = []

    def keeping(*arguments, **options):
        kept.append(run_suite(*arguments, **options))
        return kept[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verification, "run_suite", keeping)
        found = CliRunner().invoke(main, ["verify", "--data", TINY, "--quick", "--workers", "1", "--json", "-"])
    assert found.exit_code == 0, found.output + str(found.exception)
    (verdicts,) = kept
    return json.loads(found.stdout, parse_constant=lambda name: pytest.fail(name)), verdicts


@pytest.fixture(scope="module")
def trial_of_all(printed_trial):
    return printed_trial[1]


def correlated(shift=None):
    f = ms.Quadratic(np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([3.0, 3.0]))
    return ms.Mast(f, ms.RandK(2, k=1), shift=shift)


def logistic(sketch=None):
    A = np.random.default_rng(3).standard_normal((12, 4))
    return ms.Mast(ms.LogisticRegression(A, np.repeat([1.0, -1.0], 6), l2=0.2), sketch or ms.RandK(4, k=2))


# --- ratios and outcomes --------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Stub(Inequality):
    """Parts whose sides are given."""

    given: tuple = ()
    scale: float = 1.0
    id, title, source, statement, assumptions, constants_used = "stub", "Stub", "none", "", (), ()
    status = "holds"

    @property
    def parts(self):
        return tuple(f"part {i}" for i in range(len(self.given)))

    def sides(self, part, x, y, batch):
        left, right = self.given[int(part[-1])]
        return Sides(np.full(len(x), left), np.full(len(x), right), self.scale)

    def spectral_sides(self, part):
        left, right = self.given[int(part[-1])]
        return Sides(left, right, self.scale) if isinstance(left, float) else None


@pytest.mark.parametrize(
    ("given", "verdict", "tier", "ratio", "witness"),
    [
        (((1.0, 2.0), (3.0, 4.0)), "holds", "exact", 0.75, "part 1"),
        (((1.0, 2.0), (3, 4)), "holds", "exact at points", 0.75, "part 1, probe 0 of seed 5"),
        (((5.0, 2.0), (3, 4)), "refuted", "exact at points", 2.5, "part 0"),
        (((math.nan, 2.0), (3.0, 4.0)), "inconclusive", "exact", math.nan, "part 0"),
        (((math.nan, 2.0), (9.0, 4.0)), "refuted", "exact", 2.25, "part 1"),
    ],
)
def test_parts_are_put_together(given, verdict, tier, ratio, witness):
    found = decide_inequality(Stub(correlated(), given=given), points=6, seed=5)
    assert (found.verdict, found.tier, found.witness) == (verdict, tier, witness)
    assert found.max_ratio == pytest.approx(ratio, nan_ok=True)
    assert found.scope == ("every point" if tier == "exact" else "6 pairs of points")
    assert found.alpha == found.samples == 0


@pytest.mark.parametrize(
    ("left", "right", "scale", "expected"),
    [
        (1.0, 2.0, 1.0, "holds"),
        (2.0, 2.0, 1.0, "holds"),
        (2.0 + 1e-12, 2.0, 10.0, "holds"),
        (2.0 + 1e-8, 2.0, 10.0, "refuted"),
        (2.0 + 1e-8, 2.0, 1e6, "inconclusive (rounding)"),
        (1e-4, 1e-6, 1e9, "inconclusive (rounding)"),
        (0.0, 0.0, 0.0, "holds"),
        (1e-30, 0.0, 0.0, "refuted"),
        (1e-13, 0.0, 1.0, "inconclusive (rounding)"),
        (1e-16, -1e-16, 1.0, "holds"),
        (0.0, -1e-13, 1.0, "holds"),
        (0.0, -1e-11, 1.0, "refuted"),
        (0.0, -1.0, 0.0, "refuted"),
        (math.inf, 1.0, 1.0, "refuted"),
        (1.0, math.inf, 1.0, "holds"),
        (math.nan, 1.0, 1.0, "inconclusive (not a number)"),
        (1.0, math.nan, 1.0, "inconclusive (not a number)"),
    ],
)
def test_outcome_of_two_sides(left, right, scale, expected):
    assert decide_inequality(Stub(correlated(), given=((left, right),), scale=scale)).words == expected
    assert ratio(Sides(np.array([left]), np.array([right]), scale)).shape == (1,)


def test_the_value_of_the_sketch_that_attains_the_ratio_is_named():
    F = ms.Mast(ms.Quadratic(np.diag([1.0, 2.0]), np.zeros(2)), ms.Bernoulli(2, np.array([0.25, 0.5])))

    @dataclass(frozen=True, eq=False)
    class OnlySketched(Lemma1):
        parts = ("f_S is smooth",)

    verdict = verify(OnlySketched(F))
    batch, _ = F.sketch.support()
    value = int(verdict.witness.removeprefix("f_S is smooth, value ").removesuffix(" of S"))
    assert np.asarray(batch.matrices())[value].diagonal().tolist() == [0.0, 2.0]
    assert verdict.max_ratio == pytest.approx(1.0, rel=1e-9)


@pytest.mark.parametrize("points", [0, 3])
def test_too_few_probes_are_refused(points):
    for call in (lambda: decide_inequality(Lemma1(logistic()), points=points), lambda: probe(correlated(), points, 0)):
        with pytest.raises(ValueError, match=f"points={points} is not accepted: it must be an integer >= 4"):
            call()


def test_probes_are_near_and_far_and_repeatable():
    F = correlated(shift=np.array([5.0, -5.0]))
    one, two = probe(F, 24, 3), probe(F, 24, 3)
    assert np.array_equal(one.x, two.x)
    assert np.array_equal(one.y, two.y)
    assert not np.array_equal(one.x, probe(F, 24, 4).x)
    anchors = np.stack([F.center, F.problem.minimize().x, F.minimize().x])
    distance = np.linalg.norm(one.x[:, None] - anchors, axis=2).min(axis=1)
    assert distance.min() < 0.05
    assert distance.max() > 5.0
    assert (np.linalg.norm(one.x - one.y, axis=1) > 0).all()


# --- rates, exactly -------------------------------------------------------------------------------------------------


@given(quadratics(), st.booleans(), st.booleans())
def test_theorem_2_holds_exactly_on_quadratics(case, sharp, interpolating):
    F, _ = case
    if interpolating:
        F = ms.Mast(F.problem, F.sketch, shift=F.problem.minimize().x)
    assume(StronglyConvexDSGD.refuse(F) is None)
    verdict = verify(StronglyConvexDSGD(F, sharp=sharp))
    assert verdict.verdict == "holds", str(verdict)
    assert (verdict.tier, verdict.alpha, verdict.samples) == ("exact", 0.0, 0)


def test_the_curves_are_the_tree_and_the_bound_by_hand():
    t = StronglyConvexDSGD(correlated())
    verdict = verify(t)
    start = {"the flattest direction": 0, "the steepest direction": 1}.get(verdict.witness.split("from ")[1])
    assert verdict.witness == "step 1 from far away"
    assert start is None
    best, spread = np.array([0.75, 0.75]), 1 + math.sqrt(9 / 8)
    y0 = 1e3 * spread * np.ones(2) / math.sqrt(2)
    curve = verdict.curve
    assert curve.band is None
    assert curve.steps.tolist() == list(range(1, 201))
    for i, step in enumerate(range(1, 5)):
        assert curve.measured[i] == pytest.approx(tree(t.objective, 1 / 12, best + y0, step)[0], rel=1e-11)
        assert curve.bound[i] == pytest.approx((5 / 6) ** step * (y0 @ y0) + 0.75, rel=1e-9)
    assert verdict.max_ratio == pytest.approx(max(curve.measured / curve.bound), rel=1e-12)
    assert verdict.scope == ("steps 1..200 from the shift, x_D*, the flattest direction, the steepest direction, far away")


@pytest.mark.parametrize("F", [one_dimension(), one_dimension(1e-3), two_signs()])
def test_theorem_2_is_attained(F):
    verdict = verify(StronglyConvexDSGD(F))
    assert verdict.verdict == "holds"
    assert verdict.max_ratio == pytest.approx(1.0, abs=1e-9)


@dataclass(frozen=True, eq=False)
class Mutated(StronglyConvexDSGD):
    """Theorem 2 with its constants multiplied by given factors."""

    factors: tuple = (1.0, 1.0, 1.0)

    @property
    def L(self):
        return self.factors[0] * super().L

    @property
    def mu(self):
        return self.factors[1] * super().mu

    @property
    def gap(self):
        return self.factors[2] * super().gap


@pytest.mark.parametrize(
    ("F", "factors"),
    [
        (one_dimension(), (0.5, 1.0, 1.0)),
        (one_dimension(), (0.999, 1.0, 1.0)),
        (one_dimension(), (1.0, 1.001, 1.0)),
        (two_signs(), (1.0, 1.0, 0.5)),
        (two_signs(), (1.0, 1.0, 0.999)),
    ],
)
def test_constants_past_their_slack_are_refuted(F, factors):
    true, false = Mutated(F), Mutated(F, factors=factors)
    assert verify(true).verdict == "holds"
    verdict = verify(false)
    assert verdict.verdict == "refuted"
    assert verdict.expected == "holds"
    assert not verdict.as_expected
    assert verdict.max_ratio > 1 + 1e-7


@pytest.mark.parametrize("factors", [(0.5, 1.0, 1.0), (0.25, 1.0, 1.0), (1.0, 4.0, 1.0)])
def test_constants_past_their_slack_are_refuted_by_replicas_too(factors):
    """A wrong verdict would need a bet to lose at odds of 1e9 to 1."""
    verdict = decide_by_simulation(Trial.of(Mutated(one_dimension(), factors=factors)), 16, seed=0, alpha=1e-9)
    assert verdict.verdict == "refuted"
    assert verdict.tier == "Monte Carlo"


def test_a_start_where_every_number_is_zero():
    F = ms.Mast(ms.Quadratic(np.eye(2), np.zeros(2)), ms.RandK(2, k=1))
    t = StronglyConvexDSGD(F)
    run = simulate(ms.DSGD(t.stepsize), F, steps=5, replicas=32)
    assert run.distance.max() == 0
    assert verify(t, run).verdict == "holds"
    assert verify(t).verdict == "holds"


def test_an_overflowing_recursion_is_refuted_not_ignored():
    F = one_dimension(1e-3)
    claim = Mutated(F, factors=(1e-4, 1.0, 1.0))
    verdict = decide_rate_exactly(Trial.of(claim), exact_recursion(Trial.of(claim)), 400)
    assert verdict.verdict == "refuted"
    assert verdict.max_ratio == math.inf


def test_unknown_moments_are_not_a_confirmation(monkeypatch):
    trial = Trial.of(StronglyConvexDSGD(correlated()))
    chain = exact_recursion(trial)
    nothing = np.full((5, 6, 1), np.nan)
    monkeypatch.setattr(type(chain), "follow", lambda *_: Expectations(nothing, lambda: nothing))
    assert decide_rate_exactly(trial, chain, 5).verdict == "inconclusive"


def test_no_recursion_no_exact_verdict():
    assert exact_recursion(Trial.of(StronglyConvexDSGD(logistic()))) is None
    bowl = ms.Quadratic(np.eye(3), np.ones(3))
    product = ms.Mast(bowl, sketches.Composed(sketches.Haar(3, 1), sketches.RandK(3, 2)))
    assert exact_recursion(Trial.of(StronglyConvexDSGD(product))) is None
    assert verify(StronglyConvexDSGD(ms.Mast(bowl, sketches.Haar(3, 1)))).tier == "exact"
    wide = ms.Mast(ms.Quadratic(np.eye(70), np.ones(70)), ms.RandK(70, k=35))
    assert verify(StronglyConvexDSGD(wide)).tier == "exact"
    with pytest.raises(ValueError, match="steps=0 is not accepted"):
        decide_rate_exactly(Trial.of(StronglyConvexDSGD(correlated())), exact_recursion(false_rates()[0]), 0)


# --- rates, from replicas -------------------------------------------------------------------------------------------


def far_run(t, replicas=1024, steps=8, **change):
    settings = {"steps": steps, "replicas": replicas, "seed": 1, "x0": np.full(t.objective.dim, 9.0), "every": 1}
    settings["measures"] = ("distance",)
    return simulate(ms.DSGD(t.stepsize), t.objective, **(settings | change))


@pytest.mark.parametrize("F", [correlated(), logistic(), logistic(ms.Bernoulli(4, 0.6))])
def test_a_valid_run_confirms(F):
    t = StronglyConvexDSGD(F)
    run = far_run(t)
    verdict = verify(t, run, alpha=1e-9)
    assert (verdict.verdict, verdict.tier) == ("holds", "Monte Carlo")
    assert (verdict.alpha, verdict.samples, verdict.expected) == (1e-9, 1024, "holds")
    assert verdict.scope == "step 1, step 3, step 6, step 8 from the start of the run"
    best, start = F.minimize().x, np.full(F.dim, 9.0)
    r0 = (start - best) @ (start - best)
    means = {c: run.distance[:, c].mean() / t.bound(run.recorded[c], initial=r0) for c in (1, 3, 6, 8)}
    assert verdict.max_ratio == pytest.approx(max(means.values()), rel=1e-9)
    worst = max(means, key=means.get)
    assert verdict.witness == f"step {run.recorded[worst]}, mean of 1024 replicas, seed 1"
    assert 1 < verdict.smallest_violation < math.inf
    assert math.isnan(verdict.needed)
    band = verdict.curve.band
    assert (band[0] <= verdict.curve.measured).all()
    assert (band[1] >= verdict.curve.measured).all()
    assert verdict.curve.bound == pytest.approx(t.bound(run.recorded, initial=r0), rel=1e-9)


def test_a_smaller_step_than_the_largest_is_judged_by_its_own_bound():
    t = StronglyConvexDSGD(correlated())
    run = simulate(ms.DSGD(t.stepsize / 2), t.objective, steps=8, replicas=2048, x0=np.full(2, 9.0))
    verdict = verify(t, run)
    assert verdict.verdict == "holds"
    assert f"γ = {t.stepsize / 2:.4g}" in verdict.method
    r0 = 2 * 8.25**2
    assert verdict.curve.bound[3] == pytest.approx(t.bound(run.recorded[3], stepsize=t.stepsize / 2, initial=r0), rel=1e-9)


def test_on_an_attained_bound_replicas_do_not_refute():
    """The ratio is exactly 1, so a refutation has probability 1e-9; nor can it be confirmed before rounding decides."""
    t = StronglyConvexDSGD(one_dimension())
    verdict = verify(t, far_run(t, replicas=4096), alpha=1e-9)
    assert verdict.verdict == "inconclusive"
    assert verdict.needed > 4096


def test_different_starts_are_each_held_to_their_own_bound():
    t = StronglyConvexDSGD(correlated())
    starts = np.linspace(1.0, 1e4, 1024)[:, None] * np.array([1.0, -1.0])
    run = far_run(t, x0=starts, steps=2)
    verdict = verify(t, run)
    assert verdict.verdict == "holds"
    claimed = t.bound(run.recorded[2], initial=run.distance[:, 0])
    assert verdict.max_ratio == pytest.approx(
        max((run.distance[:, c] / t.bound(run.recorded[c], initial=run.distance[:, 0])).mean() for c in (1, 2)), rel=1e-9
    )
    assert claimed.shape == (1024,)


@pytest.mark.parametrize("sketch", [ms.Identity(2), ms.RandK(2, k=1), ms.Bernoulli(2, 0.5)])
def test_linear_convergence_down_to_rounding_is_no_refutation(sketch):
    """Where the gap is 0 the bound falls below what float64 can reach: that is the machine's doing, not the theorem's."""
    f = ms.Quadratic(np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([3.0, 30.0]))
    t = StronglyConvexDSGD(ms.Mast(f, sketch, shift=f.minimize().x))
    verdict = verify(t, far_run(t, replicas=64, steps=3000, every=100), alpha=1e-3)
    assert verdict.verdict != "refuted", str(verdict)
    assert t.bound(3000, initial=100.0) < 1e-25


def test_a_start_at_the_minimiser_with_no_gap():
    f = ms.LeastSquares(np.random.default_rng(0).standard_normal((8, 3)), np.arange(8.0), l2=0.1)
    t = StronglyConvexDSGD(ms.Mast(f, ms.RandK(3, k=1), shift=f.minimize().x))
    run = simulate(ms.DSGD(t.stepsize), t.objective, steps=50, replicas=64)
    assert run.distance.max() < 1e-20
    assert verify(t, run).verdict != "refuted"


def refusals():
    t = StronglyConvexDSGD(correlated())
    sharp = StronglyConvexDSGD(correlated(), sharp=True)
    other = StronglyConvexDSGD(correlated(shift=np.ones(2)))
    run = far_run(t, replicas=2)
    gd = simulate(ms.GD(0.01), t.objective, steps=2)
    return [
        (other, run, ValueError, r"run is of Quadratic \(d = 2\), Rand-1 of 2, v = 0, but the theorem is about"),
        (t, gd, ValueError, "run is of GD, but Theorem 2 .* is about DSGD with the same settings"),
        (
            t,
            far_run(sharp, replicas=2),
            AssumptionError,
            r"run has stepsize=0\.125, above the largest that Theorem 2 .*0\.0833",
        ),
        (t, far_run(t, replicas=2, measures=("f",)), ValueError, "run did not record 'distance'"),
        (t, run.asked_for(9), ValueError, "ended at step 8 of 9, and a part of a run is not judged; resume it"),
        (Lemma1(t.objective), run, ValueError, r"run is not accepted: Lemma 1 \(smoothness\) is about no method"),
    ]


@pytest.mark.parametrize(("theorem", "run", "error", "message"), refusals())
def test_a_run_of_something_else_is_refused(theorem, run, error, message):
    with pytest.raises(error, match=message):
        verify(theorem, run)


def test_the_sharp_theorem_judges_the_larger_step():
    """Here the sharp bound is nearly attained; it is true, so a refutation has probability 1e-9."""
    sharp = StronglyConvexDSGD(correlated(), sharp=True)
    assert verify(sharp).max_ratio > 0.98
    verdict = verify(sharp, far_run(sharp), alpha=1e-9)
    assert verdict.verdict != "refuted"
    assert verdict.method == "DSGD, γ = 0.125"


@pytest.mark.parametrize("alpha", [0.0, -1.0, 1.0, 2.0, math.nan])
@pytest.mark.parametrize("theorem", [Lemma1(correlated()), StronglyConvexDSGD(correlated())])
def test_an_error_probability_outside_its_range_is_refused(theorem, alpha):
    with pytest.raises(ValueError, match=r"alpha=.* is not accepted"):
        verify(theorem, alpha=alpha)


def test_what_is_no_theorem_is_refused():
    with pytest.raises(TypeError, match="must be an Inequality or a Rate"):
        verify(correlated())

    @dataclass(frozen=True, eq=False)
    class Neither(Theorem):
        id, title, source, statement, assumptions, constants_used = "x", "x", "x", "", (), ()

    with pytest.raises(TypeError, match="must be an Inequality or a Rate"):
        verify(Neither(correlated()))


def test_without_a_proven_range_a_confirmation_says_asymptotic(monkeypatch):
    t = StronglyConvexDSGD(correlated())
    run = far_run(t, replicas=4096)
    monkeypatch.setattr(
        StronglyConvexDSGD, "almost_sure_bound", lambda self, steps, gamma, run: np.full(run.replicas, np.inf)
    )
    verdict = verify(t, run)
    assert (verdict.verdict, verdict.tier) == ("holds", "Monte Carlo, asymptotic")
    assert "Monte Carlo, asymptotic, α = 1e-06" in str(verdict)
    assert verify(t, far_run(t, replicas=8)).tier == "Monte Carlo, asymptotic"


def test_with_too_few_replicas_for_a_proof_a_confirmation_says_asymptotic():
    t = StronglyConvexDSGD(correlated())
    start = np.array([9.0, 0.0])
    few = verify(t, far_run(t, replicas=400, steps=20, x0=start))
    assert (few.verdict, few.tier) == ("holds", "Monte Carlo, asymptotic")
    proof = decide_run(Trial.of(t), far_run(t, replicas=400, steps=20, x0=start), 1e-6)
    assert (proof.verdict, proof.tier) == ("inconclusive", "Monte Carlo")


@pytest.mark.parametrize("kind", theorems.ALL, ids=lambda kind: kind.id)
def test_an_estimated_objective_is_refused(kind):
    """What is only estimated can neither confirm nor refute."""
    f, turned = logistic().problem, sketches.Composed(sketches.Haar(4, 2), sketches.RandK(4, 3))
    halves = ms.FiniteSupport(2 * np.array([np.diag([1.0, 0.0] * 2), np.diag([0.0, 1.0] * 2)]), [0.5, 0.5])
    alone = [ms.Mast(f, sketch, evaluate="monte carlo") for sketch in (turned, ms.Identity(4), halves)]
    found = [ms.Distributed([f, f], turned)] if DISTRIBUTED in kind.assumptions else alone
    F = next((each for each in found if kind.refuse(each) is None), found[0])
    assert F.evaluation.tier == "estimate"
    if EXACT in kind.assumptions:
        with pytest.raises(AssumptionError, match=r"exact gradients of f_D fails: f_D is only estimated"):
            kind(F)
        return
    if kind.refuse(F) is not None:
        with pytest.raises(AssumptionError, match=r"quadratic (f|clients) fails"):
            kind(F)
        return
    with pytest.raises(ValueError, match=r"f_D is only estimated for .* neither confirm nor refute"):
        verify(kind(F))


def test_a_false_almost_sure_bound_is_noticed(monkeypatch):
    t = StronglyConvexDSGD(correlated())
    run = far_run(t)
    monkeypatch.setattr(StronglyConvexDSGD, "almost_sure_bound", lambda self, steps, gamma, run: 1e-6 * run.distance[:, 0])
    with pytest.raises(ValueError, match="is not an upper bound"):
        verify(t, run)


@pytest.mark.parametrize("F", [correlated(), two_signs(), logistic()])
def test_no_replica_leaves_the_almost_sure_bound(F):
    t = StronglyConvexDSGD(F)
    run = far_run(t, replicas=256)
    for column, step in enumerate(run.recorded):
        assert (run.distance[:, column] <= t.almost_sure_bound(step, t.stepsize, run) * (1 + 1e-12)).all()


def test_a_diverged_replica_refutes_without_warnings():
    F = one_dimension()
    trial = Trial(Mutated(F, factors=(1e-5, 1.0, 1.0)), 1e5, F, "refuted")
    verdict = decide_by_simulation(trial, 400, seed=0, alpha=1e-6)
    assert verdict.verdict == "refuted"
    assert verdict.max_ratio == math.inf
    assert verdict.curve.band[1][-1] == math.inf
    assert (verdict.curve.band[0] <= verdict.curve.measured).all()
    assert not np.isnan(verdict.curve.band).any()
    json.dumps(verdict.record(), allow_nan=False)


# --- replicas -------------------------------------------------------------------------------------------------------


def verdict_like(verdict, needed=math.nan):
    trial = Trial.of(StronglyConvexDSGD(correlated()))
    return trial.verdict(tier="Monte Carlo", verdict=verdict, max_ratio=1.0, witness="", scope="", needed=needed)


@pytest.mark.parametrize(
    ("answers", "asked"),
    [
        ([("holds", math.nan)], [256]),
        ([("refuted", math.nan)], [256]),
        ([("inconclusive", 257.0), ("holds", math.nan)], [256, 384]),
        ([("inconclusive", 1000.0), ("inconclusive", 8192.0), ("inconclusive", 8193.0)], [256, 1280, 8192]),
        ([("inconclusive", 8193.0)], [256]),
        ([("inconclusive", 300.0), ("inconclusive", math.inf)], [256, 384]),
        ([("inconclusive", 300.0), ("inconclusive", 385.0), ("refuted", math.nan)], [256, 384, 512]),
    ],
)
def test_there_are_more_replicas_only_while_they_would_decide(monkeypatch, answers, asked):
    seen, levels, left = [], [], list(answers)

    def decided(trial, run, alpha, asymptotic=False):
        levels.append((alpha, asymptotic))
        return verdict_like("inconclusive", math.inf) if asymptotic else verdict_like(*left.pop(0))

    monkeypatch.setattr(sampled_rates, "simulated", lambda trial, steps, replicas, seed: seen.append(replicas))
    monkeypatch.setattr(sampled_rates, "decide_run", decided)
    found = decide_by_simulation(Trial.of(StronglyConvexDSGD(correlated())), 5, 0, 1e-6)
    assert seen == asked
    assert not left
    assert found.verdict == answers[-1][0]
    assert found.alpha == 1e-6
    # Each look asks for a proof; what stays open is put to the central limit theorem before and after the last look.
    looks = [[(5e-7, False)] + [(5e-7, True)] * (word == "inconclusive" and most <= 8192) for word, most in answers]
    assert levels == [level for look in looks for level in look] + [(5e-7, True)] * (answers[-1][0] == "inconclusive")


@pytest.mark.parametrize(
    ("proven", "normal", "expected"),
    [
        (("inconclusive", 50.0), ("holds", math.nan), ("holds", math.nan)),
        (("inconclusive", 50.0), ("inconclusive", 40.0), ("inconclusive", 40.0)),
        (("inconclusive", 50.0), ("inconclusive", 60.0), ("inconclusive", 50.0)),
        (("holds", math.nan), None, ("holds", math.nan)),
        (("refuted", math.nan), None, ("refuted", math.nan)),
    ],
)
def test_what_proven_bounds_leave_open_is_settled_asymptotically(monkeypatch, proven, normal, expected):
    spent = []

    def decided(trial, run, alpha, asymptotic=False):
        spent.append(alpha)
        return verdict_like(*(normal if asymptotic else proven))

    monkeypatch.setattr(sampled_rates, "decide_run", decided)
    found = judge_run(Trial.of(StronglyConvexDSGD(correlated())), None, 1e-3)
    assert (found.verdict, found.alpha) == (expected[0], 1e-3)
    assert found.needed == pytest.approx(expected[1], nan_ok=True)
    assert sum(spent) <= 1e-3


def test_more_replicas_extend_fewer():
    """Looking again is free because the first replicas are the same: the test is anytime-valid along them."""
    trial = Trial.of(StronglyConvexDSGD(logistic()))
    few, many = (sampled_rates.simulated(trial, 6, count, seed=3) for count in (4, 16))
    assert np.array_equal(few.distance, many.distance[:4])


# --- verdicts as records --------------------------------------------------------------------------------------------

CONTRACT = {"theorem", "problem", "sketch", "method", "tier", "verdict", "expected", "max_ratio"}


def test_records_are_standard_json(trial_of_all):
    for verdict in trial_of_all:
        record = verdict.record()
        assert record.keys() >= CONTRACT
        assert "curve" not in record
        assert json.loads(json.dumps(record, allow_nan=False)) == record
        assert record["as_expected"] is verdict.as_expected
        assert record["max_ratio"] == (verdict.max_ratio if math.isfinite(verdict.max_ratio) else "inf")


def test_records_of_numbers_json_does_not_know():
    verdict = dataclasses.replace(
        verdict_like("inconclusive"),
        max_ratio=np.float64(np.inf),
        needed=math.inf,
        smallest_violation=np.float32(1.5),
        samples=np.int64(7),
        alpha=math.nan,
    )
    record = json.loads(json.dumps(verdict.record(), allow_nan=False))
    assert (record["max_ratio"], record["needed"], record["alpha"]) == ("inf", "inf", None)
    assert (record["smallest_violation"], record["samples"]) == (1.5, 7)
    assert type(verdict.record()["samples"]) is int


def test_words_of_a_verdict():
    verdict = verify(StronglyConvexDSGD(correlated()))
    for word in ("Theorem 2", "holds", "exact", "step 1 from far away", "steps 1..200", f"{verdict.max_ratio:.6g}"):
        assert word in str(verdict)
    assert "curve" not in repr(verdict)


def test_what_the_registry_expects(monkeypatch):
    t = StronglyConvexDSGD(one_dimension())
    assert verify(t).as_expected
    monkeypatch.setattr(StronglyConvexDSGD, "status", "refuted as quoted")
    monkeypatch.setattr(Lemma1, "status", "refuted as quoted")
    for verdict in (verify(t), verify(t, far_run(t, replicas=8)), verify(Lemma1(one_dimension()))):
        assert verdict.expected == "refuted"
        assert not verdict.as_expected


def test_as_expected_is_all_of_them():
    right = verdict_like("holds")
    wrong, unsure = (dataclasses.replace(right, verdict=v) for v in ("refuted", "inconclusive"))
    assert as_expected([right, right])
    assert as_expected([right, wrong]) is False
    assert as_expected([unsure]) is False


# --- controls and instances -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("claim", false_inequalities(), ids=lambda claim: claim.id)
def test_false_inequalities_are_refuted(claim):
    assert decide_inequality(claim).verdict == "refuted"
    (truth,) = (kind for kind in theorems.ALL if isinstance(claim, kind))
    assert verify(truth(claim.objective)).verdict == "holds"


def decided_exactly(trial, steps):
    """Decide by the recursion, or by the tree of all outcomes where none is known, as without E[S] = I."""
    if (chain := exact_recursion(trial)) is None:
        assert not trial.objective.sketch.unbiased
        return decide_rate_on_tree(trial, tree_depth(trial))
    return decide_rate_exactly(trial, chain, steps)


@pytest.mark.parametrize("trial", false_rates(), ids=lambda trial: trial.theorem.id)
def test_false_rates_are_refuted_exactly_and_by_replicas(trial):
    """By replicas with error probability 1e-9 had the claim been true."""
    exact = decided_exactly(trial, QUICK.steps)
    sampled = decide_by_simulation(trial, QUICK.sampled_steps, 0, 1e-9)
    for verdict in (exact, sampled):
        assert (verdict.verdict, verdict.expected, verdict.as_expected) == ("refuted", "refuted", True)
    truth = StronglyConvexDSGD(trial.theorem.objective)
    assert verify(truth).verdict == "holds"
    if trial.objective.sketch.unbiased:
        assert decide_by_simulation(Trial.of(truth), 16, 0, 1e-9).verdict != "refuted"


def test_what_has_a_control():
    roots = {claim.id.split("/")[0] for claim in false_inequalities()} | {t.theorem.id.split("/")[0] for t in false_rates()}
    assert roots == {"lemma1", "lemma3", "theorem1", "theorem2"}
    published = [case.expected for case in NonconvexDistributedQuoted.own_cases(distributed())]
    assert published.count("refuted") == len(WITNESSES) == 4
    assert "holds" in published


def test_an_almost_sure_bound_about_something_else_is_not_used(monkeypatch):
    """The control without scaling runs another objective than the theorem's: nothing is proven about its range."""
    uppers, decide = [], sampled_rates.decide_mean_at_most
    monkeypatch.setattr(
        sampled_rates, "decide_mean_at_most", lambda *a, upper=None: uppers.append(upper) or decide(*a, upper=upper)
    )
    for trial in (false_rates()[-1], Trial.of(StronglyConvexDSGD(two_signs()))):
        decide_run(trial, sampled_rates.simulated(trial, 4, 16, 0), 1e-6)
    assert [upper is None for upper in uppers] == [True] * 4 + [False] * 4


def test_the_scaling_left_out_is_named():
    trial = false_rates()[-1]
    verdict = decided_exactly(trial, 50)
    assert verdict.sketch == "unscaled Bernoulli(0.25), v = 0"


def test_instances_meet_or_fail_assumption_3_as_they_say():
    assert all(StronglyConvexDSGD.refuse(F) is None for F in small_quadratics())
    assert all("strong convexity" in StronglyConvexDSGD.refuse(F) for F in degenerate_quadratics())
    assert all(Lemma1.refuse(F) is None for F in degenerate_quadratics())


# --- the suite ------------------------------------------------------------------------------------------------------


def test_the_command_line_prints_what_was_decided_and_what_it_ran_on(printed_trial):
    document, verdicts = printed_trial
    assert document["all_as_expected"] is True
    assert document["alpha"] == FAMILY_ALPHA
    assert document["mastsim"] == ms.__version__
    assert document["data"]["sha256"] == ms.load(TINY).sha256
    assert document["results"] == [verdict.record() for verdict in verdicts]
    assert {record["verdict"] for record in document["results"]} == {"holds", "refuted"}
    controls = {record["theorem"] for record in document["results"] if record["expected"] == "refuted"}
    assert {"theorem2/halved-L_S_max", "theorem2/step-x3", "theorem2/no-scaling"} <= controls
    assert sum(record["alpha"] for record in document["results"]) <= FAMILY_ALPHA * (1 + 1e-12)


def test_everything_comes_out_as_expected(trial_of_all):
    assert as_expected(trial_of_all), [str(v) for v in trial_of_all if not v.as_expected]
    assert {v.theorem for v in trial_of_all if v.expected == "holds"} == {kind.id for kind in theorems.ALL}
    assert all(isinstance(v, Verdict) for v in trial_of_all)


def test_order_is_the_registry_with_controls_last(trial_of_all):
    controls = ["/" in v.theorem for v in trial_of_all]
    assert controls == sorted(controls)
    refuted = {v.theorem.split("/")[0] for v in trial_of_all if v.expected == "refuted"}
    paper = {"lemma1", "lemma3", "theorem1", "theorem2", "theorem6-quoted"}
    shifts = {f"sketched-gradient-{which}" for which in ("convex", "distance", "polyak-lojasiewicz")}
    moving = {"moving-shift-quadratic", "moving-shift-held", "reshuffled-strongly-convex"}
    steps = {"polyak-step-strongly-convex", "decreasing-step", "averaged-momentum"}
    assert refuted == paper | shifts | moving | steps | {"subnetworks-descent", "subnetworks-preconditioned"}
    order = [kind.id for kind in theorems.ALL]
    places = [(order.index(v.theorem), v.samples > 0) for v in trial_of_all if "/" not in v.theorem]
    assert places == sorted(places)


def test_both_terms_of_theorem_2_are_tried_where_they_are_attained(trial_of_all):
    tight = {v.sketch for v in trial_of_all if v.theorem == "theorem2" and v.max_ratio > 1 - 1e-9}
    assert tight >= {"Bernoulli(0.25), v = 0", "finite support of 2, v ≠ 0"}


def test_real_data_meets_every_theorem_under_every_default_sketch(trial_of_all):
    for kind in (Lemma1, theorems.Lemma2, Lemma3, theorems.MinimizerSuboptimality, StronglyConvexDSGD):
        mine = {(v.problem.split()[0], v.sketch) for v in trial_of_all if v.theorem == kind.id and "n = 40" in v.problem}
        sketches = ("Rand-1 of 6, v = 0", "Rand-3 of 6, v = 0", "Bernoulli(0.3), v = 0", "Rand-1 of 6, v ≠ 0")
        assert mine == {(problem, sketch) for problem in ("logistic", "squared") for sketch in sketches}


def test_the_error_budget_is_kept(data, monkeypatch):
    """Every test of every checkpoint of every trial, together: 1e-6, however often the replicas were doubled."""
    spent, seen, decide = {}, {}, sampled_rates.decide_mean_at_most
    current = []

    def noting(samples, bound, alpha, upper=None):
        # The same replicas beside a stricter bound only take back what was decided: that is no second chance of an error.
        order = np.argsort(samples[:8], kind="stable").tobytes()
        if seen.get(current[-1]) != order:
            seen[current[-1]] = order
            spent[current[-1]].append(alpha)
        return decide(samples, bound, alpha, upper=upper)

    def naming(trial, run, alpha, asymptotic=False):
        current.append((trial.theorem.id, trial.objective.name, asymptotic))
        spent[current[-1]], seen[current[-1]] = [], None
        return decide_run(trial, run, alpha, asymptotic=asymptotic)

    monkeypatch.setattr(sampled_rates, "decide_mean_at_most", noting)
    monkeypatch.setattr(sampled_rates, "decide_run", naming)
    monkeypatch.setattr(sampled_rates, "_FIRST_REPLICAS", 32)
    verdicts = run_suite(data, only=("theorem2",), effort=SMALL)
    sampled = [v for v in verdicts if v.samples]
    assert len({key[:2] for key in spent}) == len(sampled) >= 6
    total = sum(sum(levels) for levels in spent.values())
    assert FAMILY_ALPHA / 2 * (1 - 1e-12) <= total <= FAMILY_ALPHA * (1 + 1e-12)
    assert sum(v.alpha for v in verdicts) == pytest.approx(FAMILY_ALPHA, rel=1e-12)
    assert len(current) > len(spent)
    assert all(v.tier.startswith("Monte Carlo") == (v.samples > 0) == (v.alpha > 0) for v in verdicts)


def test_the_suite_repeats_itself(data):
    one, two, other = (
        [v.record() for v in run_suite(data, ("randk:0.5",), ("lemma1", "theorem2"), seed=s, effort=SMALL)]
        for s in (2, 2, 3)
    )
    assert one == two
    assert one != other
    drawn = [record for record in other if record["samples"] or record["tier"] == "exact at points"]
    assert {record["theorem"].split("/")[0] for record in drawn} == {"lemma1", "theorem2"}
    assert all(record["witness"].endswith("seed 3") for record in drawn)


def test_filters(data):
    verdicts = run_suite(data, ("identity", "bernoulli:0.5"), ("theorem2", "lemma3"), effort=SMALL)
    assert {v.theorem.split("/")[0] for v in verdicts} == {"lemma3", "theorem2"}
    assert {v.sketch for v in verdicts if "n = 40" in v.problem} == {
        "identity, v = 0",
        "identity, v ≠ 0",
        "Bernoulli(0.5), v = 0",
    }
    assert as_expected(verdicts)


def test_sketches_are_read_in_the_dimension_of_the_data(data, monkeypatch):
    asked, parse = [], suite.parse_sketch
    monkeypatch.setattr(suite, "parse_sketch", lambda text, dim: asked.append(dim) or parse(text, dim))
    run_suite(data, ("identity",), ("lemma2",), effort=SMALL)
    assert asked == [6]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"only": ("theorm2",)}, ValueError, "unknown theorem 'theorm2'; did you mean 'theorem2'"),
        ({"sketches": ("rank:0.1",)}, ValueError, "unknown sketch 'rank'; did you mean 'randk'"),
        ({"sketches": ("randk:2",)}, ValueError, "a keep fraction must lie in"),
        ({"seed": -1}, ValueError, "seed=-1 is not accepted"),
        ({"seed": 1.5}, TypeError, "seed=1.5 is not accepted"),
    ],
)
def test_bad_input_is_refused_by_name(data, change, error, message):
    with pytest.raises(error, match=message):
        run_suite(data, effort=SMALL, **change)


def test_regression_labels_mean_least_squares_only(data):
    labels = data.A[:, 0] + 0.5 if isinstance(data.A, np.ndarray) else np.linspace(-2.0, 3.0, data.n)
    regression = dataclasses.replace(data, y=labels, labels=None)
    assert isinstance(regression, Dataset)
    # One theorem at least for every kind of instance, and for every way of deciding.
    tried = ("lemma1", "theorem2", "theorem3", "theorem4", "page", "distributed-convex", "moving-shift-quadratic")
    verdicts = run_suite(regression, ("randk:0.5",), tried, effort=SMALL)
    assert as_expected(verdicts)
    assert {v.problem.split()[0] for v in verdicts if f"n = {data.n}" in v.problem} == {"squared"}


def test_only_exact_verdicts_spend_nothing(data):
    verdicts = run_suite(data, ("randk:0.5",), ("lemma2", "theorem1"), effort=SMALL)
    assert all(v.alpha == 0 for v in verdicts)
    assert {v.scope for v in verdicts if v.theorem == "theorem1"} == {"the two minimisers"}
    assert {v.scope for v in verdicts if v.tier == "exact at points"} == {"4 pairs of points"}


def test_the_bar_goes_to_stderr_and_only_when_asked_for(data, capsys):
    run_suite(data, ("identity",), ("lemma2",), effort=SMALL, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "verdict" in err
    run_suite(data, ("identity",), ("lemma2",), effort=SMALL)
    assert capsys.readouterr() == ("", "")


def test_a_kind_of_theorem_the_suite_does_not_know_is_refused(data, monkeypatch):
    @dataclass(frozen=True, eq=False)
    class Neither(Theorem):
        id, title, source, statement, assumptions, constants_used = "neither", "x", "x", "", (), ()

    monkeypatch.setattr(theorems, "ALL", (Neither,))
    with pytest.raises(TypeError, match="must be an Inequality or a Rate"):
        run_suite(data, effort=SMALL)


def test_rates_and_lemmas_of_the_registry_are_all_decidable(data):
    for kind in theorems.ALL:
        assert issubclass(kind, (Inequality, Rate))
    assert issubclass(Lemma3, Inequality)


def test_singular_quadratics_are_not_refuted_by_rounding():
    u = np.random.default_rng(0).standard_normal(4)
    f = ms.Quadratic(np.outer(u, u), np.outer(u, u) @ np.arange(4.0))
    F = ms.Mast(f, ms.Identity(4), shift=np.ones(4))
    kinds = (theorems.PolyakLojasiewiczDSGD, theorems.DoubleSketchedPAGE, theorems.NonconvexDSGD)
    for kind in (*kinds, theorems.SampledNonconvexDSGD, theorems.ConvexDSGD):
        for case in kind.cases(F):
            assert ms.verify(case).verdict == "holds", case.id
