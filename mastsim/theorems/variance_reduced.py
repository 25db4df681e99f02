"""Theorem 5 (loopless SVRG over sketches) and its nonconvex counterpart PAGE."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np

from mastsim.backend import Array
from mastsim.draws import probability
from mastsim.expected import Mast, Objective
from mastsim.methods import LSVRDSG, PAGE, Method
from mastsim.methods.variance_reduced import knows_variation, variation
from mastsim.moments import Form
from mastsim.run import LYAPUNOV, Run
from mastsim.theorems.assumptions import BOUNDED, EXACT, SINGLE_NODE, SMOOTH, STRONGLY_CONVEX, UNBIASED, Assumption
from mastsim.theorems.linear_and_sublinear import LinearRate, SublinearRate
from mastsim.theorems.rates import SketchedRate
from mastsim.validation import integer


@dataclass(frozen=True, eq=False)
class LooplessSVRDSG(SketchedRate, LinearRate):
    """E Ψ_T ≤ (1 − ρ)^T Ψ_0 + 2γ²ζσ*²/ρ for γ ≤ 1/((6 + 4ζ)L), ρ = min(γμ, p/2), ζ = (N − b)/(b·max(1, N − 1)).

    Ψ = ‖x − x_D*‖² + (4(1 + ζ)γ²/p)·E‖∇f_S(w) − ∇f_S(x_D*)‖². With the full anchor ζ = 0, for any bounded sketch.

    Parameters
    ----------
    objective : Mast
        The objective f_D; f must be strongly convex and the sketch bounded.
    sharp : bool, default False
        Use this package's constants L and μ.
    probability : float, default 0.1
        p, with which the anchor moves.
    anchor : int, optional
        b, the number of values of the sketch that the anchor's gradient is averaged over; all when left out.

    Raises
    ------
    AssumptionError
        Naming the assumption, the measured value and the remedy.
    ValueError
        If a setting is outside its range, or the anchor does not fit the sketch.

    References
    ----------
    MAST, arXiv 2311.16086, Theorem 5; constants re-derived in this package.

    Examples
    --------
    >>> import mastsim as ms
    >>> t = LooplessSVRDSG(ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1)))
    >>> round(1 / t.stepsize, 12), t.radius
    (24.0, 0.0)
    """

    probability: float = field(default=0.1, kw_only=True)
    anchor: int | None = field(default=None, kw_only=True)

    id = "theorem5"
    title = "Theorem 5 (L-SVRDSG)"
    source = "MAST (arXiv 2311.16086), Theorem 5"
    statement = (
        r"\gamma \le \frac{1}{(6 + 4\zeta)L} \Rightarrow \mathbb E\Psi_T \le (1-\rho)^T\Psi_0"
        r" + \frac{2\gamma^2\zeta\sigma_*^2}{\rho}, \quad \rho = \min(\gamma\mu_D\mu_f, \tfrac p2),"
        r"\ \zeta = \frac{N-b}{b\max(1, N-1)},\ L = L_f L_{\mathbf S}^{\max}"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (SINGLE_NODE, UNBIASED, BOUNDED, SMOOTH, STRONGLY_CONVEX, EXACT)
    constants_used = ("L_f", "mu_f", "L_S_max", "mu_D", "sigma2_star")
    method = "LSVRDSG"
    measure = "lyapunov"
    starts_from = "lyapunov"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "probability", probability("probability", self.probability))
        if self.anchor is not None:
            object.__setattr__(self, "anchor", integer("anchor", self.anchor, 1))
            self.objective.sketch.require_uniform_support("a minibatch anchor", self.anchor)

    @classmethod
    def cases(cls, objective: Objective) -> Sequence[Self]:
        """Return the full anchor with two probabilities, and minibatches where the sketch has few equally likely values."""
        if cls.refuse(objective) is not None:
            return []
        found = [cls(objective), cls(objective, probability=1.0)]
        assert isinstance(objective, Mast)
        values = objective.sketch.support_size
        if 1 < values <= 8 and np.ptp(objective.sketch.support()[1]) < 1e-12:
            found += [cls(objective, anchor=b) for b in sorted({1, int(values) - 1, int(values)})]
        return found

    @property
    def settings(self) -> str:
        """For example ``p = 0.1, full anchor``."""
        return f"p = {self.probability:g}, " + ("full anchor" if self.anchor is None else f"anchor of {self.anchor}")

    def method_at(self, stepsize: float) -> Method:
        """Return `LSVRDSG` with the settings of this record and a step size."""
        return LSVRDSG(stepsize, probability=self.probability, anchor=self.anchor)

    @property
    def zeta(self) -> float:
        """ζ, the variance of the anchor's minibatch; 0 with the full anchor."""
        return self._method.zeta(self.objective)

    @property
    def _method(self) -> LSVRDSG:
        return LSVRDSG(1.0, probability=self.probability, anchor=self.anchor)

    @property
    def stepsize(self) -> float:
        """The largest step size 1/((6 + 4ζ)L)."""
        return 1 / ((6 + 4 * self.zeta) * self.L)

    def contraction(self, stepsize: float) -> float:
        """Return ρ = min(γμ, p/2)."""
        return min(stepsize * self.mu, self.probability / 2)

    def neighbourhood(self, stepsize: float) -> float:
        """Return 2γ²ζσ*²/ρ."""
        if self.zeta == 0:
            return 0.0
        noise = self.constants.sigma2_star
        shrink = self.contraction(stepsize)
        return 2 * stepsize**2 * self.zeta * (noise + noise.error) / shrink if shrink > 0 else math.inf

    def weight_of_anchor(self, stepsize: float) -> float:
        """Return 4(1 + ζ)γ²/p."""
        return self._method.weight_of_anchor(self.objective) * stepsize**2

    def stretch_of(self, measure: str) -> float:
        """Return √(1 + (4(1 + ζ)γ²/p)·𝔇) for Ψ, as E‖∇f_S(x) − ∇f_S(y)‖² ≤ 𝔇‖x − y‖²."""
        if measure != self.measure:
            return super().stretch_of(measure)
        return math.sqrt(1 + self.weight_of_anchor(self.stepsize) * self.constants.nonconvex_variance)

    def forgetting(self, stepsize: float) -> float:
        """Return min(γμ, p/2): what the anchor did is remembered until it moves."""
        return min(super().forgetting(stepsize), self.probability / 2)

    def initial_at(self, x0: np.ndarray, stepsize: float | None = None) -> float:
        """Return Ψ_0 with both the iterate and the anchor at x0, or an upper bound on it where it cannot be computed.

        Parameters
        ----------
        x0 : ndarray, shape (dim,)
            The start.
        stepsize : float, optional
            γ; the largest that the theorem allows when left out.
        """
        F, best = self.objective, self.objective.minimize()
        gamma, y = self.stepsize if stepsize is None else stepsize, x0 - best.x
        if knows_variation(F):
            apart = float(variation(F, x0[None])[0])
        else:
            apart = self._variation_bound(float(F.value(x0)) - best.value)
        return float(y @ y) + self.weight_of_anchor(gamma) * apart

    def _variation_bound(self, excess: Array) -> Array:
        """Return 2L(f_D(x) − f_D^inf), which E‖∇f_S(x) − ∇f_S(x_D*)‖² does not exceed."""
        return 2 * self.constants.expected_smoothness * np.maximum(excess + self.objective.minimize().gap_bound, 0.0)

    def initial_of(self, run: Run) -> np.ndarray:
        """Return Ψ_0 of every replica of a run, or where it was not recorded an upper bound on it, which cannot confirm."""
        if LYAPUNOV in run.traces:
            return run.traces[LYAPUNOV][:, 0]
        for name in ("distance", "gap"):
            if name not in run.traces:
                raise ValueError(f"run did not record {name!r}, from which the bound of {self.title} starts")
        apart = self._variation_bound(run.traces["gap"][:, 0])
        return np.asarray(run.traces["distance"][:, 0] + self.weight_of_anchor(run.stepsize) * apart)

    def form(self, stepsize: float, center: np.ndarray) -> Form:
        """Return Ψ as a quadratic form of iterate and anchor, on quadratics, counted from x_D*."""
        F = self.objective
        return {
            ("x", "x"): np.eye(self.objective.dim),
            ("w", "w"): self.weight_of_anchor(stepsize) * F.fourth_moment,
        }


