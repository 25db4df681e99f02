"""Sums of cosines in one dimension: smooth functions that are not convex, with sketches that keep f_D periodic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from mastsim.backend import Array
from mastsim.expected import Mast
from mastsim.linalg import Curvature
from mastsim.problems import Minimum, Problem
from mastsim.sketches import FiniteSupport
from mastsim.theorems import Inequality, Theorem
from mastsim.validation import floats
from mastsim.verification.attack.bowls_and_sketches import Vector, tuple_of
from mastsim.verification.inequalities import decide_inequality

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

    def minimize(self) -> Minimum:
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


@dataclass(frozen=True)
class CosineInstance:
    """A sum of cosines and a sketch of whole numbers with mean 1, on which Theorem 1 without convexity may fail.

    Parameters
    ----------
    amplitudes, phases : tuple of float, shape (terms,)
        Of f; see `Cosines`.
    low, high : tuple of int
        The values of S below and above 1.
    weights : tuple of float
        Relative chances of the values among the low and among the high ones, low ones first; the mean decides between both.
    shift : float
        v.

    References
    ----------
    This package.

    Examples
    --------
    >>> one = CosineInstance((-1.0,), (0.0,), (0,), (2,), (1.0, 1.0), 0.0)
    >>> one.objective().sketch.weights
    array([0.5, 0.5])
    """

    amplitudes: Vector
    phases: Vector
    low: tuple[int, ...]
    high: tuple[int, ...]
    weights: Vector
    shift: float

    def objective(self) -> Mast:
        """Return f_D; raises ValueError where the numbers do not make one."""
        values, w = np.array(self.low + self.high, dtype=float), np.array(self.weights)
        if (w <= 0).any():
            raise ValueError(f"weights={self.weights} is not accepted: they must be positive")
        below = np.arange(len(values)) < len(self.low)
        w[below], w[~below] = w[below] / w[below].sum(), w[~below] / w[~below].sum()
        low, high = float(w[below] @ values[below]), float(w[~below] @ values[~below])
        w = w * np.where(below, high - 1, 1 - low) / (high - low)
        f = Cosines(np.array(self.amplitudes), np.array(self.phases))
        return Mast(f, FiniteSupport(values[:, None, None], w), shift=np.array([self.shift]))

    def ratio(self, kind: type[Theorem], *, quick: bool = False) -> float:
        """Return left/right of an inequality; raises ValueError where it does not apply."""
        claim = kind(self.objective())
        assert isinstance(claim, Inequality)
        return decide_inequality(claim, 4).max_ratio

    def tidy(self) -> CosineInstance:
        """Return the instance itself: its mean is right by construction."""
        return self

    def smaller(self) -> Iterator[CosineInstance]:
        """Yield instances with one term or one value of the sketch less."""
        if len(self.amplitudes) > 1:
            yield replace(self, amplitudes=self.amplitudes[:-1], phases=self.phases[:-1])
        for name, side, start in (("low", self.low, 0), ("high", self.high, len(self.low))):
            for i in range(len(side) if len(side) > 1 else 0):
                w = self.weights[: start + i] + self.weights[start + i + 1 :]
                yield replace(self, **{name: side[:i] + side[i + 1 :], "weights": w})  # type: ignore[arg-type]

    def shorter(self) -> Iterator[list[CosineInstance]]:
        """Yield nothing: there is no horizon."""
        yield from ()

    def simplified(self) -> Iterator[list[CosineInstance]]:
        """Yield nothing: its numbers are made rounder one at a time."""
        yield from ()

    def record(self) -> dict[str, Any]:
        """Return the instance as standard JSON knows it."""
        return asdict(self) | {"family": "cosines"}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> CosineInstance:
        """Return the instance of a record."""
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, (list, tuple)) else v for k, v in record.items()}
        plain.pop("family")
        return cls(**plain)


@dataclass(frozen=True)
class CosinePlan:
    """The structure of a `CosineInstance`: the number of terms, and the values of the sketch.

    Parameters
    ----------
    terms : int
        Of f.
    low, high : tuple of int
        The values of S.
    regime : {"any", "interpolation", "noise"}
        With ``interpolation`` the shift is at the minimiser of f; otherwise anywhere.
    """

    terms: int
    low: tuple[int, ...]
    high: tuple[int, ...]
    regime: str

    @classmethod
    def random(
        cls, kind: type[Theorem], rng: np.random.Generator, regime: str, span: tuple[float, float], sharp: bool
    ) -> CosinePlan:
        """Return a random structure; the theorem, its constants and horizons do not matter."""
        low = rng.choice(np.arange(-3, 1), size=rng.integers(1, 3), replace=False)
        high = rng.choice(np.arange(2, 5), size=rng.integers(1, 3), replace=False)
        return cls(int(rng.integers(1, 4)), tuple(low.tolist()), tuple(high.tolist()), regime)

    @property
    def stratum(self) -> Any:
        """What climbers are compared within."""
        return self.regime

    def size(self) -> int:
        """Return how many real numbers there are to choose."""
        return 2 * self.terms + len(self.low) + len(self.high) + 1

    def decode(self, values: np.ndarray) -> CosineInstance:
        """Return the instance of a real vector of that size."""
        t = self.terms
        chances = tuple_of(10.0 ** np.clip(values[2 * t : -1], -3, 3))
        amplitudes, phases = tuple_of(values[:t] / max(np.abs(values[:t]).max(), 1e-12)), tuple_of(values[t : 2 * t])
        found = CosineInstance(amplitudes, phases, self.low, self.high, chances, float(values[-1]))
        if self.regime != "interpolation":
            return found
        return replace(found, shift=float(found.objective().problem.minimize().x[0]))
