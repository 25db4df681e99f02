"""Where the law of the iterates settles on quadratics: mean and covariance in the limit, of x and of its running average."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.linalg
from scipy.sparse.linalg import LinearOperator, gmres

from mastsim.expected import Objective
from mastsim.linalg import symmetric_part
from mastsim.methods import Method
from mastsim.methods.affine import require_affine, require_alike
from mastsim.moments.base import misplacement, require_quadratic
from mastsim.moments.closed import closed_chain
from mastsim.moments.enumeration import EnumeratedRecursion
from mastsim.moments.stability import contraction
from mastsim.readonly import ReadOnly
from mastsim.recursions import MomentRecursion, MomentState
from mastsim.recursions.base import UNIT, range_of
from mastsim.validation import instance

_DENSE = 32
_REFINED = 3


@dataclass(frozen=True, eq=False)
class Stationary(ReadOnly):
    """The limit of the law of the iterates, whatever the start.

    Parameters
    ----------
    mean : ndarray, shape (dim,)
        lim E x^t.
    covariance : ndarray, shape (dim, dim)
        lim Cov(x^t).
    average_covariance : ndarray, shape (dim, dim)
        lim T·Cov(x̄_T) for the running average x̄_T = (x^0 + … + x^{T−1})/T.
    mean_error, covariance_error, average_error : float
        Proven bounds on the distance of each from the truth, in the Euclidean and the spectral norm, roundings counted.
    """

    mean: np.ndarray
    covariance: np.ndarray
    average_covariance: np.ndarray
    mean_error: float
    covariance_error: float
    average_error: float


def stationary(objective: Objective, method: Method) -> Stationary:
    """Return mean and covariance of the iterates of a method in the limit, on a quadratic, and of their running average.

    The covariance solves Γ = Φ(Γ) + N, Φ being what a step does to second moments and N what its noise adds. The errors come
    from the residual, by an X with X − Φ(X) ⪰ ½I, which also proves that there is a limit.

    Parameters
    ----------
    objective : Objective
        f must be quadratic, and H_D not singular: along its kernel iterates stay where they start.
    method : Method
        Its steps must be affine and alike.

    Returns
    -------
    Stationary
        The limits with their errors.

    Raises
    ------
    ValueError
        If f is not quadratic, no recursion is known for the method, or second moments have no limit.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(1), np.ones(1)), ms.Bernoulli(1, 0.5))
    >>> limit = stationary(F, ms.DSGD(0.25, ms.FullBatch()))
    >>> limit.mean, limit.covariance.item(), bool(limit.covariance_error < 1e-12)
    (array([0.5]), 0.0, True)
    """
    require_quadratic(objective)
    instance("method", method, Method)
    require_affine(method)
    require_alike(method, "a limit of moments")
    if range_of(objective.curvature).vectors.shape[1] < objective.dim:
        raise ValueError(
            f"{objective.name} has a singular H_D: along its kernel iterates stay where they start, so that "
            "there is no limit for all starts; use a quadratic with a Hessian of full rank"
        )
    step = _step_of(objective, method)
    solved = _Solved.of(step)
    if solved is None:
        found = contraction(objective, method)
        raise ValueError(
            f"the second moments of {method.name} have no limit on {objective.name}: a step multiplies them by "
            f"{found.lower:.6g} to {found.upper:.6g} in the long run; use a smaller step size"
        )
    return solved.limit(method.target(objective), misplacement(objective, method))


@dataclass(frozen=True, eq=False)
class _Step:
    """One step y⁺ = Ty + c in balanced units, y counted from the center."""

    mean: np.ndarray
    """E T, shape (size, size)."""
    constant: np.ndarray
    """E c, shape (size,)."""
    linear: Callable[[np.ndarray], np.ndarray]
    """Φ(X) = E[TXTᵀ] of symmetric matrices, shape (…, size, size)."""
    noise: Callable[[np.ndarray], np.ndarray]
    """Maps a mean m to E[(Tm + c)(Tm + c)ᵀ]."""
    rounding: float
    """What Φ rounds by, relative to the size of its argument."""
    noise_rounding: float
    points: int
    """How many coordinates the iterate has, which come first and count 1."""
    curvature: float
    """γ²E‖H‖², by which a misplaced center comes back as noise."""
    origin: float = 0.0
    """The size of what points are counted from, where `constant` was read off there."""


def _step_of(objective: Objective, method: Method) -> _Step:
    """Return the step of a method in closed form, or from the list of its outcomes."""
    try:
        chain = closed_chain(objective, method)
    except ValueError:
        return _listed(EnumeratedRecursion(objective, method))
    return _closed(chain, objective.dim)


def _closed(chain: MomentRecursion, dim: int) -> _Step:
    units = chain.units
    outer_units, size = np.outer(units, units), len(units)

    still = chain.mean_after(np.zeros(size))
    return _Step(
        mean=((chain.mean_after(np.diag(units)) - still) / units).T,
        constant=still / units,
        linear=lambda X: chain.linear(X * outer_units) / outer_units,
        noise=lambda m: chain.step(MomentState(m * units, np.outer(m, m) * outer_units)).second / outer_units,
        rounding=chain.rounding_rate,
        noise_rounding=UNIT * dim * chain.noise_size,
        points=dim,
        curvature=chain.stepsize**2 * chain.curvature_size,
    )


def _listed(chain: EnumeratedRecursion) -> _Step:
    maps, weights = chain.maps
    T = maps[:, :-1, :-1] * chain.units / chain.units[:, None]
    c = maps[:, :-1, -1] / chain.units

    def noise(m: np.ndarray) -> np.ndarray:
        ends = T @ m + c
        return np.asarray((weights[:, None] * ends).T @ ends)

    size = 1.0 + float(weights @ np.square(T).sum(axis=(1, 2)))
    # A map is read off with a rounding of the size of the origin and the reach, about equal.
    rounding = 4 * UNIT * chain.size * max(size, chain.terms)
    reach = float(weights @ np.square(c).sum(axis=1)) + chain.reach**2 * rounding
    return _Step(
        mean=np.tensordot(weights, T, 1),
        constant=weights @ c,
        linear=lambda X: np.einsum("n,nij,...jk,nlk->...il", weights, T, X, T, optimize=True),
        noise=noise,
        rounding=rounding,
        noise_rounding=UNIT * chain.size * reach,
        points=chain.objective.dim,
        curvature=size,
        origin=chain.reach,
    )


@dataclass(frozen=True, eq=False)
class _Solved:
    """A step whose second moments have a limit."""

    step: _Step
    X: np.ndarray
    """Positive definite, with X − Φ(X) ⪰ ½I whatever the rounding."""

    @classmethod
    def of(cls, step: _Step) -> _Solved | None:
        """Return the step with the proof that there is a limit; None where none is found."""
        size = len(step.mean)
        with np.errstate(all="ignore"):
            X = _solve(step, np.eye(size))
            if not np.isfinite(X).all():
                return None
            left = np.linalg.eigvalsh(symmetric_part(X - step.linear(X)))[0]
            proved = left - step.rounding * float(np.linalg.norm(X)) >= 0.5 and np.linalg.eigvalsh(X)[0] > 0
        return cls(step, X) if proved else None

    @cached_property
    def inverse(self) -> np.ndarray:
        """(I − E T)⁻¹, shape (size, size)."""
        return np.linalg.inv(np.eye(len(self.X)) - self.step.mean)

    def limit(self, center: np.ndarray, misplaced: float) -> Stationary:
        """Return the limits, for a center that may be off by so much."""
        step, G = self.step, self.inverse
        m = G @ step.constant
        N = symmetric_part(step.noise(m) - np.outer(m, m))
        # Far below the rounding of its terms, noise is none.
        N = np.where(np.linalg.norm(N) <= step.noise_rounding, 0.0, N)
        covariance = _solve(step, N) if N.any() else np.zeros_like(N)
        residual = float(np.linalg.norm(covariance - step.linear(covariance) - N, 2))
        spread = float(np.trace(N)) + step.noise_rounding
        off = 2 * misplaced * np.sqrt(spread * step.curvature) + step.curvature * misplaced**2
        doubt = residual + step.rounding * (float(np.linalg.norm(covariance)) + float(m @ m)) + step.noise_rounding + off
        # |Γ − Γ*| ⪯ 2·doubt·X, as X − Φ(X) ⪰ ½I and Φ keeps the order.
        error, inside = 2 * doubt * float(np.linalg.norm(self.X, 2)), float(np.linalg.norm(G, 2))
        average = symmetric_part(G @ covariance + covariance @ G.T - covariance)
        rounding = step.rounding * inside * (1 + inside) * float(np.linalg.norm(covariance))
        points = slice(step.points)
        return Stationary(
            mean=center + m[points],
            covariance=covariance[points, points],
            average_covariance=average[points, points],
            mean_error=misplaced + step.rounding * inside * (float(np.linalg.norm(m)) + step.origin),
            covariance_error=2 * doubt * float(np.linalg.norm(self.X[points, points], 2)),
            average_error=(2 * inside + 1) * error + 2 * rounding,
        )


def _solve(step: _Step, right: np.ndarray) -> np.ndarray:
    """Return X with X − Φ(X) = right, as well as floats allow; anything where there is none."""
    X = _guess(step, right)
    for _ in range(_REFINED):
        X = X + _guess(step, symmetric_part(right - X + step.linear(X)))
    return symmetric_part(X)


def _guess(step: _Step, right: np.ndarray) -> np.ndarray:
    size = len(right)
    if size <= _DENSE:
        rows, columns = np.triu_indices(size)
        units = np.zeros((len(rows), size, size))
        units[np.arange(len(rows)), rows, columns] = units[np.arange(len(rows)), columns, rows] = 1.0
        table = (units - symmetric_part(step.linear(units)))[:, rows, columns].T
        try:
            found = np.linalg.solve(table, right[rows, columns])
        except np.linalg.LinAlgError:
            return np.full_like(right, np.nan)
        return np.tensordot(found, units, 1)

    def product(x: np.ndarray) -> np.ndarray:
        X = symmetric_part(x.reshape(size, size))
        return np.asarray(X - symmetric_part(step.linear(X))).ravel()

    def without_variance(x: np.ndarray) -> np.ndarray:
        # The mean part of Φ is most of it where steps are small.
        return np.asarray(scipy.linalg.solve_discrete_lyapunov(step.mean, symmetric_part(x.reshape(size, size)))).ravel()

    shape = (size**2, size**2)
    near = LinearOperator(shape, matvec=without_variance, dtype=float)
    found = gmres(LinearOperator(shape, matvec=product, dtype=float), right.ravel(), M=near, rtol=1e-12, maxiter=20)[0]
    return symmetric_part(found.reshape(size, size))
