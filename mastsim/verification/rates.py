"""Decisions about theorems that bound a mean along the path of a method: by exact moments, or from replicas."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mastsim.expected import Mast
from mastsim.methods import DSGD, Method
from mastsim.moments import Recursion, recursion
from mastsim.provenance import content_hash
from mastsim.run import Run
from mastsim.simulation import simulate
from mastsim.theorems import AssumptionError, Rate
from mastsim.validation import integer
from mastsim.verification.inequalities import expected_outcome, most_telling, outcome, require_exact
from mastsim.verification.sequential import SequentialDecision, decide_mean_at_most, family_alpha
from mastsim.verification.verdict import Curve, Outcome, Verdict

_CHECKPOINTS = 4
_RANGE_LIMIT = 1e4
_MOST_DOUBLINGS = 4
_TINY = 1e-300


@dataclass(frozen=True, eq=False)
class Trial:
    """A rate, the step size it is tried at, and what is simulated in its name.

    Parameters
    ----------
    theorem : Rate
        The claim.
    stepsize : float
        Step size γ; the claim is evaluated there whether or not the theorem allows it (negative controls).
    objective : Mast
        What the method is run on; the theorem's own objective except in negative controls.
    expected : {"holds", "refuted"}
        What should come out.
    """

    theorem: Rate
    stepsize: float
    objective: Mast
    expected: Outcome = "holds"

    @classmethod
    def of(cls, theorem: Rate) -> Trial:
        """Return the trial at the largest step size that the theorem allows."""
        return cls(theorem, theorem.stepsize, theorem.objective, expected_outcome(theorem))

    def bound(self, steps: np.ndarray | int, initial: np.ndarray | float) -> np.ndarray:
        """Return the claimed bound, enlarged by what rounding may add to the measure."""
        return self.forgive(np.asarray(self.theorem.claim(steps, self.stepsize, initial)))

    def forgive(self, bound: np.ndarray) -> np.ndarray:
        """Return a bound on the measure, enlarged by what rounding may add to its square root."""
        with np.errstate(over="ignore"):
            return np.maximum((np.sqrt(bound) + self.theorem.rounding(self.stepsize)) ** 2, _TINY)

    @property
    def method(self) -> Method:
        """The method of the theorem, at the step size of the trial."""
        return DSGD(self.stepsize)

    def verdict(self, **facts: object) -> Verdict:
        """Return a verdict with the facts of the trial filled in."""
        F = self.theorem.objective
        shared = {
            "theorem": self.theorem.id,
            "title": self.theorem.title,
            "source": self.theorem.source,
            "problem": F.problem.name,
            "sketch": f"{self.objective.sketch.name}, v {'≠' if F.center.any() else '='} 0",
            "method": f"{self.theorem.method}, γ = {self.stepsize:.4g}",
            "expected": self.expected,
        }
        return Verdict(**(shared | facts))  # type: ignore[arg-type]


def exact_recursion(trial: Trial) -> Recursion | None:
    """Return the exact moment recursion of a trial, or None when none is known."""
    try:
        return recursion(trial.objective, trial.method)
    except ValueError:
        return None


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
    times = np.arange(integer("steps", steps, 1) + 1)
    starts = _starts(theorem.objective)
    curves, ratios = [], []
    for y0 in starts.values():
        curve = Curve(times, getattr(chain.run(y0, steps), theorem.measure), trial.bound(times, float(y0 @ y0)))
        curves.append(curve)
        with np.errstate(over="ignore"):  # a diverging negative control
            ratios.append(curve.measured[1:] / curve.bound[1:])
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
    where that is useless or not about what was run, the central limit theorem, and then says so.

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
    theorem = trial.theorem
    require_exact(trial.objective)
    table = run.traces[theorem.measure]
    later = np.flatnonzero(run.recorded > 0)
    checkpoints = later[np.unique(np.linspace(0, len(later) - 1, _CHECKPOINTS).round().astype(int))]
    level, own = family_alpha(alpha, len(checkpoints)), trial.objective is theorem.objective
    decisions = {}
    for c in checkpoints.tolist():
        step, initial = int(run.recorded[c]), table[:, 0]
        bound = trial.bound(step, initial)
        most = trial.forgive(np.asarray(theorem.almost_sure_bound(step, trial.stepsize, initial)))
        reach = float(np.max(most / bound))
        proven = reach if reach <= _RANGE_LIMIT and own and not asymptotic else None
        with np.errstate(over="ignore"):
            decisions[step] = decide_mean_at_most(table[:, c] / bound, 1.0, level, upper=proven)
    return _combined(trial, run, decisions, alpha)


def judge_run(trial: Trial, run: Run, alpha: float) -> Verdict:
    """Decide a rate from replicas: by proven bounds with half of `alpha`, and what that leaves open asymptotically."""
    return _settle(decide_run(trial, run, alpha / 2), trial, run, alpha)


def decide_by_simulation(trial: Trial, steps: int, replicas: int, seed: int, alpha: float) -> Verdict:
    """Simulate and decide, with twice the replicas each time the verdict is inconclusive, up to sixteen times as many.

    It stops earlier when even that many would not decide. The tests are valid for every sample size and a replica's path
    does not depend on how many there are, so looking again costs nothing in error probability. What then is still open is
    left to the central limit theorem, with the other half of `alpha`.
    """
    most = replicas << _MOST_DOUBLINGS
    for doublings in range(_MOST_DOUBLINGS + 1):
        run = simulated(trial, steps, replicas << doublings, seed)
        verdict = decide_run(trial, run, alpha / 2)
        if verdict.verdict != "inconclusive" or verdict.needed > most:
            break
    return _settle(verdict, trial, run, alpha)


def _settle(verdict: Verdict, trial: Trial, run: Run, alpha: float) -> Verdict:
    if verdict.verdict == "inconclusive":
        normal = decide_run(trial, run, alpha / 2, asymptotic=True)
        verdict = normal if normal.verdict == "holds" or normal.needed < verdict.needed else verdict
    return replace(verdict, alpha=alpha)


def _combined(trial: Trial, run: Run, decisions: dict[int, SequentialDecision], alpha: float) -> Verdict:
    outcomes = [d.verdict for d in decisions.values()]
    verdict = "refuted" if "refuted" in outcomes else "inconclusive" if "inconclusive" in outcomes else "holds"
    step, worst = max(decisions.items(), key=lambda item: item[1].mean)
    bounded = verdict == "refuted" or all(d.tier == "bounded" for d in decisions.values())
    mean, band = _mean_and_band(run.traces[trial.theorem.measure])
    return trial.verdict(
        tier="Monte Carlo" if bounded else "Monte Carlo, asymptotic",
        verdict=verdict,
        max_ratio=worst.mean,
        witness=f"step {step}, mean of {run.replicas} replicas, seed {run.seed}",
        scope=f"steps {', '.join(map(str, decisions))} from the start of the run",
        alpha=alpha,
        samples=run.replicas,
        needed=max(d.needed for d in decisions.values()) if verdict == "inconclusive" else float("nan"),
        smallest_violation=min(d.smallest_violation for d in decisions.values()),
        curve=Curve(run.recorded, mean, trial.bound(run.recorded, float(mean[0])), band),
    )


def _mean_and_band(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return means over replicas, and two standard errors to both sides; a diverged replica makes both infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean = table.mean(axis=0)
        reach = 2 * table.std(axis=0, ddof=min(1, len(table) - 1)) / len(table) ** 0.5
        reach = np.where(np.isnan(reach), np.inf, reach)
        return mean, np.stack([np.maximum(np.where(np.isinf(reach), 0.0, mean - reach), 0.0), mean + reach])


def simulated(trial: Trial, steps: int, replicas: int, seed: int, progress: bool = False) -> Run:
    """Return replicas of a trial that start far from x_D*, where the first term of the bound can be told from the second."""
    best = trial.theorem.objective.minimize().x
    away = 1.0 + 10 * float(np.linalg.norm(best - trial.objective.center))
    start = best + away * np.ones(len(best)) / np.sqrt(len(best))
    return simulate(
        trial.method,
        trial.objective,
        steps=steps,
        replicas=replicas,
        seed=seed,
        x0=start,
        every=max(1, steps // 8),
        measures=(trial.theorem.measure,),
        threads=2,
        progress=progress,
    )


def check_run(theorem: Rate, run: Run) -> Trial:
    """Return the trial that a user's run stands for, refusing a run that does not belong to the theorem."""
    if run.objective_hash != content_hash(theorem.objective):
        raise ValueError(f"run is of {run.objective}, but the theorem is about {theorem.objective.name}")
    if run.method != theorem.method:
        raise ValueError(f"run is of {run.method}, but {theorem.title} is about {theorem.method}")
    if theorem.measure not in run.traces:
        raise ValueError(f"run did not record {theorem.measure!r}, which {theorem.title} bounds")
    if not (run.recorded > 0).any():
        raise ValueError("run has no record after its start, so there is nothing to judge; resume it")
    if run.stepsize > theorem.stepsize * (1 + 1e-12):
        raise AssumptionError(
            f"run has stepsize={run.stepsize:g}, above the largest that {theorem.title} allows ({theorem.stepsize:g})"
        )
    return Trial(theorem, run.stepsize, theorem.objective, expected_outcome(theorem))


def _starts(objective: Mast) -> dict[str, np.ndarray]:
    """Return deviations from x_D* to start from: the shift, x_D* itself, and extreme directions of H_D."""
    best = objective.minimize().x
    spread = 1.0 + float(np.linalg.norm(best - objective.center))
    basis = np.linalg.eigh(objective.curvature)[1]
    return {
        "the shift": objective.center - best,
        "x_D*": np.zeros(len(best)),
        "the flattest direction": spread * basis[:, 0],
        "the steepest direction": spread * basis[:, -1],
        "far away": 1e3 * spread * np.ones(len(best)) / np.sqrt(len(best)),
    }
