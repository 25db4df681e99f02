"""Decisions about rates on small problems that are not quadratic: every outcome of every step, no sampling."""

from __future__ import annotations

from typing import Any

import numpy as np

from mastsim.draws import Draw, outcomes
from mastsim.engine import measure_points
from mastsim.validation import integer
from mastsim.verification.inequalities import outcome, require_exact
from mastsim.verification.rates import Trial, gathered, starting_points, trace_of
from mastsim.verification.verdict import Curve, Verdict

LEAF_LIMIT = 1 << 11


def tree_depth(trial: Trial, least: int = 3, most: int = 12) -> int | None:
    """Return how many steps of a trial can be followed through all outcomes; None when fewer than `least`.

    Parameters
    ----------
    trial : Trial
        What is run.
    least, most : int
        The range of useful depths.
    """
    start = trial.method.init(trial.objective, trial.objective.center[None])
    try:
        branches = len(outcomes(lambda rows, draw: _step(trial, start, rows, draw), 1, limit=LEAF_LIMIT)[1])
    except ValueError:
        return None
    depth = most if branches == 1 else min(int(np.log(LEAF_LIMIT) / np.log(branches)), most)
    return depth if depth >= least else None


def decide_rate_on_tree(trial: Trial, steps: int) -> Verdict:
    """Decide a rate from the exact law of a few steps, from several starts.

    Parameters
    ----------
    trial : Trial
        The claim and what is run.
    steps : int
        Number of steps; the law has as many atoms as the outcomes of one step to this power.

    Raises
    ------
    ValueError
        If f_D is only estimated, or a step has too many outcomes.
    """
    require_exact(trial.objective)
    theorem, times = trial.theorem, np.arange(1, integer("steps", steps, 1) + 1)
    starts = starting_points(theorem.objective)
    curves, ratios = [], []
    for x0 in starts.values():
        left = gathered(mean_along_tree(trial, x0, steps), theorem.over)
        curves.append(Curve(times, left, trial.bound_from(x0, times)))
        ratios.append(left / curves[-1].bound)
    worst, when = divmod(int(np.argmax(ratios)), steps)
    top = float(ratios[worst][when])
    return trial.verdict(
        tier="exact",
        verdict=outcome(top),
        max_ratio=top,
        witness=f"step {when + 1} from {list(starts)[worst]}",
        scope=f"steps 1..{steps} from {', '.join(starts)}, all outcomes",
        curve=curves[worst],
    )


def mean_along_tree(trial: Trial, x0: np.ndarray, steps: int) -> np.ndarray:
    """Return the exact mean of the measure after 0, 1, …, `steps` steps from `x0`."""
    state = trial.method.init(trial.objective, np.asarray(x0, dtype=float)[None])
    chance = np.ones(1)
    means = [_mean(trial, state.x, chance)]
    for step in range(steps):
        now, number = state, len(chance)
        state, branch = outcomes(lambda rows, draw: _step(trial, now, rows, draw), number, step, LEAF_LIMIT)  # noqa: B023
        chance = (chance[:, None] * branch).ravel()
        means.append(_mean(trial, state.x, chance))
    return np.array(means)


def _step(trial: Trial, state: Any, rows: np.ndarray, draw: Draw) -> Any:
    chosen = type(state)(*(field[rows] for field in state))
    return trial.method.step(chosen, trial.objective, draw)


def _mean(trial: Trial, x: np.ndarray, chance: np.ndarray) -> float:
    measured = measure_points(trial.objective, x, trace_of(trial.theorem))
    return float(chance @ (measured**2 if trial.theorem.measure == "gradient_norm2" else measured))
