"""Theorem 3 and its companion under the Polyak-Łojasiewicz condition: DSGD with exact gradients without convexity."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mastsim.backend import Array
from mastsim.theorems.assumptions import BOUNDED, SINGLE_NODE, SMOOTH, UNBIASED, Assumption
from mastsim.theorems.convex import DoubleSketched
from mastsim.theorems.linear_and_sublinear import HorizonRate, LinearRate

POLYAK_LOJASIEWICZ = Assumption(
    "Polyak-Łojasiewicz condition",
    lambda F: F.is_quadratic or F.mu_fD_sharp > 0,
    lambda F: f"no constant is known for {F.problem.name}",
    "use a quadratic or a strongly convex loss",
)


@dataclass(frozen=True, eq=False)
class NonconvexDSGD(DoubleSketched, HorizonRate):
    """min_{t<T} E‖∇f_D(x^t)‖² ≤ (1 + γ²𝔇)^T δ_0/(γT) + γ𝔇·gap, where the factor is at most 3 for γ ≤ 1/√(𝔇T).

    Parameters
    ----------
    objective : Mast
        The objective f_D; the sketch must be bounded, f smooth and bounded below.
    sharp : bool, default False
        Use this package's 𝔇, and E inf f_S in place of f^inf.
    horizon : int, default 1000
        T, the number of steps planned; the largest step size is 1/√(𝔇T).

    Raises
    ------
    AssumptionError
        Naming the assumption, the measured value and the remedy.

    References
    ----------
    MAST, arXiv 2311.16086, Theorem 3; `steps_to_accuracy` is its corollary, O(ε⁻⁴) steps for E‖∇f_D‖² ≤ ε².

    Examples
    --------
    >>> import mastsim as ms
    >>> t = NonconvexDSGD(ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1)), horizon=8)
    >>> t.variance, t.stepsize, round(t.radius, 12)
    (8.0, 0.125, 0.5)
    """

    id = "theorem3"
    title = "Theorem 3 (nonconvex DSGD)"
    source = "MAST (arXiv 2311.16086), Theorem 3"
    statement = (
        r"\min_{t<T} \mathbb E\|\nabla f_D(x^t)\|^2 \le \frac{(1+\gamma^2\mathfrak D)^T}{\gamma T}(f_D(x^0) - f_D^{\inf})"
        r" + \gamma\mathfrak D(f_D^{\inf} - f^{\inf}), \quad \mathfrak D = L_f^2 L_D L_{\mathbf S}^{\max}"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (SINGLE_NODE, UNBIASED, BOUNDED, SMOOTH)
    constants_used = ("nonconvex_variance", "gap")

    def weight(self, steps: Array, stepsize: float) -> Array:
        """Return (1 + γ²𝔇)^T."""
        with np.errstate(over="ignore"):
            return np.exp(steps * math.log1p(stepsize**2 * self.variance))

    def noise(self, stepsize: float) -> float:
        """Return γ𝔇·gap."""
        return stepsize * self.variance * self.gap


@dataclass(frozen=True, eq=False)
class PolyakLojasiewiczDSGD(DoubleSketched, LinearRate):
    """δ_T ≤ (1 − γμ)^T δ_0 + γ𝔇·gap/μ for γ ≤ μ/𝔇, if ‖∇f_D‖² ≥ 2μ(f_D − f_D^inf).

    Parameters
    ----------
    objective : Mast
        The objective f_D; a quadratic, possibly singular, or strongly convex.
    sharp : bool, default False
        Use this package's 𝔇, and E inf f_S in place of f^inf.

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
    >>> t = PolyakLojasiewiczDSGD(ms.Mast(ms.Quadratic(np.ones((2, 2)), np.ones(2)), ms.RandK(2, k=1)))
    >>> t.mu, t.stepsize
    (2.0, 0.0625)
    """

    id = "polyak-lojasiewicz"
    title = "Theorem PL (DSGD under the Polyak-Łojasiewicz condition)"
    source = "this package"
    statement = (
        r"\|\nabla f_D\|^2 \ge 2\mu(f_D - f_D^{\inf}),\ \gamma \le \frac{\mu}{\mathfrak D} \Rightarrow \delta_T \le"
        r" (1-\gamma\mu)^T\delta_0 + \frac{\gamma\mathfrak D}{\mu}(f_D^{\inf} - f^{\inf}), \quad"
        r" \delta_t = \mathbb E f_D(x^t) - f_D^{\inf}"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (SINGLE_NODE, UNBIASED, BOUNDED, SMOOTH, POLYAK_LOJASIEWICZ)
    constants_used = ("mu_PL", "nonconvex_variance", "gap")
    measure = "gap"
    starts_from = "gap"

    @property
    def mu(self) -> float:
        """The Polyak-Łojasiewicz constant."""
        return self.constants.mu_PL.value

    @property
    def stepsize(self) -> float:
        """The largest step size μ/𝔇."""
        return self.mu / self.variance if self.variance > 0 else 1.0

    def contraction(self, stepsize: float) -> float:
        """Return γμ."""
        return stepsize * self.mu

    def neighbourhood(self, stepsize: float) -> float:
        """Return γ𝔇·gap/μ."""
        return stepsize * self.variance * self.gap / self.mu
