"""Regression with a periodic loss, one exponential and therefore exact under every sketch with a law."""

import math
from dataclasses import dataclass

import numpy as np

from mastsim.backend import namespace
from mastsim.problems.glm import GeneralizedLinearModel
from mastsim.problems.losses import ExponentialSum, ResidualLoss


class CosineLoss(ResidualLoss):
    """φ(u; y) = 1 − cos(u − y)."""

    name = "cosine"
    largest = 2.0
    curvature_max = 1.0
    curvature_min = -1.0

    def psi(self, w, order=0):
        """Return 1 − cos w or a derivative."""
        xp = namespace(w)
        return (1 - xp.cos(w), xp.sin(w), xp.cos(w))[order]

    def exponential_sum(self, reach):
        """Return what it is, for any reach."""
        weights = np.array([0.0, -1.0], dtype=complex)
        return ExponentialSum(1.0, 0.0, 0.0, 0.0, 1.0, weights, math.inf, 0.0)


@dataclass(frozen=True, eq=False)
class CosineRegression(GeneralizedLinearModel):
    """f(x) = (1/n) Σ (1 − cos(a_iᵀx − y_i)) + (λ/2)‖x‖²."""

    keyword = "cosine"

    @property
    def loss(self):
        """The cosine loss."""
        return CosineLoss()
