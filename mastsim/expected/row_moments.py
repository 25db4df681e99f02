"""E w and E w² for the scalar w of every row, with their derivatives: the polynomial part of a loss."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

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

    @cached_property
    def mean(self) -> np.ndarray:
        """E w, shape (n,)."""
        return self.layout.offset + self.layout.row_sum(self.layout.keep * self.theta)

    @cached_property
    def _slope(self) -> np.ndarray:
        return self._variance_slope(self.theta)

    def expectation(self, slope: np.ndarray, square: np.ndarray) -> np.ndarray:
        """Return slope·E w + square·E w², shape (n,)."""
        variance = 0.5 * self.layout.row_sum(self.theta * self._slope)
        return slope * self.mean + square * (self.mean**2 + variance)

    def derivative(self, slope: np.ndarray, square: np.ndarray) -> np.ndarray:
        """Return the derivative of the expectation in each θ, shape (terms,)."""
        row, of_mean = self.layout.row, slope + 2 * square * self.mean
        return of_mean[row] * self.layout.keep + square[row] * self._slope

    def directional(self, square: np.ndarray, delta: np.ndarray) -> np.ndarray:
        """Return the derivative of `derivative` along `delta`, shape (terms,)."""
        row, along = self.layout.row, 2 * square * self.layout.row_sum(self.layout.keep * delta)
        return along[row] * self.layout.keep + square[row] * self._variance_slope(delta)

    def _variance_slope(self, theta: np.ndarray) -> np.ndarray:
        own, shared = self.layout.variance_slope
        if self.layout.independent:
            return own * theta
        total = np.bincount(self.layout.segment, weights=theta, minlength=len(self.layout.members))
        return own * theta - shared * total[self.layout.segment]
