"""Methods whose gradient estimates improve along the way: loopless SVRG and PAGE over sketches."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from mastsim.backend import Array, asnumpy, inner, namespace, rows_times
from mastsim.draws import Coin, Draw, Independent, probability
from mastsim.expected import Mast
from mastsim.methods.affine import steps_are_constant
from mastsim.methods.base import Oracle, StochasticMethod, require_one_node
from mastsim.methods.quadratic_moments import sketched_quadratic
from mastsim.methods.uniform_sampling import Nice
from mastsim.recursions import MomentRecursion, PAGERecursion, SVRGRecursion, anchor_variance
from mastsim.validation import integer

FEW_VALUES = 512
"""The most values of a sketch over which gradients are compared, at every replica, for a Lyapunov function."""


class AnchoredState(NamedTuple):
    """The state of `LSVRDSG`.

    Parameters
    ----------
    x : array, shape (replicas, dim)
        The iterates.
    w : array, shape (replicas, dim)
        The anchors.
    h : array, shape (replicas, dim)
        ∇f_D at the anchors; unused with a minibatch anchor.
    """

    x: Array
    w: Array
    h: Array


class EstimatingState(NamedTuple):
    """The state of `PAGE`.

    Parameters
    ----------
    x : array, shape (replicas, dim)
        The iterates.
    g : array, shape (replicas, dim)
        The estimates of ∇f_D(x).
    """

    x: Array
    g: Array


@dataclass(frozen=True)
class LSVRDSG(StochasticMethod):
    """Loopless SVRG over sketches: g = ∇f_S(x) − ∇f_S(w) + h with h an estimate of ∇f_D(w), and w⁺ = x with probability p.

    Parameters
    ----------
    stepsize : float or StepRule
        γ > 0, or a rule that gives γ_t.
    sampling : Sampling, optional
        Which components of f = (1/n)Σf_i the two sketched gradients see, the same for both; all by default.
    compression : Compressor, optional
        What is done to g before the step; nothing by default.
    probability : float, default 0.1
        p, in (0, 1].
    anchor : int, optional
        b, the number of values of the sketch that a fresh h averages over, drawn without replacement; the sketch must then
        take finitely many values, all equally likely. When left out h = ∇f_D(w) exactly, and is kept while w stays.

    Raises
    ------
    ValueError
        If a setting is outside its range, or a minibatch anchor does not fit the sketch.

    References
    ----------
    MAST, arXiv 2311.16086, Algorithm 2.

    Examples
    --------
    >>> LSVRDSG(0.1, probability=0.5, anchor=2).anchor
    2
    """

    keyword = "lsvrdsg"
    affine = True

    probability: float = field(default=0.1, kw_only=True)
    anchor: int | None = field(default=None, kw_only=True)

    points = ("x", "w")

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "probability", probability("probability", self.probability))
        if self.anchor is not None:
            object.__setattr__(self, "anchor", integer("anchor", self.anchor, 1))

    def init(self, objective: Mast, x0: Array) -> AnchoredState:
        """Return the first state, anchored at the start."""
        require_one_node(self, objective)
        if self.anchor is not None:
            objective.sketch.require_uniform_support("a minibatch anchor", self.anchor)
            return AnchoredState(x0, x0, namespace(x0).zeros_like(x0))
        return AnchoredState(x0, x0, objective.gradient(x0))

    def closed_recursion(self, objective: Mast) -> MomentRecursion:
        """Return the recursion of iterates and anchors for exact gradients that are not compressed."""
        require_one_node(self, objective)
        if not self.is_exact:
            return super().closed_recursion(objective)
        operators, z_star, g0 = sketched_quadratic(objective)
        return SVRGRecursion(operators, self.rule.largest, self.probability, z_star, g0, self.zeta(objective))

    def direction(self, state: AnchoredState, objective: Mast, gradient: Oracle, draw: Draw) -> Array:
        """Return ∇f_S(x) − ∇f_S(w) + h."""
        batch = draw.of("sketch", objective.sketch)
        return gradient.sketched(state.x, batch) - gradient.sketched(state.w, batch) + self._anchored(state, objective, draw)

    def carry(self, state: AnchoredState, x: Array, objective: Mast, gradient: Oracle, draw: Draw) -> AnchoredState:
        """Return the next state: the anchor moves to the iterate that was left, with probability p."""
        heads = draw.of("coin", Coin(self.probability)).heads[:, None]
        xp = namespace(x)
        w = xp.where(heads, state.x, state.w)
        if self.anchor is not None or not xp.any(heads):
            return AnchoredState(x, w, state.h)
        moved = heads[:, 0]
        h = xp.asarray(state.h, copy=True)
        h[moved] = objective.gradient(state.x[moved])
        return AnchoredState(x, w, h)

    def zeta(self, objective: Mast) -> float:
        """Return ζ = (N − b)/(b·max(1, N − 1)), the variance of the anchor's minibatch; 0 with the full anchor."""
        return 0.0 if self.anchor is None else anchor_variance(int(objective.sketch.support_size), self.anchor)

    def weight_of_anchor(self, objective: Mast) -> float:
        """Return 4(1 + ζ)γ²/p, the weight of the anchor in the Lyapunov function."""
        return 4 * (1 + self.zeta(objective)) * self.rule.largest**2 / self.probability

    def knows_lyapunov(self, objective: Mast) -> bool:
        """Return whether Ψ can be computed: with a constant step, on quadratics, or for sketches of few values."""
        return isinstance(objective, Mast) and steps_are_constant(self) and knows_variation(objective)

    def lyapunov(self, objective: Mast, state: AnchoredState) -> np.ndarray:
        """Return Ψ = ‖x − x_D*‖² + (4(1 + ζ)γ²/p)·E‖∇f_S(w) − ∇f_S(x_D*)‖² of every replica, shape (replicas,).

        References
        ----------
        MAST, arXiv 2311.16086, Theorem 5.
        """
        y = asnumpy(state.x) - objective.minimize().x
        found: np.ndarray = inner(y, y) + self.weight_of_anchor(objective) * variation(objective, asnumpy(state.w))
        return found

    def _anchored(self, state: AnchoredState, objective: Mast, draw: Draw) -> Array:
        if self.anchor is None:
            return state.h
        values, weights = objective.support
        picked = draw.of("anchor", Nice(self.anchor).law(len(weights))).index
        gradients = [objective.sketched_gradient(state.w, values.take(picked[:, j])) for j in range(self.anchor)]
        return sum(gradients[1:], gradients[0]) / self.anchor


