"""Distributed double-sketched gradient descent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mastsim.backend import Array, namespace
from mastsim.draws import Draw, Independent
from mastsim.expected import Distributed, Objective
from mastsim.methods.base import Oracle
from mastsim.methods.compression import Uncompressed
from mastsim.methods.participation import AVERAGES, COVERAGE, MEAN, UNPROVED, Participation, kept
from mastsim.methods.shifting import ShiftingMethod
from mastsim.methods.shifts import FixedShift, HeldSketch
from mastsim.methods.uniform_sampling import FullBatch
from mastsim.recursions import DistributedGradient, GradientRecursion, MomentRecursion
from mastsim.validation import instance, one_of


@dataclass(frozen=True)
class DistributedDSGD(ShiftingMethod):
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
    shift : ShiftRule, optional
        Whether and how the common v moves: `Refreshed` or `Held`; it stays by default.
    participation : Participation, optional
        Which clients take part in a step; all by default.
    averaging : {"mean", "coverage"}, default "mean"
        What the server does with what it gets: the mean, or, of masks, for every coordinate the mean of the gradients of
        those clients that kept it (HeteroFL), which is biased and about which there is no theorem.

    Raises
    ------
    ValueError
        If `stepsize` is not a finite number above zero, or a setting does not fit the clients or another setting.

    References
    ----------
    MAST, arXiv 2311.16086, Algorithm 3; shifts that move and participation: this package. Averaging by coverage: Diao, Ding,
    Tarokh, HeteroFL, ICLR 2021, as remembered.

    Examples
    --------
    >>> DistributedDSGD(0.5).name
    'DistributedDSGD'
    """

    keyword = "distributed"
    nodes = "many"
    affine = True

    participation: Participation = field(default_factory=Participation, kw_only=True)
    averaging: str = field(default=MEAN, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        instance("participation", self.participation, Participation)
        one_of("averaging", self.averaging, AVERAGES)
        if isinstance(self.shift, HeldSketch):
            raise ValueError(f"shift={self.shift.name!r} is not accepted with clients: each of them trained another model")

    @property
    def name(self) -> str:
        """For example ``DistributedDSGD, 2 clients at a time``."""
        parts = [super().name]
        parts += [] if self.participation == Participation() else [self.participation.name]
        parts += [] if self.averaging == MEAN else ["coverage-normalised"]
        return ", ".join(parts)

    @property
    def unproved(self) -> str:
        """Why no theorem is about the method; empty where one may be."""
        return UNPROVED if self.averaging == COVERAGE else ""

    def init(self, objective: Distributed, x0: Array) -> Any:
        """Return the first state."""
        self._require_clients(objective)
        self.participation.check(len(objective.clients))
        return self.shift.first(objective, x0)

    def closed_recursion(self, objective: Distributed) -> MomentRecursion:
        """Return the recursion for exact gradients that are not compressed, a fixed shift, and any participation."""
        self._require_clients(objective)
        if not (self.is_exact and type(self.shift) is FixedShift and self.averaging == MEAN):
            return super().closed_recursion(objective)
        clients = objective.clients
        operators = [F.sketch.moment_operators(F.problem.upper_curvature.matrix) for F in clients]
        slopes = np.stack([np.asarray(F.problem.gradient(F.center)) for F in clients])
        z_star, joint = objective.minimize().x - objective.center, "permk" if objective.correlated else "independent"
        own, pairs = self.participation.moments(self.participation.check(len(clients)))
        return GradientRecursion(DistributedGradient(operators, z_star, slopes, joint, own, pairs), self.rule.largest)

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

    def direction(self, state: Any, objective: Distributed, gradient: Oracle, draw: Draw) -> Array:
        """Return what the server makes of what the clients send."""
        clients, shift = objective.clients, getattr(state, "v", None)
        batches = draw.of("sketch", objective.joint)
        minibatches = [None] * len(clients)
        if not isinstance(self.sampling, FullBatch):
            laws = Independent(tuple(self.sampling.law(client.problem.components) for client in clients))
            minibatches = draw.of("minibatch", laws)
        each = list(zip(clients, batches, minibatches, strict=True))
        sent = [Oracle(client, minibatch).sketched(state.x, batch, shift) for client, batch, minibatch in each]
        if not isinstance(self.compression, Uncompressed):
            laws = Independent((self.compression.law(objective.dim),) * len(clients))
            sent = [compress.apply(g) for compress, g in zip(draw.of("compression", laws), sent, strict=True)]
        if self.averaging == COVERAGE:
            return self._covered(sent, list(batches), draw)
        if self.participation.is_full(len(clients)):
            return sum(sent[1:], sent[0]) / len(clients)
        weights = self.participation.weights(len(clients), draw, state.x)
        return sum(weights[:, i, None] * g for i, g in enumerate(sent))

    def _covered(self, sent: list[Array], batches: list[Any], draw: Draw) -> Array:
        """Return the mean of ∇f_i(v + S_i(x − v)) over those that took part and kept the coordinate, 0 where none did."""
        masks = [kept(batch, g) for batch, g in zip(batches, sent, strict=True)]
        if not self.participation.is_full(len(sent)):
            weights = self.participation.weights(len(sent), draw, sent[0])
            masks = [mask * (weights[:, i, None] > 0) for i, mask in enumerate(masks)]
        xp = namespace(sent[0])
        scales = [xp.where(batch.diagonals != 0, batch.diagonals, 1.0) for batch in batches]
        total = sum(mask * g / scale for mask, g, scale in zip(masks, sent, scales, strict=True))
        return total / xp.maximum(sum(masks[1:], masks[0]), xp.ones_like(sent[0]))
