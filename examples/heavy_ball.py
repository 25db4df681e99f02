"""Methods of one's own: DSGD with momentum has exact moments on quadratics, clipped DSGD is refused: it is not affine."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

import mastsim as ms
from mastsim.extend import Method, State, StochasticMethod

Moving = NamedTuple("Moving", [("x", np.ndarray), ("m", np.ndarray)])


@dataclass(frozen=True)
class HeavyBall(Method):
    affine = True
    beta: float = 0.5

    def init(self, objective, x0):
        return Moving(x0, np.zeros_like(x0))

    def step(self, state, objective, draw):
        g = objective.sketched_gradient(state.x, draw.of("sketch", objective.sketch))
        return Moving(state.x - (m := self.beta * state.m + self.rule.at(draw.step) * g), m)


@dataclass(frozen=True)
class Clipped(StochasticMethod):
    def init(self, objective, x0):
        return State(x0)

    def direction(self, state, objective, gradient, draw):
        g = gradient.sketched(state.x, draw.of("sketch", objective.sketch))
        return g / np.maximum(np.linalg.norm(g, axis=-1, keepdims=True), 1.0)


F = ms.Mast(ms.Quadratic(np.diag([1.0, 4.0]), np.ones(2)), ms.RandK(2, k=1))
print(ms.testing.check_method(HeavyBall(0.05), F), ms.moments.propagate(F, HeavyBall(0.05), np.ones(2), 3).distance)
print(ms.testing.check_method(Clipped(0.05), F))
