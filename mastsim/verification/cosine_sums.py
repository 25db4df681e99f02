"""Sums of cosines in one dimension: smooth functions that are not convex, whose minimisers are found all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mastsim.backend import Array
from mastsim.linalg import Curvature
from mastsim.problems import Minimum, Problem
from mastsim.validation import floats

_GRID = 2.0 * np.pi * np.arange(1024) / 1024
_TIED = 1e-10


@dataclass(frozen=True, eq=False)
class Cosines(Problem):
    """f(x) = Σ_k a_k cos(kx + φ_k), k = 1, 2, …, on the line.

    Parameters
    ----------
    amplitudes, phases : array, shape (terms,)
        The a_k and φ_k.

    Raises
    ------
    ValueError
        If the shapes differ.

    References
    ----------
    The counterexample f = −cos to Theorem 1 without convexity: this package.

    Examples
    --------
    >>> f = Cosines([-1.0], [0.0])
    >>> float(f.value(np.zeros(1))), f.minimize().value
    (-1.0, -1.0)
    """

    amplitudes: Any
    phases: Any

    def __post_init__(self) -> None:
        a, phi = floats("amplitudes", self.amplitudes), floats("phases", self.phases)
        if a.ndim != 1 or a.shape != phi.shape or not len(a):
            raise ValueError(f"phases has shape {phi.shape}, but it must be that of amplitudes, {a.shape}, a vector")
        object.__setattr__(self, "amplitudes", a)
        object.__setattr__(self, "phases", phi)

    @property
    def dim(self) -> int:
        """One."""
        return 1

    def derivative(self, x: Array, order: int) -> Array:
        """Return a derivative of f at numbers x, shape of `x`."""
        k = np.arange(1.0, len(self.amplitudes) + 1)
        waves = np.cos(np.asarray(x)[..., None] * k + self.phases + order * np.pi / 2)
        return waves @ (self.amplitudes * k**order)

    def value(self, x: Array) -> Array:
        """Return f(x), shape ``x.shape[:-1]``."""
        return self.derivative(x[..., 0], 0)

    def gradient(self, x: Array) -> Array:
        """Return f′(x), shape of `x`."""
        return self.derivative(x, 1)

    def hessian_product(self, x: Array, w: Array) -> Array:
        """Return f″(x)·w, shape of `x`."""
        return self.derivative(x, 2) * w

    @property
    def upper_curvature(self) -> Curvature:
        """Σ k²|a_k|, which |f″| never exceeds."""
        k = np.arange(1.0, len(self.amplitudes) + 1)
        return Curvature(np.array([[float(k**2 @ np.abs(self.amplitudes))]]))

    @property
    def lower_curvature(self) -> Curvature:
        """−Σ k²|a_k|."""
        return Curvature(-self.upper_curvature.matrix)

    @property
    def curvature_is_attained(self) -> bool:
        """False in general."""
        return False

    @property
    def lower_bound(self) -> float:
        """−Σ|a_k|."""
        return -float(np.abs(self.amplitudes).sum())

    def _find_minimum(self, accuracy: float | None) -> Minimum:
        """Return a global minimiser in [0, 2π), found on a grid and polished by Newton's method."""
        x = global_minimizers(self, np.ones(1), np.ones(1), 0.0)[:1]
        value = float(self.value(x))
        return Minimum(x, value, value - self.lower_bound, float(abs(self.gradient(x)[0])), "value less −Σ|a_k|")


def global_minimizers(f: Cosines, multipliers: np.ndarray, weights: np.ndarray, shift: float) -> np.ndarray:
    """Return the global minimisers of Σ w_j f(v + s_j(x − v)) in v + [0, 2π), shape (minimisers,), for whole numbers s_j."""

    def of(x: np.ndarray, order: int) -> np.ndarray:
        point = shift + multipliers * (x[:, None] - shift)
        return np.asarray((weights * multipliers**order * f.derivative(point, order)).sum(axis=-1))

    grid = shift + _GRID
    values = of(grid, 0)
    x = grid[(values <= np.roll(values, 1)) & (values <= np.roll(values, -1))]
    for _ in range(8):
        bend = of(x, 2)
        step = np.where(bend > 0, of(x, 1) / np.where(bend > 0, bend, 1.0), 0.0)
        x = x - np.clip(step, -_GRID[1], _GRID[1])
    found = of(x, 0)
    return x[found <= found.min() + _TIED * float(np.abs(f.amplitudes).sum())]
