"""What an evaluation of E_S f(v + S(x − v)) offers, and how it says what it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, NoReturn

import numpy as np

from mastsim.backend import Array
from mastsim.devices import Device
from mastsim.problems import Problem
from mastsim.readonly import ReadOnly
from mastsim.sketches import Sketch


class OutOfReachError(ValueError):
    """A point at which an exact value of f_D would take more work than is accepted."""


MOST_WORK = 1 << 31
"""The most numbers that one evaluation may compute: seconds."""
NEAR_WORK, NEAR_FACTOR = 1 << 22, 16
"""A point is within reach where f_D takes at most so many numbers, or so many times those at the shift."""


@dataclass(frozen=True)
class Evaluation:
    """How values of f_D are obtained.

    Parameters
    ----------
    name : str
        The evaluation, for example ``closed form``.
    tier : {"exact", "estimate"}
        Tier of truth of the values.
    reason : str
        Why it was chosen.
    """

    name: str
    tier: Literal["exact", "estimate"]
    reason: str


class Expectation(ReadOnly, ABC):
    """One way to evaluate f_D and its derivatives; subclasses are frozen dataclasses of problem, sketch and shift."""

    problem: Problem
    sketch: Sketch
    shift: np.ndarray

    @property
    def runs_on_devices(self) -> bool:
        """Whether values and derivatives can be computed on a device."""
        return False

    def at(self, accuracy: float) -> Expectation:
        """Return the same expectation as accurate as asked for; one that is exact to rounding in any case stays as it is.

        Parameters
        ----------
        accuracy : float
            The largest error, rounding aside, relative to 1 + the largest prediction that a sketch makes.
        """
        return self

    def inaccuracy(self, x: Array) -> tuple[np.ndarray, np.ndarray]:
        """Return bounds on how far values and gradients are off, rounding aside, for the accuracy that was asked for.

        Each is of shape ``x.shape[:-1]``; zero where values are exact whatever the accuracy.
        """
        return np.zeros(x.shape[:-1]), np.zeros(x.shape[:-1])

    def on(self, device: Device) -> Expectation:
        """Return the same evaluation on a device, or one that refuses there, saying why."""
        return HostOnly(self, self.problem, self.sketch, self.shift)

    @property
    @abstractmethod
    def evaluation(self) -> Evaluation:
        """How values are obtained."""

    def is_far(self, x: Array) -> np.ndarray:
        """Say which finite points take much more work than the shift does, shape ``x.shape[:-1]``: none by default."""
        return np.zeros(x.shape[:-1], dtype=bool)

    @property
    def is_quadratic(self) -> bool:
        """Whether f_D is known as a quadratic form."""
        return False

    @abstractmethod
    def value(self, x: Array) -> Array:
        """Return f_D(x), shape ``x.shape[:-1]``."""

    @abstractmethod
    def gradient(self, x: Array) -> Array:
        """Return ∇f_D(x), shape of `x`."""

    @abstractmethod
    def hessian_product(self, x: Array, w: Array) -> Array:
        """Return ∇²f_D(x) w, shape of `x`."""

    @abstractmethod
    def error_bound(self, x: Array) -> float:
        """Return a bound on the error of the values at the points `x`, rounding included."""

    @abstractmethod
    def gradient_error(self, x: np.ndarray) -> float:
        """Return a bound on ‖computed ∇f_D − ∇f_D‖ at one point, shape (dim,), rounding included."""

    def standard_error(self, x: Array) -> Array:
        """Return the standard error of `value`, shape ``x.shape[:-1]``: zero but for estimates."""
        return np.zeros(x.shape[:-1])

    def value_and_gradient(self, x: Array) -> tuple[Array, Array]:
        """Return f_D(x) and ∇f_D(x); evaluations that share work override this."""
        return self.value(x), self.gradient(x)


@dataclass(frozen=True, eq=False)
class HostOnly(Expectation):
    """An evaluation that runs on the host, standing where one for a device is missing: it refuses.

    Parameters
    ----------
    host : Expectation
        The evaluation.
    problem, sketch, shift
        As those of `host`.
    """

    host: Expectation
    problem: Problem
    sketch: Sketch
    shift: np.ndarray

    @property
    def evaluation(self) -> Evaluation:
        """That of the host."""
        return self.host.evaluation

    @property
    def is_quadratic(self) -> bool:
        """As on the host."""
        return self.host.is_quadratic

    def value(self, x: Array) -> Array:
        """Refuse."""
        self._refuse()

    def gradient(self, x: Array) -> Array:
        """Refuse."""
        self._refuse()

    def hessian_product(self, x: Array, w: Array) -> Array:
        """Refuse."""
        self._refuse()

    def error_bound(self, x: Array) -> float:
        """Refuse."""
        self._refuse()

    def gradient_error(self, x: np.ndarray) -> float:
        """Refuse."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise ValueError(
            f"f_D by {self.evaluation.name!r} is computed by kernels for the host, so a method that steps along ∇f_D cannot "
            "use it on a device: take device='cpu', or Mast(…, evaluate='enumeration') or 'monte carlo'"
        )
