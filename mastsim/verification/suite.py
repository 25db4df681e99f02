"""The whole trial: every theorem on every instance it applies to, and the negative controls."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from tqdm import tqdm

from mastsim import theorems
from mastsim.expected import Mast
from mastsim.problems import Dataset
from mastsim.sketches import parse_sketch
from mastsim.theorems import Inequality, Rate, Theorem
from mastsim.validation import integer, one_of
from mastsim.verification.controls import false_inequalities, false_rates
from mastsim.verification.inequalities import decide_inequality
from mastsim.verification.instances import DEFAULT_SKETCHES, degenerate_quadratics, on_data, small_quadratics
from mastsim.verification.rates import Trial, decide_by_simulation, decide_rate_exactly, exact_recursion
from mastsim.verification.sequential import family_alpha
from mastsim.verification.verdict import Verdict

FAMILY_ALPHA = 1e-6
"""Error probability of everything that one suite decides, together."""


@dataclass(frozen=True)
class Effort:
    """How much work a suite does.

    Parameters
    ----------
    points : int
        Pairs of points per inequality without a spectrum.
    steps : int
        Horizon of exact recursions.
    sampled_steps, replicas : int
        Horizon and number of replicas of simulated rates.
    """

    points: int
    steps: int
    sampled_steps: int
    replicas: int


FULL = Effort(points=24, steps=400, sampled_steps=40, replicas=2048)
QUICK = Effort(points=8, steps=100, sampled_steps=16, replicas=512)

Decision = Callable[[float], Verdict]
"""What remains to be done for one verdict, given the error probability it may spend."""


def run_suite(
    data: Dataset,
    sketches: tuple[str, ...] = (),
    only: tuple[str, ...] = (),
    seed: int = 0,
    effort: Effort = FULL,
    progress: bool = False,
) -> list[Verdict]:
    """Try the theorems on a data set and on small hard instances, and the negative controls.

    Parameters
    ----------
    data : Dataset
        Real data for the larger instances.
    sketches : tuple of str, optional
        Sketches for the data, as on the command line.
    only : tuple of str, optional
        Ids of the theorems to try; all when empty.
    seed : int, default 0
        Seed of simulations and probe points.
    effort : Effort, default FULL
        How much work to do.
    progress : bool, default False
        Whether to show a bar on stderr.

    Returns
    -------
    list of Verdict
        In the order of the registry, controls last. All of them are right together with probability 1 − 1e-6.

    Raises
    ------
    ValueError
        If a name is unknown; the nearest is suggested.
    """
    integer("seed", seed, 0, 2**64 - 1)
    chosen = [one_of("theorem", name, [t.id for t in theorems.ALL]) for name in only] or [t.id for t in theorems.ALL]
    for text in sketches:
        parse_sketch(text, data.n)
    exact, sampled = _plan(data, sketches or DEFAULT_SKETCHES, chosen, seed, effort)
    level = family_alpha(FAMILY_ALPHA, max(len(sampled), 1))
    todo = exact + sampled
    done = [decide(level) for decide in tqdm(todo, disable=not progress, file=sys.stderr, unit="verdict")]
    order = {t.id: i for i, t in enumerate(theorems.ALL)}
    return sorted(done, key=lambda v: (v.expected == "refuted", order[v.theorem.split("/")[0]]))


def _plan(
    data: Dataset, sketches: tuple[str, ...], chosen: list[str], seed: int, effort: Effort
) -> tuple[list[Decision], list[Decision]]:
    objectives = on_data(data, sketches) + small_quadratics() + degenerate_quadratics()
    exact: list[Decision] = []
    sampled: list[Decision] = []
    for kind, F in _applicable(chosen, objectives):
        theorem = kind(F)
        if isinstance(theorem, Inequality):
            exact.append(_pointwise(theorem, effort.points, seed))
        elif isinstance(theorem, Rate):
            _sort_in(Trial.of(theorem), exact, sampled, seed, effort)
    exact += [_control(inequality) for inequality in false_inequalities() if inequality.id.split("/")[0] in chosen]
    for trial in false_rates():
        if trial.theorem.id.split("/")[0] in chosen:
            _sort_in(trial, exact, sampled, seed, effort)
            sampled.append(_by_simulation(trial, seed, effort))
    return exact, sampled


def _applicable(chosen: list[str], objectives: list[Mast]) -> Iterator[tuple[type[Theorem], Mast]]:
    for kind in theorems.ALL:
        for F in objectives:
            if kind.id in chosen and kind.refuse(F) is None:
                yield kind, F


def _sort_in(trial: Trial, exact: list[Decision], sampled: list[Decision], seed: int, effort: Effort) -> None:
    if (chain := exact_recursion(trial)) is not None:
        exact.append(lambda _: decide_rate_exactly(trial, chain, effort.steps))
    else:
        sampled.append(_by_simulation(trial, seed, effort))


def _by_simulation(trial: Trial, seed: int, effort: Effort) -> Decision:
    return lambda alpha: decide_by_simulation(trial, effort.sampled_steps, effort.replicas, seed, alpha)


def _pointwise(theorem: Inequality, points: int, seed: int) -> Decision:
    return lambda _: decide_inequality(theorem, points, seed)


def _control(inequality: Inequality) -> Decision:
    return lambda _: replace(decide_inequality(inequality), expected="refuted")


def as_expected(verdicts: list[Verdict]) -> bool:
    """Return whether every verdict is the one the registry expects."""
    return all(np.array([v.as_expected for v in verdicts], dtype=bool))
