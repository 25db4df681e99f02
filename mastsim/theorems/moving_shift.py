"""Shifts that move: the neighbourhood of double-sketched gradient descent goes away, at a price in steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Self

import numpy as np

from mastsim.backend import Array
from mastsim.expected import Objective
from mastsim.methods import DSGD, HeldSketch, Method, Refreshed
from mastsim.moments import Form
from mastsim.provenance import content_hash
from mastsim.run import Run
from mastsim.theorems.assumptions import (
    BOUNDED,
    CONVEX,
    SINGLE_NODE,
    SMOOTH,
    STRONGLY_CONVEX,
    UNBIASED,
    Assumption,
    AssumptionError,
)
from mastsim.theorems.linear_and_sublinear import LinearRate, SublinearRate
from mastsim.theorems.sketched_gradient import KNOWN_STEP, POLYAK_LOJASIEWICZ_F, AboutF
from mastsim.validation.words import described

_SMALL = 8

QUADRATIC = Assumption(
    "quadratic f",
    lambda F: F.is_quadratic,
    lambda F: f"{F.problem.name} is not one in closed form",
    "use a quadratic, or the theorem about strongly convex f",
)


@dataclass(frozen=True, eq=False)
class RefreshedRate(AboutF):
    """What the theorems about a shift that is refreshed with probability p share."""

    shift: Refreshed = field(default_factory=lambda: Refreshed(0.1), kw_only=True)

    variants: ClassVar[str] = "ab"
    """The variants of the rule that the theorem is about."""
    tried: ClassVar[tuple[str, ...]] = (
        "refreshed:0.03",
        "refreshed:0.3",
        "refreshed:0.3:a",
        "refreshed:1",
        "refreshed:1:a",
    )
    """Rules that an attack tries, as texts."""

    def __post_init__(self) -> None:
        fits = isinstance(self.shift, Refreshed) and self.shift.moves and self.shift.variant in self.variants
        if not fits:
            which = "in variant b" if self.variants == "b" else "in variant a or b"
            raise AssumptionError(
                f"{self.title} is not about shift={described(self.shift)}: it must be Refreshed, p > 0, {which}"
            )
        super().__post_init__()

    @classmethod
    def cases(cls, objective: Objective) -> Sequence[Self]:
        """Return the variants with a small and a moderate p, and v = x; this alone in many dimensions."""
        if cls.refuse(objective) is not None:
            return []
        few = [Refreshed(0.1), Refreshed(0.4, variant="a")] if objective.dim <= _SMALL else []
        return [cls(objective, shift=rule) for rule in (*few, Refreshed(1.0)) if rule.variant in cls.variants]

    @property
    def settings(self) -> str:
        """For example ``shift refreshed with p = 0.1 (b)``."""
        return self.shift.name

    @property
    def p(self) -> float:
        """The probability."""
        return self.shift.probability

    def method_at(self, stepsize: float) -> Method:
        """Return `DSGD` with the shift rule of this record and a step size."""
        return DSGD(stepsize, shift=self.shift)

    def forgetting(self, stepsize: float) -> float:
        """Return min(γμ_f, p/2χ): what a shift did is remembered until it has moved."""
        return min(super().forgetting(stepsize), self.p / (2 * max(float(self.constants.shift_condition), 1.0)))

    @property
    def starts_at_iterate(self) -> bool:
        """Whether v⁰ = x⁰ whatever the shift of the objective."""
        return self.shift.is_iterate


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


@dataclass(frozen=True, eq=False)
class StronglyConvexShift(RefreshedRate, LinearRate):
    """E‖x^T − x*‖² ≤ (1 − min(γμ, p/4))^T V_0 for any smooth strongly convex f, in variant b, at a step that depends on p.

    γ ≤ min(1/(4L), p/(8√((1 − p)·L·L_f·ω(5/4 + 2κ_f·ω)))) with ω = L_D − 1; V_0 = ‖x⁰ − x*‖² + p/(8(1 − p)γL)·‖x⁰ − v⁰‖².

    Parameters
    ----------
    objective : Mast
        f must be strongly convex and the sketch bounded.
    sharp : bool, default False
        Use this package's L.
    shift : Refreshed, optional
        How the shift moves, in variant b; with p = 0.1 when left out.

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
    >>> t = StronglyConvexShift(F, shift=ms.Refreshed(1.0))
    >>> t.stepsize, t.rate, t.radius
    (0.0625, 0.9375, 0.0)
    """

    id = "moving-shift-strongly-convex"
    title = "Refreshed shift (strongly convex)"
    source = "this package"
    statement = (
        r"\gamma \le \min\left\{\frac 1{4L}, \frac p{8\sqrt{(1-p)L L_f\omega(\frac54 + 2\kappa_f\omega)}}\right\} "
        r"\Rightarrow"
        r" \mathbb E\|x^T - x^*\|^2 \le (1 - \min\{\gamma\mu_f, \tfrac p4\})^T\left(\|x^0 - x^*\|^2 + \frac{p\|x^0 - v^0"
        r"\|^2}{"
        r"8(1-p)\gamma L}\right),\quad \omega = L_D - 1,\ L = L_f L_{\mathbf S}^{\max}"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (SINGLE_NODE, UNBIASED, BOUNDED, SMOOTH, STRONGLY_CONVEX)
    constants_used = ("L_f", "mu_f", "L_S_max", "L_D")
    measure = "error"
    starts_from = "lyapunov"
    variants = "b"
    tried = ("refreshed:0.03", "refreshed:0.3", "refreshed:1")

    @classmethod
    def cases(cls, objective: Objective) -> Sequence[Self]:
        """Return those of few dimensions: replicas on real data leave it open, since it is nearly attained at first."""
        return super().cases(objective) if objective.dim <= _SMALL else []

    @property
    def omega(self) -> float:
        """ω = L_D − 1."""
        return max(self.constants.L_D - 1, 0.0)

    @property
    def stepsize(self) -> float:
        """The largest step size."""
        c, w = self.constants, self.omega
        rest = (1 - self.p) * self.L * c.L_f * w * (1.25 + 2 * c.L_f / self.mu * w)
        return min(1 / (4 * self.L), self.p / (8 * math.sqrt(rest)) if rest > 0 else math.inf)

    def contraction(self, stepsize: float) -> float:
        """Return min(γμ, p/4)."""
        return min(stepsize * self.mu, self.p / 4)

    def start_mixture(self, stepsize: float) -> dict[str, float]:
        """Return the part of V_0 that any run records."""
        return {"error": 1.0}

    def displacement(self, measure: str) -> float:
        """Return how far the distance may be off because x* is known up to its certificate; ‖x⁰ − v⁰‖ is not."""
        return super().displacement("error" if measure == "lyapunov" else measure)

    def weight_of_shift(self, stepsize: float) -> float:
        """Return p/(8(1 − p)γL), the weight of ‖x − v‖²; 0 where the shift is the iterate."""
        return 0.0 if self.starts_at_iterate else self.p / (8 * (1 - self.p) * stepsize * self.L)

    def initial_at(self, x0: np.ndarray, stepsize: float | None = None) -> float:
        """Return V_0 for a start x0 and the shift of the objective.

        Parameters
        ----------
        x0 : ndarray, shape (dim,)
            The start.
        stepsize : float, optional
            γ; the largest that the theorem allows when left out.
        """
        apart = x0 - self.objective.center
        weight = self.weight_of_shift(self.stepsize if stepsize is None else stepsize)
        return self._at_start("error", x0) + weight * float(apart @ apart)

    def initial_of(self, run: Run) -> np.ndarray:
        """Return an upper bound on V_0 of every replica of a run: ‖x⁰ − v⁰‖ ≤ ‖x⁰ − x*‖ + ‖v⁰ − x*‖, unless x⁰ = v⁰."""
        error = self._trace_at_start("error", run)
        own = self._at_start("error", self.objective.center)
        apart = np.where(self._is_center(run), 0.0, (np.sqrt(error) + math.sqrt(own)) ** 2)
        return np.asarray(error + self.weight_of_shift(run.stepsize) * apart)

    def _is_center(self, run: Run) -> bool:
        center = np.array(np.broadcast_to(self.objective.center, (run.replicas, self.objective.dim)), order="C")
        return run.request.start_hash == content_hash(center)


@dataclass(frozen=True, eq=False)
class HeldSketchRate(AboutF):
    """What the theorems about a sketch and a shift that are held for τ steps share; a step is a cycle from x = v."""

    shift: HeldSketch = field(default_factory=lambda: HeldSketch(4), kw_only=True)

    tried: ClassVar[tuple[str, ...]] = ("held-sketch:1", "held-sketch:2", "held-sketch:5")
    """Rules that an attack tries, as texts."""

    def __post_init__(self) -> None:
        if not isinstance(self.shift, HeldSketch):
            raise AssumptionError(f"{self.title} is not about shift={described(self.shift)}: it must be HeldSketch")
        super().__post_init__()

    @classmethod
    def cases(cls, objective: Objective) -> Sequence[Self]:
        """Return a sketch that is held for one step, and for several."""
        if cls.refuse(objective) is not None:
            return []
        return [cls(objective, shift=HeldSketch(tau)) for tau in ((1, 4) if objective.dim <= _SMALL else (4,))]

    @property
    def settings(self) -> str:
        """For example ``shift and sketch held for 4 steps``."""
        return self.shift.name

    def method_at(self, stepsize: float) -> Method:
        """Return `DSGD` with the shift rule of this record and a step size."""
        return DSGD(stepsize, shift=self.shift)

    @property
    def stepsize(self) -> float:
        """The largest step size 1/L."""
        return 1 / self.L if self.L > 0 else 1.0

    @property
    def mu_step(self) -> float:
        """μ′ = λ_min(E[SSᵀ])."""
        return self.constants.step_second_moment_least.value


@dataclass(frozen=True, eq=False)
class NonconvexHeldSketch(HeldSketchRate, SublinearRate):
    """The average of E‖∇f(v)‖² over N refreshes is at most 2(f(v⁰) − f^inf)/(γμ′N) for γ ≤ 1/L, any τ, μ′ = λ_min(E[SSᵀ]).

    A refresh follows τ ≥ 1 gradient steps with one sketch; it is training in random subspaces.

    Parameters
    ----------
    objective : Mast
        f must be smooth and bounded below, the sketch bounded and E[SSᵀ] known.
    sharp : bool, default False
        Use this package's L.
    shift : HeldSketch, optional
        How long the sketch is held; for 4 steps when left out.

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
    >>> t = NonconvexHeldSketch(ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1)))
    >>> t.stepsize, round(float(t.bound(10, initial=1.0)), 12)
    (0.25, 0.4)
    """

    id = "moving-shift-held-sketch"
    title = "Held sketch (nonconvex)"
    source = "this package"
    statement = (
        r"\gamma \le \frac 1L,\ \tau \ge 1 \Rightarrow \frac1N\sum_{n<N}\mathbb E\|\nabla f(v^n)\|^2 \le \frac{2(f(v^0) -"
        r" f^{\inf})}{\gamma\mu' N},\quad \mu' = \lambda_{\min}(\mathbb E[\mathbf S\mathbf S^\top]),\ L = L_f L_{\mathbf"
        r" S}^{"
        r"\max}"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (SINGLE_NODE, UNBIASED, BOUNDED, KNOWN_STEP, SMOOTH)
    constants_used = ("L_f", "L_S_max", "step_second_moment_least")
    measure = "f_gradient_norm2"
    over = "average"
    starts_from = "f_gap"

    def weight(self, steps: Array, stepsize: float) -> Array:
        """Return 2/μ′."""
        return np.full_like(steps, 2 / self.mu_step)


@dataclass(frozen=True, eq=False)
class PolyakLojasiewiczHeldSketch(HeldSketchRate, LinearRate):
    """E f(v_N) − f^inf ≤ (1 − γμ′μ)^N (f(v⁰) − f^inf) for γ ≤ 1/L, any τ ≥ 1, if ‖∇f‖² ≥ 2μ(f − f^inf), μ′ = λ_min(E[SSᵀ]).

    Parameters
    ----------
    objective : Mast
        f must be a quadratic, possibly singular, or strongly convex, the sketch bounded and E[SSᵀ] known.
    sharp : bool, default False
        Use this package's L.
    shift : HeldSketch, optional
        How long the sketch is held; for 4 steps when left out.

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
    >>> t = PolyakLojasiewiczHeldSketch(ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1)))
    >>> t.stepsize, t.rate, t.radius
    (0.25, 0.5, 0.0)
    """

    id = "moving-shift-held-sketch-polyak-lojasiewicz"
    title = "Held sketch under the Polyak-Łojasiewicz condition"
    source = "this package"
    statement = (
        r"\|\nabla f\|^2 \ge 2\mu(f - f^{\inf}),\ \gamma \le \frac 1L,\ \tau \ge 1 \Rightarrow \mathbb E f(v^N) - f^{"
        r"\inf} \le"
        r" (1 - \gamma\mu'\mu)^N(f(v^0) - f^{\inf}),\quad \mu' = \lambda_{\min}(\mathbb E[\mathbf S\mathbf S^\top]),\ L ="
        r" L_f"
        r" L_{\mathbf S}^{\max}"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (
        SINGLE_NODE,
        UNBIASED,
        BOUNDED,
        KNOWN_STEP,
        SMOOTH,
        POLYAK_LOJASIEWICZ_F,
    )
    constants_used = ("L_f", "L_S_max", "step_second_moment_least", "mu_f_PL")
    measure = "f_gap"
    starts_from = "f_gap"

    @property
    def mu(self) -> float:
        """The Polyak-Łojasiewicz constant of f."""
        return self.constants.mu_f_PL.value

    def contraction(self, stepsize: float) -> float:
        """Return γμ′μ."""
        return min(stepsize * self.mu_step * self.mu, 1.0)
