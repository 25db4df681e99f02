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
    Method,
    SketchCompressor,
    StochasticMethod,
    Uncompressed,
)
from mastsim.methods.minibatch import Minibatch
from mastsim.moments.base import Form, Recursion, finished, require_quadratic
from mastsim.moments.operators import (
    DistributedRecursion,
    DSGDRecursion,
    MomentRecursion,
    MomentState,
    PAGERecursion,
    SampledGradient,
    SampledRecursion,
    SketchedGradient,
    SVRGRecursion,
    anchor_variance,
)
from mastsim.problems import Problem

COMPONENT_WORK = 1 << 18
"""The largest n·d³, the work of one step with sampled gradients, that is accepted: replicas are faster beyond."""


@dataclass(frozen=True, eq=False)
class ClosedRecursion(Recursion):
    """A closed moment recursion, counted from x_D*.

    Parameters
    ----------
    objective : Objective
        A quadratic.
    method : Method
        `DSGD` with any sampling and with compression by a mask, or `LSVRDSG`, `PAGE` or `DistributedDSGD` with exact
        gradients and no compression; with a constant step size.

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
        _ = self.chain

    @cached_property
    def chain(self) -> MomentRecursion:
        """The recursion on mean and second moment."""
        return closed_chain(self.objective, self.method)

    @property
    def center(self) -> np.ndarray:
        """x_D*."""
        return self.objective.minimize().x

    def run(self, x0: np.ndarray, steps: int, forms: list[Form]) -> np.ndarray:
        """Return the expectations of forms along the path from `x0`, shape (steps + 1, forms); overflow is infinite."""
        chain = self.chain
        d, carried = self.objective.dim, {"x": 0, "w": 1, "g": 1}
        state = chain.start(np.asarray(x0, dtype=float) - self.center)
        history = np.full((steps + 1, len(forms)), np.inf)
        with np.errstate(over="ignore", invalid="ignore"):
            for t in range(steps + 1):
                for i, form in enumerate(forms):
                    history[t, i] = sum(_applied(state, pair, matrix, d, carried) for pair, matrix in form.items())
                if not np.isfinite(history[t]).any():
                    break
                state = chain.step(state)
        return finished(history)


def _applied(state: MomentState, pair: tuple[str, str], matrix: np.ndarray, d: int, place: dict[str, int]) -> float:
    mean, second = state
    left, right = pair
    if right == "":
        start = np.ones(1) if left == "" else mean[place[left] * d : (place[left] + 1) * d]
        return float(start @ matrix[:, 0])
    i, j = place[left] * d, place[right] * d
    return float(np.vdot(matrix, second[i : i + d, j : j + d]))


class _Deterministic(MomentRecursion):
    """y⁺ = (I − γH_D)y, without any randomness."""

    def __init__(self, hessian: np.ndarray, stepsize: float) -> None:
        self._hessian, self.stepsize = hessian, stepsize

    @property
    def hessian(self) -> np.ndarray:
        return self._hessian

    def step(self, state: MomentState) -> MomentState:
        keep = np.eye(len(self.hessian)) - self.stepsize * self.hessian
        return MomentState(keep @ state.mean, keep @ state.second @ keep.T)


def closed_chain(objective: Objective, method: Method) -> MomentRecursion:
    """Return the closed recursion of a method on a quadratic; raises as `ClosedRecursion` does."""
    require_quadratic(objective)
    if isinstance(method, GD) and isinstance(method.rule, ConstantStep):
        return _Deterministic(objective.curvature, method.rule.stepsize)
    if not isinstance(method.rule, ConstantStep):
        raise ValueError(f"{method.name} has a step size that changes: exact moments need a constant one")
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
    own = objective.sketch.moment_operators(objective.problem.upper_curvature.matrix)
    g0 = np.asarray(objective.problem.gradient(objective.center))
    if isinstance(method, DSGD):
        return DSGDRecursion(own, gamma, z_star, g0)
    if isinstance(method, LSVRDSG):
        spread = 0.0 if method.anchor is None else anchor_variance(int(objective.sketch.support_size), method.anchor)
        return SVRGRecursion(own, gamma, method.probability, z_star, g0, spread)
    if isinstance(method, PAGE):
        return PAGERecursion(own, gamma, method.probability, method.sketches)
    raise ValueError(f"no closed moment recursion is known for {method.name}")


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
    if isinstance(method.compression, SketchCompressor):
        compression = method.compression.sketch.moment_operators(np.eye(d))
        if not method.compression.sketch.law.symmetric:
            raise ValueError(f"no closed moment recursion is known for {method.name}: its compressor is not diagonal")
    elif not isinstance(method.compression, Uncompressed):
        raise ValueError(f"no closed moment recursion is known for {method.name}: its compressor is not linear")
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
