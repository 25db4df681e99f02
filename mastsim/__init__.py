"""Compute, simulate and put on trial the theory of sparsified training min_x E_S f(v + S(x − v)).

Names are imported when first used, so that ``import mastsim`` and the command line's help are quick and touch no device.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Bernoulli": "sketches",
    "BlockBernoulli": "sketches",
    "BlockRandK": "sketches",
    "Composed": "sketches",
    "Constant": "provenance",
    "Constants": "constants",
    "DSGD": "methods",
    "ExponentialClassification": "problems",
    "FiniteSupport": "sketches",
    "GD": "methods",
    "Gaussian": "sketches",
    "Haar": "sketches",
    "HuberRegression": "problems",
    "Identity": "sketches",
    "IndependentDiagonal": "sketches",
    "LeastSquares": "problems",
    "LogisticRegression": "problems",
    "Mast": "expected",
    "NofM": "sketches",
    "PermK": "sketches",
    "PoissonRegression": "problems",
    "Quadratic": "problems",
    "RandK": "sketches",
    "Rotated": "sketches",
    "Run": "run",
    "SigmoidClassification": "problems",
    "SmoothedHingeClassification": "problems",
    "Unscaled": "sketches",
    "Verdict": "verification",
    "WelschRegression": "problems",
    "load": "problems",
    "simulate": "simulation",
    "verify": "verification",
}
_MODULES = ("moments", "problems", "sketches", "testing", "theorems")

__all__ = [*_HOME, *_MODULES]

if TYPE_CHECKING:
    from mastsim import moments, problems, sketches, testing, theorems
    from mastsim.constants import Constants
    from mastsim.expected import Mast
    from mastsim.methods import DSGD, GD
    from mastsim.problems import (
        ExponentialClassification,
        HuberRegression,
        LeastSquares,
        LogisticRegression,
        PoissonRegression,
        Quadratic,
        SigmoidClassification,
        SmoothedHingeClassification,
        WelschRegression,
        load,
    )
    from mastsim.provenance import Constant
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
    from mastsim.verification import Verdict, verify


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"mastsim.{_HOME[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"mastsim.{name}")
    raise AttributeError(f"module 'mastsim' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
