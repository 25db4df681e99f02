"""What is claimed: theorems as records that compute, refuse and can be refuted."""

from mastsim.theorems.base import Assumption, AssumptionError, Inequality, Rate, Theorem
from mastsim.theorems.lemmas import Lemma1, Lemma2, Lemma3
from mastsim.theorems.theorem1 import MinimizerSuboptimality
from mastsim.theorems.theorem2 import StronglyConvexDSGD

ALL: tuple[type[Theorem], ...] = (Lemma1, Lemma2, Lemma3, MinimizerSuboptimality, StronglyConvexDSGD)
"""Every theorem; tests, command line and documentation are generated from this tuple."""

__all__ = [
    "ALL",
    "Assumption",
    "AssumptionError",
    "Inequality",
    "Lemma1",
    "Lemma2",
    "Lemma3",
    "MinimizerSuboptimality",
    "Rate",
    "StronglyConvexDSGD",
    "Theorem",
]
