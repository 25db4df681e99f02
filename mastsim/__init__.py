"""Compute, simulate and put on trial the theory of sparsified training min_x E_S f(v + S(x − v)).

Names are imported when first used, so that ``import mastsim`` and the command line's help are quick and touch no device.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mastsim.version import __version__ as __version__

_HOME = {
    "AveragedMomentum": "methods",
    "Bernoulli": "sketches",
    "BlockBernoulli": "sketches",
    "BlockRandK": "sketches",
    "CallableProblem": "problems",
    "CertificateWarning": "problems",
    "Composed": "sketches",
    "Constant": "provenance",
    "ConstantStep": "methods",
    "Constants": "constants",
    "DSGD": "methods",
    "Distributed": "expected",
    "DistributedDSGD": "methods",
    "DitheringCompressor": "methods",
    "ExponentialClassification": "problems",
    "FiniteSum": "problems",
    "FiniteSupport": "sketches",
    "FixedShift": "methods",
    "FreshPartition": "methods",
    "FullBatch": "methods",
    "GD": "methods",
    "GDCI": "methods",
    "Gaussian": "sketches",
    "Haar": "sketches",
    "HarmonicStep": "methods",
    "Held": "methods",
    "HeldSketch": "methods",
    "HuberRegression": "problems",
    "Identity": "sketches",
    "IndependentDiagonal": "sketches",
    "IndependentSampling": "methods",
    "IndependentSketches": "methods",
    "Interrupted": "interruption",
    "InverseSqrtStep": "methods",
    "LSVRDSG": "methods",
    "LeastSquares": "problems",
    "LogisticRegression": "problems",
    "Mast": "expected",
    "MinimizationInterrupted": "problems",
    "NaturalCompressor": "methods",
    "Nice": "methods",
    "NofM": "sketches",
    "PAGE": "methods",
    "Participation": "methods",
    "PermK": "sketches",
    "PoissonRegression": "problems",
    "PolyakStep": "methods",
    "Quadratic": "problems",
    "RandK": "sketches",
    "Refreshed": "methods",
    "Reshuffled": "methods",
    "Rotated": "sketches",
    "Run": "run",
    "SGD": "methods",
    "SigmoidClassification": "problems",
    "SketchCompressor": "methods",
    "SmoothedHingeClassification": "problems",
    "SoftmaxRegression": "problems",
    "StagewiseStep": "methods",
    "Spec": "spec",
    "Sweep": "sweeps",
    "TorchProblem": "problems",
    "TwoLayerNetwork": "problems",
    "Uncompressed": "methods",
    "Unscaled": "sketches",
    "Verdict": "verification",
    "WelschRegression": "problems",
    "WithReplacement": "methods",
    "advise": "recommendation",
    "design": "designs",
    "guarantees": "advice",
    "importance_sampling": "methods",
    "load": "problems",
    "simulate": "simulation",
    "smoothness_along": "local_smoothness",
    "split": "problems",
    "sweep": "sweeps",
    "verify": "verification",
}
_MODULES = ("extend", "moments", "problems", "sketches", "testing", "theorems")

__all__ = [*_HOME, *_MODULES]

if TYPE_CHECKING:
    from mastsim import extend, moments, problems, sketches, testing, theorems
    from mastsim.advice import guarantees
    from mastsim.constants import Constants
    from mastsim.designs import design
    from mastsim.expected import Distributed, Mast
    from mastsim.interruption import Interrupted
    from mastsim.local_smoothness import smoothness_along
    from mastsim.methods import (
        DSGD,
        GD,
        GDCI,
        LSVRDSG,
        PAGE,
        SGD,
        AveragedMomentum,
        ConstantStep,
        DistributedDSGD,
        DitheringCompressor,
        FixedShift,
        FreshPartition,
        FullBatch,
        HarmonicStep,
        Held,
        HeldSketch,
        IndependentSampling,
        IndependentSketches,
        InverseSqrtStep,
        NaturalCompressor,
        Nice,
        Participation,
        PolyakStep,
        Refreshed,
        Reshuffled,
        SketchCompressor,
        StagewiseStep,
        Uncompressed,
        WithReplacement,
        importance_sampling,
    )
    from mastsim.problems import (
        CallableProblem,
        CertificateWarning,
        ExponentialClassification,
        FiniteSum,
        HuberRegression,
        LeastSquares,
        LogisticRegression,
        MinimizationInterrupted,
        PoissonRegression,
        Quadratic,
        SigmoidClassification,
        SmoothedHingeClassification,
        SoftmaxRegression,
        TorchProblem,
        TwoLayerNetwork,
        WelschRegression,
        load,
        split,
    )
    from mastsim.provenance import Constant
    from mastsim.recommendation import advise
    from mastsim.run import Run
    from mastsim.simulation import simulate
    from mastsim.sketches import (
        Bernoulli,
        BlockBernoulli,
        BlockRandK,
        Composed,
        FiniteSupport,
        Gaussian,
        Haar,
        Identity,
        IndependentDiagonal,
        NofM,
        PermK,
        RandK,
        Rotated,
        Unscaled,
    )
    from mastsim.spec import Spec
    from mastsim.sweeps import Sweep, sweep
    from mastsim.verification import Verdict, verify


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"mastsim.{_HOME[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"mastsim.{name}")
    for folder in ("sketches", "problems", "methods") if name[:1].isupper() else ():
        if hasattr(families := importlib.import_module(f"mastsim.{folder}"), name):
            return getattr(families, name)
    raise AttributeError(f"module 'mastsim' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
