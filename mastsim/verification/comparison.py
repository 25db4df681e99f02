"""What was measured beside what is claimed, both with their errors: confirmed, refuted, or too close to tell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mastsim.verification.tolerances import ROUNDING
from mastsim.verification.verdict import Outcome, Reason


@dataclass(frozen=True)
class Measured:
    """Numbers known up to an error.

    Parameters
    ----------
    low, value, high : ndarray, all of one shape
        What the number is at least, as computed, and at most; infinite where a computation overflowed.
    """

    low: np.ndarray
    value: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, value: np.ndarray, error: np.ndarray) -> Measured:
        """Return numbers at least 0 that are off by at most their errors."""
        with np.errstate(invalid="ignore", over="ignore"):
            known = np.where(np.isfinite(value), error, 0.0)
            return cls(np.maximum(value - known, 0.0), value, value + known)

    @classmethod
    def stack(cls, parts: list[Measured]) -> Measured:
        """Return several rows as one table."""
        return cls(*(np.array([getattr(part, name) for part in parts]) for name in ("low", "value", "high")))


@dataclass(frozen=True)
class Comparison:
    """What a comparison of measured with claimed numbers says.

    Parameters
    ----------
    outcome : {"holds", "refuted", "inconclusive"}
        The decision.
    reason : str
        Why it is inconclusive; empty otherwise.
    ratio : float
        The largest left/right among the points that decide, left/floor where what was measured is below the floor and the
        bound further below; NaN where a side could not be computed.
    where : int
        The place of that ratio, counted through the flattened tables.
    decided : ndarray of bool
        The points that the outcome speaks of.
    limit : str
        By what the points were limited, in words; empty where all are decided.
    """

    outcome: Outcome
    reason: Reason
    ratio: float
    where: int
    decided: np.ndarray
    limit: str


_LIMITS = {1.0: "where the bound exceeds rounding", ROUNDING: "where rounding is below 1e-9 of the bound"}


def compare(left: Measured, right: np.ndarray, lenient: np.ndarray, floor: np.ndarray | float = 0.0) -> Comparison:
    """Compare what was measured with a bound, and with the bound that errors of constants leave in doubt.

    One point at which even the lower end of what was measured exceeds the lenient bound refutes. The claim is confirmed by
    points at which the upper end is within 1e-9 of the bound as it stands. Points whose error exceeds the bound say nothing
    and are left out, which depends on the errors, not on what was measured; if some of the others are in doubt, the same is
    tried with those points alone at which rounding does not matter. A point that is certainly above the bound as it stands,
    though not above the lenient one, is never left out.
    """
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        error = np.where(np.isfinite(left.value), left.high - left.value, 0.0)
        unknown = np.isnan(left.value) | np.isnan(right) | (np.isinf(left.value) & np.isinf(right))
        against = np.where(left.high <= floor, np.maximum(right, floor), np.maximum(right, 0.0))
        ratios = np.where(left.value == 0, np.where(right >= 0, 0.0, np.inf), left.value / against)
        ratios = np.where(unknown, np.nan, ratios)
        refuted = ~unknown & (left.low > np.maximum(lenient, 0.0) * (1 + ROUNDING))
        confirmed = ~unknown & ((left.high <= right * (1 + ROUNDING)) | (left.high <= floor))
        exceeded = ~unknown & (left.low > np.maximum(right, 0.0) * (1 + ROUNDING))
    if refuted.any():
        return _compared("refuted", "", ratios, refuted, "")
    if unknown.any():
        return _compared("inconclusive", "not a number", ratios, unknown, "")
    if exceeded.any():
        return _compared("inconclusive", "rounding", ratios, exceeded, "")
    for share, words in _LIMITS.items():
        clear = (error <= share * right) | (left.high <= floor)
        if clear.any() and confirmed[clear].all():
            return _compared("holds", "", ratios, clear, "" if clear.all() else words)
    return _compared("inconclusive", "rounding", ratios, ~confirmed, "")


def _compared(outcome: Outcome, reason: Reason, ratios: np.ndarray, among: np.ndarray, limit: str) -> Comparison:
    where = int(np.argmax(np.where(among, np.where(np.isnan(ratios), np.inf, ratios), -np.inf)))
    return Comparison(outcome, reason, float(ratios.flat[where]), where, among, limit)
