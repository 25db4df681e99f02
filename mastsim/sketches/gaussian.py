"""Gaussian sketch: a Wishart matrix of mean one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mastsim.backend import Array
from mastsim.memory import check_square
from mastsim.provenance import Constant
from mastsim.sketches.base import Sketch, SketchBatch
from mastsim.sketches.factors import FactorBatch, normal_uniforms, normals, symmetric
from mastsim.sketches.text import whole_numbers
from mastsim.validation import integer, vector


@dataclass(frozen=True)
class Gaussian(Sketch):
    """S = GᵀG/k with G a k × d matrix of independent standard normal numbers.

    S is unbounded: `L_max` is infinite, and theorems that need it refuse.

    Parameters
    ----------
    dim : int
        Dimension d, at least 1.
    k : int
        Number of rows of G, at least 1; it may exceed `dim`.

    Raises
    ------
    ValueError
        If `k` is below 1.

    References
    ----------
    This package; the moments are those of Letac, Massam, All invariant moments of the Wishart distribution,
    Scand. J. Statist. 31 (2004).

    Examples
    --------
    >>> S = Gaussian(3, k=2)
    >>> S.L_D, S.L_max
    (3.0, inf)
    """

    dim: int
    k: int

    keyword: ClassVar[str] = "gaussian"

    @classmethod
    def from_text(cls, argument: str, dim: int) -> Gaussian:
        """Return the sketch that ``gaussian:K`` names."""
        (k,) = whole_numbers(argument, "gaussian:K, for example gaussian:12")
        return cls(dim, k)

    def __post_init__(self) -> None:
        object.__setattr__(self, "dim", integer("dim", self.dim, 1))
        object.__setattr__(self, "k", integer("k", self.k, 1))

    @property
    def name(self) -> str:
        """For example ``Gaussian-12 in dimension 123``."""
        return f"Gaussian-{self.k} in dimension {self.dim}"

    @property
    def L_max(self) -> float:
        """Infinite: S is unbounded."""
        return math.inf

    @property
    def L_D(self) -> float:
        """λ_max(E[SᵀS]) = 1 + (d+1)/k."""
        return 1 + (self.dim + 1) / self.k

    @property
    def mu_D(self) -> float:
        """λ_min(E[SᵀS]) = 1 + (d+1)/k."""
        return self.L_D

    def second_moment(self) -> np.ndarray:
        """Return E[SᵀS] = (1 + (d+1)/k)·I, shape (dim, dim)."""
        check_square(f"the second moment of {self.name}", self.dim, change="use a sketch of fewer dimensions")
        return self.L_D * np.eye(self.dim)

    def quadratic_moment(self, A: np.ndarray) -> np.ndarray:
        """Return E[SᵀAS] = A + (Aᵀ + tr(A) I)/k, shape (dim, dim), for any square `A`."""
        A = self.check_matrix(A)
        moment: np.ndarray = A + (A.T + np.trace(A) * np.eye(self.dim)) / self.k
        return moment

    def fourth_moment(self, A: np.ndarray) -> np.ndarray:
        """Return E[SᵀASSᵀAS], shape (dim, dim), for a symmetric `A`.

        The sum over the 105 pairings of the eight factors G (Wick's formula): a combination of A², tr(A)A, tr(A)²I and
        tr(A²)I.
        """
        A = symmetric(self.check_matrix(A))
        d, r = self.dim, 1 / self.k
        trace, squares = float(np.trace(A)), float((A * A).sum())
        whole = 1 + r * (6 + d + r * (21 + 3 * d + r * (20 + 4 * d)))
        mixed = r * (4 + r * (10 + 2 * d + r * (10 + 2 * d)))
        level = r**2 * ((3 + r * (3 + d)) * trace**2) + r * (1 + r * (4 + d + r * (7 + d))) * squares
        moment: np.ndarray = whole * A @ A + mixed * trace * A + level * np.eye(d)
        return moment

    def supremum_curvature(self, A: np.ndarray) -> Constant:
        """Return ess sup λ_max(SᵀAS) for a positive semidefinite `A`: infinite unless `A` is zero."""
        return Constant(math.inf if self.check_matrix(A).any() else 0.0, "exact", "S is unbounded")

    @property
    def uniforms(self) -> int:
        """As many as d·k normal numbers take, two for each pair."""
        return normal_uniforms(self.dim * self.k)

    def from_uniforms(self, u: Array) -> SketchBatch:
        """Return one sketch per row of `u`, shape (replicas, uniforms)."""
        return FactorBatch(normals(u, (self.dim, self.k)), 1 / self.k)

    @property
    def support_size(self) -> float:
        """Infinite."""
        return math.inf

    def _enumerate(self) -> tuple[SketchBatch, np.ndarray]:
        raise ValueError(f"the support of {self.name} is infinite")

    def projection(self, a: Array, z: Array) -> ChiSquareLaw:
        """Return the law of the scalar aᵀSz.

        Parameters
        ----------
        a, z : array, shape (dim,)
            The two vectors.

        Returns
        -------
        ChiSquareLaw
            With mean, variance, characteristic and moment generating functions.
        """
        a, z = vector("a", a, self.dim), vector("z", z, self.dim)
        # The eigenvalues of (azᵀ + zaᵀ)/2 are (aᵀz ± |a||z|)/2.
        inner, size = float(a @ z), float(np.linalg.norm(a) * np.linalg.norm(z))
        return ChiSquareLaw(max(inner + size, 0.0) / (2 * self.k), min(inner - size, 0.0) / (2 * self.k), self.k)


@dataclass(frozen=True)
class ChiSquareLaw:
    """The law of up·X + down·Y with independent X and Y of the chi-square law.

    Parameters
    ----------
    up, down : float
        The coefficients, up ≥ 0 ≥ down.
    degrees : int
        Degrees of freedom of X and Y.

    Examples
    --------
    >>> law = ChiSquareLaw(1.0, -1.0, 2)
    >>> law.mean, law.variance, float(law.moment_generating_function(0.25))
    (0.0, 8.0, 1.3333333333333333)
    """

    up: float
    down: float
    degrees: int

    @property
    def mean(self) -> float:
        """The expectation."""
        return self.degrees * (self.up + self.down)

    @property
    def variance(self) -> float:
        """The variance."""
        return 2 * self.degrees * (self.up**2 + self.down**2)

    @property
    def bounds(self) -> tuple[float, float]:
        """The interval of all values."""
        return (-math.inf if self.down else 0.0, math.inf if self.up else 0.0)

    def characteristic_function(self, t: np.ndarray) -> np.ndarray:
        """Return E exp(i t aᵀSz) for real `t`, shape of `t`."""
        return self.moment_generating_function(1j * np.asarray(t, dtype=float))

    def moment_generating_function(self, s: np.ndarray) -> np.ndarray:
        """Return E exp(s aᵀSz) for real or complex `s`, shape of `s`; infinite where the integral diverges."""
        s = np.asarray(s, dtype=np.result_type(s, float))
        factors = 1 - 2 * s * self.up, 1 - 2 * s * self.down
        converges = (factors[0].real > 0) & (factors[1].real > 0)
        each = (np.where(converges, factor, 1.0) ** (-self.degrees / 2) for factor in factors)
        return np.where(converges, math.prod(each), math.inf)

    def support(self) -> tuple[np.ndarray, np.ndarray]:
        """Refuse: the law has a density.

        Raises
        ------
        ValueError
            Always.
        """
        raise ValueError("aᵀSz has a density under a Gaussian sketch: its values cannot be listed")
