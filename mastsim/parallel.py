"""Compiled loops on several threads of Python: callers may meet, processes may fork, and no other package is affected."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TypeVar

Found = TypeVar("Found")
_LIMIT: ContextVar[int | None] = ContextVar("_LIMIT", default=None)
_LOCK = threading.Lock()
_POOLS: list[ThreadPoolExecutor] = []
_ARRIVAL = 0.002
"""Seconds that threads have to come together: some forty times what it takes to wake one."""
_DOUBT = 1.0
"""Seconds after which a thread that waits to begin takes it that nobody else will."""
# Without letting go of the interpreter's lock: who waits for it may wake up on another processor.
_TELL = getattr(ctypes.PyDLL(None), "sched_getcpu", None) if hasattr(os, "sched_setaffinity") else None


def thread_count() -> int:
    """Return how many threads a loop is divided among: NUMBA_NUM_THREADS, by default the processors of this process.

    Examples
    --------
    >>> with limited_threads(1):
    ...     thread_count()
    1
    """
    limit = _LIMIT.get()
    return _available() if limit is None else min(limit, _available())


@contextmanager
def limited_threads(limit: int) -> Iterator[None]:
    """Limit what is called inside a with statement, by this thread, to so many threads a loop.

    Parameters
    ----------
    limit : int
        At least 1.
    """
    before = _LIMIT.set(limit)
    try:
        yield
    finally:
        _LIMIT.reset(before)


def run_shares(loop: Callable[[int, int], object], threads: int | None = None) -> None:
    """Call ``loop(first, step)`` for every first below step, one a thread; the caller takes part.

    Parameters
    ----------
    loop : callable
        Does the entries first, first + step, … of a loop. It must let go of the interpreter's lock, as kernels that are
        compiled with ``nogil`` do, and must not call this function.
    threads : int, optional
        How many shares there are, by default `thread_count`. Results must not depend on it.

    Examples
    --------
    >>> done = []
    >>> run_shares(lambda first, step: done.extend(range(first, 6, step)), 2)
    >>> sorted(done)
    [0, 1, 2, 3, 4, 5]
    """
    step = thread_count() if threads is None else threads
    shares = [(first, _pool().submit(loop, first, step)) for first in range(1, step)]
    try:
        loop(0, step)
        for first, share in shares:
            # Where other callers keep the threads busy, the caller does what nobody has begun.
            if share.cancel():
                loop(first, step)
            else:
                share.result()
    finally:
        for _, share in shares:
            share.cancel()


def run_together(work: Callable[[int, int], Found], give_up: Callable[[], object], most: int) -> Found:
    """Call ``work(member, members)`` for every member below members, all at the same time, and return what the caller got.

    None begins before it is known that all have a thread, so that they may wait for each other. The caller is member 0.
    Where other callers keep the threads busy there are fewer members, and at the least one.

    Parameters
    ----------
    work : callable
        It must let go of the interpreter's lock, and must not call this function.
    give_up : callable
        Makes every call return that waits for another; it is called when one raises an exception, which is raised here.
    most : int
        How many members there are at the most.

    Examples
    --------
    >>> run_together(lambda member, members: member, lambda: None, 2)
    0
    """
    gate = _Gate(most)
    others: list[Future[None]] = []
    try:
        others.extend(_pool().submit(_take_part, gate, work, give_up) for _ in range(1, most))
        found = work(0, gate.open(_ARRIVAL))
    except BaseException:
        give_up()
        raise
    finally:
        gate.open(0)
        joined = [other for other in others if not other.cancel()]
        wait(joined)
    for other in joined:
        other.result()
    return found


class _Gate:
    """Where threads wait until it is known how many there are."""

    def __init__(self, most: int) -> None:
        self.lock, self.full, self.opened = threading.Lock(), threading.Event(), threading.Event()
        self.left, self.arrived, self.members = most - 1, 0, 0
        self.taken: set[int] = set()

    def enter(self) -> int:
        """Return the number of this thread, 0 where it came too late or in vain."""
        with self.lock:
            if self.members:
                return 0
            self.arrived += 1
            number = self.arrived
            if number == self.left:
                self.full.set()
        if not self.opened.wait(_DOUBT):
            return 0
        with self.lock:
            self.taken.add(_part(self.taken))
        return number

    def open(self, seconds: float) -> int:
        """Wait at most so long for those who are still to come, and return how many members there are."""
        if self.left and not self.members:
            self.full.wait(seconds)
        with self.lock:
            self.members = 1 + self.arrived
            self.taken.add(_processor())
        self.opened.set()
        return self.members


def _processor() -> int:
    """Return the processor that this thread runs on, -1 where the system does not say."""
    return -1 if _TELL is None else int(_TELL())


def _part(taken: set[int]) -> int:
    """Take this thread to a processor that no other member has, where there is one, and return the one that it runs on."""
    # The system parts two threads on one processor within some ms, but a call of a kernel may take no longer.
    if (now := _processor()) < 0 or now not in taken:
        return now
    allowed = os.sched_getaffinity(0)
    with suppress(OSError):
        if allowed - taken:
            os.sched_setaffinity(0, allowed - taken)
            os.sched_setaffinity(0, allowed)
    return _processor()


def _take_part(gate: _Gate, work: Callable[[int, int], object], give_up: Callable[[], object]) -> None:
    if (member := gate.enter()) == 0:
        return
    try:
        work(member, gate.members)
    except BaseException:
        give_up()
        raise


def _available() -> int:
    from mastsim.compilation import numba

    return int(numba.config.NUMBA_NUM_THREADS)


def _pool() -> ThreadPoolExecutor:
    with _LOCK:
        if not _POOLS:
            _POOLS.append(ThreadPoolExecutor(max(1, _available() - 1), thread_name_prefix="mastsim"))
        return _POOLS[0]


def _forget() -> None:
    """Forget threads that a fork did not copy."""
    global _LOCK
    _LOCK = threading.Lock()
    _POOLS.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
