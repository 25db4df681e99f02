"""Robust regression with the Huber loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mastsim.problems.glm import GeneralizedLinearModel
from mastsim.problems.losses import Loss, Pieces, PiecewiseLoss, ResidualLoss
from mastsim.validation import positive


@dataclass(frozen=True)
class HuberLoss(PiecewiseLoss, ResidualLoss):
    """φ(u; y) = ½w² for |w| ≤ δ and δ|w| − ½δ² beyond, at w = u − y.

    Parameters
    ----------
    delta : float
        δ > 0, where the parabola turns into a line.
    """

    delta: float

    name = "Huber"
    curvature_max = 1.0
    curvature_min = 0.0

    @property
    def pieces(self) -> Pieces:
        """A line, a parabola and a line."""
        d = self.delta
        return Pieces(np.array([-d, d]), np.array([[-0.5 * d * d, -d, 0.0], [0.0, 0.0, 0.5], [-0.5 * d * d, d, 0.0]]))


@dataclass(frozen=True, eq=False)
class HuberRegression(GeneralizedLinearModel):
    """f(x) = (1/n) Σ huber_δ(a_iᵀx − y_i) + (λ/2)‖x‖².

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
    delta : float, default 1.0
        δ > 0, the residual from which the loss is linear.
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
    >>> f = HuberRegression(np.ones((3, 1)), np.array([0.0, 0.0, 9.0]), l2=1e-9, delta=1.0)
    >>> bool(np.isclose(f.minimize().x[0], 0.5))
    True
    """

    keyword = "huber"

    delta: float = 1.0

    def __post_init__(self, copy: bool) -> None:
        object.__setattr__(self, "delta", positive("delta", self.delta))
        super().__post_init__(copy)

    @property
    def loss(self) -> Loss:
        """The Huber loss."""
        return HuberLoss(self.delta)
