"""Decisions about rates from replicas, with an error probability."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from mastsim.parallel import thread_count
from mastsim.provenance import content_hash
from mastsim.run import Run
from mastsim.simulation import simulate
from mastsim.standard_errors import mean_and_error
from mastsim.theorems import AssumptionError, Rate
from mastsim.theorems.rates import trace_of
from mastsim.verification.inequalities import expected_outcome, require_exact
from mastsim.verification.sequential import SequentialDecision, decide_mean_at_most, family_alpha
from mastsim.verification.tolerances import SMALLEST
from mastsim.verification.trial import Trial, far_start, measurable, needed_traces, over_steps
from mastsim.verification.verdict import Curve, Outcome, Reason, Verdict

_CHECKPOINTS = 4
_RANGE_LIMIT = 1e4
_FIRST_REPLICAS, _MOST_REPLICAS, _CHUNK = 256, 8192, 64


def decide_run(trial: Trial, run: Run, alpha: float, *, asymptotic: bool = False) -> Verdict:
    """Decide a rate from replicas, at a few recorded steps, with error probability at most `alpha`.

    A refutation needs only that the measure is nonnegative. A confirmation uses the theorem's almost sure bound on it, or,
    where that is useless or not about what was run, the central limit theorem, and then says so. A claim about the minimum
    over steps of the mean is confirmed by any one step, or by the average, and refuted only by all of them.
    """
    require_exact(trial.objective)
    for name in run.errors.keys() & needed_traces(trial.theorem, run):
        raise ValueError(f"run measured {name!r} at points too far out for exact values, and estimates are not judged")
    coarseness = float(np.finfo(run.precision).eps / np.finfo(float).eps)
    trial = replace(trial, recorded=run.measure_accuracy, coarseness=coarseness)
    proofs = trial.objective is trial.theorem.objective and not asymptotic
    samples = list(_samples(trial, run))
    level = family_alpha(alpha, len(samples))
    decisions = {sample.what: _decided(trial, run, sample, level, proofs) for sample in samples}
    return _combined(trial, run, decisions, alpha)


class _Sample(NamedTuple):
    """Left sides of every replica, and the right sides as claimed, after some steps."""

    what: str
    steps: int
    left: np.ndarray
    right: np.ndarray


class _Decision(NamedTuple):
    """What the replicas say, and why that is not taken for an answer."""

    of_samples: SequentialDecision
    verdict: Outcome
    reason: Reason


def _decided(trial: Trial, run: Run, sample: _Sample, level: float, proofs: bool) -> _Decision:
    """Decide one sample: confirmed by the bound as claimed, refuted by the lenient one only."""
    initial = trial.initials(run)
    most = None
    if proofs:
        surely = trial.theorem.almost_sure_bound(sample.steps, trial.stepsize, run) * trial.excess
        most = trial.with_rounding(surely, sample.steps, initial)
    found = _bet(sample.left, sample.right, level, most)
    if found.verdict == "refuted":
        lenient = trial.with_rounding(trial.lenient_bound(sample.steps, initial), sample.steps, initial)
        found = replace(found, verdict=_bet(sample.left, lenient, level, most).verdict)
        reason: Reason = "" if found.verdict == "refuted" else "rounding"
        return _Decision(found, "refuted" if found.verdict == "refuted" else "inconclusive", reason)
    if found.verdict == "holds":
        if not trial.is_whole(run):
            return _Decision(found, "inconclusive", "a part")
        hidden = trial.with_rounding(np.zeros(1), sample.steps, 0.0) > np.maximum(sample.right, SMALLEST)
        # What was recorded may be too small, and what the bound starts from too large.
        if hidden.any() or _bet(sample.left, sample.right / trial.excess**2, level, most).verdict != "holds":
            return _Decision(found, "inconclusive", "rounding")
    return _Decision(found, found.verdict, "")


def _bet(left: np.ndarray, right: np.ndarray, level: float, most: np.ndarray | None) -> SequentialDecision:
    """Decide E left/right ≤ 1; by a proven bound on the left sides where that is useful."""
    right = np.maximum(right, SMALLEST)
    with np.errstate(over="ignore"):
        reach = np.inf if most is None else float(np.max(most / right))
        return decide_mean_at_most(left / right, 1.0, level, upper=reach if reach <= _RANGE_LIMIT else None)


def _samples(trial: Trial, run: Run) -> Iterator[_Sample]:
    """Yield what is compared."""
    theorem, table, recorded = trial.theorem, trial.measured(run), run.recorded
    initial = trial.initials(run)
    later = np.flatnonzero(recorded > 0)
    chosen = later[np.unique(np.linspace(0, len(later) - 1, _CHECKPOINTS).round().astype(int))].tolist()
    if theorem.over == "last":
        for c in chosen:
            yield _Sample(f"step {recorded[c]}", int(recorded[c]), table[:, c], trial.bound(int(recorded[c]), initial))
        return
    last = int(recorded[chosen[-1]])
    right = trial.bound(last, initial)
    before = table[:, recorded < last]
    with np.errstate(over="ignore"):
        yield _Sample(f"the average over {before.shape[1]} of the first {last} steps", last, before.mean(axis=1), right)
    if theorem.over == "minimum":
        for c in range(last) if before.shape[1] == last else [0, *chosen[:-1]]:
            yield _Sample(f"step {recorded[c]}", last, table[:, c], right)


def judge_run(trial: Trial, run: Run, alpha: float) -> Verdict:
    """Decide a rate from replicas: by proven bounds with half of `alpha`, and what that leaves open asymptotically."""
    return _left_to_normal_law(decide_run(trial, run, alpha / 2), trial, run, alpha)


def decide_by_simulation(trial: Trial, steps: int, seed: int, alpha: float) -> Verdict:
    """Simulate and decide, with as many replicas as should decide each time the verdict is inconclusive, up to 8192.

    It stops earlier when even that many would not decide. The tests are valid for every sample size and a replica's path
    does not depend on how many there are, so looking again costs nothing in error probability. What then is still open is
    left to the central limit theorem, with the other half of `alpha`.
    """
    require_exact(trial.objective)
    trial = trial if trial.start is not None else replace(trial, start=far_start(trial))
    replicas = _FIRST_REPLICAS
    while True:
        run = simulated(trial, steps, replicas, seed)
        verdict = decide_run(trial, run, alpha / 2)
        if verdict.verdict != "inconclusive" or replicas == _MOST_REPLICAS or verdict.needed > _MOST_REPLICAS:
            return _left_to_normal_law(verdict, trial, run, alpha)
        with_normal_law = _left_to_normal_law(verdict, trial, run, alpha)
        if with_normal_law.verdict != "inconclusive" and not _provable(trial, run):
            return with_normal_law
        replicas = _more_replicas(verdict.needed)


def _more_replicas(needed: float) -> int:
    """Return a quarter more than are thought to be needed, in whole chunks."""
    return min(_CHUNK * math.ceil(1.25 * needed / _CHUNK), _MOST_REPLICAS)


def _provable(trial: Trial, run: Run) -> bool:
    """Whether more replicas could ever make a confirmation a proof."""
    return bool(np.isfinite(trial.theorem.almost_sure_bound(1, trial.stepsize, run)).all())


def _left_to_normal_law(verdict: Verdict, trial: Trial, run: Run, alpha: float) -> Verdict:
    if verdict.verdict == "inconclusive":
        normal = decide_run(trial, run, alpha / 2, asymptotic=True)
        verdict = normal if normal.verdict == "holds" or normal.needed < verdict.needed else verdict
    return replace(verdict, alpha=alpha)


def _combined(trial: Trial, run: Run, decisions: dict[str, _Decision], alpha: float) -> Verdict:
    all_of_them = trial.theorem.over != "minimum"
    verdict = _joint_outcome([d.verdict for d in decisions.values()], all_of_them, _complete(run))
    telling, least = (max, min) if all_of_them else (min, max)
    what, worst = telling(decisions.items(), key=lambda item: item[1].of_samples.mean)
    needed = telling(np.inf if d.reason else d.of_samples.needed for d in decisions.values())
    deciding = [d for d in decisions.values() if all_of_them or d.verdict == verdict]
    bounded = verdict == "refuted" or all(d.of_samples.tier == "bounded" for d in deciding)
    reasons = [d.reason for d in decisions.values() if d.reason]
    return trial.verdict(
        tier="Monte Carlo" if bounded else "Monte Carlo, asymptotic",
        verdict=verdict,
        reason=reasons[0] if reasons and verdict == "inconclusive" else "",
        max_ratio=worst.of_samples.mean,
        witness=f"{what}, mean of {run.replicas} replicas, seed {run.seed}",
        scope=f"{', '.join(decisions)} from the start of the run",
        alpha=alpha,
        samples=run.replicas,
        needed=needed if verdict == "inconclusive" else float("nan"),
        smallest_violation=least(d.of_samples.smallest_violation for d in decisions.values()),
        curve=_curve(trial, run),
    )


def _joint_outcome(outcomes: list[Outcome], all_of_them: bool, complete: bool) -> Outcome:
    """Return the outcome for a claim about each of several means, or about the least of them."""
    if all_of_them:
        return "refuted" if "refuted" in outcomes else "inconclusive" if "inconclusive" in outcomes else "holds"
    if "holds" in outcomes:
        return "holds"
    return "refuted" if complete and set(outcomes) == {"refuted"} else "inconclusive"


def _complete(run: Run) -> bool:
    """Whether every step was recorded: the least of some means refutes nothing about the least of all."""
    return len(run.recorded) == run.steps_done + 1


def _curve(trial: Trial, run: Run) -> Curve:
    """Return the mean of the measure over replicas, taken over steps as the theorem says, beside the bound."""
    theorem, table, steps = trial.theorem, trial.measured(run), run.recorded
    if theorem.over == "average":
        steps, table = steps[1:], over_steps(table, "average")
    mean, band = _mean_and_band(table)
    if theorem.over == "minimum":
        # The least of the means: the mean of each replica's own least is smaller than what is bounded.
        least = [int(np.argmin(mean[: c + 1])) for c in range(len(mean) - 1)]
        steps, mean, band = steps[1:], mean[least], band[:, least]
    return Curve(steps, mean, trial.bound(steps, float(np.mean(trial.initials(run)))), band)


def _mean_and_band(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return means over replicas, and two standard errors to both sides; a diverged replica makes both infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean, error = mean_and_error(table, alone=0.0)
        reach = np.where(np.isnan(error), np.inf, 2 * error)
        return mean, np.stack([np.maximum(np.where(np.isinf(reach), 0.0, mean - reach), 0.0), mean + reach])


def simulated(trial: Trial, steps: int, replicas: int, seed: int, progress: bool = False) -> Run:
    """Return replicas of a trial from its start."""
    return simulate(
        trial.method,
        trial.objective,
        steps=steps,
        replicas=replicas,
        seed=seed,
        x0=far_start(trial) if trial.start is None else trial.start,
        every=max(1, steps // 8) if trial.theorem.over != "average" else 1,
        measures=tuple(dict.fromkeys([*map(trace_of, measurable(trial.theorem, trial.stepsize)), "distance"])),
        threads=thread_count(),
        progress=progress,
    )


def check_run(theorem: Rate, run: Run) -> Trial:
    """Return the trial that a user's run stands for, refusing a run that does not belong to the theorem."""
    if run.request.objective_hash != content_hash(theorem.objective):
        raise ValueError(f"run is of {run.objective}, but the theorem is about {theorem.objective.name}")
    trial = Trial(theorem, run.stepsize, theorem.objective, expected_outcome(theorem))
    if run.request.method_hash != content_hash(trial.method):
        raise ValueError(f"run is of {run.method}, but {theorem.title} is about {trial.method.name} with the same settings")
    for name in needed_traces(theorem, run):
        if name not in run.traces:
            raise ValueError(f"run did not record {name!r}, which {theorem.title} bounds or starts from")
    if not run.complete:
        raise ValueError(f"run ended at step {run.steps_done} of {run.steps}, and a part of a run is not judged; resume it")
    if theorem.over == "average" and len(run.recorded) <= run.steps_done:
        raise ValueError(f"run recorded every {run.every} steps, but {theorem.title} is about an average; use every=1")
    if run.stepsize > theorem.limit * (1 + 1e-12):
        raise AssumptionError(
            f"run has stepsize={run.stepsize:g}, above the largest that {theorem.title} allows ({theorem.limit:g})"
        )
    return trial
