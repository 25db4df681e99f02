"""What is claimed: theorems as records that compute, refuse and can be refuted."""

from mastsim.keywords import named
from mastsim.theorems.assumptions import Assumption, AssumptionError
from mastsim.theorems.averaged_momentum import ConvexAveragedMomentum
from mastsim.theorems.base import Inequality, Sides, Theorem
from mastsim.theorems.baselines import CompressedIterates, StronglyConvexSGD
from mastsim.theorems.convex import ConvexDSGD, ConvexDSGDAnyStep, StronglyConvexDSGD
from mastsim.theorems.convex_sketched_gradient import (
    ConvexSketchedGradient,
    SketchedGradientAverage,
    SketchedGradientDistance,
    StronglyConvexSketchedGradient,
)
from mastsim.theorems.decreasing_step import DecreasingStepDSGD, StagewiseStepDSGD
from mastsim.theorems.distributed import (
    ConvexDistributed,
    IndependentDistributed,
    NonconvexDistributed,
    NonconvexDistributedQuoted,
)
from mastsim.theorems.held_shift import StronglyConvexHeld
from mastsim.theorems.held_sketch import NonconvexHeldSketch, PolyakLojasiewiczHeldSketch
from mastsim.theorems.lemmas import Lemma1, Lemma2, Lemma3
from mastsim.theorems.linear_and_sublinear import HorizonRate, LinearRate, SublinearRate
from mastsim.theorems.moving_shift import StronglyConvexShift
from mastsim.theorems.nonconvex import NonconvexDSGD, PolyakLojasiewiczDSGD
from mastsim.theorems.participation import DependentParticipation, ParticipationByNumber, ParticipationByProbability
from mastsim.theorems.polyak_step import ConvexPolyakStep, StronglyConvexPolyakStep
from mastsim.theorems.preconditioned_subnetworks import PreconditionedDescent
from mastsim.theorems.quadratic_shift import ConvexQuadraticShift, StronglyConvexQuadraticShift
from mastsim.theorems.rates import Rate, SketchedRate
from mastsim.theorems.reshuffled import ConvexReshuffled, StronglyConvexReshuffled
from mastsim.theorems.sampled import SampledNonconvexDSGD, SampledStronglyConvexDSGD
from mastsim.theorems.sketched_gradient import NonconvexSketchedGradient, PolyakLojasiewiczSketchedGradient
from mastsim.theorems.subnetworks import (
    SubnetworkBias,
    SubnetworkDescent,
    SubnetworkDistance,
    SubnetworkGradient,
    SubnetworkNoise,
)
from mastsim.theorems.suboptimality import MinimizerSuboptimality
from mastsim.theorems.variance_reduced import DoubleSketchedPAGE, LooplessSVRDSG

ALL: tuple[type[Theorem], ...] = (
    Lemma1,
    Lemma2,
    Lemma3,
    MinimizerSuboptimality,
    StronglyConvexDSGD,
    ConvexDSGD,
    ConvexDSGDAnyStep,
    NonconvexDSGD,
    PolyakLojasiewiczDSGD,
    SampledStronglyConvexDSGD,
    SampledNonconvexDSGD,
    LooplessSVRDSG,
    DoubleSketchedPAGE,
    NonconvexDistributedQuoted,
    NonconvexDistributed,
    ConvexDistributed,
    IndependentDistributed,
    StronglyConvexSGD,
    CompressedIterates,
    NonconvexSketchedGradient,
    PolyakLojasiewiczSketchedGradient,
    ConvexSketchedGradient,
    StronglyConvexSketchedGradient,
    SketchedGradientDistance,
    SketchedGradientAverage,
    ConvexQuadraticShift,
    StronglyConvexQuadraticShift,
    StronglyConvexShift,
    NonconvexHeldSketch,
    PolyakLojasiewiczHeldSketch,
    StronglyConvexReshuffled,
    ConvexReshuffled,
    ParticipationByProbability,
    ParticipationByNumber,
    DependentParticipation,
    ConvexPolyakStep,
    StronglyConvexPolyakStep,
    ConvexAveragedMomentum,
    DecreasingStepDSGD,
    StagewiseStepDSGD,
    SubnetworkDescent,
    SubnetworkGradient,
    SubnetworkDistance,
    SubnetworkNoise,
    SubnetworkBias,
    PreconditionedDescent,
    StronglyConvexHeld,
)
"""Every theorem; tests, command line and documentation are generated from this tuple."""

__getattr__ = named(__name__, ALL)

__all__ = [
    "ALL",
    "Assumption",
    "AssumptionError",
    "CompressedIterates",
    "ConvexAveragedMomentum",
    "ConvexDSGD",
    "ConvexDSGDAnyStep",
    "ConvexDistributed",
    "ConvexPolyakStep",
    "ConvexQuadraticShift",
    "ConvexReshuffled",
    "ConvexSketchedGradient",
    "DecreasingStepDSGD",
    "DependentParticipation",
    "DoubleSketchedPAGE",
    "HorizonRate",
    "IndependentDistributed",
    "Inequality",
    "Lemma1",
    "Lemma2",
    "Lemma3",
    "LinearRate",
    "LooplessSVRDSG",
    "MinimizerSuboptimality",
    "NonconvexDSGD",
    "NonconvexDistributed",
    "NonconvexDistributedQuoted",
    "NonconvexHeldSketch",
    "NonconvexSketchedGradient",
    "ParticipationByNumber",
    "ParticipationByProbability",
    "PolyakLojasiewiczDSGD",
    "PolyakLojasiewiczHeldSketch",
    "PolyakLojasiewiczSketchedGradient",
    "PreconditionedDescent",
    "Rate",
    "SampledNonconvexDSGD",
    "SampledStronglyConvexDSGD",
    "Sides",
    "SketchedGradientAverage",
    "SketchedGradientDistance",
    "SketchedRate",
    "StagewiseStepDSGD",
    "StronglyConvexDSGD",
    "StronglyConvexHeld",
    "StronglyConvexPolyakStep",
    "StronglyConvexQuadraticShift",
    "StronglyConvexReshuffled",
    "StronglyConvexSGD",
    "StronglyConvexShift",
    "StronglyConvexSketchedGradient",
    "SublinearRate",
    "SubnetworkBias",
    "SubnetworkDescent",
    "SubnetworkDistance",
    "SubnetworkGradient",
    "SubnetworkNoise",
    "Theorem",
]
