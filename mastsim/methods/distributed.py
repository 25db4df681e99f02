"""Distributed double-sketched gradient descent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mastsim.backend import Array
from mastsim.draws import Draw, Independent
from mastsim.expected import Distributed, Objective
from mastsim.methods.base import Oracle, StochasticMethod
from mastsim.methods.compression import Uncompressed
from mastsim.methods.states import State
from mastsim.methods.uniform_sampling import FullBatch
from mastsim.recursions import DistributedGradient, GradientRecursion, MomentRecursion
from mastsim.validation import instance


@dataclass(frozen=True)
class DistributedDSGD(StochasticMethod):
    """Double-sketched gradient descent with M clients, x⁺ = x − (γ/M) Σ Q_i(S_iᵀg_i).

    Client i sketches, samples its own components and compresses by itself; the sketches follow the joint law of the
    objective, all else is independent between clients. With one client it is `DSGD`, draw for draw.

    Parameters
    ----------
    stepsize : float or StepRule
        γ > 0, or a rule that gives γ_t.
    sampling : Sampling, optional
        Which of its components each client sees; all by default.
    compression : Compressor, optional
        What each client does to its gradient before it is averaged; nothing by default.

    Raises
    ------
    ValueError
        If `stepsize` is not a finite number above zero, or the sampling does not fit a client's problem.

    References
    ----------
    MAST, arXiv 2311.16086, Algorithm 3.

    Examples
    --------
    >>> DistributedDSGD(0.5).name
    'DistributedDSGD'
    """

    keyword = "distributed"
    nodes = "many"
    affine = True

    def init(self, objective: Distributed, x0: Array) -> State:
        """Return the first state."""
        self._require_clients(objective)
        return State(x0)

    def closed_recursion(self, objective: Distributed) -> MomentRecursion:
        """Return the recursion for exact gradients that are not compressed."""
        self._require_clients(objective)
        if not self.is_exact:
            return super().closed_recursion(objective)
        clients = objective.clients
        operators = [F.sketch.moment_operators(F.problem.upper_curvature.matrix) for F in clients]
        slopes = np.stack([np.asarray(F.problem.gradient(F.center)) for F in clients])
        z_star, joint = objective.minimize().x - objective.center, "permk" if objective.correlated else "independent"
        return GradientRecursion(DistributedGradient(operators, z_star, slopes, joint), self.rule.largest)

    def _require_clients(self, objective: Objective) -> None:
        instance("objective", objective, Objective)
        if not isinstance(objective, Distributed):
            raise ValueError(f"objective={objective.name} is not accepted: DistributedDSGD needs clients; use DSGD")

    def oracle(self, objective: Objective, draw: Draw) -> Oracle:
        """Return an oracle without a minibatch: every client has its own."""
        return Oracle(objective, None)

    def compressed(self, direction: Array, objective: Objective, draw: Draw) -> Array:
        """Return the direction as it is: the clients compressed it."""
        return direction

    def direction(self, state: State, objective: Distributed, gradient: Oracle, draw: Draw) -> Array:
        """Return the average of what the clients send."""
        clients = objective.clients
        batches = draw.of("sketch", objective.joint)
        minibatches = [None] * len(clients)
        if not isinstance(self.sampling, FullBatch):
            laws = Independent(tuple(self.sampling.law(client.problem.components) for client in clients))
            minibatches = draw.of("minibatch", laws)
        each = zip(clients, batches, minibatches, strict=True)
        sent = [client.sketched_gradient(state.x, batch, minibatch) for client, batch, minibatch in each]
        if not isinstance(self.compression, Uncompressed):
            laws = Independent((self.compression.law(objective.dim),) * len(clients))
            sent = [compress.apply(g) for compress, g in zip(draw.of("compression", laws), sent, strict=True)]
        return sum(sent[1:], sent[0]) / len(clients)
