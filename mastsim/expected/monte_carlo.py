"""The labelled last resort: f_D as a mean over sketches drawn once, with its standard error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mastsim.backend import Array, Streams
from mastsim.expected.base import Evaluation
from mastsim.expected.enumeration import Enumeration
from mastsim.memory import check_room
from mastsim.problems import Problem
from mastsim.sketches import Sketch, SketchBatch

SAMPLES = 4096


@dataclass(frozen=True, eq=False)
class MonteCarlo(Enumeration):
    """The mean of f(v + S_j(x − v)) over sketches S_j that are drawn once and kept: a smooth function, but an estimate."""

    samples: int = SAMPLES
    seed: int = 0

    @classmethod
    def refusal(cls, problem: Problem, sketch: Sketch) -> str | None:
        """Say why this evaluation does not apply: it always does."""
        return None

    @property
    def evaluation(self) -> Evaluation:
        """How values are obtained."""
        return Evaluation("monte carlo", "estimate", f"a mean over {self.samples} sketches drawn with seed {self.seed}")

    @property
    def sketches(self) -> SketchBatch:
        """The sketches that were drawn."""
        return self._support[0]

    @cached_property
    def _support(self) -> tuple[SketchBatch, np.ndarray]:
        size = self.samples, self.sketch.uniforms
        check_room("Monte Carlo of f_D by samples × draws", *size, change="use a sketch that draws fewer", itemsize=64)
        u = Streams(self.seed).uniform("expectation", 0, np.arange(self.samples), self.sketch.uniforms)
        return self.sketch.from_uniforms(u), np.full(self.samples, 1 / self.samples)

    def error_bound(self, x: Array) -> float:
        """Infinite: nothing is proven about an estimate; see `standard_error`."""
        return math.inf

    def gradient_error(self, x: np.ndarray) -> float:
        """Infinite: nothing is proven about an estimate."""
        return math.inf

    def standard_error(self, x: Array) -> Array:
        """Return the standard error of `value`, shape ``x.shape[:-1]``."""
        mean = self.value(x)
        square = self._mean(lambda batch, z: self.problem.value(self.shift + batch.apply(z)) ** 2, x)
        return np.sqrt(np.maximum(square - mean**2, 0.0) / (self.samples - 1))
