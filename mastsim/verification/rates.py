"""Decisions about theorems that bound a mean along the path of a method: by exact moments, or from replicas."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from mastsim.expected import Objective
from mastsim.methods import Method
from mastsim.moments import Recursion, recursion
from mastsim.provenance import content_hash
from mastsim.run import LYAPUNOV, Run
from mastsim.simulation import simulate
from mastsim.theorems import AssumptionError, Rate
from mastsim.theorems.leniency import forgiving, lenient
from mastsim.theorems.rates import Over
from mastsim.validation import integer
from mastsim.verification.comparison import Comparison, Measured, compare
from mastsim.verification.inequalities import expected_outcome, require_exact
from mastsim.verification.sequential import SequentialDecision, decide_mean_at_most, family_alpha
from mastsim.verification.verdict import Curve, Outcome, Reason, Verdict

_CHECKPOINTS = 4
_RANGE_LIMIT = 1e4
_MOST_DOUBLINGS = 4
_TINY = 1e-300
_FINEST = 1e-14
_VANISHED = 1e-12
_UNIT = 2.0**-100
"""Rounding of minimisers, which are found in 106-bit arithmetic, relative to squared distances."""


@dataclass(frozen=True, eq=False)
class Trial:
    """A rate, the step size it is tried at, and what is simulated in its name.

    Parameters
    ----------
    theorem : Rate
        The claim.
    stepsize : float
        Step size γ; the claim is evaluated there whether or not the theorem allows it (negative controls).
    objective : Objective
        What the method is run on; the theorem's own objective except in negative controls.
    expected : {"holds", "refuted"}
        What should come out.
    start : ndarray, shape (dim,), optional
        Where it starts from; when left out, exact decisions try a choice of several.
    coarseness : float, default 1.0
        Rounding of what was run, in units of that of double precision.
    """

    theorem: Rate
    stepsize: float
    objective: Objective
    expected: Outcome = "holds"
    start: np.ndarray | None = None
    coarseness: float = 1.0

    @classmethod
    def of(cls, theorem: Rate) -> Trial:
        """Return the trial at the largest step size that the theorem allows."""
        return cls(theorem, theorem.stepsize, theorem.objective, expected_outcome(theorem))

    def claimed(self, theorem: Rate, steps: np.ndarray | int, initial: np.ndarray | float) -> np.ndarray:
        """Return what a theorem claims at the step size of the trial."""
        return np.asarray(theorem.claim(steps, self.stepsize, initial))

    def bound(self, steps: np.ndarray | int, initial: np.ndarray | float) -> np.ndarray:
        """Return the bound as it is claimed, what a confirmation must stay below; NaN where a divisor is zero."""
        try:
            return self.claimed(self.theorem, steps, initial)
        except (ZeroDivisionError, OverflowError):
            return np.full(np.broadcast_shapes(np.shape(steps), np.shape(initial)), np.nan)

    def lenient_bound(self, steps: np.ndarray | int, initial: np.ndarray | float) -> np.ndarray:
        """Return the bound with every constant and the start moved by their errors: what a refutation must exceed."""
        slack = self.theorem.displacement(self.theorem.starts_from)
        return forgiving(self.claimed, self.weaker, steps, (np.sqrt(initial) * (1 + _FINEST) + slack) ** 2)

    @cached_property
    def weaker(self) -> Rate:
        """The theorem with every constant moved by its error to the weaker side."""
        return lenient(self.theorem)

    @property
    def safe(self) -> Trial | None:
        """The trial at a step that the theorem allows whatever the errors of its constants; None where there is none."""
        share = float(forgiving(lambda: self.weaker.stepsize / self.theorem.stepsize))
        return replace(self, stepsize=self.stepsize * min(share, 1.0)) if 0 < share < np.inf else None

    def forgive(self, bound: np.ndarray, steps: int, initial: np.ndarray | float) -> np.ndarray:
        """Return a bound on the measure of a path, enlarged by what rounding may add to its square root."""
        slack = self.coarseness * (self.theorem.rounding(self.stepsize, steps) + _FINEST * np.sqrt(initial))
        with np.errstate(over="ignore"):
            return np.maximum((np.sqrt(bound) + slack) ** 2, _TINY)

    def initial_from(self, x0: np.ndarray) -> float:
        """Return what the bound starts from at a start."""
        return self.theorem.initial_at(x0, self.stepsize)

    @property
    def method(self) -> Method:
        """The method of the theorem, at the step size of the trial."""
        return self.theorem.method_at(self.stepsize)

    def initials(self, run: Run) -> np.ndarray:
        """Return what the bound starts from for every replica of a run, shape (replicas,)."""
        if self.start is None:
            return self.theorem.initial_of(run)
        return np.full(run.replicas, self.initial_from(self.start))

    def measured(self, run: Run) -> np.ndarray:
        """Return what the theorem bounds, or a part of it where the run recorded no more, shape (replicas, records)."""
        mixture = self.theorem.mixture(self.stepsize) if self.is_whole(run) else {self.theorem.part: 1.0}
        tables = [weight * recorded(measure, run.traces[trace_of(measure)]) for measure, weight in mixture.items()]
        return sum(tables[1:], tables[0])

    def is_whole(self, run: Run) -> bool:
        """Whether the run recorded all of what the theorem bounds: a part of it can refute, never confirm."""
        return LYAPUNOV not in self.theorem.mixture(self.stepsize) or LYAPUNOV in run.traces

    def verdict(self, **facts: object) -> Verdict:
        """Return a verdict with the facts of the trial filled in."""
        shared = {
            "theorem": self.theorem.id,
            "title": self.theorem.title,
            "source": self.theorem.source,
            "problem": self.theorem.objective.problem.name,
            "sketch": self.objective.sketch_name,
            "method": f"{self.method.name}, γ = {self.stepsize:.4g}",
            "expected": self.expected,
            "measure": self.theorem.measure,
        }
        return Verdict(**(shared | facts))


def trace_of(measure: str) -> str:
    """Return the trace of a run that holds a measure, or its root."""
    return measure.removesuffix("2") if measure.endswith("gradient_norm2") else measure


def recorded(measure: str, trace: np.ndarray) -> np.ndarray:
    """Return a measure from the trace that holds it."""
    return trace**2 if measure.endswith("gradient_norm2") else trace


def measurable(theorem: Rate, stepsize: float) -> dict[str, float]:
    """Return what a theorem bounds as a weighted sum of measures, or a part of it where the whole cannot be computed."""
    mixture = theorem.mixture(stepsize)
    known = LYAPUNOV not in mixture or theorem.method_at(stepsize).knows_lyapunov(theorem.objective)
    return mixture if known else {theorem.part: 1.0}


def needed_traces(theorem: Rate, run: Run) -> tuple[str, ...]:
    """Return the traces that a run must have to be judged by a theorem."""
    mixture = theorem.mixture(run.stepsize)
    if LYAPUNOV in mixture and LYAPUNOV not in run.traces:
        return theorem.instead
    starts = () if LYAPUNOV in mixture else theorem.start_mixture(run.stepsize)
    return tuple(dict.fromkeys([*map(trace_of, mixture), *map(trace_of, starts)]))


def exact_recursion(trial: Trial) -> Recursion | None:
    """Return the exact moment recursion of a trial, or None when none is known."""
    try:
        return recursion(trial.objective, trial.method)
    except ValueError:
        return None


def gathered(history: np.ndarray, over: Over) -> np.ndarray:
    """Return what is bounded after 1, 2, … steps: the last entry, or the average or minimum of all before it."""
    if over == "last":
        return history[..., 1:]
    before = history[..., :-1]
    if over == "minimum":
        return np.minimum.accumulate(before, axis=-1)
    with np.errstate(over="ignore"):
        return np.cumsum(before, axis=-1) / np.arange(1, before.shape[-1] + 1)


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

    def follow(tried: Trial, x0: np.ndarray) -> Measured:
        return exact_path(tried, chain if tried is trial else recursion(tried.objective, tried.method), x0, steps)

    return decide_paths(trial, steps, follow)


def decide_paths(trial: Trial, steps: int, follow: Callable[[Trial, np.ndarray], Measured], scope: str = "") -> Verdict:
    """Decide a rate from means that are known up to an error, from several starts.

    What would refute is tried again at the step size that the theorem allows whatever the errors of its constants.

    Parameters
    ----------
    trial : Trial
        The claim and what is run.
    steps : int
        Longest horizon.
    follow : callable
        Maps a trial and a start to what is bounded after 1, 2, …, `steps` steps.
    scope : str, optional
        More words on what is decided.
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
    left = Measured.stack([follow(trial, x0) for x0 in starts.values()])
    initials = [trial.initial_from(x0) for x0 in starts.values()]
    right = np.stack([np.broadcast_to(trial.bound(times, initial), times.shape) for initial in initials])
    lenient = np.stack([np.broadcast_to(trial.lenient_bound(times, initial), times.shape) for initial in initials])
    # A bound of zero is met by what rounding leaves of the start, where both are of one kind.
    unit = _VANISHED if trial.theorem.starts_from == trial.theorem.measure else _UNIT
    floor = np.array([[unit * float(np.max(initial))] for initial in initials])
    return left, right, compare(left, right, lenient, floor)


