"""Exact moments of double-sketched gradient descent, single or distributed, and its largest stable step size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from mastsim.linalg import symmetric_part, transposed
from mastsim.recursions.base import UNIT, MomentRecursion, MomentState, range_of
from mastsim.recursions.gradient_moments import GradientMoments
from mastsim.recursions.positive_map import FactorBracket, PositiveMap
from mastsim.validation import STEPS, positive


class CurvatureMoments(Protocol):
    """Anything with E[H] and M ↦ E[HMH]."""

    @property
    def mean(self) -> np.ndarray:
        """E[H], shape (dim, dim)."""

    def curvature2(self, M: np.ndarray) -> np.ndarray:
        """Return E[HMH]."""


class OneGradient(MomentRecursion):
    """A recursion whose step subtracts γ times one gradient: what bounds of its rounding ask of that."""

    gradient: GradientMoments
    stepsize: float

    @property
    def keeps_range(self) -> bool:  # type: ignore[override]
        """Whether a step only moves along range(H_D)."""
        return self.gradient.keeps_range

    @property
    def hessian(self) -> np.ndarray:
        """H_D, shape (dim, dim)."""
        return self.gradient.mean

    @cached_property
    def curvature_size(self) -> float:
        """E‖H‖² in the Frobenius norm."""
        return self.gradient.curvature_size

    @property
    def noise_size(self) -> float:
        """γ² times the size of the terms of E ζζᵀ."""
        return self.stepsize**2 * self.gradient.noise_size


@dataclass(frozen=True, eq=False)
class GradientRecursion(OneGradient):
    """y⁺ = y − γ(Hy + ζ) with a fresh, independent (H, ζ) every step, single or distributed (MAST, Algorithms 1 and 3).

    Parameters
    ----------
    gradient : GradientMoments
        The moments of Hy + ζ.
    stepsize : float
        γ > 0.
    """

    gradient: GradientMoments
    stepsize: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "stepsize", positive("stepsize", self.stepsize, STEPS))

    def mean_after(self, mean: np.ndarray) -> np.ndarray:
        """Return (I − γH_D)m."""
        return np.asarray(mean - self.stepsize * (mean @ self.hessian.T))

    def _second_after(self, state: MomentState) -> np.ndarray:
        (m, M), gamma = state, self.stepsize
        slope = self.hessian @ M
        return M - gamma * (slope + transposed(slope)) + gamma**2 * self.gradient.second(m, M)

    def linear(self, X: np.ndarray) -> np.ndarray:
        """Return E[(I − γH)X(I − γH)ᵀ]."""
        slope = self.hessian @ X
        return (
            X - self.stepsize * (slope + transposed(slope)) + self.stepsize**2 * symmetric_part(self.gradient.curvature2(X))
        )

    def contraction(self) -> FactorBracket:
        """Return the spectral radius of M ↦ E[(I − γH)M(I − γH)ᵀ] modulo the kernel of H_D, from both sides."""
        (D, U, uncertain), gamma = range_of(self.hessian), self.stepsize

        def apply(X: np.ndarray) -> np.ndarray:
            inside = U.T @ self.gradient.curvature2(U @ X @ U.T) @ U
            return X - gamma * (D[:, None] + D) * X + gamma**2 * symmetric_part(inside)

        found = PositiveMap(apply, len(D), self.rounding_rate, self_adjoint=self.gradient.self_adjoint).bracket()
        return on_range(found, uncertain)


@dataclass(frozen=True, eq=False)
class GDRecursion(MomentRecursion):
    """y⁺ = (I − γH_D)y, without any randomness."""

    curvature: np.ndarray
    stepsize: float

    @property
    def hessian(self) -> np.ndarray:
        """H_D, shape (dim, dim)."""
        return self.curvature

    @property
    def curvature_size(self) -> float:
        """‖H_D‖² in the Frobenius norm."""
        return float(np.linalg.norm(self.hessian)) ** 2

    @cached_property
    def _factor(self) -> np.ndarray:
        return np.eye(len(self.hessian)) - self.stepsize * self.hessian

    def mean_after(self, mean: np.ndarray) -> np.ndarray:
        """Return (I − γH_D)m."""
        return mean @ self._factor.T

    def _second_after(self, state: MomentState) -> np.ndarray:
        return self.linear(state.second)

    def linear(self, X: np.ndarray) -> np.ndarray:
        """Return (I − γH_D)X(I − γH_D)."""
        return self._factor @ X @ self._factor.T


def stability_limit(operators: CurvatureMoments) -> FactorBracket:
    """Return the least γ at which the second moment of the iterates stops contracting on range(H_D), from both sides.

    It is 1/λ_max((H_D⊗I + I⊗H_D)⁻¹E[H⊗H]). The lower end of the bracket is safe: it is proved, unless
    `proved` says otherwise.
    """
    values, U, uncertain = range_of(operators.mean)
    if not len(values):
        return FactorBracket(np.inf, np.inf, "proved: H is zero", True)

    def apply(X: np.ndarray) -> np.ndarray:
        return symmetric_part(U.T @ operators.curvature2(U @ X @ U.T) @ U)

    size = float(np.trace(operators.curvature2(np.eye(len(U)))))
    rounding = UNIT * len(U) * size
    found = PositiveMap(apply, len(values), rounding, 1 / (values[:, None] + values), self_adjoint=True).bracket()
    spread = 4 * len(U) * float(np.finfo(float).eps * values[-1] / values[0])
    lower = (1 - spread) / found.upper if spread < 1 else 0.0
    upper = (1 + spread) / found.lower if found.lower > 0 else np.inf
    return on_range(FactorBracket(float(lower), float(upper), found.how, found.proved), uncertain)


def on_range(found: FactorBracket, uncertain: bool) -> FactorBracket:
    """Return a bracket as an estimate where the range of H_D is only known up to rounding."""
    if not uncertain:
        return found
    cut = "eigenvalues of H_D within rounding of zero count as zero"
    return FactorBracket(found.lower, found.upper, f"estimate: {cut}; otherwise {found.how}", False)