@dataclass(frozen=True, eq=False)
class DoubleSketchedPAGE(SublinearRate):
    """(1/T)Σ E‖∇f_D(x^t)‖² ≤ 2δ_0/(γT) for γ ≤ 1/(L_f·L_D + Λ√((1 − p)/(p·b′))), Λ² = L_f²·L_S^max·L_D.

    Parameters
    ----------
    objective : Mast
        The objective f_D; the sketch must be bounded, f smooth and bounded below, and f_D exactly known.
    sharp : bool, default False
        Use this package's smoothness constant of f_D, and for convex f its Λ² = λ_max(E[SᵀLS])·sup λ_max(SᵀLS).
    probability : float, default 0.1
        p, of a full gradient.
    sketches : int, default 1
        b′, the number of sketches that a difference is averaged over.

    Raises
    ------
    AssumptionError
        Naming the assumption, the measured value and the remedy.
    ValueError
        If a setting is outside its range.

    References
    ----------
    This package, after Li, Bao, Zhang, Richtárik, PAGE, arXiv 2008.10898.

    Examples
    --------
    >>> import mastsim as ms
    >>> t = DoubleSketchedPAGE(ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1)), probability=1.0)
    >>> t.stepsize, float(t.bound(4, initial=1.0))
    (0.5, 1.0)
    """

    probability: float = field(default=0.1, kw_only=True)
    sketches: int = field(default=1, kw_only=True)

    id = "page"
    title = "Theorem PAGE (double-sketched PAGE)"
    source = "this package"
    statement = (
        r"\gamma \le \left(L_f L_D + \Lambda\sqrt{\tfrac{1-p}{p b'}}\right)^{-1} \Rightarrow \frac1T\sum_{t<T}"
        r"\mathbb E\|\nabla f_D(x^t)\|^2 \le \frac{2(f_D(x^0) - f_D^{\inf})}{\gamma T}, \quad"
        r" \Lambda^2 = L_f^2 L_{\mathbf S}^{\max} L_D"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (SINGLE_NODE, UNBIASED, BOUNDED, SMOOTH, EXACT)
    constants_used = ("L_f", "L_D", "L_S_max")
    method = "PAGE"
    measure = "gradient_norm2"
    over = "average"
    starts_from = "gap"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "probability", probability("probability", self.probability))
        object.__setattr__(self, "sketches", integer("sketches", self.sketches, 1))

    @classmethod
    def cases(cls, objective: Objective) -> Sequence[Self]:
        """Return one sketch with a rare full gradient, several with a frequent one, and the full gradient always."""
        if cls.refuse(objective) is not None:
            return []
        several = [cls(objective, probability=0.5, sketches=2), cls(objective, probability=1.0)]
        return [cls(objective), *(several if objective.is_quadratic else [])]

    @property
    def settings(self) -> str:
        """For example ``p = 0.1, b' = 1``."""
        return f"p = {self.probability:g}, b' = {self.sketches}"

    def method_at(self, stepsize: float) -> Method:
        """Return `PAGE` with the settings of this record and a step size."""
        return PAGE(stepsize, probability=self.probability, sketches=self.sketches)

    def forgetting(self, stepsize: float) -> float:
        """Return min(γμ, p/2): what an estimate did is remembered until it is renewed."""
        return min(super().forgetting(stepsize), self.probability / 2)

    @property
    def Lambda(self) -> float:
        """Λ, with E‖∇f_S(x) − ∇f_S(y)‖² ≤ Λ²‖x − y‖²."""
        c = self.constants
        sharp = self.sharp and self.objective.problem.is_convex
        return math.sqrt(c.nonconvex_variance_sharp if sharp else c.nonconvex_variance)

    @property
    def stepsize(self) -> float:
        """The largest step size."""
        c, p = self.constants, self.probability
        smoothness = c.L_fD_sharp if self.sharp else c.L_fD
        whole = smoothness + self.Lambda * math.sqrt((1 - p) / (p * self.sketches))
        return 1 / whole if whole > 0 else 1.0

    def weight(self, steps: Array, stepsize: float) -> Array:
        """Return 2."""
        return np.full_like(steps, 2.0)

    def noise(self, stepsize: float) -> float:
        """Return 0."""
        return 0.0
