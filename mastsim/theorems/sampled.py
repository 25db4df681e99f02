"""Theorem 4: double-sketched SGD with sampled or compressed gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np

from mastsim.expected import Objective
from mastsim.methods import (
    DSGD,
    Compressor,
    FullBatch,
    IndependentSampling,
    Method,
    Nice,
    Sampling,
    SketchCompressor,
    Uncompressed,
    WithReplacement,
    importance_sampling,
)
from mastsim.methods.weighted_sampling import RESOLUTION
from mastsim.sketches import RandK
from mastsim.theorems.assumptions import BOUNDED, SINGLE_NODE, SMOOTH, STRONGLY_CONVEX, UNBIASED, Assumption
from mastsim.theorems.linear_and_sublinear import HorizonRate, LinearRate
from mastsim.theorems.rates import SketchedRate

_FEW = 8


@dataclass(frozen=True, eq=False)
class SampledRate(SketchedRate):
    """What the two halves of Theorem 4 share: E[‖g_S(x)‖² | S] ≤ 2A(f_S(x) − f^inf) + B‖∇f_S(x)‖² + C."""

    sampling: Sampling = field(default_factory=FullBatch, kw_only=True)
    compression: Compressor = field(default_factory=Uncompressed, kw_only=True)

    method = "DSGD"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.sampling.check(self.objective.problem.components)

    def method_at(self, stepsize: float) -> Method:
        """Return `DSGD` with the sampling and the compression of this record, and a step size."""
        return DSGD(stepsize, self.sampling, self.compression)

    @property
    def settings(self) -> str:
        """For example ``32-nice``."""
        return self.method_at(1.0).name.removeprefix("DSGD").removeprefix(", ") or "full batch"

    @property
    def inflation(self) -> float:
        """1 + ω, by which compression inflates second moments."""
        return 1 + self.compression.omega(self.objective.dim)

    @property
    def A(self) -> float:
        """The factor of 2(f_S − f^inf): that of the sampling, times L_S^max(1 + ω)."""
        own, _ = self.sampling.expected_smoothness(self.objective.problem.component_smoothness)
        return own * self.constants.L_S_max * self.inflation

    @property
    def B(self) -> float:
        """The factor of ‖∇f_S‖²: that of the sampling, times 1 + ω."""
        return self.sampling.expected_smoothness(self.objective.problem.component_smoothness)[1] * self.inflation

    @property
    def C(self) -> float:
        """2AΔ."""
        return 2 * self.A * self.constants.component_gap

    @property
    def L_AB(self) -> float:
        """A + B·L."""
        return self.A + self.B * self.L

    @property
    def second_moment_at_best(self) -> float:
        """L_AB·gap + C/2, with the sharp gap only where f_S^inf is its own: A·gap + B·L·gap_S + C/2."""
        c = self.constants
        gap = max(c.gap + c.gap.error, 0.0)
        return self.A * gap + self.B * self.L * self.gap + self.C / 2

    @classmethod
    def cases(cls, objective: Objective) -> Sequence[Self]:
        """Return every row of the table of samplings, and compression, as far as they fit the objective."""
        if cls.refuse(objective) is not None:
            return []
        return [cls(objective, **settings) for settings in sampling_settings(objective)]


def sampling_settings(objective: Any) -> list[dict[str, Any]]:
    """Return the samplings and compressions that are tried on an objective: every kind on few components."""
    n, half = objective.problem.components, SketchCompressor(RandK(objective.dim, max(1, objective.dim // 2)))
    if n == 1:
        return [{}, {"compression": half}]
    if n > _FEW:
        return [{"sampling": Nice(max(1, n // 10))}]
    L = objective.problem.component_smoothness
    # A component that is rarer than random numbers are fine cannot be drawn.
    drawable = bool((L > 0).all()) and float(L.min() / L.max()) > n * RESOLUTION
    important: list[Sampling] = [importance_sampling(L, 1)] if drawable else []
    if not objective.is_quadratic:
        return [{"sampling": sampling} for sampling in (Nice(1), *important)]
    uneven = np.arange(1.0, n + 1)
    samplings: list[Sampling] = [
        Nice(1),
        Nice(n),
        *([Nice(n // 2)] if n > 3 else []),
        IndependentSampling(uneven / n),
        WithReplacement(2, uneven / uneven.sum()),
        *important,
    ]
    return [{"sampling": sampling} for sampling in samplings] + [{"sampling": Nice(1), "compression": half}]


@dataclass(frozen=True, eq=False)
class SampledStronglyConvexDSGD(SampledRate, LinearRate):
    """E‖x^T − x_D*‖² ≤ (1 − γμ)^T ‖x^0 − x_D*‖² + γ(2L_AB·gap + C)/μ for γ ≤ 1/L_AB, L_AB = A + B·L_f·L_S^max.

    Parameters
    ----------
    objective : Mast
        The objective f_D; f must be strongly convex and the sketch bounded.
    sharp : bool, default False
        Use this package's constants L and μ, and E inf f_S in place of f^inf where that is allowed.
    sampling : Sampling, optional
        Which components a gradient sees; all by default.
    compression : Compressor, optional
        What is done to a gradient; nothing by default.

    Raises
    ------
    AssumptionError
        Naming the assumption, the measured value and the remedy.
    ValueError
        If the sampling does not fit the problem.

    References
    ----------
    MAST, arXiv 2311.16086, Theorem 4; C = 2AΔ with this A: this package.

    Examples
    --------
    >>> import mastsim as ms
    >>> f = ms.FiniteSum([ms.Quadratic(np.eye(2), np.ones(2)), ms.Quadratic(3 * np.eye(2), np.ones(2))])
    >>> t = SampledStronglyConvexDSGD(ms.Mast(f, ms.RandK(2, k=1)), sampling=ms.Nice(1))
    >>> t.A, t.B, t.L_AB, t.stepsize
    (12.0, 0.0, 12.0, 0.08333333333333333)
    """

    id = "theorem4"
    title = "Theorem 4 (strongly convex, sampled DSGD)"
    source = "MAST (arXiv 2311.16086), Theorem 4"
    statement = (
        r"\gamma \le \frac{1}{L_{AB}} \Rightarrow \mathbb E\|x^T - x_D^*\|^2 \le (1 - \gamma\mu_D\mu_f)^T\|x^0 - x_D^*\|^2"
        r" + \frac{\gamma}{\mu_D\mu_f}\left(2L_{AB}(f_D^{\inf} - f^{\inf}) + C\right), \quad"
        r" L_{AB} = A + B L_f L_{\mathbf S}^{\max}"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (SINGLE_NODE, UNBIASED, BOUNDED, SMOOTH, STRONGLY_CONVEX)
    constants_used = ("L_f", "mu_f", "L_S_max", "mu_D", "L_i_max", "L_i_mean", "component_gap", "gap")

    @property
    def stepsize(self) -> float:
        """The largest step size 1/L_AB."""
        return 1 / self.L_AB

    def contraction(self, stepsize: float) -> float:
        """Return γμ."""
        return stepsize * self.mu

    def neighbourhood(self, stepsize: float) -> float:
        """Return γ(2L_AB·gap + C)/μ."""
        return 2 * stepsize * self.second_moment_at_best / self.mu


@dataclass(frozen=True, eq=False)
class SampledNonconvexDSGD(SampledRate, HorizonRate):
    """min_{t<T} E‖∇f_D(x^t)‖² ≤ 3δ_0/(γT) + γ(𝔇·gap + ½L_f·L_D·C) for γ ≤ 1/√(𝔇T), 𝔇 = L_f·L_D·L_AB.

    Parameters
    ----------
    objective : Mast
        The objective f_D; the sketch must be bounded, f and its components smooth and bounded below.
    sharp : bool, default False
        Use this package's constants, and E inf f_S in place of f^inf where that is allowed.
    horizon : int, default 1000
        T, the number of steps planned; the largest step size is 1/√(𝔇T).
    sampling : Sampling, optional
        Which components a gradient sees; all by default.
    compression : Compressor, optional
        What is done to a gradient; nothing by default.

    Raises
    ------
    AssumptionError
        Naming the assumption, the measured value and the remedy.
    ValueError
        If the sampling does not fit the problem.

    References
    ----------
    MAST, arXiv 2311.16086, Theorem 4; C = 2AΔ with this A: this package.

    Examples
    --------
    >>> import mastsim as ms
    >>> f = ms.FiniteSum([ms.Quadratic(np.eye(2), np.ones(2)), ms.Quadratic(3 * np.eye(2), np.ones(2))])
    >>> t = SampledNonconvexDSGD(ms.Mast(f, ms.RandK(2, k=1)), horizon=3, sampling=ms.Nice(1))
    >>> t.variance, t.stepsize
    (48.0, 0.08333333333333333)
    """

    id = "theorem4-nonconvex"
    title = "Theorem 4 (nonconvex, sampled DSGD)"
    source = "MAST (arXiv 2311.16086), Theorem 4"
    statement = (
        r"\gamma \le \frac{1}{\sqrt{\mathfrak D T}} \Rightarrow \min_{t<T}\mathbb E\|\nabla f_D(x^t)\|^2 \le"
        r" \frac{3}{\gamma T}(f_D(x^0) - f_D^{\inf}) + \gamma\left(\mathfrak D(f_D^{\inf} - f^{\inf}) + \tfrac12 L_f L_D C"
        r"\right), \quad \mathfrak D = L_f L_D L_{AB}"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (SINGLE_NODE, UNBIASED, BOUNDED, SMOOTH)
    constants_used = ("L_f", "L_D", "L_S_max", "L_i_max", "L_i_mean", "component_gap", "gap")

    @property
    def smoothness(self) -> float:
        """The smoothness constant of f_D in use."""
        return self.constants.L_fD_sharp.value if self.sharp else self.constants.L_fD.value

    @property
    def variance(self) -> float:
        """𝔇 = L_f·L_D·L_AB."""
        return self.smoothness * self.L_AB

    def noise(self, stepsize: float) -> float:
        """Return γ(𝔇·gap + ½L_f·L_D·C)."""
        return stepsize * self.smoothness * self.second_moment_at_best
