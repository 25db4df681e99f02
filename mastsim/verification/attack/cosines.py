"""Sums of cosines with sketches of whole numbers, which keep f_D periodic, as instances of an attack."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from mastsim.expected import Mast
from mastsim.sketches import FiniteSupport
from mastsim.theorems import Inequality, Theorem
from mastsim.verification.attack.bowls_and_sketches import Vector, tuple_of
from mastsim.verification.cosine_sums import Cosines
from mastsim.verification.inequalities import decide_inequality


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
