"""Logistic regression."""

from __future__ import annotations

from dataclasses import dataclass

from mastsim.problems.glm import GeneralizedLinearModel
from mastsim.problems.losses import LogisticLoss, Loss


@dataclass(frozen=True, eq=False)
class LogisticRegression(GeneralizedLinearModel):
    """f(x) = (1/n) Σ log(1 + exp(−y_i a_iᵀx)) + (λ/2)‖x‖².

    Parameters
    ----------
    A : array or scipy.sparse matrix, shape (n, dim)
        One row a data point.
    y : array, shape (n,)
        Labels −1 and +1.
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
        If an entry is not finite, a shape does not fit, a label is not −1 or +1 (the message says how to map it), or not
        exactly one of the two regularisations is given.

    References
    ----------
    MAST, arXiv 2311.16086, Section 5 (experiments).

    Examples
    --------
    >>> import numpy as np
    >>> f = LogisticRegression(np.array([[2.0], [-2.0]]), np.array([1.0, -1.0]), l2=0.1)
    >>> float(f.L_f), float(f.mu_f), f.minimize().gap_bound < 1e-12
    (1.1, 0.1, True)
    """

    keyword = "logistic"
    takes_classes = True

    @property
    def loss(self) -> Loss:
        """The logistic loss."""
        return LogisticLoss()
