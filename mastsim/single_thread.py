"""One thread of BLAS, OpenMP and compiled loops for each task, so that workers do not crowd each other out."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

from mastsim.parallel import limited_threads


class _Limits:
    """Limits belong to the process: the first task in sets them, the last one out lifts them."""

    def __init__(self) -> None:
        self.lock, self.inside = threading.Lock(), 0
        self.limits: threadpool_limits | None = None

    def enter(self) -> None:
        """Note one more task."""
        with self.lock:
            self.inside += 1
            if self.inside == 1:
                self.limits = threadpool_limits(limits=1)

    def leave(self) -> None:
        """Note one task less."""
        with self.lock:
            self.inside -= 1
            if self.inside == 0 and self.limits is not None:
                self.limits.restore_original_limits()


_LIMITS = _Limits()


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit BLAS, OpenMP and compiled loops to one thread inside a with statement, in any number of Python threads at once.

    Examples
    --------
    >>> from mastsim.parallel import thread_count
    >>> with one_thread():
    ...     thread_count()
    1
    """
    _LIMITS.enter()
    try:
        with limited_threads(1):
            yield
    finally:
        _LIMITS.leave()
