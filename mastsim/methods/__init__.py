"""x⁺: the methods."""

from mastsim.methods.base import Draw, Method, State
from mastsim.methods.gradient_descent import DSGD, GD

ALL_METHODS: tuple[type[Method], ...] = (GD, DSGD)
"""Every method; tests, command line and documentation are generated from this tuple."""

__all__ = ["ALL_METHODS", "DSGD", "GD", "Draw", "Method", "State"]
