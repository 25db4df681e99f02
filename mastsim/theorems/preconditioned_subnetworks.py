"""Preconditioned subnetworks of quadratics, judged on f itself: linear to a neighbourhood and a bias."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from mastsim.constants import CLIENT_NAMES, NAMES, Constants
from mastsim.expected import Distributed, Objective
from mastsim.methods import Method, PreconditionedSubnetworks
from mastsim.methods.preconditioned import has_one_coordinate_each
from mastsim.problems import Quadratic
from mastsim.provenance import Constant
from mastsim.recursions.base import UNIT
from mastsim.sketches import PermK
from mastsim.theorems.assumptions import DISTRIBUTED, Assumption
from mastsim.theorems.linear_and_sublinear import LinearRate
from mastsim.theorems.rates import Case
from mastsim.theorems.subnetwork_constants import CURVED, QUADRATIC_CLIENTS

ONE_COORDINATE_EACH = Assumption(
    "as many clients as coordinates, dealt out one each",
    has_one_coordinate_each,
    lambda F: f"there are {len(F.clients)} clients and {F.dim} coordinates, {'' if F.correlated else 'not '}dealt out",
    "use Distributed(problems, PermK(d, clients=d)) with d problems",
)
POSITIVE_DIAGONALS = Assumption(
    "positive diagonals of all L_i",
    lambda F: F.is_quadratic and _least_diagonal(F) > 0,
    lambda F: f"the least diagonal entry is {_least_diagonal(F):g}" if F.is_quadratic else "there is no constant Hessian",
    "add regularisation to every client",
)


def _least_diagonal(F: Distributed) -> float:
    return min(float(np.diagonal(client.problem.upper_curvature.matrix).min()) for client in F.clients)


class PreconditionedConstants(Constants):
    """The constants of clients trained by `PreconditionedSubnetworks`: steps move to b = x* + h + ξ, E ξ = 0.

    Parameters
    ----------
    objective : Distributed
        Clients with quadratics, as many as coordinates.

    References
    ----------
    This package.
    """

    objective: Distributed

    def __init__(self, objective: Distributed) -> None:
        super().__init__(objective)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the table, in the order in which they are reported."""
        return (*NAMES, *CLIENT_NAMES, "preconditioned_bias2", "preconditioned_noise2")

    @cached_property
    def _hessian(self) -> np.ndarray:
        return np.asarray(self.objective.problem.upper_curvature.matrix)

    @cached_property
    def preconditioned_bias2(self) -> Constant:
        """‖h‖²_L̄ for h = E b − x*, which stays however small the steps are."""
        method, F = PreconditionedSubnetworks(1.0), self.objective
        lowest = F.problem.minimize()
        h, size = method.target(F) - lowest.x, float(np.linalg.norm(lowest.x))
        value = max(float(h @ self._hessian @ h), 0.0)
        rounding = (method.target_error(F) + UNIT * F.dim * size) * math.sqrt(float(self.L_f))
        off = math.sqrt(2 * lowest.excess_bound) + rounding
        return Constant(value, "exact", "‖E b − x*‖²_L̄ (this package)", off * (2 * math.sqrt(value) + off))

    @cached_property
    def preconditioned_noise2(self) -> Constant:
        """σ² = E‖b − E b‖²_L̄."""
        gradient = PreconditionedSubnetworks(1.0).closed_recursion(self.objective).gradient
        value = max(float(np.sum(self._hessian * gradient.noise)), 0.0)
        error = UNIT * self.objective.dim * float(self.L_f) * gradient.noise_size
        return Constant(value, "exact", "E‖b − E b‖²_L̄ (this package)", error)


