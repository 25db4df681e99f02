"""Every method on a user's data in one table: what is measured of its rate and its floor, beside what theory claims."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mastsim.empirical_rates.cost import GRADIENTS, Cost, cost_of
from mastsim.empirical_rates.fit import RateFit, RateFits
from mastsim.empirical_rates.fitting import BEGUN, Curves, fit_curves, fit_factor, fit_rate
from mastsim.empirical_rates.floors import (
    Setting,
    exact_floor,
    floor_in_clients,
    floor_in_masks,
    floor_in_stepsize,
    floor_of_reshuffled,
    rate_in_probability,
    small_quadratic,
)
from mastsim.expected import Mast, Objective
from mastsim.methods import Method
from mastsim.methods.families import ALL_METHODS
from mastsim.moments import contraction, propagate
from mastsim.problems import Dataset, Problem, family_for
from mastsim.simulation import REPLICAS, simulate
from mastsim.spec import Spec
from mastsim.theorems import Rate
from mastsim.theorems.rates import MEASURES, trace_of
from mastsim.validation import instance, integer, real, shown

_CLIENTS, _RECORDS = 2, 40
_MOST_STEPS, _REACH = 2000, 3.0
"""The most steps that are followed, and how many times 1/ρ a linear rate is."""
_ACCURACY = 1e-9
_SMALL = 40
"""The largest state whose second moments are followed exactly."""
_FEWEST = 3
"""The fewest replicas whose averages over many steps are told apart."""
_COSTLY = ("gap", "gradient_norm2")
SLOPES = {
    "floor in γ, reshuffled": floor_of_reshuffled,
    "floor in 1/M": floor_in_clients,
    "floor in N": floor_in_masks,
    "rate in p": rate_in_probability,
}
"""What is measured on the f of the description where it can be, otherwise exactly on least squares on a few columns."""


@dataclass(frozen=True, eq=False)
class _Subject:
    """One method on one objective, at the step that theory gives it."""

    method: Method
    theorem: Rate | None
    objective: Objective
    cost: Cost
    replicas: int
    seed: int
    alpha: float
    unsketched: bool

    @property
    def label(self) -> str:
        """The method, and that it runs without a sketch where it does."""
        return f"{self.method.name}, identity sketch" if self.unsketched else self.method.name

    @property
    def linear(self) -> Rate | None:
        """The theorem where its rate is linear."""
        return None if self.theorem is None or math.isnan(self.theorem.rate) else self.theorem

    @property
    def is_small(self) -> bool:
        """Whether exact moments are followed: those of a quadratic, with few numbers in a state."""
        F = self.objective
        return F.is_quadratic and len(self.method.init(F, F.center[None])) * F.dim <= _SMALL

    def fit(self, found: RateFits, name: str) -> None:
        """Add what is measured; one part may be refused, and the others still be measured."""
        for measured in (self._factor, self._exponent, self._floor):
            try:
                fit = measured()
            except ValueError as refusal:
                found.refused.append((name, str(refusal)))
            else:
                found.extend([] if fit is None else [replace(fit, method=self.label)])

    def _curves(self, theorem: Rate | None, table: np.ndarray, measure: str, first: int) -> Curves:
        steps = np.arange(first, first + table.shape[1])
        words = (self.method.name, self.objective.name)
        initial = math.nan if theorem is None else theorem.initial
        return Curves(table, steps, measure, *words, theorem, self.method.rule.largest, initial)

    def _factor(self) -> RateFit:
        """Return the factor a step, from the spectral radius of second moments or from replicas that start far out."""
        F, theorem = self.objective, self.linear
        if self.is_small and self.method.rule.constant:
            with suppress(ValueError):
                found = contraction(F, self.method)
                return fit_factor(found, self._curves(theorem, np.zeros((1, 1)), "second moments", 1))
        shrink = 0.0 if theorem is None else 1 - theorem.rate
        steps = _MOST_STEPS if shrink <= 0 else int(min(_MOST_STEPS, max(_RECORDS, _REACH / shrink)))
        measure = "distance" if theorem is None or theorem.measure not in MEASURES else theorem.measure
        records = _RECORDS if measure in _COSTLY and not F.is_quadratic else 0
        steps, replicas = self.cost.sizes(steps, self.replicas, records)
        target = self.method.target(F)
        x0 = target + (1 + 10 * float(np.linalg.norm(target - F.center))) / math.sqrt(F.dim)
        every, measures = max(1, steps // _RECORDS), (trace_of(measure),)
        run = simulate(
            *(self.method, F),
            steps=steps,
            replicas=replicas,
            seed=self.seed,
            x0=x0,
            every=every,
            measures=measures,
            progress=False,
        )
        floor = None if theorem is not None else self._settles
        return fit_rate(run, theorem, measure=measure, floor=floor, alpha=self.alpha)

    @property
    def _settles(self) -> bool:
        """Whether a method whose rate is not claimed to be linear is expected to have a floor."""
        if self.theorem is None:
            return not self.cost.alike and self.cost.gradients == 0
        return float(np.max(self.theorem.terms(np.asarray(1.0), self.method.rule.largest, 1.0)[1])) > 0

    def _exponent(self) -> RateFit | None:
        """Return the exponent of the number of steps, once the bound is below the start; None for linear rates."""
        theorem, F = self.theorem, self.objective
        if theorem is None or self.linear is not None:
            return None
        costly = theorem.measure in _COSTLY and not F.is_quadratic
        most = GRADIENTS // _FEWEST if costly else _MOST_STEPS * (10 if self.is_small else 1)
        steps = self._begun(theorem, most)
        if steps > most or theorem.measure not in MEASURES:
            raise ValueError(f"exponent of T: no order shows within the {most} steps that are followed")
        if self.is_small:
            table = np.asarray(getattr(propagate(F, self.method, F.center, steps), theorem.measure))[None]
            return fit_curves(self._curves(theorem, table, theorem.measure, 0), "sublinear", None, self.alpha)
        replicas = max(_FEWEST, min(self.replicas, GRADIENTS // steps)) if costly else self.replicas
        what: dict[str, Any] = {"replicas": replicas, "every": 1, "measures": (trace_of(theorem.measure),)}
        run = simulate(self.method, F, steps=steps, seed=self.seed, progress=False, **what)
        return fit_rate(run, theorem, alpha=self.alpha)

    def _begun(self, theorem: Rate, most: int) -> int:
        """Return steps at a quarter of which the bound is well below the start; more than `most` where that takes longer."""
        steps = 4
        while steps <= most:
            first = theorem.terms(np.asarray(steps / 4), self.method.rule.largest, theorem.initial)[0]
            if float(np.max(first)) * BEGUN <= theorem.start:
                break
            steps = 4 * math.ceil(0.3 * steps)
        return steps

    def _floor(self) -> RateFit | None:
        """Return the slope of the floor in the step size; None where no floor is claimed."""
        return None if self.theorem is None else floor_in_stepsize(self.theorem, self.method, self._floor_of, self.alpha)

    def _floor_of(self, setting: Setting) -> np.ndarray:
        """Return a floor, exact where that is quick, with other random numbers for every setting."""
        if self.is_small:
            return setting.exact()
        return setting.sampled(self.cost.sizes(setting.steps, self.replicas)[1], self.seed + setting.steps)


def measure_rates(
    spec: Spec,
    *,
    data: Dataset | None = None,
    seed: int = 0,
    replicas: int = 64,
    alpha: float = 0.01,
    progress: Callable[[str], object] | None = None,
) -> RateFits:
    """Return measured orders of every method on data, beside the claimed ones, with a verdict each.

    Factors and exponents are of the objective of `spec`, at the largest step that a theorem gives each method, from exact
    moments where f is quadratic and small, otherwise from replicas that start far out; so are slopes of floors in γ, 1/M
    and N. The slope of rates in p is exact, for f where that is a small quadratic; what no theorem or exact moment covers
    on f is found for least squares on the columns that vary most, which the row says. Where exact gradients of f_D are
    costly, fewer steps are followed.

    Parameters
    ----------
    spec : Spec
        Data, problem and sketch; its method and step size play no role.
    data : Dataset, optional
        The data, where they are loaded already; what `spec` says they are otherwise.
    seed : int, default 0
        The seed.
    replicas : int, default 64
        Replicas of a measurement, at least 16.
    alpha : float, default 0.01
        The error probability of all verdicts together, above 0 and below 1; each has an equal share.
    progress : callable, optional
        Is told what is measured next.

    Returns
    -------
    RateFits
        The rows, and what was not measured with the reason.

    Raises
    ------
    ValueError
        If an argument is outside its range, or the data do not fit the description.

    References
    ----------
    This package.

    Examples
    --------
    >>> found = measure_rates(Spec(data="synthetic:n=20,d=3", problem="least-squares", sketch="randk:0.5"))
    >>> "not consistent" in {fit.verdict for fit in found}
    False
    """
    instance("spec", spec, Spec)
    if data is not None:
        instance("data", data, Dataset)
    seed, replicas = integer("seed", seed, 0, 2**64 - 1), integer("replicas", replicas, 16, REPLICAS)
    if progress is not None and not (callable(progress) and not isinstance(progress, type)):
        raise TypeError(f"progress={shown(progress)} is not accepted: it must be a function of one text")
    if not 0 < real("alpha", alpha) < 1:
        raise ValueError(f"alpha={alpha:g} is not accepted: it must be above 0 and below 1")
    data, found, kinds = spec.load() if data is None else data, RateFits(), [kind for kind in ALL_METHODS if kind.keyword]
    share = float(alpha) / (2 * len(kinds) + len(SLOPES))
    about = replace(spec, clients=None, method=None, settings=(), stepsize="theory")
    known = {about: _coarse(about.objective_of(data)[1])}
    for kind in kinds:
        _tell(progress, kind.keyword)
        clients = None if kind.nodes != "many" else spec.clients or _CLIENTS
        mine = replace(spec, method=kind.keyword, settings=(), stepsize="theory", clients=clients)
        try:
            subject = _subject(mine, data, known, replicas, seed, share)
        except ValueError as refusal:
            found.refused.append((kind.keyword, str(refusal)))
        else:
            subject.fit(found, kind.keyword)
    slopes = _Slopes(known[about].problem, replicas, seed, share)
    for name in SLOPES:
        _tell(progress, name)
        slopes.add(found, name, family_for(data, spec.problem, spec.positive)[0])
    return found


def _tell(progress: Callable[[str], object] | None, what: str) -> None:
    if progress is not None:
        progress(what)


def _subject(spec: Spec, data: Dataset, known: dict[Spec, Objective], replicas: int, seed: int, alpha: float) -> _Subject:
    """Return a method at the step that theory gives it, without a sketch where theory gives it none with one."""
    about = spec.about_objective()
    if about not in known:
        known[about] = _coarse(spec.objective_of(data)[1])
    try:
        chosen = spec.choose(known[about], _MOST_STEPS)
    except ValueError:
        if spec.sketch == "identity":
            raise
        return _subject(replace(spec, sketch="identity"), data, known, replicas, seed, alpha)
    F = known[about]
    cost, unsketched = cost_of(chosen.method, F, seed), spec.sketch == "identity"
    return _Subject(chosen.method, chosen.claim, F, cost, replicas, seed, alpha, unsketched)


def _coarse(F: Objective) -> Objective:
    """Return the objective at the accuracy that records need."""
    return replace(F, accuracy=_ACCURACY) if isinstance(F, Mast) and not F.is_quadratic else F


@dataclass(frozen=True, eq=False)
class _Slopes:
    """Slopes in what is not a setting of a method: on the problem of the description, or on a few columns of its data."""

    problem: Problem
    replicas: int
    seed: int
    alpha: float

    def add(self, found: RateFits, name: str, data: Dataset) -> None:
        """Add a slope on the problem; where that is refused, on least squares on the columns that vary most."""
        try:
            found.extend(fit for fit in [SLOPES[name](self.problem, self._floor, self.alpha)] if fit is not None)
        except ValueError as refusal:
            small = small_quadratic(data.A, data.y)
            try:
                fit = SLOPES[name](small, exact_floor, 0.0)
            except ValueError:
                found.refused.append((name, str(refusal)))
            else:
                found.extend([] if fit is None else [replace(fit, over=f"{fit.over}; {small.dim} columns")])

    def _floor(self, setting: Setting) -> np.ndarray:
        """Return a floor, exact where that is quick, with other random numbers for every setting."""
        if setting.objective.is_quadratic and setting.objective.dim <= _SMALL:
            return setting.exact()
        clients = len(getattr(setting.objective, "clients", ()))
        return setting.sampled(self.replicas, self.seed + setting.steps + clients)
