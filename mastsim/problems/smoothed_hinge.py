"""Classification with the smoothed hinge loss, a support vector machine with a Lipschitz gradient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mastsim.problems.glm import GeneralizedLinearModel
from mastsim.problems.losses import Loss, MarginLoss, Pieces, PiecewiseLoss


class SmoothedHingeLoss(PiecewiseLoss, MarginLoss):
    """φ(u; y) = ½ − w for w ≤ 0, ½(1 − w)² for 0 ≤ w ≤ 1 and 0 beyond, at w = yu."""

    name = "smoothed hinge"
    curvature_max = 1.0
    curvature_min = 0.0

    @property
    def pieces(self) -> Pieces:
        """A line, a parabola and zero."""
        return Pieces(np.array([0.0, 1.0]), np.array([[0.5, -1.0, 0.0], [0.5, -1.0, 0.5], [0.0, 0.0, 0.0]]))


@dataclass(frozen=True, eq=False)
class SmoothedHingeClassification(GeneralizedLinearModel):
    """f(x) = (1/n) Σ smoothed_hinge(y_i a_iᵀx) + (λ/2)‖x‖².

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

    References
    ----------
    Rennie and Srebro, "Loss functions for preference levels", 2005 (the smoothed hinge).

    Examples
    --------
    >>> f = SmoothedHingeClassification(np.ones((1, 1)), np.array([1.0]), l2=1.0)
    >>> f.minimize().x
    array([0.5])
    """

    keyword = "smoothed-hinge"
    takes_classes = True

    @property
    def loss(self) -> Loss:
        """The smoothed hinge loss."""
        return SmoothedHingeLoss()
