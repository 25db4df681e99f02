"""x⁺: the methods."""

from mastsim.keywords import named
from mastsim.methods.averaged_momentum import AveragedMomentum
from mastsim.methods.base import Method, StochasticMethod
from mastsim.methods.compression import Compressor, SketchCompressor, Uncompressed
from mastsim.methods.distributed import DistributedDSGD
from mastsim.methods.families import ALL_METHODS
from mastsim.methods.gradient_descent import DSGD, GD, GDCI, SGD
from mastsim.methods.minibatch import Minibatch, Sampling
from mastsim.methods.orders import ALL_ORDERS, FreshPartition, IndependentSketches, Order, Reshuffled
from mastsim.methods.participation import Participation
from mastsim.methods.polyak import PolyakStep
from mastsim.methods.preconditioned import PreconditionedSubnetworks
from mastsim.methods.quantisers import DitheringCompressor, NaturalCompressor
from mastsim.methods.settings import ALL_COMPRESSORS, ALL_SAMPLINGS
from mastsim.methods.shifting import ShiftingMethod
from mastsim.methods.shifts import ALL_SHIFT_RULES, FixedShift, Held, HeldSketch, Refreshed, ShiftRule
from mastsim.methods.states import ShiftedState, State
from mastsim.methods.steprules import ALL_STEP_RULES, ConstantStep, HarmonicStep, InverseSqrtStep, StagewiseStep, StepRule
from mastsim.methods.uniform_sampling import FullBatch, Nice
from mastsim.methods.variance_reduced import LSVRDSG, PAGE
from mastsim.methods.weighted_sampling import IndependentSampling, WithReplacement, importance_sampling

__getattr__ = named(__name__, ALL_METHODS)

__all__ = [
    "ALL_COMPRESSORS",
    "ALL_METHODS",
    "ALL_ORDERS",
    "ALL_SAMPLINGS",
    "ALL_SHIFT_RULES",
    "ALL_STEP_RULES",
    "DSGD",
    "GD",
    "GDCI",
    "LSVRDSG",
    "PAGE",
    "SGD",
    "AveragedMomentum",
    "Compressor",
    "ConstantStep",
    "DistributedDSGD",
    "DitheringCompressor",
    "FixedShift",
    "FreshPartition",
    "FullBatch",
    "HarmonicStep",
    "Held",
    "HeldSketch",
    "IndependentSampling",
    "IndependentSketches",
    "InverseSqrtStep",
    "Method",
    "Minibatch",
    "NaturalCompressor",
    "Nice",
    "Order",
    "Participation",
    "PolyakStep",
    "PreconditionedSubnetworks",
    "Refreshed",
    "Reshuffled",
    "Sampling",
    "ShiftRule",
    "ShiftedState",
    "ShiftingMethod",
    "SketchCompressor",
    "StagewiseStep",
    "State",
    "StepRule",
    "StochasticMethod",
    "Uncompressed",
    "WithReplacement",
    "importance_sampling",
]
