"""A shift that is refreshed with probability p, on quadratics: exact potentials, and no restriction on p."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from mastsim.backend import Array
from mastsim.moments import Form
from mastsim.run import Run
from mastsim.theorems.assumptions import (
    BOUNDED,
    CONVEX,
    SINGLE_NODE,
    SMOOTH,
    STRONGLY_CONVEX,
    UNBIASED,
    Assumption,
)
from mastsim.theorems.linear_and_sublinear import LinearRate, SublinearRate
from mastsim.theorems.moving_shift import RefreshedRate

QUADRATIC = Assumption(
    "quadratic f",
    lambda F: F.is_quadratic,
    lambda F: f"{F.problem.name} is not one in closed form",
    "use a quadratic, or the theorem about strongly convex f",
)


@dataclass(frozen=True, eq=False)
class QuadraticShift(RefreshedRate):
    """What the two theorems about quadratics share: V = ‖x − x*‖² + (γ/p)‖v − x*‖²_R, R = E[SᵀAS] − A."""

    starts_from = "lyapunov"

    @cached_property
    def R(self) -> np.ndarray:
        """E[SᵀAS] − A ⪰ 0, shape (dim, dim)."""
        F = self.objective
        return np.asarray(F.curvature - F.problem.upper_curvature.matrix)

    def _of_shift(self, stepsize: float) -> float:
        """Return (γ/p)‖v⁰ − x*‖²_R, which is not there where the shift starts at the iterate."""
        if self.starts_at_iterate:
            return 0.0
        u = self.objective.center - self.objective.problem.minimize().x
        return stepsize / self.p * max(float(u @ self.R @ u), 0.0)

    def initial_at(self, x0: np.ndarray, stepsize: float | None = None) -> float:
        """Return V_0 for a start x0 and the shift of the objective.

        Parameters
        ----------
        x0 : ndarray, shape (dim,)
            The start.
        stepsize : float, optional
            γ; the largest that the theorem allows when left out.
        """
        return self._at_start("error", x0) + self._of_shift(self.stepsize if stepsize is None else stepsize)

    def initial_of(self, run: Run) -> np.ndarray:
        """Return V_0 of every replica of a run, shape (replicas,)."""
        return self._trace_at_start("error", run) + self._of_shift(run.stepsize)

    def start_mixture(self, stepsize: float) -> dict[str, float]:
        """Return the part of V_0 that differs between replicas."""
        return {"error": 1.0}

    def displacement(self, measure: str) -> float:
        """Return how far √V may be off because x* is known up to its certificate; see `Rate.displacement`."""
        if measure != "lyapunov":
            return super().displacement(measure)
        return super().displacement("error") * self.stretch_of(measure)

    def stretch_of(self, measure: str) -> float:
        """Return √(1 + γλ_max(R)/p) for V with v as far from x* as x."""
        if measure != "lyapunov":
            return super().stretch_of(measure)
        return math.sqrt(1 + self.stepsize / self.p * max(float(np.linalg.eigvalsh(self.R)[-1]), 0.0))


@dataclass(frozen=True, eq=False)
class ConvexQuadraticShift(QuadraticShift, SublinearRate):
    """The average of E f(x^t) − f^inf over t < T is at most V_0/(2γ(2 − γL)T), f a convex quadratic, any p, γ ≤ 1/L.

    V_0 = ‖x⁰ − x*‖² + (γ/p)‖v⁰ − x*‖²_R with R = E[SᵀAS] − A: there is no neighbourhood, as f_D(x) = f(x) + ½‖x − v‖²_R and
    moving the shift makes an inexact proximal-point method.

    Parameters
    ----------
    objective : Mast
        f must be a convex quadratic and the sketch bounded.
    sharp : bool, default False
        Use this package's L.
    shift : Refreshed, optional
        How the shift moves; with p = 0.1 in variant b when left out.

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
    >>> F = ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1))
    >>> t = ConvexQuadraticShift(F, shift=ms.Refreshed(0.5))
    >>> t.stepsize, t.initial, t.radius
    (0.25, 3.0, 0.0)
    """

    id = "moving-shift-convex-quadratic"
    title = "Refreshed shift (convex quadratic)"
    source = "this package"
    statement = (
        r"\gamma \le \frac 1L \Rightarrow \frac1T\sum_{t<T}\mathbb E f(x^t) - f^{\inf} \le \frac{\|x^0 - x^*\|^2 +"
        r" \frac\gamma p\|v^0 - x^*\|^2_{\mathbf R}}{2\gamma(2 - \gamma L)T},\quad \mathbf R = \mathbb E[\mathbf S^\top"
        r"\mathbf A"
        r"\mathbf S] - \mathbf A,\ L = L_f L_{\mathbf S}^{\max}"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (SINGLE_NODE, UNBIASED, BOUNDED, SMOOTH, CONVEX, QUADRATIC)
    constants_used = ("L_f", "L_S_max")
    measure = "f_gap"
    over = "average"

    @property
    def stepsize(self) -> float:
        """The largest step size 1/L."""
        return 1 / self.L if self.L > 0 else 1.0

    def weight(self, steps: Array, stepsize: float) -> Array:
        """Return 1/(2(2 − γL))."""
        left = 2 - stepsize * self.L
        return np.full_like(steps, 1 / (2 * left) if left > 0 else math.inf)


@dataclass(frozen=True, eq=False)
class StronglyConvexQuadraticShift(QuadraticShift, LinearRate):
    """E V_T ≤ (1 − min(γμ_f, p/(2χ)))^T V_0, f a strongly convex quadratic, γ ≤ 1/(2L), χ = λ_max(A^{-½}H_D A^{-½}).

    V = ‖x − x*‖² + (γ/p)‖v − x*‖²_R in variant a; in variant b its last term is (1 − p) times that at the shift before the
    coin, except at the start, where there was none.

    Parameters
    ----------
    objective : Mast
        f must be a strongly convex quadratic and the sketch bounded.
    sharp : bool, default False
        Use this package's L, and χ itself in place of L_D·κ_f.
    shift : Refreshed, optional
        How the shift moves; with p = 0.1 in variant b when left out.

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
    >>> F = ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1))
    >>> t = StronglyConvexQuadraticShift(F, shift=ms.Refreshed(0.5))
    >>> t.stepsize, t.rate, t.radius
    (0.125, 0.875, 0.0)
    """

    id = "moving-shift-quadratic"
    title = "Refreshed shift (strongly convex quadratic)"
    source = "this package"
    statement = (
        r"\gamma \le \frac 1{2L} \Rightarrow \mathbb E V_T \le \left(1 - \min\{\gamma\mu_f, \tfrac p{2\chi}\}\right)^T V_0,"
        r"\quad V_0 = \|x^0 - x^*\|^2 + \frac\gamma p\|v^0 - x^*\|^2_{\mathbf R},\ \mathbf R = \mathbf H_D - \mathbf A,\ "
        r"\chi ="
        r" \lambda_{\max}(\mathbf A^{-1/2}\mathbf H_D\mathbf A^{-1/2}) \le L_D\kappa_f"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (SINGLE_NODE, UNBIASED, BOUNDED, SMOOTH, STRONGLY_CONVEX, QUADRATIC)
    constants_used = ("L_f", "L_S_max", "mu_f", "shift_condition")
    measure = "lyapunov"

    @property
    def chi(self) -> float:
        """χ, or L_D·κ_f ≥ χ."""
        c = self.constants
        return c.shift_condition_sharp.value if self.sharp else c.shift_condition.value

    @property
    def stepsize(self) -> float:
        """The largest step size 1/(2L)."""
        return 1 / (2 * self.L)

    def contraction(self, stepsize: float) -> float:
        """Return min(γμ_f, p/(2χ))."""
        return min(stepsize * self.mu, self.p / (2 * self.chi))

    def form(self, stepsize: float, center: np.ndarray) -> Form:
        """Return a form of iterate and shift whose mean is E V_T for T ≥ 1, counted from x*.

        In variant b the mean over the coin of (γ/p)‖v − x*‖²_R is that at the shift before, times (1 − p), and γ‖x − x*‖²_R.
        """
        taken = stepsize * self.R if self.shift.variant == "b" else np.zeros_like(self.R)
        return {("x", "x"): np.eye(len(self.R)) - taken, ("v", "v"): stepsize / self.p * self.R}
