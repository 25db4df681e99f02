"""Compiled loops on several threads of Python: callers may meet, processes may fork, and no other package is affected."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar

_LIMIT: ContextVar[int | None] = ContextVar("_LIMIT", default=None)
_LOCK = threading.Lock()
_POOLS: list[ThreadPoolExecutor] = []


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
