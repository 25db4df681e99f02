"""The sketched gradient at the full model, x⁺ = x − γSᵀ∇f(x): what moving the shift to the iterate at every step gives."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mastsim.backend import Array
from mastsim.methods import DSGD, Method, Refreshed
from mastsim.theorems.about_f import KNOWN_STEP, POLYAK_LOJASIEWICZ_F, AboutF
from mastsim.theorems.assumptions import (
    SINGLE_NODE,
    SMOOTH,
    UNBIASED,
    Assumption,
)
from mastsim.theorems.linear_and_sublinear import LinearRate, SublinearRate


class SketchedGradientRate(AboutF):
    """What the theorems about the sketched gradient share."""

    @property
    def settings(self) -> str:
        """The words ``shift refreshed with p = 1 (b)``."""
        return Refreshed(1.0).name

    def method_at(self, stepsize: float) -> Method:
        """Return `DSGD` whose shift is the iterate, with a step size."""
        return DSGD(stepsize, shift=Refreshed(1.0))

    @property
    def theta(self) -> float:
        """θ ≥ λ_max(E[SLSᵀ])."""
        c = self.constants
        return c.step_smoothness_sharp.value if self.sharp else c.step_smoothness.value

    @property
    def theta_distance(self) -> float:
        """θ̄ ≥ λ_max(L^½E[SSᵀ]L^½)."""
        c = self.constants
        return c.distance_smoothness_sharp.value if self.sharp else c.distance_smoothness.value

    @property
    def C(self) -> float:
        """λ_max(E[SSᵀ])."""
        return self.constants.step_second_moment.value

    @property
    def stepsize(self) -> float:
        """The largest step size 1/θ."""
        return 1 / self.theta if self.theta > 0 else 1.0


@dataclass(frozen=True, eq=False)
class NonconvexSketchedGradient(SketchedGradientRate, SublinearRate):
    """(1/T)Σ E‖∇f(x^t)‖² ≤ (f(x⁰) − f^inf)/(γ(1 − γθ/2)T) for γ < 2/θ, with θ = λ_max(E[SLSᵀ]), −L ⪯ ∇²f ⪯ L.

    Parameters
    ----------
    objective : Mast
        f must be smooth and bounded below, and E[SSᵀ] known.
    sharp : bool, default False
        Use θ itself in place of L_f·λ_max(E[SSᵀ]).

    Raises
    ------
    AssumptionError
        Naming the assumption, the measured value and the remedy.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> t = NonconvexSketchedGradient(ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1)))
    >>> t.stepsize, round(float(t.bound(10, initial=1.0)), 12)
    (0.5, 0.4)
    """

    id = "sketched-gradient-nonconvex"
    title = "Sketched gradient (nonconvex)"
    source = "this package"
    statement = (
        r"\gamma < \frac 2\theta \Rightarrow \frac1T\sum_{t<T}\mathbb E\|\nabla f(x^t)\|^2 \le"
        r" \frac{f(x^0) - f^{\inf}}{\gamma(1 - \gamma\theta/2)T},\quad \theta = \lambda_{\max}(\mathbb E[\mathbf S\mathbf L"
        r"\mathbf S^\top]) \le L_f\lambda_{\max}(\mathbb E[\mathbf S\mathbf S^\top])"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (SINGLE_NODE, UNBIASED, KNOWN_STEP, SMOOTH)
    constants_used = ("step_smoothness",)
    measure = "f_gradient_norm2"
    over = "average"
    starts_from = "f_gap"

    @property
    def limit(self) -> float:
        """2/θ, where the bound becomes infinite; no end where θ = 0."""
        return 2 / self.theta if self.theta > 0 else math.inf

    def weight(self, steps: Array, stepsize: float) -> Array:
        """Return 1/(1 − γθ/2)."""
        left = 1 - stepsize * self.theta / 2
        return np.full_like(steps, 1 / left if left > 0 else math.inf)


@dataclass(frozen=True, eq=False)
class PolyakLojasiewiczSketchedGradient(SketchedGradientRate, LinearRate):
    """E f(x^T) − f^inf ≤ (1 − 2γμ(1 − γθ/2))^T (f(x⁰) − f^inf) for γ < 2/θ, if ‖∇f‖² ≥ 2μ(f − f^inf).

    Parameters
    ----------
    objective : Mast
        f must be a quadratic, possibly singular, or strongly convex, and E[SSᵀ] known.
    sharp : bool, default False
        Use θ itself in place of L_f·λ_max(E[SSᵀ]).

    Raises
    ------
    AssumptionError
        Naming the assumption, the measured value and the remedy.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> t = PolyakLojasiewiczSketchedGradient(ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1)))
    >>> t.stepsize, t.rate, t.radius
    (0.5, 0.5, 0.0)
    """

    id = "sketched-gradient-polyak-lojasiewicz"
    title = "Sketched gradient under the Polyak-Łojasiewicz condition"
    source = "this package"
    statement = (
        r"\|\nabla f\|^2 \ge 2\mu(f - f^{\inf}),\ \gamma < \frac 2\theta \Rightarrow \mathbb E f(x^T) - f^{\inf} \le"
        r" \left(1 - 2\gamma\mu(1 - \tfrac{\gamma\theta}2)\right)^T(f(x^0) - f^{\inf}),\quad \theta = \lambda_{\max}("
        r"\mathbb E"
        r"[\mathbf S\mathbf L\mathbf S^\top])"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (SINGLE_NODE, UNBIASED, KNOWN_STEP, SMOOTH, POLYAK_LOJASIEWICZ_F)
    constants_used = ("step_smoothness", "mu_f_PL")
    measure = "f_gap"
    starts_from = "f_gap"

    @property
    def mu(self) -> float:
        """The Polyak-Łojasiewicz constant of f."""
        return self.constants.mu_f_PL.value

    @property
    def limit(self) -> float:
        """2/θ, where the bound stops shrinking; no end where θ = 0."""
        return 2 / self.theta if self.theta > 0 else math.inf

    def contraction(self, stepsize: float) -> float:
        """Return 2γμ(1 − γθ/2)."""
        return min(2 * stepsize * self.mu * (1 - stepsize * self.theta / 2), 1.0)
