"""Exact mean and second moment of the iterates on quadratics: no sampling, hence no sampling error."""

from __future__ import annotations

import numpy as np

from mastsim.expected import Objective
from mastsim.memory import check_room
from mastsim.methods import Method
from mastsim.methods.affine import require_affine, steps_are_alike
from mastsim.moments.base import Form, Moments, Recursion, of_average, require_quadratic, standard_forms
from mastsim.moments.closed import ClosedRecursion
from mastsim.moments.enumeration import EnumeratedRecursion
from mastsim.moments.limits import Stationary, stationary
from mastsim.moments.stability import contraction, largest_stable_stepsize
from mastsim.recursions import FactorBracket
from mastsim.validation import ENTRIES, instance, integer, shown, vector

__all__ = [
    "ClosedRecursion",
    "EnumeratedRecursion",
    "FactorBracket",
    "Form",
    "Moments",
    "Recursion",
    "Stationary",
    "contraction",
    "largest_stable_stepsize",
    "propagate",
    "recursion",
    "standard_forms",
    "stationary",
]

_SHORT_CYCLE = 6


def propagate(objective: Objective, method: Method, x0: np.ndarray, steps: int) -> Moments:
    """Return the exact moments of a method on a quadratic.

    Parameters
    ----------
    objective : Objective
        f must be quadratic.
    method : Method
        Its steps must be affine in its state: anything but the quantising compressors and `PolyakStep`.
    x0 : array, shape (dim,)
        Starting point.
    steps : int
        Number of steps T ≥ 0.

    Returns
    -------
    Moments
        Exact up to rounding.

    Raises
    ------
    ValueError
        If f is not quadratic, no recursion is known, or an argument is outside its range.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(1), np.zeros(1)), ms.Bernoulli(1, 0.5))
    >>> propagate(F, ms.DSGD(0.25), np.ones(1), 2).distance
    array([1.  , 0.5 , 0.25])
    >>> propagate(F, ms.DSGD(0.25), np.ones(1), 2).average_distance
    array([1.   , 1.   , 0.625])
    """
    instance("objective", objective, Objective)
    steps, start = integer("steps", steps, 0), vector("x0", x0, objective.dim, ENTRIES)
    check_room("the moments after every step", steps + 1, change="propagate fewer steps", itemsize=64)
    chain = recursion(objective, method)
    forms = standard_forms(objective, chain.center)
    forms |= {f"average_{name}": of_average(form) for name, form in forms.items()}
    return Moments(**dict(zip(forms, chain.run(start, steps, list(forms.values())).T, strict=True)))


def recursion(objective: Objective, method: Method) -> Recursion:
    """Return the exact recursion of a method on a quadratic; raises as `propagate` does.

    Small supports are enumerated, which involves no cancellation; where that takes too long there may be a closed form.
    """
    require_quadratic(objective)
    if not isinstance(method, Method):
        raise TypeError(f"method={shown(method)} is not accepted: it must be a Method, for example DSGD(0.1)")
    require_affine(method)
    # Maps of steps that are not alike would have to be read off one after another, and long cycles have many outcomes.
    listed = steps_are_alike(method) and method.gradient_steps(objective) <= _SHORT_CYCLE
    first, second = (EnumeratedRecursion, ClosedRecursion) if listed else (ClosedRecursion, EnumeratedRecursion)
    try:
        return first(objective, method)
    except ValueError as refused:
        try:
            return second(objective, method)
        except ValueError as too:
            raise ValueError(f"{too}, and {refused}") from too
