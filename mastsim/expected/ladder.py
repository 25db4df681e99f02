"""The exponential sums of a loss in order of reach: every row takes the shortest that holds where its scalar can be."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mastsim.problems import ExponentialSum, Loss
from mastsim.readonly import ReadOnly

RATIO = 1.1
"""Sums that are made to measure are shared by the rows whose reach lies between two powers of this ratio."""
_LEAST = 0.25
_FARTHEST = 1e12
_ABOVE = 1 + 1e-12


@dataclass(frozen=True, eq=False)
class Ladder(ReadOnly):
    """Sums of a loss, numbered by their reach.

    Parameters
    ----------
    loss : Loss
        The loss.
    accuracy : float
        The largest error of a sum, relative to 1 + reach.
    """

    loss: Loss
    accuracy: float

    @cached_property
    def stored(self) -> tuple[ExponentialSum, ...]:
        """The sums whose reach is their own: beyond them they are made to measure."""
        out: list[ExponentialSum] = []
        reach = _LEAST
        while (found := self.loss.shortest_sum(reach, self.accuracy)) is not None and found.reach > reach:
            out.append(found)
            reach = math.nextafter(found.reach, math.inf)
            if math.isinf(reach):
                break
        return tuple(out)

    @cached_property
    def exists(self) -> bool:
        """Whether the loss is such a sum at all."""
        return self.loss.shortest_sum(1.0, self.accuracy) is not None

    @cached_property
    def _reaches(self) -> np.ndarray:
        return np.array([found.reach for found in self.stored])

    @property
    def _last(self) -> float:
        return float(self._reaches[-1]) if len(self._reaches) else _LEAST

    @cached_property
    def limits(self) -> np.ndarray:
        """The reach of every sum up to one that takes too many exponentials for anything."""
        if not len(self.stored) or math.isfinite(self._last):
            rungs = math.ceil(math.log(_FARTHEST / self._last) / math.log(RATIO))
            return np.append(self._reaches, self._last * RATIO ** np.arange(1, rungs + 1) * _ABOVE)
        return self._reaches

    def find(self, reach: np.ndarray) -> np.ndarray:
        """Return the number of the shortest sum for each reach, shape (n,)."""
        return np.searchsorted(self.limits, reach)

    def __getitem__(self, number: int) -> ExponentialSum:
        """Return one of the sums."""
        if number < len(self.stored):
            return self.stored[number]
        found = self.loss.shortest_sum(float(self.limits[number]), self.accuracy)
        assert found is not None
        return found

    def counts(self, reach: np.ndarray) -> np.ndarray:
        """Return about how many exponentials each reach takes, shape (n,); infinite for losses that are no such sum."""
        if not self.exists:
            return np.full(reach.shape, np.inf)
        stored = np.searchsorted(self._reaches, reach)
        each, beyond = self._stored_counts[stored], stored == len(self._reaches)
        if not beyond.any():
            return each
        near, slope = self._made_to_measure
        return np.where(beyond, near + slope * (reach - self._last - 64), each)

    @cached_property
    def _stored_counts(self) -> np.ndarray:
        """How many exponentials each stored sum has, and 0 for what is beyond them."""
        return np.array([len(found.weights) for found in self.stored] + [0.0])

    @cached_property
    def _made_to_measure(self) -> tuple[int, float]:
        """How many exponentials a sum 64 beyond the stored ones has, and how many more a unit of reach takes."""
        # The number of nodes of rules that are made to measure is affine in the reach.
        near, far = (self.loss.shortest_sum(self._last + more, self.accuracy) for more in (64.0, 1088.0))
        assert near is not None
        assert far is not None
        return len(near.weights), (len(far.weights) - len(near.weights)) / 1024
