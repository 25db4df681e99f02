"""Exact moments in closed form: O(d³) a step, whatever the number of values of the sketch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mastsim.expected import Distributed, Mast, Objective
from mastsim.methods import (
    DSGD,
    GD,
    LSVRDSG,
    PAGE,
    ConstantStep,
    DistributedDSGD,
    FullBatch,
    IndependentSketches,
    Method,
    Refreshed,
    Reshuffled,
    SketchCompressor,
    StochasticMethod,
    Uncompressed,
)
from mastsim.methods.affine import implementation, require_affine
from mastsim.methods.minibatch import Minibatch
from mastsim.moments.base import Form, Recursion, displaced, misplacement, require_quadratic, written_out
from mastsim.moments.operators import (
    DistributedRecursion,
    DSGDRecursion,
    MomentRecursion,
    MomentState,
    PAGERecursion,
    ReshuffledRecursion,
    SampledGradient,
    SampledRecursion,
    ShiftRecursion,
    SketchedGradient,
    SVRGRecursion,
    anchor_variance,
)
from mastsim.moments.operators.recursion import Path, nonnegative_path
from mastsim.moments.operators.reshuffled import fits
from mastsim.problems import Problem
from mastsim.validation import instance

_KNOWN = (GD, DSGD, LSVRDSG, PAGE, DistributedDSGD)
COMPONENT_WORK = 1 << 18
"""The largest n·d³, the work of one step with sampled gradients, that is accepted: replicas are faster beyond."""


@dataclass(frozen=True, eq=False)
class ClosedRecursion(Recursion):
    """A closed moment recursion, counted from the point that the method is drawn to.

    Parameters
    ----------
    objective : Objective
        A quadratic.
    method : Method
        `DSGD` with any sampling and with compression by a mask, or with exact gradients and a refreshed shift or reshuffled
        sketches; or `LSVRDSG`, `PAGE` or `DistributedDSGD` with exact gradients and no compression; with a constant step
        size.

    Raises
    ------
    ValueError
        If f is not quadratic, or no closed form is known for the method or the sketch.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(1), np.zeros(1)), ms.Bernoulli(1, 0.5))
    >>> ClosedRecursion(F, ms.DSGD(0.25)).run(np.ones(1), 2, [{("x", "x"): np.eye(1)}]).ravel()
    array([1.  , 0.5 , 0.25])
    """

    objective: Objective
    method: Method

    def __post_init__(self) -> None:
        instance("method", self.method, Method)
        _ = self.chain

    @cached_property
    def chain(self) -> MomentRecursion:
        """The recursion on mean and second moment."""
        return closed_chain(self.objective, self.method)

    @property
    def center(self) -> np.ndarray:
        """The point that the method is drawn to: x_D*, or x* where the shift moves."""
        return self.method.target(self.objective)

    def run(self, x0: np.ndarray, steps: int, forms: list[Form]) -> np.ndarray:
        """Return the expectations of forms along the path from `x0`, shape (steps + 1, forms); overflow is infinite."""
        return nonnegative_path(self._path(x0), steps, self._written_out(forms), self._misplaced)

    def rounding(self, x0: np.ndarray, steps: int, forms: list[Form]) -> np.ndarray:
        """Return bounds on the rounding of `run`, shape (steps + 1, forms); see `Recursion.rounding`."""
        path, whole = self._path(x0), self._written_out(forms)
        with np.errstate(over="ignore", invalid="ignore"):
            rounding = path.rounding(steps, whole, self._misplaced)
            return displaced(path.expectations(steps, whole), rounding, whole, self._misplaced, self.objective.dim)

    def _path(self, x0: np.ndarray) -> Path:
        return Path(self.chain, np.asarray(x0, dtype=float) - self.center)

    @cached_property
    def _misplaced(self) -> float:
        return misplacement(self.objective, self.center)

    def _written_out(self, forms: list[Form]) -> list[np.ndarray]:
        return [written_out(form, self.chain.fields, self.objective.dim) for form in forms]


class _Deterministic(MomentRecursion):
    """y⁺ = (I − γH_D)y, without any randomness."""

    def __init__(self, hessian: np.ndarray, stepsize: float) -> None:
        self._hessian, self.stepsize = hessian, stepsize

    @property
    def hessian(self) -> np.ndarray:
        return self._hessian

    @property
    def curvature_size(self) -> float:
        return float(np.linalg.norm(self.hessian)) ** 2

    @cached_property
    def _keep(self) -> np.ndarray:
        return np.eye(len(self.hessian)) - self.stepsize * self.hessian

    def _advance(self, state: MomentState) -> MomentState:
        return MomentState(self._keep @ state.mean, self.linear(state.second))

    def linear(self, X: np.ndarray) -> np.ndarray:
        return self._keep @ X @ self._keep.T


def closed_chain(objective: Objective, method: Method) -> MomentRecursion:
    """Return the closed recursion of a method on a quadratic; raises as `ClosedRecursion` does."""
    require_quadratic(objective)
    require_affine(method)
    if (own := implementation(method)) not in _KNOWN:
        raise ValueError(f"no closed moment recursion is known for {method.name}")
    if (kind := implementation(objective)) not in (Mast, Distributed):
        raise ValueError(f"no closed moment recursion is known for {method.name} on objectives of class {kind.__name__}")
    assert isinstance(method.rule, ConstantStep)
    if own is GD:
        return _Deterministic(objective.curvature, method.rule.stepsize)
    if isinstance(method, DSGD) and not method.is_alike:
        return _reshuffled(objective, method) if type(method.order) is Reshuffled else _shifting(objective, method)
    if isinstance(method, DSGD) and isinstance(objective, Mast) and not _is_plain(method):
        return SampledRecursion(_sampled_gradient(objective, method), method.rule.stepsize)
    if not _is_plain(method):
        raise ValueError(f"no closed moment recursion is known for {method.name}")
    gamma, z_star = method.rule.stepsize, objective.minimize().x - objective.center
    if isinstance(method, DistributedDSGD) and isinstance(objective, Distributed):
        clients = objective.clients
        operators = [F.sketch.moment_operators(F.problem.upper_curvature.matrix) for F in clients]
        slopes = np.stack([np.asarray(F.problem.gradient(F.center)) for F in clients])
        return DistributedRecursion(operators, gamma, z_star, slopes, "permk" if objective.correlated else "independent")
    if not isinstance(objective, Mast):
        raise ValueError(f"no closed moment recursion is known for {method.name} on {objective.name}")
    operator = objective.sketch.moment_operators(objective.problem.upper_curvature.matrix)
    g0 = np.asarray(objective.problem.gradient(objective.center))
    if isinstance(method, DSGD):
        return DSGDRecursion(operator, gamma, z_star, g0)
    if isinstance(method, LSVRDSG):
        spread = 0.0 if method.anchor is None else anchor_variance(int(objective.sketch.support_size), method.anchor)
        return SVRGRecursion(operator, gamma, method.probability, z_star, g0, spread)
    if isinstance(method, PAGE):
        return PAGERecursion(operator, gamma, method.probability, method.sketches)
    raise ValueError(f"no closed moment recursion is known for {method.name}")


def _reshuffled(objective: Objective, method: DSGD) -> ReshuffledRecursion:
    """Return the recursion of epochs in random order."""
    if not (_is_plain(method) and isinstance(objective, Mast)):
        raise ValueError(f"no closed moment recursion is known for {method.name}")
    count = method.order.length(objective.sketch)
    if not fits(count, objective.dim):
        raise ValueError(f"an epoch of {count} steps in dimension {objective.dim} is too long for a closed moment recursion")
    S, A = np.asarray(objective.support[0].matrices()), objective.problem.upper_curvature.matrix
    H, z = S.transpose(0, 2, 1) @ A @ S, objective.minimize().x - objective.center
    g0 = np.asarray(objective.problem.gradient(objective.center))
    noises = np.einsum("nij,i->nj", S, g0) + H @ z
    return ReshuffledRecursion(H, noises, method.rule.largest)


def _shifting(objective: Objective, method: DSGD) -> ShiftRecursion:
    """Return the recursion of a refreshed shift, refusing any other that moves, and other orders."""
    rule, known = method.shift, type(method.order) is IndependentSketches and _is_plain(method)
    if not (known and type(rule) is Refreshed and rule.moves and isinstance(objective, Mast)):
        raise ValueError(f"no closed moment recursion is known for {method.name}")
    assert isinstance(rule, Refreshed)
    operators = objective.sketch.moment_operators(objective.problem.upper_curvature.matrix)
    u0 = None if rule.is_iterate else objective.center - method.target(objective)
    return ShiftRecursion(operators, method.rule.largest, rule.probability, rule.variant, u0)


def _is_plain(method: Method) -> bool:
    """Whether gradients are exact, apart from the sketch, and not compressed."""
    if not isinstance(method, StochasticMethod):
        return False
    return isinstance(method.sampling, FullBatch) and isinstance(method.compression, Uncompressed)


def _sampled_gradient(objective: Mast, method: DSGD) -> SampledGradient:
    """Return the moments of sampled and compressed gradients; the compressor must be a diagonal sketch."""
    problem, v, n, d = objective.problem, objective.center, objective.problem.components, objective.dim
    if n * d**3 > COMPONENT_WORK:
        raise ValueError(f"{n} components of dimension {d} are not accepted: at most {COMPONENT_WORK} for n·d³")
    compression = None
    if type(method.compression) is SketchCompressor:
        compression = method.compression.sketch.moment_operators(np.eye(d))
        if not method.compression.sketch.law.symmetric:
            raise ValueError(f"no closed moment recursion is known for {method.name}: its compressor is not diagonal")
    elif type(method.compression) is not Uncompressed:
        raise ValueError(f"no closed moment recursion is known for {method.name}: its compressor is not a sketch")
    z_star = objective.minimize().x - v
    slopes, hessians = _components(problem, v)
    parts = [
        SketchedGradient(objective.sketch.moment_operators(A), z_star, g) for A, g in zip(hessians, slopes, strict=True)
    ]
    own = objective.sketch.moment_operators(problem.upper_curvature.matrix)
    whole = SketchedGradient(own, z_star, np.asarray(problem.gradient(v)))
    shares, weight = method.sampling.second_moment(n)
    return SampledGradient(parts, whole, shares, weight, compression)


def _components(problem: Problem, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the gradients at v, shape (n, dim), and the Hessians, shape (n, dim, dim), of quadratic components."""
    n, d = problem.components, problem.dim
    one = Minibatch(np.arange(n)[:, None], np.ones((n, 1)))
    at = [np.asarray(problem.minibatch_gradient(np.broadcast_to(x, (n, d)), one)) for x in (v, *(v + np.eye(d)))]
    columns = np.stack([column - at[0] for column in at[1:]], axis=2)
    return at[0], (columns + columns.transpose(0, 2, 1)) / 2
