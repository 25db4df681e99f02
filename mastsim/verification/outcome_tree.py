"""Decisions about rates on small problems that are not quadratic: every outcome of every step, no sampling."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mastsim.draws import Draw, outcomes
from mastsim.expected import Objective
from mastsim.measuring import measure_points, measure_states
from mastsim.run import LYAPUNOV
from mastsim.theorems.rates import trace_of
from mastsim.validation import integer
from mastsim.verification.comparison import Measured
from mastsim.verification.exact_rates import bounded_means, decide_paths
from mastsim.verification.inequalities import require_exact
from mastsim.verification.tolerances import STEP_ROUNDING
from mastsim.verification.trial import Trial, measurable, recorded
from mastsim.verification.verdict import Verdict

LEAF_LIMIT = 1 << 11


def tree_depth(trial: Trial, least: int = 3, most: int = 12) -> int | None:
    """Return how many steps of a trial can be followed through all outcomes; None when fewer than `least`."""
    start = trial.method.init(trial.objective, trial.objective.center[None])
    try:
        branches = len(outcomes(lambda rows, draw: _step(trial, start, rows, draw), 1, limit=LEAF_LIMIT)[1])
    except ValueError:
        return None
    depth = most if branches == 1 else min(int(np.log(LEAF_LIMIT) / np.log(branches)), most)
    return depth if depth >= least else None


def decide_rate_on_tree(trial: Trial, steps: int) -> Verdict:
    """Decide a rate from the exact law of a few steps, from several starts."""
    require_exact(trial.objective)
    integer("steps", steps, 1)

    def follow(tried: Trial, starts: np.ndarray) -> Measured:
        return Measured.stack([pathmeans_along_tree(tried, x0, steps) for x0 in starts])

    verdict = decide_paths(trial, steps, follow, ", all outcomes")
    if verdict.verdict == "holds" and not _is_whole(trial):
        return replace(verdict, verdict="inconclusive", reason="a part")
    return verdict


def pathmeans_along_tree(trial: Trial, x0: np.ndarray, steps: int) -> Measured:
    """Return what a rate bounds after 1, 2, …, `steps` steps, with the errors of values and of x_D*, and rounding."""
    theorem = trial.theorem
    means, errors = means_along_tree(trial, x0, steps)
    roots = np.sqrt(np.maximum(means, 0.0))
    root = theorem.rounding(trial.stepsize, np.arange(len(means))) + STEP_ROUNDING * roots.max()
    with np.errstate(over="ignore", invalid="ignore"):
        found = Measured.of(means, 2 * roots * root + root**2 + errors)
    return bounded_means(found, theorem.over)


def means_along_tree(trial: Trial, x0: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the means of the measure, and the errors of evaluations in them, after 0, 1, …, `steps` steps."""
    state = trial.method.init(trial.objective, np.asarray(x0, dtype=float)[None])
    chance = np.ones(1)
    found = [_mean(trial, state, chance)]
    for step in range(steps):
        now, number = state, len(chance)
        state, branch = outcomes(lambda rows, draw: _step(trial, now, rows, draw), number, step, LEAF_LIMIT)  # noqa: B023
        chance = (chance[:, None] * branch).ravel()
        found.append(_mean(trial, state, chance))
    means, errors = zip(*found, strict=True)
    return np.array(means), np.array(errors)


def _step(trial: Trial, state: Any, rows: np.ndarray, draw: Draw) -> Any:
    chosen = type(state)(*(field[rows] for field in state))
    return trial.method.step(chosen, trial.objective, draw)


def _is_whole(trial: Trial) -> bool:
    """Whether all of what a theorem bounds can be computed from the states."""
    mixture = trial.theorem.mixture(trial.stepsize)
    return measurable(trial.theorem, trial.stepsize) == mixture


def _mean(trial: Trial, state: Any, chance: np.ndarray) -> tuple[float, float]:
    """Return the mean of the measure over the leaves, and the error of the evaluations of f and f_D in it."""
    found = [
        (weight, _mean_of(trial, measure, state, chance))
        for measure, weight in measurable(trial.theorem, trial.stepsize).items()
    ]
    return sum(weight * mean for weight, (mean, _) in found), sum(weight * error for weight, (_, error) in found)


def _mean_of(trial: Trial, measure: str, state: Any, chance: np.ndarray) -> tuple[float, float]:
    F = trial.objective
    if measure == LYAPUNOV:
        return float(chance @ measure_states(trial.method, F, state)), 0.0
    measured = recorded(measure, measure_points(F, state.x, trace_of(measure)))
    mean = float(chance @ measured)
    if measure not in ("gap", "gradient_norm2", "f_gap"):
        return mean, 0.0
    best, error = (F.problem.minimize(), 0.0) if measure == "f_gap" else (F.minimize(), _error_bound(F, state.x))
    if measure != "gradient_norm2":
        return mean, error + STEP_ROUNDING * (abs(best.value) + float(chance @ np.abs(measured)))
    slip = np.sqrt(2 * F.L_fD_sharp * error)
    return mean, float(chance @ (2 * np.sqrt(measured) * slip + slip**2)) if slip > 0 else 0.0


def _error_bound(objective: Objective, x: np.ndarray) -> float:
    return max(node.error_bound(x) for node in objective.nodes)
