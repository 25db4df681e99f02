"""What a problem f is: value and derivatives on batches of points, and curvature bounds with provenance."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mastsim.backend import Array
from mastsim.provenance import Constant
from mastsim.validation import nonnegative, positive

DENSE_LIMIT = 4096
"""Largest dimension for which a matrix of shape (dim, dim) is formed without being asked for."""


@dataclass(frozen=True, eq=False)
class Minimum:
    """A point with a proof of how far it is from optimal.

    Parameters
    ----------
    x : ndarray, shape (dim,)
        The point.
    value : float
        The objective there.
    gap_bound : float
        A proven bound on ``value - infimum``; infinite when nothing is proven.
    gradient_norm : float
        Norm of the gradient there.
    certificate : str
        The inequality that proves the bound.
    """

    x: np.ndarray
    value: float
    gap_bound: float
    gradient_norm: float
    certificate: str

    def infimum(self) -> Constant:
        """Return the infimum with its tier of truth: exact up to the bound, or an upper bound on it."""
        kind: Any = "exact" if self.gap_bound <= 1e-9 * max(1.0, abs(self.value)) else "upper"
        return Constant(self.value, kind, f"value at a minimiser; {self.certificate}", self.gap_bound)


@dataclass(frozen=True, eq=False)
class Curvature:
    """A symmetric matrix that bounds a Hessian.

    Parameters
    ----------
    matrix : ndarray, shape (dim, dim)
        The matrix itself.

    Examples
    --------
    >>> Curvature(np.diag([1.0, 3.0])).largest
    3.0
    """

    matrix: np.ndarray

    @cached_property
    def spectrum(self) -> np.ndarray:
        """The eigenvalues in increasing order, shape (dim,)."""
        return np.linalg.eigvalsh(self.matrix)

    @property
    def largest(self) -> float:
        """λ_max."""
        return float(self.spectrum[-1])

    @property
    def smallest(self) -> float:
        """λ_min, where rounding noise below zero counts as zero."""
        low = float(self.spectrum[0])
        return 0.0 if abs(low) <= 1e-14 * len(self.spectrum) * abs(self.largest) else low

    @property
    def least_positive(self) -> float:
        """The least eigenvalue above rounding noise; infinite for a matrix of zeros."""
        return float(self.spectrum[self.spectrum > 1e-13 * self.largest].min(initial=np.inf))


class Problem(ABC):
    """A differentiable function f: R^d → R, bounded below.

    Subclasses are frozen dataclasses. Points come as arrays of shape (dim,) or (replicas, dim), on the host or a device.
    """

    @property
    @abstractmethod
    def dim(self) -> int:
        """The dimension d."""

    @property
    def name(self) -> str:
        """A short text that says which problem this is."""
        return f"{type(self).__name__} (d = {self.dim})"

    @abstractmethod
    def value(self, x: Array) -> Array:
        """Return f(x), shape ``x.shape[:-1]``."""

    @abstractmethod
    def gradient(self, x: Array) -> Array:
        """Return ∇f(x), shape of `x`."""

    @abstractmethod
    def hessian_product(self, x: Array, w: Array) -> Array:
        """Return ∇²f(x) w, shape of `x`."""

    @property
    @abstractmethod
    def upper_curvature(self) -> Curvature:
        """A matrix **L** with −**L** ⪯ ∇²f ⪯ **L** everywhere (0 ⪯ ∇²f ⪯ **L** when f is convex)."""

    @property
    @abstractmethod
    def lower_curvature(self) -> Curvature:
        """A matrix **M** with **M** ⪯ ∇²f everywhere."""

    @property
    @abstractmethod
    def curvature_is_attained(self) -> bool:
        """Whether λ_max(**L**) and λ_min(**M**) are the smallest and largest constants f allows."""

    @property
    @abstractmethod
    def lower_bound(self) -> float:
        """A number that f never goes below; −∞ when none is known."""

    @abstractmethod
    def minimize(self) -> Minimum:
        """Return a minimiser with its certificate."""

    @property
    def is_quadratic(self) -> bool:
        """Whether the Hessian is the same everywhere."""
        return False

    @property
    def is_convex(self) -> bool:
        """Whether f is convex."""
        return self.mu_f >= 0

    @cached_property
    def L_f(self) -> Constant:
        """Smoothness constant of f."""
        kind: Any = "exact" if self.curvature_is_attained else "upper"
        return Constant(max(self.upper_curvature.largest, 0.0), kind, "λ_max(L), L ⪰ ∇²f (MAST, Assumption 2)")

    @cached_property
    def mu_f(self) -> Constant:
        """Strong convexity constant of f (0 when f is only convex, negative when it is not)."""
        kind: Any = "exact" if self.curvature_is_attained else "lower"
        return Constant(self.lower_curvature.smallest, kind, "λ_min(M), M ⪯ ∇²f (MAST, Assumption 3)")

    def hessian(self, x: Array) -> np.ndarray:
        """Return ∇²f(x) at one point, shape (dim, dim)."""
        point = np.broadcast_to(np.asarray(x, dtype=float), (self.dim, self.dim))
        return np.asarray(self.hessian_product(point, np.eye(self.dim)))


def ridge(l2: float | None, condition_number: float | None, curvature: float) -> float:
    """Return the regularisation λ from exactly one of `l2` and `condition_number`.

    Parameters
    ----------
    l2 : float, optional
        λ ≥ 0 itself.
    condition_number : float, optional
        κ = L_f/μ_f > 1 with μ_f = λ, so that λ = curvature/(κ − 1).
    curvature : float
        λ_max of the curvature matrix without regularisation.
    """
    if (l2 is None) == (condition_number is None):
        raise ValueError(f"l2={l2} and condition_number={condition_number}: exactly one of the two must be given")
    if l2 is not None:
        return nonnegative("l2", l2)
    kappa = positive("condition_number", condition_number)
    if kappa <= 1:
        raise ValueError(f"condition_number={kappa} is not accepted: it must be above 1")
    if curvature == 0:
        raise ValueError(f"condition_number={kappa} cannot be reached: A is zero; give l2 instead")
    return curvature / (kappa - 1)


def certified(objective: Any, x: np.ndarray, mu: float, smoothness: float) -> Minimum:
    """Return `x` with the sharper of two certificates: ‖gradient‖²/(2μ), and value − lower bound.

    The norm is enlarged by what rounding may have hidden: 1e-14 of the smoothness (where that is infinite, of the curvature
    at the point) times the size of the point.
    """
    value = float(objective.value(x))
    norm = float(np.linalg.norm(objective.gradient(x)))
    if not math.isfinite(smoothness):
        smoothness = float(np.linalg.norm(objective.hessian(x)))
    hidden = 1e-14 * smoothness * (1.0 + float(np.linalg.norm(x)))
    floor = max(value - objective.lower_bound, 0.0)
    if mu > 0 and (norm + hidden) ** 2 / (2 * mu) <= floor:
        return Minimum(x, value, (norm + hidden) ** 2 / (2 * mu), norm, f"‖gradient‖²/(2μ) with μ = {mu:.6g}")
    where = "stationary point of a nonconvex function; " if mu < 0 else ""
    return Minimum(x, value, floor, norm, f"{where}value minus the lower bound {objective.lower_bound:g}")
