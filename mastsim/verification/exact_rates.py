"""Decisions about rates from means that are known up to an error: by exact moments on quadratics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from mastsim.moments import Recursion, recursion
from mastsim.theorems.rates import Over
from mastsim.validation import integer
from mastsim.verification.comparison import Comparison, Measured, compare
from mastsim.verification.tolerances import MINIMIZER_ROUNDING, RETURNED
from mastsim.verification.trial import Trial, over_steps, starting_points
from mastsim.verification.verdict import Curve, Verdict


def decide_rate_exactly(trial: Trial, chain: Recursion, steps: int = 200) -> Verdict:
    """Decide a rate on a quadratic from exact moments, for several starts and every step up to `steps`.

    Parameters
    ----------
    trial : Trial
        The claim and what is run.
    chain : Recursion
        The exact recursion of the method.
    steps : int, default 200
        Longest horizon.
    """
    integer("steps", steps, 1)

    def follow(tried: Trial, starts: np.ndarray) -> Measured:
        return exact_paths(tried, chain if tried is trial else recursion(tried.objective, tried.method), starts, steps)

    return decide_paths(trial, steps, follow)


def decide_paths(trial: Trial, steps: int, follow: Callable[[Trial, np.ndarray], Measured], scope: str = "") -> Verdict:
    """Decide a rate from means that are known up to an error, from several starts, which are followed together.

    What would refute is tried again at the step size that the theorem allows whatever the errors of its constants.
    """
    theorem, times = trial.theorem, np.arange(1, steps + 1)
    starts = starting_points(theorem.objective) if trial.start is None else {"the witness": trial.start}
    left, right, found = _tables(trial, times, starts, follow)
    if found.outcome == "refuted" and (
        trial.safe is None or _tables(trial.safe, times, starts, follow)[2].outcome != "refuted"
    ):
        found = replace(found, outcome="inconclusive", reason="rounding")
    row, when = divmod(found.where, steps)
    limit = f", {found.limit} ({np.count_nonzero(found.decided)} of {found.decided.size})" if found.limit else ""
    return trial.verdict(
        tier="exact",
        verdict=found.outcome,
        reason=found.reason,
        max_ratio=found.ratio,
        witness=f"step {when + 1} from {list(starts)[row]}",
        scope=f"steps 1..{steps} from {', '.join(starts)}{scope}{limit}",
        curve=Curve(times, left.value[row], right[row]),
    )


def _tables(
    trial: Trial, times: np.ndarray, starts: dict[str, np.ndarray], follow: Callable[[Trial, np.ndarray], Measured]
) -> tuple[Measured, np.ndarray, Comparison]:
    """Return left sides, right sides and their comparison, one row a start."""
    left = follow(trial, np.stack(list(starts.values())))
    initials = [trial.initial_from(x0) for x0 in starts.values()]
    right = np.stack([np.broadcast_to(trial.bound(times, initial), times.shape) for initial in initials])
    lenient = np.stack([np.broadcast_to(trial.lenient_bound(times, initial), times.shape) for initial in initials])
    # A bound of zero is met by what rounding leaves of the start, where both are of one kind.
    unit = RETURNED if trial.theorem.starts_from == trial.theorem.measure else MINIMIZER_ROUNDING
    floor = np.array([[unit * float(np.max(initial))] for initial in initials])
    return left, right, compare(left, right, lenient, floor)


def exact_paths(trial: Trial, chain: Recursion, starts: np.ndarray, steps: int) -> Measured:
    """Return what a rate bounds after 1, 2, …, `steps` steps from every start, from exact moments and their rounding."""
    theorem = trial.theorem
    found = chain.follow(starts, steps, [theorem.form(trial.stepsize, chain.center)])
    history = found.values[..., 0]
    with np.errstate(over="ignore", invalid="ignore"):
        # The moments are about the minimiser as it was found.
        away = theorem.displacement(theorem.measure)
        error = found.rounding[..., 0] + 2 * np.sqrt(history) * away + away**2
    return bounded_means(Measured.of(history, error), theorem.over)


def bounded_means(means: Measured, over: Over) -> Measured:
    """Return what is bounded after 1, 2, … steps; see `over_steps`."""
    return Measured(*(over_steps(part, over) for part in (means.low, means.value, means.high)))
