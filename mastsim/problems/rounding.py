"""Bounds on the rounding of values and gradients of f, with every operation counted.

A sum of m products is off by at most `summed(m)` times the sum of their sizes, in whatever order it is taken.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mastsim.backend import rows_times
from mastsim.problems.losses import Loss
from mastsim.readonly import frozen, frozen_in_place
from mastsim.rounding import EPS, summed

OPERATIONS = 8
"""How many roundings the evaluation of a loss takes at most, each relative to the terms of which it is made."""


def loss_error(loss: Loss, w: np.ndarray, away: np.ndarray, order: int) -> np.ndarray:
    """Return a bound on |computed ψ⁽ᵈ⁾(w) − ψ⁽ᵈ⁾(w′)| over |w′ − w| ≤ away, for the order d = 0 or 1, shape of `w`."""
    noise = OPERATIONS * EPS * loss.terms(w, order)
    if order == 0:
        return noise + away * loss.steepest(w, away)
    return noise + _slope_change(loss, w, away)


def _slope_change(loss: Loss, w: np.ndarray, away: np.ndarray) -> np.ndarray:
    change = np.multiply(loss.bend, away, out=np.zeros(w.shape), where=away > 0)
    if loss.curvature_min < 0:
        return change
    # The slope of a convex ψ grows, so it differs most at an end.
    low, here, high = (loss.psi(w + side * away, 1) for side in (-1.0, 0.0, 1.0))
    noise = OPERATIONS * EPS * (loss.terms(w - away, 1) + loss.terms(w + away, 1))
    return np.fmin(change, np.maximum(high - here, here - low) + noise)


class LinearModelRounding:
    """The data of a generalised linear model as its rounding errors see them.

    Parameters
    ----------
    A : array or sparse matrix, shape (n, dim)
        One row a data point.
    y : ndarray, shape (n,)
        Labels.
    loss : Loss
        The loss.
    penalties : ndarray, shape (dim,)
        λ, and 0 for what is not penalised.
    share : ndarray, shape (n,)
        Weights of the rows.
    """

    def __init__(self, A: Any, y: np.ndarray, loss: Loss, penalties: np.ndarray, share: np.ndarray) -> None:
        self.A, self.majorant, self.loss, self.penalties, self.share = A, frozen_in_place(abs(A)), loss, penalties, share
        form = loss.row_form(y)
        parts = (form.sign, form.offset, form.slope, form.constant)
        self.sign, self.offset, self.slope, self.constant = (frozen(np.broadcast_to(part, y.shape)) for part in parts)
        filled = A != 0
        self.row_terms = frozen(np.asarray(filled.sum(axis=1)).ravel())
        self.column_terms = frozen(np.asarray(filled.sum(axis=0)).ravel())

    def value(self, x: np.ndarray, moved: np.ndarray) -> np.ndarray:
        """Return a bound on the error of f at points known up to `moved`, shape ``x.shape[:-1]``."""
        u, w, away = self._margins(x, moved)
        shift, steady = np.abs(self.slope), np.abs(self.slope * u) + np.abs(self.constant)
        rows = loss_error(self.loss, w, away, 0) + shift * away + 2 * EPS * steady
        depth = 25 + np.log2(len(self.slope))
        mean = self.share * (rows + summed(depth) * (np.abs(self.loss.psi(w)) + steady))
        ridge = summed(x.shape[-1] + 4) * x**2 + moved * (2 * np.abs(x) + moved)
        return mean.mean(axis=-1) + 0.5 * (self.penalties * ridge).sum(axis=-1)

    def gradient(self, x: np.ndarray, moved: np.ndarray) -> np.ndarray:
        """Return a bound on the norm of the error of ∇f at points known up to `moved`, shape ``x.shape[:-1]``."""
        _, w, away = self._margins(x, moved)
        slopes = self.share * (np.abs(self.loss.psi(w, 1)) + np.abs(self.slope))
        rows = self.share * loss_error(self.loss, w, away, 1) + 3 * EPS * slopes
        turned = self.majorant.T
        each = (rows_times(turned, rows) + summed(self.column_terms + 4) * rows_times(turned, slopes)) / len(self.slope)
        each = each + self.penalties * (moved + 4 * EPS * np.abs(x)) + 2 * EPS * rows_times(turned, slopes) / len(self.slope)
        return np.linalg.norm(each, axis=-1)

    def _margins(self, x: np.ndarray, moved: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return predictions u, the arguments w of ψ, and how far w may be from the truth, each (..., n)."""
        u = rows_times(self.A, x)
        w = self.sign * u + self.offset
        size = summed(self.row_terms + 2) * rows_times(self.majorant, np.abs(x)) + EPS * (np.abs(self.offset) + np.abs(w))
        return u, w, size + (rows_times(self.majorant, moved) if moved.any() else 0.0)
