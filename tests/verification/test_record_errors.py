"""How accurate the records of a run are counts in its verdict: they refute no true theorem and confirm no false one."""

import dataclasses

import numpy as np
import pytest

import mastsim as ms
from mastsim.theorems import PolyakLojasiewiczDSGD
from mastsim.verification import sampled_rates

pytestmark = pytest.mark.slow

EPS, REPLICAS, STEPS = 1e-4, 60_000, 1


def claims(factor, measured):
    """Return a rate that claims so many times what gradient descent on ½‖x‖² does, squared norms included."""

    scale = 2.0 if measured == "gradient_norm2" else 1.0

    class Claimed(PolyakLojasiewiczDSGD):
        measure, starts_from = measured, "gap"

        @property
        def limit(self):
            return 0.5

        def claim(self, steps, stepsize, initial):
            return factor * scale * initial * (1 - stepsize) ** (2 * np.asarray(steps))

    return Claimed(ms.Mast(ms.Quadratic(np.eye(2), np.zeros(2)), ms.Identity(2)))


def judged(rate, later=0.0, start=0.0, replicas=REPLICAS, **settings):
    """Return the verdict on a run whose records are off by so much, relative to themselves."""
    settings = {"measure_accuracy": EPS, "measures": ("distance", "gap", "gradient_norm")} | settings
    run = ms.simulate(rate.method_at(0.3), rate.objective, steps=STEPS, replicas=replicas, x0=np.ones(2), **settings)
    off = np.array([1 + start] + [1 + later] * STEPS)
    traces = {name: table * (1 if name == "distance" else off) for name, table in run.traces.items()}
    return ms.verify(rate, dataclasses.replace(run, traces=traces), alpha=0.05)


@pytest.mark.parametrize("measure", ["gap", "gradient_norm2"])
def test_a_true_theorem_is_not_refuted_by_records_within_their_accuracy(measure):
    assert judged(claims(1.0, measure), later=0.99 * EPS, start=-0.99 * EPS).verdict != "refuted"
    assert judged(claims(1.0, measure), later=10 * EPS, start=-10 * EPS).verdict == "refuted"
    shifted = judged(claims(1.0, measure), later=0.99 * EPS, start=-0.99 * EPS, measure_accuracy=1e-9)
    assert shifted.verdict == "refuted"


@pytest.mark.parametrize("measure", ["gap", "gradient_norm2"])
def test_a_false_theorem_is_not_confirmed_by_records_within_their_accuracy(measure):
    assert judged(claims(1 - EPS, measure), later=-0.99 * EPS, start=0.99 * EPS).verdict != "holds"
    assert judged(claims(1 + 20 * EPS, measure), later=-0.99 * EPS, start=0.99 * EPS).verdict == "holds"


def logistic():
    """Return f_D of a logistic regression without sketches."""
    rng = np.random.default_rng(1)
    A, y = rng.standard_normal((40, 5)), np.where(rng.random(40) < 0.5, 1.0, -1.0)
    return ms.Mast(ms.LogisticRegression(A, y, l2=0.5), ms.Identity(5))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_rounding_of_f_refutes_nothing_where_the_bound_is_far_below_it(sign):
    """A gap is a difference of values, so that what is left of it near x_D* is their rounding, of either sign."""
    F = logistic()
    rate = PolyakLojasiewiczDSGD(F)
    run = ms.simulate(rate.method_at(rate.stepsize), F, steps=6000, replicas=400, every=2000, x0=np.ones(5))
    assert rate.bound(6000, initial=run.gap[0, 0]) < 1e-22
    gap = np.where(run.recorded > 0, sign * 2.0**-53, run.gap)
    assert np.abs(run.gap[:, 1:]).max() <= 4e-16
    assert ms.verify(rate, dataclasses.replace(run, traces=run.traces | {"gap": gap})).verdict != "refuted"
    wrong = np.where(run.recorded > 0, 1e-9, run.gap)
    assert ms.verify(rate, dataclasses.replace(run, traces=run.traces | {"gap": wrong})).verdict == "refuted"


def test_a_run_that_is_decided_by_simulation_is_allowed_for_as_well(monkeypatch):
    seen, real = [], sampled_rates._decided
    monkeypatch.setattr(sampled_rates, "_decided", lambda trial, *rest: seen.append(trial.recorded) or real(trial, *rest))
    rate = PolyakLojasiewiczDSGD(logistic())
    sampled_rates.decide_by_simulation(sampled_rates.Trial.of(rate), 8, seed=0, alpha=1e-3)
    assert set(seen) == {1e-9}
