"""E: the expectation over the sketch."""

from mastsim.expected.base import Evaluation, Expectation
from mastsim.expected.mast import ALL_EXPECTATIONS, Mast

__all__ = ["ALL_EXPECTATIONS", "Evaluation", "Expectation", "Mast"]
