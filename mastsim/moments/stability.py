"""How fast second moments really contract on quadratics, and up to which step size they do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.linalg

from mastsim.expected import Distributed, Objective
from mastsim.linalg import symmetric_part
from mastsim.methods import DSGD, DistributedDSGD, Method
from mastsim.methods.affine import require_affine, require_alike
from mastsim.moments.closed import closed_chain
from mastsim.moments.enumeration import EnumeratedRecursion
from mastsim.recursions import FactorBracket, MomentRecursion, stability_limit
from mastsim.recursions.base import UNIT, range_of
from mastsim.recursions.gradient_descent import GradientRecursion, on_range
from mastsim.recursions.positive_map import PositiveMap
from mastsim.validation import instance

_REACHED = 1e-11


def largest_stable_stepsize(objective: Objective) -> FactorBracket:
    """Return the step size beyond which the second moment of `DSGD` grows without bound, on a quadratic.

    It is 1/λ_max((H_D⊗I + I⊗H_D)⁻¹E[H⊗H]) on the range of H_D, and the same for `DistributedDSGD` on clients.

    Parameters
    ----------
    objective : Objective
        f must be quadratic, with a sketch whose moments have a closed form or few values.

    Returns
    -------
    FactorBracket
        Both sides; the lower end is safe, and proved where `proved` says so.

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
    >>> found = largest_stable_stepsize(F)
    >>> round(found.lower, 12), found.proved
    (0.5, True)
    """
    chain = closed_chain(objective, DistributedDSGD(1.0) if isinstance(objective, Distributed) else DSGD(1.0))
    assert isinstance(chain, GradientRecursion)
    return stability_limit(chain.gradient)


def contraction(objective: Objective, method: Method) -> FactorBracket:
    """Return the true factor by which a step of a method shrinks second moments in the long run, on a quadratic.

    It is the spectral radius of M ↦ E[TMTᵀ] for the linear part T of a step, on the states that starts in the range of H_D
    lead to, modulo directions along which H_D vanishes where no step leads out of them.

    Parameters
    ----------
    objective : Objective
        f must be quadratic.
    method : Method
        It must say that its step is affine, and its steps must be alike: of one size.

    Returns
    -------
    FactorBracket
        Both sides, `how`, and whether they are `proved`, with roundings counted. They are not where rounding leaves open
        which directions count: then they are right for those that do.

    Raises
    ------
    ValueError
        If f is not quadratic, or no recursion is known for the method.

    References
    ----------
    This package; the bracket after Collatz and Wielandt.

    Examples
    --------
    >>> import mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(1), np.zeros(1)), ms.Bernoulli(1, 0.5))
    >>> found = contraction(F, ms.DSGD(0.25))
    >>> round(found.upper, 12), found.proved
    (0.5, True)
    >>> round(contraction(F, ms.PAGE(0.25, probability=1.0)).upper, 9)
    0.25
    """
    instance("method", method, Method)
    require_affine(method)
    require_alike(method, "a factor of contraction")
    try:
        chain = closed_chain(objective, method)
    except ValueError:
        return _listed_contraction(EnumeratedRecursion(objective, method))
    return chain.contraction() if isinstance(chain, GradientRecursion) else _closed_contraction(chain, objective)


def _starts(objective: Objective) -> np.ndarray:
    """Return an orthonormal basis of the range of H_D, one vector a row."""
    return range_of(objective.curvature).vectors.T


def _closed_contraction(chain: MomentRecursion, objective: Objective) -> FactorBracket:
    """Return the bracket of a closed recursion on what starts in the range of H_D lead to."""
    U, uncertain = _starts(objective).T, range_of(objective.curvature).uncertain
    blocks, d = len(chain.fields), objective.dim
    basis = np.kron(np.eye(blocks), U)
    into, out = chain.units[:, None] * basis, basis / chain.units[:, None]
    seconds = [chain.start(y).second for y in U.T]
    start = out.T @ sum(seconds, np.zeros((blocks * d, blocks * d))) @ out

    def apply(X: np.ndarray) -> np.ndarray:
        return np.asarray(out.T @ chain.linear(into @ X @ into.T) @ out)

    V, whole = np.eye(len(start)), True
    if chain.reach != "all":
        V = _directions(start, len(start) * np.finfo(float).eps * float(np.trace(start)))
    if chain.reach == "some":
        V = _reached(apply, V, chain.rounding_rate)
        whole = V.shape[1] == len(start)
    found = PositiveMap(lambda X: V.T @ apply(V @ X @ V.T) @ V, V.shape[1], chain.rounding_rate).bracket()
    return _as_far_as_reached(on_range(found, uncertain), whole)


def _reached(apply: Callable[[np.ndarray], np.ndarray], V: np.ndarray, rounding: float) -> np.ndarray:
    """Return an orthonormal basis of the states that combinations of V lead to, as far as rounding can tell."""
    while 0 < V.shape[1] < len(V):
        rest = np.eye(len(V)) - V @ V.T
        fresh = _directions(rest @ apply(V @ V.T) @ rest, 4 * rounding * np.sqrt(V.shape[1]))
        if not fresh.shape[1]:
            break
        V = np.linalg.qr(np.concatenate([V, fresh], axis=1))[0]
    return V


def _directions(X: np.ndarray, least: float) -> np.ndarray:
    values, vectors = np.linalg.eigh(symmetric_part(X))
    return np.asarray(vectors[:, values > least])


def _as_far_as_reached(found: FactorBracket, whole: bool) -> FactorBracket:
    if whole or not found.proved:
        return found
    return FactorBracket(found.lower, found.upper, f"estimate: on the states reached up to rounding; {found.how}", False)


def _listed_contraction(chain: EnumeratedRecursion) -> FactorBracket:
    """Return the bracket of an enumerated recursion on what starts in the range of H_D lead to."""
    maps, weights = chain.maps
    linear = maps[:, :-1, :-1] * chain.units / chain.units[:, None]
    uncertain = range_of(chain.objective.curvature).uncertain
    Q = _quotient(chain, linear)
    inside = Q.T @ linear @ Q
    V = _reached_by(inside, Q.T @ (_linear_starts(chain) / chain.units).T)
    whole = V.shape[1] == len(V)
    T = V.T @ inside @ V
    r = V.shape[1]
    table = np.einsum("n,nij,nkl->ikjl", weights, T, T, optimize=True).reshape(r * r, r * r)
    size = 1.0 + float(weights @ np.square(linear).sum(axis=(1, 2)))
    # The maps are read off with a rounding of the size of the origin and the reach, about equal.
    found = PositiveMap(lambda X: (table @ X.ravel()).reshape(r, r), r, 4 * UNIT * chain.size * size).bracket()
    return _as_far_as_reached(on_range(found, uncertain), whole)


def _linear_starts(chain: EnumeratedRecursion) -> np.ndarray:
    """Return the states that the starts y in the range of H_D stand for, less that of y = 0, one a row."""
    y = chain.center + np.concatenate([np.zeros((1, chain.objective.dim)), _starts(chain.objective)])
    states = np.concatenate(chain.method.init(chain.objective, y), axis=1)
    return np.asarray(states[1:] - states[0])


def _quotient(chain: EnumeratedRecursion, linear: np.ndarray) -> np.ndarray:
    """Return a basis of the states modulo those along which H_D vanishes, where no step leads out of these; else of all."""
    U, whole = _starts(chain.objective).T, np.eye(chain.objective.dim)
    points = [name in chain.method.points for name in chain.fields]
    for parts in ([U] * len(points), [U if is_point else whole for is_point in points]):
        Q = np.asarray(scipy.linalg.block_diag(*parts))
        leaves = np.abs(Q.T @ linear @ (np.eye(len(Q)) - Q @ Q.T)).max(initial=0.0)
        if leaves <= _REACHED * np.abs(linear).max():
            return Q
    return np.eye(len(Q))


def _reached_by(maps: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis of the smallest space with the starts, one a column, that no map leads out of."""
    V, least = (
        _span(starts, _REACHED * float(np.abs(starts).max(initial=0.0))),
        _REACHED * float(np.abs(maps).max(initial=0.0)),
    )
    while 0 < V.shape[1] < len(V):
        images = (maps @ V).transpose(1, 0, 2).reshape(len(V), -1)
        fresh = _span(images - V @ (V.T @ images), least)
        if not fresh.shape[1]:
            break
        V = np.linalg.qr(np.concatenate([V, fresh], axis=1))[0]
    return V


def _span(columns: np.ndarray, least: float) -> np.ndarray:
    """Return an orthonormal basis of the columns, but for directions that none of them has more than `least` of."""
    if columns.shape[1] > len(columns):
        columns = np.linalg.qr(columns.T)[1].T
    vectors, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    return np.asarray(vectors[:, sizes > least])
