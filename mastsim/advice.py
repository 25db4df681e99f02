"""Every guarantee that theory gives for an objective, the step size it allows, and why the others do not apply."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from mastsim import theorems
from mastsim.expected import Objective
from mastsim.guarantee import Guarantee, Guarantees
from mastsim.methods import Method, Nice, Sampling
from mastsim.theorems import AssumptionError, HorizonRate, Rate, Theorem
from mastsim.theorems.assumptions import CONVEX, STRONGLY_CONVEX
from mastsim.theorems.nonconvex import POLYAK_LOJASIEWICZ
from mastsim.theorems.rates import MEASURES
from mastsim.theorems.sampled import SampledRate
from mastsim.validation import ACCURACIES, instance, positive

_LONGEST = 1e15
_SAME = 1e-9
_TURNS = ((STRONGLY_CONVEX, 0), (CONVEX, 1), (POLYAK_LOJASIEWICZ, 3))
_ANY_SHAPE = 2
"""The turn of theorems for any smooth f; before it come those that assume more and promise more."""


def guarantees(
    objective: Objective,
    accuracy: float | None = None,
    sampling: Sampling | None = None,
    method: Method | type[Method] | None = None,
    *,
    also: Sequence[type[Theorem]] = (),
) -> Guarantees:
    """Return what every rate in the registry says about an objective, those that bound the same beside each other.

    Numbers of steps are compared only within such a group: there the fewest come first. Records that are refuted as quoted
    are left out.

    Parameters
    ----------
    objective : Objective
        The objective.
    accuracy : float, optional
        The value of each measure aimed at, from 1e-120 to 1e120; 1 % of what it is at the shift when left out.
    sampling : Sampling, optional
        The sampling for theorems about sampled gradients; a tenth of the data when left out.
    method : Method or type of Method, optional
        Only theorems about this class of methods; with a method, about its settings; all, with several usual settings, when
        left out.
    also : sequence of type of Theorem, optional
        Records of one's own, asked beside the package's.

    Returns
    -------
    Guarantees
        A list of those that apply, by what they bound, then the others with the reason.

    Raises
    ------
    ValueError
        If `accuracy` is not from 1e-120 to 1e120, or the sampling does not fit the problem.
    TypeError
        If an argument is of another type.

    References
    ----------
    This package.

    Examples
    --------
    >>> import numpy as np, mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.diag([1.0, 4.0]), np.ones(2)), ms.RandK(2, k=1))
    >>> best = guarantees(F, method=ms.LSVRDSG)[0]
    >>> best.theorem, best.applies
    ('theorem5', True)
    """
    instance("objective", objective, Objective)
    if accuracy is not None:
        positive("accuracy", accuracy, ACCURACIES)
    if sampling is not None:
        instance("sampling", sampling, Sampling)
    about = type(method) if isinstance(method, Method) else method
    if about is not None and not (isinstance(about, type) and issubclass(about, Method)):
        raise TypeError(f"method={method!r} is not accepted: it must be a method, such as DSGD(0.1), or its class")
    found: list[Guarantee] = []
    for kind in (*theorems.ALL, *also):
        if not issubclass(kind, Rate) or kind.status == "refuted as quoted":
            continue
        if about is not None and kind.method != about.__name__:
            continue
        if (why := kind.refuse(objective)) is not None:
            found.append(Guarantee(**_names(kind), reason=why))
            continue
        mine = method if isinstance(method, Method) else None
        try:
            cases = _cases(kind, objective, sampling, mine)
        except AssumptionError as refusal:  # of a setting that the record chooses by itself
            found.append(Guarantee(**_names(kind), reason=str(refusal)))
        else:
            found += [guarantee_of(case, accuracy) for case in cases]
    return Guarantees(sorted(found, key=_place))


def _place(each: Guarantee) -> tuple[bool, int, str, str, float]:
    """Return what guarantees are sorted by: what they bound first, numbers of steps only within that."""
    measure, over = each.measure or "", each.over or ""
    rank = MEASURES.index(measure) if measure in MEASURES else len(MEASURES)
    return not each.applies, rank, measure, over, each.steps_to_accuracy if each.applies else 0.0


def _names(kind: type[Rate]) -> dict[str, Any]:
    """Return what a record says of itself."""
    facts = ("title", "source", "statement", "method")
    return {"theorem": kind.id} | {name: getattr(kind, name) for name in facts}


def _cases(kind: type[Rate], objective: Objective, sampling: Sampling | None, method: Method | None) -> Sequence[Rate]:
    """Return a record with the settings that are asked about, or with those that it tries by itself."""
    if method is not None and (theorem := _about(kind, objective, method, HorizonRate.horizon, sharp=False)) is not None:
        return [theorem]
    if sampling is not None and issubclass(kind, SampledRate):
        return [kind(objective, sampling=sampling)]
    # A record that tries nothing here, because that would take too long, still says what it promises.
    return kind.cases(objective) or [kind(objective)]


def guarantee_of(theorem: Rate, accuracy: float | None = None) -> Guarantee:
    """Return what a theorem that applies says of its objective.

    Parameters
    ----------
    theorem : Rate
        The theorem.
    accuracy : float, optional
        The value of its measure aimed at; 1 % of what it is at the shift when left out.

    References
    ----------
    This package.

    Examples
    --------
    >>> import numpy as np, mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1), shift=np.full(2, 9.0))
    >>> told = guarantee_of(theorems.StronglyConvexDSGD(F), accuracy=1.0)
    >>> told.vacuous, told.floor <= 0.5, told.steps_to_accuracy < 1e4
    (True, True, True)
    """
    initial, start = theorem.initial, theorem.start
    # A start nearer than any accuracy that can be asked for is taken to be there.
    target = accuracy if accuracy is not None else 0.01 * start if start >= 100 * ACCURACIES.least else 0.0
    aims = 0 < target < math.inf and initial < math.inf
    steps = theorem.steps_to_accuracy(target, initial) if aims else math.inf if initial == math.inf else target
    if isinstance(theorem, HorizonRate) and 1 <= steps <= _LONGEST:
        theorem = replace(theorem, horizon=int(steps))
    gamma = theorem.stepsize_to_accuracy(target) if aims else theorem.stepsize if target == 0 else 0.0
    floor = float(np.asarray(theorem.terms(max(min(steps, _LONGEST), 1.0), gamma, initial)[1])) if gamma > 0 else 0.0
    promised = target if math.isfinite(steps) else math.inf
    return Guarantee(
        **_names(type(theorem)),
        settings=theorem.settings,
        applies=True,
        measure=theorem.measure,
        over=theorem.over,
        starts_from=theorem.starts_from,
        initial=initial,
        start=start,
        stepsize=theorem.stepsize,
        stepsize_sharp=theorem.stepsize_sharp,
        rate=theorem.rate,
        radius=theorem.radius,
        vacuous=_says_nothing(theorem.radius, start),
        accuracy=target,
        stepsize_to_accuracy=gamma,
        steps_to_accuracy=steps,
        floor=floor,
        vacuous_to_accuracy=_says_nothing(promised, start),
    )


def _says_nothing(bound: float, start: float) -> bool:
    """Return whether a bound is no less than what it bounds is from the outset; not where both are 0."""
    return not bound < start and bound != 0


def covering(
    objective: Objective, method: Method, steps: int, sharp: bool, also: Sequence[type[Theorem]] = ()
) -> Rate | None:
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
    also : sequence of type of Theorem, optional
        Records of one's own.

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
    found = [_about(kind, objective, method, steps, sharp) for kind in _fitting(objective, method, also)]
    applying = [theorem for theorem in found if theorem is not None]
    first = min((_turn(theorem) for theorem in applying), default=0)
    best: Rate | None = None
    for theorem in applying:
        # Rounding does not choose between theorems that allow the same step.
        if _turn(theorem) == first and (best is None or theorem.stepsize > best.stepsize * (1 + _SAME)):
            best = theorem
    return best


def _fitting(objective: Objective, method: Method, also: Sequence[type[Theorem]]) -> list[type[Rate]]:
    """Return the records about a method's class that are true and apply to an objective."""
    rates = [kind for kind in (*theorems.ALL, *also) if issubclass(kind, Rate) and kind.status != "refuted as quoted"]
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
