"""The sketched gradient at the full model, x⁺ = x − γSᵀ∇f(x), on convex and strongly convex f."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mastsim.backend import Array
from mastsim.moments import Form, standard_forms
from mastsim.theorems.about_f import KNOWN_STEP
from mastsim.theorems.assumptions import (
    CONVEX,
    SINGLE_NODE,
    SMOOTH,
    STRONGLY_CONVEX,
    UNBIASED,
    Assumption,
)
from mastsim.theorems.linear_and_sublinear import LinearRate, SublinearRate
from mastsim.theorems.sketched_gradient import SketchedGradientRate
from mastsim.validation import UNLIMITED, nonnegative, positive


class WeightedStart(SketchedGradientRate):
    """What the two theorems that start from V = ‖x − x*‖² + 2γC(f − f^inf) share."""

    starts_from = "lyapunov"

    def start_mixture(self, stepsize: float) -> dict[str, float]:
        """Return V."""
        return {"error": 1.0, "f_gap": 2 * stepsize * self.C}

    def displacement(self, measure: str) -> float:
        """Return how far √V may be off because x* is known up to its certificate; see `Rate.displacement`."""
        if measure != "lyapunov":
            return super().displacement(measure)
        weight = 2 * self.stepsize * self.C
        return math.hypot(super().displacement("error"), math.sqrt(weight) * super().displacement("f_gap"))

    def stretch_of(self, measure: str) -> float:
        """Return √(1 + γC·L_f) for V, as f − f^inf ≤ ½L_f‖x − x*‖²."""
        if measure != "lyapunov":
            return super().stretch_of(measure)
        return math.sqrt(1 + self.stepsize * self.C * self.constants.L_f)


@dataclass(frozen=True, eq=False)
class ConvexSketchedGradient(WeightedStart, SublinearRate):
    """E f(x^T) − f^inf ≤ V_0/(2γ(T + C)) for γ ≤ 1/θ: the last iterate, V = ‖x − x*‖² + 2γC(f − f^inf), C = λ_max(E[SSᵀ]).

    For Rand-1, C = d, and with γ = 1/θ this is the rate of coordinate descent.

    Parameters
    ----------
    objective : Mast
        f must be convex, and E[SSᵀ] known.
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
    >>> t = ConvexSketchedGradient(ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1)))
    >>> t.stepsize, round(float(t.bound(8, initial=1.0)), 12)
    (0.5, 0.1)
    """

    id = "sketched-gradient-convex"
    title = "Sketched gradient (convex, last iterate)"
    source = "this package"
    statement = (
        r"\gamma \le \frac 1\theta \Rightarrow \mathbb E f(x^T) - f^{\inf} \le \frac{\|x^0 - x^*\|^2 + 2\gamma C(f(x^0) -"
        r" f^{\inf})}{2\gamma(T + C)},\quad \theta = \lambda_{\max}(\mathbb E[\mathbf S\mathbf L\mathbf S^\top]),\ C ="
        r" \lambda_{\max}(\mathbb E[\mathbf S\mathbf S^\top])"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (SINGLE_NODE, UNBIASED, KNOWN_STEP, SMOOTH, CONVEX)
    constants_used = ("step_smoothness", "step_second_moment")
    measure = "f_gap"

    def weight(self, steps: Array, stepsize: float) -> Array:
        """Return T/(2(T + C)), at most ½."""
        return steps / (2 * (steps + self.C))

    def steps_to_accuracy(self, accuracy: float, initial: float | None = None) -> float:
        """Return V_0/(2γ·accuracy) − C at the largest step size, rounded up.

        Parameters
        ----------
        accuracy : float
            The value of the measure aimed at, above 0.
        initial : float, optional
            V_0 ≥ 0; for the start at the shift when left out.
        """
        target = positive("accuracy", accuracy, UNLIMITED)
        start = self.initial if initial is None else nonnegative("initial", initial, UNLIMITED)
        steps = start / (2 * self.stepsize * target) - self.C
        return float(max(math.ceil(steps), 1)) if math.isfinite(steps) else math.inf


@dataclass(frozen=True, eq=False)
class StronglyConvexSketchedGradient(WeightedStart, LinearRate):
    """E V_T ≤ (1 − ρ)^T V_0 for γ ≤ 1/θ, V = ‖x − x*‖² + 2γC(f − f^inf), ρ = 2γμ/(1 + γμC), C = λ_max(E[SSᵀ]).

    Parameters
    ----------
    objective : Mast
        f must be strongly convex, and E[SSᵀ] known.
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
    >>> t = StronglyConvexSketchedGradient(ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1)))
    >>> t.stepsize, t.rate
    (0.5, 0.5)
    """

    id = "sketched-gradient-strongly-convex"
    title = "Sketched gradient (strongly convex)"
    source = "this package"
    statement = (
        r"\gamma \le \frac 1\theta \Rightarrow \mathbb E V_T \le \left(1 - \frac{2\gamma\mu_f}{1 + \gamma\mu_f C}"
        r"\right)^T V_0,"
        r"\quad V = \|x - x^*\|^2 + 2\gamma C(f(x) - f^{\inf}),\ C = \lambda_{\max}(\mathbb E[\mathbf S\mathbf S^\top]),"
        r"\ \theta = \lambda_{\max}(\mathbb E[\mathbf S\mathbf L\mathbf S^\top])"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (SINGLE_NODE, UNBIASED, KNOWN_STEP, SMOOTH, STRONGLY_CONVEX)
    constants_used = ("step_smoothness", "step_second_moment", "mu_f")
    measure = "lyapunov"

    def mixture(self, stepsize: float) -> dict[str, float]:
        """Return V."""
        return self.start_mixture(stepsize)

    def form(self, stepsize: float, center: np.ndarray) -> Form:
        """Return V as a quadratic form of the iterate, on quadratics."""
        forms = standard_forms(self.objective, center)
        plain, value = forms["error"], forms["f_gap"]
        return {key: plain[key] + 2 * stepsize * self.C * value[key] for key in plain}

    def contraction(self, stepsize: float) -> float:
        """Return 2γμ/(1 + γμC)."""
        gained = stepsize * self.mu
        return min(2 * gained / (1 + gained * self.C), 1.0)


@dataclass(frozen=True, eq=False)
class SketchedGradientDistance(SketchedGradientRate, LinearRate):
    """E‖x^T − x*‖² ≤ (1 − γμ)^T ‖x⁰ − x*‖² for γ ≤ 1/θ̄, θ̄ = λ_max(L^½E[SSᵀ]L^½): the distance alone, at a smaller step.

    Parameters
    ----------
    objective : Mast
        f must be strongly convex, and E[SSᵀ] known.
    sharp : bool, default False
        Use θ̄ itself in place of L_f·λ_max(E[SSᵀ]).

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
    >>> t = SketchedGradientDistance(ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1)))
    >>> t.stepsize, t.rate
    (0.5, 0.5)
    """

    id = "sketched-gradient-distance"
    title = "Sketched gradient (strongly convex, distance alone)"
    source = "this package"
    statement = (
        r"\gamma \le \frac 1{\bar\theta} \Rightarrow \mathbb E\|x^T - x^*\|^2 \le (1 - \gamma\mu_f)^T\|x^0 - x^*\|^2,\quad"
        r" \bar\theta = \lambda_{\max}(\mathbf L^{1/2}\mathbb E[\mathbf S\mathbf S^\top]\mathbf L^{1/2})"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (SINGLE_NODE, UNBIASED, KNOWN_STEP, SMOOTH, STRONGLY_CONVEX)
    constants_used = ("distance_smoothness", "mu_f")
    measure = "error"
    starts_from = "error"

    @property
    def stepsize(self) -> float:
        """The largest step size 1/θ̄."""
        return 1 / self.theta_distance

    def contraction(self, stepsize: float) -> float:
        """Return γμ."""
        return stepsize * self.mu


@dataclass(frozen=True, eq=False)
class SketchedGradientAverage(SketchedGradientRate, SublinearRate):
    """The average of E f(x^t) − f^inf over t < T is at most ‖x⁰ − x*‖²/(2γ(1 − γθ̄)T) for γ < 1/θ̄.

    Parameters
    ----------
    objective : Mast
        f must be convex, and E[SSᵀ] known.
    sharp : bool, default False
        Use θ̄ itself in place of L_f·λ_max(E[SSᵀ]).

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
    >>> t = SketchedGradientAverage(ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1)))
    >>> t.stepsize, round(float(t.bound(10, initial=1.0)), 12)
    (0.25, 0.4)
    """

    id = "sketched-gradient-average"
    title = "Sketched gradient (convex, average, from the distance alone)"
    source = "this package"
    statement = (
        r"\gamma < \frac 1{\bar\theta} \Rightarrow \frac1T\sum_{t<T}\mathbb E f(x^t) - f^{\inf} \le \frac{\|x^0 - x^*\|^2}{"
        r"2\gamma(1 - \gamma\bar\theta)T},\quad \bar\theta = \lambda_{\max}(\mathbf L^{1/2}\mathbb E[\mathbf S\mathbf S^"
        r"\top]"
        r"\mathbf L^{1/2})"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (SINGLE_NODE, UNBIASED, KNOWN_STEP, SMOOTH, CONVEX)
    constants_used = ("distance_smoothness",)
    measure = "f_gap"
    over = "average"
    starts_from = "error"

    @property
    def stepsize(self) -> float:
        """1/(2θ̄), where the bound is smallest."""
        return 1 / (2 * self.theta_distance) if self.theta_distance > 0 else 1.0

    @property
    def limit(self) -> float:
        """1/θ̄, where the bound becomes infinite; no end where θ̄ = 0."""
        return 1 / self.theta_distance if self.theta_distance > 0 else math.inf

    def weight(self, steps: Array, stepsize: float) -> Array:
        """Return 1/(2(1 − γθ̄))."""
        left = 1 - stepsize * self.theta_distance
        return np.full_like(steps, 1 / (2 * left) if left > 0 else math.inf)
