"""The moment recursions that the linear operators E[HMH], E[HMS], E[SᵀMS] of a sketch's law close."""

from mastsim.recursions.averaged_momentum import AveragedRecursion
from mastsim.recursions.base import MomentRecursion, MomentState, run
from mastsim.recursions.gradient_descent import (
    GDRecursion,
    GradientRecursion,
    stability_limit,
)
from mastsim.recursions.gradient_moments import DistributedGradient, GradientMoments, SketchedGradient
from mastsim.recursions.held_shift import HeldRecursion
from mastsim.recursions.moving_shift import ShiftRecursion
from mastsim.recursions.positive_map import FactorBracket
from mastsim.recursions.reshuffled import ReshuffledRecursion
from mastsim.recursions.running_average import AVERAGE, AveragingRecursion
from mastsim.recursions.sampled import SampledGradient
from mastsim.recursions.variance_reduced import PAGERecursion, SVRGRecursion, anchor_variance

__all__ = [
    "AVERAGE",
    "AveragedRecursion",
    "AveragingRecursion",
    "DistributedGradient",
    "FactorBracket",
    "GDRecursion",
    "GradientMoments",
    "GradientRecursion",
    "HeldRecursion",
    "MomentRecursion",
    "MomentState",
    "PAGERecursion",
    "ReshuffledRecursion",
    "SVRGRecursion",
    "SampledGradient",
    "ShiftRecursion",
    "SketchedGradient",
    "anchor_variance",
    "run",
    "stability_limit",
]
