"""Moments of laws that no rotation changes, as sums over pairings.

For S with S = Sᵀ and QᵀSQ distributed as S for every orthogonal Q, E[S_{i1 i2} S_{i3 i4} …] is a combination of products of
Kronecker deltas, one for each way to pair the 2n indices, and the coefficient of a pairing depends only on its type: the
lengths of the cycles that it closes with the pairs {1, 2}, {3, 4}, … of the factors. Put into E[S M₁ S M₂ … S], a pairing is
a word in the matrices times traces of words.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any

import numpy as np

from mastsim.linalg import SparseCurvature, diagonal, transposed
from mastsim.sketches.laws.base import Law, MomentOperators

Pairing = tuple[int, ...]
"""The partner of each index."""
Type = tuple[int, ...]
"""The lengths of the cycles, counted in factors, in decreasing order."""


def pairings(n: int) -> Iterator[Pairing]:
    """Yield all ways to pair the indices 0, …, 2n − 1."""

    def extend(partner: dict[int, int]) -> Iterator[Pairing]:
        left = [i for i in range(2 * n) if i not in partner]
        if not left:
            yield tuple(partner[i] for i in range(2 * n))
            return
        for other in left[1:]:
            yield from extend({**partner, left[0]: other, other: left[0]})

    return extend({})


def cycle_type(first: Pairing, second: Pairing) -> Type:
    """Return half the lengths of the cycles of two pairings of the same indices."""
    left, lengths = set(range(len(first))), []
    while left:
        at, length = min(left), 0
        while at in left:
            left -= {at, first[at]}
            at, length = second[first[at]], length + 1
        lengths.append(length)
    return tuple(sorted(lengths, reverse=True))


@lru_cache
def invariant_coefficients(d: int, traces: tuple[tuple[Type, Fraction], ...]) -> dict[Type, Fraction]:
    """Return the coefficient of each type of pairing from the expected products of traces of powers of S.

    The delta tensor of a pairing of type (a, b, …), contracted with S ⊗ S ⊗ …, is tr(S^a)·tr(S^b)·…; two delta tensors have
    the inner product d^(number of their cycles). So the coefficients solve a linear system, here in exact arithmetic; where
    d is so small that the delta tensors are dependent, any solution will do.
    """
    types, n = [kind for kind, _ in traces], sum(traces[0][0])
    base = tuple(i ^ 1 for i in range(2 * n))
    of_type: dict[Type, Pairing] = {}
    for pairing in pairings(n):
        of_type.setdefault(cycle_type(pairing, base), pairing)
    system = []
    for kind, trace in traces:
        row: Counter[Type] = Counter()
        for pairing in pairings(n):
            row[cycle_type(pairing, base)] += d ** len(cycle_type(pairing, of_type[kind]))
        system.append([*(Fraction(row[other]) for other in types), trace])
    return dict(zip(types, _solve(system), strict=True))


def _solve(rows: list[list[Fraction]]) -> list[Fraction]:
    """Return one solution of a consistent square system [matrix | right side], by elimination."""
    size = len(rows)
    pivots: list[int] = []
    for column in range(size):
        done = len(pivots)
        pivot = next((i for i in range(done, size) if rows[i][column]), None)
        if pivot is None:
            continue
        rows[done], rows[pivot] = rows[pivot], rows[done]
        lead = rows[done][column]
        rows[done] = [entry / lead for entry in rows[done]]
        for i in range(size):
            if i != done and rows[i][column]:
                factor = rows[i][column]
                rows[i] = [x - factor * y for x, y in zip(rows[i], rows[done], strict=True)]
        pivots.append(column)
    solution = [Fraction(0)] * size
    for i, column in enumerate(pivots):
        solution[column] = rows[i][-1]
    return solution


@lru_cache
def words(letters: str) -> dict[tuple[str, tuple[str, ...]], dict[Type, int]]:
    """Return how often each word, times traces of words, stands for a pairing of each type in E[S M₁ S M₂ … S]."""
    n = len(letters) + 1
    base = tuple(i ^ 1 for i in range(2 * n))
    found: dict[tuple[str, tuple[str, ...]], dict[Type, int]] = {}
    for pairing in pairings(n):
        # Matrix number a joins the indices 2a + 1 and 2a + 2; the indices 0 and 2n − 1 are those of the result.
        left = set(range(len(letters)))
        open_word = _walk(letters, pairing, pairing[0], left)
        closed = []
        while left:
            start = 2 * min(left) + 1
            closed.append(_least_turn(_walk(letters, pairing, start, left)))
        counts = found.setdefault((open_word, tuple(sorted(closed))), {})
        kind = cycle_type(pairing, base)
        counts[kind] = counts.get(kind, 0) + 1
    return found


def _walk(letters: str, pairing: Pairing, at: int, left: set[int]) -> str:
    """Return the word of the matrices met from an index on, taking them from `left`, until there is none."""
    word = ""
    while 0 < at < len(pairing) - 1 and (number := (at - 1) // 2) in left:
        left.discard(number)
        forward = at % 2 == 1
        letter = letters[number]
        if letter != "I":
            word += letter if forward or letter == "A" else letter.lower()
        at = pairing[at + 1 if forward else at - 1]
    return word


def _least_turn(word: str) -> str:
    """Return the least of the words with the same trace."""
    back = "".join(c if c == "A" else c.swapcase() for c in reversed(word))
    return min((w[i:] + w[:i] for w in (word, back) for i in range(len(word))), default="")


class InvariantLaw(Law):
    """A law of symmetric S that no rotation changes; subclasses give the coefficients of pairings."""

    @property
    def symmetric(self) -> bool:
        """True."""
        return True

    @abstractmethod
    def coefficients(self, factors: int) -> dict[Type, float]:
        """Return the coefficient of each type of pairing in E[S ⊗ … ⊗ S]."""

    @property
    def L_D(self) -> float:
        """λ_max(E[SᵀS]), the only eigenvalue."""
        c = self.coefficients(2)
        return c[(1, 1)] + (self.dim + 1) * c[(2,)]

    @property
    def mu_D(self) -> float:
        """λ_min(E[SᵀS]), the only eigenvalue."""
        return self.L_D

    def second_moment(self) -> np.ndarray:
        """Return E[SᵀS], a multiple of I, shape (dim, dim)."""
        return self.L_D * np.eye(self.dim)

    def second_times(self, z: np.ndarray) -> np.ndarray:
        """Return E[SᵀS] z, shape (dim,)."""
        return self.L_D * z

    def quadratic_moment(self, A: np.ndarray) -> np.ndarray:
        """Return E[SᵀAS], shape (dim, dim), for any square `A`."""
        return self.contract("M", M=A)

    def sparse_moment(self, H: SparseCurvature) -> SparseCurvature:
        """Return E[SᵀHS] = (c₁₁ + c₂)H + c₂ tr(H)I."""
        c = self.coefficients(2)
        own, trace = c[(1, 1)] + c[(2,)], c[(2,)] * float(H.entries.sum())
        floor = H.floor_times(self.mu_D)
        return H.with_diagonal(own * H.diagonal + trace, [(B, own * s) for B, s in H.pieces], floor)

    def square_times(self, product: np.ndarray, trace: float, z: np.ndarray) -> np.ndarray:
        """Return E[SᵀBS] z for a symmetric B, from Bz and tr B."""
        c = self.coefficients(2)
        return (c[(1, 1)] + c[(2,)]) * product + c[(2,)] * trace * z

    def moment_operators(self, A: np.ndarray) -> MomentOperators:
        """Return the maps M ↦ E[HMH], E[HMS], E[SᵀMS] for H = SᵀAS, in O(dim³)."""
        return PairedOperators(self, A)

    def fourth_moment(self, A: np.ndarray) -> np.ndarray:
        """Return E[SᵀASSᵀAS] for a symmetric `A`, shape (dim, dim)."""
        return self.contract("AIA", A=A)

    def contract(self, letters: str, **matrices: np.ndarray) -> np.ndarray:
        """Return E[S M₁ S M₂ … S] for the matrices that the letters name; "A" is symmetric, "I" the identity."""
        coefficients = self.coefficients(len(letters) + 1)
        named = {**matrices, **{name.lower(): transposed(X) for name, X in matrices.items() if name != "A"}}

        @cache
        def trace(word: str) -> np.ndarray | float:
            if len(word) < 2:
                return diagonal(named[word]).sum(axis=-1) if word else float(self.dim)
            half = len(word) // 2
            left, right = (_polynomial({part: 1.0}, named) for part in (word[:half], word[half:]))
            return np.asarray(np.einsum("...ij,...ji->...", left, right))

        sums: dict[str, Any] = {}
        for (word, traces), counts in words(letters).items():
            weight: Any = sum(count * coefficients[kind] for kind, count in counts.items())
            for closed in traces:
                weight = weight * trace(closed)
            sums[word] = sums.get(word, 0.0) + weight
        level = np.asarray(sums.pop("", 0.0))[..., None, None] * np.eye(self.dim)
        return _polynomial(sums, named) + level


def _polynomial(weights: dict[str, Any], named: dict[str, np.ndarray]) -> np.ndarray:
    """Return a combination of words, none of them empty, by one product for each letter that a word begins with."""
    total = np.zeros(1)
    for letter in sorted({word[0] for word in weights}):
        rest = {word[1:]: weight for word, weight in weights.items() if word[0] == letter}
        total = total + np.asarray(rest.pop("", 0.0))[..., None, None] * named[letter]
        if rest:
            total = total + named[letter] @ _polynomial(rest, named)
    return total


@dataclass(frozen=True, eq=False)
class PairedOperators(MomentOperators):
    """The operators of a law that no rotation changes, by sums over 105, 15 and 3 pairings."""

    law: InvariantLaw

    def curvature2(self, M: np.ndarray) -> np.ndarray:
        """Return E[HMH], shape (dim, dim)."""
        return self.law.contract("AMA", A=self.matrix, M=M)

    def mixed(self, M: np.ndarray) -> np.ndarray:
        """Return E[HMS], shape (dim, dim)."""
        return self.law.contract("AM", A=self.matrix, M=M)

    def plain(self, M: np.ndarray) -> np.ndarray:
        """Return E[SᵀMS], shape (dim, dim)."""
        return self.law.contract("M", M=M)


def types_of(n: int) -> list[Type]:
    """Return the types of pairings of n factors."""
    base = tuple(i ^ 1 for i in range(2 * n))
    return sorted({cycle_type(pairing, base) for pairing in pairings(n)}, key=lambda kind: (len(kind), kind))