def exact_path(trial: Trial, chain: Recursion, x0: np.ndarray, steps: int) -> Measured:
    """Return what a rate bounds after 1, 2, …, `steps` steps from exact moments, with what rounding may change."""
    theorem = trial.theorem
    forms = [theorem.form(trial.stepsize, chain.center)]
    history = chain.run(x0, steps, forms)[:, 0]
    with np.errstate(over="ignore", invalid="ignore"):
        # The moments are about the minimiser as it was found.
        away = theorem.displacement(theorem.measure)
        error = chain.rounding(x0, steps, forms)[:, 0] + 2 * np.sqrt(history) * away + away**2
    return gathered_means(Measured.of(history, error), theorem.over)


def gathered_means(means: Measured, over: Over) -> Measured:
    """Return what is bounded after 1, 2, … steps; see `gathered`."""
    return Measured(*(gathered(part, over) for part in (means.low, means.value, means.high)))


def decide_run(trial: Trial, run: Run, alpha: float, *, asymptotic: bool = False) -> Verdict:
    """Decide a rate from replicas, at a few recorded steps, with error probability at most `alpha`.

    A refutation needs only that the measure is nonnegative. A confirmation uses the theorem's almost sure bound on it, or,
    where that is useless or not about what was run, the central limit theorem, and then says so. A claim about the minimum
    over steps of the mean is confirmed by any one step, or by the average, and refuted only by all of them.

    Parameters
    ----------
    trial : Trial
        The claim and what was run.
    run : Run
        The replicas; each is compared with the bound for its own start.
    alpha : float
        Error probability for the whole verdict.
    asymptotic : bool, default False
        Confirm by the central limit theorem even where the almost sure bound could be used.
    """
    require_exact(trial.objective)
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
    """Decide one sample: confirmed by the bound as claimed, refuted by the lenient one only.

    A refutation at the lenient bound is wrong with probability at most `level`, whatever the bound as claimed said before.
    """
    initial = trial.initials(run)
    most = None
    if proofs:
        most = trial.forgive(trial.theorem.almost_sure_bound(sample.steps, trial.stepsize, run), sample.steps, initial)
    found = _bet(sample.left, sample.right, level, most)
    if found.verdict == "refuted":
        lenient = trial.forgive(trial.lenient_bound(sample.steps, initial), sample.steps, initial)
        found = replace(found, verdict=_bet(sample.left, lenient, level, most).verdict)
        reason: Reason = "" if found.verdict == "refuted" else "rounding"
        return _Decision(found, "refuted" if found.verdict == "refuted" else "inconclusive", reason)
    if found.verdict == "holds":
        if not trial.is_whole(run):
            return _Decision(found, "inconclusive", "a part")
        if (trial.forgive(np.zeros(1), sample.steps, 0.0) > np.maximum(sample.right, _TINY)).any():
            return _Decision(found, "inconclusive", "rounding")
    return _Decision(found, found.verdict, "")


