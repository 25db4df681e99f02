"""Theorem 2: double-sketched gradient descent on strongly convex problems."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from mastsim.backend import Array
from mastsim.theorems.base import (
    BOUNDED,
    SMOOTH,
    STRONGLY_CONVEX,
    UNBIASED,
    Assumption,
    AssumptionError,
    Rate,
)
from mastsim.validation import nonnegative, positive

_FEW = 4096


@dataclass(frozen=True, eq=False)
class StronglyConvexDSGD(Rate):
    """E‖x^T − x_D*‖² ≤ (1 − γμ)^T ‖x^0 − x_D*‖² + (2γL/μ)(f_D^inf − f^inf) for γ ≤ 1/L.

    Parameters
    ----------
    objective : Mast
        The objective f_D; f must be strongly convex and the sketch bounded.
    sharp : bool, default False
        Use this package's constants L = sup λ_max(SᵀLS) and μ = λ_min(E[SᵀMS]) in place of the paper's L_f·L_S^max and
        μ_D·μ_f.

    Raises
    ------
    AssumptionError
        Naming the assumption, the measured value and the remedy.

    References
    ----------
    MAST, arXiv 2311.16086, Theorem 2; sharp constants: this package.

    Examples
    --------
    >>> import mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1))
    >>> t = StronglyConvexDSGD(F)
    >>> t.stepsize, t.rate, t.radius
    (0.25, 0.5, 0.5)
    >>> round(float(t.bound(10, initial=1.0)), 12)
    0.5009765625
    """

    sharp: bool = False

    id = "theorem2"
    title = "Theorem 2 (strongly convex DSGD)"
    source = "MAST (arXiv 2311.16086), Theorem 2"
    statement = (
        r"\gamma \le \frac{1}{L_f L_{\mathbf S}^{\max}} \Rightarrow \mathbb E\|x^T - x_D^*\|^2 \le (1 - \gamma\mu_D\mu_f)^T"
        r"\|x^0 - x_D^*\|^2 + \frac{2\gamma L_f L_{\mathbf S}^{\max}}{\mu_D\mu_f}(f_D^{\inf} - f^{\inf})"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (UNBIASED, BOUNDED, SMOOTH, STRONGLY_CONVEX)
    constants_used = ("L_f", "mu_f", "L_S_max", "mu_D", "gap")
    method = "DSGD"

    @property
    def L(self) -> float:
        """The expected smoothness constant in use."""
        c = self.constants
        return c.expected_smoothness_sharp.value if self.sharp else c.expected_smoothness.value

    @property
    def mu(self) -> float:
        """The strong convexity constant in use."""
        return self.constants.mu_fD_sharp.value if self.sharp else self.constants.mu_fD.value

    @property
    def gap(self) -> float:
        """A proven upper bound on f_D^inf − f^inf."""
        return self.constants.gap + self.constants.gap.error

    @property
    def stepsize(self) -> float:
        """The largest step size 1/L."""
        return 1 / self.L

    @property
    def stepsize_sharp(self) -> float:
        """The largest step size with this package's L."""
        return 1 / self.constants.expected_smoothness_sharp.value

    @property
    def rate(self) -> float:
        """1 − γμ at the largest step size."""
        return 1 - self.stepsize * self.mu

    @property
    def radius(self) -> float:
        """2γL·gap/μ at the largest step size."""
        return 2 * self.gap / self.mu

    @property
    def initial(self) -> float:
        """‖v − x_D*‖², for the default start at the shift."""
        return float(((self.objective.center - self.objective.minimize().x) ** 2).sum())

    def bound(self, steps: Array, stepsize: float | None = None, initial: Array | None = None) -> Array:
        """Return the bound on E‖x^T − x_D*‖².

        Parameters
        ----------
        steps : int or array of int
            T ≥ 0.
        stepsize : float, optional
            γ ≤ 1/L; the largest when left out.
        initial : float or array, optional
            ‖x^0 − x_D*‖²; for the start at the shift when left out.

        Returns
        -------
        float or ndarray
            The bound for each T.

        Raises
        ------
        AssumptionError
            If `stepsize` is above the largest that the theorem allows.
        """
        gamma = self.stepsize if stepsize is None else positive("stepsize", stepsize)
        if gamma > self.stepsize * (1 + 1e-12):
            raise AssumptionError(
                f"stepsize={gamma:g} is above the largest that {self.title} allows; use at most {self.stepsize:g}"
            )
        start = self.initial if initial is None else _no_negative("initial", initial)
        return self.claim(_no_negative("steps", steps), gamma, start)

    def claim(self, steps: Array, stepsize: float, initial: Array) -> Array:
        """Return the right side for any step size, whether the theorem allows it or not."""
        shrink = stepsize * self.mu
        # Powers of 1 − γμ lose digits over many small steps.
        factor = np.exp(np.asarray(steps) * math.log1p(-shrink)) if shrink < 1 else 0.0 ** np.asarray(steps)
        return factor * initial + 2 * stepsize * self.L * self.gap / self.mu

    def almost_sure_bound(self, steps: int, stepsize: float, initial: Array) -> Array:
        """Return (‖x^0 − x_D*‖ + Tγζ)² with ζ ≥ sup_S ‖∇f_S(x_D*)‖; infinite for γ > 2/L.

        For γ ≤ 2/L the map x − γ∇f_S(x) is non-expansive, so a step adds at most γ‖∇f_S(x_D*)‖ to the distance.
        """
        if stepsize > 2 * (1 + 1e-12) / self.constants.expected_smoothness_sharp:
            return np.full_like(initial, np.inf, dtype=float)
        return (np.sqrt(initial) + steps * stepsize * self._largest_noise) ** 2

    @cached_property
    def _largest_noise(self) -> float:
        """ζ, over all values of the sketch if they are few; otherwise √L_S^max·L_f·‖v + S(x_D* − v) − x*‖, as ∇f(x*) = 0."""
        F, c = self.objective, self.constants
        best, root = F.minimize(), math.sqrt(c.L_S_max)
        away = math.sqrt(2 * best.gap_bound / c.mu_fD)
        to_best = float(np.linalg.norm(F.center - F.problem.minimize().x))
        to_sketched = float(np.linalg.norm(best.x - F.center)) + away
        bound = root * c.L_f * (to_best + root * to_sketched)
        if F.sketch.support_size > _FEW:
            return bound
        at_best = np.asarray(F.sketched_gradient(best.x, F.sketch.support()[0]))
        return min(bound, float(np.linalg.norm(at_best, axis=1).max()) + c.expected_smoothness * away)

    def rounding(self, stepsize: float) -> float:
        """Return the error of x_D*, and 1e-14 of the size of the iterates a step, over the contraction γμ of a step.

        The size of the iterates is that of x*, x_D* and v, and √(2(f(v) − f^inf)/L_f), to which gradients are in proportion.
        """
        F, c = self.objective, self.constants
        drop = max(float(F.problem.value(F.center)) - F.problem.lower_bound, 0.0)
        points = (F.center, F.minimize().x, F.problem.minimize().x)
        size = sum(float(np.linalg.norm(p)) for p in points) + math.sqrt(2 * drop / c.L_f)
        return math.sqrt(2 * F.minimize().gap_bound / c.mu_fD) + 1e-14 * size / min(stepsize * c.mu_fD, 1.0)

    def stepsize_to_accuracy(self, accuracy: float) -> float:
        """Return min(1/L, accuracy·μ/(4L·gap)), at which the second term is at most half of `accuracy`.

        Parameters
        ----------
        accuracy : float
            The squared distance aimed at, above 0.
        """
        target = positive("accuracy", accuracy)
        return min(self.stepsize, target * self.mu / (4 * self.L * self.gap)) if self.gap > 0 else self.stepsize

    def steps_to_accuracy(self, accuracy: float, initial: float | None = None) -> float:
        """Return the steps after which E‖x^T − x_D*‖² ≤ accuracy, at the step size of `stepsize_to_accuracy`.

        Parameters
        ----------
        accuracy : float
            The squared distance aimed at, above 0.
        initial : float, optional
            ‖x^0 − x_D*‖² ≥ 0; for the start at the shift when left out.

        Returns
        -------
        float
            A whole number of steps; infinite when it overflows.
        """
        target, gamma = positive("accuracy", accuracy), self.stepsize_to_accuracy(accuracy)
        start = self.initial if initial is None else nonnegative("initial", initial)
        left = target - 2 * gamma * self.L * self.gap / self.mu
        if start <= left:
            return 0.0
        shrink = gamma * self.mu
        if shrink >= 1:
            return 1.0
        steps = (math.log(start) - math.log(left)) / -math.log1p(-shrink) if shrink > 0 else math.inf
        return float(math.ceil(steps)) if math.isfinite(steps) else math.inf


def _no_negative(name: str, value: Array) -> Array:
    array = np.asarray(value)
    if not (array >= 0).all():
        raise ValueError(f"{name}={value!r} is not accepted: every entry must be >= 0")
    return array
