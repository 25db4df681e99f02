"""Second moment of sampled and compressed sketched gradients of a finite sum of quadratics, in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mastsim.linalg import outer
from mastsim.recursions.gradient_moments import GradientMoments, SketchedGradient
from mastsim.sketches.laws import MomentOperators


@dataclass(frozen=True, eq=False)
class SampledGradient(GradientMoments):
    """g = Q(Σ_j w_j Sᵀ∇f_{i_j}(v + S(x − v))): given S, E ggᵀ is (1/n)Σ s_i g_i g_iᵀ + B ḡḡᵀ for the shares of the sampling.

    Parameters
    ----------
    operators : MomentOperators
        Those of the sketch and of all components that are ever seen, together: its matrix has shape (seen, dim, dim).
    gradients : ndarray, shape (seen, dim)
        Their gradients at the shift.
    shares : ndarray, shape (seen,)
        s_i/n for s_i of `Sampling.second_moment`.
    whole : SketchedGradient
        The sketched gradient of the mean of all components.
    weight : float
        B of the same.
    compression : MomentOperators, optional
        Of the sketch that compresses; its `plain` is M ↦ E[QᵀMQ], and Q must be symmetric.
    """

    operators: MomentOperators
    gradients: np.ndarray
    shares: np.ndarray
    whole: SketchedGradient
    weight: float
    compression: MomentOperators | None = None

    @property
    def z_star(self) -> np.ndarray:  # type: ignore[override]
        """x_D* − v, shape (dim,)."""
        return self.whole.z_star

    @property
    def self_adjoint(self) -> bool:
        """Whether every H is symmetric: QH is not for a compressor Q."""
        return self.compression is None

    @property
    def keeps_range(self) -> bool:  # type: ignore[override]
        """Whether nothing is compressed: a compressor turns directions out of range(H_D)."""
        return self.compression is None

    @property
    def mean(self) -> np.ndarray:
        """H_D, shape (dim, dim)."""
        return self.whole.mean

    def curvature2(self, M: np.ndarray) -> np.ndarray:
        """Return the second moment of the linear part at a state with second moment M, shape (…, dim, dim)."""
        return self._mixture(self.operators.curvature2(M[..., None, :, :]), self.whole.curvature2(M))

    def linear(self, m: np.ndarray) -> np.ndarray:
        """Return E[(Hm)(Sᵀg₀)ᵀ] of the mixture, shape (…, dim, dim)."""
        return self._mixture(self.operators.mixed(outer(m[..., None, :], self.gradients)), self.whole.linear(m))

    def constant(self) -> np.ndarray:
        """Return E[(Sᵀg₀)(Sᵀg₀)ᵀ] of the mixture, shape (dim, dim)."""
        return self._mixture(self.operators.plain(outer(self.gradients, self.gradients)), self.whole.constant())

    def _mixture(self, each: np.ndarray, whole: np.ndarray) -> np.ndarray:
        total = np.einsum("n,...nij->...ij", self.shares, each) + self.weight * whole
        return total if self.compression is None else self.compression.plain(total)
