"""Theorems that bound a mean along the path of a method: what they share."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, NamedTuple, get_args

import numpy as np

from mastsim.backend import Array
from mastsim.expected import Objective
from mastsim.methods import Method
from mastsim.moments import Form, standard_forms
from mastsim.run import Run
from mastsim.theorems.assumptions import AssumptionError
from mastsim.theorems.base import Theorem
from mastsim.validation import STEPS, floats, positive, shown

Over = Literal["last", "average", "minimum"]

MEASURES = ("distance", "gap", "gradient_norm2", "error", "f_gap", "f_gradient_norm2")
"""What rates bound, apart from Lyapunov functions of their own; see `moments.standard_forms`."""

ABOUT_F = ("error", "f_gap", "f_gradient_norm2")
"""Those that are about f and its minimiser x*, not about f_D."""

_FINEST = 1e-14


def trace_of(measure: str) -> str:
    """Return the trace of a run that holds a measure, or its root."""
    return measure.removesuffix("2") if measure.endswith("gradient_norm2") else measure


class Case(NamedTuple):
    """A rate on an instance of its own: from where it starts, None for a choice of several, and what should come out."""

    theorem: Rate
    start: np.ndarray | None
    expected: Literal["holds", "refuted"]


@dataclass(frozen=True, eq=False)
class Rate(Theorem):
    """A bound on the mean of a measure along the path of a method.

    Parameters
    ----------
    objective : Objective
        The objective f_D.
    sharp : bool, default False
        Use this package's constants in place of the published ones.

    Raises
    ------
    AssumptionError
        Naming the assumption, the measured value and the remedy.
    """

    sharp: bool = False

    needed = (*Theorem.needed, "method")
    method: ClassVar[str]
    measure: ClassVar[str] = "distance"
    """What is bounded: one of `MEASURES`, or lyapunov; see `moments.standard_forms`."""
    over: ClassVar[Over] = "last"
    """Whether the bound after T steps is on x^T, or on the average or minimum of the means over x^0, …, x^{T−1}."""
    starts_from: ClassVar[str] = "distance"
    """The measure at the start that the bound is in proportion to."""
    beyond: ClassVar[bool] = False
    """Whether it is about more than the algorithms of the paper and its baselines; such rates have figures of their own."""
    has_moments: ClassVar[bool] = True
    """Whether its method has exact moments on quadratics, by which an attack judges an instance."""
    deepest: ClassVar[int] = 12
    """The most steps that a suite follows through all outcomes, where there are no exact moments."""
    longest: ClassVar[int] = 400
    """The most steps for which a suite follows exact moments, where the theorem is not for a planned number."""
    part: ClassVar[str] = "distance"
    """The measure that a Lyapunov function is at least, for where it cannot be computed."""
    instead: ClassVar[tuple[str, ...]] = ("distance", "gap")
    """The measures that a run must have recorded where it did not record the Lyapunov function."""
    changeable: ClassVar[tuple[str, ...]] = ("step size", "first term", "second term")
    """What a mutation changes, one at a time: the largest step size, and what `terms` tells apart."""

    derived: ClassVar[dict[str, str]] = {
        "bound": "claim",
        "initial": "initial_at",
        "stepsize_sharp": "stepsize",
        "terms": "claim",
    }
    together = (("initial_at", "initial_of"),)

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        if cls.over not in get_args(Over):
            raise TypeError(
                f"{cls.__name__}: over={cls.over!r} is not accepted: it must be one of {', '.join(get_args(Over))}"
            )
        if "claim" in vars(cls) and "terms" not in vars(cls).get("derived", {}):
            # What a verdict judges is the claim: the terms of one that is overridden are read off it.
            cls.terms, cls.changeable = Rate.terms, Rate.changeable  # type: ignore[method-assign]
        own_form = cls.form is not Rate.form
        if own_form == (cls.measure in MEASURES):
            remedy = "leave out its own form, or give the measure another name" if own_form else "give its form as well"
            raise TypeError(f"{cls.__name__}: measure={cls.measure!r} does not say what its form measures: {remedy}")

    @abstractmethod
    def method_at(self, stepsize: float) -> Method:
        """Return the method that the theorem is about, with a step size."""

    @property
    @abstractmethod
    def stepsize(self) -> float:
        """The largest step size that the theorem allows."""

    @abstractmethod
    def claim(self, steps: Array, stepsize: float, initial: Array) -> Array:
        """Return the claimed bound after `steps`, without asking whether `stepsize` is allowed."""

    def terms(self, steps: Array, stepsize: float, initial: Array, speed: float = 1.0) -> tuple[Array, Array]:
        """Return the part of the claim that is in proportion to the start, and the rest; `speed` multiplies the rate."""
        rest = self.claim(steps, stepsize, 0.0)
        return self.claim(steps, stepsize, initial) - rest, rest

    @property
    def planned_steps(self) -> int | None:
        """The number of steps that the step size is for; None where it is for any."""
        return None

    @classmethod
    def own_cases(cls, small: Sequence[Objective]) -> Sequence[Case] | None:
        """Return what the theorem is tried on in place of a suite's instances, given its `small` ones; None by default."""
        return None

    @property
    @abstractmethod
    def rate(self) -> float:
        """The factor by which the first term shrinks a step, at the largest step size; NaN for sublinear rates."""

    @property
    @abstractmethod
    def radius(self) -> float:
        """The part of the bound that does not shrink, at the largest step size."""

    @abstractmethod
    def stepsize_to_accuracy(self, accuracy: float) -> float:
        """Return an allowed step size at which the part of the bound that does not shrink leaves room below `accuracy`."""

    @abstractmethod
    def steps_to_accuracy(self, accuracy: float, initial: float | None = None) -> float:
        """Return a number of steps after which the bound, at a suitable step size, is at most `accuracy`.

        Parameters
        ----------
        accuracy : float
            The value of the measure aimed at, above 0.
        initial : float, optional
            What the bound starts from, at least 0; for the start at the shift when left out.

        Returns
        -------
        float
            A whole number of steps; infinite when it overflows or no step size reaches the accuracy.
        """

    @property
    def stepsize_sharp(self) -> float:
        """The largest step size with this package's constants."""
        return self.stepsize if self.sharp else replace(self, sharp=True).stepsize

    @property
    def limit(self) -> float:
        """The end of the range of step sizes; `stepsize`, except where the range is open there."""
        return self.stepsize

    @property
    def gap(self) -> float:
        """A proven upper bound on f_D^inf − f^inf; with sharp constants on f_D^inf − E f_S^inf."""
        gap = self.constants.gap_sharp if self.sharp else self.constants.gap
        return max(gap + gap.error, 0.0)

    @property
    def initial(self) -> float:
        """What the bound starts from at the default start, the shift."""
        return self.initial_at(self.objective.center)

    def initial_at(self, x0: np.ndarray, stepsize: float | None = None) -> float:
        """Return what the bound starts from at a start x0, shape (dim,); a bound on it where f_D is only estimated.

        Parameters
        ----------
        x0 : ndarray, shape (dim,)
            The start.
        stepsize : float, optional
            γ, for Lyapunov functions that depend on it; the largest that the theorem allows when left out.
        """
        gamma = self.stepsize if stepsize is None else stepsize
        return sum(weight * self._at_start(name, x0) for name, weight in self.start_mixture(gamma).items())

    @property
    def start(self) -> float:
        """What the measure itself is at the default start, the shift; a bound on it where f_D is only estimated.

        A measure of a theorem's own, such as a Lyapunov function, is what the bound starts from.
        """
        if self.measure == self.starts_from or self.measure not in MEASURES:
            return self.initial
        return self._at_start(self.measure, self.objective.center)

    def _at_start(self, measure: str, x0: np.ndarray) -> float:
        """Return a measure at a start, or a bound on it."""
        F = self.objective
        if measure in ("gradient_norm2", "f_gradient_norm2"):
            slope = np.asarray((F if measure == "gradient_norm2" else F.problem).gradient(x0), dtype=float)
            return float(slope @ slope)
        if measure not in ABOUT_F and F.evaluation.tier == "estimate":
            excess, mu = F.excess_bound(x0), F.mu_fD_sharp
            return excess if measure == "gap" else 2 * excess / mu if mu > 0 else math.inf
        of = F.problem if measure in ABOUT_F else F
        best = of.minimize()
        y = x0 - best.x
        if measure in ("distance", "error"):
            return float(y @ y)
        if F.is_quadratic:
            curvature = F.problem.upper_curvature.matrix if of is F.problem else F.curvature
            return max(0.5 * float(y @ curvature @ y), 0.0)
        return max(float(of.value(x0)) - best.value + best.gap_bound, 0.0)

    def initial_of(self, run: Run) -> np.ndarray:
        """Return what the bound starts from for every replica of a run, shape (replicas,)."""
        mixture = self.start_mixture(run.stepsize)
        return sum((weight * self._trace_at_start(name, run) for name, weight in mixture.items()), np.zeros(run.replicas))

    def _trace_at_start(self, measure: str, run: Run) -> np.ndarray:
        if measure not in run.traces:
            raise ValueError(f"run did not record {measure!r}, from which the bound of {self.title} starts")
        best = self.objective.problem.minimize() if measure in ABOUT_F else self.objective.minimize()
        extra = best.gap_bound if measure in ("gap", "f_gap") else 0.0
        return np.maximum(run.traces[measure][:, 0] + extra, 0.0)

    def mixture(self, stepsize: float) -> dict[str, float]:
        """Return what is bounded as a weighted sum of measures that any run can record, or of its Lyapunov function."""
        return {self.measure: 1.0}

    def start_mixture(self, stepsize: float) -> dict[str, float]:
        """Return what the bound starts from as a weighted sum of measures; see `mixture`."""
        return {self.starts_from: 1.0}

    def form(self, stepsize: float, center: np.ndarray) -> Form:
        """Return the measure as a quadratic form of the method's state, on quadratics, counted from `center`."""
        return standard_forms(self.objective, center)[self.measure]

    def bound(self, steps: Array, stepsize: float | None = None, initial: Array | None = None) -> Array:
        """Return the bound after T steps.

        Parameters
        ----------
        steps : int or array of int
            T ≥ 0.
        stepsize : float, optional
            γ, at most the largest that the theorem allows, which is the default.
        initial : float or array, optional
            What the bound starts from (see `starts_from`), at least 0; for the start at the shift when left out.

        Returns
        -------
        float or ndarray
            The bound for each T.

        Raises
        ------
        AssumptionError
            If `stepsize` is above the largest that the theorem allows.
        """
        gamma = self.stepsize if stepsize is None else positive("stepsize", stepsize, STEPS)
        self._check_steps(steps)
        if gamma > self.limit * (1 + 1e-12):
            raise AssumptionError(
                f"stepsize={gamma:g} is above the largest that {self.title} allows; use at most {self.limit:g}"
            )
        start = self.initial if initial is None else _no_negative("initial", initial)
        return self.claim(_no_negative("steps", steps), gamma, start)

    def _check_steps(self, steps: Array) -> None:
        """Refuse numbers of steps that the theorem does not speak of."""

    def almost_sure_bound(self, steps: int, stepsize: float, run: Run) -> np.ndarray:
        """Return a proven bound that the measure of each replica never exceeds within `steps`; infinite by default."""
        return np.full(run.replicas, np.inf)

    def rounding(self, stepsize: float, steps: Array) -> Any:
        """Return how much rounding errors may add to the square root of the measure along a path of so many steps.

        They are what the error of x_D* does to it, and 1e-14 of the size of the iterates a step for as many steps as are
        remembered. The size of the iterates is that of x*, x_D* and v, and √(2(f(v) − f^inf)/L_f), to which gradients are in
        proportion.
        """
        F = self.objective
        L = F.problem.L_f.value
        drop = max(float(F.problem.value(F.center)) - F.problem.lower_bound, 0.0)
        points = (F.center, F.minimize().x, F.problem.minimize().x)
        size = sum(float(np.linalg.norm(p)) for p in points) + (math.sqrt(2 * drop / L) if L > 0 else 0.0)
        forgotten = self.forgetting(stepsize)
        remembered = np.minimum(steps, 1 / forgotten) if forgotten > 0 else np.asarray(steps)
        return self.displacement(self.measure) + self.stretch * self.roughness * size * np.maximum(remembered, 1.0)

    @property
    def roughness(self) -> float:
        """Rounding of a step, in proportion to the iterates: 1e-14, times by what the method enlarges it."""
        return _FINEST

    def displacement(self, measure: str) -> float:
        """Return how far the square root of a measure may be off because the minimiser is known up to its certificate.

        Each is a seminorm of the distance to the minimiser: √(f_D − f_D^inf) changes by at most the root of the certified
        gap, the gradient by its own norm there, the distance by √(2 gap/μ).
        """
        F = self.objective
        best = F.problem.minimize() if measure in ABOUT_F else F.minimize()
        if measure in ("gap", "f_gap"):
            return math.sqrt(best.excess_bound)
        if measure in ("gradient_norm2", "f_gradient_norm2"):
            root = math.sqrt(2 * self._smoothness(measure) * best.excess_bound)
            return min(root, best.gradient_norm) if best.excess_bound > 0 else 0.0
        away = self._away(best.excess_bound, measure)
        return away if away in (0, math.inf) else away * self.stretch_of(measure)

    def _away(self, excess_bound: float, measure: str) -> float:
        """Return how far a point with a certified gap may be from the nearest minimiser."""
        F = self.objective
        mu = float(F.problem.mu_f) if measure in ABOUT_F else max(float(F.mu_fD_sharp), 0.0)
        if mu <= 0 and measure not in ABOUT_F:
            mu = self.constants.mu_PL.value
        return 0.0 if excess_bound == 0 else math.sqrt(2 * excess_bound / mu) if mu > 0 else math.inf

    def forgetting(self, stepsize: float) -> float:
        """Return the share of what a step did that the next one undoes: γμ, at most 1; 0 where nothing is known of it."""
        return min(max(stepsize * float(self.objective.mu_fD_sharp), 0.0), 1.0)

    @property
    def stretch(self) -> float:
        """How much larger the square root of the measure can be than the distance."""
        return self.stretch_of(self.measure)

    def stretch_of(self, measure: str) -> float:
        """Return how much larger the square root of a measure can be than the distance."""
        L = self._smoothness(measure)
        return math.sqrt(0.5 * L) if measure in ("gap", "f_gap") else L if measure.endswith("gradient_norm2") else 1.0

    def _smoothness(self, measure: str) -> float:
        F = self.objective
        return F.problem.L_f.value if measure in ABOUT_F else F.L_fD_sharp.value


class SketchedRate(Rate):
    """A rate of a method that sees one sketch a node and step, with the constants that such theorems share."""

    @property
    def L(self) -> float:
        """The expected smoothness constant in use."""
        c = self.constants
        return c.expected_smoothness_sharp.value if self.sharp else c.expected_smoothness.value

    @property
    def mu(self) -> float:
        """The strong convexity constant in use."""
        return self.constants.mu_fD_sharp.value if self.sharp else self.constants.mu_fD.value

    @property
    def variance(self) -> float:
        """The constant 𝔇 in use."""
        c = self.constants
        return c.nonconvex_variance_sharp.value if self.sharp else c.nonconvex_variance.value


def _no_negative(name: str, value: Array) -> Array:
    array = floats(name, value)
    if not (array >= 0).all():
        raise ValueError(f"{name}={shown(value)} is not accepted: every entry must be >= 0")
    return array
