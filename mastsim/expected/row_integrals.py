"""E ψ(offset_i + a_iᵀSz) for the rows of a linear model, for any law of rows and any loss that is a sum of exponentials.

A loss on a range |w| ≤ U is a parabola plus exponentials, so its expectation needs two moments and a transform. Laws that
list nodes instead of a transform are integrated by these: the rules are exact for polynomials, near to exponentials.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mastsim.problems import ExponentialSum, Loss
from mastsim.sketches.laws import RowLaws, RowTotals
from mastsim.sketches.laws.projection import DROPPED

REACH_RATIO = 1.1
"""Exponential sums are shared by the rows whose reach lies between two powers of this ratio."""
MOST_NODES = 1 << 22
"""The most exponentials that a row may take."""
_CHUNK = 1 << 20
_TAIL = 45.0
_NEAR = 2e-16
_COUNTS = tuple(sorted({math.ceil(1.12**i) + 1 for i in range(64)}))


@dataclass(frozen=True, eq=False)
class _Bucket:
    """Rows that share an exponential sum."""

    rows: np.ndarray
    sum: ExponentialSum

    @property
    def exponents(self) -> np.ndarray:
        return self.sum.rate + 1j * self.sum.step * np.arange(len(self.sum.weights))


@dataclass(frozen=True, eq=False)
class RowIntegrals:
    """The expectations of a loss over the rows.

    Parameters
    ----------
    loss : Loss
        Where ψ comes from.
    laws : RowLaws
        The laws of the rows, signs included.
    offset : ndarray, shape (n,)
        What is added to each row's scalar.
    """

    loss: Loss
    laws: RowLaws
    offset: np.ndarray

    @staticmethod
    def refusal(loss: Loss, laws: RowLaws) -> str | None:
        """Say why the expectations cannot be taken, or None when they can."""
        if loss.exponential_sum(1.0) is not None and (laws.has_exponentials or laws.has_nodes):
            return None
        if laws.has_nodes and laws.nodes_are_all:
            return None
        return f"the {loss.name} loss has no exponential sum, and the law of aᵀSz cannot be listed for the longest row"

    def totals(self, z: np.ndarray, order: int, w: np.ndarray | None = None) -> RowTotals:
        """Return E ψ(offset_i + a_iᵀSz), from order 1 on the gradient of the sum over rows, and its change along `w`."""
        total = RowTotals(np.zeros(len(self.offset)), np.zeros(len(z)), np.zeros(len(z)))
        if not self._by_sums:
            return self.laws.by_nodes(np.arange(len(self.offset)), z, self.offset, self.loss.psi, 0, order, w)
        for bucket in self._buckets(z):
            if self.laws.has_exponentials:
                self._add_exponentials(total, bucket, z, w)
                continue
            for rows, width in self._by_width(bucket, z):
                count = _count(bucket.sum, width)
                _add(total, rows, self.laws.by_nodes(rows, z, self.offset[rows], self.loss.psi, count, order, w))
        return total

    def error(self, z: np.ndarray) -> float:
        """Return a bound on the error of every row's expectation at z, rounding left aside."""
        return max((self._error(bucket, z) for bucket in self._buckets(z)), default=0.0) if self._by_sums else 0.0

    @property
    def _by_sums(self) -> bool:
        """Whether ψ is taken as a sum of exponentials."""
        return self.loss.exponential_sum(1.0) is not None

    def _buckets(self, z: np.ndarray) -> Iterator[_Bucket]:
        """Yield the rows by their reach, each with the sum that is accurate within it."""
        first = self.loss.exponential_sum(1.0)
        assert first is not None
        if math.isinf(first.reach):
            yield _Bucket(np.arange(len(self.offset)), first)
            return
        level = np.ceil(np.log(np.maximum(self._reach(z), 1.0)) / math.log(REACH_RATIO))
        for k in np.unique(level):
            far = REACH_RATIO ** float(k)
            # The number of exponentials grows with the reach, so that a tenth of it says whether there are too many.
            found = self.loss.exponential_sum(far) if far < MOST_NODES else None
            if found is None:
                raise ValueError(
                    f"the point is too far out for an exact value of f_D: a row reaches |aᵢᵀ(v + S(x − v))| = {far:.3g}, "
                    f"and at most {MOST_NODES} is accepted"
                )
            yield _Bucket(np.flatnonzero(level == k), found)

    def _reach(self, z: np.ndarray) -> np.ndarray:
        """Return a number a row that |offset + X| does not exceed, or only with a chance that does not count."""
        reach = np.abs(self.offset) + self.laws.reach(z)
        if np.isfinite(reach).all():
            return reach
        rate, mass = self.laws.tails(z)
        nats = np.full(len(reach), _TAIL)
        for _ in range(2):
            far = np.abs(self.offset) + ((mass + nats[:, None]) / rate).min(axis=1)
            nats = _TAIL + 2 * np.log(np.maximum(far, 1.0))
        return np.where(np.isfinite(reach), reach, far)

    def _error(self, bucket: _Bucket, z: np.ndarray) -> float:
        """Return a bound on the error of the rows of a bucket."""
        error = bucket.sum.error
        if not self.laws.has_exponentials:
            far = float((np.abs(self.offset) + self.laws.extreme(z))[bucket.rows].max(initial=0.0))
            error = 2 * error + DROPPED * self._growth(bucket.sum, far)
            widths = {width for _, width in self._by_width(bucket, z)}
            error += max((_distance(bucket.sum, width, far, _count(bucket.sum, width)) for width in widths), default=0.0)
        unbounded = bucket.rows[np.isinf(self.laws.reach(z)[bucket.rows])]
        if len(unbounded) and math.isfinite(bucket.sum.reach):
            error += self._beyond(bucket.sum, unbounded, z)
        return error

    def _beyond(self, found: ExponentialSum, rows: np.ndarray, z: np.ndarray) -> float:
        """Return a bound on E|ψ(w) − sum(w)|·1[|w| > U] for some rows, U the reach of the sum.

        Both are at most quadratic, and for |w| > U and τ ≥ 2/U, w² ≤ U²e^{τ(|w| − U)}.
        """
        U, (rate, mass) = found.reach, (part[rows] for part in self.laws.tails(z))
        exponent = mass - rate * (U - np.abs(self.offset[rows])[:, None])
        return self._growth(found, U) * float(np.exp(np.where(rate * U >= 2, exponent, np.inf).min(axis=1).max()))

    def _growth(self, found: ExponentialSum, far: float) -> float:
        """Return c₀ + c₁·far + c₂·far², where |ψ(w) − sum(w)| ≤ c₀ + c₁|w| + c₂w² for all w if the sum has no real rate."""
        loss = self.loss
        start, slope = (abs(float(loss.psi(np.zeros(1), order)[0])) for order in (0, 1))
        bend = max(abs(loss.curvature_max), abs(loss.curvature_min)) / 2
        if found.rate:
            return float(np.abs(found.weights).sum()) * math.exp(min(abs(found.rate) * far, 700.0))
        level = start + abs(found.constant) + float(np.abs(found.weights).sum())
        return level + (slope + abs(found.slope)) * far + (bend + abs(found.square)) * far**2

    def _by_width(self, bucket: _Bucket, z: np.ndarray) -> list[tuple[np.ndarray, float]]:
        """Return the rows of a bucket by half the length of the interval that their scalars keep to, rounded up."""
        widths = self.laws.half_width(z)[bucket.rows]
        level = np.ceil(np.log(np.maximum(widths, 1e-3)) / math.log(REACH_RATIO))
        return [(bucket.rows[level == k], REACH_RATIO ** float(k)) for k in np.unique(level)]

    def _add_exponentials(self, total: RowTotals, bucket: _Bucket, z: np.ndarray, w: np.ndarray | None) -> None:
        """Add the parabola, from two moments, and the exponentials, from the transform."""
        found, s, laws = bucket.sum, bucket.exponents, self.laws
        pieces = max(1, len(bucket.rows) * len(s) // _CHUNK)
        for rows in np.array_split(bucket.rows, min(pieces, max(len(bucket.rows), 1))) if len(s) else ():
            weights = found.weights * np.exp(np.outer(self.offset[rows], s))
            _add(total, rows, laws.by_exponentials(rows, z, s, weights, w))
        mine = np.zeros(len(self.offset))
        mine[bucket.rows] = 1.0
        offset, mean = mine * self.offset, mine * (laws.A @ laws.mean_times(z))
        squares = laws.square(found.square * mine, z)
        total.values[:] += (
            found.constant * mine + found.slope * (offset + mean) + found.square * offset * (offset + 2 * mean)
        )
        total.values[bucket.rows[:1]] += float(z @ squares)
        total.gradient[:] += laws.mean_times(laws.A.T @ (mine * found.slope + 2 * found.square * offset)) + 2 * squares
        if w is not None:
            total.product[:] += 2 * laws.square(found.square * mine, w)


def _add(total: RowTotals, rows: np.ndarray, part: RowTotals) -> None:
    """Add what some rows give."""
    total.values[rows] += part.values
    total.gradient[:] += part.gradient
    total.product[:] += part.product


@lru_cache(maxsize=512)
def _count(found: ExponentialSum, width: float) -> int:
    """Return the order of a rule that integrates a sum of exponentials to rounding over an interval of half this width."""
    for count in _COUNTS:
        if _distance(found, width, 0.0, count) <= _NEAR * max(1.0, float(np.abs(found.weights).sum())):
            return count
    raise ValueError(
        f"the point is too far out for an exact value of f_D: aᵢᵀS(x − v) varies by {2 * width:.3g}, which takes more than "
        f"{_COUNTS[-1]}² nodes a row"
    )


def _distance(found: ExponentialSum, width: float, farthest: float, count: int) -> float:
    """Return a bound on the error of a rule with positive weights that is exact for polynomials of degree 2·count − 1.

    It is twice the distance of the function from such polynomials. For e^{sx} on |x| ≤ R its Chebyshev expansion beyond the
    degree m is at most 2Σ_{j>m} I_j(|s|R), and I_j(y) ≤ (y/2)^j/j!·e^{(y/2)²/(j + 1)}, without the last factor for
    imaginary s.
    """
    if len(found.weights) == 0:
        return 0.0
    s = found.rate + 1j * found.step * np.arange(len(found.weights))
    half, m = np.abs(s) * width / 2, 2 * count
    with np.errstate(divide="ignore", over="ignore"):
        log_first = m * np.log(half) - math.lgamma(m + 1) + (half**2 / (m + 1) if found.rate else 0.0)
        rest = np.where(half < m + 1, 1 / (1 - half / (m + 1)), np.inf)
        each = 2 * np.minimum(np.exp(np.minimum(log_first, 700.0)) * rest, np.inf if found.rate else 0.5)
    each = np.where(half == 0, 0.0, each)
    return 2 * float(np.abs(found.weights) @ each) * math.exp(min(abs(found.rate) * farthest, 700.0))
