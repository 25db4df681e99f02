"""E ψ(w_i) for every row, with derivatives: each row by exponential sums or by enumeration, whichever is cheaper."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mastsim.expected import kernels
from mastsim.expected.layout import RowLayout
from mastsim.expected.row_enumeration import MOST_TERMS, row_derivatives, row_values
from mastsim.expected.row_moments import RowMoments
from mastsim.problems import ExponentialSum, Loss

# Exponential sums are shared by the rows whose reach lies between two powers of this ratio.
_REACH_RATIO = 1.1
# An atom of an enumerated row costs about as much as eight (node, term) pairs of the fused kernels.
_ATOM_COST = 8.0


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

    def nodes(self) -> kernels.Nodes:
        weights = np.concatenate([s.weights for s in self.sums] + [np.zeros(0, dtype=complex)])
        return kernels.Nodes(
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


def _plan(loss: Loss, layout: RowLayout, theta: np.ndarray) -> _Plan:
    reach, terms = layout.reach(theta), np.diff(layout.start)
    level = np.ceil(np.log(np.maximum(reach, 1.0)) / math.log(_REACH_RATIO)).astype(int)
    keys, which = np.unique(level, return_inverse=True)
    sums = [loss.exponential_sum(_REACH_RATIO ** float(k)) for k in keys]
    nodes = np.array([len(s.weights) for s in sums])[which]
    few = (terms <= MOST_TERMS) & (2.0**terms * _ATOM_COST < nodes * terms)
    return _Plan(sums, np.where(few, len(sums), which))


def _by_exponentials(plan: _Plan, layout: RowLayout, theta: np.ndarray, order: int, delta: np.ndarray | None) -> RowSums:
    moments = RowMoments(layout, theta)
    slope, square = plan.per_row("slope"), plan.per_row("square")
    value, first, second = _transforms(plan, layout, theta, order, delta)
    row = layout.row
    none = np.zeros(0)
    return RowSums(
        values=plan.per_row("constant") + moments.expectation(slope, square) + value,
        derivatives=moments.derivative(slope[row], square[row]) + first if order >= 1 else none,
        directionals=moments.directional(square[row], delta) + second if delta is not None else none,
    )


def _transforms(
    plan: _Plan, layout: RowLayout, theta: np.ndarray, order: int, delta: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the exponential part: values, derivatives and directionals, as far as the order goes."""
    nodes, rows, none = plan.nodes(), len(layout.offset), np.zeros(len(theta))
    if len(nodes.w_re) == 0:
        return np.zeros(rows), none, none
    at = (layout.start, theta, layout.offset)
    direction = (none if delta is None else delta, np.zeros(rows))
    if layout.independent:
        if order == 0:
            return kernels.independent_value(*at, layout.keep, plan.bucket, nodes), none, none
        if order == 1:
            return (*kernels.independent_gradient(*at, layout.keep, plan.bucket, nodes)[:2], none)
        out = kernels.independent_curvature(*at, layout.keep, plan.bucket, nodes, *direction)
        return out[0], out[1], out[3]
    if order == 0:
        return kernels.subset_value(*at, layout.groups, plan.bucket, nodes), none, none
    if order == 1:
        return (*kernels.subset_gradient(*at, layout.groups, plan.bucket, nodes)[:2], none)
    out = kernels.subset_curvature(*at, layout.groups, plan.bucket, nodes, *direction)
    return out[0], out[1], out[3]
