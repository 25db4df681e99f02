"""Decisions about theorems that bound a mean along the path of a method: by exact moments, or from replicas."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from mastsim.expected import Objective
from mastsim.methods import Method
from mastsim.moments import Recursion, recursion
from mastsim.provenance import content_hash
from mastsim.run import TRACES, Run
from mastsim.simulation import simulate
from mastsim.theorems import AssumptionError, Rate
from mastsim.theorems.rates import Over
from mastsim.validation import integer
from mastsim.verification.inequalities import expected_outcome, most_telling, outcome, require_exact
from mastsim.verification.sequential import SequentialDecision, decide_mean_at_most, family_alpha
from mastsim.verification.verdict import Curve, Outcome, Verdict

_CHECKPOINTS = 4
_RANGE_LIMIT = 1e4
_MOST_DOUBLINGS = 4
_TINY = 1e-300
_FINEST = 1e-14


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
    """

    theorem: Rate
    stepsize: float
    objective: Objective
    expected: Outcome = "holds"
    start: np.ndarray | None = None

    @classmethod
    def of(cls, theorem: Rate) -> Trial:
        """Return the trial at the largest step size that the theorem allows."""
        return cls(theorem, theorem.stepsize, theorem.objective, expected_outcome(theorem))

    def bound(self, steps: np.ndarray | int, initial: np.ndarray | float) -> np.ndarray:
        """Return the claimed bound, enlarged by what rounding may add to the measure."""
        claimed = np.asarray(self.theorem.claim(steps, self.stepsize, initial))
        return self.forgive(claimed, int(np.max(steps)), initial)

    def forgive(self, bound: np.ndarray, steps: int, initial: np.ndarray | float) -> np.ndarray:
        """Return a bound on the measure, enlarged by what rounding may add to its square root: also 1e-14 of the start's."""
        slack = self.theorem.rounding(self.stepsize, steps) + 1e-14 * np.sqrt(initial)
        with np.errstate(over="ignore"):
            return np.maximum((np.sqrt(bound) + slack) ** 2, _TINY)

    def bound_from(self, x0: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """Return the claimed bound from one start, enlarged by rounding, also by that of exact moments.

        Values and gradients of f_D vanish along directions in which the distance need not: what is 0 there comes out of a
        recursion, or of a sum over outcomes, as rounding of the squared distance.
        """
        bound = self.bound(steps, self.theorem.initial_at(x0))
        if self.theorem.measure not in ("gap", "gradient_norm2"):
            return bound
        y = x0 - self.theorem.objective.minimize().x
        return bound + _FINEST * self.theorem.stretch**2 * float(y @ y)

    @property
    def method(self) -> Method:
        """The method of the theorem, at the step size of the trial."""
        return self.theorem.method_at(self.stepsize)

    def initials(self, run: Run) -> np.ndarray:
        """Return what the bound starts from for every replica of a run, shape (replicas,)."""
        if self.start is None:
            return self.theorem.initial_of(run)
        return np.full(run.replicas, self.theorem.initial_at(self.start))

    def measured(self, run: Run) -> np.ndarray:
        """Return what the theorem bounds, or something smaller, shape (replicas, records).

        For the Lyapunov function that is the squared distance, one of its terms.
        """
        table = run.traces[trace_of(self.theorem)]
        return table**2 if self.theorem.measure == "gradient_norm2" else table

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


def trace_of(theorem: Rate | type[Rate]) -> str:
    """Return the trace of a run in which the measure of a theorem is found."""
    return TRACES.get(theorem.measure, theorem.measure)


def needed_traces(theorem: Rate) -> tuple[str, ...]:
    """Return the traces that a run must have to be judged by a theorem."""
    starts = ("distance", "gap") if theorem.starts_from == "lyapunov" else (theorem.starts_from,)
    return tuple(dict.fromkeys([trace_of(theorem), *starts]))


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
    theorem = trial.theorem
    times = np.arange(1, integer("steps", steps, 1) + 1)
    starts = starting_points(theorem.objective) if trial.start is None else {"the witness": trial.start}
    form = theorem.form(trial.stepsize, chain.center)
    curves, ratios = [], []
    for x0 in starts.values():
        left = gathered(chain.run(x0, steps, [form])[:, 0], theorem.over)
        curve = Curve(times, left, trial.bound_from(x0, times))
        curves.append(curve)
        with np.errstate(over="ignore", invalid="ignore"):  # a diverging negative control
            ratios.append(curve.measured / curve.bound)
    worst, when = divmod(most_telling(np.array(ratios)), steps)
    top = float(ratios[worst][when])
    return trial.verdict(
        tier="exact",
        verdict=outcome(top),
        max_ratio=top,
        witness=f"step {when + 1} from {list(starts)[worst]}",
        scope=f"steps 1..{steps} from {', '.join(starts)}",
        curve=curves[worst],
    )


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
    decisions: dict[str, SequentialDecision] = {}
    for what, step, left, right in samples:
        upper = None
        if proofs:
            most = trial.forgive(trial.theorem.almost_sure_bound(step, trial.stepsize, run), step, trial.initials(run))
            reach = float(np.max(most / right))
            upper = reach if reach <= _RANGE_LIMIT else None
        with np.errstate(over="ignore"):
            decisions[what] = decide_mean_at_most(left / right, 1.0, level, upper=upper)
    return _combined(trial, run, decisions, alpha)


def _samples(trial: Trial, run: Run) -> Iterator[tuple[str, int, np.ndarray, np.ndarray]]:
    """Yield what is compared: its name, the number of steps, and left and right side of every replica."""
    theorem, table, recorded = trial.theorem, trial.measured(run), run.recorded
    initial = trial.initials(run)
    later = np.flatnonzero(recorded > 0)
    chosen = later[np.unique(np.linspace(0, len(later) - 1, _CHECKPOINTS).round().astype(int))].tolist()
    if theorem.over == "last":
        for c in chosen:
            yield f"step {recorded[c]}", int(recorded[c]), table[:, c], trial.bound(int(recorded[c]), initial)
        return
    last = int(recorded[chosen[-1]])
    right = trial.bound(last, initial)
    before = table[:, recorded < last]
    with np.errstate(over="ignore"):
        yield f"the average over {before.shape[1]} of the first {last} steps", last, before.mean(axis=1), right
    if theorem.over == "minimum":
        for c in range(last) if before.shape[1] == last else [0, *chosen[:-1]]:
            yield f"step {recorded[c]}", last, table[:, c], right


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


def _combined(trial: Trial, run: Run, decisions: dict[str, SequentialDecision], alpha: float) -> Verdict:
    all_of_them = trial.theorem.over != "minimum"
    verdict = _joint_outcome([d.verdict for d in decisions.values()], all_of_them, _complete(run))
    telling, least = (max, min) if all_of_them else (min, max)
    what, worst = telling(decisions.items(), key=lambda item: item[1].mean)
    needed = telling(d.needed for d in decisions.values())
    deciding = [d for d in decisions.values() if all_of_them or d.verdict == verdict]
    bounded = verdict == "refuted" or all(d.tier == "bounded" for d in deciding)
    return trial.verdict(
        tier="Monte Carlo" if bounded else "Monte Carlo, asymptotic",
        verdict=verdict,
        max_ratio=worst.mean,
        witness=f"{what}, mean of {run.replicas} replicas, seed {run.seed}",
        scope=f"{', '.join(decisions)} from the start of the run",
        alpha=alpha,
        samples=run.replicas,
        needed=needed if verdict == "inconclusive" else float("nan"),
        smallest_violation=least(d.smallest_violation for d in decisions.values()),
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
    theorem, table = trial.theorem, trial.measured(run)
    if theorem.over == "last":
        steps = run.recorded
    else:
        steps, table = run.recorded[1:], gathered(table, "average" if theorem.over == "average" else "minimum")
    mean, band = _mean_and_band(table)
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
    spread = 10 if trace_of(trial.theorem) in ("distance", "error") else 2
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
        measures=tuple(dict.fromkeys([trace_of(trial.theorem), "distance"])),
        threads=2,
        progress=progress,
    )


def check_run(theorem: Rate, run: Run) -> Trial:
    """Return the trial that a user's run stands for, refusing a run that does not belong to the theorem."""
    if run.objective_hash != content_hash(theorem.objective):
        raise ValueError(f"run is of {run.objective}, but the theorem is about {theorem.objective.name}")
    trial = Trial(theorem, run.stepsize, theorem.objective, expected_outcome(theorem))
    if run.method_hash != content_hash(trial.method):
        raise ValueError(f"run is of {run.method}, but {theorem.title} is about {trial.method.name} with the same settings")
    for name in needed_traces(theorem):
        if name not in run.traces:
            raise ValueError(f"run did not record {name!r}, which {theorem.title} bounds or starts from")
    if not (run.recorded > 0).any():
        raise ValueError("run has no record after its start, so there is nothing to judge; resume it")
    if theorem.over == "average" and len(run.recorded) <= run.steps_done:
        raise ValueError(f"run recorded every {run.every} steps, but {theorem.title} is about an average; use every=1")
    if run.stepsize > theorem.stepsize * (1 + 1e-12):
        raise AssumptionError(
            f"run has stepsize={run.stepsize:g}, above the largest that {theorem.title} allows ({theorem.stepsize:g})"
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
