"""Every guarantee that theory gives for an objective, the step size it allows, and why the others do not apply."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from mastsim import theorems
from mastsim.expected import Objective
from mastsim.methods import Method, Nice, Sampling
from mastsim.theorems import AssumptionError, HorizonRate, Rate, Theorem
from mastsim.theorems.assumptions import CONVEX, STRONGLY_CONVEX
from mastsim.theorems.nonconvex import POLYAK_LOJASIEWICZ
from mastsim.theorems.sampled import SampledRate
from mastsim.validation import ACCURACIES, instance, positive

_LONGEST = 1e15
_SAME = 1e-9
_TURNS = ((STRONGLY_CONVEX, 0), (CONVEX, 1), (POLYAK_LOJASIEWICZ, 3))
_ANY_SHAPE = 2
"""The turn of theorems for any smooth f; before it come those that assume more and promise more."""


@dataclass(frozen=True, eq=False)
class Guarantee:
    """What one theorem says about an objective.

    Parameters
    ----------
    theorem, source : str
        Id and source of the theorem.
    settings : str
        The method's settings it is stated for, in words.
    applies : bool
        Whether its assumptions are met; everything below is None when not.
    reason : str or None
        Why it does not apply.
    measure, over : str
        What is bounded, and whether at the last step, on average or at its minimum.
    stepsize, stepsize_sharp : float
        Largest step size, by the published and by this package's constants; where it depends on the number of steps, for
        `steps_to_accuracy` steps.
    rate : float
        Factor a step of the first term; NaN where the rate is 1/T.
    radius : float
        The part of the bound that does not shrink, at the largest step size.
    accuracy : float
        The value of the measure aimed at.
    steps_to_accuracy : float
        Steps after which the bound is at most that, at a suitable step size; infinite when never.
    """

    theorem: str
    source: str
    settings: str = ""
    applies: bool = False
    reason: str | None = None
    measure: str | None = None
    over: str | None = None
    stepsize: float | None = None
    stepsize_sharp: float | None = None
    rate: float | None = None
    radius: float | None = None
    accuracy: float | None = None
    steps_to_accuracy: float = math.inf

    def record(self) -> dict[str, Any]:
        """Return the fields as a dictionary."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def guarantees(
    objective: Objective,
    accuracy: float | None = None,
    sampling: Sampling | None = None,
    method: Method | None = None,
    *,
    also: Sequence[type[Theorem]] = (),
) -> list[Guarantee]:
    """Return what every rate in the registry says about an objective, the fewest steps to the accuracy first.

    Every record counts steps for its own measure, so compare those with the same `measure` and `over`. Records that are
    refuted as quoted are left out.

    Parameters
    ----------
    objective : Objective
        The objective.
    accuracy : float, optional
        The value of each measure aimed at, from 1e-120 to 1e120; 1 % of what the bound starts from when left out.
    sampling : Sampling, optional
        The sampling for theorems about sampled gradients; a tenth of the data when left out.
    method : Method, optional
        A method whose settings are taken in theorems about it; several usual ones when left out.
    also : sequence of type of Theorem, optional
        Records of one's own, asked beside the package's.

    Returns
    -------
    list of Guarantee
        Those that apply, then the others with the reason.

    Raises
    ------
    ValueError
        If `accuracy` is not from 1e-120 to 1e120, or the sampling does not fit the problem.

    Examples
    --------
    >>> import numpy as np, mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.diag([1.0, 4.0]), np.ones(2)), ms.RandK(2, k=1))
    >>> best = guarantees(F)[0]
    >>> best.theorem, best.applies
    ('theorem5', True)
    """
    instance("objective", objective, Objective)
    if accuracy is not None:
        positive("accuracy", accuracy, ACCURACIES)
    if sampling is not None:
        instance("sampling", sampling, Sampling)
    found: list[Guarantee] = []
    for kind in (*theorems.ALL, *also):
        if not issubclass(kind, Rate) or kind.status == "refuted as quoted":
            continue
        if (why := kind.refuse(objective)) is not None:
            found.append(Guarantee(kind.id, kind.source, reason=why))
            continue
        found += [_guarantee(case, accuracy) for case in _cases(kind, objective, sampling, method)]
    return sorted(found, key=lambda each: (each.steps_to_accuracy, not each.applies))


