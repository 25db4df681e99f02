"""What a suite has to decide: every theorem on every instance it applies to, and the negative controls."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

from mastsim.expected import Objective
from mastsim.problems import Dataset
from mastsim.sketches import Sketch
from mastsim.theorems import ALL, Inequality, Rate, Theorem
from mastsim.theorems.assumptions import EXACT
from mastsim.validation import shown
from mastsim.verification.exact_rates import decide_rate_exactly
from mastsim.verification.false_falling_steps import false_falling_steps
from mastsim.verification.false_polyak_steps import false_polyak_steps
from mastsim.verification.false_reshuffling import false_reshuffling
from mastsim.verification.false_shifts import false_shifts
from mastsim.verification.false_subnetworks import false_subnetworks
from mastsim.verification.inequalities import decide_inequality, expected_outcome
from mastsim.verification.instances import Instances
from mastsim.verification.negative_controls import false_inequalities, false_rates
from mastsim.verification.outcome_tree import decide_rate_on_tree, tree_depth
from mastsim.verification.sampled_rates import decide_by_simulation
from mastsim.verification.trial import Trial, exact_recursion
from mastsim.verification.verdict import Outcome, Verdict


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
    sampled_steps : int
        Horizon of simulated rates.
    """

    points: int
    steps: int
    depth: int
    sampled_steps: int


FULL = Effort(points=24, steps=400, depth=9, sampled_steps=40)
ALONE = Effort(points=8, steps=100, depth=6, sampled_steps=16)
"""What a check of a single theorem does."""
QUICK = Effort(points=4, steps=32, depth=4, sampled_steps=16)


class Task(NamedTuple):
    """What remains to be done for one verdict.

    Parameters
    ----------
    decide : callable
        Given the error probability that it may spend.
    sampled : bool
        Whether it spends any.
    objective : Objective
        What it is about; what was computed of it once serves other tasks.
    """

    decide: Callable[[float], Verdict]
    sampled: bool
    objective: Objective


@dataclass(frozen=True)
class Suite:
    """Everything that one suite decides, the same in every process.

    Parameters
    ----------
    key : str
        What tells one suite from another.
    data : Dataset
        Real data for the larger instances.
    sketches : tuple of Sketch
        Sketches for the data.
    kinds : tuple of type of Theorem
        The records that are tried.
    seed : int
        Seed of simulations and probe points.
    effort : Effort
        How much work to do.
    """

    key: str
    data: Dataset = field(compare=False)
    sketches: tuple[Sketch, ...] = field(compare=False)
    kinds: tuple[type[Theorem], ...] = field(compare=False)
    seed: int = field(compare=False)
    effort: Effort = field(compare=False)

    @cached_property
    def _claims(self) -> list[list[Task]]:
        """The tasks of every record."""
        instances = Instances.of(self.data, list(self.sketches))
        return [claims_of(kind, instances, self.seed, self.effort) for kind in self.kinds]

    @cached_property
    def tasks(self) -> list[Task]:
        """Those of every record in turn, and the controls last."""
        controls = controls_of({kind.id for kind in self.kinds}, self.seed, self.effort)
        return [*(task for claims in self._claims for task in claims), *controls]

    @property
    def shared(self) -> tuple[Suite, list[int]]:
        """The suite without records of one's own, which another process can build, and which of the tasks are its tasks."""
        own = [kind not in ALL for kind, claims in zip(self.kinds, self._claims, strict=True) for _ in claims]
        numbers = [number for number in range(len(self.tasks)) if number >= len(own) or not own[number]]
        return replace(self, kinds=tuple(kind for kind in self.kinds if kind in ALL)), numbers


def claims_of(kind: type[Theorem], instances: Instances, seed: int, effort: Effort) -> list[Task]:
    """Return what is tried of a theorem, exact decisions first: its own cases, or every case on the instances that fit."""
    if issubclass(kind, Rate) and (own := kind.own_cases(instances.small)) is not None:
        found = [_rate(Trial.of_case(case), seed, effort) for case in own]
    else:
        found = [_task(claim, seed, effort) for F in _fitting(instances, kind) for claim in kind.cases(F)]
    return sorted(found, key=lambda task: task.sampled)


def controls_of(chosen: Collection[str], seed: int, effort: Effort) -> list[Task]:
    """Return the false variants of the chosen theorems: exactly, and those of Theorem 2 also from replicas."""

    def about(found: Iterable[Any]) -> list[Any]:
        return [each for each in found if getattr(each, "theorem", each).id.split("/")[0] in chosen]

    rates = about(false_rates())
    witnessed = [trial for group in _WITNESSED for trial in about(group())]
    return [
        *(_inequality(claim, seed, effort, "refuted") for claim in about(false_inequalities())),
        *(_rate(trial, seed, effort) for trial in (*rates, *witnessed)),
        *(_sampled(trial, seed, effort) for trial in rates),
    ]


_WITNESSED = (false_shifts, false_reshuffling, false_polyak_steps, false_falling_steps, false_subnetworks)
"""What returns false rates, each with a start that shows it."""


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


def _task(theorem: Theorem, seed: int, effort: Effort) -> Task:
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


def _inequality(claim: Inequality, seed: int, effort: Effort, expected: Outcome) -> Task:
    def decide(_: float) -> Verdict:
        return replace(decide_inequality(claim, effort.points, seed), expected=expected)

    return Task(decide, False, claim.objective)


def _rate(trial: Trial, seed: int, effort: Effort) -> Task:
    objective = trial.theorem.objective
    if (chain := exact_recursion(trial)) is None:
        depth = tree_depth(trial, most=min(effort.depth, trial.theorem.deepest))
        if depth is None:
            return _sampled(trial, seed, effort)
        return Task(lambda _: decide_rate_on_tree(trial, depth), False, objective)
    longest = trial.theorem.planned_steps or min(effort.steps, trial.theorem.longest)
    steps = longest if trial.start is not None else min(longest, effort.steps)
    return Task(lambda _: decide_rate_exactly(trial, chain, steps), False, objective)


def _sampled(trial: Trial, seed: int, effort: Effort) -> Task:
    # An average needs a record of every step.
    steps = effort.sampled_steps // (2 if trial.theorem.over == "average" else 1)
    return Task(lambda alpha: decide_by_simulation(trial, steps, seed, alpha), True, trial.theorem.objective)
