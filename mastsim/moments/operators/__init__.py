"""Exact linear operators E[HMH], E[HMS], E[SᵀMS] of sketches, and the moment recursions that they close."""

from mastsim.moments.operators.base import MomentOperators
from mastsim.moments.operators.crossed import CrossedOperators, crossed_operators
from mastsim.moments.operators.descent import DistributedRecursion, DSGDRecursion, largest_stable_stepsize
from mastsim.moments.operators.gradients import DistributedGradient, GradientMoments, SketchedGradient
from mastsim.moments.operators.leading import FactorBracket
from mastsim.moments.operators.recursion import MomentRecursion, MomentState, run
from mastsim.moments.operators.sampled import SampledGradient, SampledRecursion
from mastsim.moments.operators.select import moment_operators
from mastsim.moments.operators.variance_reduced import PAGERecursion, SVRGRecursion, anchor_variance

__all__ = [
    "CrossedOperators",
    "DSGDRecursion",
    "DistributedGradient",
    "DistributedRecursion",
    "FactorBracket",
    "GradientMoments",
    "MomentOperators",
    "MomentRecursion",
    "MomentState",
    "PAGERecursion",
    "SVRGRecursion",
    "SampledGradient",
    "SampledRecursion",
    "SketchedGradient",
    "anchor_variance",
    "crossed_operators",
    "largest_stable_stepsize",
    "moment_operators",
    "run",
]
