"""How an attack draws sketches: a structure at random, and real numbers that are decoded into the rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mastsim.verification.attack.bowls_and_sketches import SketchPart, tuple_of, tuples_of

_RAREST = 1e-6
_DECADES = 1.5


class Numbers:
    """Reads a real vector piece by piece; zeros once it is used up, so that its length can be found out."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.used = values, 0

    def take(self, *shape: int) -> np.ndarray:
        """Return the next numbers in the given shape."""
        size = int(np.prod(shape, dtype=int))
        piece = self.values[self.used : self.used + size]
        self.used += size
        return np.concatenate([piece, np.zeros(size - len(piece))]).reshape(shape)

    def decades(self, *shape: int, limit: float = 6.0) -> np.ndarray:
        """Return positive numbers, 1 for 0, over many decades."""
        return np.asarray(10.0 ** np.clip(_DECADES * self.take(*shape), -limit, limit))


@dataclass(frozen=True, eq=False)
class SketchPlan:
    """The structure of a sketch: its family and, for a finite support, its zeros and how the size grows with rarity.

    Parameters
    ----------
    kind : str
        As in `SketchPart`.
    mask : ndarray, shape (values, dim, dim)
        Where the values of a finite support, less their common part, may differ from zero.
    rarity : float
        A value of probability w is scaled by w^(−rarity).
    mirrored : bool
        Whether every value but the first comes with its mirror image −N.
    even : bool
        Whether all values are equally likely.
    k : int
        For Rand-K.
    """

    kind: str
    mask: np.ndarray
    rarity: float
    mirrored: bool
    even: bool
    k: int

    @classmethod
    def random(cls, rng: np.random.Generator, dim: int, plain: bool) -> SketchPlan:
        """Return a random structure; `plain` says whether there may be no sketch at all."""
        kind = str(rng.choice(["finite", "bernoulli", "randk", "identity" if plain else "finite"], p=[0.5, 0.15, 0.15, 0.2]))
        values = int(rng.integers(2, 4))
        mask = rng.random((values, dim, dim)) < rng.choice([0.5, 1.0])
        mask[0] &= bool(rng.integers(2))
        coordinate = rng.random((dim,)) < rng.choice([0.5, 1.0])
        mask &= coordinate[:, None]
        mirrored, even = bool(rng.integers(2)), bool(rng.random() < 0.25)
        return cls(
            kind, mask, float(rng.choice([0.0, 0.5, 1.0], p=[0.2, 0.2, 0.6])), mirrored, even, int(rng.integers(1, dim + 1))
        )

    def decode(self, numbers: Numbers, dim: int) -> SketchPart:
        """Return the sketch: S_j = I + N_j − Σ w_i N_i."""
        if self.kind == "bernoulli":
            return SketchPart("bernoulli", keep=tuple_of(np.maximum(10.0 ** -np.abs(numbers.take(dim)), _RAREST)))
        if self.kind != "finite":
            return SketchPart(self.kind, k=self.k if self.kind == "randk" else 0)
        w = numbers.decades(len(self.mask))
        w = np.maximum(w / w.sum(), _RAREST)
        N = self.mask * numbers.take(*self.mask.shape)
        N *= (numbers.decades(len(w), limit=3.0) ** 0.5 * w**-self.rarity)[:, None, None]
        if self.mirrored:
            w, N = np.concatenate([w, w[1:]]), np.concatenate([N, _mirror(N[1:])])
        w = np.full(len(w), 1 / len(w)) if self.even else w / w.sum()
        S = np.eye(dim) + N - np.tensordot(w, N, 1)
        return SketchPart("finite", tuple(tuples_of(s) for s in S), tuple_of(w)).tidy()


def _mirror(N: np.ndarray) -> np.ndarray:
    """Return the matrices with the signs of what is off the diagonal changed; in one dimension, of all."""
    return -N if N.shape[-1] == 1 else N * (2 * np.eye(N.shape[-1]) - 1)