@dataclass(frozen=True, eq=False)
class PreconditionedDescent(LinearRate):
    """E f(x^T) − f^inf ≤ (1 − γ)^T(f(x⁰) − f^inf) + ½(‖h‖²_L̄ + γσ²) for every γ ≤ 1, whatever the conditioning.

    The sum of these bounds is one of the average of E‖∇f‖²_{L̄⁻¹} = 2(E f − f^inf). The bias ‖h‖²_L̄ stays however small the
    steps are; the exact limit is ½(‖h‖²_L̄ + γσ²/(2 − γ)).

    Parameters
    ----------
    objective : Distributed
        As many clients with quadratics as coordinates, dealt out; L̄ ≻ 0 and every L_i with a positive diagonal.
    sharp : bool, default False
        Has no effect: the constants are sharp.

    Raises
    ------
    AssumptionError
        Naming the assumption, the measured value and the remedy.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> f = ms.Quadratic(np.eye(2), np.ones(2))
    >>> t = PreconditionedDescent(ms.Distributed([f, f], ms.PermK(2, clients=2)))
    >>> t.stepsize, round(t.radius, 12)  # b is 1/√2 of x*: preconditioned subnetworks shrink what they find
    (1.0, 0.085786437627)
    """

    id = "subnetworks-preconditioned"
    title = "Subnetworks, preconditioned (value of f)"
    source = "this package"
    statement = (
        r"\mathbf C_i = \sqrt d\,\mathrm{Diag}(\mathbf L_i)^{-1/2}_{\pi_i\pi_i}e_{\pi_i}e_{\pi_i}^\top,\ \gamma \le 1"
        r" \Rightarrow \mathbb E f(x^T) - f^{\inf} \le (1 - \gamma)^T(f(x^0) - f^{\inf}) + \tfrac12\left(\|h\|_{\bar{\mathbf"
        r" L}}^2 + \gamma\sigma^2\right),\quad h = \mathbb E b - x^*,\ \sigma^2 = \mathbb E\|b - \mathbb E b\|_{\bar{\mathbf"
        r" L}}^2,\ b = v - \tfrac1d\textstyle\sum_i\mathbf C_i\nabla f_i(v)"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (
        DISTRIBUTED,
        QUADRATIC_CLIENTS,
        ONE_COORDINATE_EACH,
        POSITIVE_DIAGONALS,
        CURVED,
    )
    constants_used = ("preconditioned_bias2", "preconditioned_noise2")
    method = "PreconditionedSubnetworks"
    measure = "f_gap"
    starts_from = "f_gap"
    beyond = True
    longest = 60

    @cached_property
    def constants(self) -> PreconditionedConstants:
        """The constants of the objective."""
        return PreconditionedConstants(self.objective)

    @classmethod
    def own_cases(cls, small: Sequence[Objective]) -> Sequence[Case]:
        """Return two clients of different conditioning and three whose minimisers differ much."""
        return [Case(cls(F), None, "holds") for F in one_coordinate_each()]

    def method_at(self, stepsize: float) -> Method:
        """Return `PreconditionedSubnetworks` with a step size."""
        return PreconditionedSubnetworks(stepsize)

    @property
    def stepsize(self) -> float:
        """The largest step size, 1."""
        return 1.0

    def contraction(self, stepsize: float) -> float:
        """Return γ."""
        return min(stepsize, 1.0)

    def neighbourhood(self, stepsize: float) -> float:
        """Return ½(‖h‖²_L̄ + γσ²), from proven upper bounds on both."""
        bias, noise = self.constants.preconditioned_bias2, self.constants.preconditioned_noise2
        return 0.5 * (bias.value + bias.error + stepsize * (noise.value + noise.error))

    def forgetting(self, stepsize: float) -> float:
        """Return γ."""
        return self.contraction(stepsize)


def one_coordinate_each() -> list[Distributed]:
    """Return clients that are dealt one coordinate each, on which the theorem is tried."""
    first, second = np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([[1.0, 0.3], [0.3, 0.1]])
    third = np.array([[4.0, -1.0, 0.0], [-1.0, 1.0, 0.5], [0.0, 0.5, 0.5]])
    pair = [Quadratic(first, np.array([1.0, -1.0])), Quadratic(second, np.array([0.5, 2.0]))]
    three = [Quadratic(third, np.ones(3)), Quadratic(np.eye(3), np.array([3.0, 0.0, -3.0])), Quadratic(third, np.zeros(3))]
    return [
        Distributed(pair, PermK(2, clients=2)),
        Distributed(pair, PermK(2, clients=2), shift=np.array([1.0, -2.0])),
        Distributed(three, PermK(3, clients=3)),
    ]
