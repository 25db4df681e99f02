"""Poisson regression with the log link."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mastsim.backend import Array, namespace
from mastsim.problems.glm import GeneralizedLinearModel
from mastsim.problems.losses import ExponentialSum, ExponentialTerms, Loss, RowForm, pure_exponential


class PoissonLoss(ExponentialTerms):
    """φ(u; y) = e^u − yu for counts y, with ψ(w) = e^w at w = u."""

    name = "Poisson"
    curvature_max = np.inf
    curvature_min = 0.0

    def check_labels(self, y: np.ndarray) -> None:
        """Refuse labels that are not counts."""
        bad = (y < 0) | (y != np.floor(y))
        if bad.any():
            raise ValueError(f"y holds {y[bad][0]:g}, but the Poisson loss takes counts: integers ≥ 0")

    def labels_like(self, numbers: np.ndarray) -> np.ndarray:
        """Return counts."""
        return np.floor(np.abs(numbers))

    def row_form(self, y: np.ndarray) -> RowForm:
        """Return w = u and slope −y."""
        return RowForm(1.0, 0.0, -y, 0.0)

    def psi(self, w: Array, order: int = 0) -> Array:
        """Return e^w, which is its own derivative."""
        return namespace(w).exp(w)

    def exponential_sum(self, reach: float) -> ExponentialSum:
        """Return e^w, one exponential and exact for any reach."""
        return pure_exponential(1.0)

    def lower_bound(self, y: np.ndarray) -> float:
        """Return the mean of y − y log y, attained at u = log y, less what rounding may have added."""
        logs = y * np.log(np.maximum(y, 1.0))
        noise = (32 + np.log2(max(len(y), 1))) * np.finfo(float).eps
        return float(np.mean(y - logs) - noise * np.mean(y + logs))


@dataclass(frozen=True, eq=False)
class PoissonRegression(GeneralizedLinearModel):
    """f(x) = (1/n) Σ (exp(a_iᵀx) − y_i a_iᵀx) + (λ/2)‖x‖².

    Its gradient is not Lipschitz, so theorems that need smoothness refuse it; f_D is exact all the same.

    Parameters
    ----------
    A : array or scipy.sparse matrix, shape (n, dim)
        One row a data point.
    y : array, shape (n,)
        Counts: integers ≥ 0.
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
    >>> f = PoissonRegression(np.ones((2, 1)), np.array([1.0, 3.0]), l2=1e-9)
    >>> bool(np.isclose(f.minimize().x[0], np.log(2.0))), f.L_f.value
    (True, inf)
    """

    keyword = "poisson"

    @property
    def loss(self) -> Loss:
        """The Poisson loss."""
        return PoissonLoss()
