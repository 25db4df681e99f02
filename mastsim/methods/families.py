"""The explicit list of methods."""

from __future__ import annotations

from mastsim.keywords import by_keyword
from mastsim.methods.averaged_momentum import AveragedMomentum
from mastsim.methods.base import Method
from mastsim.methods.distributed import DistributedDSGD
from mastsim.methods.gradient_descent import DSGD, GD, GDCI, SGD
from mastsim.methods.variance_reduced import LSVRDSG, PAGE

ALL_METHODS: tuple[type[Method], ...] = (
    GD,
    DSGD,
    LSVRDSG,
    PAGE,
    DistributedDSGD,
    SGD,
    GDCI,
    AveragedMomentum,
)
"""Every method for any number of clients; tests, command line and documentation are generated from this tuple."""


def method_names() -> dict[str, type[Method]]:
    """Return the methods by keyword."""
    return by_keyword(ALL_METHODS)
