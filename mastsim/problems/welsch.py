"""Robust regression with the Welsch loss, bounded and nonconvex."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mastsim.backend import Array, namespace
from mastsim.problems.cosine_sums import cosine_sum, total
from mastsim.problems.glm import GeneralizedLinearModel
from mastsim.problems.losses import ExponentialSum, Loss, ResidualLoss

_TAIL = 9.0


class WelschLoss(ResidualLoss):
    """φ(u; y) = 1 − e^{−(u − y)²/2}, with ψ(w) = 1 − e^{−w²/2} at w = u − y."""

    name = "Welsch"
    largest = 1.0
    curvature_max = 1.0
    curvature_min = -2 * math.exp(-1.5)

    def psi(self, w: Array, order: int = 0) -> Array:
        """Return 1 − e^{−w²/2} or a derivative."""
        xp = namespace(w)
        if order == 0:
            return -xp.expm1(-0.5 * w**2)
        return (w if order == 1 else 1 - w**2) * xp.exp(-0.5 * w**2)

    def terms(self, w: np.ndarray, order: int) -> np.ndarray:
        """Return ψ itself, or what the rounding of the exponent makes of ψ'."""
        return np.abs(self.psi(w)) if order == 0 else np.abs(w) * (1 + w**2) * np.exp(-0.5 * w**2)

    def steepest(self, w: np.ndarray, away: np.ndarray) -> np.ndarray:
        """Return a bound on |ψ'| near `w`, at most its largest value."""
        return np.minimum(super().steepest(w, away), math.exp(-0.5))

    def exponential_sum(self, reach: float) -> ExponentialSum:
        """Return the trapezoid rule for the Gaussian as the Fourier transform of a Gaussian.

        Spacing 2π/P with P = reach + 9 leaves an aliasing error below 4·e^{−81/2}; truncation at t = 9 adds less than that.
        """
        return _gaussian_sum(reach)

    def short_sum(self, reach: float, accuracy: float) -> ExponentialSum:
        """Return a fitted cosine sum, or the trapezoid rule where that is shorter."""
        rule = _gaussian_sum(reach, accuracy / 16)
        found = cosine_sum("gaussian", reach, accuracy)
        if found is None or len(found.weights) >= len(rule.weights):
            return rule
        return ExponentialSum(
            constant=total(found.weights),
            slope=0.0,
            square=0.0,
            rate=0.0,
            step=0.0,
            weights=-found.weights.astype(complex),
            reach=found.reach,
            error=found.errors[0],
            nodes=found.frequencies,
            slope_errors=(found.errors[1], found.errors[2]),
        )


@lru_cache(maxsize=512)
def _gaussian_sum(reach: float, accuracy: float = 0.0) -> ExponentialSum:
    tail = min(_TAIL, math.sqrt(2 * math.log(16 / accuracy))) if accuracy else _TAIL
    step = 2 * math.pi / (reach + tail)
    t = step * np.arange(1, math.ceil(tail / step) + 1)
    scale = step / math.sqrt(2 * math.pi)
    return ExponentialSum(
        constant=1.0,
        slope=0.0,
        square=0.0,
        rate=0.0,
        step=step,
        weights=np.concatenate([[-scale], -2 * scale * np.exp(-0.5 * t**2)]).astype(complex),
        reach=reach,
        error=8 * math.exp(-0.5 * tail**2),
    )


@dataclass(frozen=True, eq=False)
class WelschRegression(GeneralizedLinearModel):
    """f(x) = (1/n) Σ (1 − exp(−(a_iᵀx − y_i)²/2)) + (λ/2)‖x‖²; nonconvex unless λ is large.

    Parameters
    ----------
    A : array or scipy.sparse matrix, shape (n, dim)
        One row a data point.
    y : array, shape (n,)
        Real labels.
    l2 : float, optional
        Regularisation λ ≥ 0. Exactly one of `l2` and `condition_number` must be given.
    condition_number : float, optional
        κ > 1; λ is chosen so that (largest curvature)/λ = κ.
    weights : array of shape (n,), mapping or "balanced", optional
        Weights of the rows, a weight for each label, or such that every label weighs the same; only their ratios count.
    intercept : bool, default False
        Whether to add a column of ones, the last, whose coordinate is not penalised.
    copy : bool, default True
        Whether to take a copy of `A`; without, a large `A` is shared, and made read-only as far as its type allows.

    Raises
    ------
    ValueError
        If an entry is not finite, a shape or a label does not fit, or not exactly one of the two regularisations is given.

    Examples
    --------
    >>> f = WelschRegression(np.ones((2, 1)), np.array([0.0, 9.0]), l2=0.01)
    >>> f.is_convex
    False
    """

    keyword = "welsch"

    @property
    def loss(self) -> Loss:
        """The Welsch loss."""
        return WelschLoss()
