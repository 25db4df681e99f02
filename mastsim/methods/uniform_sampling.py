"""Samplings in which all components are alike: all of them, and a uniform subset."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from mastsim.backend import Array, namespace, put
from mastsim.methods.minibatch import Minibatch, Sampling
from mastsim.validation import integer

if TYPE_CHECKING:
    from mastsim.problems import Problem


@dataclass(frozen=True)
class FullBatch(Sampling):
    """All components, each with weight 1/n: the gradient itself.

    Examples
    --------
    >>> FullBatch().expected_smoothness(np.array([1.0, 5.0]))
    (0.0, 1.0)
    """

    keyword = "full"

    @classmethod
    def from_text(cls, argument: str, problem: Problem) -> FullBatch:
        """Return the full batch; it takes no argument."""
        if argument:
            raise ValueError(f"sampling 'full:{argument}' is not accepted: full takes no argument")
        return cls()

    @property
    def name(self) -> str:
        """The words ``full batch``."""
        return "full batch"

    def expected_size(self, n: int) -> float:
        """Return n."""
        return float(self.check(n))

    def _second_moment(self, n: int) -> tuple[np.ndarray, float]:
        return np.zeros(n), 1.0

    def _uniforms(self, n: int) -> int:
        return 0

    def _draw(self, u: Array, n: int) -> Minibatch:
        return Minibatch(None, namespace(u).full((u.shape[0], n), 1 / n))

    def _support_size(self, n: int) -> float:
        return 1.0

    def _enumerate(self, n: int) -> tuple[Minibatch, np.ndarray]:
        return Minibatch(None, np.full((1, n), 1 / n)), np.ones(1)


@dataclass(frozen=True)
class Nice(Sampling):
    """τ-nice sampling: a uniform subset of τ components, without replacement.

    Parameters
    ----------
    tau : int
        Size of the subset, from 1 to n.

    Raises
    ------
    ValueError
        If `tau` is below 1.

    References
    ----------
    Gower et al., ICML 2019, Section 3; drawn with Floyd's algorithm, Bentley, Floyd, Comm. ACM 30 (1987).

    Examples
    --------
    >>> Nice(32).name, Nice(1).expected_smoothness(np.array([1.0, 5.0]))
    ('32-nice', (5.0, 0.0))
    """

    tau: int

    keyword = "nice"

    @classmethod
    def from_text(cls, argument: str, problem: Problem) -> Nice:
        """Return the sampling that ``nice:TAU`` names."""
        return cls(minibatch_size(argument, "nice:TAU, for example nice:32"))

    def __post_init__(self) -> None:
        object.__setattr__(self, "tau", integer("tau", self.tau, 1))

    @property
    def name(self) -> str:
        """For example ``32-nice``."""
        return f"{self.tau}-nice"

    def check(self, n: int) -> int:
        """Return `n`, refusing fewer than τ components."""
        if self.tau > integer("n", n, 1):
            raise ValueError(f"minibatch tau={self.tau} is not accepted: a subset of n={n} components needs 1 <= tau <= {n}")
        return int(n)

    def expected_size(self, n: int) -> float:
        """Return τ."""
        self.check(n)
        return float(self.tau)

    def _second_moment(self, n: int) -> tuple[np.ndarray, float]:
        if n == 1:
            return np.zeros(1), 1.0
        pairs = self.tau * (n - 1)
        return np.full(n, (n - self.tau) / pairs), n * (self.tau - 1) / pairs

    def _uniforms(self, n: int) -> int:
        return self.tau

    def _draw(self, u: Array, n: int) -> Minibatch:
        return Minibatch(_floyd(u, n), namespace(u).full(u.shape, 1 / self.tau))

    def _support_size(self, n: int) -> float:
        log = math.lgamma(n + 1) - math.lgamma(self.tau + 1) - math.lgamma(n - self.tau + 1)
        return listed_size(log, lambda: math.comb(n, self.tau))

    def _enumerate(self, n: int) -> tuple[Minibatch, np.ndarray]:
        subsets = np.array(list(combinations(range(n), self.tau)))
        return Minibatch(subsets, np.full(subsets.shape, 1 / self.tau)), np.full(len(subsets), 1 / len(subsets))


def _floyd(u: Array, n: int) -> Array:
    xp = namespace(u)
    replicas, tau = u.shape
    index = xp.zeros((replicas, tau), dtype=xp.int64)
    # A table of n flags a replica costs n, comparing with all earlier picks costs tau²/2: whichever is less.
    rows, table = xp.arange(replicas), xp.zeros((replicas, n if tau * tau > n else 0), dtype=xp.bool)
    for i, last in enumerate(range(n - tau, n)):
        pick = xp.astype(xp.floor(u[:, i] * (last + 1)), xp.int64)
        taken = table[rows, pick] if table.shape[1] else xp.any(index[:, :i] == pick[:, None], axis=1)
        index[:, i] = pick = xp.where(taken, last, pick)
        if table.shape[1]:
            table = put(table, rows[:, None], pick[:, None], True)
    return index


def listed_size(log: float, exact: Callable[[], int]) -> float:
    """Return a number of values, given its logarithm; infinite where it leaves the range of floats."""
    return float(exact()) if log < 700 else math.inf


def minibatch_size(text: str, form: str) -> int:
    """Return the size of a minibatch that a text spells."""
    if not re.fullmatch("[+-]?[0-9]{1,100}", text.strip()):
        raise ValueError(f"tau={text!r} is not accepted: it must be a whole number; write {form}")
    return int(text)
