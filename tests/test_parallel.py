"""Threads of compiled loops: shares, limits, callers that meet, and processes that fork."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mastsim
from mastsim import parallel

pytestmark = pytest.mark.slow


@given(st.integers(0, 50), st.integers(1, 9))
def test_every_entry_is_done_once(count, threads):
    done = []
    parallel.run_shares(lambda first, step: done.extend(range(first, count, step)), threads)
    assert sorted(done) == list(range(count))


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_an_error_in_any_share_is_raised(bad):
    def loop(first, step):
        if first == bad:
            raise ArithmeticError(f"share {first}")

    with pytest.raises(ArithmeticError, match=f"share {bad}"):
        parallel.run_shares(loop, 3)


def test_the_caller_does_what_busy_threads_have_not_begun():
    release, done = threading.Event(), []
    busy = [parallel._pool().submit(release.wait, 60) for _ in range(parallel._available() + 1)]
    try:
        parallel.run_shares(lambda first, step: done.append(first), 4)
    finally:
        release.set()
    assert sorted(done) == [0, 1, 2, 3]
    assert all(each.result() for each in busy)


def test_a_limit_belongs_to_one_thread_and_ends():
    seen = []
    with parallel.limited_threads(1):
        other = threading.Thread(target=lambda: seen.append(parallel.thread_count()))
        other.start()
        other.join()
        assert parallel.thread_count() == 1
    assert seen == [parallel.thread_count()] == [parallel._available()]


def test_no_more_threads_than_the_process_has():
    with parallel.limited_threads(10**6):
        assert parallel.thread_count() == parallel._available()


def test_members_begin_when_all_have_come(monkeypatch):
    monkeypatch.setattr(parallel, "_available", lambda: 4)
    monkeypatch.setattr(parallel, "_POOLS", [])
    monkeypatch.setattr(parallel, "_ARRIVAL", 60.0)
    barrier = threading.Barrier(4)

    def work(member, members):
        barrier.wait(60)
        return member, members

    for _ in range(20):
        assert parallel.run_together(work, lambda: None, 4) == (0, 4)


@pytest.fixture
def two_processors(monkeypatch):
    """Return the masks that were set, on a machine that has two processors, where every thread is woken on the first."""
    place, masks = threading.local(), []

    def move(pid, mask):
        place.now = getattr(place, "now", 0)
        masks.append(set(mask))
        if place.now not in mask:
            place.now = min(mask)

    monkeypatch.setattr(parallel, "_TELL", lambda: getattr(place, "now", 0))
    monkeypatch.setattr(parallel.os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)
    monkeypatch.setattr(parallel.os, "sched_setaffinity", move, raising=False)
    monkeypatch.setattr(parallel, "_available", lambda: 3)
    monkeypatch.setattr(parallel, "_POOLS", [])
    monkeypatch.setattr(parallel, "_ARRIVAL", 60.0)
    return masks


def places(most):
    """Return the processors that members begin on, the caller's first."""
    barrier, found = threading.Barrier(most), [-1] * most

    def work(member, members):
        barrier.wait(60)
        found[member] = parallel._processor()

    parallel.run_together(work, lambda: None, most)
    return found


def test_members_begin_on_processors_of_their_own(two_processors):
    assert places(2) == [0, 1]
    # What the thread was allowed to use it is again.
    assert two_processors == [{1}, {0, 1}]
    # It stays where it is, and is not moved again.
    assert places(2) == [0, 1]
    assert len(two_processors) == 2


def test_more_members_than_processors_share_them(two_processors):
    assert sorted(places(3)) == [0, 0, 1]


def test_members_stay_where_a_system_lets_nobody_move(two_processors, monkeypatch):
    def refused(pid, mask):
        raise PermissionError("not here")

    monkeypatch.setattr(parallel.os, "sched_setaffinity", refused)
    assert places(2) == [0, 0]
    monkeypatch.setattr(parallel, "_TELL", None)
    assert places(2) == [-1, -1]


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="a system that says where a thread may run")
def test_no_thread_is_kept_on_a_processor():
    def allowed(member, members):
        return os.sched_getaffinity(0)

    before = os.sched_getaffinity(0)
    for _ in range(20):
        assert parallel.run_together(allowed, lambda: None, 2) == before
    assert parallel._pool().submit(os.sched_getaffinity, 0).result() == before


