"""The list of guarantees: complete, sorted, and true to the records it is made from."""

import dataclasses
import math

import numpy as np
import pytest

import mastsim as ms
from mastsim import theorems
from mastsim.advice import covering, guarantees, minibatch

BOWLS = [ms.Quadratic(np.diag([1.0, 2.0]), np.ones(2)), ms.Quadratic(np.diag([3.0, 1.0]), -np.ones(2))]
SINGLE = ms.Mast(ms.FiniteSum(BOWLS), ms.RandK(2, k=1), shift=np.array([1.0, 0.5]))
CLIENTS = ms.Distributed(BOWLS, ms.RandK(2, k=1), shift=np.array([1.0, 0.5]))


@pytest.mark.parametrize("objective", [SINGLE, CLIENTS], ids=["one node", "clients"])
def test_every_record_is_listed_and_refusals_come_last(objective):
    found = guarantees(objective)
    rates = {t.id for t in theorems.ALL if issubclass(t, theorems.Rate) and t.status != "refuted as quoted"}
    assert {each.theorem for each in found} == rates
    order = [(each.steps_to_accuracy, not each.applies) for each in found]
    assert order == sorted(order)
    for each in found:
        assert each.applies == (each.reason is None)
        assert each.applies == (each.stepsize is not None)


def test_the_steps_listed_reach_the_accuracy_by_the_records_own_bound():
    for kind in theorems.ALL:
        if not issubclass(kind, theorems.Rate) or kind.status == "refuted as quoted":
            continue
        for case in [*kind.cases(SINGLE), *kind.cases(CLIENTS)]:
            target = 0.01 * case.initial
            steps = case.steps_to_accuracy(target)
            if not 1 <= steps < 1e12:
                continue
            record = dataclasses.replace(case, horizon=int(steps)) if hasattr(case, "horizon") else case
            gamma = record.stepsize_to_accuracy(target)
            assert gamma <= record.stepsize * (1 + 1e-9), record.id
            assert float(record.bound(int(steps), gamma)) <= target * (1 + 1e-9), record.id


def test_accuracy_and_sampling_are_passed_on():
    loose, strict = (next(g for g in guarantees(SINGLE, accuracy=a) if g.theorem == "theorem2") for a in (1e-1, 1e-3))
    assert (loose.accuracy, strict.accuracy) == (1e-1, 1e-3)
    assert loose.steps_to_accuracy < strict.steps_to_accuracy
    sampled = [g for g in guarantees(SINGLE, sampling=ms.Nice(2)) if g.theorem == "theorem4"]
    assert [g.settings for g in sampled] == ["2-nice"]
    with pytest.raises(ValueError, match="accuracy=0"):
        guarantees(SINGLE, accuracy=0)


def test_covering_takes_the_largest_step_that_a_theorem_about_the_method_allows():
    chosen = covering(SINGLE, ms.DSGD(1.0), 100, sharp=False)
    others = [t(SINGLE) for t in (theorems.StronglyConvexDSGD, theorems.ConvexDSGD, theorems.ConvexDSGDAnyStep)]
    assert chosen.stepsize == max(t.stepsize for t in others)
    assert covering(SINGLE, ms.DSGD(1.0, minibatch(1)), 100, sharp=False).id == "theorem4"
    assert covering(SINGLE, ms.GD(1.0), 100, sharp=False) is None
    assert covering(SINGLE, ms.SGD(1.0), 100, sharp=False) is None
    assert covering(CLIENTS, ms.DistributedDSGD(1.0, minibatch(1)), 100, sharp=False) is None
    assert covering(CLIENTS, ms.DistributedDSGD(1.0), 100, sharp=False).method == "DistributedDSGD"
    assert math.isfinite(covering(SINGLE, ms.PAGE(1.0), 100, sharp=True).stepsize)
