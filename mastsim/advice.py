"""Every guarantee that theory gives for an objective, the step size it allows, and why the others do not apply."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from mastsim.expected import Objective
from mastsim.methods import Nice, Sampling
from mastsim.theorems import ALL, HorizonRate, Rate
from mastsim.theorems.theorem4 import SampledRate
from mastsim.validation import ACCURACIES, instance, positive

_LONGEST = 1e15


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


def guarantees(objective: Objective, accuracy: float | None = None, sampling: Sampling | None = None) -> list[Guarantee]:
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
    for kind in ALL:
        if not issubclass(kind, Rate) or kind.status == "refuted as quoted":
            continue
        if (why := kind.refuse(objective)) is not None:
            found.append(Guarantee(kind.id, kind.source, reason=why))
            continue
        chosen = sampling is not None and issubclass(kind, SampledRate)
        cases = [kind(objective, sampling=sampling)] if chosen else kind.cases(objective)  # type: ignore[call-arg]
        found += [_guarantee(case, accuracy) for case in cases]
    return sorted(found, key=lambda each: (each.steps_to_accuracy, not each.applies))


def _guarantee(theorem: Rate, accuracy: float | None) -> Guarantee:
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


def covering(objective: Objective, method: str, steps: int, sampling: Sampling | None, sharp: bool) -> Rate | None:
    """Return the theorem about a method that allows the largest step size on an objective, or None where none applies.

    Parameters
    ----------
    objective : Objective
        The objective.
    method : str
        Name of the method's class.
    steps : int
        Number of steps planned.
    sampling : Sampling or None
        How gradients are sampled; not at all when None.
    sharp : bool
        Whether to use this package's constants.
    """
    found: list[Rate] = []
    for kind in ALL:
        if not (issubclass(kind, Rate) and kind.method == method and kind.status != "refuted as quoted"):
            continue
        takes_sampling = "sampling" in kind.__dataclass_fields__
        if kind.refuse(objective) is not None or (sampling is not None) > takes_sampling:
            continue
        settings: dict[str, Any] = {"sharp": sharp}
        settings |= {"horizon": steps} if issubclass(kind, HorizonRate) else {}
        settings |= {"sampling": sampling} if sampling is not None else {}
        found.append(kind(objective, **settings))
    return max(found, key=lambda theorem: theorem.stepsize, default=None)


def minibatch(size: int | None) -> Sampling | None:
    """Return a uniform minibatch of a size, or None for all data."""
    return None if size is None else Nice(size)
