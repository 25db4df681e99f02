"""The components φ(a_iᵀx; y_i) + (λ/2)‖x‖² of a generalised linear model: gradients of minibatches, and infima."""

from __future__ import annotations

from typing import Any

import numpy as np

from mastsim.backend import Array, contiguous, namespace, pieces, repeated, rows_at
from mastsim.problems.losses import Loss

SLICE = 2**26
"""Most numbers that are gathered at a time."""

_ROUNDS = 120
_EPS = float(np.finfo(float).eps)


def rows_gradient(loss: Loss, A: Any, y: Array, x: Array, index: Array, weights: Array) -> Array:
    """Return Σ_j weights[r, j] φ'(a_iᵀx_r; y_i) a_i with i = index[r, j], shape of `x`."""
    if hasattr(A, "indptr"):
        return _sparse_gradient(loss, A, y, x, index, weights)
    xp = namespace(x)
    count = max(1, SLICE // max(1, index.shape[1] * x.shape[1]))
    parts = []
    for here in pieces(x.shape[0], count):
        chosen = index[here, ...]
        rows, points = rows_at(A, chosen), contiguous(x[here, ...])
        slopes = weights[here, ...] * loss.derivative(xp.matmul(rows, points[..., None])[..., 0], rows_at(y, chosen))
        parts.append(xp.matmul(contiguous(slopes)[:, None, :], rows)[:, 0, :])
    return xp.concat(parts, axis=0) if parts else xp.zeros_like(x)


def _sparse_gradient(loss: Loss, A: Any, y: Array, x: Array, index: Array, weights: Array) -> Array:
    # On the host bincount adds in the order of its input: a replica's sums are the same whatever stands beside it.
    xp = namespace(x)
    replicas, dim = x.shape
    picked = xp.reshape(index, (-1,))
    rows = A[picked]
    entry_row = repeated(rows.indptr[1:] - rows.indptr[:-1])
    place = (entry_row // max(1, index.shape[1])) * dim + rows.indices
    flat = xp.reshape(contiguous(x), (-1,))
    margins = xp.bincount(entry_row, weights=rows.data * flat[place], minlength=index.size)
    slopes = xp.reshape(weights, (-1,)) * loss.derivative(margins, y[picked])
    total = xp.bincount(place, weights=rows.data * slopes[entry_row], minlength=replicas * dim)
    return xp.reshape(total, (replicas, dim))


def row_infima(
    loss: Loss, y: np.ndarray, squares: np.ndarray, flat: np.ndarray, ridge: float, share: np.ndarray
) -> np.ndarray:
    """Return lower bounds on inf_x w_i φ(a_iᵀx; y_i) + (λ/2)‖x‖², shape (n,), for weights w_i in `share`.

    It is w_i times that of φ(a_iᵀx; y_i) + (λ/2w_i)‖x‖². The infimum over the points with a_iᵀx = t is
    φ(t; y_i) + λt²/(2w_i‖a_i‖²), a function of one variable. For a convex loss its minimum is bracketed, and the tangent at
    a point of the bracket bounds it from below, as does strong convexity; the rounding of both is taken off. For other
    losses the infimum of the loss is returned.
    """
    infima = np.asarray(loss.infima(y), dtype=float)
    infima = np.where(flat, loss.value(np.zeros(len(y)), y), infima)
    live = ~flat
    if loss.curvature_min < 0 or ridge == 0 or not live.any():
        return share * infima
    # Rows so short that λ/‖a‖² overflows keep the bound of the loss.
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        stiffness = ridge / (share * squares)
    live &= np.isfinite(stiffness)
    infima[live] = np.maximum(infima[live], _least(loss, y[live], stiffness[live]))
    return share * infima


@np.errstate(over="ignore", invalid="ignore")
def _least(loss: Loss, y: np.ndarray, stiffness: np.ndarray) -> np.ndarray:
    """Return a lower bound on min_t φ(t; y) + stiffness·t²/2 for convex φ."""
    # φ' grows and the minimiser is t = −φ'(t)/stiffness, so it lies between 0 and −φ'(0)/stiffness.
    end = -loss.derivative(np.zeros(len(y)), y) / stiffness
    low, high = np.minimum(end, 0.0), np.maximum(end, 0.0)
    t = np.zeros(len(y))
    for _ in range(_ROUNDS):
        for trial in (t - _slope(loss, t, y, stiffness) / (loss.second_derivative(t, y) + stiffness), 0.5 * (low + high)):
            inside = (trial >= low) & (trial <= high)
            t = np.where(inside, trial, t)
            slope = _slope(loss, t, y, stiffness)
            low, high = np.where(slope <= 0, np.maximum(low, t), low), np.where(slope >= 0, np.minimum(high, t), high)
        if (high - low <= 4 * _EPS * np.maximum(np.abs(low), np.abs(high))).all():
            break
    return np.maximum(_tangent(loss, t, y, stiffness, low, high), _tangent(loss, low, y, stiffness, low, high))


def _slope(loss: Loss, t: np.ndarray, y: np.ndarray, stiffness: np.ndarray) -> np.ndarray:
    return loss.derivative(t, y) + stiffness * t


def _tangent(
    loss: Loss, t: np.ndarray, y: np.ndarray, stiffness: np.ndarray, low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """Return the better of two lower bounds at t: by the bracket of the minimiser, and by strong convexity."""
    form, slope = loss.row_form(y), np.abs(_slope(loss, t, y, stiffness))
    # φ(0) and φ'(0) stand for the terms that cancel inside φ(t), as those of a parabola do near its vertex.
    zero = np.zeros(len(y))
    start = np.abs(loss.value(zero, y)) + np.abs(loss.derivative(zero, y) * t)
    terms = start + np.abs(loss.value(t, y)) + np.abs(loss.derivative(t, y) * t) + np.abs(form.slope * t) + stiffness * t**2
    noise = 16 * _EPS * terms
    # The computed slope may be off by its rounding, which the descent below the value must allow for.
    slope = slope + 4 * _EPS * (np.abs(loss.derivative(t, y)) + np.abs(form.slope) + stiffness * np.abs(t))
    strength = stiffness + max(loss.curvature_min, 0.0)
    descent = np.minimum(slope**2 / (2 * strength), slope * np.maximum(high - t, t - low))
    bound = loss.value(t, y) + 0.5 * stiffness * t**2 - descent - noise
    return np.where(np.isfinite(bound), bound, -np.inf)
