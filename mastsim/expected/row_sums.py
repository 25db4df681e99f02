"""E ψ(w_i) for every row, with derivatives: each row by exponential sums or by enumeration, whichever is cheaper."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from mastsim.expected import piecewise as piecewise_rows
from mastsim.expected.base import MOST_WORK, OutOfReachError
from mastsim.expected.columns import ColumnRows, Totals, find_atoms
from mastsim.expected.entries import EntryRows
from mastsim.expected.ladder import Ladder
from mastsim.expected.layout import RowLayout
from mastsim.expected.mixing import Mixed, mix
from mastsim.expected.piecewise import piecewise
from mastsim.expected.rounding import (
    RowErrors,
    RowSizes,
    by_enumeration,
    by_exponentials,
    by_pieces,
    no_errors,
    weighed,
    write,
)
from mastsim.expected.row_enumeration import MOST_TERMS, row_derivatives, row_values
from mastsim.expected.row_moments import RowMoments
from mastsim.expected.transforms import Transforms, independent, mixed, pack, subset
from mastsim.problems import ExponentialSum, Loss
from mastsim.readonly import ReadOnly

# An atom of an enumerated row costs about as much as this many (node, term) pairs of the fused kernels: 15 to 25 were
# measured where terms are kept independently, 5 to 15 where they belong to a subset.
_ATOM_COST = 15.0
# Points are evaluated together up to so many terms, beyond which a call takes much longer than its preparation.
_TOGETHER = 1 << 14
# Above it the sums alone would take more than a gigabyte.
_MOST_NODES = 1 << 23


@dataclass(frozen=True, eq=False)
class RowSums:
    """Expectations of all rows; fields beyond the order asked for are empty.

    Parameters
    ----------
    values : ndarray, shape (n,)
        E ψ(w_i).
    derivatives : ndarray, shape (terms,)
        The derivative of the row's value in each θ.
    directionals : ndarray, shape (terms,)
        The change of `derivatives` along a direction.
    """

    values: np.ndarray
    derivatives: np.ndarray
    directionals: np.ndarray


@dataclass(frozen=True, eq=False)
class _Plan:
    """Which exponential sum each row takes, and as which mixture if any; rows with the last index take none."""

    sums: list[ExponentialSum]
    mixtures: list[Mixed | None]
    bucket: np.ndarray
    enumerated: np.ndarray
    """The rows that are enumerated; others that take no sum are no part of the plan."""

    def per_row(self, name: str) -> np.ndarray:
        return np.array([getattr(s, name) for s in self.sums] + [0.0])[self.bucket]


@dataclass(frozen=True, eq=False)
class SelectionRows(ReadOnly):
    """The expectations of a loss over the rows of a layout.

    Parameters
    ----------
    loss : Loss
        Where ψ comes from.
    layout : RowLayout
        The rows.
    accuracy : float
        The largest error of an expectation, relative to 1 + reach.
    share : ndarray, shape (n,), optional
        Weights of the rows in sums over them.
    """

    loss: Loss
    layout: RowLayout
    accuracy: float
    share: np.ndarray | None = None

    @cached_property
    def _ladder(self) -> Ladder:
        # Half of the error is left to the law.
        return Ladder(self.loss, self.accuracy / 2)

    @cached_property
    def columns(self) -> ColumnRows | None:
        """The way for data whose columns hold few values."""
        # Ways that add up rows on the fly know of no weights.
        if self.share is not None or self.loss.pieces is not None or not self._ladder.exists or self._ladder[0].rate:
            return None
        atoms = find_atoms(self.layout)
        return None if atoms is None else ColumnRows(self.layout, atoms, self._ladder, self.accuracy / 2)

    @cached_property
    def entries(self) -> EntryRows | None:
        """The way for data whose entries are kept one by one."""
        if (
            self.share is not None
            or self.loss.pieces is not None
            or not self._ladder.stored
            or self._ladder[0].rate
            or math.isinf(self._ladder[0].reach)
        ):
            return None
        if not EntryRows.applies(self.layout):
            return None
        found = EntryRows(self.layout, self._ladder, self.accuracy / 2)
        return found if any(found.parts) else None

    def totals(self, z: np.ndarray, order: int, w: np.ndarray | None = None) -> Totals:
        """Return Σ E ψ(w_i) at points z, shape (points, dim), with derivatives up to `order`, along `w` for order 2."""
        if (found := self._quick(z, order, w)) is not None:
            return found
        # Company must not change how a point is evaluated.
        alone = [None if w is None else w[k : k + 1] for k in range(len(z))]
        each = [self._quick(z[k : k + 1], order, along) for k, along in enumerate(alone)]
        slow = [k for k, totals in enumerate(each) if totals is None]
        rest = iter(self._slow(z[slow], order, None if w is None else w[slow]) if slow else [])
        whole = [next(rest) if totals is None else totals for totals in each]
        return Totals(*(np.concatenate([getattr(one, name) for one in whole]) for name in ("value", "gradient", "product")))

    def _quick(self, z: np.ndarray, order: int, w: np.ndarray | None) -> Totals | None:
        """Return the same by a fast way that applies; for several points by the one that each would take alone."""
        if self.columns is not None:
            found = self.columns.totals(z, order, w)
            if found is not None or len(z) > 1:
                return found
        return None if self.entries is None else self._by_entries(self.entries, z, order, w)

    def _by_entries(self, entries: EntryRows, z: np.ndarray, order: int, w: np.ndarray | None) -> Totals:
        """Return the same by entries, and for rows that they leave out by the way that always applies."""
        found, bucket = entries.totals(z, order, w)
        left = np.flatnonzero((bucket < 0).any(axis=1))
        for k, rest in zip(left, self._slow(z[left], order, None if w is None else w[left], bucket[left] < 0), strict=True):
            for name in ("value", "gradient", "product")[: order + 1]:
                getattr(found, name)[k] += getattr(rest, name)[0]
        return found

    def _slow(self, z: np.ndarray, order: int, w: np.ndarray | None, only: np.ndarray | None = None) -> list[Totals]:
        """Return the same by the way that always applies, for several points at once; `only`, (points, n), has the rows."""
        most = max(1, _TOGETHER // max(1, len(self.layout.row)))
        out: list[Totals] = []
        while len(out) < len(z):
            # Counts that are powers of two, so that there are few layouts.
            count = 1 << (min(most, len(z) - len(out)).bit_length() - 1)
            part = slice(len(out), len(out) + count)
            out += self._together(z[part], order, *(None if each is None else each[part] for each in (w, only)))
        return out

    def _together(self, z: np.ndarray, order: int, w: np.ndarray | None, only: np.ndarray | None) -> list[Totals]:
        """Return the totals at every one of some points."""
        count, dim = z.shape
        several = self if count == 1 else self._several(count, dim)
        layout, share = several.layout, several.share
        try:
            along, chosen = None if w is None else layout.gather(w.ravel()), None if only is None else only.ravel()
            rows = several.sums(layout.gather(z.ravel()), order, along, chosen)
        except OutOfReachError:
            if count == 1:
                raise
            # All together may be too many where each is not.
            parts = ([None if each is None else each[k : k + 1] for each in (w, only)] for k in range(count))
            return [each for k, part in enumerate(parts) for each in self._together(z[k : k + 1], order, *part)]
        of_row, of_term = (1.0, 1.0) if share is None else (share, share[layout.row])
        none = np.zeros(0)
        gradient = layout.scatter(of_term * rows.derivatives, count * dim) if order >= 1 else none
        product = layout.scatter(of_term * rows.directionals, count * dim) if order == 2 else none
        values = (of_row * rows.values).reshape(count, -1)
        slopes = zip(gradient.reshape(count, 1, -1), product.reshape(count, 1, -1), strict=True)
        return [Totals(np.array([math.fsum(each)]), *slope) for each, slope in zip(values, slopes, strict=True)]

    def _several(self, count: int, dim: int) -> SelectionRows:
        """Return the rows for so many points, one copy each."""
        if count not in self._copies:
            share = None if self.share is None else np.tile(self.share, count)
            self._copies[count] = replace(self, layout=self.layout.stacked(count, dim), share=share)
        return self._copies[count]

    @cached_property
    def _copies(self) -> dict[int, SelectionRows]:
        """The rows for several points at once, by their number."""
        return {}

    def sums(
        self, theta: np.ndarray, order: int, delta: np.ndarray | None = None, only: np.ndarray | None = None
    ) -> RowSums:
        """Return E ψ(w_i) and its derivatives in θ.

        Parameters
        ----------
        theta : ndarray, shape (terms,)
            The value of each term.
        order : {0, 1, 2}
            Values only, with derivatives, or with the change of the derivatives along `delta`.
        delta : ndarray, shape (terms,), optional
            The direction, for order 2.
        only : ndarray of bool, shape (n,), optional
            The rows that are evaluated, of a loss that has no pieces; all others are 0.
        """
        loss, layout = self.loss, self.layout
        if loss.pieces is not None:
            everywhere = np.arange(len(layout.offset))
            return RowSums(*piecewise(order, layout, theta, everywhere, loss.pieces, delta))
        plan = self._plan(theta, only)
        sums = self._by_exponentials(plan, theta, order, delta)
        few = plan.enumerated
        if len(few):
            row_values(layout, theta, few, loss.psi, sums.values)
            if order >= 1:
                row_derivatives(layout, theta, few, lambda w: loss.psi(w, 1), sums.derivatives)
            if order == 2:
                row_derivatives(layout, theta, few, lambda w: loss.psi(w, 2), sums.directionals, delta)
        return sums

    def errors(self, z: np.ndarray, rows: RowSizes) -> RowErrors:
        """Return bounds on the errors of every E ψ(w_i) that `totals` adds up, weight included, and of its derivatives.

        Parameters
        ----------
        z : ndarray, shape (dim,)
            The point.
        rows : RowSizes
            The sizes of the rows.
        """
        loss = self.loss
        if loss.pieces is not None:
            return weighed(by_pieces(loss, loss.pieces, rows, piecewise_rows.DIRECT_TERMS), self.share)
        plan = self._plan_at(z)
        growing = any(found.rate for found in plan.sums)
        values = self.sums(self.layout.gather(z), 0).values if growing else np.zeros(len(plan.bucket))
        out = no_errors(len(values))
        for k in np.unique(plan.bucket):
            here = np.flatnonzero(plan.bucket == k)
            part, enumerated = rows.at(here), k == len(plan.sums)
            if enumerated:
                found = by_enumeration(loss, part)
            else:
                found = by_exponentials(loss, plan.sums[k], part, values[here], mixture=plan.mixtures[k])
            write(found, here, out)
        return weighed(out, self.share)

    def _plan_at(self, z: np.ndarray) -> _Plan:
        """Return which sums `totals` takes at one point, shape (dim,)."""
        found = None if self.columns is None else self.columns.plan(z[None])
        if found is not None:
            bucket = np.empty(len(self.layout.offset), dtype=np.int64)
            bucket[found.order[0]] = np.repeat(np.arange(len(found.used)), np.diff(found.start[0])[found.used])
            return _Plan(found.pack.found, list(found.pack.parts), bucket, np.zeros(0, dtype=np.int64))
        theta = self.layout.gather(z)
        if self.entries is None:
            return self._plan(theta)
        each = self.entries.totals(z[None], 0)[1][0]
        rest = self._plan(theta, each < 0)
        used, bucket = np.unique(each[each >= 0], return_inverse=True)
        numbers = rest.bucket + len(used)
        numbers[each >= 0] = bucket
        sums, parts = [self._ladder[int(k)] for k in used], [self.entries.parts[k] for k in used]
        return _Plan(sums + rest.sums, parts + rest.mixtures, numbers, rest.enumerated)

    def _plan(self, theta: np.ndarray, only: np.ndarray | None = None) -> _Plan:
        """Return which sums rows take by the way that always applies: all of them, or those that a mask has."""
        ladder, reach = self._ladder, self.layout.reach(theta)
        few, numbers = _work(ladder.counts(reach), self.layout)
        wanted = np.ones(len(reach), dtype=bool) if only is None else only
        rest = wanted & ~few
        keys, which = np.unique(ladder.find(reach[rest]), return_inverse=True)
        nodes = float(ladder.counts(ladder.limits[np.minimum(keys, len(ladder.limits) - 1)]).sum()) if len(keys) else 0.0
        if nodes > _MOST_NODES or numbers[rest].sum() > MOST_WORK or (len(keys) and keys[-1] >= len(ladder.limits)):
            raise OutOfReachError(
                f"the point is too far out for an exact value of f_D: a row with more than {MOST_TERMS} terms reaches "
                f"|aᵢᵀ(v + S(x − v))| = {reach[rest].max():.3g}, and all rows take {ladder.counts(reach[rest]).max():.3g} "
                f"exponentials and {numbers.sum():.3g} numbers; at most {_MOST_NODES} and {MOST_WORK} are accepted"
            )
        bucket = np.full(len(reach), len(keys))
        bucket[rest] = which
        sums = [ladder[int(k)] for k in keys]
        return _Plan(sums, [self._mixture(found) for found in sums], bucket, np.flatnonzero(wanted & few))

    def _mixture(self, found: ExponentialSum) -> Mixed | None:
        """Return the mixture that replaces the law of a subset for one of the sums, or None where the subset is better."""
        group = self.layout.one_group
        return None if group is None else mix(found, *group, self.layout.longest, self.accuracy / 2)

    def _by_exponentials(self, plan: _Plan, theta: np.ndarray, order: int, delta: np.ndarray | None) -> RowSums:
        moments = RowMoments(self.layout, theta)
        slope, square = plan.per_row("slope"), plan.per_row("square")
        value, first, second = self._transforms(plan, theta, order, delta)
        none = np.zeros(0)
        return RowSums(
            values=plan.per_row("constant") + moments.expectation(slope, square) + value,
            derivatives=moments.derivative(slope, square) + first if order >= 1 else none,
            directionals=moments.directional(square, delta) + second if delta is not None else none,
        )

    def _transforms(self, plan: _Plan, theta: np.ndarray, order: int, delta: np.ndarray | None) -> Transforms:
        """Return the exponential part."""
        layout, none = self.layout, (0.0, np.zeros(0), np.zeros(0))
        rows = order, layout.start, theta, layout.offset
        plain = [none if m else (s.rate, s.frequencies, s.weights) for s, m in zip(plan.sums, plan.mixtures, strict=True)]
        if layout.independent:
            return independent(*rows, layout.keep, plan.bucket, pack([*plain, none]), delta)
        parts = [subset(*rows, layout.groups, plan.bucket, pack([*plain, none]), delta)]
        if mixes := [m for m in plan.mixtures if m is not None]:
            nodes = pack([(0.0, m.frequencies, m.weights) if m else none for m in [*plan.mixtures, None]])
            keep = np.concatenate([m.padded_keep for m in mixes])
            parts.append(mixed(*rows, keep, plan.bucket, nodes, delta))
        return Transforms(*(sum(each[1:], each[0]) for each in zip(*parts, strict=True)))


def longest_row(loss: Loss) -> float:
    """Return how many terms a row may have for its expectation to be exact with this loss."""
    if loss.pieces is not None:
        return piecewise_rows.MOST_TERMS
    return MOST_TERMS if loss.exponential_sum(1.0) is None else math.inf


def work(loss: Loss, layout: RowLayout, theta: np.ndarray) -> float:
    """Return about how many numbers the expectations of all rows take, at most; infinite where some cannot be taken.

    Parameters
    ----------
    loss : Loss
        The loss.
    layout : RowLayout
        The rows.
    theta : ndarray, shape (terms,)
        The value of each term.
    """
    if loss.pieces is not None:
        return float(len(theta))
    return float(_work(_full_count(loss, layout.reach(theta)), layout)[1].sum())


def _work(nodes: np.ndarray, layout: RowLayout) -> tuple[np.ndarray, np.ndarray]:
    """Return which rows are cheaper to enumerate than to sum over nodes, and about how many numbers each takes, (n,)."""
    terms = np.diff(layout.start)
    sums = nodes * np.maximum(terms, 1)
    listed = np.where(terms <= MOST_TERMS, np.exp2(np.minimum(terms, MOST_TERMS)) * _ATOM_COST, np.inf)
    return listed < sums, np.minimum(listed, sums)


def most_nodes(loss: Loss, reach: float) -> float:
    """Return how many exponentials a row with a given reach takes at most; infinite for losses that are no such sum."""
    return float(_full_count(loss, np.array([reach]))[0])


def _full_count(loss: Loss, reach: np.ndarray) -> np.ndarray:
    """Return about how many exponentials the most accurate sum takes; infinite for losses that are no such sum."""
    near, far = loss.exponential_sum(1.0), loss.exponential_sum(1025.0)
    if near is None or far is None:
        return np.full(reach.shape, np.inf)
    # The number is affine in the reach.
    return len(near.weights) + (len(far.weights) - len(near.weights)) / 1024 * np.maximum(reach - 1, 0)