def _bet(left: np.ndarray, right: np.ndarray, level: float, most: np.ndarray | None) -> SequentialDecision:
    """Decide E left/right ≤ 1; by a proven bound on the left sides where that is useful."""
    right = np.maximum(right, _TINY)
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
    return _settle(decide_run(trial, run, alpha / 2), trial, run, alpha)


def decide_by_simulation(trial: Trial, steps: int, replicas: int, seed: int, alpha: float) -> Verdict:
    """Simulate and decide, with twice the replicas each time the verdict is inconclusive, up to sixteen times as many.

    It stops earlier when even that many would not decide. The tests are valid for every sample size and a replica's path
    does not depend on how many there are, so looking again costs nothing in error probability. What then is still open is
    left to the central limit theorem, with the other half of `alpha`.
    """
    require_exact(trial.objective)
    most = replicas << _MOST_DOUBLINGS
    trial = trial if trial.start is not None else replace(trial, start=far_start(trial))
    for doublings in range(_MOST_DOUBLINGS + 1):
        run = simulated(trial, steps, replicas << doublings, seed)
        verdict = decide_run(trial, run, alpha / 2)
        if verdict.verdict != "inconclusive" or verdict.needed > most:
            break
        settled = _settle(verdict, trial, run, alpha)
        if settled.verdict != "inconclusive" and not _provable(trial, run):
            return settled
    return _settle(verdict, trial, run, alpha)