def _cases(kind: type[Rate], objective: Objective, sampling: Sampling | None, method: Method | None) -> Sequence[Rate]:
    """Return a record with the settings that are asked about, or with those that it tries by itself."""
    mine = method is not None and kind.method == type(method).__name__
    if mine and (theorem := _about(kind, objective, method, HorizonRate.horizon, sharp=False)) is not None:  # type: ignore
        return [theorem]
    if sampling is not None and issubclass(kind, SampledRate):
        return [kind(objective, sampling=sampling)]
    return kind.cases(objective)


def _guarantee(theorem: Rate, accuracy: float | None) -> Guarantee:
    """Return what a theorem that applies says of its objective."""
    initial = theorem.initial
    # A start nearer than any accuracy that can be asked for is taken to be there.
    target = accuracy if accuracy is not None else 0.01 * initial if initial >= 100 * ACCURACIES.least else 0.0
    steps = theorem.steps_to_accuracy(target, initial) if 0 < target < math.inf else target
    if isinstance(theorem, HorizonRate) and 1 <= steps <= _LONGEST:
        theorem = replace(theorem, horizon=int(steps))
    return Guarantee(
        theorem=theorem.id,
        source=theorem.source,
        settings=theorem.settings,
        applies=True,
        measure=theorem.measure,
        over=theorem.over,
        stepsize=theorem.stepsize,
        stepsize_sharp=theorem.stepsize_sharp,
        rate=theorem.rate,
        radius=theorem.radius,
        accuracy=target,
        steps_to_accuracy=steps,
    )


def covering(objective: Objective, method: Method, steps: int, sharp: bool) -> Rate | None:
    """Return the theorem whose step size is taken for a method on an objective, or None where no theorem is about them.

    What is known of the shape of f decides: theorems for strongly convex f come first, then those for convex f, then those
    for any smooth f; of one shape, the theorem that allows the largest step. The number of steps does not choose.

    Parameters
    ----------
    objective : Objective
        The objective.
    method : Method
        The method with all its settings; its step size plays no role.
    steps : int
        Number of steps planned, for theorems whose step size depends on it.
    sharp : bool
        Whether to use this package's constants.

    Returns
    -------
    Rate or None
        The theorem, about this method with these settings.

    References
    ----------
    This package.

    Examples
    --------
    >>> import numpy as np, mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.diag([1.0, 4.0]), np.ones(2)), ms.RandK(2, k=1))
    >>> [covering(F, ms.DSGD(1.0), steps, sharp=False).id for steps in (1, 10**6)]
    ['theorem2', 'theorem2']
    """
    found = [_about(kind, objective, method, steps, sharp) for kind in _fitting(objective, method)]
    applying = [theorem for theorem in found if theorem is not None]
    first = min((_turn(theorem) for theorem in applying), default=0)
    best: Rate | None = None
    for theorem in applying:
        # Rounding does not choose between theorems that allow the same step.
        if _turn(theorem) == first and (best is None or theorem.stepsize > best.stepsize * (1 + _SAME)):
            best = theorem
    return best


def _fitting(objective: Objective, method: Method) -> list[type[Rate]]:
    """Return the records about a method's class that are true and apply to an objective."""
    rates = [kind for kind in theorems.ALL if issubclass(kind, Rate) and kind.status != "refuted as quoted"]
    return [kind for kind in rates if kind.method == type(method).__name__ and kind.refuse(objective) is None]


def _turn(theorem: Rate) -> int:
    """Return the turn of a theorem, by what it assumes of the shape of f."""
    return next((turn for shape, turn in _TURNS if shape in theorem.assumptions), _ANY_SHAPE)


def _about(kind: type[Rate], objective: Objective, method: Method, steps: int, sharp: bool) -> Rate | None:
    """Return a record with the settings of a method, or None where it is about others."""
    shared = {field.name for field in fields(method)} & {field.name for field in fields(kind)} - {"stepsize"}
    settings = {name: getattr(method, name) for name in shared}
    settings |= {"horizon": steps} if issubclass(kind, HorizonRate) else {}
    try:
        theorem = kind(objective, sharp=sharp, **settings)
    except AssumptionError:
        # What applies to the objective may still be about other settings.
        return None
    return theorem if theorem.method_at(1.0) == replace(method, stepsize=1.0) else None


def minibatch(size: int | None) -> Sampling | None:
    """Return a uniform minibatch of a size, or None for all data."""
    return None if size is None else Nice(size)
