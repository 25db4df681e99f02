"""Methods as a user would write them, some with steps that are affine and some that only look so; used by tests."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mastsim.methods import Method, State
from mastsim.methods.compression import Compressor


class Momentum(NamedTuple):
    x: np.ndarray
    m: np.ndarray


@dataclass(frozen=True)
class HeavyBall(Method):
    """x⁺ = x − γm⁺, m⁺ = βm + ∇f_S(x): affine."""

    beta: float = 0.5
    affine = True

    def init(self, objective, x0):
        return Momentum(x0, np.zeros_like(x0))

    def step(self, state, objective, draw):
        m = self.beta * state.m + objective.sketched_gradient(state.x, draw.of("sketch", objective.sketch))
        return Momentum(state.x - self.rule.at(draw.step) * m, m)


@dataclass(frozen=True)
class OneSketch(Method):
    """x⁺ = x − γ·change(g) for a sketched gradient g: what claims to be affine and is not."""

    affine = True

    def init(self, objective, x0):
        return State(x0)

    def step(self, state, objective, draw):
        g = objective.sketched_gradient(state.x, draw.of("sketch", objective.sketch))
        return State(state.x - self.rule.at(draw.step) * self.change(g, state, draw))

    def change(self, g, state, draw):
        return g


class Sign(OneSketch):
    affine = True

    def change(self, g, state, draw):
        return np.sign(g)


class Normalised(OneSketch):
    affine = True

    def change(self, g, state, draw):
        return g / np.maximum(np.linalg.norm(g, axis=1, keepdims=True), 1e-12)


@dataclass(frozen=True)
class Clipped(OneSketch):
    """Gradients longer than `limit` are cut to it: affine near the minimiser."""

    limit: float = 1e3
    affine = True

    def change(self, g, state, draw):
        return g * np.minimum(1.0, self.limit / np.maximum(np.linalg.norm(g, axis=1, keepdims=True), 1e-300))


@dataclass(frozen=True)
class DeadZone(OneSketch):
    """Gradients shorter than `limit` are dropped: affine far from the minimiser."""

    limit: float = 1e-4
    affine = True

    def change(self, g, state, draw):
        return np.where(np.linalg.norm(g, axis=1, keepdims=True) < self.limit, 0.0, g)


class Polyak(OneSketch):
    """γ = (f_S(x) − ℓ)/‖∇f_S(x)‖², capped."""

    affine = True

    def step(self, state, objective, draw):
        batch = draw.of("sketch", objective.sketch)
        g = objective.sketched_gradient(state.x, batch)
        value = objective.sketched_value(state.x, batch) - objective.problem.minimize().value
        size = np.maximum((g * g).sum(axis=1), 1e-300)
        return State(state.x - np.minimum(value / size, self.rule.largest)[:, None] * g)


class Estimate(NamedTuple):
    x: np.ndarray
    g: np.ndarray


class EF21(OneSketch):
    """x⁺ = x − γg, g⁺ = g + Top-1(∇f_S(x⁺) − g): the compressor is biased, and picks by size."""

    affine = True

    def init(self, objective, x0):
        return Estimate(x0, np.zeros_like(x0))

    def step(self, state, objective, draw):
        x = state.x - self.rule.at(draw.step) * state.g
        off = objective.sketched_gradient(x, draw.of("sketch", objective.sketch)) - state.g
        return Estimate(x, state.g + off * (np.abs(off) >= np.abs(off).max(axis=1, keepdims=True)))


class EverySecond(OneSketch):
    """Another step size every thousandth step: the same law of affine maps is needed at every step."""

    affine = True

    def change(self, g, state, draw):
        return g if draw.step % 1000 else 2 * g


@dataclass(frozen=True)
class Restarted(HeavyBall):
    """Momentum is forgotten at the end of every period."""

    period: int = 10
    affine = True

    def step(self, state, objective, draw):
        after = super().step(state, objective, draw)
        return after if (draw.step + 1) % self.period else Momentum(after.x, 0 * after.m)


@dataclass(frozen=True)
class ChangedOnce(OneSketch):
    """Another step size at one step only."""

    when: int = 77
    affine = True

    def change(self, g, state, draw):
        return g if draw.step != self.when else 2 * g


class LateDecay(OneSketch):
    affine = True

    def change(self, g, state, draw):
        return g / (1 + draw.step)


class Together(OneSketch):
    """Replicas that look at each other."""

    affine = True

    def change(self, g, state, draw):
        return g / (1 + np.abs(state.x).mean())


class Remembering(NamedTuple):
    x: np.ndarray
    size: np.ndarray


class AdaGradNorm(OneSketch):
    """A step size that is carried along, one number a replica."""

    affine = True

    def init(self, objective, x0):
        return Remembering(x0, np.zeros(len(x0)))

    def step(self, state, objective, draw):
        g = objective.sketched_gradient(state.x, draw.of("sketch", objective.sketch))
        size = state.size + (g * g).sum(axis=1)
        return Remembering(state.x - (self.rule.largest / np.sqrt(1e-8 + size))[:, None] * g, size)


class SignCompressor(Compressor):
    """sign(g)·‖g‖₁/d, which claims to be linear."""

    linear = True
    name = "sign"

    def law(self, dim):
        return SignLaw()

    def omega(self, dim):
        return 0.0


class SignLaw:
    uniforms, support_size = 0, 1.0

    def from_uniforms(self, u):
        return SignBatch()

    def support(self):
        return SignBatch(), np.ones(1)


class SignBatch:
    def apply(self, g):
        return np.sign(g) * np.abs(g).mean(axis=-1, keepdims=True)

    def take(self, index):
        return self


NOT_AFFINE = (
    Sign(0.05),
    Normalised(0.05),
    Clipped(0.05),
    Clipped(0.05, limit=1.0),
    DeadZone(0.05),
    Polyak(10.0),
    Polyak(1e3),
    EF21(0.05),
    Together(0.05),
)
CHANGING = (
    EverySecond(0.05),
    LateDecay(0.05),
    *(Restarted(0.05, period=p) for p in (5, 10, 50, 100)),
    ChangedOnce(0.05, when=15),
)
