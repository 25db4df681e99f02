"""Steps of one replica that several threads take together: the same bits as alone, whoever comes, leaves or interrupts."""

import _thread
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import mastsim as ms
from mastsim import parallel
from mastsim.compilation import njit
from mastsim.kernels import linear, meeting, plan
from mastsim.kernels.columns import share_sums
from mastsim.kernels.meeting import arrive, give_up, new_board, wait_for_all
from mastsim.kernels.philox import key_of
from mastsim.kernels.planning import Descent
from tests.examples import examples

THREADS = 8
LONG = 10**11
"""Patience that outlasts any load of the machine."""


@pytest.fixture(autouse=True)
def many_threads(monkeypatch):
    """Let there be threads for all members, more than processors perhaps, and let none of them lose patience."""
    monkeypatch.setattr(parallel, "_available", lambda: THREADS)
    monkeypatch.setattr(parallel, "_POOLS", [])
    monkeypatch.setattr(parallel, "_ARRIVAL", 60.0)
    monkeypatch.setattr(linear, "new_board", lambda members: new_board(members, LONG))


def data(kind, n, d, seed=0):
    """Data whose shares of rows differ: empty columns, columns with entries in some blocks only, empty rows."""
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(n, d))
    if kind == "full":
        return A
    held = rng.random((n, d)) < np.linspace(0, 0.9, d)
    held[: n // 3, d // 2] = held[n // 2 : n // 2 + 300] = False
    return sp.csr_array(held.astype(float) if kind == "indicators" else A * held)


def descent(kind="sparse", n=2100, d=9, k=4, dtype="float64", seed=0):
    A = data(kind, n, d, seed)
    f = ms.LogisticRegression(A, np.where(np.arange(n) % 3, 1.0, -1.0), l2=0.1)
    return plan(ms.DSGD(0.1), ms.Mast(f, ms.RandK(d, k=k), shift=np.linspace(-1, 1, d)), precision=dtype).descent


def arguments(found, steps, replicas=1):
    x = np.linspace(-1, 1, replicas * len(found.tables[1].center)).reshape(replicas, -1)
    gamma = np.full(steps, 0.1, found.tables[1].center.dtype)
    return x.astype(gamma.dtype), np.arange(replicas), 3, gamma, key_of(7, "sketch"), *found.tables


def taken(found, members, steps=25, replicas=1):
    x, *rest = arguments(found, steps, replicas)
    linear.descend_linear(x, *rest, members)
    return x


@settings(max_examples=examples(25))
@given(
    kind=st.sampled_from(["full", "sparse", "indicators"]),
    n=st.integers(1, 3000),
    d=st.integers(1, 20),
    share=st.floats(0, 1),
    dtype=st.sampled_from(["float64", "float32"]),
    members=st.integers(2, THREADS),
    replicas=st.integers(1, 40),
)
def test_bits_do_not_depend_on_how_many_threads_take_a_step(kind, n, d, share, dtype, members, replicas):
    found = descent(kind, n, d, max(1, round(share * d)), dtype, seed=n)
    alone = taken(found, 1, 5, replicas)
    assert (taken(found, members, 5, replicas) == alone).all()
    x, numbers, *rest = arguments(found, 5, replicas)
    for r in range(0, replicas, 11):
        linear.descend_linear(x[r : r + 1], numbers[r : r + 1], *rest, members)
        assert (x[r] == alone[r]).all()


@pytest.mark.parametrize("members", [2, 3, 4, 5, 8])
def test_bits_of_many_steps(members):
    found = descent()
    assert found.shares == 8
    assert (taken(found, members, 300, 2) == taken(found, 1, 300, 2)).all()


@pytest.mark.parametrize(
    ("n", "d", "shares"), [(1, 1, 1), (511, 3, 1), (512, 3, 2), (1000, 3, 3), (2048, 3, 8), (10**4, 3, 8)]
)
def test_shares_are_about_as_long_as_each_other(n, d, shares):
    model = descent("full", n, d, 1).tables[1]
    assert model.shares == shares
    starts = model.block_rows[:: (len(model.block_rows) - 1) // shares]
    assert len(starts) == shares + 1
    assert np.ptp(np.diff(starts)) <= 32
    assert model.block == np.diff(model.block_rows).max() <= 288
    assert (model.block_rows[:-1] % 16 == 0).all()


def test_few_entries_of_a_column_make_few_shares():
    A = sp.random_array((4000, 500), density=0.01, rng=np.random.default_rng(0))
    F = ms.Mast(ms.LogisticRegression(A, np.ones(4000), l2=0.1), ms.RandK(500, k=50))
    assert plan(ms.DSGD(0.1), F).descent.shares == 2


@pytest.mark.parametrize("kind", ["full", "sparse", "indicators"])
def test_steps_on_many_shares_are_those_of_array_operations(kind):
    f = ms.LogisticRegression(data(kind, 2100, 9), np.where(np.arange(2100) % 3, 1.0, -1.0), l2=0.1)
    F = ms.Mast(f, ms.RandK(9, k=4), shift=np.linspace(-1, 1, 9))
    for replicas in (1, 16):
        given = {"steps": 9, "replicas": replicas, "x0": "normal", "measures": ("f",)}
        fast, plain = (ms.simulate(ms.DSGD(0.1), F, engine=engine, **given).x for engine in ("kernel", "array"))
        np.testing.assert_allclose(fast, plain, rtol=1e-12, atol=1e-12)


def test_all_members_have_the_same_iterates():
    found, members = descent(), 4
    x, *rest = arguments(found, 200, 2)
    own, board, sums = [x.copy() for _ in range(members)], new_board(members, LONG), share_sums(found.tables[1], 2)

    def work(member):
        return linear._descend_by_columns(own[member], *rest, 0, member, members, board, sums)

    with ThreadPoolExecutor(members) as pool:
        assert list(pool.map(work, range(members))) == [400] * members
    wanted = taken(found, 1, 200, 2)
    assert all((each == wanted).all() for each in own)


@njit(nogil=True)
def met(board, member, members, values, delays):
    """Write the number of every round, meet, and return how often the number of another was not that of the round."""
    wrong, patience, waste = 0, board[0], 0.0
    for number in range(1, delays.shape[1] + 1):
        values[number & 1, member] = number
        arrive(board, member, number)
        patience = wait_for_all(board, members, number, patience)
        if patience == 0:
            return -number
        for i in range(delays[member, number - 1]):
            waste += 1.0 / (1.0 + i + waste)
        for other in range(members):
            wrong += values[number & 1, other] != number
    return wrong + (waste < 0)


@pytest.mark.parametrize("members", [2, 3])
def test_nobody_goes_on_before_all_have_come(members):
    board, values = new_board(members, LONG), np.zeros((2, members), np.int64)
    delays = np.random.default_rng(0).integers(0, 3000, (members, 1000))
    with ThreadPoolExecutor(members) as pool:
        wrong = list(pool.map(lambda member: met(board, member, members, values, delays), range(members)))
    assert wrong == [0] * members


def test_who_waits_in_vain_loses_patience_and_says_so():
    board, delays = new_board(2, 3), np.zeros((2, 5), np.int64)
    assert met(board, 0, 2, np.zeros((2, 2), np.int64), delays) == -1
    # Who comes later need not wait to learn it.
    board[0] = LONG
    assert met(board, 1, 2, np.zeros((2, 2), np.int64), delays) == -2


def test_patience_is_of_so_many_nanoseconds():
    for wait in (10**7, 10**8):
        board = new_board(2, wait)
        started = time.perf_counter()
        assert met(board, 0, 2, np.zeros((2, 2), np.int64), np.zeros((2, 5), np.int64)) == -1
        # A thread that did not run meanwhile may wait longer.
        assert wait <= 1e9 * (time.perf_counter() - started) + 1e6


@njit(nogil=True)
def waited(board):
    """Return the nanoseconds of patience that it takes to meet another once."""
    arrive(board, 0, 1)
    return board[0] - wait_for_all(board, 2, 1, board[0])


def test_to_wait_takes_as_much_patience_as_time():
    board = new_board(2, LONG)
    board[-meeting._LINE] = 1
    assert waited(board) == 0
    board[-meeting._LINE], started = 0, time.monotonic_ns()

    def come():
        time.sleep(0.05)
        board[-meeting._LINE] = 1

    with ThreadPoolExecutor(1) as pool:
        pool.submit(come)
        took = waited(board)
    assert 4e7 <= took <= time.monotonic_ns() - started + 1e6


def test_the_clock_of_kernels_is_that_of_the_system(monkeypatch):
    before = time.monotonic_ns()
    found = njit(lambda: meeting._nanoseconds())()
    assert before <= found <= time.monotonic_ns()
    monkeypatch.setattr(meeting, "_CLOCK", None)
    assert njit(lambda: meeting._nanoseconds())() == 0


def test_whoever_does_not_come_is_done_without(monkeypatch):
    found = descent()
    monkeypatch.setattr(linear, "new_board", lambda members: new_board(members, 3))
    monkeypatch.setattr(linear, "run_together", lambda work, give_up, most: work(0, most))
    assert (taken(found, 4) == taken(found, 1)).all()


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.01])
def test_who_gives_up_midway_leaves_whole_steps(monkeypatch, seconds):
    found, counts = descent(), []

    def left(work, give_up, most):
        timer = threading.Timer(seconds, give_up)
        with ThreadPoolExecutor(1) as pool:
            other = pool.submit(work, 1, 2)
            timer.start()
            counts.append(work(0, 2))
            other.result()
        timer.cancel()
        return counts[-1]

    monkeypatch.setattr(linear, "run_together", left)
    assert (taken(found, 2, 3000) == taken(found, 1, 3000)).all()
    assert counts[0] <= 3000