@dataclass(frozen=True)
class PAGE(StochasticMethod):
    """Double-sketched PAGE: x⁺ = x − γg; g⁺ = ∇f_D(x⁺) with probability p, else g + mean of ∇f_S(x⁺) − ∇f_S(x).

    Parameters
    ----------
    stepsize : float or StepRule
        γ > 0, or a rule that gives γ_t.
    sampling : Sampling, optional
        Which components of f = (1/n)Σf_i the differences see; all by default.
    compression : Compressor, optional
        What is done to g before the step; nothing by default.
    probability : float, default 0.1
        p, in (0, 1].
    sketches : int, default 1
        b′, the number of independent sketches that a difference is averaged over.

    Raises
    ------
    ValueError
        If a setting is outside its range.

    References
    ----------
    This package, after Li, Bao, Zhang, Richtárik, PAGE, arXiv 2008.10898.

    Examples
    --------
    >>> PAGE(0.1, probability=0.5, sketches=2).sketches
    2
    """

    keyword = "page"
    affine = True

    probability: float = field(default=0.1, kw_only=True)
    sketches: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "probability", probability("probability", self.probability))
        object.__setattr__(self, "sketches", integer("sketches", self.sketches, 1))

    def init(self, objective: Mast, x0: Array) -> EstimatingState:
        """Return the first state, with the exact gradient."""
        require_one_node(self, objective)
        return EstimatingState(x0, objective.gradient(x0))

    def closed_recursion(self, objective: Mast) -> MomentRecursion:
        """Return the recursion of iterates and estimates for exact gradients that are not compressed."""
        require_one_node(self, objective)
        if not self.is_exact:
            return super().closed_recursion(objective)
        operators = sketched_quadratic(objective).operators
        return PAGERecursion(operators, self.rule.largest, self.probability, self.sketches)

    def direction(self, state: EstimatingState, objective: Mast, gradient: Oracle, draw: Draw) -> Array:
        """Return the current estimate."""
        return state.g

    def carry(self, state: EstimatingState, x: Array, objective: Mast, gradient: Oracle, draw: Draw) -> EstimatingState:
        """Return the next state with the next estimate."""
        batches = draw.of("sketch", Independent((objective.sketch,) * self.sketches))
        changes = [gradient.sketched(x, batch) - gradient.sketched(state.x, batch) for batch in batches]
        g = state.g + sum(changes[1:], changes[0]) / self.sketches
        heads = draw.of("coin", Coin(self.probability)).heads
        if namespace(x).any(heads):
            g[heads] = objective.gradient(x[heads])
        return EstimatingState(x, g)


def knows_variation(objective: Mast) -> bool:
    """Return whether `variation` can be computed on an objective."""
    if objective.sketch.support_size <= FEW_VALUES:
        return True
    return objective.is_quadratic and objective.fourth_moment is not None


def variation(objective: Mast, points: np.ndarray) -> np.ndarray:
    """Return E‖∇f_S(w) − ∇f_S(x_D*)‖² at every point w, by its quadratic form or over all values of the sketch.

    Source: MAST, arXiv 2311.16086, Theorem 5.
    """
    best = objective.minimize().x
    if objective.is_quadratic and (fourth := objective.fourth_moment) is not None:
        u = points - best
        return np.asarray(inner(u, rows_times(fourth, u)))
    batch, weights = objective.sketch.support()
    total = np.zeros(len(points))
    for j, weight in enumerate(weights):
        one = batch.take(np.full(len(points), j))
        at_best = objective.sketched_gradient(best[None], batch.take(np.array([j])))
        change = objective.sketched_gradient(points, one) - at_best
        total += weight * inner(change, change)
    return total
