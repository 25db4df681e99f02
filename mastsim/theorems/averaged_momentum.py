"""Momentum as averaging of iterates: the bound of Theorem 2' for the last iterate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

from mastsim.backend import Array
from mastsim.expected import Objective
from mastsim.methods import AveragedMomentum, Method
from mastsim.theorems.assumptions import (
    BOUNDED,
    CONVEX,
    SINGLE_NODE,
    SMOOTH,
    UNBIASED,
    Assumption,
    AssumptionError,
)
from mastsim.theorems.linear_and_sublinear import SublinearRate
from mastsim.theorems.rates import SketchedRate
from mastsim.validation import SETTINGS, UNLIMITED, nonnegative, positive

_SMALL = 2


@dataclass(frozen=True, eq=False)
class ConvexAveragedMomentum(SketchedRate, SublinearRate):
    """E f_D(x^T) − f_D^inf ≤ [r_0/(γ(T + 1)) + 2γL·gap]/(2g) for γ ≤ (1 − g)/L, λ_t = g·t: the last iterate, without a log.

    With g = 1 − γL these are the constants of the sharper form of Theorem 2', which is about the average.

    Parameters
    ----------
    objective : Mast
        The objective f_D; f must be convex and the sketch bounded.
    sharp : bool, default False
        Use this package's L = sup λ_max(SᵀLS), and E inf f_S in place of f^inf.
    growth : float, default 0.5
        g, in (0, 1).

    Raises
    ------
    AssumptionError
        Naming the assumption, the measured value and the remedy.

    References
    ----------
    This package.

    Examples
    --------
    >>> import numpy as np, mastsim as ms
    >>> t = ConvexAveragedMomentum(ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1)))
    >>> t.stepsize, round(t.radius, 12), round(float(t.bound(7, initial=1.0)), 12)
    (0.125, 0.5, 1.5)
    """

    growth: float = field(default=0.5, kw_only=True)

    id = "averaged-momentum"
    title = "Momentum as averaging (convex, last iterate)"
    source = "this package"
    statement = (
        r"\lambda_t = g t,\ \gamma \le \frac{1 - g}L \Rightarrow \mathbb E f_D(x^T) - f_D^{\inf} \le \frac1{2g}\left["
        r"\frac{\|x^0 - x_D^*\|^2}{\gamma(T + 1)} + 2\gamma L (f_D^{\inf} - f^{\inf})\right],"
        r" \quad L = L_f L_{\mathbf S}^{\max}"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (SINGLE_NODE, UNBIASED, BOUNDED, SMOOTH, CONVEX)
    constants_used = ("L_f", "L_S_max", "gap")
    method = "AveragedMomentum"
    measure = "gap"
    beyond = True
    deepest = 4
    longest = 40

    def __post_init__(self) -> None:
        object.__setattr__(self, "growth", positive("growth", self.growth, SETTINGS))
        if self.growth >= 1:
            raise AssumptionError(
                f"{self.title} is not about growth={self.growth:g}: momentum that grows like t leaves no room for a step; "
                "growth must be below 1"
            )
        super().__post_init__()

    @classmethod
    def cases(cls, objective: Objective) -> Sequence[Self]:
        """Return the step 1/(2L) in few dimensions, and also 1/(4L) in one."""
        if cls.refuse(objective) is not None or objective.dim > _SMALL:
            return []
        return [cls(objective, growth=g) for g in ((0.5, 0.75) if objective.dim == 1 else (0.5,))]

    @property
    def settings(self) -> str:
        """For example ``growth 0.5``."""
        return f"growth {self.growth:g}"

    def method_at(self, stepsize: float) -> Method:
        """Return `AveragedMomentum` with the growth of this record and a step size."""
        return AveragedMomentum(stepsize, growth=self.growth)

    @property
    def stepsize(self) -> float:
        """The largest step size (1 − g)/L."""
        return (1 - self.growth) / self.L if self.L > 0 else 1.0

    def weight(self, steps: Array, stepsize: float) -> Array:
        """Return T/(2g(T + 1))."""
        return steps / (2 * self.growth * (steps + 1))

    def noise(self, stepsize: float) -> float:
        """Return γL·gap/g."""
        return stepsize * self.L * self.gap / self.growth

    def steps_to_accuracy(self, accuracy: float, initial: float | None = None) -> float:
        """Return the least T at which the bound is at most `accuracy`, at the step size of `stepsize_to_accuracy`.

        Parameters
        ----------
        accuracy : float
            The value of the measure aimed at, above 0.
        initial : float, optional
            r_0 ≥ 0; for the start at the shift when left out.
        """
        target, gamma = positive("accuracy", accuracy, UNLIMITED), self.stepsize_to_accuracy(accuracy)
        start = self.initial if initial is None else nonnegative("initial", initial, UNLIMITED)
        room = 2 * self.growth * gamma * (target - self.noise(gamma))
        steps = start / room - 1 if room > 0 else math.inf
        return float(max(math.ceil(steps), 1)) if math.isfinite(steps) else math.inf
