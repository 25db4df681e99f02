"""Samplings whose components may differ in probability: each by itself, and draws with replacement."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mastsim.backend import Array, namespace
from mastsim.methods.minibatch import Minibatch, Sampling, checked_smoothness
from mastsim.methods.uniform_sampling import listed_size, minibatch_size
from mastsim.readonly import frozen
from mastsim.validation import finite, floats, integer, keep_fraction, number, one_of

if TYPE_CHECKING:
    from mastsim.problems import Problem


RESOLUTION = 2.0**-53
"""Uniform numbers have 53 bits: an event of smaller probability cannot be drawn with that probability."""
_TOTAL = 1e-9


@dataclass(frozen=True, eq=False)
class IndependentSampling(Sampling):
    """Every component on its own coin, with weight 1/(n p_i) if it is in.

    Parameters
    ----------
    probabilities : float or array of float, shape (n,)
        The p_i, in [2**-53, 1].

    Raises
    ------
    ValueError
        If a probability is outside the interval.

    References
    ----------
    Gower et al., ICML 2019, Section 3 (independent sampling).

    Examples
    --------
    >>> S = IndependentSampling(0.5)
    >>> S.expected_size(10), S.expected_smoothness(np.array([1.0, 4.0]))
    (5.0, (2.0, 1.0))
    """

    probabilities: float | np.ndarray

    keyword = "independent"

    @classmethod
    def from_text(cls, argument: str, problem: Problem) -> IndependentSampling:
        """Return the sampling that ``independent:P`` names, the same probability for every component."""
        return cls(number("independent probability", argument, "independent:P, for example independent:0.1"))

    def __post_init__(self) -> None:
        p = keep_fraction("probabilities", self.probabilities)
        if p.ndim > 1 or p.size == 0:
            raise ValueError(f"probabilities has shape {p.shape}, but it must be a number or a vector of length n")
        object.__setattr__(self, "probabilities", frozen(_resolved(p), copy=False) if p.ndim else float(_resolved(p)))

    @property
    def name(self) -> str:
        """For example ``independent(0.1)``."""
        low, high = np.min(self.probabilities), np.max(self.probabilities)
        return f"independent({low:g})" if low == high else f"independent({low:g}..{high:g})"

    def check(self, n: int) -> int:
        """Return `n`, refusing a number of components that differs from that of the probabilities."""
        return _fitting(self.probabilities, n)

    def expected_size(self, n: int) -> float:
        """Return Σp_i."""
        return float(self._each(self.check(n)).sum())

    def _each(self, n: int) -> np.ndarray:
        return np.broadcast_to(self.probabilities, (n,)).astype(float)

    def _second_moment(self, n: int) -> tuple[np.ndarray, float]:
        p = self._each(n)
        return (1 - p) / p / n, 1.0

    def _uniforms(self, n: int) -> int:
        return n

    def _draw(self, u: Array, n: int) -> Minibatch:
        xp, p = namespace(u), self._each(n)
        return Minibatch(None, xp.astype(u < xp.asarray(p), xp.float64) * xp.asarray(1 / p / n))

    def _support_size(self, n: int) -> float:
        coins = int((self._each(n) < 1).sum())
        return listed_size(coins * math.log(2), lambda: 2**coins)

    def _enumerate(self, n: int) -> tuple[Minibatch, np.ndarray]:
        p = self._each(n)
        coins = np.flatnonzero(p < 1)
        kept = np.ones((2 ** len(coins), n), dtype=bool)
        kept[:, coins] = _digits(2, len(coins)) == 1
        return Minibatch(None, kept * (1 / p / n)), np.where(kept, p, 1 - p).prod(axis=1)


@dataclass(frozen=True, eq=False)
class WithReplacement(Sampling):
    """τ independent draws of one component, component i with probability q_i and weight 1/(τ n q_i).

    Parameters
    ----------
    tau : int
        Number of draws, at least 1; it may exceed n.
    probabilities : array of float, shape (n,), optional
        The q_i, at least 2**-53, with total 1 up to 1e-9 (made exact here); uniform when left out.

    Raises
    ------
    ValueError
        If `tau` is below 1 or the probabilities are not a distribution.

    References
    ----------
    Needell, Srebro, Ward, Stochastic gradient descent, weighted sampling and the randomized Kaczmarz algorithm,
    NeurIPS 2014; Gower et al., ICML 2019.

    Examples
    --------
    >>> WithReplacement(4).expected_smoothness(np.array([1.0, 5.0]))
    (1.25, 0.75)
    """

    tau: int
    probabilities: np.ndarray | None = None

    keyword = "with-replacement"

    @classmethod
    def from_text(cls, argument: str, problem: Problem) -> WithReplacement:
        """Return uniform draws, ``with-replacement:TAU``, or in proportion to L_i, ``with-replacement:TAU:importance``."""
        form = "with-replacement:TAU or with-replacement:TAU:importance, for example with-replacement:32"
        size, colon, weights = argument.partition(":")
        if not colon:
            return cls(minibatch_size(size, form))
        one_of("weights of with-replacement", weights, ["importance"])
        return importance_sampling(problem.component_smoothness, minibatch_size(size, form))

    def __post_init__(self) -> None:
        object.__setattr__(self, "tau", integer("tau", self.tau, 1))
        if self.probabilities is None:
            return
        q = finite("probabilities", floats("probabilities", self.probabilities))
        if q.ndim != 1 or q.size == 0 or (q <= 0).any() or abs(math.fsum(q) - 1) > _TOTAL:
            raise ValueError(f"probabilities={q} is not accepted: it must be a vector of numbers > 0 that add up to 1")
        object.__setattr__(self, "probabilities", frozen(_resolved(q / math.fsum(q)), copy=False))

    @property
    def name(self) -> str:
        """For example ``32 with replacement``."""
        return f"{self.tau} {'' if self.probabilities is None else 'weighted '}with replacement"

    def check(self, n: int) -> int:
        """Return `n`, refusing a number of components that differs from that of the probabilities."""
        return integer("n", n, 1) if self.probabilities is None else _fitting(self.probabilities, n)

    def expected_size(self, n: int) -> float:
        """Return τ."""
        self.check(n)
        return float(self.tau)

    @property
    def edges(self) -> np.ndarray:
        """Where the unit interval is cut into one piece a component, shape (n - 1,); empty for uniform draws.

        The last component takes whatever lies above the last edge, so no rounding of the sum can lead past it.
        """
        q = np.zeros(0) if self.probabilities is None else self.probabilities
        return np.cumsum(q, dtype=np.longdouble)[:-1].astype(float)

    def _each(self, n: int) -> np.ndarray:
        return np.full(n, 1 / n) if self.probabilities is None else self.probabilities

    def _second_moment(self, n: int) -> tuple[np.ndarray, float]:
        return 1 / (self.tau * n * self._each(n)), 1 - 1 / self.tau

    def _uniforms(self, n: int) -> int:
        return self.tau

    def _draw(self, u: Array, n: int) -> Minibatch:
        xp = namespace(u)
        if self.probabilities is None:
            return Minibatch(xp.astype(xp.floor(u * n), xp.int64), xp.full(u.shape, 1 / self.tau))
        edges = xp.asarray(self.edges)
        index = xp.reshape(xp.searchsorted(edges, xp.reshape(u, (-1,)), side="right"), u.shape)
        return Minibatch(index, xp.asarray(1 / (self.tau * n * self.probabilities))[index])

    def _support_size(self, n: int) -> float:
        return listed_size(self.tau * math.log(n), lambda: n**self.tau)

    def _enumerate(self, n: int) -> tuple[Minibatch, np.ndarray]:
        index, q = _digits(n, self.tau), self._each(n)
        return Minibatch(index, 1 / (self.tau * n * q[index])), q[index].prod(axis=1)


def importance_sampling(problem_smoothness: Array, tau: int) -> WithReplacement:
    """Return τ draws with replacement with probabilities in proportion to the L_i, for which A = mean(L_i)/τ.

    Parameters
    ----------
    problem_smoothness : array, shape (n,)
        The L_i, above zero.
    tau : int
        Number of draws, at least 1.

    Returns
    -------
    WithReplacement
        Of all laws of τ draws with replacement the one with the smallest A.

    Raises
    ------
    ValueError
        If an L_i is not a finite number above zero, or is so small that its component could not be drawn.

    References
    ----------
    Needell, Srebro, Ward, NeurIPS 2014.

    Examples
    --------
    >>> importance_sampling(np.array([1.0, 3.0]), tau=2).expected_smoothness(np.array([1.0, 3.0]))
    (1.0, 0.5)
    """
    L = checked_smoothness("problem_smoothness", problem_smoothness)
    if (L <= 0).any():
        raise ValueError(
            f"problem_smoothness={L.min()} is not accepted: every L_i must be > 0, or its component is never drawn"
        )
    share = L / L.max()
    return WithReplacement(tau, share / math.fsum(share))


def _resolved(p: np.ndarray) -> np.ndarray:
    if (p < RESOLUTION).any():
        raise ValueError(f"probabilities={p.min()} is not accepted: below 2**-53 an event cannot be drawn")
    return p


def _fitting(probabilities: float | np.ndarray, n: int) -> int:
    n = integer("n", n, 1)
    if np.ndim(probabilities) and np.shape(probabilities) != (n,):
        raise ValueError(f"probabilities has length {np.size(probabilities)}, but there are n={n} components")
    return n


def _digits(base: int, count: int) -> np.ndarray:
    places = np.array([base**j for j in range(count)], dtype=np.int64)
    return np.arange(base**count)[:, None] // places % base
