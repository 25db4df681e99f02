"""A suite divided among processes: which of them decides a claim changes nothing about the verdict."""

from __future__ import annotations

import os
import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

import joblib

from mastsim.orphans import end_with
from mastsim.single_thread import one_thread
from mastsim.verification.tasks import Suite, Task
from mastsim.verification.verdict import Verdict

_TOGETHER = 12
"""Tasks that a process is given at once."""


def decide_in_processes(suite: Suite, level: float, workers: int) -> Generator[tuple[int, Verdict]]:
    """Yield the number and the verdict of every task, in any order.

    Parameters
    ----------
    suite : Suite
        What is to be decided.
    level : float
        Error probability of a task that samples.
    workers : int
        How many processes.
    """
    shared, numbers = suite.shared
    parts = [range(first, min(first + _TOGETHER, len(numbers))) for first in range(0, len(numbers), _TOGETHER)]
    with joblib.parallel_config(backend="loky", n_jobs=workers):
        parallel = joblib.Parallel(return_as="generator_unordered")
        with _ended(parallel(joblib.delayed(_decide)(shared, part, level, os.getpid()) for part in parts)) as found:
            for own in sorted(set(range(len(suite.tasks))) - set(numbers)):
                yield own, suite.tasks[own].decide(level)
            for verdicts in found:
                yield from ((numbers[number], verdict) for number, verdict in verdicts)


@contextmanager
def _ended(found: Generator[list[tuple[int, Verdict]]]) -> Iterator[Generator[list[tuple[int, Verdict]]]]:
    """Cancel what was not taken from a generator of joblib, without a word of it."""
    try:
        yield found
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            found.close()


def _decide(suite: Suite, numbers: Sequence[int], level: float, parent: int) -> list[tuple[int, Verdict]]:
    """Return the verdicts of some tasks, each with its number."""
    end_with(parent)
    with one_thread():
        tasks = _tasks_of(suite)
        return [(number, tasks[number].decide(level)) for number in numbers]


@lru_cache(maxsize=1)
def _tasks_of(suite: Suite) -> list[Task]:
    """Return the tasks of the suite that this process works for."""
    return suite.tasks
