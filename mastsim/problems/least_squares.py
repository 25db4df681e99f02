"""Least squares."""

from __future__ import annotations

from dataclasses import dataclass

from mastsim.problems.glm import GeneralizedLinearModel
from mastsim.problems.losses import Loss, SquaredLoss


@dataclass(frozen=True, eq=False)
class LeastSquares(GeneralizedLinearModel):
    """f(x) = (1/2n)‖Ax − y‖² + (λ/2)‖x‖².

    Parameters
    ----------
    A : array or scipy.sparse matrix, shape (n, dim)
        One row a data point.
    y : array, shape (n,)
        Real labels.
    l2 : float, optional
        Regularisation λ ≥ 0. Exactly one of `l2` and `condition_number` must be given.
    condition_number : float, optional
        κ > 1; λ is chosen so that L_f/λ = κ.
    weights : array of shape (n,), mapping or "balanced", optional
        Weights of the rows, a weight for each label, or such that every label weighs the same; only their ratios count.
    intercept : bool, default False
        Whether to add a column of ones, the last, whose coordinate is not penalised.
    copy : bool, default True
        Whether to take a copy of `A`; without, a large `A` is shared, and made read-only as far as its type allows.

    Raises
    ------
    ValueError
        If an entry is not finite, a shape does not fit, or not exactly one of the two regularisations is given.

    Examples
    --------
    >>> import numpy as np
    >>> f = LeastSquares(np.eye(2), np.array([2.0, 0.0]), l2=0.5)
    >>> float(f.L_f), f.minimize().x
    (1.0, array([1., 0.]))
    """

    keyword = "least-squares"

    @property
    def loss(self) -> Loss:
        """The squared loss."""
        return SquaredLoss()