def objective(n=2100):
    f = ms.LogisticRegression(data("sparse", n, 9), np.where(np.arange(n) % 3, 1.0, -1.0), l2=0.1)
    return ms.Mast(f, ms.RandK(9, k=4))


@pytest.fixture
def asked(monkeypatch):
    """Return the numbers of threads that calls are given, all of which are worth it."""
    numbers, real = set(), Descent.advance

    def advance(self, *what):
        numbers.add(self.members)
        return real(self, *what)

    monkeypatch.setattr(Descent, "advance", advance)
    monkeypatch.setattr("mastsim.pace._WORTH", 0.0)
    monkeypatch.setattr("mastsim.pace._PART", 1e-12)
    return numbers


@pytest.mark.parametrize(
    ("replicas", "options", "limit", "wanted"),
    [
        (1, {}, 8, {1}),
        (1, {"threads": 2}, 8, {2}),
        (1, {"threads": 8}, 3, {3}),
        (1, {"threads": 8}, 1, {1}),
        (3, {"threads": 8, "chunk": 1}, 8, {2}),
        (3, {"threads": 2}, 8, {2}),
        (3, {"threads": 2, "chunk": 1}, 8, {1}),
    ],
)
def test_threads_that_no_replica_needs_help(asked, replicas, options, limit, wanted):
    F, given = objective(), {"steps": 40, "every": 20, "replicas": replicas, "measures": ("f",), "x0": "normal"}
    with parallel.limited_threads(limit):
        found = ms.simulate(ms.DSGD(0.1), F, **given, **options).x
    assert max(asked) == max(wanted)
    assert (found == ms.simulate(ms.DSGD(0.1), F, **given).x).all()


def test_an_interruption_of_threads_that_work_together_leaves_whole_steps(asked):
    timer = threading.Timer(0.5, _thread.interrupt_main)
    timer.start()
    with pytest.raises(ms.Interrupted) as stop:
        ms.simulate(ms.DSGD(0.1), objective(), steps=10**9, every=500, threads=2, measures=("f",))
    run = stop.value.run
    assert 2 in asked
    assert (ms.simulate(ms.DSGD(0.1), objective(), steps=run.steps_done, every=500, measures=("f",)).x == run.x).all()
    assert threading.active_count() < 30


def test_errors_of_one_thread_do_not_leave_the_others_waiting(monkeypatch):
    found, real = descent(), linear._descend_by_columns

    def broken(x, *rest):
        if rest[7] == 1:
            raise MemoryError("no room")
        return real(x, *rest)

    monkeypatch.setattr(linear, "_descend_by_columns", broken)
    with pytest.raises(MemoryError, match="no room"):
        taken(found, 2)


def test_giving_up_is_heard_by_those_who_wait():
    board, delays = new_board(2, LONG), np.zeros((2, 5), np.int64)
    threading.Timer(0.05, give_up, [board]).start()
    assert met(board, 0, 2, np.zeros((2, 2), np.int64), delays) == -1
