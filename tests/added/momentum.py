"""DSGD with heavy-ball momentum."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mastsim.methods.base import Method, require_one_node
from mastsim.provenance import Constant


class Moving(NamedTuple):
    """A point and the last displacement."""

    x: np.ndarray
    m: np.ndarray


@dataclass(frozen=True)
class MomentumDSGD(Method):
    """x⁺ = x − m⁺, m⁺ = βm + γ∇f_S(x)."""

    keyword = "momentum"
    affine = True
    beta: float = 0.25

    def safe_step(self, objective, sharp):
        """Return a modest share of 1/L."""
        L = objective.L_fD_sharp if sharp else objective.L_fD
        return Constant(0.1 / L, "lower", "0.1/L of f_D")

    def init(self, objective, x0):
        """Return the first state, at rest."""
        require_one_node(self, objective)
        return Moving(x0, np.zeros_like(x0))

    def step(self, state, objective, draw):
        """Return the state after one step."""
        g = objective.sketched_gradient(state.x, draw.of("sketch", objective.sketch))
        m = self.beta * state.m + self.rule.at(draw.step) * g
        return Moving(state.x - m, m)
