"""False variants of the theorems that an attack must refute from a random start: its negative controls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.linalg import eigh

from mastsim.theorems import MinimizerSuboptimality, SampledStronglyConvexDSGD, StronglyConvexDSGD, Theorem
from mastsim.theorems.assumptions import SINGLE_NODE, SMOOTH, UNBIASED, Assumption
from mastsim.theorems.base import Sides, Status
from mastsim.verification.cosine_sums import Cosines, global_minimizers
from mastsim.verification.false_shifts import ALL_FALSE_SHIFTS


@dataclass(frozen=True, eq=False)
class GapAgainstSketchedInfimum(SampledStronglyConvexDSGD):
    """Theorem 4 with f_D^inf − E f_S^inf in place of the whole gap: false, as A multiplies f_S − f^inf, not f_S − f_S^inf.

    Parameters
    ----------
    objective, sharp, sampling, compression
        As in `SampledStronglyConvexDSGD`.
    """

    id = "theorem4/sketched-gap"
    title = "Theorem 4 with the gap against E f_S^inf throughout"
    source = "negative control"
    status: ClassVar[Status] = "refuted as quoted"

    @property
    def second_moment_at_best(self) -> float:
        """L_AB·gap_S + C/2."""
        gap = self.constants.gap_sharp
        return self.L_AB * max(gap + gap.error, 0.0) + self.C / 2


@dataclass(frozen=True, eq=False)
class NaiveSharpStep(StronglyConvexDSGD):
    """r_T ≤ (1 − γμ)^T r_0 + 2γσ*²/μ for γ ≤ 1/𝓛, twice the step for which it is true: false even for quadratics.

    Parameters
    ----------
    objective : Mast
        A strongly convex quadratic with a sketch of few values.
    sharp : bool, default False
        Has no effect: 𝓛 and μ = λ_min(H_D) are the sharpest there are.
    """

    id = "theorem2/naive-sharp-step"
    title = "Theorem 2 at the step 1/𝓛, first term and noise added"
    source = "negative control"
    status: ClassVar[Status] = "refuted as quoted"

    @property
    def L(self) -> float:
        """𝓛, the largest generalised eigenvalue of (E[SᵀASSᵀAS], H_D)."""
        F = self.objective
        fourth = F.sketch.fourth_moment(F.problem.upper_curvature.matrix)
        return float(eigh(fourth, F.curvature, eigvals_only=True)[-1])

    @property
    def mu(self) -> float:
        """λ_min(H_D)."""
        return self.constants.mu_fD_sharp.value

    def neighbourhood(self, stepsize: float) -> float:
        """Return 2γσ*²/μ."""
        noise = self.constants.sigma2_star
        return 2 * stepsize * (noise + noise.error) / self.mu


class NonconvexMinimizer(MinimizerSuboptimality):
    """Theorem 1 without convexity: false for f = −cos, v = 0, S ∈ {0, 2} with equal chances.

    Parameters
    ----------
    objective : Mast
        A sum of cosines with a sketch of few whole numbers.
    """

    id = "theorem1/nonconvex"
    title = "Theorem 1 without convexity"
    source = "negative control"
    status: ClassVar[Status] = "refuted as quoted"
    assumptions: ClassVar[tuple[Assumption, ...]] = (SINGLE_NODE, UNBIASED, SMOOTH)
    family = "cosines"

    @property
    def _both(self) -> Sides:
        F, c, v = self.objective, self.constants, float(self.objective.center[0])
        f: Cosines = F.problem
        atoms, weights = np.asarray(F.sketch.matrices)[:, 0, 0], np.asarray(F.sketch.weights)
        best = global_minimizers(f, np.ones(1), np.ones(1), v)
        least = float(f.derivative(best, 0).min())
        left = float(f.derivative(global_minimizers(f, atoms, weights, v), 0).max()) - least
        # f has period 2π: of all its minimisers the nearest to v makes the claim strongest.
        away = float(np.abs((best - v + np.pi) % (2 * np.pi) - np.pi).min())
        right = 0.5 * max(c.L_D - 1, 0.0) * c.L_f * away**2
        return Sides(max(left, 0.0), right, abs(least) + float(np.abs(f.amplitudes).sum()))


ALL_FALSE: tuple[type[Theorem], ...] = (
    GapAgainstSketchedInfimum,
    NaiveSharpStep,
    NonconvexMinimizer,
    *ALL_FALSE_SHIFTS,
)
"""Every false variant that an attack must refute."""
