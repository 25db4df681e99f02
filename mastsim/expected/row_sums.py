"""E ψ(w_i) for every row, with derivatives: each row by exponential sums or by enumeration, whichever is cheaper."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mastsim.expected import piecewise as piecewise_rows
from mastsim.expected.base import MOST_WORK, OutOfReachError
from mastsim.expected.layout import RowLayout
from mastsim.expected.piecewise import piecewise
from mastsim.expected.rounding import RowErrors, RowSizes, by_enumeration, by_exponentials, by_pieces, no_errors, write
from mastsim.expected.row_enumeration import MOST_TERMS, row_derivatives, row_values
from mastsim.expected.row_moments import RowMoments
from mastsim.expected.transforms import Nodes, Transforms, independent, subset
from mastsim.problems import ExponentialSum, Loss

# Exponential sums are shared by the rows whose reach lies between two powers of this ratio.
_REACH_RATIO = 1.1
# An atom of an enumerated row costs about as much as this many (node, term) pairs of the fused kernels: 15 to 25 were
# measured where terms are kept independently, 5 to 15 where they belong to a subset.
_ATOM_COST = 15.0
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
    """Which exponential sum each row takes; rows with the last index are enumerated instead."""

    sums: list[ExponentialSum]
    bucket: np.ndarray

    @property
    def enumerated(self) -> np.ndarray:
        return np.flatnonzero(self.bucket == len(self.sums))

    def per_row(self, name: str) -> np.ndarray:
        return np.array([getattr(s, name) for s in self.sums] + [0.0])[self.bucket]

    def nodes(self) -> Nodes:
        weights = np.concatenate([s.weights for s in self.sums] + [np.zeros(0, dtype=complex)])
        return Nodes(
            step=np.array([s.step for s in self.sums] + [1.0]),
            sigma=np.array([s.rate for s in self.sums] + [0.0]),
            start=np.cumsum([0, *(len(s.weights) for s in self.sums), 0]),
            w_re=np.ascontiguousarray(weights.real),
            w_im=np.ascontiguousarray(weights.imag),
        )


def row_sums(loss: Loss, layout: RowLayout, theta: np.ndarray, order: int, delta: np.ndarray | None = None) -> RowSums:
    """Return E ψ(w_i) and its derivatives in θ.

    Parameters
    ----------
    loss : Loss
        Where ψ comes from.
    layout : RowLayout
        The rows.
    theta : ndarray, shape (terms,)
        The value of each term.
    order : {0, 1, 2}
        Values only, with derivatives, or with the change of the derivatives along `delta`.
    delta : ndarray, shape (terms,), optional
        The direction, for order 2.
    """
    if loss.pieces is not None:
        everywhere = np.arange(len(layout.offset))
        return RowSums(*piecewise(order, layout, theta, everywhere, loss.pieces, delta))
    plan = _plan(loss, layout, theta)
    sums = _by_exponentials(plan, layout, theta, order, delta)
    few = plan.enumerated
    if len(few):
        row_values(layout, theta, few, loss.psi, sums.values)
        if order >= 1:
            row_derivatives(layout, theta, few, lambda w: loss.psi(w, 1), sums.derivatives)
        if order == 2:
            row_derivatives(layout, theta, few, lambda w: loss.psi(w, 2), sums.directionals, delta)
    return sums


def row_errors(loss: Loss, layout: RowLayout, theta: np.ndarray, rows: RowSizes) -> RowErrors:
    """Return bounds on the errors of every E ψ(w_i) that `row_sums` computes, and of its derivatives.

    Parameters
    ----------
    loss, layout, theta
        As in `row_sums`.
    rows : RowSizes
        The sizes of the rows.
    """
    if loss.pieces is not None:
        return by_pieces(loss, loss.pieces, rows, piecewise_rows.DIRECT_TERMS)
    plan = _plan(loss, layout, theta)
    values = row_sums(loss, layout, theta, 0).values
    out = no_errors(len(values))
    for k in np.unique(plan.bucket):
        here = np.flatnonzero(plan.bucket == k)
        part, enumerated = rows.at(here), k == len(plan.sums)
        found = by_enumeration(loss, part) if enumerated else by_exponentials(loss, plan.sums[k], part, values[here])
        write(found, here, out)
    return out


def longest_row(loss: Loss) -> float:
    """Return how many terms a row may have for its expectation to be exact with this loss."""
    if loss.pieces is not None:
        return piecewise_rows.MOST_TERMS
    return MOST_TERMS if loss.exponential_sum(1.0) is None else math.inf


def work(loss: Loss, layout: RowLayout, theta: np.ndarray) -> float:
    """Return about how many numbers the expectations of all rows take; infinite where some cannot be taken.

    Parameters
    ----------
    loss, layout, theta
        As in `row_sums`.
    """
    if loss.pieces is not None:
        return float(len(theta))
    return float(_work(loss, layout, layout.reach(theta))[1].sum())


def _work(loss: Loss, layout: RowLayout, reach: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which rows are cheaper to enumerate, and about how many numbers each row takes, shape (n,)."""
    terms = np.diff(layout.start)
    sums = _node_count(loss, reach) * np.maximum(terms, 1)
    listed = np.where(terms <= MOST_TERMS, np.exp2(np.minimum(terms, MOST_TERMS)) * _ATOM_COST, np.inf)
    return listed < sums, np.minimum(listed, sums)


