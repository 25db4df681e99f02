"""Clients on which the constant that is quoted for Theorem 6 is too small."""

from __future__ import annotations

import math

import numpy as np

from mastsim.expected import Distributed
from mastsim.problems import Quadratic
from mastsim.sketches import FiniteSupport, Identity

WITNESSES: tuple[tuple[float, int], ...] = ((1e-3, 900), (1e-4, 900), (1e-5, 2500), (1e-6, 10000))
"""How often the wild sketch of a witness is not zero, and the number of steps."""


def theorem6_witness(probability: float) -> tuple[Distributed, np.ndarray]:
    """Return two clients on which the constant quoted for Theorem 6 is too small by far, and where to start.

    One client is smooth and not sketched, the other nearly flat with a wild sketch: 𝔇_max is 1 for both, while what matters
    is their mixture. The gap is zero, so that the bound is its first term.
    """
    S = [np.array([[1.0, 0.0], [sign * c, c]]) for sign, c in ((1, 0.0), (1, 1 / probability), (-1, 1 / probability))]
    wild = FiniteSupport(S, [1 - probability, probability / 2, probability / 2])
    flat = 1 / math.sqrt(wild.L_D * wild.L_max)
    clients = [Quadratic(np.diag([1.0, 0.0]), np.zeros(2)), Quadratic(np.diag([0.0, flat]), np.zeros(2))]
    return Distributed(clients, [Identity(2), wild]), np.ones(2)
