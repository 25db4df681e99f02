"""Independent training of subnetworks of one coordinate, each scaled by the curvature of its client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from mastsim.backend import Array, namespace
from mastsim.draws import Draw
from mastsim.expected import Distributed, Mast
from mastsim.methods.base import Method
from mastsim.methods.states import State
from mastsim.recursions import DistributedGradient, GradientRecursion
from mastsim.recursions.base import UNIT
from mastsim.validation import instance


class ScaledClients(NamedTuple):
    """Clients in coordinates scaled by D_i = Diag(M·L_i)^{-½}: those and D_i∇f_i(v), shape (clients, dim) each."""

    scales: np.ndarray
    slopes: np.ndarray


def scaled_clients(objective: Distributed) -> ScaledClients:
    """Return the scales of clients with quadratics whose Hessians have a positive diagonal, and their scaled slopes at v."""
    diagonals = np.array([np.diagonal(client.problem.upper_curvature.matrix) for client in objective.clients])
    scales = 1 / np.sqrt(len(diagonals) * diagonals)
    slopes = np.array([np.asarray(client.problem.gradient(client.center)) for client in objective.clients])
    return ScaledClients(scales, scales * slopes)


def has_one_coordinate_each(objective: Any) -> bool:
    """Return whether there are as many clients as coordinates, and one Perm-K deals them out."""
    return isinstance(objective, Distributed) and objective.correlated and len(objective.clients) == objective.dim


@dataclass(frozen=True)
class PreconditionedSubnetworks(Method):
    """x⁺ = x − (γ/M)ΣC_i∇f_i(v + C_i(x − v)), C_i = √M·Diag(L_i)^{-½} on the one coordinate that client i is dealt, M = d.

    The C_i do not average to the identity, but (1/M)ΣC_iL_iC_i = I whatever is dealt: every step is a mean of the iterate
    and of what the clients say, and iterates settle around the mean of that, which is not the minimiser of f.

    Parameters
    ----------
    stepsize : float or StepRule
        γ > 0, or a rule that gives γ_t.

    Raises
    ------
    ValueError
        If `stepsize` is not a finite number above zero.

    References
    ----------
    This package, after Shulgin, Richtárik, Towards a better theoretical understanding of independent subnetwork training,
    arXiv 2306.16484, as remembered.

    Examples
    --------
    >>> import mastsim as ms
    >>> f, g = ms.Quadratic(np.diag([1.0, 2.0]), np.ones(2)), ms.Quadratic(np.diag([4.0, 2.0]), np.ones(2))
    >>> F = ms.Distributed([f, g], ms.PermK(2, clients=2))
    >>> np.round(PreconditionedSubnetworks(0.5).target(F), 12)
    array([0.53033009, 0.5       ])
    """

    nodes = "many"
    affine = True
    sketches_gradients = False

    def init(self, objective: Distributed, x0: Array) -> State:
        """Return the first state."""
        self._require(objective)
        return State(x0)

    def step(self, state: State, objective: Distributed, draw: Draw) -> State:
        """Return the state after one more step."""
        xp, y = namespace(state.x), state.x - namespace(state.x).asarray(objective.clients[0].center)
        g = xp.zeros_like(state.x)
        scaled = scaled_clients(objective).scales
        for client, scale, batch in zip(objective.clients, scaled, draw.of("sketch", objective.joint), strict=True):
            own = xp.asarray(scale)
            point = xp.asarray(client.center) + own * batch.apply(y)
            g = g + batch.apply_transpose(own * client.problem.gradient(point))
        return State(state.x - (self.rule.at(draw.step) / len(scaled)) * g)

    def target(self, objective: Distributed) -> np.ndarray:
        """Return v − the mean of D_i∇f_i(v), around which iterates settle, shape (dim,)."""
        self._require(objective)
        return np.asarray(objective.clients[0].center - scaled_clients(objective).slopes.mean(axis=0))

    def target_error(self, objective: Distributed) -> float:
        """Return what rounding leaves of the target."""
        slopes, v = scaled_clients(objective).slopes, objective.clients[0].center
        return UNIT * objective.dim * float(np.linalg.norm(slopes, axis=1).mean() + np.linalg.norm(v))

    def smoothness(self, node: Mast) -> float:
        """Return 1, at least the largest eigenvalue of D_iL_iD_i, whose trace it is."""
        return 1.0

    def closed_recursion(self, objective: Distributed) -> GradientRecursion:
        """Return the recursion, counted from `target`."""
        self._require(objective)
        scales, slopes = scaled_clients(objective)
        operators = [
            client.sketch.moment_operators(np.outer(scale, scale) * client.problem.upper_curvature.matrix)
            for client, scale in zip(objective.clients, scales, strict=True)
        ]
        gradient = DistributedGradient(operators, -slopes.mean(axis=0), slopes, "permk")
        return GradientRecursion(gradient, self.rule.largest)

    def _require(self, objective: Any) -> None:
        instance("objective", objective, Distributed)
        if not has_one_coordinate_each(objective):
            raise ValueError(
                f"objective={objective.name} is not accepted: {self.name} needs as many clients as coordinates, dealt out "
                f"by PermK({objective.dim}, clients={objective.dim})"
            )
        if not objective.is_quadratic:
            raise ValueError(f"objective={objective.name} is not accepted: {self.name} needs clients with quadratics")
        if any((np.diagonal(client.problem.upper_curvature.matrix) <= 0).any() for client in objective.clients):
            raise ValueError(
                f"objective={objective.name} is not accepted: {self.name} divides by the diagonal of every client's "
                "Hessian, which must be positive"
            )
