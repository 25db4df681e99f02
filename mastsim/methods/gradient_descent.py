"""Gradient descent: exact on f_D, with one sketch a step, without sketches, and with compressed iterates."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mastsim.backend import Array, inner, namespace
from mastsim.draws import Draw
from mastsim.expected import Mast, Objective
from mastsim.methods.base import Method, Oracle, StochasticMethod, require_one_node
from mastsim.methods.compression import Compressor
from mastsim.methods.orders import IndependentSketches, Order, Reshuffled
from mastsim.methods.polyak import PolyakStep
from mastsim.methods.quadratic_moments import listed_gradients, sampled_gradient, sketched_quadratic
from mastsim.methods.shifting import ShiftingMethod
from mastsim.methods.shifts import FixedShift, Held, Refreshed
from mastsim.methods.states import State
from mastsim.problems import Problem
from mastsim.provenance import Constant
from mastsim.recursions import (
    GDRecursion,
    GradientRecursion,
    HeldRecursion,
    MomentRecursion,
    ReshuffledRecursion,
    ShiftRecursion,
    SketchedGradient,
)
from mastsim.validation import instance, settings


@dataclass(frozen=True)
class GD(Method):
    """Gradient descent x⁺ = x − γ∇f_D(x).

    With the identity sketch this is gradient descent on f itself.

    Parameters
    ----------
    stepsize : float or StepRule
        γ > 0, or a rule that gives γ_t.

    Raises
    ------
    ValueError
        If `stepsize` is not a finite number above zero.

    Examples
    --------
    >>> GD(0.5).name
    'GD'
    """

    keyword = "gd"
    nodes = "any"
    affine = True
    sketches_gradients = False

    def safe_step(self, objective: Objective, sharp: bool) -> Constant | None:
        """Return 1/(L_D·L_f), sharp 1/λ_max(E[SᵀLS]); None where these are infinite or zero."""
        L = objective.L_fD_sharp if sharp else objective.L_fD
        if not 0 < L < math.inf:
            return None
        return Constant(1 / L, "lower", f"1/L of f_D, L = {L.source}")

    def closed_recursion(self, objective: Objective) -> GDRecursion:
        """Return y⁺ = (I − γH_D)y."""
        return GDRecursion(objective.curvature, self.rule.largest)

    def init(self, objective: Objective, x0: Array) -> State:
        """Return the first state."""
        instance("objective", objective, Objective)
        return State(x0)

    def step(self, state: State, objective: Objective, draw: Draw) -> State:
        """Return the state after one exact gradient step."""
        return State(state.x - self.rule.at(draw.step) * objective.gradient(state.x))


@dataclass(frozen=True)
class DSGD(ShiftingMethod):
    """Double-sketched gradient descent x⁺ = x − γ Q(Sᵀg), g an unbiased estimate of ∇f(v + S(x − v)), a fresh S a step.

    Parameters
    ----------
    stepsize : float or StepRule
        γ > 0, or a rule that gives γ_t; with exact gradients, a fixed shift and independent sketches also `PolyakStep`.
    sampling : Sampling, optional
        Which components of f = (1/n)Σf_i a gradient sees; all by default (Algorithm 1, I).
    compression : Compressor, optional
        What is done to a gradient before the step; nothing by default.
    shift : ShiftRule, optional
        Whether and how v moves: `Refreshed`, `Held` or `HeldSketch`; it stays by default (Algorithm 1).
    order : Order, optional
        In which order sketches come: `Reshuffled` or `FreshPartition`; independently by default (Algorithm 1).

    Raises
    ------
    ValueError
        If `stepsize` is not a finite number above zero, a setting does not fit the problem or the sketch, or both the shift
        moves and the sketches are not independent.

    References
    ----------
    MAST, arXiv 2311.16086, Algorithm 1 (I, exact gradients; II, unbiased ones); moving shifts and orders: this package.

    Examples
    --------
    >>> import mastsim as ms
    >>> DSGD(0.5).stepsize, DSGD(0.5, ms.Nice(32)).name
    (0.5, 'DSGD, 32-nice')
    >>> DSGD(0.5, shift=ms.Refreshed(0.1)).name
    'DSGD, shift refreshed with p = 0.1 (b)'
    """

    keyword = "dsgd"
    affine = True
    adapts = True
    order: Order = field(default_factory=IndependentSketches, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        instance("order", self.order, Order)
        if not (isinstance(self.shift, FixedShift) or isinstance(self.order, IndependentSketches)):
            raise ValueError(
                f"order={self.order.name!r} is not accepted with shift={self.shift.name!r}: it needs a fixed shift"
            )
        if self.rule.adapts and not (self.is_exact and self.is_alike):
            raise ValueError(
                f"stepsize={self.rule} is not accepted for {self.name}: it takes the value and the whole gradient of f_S, "
                "without sampling and compression, and a fixed shift and independent sketches"
            )

    @property
    def name(self) -> str:
        """For example ``DSGD, 32-nice, reshuffled``."""
        return super().name if isinstance(self.order, IndependentSketches) else f"{super().name}, {self.order.name}"

    @property
    def is_alike(self) -> bool:
        """Whether every step is one gradient step with a fresh sketch and the shift of the objective: Algorithm 1."""
        return type(self.shift) is FixedShift and type(self.order) is IndependentSketches

    def gradient_steps(self, objective: Mast) -> int:
        """Return the length of a cycle or an epoch."""
        return super().gradient_steps(objective) * self.order.length(objective.sketch)

    def init(self, objective: Mast, x0: Array) -> Any:
        """Return the first state."""
        require_one_node(self, objective)
        self.order.length(objective.sketch)
        return self.shift.first(objective, x0)

    def step(self, state: Any, objective: Objective, draw: Draw) -> Any:
        """Return the state after one more step: of a cycle or an epoch where the shift or the order says so."""
        if isinstance(self.order, IndependentSketches):
            return super().step(state, objective, draw)
        return self.order.step(self.once(objective), state, objective, draw)

    def closed_recursion(self, objective: Mast) -> MomentRecursion:
        """Return the recursion for any sampling and compression by a diagonal sketch; or a refreshed shift, or epochs."""
        require_one_node(self, objective)
        if self.is_alike and self.is_exact:
            return GradientRecursion(SketchedGradient(*sketched_quadratic(objective)), self.rule.largest)
        if self.is_alike:
            return GradientRecursion(sampled_gradient(objective, self.sampling, self.compression), self.rule.largest)
        alone = self.is_exact and type(self.order) is IndependentSketches
        if alone and type(self.shift) is Refreshed:
            u0 = None if self.shift.is_iterate else objective.center - self.target(objective)
            operators = sketched_quadratic(objective)[0]
            return ShiftRecursion(operators, self.rule.largest, self.shift.probability, self.shift.variant, u0)
        if alone and type(self.shift) is Held and self.rule.constant:
            return HeldRecursion(sketched_quadratic(objective).operators, self.rule.largest, self.shift.tau)
        if self.is_exact and type(self.order) is Reshuffled and type(self.shift) is FixedShift and self.rule.constant:
            self.order.length(objective.sketch)
            return ReshuffledRecursion(*listed_gradients(objective), self.rule.largest)
        return super().closed_recursion(objective)

    def moved(self, state: Any, objective: Objective, gradient: Oracle, draw: Draw) -> Array:
        """Return the next iterate, after a step whose size may depend on f_S(x)."""
        if not isinstance(self.rule, PolyakStep):
            return super().moved(state, objective, gradient, draw)
        assert isinstance(objective, Mast)
        x, batch = state.x, draw.of("sketch", objective.sketch)
        g = gradient.sketched(x, batch)
        sizes = self.rule.sizes(objective.sketched_value(x, batch), inner(g, g), self.rule.bounds(objective, batch, x))
        moved: Array = x - sizes[:, None] * g
        return moved

    def direction(self, state: Any, objective: Mast, gradient: Oracle, draw: Draw) -> Array:
        """Return the sketched gradient."""
        return gradient.sketched(state.x, draw.of("sketch", objective.sketch), getattr(state, "v", None))


@dataclass(frozen=True)
class SGD(StochasticMethod):
    """Stochastic gradient descent on f, x⁺ = x − γ Q(g), the baseline without sketches.

    It ignores the sketch of the objective; what is measured is still about f_D, except ``f`` and ``error``.

    Parameters
    ----------
    stepsize : float or StepRule
        γ > 0, or a rule that gives γ_t.
    sampling : Sampling, optional
        Which components of f = (1/n)Σf_i a gradient sees; all by default.
    compression : Compressor, optional
        What is done to a gradient before the step; nothing by default.

    Raises
    ------
    ValueError
        If `stepsize` is not a finite number above zero, or the sampling does not fit the problem.

    References
    ----------
    Gower, Loizou, Qian, Sailanbayev, Shulgin, Richtárik, SGD: general analysis and improved rates, arXiv 1901.09401.

    Examples
    --------
    >>> import mastsim as ms
    >>> SGD(0.5, ms.WithReplacement(4)).stepsize
    0.5
    """

    keyword = "sgd"
    affine = True
    sketches_gradients = False

    def target(self, objective: Objective) -> np.ndarray:
        """Return x*, the minimiser of f."""
        return objective.problem.minimize().x

    def init(self, objective: Objective, x0: Array) -> State:
        """Return the first state."""
        instance("objective", objective, Objective)
        return State(x0)

    def direction(self, state: State, objective: Objective, gradient: Oracle, draw: Draw) -> Array:
        """Return the gradient of f."""
        return gradient.plain(state.x)


@dataclass(frozen=True)
class GDCI(Method):
    """Gradient descent with compressed iterates, x⁺ = z − γ∇f(z) with z = v + C(x − v).

    Parameters
    ----------
    stepsize : float or StepRule
        γ > 0, or a rule that gives γ_t.
    compression : Compressor, optional
        The compressor C; the sketch of the objective when left out.

    Raises
    ------
    ValueError
        If `stepsize` is not a finite number above zero.

    References
    ----------
    Khaled, Richtárik, Gradient descent with compressed iterates, arXiv 1909.04716 (v = 0).

    Examples
    --------
    >>> GDCI(0.5).name
    'GDCI'
    """

    keyword = "gdci"
    affine = True
    sketches_gradients = False
    compresses_points = True

    compression: Compressor | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        settings(self, compression=Compressor)

    def check(self, problem: Problem) -> None:
        """Refuse a problem that the compressor does not fit."""
        if self.compression is not None:
            self.compression.law(problem.dim)

    def target(self, objective: Objective) -> np.ndarray:
        """Return x*, the minimiser of f."""
        return objective.problem.minimize().x

    def init(self, objective: Mast, x0: Array) -> State:
        """Return the first state."""
        require_one_node(self, objective)
        return State(x0)

    def step(self, state: State, objective: Mast, draw: Draw) -> State:
        """Return the state after one gradient step from the compressed iterate."""
        law = objective.sketch if self.compression is None else self.compression.law(objective.dim)
        center = namespace(state.x).asarray(objective.center)
        z = center + draw.of("compression", law).apply(state.x - center)
        return State(z - self.rule.at(draw.step) * objective.problem.gradient(z))
