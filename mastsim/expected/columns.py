"""Rows of data whose columns hold few values, as binary and one-hot data do: what depends on a value is done once."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise

import numpy as np

from mastsim.expected.ladder import Ladder
from mastsim.expected.layout import RowLayout
from mastsim.expected.mixing import Mixed, mix
from mastsim.expected.transforms.column_law import Entries, Found, Sums, Tasks, add_up, sort_rows
from mastsim.expected.transforms.unions import find_unions
from mastsim.parallel import run_shares
from mastsim.problems import ExponentialSum
from mastsim.readonly import ReadOnly
from mastsim.simd import LANES

MOST_ATOMS = 4096
"""The most values of columns: their factors and sums should stay in the second cache."""
_REPEATS = 8
_PIECE = 1024
_MOST_PAIRS = 1 << 12
_SMALL = 300_000
_SAFE = 0.4
_NEAR_ZERO = 0.05
_MOST_PACKS = 64


@dataclass(frozen=True, eq=False)
class Atoms:
    """The distinct (column, value) pairs of the data, and which of them every row holds.

    Parameters
    ----------
    atom : ndarray of int32, shape (nnz,)
        The atom of every entry, row by row.
    column : ndarray of int, shape (atoms,)
        The column of each.
    coefficient : ndarray, shape (atoms,)
        What its θ is, relative to z in the column.
    keep, own : ndarray, shape (atoms,)
        The chance that it is kept, and its share in the derivative of the variance; see `RowLayout.variance_slope`.
    shared : float
        The other factor there.
    """

    atom: np.ndarray
    column: np.ndarray
    coefficient: np.ndarray
    keep: np.ndarray
    own: np.ndarray
    shared: float


def find_atoms(layout: RowLayout) -> Atoms | None:
    """Return the atoms of a layout, or None where entries share terms, terms several groups, or values are too many."""
    count = len(layout.term)
    if count == 0 or count != len(layout.row) or not (layout.independent or layout.one_group):
        return None
    turned = layout.sign[layout.row[layout.term]] * layout.coefficient
    values, which = np.unique(turned, return_inverse=True)
    if len(values) > MOST_ATOMS:
        return None
    keys, atom = np.unique(layout.column * len(values) + which, return_inverse=True)
    if len(keys) > min(MOST_ATOMS, count // _REPEATS):
        return None
    entry = np.empty(len(keys), dtype=np.int64)
    entry[atom] = np.arange(count)
    ordered = np.empty(count, dtype=np.int32)
    ordered[layout.term] = atom
    own, shared = layout.variance_slope
    term = layout.term[entry]
    return Atoms(
        ordered, keys // len(values), values[keys % len(values)], layout.keep[term], own[term], float(shared[term[0]])
    )


@dataclass(frozen=True, eq=False)
class Totals:
    """Σ_i E ψ(w_i) at several points, its gradient in z, and its change along a direction; later ones may be empty.

    Parameters
    ----------
    value : ndarray, shape (points,)
        The sum.
    gradient, product : ndarray, shape (points, dim)
        Its derivatives.
    """

    value: np.ndarray
    gradient: np.ndarray
    product: np.ndarray


def totals_with_slope(
    values: Iterable[Iterable[float]],
    gradient: np.ndarray,
    product: np.ndarray,
    z: np.ndarray,
    slope: float,
    tilts: Iterable[tuple[np.ndarray, float]],
) -> Totals:
    """Return the totals of values that are added up exactly, and of slope·w, which their rows share, with derivatives.

    Parameters
    ----------
    values : iterable of iterables of float
        What is added up at each point.
    gradient, product : ndarray, shape (points, dim), or with no columns
        Their derivatives; the first is added to.
    z : ndarray, shape (points, dim)
        The points.
    slope : float
        The slope.
    tilts : iterable of pairs
        The gradient of Σ E w over the rows that are added up at each point, and its value at z = 0.
    """
    value = np.empty(len(z))
    for k, (parts, (tilt, at_zero)) in enumerate(zip(values, tilts, strict=True)):
        value[k] = math.fsum([*parts, slope * at_zero, slope * float(tilt @ z[k, : len(tilt)])])
        if gradient.size:
            gradient[k, : len(tilt)] += slope * tilt
    return Totals(value, gradient, product)


@dataclass(frozen=True, eq=False)
class Pack:
    """Sums in order of reach, the pairs of each, both as the kernel takes them, and what it does not add up: constants."""

    found: list[ExponentialSum]
    parts: list[Mixed]
    sums: Sums
    constant: np.ndarray


@dataclass(frozen=True, eq=False)
class Plan:
    """Which rows take which sums at several points.

    Parameters
    ----------
    theta : ndarray, shape (points, atoms)
        θ of all atoms.
    order, start : ndarray
        As `ColumnRows.sort` returns them.
    used : ndarray of int
        Which of the limits of `ColumnRows.sort` are those of sums in use.
    pack : Pack
        The sums.
    """

    theta: np.ndarray
    order: np.ndarray
    start: np.ndarray
    used: np.ndarray
    pack: Pack


@dataclass(frozen=True, eq=False)
class ColumnRows(ReadOnly, copy=False):
    """The expectations of a loss over rows made of atoms.

    Parameters
    ----------
    layout : RowLayout
        The rows.
    atoms : Atoms
        What they are made of.
    ladder : Ladder
        The sums of the loss.
    accuracy : float
        The largest error that a mixture may add, relative to 1 + reach.
    """

    layout: RowLayout
    atoms: Atoms
    ladder: Ladder
    accuracy: float

    @cached_property
    def _entries(self) -> Entries:
        layout, atoms = self.layout, self.atoms
        prob = atoms.keep if layout.independent else np.ones(len(atoms.keep))
        unions = find_unions(layout.start, atoms.atom, len(atoms.keep))
        rows = layout.start, atoms.atom, layout.sign * layout.offset, layout.sign
        return Entries(*rows, prob, atoms.keep, atoms.own, atoms.shared, unions)

    def theta(self, z: np.ndarray) -> np.ndarray:
        """Return the θ of all atoms at several points z of shape (points, dim)."""
        return np.ascontiguousarray(z[:, self.atoms.column] * self.atoms.coefficient)

    @cached_property
    def _rungs(self) -> np.ndarray:
        """The numbers of the sums in use: of sums that take as many tiles, the farthest that is not far too far."""
        limits, count = self.ladder.limits, len(self.ladder.stored)
        if not self.layout.independent:
            return np.arange(len(limits))
        tiles = [-(-len(found.weights) // LANES) for found in self.ladder.stored]
        rungs, least = [], 0.0
        for k in range(count):
            # Errors are relative to 1 + the reach of the sum, and are to be within twice 1 + that of the row.
            if k + 1 == count or tiles[k + 1] > tiles[k] or 1 + limits[k + 1] > 2 * (1 + least):
                rungs.append(k)
                least = limits[k]
        return np.array([*rungs, *range(count, len(limits))])

    @cached_property
    def _limits(self) -> np.ndarray:
        return self.ladder.limits[self._rungs]

    def sort(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows of every point by the sum they take, shape (points, n), and where the rows of each begin."""
        limits, rows = self._limits, len(self.layout.offset)
        order = np.empty((len(theta), rows), dtype=np.int32)
        start = np.zeros((len(theta), len(limits) + 2), dtype=np.int64)
        threads = 1 if len(theta) == 1 else None
        run_shares(lambda first, step: sort_rows(first, step, self._entries, theta, limits, order, start), threads)
        return order, start

    def mixture(self, number: int) -> Mixed | None:
        """Return the pairs of a sum, or None where it cannot be evaluated this way."""
        weights = self.ladder[number].weights
        if weights.real.any() and weights.imag.any():
            return None
        return pairs(self.ladder, number, self.layout, self.accuracy)

    def totals(self, z: np.ndarray, level: int, w: np.ndarray | None = None) -> Totals | None:
        """Return the sums at points z, (points, dim), with derivatives up to `level`, along `w` at level 2.

        None is returned where a point is too far out, or so near a zero of a factor that another way is more accurate.
        """
        plan = self.plan(z)
        if plan is None or (level == 2 and self._is_near_zero(plan.theta, plan.pack.parts)):
            return None
        return self._run(z, w, plan, level)

    def plan(self, z: np.ndarray) -> Plan | None:
        """Return which rows take which sums at points z, (points, dim), or None where one is too far out."""
        theta = self.theta(z)
        order, start = self.sort(theta)
        used = np.flatnonzero((start[:, 1:] > start[:, :-1]).any(axis=0))
        pack = self._packed(used)
        return None if pack is None else Plan(theta, order, start, used, pack)

    @cached_property
    def _packs(self) -> dict[bytes, Pack | None]:
        """What has been packed so far."""
        return {}

    def _packed(self, used: np.ndarray) -> Pack | None:
        """Return some sums as the kernel takes them, or None where one of them cannot be evaluated this way."""
        key = used.tobytes()
        if key not in self._packs:
            if len(self._packs) >= _MOST_PACKS:
                self._packs.clear()
            self._packs[key] = self._pack(used)
        return self._packs[key]

    def _pack(self, used: np.ndarray) -> Pack | None:
        if used[-1] >= len(self._limits) or self.ladder.counts(self._limits[used[-1:]])[0] > _MOST_PAIRS:
            return None
        numbers = [int(k) for k in self._rungs[used]]
        parts = [part for k in numbers if (part := self.mixture(k)) is not None]
        return pack([self.ladder[k] for k in numbers], parts) if len(parts) == len(used) else None

    def _run(self, z: np.ndarray, w: np.ndarray | None, plan: Plan, level: int) -> Totals:
        theta, sums, atoms = plan.theta, plan.pack.sums, len(self.atoms.column)
        tasks = _tasks(plan.start, plan.used)
        count, size = len(tasks.point), tasks.last - tasks.first
        delta = self.theta(w) if w is not None else theta[:1]
        cost = size * (sums.start[tasks.bucket + 1] - sums.start[tasks.bucket] + 4)
        # The costly ones first: every thread then has as much to do.
        turns = np.argsort(-cost, kind="stable")
        out = Found(np.zeros((count, 2)), *(np.zeros((count if level >= least else 0, atoms)) for least in (1, 2)))
        threads = None if int(cost.sum()) * self.layout.longest > _SMALL else 1
        rest = self._entries, theta, delta, plan.order, tasks, turns, sums, out
        run_shares(lambda first, step: add_up(first, step, level, *rest), threads)
        return self._collect(z, plan, tasks.point, plan.pack.constant[tasks.bucket] * size, out)

    def _collect(self, z: np.ndarray, plan: Plan, point: np.ndarray, constant: np.ndarray, out: Found) -> Totals:
        """Add up the tasks of every point, in their own order, and what is linear."""
        first = np.searchsorted(point, np.arange(len(z) + 1))
        values = [[*out.values[a:b].ravel(), *constant[a:b]] for a, b in pairwise(first)]
        gradient, product = (self._scatter(part, first[:-1], z) for part in (out.gradient, out.product))
        return totals_with_slope(values, gradient, product, z, plan.pack.found[0].slope, [self.layout.tilt] * len(z))

    def _scatter(self, parts: np.ndarray, first: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Add up the derivatives of every point, and the atoms of every column; empty where there are none."""
        if not len(parts):
            return np.zeros((len(z), 0))
        each = np.add.reduceat(parts, first, axis=0) * self.atoms.coefficient
        return np.stack([np.bincount(self.atoms.column, weights=row, minlength=z.shape[1]) for row in each])

    def _is_near_zero(self, theta: np.ndarray, parts: list[Mixed]) -> bool:
        """Return whether the factor of an atom is so small that second derivatives cancel."""
        prob = self._entries.prob
        for part in parts:
            if float(prob.max()) * float(np.abs(part.keep).max(initial=0.0)) <= _SAFE:
                continue
            turn = np.expm1(1j * theta[:, :, None] * part.frequencies)
            if float(np.abs(1 + prob[:, None] * part.keep * turn).min()) < _NEAR_ZERO:
                return True
        return False


@lru_cache(maxsize=512)
def pairs(ladder: Ladder, number: int, layout: RowLayout, accuracy: float) -> Mixed | None:
    """Return the pairs of nodes and laws of a sum for rows of single entries, or None where mixtures are not accurate.

    Parameters
    ----------
    ladder, number
        The sum.
    layout : RowLayout
        The rows, independent or of one group.
    accuracy : float
        The largest error that a mixture may add, relative to 1 + reach.
    """
    found = ladder[number]
    if found.rate:
        return None
    if layout.one_group is not None and len(found.weights):
        return mix(found, *layout.one_group, layout.longest, accuracy, crowded=False)
    nonzero = found.weights != 0
    t, w = found.frequencies[nonzero], found.weights[nonzero]
    sizes = tuple(float((np.abs(w) * np.abs(t) ** k).sum()) for k in range(3))
    return Mixed(t, w, np.ones(len(t), dtype=complex), 0.0, 0.0, sizes)  # type: ignore[arg-type]


def pack(found: list[ExponentialSum], parts: list[Mixed]) -> Pack:
    """Return the sums, and the pairs of each, as the kernel takes them, in whole tiles.

    Parameters
    ----------
    found : list of ExponentialSum
        The sums; their slopes are counted from that of the first.
    parts : list of Mixed
        Their pairs.
    """
    sizes = [-(-len(part.weights) // LANES) * LANES for part in parts]
    start = np.cumsum([0, *sizes])
    each = [np.zeros(start[-1], dtype=complex) for _ in range(3)]
    for first, part in zip(start, parts, strict=False):
        for whole, own in zip(each, (part.frequencies, part.keep, part.weights), strict=True):
            whole[first : first + len(own)] = own
    t, q, w = each
    odd = np.array([bool(one.weights.imag.any()) for one in found])
    slope, square = np.array([one.slope - found[0].slope for one in found]), np.array([one.square for one in found])
    arrays = [np.ascontiguousarray(part) for part in (t.real, q.real, q.imag, w.real, w.imag)]
    sums = Sums._make([start, *arrays, odd, slope, square])
    return Pack(found, parts, sums, np.array([one.constant for one in found]))


def _tasks(start: np.ndarray, used: np.ndarray) -> Tasks:
    """Return pieces of the rows of every point and sum; `used` are the sums in use, which tasks count from 0."""
    point, bucket = np.nonzero(np.diff(start)[:, used])
    first, last = start[point, used[bucket]], start[point, used[bucket] + 1]
    pieces = -(-(last - first) // _PIECE)
    which = np.repeat(np.arange(len(point)), pieces)
    number = np.arange(len(which)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    begin = first[which] + number * _PIECE
    return Tasks(point[which], bucket[which], begin, np.minimum(begin + _PIECE, last[which]))
