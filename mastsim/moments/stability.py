"""How fast second moments really contract on quadratics, and up to which step size they do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mastsim.expected import Distributed, Objective
from mastsim.methods import DSGD, DistributedDSGD, Method
from mastsim.moments.closed import ClosedRecursion, closed_chain
from mastsim.moments.enumeration import EnumeratedRecursion
from mastsim.moments.operators import MomentState
from mastsim.moments.operators import largest_stable_stepsize as stable_stepsize
from mastsim.moments.operators.descent import GradientRecursion
from mastsim.spectra import Bracket
from mastsim.validation import instance

_ITERATIONS = 20_000
_SETTLED = 1e-12
_RANK = 1e-13


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
    chain = closed_chain(objective, DistributedDSGD(1.0) if isinstance(objective, Distributed) else DSGD(1.0))
    assert isinstance(chain, GradientRecursion)
    return stable_stepsize(chain.gradient)


def contraction(objective: Objective, method: Method) -> Bracket:
    """Return the true factor by which a step of a method shrinks second moments in the long run, on a quadratic.

    For `DSGD` and `DistributedDSGD` with exact gradients it is the spectral radius of M ↦ E[(I − γH)M(I − γH)] on the range
    of H_D, proved from both sides. For other methods it is the growth of the second moment of their whole state, without
    what noise adds, from starts in the range of H_D, by power iteration: not proved.

    Parameters
    ----------
    objective : Objective
        f must be quadratic.
    method : Method
        Its step must be affine in its state, with a constant step size.

    Returns
    -------
    Bracket
        Both sides; `how` says by what means.

    Raises
    ------
    ValueError
        If f is not quadratic, or no recursion is known for the method.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(1), np.zeros(1)), ms.Bernoulli(1, 0.5))
    >>> round(contraction(F, ms.DSGD(0.25)).upper, 12)
    0.5
    >>> round(contraction(F, ms.PAGE(0.25, probability=1.0)).upper, 12)
    0.25
    """
    instance("method", method, Method)
    try:
        chain = ClosedRecursion(objective, method)
    except ValueError:
        return _growth(*_listed_map(EnumeratedRecursion(objective, method)))
    if isinstance(chain.chain, GradientRecursion):
        return chain.chain.contraction()
    return _growth(*_closed_map(chain))


def _starts(objective: Objective) -> np.ndarray:
    """Return an orthonormal basis of the range of H_D, one vector a row."""
    values, vectors = np.linalg.eigh(objective.curvature)
    return vectors[:, values > _RANK * max(float(values[-1]), 0.0)].T


def _closed_map(recursion: ClosedRecursion) -> tuple[Callable[[np.ndarray], np.ndarray], np.ndarray]:
    """Return the linear part of a closed recursion on second moments, and the mean of those of the starts."""
    chain = recursion.chain
    seconds = [chain.start(y).second for y in _starts(recursion.objective)]
    start = sum(seconds, np.zeros_like(chain.start(np.zeros(recursion.objective.dim)).second))
    zero = np.zeros(len(start))
    noise = chain.step(MomentState(zero, np.zeros_like(start))).second
    return lambda X: chain.step(MomentState(zero, X)).second - noise, start


def _listed_map(chain: EnumeratedRecursion) -> tuple[Callable[[np.ndarray], np.ndarray], np.ndarray]:
    """Return the linear part of an enumerated recursion on second moments, and the sum of those of the starts."""
    size, start = chain.size, np.zeros((chain.size, chain.size))
    for y in _starts(chain.objective):
        state = np.concatenate(chain.method.init(chain.objective, (chain.center + y)[None]), axis=1)[0] - chain.origin
        start[:-1, :-1] += np.outer(state, state)

    def apply(X: np.ndarray) -> np.ndarray:
        return np.asarray(chain.table @ X.ravel()).reshape(size, size)

    return apply, start


def _growth(apply: Callable[[np.ndarray], np.ndarray], X: np.ndarray) -> Bracket:
    """Return the factor by which the trace of the iterates of a positive map grows in the end."""
    found = 0.0
    for _ in range(_ITERATIONS):
        trace = float(np.trace(X))
        if trace <= 0:
            return Bracket(0.0, 0.0, "everything is reached in finitely many steps")
        X = apply(X / trace)
        last, found = found, float(np.trace(X))
        if abs(found - last) <= _SETTLED * found:
            return Bracket(found, found, "power iteration, settled to 1e-12, not proved")
    return Bracket(min(found, last), max(found, last), f"power iteration, not settled after {_ITERATIONS} steps, not proved")
