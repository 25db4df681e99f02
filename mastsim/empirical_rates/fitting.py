"""The order at which a run really converges: the factor a step, or the exponent of the number of steps."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np

from mastsim.empirical_rates.fit import SLOPE_MARGIN, SLOPE_RESOLUTION, RateFit
from mastsim.empirical_rates.ratios import Interval, paired_ratio
from mastsim.moments import FactorBracket, Moments
from mastsim.provenance import content_hash
from mastsim.run import Run
from mastsim.theorems import Rate
from mastsim.theorems.rates import MEASURES, trace_of
from mastsim.validation import flag, instance, one_of, real
from mastsim.verification.trial import Trial, over_steps, recorded

BEGUN = 4
"""How many times smaller than the measure at the start the first term must be before an exponent is judged; chosen by hand.

For one coordinate that is far more than needed: the average of r·q^t over T steps is r(1 − q^T)/(T(1 − q)), whose exponent
is off by about q^T only. With slow coordinates beside a fast one no number is safe: better "undecided" than wrong.
"""

Kind = Literal["linear", "sublinear"]

_PILOTS, _FEWEST = 4, 16
"""One replica in four chooses the window where there are so many: the interval is from the others, independent of it."""
_LEFT, _SMALLEST, _NOISY = 0.1, 1e-20, 0.2
"""Share of the fall that is left at the end of a window above a floor; ends of windows without a floor."""


@dataclass(frozen=True, eq=False)
class Curves:
    """What is measured, and what is known of it.

    Parameters
    ----------
    table : ndarray, shape (replicas, records)
        The measure, one row a replica; a single row where it is an exact mean.
    steps : ndarray of int, shape (records,)
        After how many steps.
    measure, method, objective : str
        Of what, in words.
    theorem : Rate or None
        Whose claim it is.
    stepsize : float
        γ.
    initial : float
        What the bound starts from; NaN where it plays no role.
    """

    table: np.ndarray
    steps: np.ndarray
    measure: str
    method: str
    objective: str
    theorem: Rate | None = None
    stepsize: float = math.nan
    initial: float = math.nan

    @classmethod
    def of_moments(cls, path: Moments, measure: str, theorem: Rate | None = None, **words: Any) -> Curves:
        """Return exact means along a path."""
        means = np.asarray(getattr(path, measure))
        told = {"method": "exact moments", "objective": ""} | words
        return cls(means[None], np.arange(len(means)), measure, theorem=theorem, **told)

    @property
    def kind(self) -> Kind:
        """Whether the claimed rate is linear; linear where nothing is claimed."""
        return "sublinear" if self.theorem is not None and math.isnan(self.theorem.rate) else "linear"

    @property
    def has_floor(self) -> bool:
        """Whether the bound has a second term that stays; yes where nothing is known."""
        if self.theorem is None:
            return True
        early, late = self._second_terms
        return late > 0 and late >= early * (1 - 1e-9)

    @property
    def _second_terms(self) -> tuple[float, float]:
        """The second term of the bound half way and at the end; it falls where step sizes do."""
        assert self.theorem is not None
        ends = np.array([max(float(self.steps[-1]) / 2, 1.0), max(float(self.steps[-1]), 1.0)])
        terms = [self.theorem.terms(np.asarray(end), self.stepsize, self.initial)[1] for end in ends]
        return float(np.max(terms[0])), float(np.max(terms[1]))

    def bound_at(self, place: int, initial: float | None = None) -> float:
        """Return the part of the bound that falls with the steps, after those of a column."""
        assert self.theorem is not None
        early, late = self._second_terms
        start = self.initial if initial is None or late < early * (1 - 1e-9) else initial
        first, second = self.theorem.terms(np.asarray(float(self.steps[place])), self.stepsize, start)
        return float(first) + (float(np.max(second)) if late < early * (1 - 1e-9) else 0.0)

    def averaged(self) -> Curves:
        """Return the averages over the steps before each number of steps, from 1 on."""
        if int(self.steps[-1]) != len(self.steps) - 1:
            raise ValueError("run did not record every step, but averages over the steps are asked for; use every=1")
        return replace(self, table=over_steps(self.table, "average"), steps=self.steps[1:])


class _Window(NamedTuple):
    """The columns that are compared: first, middle (None without a floor) and last."""

    first: int
    middle: int | None
    last: int


def fit_rate(
    run: Run | Moments,
    theorem: Rate | None = None,
    *,
    measure: str = "distance",
    kind: Kind = "linear",
    floor: bool | None = None,
    alpha: float = 0.01,
) -> RateFit:
    """Return the order at which replicas or exact moments converge, with its interval, and whether it is what is claimed.

    For linear rates that is ρ = −log(factor a step), for sublinear ones the exponent b of T^(−b), of averages over the steps
    where the theorem speaks of averages or minima. Means at two numbers of steps give it; above a floor means at three, m_a,
    m_b and m_c, equally far apart (for exponents in the logarithm): (m_b − m_c)/(m_a − m_b) does not depend on the floor.
    The interval is Fieller's for a ratio of means: asymptotic, by the central limit theorem over replicas. The window is
    chosen on every fourth replica, and the interval is from the others, where there are at least 16.

    Parameters
    ----------
    run : Run or Moments
        Replicas, at least two, or exact moments.
    theorem : Rate, optional
        The theorem whose order is claimed, about this very run; it also says what is measured.
    measure : str, default "distance"
        What is measured where no theorem is given: one of ``distance``, ``gap``, ``gradient_norm2``, ``error``, ``f_gap``
        and ``f_gradient_norm2``.
    kind : {"linear", "sublinear"}, default "linear"
        Which order, where no theorem is given.
    floor : bool, optional
        Whether there is a floor that is not zero; where the theorem has a second term, and without a theorem, by default.
    alpha : float, default 0.01
        The error probability, above 0 and below 1.

    Returns
    -------
    RateFit
        The measured order; its `verdict` and `sentence` say what it means for the claim.

    Raises
    ------
    ValueError
        If the run did not record the measure, is not that of the theorem, ended early, diverged or does not fall, or holds a
        single replica.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(2), np.zeros(2)), ms.RandK(2, k=1))
    >>> exact = ms.moments.propagate(F, ms.DSGD(0.05), np.ones(2), 200)
    >>> round(fit_rate(exact, floor=False).factor, 6)
    0.82
    """
    instance("run", run, Run, Moments)
    one_of("measure", measure, MEASURES)
    one_of("kind", kind, ("linear", "sublinear"))
    if not 0 < real("alpha", alpha) < 1:
        raise ValueError(f"alpha={alpha:g} is not accepted: it must be above 0 and below 1")
    if floor is not None:
        flag("floor", floor)
    if theorem is not None:
        instance("theorem", theorem, Rate)
    curves = _curves_of(run, theorem, measure)
    return fit_curves(curves, kind if theorem is None else curves.kind, floor, float(alpha))


def _curves_of(run: Run | Moments, theorem: Rate | None, measure: str) -> Curves:
    """Return what is measured of replicas or exact moments."""
    if isinstance(run, Moments):
        if theorem is not None:
            raise ValueError(f"theorem={theorem.id} is not accepted with exact moments, which do not say what they are of")
        return Curves.of_moments(run, measure)
    if run.replicas < 2:
        raise ValueError("run holds a single replica, which says nothing about its own error: simulate at least two")
    if theorem is not None:
        table, measure = _trial_of(theorem, run).measured(run), theorem.measure
    elif (name := trace_of(measure)) in run.traces:
        table = recorded(measure, run.traces[name])
    else:
        raise ValueError(f"run did not record {name!r}; it has {', '.join(run.traces)}")
    initial = math.nan if theorem is None or not math.isnan(theorem.rate) else _initial_of(theorem, run)
    return Curves(table, run.recorded, measure, run.method, run.objective, theorem, run.stepsize, initial)


def _initial_of(theorem: Rate, run: Run) -> float:
    """Return what the bound starts from, which is known without a record for runs that start at the shift."""
    center = theorem.objective.center
    if content_hash(np.array(np.broadcast_to(center, run.x.shape), order="C")) == run.request.start_hash:
        return theorem.initial
    return float(theorem.initial_of(run).mean())


def _trial_of(theorem: Rate, run: Run) -> Trial:
    """Return the trial of a theorem that a run stands for, refusing a run of something else or a part of one."""
    if run.request.objective_hash != content_hash(theorem.objective):
        raise ValueError(f"run is of {run.objective}, but the theorem is about {theorem.objective.name}")
    trial = Trial(theorem, run.stepsize, theorem.objective)
    if run.request.method_hash != content_hash(trial.method):
        raise ValueError(f"run is of {run.method}, but {theorem.title} is about {trial.method.name} with the same settings")
    if not run.complete:
        raise ValueError(f"run ended at step {run.steps_done} of {run.steps}, and a part of a run is not judged; resume it")
    return trial


def fit_curves(curves: Curves, kind: Kind, floor: bool | None, alpha: float) -> RateFit:
    """Return the order of curves over a window that pilots choose; see `fit_rate`.

    Parameters
    ----------
    curves : Curves
        What is measured.
    kind : {"linear", "sublinear"}
        Which order.
    floor : bool or None
        Whether there is a floor; by the claim when None.
    alpha : float
        The error probability.
    """
    if not np.isfinite(curves.table).all():
        raise ValueError(f"run diverged: {curves.measure} is infinite in some replica, and has no rate; use a smaller step")
    if kind == "sublinear" and (curves.theorem is None or curves.theorem.over != "last"):
        curves = curves.averaged()
    table, steps, above = curves.table, curves.steps, curves.has_floor if floor is None else floor
    alike = bool((np.ptp(table, axis=0) == 0).all())
    pilots, rest = (
        (table[::_PILOTS], np.delete(table, np.s_[::_PILOTS], axis=0)) if len(table) >= _FEWEST else (table, table)
    )
    window = (_linear_window if kind == "linear" else _sublinear_window)(pilots, steps, above)
    scale = steps if kind == "linear" else np.log(np.maximum(steps, 1))
    order = _order(rest[:1] if alike else rest, scale, window, alpha)
    places = [place for place in window if place is not None]
    over = f"steps {', '.join(str(int(steps[place])) for place in places)}"
    if order.value == math.inf:
        raise ValueError(f"run no longer falls over {over}: above its floor nothing is left to measure; look at fewer steps")
    claimed = _claimed(curves, scale, window)
    slopes: dict[str, Any] = {} if kind == "linear" else {"margin": SLOPE_MARGIN, "resolution": SLOPE_RESOLUTION}
    return RateFit(
        "rate" if kind == "linear" else "exponent of T",
        *(curves.method, curves.objective, curves.measure),
        *order,
        claimed=claimed,
        order_text=order_text(kind, claimed),
        theorem=None if curves.theorem is None else curves.theorem.id,
        tier="exact" if alike else "asymptotic",
        alpha=0.0 if alike else alpha,
        over=over,
        begun=claimed is None or kind == "linear" or _has_begun(curves, window),
        **slopes,
    )


def order_text(kind: Kind, claimed: float | None) -> str:
    """Return a claimed order in words: a factor to the power T, or T to the power of an exponent."""
    if claimed is None:
        return ""
    return f"{math.exp(-claimed):.6g}^T" if kind == "linear" else f"T^-{claimed:.3g}"


def _linear_window(pilots: np.ndarray, steps: np.ndarray, floor: bool) -> _Window:
    """Return a window from the start: until most of the fall is done, or without a floor for as long as it is measured."""
    mean = pilots.mean(axis=0)
    # The last record may be out of line with the others.
    last = len(mean) - 1 - int(len(mean) > 2 and steps[-1] != (len(mean) - 1) * steps[1])
    end = float(mean[-max(1, len(mean) // 4) :].mean()) if floor else 0.0
    fall = float(mean[0]) - end
    if last < 2 or not fall > 0:
        raise ValueError(
            f"run does not fall: its mean goes from {mean[0]:.3g} to {mean[-1]:.3g} over {len(mean)} records; start farther "
            "from the minimiser, or record more often"
        )
    if floor:
        below = np.flatnonzero(mean[: last + 1] - end <= _LEFT * fall)
        half = max(1, (int(below[0]) if len(below) else last) // 2)
        return _Window(0, half, 2 * half)
    error = pilots.std(axis=0) / math.sqrt(len(pilots))
    sound = np.flatnonzero((mean > _SMALLEST * mean[0]) & (error <= _NOISY * mean))
    return _Window(0, None, max(1, int(sound[sound <= last].max(initial=1))))


def _sublinear_window(pilots: np.ndarray, steps: np.ndarray, floor: bool) -> _Window:
    """Return the last two numbers of steps in the proportion 1 : 2, or three where a floor is to drop out."""
    known = {int(step): place for place, step in enumerate(steps)}
    top = int(steps[-1]) // 4
    wanted = [top, 2 * top, 4 * top] if floor else [2 * top, 4 * top]
    if top < 1 or any(step not in known for step in wanted):
        raise ValueError(f"run has {int(steps[-1])} steps, not all recorded: exponents need steps T, 2T and 4T; use every=1")
    places = [known[step] for step in wanted]
    return _Window(places[0], places[1] if floor else None, places[-1])


def _order(table: np.ndarray, scale: np.ndarray, window: _Window, alpha: float) -> Interval:
    """Return −log of the ratio of means, by the distance of the two on the scale."""
    first, middle, last = window
    if middle is None:
        ratio, apart = paired_ratio(table[:, last], table[:, first], alpha), scale[last] - scale[first]
    else:
        falls = table[:, middle] - table[:, last], table[:, first] - table[:, middle]
        ratio, apart = paired_ratio(*falls, alpha), scale[last] - scale[middle]
    return Interval(*(minus_log(end) / float(apart) for end in reversed(ratio)))


def minus_log(ratio: float) -> float:
    """Return −log, infinite for what is not above zero."""
    return -math.log(ratio) if 0 < ratio < math.inf else -math.inf if ratio == math.inf else math.inf


def _claimed(curves: Curves, scale: np.ndarray, window: _Window) -> float | None:
    """Return the order of the first term of the bound over the window; None where there is none or it says nothing there."""
    if curves.theorem is None:
        return None
    first, last = (curves.bound_at(place, 1.0) for place in (window.first, window.last))
    if not (0 < first < math.inf and 0 <= last < math.inf):
        return None
    return minus_log(last / first) / float(scale[window.last] - scale[window.first])


def _has_begun(curves: Curves, window: _Window) -> bool:
    """Whether the bound has fallen well below the measure at the start: before that averages need not have fallen."""
    return curves.bound_at(window.first) * BEGUN <= float(curves.table[:, 0].mean())


def fit_factor(found: FactorBracket, curves: Curves) -> RateFit:
    """Return the rate in the long run from both sides of the spectral radius of second moments, beside what is claimed.

    Parameters
    ----------
    found : FactorBracket
        What `moments.contraction` returned.
    curves : Curves
        Of what; its table plays no role.
    """
    low, high = minus_log(found.upper), minus_log(found.lower)
    theorem = curves.theorem if curves.kind == "linear" else None
    claimed = None if theorem is None else minus_log(curves.bound_at(0, 1.0))
    words: Any = {"claimed": claimed, "order_text": order_text("linear", claimed), "tier": "exact", "alpha": 0.0}
    words |= {"theorem": None if theorem is None else theorem.id, "over": "in the long run"}
    return RateFit("rate", curves.method, curves.objective, "second moments", low, low, high, **words)
