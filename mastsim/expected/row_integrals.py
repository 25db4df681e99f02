"""E ψ(offset_i + a_iᵀSz) for the rows of a linear model, for any law of rows and any loss that is a sum of exponentials.

A loss on a range |w| ≤ U is a parabola plus exponentials, so its expectation needs two moments and a transform. Laws that
list nodes instead of a transform are integrated by these: the rules are exact for polynomials, near to exponentials.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np

from mastsim.expected.base import MOST_WORK, OutOfReachError
from mastsim.expected.ladder import RATIO, Ladder
from mastsim.expected.rounding import (
    RowErrors,
    RowSizes,
    RuleErrors,
    by_enumeration,
    by_exponentials,
    by_rule,
    no_errors,
    weighed,
    write,
)
from mastsim.problems import ExponentialSum, Loss
from mastsim.readonly import ReadOnly
from mastsim.rounding import summed
from mastsim.sketches.laws import RowLaws, RowRounding, RowTotals
from mastsim.sketches.laws.projection import DROPPED

MOST_NODES = 1 << 22
"""The most exponentials that a row may take."""
MOST_ATOMS = 1 << 14
"""The most values of a row that are listed."""
_CHUNK = 1 << 20
_TAIL = 90.0
_NEAR = 2e-16
_COUNTS = tuple(sorted({math.ceil(1.12**i) + 1 for i in range(64)}))


@dataclass(frozen=True, eq=False)
class _Bucket:
    """Rows that share an exponential sum, or that are listed and need none."""

    rows: np.ndarray
    sum: ExponentialSum | None


@dataclass(frozen=True, eq=False)
class RowIntegrals(ReadOnly):
    """The expectations of a loss over the rows.

    Parameters
    ----------
    loss : Loss
        Where ψ comes from.
    laws : RowLaws
        The laws of the rows, signs included.
    offset : ndarray, shape (n,)
        What is added to each row's scalar.
    accuracy : float
        The largest error of an expectation, relative to 1 + reach.
    share : ndarray, shape (n,), optional
        Weights of the rows, by which expectations are multiplied.
    """

    loss: Loss
    laws: RowLaws
    offset: np.ndarray
    accuracy: float
    share: np.ndarray | None = None

    @cached_property
    def _ladder(self) -> Ladder:
        return Ladder(self.loss, self.accuracy)

    @staticmethod
    def refusal(loss: Loss, laws: RowLaws) -> str | None:
        """Say why the expectations cannot be taken, or None when they can."""
        most = float(laws.atoms.max(initial=0.0))
        if most <= MOST_ATOMS or (loss.exponential_sum(1.0) is not None and (laws.has_exponentials or laws.has_nodes)):
            return None
        listed = f"has {most:.3g} values, more than {MOST_ATOMS}" if most < math.inf else "cannot be listed"
        return f"the {loss.name} loss has no exponential sum, and the law of aᵀSz {listed} for the longest row"

    def totals(self, z: np.ndarray, order: int, w: np.ndarray | None = None) -> RowTotals:
        """Return E ψ(offset_i + a_iᵀSz), from order 1 on the gradient of the sum over rows, and its change along `w`."""
        total, laws, psi = (
            RowTotals(np.zeros(len(self.offset)), np.zeros(len(z)), np.zeros(len(z))),
            self.laws,
            self.loss.psi,
        )
        for bucket in self._buckets(z):
            if bucket.sum is None:
                for rows, weight in self._alike(bucket.rows):
                    _add(total, rows, laws.by_nodes(rows, z, self.offset[rows], psi, 0, order, w), weight)
            elif laws.has_exponentials:
                self._add_exponentials(total, bucket.rows, bucket.sum, z, w)
            else:
                for found, _, count in self._by_width(bucket.rows, bucket.sum, z):
                    for rows, weight in self._alike(found):
                        _add(total, rows, laws.by_nodes(rows, z, self.offset[rows], psi, count, order, w), weight)
        return total

    def _alike(self, rows: np.ndarray) -> Iterator[tuple[np.ndarray, float]]:
        """Yield rows of one weight, and it."""
        if self.share is None:
            yield rows, 1.0
            return
        weights, which = np.unique(self.share[rows], return_inverse=True)
        yield from ((rows[which == k], float(weight)) for k, weight in enumerate(weights))

    def size(self, z: np.ndarray) -> np.ndarray:
        """Return bounds on |a_iᵀSz|, zero where there are none, shape (n,)."""
        extreme = self.laws.extreme(z)
        return np.where(np.isfinite(extreme), extreme, 0.0)

    def errors(self, z: np.ndarray, rows: RowSizes) -> RowErrors:
        """Return bounds on the errors of every row's expectation at z, and of its derivatives, rounding included."""
        if self.share is not None:
            return weighed(replace(self, share=None).errors(z, rows), self.share)
        law, values, out = (
            self.laws.rounding(z, rows.size - rows.fixed),
            self.totals(z, 0).values,
            no_errors(len(self.offset)),
        )
        log = self.laws.log_rounding
        for bucket in self._buckets(z):
            here, found = bucket.rows, bucket.sum
            part = rows.at(here)
            moved = replace(part, away=part.away + law.moved[here], terms=law.terms[here])
            if found is None:
                write(by_enumeration(self.loss, moved), here, out)
            elif self.laws.has_exponentials:
                far = log(z, found.rate, law.moved)[here] + 2 * abs(found.rate) * part.away if found.rate else None
                each = by_exponentials(self.loss, found, moved, values[here], far)
                write(self._with_parabola(each, found, part, len(z)), here, out)
            else:
                self._write_rules(out, here, found, z, moved, law, values)
            if found is not None:
                self._add_tails(out, here, found, z)
        return out

    def _with_parabola(self, errors: RowErrors, found: ExponentialSum, rows: RowSizes, dim: int) -> RowErrors:
        """Return errors with the rounding of the parabola, which is summed over all rows and coordinates at once."""
        share = summed(2 * len(self.offset) + 2 * dim + 16) * abs(found.square) * rows.size
        return replace(errors, value=errors.value + 2 * share * rows.size, slope=errors.slope + 4 * share)

    def _write_rules(
        self,
        out: RowErrors,
        rows: np.ndarray,
        found: ExponentialSum,
        z: np.ndarray,
        sizes: RowSizes,
        law: RowRounding,
        values: np.ndarray,
    ) -> None:
        """Write the errors of the rules of a bucket."""
        far = float((np.abs(self.offset) + self.laws.extreme(z))[rows].max(initial=0.0))
        dropped = DROPPED * self._growth(found, max(far, 1.0))
        for here, width, count in self._by_width(rows, found, z):
            value = 2 * found.error + dropped + _distance(found, width, far, count)
            bend = max(found.errors[1:]) + 2 * dropped + sum(_distance(found, width, far, count, order) for order in (1, 2))
            everywhere = np.ones(len(here))
            rule = RuleErrors(
                law.terms[here] + 4 * count, law.bent[here], law.lever[here], value * everywhere, bend * everywhere
            )
            write(by_rule(self.loss, found, sizes.at(np.searchsorted(rows, here)), values[here], rule), here, out)

    def work(self, z: np.ndarray) -> float:
        """Return about how many numbers the expectations of all rows take; infinite where some cannot be taken."""
        try:
            reach = self._reach(z)
            many, nodes = ~self._listed(reach), self._nodes(reach)
            total = float((nodes * self.laws.work)[many].sum()) + float(self.laws.atoms[~many].sum())
            if self.laws.has_exponentials or not many.any() or total > MOST_WORK:
                return total
            rules = [self._by_width(b.rows, b.sum, z) for b in self._buckets(z) if b.sum is not None]
        except OutOfReachError:
            return math.inf
        return float(sum(len(rows) * count**2 for rule in rules for rows, _, count in rule))

    def _listed(self, reach: np.ndarray) -> np.ndarray:
        """Say which rows are listed value by value, shape (n,)."""
        return np.asarray((self.laws.atoms <= MOST_ATOMS) & (self.laws.atoms <= self._nodes(reach)))

    @property
    def _summable(self) -> bool:
        """Whether ψ can be taken as a sum of exponentials."""
        return self.loss.exponential_sum(1.0) is not None and (self.laws.has_exponentials or self.laws.has_nodes)

    def _buckets(self, z: np.ndarray) -> Iterator[_Bucket]:
        """Yield the rows by how they are integrated: listed, or by their reach with the sum that is accurate within it."""
        reach = self._reach(z)
        nodes, few = self._nodes(reach), self._listed(reach)
        if few.any():
            yield _Bucket(np.flatnonzero(few), None)
        many = np.flatnonzero(~few)
        work = float((nodes * self.laws.work)[many].sum())
        if (nodes[many] > MOST_NODES).any() or work > MOST_WORK:
            raise OutOfReachError(
                f"the point is too far out for an exact value of f_D: a row reaches |aᵢᵀ(v + S(x − v))| = "
                f"{reach[many].max():.3g} and takes {nodes[many].max():.3g} exponentials, in all {work:.3g} numbers; "
                f"at most {MOST_NODES} a row, and {MOST_WORK} numbers in all, are accepted"
            )
        number = self._ladder.find(reach[many])
        for k in np.unique(number):
            yield _Bucket(many[number == k], self._ladder[int(k)])

    def _nodes(self, reach: np.ndarray) -> np.ndarray:
        """Return about how many exponentials each reach takes, shape (n,); infinite for losses that are no such sum."""
        return self._ladder.counts(reach) if self._summable else np.full(reach.shape, np.inf)

    def _reach(self, z: np.ndarray) -> np.ndarray:
        """Return a number a row that |offset + X| does not exceed, or only with a chance that does not count."""
        reach = np.abs(self.offset) + self.laws.reach(z)
        if np.isfinite(reach).all():
            return reach
        if not math.isfinite(float(z @ z)):
            raise OutOfReachError("the point is too far out for an exact value of f_D: the square of its length overflows")
        rate, mass = self.laws.tails(z)
        nats = np.full(len(reach), _TAIL)
        for _ in range(2):
            far = np.abs(self.offset) + ((mass + nats[:, None]) / rate).min(axis=1)
            nats = _TAIL + 2 * np.log(np.maximum(far, 1.0))
        return np.where(np.isfinite(reach), reach, far)

    def _add_tails(self, out: RowErrors, rows: np.ndarray, found: ExponentialSum, z: np.ndarray) -> None:
        """Add what happens beyond the reach of a sum to the errors of some rows."""
        # It is E|ψ(w) − sum(w)|·1[|w| > U], where both are at most quadratic, and w² ≤ U²e^{τ(|w| − U)} for |w| > U and
        # τ ≥ 2/U. By Cauchy and Schwarz the derivatives are that of |ψ' − sum'|² under a root.
        far = rows[np.isinf(self.laws.reach(z)[rows])]
        if not len(far) or math.isinf(found.reach):
            return
        U, (rate, mass) = found.reach, (part[far] for part in self.laws.tails(z))
        exponent = mass - rate * (U - np.abs(self.offset[far])[:, None])
        least = np.where(rate * U >= 2, exponent, np.inf).min(axis=1)
        growth = self._growth(found, U)
        out.value[far] += growth * np.exp(least)
        steps = float((np.abs(found.weights) * found.frequencies).sum())
        out.slope[far] += (2 * growth + steps) * np.exp(least / 2)

    def _growth(self, found: ExponentialSum, far: float) -> float:
        """Return c₀ + c₁·far + c₂·far², where |ψ(w) − sum(w)| ≤ c₀ + c₁|w| + c₂w² for all w if the sum has no real rate."""
        loss = self.loss
        start, slope = (abs(float(loss.psi(np.zeros(1), order)[0])) for order in (0, 1))
        bend = max(abs(loss.curvature_max), abs(loss.curvature_min)) / 2
        if found.rate:
            return float(np.abs(found.weights).sum()) * math.exp(min(abs(found.rate) * far, 700.0))
        level = start + abs(found.constant) + float(np.abs(found.weights).sum())
        return level + (slope + abs(found.slope)) * far + (bend + abs(found.square)) * far**2

    def _by_width(self, bucket: np.ndarray, found: ExponentialSum, z: np.ndarray) -> list[tuple[np.ndarray, float, int]]:
        """Return rows by half the length of the interval that their scalars keep to, and the order of a rule for it."""
        widths = self.laws.half_width(z)[bucket]
        level = np.ceil(np.log(np.maximum(widths, 1e-3)) / math.log(RATIO))
        each = [(bucket[level == k], RATIO ** float(k)) for k in np.unique(level)]
        rules = [(rows, width, _count(found, width)) for rows, width in each]
        if (work := sum(len(rows) * count**2 for rows, _, count in rules)) > MOST_WORK:
            raise OutOfReachError(
                f"the point is too far out for an exact value of f_D: aᵢᵀS(x − v) varies by {2 * float(widths.max()):.3g}, "
                f"and its rules take {work:.3g} nodes in all, more than {MOST_WORK}"
            )
        return rules

    def _add_exponentials(
        self, total: RowTotals, bucket: np.ndarray, found: ExponentialSum, z: np.ndarray, w: np.ndarray | None
    ) -> None:
        """Add the parabola, from two moments, and the exponentials, from the transform."""
        laws, width = self.laws, float(self.laws.work[bucket].max())
        share = np.ones(len(self.offset)) if self.share is None else self.share
        exponents = found.rate + 1j * found.frequencies
        for piece in np.array_split(np.arange(len(exponents)), math.ceil(len(exponents) * width / _CHUNK) or 1):
            if not len(piece):
                continue
            s = exponents[piece]
            for rows in np.array_split(bucket, min(len(bucket), math.ceil(len(bucket) * len(s) * width / _CHUNK))):
                weights = share[rows, None] * found.weights[piece] * np.exp(np.outer(self.offset[rows], s))
                _add(total, rows, laws.by_exponentials(rows, z, s, weights, w))
        mine = np.zeros(len(self.offset))
        mine[bucket] = share[bucket]
        offset, mean = self.offset, laws.A @ laws.mean_times(z)
        squares = laws.square(found.square * mine, z)
        total.values[:] += mine * (
            found.constant + found.slope * (offset + mean) + found.square * offset * (offset + 2 * mean)
        )
        total.values[bucket[:1]] += float(z @ squares)
        total.gradient[:] += laws.mean_times(laws.A.T @ (mine * (found.slope + 2 * found.square * offset))) + 2 * squares
        if w is not None:
            total.product[:] += 2 * laws.square(found.square * mine, w)


