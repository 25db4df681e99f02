"""E w and E w² for the scalar w of every row, with their derivatives: the polynomial part of a loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mastsim.expected.layout import RowLayout


@dataclass(frozen=True, eq=False)
class RowMoments:
    """First and second moment of w_i = offset_i + Σ θ_e·[kept] for every row.

    Parameters
    ----------
    layout : RowLayout
        The rows.
    theta : ndarray, shape (terms,)
        The value of each term.
    """

    layout: RowLayout
    theta: np.ndarray

    def _row_sum(self, per_term: np.ndarray) -> np.ndarray:
        return np.bincount(self.layout.row, weights=per_term, minlength=len(self.layout.offset))

    @property
    def mean(self) -> np.ndarray:
        """E w, shape (n,)."""
        return self.layout.offset + self._row_sum(self.layout.keep * self.theta)

    def expectation(self, slope: np.ndarray, square: np.ndarray) -> np.ndarray:
        """Return slope·E w + square·E w², shape (n,)."""
        mean = self.mean
        variance = 0.5 * self._row_sum(self.theta * self._variance_slope(self.theta))
        return slope * mean + square * (mean**2 + variance)

    def derivative(self, slope: np.ndarray, square: np.ndarray) -> np.ndarray:
        """Return the derivative of the expectation in each θ, shape (terms,)."""
        keep = self.layout.keep
        return slope * keep + square * (2 * self.mean[self.layout.row] * keep + self._variance_slope(self.theta))

    def directional(self, square: np.ndarray, delta: np.ndarray) -> np.ndarray:
        """Return the derivative of `derivative` along `delta`, shape (terms,)."""
        keep = self.layout.keep
        along = self._row_sum(keep * delta)
        return square * (2 * along[self.layout.row] * keep + self._variance_slope(delta))

    def _variance_slope(self, theta: np.ndarray) -> np.ndarray:
        # Var is a quadratic form in θ; this is its gradient: 2p(1−p)(Mθ_e − Σ_segment θ)/(M−1), or 2p(1−p)θ_e when M = 1.
        layout, segment = self.layout, self.layout.segment
        total = np.bincount(segment, weights=theta, minlength=len(layout.members))[segment]
        members = layout.members[segment]
        spread = np.where(members > 1, (members * theta - total) / np.maximum(members - 1, 1), theta)
        return 2 * layout.keep * (1 - layout.keep) * spread
