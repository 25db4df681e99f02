"""A suite on several processes: the same verdicts, records of one's own included, and an end when it is interrupted."""

import json
import os
import signal

import pytest

import mastsim as ms
from mastsim.theorems import ALL, StronglyConvexDSGD
from mastsim.verification import Effort, SuiteInterrupted, run_suite, suite
from mastsim.verification.tasks import Suite

pytestmark = pytest.mark.slow

SMALL = Effort(points=4, steps=12, depth=3, sampled_steps=8)
TINY = "synthetic:n=20,d=3"
CHOSEN = ("lemma1", "theorem2", "theorem3", "distributed-convex")


class OwnRate(StronglyConvexDSGD):
    """A record that no other process could import."""

    id = "own-rate"
    title = "A rate of one's own"


@pytest.fixture(scope="module", autouse=True)
def _few_are_worth_it():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(suite, "_WORTH_A_PROCESS", 10)
        yield


def tried(workers, only, also=(), **options):
    verdicts = run_suite(ms.load(TINY), ("randk:0.5",), only, effort=SMALL, also=also, workers=workers, **options)
    return json.dumps([verdict.record() for verdict in verdicts])


def test_verdicts_do_not_depend_on_the_number_of_processes(monkeypatch):
    also, only, shared, real = (OwnRate,), (*CHOSEN, OwnRate.id), [], suite.decide_in_processes
    monkeypatch.setattr(suite, "decide_in_processes", lambda *given: shared.append(given[2]) or real(*given))
    assert tried(2, only, also, seed=5) == tried(1, only, also, seed=5)
    assert shared == [2]


def test_few_tasks_and_sketches_of_ones_own_stay_in_one_process(monkeypatch):
    class OwnSketch(ms.RandK):
        pass

    monkeypatch.setattr(suite, "decide_in_processes", None)
    run_suite(ms.load(TINY), (OwnSketch(3, k=1),), CHOSEN, effort=SMALL, workers=4)
    monkeypatch.setattr(suite, "_WORTH_A_PROCESS", 100)
    run_suite(ms.load(TINY), ("randk:0.5",), ("theorem1", "lemma2"), effort=SMALL, workers=4)


def test_every_task_is_shared_but_those_of_records_of_ones_own():
    data, kinds = ms.load(TINY), (*(kind for kind in ALL if kind.id in CHOSEN), OwnRate)
    whole = Suite("whole", data, (ms.RandK(3, k=1),), kinds, 0, SMALL)
    part, numbers = whole.shared
    own = sorted(set(range(len(whole.tasks))) - set(numbers))
    assert len(part.tasks) == len(numbers)
    assert [whole.tasks[number].sampled for number in numbers] == [task.sampled for task in part.tasks]
    assert {whole.tasks[number].decide(1e-9).theorem for number in own} == {OwnRate.id}
    # The controls come last.
    assert own[-1] < numbers[-1]


class Dying(ms.RandK):
    """A sketch that ends every process but the one in which it was made."""

    home = os.getpid()

    def __reduce__(self):
        return _die_elsewhere, (self.dim, self.k, self.home)


def _die_elsewhere(dim, k, home):
    if os.getpid() != home:
        os.kill(os.getpid(), signal.SIGKILL)
    return ms.RandK(dim, k=k)


def test_where_a_process_dies_this_one_goes_on(monkeypatch):
    monkeypatch.setattr(suite, "is_of_this_package", lambda kind: True)
    data = ms.load(TINY)
    expected = run_suite(data, (ms.RandK(3, k=2),), CHOSEN[:2], effort=SMALL)
    with pytest.warns(UserWarning, match="this process goes on alone"):
        found = run_suite(data, (Dying(3, k=2),), CHOSEN[:2], effort=SMALL, workers=2)
    assert [verdict.record() for verdict in found] == [verdict.record() for verdict in expected]


def test_an_interruption_hands_on_what_was_found(monkeypatch):
    seen, bar = [], suite.tqdm

    class Stopping(bar):
        def update(self, n=1):
            seen.append(n)
            if len(seen) == 5:
                raise KeyboardInterrupt
            return super().update(n)

    monkeypatch.setattr(suite, "tqdm", Stopping)
    with pytest.raises(SuiteInterrupted) as caught:
        tried(2, CHOSEN)
    assert len(caught.value.verdicts) == 5 < caught.value.total
    monkeypatch.setattr(suite, "tqdm", bar)
    assert tried(2, CHOSEN) == tried(1, CHOSEN)
