"""Rows whose terms are single entries, evaluated straight from the data where their scalars stay within the stored sums."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mastsim.expected.columns import Totals, pairs, totals_with_slope
from mastsim.expected.ladder import Ladder
from mastsim.expected.layout import RowLayout
from mastsim.expected.mixing import Mixed
from mastsim.expected.transforms import pack
from mastsim.expected.transforms.arguments import Nodes
from mastsim.expected.transforms.entry_law import Data, Found, Pieces, add_up, find_sums
from mastsim.expected.transforms.mixed_law import Laws, make_laws
from mastsim.expected.transforms.scratch import lay_out
from mastsim.expected.transforms.series import Series, make_series
from mastsim.parallel import run_shares
from mastsim.readonly import ReadOnly

_PIECE = 1 << 16
_MOST_PIECES = 16
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
    def _data(self) -> Data:
        layout = self.layout
        entry = np.argsort(layout.term, kind="stable")
        prob = layout.keep if layout.independent else np.ones(len(entry))
        return Data(layout.start, layout.column[entry].astype(np.int32), layout.coefficient[entry], layout.offset, prob)

    @cached_property
    def parts(self) -> tuple[Mixed | None, ...]:
        """The pairs of every stored sum; None where it cannot be evaluated this way."""
        plain = [found.slope == self.ladder[0].slope and not found.square for found in self.ladder.stored]
        each = (pairs(self.ladder, k, self.layout, self.accuracy) for k in range(len(plain)))
        return tuple(part if good else None for part, good in zip(each, plain, strict=True))

    @cached_property
    def _sums(self) -> tuple[Nodes, Laws, Series]:
        none = np.zeros(0)
        nodes = pack([(0.0, p.frequencies, p.weights) if p else (0.0, none, none) for p in self.parts])
        keep = np.concatenate([none.astype(complex), *(p.padded_keep for p in self.parts if p)])
        layout, alike = self.layout, keep
        if layout.independent:
            # Entries with chances of their own have no series in common.
            alike = keep * layout.keep[0] if (layout.keep == layout.keep[0]).all() else keep
        series = make_series(nodes, alike)
        if layout.independent and alike is keep:
            series = series._replace(radius=np.zeros(len(series.radius)))
        return nodes, make_laws(keep, nodes), series

    @cached_property
    def _limits(self) -> np.ndarray:
        return self.ladder.limits[: len(self.parts)].copy()

    @cached_property
    def _constants(self) -> np.ndarray:
        return np.array([found.constant for found in self.ladder.stored])

    def buckets(self, z: np.ndarray) -> np.ndarray | None:
        """Return the sum that every row takes at a point, shape (n,), or None where one is beyond all."""
        found = np.zeros(len(self.layout.offset), dtype=np.int64)
        find_sums(self._data, self._limits, z, np.zeros(max(self.layout.longest, 1)), found)
        return None if any(k == len(self.parts) or self.parts[k] is None for k in np.unique(found)) else found

    def totals(self, z: np.ndarray, level: int, w: np.ndarray | None = None) -> Totals | None:
        """Return the sums at points z, (points, dim), with derivatives up to `level`; None where one is too far out."""
        if not any(self.parts):
            return None
        (points, dim), layout = z.shape, self.layout
        pieces = self._pieces(points)
        count = len(pieces.point)
        derivatives = [np.zeros((count if level >= least else 0, dim)) for least in (1, 2)]
        out = Found._make([np.zeros((count, 2)), *derivatives, np.zeros(count, dtype=bool)])
        longest = max(layout.longest, 1)
        at, along = lay_out(level, longest, 1), z if w is None else w
        data, rest = self._data, (*self._sums, self._constants, out)
        run_shares(
            lambda first, step: add_up(first, step, at, longest, data, self._limits, z, along, pieces, *rest),
            None if points * len(layout.row) * 8 > _SMALL else 1,
        )
        if out.missed.any():
            return None
        return self._collect(z, level, out, count // points)

    def _collect(self, z: np.ndarray, level: int, out: Found, each: int) -> Totals:
        """Add up the tasks of every point, and what is linear."""
        points, dim = z.shape
        gradient, product = (
            _in_order(part.reshape(points, each, dim)) if level >= least else np.zeros((points, 0))
            for least, part in ((1, out.gradient), (2, out.product))
        )
        return totals_with_slope(
            out.values.reshape(points, -1).tolist(), gradient, product, z, self.ladder[0].slope, self.layout
        )

    def _pieces(self, points: int) -> Pieces:
        """Return the same pieces of the rows for every point."""
        rows = len(self.layout.offset)
        count = int(np.clip(len(self.layout.row) // _PIECE, 1, min(_MOST_PIECES, rows)))
        edges = np.linspace(0, rows, count + 1).astype(np.int64)
        return Pieces(np.repeat(np.arange(points), count), np.tile(edges[:-1], points), np.tile(edges[1:], points))


def _in_order(parts: np.ndarray) -> np.ndarray:
    """Return the sums over the second axis, added from the first to the last whatever the shape."""
    total = parts[:, 0].copy()
    for k in range(1, parts.shape[1]):
        total += parts[:, k]
    return total
