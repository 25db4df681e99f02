"""Momentum as averaging of iterates, whose last iterate has the bound of an average."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from mastsim.backend import Array
from mastsim.draws import Draw
from mastsim.expected import Mast, Objective
from mastsim.methods.base import Oracle, StochasticMethod, require_one_node
from mastsim.methods.quadratic_moments import sampled_gradient, sketched_quadratic
from mastsim.recursions import AveragedRecursion, SketchedGradient
from mastsim.validation import SETTINGS, positive


class AveragedState(NamedTuple):
    """The state of `AveragedMomentum`.

    Parameters
    ----------
    x : array, shape (replicas, dim)
        The averaged iterates, at which gradients are taken.
    z : array, shape (replicas, dim)
        The points that gradient steps move.
    """

    x: Array
    z: Array


@dataclass(frozen=True)
class AveragedMomentum(StochasticMethod):
    """z⁺ = z − γ Q(∇f_S(x)), x⁺ = (λx + z⁺)/(λ + 1) with λ = growth·(t + 1) at step t: heavy-ball momentum that grows.

    In other words x^{t+1} = x^t − (γ/(λ_{t+1} + 1))∇f_S(x^t) + (λ_t/(λ_{t+1} + 1))(x^t − x^{t−1}), λ_t = growth·t.

    Parameters
    ----------
    stepsize : float or StepRule
        γ > 0, or a rule that gives γ_t.
    sampling : Sampling, optional
        Which components of f = (1/n)Σf_i a gradient sees; all by default.
    compression : Compressor, optional
        What is done to a gradient before the step; nothing by default.
    growth : float, default 0.5
        By how much λ grows a step, above 0; the theorem needs γL ≤ 1 − growth.

    Raises
    ------
    ValueError
        If a number is outside its range, or the sampling does not fit the problem.

    References
    ----------
    This package, after Sebbouh, Gower, Defazio, Almost sure convergence rates for stochastic gradient descent and stochastic
    heavy ball, COLT 2021, as remembered.

    Examples
    --------
    >>> import numpy as np, mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(1), np.zeros(1)), ms.Identity(1))
    >>> ms.simulate(AveragedMomentum(0.5), F, steps=1, x0=np.ones(1)).x
    array([[0.66666667]])
    """

    keyword = "averaged-momentum"
    affine = True
    points = ("x", "z")
    changes_with_time = True

    growth: float = field(default=0.5, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "growth", positive("growth", self.growth, SETTINGS))

    def init(self, objective: Mast, x0: Array) -> AveragedState:
        """Return the first state."""
        require_one_node(self, objective)
        return AveragedState(x0, x0)

    def step(self, state: AveragedState, objective: Objective, draw: Draw) -> AveragedState:
        """Return the state after one more step."""
        gradient = self.oracle(objective, draw)
        g = self.compressed(self.direction(state, objective, gradient, draw), objective, draw)
        z, weight = state.z - self.rule.at(draw.step) * g, self.growth * (draw.step + 1)
        return AveragedState((weight * state.x + z) / (weight + 1), z)

    def closed_recursion(self, objective: Mast) -> AveragedRecursion:
        """Return the recursion for any sampling and compression by a diagonal sketch."""
        require_one_node(self, objective)
        if self.is_exact:
            return AveragedRecursion(SketchedGradient(*sketched_quadratic(objective)), self.rule.largest, self.growth)
        gradient = sampled_gradient(objective, self.sampling, self.compression)
        return AveragedRecursion(gradient, self.rule.largest, self.growth)

    def direction(self, state: AveragedState, objective: Objective, gradient: Oracle, draw: Draw) -> Array:
        """Return the sketched gradient."""
        assert isinstance(objective, Mast)
        return gradient.sketched(state.x, draw.of("sketch", objective.sketch))
