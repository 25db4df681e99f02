"""Bounds on the rounding of E ψ(w) and of its slopes for the rows of a generalised linear model, by how they are evaluated.

Two things go wrong. The law of w is computed from rounded terms, which moves w by up to `away` and the expectation by that
times the slope of ψ. And the expectation is a sum of terms, each rounded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mastsim.expected.mixing import Mixed
from mastsim.problems.losses import ExponentialSum, Loss, Pieces
from mastsim.problems.rounding import OPERATIONS
from mastsim.rounding import EPS, summed

_LAW = 14  # roundings that a term takes in the kernels: its phase, its factors, its chances
_CHANCE = 4  # roundings of a chance that is told from its complement


@dataclass(frozen=True, eq=False)
class RowSizes:
    """What the rounding of a row depends on, each of shape (n,).

    Parameters
    ----------
    size : ndarray
        A bound on |w| made of absolute values: nothing in it cancels.
    fixed : ndarray
        The part of it that does not depend on the sketch.
    terms : ndarray
        How many terms the row has.
    away : ndarray
        How far w may be from the truth, whatever the sketch.
    """

    size: np.ndarray
    fixed: np.ndarray
    terms: np.ndarray
    away: np.ndarray

    def at(self, here: np.ndarray) -> RowSizes:
        """Return the sizes of some rows."""
        return RowSizes(self.size[here], self.fixed[here], self.terms[here], self.away[here])

    def added(self) -> RowSizes:
        """Return the sizes where w itself is added up, term by term."""
        return replace(self, away=self.away + summed(self.terms + 2) * self.size)


@dataclass(frozen=True, eq=False)
class RowErrors:
    """Bounds on the error of E ψ(w) and of E[ψ'(w) c], 0 ≤ c ≤ 1, and on the size of the two, each of shape (n,)."""

    value: np.ndarray
    slope: np.ndarray
    level: np.ndarray
    steep: np.ndarray


def no_errors(count: int) -> RowErrors:
    """Return a record of zeros, to be filled in."""
    return RowErrors(*(np.zeros(count) for _ in range(4)))


def write(part: RowErrors, here: np.ndarray, whole: RowErrors) -> None:
    """Write the errors of some rows into the record of all."""
    for name in ("value", "slope", "level", "steep"):
        getattr(whole, name)[here] = getattr(part, name)


def weighed(errors: RowErrors, share: np.ndarray | None) -> RowErrors:
    """Return the errors of rows that are multiplied by weights, the products rounded."""
    if share is None:
        return errors
    value, slope = errors.value + 2 * EPS * errors.level, errors.slope + 2 * EPS * errors.steep
    return RowErrors(*(share * part for part in (value, slope, errors.level, errors.steep)))


def _moved(loss: Loss, rows: RowSizes) -> RowErrors:
    """Return what the rounding of w alone does, and the sizes that |ψ(w)| ≤ |ψ(0)| + |w|·sup|ψ'| gives."""
    zero = np.zeros(len(rows.size))
    bend, steep = max(loss.curvature_max, -loss.curvature_min), loss.steepest(zero, rows.size + rows.away)
    slope = np.multiply(bend, rows.away, out=np.zeros(len(steep)), where=rows.away > 0)
    level = np.minimum(np.abs(loss.psi(zero)) + rows.size * steep, loss.largest)
    return RowErrors(np.minimum(rows.away * steep, 2 * level), np.minimum(slope, 2 * steep), level, steep)


def by_enumeration(loss: Loss, rows: RowSizes) -> RowErrors:
    """Return the errors of a sum over all values of w."""
    rows = rows.added()
    moved, zero = _moved(loss, rows), np.zeros(len(rows.size))
    # The terms of which ψ and ψ' are made: what stands at 0, and twice what may be gained or lost from there on.
    bend = max(loss.curvature_max, -loss.curvature_min)
    bent = np.multiply(bend, rows.size, out=zero.copy(), where=rows.size > 0)
    bent = np.minimum(2 * bent, loss.terms(rows.size, 1) + loss.terms(-rows.size, 1) + moved.steep)
    rounding = summed(_CHANCE * rows.terms + 2 * OPERATIONS + 16)
    return RowErrors(
        moved.value + rounding * (3 * moved.level + np.abs(loss.psi(zero))),
        moved.slope + rounding * (3 * moved.steep + bent),
        moved.level,
        moved.steep,
    )


def by_pieces(loss: Loss, pieces: Pieces, rows: RowSizes, directly: int) -> RowErrors:
    """Return the errors of cumulative moments over half rows, or of direct sums in bounded pieces of short rows.

    Parameters
    ----------
    loss : Loss
        The loss.
    pieces : Pieces
        Its ψ.
    rows : RowSizes
        The rows.
    directly : int
        The largest number of terms of a row whose parabolas are summed directly.
    """
    rows, half = rows.added(), np.exp2(np.ceil(rows.terms / 2))
    ends = np.concatenate([[-np.inf], pieces.knots, [np.inf]])
    value, slope = np.zeros(len(half)), np.zeros(len(half))
    for low, high, (c0, c1, c2) in zip(ends[:-1], ends[1:], np.abs(pieces.coefficients), strict=True):
        inside = max(abs(low), abs(high))
        short = (rows.terms <= directly) & (c2 > 0) & np.isfinite(inside)
        reach = np.where(short, np.minimum(inside, rows.size), rows.size)
        value = np.maximum(value, c0 + c1 * rows.size * (c2 == 0) + np.where(c2 > 0, c1 * reach + 4 * c2 * reach**2, 0.0))
        slope = np.maximum(slope, c1 + 4 * c2 * rows.size)
    moved, rounding = _moved(loss, rows), summed(2 * half + _CHANCE * rows.terms + 16)
    # A sum near a knot may be taken to the wrong side of it, where the pieces differ by the square of the distance.
    return RowErrors(
        moved.value + rounding * value + loss.curvature_max * (rows.away + EPS * rows.size) ** 2,
        moved.slope + rounding * slope + loss.curvature_max * EPS * rows.size,
        moved.level,
        moved.steep,
    )


def _relatively(values: np.ndarray, log: np.ndarray) -> np.ndarray:
    """Return bounds on the errors of positive numbers whose logarithms may be off by `log`."""
    relative = np.where(np.isfinite(values), np.expm1(log), np.inf)
    error = np.where(relative < np.inf, np.nan_to_num(np.abs(values)) * relative * (1 + relative), np.inf)
    return np.asarray(error + np.finfo(float).tiny)


@dataclass(frozen=True, eq=False)
class RuleErrors:
    """What a rule with positive weights adds to the rounding of w, each of shape (n,).

    Parameters
    ----------
    count : ndarray
        How many roundings a weight takes.
    bent : ndarray
        By how much rounding changes a variance besides moving w.
    lever : ndarray
        What errors of E ψ'' are multiplied by in a gradient.
    value, bend : ndarray
        How far the rule's sums of ψ and of ψ'' may be from their expectations, for exact nodes and weights.
    """

    count: np.ndarray
    bent: np.ndarray
    lever: np.ndarray
    value: np.ndarray
    bend: np.ndarray


def by_rule(loss: Loss, found: ExponentialSum, rows: RowSizes, values: np.ndarray, rule: RuleErrors) -> RowErrors:
    """Return the errors of a rule that lists nodes of w and is exact for polynomials.

    Parameters
    ----------
    loss, found, rows, values
        As for `by_exponentials`.
    rule : RuleErrors
        What is known of the rule.
    """
    rows, rounding = rows.added(), summed(rule.count)
    if found.rate != 0:
        # ψ and its derivatives are of one size, and all that is added up is positive.
        log = abs(found.rate) * (2 * rows.away + abs(found.rate) * rule.bent) + rounding
        error = _relatively(values, log)
        return RowErrors(error + rule.value, (1 + rule.lever) * (error + rule.bend), np.abs(values), np.abs(values))
    moved, zero = _moved(loss, rows), np.zeros(len(rows.size))
    weights, t = np.abs(found.weights), np.abs(found.frequencies)
    third, fourth = (float((weights * t**k).sum()) for k in (3, 4))
    bend = max(loss.curvature_max, -loss.curvature_min)
    bent = third * rows.away + fourth * rule.bent + rounding * bend + 256 * EPS
    return RowErrors(
        moved.value + 0.5 * bend * rule.bent + rounding * (3 * moved.level + np.abs(loss.psi(zero))) + rule.value,
        moved.slope + third * rule.bent + rounding * 3 * moved.steep + rule.bend + rule.lever * (bent + rule.bend),
        moved.level,
        moved.steep,
    )


def by_exponentials(
    loss: Loss,
    found: ExponentialSum,
    rows: RowSizes,
    values: np.ndarray,
    log: np.ndarray | None = None,
    mixture: Mixed | None = None,
) -> RowErrors:
    """Return the errors of a sum of exponentials, its own included.

    Parameters
    ----------
    loss : Loss
        The loss.
    found : ExponentialSum
        Its sum.
    rows : RowSizes
        The rows.
    values : ndarray, shape (n,)
        The computed E ψ(w), which is what the error of a single exponential is relative to.
    log : ndarray, shape (n,), optional
        How far the law's rounding moves the logarithm of a single exponential's expectation; 2·|rate|·away by default.
    mixture : Mixed, optional
        The sum over independent laws that stands for the law of the row.
    """
    rounding, phase = summed(_LAW * (rows.terms + 4)), 8 * EPS * rows.size
    if found.rate != 0:
        # The logarithm of the expectation is off by the rounding of w, and by that of what is taken out of every factor.
        law = 2 * abs(found.rate) * rows.away if log is None else log
        error = _relatively(values, law + abs(found.rate) * rounding * rows.size + rounding)
        return RowErrors(error, error, np.abs(values), np.abs(values))
    weights, t, off = np.abs(found.weights), np.abs(found.frequencies), found.errors
    plain, first, second = (float((weights * t**k).sum()) for k in range(3)) if mixture is None else mixture.sizes
    moved, rounding = _moved(loss, rows), rounding + summed(len(weights) / 4)
    # The sizes of mean and deviation: sums over kept terms of one sign are within the reach.
    w = np.minimum(rows.size, 2 * (found.reach + rows.fixed))
    value = abs(found.constant) + abs(found.slope) * w + 2 * abs(found.square) * w**2 + plain
    slope = abs(found.slope) + 4 * abs(found.square) * w + first
    law_value, law_slope = (0.0, 0.0) if mixture is None else (mixture.value, mixture.slope)
    return RowErrors(
        off[0] + law_value + rounding * value + phase * first + moved.value,
        off[1] + law_slope + rounding * slope + phase * second + moved.slope,
        moved.level,
        moved.steep,
    )
