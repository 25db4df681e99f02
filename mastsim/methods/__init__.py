"""x⁺: the methods."""

from mastsim.methods.base import Method, State, StochasticMethod
from mastsim.methods.compression import Compressor, SketchCompressor, Uncompressed
from mastsim.methods.distributed import DistributedDSGD
from mastsim.methods.gradient_descent import DSGD, GD, GDCI, SGD
from mastsim.methods.minibatch import Minibatch, Sampling
from mastsim.methods.quantisers import DitheringCompressor, NaturalCompressor
from mastsim.methods.sampling import FullBatch, IndependentSampling, Nice, WithReplacement, importance_sampling
from mastsim.methods.steprules import ConstantStep, HarmonicStep, InverseSqrtStep, StepRule
from mastsim.methods.variance_reduced import LSVRDSG, PAGE

ALL_METHODS: tuple[type[Method], ...] = (GD, DSGD, LSVRDSG, PAGE, DistributedDSGD, SGD, GDCI)
"""Every method; tests, command line and documentation are generated from this tuple."""

ALL_SAMPLINGS: tuple[type[Sampling], ...] = (FullBatch, Nice, IndependentSampling, WithReplacement)
"""Every sampling."""

ALL_COMPRESSORS: tuple[type[Compressor], ...] = (Uncompressed, SketchCompressor, NaturalCompressor, DitheringCompressor)
"""Every compressor."""

__all__ = [
    "ALL_COMPRESSORS",
    "ALL_METHODS",
    "ALL_SAMPLINGS",
    "DSGD",
    "GD",
    "GDCI",
    "LSVRDSG",
    "PAGE",
    "SGD",
    "Compressor",
    "ConstantStep",
    "DistributedDSGD",
    "DitheringCompressor",
    "FullBatch",
    "HarmonicStep",
    "IndependentSampling",
    "InverseSqrtStep",
    "Method",
    "Minibatch",
    "NaturalCompressor",
    "Nice",
    "Sampling",
    "SketchCompressor",
    "State",
    "StepRule",
    "StochasticMethod",
    "Uncompressed",
    "WithReplacement",
    "importance_sampling",
]
