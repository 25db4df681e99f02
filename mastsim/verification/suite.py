"""The whole trial: every theorem on every instance it applies to, and the negative controls."""

from __future__ import annotations

import sys
from collections.abc import Generator, Sequence
from contextlib import closing
from uuid import uuid4

from threadpoolctl import threadpool_limits
from tqdm import tqdm

from mastsim import theorems
from mastsim.problems import Dataset
from mastsim.sketches import Sketch, parse_sketch
from mastsim.theorems import Theorem
from mastsim.validation import flag, instance, instances, integer, is_of_this_package, one_of, shown, texts
from mastsim.verification.instances import DEFAULT_SKETCHES, Instances
from mastsim.verification.processes import begin_processes, decide_in_processes
from mastsim.verification.sequential import family_alpha
from mastsim.verification.tasks import ALONE, FULL, Effort, Suite, Task, claims_of
from mastsim.verification.verdict import Verdict


class SuiteInterrupted(KeyboardInterrupt):
    """A suite was interrupted; the verdicts that were reached are a part, which says nothing about the rest.

    Parameters
    ----------
    verdicts : list of Verdict
        What was reached.
    total : int
        How many verdicts the whole has.
    """

    def __init__(self, verdicts: list[Verdict], total: int) -> None:
        super().__init__(verdicts, total)
        self.verdicts, self.total = verdicts, total

    def __str__(self) -> str:
        return f"interrupted: {len(self.verdicts)} of {self.total} verdicts, a part that says nothing about the rest"


FAMILY_ALPHA = 1e-6
"""Error probability of everything that one suite decides from samples, together."""

_WORTH_A_PROCESS = 100
"""Fewer tasks take less time than another process takes to begin."""
_MANY_RECORDS = 12
"""As many records have enough tasks."""


def run_suite(
    data: Dataset,
    sketches: tuple[str | Sketch, ...] = (),
    only: tuple[str, ...] = (),
    seed: int = 0,
    effort: Effort = FULL,
    progress: bool = False,
    also: Sequence[type[Theorem]] = (),
    workers: int = 1,
) -> list[Verdict]:
    """Try the theorems on a data set and on small hard instances, and the negative controls.

    Parameters
    ----------
    data : Dataset
        Real data for the larger instances.
    sketches : tuple of str or Sketch, optional
        Sketches for the data, as on the command line, or ready made.
    only : tuple of str, optional
        Ids of the theorems to try; all when empty.
    seed : int, default 0
        Seed of simulations and probe points.
    effort : Effort, default FULL
        How much work to do.
    progress : bool, default False
        Whether to show a bar on stderr.
    also : sequence of type of Theorem, optional
        Records of one's own, which are tried beside the package's.
    workers : int, default 1
        Processes that share the work where there is enough of it; what is found does not depend on their number. Records of
        one's own are left to this process, and so is everything where a sketch is one's own.

    Returns
    -------
    list of Verdict
        In the order of the registry, one's own records after it, controls last. With probability at least 1 − 1e-6 all
        verdicts that samples reached are right together; where the tier says so, a confirmation relies on the central limit
        theorem.

    Raises
    ------
    ValueError
        If a name is unknown; the nearest is suggested.
    SuiteInterrupted
        On Ctrl-C; a KeyboardInterrupt that holds the verdicts that were reached.
    """
    integer("seed", seed, 0, 2**64 - 1)
    instance("data", data, Dataset)
    instance("effort", effort, Effort)
    flag("progress", progress)
    integer("workers", workers, 1)
    kinds = records(also)
    known = [kind.id for kind in kinds]
    chosen = [one_of("theorem", name, known) for name in texts("only", only)] or known
    ready = isinstance(sketches, (tuple, list)) and any(isinstance(each, Sketch) for each in sketches)
    named = (sketches if ready else texts("sketches", sketches)) or DEFAULT_SKETCHES
    drawn = [each if isinstance(each, Sketch) else parse_sketch(each, data.d) for each in named]
    tried = [kind for kind in kinds if kind.id in chosen]
    suite = Suite(uuid4().hex, data, tuple(drawn), tuple(tried), seed, effort)
    alike = all(is_of_this_package(type(sketch)) for sketch in drawn)
    if workers > 1 and alike and len(tried) >= _MANY_RECORDS:
        begin_processes(workers)
    # Matrices are small: threads of BLAS would only wait for each other.
    with threadpool_limits(limits=1, user_api="blas"):
        level, most = _level(suite.tasks, FAMILY_ALPHA), len(suite.tasks) // _WORTH_A_PROCESS
        if alike and (shares := min(workers, most)) > 1:
            return _decided(suite.tasks, decide_in_processes(suite, level, shares), progress)
        return _decided(suite.tasks, _one_by_one(suite.tasks, level), progress)


def records(also: Sequence[type[Theorem]] = ()) -> list[type[Theorem]]:
    """Return every record of the package and those of one's own, refusing what is none and ids that are taken."""
    known = {kind.id: kind for kind in theorems.ALL}
    for kind in also:
        if not (isinstance(kind, type) and issubclass(kind, Theorem)):
            raise TypeError(f"also: {shown(kind)} is not accepted: it must hold subclasses of Theorem, such as LinearRate")
        if known.setdefault(kind.id, kind) is not kind:
            raise ValueError(f"also: the id {kind.id!r} of {kind.__name__} is taken by {known[kind.id].__name__}; change it")
    return list(known.values())


def try_on(
    kind: type[Theorem], instances: Instances, seed: int = 0, effort: Effort = ALONE, alpha: float = FAMILY_ALPHA
) -> list[Verdict]:
    """Try one record on the objectives that it fits, the exact decisions first.

    Parameters
    ----------
    kind : type of Theorem
        The record.
    instances : Instances
        What it is tried on.
    seed, effort
        As for `run_suite`.
    alpha : float, default 1e-6
        Error probability of all that samples decide, together.
    """
    tasks = claims_of(kind, instances, seed, effort)
    return _decided(tasks, _one_by_one(tasks, _level(tasks, alpha)), progress=False)


def _decided(tasks: list[Task], found: Generator[tuple[int, Verdict]], progress: bool) -> list[Verdict]:
    """Return the verdicts in the order of the tasks, as they are found in any order."""
    verdicts: dict[int, Verdict] = {}
    try:
        with closing(found), tqdm(total=len(tasks), disable=not progress, file=sys.stderr, unit="verdict") as bar:
            for number, verdict in found:
                verdicts[number] = verdict
                bar.update()
    except KeyboardInterrupt as stop:
        raise SuiteInterrupted([verdicts[number] for number in sorted(verdicts)], len(tasks)) from stop
    return [verdicts[number] for number in range(len(tasks))]


def _one_by_one(tasks: list[Task], level: float) -> Generator[tuple[int, Verdict]]:
    for number, task in enumerate(tasks):
        yield number, task.decide(level)


def _level(tasks: list[Task], alpha: float) -> float:
    """Return the error probability of each sampled task, of all of which it is `alpha`."""
    return family_alpha(alpha, max(sum(task.sampled for task in tasks), 1))


def as_expected(verdicts: list[Verdict]) -> bool:
    """Return whether every verdict is the one the registry expects."""
    instances("verdicts", verdicts, Verdict)
    return all(verdict.as_expected for verdict in verdicts)
