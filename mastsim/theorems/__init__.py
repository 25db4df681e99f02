"""What is claimed: theorems as records that compute, refuse and can be refuted."""

from mastsim.keywords import named
from mastsim.theorems.assumptions import Assumption, AssumptionError
from mastsim.theorems.base import Inequality, Sides, Theorem
from mastsim.theorems.baselines import CompressedIterates, StronglyConvexSGD
from mastsim.theorems.convex import ConvexDSGD, ConvexDSGDAnyStep, StronglyConvexDSGD
from mastsim.theorems.distributed import (
    ConvexDistributed,
    IndependentDistributed,
    NonconvexDistributed,
    NonconvexDistributedQuoted,
)
from mastsim.theorems.lemmas import Lemma1, Lemma2, Lemma3
from mastsim.theorems.linear_and_sublinear import HorizonRate, LinearRate, SublinearRate
from mastsim.theorems.nonconvex import NonconvexDSGD, PolyakLojasiewiczDSGD
from mastsim.theorems.rates import Rate, SketchedRate
from mastsim.theorems.sampled import SampledNonconvexDSGD, SampledStronglyConvexDSGD
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
)
"""Every theorem; tests, command line and documentation are generated from this tuple."""

__getattr__ = named(__name__, ALL)

__all__ = [
    "ALL",
    "Assumption",
    "AssumptionError",
    "CompressedIterates",
    "ConvexDSGD",
    "ConvexDSGDAnyStep",
    "ConvexDistributed",
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
    "PolyakLojasiewiczDSGD",
    "Rate",
    "SampledNonconvexDSGD",
    "SampledStronglyConvexDSGD",
    "Sides",
    "SketchedRate",
    "StronglyConvexDSGD",
    "StronglyConvexSGD",
    "SublinearRate",
    "Theorem",
]
