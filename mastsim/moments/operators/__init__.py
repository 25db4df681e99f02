"""The moment recursions that the linear operators E[HMH], E[HMS], E[SᵀMS] of a sketch's law close."""

from mastsim.moments.operators.descent import DistributedRecursion, DSGDRecursion, largest_stable_stepsize
from mastsim.moments.operators.gradients import DistributedGradient, GradientMoments, SketchedGradient
from mastsim.moments.operators.leading import FactorBracket
from mastsim.moments.operators.moving_shift import ShiftRecursion
from mastsim.moments.operators.recursion import MomentRecursion, MomentState, run
from mastsim.moments.operators.reshuffled import ReshuffledRecursion
from mastsim.moments.operators.sampled import SampledGradient, SampledRecursion
from mastsim.moments.operators.variance_reduced import PAGERecursion, SVRGRecursion, anchor_variance

__all__ = [
    "DSGDRecursion",
    "DistributedGradient",
    "DistributedRecursion",
    "FactorBracket",
    "GradientMoments",
    "MomentRecursion",
    "MomentState",
    "PAGERecursion",
    "ReshuffledRecursion",
    "SVRGRecursion",
    "SampledGradient",
    "SampledRecursion",
    "ShiftRecursion",
    "SketchedGradient",
    "anchor_variance",
    "largest_stable_stepsize",
    "run",
]
