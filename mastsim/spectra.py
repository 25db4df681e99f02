"""The extreme eigenvalues of a symmetric operator, bracketed from both sides."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.linalg import eigh_tridiagonal

Product = Callable[[np.ndarray], np.ndarray]

FAILURE = 1e-12
"""The chance, over the random start, that an end of `lanczos` does not hold."""

STEPS = 200
"""The most products that `lanczos` takes."""

_LEAST_STEPS = 16
_MOST_NUMBERS = 1 << 25  # that the Lanczos basis may hold
_POWER_STEPS = 200
_NOISE = 4e-15  # of the operator's size: a smaller residual of the recurrence is rounding


@dataclass(frozen=True)
class Bracket:
    """lower ≤ λ ≤ upper.

    Parameters
    ----------
    lower, upper : float
        The two ends.
    how : str
        Why they hold.
    """

    lower: float
    upper: float
    how: str


def lanczos(
    product: Product, dim: int, accuracy: float, rounding: float = 0.0, seed: int = 0, steps: int = STEPS
) -> tuple[Bracket, np.ndarray]:
    """Return a two-sided bracket of λ_max of a symmetric operator, whatever the signs of its eigenvalues.

    The lower end is a Ritz value. For the upper one: the Lanczos vectors q_1, …, q_k are orthonormal and have the components
    p_j(λ)⟨q_1, u⟩ along an eigenvector u, with polynomials p_j that the recurrence gives, so that Σ p_j(λ)² ≤ 1/⟨q_1, u⟩².
    A start that is uniform on the sphere has ⟨q_1, u⟩² ≥ δ²/dim but for a chance of δ, and the sum grows beyond the Ritz
    values. Where a Krylov space is exhausted another start is drawn, and the chances of all starts multiply.

    Parameters
    ----------
    product : callable
        Maps a vector of shape (dim,) to the operator times it.
    dim : int
        Dimension.
    accuracy : float
        The search ends once the ends differ by this times the size of the lower one, or after `steps`.
    rounding : float, default 0.0
        A bound on ‖computed product − operator times w‖/‖w‖.
    seed : int, default 0
        Seed of the random start.
    steps : int, default 200
        The most products to take.

    Returns
    -------
    Bracket
        The upper end holds with probability 1 − 1e-12 over the start.
    ndarray, shape (dim,)
        The unit vector whose Rayleigh quotient the lower end is.

    References
    ----------
    Van Dorsselaer, Hochstenbach and van der Vorst, "Computing probabilistic bounds for extreme eigenvalues of symmetric
    matrices with the Lanczos method", SIAM J. Matrix Anal. Appl. 22, 2000; the sum over all j: this package.

    Examples
    --------
    >>> spectrum = np.arange(1.0, 301.0)
    >>> found, _ = lanczos(lambda w: spectrum * w, 300, accuracy=1e-8)
    >>> bool(found.lower <= 300 <= found.upper < 300 * (1 + 2e-8))
    True
    """
    most = min(dim, steps, max(_LEAST_STEPS, _MOST_NUMBERS // dim))
    space = _Krylov(np.empty((most, dim)), np.random.Generator(np.random.Philox(seed)))
    for k in range(1, most + 1):
        space.extend(product)
        last, size = k == most, space.size
        if last or k % 4 == 0:
            top, vector = space.ritz()
            slack = math.sqrt(k) * (rounding + _NOISE * size)
            end = top if k == dim else min(space.end(count, dim) for count in range(1, len(space.starts) + 1))
            if last or end - top <= accuracy * abs(top) + slack:
                break
    how = f"Lanczos from a random start, failure probability {FAILURE:g}"
    return Bracket(top - slack, end + slack, how), vector


class _Krylov:
    """An orthonormal basis of Krylov spaces, a new one where the one before is exhausted."""

    def __init__(self, basis: np.ndarray, rng: np.random.Generator) -> None:
        self.basis, self.rng = basis, rng
        self.diagonal: list[float] = []
        self.beside: list[float] = []
        self.starts = [0]
        self._begin()

    @property
    def size(self) -> float:
        """The size of the operator, as far as it was seen."""
        return max(abs(a) + b for a, b in zip(self.diagonal, self.beside, strict=True))

    def _begin(self) -> None:
        self.next = self._orthogonal(self.rng.standard_normal((self.basis.shape[1],)))
        self.next = self.next / max(float(np.linalg.norm(self.next)), 1e-300)

    def _orthogonal(self, w: np.ndarray) -> np.ndarray:
        done = self.basis[: len(self.diagonal)]
        for _ in range(2):
            w = w - done.T @ (done @ w)
        return w

    def extend(self, product: Product) -> None:
        """Take one step."""
        k = len(self.diagonal)
        q = self.basis[k] = self.next
        w: np.ndarray = product(q)
        self.diagonal.append(float(w @ q))
        w = self._orthogonal(w - self.diagonal[-1] * q)
        self.beside.append(_length(w))
        if self.beside[-1] > _NOISE * self.size:
            self.next = w / self.beside[-1]
        else:
            self._begin()
            self.starts.append(k + 1)

    def ritz(self) -> tuple[float, np.ndarray]:
        """Return the largest Ritz value and its vector."""
        last, between = len(self.diagonal) - 1, np.array(self.beside[:-1])
        between[[start - 1 for start in self.starts[1:] if start <= last]] = 0.0
        top, vector = _largest(np.array(self.diagonal), between)
        return top, vector @ self.basis[: last + 1]

    def end(self, count: int, dim: int) -> float:
        """Return a number that λ_max is above only if the first starts were all nearly orthogonal to its eigenvector."""
        most, size = dim / FAILURE ** (2 / count), self.size
        edges = [*self.starts[:count], self.starts[count] if count < len(self.starts) else len(self.diagonal)]
        parts = [slice(i, j) for i, j in pairwise(edges)]
        noisy = [max(b, _NOISE * size) for b in self.beside]
        return max(
            (_end(self.diagonal[part], noisy[part], most) for part in parts if part.start < part.stop), default=math.inf
        )


def _largest(diagonal: np.ndarray, beside: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the largest eigenvalue of a tridiagonal matrix and its vector."""
    # LAPACK takes an entry for zero where its square underflows.
    last, size = len(diagonal) - 1, max(np.abs(diagonal).max(), np.abs(beside).max(initial=0.0)) or 1.0
    values, vectors = eigh_tridiagonal(diagonal / size, beside / size, select="i", select_range=(last, last))
    return size * float(values[0]), vectors[:, 0]


