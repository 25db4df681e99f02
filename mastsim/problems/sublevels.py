"""How far out a generalised linear model with an intercept can be small: what stands in for strong convexity."""

from __future__ import annotations

import math

import numpy as np

from mastsim.problems.losses import Loss

_POWERS = np.exp2(np.arange(-8, 64))
_ROUNDING = 1 + 1e-12


def intercept_radius(loss: Loss, y: np.ndarray, lengths: np.ndarray, share: np.ndarray, ridge: float, room: float) -> float:
    """Return a number that ‖(x, b)‖ is not above where the mean of w_i φ(a_iᵀx + b; y_i) plus (λ/2)‖x‖² is small.

    The penalty bounds ‖x‖. Every row is bounded as well, and with it its prediction on the sides where the loss grows: rows
    of one class bound b from above, those of the other from below.

    Parameters
    ----------
    loss : Loss
        The convex loss φ.
    y, lengths, share : ndarray, shape (n,)
        Labels, ‖a_i‖ and weights of mean 1.
    ridge : float
        λ > 0.
    room : float
        By how much the function may be above the mean of the infima of the rows.

    Examples
    --------
    >>> from mastsim.problems.losses import LogisticLoss
    >>> y = np.array([-1.0, 1.0])
    >>> intercept_radius(LogisticLoss(), y, np.zeros(2), np.ones(2), 1.0, 0.7) < 3
    True
    >>> intercept_radius(LogisticLoss(), np.ones(2), np.zeros(2), np.ones(2), 1.0, 0.7)
    inf
    """
    if not 0 <= room < math.inf:
        return math.inf
    reach, counted = math.sqrt(2 * room / ridge), share > 0
    y, lengths, share = y[counted], lengths[counted], share[counted]
    cap = np.asarray(loss.infima(y)) + len(counted) * room / share
    ends = [_end(loss, y, cap, side) + lengths * reach for side in (1.0, -1.0)]
    return math.hypot(reach, max(float(end.min(initial=math.inf)) for end in ends)) * _ROUNDING


def _end(loss: Loss, y: np.ndarray, cap: np.ndarray, side: float) -> np.ndarray:
    """Return a bound on side·u over the predictions u whose loss is at most `cap`, for each label, shape of `y`."""
    found = np.full(len(y), math.inf)
    with np.errstate(over="ignore", invalid="ignore"):
        for power in _POWERS[::-1]:
            u = np.full(len(y), side * power)
            # A convex loss that is above the cap, and rises, stays above it.
            beyond = (loss.value(u, y) > cap) & (side * loss.derivative(u, y) > 0)
            found = np.where(beyond, power, found)
    return found