def _provable(trial: Trial, run: Run) -> bool:
    """Whether more replicas could ever make a confirmation a proof."""
    return bool(np.isfinite(trial.theorem.almost_sure_bound(1, trial.stepsize, run)).all())


def _settle(verdict: Verdict, trial: Trial, run: Run, alpha: float) -> Verdict:
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
    """Return the mean of the measure over replicas, gathered as the theorem says, beside the bound."""
    theorem, table, steps = trial.theorem, trial.measured(run), run.recorded
    if theorem.over == "average":
        steps, table = steps[1:], gathered(table, "average")
    mean, band = _mean_and_band(table)
    if theorem.over == "minimum":
        # The least of the means: the mean of each replica's own least is smaller than what is bounded.
        least = [int(np.argmin(mean[: c + 1])) for c in range(len(mean) - 1)]
        steps, mean, band = steps[1:], mean[least], band[:, least]
    return Curve(steps, mean, trial.bound(steps, float(np.mean(trial.initials(run)))), band)


def _mean_and_band(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return means over replicas, and two standard errors to both sides; a diverged replica makes both infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean = table.mean(axis=0)
        reach = 2 * table.std(axis=0, ddof=min(1, len(table) - 1)) / len(table) ** 0.5
        reach = np.where(np.isnan(reach), np.inf, reach)
        return mean, np.stack([np.maximum(np.where(np.isinf(reach), 0.0, mean - reach), 0.0), mean + reach])


def far_start(trial: Trial) -> np.ndarray:
    """Return a start far from x_D*, where the first term of the bound can be told from the second."""
    best = trial.theorem.objective.minimize().x
    # Quadrature takes longer the farther out.
    spread = 2 if trial.theorem.measure in ("gap", "gradient_norm2") else 10
    away = 1.0 + spread * float(np.linalg.norm(best - trial.objective.center))
    far: np.ndarray = best + away * np.ones(len(best)) / np.sqrt(len(best))
    return far


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
        threads=2,
        progress=progress,
    )


def check_run(theorem: Rate, run: Run) -> Trial:
    """Return the trial that a user's run stands for, refusing a run that does not belong to the theorem."""
    if run.objective_hash != content_hash(theorem.objective):
        raise ValueError(f"run is of {run.objective}, but the theorem is about {theorem.objective.name}")
    coarseness = float(np.finfo(run.precision).eps / np.finfo(float).eps)
    trial = Trial(theorem, run.stepsize, theorem.objective, expected_outcome(theorem), coarseness=coarseness)
    if run.method_hash != content_hash(trial.method):
        raise ValueError(f"run is of {run.method}, but {theorem.title} is about {trial.method.name} with the same settings")
    for name in needed_traces(theorem, run):
        if name not in run.traces:
            raise ValueError(f"run did not record {name!r}, which {theorem.title} bounds or starts from")
    if not (run.recorded > 0).any():
        raise ValueError("run has no record after its start, so there is nothing to judge; resume it")
    if theorem.over == "average" and len(run.recorded) <= run.steps_done:
        raise ValueError(f"run recorded every {run.every} steps, but {theorem.title} is about an average; use every=1")
    if run.stepsize > theorem.limit * (1 + 1e-12):
        raise AssumptionError(
            f"run has stepsize={run.stepsize:g}, above the largest that {theorem.title} allows ({theorem.limit:g})"
        )
    return trial


def starting_points(objective: Objective) -> dict[str, np.ndarray]:
    """Return where to start from: the shift, x_D* itself, and points from it along extreme directions of H_D."""
    best = objective.minimize().x
    spread = 1.0 + float(np.linalg.norm(best - objective.center))
    basis = np.linalg.eigh(objective.curvature)[1]
    return {
        "the shift": objective.center,
        "x_D*": best,
        "the flattest direction": best + spread * basis[:, 0],
        "the steepest direction": best + spread * basis[:, -1],
        "far away": best + 1e3 * spread * np.ones(len(best)) / np.sqrt(len(best)),
    }