def test_members_who_do_not_come_are_done_without(monkeypatch):
    monkeypatch.setattr(parallel, "_ARRIVAL", 0.01)
    release, seen = threading.Event(), []
    busy = [parallel._pool().submit(release.wait, 60) for _ in range(parallel._available() + 1)]
    try:
        parallel.run_together(lambda *numbers: seen.append(numbers), lambda: None, 3)
    finally:
        release.set()
    assert seen == [(0, 1)]
    assert all(each.result() for each in busy)


@pytest.mark.parametrize("bad", [0, 1, 2])
@pytest.mark.parametrize("error", [ArithmeticError, KeyboardInterrupt])
def test_an_error_of_any_member_lets_the_others_go(monkeypatch, bad, error):
    monkeypatch.setattr(parallel, "_available", lambda: 3)
    monkeypatch.setattr(parallel, "_POOLS", [])
    monkeypatch.setattr(parallel, "_ARRIVAL", 60.0)
    over = threading.Event()

    def work(member, members):
        if member == bad:
            raise error(f"member {member}")
        assert over.wait(60)

    with pytest.raises(error, match=f"member {bad}"):
        parallel.run_together(work, over.set, 3)


def test_an_interruption_before_all_have_come_leaves_nobody_waiting(monkeypatch):
    monkeypatch.setattr(parallel, "_available", lambda: 3)
    monkeypatch.setattr(parallel, "_POOLS", [])
    over, ran = threading.Event(), []

    def interrupted(self, seconds):
        if seconds:
            raise KeyboardInterrupt
        return real(self, seconds)

    real = parallel._Gate.open
    monkeypatch.setattr(parallel._Gate, "open", interrupted)
    with pytest.raises(KeyboardInterrupt):
        parallel.run_together(lambda member, members: ran.append(over.wait(60)), over.set, 3)
    assert all(ran)


FORK = """
import multiprocessing, warnings
import numpy as np
import mastsim as ms
from mastsim.parallel import run_shares

warnings.simplefilter("ignore", DeprecationWarning)
data = ms.load("synthetic:n=900,d=30,condition=10")
objectives = [
    ms.Mast(kind(data.A, data.y, l2=0.1), sketch)
    for kind, sketch in [
        (ms.LogisticRegression, ms.RandK(30, k=6)),
        (ms.LogisticRegression, ms.Bernoulli(30, 0.4)),
        (ms.HuberRegression, ms.Bernoulli(30, 0.4)),
        (ms.LeastSquares, ms.RandK(30, k=6)),
    ]
]

def evaluate(index):
    run_shares(lambda first, step: None, 2)
    F = objectives[index]
    x = np.full(30, 0.3)
    return float(F.value(x)), F.gradient(x).tolist()

def simulate(seed):
    method = ms.DSGD(0.01)
    return ms.simulate(method, objectives[0], steps=5, replicas=4, seed=seed, threads=2).x.tolist()

if __name__ == "__main__":
    here = [evaluate(0), evaluate(1), evaluate(3)], [simulate(0)]
    with multiprocessing.get_context("fork").Pool(2) as pool:
        there = pool.map_async(evaluate, [0, 1, 3]).get(timeout=120), pool.map_async(simulate, [0]).get(timeout=120)
    assert here == there
    print("same")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_processes_that_fork_after_kernels_ran_go_on_with_the_same_numbers(tmp_path):
    """In a process of its own: what would hang for ever ends there after two minutes."""
    script = tmp_path / "fork.py"
    script.write_text(FORK, encoding="utf-8")
    around = os.environ | {"PYTHONPATH": str(Path(mastsim.__file__).parent.parent), "NUMBA_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, str(script)], env=around, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, "same\n"), done.stderr
