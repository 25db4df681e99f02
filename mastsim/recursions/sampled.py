"""Second moment of sampled and compressed sketched gradients of a finite sum of quadratics, in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mastsim.recursions.gradient_moments import GradientMoments, SketchedGradient
from mastsim.sketches.laws import MomentOperators


@dataclass(frozen=True, eq=False)
class SampledGradient(GradientMoments):
    """g = Q(Σ_j w_j Sᵀ∇f_{i_j}(v + S(x − v))): given S, E ggᵀ is (1/n)Σ s_i g_i g_iᵀ + B ḡḡᵀ for the shares of the sampling.

    Parameters
    ----------
    parts : sequence of SketchedGradient
        The sketched gradients of the n components.
    whole : SketchedGradient
        That of their mean.
    shares : ndarray, shape (n,)
        s_i of `Sampling.second_moment`.
    weight : float
        B of the same.
    compression : MomentOperators, optional
        Of the sketch that compresses; its `plain` is M ↦ E[QᵀMQ], and Q must be symmetric.
    """

    parts: Sequence[SketchedGradient]
    whole: SketchedGradient
    shares: np.ndarray
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
        """Return the second moment of the linear part at a state with second moment M, shape (dim, dim)."""
        return self._mixture([part.curvature2(M) for part in self._seen], self.whole.curvature2(M))

    def linear(self, m: np.ndarray) -> np.ndarray:
        """Return E[(Hm)(Sᵀg₀)ᵀ] of the mixture, shape (dim, dim)."""
        return self._mixture([part.linear(m) for part in self._seen], self.whole.linear(m))

    def constant(self) -> np.ndarray:
        """Return E[(Sᵀg₀)(Sᵀg₀)ᵀ] of the mixture, shape (dim, dim)."""
        return self._mixture([part.constant() for part in self._seen], self.whole.constant())

    def second(self, mean: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return E ggᵀ for a random y independent of the draws; see `GradientMoments.second`."""
        return self._mixture([part.second(mean, second) for part in self._seen], self.whole.second(mean, second))

    @cached_property
    def _seen(self) -> list[SketchedGradient]:
        return [part for part, share in zip(self.parts, self.shares, strict=True) if share > 0]

    def _mixture(self, each: list[np.ndarray], whole: np.ndarray) -> np.ndarray:
        positive_shares = self.shares[self.shares > 0]
        total = self.weight * whole
        for share, matrix in zip(positive_shares, each, strict=True):
            total = total + share / len(self.parts) * matrix
        return total if self.compression is None else self.compression.plain(total)
