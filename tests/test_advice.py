"""The list of guarantees: complete, sorted, and true to the records it is made from."""

import dataclasses
import itertools
import math

import numpy as np
import pytest

import mastsim as ms
from mastsim import theorems
from mastsim.advice import covering, guarantee_of, guarantees, minibatch
from mastsim.guarantee import guarantee_table
from mastsim.provenance import content_hash

BOWLS = [ms.Quadratic(np.diag([1.0, 2.0]), np.ones(2)), ms.Quadratic(np.diag([3.0, 1.0]), -np.ones(2))]
SINGLE = ms.Mast(ms.FiniteSum(BOWLS), ms.RandK(2, k=1), shift=np.array([1.0, 0.5]))
CLIENTS = ms.Distributed(BOWLS, ms.RandK(2, k=1), shift=np.array([1.0, 0.5]))


@pytest.mark.parametrize("objective", [SINGLE, CLIENTS], ids=["one node", "clients"])
def test_every_record_is_listed_and_refusals_come_last(objective):
    found = guarantees(objective)
    rates = {t.id for t in theorems.ALL if issubclass(t, theorems.Rate) and t.status != "refuted as quoted"}
    assert {each.theorem for each in found} == rates
    kinds = [(each.measure, each.over) for each in found if each.applies]
    assert [each.applies for each in found] == sorted((each.applies for each in found), reverse=True)
    assert len(list(itertools.groupby(kinds))) == len(set(kinds)), "what bounds the same stands together"
    for _, group in itertools.groupby((each for each in found if each.applies), key=lambda each: (each.measure, each.over)):
        steps = [each.steps_to_accuracy for each in group]
        assert steps == sorted(steps)
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


@pytest.mark.parametrize("objective", [SINGLE, CLIENTS], ids=["one node", "clients"])
def test_two_methods_never_go_by_the_same_name(objective):
    methods: dict[str, set[str]] = {}
    for kind in theorems.ALL:
        for case in kind.cases(objective) if issubclass(kind, theorems.Rate) else ():
            methods.setdefault(guarantee_of(case).who, set()).add(content_hash(case.method_at(1e-3)))
    assert methods
    assert {who: len(found) for who, found in methods.items() if len(found) > 1} == {}


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


def cases(objective):
    """Return every case of every true rate that applies to an objective."""
    kinds = [t for t in theorems.ALL if issubclass(t, theorems.Rate) and t.status != "refuted as quoted"]
    return [case for kind in kinds for case in kind.cases(objective)]


MEASURED = {
    "distance": lambda F, x: float(np.sum((x - F.minimize().x) ** 2)),
    "gap": lambda F, x: float(F.value(x)) - F.minimize().value,
    "f_gap": lambda F, x: float(F.problem.value(x)) - F.problem.minimize().value,
    "f_gradient_norm2": lambda F, x: float(np.sum(F.problem.gradient(x) ** 2)),
    "gradient_norm2": lambda F, x: float(np.sum(F.gradient(x) ** 2)),
}


@pytest.mark.parametrize("objective", [SINGLE, CLIENTS], ids=["one node", "clients"])
@pytest.mark.parametrize("accuracy", [None, 1e-3, 1e3])
def test_the_step_for_the_accuracy_does_what_the_row_says(objective, accuracy):
    for case in cases(objective):
        told = guarantee_of(case, accuracy)
        if case.measure in MEASURED:
            start = MEASURED[case.measure](objective, objective.center)
            assert told.start == pytest.approx(start, rel=1e-9), case.id
        assert told.accuracy == (0.01 * told.start if accuracy is None else accuracy)
        if not 1 <= told.steps_to_accuracy < 1e12:
            continue
        record = dataclasses.replace(case, horizon=int(told.steps_to_accuracy)) if hasattr(case, "horizon") else case
        reached = float(record.bound(int(told.steps_to_accuracy), told.stepsize_to_accuracy))
        assert told.floor * (1 - 1e-9) <= reached <= told.accuracy * (1 + 1e-9), case.id
        assert told.vacuous_to_accuracy == (told.accuracy >= told.start)
        # What does not shrink is what is left of the bound when it starts at the goal.
        rest = float(record.claim(int(told.steps_to_accuracy), told.stepsize_to_accuracy, 0.0))
        assert told.floor == pytest.approx(rest, rel=1e-9, abs=1e-300)


def test_rows_whose_bound_says_nothing_are_marked_everywhere():
    near = ms.Mast(SINGLE.problem, ms.RandK(2, k=1), shift=SINGLE.minimize().x + 1e-6)
    for objective, marked in ((near, True), (ms.Mast(BOWLS[0], ms.Identity(2), shift=np.full(2, 50.0)), False)):
        told = next(g for g in guarantees(objective, method=ms.DSGD) if g.theorem == "theorem2")
        largest = theorems.StronglyConvexDSGD(objective)
        assert told.vacuous == (float(largest.bound(10**9)) >= told.start > 0) == marked
        assert told.record()["vacuous"] is told.vacuous
        assert ("†" in guarantee_table([told])) == marked


def test_the_mark_is_set_exactly_where_the_floor_passes_the_start():
    marks = []
    for keep in np.linspace(0.3, 0.999, 60):
        F = ms.Mast(BOWLS[0], ms.Bernoulli(2, keep), shift=np.array([2.0, -1.0]))
        told = guarantee_of(theorems.StronglyConvexDSGD(F))
        start = MEASURED["distance"](F, F.center)
        assert told.vacuous == (theorems.StronglyConvexDSGD(F).radius >= start)
        marks.append(told.radius / start)
    # The instances come near the border from both sides, so that a wrong factor shows.
    assert min(ratio for ratio in marks if ratio >= 1) < 1.5
    assert max(ratio for ratio in marks if ratio < 1) > 0.67


def test_a_method_leaves_only_theorems_about_it():
    for method in (ms.DSGD, ms.DSGD(1.0), ms.PAGE, ms.LSVRDSG(1.0)):
        kind = method if isinstance(method, type) else type(method)
        found = guarantees(SINGLE, method=method)
        assert {g.method for g in found} == {kind.__name__}
        assert {g.theorem for g in found} == {t.id for t in theorems.ALL if getattr(t, "method", None) == kind.__name__}
    with pytest.raises(TypeError, match="method='dsgd' is not accepted"):
        guarantees(SINGLE, method="dsgd")


def test_the_sentence_says_step_goal_steps_and_floor():
    told = guarantee_of(theorems.StronglyConvexDSGD(SINGLE), 0.5)
    for number in (f"γ = {told.stepsize_to_accuracy:.6g}", f"below {told.accuracy:.4g}", f"floor {told.floor:.4g}"):
        assert number in told.sentence
    assert told.sentence.startswith("DSGD: γ = ")
    assert "(Theorem 2), expected squared distance" in told.sentence
    assert "no less than at the start" in guarantee_of(theorems.StronglyConvexDSGD(SINGLE), 1e6).sentence
