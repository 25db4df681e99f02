"""The law of the scalar aᵀSz, which is all a generalised linear model sees of a sketch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

_SUPPORT_LIMIT = 1 << 20


@dataclass(frozen=True, eq=False)
class ScalarLaw:
    """The law of a sum of values θ_u over the kept units of a selection.

    Parameters
    ----------
    theta : ndarray, shape (units,)
        The value a unit adds when it is kept.
    group : ndarray of int, shape (units,)
        The group of each unit, non-decreasing.
    members, kept : ndarray, shape (groups,)
        As in `mastsim.sketches.selection.Selection`.

    Examples
    --------
    >>> import mastsim as ms
    >>> law = ms.Bernoulli(2, 0.5).projection(np.array([1.0, 1.0]), np.array([1.0, 2.0]))
    >>> float(law.mean), float(law.variance)
    (3.0, 5.0)
    >>> values, chances = law.support()
    >>> [float(v) for v in values], [float(c) for c in chances]
    ([0.0, 2.0, 4.0, 6.0], [0.25, 0.25, 0.25, 0.25])
    """

    theta: np.ndarray
    group: np.ndarray
    members: np.ndarray
    kept: np.ndarray

    @property
    def mean(self) -> float:
        """E[aᵀSz] = aᵀz."""
        return float(self.theta @ (self.kept / self.members)[self.group])

    @property
    def variance(self) -> float:
        """Var[aᵀSz]."""
        M, p = self.members, self.kept / self.members
        mean = np.where(M > 1, np.bincount(self.group, weights=self.theta, minlength=len(M)) / M, 0.0)
        squares = np.bincount(self.group, weights=(self.theta - mean[self.group]) ** 2, minlength=len(M))
        return float((p * (1 - p) * squares * np.where(M > 1, M / np.maximum(M - 1, 1), 1.0)).sum())

    @property
    def bounds(self) -> tuple[float, float]:
        """An interval that holds every value."""
        return float(np.minimum(self.theta, 0).sum()), float(np.maximum(self.theta, 0).sum())

    def characteristic_function(self, t: np.ndarray) -> np.ndarray:
        """Return E exp(i t aᵀSz) for real `t`, shape of `t`."""
        return self.moment_generating_function(1j * np.asarray(t, dtype=float))

    def moment_generating_function(self, s: np.ndarray) -> np.ndarray:
        """Return E exp(s aᵀSz) for real or complex `s`, shape of `s`.

        A Markov chain over the number of units kept so far: its coefficients are probabilities, so nothing cancels.
        """
        s = np.asarray(s, dtype=np.result_type(s, float))
        total = np.ones_like(s)
        for own, M, N in self._groups():
            total = total * _group_transform([np.exp(s * value) for value in own], M, N, np.ones_like(s))
        return total

    def support(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the values in increasing order and their probabilities; equal values are merged.

        Raises
        ------
        ValueError
            If more than 2**20 kept sets would have to be listed.
        """
        if math.prod(_patterns(int(np.count_nonzero(own)), M, N) for own, M, N in self._groups()) > _SUPPORT_LIMIT:
            raise ValueError(f"aᵀSz depends on more than {_SUPPORT_LIMIT} kept sets: its values are not listed")
        values, chances = np.zeros(1), np.ones(1)
        for own, M, N in self._groups():
            values, chances = _convolve(values, chances, *_group_support(own[own != 0], M, N))
        merged, inverse = np.unique(values, return_inverse=True)
        return merged, np.bincount(inverse, weights=chances)

    def _groups(self) -> Iterator[tuple[np.ndarray, int, float]]:
        each = np.split(self.theta, np.cumsum(self.members)[:-1])
        return zip(each, self.members.tolist(), self.kept.tolist(), strict=True)


def _patterns(active: int, M: int, N: float) -> int:
    if N < 1:
        return 2 if active else 1
    N = int(N)
    return sum(math.comb(active, m) for m in range(max(0, N - M + active), min(N, active) + 1))


def _group_transform(factors: list[np.ndarray], M: int, N: float, one: np.ndarray) -> np.ndarray:
    if M == 1:
        return 1 - N + N * factors[0]
    N = int(N)
    state = [one]
    for seen, factor in enumerate(factors):
        go = [max(N - m, 0) / (M - seen) for m in range(len(state))]
        ahead = [np.zeros_like(one) for _ in range(len(state) + 1)]
        for m, now in enumerate(state):
            ahead[m] = ahead[m] + (1 - go[m]) * now
            ahead[m + 1] = ahead[m + 1] + go[m] * factor * now
        state = ahead[: N + 1]
    total: np.ndarray = sum(state[1:], state[0])
    return total


def _group_support(theta: np.ndarray, M: int, N: float) -> tuple[np.ndarray, np.ndarray]:
    if N < 1:
        return (np.array([0.0, theta[0]]), np.array([1 - N, N])) if len(theta) else (np.zeros(1), np.ones(1))
    values, chances, count = np.zeros(1), np.ones(1), np.zeros(1)
    for seen, value in enumerate(theta):
        go = np.maximum(N - count, 0) / (M - seen)
        values = np.concatenate([values, values + value])
        chances = np.concatenate([chances * (1 - go), chances * go])
        count = np.concatenate([count, count + 1])
        values, chances, count = values[chances > 0], chances[chances > 0], count[chances > 0]
    return values, chances


def _convolve(v: np.ndarray, p: np.ndarray, w: np.ndarray, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return (v[:, None] + w).ravel(), (p[:, None] * q).ravel()
