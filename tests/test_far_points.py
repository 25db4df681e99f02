"""Points far out: exact within a stated reach, labelled estimates beyond, and a word about replicas that diverge."""

import math

import numpy as np
import pytest

import mastsim as ms
from mastsim.expected.base import MOST_WORK, OutOfReachError
from mastsim.measuring import SKETCHES, Estimates, Reaching
from mastsim.recording import largest_safe_step
from mastsim.theorems import NonconvexDSGD, StronglyConvexDSGD
from mastsim.verification.sampled_rates import decide_run
from mastsim.verification.trial import Trial

pytestmark = pytest.mark.slow

D = 16
RNG = np.random.default_rng(3)
A, SIGNS = RNG.standard_normal((6, D)), np.array([1.0, -1.0, 1.0, -1.0, 1.0, 1.0])
f = ms.LogisticRegression(A, SIGNS, l2=0.1)
F = ms.Mast(f, ms.Bernoulli(D, 0.5), shift=np.linspace(-1, 1, D))
FAR = 3e6 * RNG.standard_normal(D)
NEAR = RNG.standard_normal(D)


def enumerated(F, x):
    """Return the mean and the spread of f and ∇f over all 2^16 values of the sketch."""
    batch, weights = F.sketch.support()
    points = F.center + batch.apply(x - F.center)
    values, slopes = F.problem.value(points), batch.apply_transpose(F.problem.gradient(points))
    mean, gradient = weights @ values, weights @ slopes
    spread = weights @ ((slopes - gradient) ** 2).sum(axis=1)
    return mean, gradient, math.sqrt(weights @ (values - mean) ** 2), math.sqrt(spread)


def test_an_estimate_is_within_its_standard_error_of_the_truth():
    """Six standard errors: a failure has a chance below 1e-8 by the central limit theorem."""
    mean, gradient, spread, steep = enumerated(F, FAR)
    found = Estimates(F).at(FAR)
    assert abs(found.value - mean) <= 6 * spread / SKETCHES**0.5
    assert np.linalg.norm(found.gradient - gradient) <= 6 * steep / SKETCHES**0.5
    assert found.value_error == pytest.approx(spread / SKETCHES**0.5, rel=0.2)
    assert found.gradient_error == pytest.approx(steep / SKETCHES**0.5, rel=0.2)
    assert found.value != mean


def test_the_errors_of_clients_average_out():
    """Of four equal clients the standard error is half, not the same and not a quarter."""
    clients = ms.Distributed([f] * 4, [F.sketch] * 4, shift=F.center)
    one, four = Estimates(F).at(FAR), Estimates(clients).at(FAR)
    assert four.value_error == pytest.approx(one.value_error / 2, rel=0.1)
    assert four.gradient_error == pytest.approx(one.gradient_error / 2, rel=0.1)
    mean, _, spread, _ = enumerated(F, FAR)
    assert abs(four.value - mean) <= 6 * spread / (4 * SKETCHES) ** 0.5


def test_each_point_is_measured_by_itself():
    reaching = Reaching(F, Estimates(F), joint=True)
    x = np.stack([NEAR, FAR, -NEAR, 2 * FAR])
    values, errors = reaching.measured(x, "value")
    assert F.is_far(x).tolist() == [False, True, False, True]
    assert (errors > 0).tolist() == [False, True, False, True]
    assert values[[0, 2]].tolist() == F.value(x[[0, 2]]).tolist()
    for i in range(4):
        alone = Reaching(F, Estimates(F)).measured(x[i : i + 1], "value")
        assert (alone[0][0], alone[1][0]) == (values[i], errors[i])
    gradients, errors = reaching.measured(x, "gradient")
    assert np.array_equal(gradients[[0, 2]], F.gradient(x[[0, 2]]))
    assert reaching.estimated == 2


@pytest.mark.parametrize("threads", [1, 2])
def test_one_replica_far_out_stops_no_other(threads):
    x0 = np.repeat(NEAR[None], 8, axis=0)
    x0[5] = FAR
    settings = {"steps": 6, "seed": 1, "every": 2, "threads": threads, "chunk": 3}
    mixed = ms.simulate(ms.DSGD(1e-3), F, replicas=8, x0=x0, **settings)
    alone = ms.simulate(ms.DSGD(1e-3), F, replicas=8, x0=NEAR, **settings)
    others = [i for i in range(8) if i != 5]
    for name, table in mixed.traces.items():
        assert np.array_equal(table[others], alone.traces[name][others]), name
        assert np.isfinite(table).all()
    assert set(mixed.errors) == {"gap", "gradient_norm"}
    for table in mixed.errors.values():
        assert (table[5] > 0).all()
        assert (table[others] == 0).all()
    assert mixed.final()["gap"]["estimated"] == 1
    assert "estimated" not in mixed.final()["distance"]
    assert alone.errors == {}