def _add(total: RowTotals, rows: np.ndarray, part: RowTotals, weight: float = 1.0) -> None:
    """Add what some rows give."""
    total.values[rows] += weight * part.values
    total.gradient[:] += weight * part.gradient
    total.product[:] += weight * part.product


@lru_cache(maxsize=512)
def _count(found: ExponentialSum, width: float) -> int:
    """Return the order of a rule that integrates a sum of exponentials to rounding over an interval of half this width."""
    for count in _COUNTS:
        if _distance(found, width, 0.0, count) <= _NEAR * max(1.0, float(np.abs(found.weights).sum())):
            return count
    raise OutOfReachError(
        f"the point is too far out for an exact value of f_D: aᵢᵀS(x − v) varies by {2 * width:.3g}, which takes more than "
        f"{_COUNTS[-1]}² nodes a row"
    )


def _distance(found: ExponentialSum, width: float, farthest: float, count: int, order: int = 0) -> float:
    """Return a bound on the error of a rule with positive weights that is exact for polynomials of degree 2·count − 1."""
    # It is twice the distance of the function from such polynomials; derivatives come with factors that take up to two of
    # these degrees. For e^{sx} on |x| ≤ R its Chebyshev expansion beyond the degree m is at most 2Σ_{j>m} I_j(|s|R), and
    # I_j(y) ≤ (y/2)^j/j!·e^{(y/2)²/(j + 1)}, without the last factor for imaginary s.
    if len(found.weights) == 0:
        return 0.0
    s = found.rate + 1j * found.frequencies
    half, m = np.abs(s) * width / 2, 2 * count - (2 if order else 0)
    with np.errstate(divide="ignore", over="ignore"):
        log_first = m * np.log(half) - math.lgamma(m + 1) + (half**2 / (m + 1) if found.rate else 0.0)
        rest = np.where(half < m + 1, 1 / (1 - half / (m + 1)), np.inf)
        each = 2 * np.minimum(np.exp(np.minimum(log_first, 700.0)) * rest, np.inf if found.rate else 0.5)
    each = np.where(half == 0, 0.0, each)
    return 2 * float(np.abs(found.weights * s**order) @ each) * math.exp(min(abs(found.rate) * farthest, 700.0))
