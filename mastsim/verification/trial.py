"""A rate, the step size that it is tried at, and what is run in its name: bounds with their errors, starts, and traces."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from mastsim.expected import Objective
from mastsim.methods import Method
from mastsim.moments import Recursion, recursion
from mastsim.run import LYAPUNOV, Run
from mastsim.theorems import Rate
from mastsim.theorems.leniency import allowed_by, lenient
from mastsim.theorems.rates import ABOUT_F, Case, Over, trace_of
from mastsim.verification.inequalities import expected_outcome
from mastsim.verification.tolerances import SMALLEST, STEP_ROUNDING
from mastsim.verification.verdict import Outcome, Verdict


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
    recorded : float, optional
        How far records of a run may be off, relative to themselves; left out where no run is judged.
    """

    theorem: Rate
    stepsize: float
    objective: Objective
    expected: Outcome = "holds"
    start: np.ndarray | None = None
    coarseness: float = 1.0
    recorded: float | None = None

    @classmethod
    def of(cls, theorem: Rate) -> Trial:
        """Return the trial at the largest step size that the theorem allows."""
        return cls(theorem, theorem.stepsize, theorem.objective, expected_outcome(theorem))

    @classmethod
    def of_case(cls, case: Case) -> Trial:
        """Return the trial of a case, at the largest step size that its theorem allows."""
        return cls(case.theorem, case.theorem.stepsize, case.theorem.objective, case.expected, case.start)

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
        start = (np.sqrt(initial) * (1 + STEP_ROUNDING) + slack) ** 2 * (1 + (self.recorded or 0.0))
        return allowed_by(self.claimed, self.weaker, steps, start)

    @cached_property
    def record_error(self) -> float:
        """How far off the square root of what was measured may be for the rounding of f and f_D alone."""
        if self.recorded is None:
            return 0.0
        parts = {self.theorem.part: 1.0, **self.theorem.mixture(self.stepsize)}
        return sum(weight**0.5 * evaluation_error(self.theorem.objective, name) for name, weight in parts.items())

    @property
    def excess(self) -> float:
        """By what factor a measure from a record may exceed the true one: norms are squared."""
        return (1 + (self.recorded or 0.0)) ** 2

    @cached_property
    def weaker(self) -> Rate:
        """The theorem with every constant moved by its error to the weaker side."""
        return lenient(self.theorem)

    @property
    def safe(self) -> Trial | None:
        """The trial at a step that the theorem allows whatever the errors of its constants; None where there is none."""
        share = float(allowed_by(lambda: self.weaker.stepsize / self.theorem.stepsize))
        return replace(self, stepsize=self.stepsize * min(share, 1.0)) if 0 < share < np.inf else None

    def with_rounding(self, bound: np.ndarray, steps: int, initial: np.ndarray | float) -> np.ndarray:
        """Return a bound on the measure of a path, enlarged by what rounding may add to its square root."""
        slack = self.coarseness * (self.theorem.rounding(self.stepsize, steps) + STEP_ROUNDING * np.sqrt(initial))
        with np.errstate(over="ignore"):
            return np.maximum((np.sqrt(bound) + slack + self.record_error) ** 2 * self.excess, SMALLEST)

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


def recorded(measure: str, trace: np.ndarray) -> np.ndarray:
    """Return a measure, which is at least 0, from the trace that holds it."""
    return trace**2 if measure.endswith("gradient_norm2") else np.maximum(trace, 0.0)


def evaluation_error(objective: Objective, measure: str) -> float:
    """Return how far off the square root of a measure of points near the minimiser may be for rounding of f or f_D."""
    of = objective.problem if measure in ABOUT_F else objective
    if measure in ("gap", "f_gap"):
        # The value at the point, and the infimum.
        return math.sqrt(2 * float(of.error_bound(of.minimize().x)))
    return float(of.gradient_error(of.minimize().x)) if measure.endswith("gradient_norm2") else 0.0


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


def over_steps(history: np.ndarray, over: Over) -> np.ndarray:
    """Return what is bounded after 1, 2, … steps: the last entry, or the average or minimum of all before it."""
    if over == "last":
        return history[..., 1:]
    before = history[..., :-1]
    if over == "minimum":
        return np.minimum.accumulate(before, axis=-1)
    with np.errstate(over="ignore"):
        return np.cumsum(before, axis=-1) / np.arange(1, before.shape[-1] + 1)


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


def far_start(trial: Trial) -> np.ndarray:
    """Return a start far from x_D*, where the first term of the bound can be told from the second."""
    best = trial.theorem.objective.minimize().x
    # Quadrature takes longer the farther out.
    spread = 2 if trial.theorem.measure in ("gap", "gradient_norm2") else 10
    away = 1.0 + spread * float(np.linalg.norm(best - trial.objective.center))
    far: np.ndarray = best + away * np.ones(len(best)) / np.sqrt(len(best))
    return far
