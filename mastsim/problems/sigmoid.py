"""Classification with the sigmoid loss, a smooth nonconvex stand-in for the number of errors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mastsim.backend import Array, namespace
from mastsim.problems.cosine_sums import cosine_sum
from mastsim.problems.glm import GeneralizedLinearModel
from mastsim.problems.losses import ExponentialSum, Loss, MarginLoss, hyperbolic_nodes


class SigmoidLoss(MarginLoss):
    """φ(u; y) = 1/(1 + e^{yu}) for labels −1 and +1, with ψ(w) = 1/(1 + e^w) at w = yu."""

    name = "sigmoid"
    largest = 1.0
    curvature_max = 1 / (6 * math.sqrt(3))
    curvature_min = -1 / (6 * math.sqrt(3))

    def psi(self, w: Array, order: int = 0) -> Array:
        """Return 1/(1 + e^w) or a derivative, without overflow."""
        half = namespace(w).tanh(0.5 * w)
        if order == 0:
            return 0.5 * (1 - half)
        slope = -0.25 * (1 - half**2)
        return slope if order == 1 else -half * slope

    def terms(self, w: np.ndarray, order: int) -> np.ndarray:
        """Return 1: ψ and ψ' are differences of 1 and a power of tanh, halved or quartered."""
        return np.ones(np.shape(w))

    def steepest(self, w: np.ndarray, away: np.ndarray) -> np.ndarray:
        """Return a bound on |ψ'| near `w`, at most its largest value."""
        return np.minimum(super().steepest(w, away), 0.25)

    def exponential_sum(self, reach: float) -> ExponentialSum:
        """Return the trapezoid rule for ½ tanh(w/2) = ∫₀^∞ sin(tw)/sinh(πt) dt, taken from ½.

        Aliasing is bounded by 4·e^{reach − P}, truncation by (2/π)·e^{−11.5π}, as for the logistic loss.
        """
        return _half_tanh_sum(reach)

    def short_sum(self, reach: float, accuracy: float) -> ExponentialSum:
        """Return the derivative of a fitted cosine sum for log cosh(w/2), or the trapezoid rule where that is shorter."""
        rule = _half_tanh_sum(reach, accuracy / 16)
        found = cosine_sum("log cosh", reach, accuracy, order=1)
        if found is None or len(found.weights) >= len(rule.weights):
            return rule
        return ExponentialSum(
            constant=0.5,
            slope=0.0,
            square=0.0,
            rate=0.0,
            step=0.0,
            weights=1j * found.weights * found.frequencies,
            reach=found.reach,
            error=found.errors[1],
            nodes=found.frequencies,
            slope_errors=(found.errors[2], found.errors[3]),
        )


@lru_cache(maxsize=512)
def _half_tanh_sum(reach: float, accuracy: float = 0.0) -> ExponentialSum:
    t, step, last, aliasing = hyperbolic_nodes(reach, accuracy)
    return ExponentialSum(
        constant=0.5,
        slope=-step / (2 * math.pi),
        square=0.0,
        rate=0.0,
        step=step,
        weights=np.concatenate([[0.0], 1j * step / np.sinh(math.pi * t)]),
        reach=reach,
        error=aliasing + 2 / math.pi * math.exp(-math.pi * last),
    )


@dataclass(frozen=True, eq=False)
class SigmoidClassification(GeneralizedLinearModel):
    """f(x) = (1/n) Σ 1/(1 + exp(y_i a_iᵀx)) + (λ/2)‖x‖²; nonconvex unless λ is large.

    Parameters
    ----------
    A : array or scipy.sparse matrix, shape (n, dim)
        One row a data point.
    y : array, shape (n,)
        Labels −1 and +1.
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
    >>> f = SigmoidClassification(np.ones((2, 1)), np.array([1.0, -1.0]), l2=0.01)
    >>> f.is_convex, f.L_f.kind
    (False, 'upper')
    """

    keyword = "sigmoid"
    takes_classes = True

    @property
    def loss(self) -> Loss:
        """The sigmoid loss."""
        return SigmoidLoss()
