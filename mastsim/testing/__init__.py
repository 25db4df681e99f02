"""Checks of one's own sketches and problems, and hypothesis strategies that draw the package's."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mastsim.testing.loss_checks import check_loss
from mastsim.testing.method_checks import MethodReport, check_method
from mastsim.testing.problem_checks import check_problem
from mastsim.testing.sketch_checks import check_sketch
from mastsim.testing.theorem_checks import TheoremReport, check_theorem

if TYPE_CHECKING:
    from mastsim.testing import strategies as strategies

__all__ = [
    "MethodReport",
    "TheoremReport",
    "check_loss",
    "check_method",
    "check_problem",
    "check_sketch",
    "check_theorem",
]


def __getattr__(name: str) -> Any:
    if name == "strategies":
        return importlib.import_module("mastsim.testing.strategies")
    raise AttributeError(f"module 'mastsim.testing' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), "strategies"])
