"""Rows whose terms are single entries, evaluated straight from the data where their scalars stay within the stored sums."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mastsim.expected.columns import Totals, pairs, totals_with_slope
from mastsim.expected.ladder import Ladder
from mastsim.expected.layout import RowLayout
from mastsim.expected.mixing import Mixed
from mastsim.expected.transforms.entry_law import Data, Found, Pairs, Pieces, add_up, make_room
from mastsim.expected.transforms.series import make_series
from mastsim.parallel import run_shares
from mastsim.readonly import ReadOnly

# The terms of a piece are to stay in the second cache; tasks add up into gradients of their own.
_PIECE = 1 << 16
_SMALL_PIECE = 1 << 13
_MOST_TASKS = 8
_SMALL = 300_000


@dataclass(frozen=True, eq=False)
class EntryRows(ReadOnly, copy=False):
    """The expectations of a loss over rows whose terms are single entries.

    Parameters
    ----------
    layout : RowLayout
        The rows.
    ladder : Ladder
        The sums of the loss.
    accuracy : float
        The largest error that a mixture may add, relative to 1 + reach.
    """

    layout: RowLayout
    ladder: Ladder
    accuracy: float

    @staticmethod
    def applies(layout: RowLayout) -> bool:
        """Say whether terms are single entries, in one group or on their own."""
        return len(layout.term) == len(layout.row) > 0 and (layout.independent or layout.one_group is not None)

    @cached_property
    def _turns(self) -> np.ndarray:
        """The rows by length: those that are evaluated side by side take as long as the longest."""
        return np.argsort(np.diff(self.layout.start), kind="stable")

    @cached_property
    def _data(self) -> Data:
        layout, turns = self.layout, self._turns
        place = np.empty(len(turns), dtype=np.int64)
        place[turns] = np.arange(len(turns))
        row = layout.row[layout.term]
        entry = np.lexsort((layout.term, place[row]))
        indptr = np.cumsum([0, *np.diff(layout.start)[turns]])
        prob = layout.keep[layout.term[entry]] if layout.independent else np.ones(len(entry))
        column = layout.column[entry].astype(np.int32)
        return Data(indptr, column, layout.coefficient[entry], layout.offset[turns], prob)

    @cached_property
    def parts(self) -> tuple[Mixed | None, ...]:
        """The pairs of every stored sum; None where it cannot be evaluated this way."""
        plain = [found.slope == self.ladder[0].slope and not found.square for found in self.ladder.stored]
        each = (pairs(self.ladder, k, self.layout, self.accuracy) for k in range(len(plain)))
        return tuple(part if good else None for part, good in zip(each, plain, strict=True))

    @cached_property
    def _pairs(self) -> Pairs:
        found = [None if part is None else np.argsort(part.frequencies, kind="stable") for part in self.parts]
        both = [(part, turn) for part, turn in zip(self.parts, found, strict=True) if part is not None and turn is not None]
        start = np.cumsum([0, *(0 if turn is None else len(turn) for turn in found)])
        t, q, w = (
            np.concatenate([np.zeros(0), *(getattr(part, name)[turn] for part, turn in both)])
            for name in ("frequencies", "keep", "weights")
        )
        layout = self.layout
        alike = not layout.independent or bool((layout.keep == layout.keep[0]).all())
        series = make_series(start, t, q * layout.keep[0] if layout.independent else q)
        if not alike:
            # Entries with chances of their own have no series in common.
            series = series._replace(radius=np.zeros(len(series.radius)))
        limits, constants = self.ladder.limits[: len(self.parts)].copy(), [found.constant for found in self.ladder.stored]
        arrays = [np.ascontiguousarray(part, dtype=float) for part in (t, q.real, q.imag, w.real, w.imag)]
        return Pairs._make([limits, np.array(constants), start, *arrays, series])

    def totals(self, z: np.ndarray, level: int, w: np.ndarray | None = None) -> tuple[Totals, np.ndarray]:
        """Return the sums at points z, (points, dim), with derivatives up to `level`, and which of them every row takes.

        That is −1 for rows that are left out.
        """
        (points, dim), layout, pieces = z.shape, self.layout, self._pieces
        count = points * (len(pieces.start) - 1)
        derivatives = [np.zeros((count if level >= least else 0, dim)) for least in (1, 2)]
        out = Found._make([np.zeros((count, 2)), *derivatives, np.empty((points, len(layout.offset)), dtype=np.int64)])
        rest = make_room(max(layout.longest, 1)), level, self._data, z, z if w is None else w, pieces, self._pairs, out
        few = points * len(layout.row) * 8 <= _SMALL
        run_shares(lambda first, step: add_up(first, step, *rest), 1 if few else None)
        bucket = np.empty_like(out.bucket)
        bucket[:, self._turns] = out.bucket
        return self._collect(z, level, out, bucket), bucket

    def _collect(self, z: np.ndarray, level: int, out: Found, bucket: np.ndarray) -> Totals:
        """Add up the tasks of every point, and what is linear."""
        points, dim = z.shape
        gradient, product = (
            _in_order(part.reshape(points, -1, dim)) if level >= least else np.zeros((points, 0))
            for least, part in ((1, out.gradient), (2, out.product))
        )
        finite = bucket >= 0
        tilts = [self.layout.tilt if rows.all() else self.layout.tilt_of(rows) for rows in finite]
        values = out.values.reshape(points, -1).tolist()
        return totals_with_slope(values, gradient, product, z, self.ladder[0].slope, tilts)

    @cached_property
    def _pieces(self) -> Pieces:
        """Pieces of about as many entries, an even number of them for the sake of two threads."""
        indptr = self._data.indptr
        count = 2 * math.ceil(indptr[-1] / _PIECE) if indptr[-1] > _SMALL_PIECE else 1
        edge = np.unique(np.searchsorted(indptr, np.linspace(0, indptr[-1], count + 1)))
        edge[0], edge[-1] = 0, len(indptr) - 1
        start = np.linspace(0, len(edge) - 1, min(len(edge) - 1, _MOST_TASKS) + 1).astype(np.int64)
        return Pieces(edge, start, int(np.diff(indptr[edge]).max()))


def _in_order(parts: np.ndarray) -> np.ndarray:
    """Return the sums over the second axis, added from the first to the last whatever the shape."""
    total = parts[:, 0].copy()
    for k in range(1, parts.shape[1]):
        total += parts[:, k]
    return total
