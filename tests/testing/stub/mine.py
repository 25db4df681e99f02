"""A small package of one's own, written from the pages docs/your-own-*.md alone: a sketch, a loss, a theorem."""

from dataclasses import dataclass

import numpy as np

import mastsim as ms
from mastsim.extend import DiagonalBatch, GeneralizedLinearModel, ResidualLoss, Sketch

ex = ms.extend


@dataclass(frozen=True, eq=False)
class OneHalf(Sketch):
    """The first k coordinates with probability p, all others with 1 − p, scaled to be unbiased."""

    dim: int
    k: int
    p: float

    uniforms = 1

    @property
    def halves(self):
        first = np.arange(self.dim) < self.k
        return np.array([first / self.p, ~first / (1 - self.p)])

    def from_uniforms(self, u):
        return DiagonalBatch(self.halves[(np.asarray(u)[:, 0] >= self.p).astype(int)])

    @property
    def law(self):
        return ms.FiniteSupport([np.diag(half) for half in self.halves], np.array([self.p, 1 - self.p])).law


@dataclass(frozen=True)
class Fair(ResidualLoss):
    """φ(u; y) = |w| − log(1 + |w|) at w = u − y, convex, with ψ'' = 1/(1 + |w|)²."""

    name = "fair"
    curvature_max = 1.0
    curvature_min = 0.0

    def psi(self, w, order=0):
        size = np.abs(w)
        return (size - np.log1p(size), w / (1 + size), 1 / (1 + size) ** 2)[order]


@dataclass(frozen=True, eq=False)
class FairRegression(GeneralizedLinearModel):
    loss = Fair()


class Distance(ex.SketchedRate, ex.LinearRate):
    """E‖x^T − x_D*‖² ≤ (1 − γμ)^T ‖x^0 − x_D*‖² + 2γL·gap/μ for γ ≤ 1/L."""

    id, title, source, method = "distance", "Distance of one's own", "mine.py", "DSGD"
    statement = r"\mathbb E\|x^T - x_D^*\|^2 \le (1 - \gamma\mu)^T\|x^0 - x_D^*\|^2 + 2\gamma L\,\mathrm{gap}/\mu"
    assumptions = (ex.SINGLE_NODE, ex.UNBIASED, ex.BOUNDED, ex.SMOOTH, ex.CONVEX, ex.STRONGLY_CONVEX)
    constants_used = ("expected_smoothness", "mu_fD", "gap")
    method_at = staticmethod(ms.DSGD)
    stepsize = property(lambda self: 1 / self.L)

    def contraction(self, stepsize):
        return stepsize * self.mu

    def neighbourhood(self, stepsize):
        return 2 * stepsize * self.L * self.gap / self.mu
