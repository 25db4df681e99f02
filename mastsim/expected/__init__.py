"""E: the expectation over the sketch."""

from mastsim.expected.base import Evaluation, Expectation
from mastsim.expected.distributed import Distributed
from mastsim.expected.evaluations import ALL_EXPECTATIONS
from mastsim.expected.mast import Mast
from mastsim.expected.objective import Objective

__all__ = ["ALL_EXPECTATIONS", "Distributed", "Evaluation", "Expectation", "Mast", "Objective"]
