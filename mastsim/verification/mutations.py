"""Every constant of every rate, changed in the unsafe direction: which changes the exact trial notices, what slack hides."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from mastsim.expected import Objective
from mastsim.theorems import ALL, Rate
from mastsim.verification.exact_rates import decide_rate_exactly
from mastsim.verification.instances import distributed, finite_sums, small_quadratics
from mastsim.verification.tolerances import ROUNDING
from mastsim.verification.trial import Trial, exact_recursion, over_steps, starting_points
from mastsim.verification.verdict import Verdict

FACTORS: tuple[float, ...] = (1.1, 1 / 0.9, 2.0)
"""By how much; 1/0.9 and 2 are the factors 0.9 and 0.5 of a term."""

_TELLING = 1e-6
_SEARCH = (4.0, 8.0, 16.0, 64.0)


@dataclass(frozen=True, eq=False)
class Mutant(Trial):
    """A rate with one of its constants changed in the unsafe direction.

    Parameters
    ----------
    part : str
        One of `Rate.changeable`: the step size and the rate are raised, the terms of the bound are lowered.
    factor : float
        At least 1: what the step size or the rate is multiplied by, and a term is divided by.
    """

    part: str = field(default="first term", kw_only=True)
    factor: float = field(default=1.0, kw_only=True)

    def claimed(self, theorem: Rate, steps: np.ndarray | int, initial: np.ndarray | float) -> np.ndarray:
        """Return the changed bound."""
        first, second = self.terms(theorem, steps, initial)
        first = first / self.factor if self.part == "first term" else first
        second = second / self.factor if self.part == "second term" else second
        return np.asarray(first + second)

    def terms(self, claim: Rate, steps: np.ndarray | int, initial: np.ndarray | float) -> tuple[np.ndarray, float]:
        """Return the two terms of the bound of a claim, the rate changed if that is the part."""
        with np.errstate(over="ignore", invalid="ignore"):
            return claim.terms(steps, self.stepsize, initial, self.factor if self.part == "rate" else 1.0)


@dataclass(frozen=True)
class Survey:
    """What the exact trial says about changes of one part of one theorem.

    Parameters
    ----------
    theorem : str
        Its id.
    part : str
        What was changed.
    ratios : dict of float to float
        Largest left/right over the instances for each factor of `FACTORS`; above 1 the change is refuted.
    critical : float
        The least factor that is refuted on the instances tried: how much slack they leave in this part. For the terms it
        is computed, for step size and rate the next of a few factors; infinite when none is.
    where : str
        The instance with the least slack.
    """

    theorem: str
    part: str
    ratios: dict[float, float]
    critical: float
    where: str


def survey(kinds: Iterable[type[Rate]] | None = None, steps: int = 100) -> list[Survey]:
    """Try every change of every rate that is not refuted as quoted, exactly, on small quadratics."""
    chosen = [kind for kind in ALL if issubclass(kind, Rate) and kind.status != "refuted as quoted"]
    objectives: list[Objective] = [*small_quadratics(), *finite_sums(), *distributed()]
    found = []
    for kind in chosen if kinds is None else kinds:
        cases = [case for F in objectives for case in kind.cases(F)]
        found += [_surveyed(kind, cases, part, steps) for part in kind.changeable]
    return found


def _surveyed(kind: type[Rate], cases: list[Rate], part: str, steps: int) -> Survey:
    if part.endswith("term"):
        slack = [(each, where) for case in cases for each, where in _slack(case, part, steps)]
        critical, where = min(slack, default=(math.inf, ""))
        return Survey(kind.id, part, {f: _largest(cases, part, f, steps)[0] for f in FACTORS}, critical, where)
    tried = {f: _largest(cases, part, f, steps) for f in (*FACTORS, *_SEARCH)}
    refuted = [f for f, (ratio, _) in tried.items() if ratio > 1 + ROUNDING]
    critical = min(refuted, default=math.inf)
    where = tried[critical][1] if refuted else ""
    return Survey(kind.id, part, {f: tried[f][0] for f in FACTORS}, critical, where)


def _largest(cases: list[Rate], part: str, factor: float, steps: int) -> tuple[float, str]:
    """Return the largest left/right of a change over all cases, and where."""
    best = (0.0, "")
    for case in cases:
        gamma = case.stepsize * (factor if part == "step size" else 1.0)
        mutant = Mutant(case, gamma, case.objective, part=part, factor=factor)
        if (chain := exact_recursion(mutant)) is not None:
            verdict = decide_rate_exactly(mutant, chain, _longest(case, steps))
            if verdict.verdict != "inconclusive":
                best = max(best, (verdict.max_ratio, _where(verdict)))
    return best


def _slack(case: Rate, part: str, steps: int) -> Iterator[tuple[float, str]]:
    """Yield, for every start, the least factor by which one term can be divided before the bound is exceeded."""
    plain = Mutant(case, case.stepsize, case.objective, part=part)
    if (chain := exact_recursion(plain)) is None:
        return
    times = np.arange(1, _longest(case, steps) + 1)
    form = case.form(case.stepsize, chain.center)
    for name, x0 in starting_points(case.objective).items():
        initial = case.initial_at(x0)
        left = over_steps(chain.run(x0, len(times), [form])[:, 0], case.over)
        first, second = plain.terms(case, times, initial)
        term, other = (first, second) if part == "first term" else (np.full(len(times), second), first)
        rest = left - plain.with_rounding(np.asarray(other), len(times), initial)
        telling = (rest > _TELLING * left) & (rest > 0)
        if telling.any():
            factor = float((term[telling] / rest[telling]).min())
            yield factor, f"{case.objective.name}, {plain.method.name}, from {name}"


def _longest(case: Rate, steps: int) -> int:
    return min(steps, case.planned_steps or steps)


def _where(verdict: Verdict) -> str:
    return f"{verdict.problem}, {verdict.sketch}, {verdict.method}, {verdict.witness}"
