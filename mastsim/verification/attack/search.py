"""The search: many short climbs from random structures, of which the best third climbs on, three times as long."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from mastsim.theorems import Theorem
from mastsim.verification.attack.families import FAMILIES
from mastsim.verification.attack.quadratic_plan import SPANS, Regime

ROUNDS = 4
_FIRST_SHARE = 0.55
_FIRST_CLIMB = 80
_SAMPLES = 6
_EQUAL, _ALIKE = 1e-3, 3
_KEPT = 3
_GROWTH, _SHRINKING = 1.6, 1.6**-0.25


class Structure(Protocol):
    """What decodes real vectors to instances."""

    @property
    def stratum(self) -> Any:
        """What climbers are compared within."""

    def size(self) -> int:
        """Return how many real numbers there are to choose."""

    def decode(self, values: np.ndarray) -> Any:
        """Return the instance of a real vector of that size."""


class Evaluator:
    """Counts evaluations, remembers the best instance, and stops at a budget or a target.

    Parameters
    ----------
    kind : type of Theorem
        The record under attack.
    budget : int
        The most evaluations.
    target : float
        A ratio that is enough.
    """

    def __init__(self, kind: type[Theorem], budget: int, target: float) -> None:
        self.kind, self.budget, self.target = kind, budget, target
        self.count = 0
        # One assignment makes both: an interruption never finds the ratio of another instance.
        self._found: tuple[float, Any] = (0.0, None)
        self.history: list[tuple[int, float]] = []

    @property
    def best(self) -> float:
        """The largest ratio."""
        return self._found[0]

    @property
    def instance(self) -> Any:
        """The instance that has it; None where the record applied to nothing yet."""
        return self._found[1]

    @property
    def done(self) -> bool:
        """Whether the budget is used up or the target is reached."""
        return self.count >= self.budget or self.best >= self.target

    def __call__(self, structure: Structure, values: np.ndarray) -> float:
        """Return the ratio at a vector; 0 where the theorem does not apply to what it decodes to."""
        self.count += 1
        found, instance = 0.0, None
        try:
            with np.errstate(all="ignore"):
                instance = structure.decode(values)
                found = instance.ratio(self.kind, quick=True)
        except (ValueError, ArithmeticError, np.linalg.LinAlgError):
            return 0.0
        # A promising ratio is confirmed step by step before it counts: powers of matrices round differently.
        if np.isfinite(found) and found > self.best:
            found = confirmed(instance, self.kind)
            if found > self.best:
                self._found = found, instance
                self.history.append((self.count, found))
        return found if np.isfinite(found) else 0.0


def confirmed(instance: Any, kind: type[Theorem]) -> float:
    """Return the ratio of an instance, step after step; 0 where the theorem does not apply."""
    try:
        with np.errstate(all="ignore"):
            found = float(instance.ratio(kind))
    except (ValueError, ArithmeticError, np.linalg.LinAlgError):
        return 0.0
    return found if np.isfinite(found) else 0.0


@dataclass(eq=False)
class Climber:
    """A structure with a vector that only ever gets better: one random change at a time, one success in five wanted.

    Parameters
    ----------
    structure : Structure
        What is kept.
    values : ndarray
        What is changed.
    ratio : float
        What it is worth.
    width : float
        The standard deviation of changes.
    """

    structure: Structure
    values: np.ndarray
    ratio: float
    width: float = field(default=0.5)

    def climb(self, evaluate: Evaluator, rng: np.random.Generator, tries: int) -> None:
        """Try changes of a few coordinates, or of all."""
        for _ in range(tries):
            if evaluate.done:
                return
            few = rng.random(len(self.values)) < rng.choice([1.0, 2.5 / len(self.values)])
            few[rng.integers(len(few))] = True
            change = few * rng.standard_normal(len(few)) * self.width * 10.0 ** rng.uniform(-1, 0.5)
            found = evaluate(self.structure, self.values + change)
            self.width = float(np.clip(self.width * (_GROWTH if found > self.ratio else _SHRINKING), 1e-4, 2.0))
            if found >= self.ratio:
                self.values, self.ratio = self.values + change, found


def search(evaluate: Evaluator, regimes: Sequence[Regime], sharp: bool, rng: np.random.Generator, progress: bool) -> None:
    """Spend the budget of an evaluator on random structures in the given regimes.

    More than half of it goes to first climbs, and equal shares to three more rounds; before each of them the best third of
    the climbers of every stratum is chosen, and of those with nearly the same ratio only a few, so that equalities do not
    crowd out what may exceed them.
    """
    number = max(int(_FIRST_SHARE * evaluate.budget / (_FIRST_CLIMB + _SAMPLES)), 1)
    share = (1 - _FIRST_SHARE) * evaluate.budget / (ROUNDS - 1)
    bar = tqdm(total=ROUNDS, disable=not progress, file=sys.stderr, unit="round", desc=evaluate.kind.id)
    climbers: list[Climber] = []
    for i in range(number):
        if evaluate.done:
            break
        span, regime = divmod(i, len(regimes))
        plan = FAMILIES[evaluate.kind.family].plan
        structure = plan.random(evaluate.kind, rng, regimes[regime], SPANS[span % len(SPANS)], sharp)
        climbers.append(_start(evaluate, structure, rng))
        climbers[-1].climb(evaluate, rng, _FIRST_CLIMB)
    for _ in range(1, ROUNDS):
        bar.update()
        climbers = _selected(climbers)
        for climber in climbers:
            climber.climb(evaluate, rng, max(int(share / len(climbers)), 1))
    # What the rounding down of shares has left over goes to the best.
    while climbers and not evaluate.done:
        max(climbers, key=lambda climber: climber.ratio).climb(evaluate, rng, evaluate.budget)
    bar.update()
    bar.close()


def _start(evaluate: Evaluator, structure: Structure, rng: np.random.Generator) -> Climber:
    drawn = [rng.standard_normal(structure.size()) for _ in range(_SAMPLES)]
    ratios = [evaluate(structure, values) for values in drawn]
    top = int(np.argmax(ratios))
    return Climber(structure, drawn[top], ratios[top])


def _selected(climbers: list[Climber]) -> list[Climber]:
    kept = []
    for stratum in dict.fromkeys(climber.structure.stratum for climber in climbers):
        own = [climber for climber in climbers if climber.structure.stratum == stratum]
        own.sort(key=lambda climber: -climber.ratio)
        telling: list[Climber] = []
        for climber in own:
            if len(telling) < _ALIKE or telling[-_ALIKE].ratio - climber.ratio > _EQUAL * climber.ratio:
                telling.append(climber)
        kept += telling[: max(len(own) // _KEPT, 1)]
    return kept
