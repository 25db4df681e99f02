"""The law of S = GᵀG/k with a k × d matrix G of independent standard normal numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from mastsim.provenance import Constant
from mastsim.rounding import EPS, summed
from mastsim.sketches.laws.pairings import InvariantLaw, Type, types_of
from mastsim.sketches.laws.rows import InvariantRows, RowRounding, RowTotals, csr

_FRACTIONS = np.array([0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9])
"""Of the rate beyond which E e^{τ|X|} is infinite."""


@dataclass(frozen=True, eq=False)
class Wishart(InvariantLaw):
    """A Wishart matrix divided by its degrees of freedom, so that E[S] = I.

    Parameters
    ----------
    dim : int
        The dimension d.
    k : int
        The degrees of freedom.

    References
    ----------
    Isserlis, On a formula for the product-moment coefficient of any order of a normal frequency distribution, Biometrika 12
    (1918), whose pairings these are; Letac, Massam, All invariant moments of the Wishart distribution, Scand. J. Statist. 31
    (2004).

    Examples
    --------
    >>> Wishart(3, 2).L_D
    3.0
    """

    dim: int
    k: int

    @property
    def L_max_is_exact(self) -> bool:
        """True: S is unbounded."""
        return True

    def coefficients(self, factors: int) -> dict[Type, float]:
        """Return k^(cycles − factors): every cycle is a free sum over the rows of G."""
        return _powers(factors, self.k)

    def supremum_curvature(self, A: np.ndarray) -> Constant:
        """Return ess sup λ_max(SᵀAS) for a positive semidefinite `A`: infinite unless `A` is zero."""
        return Constant(math.inf if A.any() else 0.0, "exact", "S is unbounded")

    def scalar(self, a: np.ndarray, z: np.ndarray) -> ChiSquareLaw:
        """Return the law of the scalar aᵀSz."""
        # The eigenvalues of (azᵀ + zaᵀ)/2 are (aᵀz ± |a||z|)/2.
        inner, size = float(a @ z), float(np.linalg.norm(a) * np.linalg.norm(z))
        return ChiSquareLaw(max(inner + size, 0.0) / (2 * self.k), min(inner - size, 0.0) / (2 * self.k), self.k)

    def rows(self, A: Any) -> WishartRows:
        """Return the laws of the scalars aᵀSz of all rows a of `A`."""
        return WishartRows(csr(A), self)


@lru_cache
def _powers(factors: int, k: int) -> dict[Type, float]:
    return {kind: float(k) ** (len(kind) - factors) for kind in types_of(factors)}


@dataclass(frozen=True, eq=False)
class WishartRows(InvariantRows):
    """E exp(sX) = D^{−k/2} with D = (1 − s aᵀz/k)² − (s|a||z|/k)².

    Parameters
    ----------
    A
        As for `RowLaws`.
    law : Wishart
        The law of S.
    """

    law: Wishart

    def reach(self, z: np.ndarray) -> np.ndarray:
        """Return infinity, but zero where a or z is zero, shape (n,)."""
        everywhere = np.arange(self.A.shape[0])
        at = self.of(everywhere, z, None)
        return np.where(at.r * at.q > 0, np.inf, 0.0)

    def square(self, weights: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Return Σ_i weights_i E[Sᵀa_i a_iᵀS] z, shape (dim,)."""
        return self.law.square_times(self.A.T @ (weights * (self.A @ z)), float(weights @ self.norms2), z)

    def tails(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return rates τ and bounds b with E e^{τ|X_i|} ≤ E e^{τX_i} + E e^{−τX_i} ≤ e^b, both (n, m)."""
        at, k = self.of(np.arange(self.A.shape[0]), z, None), self.law.k
        # D has its zeros at s = k/(aᵀz ± |a||z|).
        size = np.sqrt(at.r * at.q)[:, None]
        top = np.abs(at.p)[:, None] + size
        x = _FRACTIONS / np.where(top > 0, top, 1.0)
        both = [-0.5 * k * np.log((1 - sign * x * at.p[:, None]) ** 2 - (x * size) ** 2) for sign in (1, -1)]
        return k * x, np.logaddexp(*both)

    def rounding(self, z: np.ndarray, size: np.ndarray) -> RowRounding:
        """Return what rounding does to the law: aᵀz and |a||z| move, each of the two chi-squares by half as much."""
        length = np.sqrt(self.norms2 * float(z @ z))
        none = np.zeros(len(size))
        return RowRounding(2 * summed(self.terms + len(z) + 16) * length, none, self.terms + 32, none)

    def log_rounding(self, z: np.ndarray, s: float, moved: np.ndarray) -> np.ndarray:
        """Return how far log E e^{sX_i} = −(k/2)·log D may be off, infinite where D may be zero, shape (n,)."""
        at, k = self.of(np.arange(self.A.shape[0]), z, None), self.law.k
        v, size = s / k, np.sqrt(at.r * at.q)
        lead = 1 - v * at.p
        D = lead**2 - (v * size) ** 2
        off = 8 * EPS * (lead**2 + (v * size) ** 2 + np.abs(lead)) + 2 * abs(v) * (np.abs(lead) + abs(v) * size) * moved
        relative = off / np.maximum(D, np.finfo(float).tiny)
        log = 0.5 * k * (2 * relative + 2 * EPS * np.abs(np.log(np.maximum(D, np.finfo(float).tiny))))
        return np.where(relative < 0.5, log, np.inf)

    def by_exponentials(
        self, rows: np.ndarray, z: np.ndarray, s: np.ndarray, weights: np.ndarray, w: np.ndarray | None = None
    ) -> RowTotals:
        """Return Re Σ_k weights_ik E exp(s_k X_i), with derivatives; infinite where an expectation diverges."""
        at, k = self.of(rows, z, w), self.law.k
        v = s / k
        lead = 1 - np.outer(at.p, v)
        D = lead**2 - np.outer(at.r * at.q, v**2)
        # Both zeros of D must lie beyond s; then the argument of D stays between −π and π.
        side = np.sign(s.real) * at.p[:, None] + np.sqrt(at.r * at.q)[:, None]
        diverges = np.abs(s.real) * side >= k
        D = np.where(diverges, 1.0, D)
        base = weights * D ** (-k / 2)
        slope = -0.5 * k * base / D
        of_p, of_q = -2 * v * lead, -np.outer(at.r, v**2)
        values, first = base.real.sum(axis=1), [(slope * part).real.sum(axis=1) for part in (of_p, of_q)]
        values[(diverges & (weights != 0)).any(axis=1)] = np.inf
        second = [np.zeros(len(rows)), np.zeros(len(rows))]
        if w is not None:
            # The change of the factor −(k/2)·D^{−k/2 − 1} along w, and that of D's slope in aᵀz.
            bend = -(0.5 * k + 1) * slope / D * (of_p * at.dp[:, None] + of_q * at.dq)
            second = [(bend * of_p + slope * 2 * v**2 * at.dp[:, None]).real.sum(axis=1), (bend * of_q).real.sum(axis=1)]
        return self.assemble(rows, z, w, values, (first[0], first[1]), (second[0], second[1]))


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
