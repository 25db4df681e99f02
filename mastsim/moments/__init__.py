"""Exact mean and second moment of the iterates on quadratics: no sampling, hence no sampling error."""

from __future__ import annotations

import numpy as np

from mastsim.expected import Distributed, Objective
from mastsim.methods import DSGD, DistributedDSGD, Method
from mastsim.moments.base import Form, Moments, Recursion, require_quadratic, standard_forms
from mastsim.moments.closed import ClosedRecursion, closed_chain
from mastsim.moments.enumeration import EnumeratedRecursion
from mastsim.moments.operators import largest_stable_stepsize as stable_stepsize
from mastsim.moments.operators.descent import GradientRecursion
from mastsim.spectra import Bracket
from mastsim.validation import integer, vector

__all__ = [
    "ClosedRecursion",
    "EnumeratedRecursion",
    "Form",
    "Moments",
    "Recursion",
    "contraction",
    "largest_stable_stepsize",
    "propagate",
    "recursion",
    "standard_forms",
]


def propagate(objective: Objective, method: Method, x0: np.ndarray, steps: int) -> Moments:
    """Return the exact moments of a method on a quadratic.

    Parameters
    ----------
    objective : Objective
        f must be quadratic.
    method : Method
        Its step must be affine in its state, with a constant step size: anything but the quantising compressors.
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
    """
    steps, start = integer("steps", steps, 0), vector("x0", x0, objective.dim)
    chain = recursion(objective, method)
    forms = standard_forms(objective, chain.center)
    names = ("distance", "gap", "gradient_norm2")
    return Moments(*chain.run(start, steps, [forms[name] for name in names]).T)


def recursion(objective: Objective, method: Method) -> Recursion:
    """Return the exact recursion of a method on a quadratic; raises as `propagate` does.

    Small supports are enumerated, which involves no cancellation; where that takes too long there may be a closed form.
    """
    require_quadratic(objective)
    if not isinstance(method, Method):
        raise TypeError(f"method={method!r} is not accepted: it must be a Method, for example DSGD(0.1)")
    try:
        return EnumeratedRecursion(objective, method)
    except ValueError as too_many:
        try:
            return ClosedRecursion(objective, method)
        except ValueError as unknown:
            raise ValueError(f"{unknown}, and {too_many}") from unknown


def largest_stable_stepsize(objective: Objective) -> Bracket:
    """Return the step size beyond which the second moment of `DSGD` grows without bound, on a quadratic.

    It is 1/λ_max((H_D⊗I + I⊗H_D)⁻¹E[H⊗H]) on the range of H_D, and the same for `DistributedDSGD` on clients.

    Parameters
    ----------
    objective : Objective
        f must be quadratic, with a sketch whose moments have a closed form or few values.

    Returns
    -------
    Bracket
        Both sides; the lower end is safe.

    Raises
    ------
    ValueError
        If f is not quadratic, or the moments of the sketch are not known.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(1), np.zeros(1)), ms.Bernoulli(1, 0.5))
    >>> round(largest_stable_stepsize(F).lower, 12)
    0.5
    """
    return stable_stepsize(_gradient_chain(objective, 1.0).gradient)


def contraction(objective: Objective, stepsize: float) -> Bracket:
    """Return the true factor by which a step of `DSGD` shrinks second moments in the long run, on a quadratic.

    It is the spectral radius of M ↦ E[(I − γH)M(I − γH)] on the range of H_D, and the same for `DistributedDSGD` on clients.

    Parameters
    ----------
    objective : Objective
        f must be quadratic, with a sketch whose moments have a closed form or few values.
    stepsize : float
        γ > 0.

    Returns
    -------
    Bracket
        Both sides.

    Raises
    ------
    ValueError
        If f is not quadratic, or the moments of the sketch are not known, or the step size is not positive.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(1), np.zeros(1)), ms.Bernoulli(1, 0.5))
    >>> round(contraction(F, 0.25).upper, 12)
    0.5
    """
    return _gradient_chain(objective, stepsize).contraction()


def _gradient_chain(objective: Objective, stepsize: float) -> GradientRecursion:
    method = DistributedDSGD(stepsize) if isinstance(objective, Distributed) else DSGD(stepsize)
    chain = closed_chain(objective, method)
    assert isinstance(chain, GradientRecursion)
    return chain
