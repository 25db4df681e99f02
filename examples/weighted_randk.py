"""A sketch of one's own: K draws with replacement from unequal weights, each kept coordinate scaled to be unbiased."""

from dataclasses import dataclass

import numpy as np

import mastsim as ms
from mastsim.extend import DiagonalBatch, Sketch


@dataclass(frozen=True, eq=False)
class WeightedRandK(Sketch):
    """S = (1/K) Σ_j e_{i_j} e_{i_j}ᵀ / p_{i_j} with i_1, …, i_K drawn from p; listed where it has few values."""

    dim: int
    k: int
    p: np.ndarray

    @property
    def uniforms(self):
        return self.k

    def from_uniforms(self, u):
        drawn = np.searchsorted(np.cumsum(self.p)[:-1], np.asarray(u), side="right")
        counts = (drawn[:, :, None] == np.arange(self.dim)).sum(axis=1)
        return DiagonalBatch(counts / (self.k * self.p))

    @property
    def law(self):
        draws = np.indices((self.dim,) * self.k).reshape(self.k, -1).T
        counts = (draws[:, :, None] == np.arange(self.dim)).sum(axis=1)
        return ms.FiniteSupport([np.diag(c / (self.k * self.p)) for c in counts], self.p[draws].prod(axis=1)).law


S = WeightedRandK(3, 2, np.array([0.5, 0.3, 0.2]))
ms.testing.check_sketch(S)
F = ms.Mast(ms.Quadratic(np.diag([9.0, 3.0, 1.0]), np.ones(3)), S)
print(f"L_S^max = {S.L_max:.6g}; Theorem 2: γ = {ms.theorems.StronglyConvexDSGD(F).stepsize:.6g}")
print(ms.verify(ms.theorems.StronglyConvexDSGD(F)))
