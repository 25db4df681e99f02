"""The shapes of rates: linear, sublinear, and sublinear with a step size for a planned number of steps."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mastsim.backend import Array
from mastsim.theorems.assumptions import AssumptionError
from mastsim.theorems.rates import Rate
from mastsim.validation import UNLIMITED, integer, nonnegative, positive


class LinearRate(Rate):
    """E[measure] ≤ (1 − ρ)^T · initial + neighbourhood."""

    derived: ClassVar[dict[str, str]] = {"rate": "contraction", "radius": "neighbourhood", "terms": "claim"}

    @abstractmethod
    def contraction(self, stepsize: float) -> float:
        """Return ρ at a step size."""

    @abstractmethod
    def neighbourhood(self, stepsize: float) -> float:
        """Return the part of the bound that does not shrink; increasing in the step size."""

    @property
    def rate(self) -> float:
        """1 − ρ at the largest step size."""
        return 1 - self.contraction(self.stepsize)

    @property
    def radius(self) -> float:
        """The neighbourhood at the largest step size."""
        return self.neighbourhood(self.stepsize)

    changeable = ("step size", "rate", "first term", "second term")

    def terms(self, steps: Array, stepsize: float, initial: Array, speed: float = 1.0) -> tuple[Array, Array]:
        """Return the part of the bound that shrinks, and the neighbourhood; `speed` multiplies ρ."""
        shrink = self.contraction(stepsize) * speed
        # Powers of 1 − ρ lose digits over many small steps.
        factor = np.exp(np.asarray(steps) * math.log1p(-shrink)) if shrink < 1 else 0.0 ** np.asarray(steps)
        return factor * initial, self.neighbourhood(stepsize)

    def claim(self, steps: Array, stepsize: float, initial: Array) -> Array:
        """Return the right side for any step size, whether the theorem allows it or not."""
        return sum(LinearRate.terms(self, steps, stepsize, initial))

    def stepsize_to_accuracy(self, accuracy: float) -> float:
        """Return the largest allowed step size at which the neighbourhood is at most half of `accuracy`.

        Parameters
        ----------
        accuracy : float
            The value of the measure aimed at, above 0.
        """
        half, top = positive("accuracy", accuracy, UNLIMITED) / 2, self.stepsize
        if self.neighbourhood(top) <= half:
            return top
        return _proportional(self.neighbourhood, half, top)

    def steps_to_accuracy(self, accuracy: float, initial: float | None = None) -> float:
        """Return the steps after which the bound is at most `accuracy`, at the step size of `stepsize_to_accuracy`.

        Parameters
        ----------
        accuracy : float
            The value of the measure aimed at, above 0.
        initial : float, optional
            What the bound starts from, at least 0; for the start at the shift when left out.

        Returns
        -------
        float
            A whole number of steps; infinite when it overflows.
        """
        target, gamma = positive("accuracy", accuracy, UNLIMITED), self.stepsize_to_accuracy(accuracy)
        start = self.initial if initial is None else nonnegative("initial", initial, UNLIMITED)
        left = target - self.neighbourhood(gamma)
        if start <= left:
            return 0.0
        shrink = self.contraction(gamma)
        if left <= 0 or shrink <= 0:
            return math.inf
        if shrink >= 1:
            return 1.0
        steps = (math.log(start) - math.log(left)) / -math.log1p(-shrink)
        return float(math.ceil(steps)) if math.isfinite(steps) else math.inf


class SublinearRate(Rate):
    """E[measure] ≤ weight · initial/(γT) + noise, over the average or minimum of x^0, …, x^{T−1}."""

    derived: ClassVar[dict[str, str]] = {"rate": "weight", "radius": "noise", "terms": "claim"}

    @abstractmethod
    def weight(self, steps: Array, stepsize: float) -> Array:
        """Return the factor of initial/(γT)."""

    @abstractmethod
    def noise(self, stepsize: float) -> float:
        """Return the part of the bound that does not shrink; increasing in the step size."""

    @property
    def rate(self) -> float:
        """NaN: the rate is 1/T."""
        return math.nan

    @property
    def radius(self) -> float:
        """The noise at the largest step size."""
        return self.noise(self.stepsize)

    def terms(self, steps: Array, stepsize: float, initial: Array, speed: float = 1.0) -> tuple[Array, Array]:
        """Return the part of the bound that falls with the steps, infinite at T = 0, and the noise."""
        T = np.asarray(steps, dtype=float)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            first = np.where(T > 0, self.weight(T, stepsize) * initial / (stepsize * T), np.inf)
        return first, self.noise(stepsize)

    def claim(self, steps: Array, stepsize: float, initial: Array) -> Array:
        """Return the right side for any step size, whether the theorem allows it or not; infinite at T = 0."""
        return sum(SublinearRate.terms(self, steps, stepsize, initial))

    def stepsize_to_accuracy(self, accuracy: float) -> float:
        """Return the largest allowed step size at which the noise is at most half of `accuracy`.

        Parameters
        ----------
        accuracy : float
            The value of the measure aimed at, above 0.
        """
        half, top = positive("accuracy", accuracy, UNLIMITED) / 2, self.stepsize
        return top if self.noise(top) <= half else _proportional(self.noise, half, top)

    def steps_to_accuracy(self, accuracy: float, initial: float | None = None) -> float:
        """Return the steps after which the bound is at most `accuracy`, at the step size of `stepsize_to_accuracy`.

        Parameters
        ----------
        accuracy : float
            The value of the measure aimed at, above 0.
        initial : float, optional
            What the bound starts from, at least 0; for the start at the shift when left out.

        Returns
        -------
        float
            A whole number of steps; infinite when it overflows.
        """
        target, gamma = positive("accuracy", accuracy, UNLIMITED), self.stepsize_to_accuracy(accuracy)
        start = self.initial if initial is None else nonnegative("initial", initial, UNLIMITED)
        room = gamma * (target - self.noise(gamma))
        steps = float(self.weight(np.asarray(1.0), gamma)) * start / room if room > 0 else math.inf
        return float(max(math.ceil(steps), 1)) if math.isfinite(steps) else math.inf


@dataclass(frozen=True, eq=False)
class HorizonRate(SublinearRate):
    """A sublinear rate whose largest step size 1/√(𝔇T) depends on the number of steps planned.

    Parameters
    ----------
    objective : Objective
        The objective f_D.
    sharp : bool, default False
        Use this package's constants in place of the published ones.
    horizon : int, default 1000
        T, the number of steps planned; the bound speaks of no more.

    Raises
    ------
    AssumptionError
        Naming the assumption, the measured value and the remedy.
    """

    horizon: int = 1000

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "horizon", integer("horizon", self.horizon, 1))

    measure = "gradient_norm2"
    over = "minimum"
    starts_from = "gap"

    @property
    def planned_steps(self) -> int:
        """The horizon."""
        return self.horizon

    @property
    @abstractmethod
    def variance(self) -> float:
        """𝔇, the growth of the second moment of a step."""

    @property
    def stepsize(self) -> float:
        """1/√(𝔇T) for the planned number of steps."""
        return 1 / math.sqrt(self.variance * self.horizon) if self.variance > 0 else 1.0

    def weight(self, steps: Array, stepsize: float) -> Array:
        """Return 3, which (1 + γ²𝔇)^T does not exceed for γ ≤ 1/√(𝔇T)."""
        return np.full_like(steps, 3.0)

    def _check_steps(self, steps: Array) -> None:
        if (np.asarray(steps) > self.horizon).any():
            raise AssumptionError(
                f"steps={np.max(steps)} is more than the horizon={self.horizon} that the step size is for; raise the horizon"
            )

    def stepsize_to_accuracy(self, accuracy: float) -> float:
        """Return 1/√(𝔇T) for the T of `steps_to_accuracy`, for the start at the shift.

        Parameters
        ----------
        accuracy : float
            The squared gradient norm aimed at, above 0.
        """
        steps = max(self.steps_to_accuracy(accuracy), 1.0)
        if self.variance <= 0:
            return self.stepsize
        return 1 / math.sqrt(self.variance * steps) if math.isfinite(steps) else 0.0

    def steps_to_accuracy(self, accuracy: float, initial: float | None = None) -> float:
        """Return T with 3δ_0/(γT) + noise(γ) ≤ accuracy at γ = 1/√(𝔇T), whatever the horizon of this record.

        Parameters
        ----------
        accuracy : float
            The squared gradient norm aimed at, above 0.
        initial : float, optional
            δ_0 ≥ 0; for the start at the shift when left out.

        Returns
        -------
        float
            A whole number of steps; infinite when it overflows.
        """
        target = positive("accuracy", accuracy, UNLIMITED)
        start = self.initial if initial is None else nonnegative("initial", initial, UNLIMITED)
        root = math.sqrt(self.variance)
        if root == 0:
            return 0.0
        ratio = (3 * start * root + self.noise(1.0) / root) / target
        steps = ratio * ratio  # a power would raise where a product is infinite
        return float(max(math.ceil(steps), 1)) if math.isfinite(steps) else math.inf


def _proportional(size: object, target: float, top: float) -> float:
    """Return the largest step size at which an increasing function of it is at most `target`, to twelve digits."""
    assert callable(size)
    slope = size(top) / top
    if abs(size(target / slope) - target) <= 1e-12 * target:
        return target / slope
    low, high = 0.0, top
    for _ in range(100):
        middle = 0.5 * (low + high) if low > 0 else high * 2.0**-10
        low, high = (middle, high) if size(middle) <= target else (low, middle)
        if high < top * 1e-250:
            return top * 1e-250
    return low