@pytest.mark.parametrize("method", [ms.GD(1e-3), ms.PAGE(1e-3, probability=0.5), ms.LSVRDSG(1e-3, probability=0.5)])
def test_methods_that_step_along_the_gradient_go_on_beyond_the_reach(method):
    run = ms.simulate(method, F, steps=8, replicas=2, x0=np.stack([NEAR, FAR]), every=4)
    assert run.estimated_steps > 0
    assert np.isfinite(run.x).all()
    assert ms.simulate(method, F, steps=8, replicas=2, x0=NEAR).estimated_steps == 0
    longer = ms.simulate(method, F, steps=12, replicas=2, every=4, resume=run)
    whole = ms.simulate(method, F, steps=12, replicas=2, every=4, x0=np.stack([NEAR, FAR]))
    assert np.array_equal(longer.x, whole.x)
    assert {name: table.tolist() for name, table in longer.errors.items()} == {
        name: table.tolist() for name, table in whole.errors.items()
    }


def test_work_is_limited_in_sum_not_only_a_row(monkeypatch):
    """Of rows that are each accepted, too many are refused, before any sum is built."""
    row = ms.LogisticRegression(np.ones((1, 20)), np.ones(1), l2=0.1)
    x = np.full(20, 2e4)
    one = ms.Mast(row, ms.Bernoulli(20, 0.5))
    assert math.isfinite(float(one.value(x)))
    work = one.expectation._work(x)
    count = 2 * math.ceil(MOST_WORK / work)
    many = ms.Mast(ms.LogisticRegression(np.ones((count, 20)), np.ones(count), l2=0.1), ms.Bernoulli(20, 0.5))
    monkeypatch.setattr(type(row.loss), "exponential_sum", _only_near(type(row.loss).exponential_sum))
    with pytest.raises(OutOfReachError, match="too far out for an exact value"):
        many.value(x)
    assert many.is_far(x)


def _only_near(real):
    def exponential_sum(self, reach):
        assert reach <= 1025.0, "a long sum was built for nothing"
        return real(self, reach)

    return exponential_sum


@pytest.mark.parametrize(
    "loss", [ms.LogisticRegression, ms.SigmoidClassification, ms.WelschRegression, ms.HuberRegression, ms.PoissonRegression]
)
@pytest.mark.parametrize(
    "sketch", [ms.Bernoulli(D, 0.5), ms.RandK(D, k=5), ms.Gaussian(D, 6), ms.Haar(D, 6), ms.NofM(D, 2, 4)]
)
@pytest.mark.parametrize("size", [1e3, 1e12, 1e100, 1e250, 1e300])
def test_every_size_has_an_answer(loss, sketch, size):
    """A number, an estimate, or infinity where floating point ends: never NaN, an error or a long wait."""
    F = ms.Mast(loss(A[:2], np.ones(2) if loss is ms.PoissonRegression else SIGNS[:2], l2=0.1), sketch)
    x0 = size * np.stack([np.ones(D), -np.ones(D), np.linspace(-1, 1, D)])
    run = ms.simulate(ms.DSGD(1e-9), F, steps=1, replicas=3, x0=x0, measures=("gap", "gradient_norm"))
    for table in run.traces.values():
        assert not np.isnan(table).any()


def test_divergence_is_told_with_step_and_safe_step():
    run = ms.simulate(ms.DSGD(50.0), F, steps=60, replicas=3, every=1, seed=2, measures=("distance",))
    told = run.divergence
    theorem = StronglyConvexDSGD(F)
    assert (told.replicas, told.safe_step, told.source) == (3, theorem.limit, theorem.title)
    away = F.minimize().x - F.center
    grown = run.distance > 1e6 * np.maximum(run.distance[:, :1], away @ away)
    assert told.step == run.recorded[np.flatnonzero(grown.any(axis=0))[0]]
    assert 0 < told.seconds <= run.seconds
    assert "the largest safe step is" in str(told)


@pytest.mark.parametrize("gamma", [1.0, 0.5])
def test_a_safe_step_diverges_nowhere(gamma):
    theorem = StronglyConvexDSGD(F)
    for x0 in (NEAR, F.minimize().x, F.center, FAR):
        assert ms.simulate(ms.DSGD(gamma * theorem.limit), F, steps=20, replicas=4, x0=x0).divergence is None


def test_quadratics_diverge_too_and_overflow_is_told_at_once():
    Q = ms.Mast(ms.Quadratic(np.diag([1.0, 4.0]), np.ones(2)), ms.RandK(2, k=1))
    run = ms.simulate(ms.DSGD(1e3), Q, steps=300, replicas=2, every=1, measures=("f",))
    first = int(np.flatnonzero(np.isinf(run.f).any(axis=0))[0])
    assert (run.divergence.step, run.divergence.replicas) == (first, 2)
    assert run.divergence.safe_step == StronglyConvexDSGD(Q).limit
    assert largest_safe_step(Q, ms.GD(1.0), 10)[0] == pytest.approx(1 / 8)
    assert ms.simulate(ms.DSGD(1e3), Q, steps=300, measures=()).divergence.step == 300


def test_a_run_with_estimates_is_not_judged():
    run = ms.simulate(ms.DSGD(StronglyConvexDSGD(F).limit), F, steps=4, replicas=4, x0=FAR, every=1)
    assert not run.is_exact("gap")
    assert run.is_exact("distance")
    assert ms.verify(StronglyConvexDSGD(F), run).verdict != "refuted"
    with pytest.raises(ValueError, match=r"run measured '(gap|gradient_norm)' at points too far out for exact values"):
        decide_run(Trial(NonconvexDSGD(F, horizon=4), run.stepsize, F), run, 1e-6)