def _plan(loss: Loss, layout: RowLayout, theta: np.ndarray) -> _Plan:
    reach = layout.reach(theta)
    few, numbers = _work(loss, layout, reach)
    level = np.ceil(np.log(np.maximum(reach[~few], 1.0)) / math.log(_REACH_RATIO))
    keys, which = np.unique(level, return_inverse=True)
    with np.errstate(over="ignore"):
        nodes = float(_node_count(loss, _REACH_RATIO**keys).sum())
    if nodes > _MOST_NODES or numbers[~few].sum() > MOST_WORK:
        raise OutOfReachError(
            f"the point is too far out for an exact value of f_D: a row with more than {MOST_TERMS} terms reaches "
            f"|aᵢᵀ(v + S(x − v))| = {reach[~few].max():.3g}, and all rows take {nodes:.3g} exponentials and "
            f"{numbers.sum():.3g} numbers; at most {_MOST_NODES} and {MOST_WORK} are accepted"
        )
    bucket = np.full(len(reach), len(keys))
    bucket[~few] = which
    sums = [loss.exponential_sum(_REACH_RATIO ** float(k)) for k in keys]
    return _Plan([found for found in sums if found is not None], bucket)


def _node_count(loss: Loss, reach: np.ndarray) -> np.ndarray:
    """Return about how many exponentials each reach takes, shape (n,); infinite for losses that are no such sum."""
    near, far = loss.exponential_sum(1.0), loss.exponential_sum(1025.0)
    if near is None or far is None:
        return np.full(reach.shape, np.inf)
    # The number is affine in the reach.
    return len(near.weights) + (len(far.weights) - len(near.weights)) / 1024 * np.maximum(reach - 1, 0)


def _by_exponentials(plan: _Plan, layout: RowLayout, theta: np.ndarray, order: int, delta: np.ndarray | None) -> RowSums:
    moments = RowMoments(layout, theta)
    slope, square = plan.per_row("slope"), plan.per_row("square")
    value, first, second = _transforms(plan, layout, theta, order, delta)
    none = np.zeros(0)
    return RowSums(
        values=plan.per_row("constant") + moments.expectation(slope, square) + value,
        derivatives=moments.derivative(slope, square) + first if order >= 1 else none,
        directionals=moments.directional(square, delta) + second if delta is not None else none,
    )


def _transforms(plan: _Plan, layout: RowLayout, theta: np.ndarray, order: int, delta: np.ndarray | None) -> Transforms:
    """Return the exponential part."""
    rows = order, layout.start, theta, layout.offset
    if layout.independent:
        return independent(*rows, layout.keep, plan.bucket, plan.nodes(), delta)
    return subset(*rows, layout.groups, plan.bucket, plan.nodes(), delta)
