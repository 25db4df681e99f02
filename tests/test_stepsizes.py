"""A step size that is asked for comes with what a run must record to be held against its theorem."""

import numpy as np
import pytest

import mastsim as ms
from mastsim.stepsizes import AskedStep, choose_step
from mastsim.theorems import ALL, Rate
from mastsim.verification.trial import needed_traces

A = np.array([[2.0, 0.5], [0.5, 1.0]])
SINGLE = ms.Mast(ms.Quadratic(A, np.ones(2)), ms.RandK(2, k=1))
LOGISTIC = ms.Mast(ms.LogisticRegression(A, np.array([1.0, -1.0]), l2=0.1), ms.Bernoulli(2, keep=0.5))
CLIENTS = ms.Distributed([ms.Quadratic(A, np.ones(2)), ms.Quadratic(np.eye(2), np.zeros(2))], [ms.RandK(2, k=1)] * 2)
CASES = [
    pytest.param(F, case, id=f"{name}, {case.id} {case.settings}")
    for name, F in {"quadratic": SINGLE, "logistic": LOGISTIC, "clients": CLIENTS}.items()
    for kind in ALL
    if issubclass(kind, Rate)
    for case in kind.cases(F)
]


@pytest.mark.parametrize(("F", "case"), CASES)
def test_a_run_records_what_its_bound_is_held_against(F, case):
    chosen = choose_step(AskedStep.read("theory"), case.method_at(1.0), F, steps=3)
    run = ms.simulate(chosen.method, F, steps=3, replicas=2, measures=chosen.measures)
    if chosen.claim is not None:
        assert set(needed_traces(chosen.claim, run)) <= set(run.traces)
        assert chosen.claim.initial_of(run).shape == (2,)
