"""Exact moments of the methods that carry more than the iterate: L-SVRDSG and double-sketched PAGE."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from mastsim.linalg import symmetric_part, transposed
from mastsim.recursions.base import MomentRecursion, MomentState, blocks_of, from_blocks, started
from mastsim.recursions.gradient_moments import SketchedGradient
from mastsim.sketches.laws import MomentOperators
from mastsim.validation import STEPS, UNLIMITED, integer, keep_fraction, nonnegative, positive


def anchor_variance(atoms: int, batch: int) -> float:
    """Return ζ = (N − b)/(b·max(1, N − 1)), the variance of a mean of b of N values without replacement over that of one."""
    atoms = integer("atoms", atoms, 1)
    batch = integer("batch", batch, 1, atoms)
    return (atoms - batch) / (batch * max(1, atoms - 1))


@dataclass(frozen=True, eq=False)
class SVRGRecursion(MomentRecursion):
    """The moments of L-SVRDSG (MAST, Algorithm 2) on a quadratic, for (y, u) = (x − x_D*, w − x_D*).

    Parameters
    ----------
    operators : MomentOperators
        Those of the sketch and A.
    stepsize : float
        γ > 0.
    probability : float
        p in (0, 1], with which the anchor w moves to x.
    z_star : array, shape (dim,)
        x_D* − v, a solution of H_D z = −g₀.
    g0 : array, shape (dim,)
        Av − b, the gradient of f at v.
    spread : float, default 0
        ζ ≥ 0 of the anchor's gradient: 0 when it is ∇f_D(w), which any sketch allows; `anchor_variance(N, b)` for a
        minibatch of b values without replacement, only right for a sketch with N equally likely values.
    """

    operators: MomentOperators
    stepsize: float
    probability: float
    z_star: np.ndarray
    g0: np.ndarray
    spread: float = 0.0

    fields = ("x", "w")

    def __post_init__(self) -> None:
        object.__setattr__(self, "stepsize", positive("stepsize", self.stepsize, STEPS))
        object.__setattr__(self, "probability", _probability(self.probability))
        object.__setattr__(self, "spread", nonnegative("spread", self.spread, UNLIMITED))
        _ = self._gradient

    @cached_property
    def _gradient(self) -> SketchedGradient:
        return SketchedGradient(self.operators, self.z_star, self.g0)

    @property
    def hessian(self) -> np.ndarray:
        """H_D, shape (dim, dim)."""
        return self.operators.mean

    def start(self, y0: np.ndarray) -> MomentState:
        """Return the moments at x⁰ = w⁰ = x_D* + y⁰."""
        return started(y0, y0)

    @cached_property
    def curvature_size(self) -> float:
        """At least E‖H‖² in the Frobenius norm for every combination of Hessians in a step."""
        return (4 + self.spread) * self._gradient.curvature_size

    @property
    def noise_size(self) -> float:
        """γ²ζ times the size of the terms of E ζζᵀ."""
        return self.stepsize**2 * self.spread * self._gradient.noise_size

    def linear(self, X: np.ndarray) -> np.ndarray:
        """Return Φ(X) for a symmetric X of shape (2·dim, 2·dim)."""
        return self._second(X, self._anchor_linear)

    def mean_after(self, mean: np.ndarray) -> np.ndarray:
        """Return the mean of (y, u) after a step."""
        gamma, p = self.stepsize, self.probability
        y, u = np.split(mean, 2, axis=-1)
        return np.concatenate([y - gamma * (y @ self.hessian), p * y + (1 - p) * u], axis=-1)

    def _second_after(self, state: MomentState) -> np.ndarray:
        u = state.mean[..., len(self.hessian) :]
        return self._second(state.second, lambda U: self._anchor(u, U))

    def _second(self, X: np.ndarray, anchor: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        H, gamma, p = self.hessian, self.stepsize, self.probability
        Y, C, U = blocks_of(X)
        # y⁺ = (y − γH_S(y − u)) − γ(H_B u + ζ_B): the two parts are independent given (y, u).
        slope, first = H @ (Y - transposed(C)), (C - gamma * H @ (C - U)) @ H
        second = Y - gamma * (slope + transposed(slope))
        second += gamma**2 * symmetric_part(self.operators.curvature2(Y - C - transposed(C) + U))
        second += gamma**2 * anchor(U) - gamma * (first + transposed(first))
        moved = p * Y + (1 - p) * U
        kept = p * Y + (1 - p) * C
        cross = kept - gamma * H @ kept
        return from_blocks(second, cross, moved)

    def _anchor(self, u: np.ndarray, U: np.ndarray) -> np.ndarray:
        return self._spread_out(U, lambda: self._gradient.second(u, U))

    def _anchor_linear(self, U: np.ndarray) -> np.ndarray:
        return self._spread_out(U, lambda: symmetric_part(self.operators.curvature2(U)))

    def _spread_out(self, U: np.ndarray, second: Callable[[], np.ndarray]) -> np.ndarray:
        exact = self.hessian @ U @ self.hessian
        return exact if self.spread == 0 else exact + self.spread * (second() - exact)


@dataclass(frozen=True, eq=False)
class PAGERecursion(MomentRecursion):
    """The moments of double-sketched PAGE on a quadratic, for (y, g) = (x − x_D*, gradient estimate).

    The shift and the linear term do not enter: the estimate starts at ∇f_D and only differences of gradients follow.

    Parameters
    ----------
    operators : MomentOperators
        Those of the sketch and A.
    stepsize : float
        γ > 0.
    probability : float
        p in (0, 1], with which the estimate becomes ∇f_D(x).
    batch : int, default 1
        b′ ≥ 1, the number of independent sketches in the difference of the other steps.
    """

    operators: MomentOperators
    stepsize: float
    probability: float
    batch: int = 1

    fields = ("x", "g")

    def __post_init__(self) -> None:
        object.__setattr__(self, "stepsize", positive("stepsize", self.stepsize, STEPS))
        object.__setattr__(self, "probability", _probability(self.probability))
        object.__setattr__(self, "batch", integer("batch", self.batch, 1))

    @property
    def hessian(self) -> np.ndarray:
        """H_D, shape (dim, dim)."""
        return self.operators.mean

    def start(self, y0: np.ndarray) -> MomentState:
        """Return the moments at x⁰ = x_D* + y⁰ with the exact gradient."""
        return started(y0, y0 @ self.hessian)

    @cached_property
    def curvature_size(self) -> float:
        """E‖H‖² in the Frobenius norm."""
        return float(np.trace(self.operators.curvature2(np.eye(len(self.hessian)))))

    @property
    def reach(self) -> Literal["starts", "some"]:  # type: ignore[override]
        """Without randomness in the sketch, g = H_D y for good."""
        return "starts" if self.operators.law.support_size == 1 else "some"

    def mean_after(self, mean: np.ndarray) -> np.ndarray:
        """Return the mean of (y, g) after a step."""
        H, gamma, p = self.hessian, self.stepsize, self.probability
        y, g = np.split(mean, 2, axis=-1)
        moved = y - gamma * g
        return np.concatenate([moved, p * (moved @ H) + (1 - p) * (g - gamma * (g @ H))], axis=-1)

    def _second_after(self, state: MomentState) -> np.ndarray:
        return self.linear(state.second)

    def linear(self, X: np.ndarray) -> np.ndarray:
        """Return Φ(X) for a symmetric X of shape (2·dim, 2·dim)."""
        H, gamma, p = self.hessian, self.stepsize, self.probability
        Y, C, G = blocks_of(X)
        second = Y - gamma * (C + transposed(C)) + gamma**2 * G
        slope, HG = H @ second, H @ G
        HGH = HG @ H
        drift = HGH + (symmetric_part(self.operators.curvature2(G)) - HGH) / self.batch
        estimate = G - gamma * (HG + transposed(HG)) + gamma**2 * drift
        old = C - gamma * G
        cross = p * transposed(slope) + (1 - p) * (old - gamma * old @ H)
        return from_blocks(second, cross, p * slope @ H + (1 - p) * estimate)


def _probability(value: float) -> float:
    return float(keep_fraction("probability", positive("probability", value)))
