"""The whole trial: every theorem on every instance it applies to, and the negative controls."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from tqdm import tqdm

from mastsim import theorems
from mastsim.expected import Objective
from mastsim.problems import Dataset
from mastsim.sketches import Sketch, parse_sketch
from mastsim.theorems import Inequality, Rate, Theorem
from mastsim.theorems.assumptions import EXACT
from mastsim.validation import flag, instance, instances, integer, one_of, shown, texts
from mastsim.verification.exact_rates import decide_rate_exactly
from mastsim.verification.false_falling_steps import false_falling_steps
from mastsim.verification.false_polyak_steps import false_polyak_steps
from mastsim.verification.false_reshuffling import false_reshuffling
from mastsim.verification.false_shifts import false_shifts
from mastsim.verification.false_subnetworks import false_subnetworks
from mastsim.verification.inequalities import decide_inequality, expected_outcome
from mastsim.verification.instances import DEFAULT_SKETCHES, Instances
from mastsim.verification.negative_controls import false_inequalities, false_rates
from mastsim.verification.outcome_tree import decide_rate_on_tree, tree_depth
from mastsim.verification.sampled_rates import decide_by_simulation
from mastsim.verification.sequential import family_alpha
from mastsim.verification.trial import Trial, exact_recursion
from mastsim.verification.verdict import Outcome, Verdict


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


@dataclass(frozen=True)
class Effort:
    """How much work a suite does.

    Parameters
    ----------
    points : int
        Pairs of points per inequality without a spectrum.
    steps : int
        Horizon of exact recursions.
    depth : int
        Longest horizon of trees of all outcomes.
    sampled_steps, replicas : int
        Horizon and number of replicas of simulated rates.
    """

    points: int
    steps: int
    depth: int
    sampled_steps: int
    replicas: int


FULL = Effort(points=24, steps=400, depth=9, sampled_steps=40, replicas=512)
QUICK = Effort(points=8, steps=100, depth=6, sampled_steps=16, replicas=512)


_FEW_REPLICAS = 256


class _Task(NamedTuple):
    """What remains to be done for one verdict, given the error probability it may spend."""

    decide: Callable[[float], Verdict]
    sampled: bool


def run_suite(
    data: Dataset,
    sketches: tuple[str | Sketch, ...] = (),
    only: tuple[str, ...] = (),
    seed: int = 0,
    effort: Effort = FULL,
    progress: bool = False,
    also: Sequence[type[Theorem]] = (),
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
    kinds = records(also)
    known = [kind.id for kind in kinds]
    chosen = [one_of("theorem", name, known) for name in texts("only", only)] or known
    ready = isinstance(sketches, (tuple, list)) and any(isinstance(each, Sketch) for each in sketches)
    named = (sketches if ready else texts("sketches", sketches)) or DEFAULT_SKETCHES
    drawn = [each if isinstance(each, Sketch) else parse_sketch(each, data.d) for each in named]
    tried = [kind for kind in kinds if kind.id in chosen]
    tasks = [*_claims(Instances.of(data, drawn), tried, seed, effort), *_controls(chosen, seed, effort)]
    return _decided(tasks, FAMILY_ALPHA, progress)


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
    kind: type[Theorem], instances: Instances, seed: int = 0, effort: Effort = QUICK, alpha: float = FAMILY_ALPHA
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
    return _decided(_claims(instances, [kind], seed, effort), alpha, progress=False)


def _decided(tasks: list[_Task], alpha: float, progress: bool) -> list[Verdict]:
    level = family_alpha(alpha, max(sum(task.sampled for task in tasks), 1))
    verdicts: list[Verdict] = []
    try:
        for task in tqdm(tasks, disable=not progress, file=sys.stderr, unit="verdict"):
            verdicts += [task.decide(level)]
    except KeyboardInterrupt as stop:
        raise SuiteInterrupted(verdicts, len(tasks)) from stop
    return verdicts


def _claims(instances: Instances, kinds: list[type[Theorem]], seed: int, effort: Effort) -> list[_Task]:
    """Return every record on every objective it applies to, for each record the exact decisions first."""
    return [task for kind in kinds for task in sorted(_tasks(instances, kind, seed, effort), key=lambda task: task.sampled)]


def _tasks(instances: Instances, kind: type[Theorem], seed: int, effort: Effort) -> list[_Task]:
    """Return what is tried of a theorem: its own cases, or every case on the instances that fit."""
    if issubclass(kind, Rate) and (own := kind.own_cases(instances.small)) is not None:
        return [_rate(Trial.of_case(case), seed, effort) for case in own]
    return [_task(claim, seed, effort) for F in _fitting(instances, kind) for claim in kind.cases(F)]


def _fitting(instances: Instances, kind: type[Theorem]) -> list[Objective]:
    """Return the instances on which a theorem is decided at a reasonable cost."""
    if not issubclass(kind, Rate):
        return instances.whole
    if EXACT in kind.assumptions or (_measures_f(kind) and kind.over == "last"):
        return instances.exact
    return instances.few_rows if _measures_f(kind) else instances.whole


def _measures_f(kind: type[Rate]) -> bool:
    """Whether replicas are measured by values or gradients of f_D."""
    return kind.measure in ("gap", "gradient_norm2")


def _controls(chosen: list[str], seed: int, effort: Effort) -> list[_Task]:
    """Return the false variants of the chosen theorems: exactly, and the rates also from replicas."""
    wrong = [_inequality(claim, seed, effort, "refuted") for claim in false_inequalities() if _root(claim) in chosen]
    trials = [trial for trial in false_rates() if _root(trial.theorem) in chosen]
    shown = [
        trial
        for trial in (
            *false_shifts(),
            *false_reshuffling(),
            *false_polyak_steps(),
            *false_falling_steps(),
            *false_subnetworks(),
        )
        if _root(trial.theorem) in chosen
    ]
    exact = [_rate(trial, seed, effort) for trial in (*trials, *shown)]
    return [*wrong, *exact, *(_sampled(t, seed, effort) for t in trials)]


def _root(variant: Theorem) -> str:
    return variant.id.split("/")[0]


def _task(theorem: Theorem, seed: int, effort: Effort) -> _Task:
    if isinstance(theorem, Inequality):
        return _inequality(theorem, seed, effort, expected_outcome(theorem))
    if isinstance(theorem, Rate):
        try:
            return _rate(Trial.of(theorem), seed, effort)
        except ZeroDivisionError as problem:
            said = f"{theorem.title} divides by zero on {theorem.objective.name}, which its assumptions let through"
            remedy = "give the step size a value there too, such as '1 / self.L if self.L > 0 else 1.0', or assume more"
            raise ValueError(f"{said}: {remedy}") from problem
    raise TypeError(f"theorem={shown(theorem)} is not accepted: it must be an Inequality or a Rate")


def _inequality(claim: Inequality, seed: int, effort: Effort, expected: Outcome) -> _Task:
    return _Task(lambda _: replace(decide_inequality(claim, effort.points, seed), expected=expected), sampled=False)


def _rate(trial: Trial, seed: int, effort: Effort) -> _Task:
    if (chain := exact_recursion(trial)) is None:
        depth = tree_depth(trial, most=min(effort.depth, trial.theorem.deepest))
        return _sampled(trial, seed, effort) if depth is None else _Task(lambda _: decide_rate_on_tree(trial, depth), False)
    longest = trial.theorem.planned_steps or min(effort.steps, trial.theorem.longest)
    steps = longest if trial.start is not None else min(longest, effort.steps)
    return _Task(lambda _: decide_rate_exactly(trial, chain, steps), sampled=False)


def _sampled(trial: Trial, seed: int, effort: Effort) -> _Task:
    replicas = min(effort.replicas, _FEW_REPLICAS) if _measures_f(type(trial.theorem)) else effort.replicas
    # An average needs a record of every step.
    steps = effort.sampled_steps // (2 if trial.theorem.over == "average" else 1)
    return _Task(lambda alpha: decide_by_simulation(trial, steps, replicas, seed, alpha), sampled=True)


def as_expected(verdicts: list[Verdict]) -> bool:
    """Return whether every verdict is the one the registry expects."""
    instances("verdicts", verdicts, Verdict)
    return all(verdict.as_expected for verdict in verdicts)
