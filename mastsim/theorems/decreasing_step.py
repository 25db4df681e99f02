"""Theorem 2 with step sizes that fall: no neighbourhood is left, at the rate 1/T."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from mastsim.backend import Array
from mastsim.expected import Objective
from mastsim.methods import DSGD, HarmonicStep, Method, StagewiseStep
from mastsim.methods.steprules import LONGEST_STAGE
from mastsim.theorems.assumptions import (
    BOUNDED,
    SINGLE_NODE,
    SMOOTH,
    STRONGLY_CONVEX,
    UNBIASED,
    Assumption,
)
from mastsim.theorems.rates import SketchedRate
from mastsim.validation import UNLIMITED, nonnegative, positive

_SMALL = 2
_MOST = 1e18
"""No more steps are counted than this."""


@dataclass(frozen=True, eq=False)
class FallingStep(SketchedRate):
    """What the two theorems share; their step size is that of the first step, γ_0 ≤ 1/L."""

    method = "DSGD"
    beyond = True
    longest = 40

    @property
    def stepsize(self) -> float:
        """The largest first step size 1/L."""
        return 1 / self.L

    @property
    def rate(self) -> float:
        """NaN: the rate is 1/T."""
        return math.nan

    @property
    def radius(self) -> float:
        """0: nothing is left in the end."""
        return 0.0

    def forgetting(self, stepsize: float) -> float:
        """Return 0: steps become as small as one likes, so that nothing is forgotten for good."""
        return 0.0

    @classmethod
    def cases(cls, objective: Objective) -> Sequence[Self]:
        """Return the theorem on quadratics in few dimensions, where moments are exact at little cost."""
        cheap = cls.refuse(objective) is None and objective.is_quadratic and objective.dim <= _SMALL
        return [cls(objective)] if cheap else []

    @property
    def settings(self) -> str:
        """The step rule, for example ``harmonic step``."""
        return f"{self.method_at(self.stepsize).rule.keyword} step"

    def stepsize_to_accuracy(self, accuracy: float) -> float:
        """Return the largest first step size, whatever the accuracy.

        Parameters
        ----------
        accuracy : float
            The squared distance aimed at, above 0.
        """
        positive("accuracy", accuracy, UNLIMITED)
        return self.stepsize

    def steps_to_accuracy(self, accuracy: float, initial: float | None = None) -> float:
        """Return the least number of steps after which the bound is at most `accuracy`; infinite beyond 1e18.

        Parameters
        ----------
        accuracy : float
            The squared distance aimed at, above 0.
        initial : float, optional
            r_0 ≥ 0; for the start at the shift when left out.
        """
        target = positive("accuracy", accuracy, UNLIMITED)
        start = self.initial if initial is None else nonnegative("initial", initial, UNLIMITED)

        def met(steps: int) -> bool:
            return bool(np.asarray(self.claim(float(steps), self.stepsize, start)) <= target)

        low, high = -1, 1
        while not met(high):
            low, high = high, 2 * high
            if high > _MOST:
                return math.inf
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if met(middle) else (middle, high)
        return float(high)


@dataclass(frozen=True, eq=False)
class DecreasingStepDSGD(FallingStep):
    """r_T ≤ [(t_0−1)(t_0−2) r_0 + (8L·gap/μ²)T]/((T+t_0−1)(T+t_0−2)) for γ_t = 2/(μ(t + t_0)), t_0 ≥ max(2L/μ, 2).

    In terms of the first step γ_0 ≤ 1/L it is t_0 = 2/(μγ_0) and γ_t = γ_0/(1 + (μγ_0/2)t): a `HarmonicStep`.

    Parameters
    ----------
    objective : Mast
        The objective f_D; f must be strongly convex and the sketch bounded.
    sharp : bool, default False
        Use this package's constants L = sup λ_max(SᵀLS) and μ = λ_min(E[SᵀMS]), and E inf f_S in place of f^inf.

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
    >>> t = DecreasingStepDSGD(ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1)))
    >>> t.method_at(t.stepsize).rule, t.t0(t.stepsize), round(float(t.bound(10, initial=1.0)), 12)
    (HarmonicStep(initial=0.25, decay=0.25), 4.0, 0.294871794872)
    """

    id = "decreasing-step"
    title = "Decreasing steps (strongly convex)"
    source = "this package"
    statement = (
        r"\gamma_t = \frac2{\mu(t + t_0)},\ t_0 \ge \max\left\{\tfrac{2L}\mu, 2\right\} \Rightarrow \mathbb E\|x^T -"
        r" x_D^*\|^2 \le \frac{(t_0 - 1)(t_0 - 2)\|x^0 - x_D^*\|^2 + \frac{8L}{\mu^2}(f_D^{\inf} - f^{\inf})T}"
        r"{(T + t_0 - 1)(T + t_0 - 2)},\quad L = L_f L_{\mathbf S}^{\max},\ \mu = \mu_D\mu_f"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (SINGLE_NODE, UNBIASED, BOUNDED, SMOOTH, STRONGLY_CONVEX)
    constants_used = ("L_f", "mu_f", "L_S_max", "mu_D", "gap")

    def method_at(self, stepsize: float) -> Method:
        """Return `DSGD` whose steps fall from a first one as the theorem says."""
        return DSGD(HarmonicStep(stepsize, decay=self._plain_mu * stepsize / 2))

    @property
    def _plain_mu(self) -> float:
        # What is run does not change where a trial moves the constants of the claim by their errors.
        F = self.objective
        return F.mu_fD_sharp.value if self.sharp else F.mu_fD.value

    def t0(self, stepsize: float) -> float:
        """Return t_0 = 2/(μγ_0)."""
        return 2 / (self.mu * stepsize)

    def claim(self, steps: Array, stepsize: float, initial: Array) -> Array:
        """Return the right side for any first step size; r_0 itself at T = 0."""
        T, t0 = np.asarray(steps, dtype=float), self.t0(stepsize)
        # In units of t_0, which may be large: (1 + (T − 1)/t_0)(1 + (T − 2)/t_0) is the denominator.
        shrink = (1 + (T - 1) / t0) * (1 + (T - 2) / t0)
        begin = (1 - 1 / t0) * (1 - 2 / t0)
        noise = 2 * self.L * self.gap * stepsize**2
        with np.errstate(divide="ignore", invalid="ignore"):
            first = np.where(T > 0, begin / shrink, 1.0)
            second = np.where(T > 0, noise * T / shrink, 0.0)
        return first * initial + second


@dataclass(frozen=True, eq=False)
class StagewiseStepDSGD(FallingStep):
    """Theorem 2 stage by stage: r ← (1 − γ_kμ)^{n_k} r + (1 − (1 − γ_kμ)^{n_k})·2γ_kL·gap/μ for stages of n_k steps γ_k.

    γ_k = γ_0·2^−k and n_k = 2^k·⌈log 4/(γ_0μ)⌉: every stage takes off three quarters of what was left, and adds a
    neighbourhood half as large as the one before.

    Parameters
    ----------
    objective : Mast
        The objective f_D; f must be strongly convex and the sketch bounded.
    sharp : bool, default False
        Use this package's constants L = sup λ_max(SᵀLS) and μ = λ_min(E[SᵀMS]), and E inf f_S in place of f^inf.

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
    >>> t = StagewiseStepDSGD(ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1)))
    >>> t.method_at(t.stepsize).rule, t.bound([0, 3, 9], initial=1.0).round(12).tolist()
    (StagewiseStep(initial=0.25, length=3, factor=0.5), [1.0, 0.5625, 0.305618286133])
    """

    id = "decreasing-step-stages"
    title = "Stagewise steps (strongly convex)"
    source = "this package"
    statement = (
        r"\gamma_k = 2^{-k}\gamma_0,\ n_k = 2^k\left\lceil\tfrac{\log 4}{\gamma_0\mu}\right\rceil,\ \gamma_0 \le \tfrac 1L"
        r" \Rightarrow R_{k+1} \le (1 - \gamma_k\mu)^{n_k}R_k + \left(1 - (1 - \gamma_k\mu)^{n_k}\right)\frac{2\gamma_kL}\mu"
        r"(f_D^{\inf} - f^{\inf}),\quad R_k = \mathbb E\|x^{n_0 + \dots + n_{k-1}} - x_D^*\|^2,\ L = L_f"
        r" L_{\mathbf S}^{\max},\ \mu = \mu_D\mu_f"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (SINGLE_NODE, UNBIASED, BOUNDED, SMOOTH, STRONGLY_CONVEX)
    constants_used = ("L_f", "mu_f", "L_S_max", "mu_D", "gap")

    def rule(self, stepsize: float) -> StagewiseStep:
        """Return the stages from a first step size on."""
        F = self.objective
        mu = float(F.mu_fD_sharp if self.sharp else F.mu_fD)
        enough = math.log(4) / (stepsize * mu) if stepsize * mu > 0 else math.inf
        return StagewiseStep(stepsize, length=max(math.ceil(min(enough, LONGEST_STAGE)), 1))

    def method_at(self, stepsize: float) -> Method:
        """Return `DSGD` with stages from a first step size on."""
        return DSGD(self.rule(stepsize))

    def claim(self, steps: Array, stepsize: float, initial: Array) -> Array:
        """Return the right side for any first step size."""
        left = np.array(steps, dtype=float)
        first, second = np.ones_like(left), np.zeros_like(left)
        for gamma, length in self.rule(stepsize).stages():
            if not (left > 0).any():
                break
            kept, gone = self._after(np.minimum(left, length), gamma * self.mu)
            first, second = first * kept, second * kept + gone * 2 * gamma * self.L * self.gap / self.mu
            left = np.maximum(left - length, 0.0)
        return first * initial + second

    @staticmethod
    def _after(steps: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
        """Return (1 − share)^steps and what it lacks of 1, to all digits however small the share is."""
        if share >= 1:
            return 0.0**steps, 1.0 - 0.0**steps
        log = steps * math.log1p(-share)
        return np.exp(log), -np.expm1(log)
