"""A suite divided among processes: which of them decides a claim changes nothing about the verdict."""

from __future__ import annotations

import os
import warnings
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from functools import lru_cache

from joblib.externals.loky import get_reusable_executor

from mastsim.orphans import end_with
from mastsim.single_thread import one_thread
from mastsim.verification.tasks import Suite, Task
from mastsim.verification.verdict import Verdict

_TOGETHER = 8
"""Tasks that a process is given at once."""
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def begin_processes(workers: int) -> None:
    """Let the other processes begin to import what they need, while this one finds out what there is to decide."""
    # The module of the function is what they import.
    _others(workers).submit(_watch_parent, os.getpid())


def decide_in_processes(suite: Suite, level: float, workers: int) -> Generator[tuple[int, Verdict]]:
    """Yield the number and the verdict of every task, in any order.

    Where one of the other processes dies, what these had is decided here, after a warning.

    Parameters
    ----------
    suite : Suite
        What is to be decided.
    level : float
        Error probability of a task that samples.
    workers : int
        How many processes, at least 2: this one, which has the tasks already, and others.
    """
    shared, numbers = suite.shared
    parts = deque(_parts([suite.tasks[number] for number in numbers]))
    others = _others(workers)
    running: dict[Future[list[tuple[int, Verdict]]], list[int]] = {}
    try:
        for own in sorted(set(range(len(suite.tasks))) - set(numbers)):
            yield own, suite.tasks[own].decide(level)
        while parts or running:
            try:
                # One more than there are others, so that none of them waits for this process.
                while parts and len(running) < workers:
                    future = others.submit(_decide, shared, parts[0], level, os.getpid())
                    running[future] = parts.popleft()
                yield from _finished(running, numbers, patient=not parts)
            except BrokenExecutor:
                warnings.warn("a worker process ended before its work was done: this process goes on alone", stacklevel=2)
                break
            if parts:
                yield from _decided(suite.tasks, [numbers[number] for number in parts.pop()], level)
        for part in [*parts, *running.values()]:
            yield from _decided(suite.tasks, [numbers[number] for number in part], level)
    except BaseException:
        others.shutdown(wait=True, kill_workers=True)  # type: ignore[call-arg]
        raise


def _parts(tasks: list[Task]) -> list[list[int]]:
    """Return the tasks in parts, those about one objective side by side: what is computed of it is then computed once."""
    seen: dict[int, int] = {}
    place = [seen.setdefault(id(task.objective), len(seen)) for task in tasks]
    order = sorted(range(len(tasks)), key=place.__getitem__)
    return [order[first : first + _TOGETHER] for first in range(0, len(order), _TOGETHER)]


def _watch_parent(parent: int) -> None:
    end_with(parent)


def _others(workers: int) -> Executor:
    others: Executor = get_reusable_executor(max_workers=workers - 1, env=_ONE_THREAD)
    return others


def _finished(
    running: dict[Future[list[tuple[int, Verdict]]], list[int]], numbers: list[int], patient: bool
) -> Generator[tuple[int, Verdict]]:
    """Yield what others have found by now, or as soon as one of them has, and forget that they were asked."""
    for future in wait(running, timeout=None if patient else 0, return_when=FIRST_COMPLETED).done:
        verdicts = future.result()
        del running[future]
        yield from ((numbers[number], verdict) for number, verdict in verdicts)


def _decide(suite: Suite, numbers: Sequence[int], level: float, parent: int) -> list[tuple[int, Verdict]]:
    """Return the verdicts of some tasks in another process, each with its number."""
    end_with(parent)
    return _decided(_tasks_of(suite), numbers, level)


def _decided(tasks: list[Task], numbers: Sequence[int], level: float) -> list[tuple[int, Verdict]]:
    with one_thread():
        return [(number, tasks[number].decide(level)) for number in numbers]


@lru_cache(maxsize=1)
def _tasks_of(suite: Suite) -> list[Task]:
    """Return the tasks of the suite that this process works for."""
    with one_thread():
        return suite.tasks
