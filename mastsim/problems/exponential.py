"""Classification with the exponential loss (boosting)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mastsim.backend import Array, namespace
from mastsim.problems.glm import GeneralizedLinearModel
from mastsim.problems.losses import ExponentialSum, ExponentialTerms, Loss, MarginLoss, pure_exponential


class ExponentialLoss(ExponentialTerms, MarginLoss):
    """φ(u; y) = e^{−yu} for labels −1 and +1, with ψ(w) = e^{−w} at w = yu."""

    name = "exponential"
    curvature_max = np.inf
    curvature_min = 0.0

    def psi(self, w: Array, order: int = 0) -> Array:
        """Return e^{−w} or a derivative."""
        return (-1.0) ** order * namespace(w).exp(-w)

    def exponential_sum(self, reach: float) -> ExponentialSum:
        """Return e^{−w}, one exponential and exact for any reach."""
        return pure_exponential(-1.0)


@dataclass(frozen=True, eq=False)
class ExponentialClassification(GeneralizedLinearModel):
    """f(x) = (1/n) Σ exp(−y_i a_iᵀx) + (λ/2)‖x‖².

    Its gradient is not Lipschitz, so theorems that need smoothness refuse it; f_D is exact all the same.

    Parameters
    ----------
    A : array or scipy.sparse matrix, shape (n, dim)
        One row a data point.
    y : array, shape (n,)
        Labels −1 and +1.
    l2 : float, optional
        Regularisation λ ≥ 0. Required.
    condition_number : float, optional
        Refused: the curvature of this loss is unbounded, so there is no κ.
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
    >>> f = ExponentialClassification(np.ones((2, 1)), np.array([1.0, -1.0]), l2=0.1)
    >>> float(f.value(np.zeros(1))), f.L_f.value
    (1.0, inf)
    """

    keyword = "exponential"
    takes_classes = True

    @property
    def loss(self) -> Loss:
        """The exponential loss."""
        return ExponentialLoss()