def _length(w: np.ndarray) -> float:
    """Return ‖w‖, also where squares underflow."""
    top = float(np.abs(w).max())
    return top * float(np.linalg.norm(w / top)) if 0 < top < math.inf else top


def _end(diagonal: list[float], beside: list[float], most: float) -> float:
    """Return a number x beyond the Ritz values with Σ p_j(x)² > most."""
    top = _largest(np.array(diagonal), np.array(beside[:-1]))[0]
    step = 1e-16 * max(abs(top), max(beside), float(np.finfo(float).tiny))
    while not _exceeds(top + step, diagonal, beside, most):
        step *= 2
    for share in (0.5, 0.59, 0.71, 0.84):
        if _exceeds(top + share * step, diagonal, beside, most):
            return top + share * step
    return top + step


def _exceeds(x: float, diagonal: list[float], beside: list[float], most: float) -> bool:
    """Say whether Σ p_j(x)² over the polynomials of the recurrence is above a number."""
    before, here, total, last = 0.0, 1.0, 1.0, 0.0
    for a, b in zip(diagonal, beside, strict=True):
        before, here = here, ((x - a) * here - last * before) / b if b > 0 else math.inf
        last, total = b, total + here * here
        if total > most:
            return True
    return False


Bound = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def collatz_wielandt(bound: Bound, start: np.ndarray, enough: float, shift: float = 0.0) -> float:
    """Return max (Mw)_i/w_i ≥ λ_max for a positive w that power steps make good; no entry off M's diagonal is negative.

    Parameters
    ----------
    bound : callable
        Maps a positive w to Mw and to a bound on the rounding of each of its entries.
    start : ndarray, shape (dim,)
        The first w, made positive; near the eigenvector is best.
    enough : float
        A bound so small needs no more steps.
    shift : float, default 0.0
        The steps are taken with M plus this times I, whose entries must not be negative.

    References
    ----------
    Collatz 1942, Wielandt 1950.

    Examples
    --------
    >>> M = np.array([[1.0, 2.0], [2.0, 1.0]])
    >>> round(collatz_wielandt(lambda w: (M @ w, 0 * w), np.array([1.0, 3.0]), 0.0), 9)
    3.0
    """
    w, best, stale = np.abs(start), math.inf, 0
    for _ in range(_POWER_STEPS):
        # Kept away from zero, so that the bound stays finite where M does not reach.
        w = np.maximum(w / (w.max(initial=0.0) or 1.0), 1e-12)
        ahead, error = bound(w)
        found = float(((ahead + error) / w).max())
        stale = 0 if found < best * (1 - 1e-9) else stale + 1
        best = min(best, found)
        if best <= enough or stale > 8:
            break
        w = np.maximum(ahead + shift * w, 0.0)
    return best * (1 + 4 * float(np.finfo(float).eps))
