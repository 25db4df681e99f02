"""Negative controls: false variants of the theorems, which a trial that can fail must refute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mastsim.backend import Array
from mastsim.expected import Mast
from mastsim.problems import Quadratic
from mastsim.sketches import Bernoulli, SketchBatch, Unscaled
from mastsim.sketches.selection import SelectionSketch
from mastsim.theorems import (
    Inequality,
    Lemma1,
    Lemma3,
    MinimizerSuboptimality,
    StronglyConvexDSGD,
)
from mastsim.theorems.base import Sides
from mastsim.verification.instances import one_dimension, two_signs
from mastsim.verification.trial import Trial


@dataclass(frozen=True, eq=False)
class HalvedSketchNorm(StronglyConvexDSGD):
    """Theorem 2 with half of L_S^max, in the step size and in the neighbourhood."""

    id = "theorem2/halved-L_S_max"
    title = "Theorem 2 with L_S^max halved"
    source = "negative control"

    @property
    def L(self) -> float:
        """Half of the expected smoothness constant."""
        return 0.5 * super().L


@dataclass(frozen=True, eq=False)
class HalvedNeighbourhood(StronglyConvexDSGD):
    """Theorem 2 with half of the gap in the neighbourhood."""

    id = "theorem2/halved-gap"
    title = "Theorem 2 with its neighbourhood halved"
    source = "negative control"

    @property
    def gap(self) -> float:
        """Half of the gap."""
        return 0.5 * super().gap


@dataclass(frozen=True, eq=False)
class TripledStep(StronglyConvexDSGD):
    """Theorem 2 claimed at three times its largest step size."""

    id = "theorem2/step-x3"
    title = "Theorem 2 at 3 × the largest step"
    source = "negative control"

    @property
    def stepsize(self) -> float:
        """Three times what the theorem allows."""
        return 3 * super().stepsize


@dataclass(frozen=True, eq=False)
class MissingScale(StronglyConvexDSGD):
    """Theorem 2 claimed for masks without the factor 1/keep."""

    id = "theorem2/no-scaling"
    title = "Theorem 2 with the scaling 1/keep left out"
    source = "negative control"


class ScaledRight(Inequality):
    """An inequality with its right sides multiplied by a factor, one half unless it says otherwise."""

    factor: ClassVar[float] = 0.5

    def sides(self, part: str, x: Array, y: Array, batch: SketchBatch) -> Sides:
        """Return both sides, the right one scaled."""
        return self._scaled(super().sides(part, x, y, batch))  # type: ignore[safe-super]

    def spectral_sides(self, part: str) -> Sides | None:
        """Return both sides, the right one scaled, or None where there is no spectrum."""
        found = super().spectral_sides(part)  # type: ignore[safe-super]
        return None if found is None else self._scaled(found)

    def _scaled(self, sides: Sides) -> Sides:
        return Sides(sides.left, self.factor * sides.right, sides.scale)


@dataclass(frozen=True, eq=False)
class HalvedSmoothness(ScaledRight, Lemma1):
    """Lemma 1 with every right side halved."""

    id = "lemma1/halved"
    title = "Lemma 1 with its constants halved"
    source = "negative control"


@dataclass(frozen=True, eq=False)
class DoubledConvexity(ScaledRight, Lemma3):
    """Lemma 3 with the convexity it promises doubled."""

    id = "lemma3/doubled"
    title = "Lemma 3 with its constants doubled"
    source = "negative control"


@dataclass(frozen=True, eq=False)
class ShrunkSuboptimality(ScaledRight, MinimizerSuboptimality):  # type: ignore[misc]
    """Theorem 1 with its right side multiplied by 0.4; one half would be true in one dimension."""

    id = "theorem1/x0.4"
    title = "Theorem 1 with its right side × 0.4"
    source = "negative control"
    factor = 0.4


def false_inequalities() -> list[Inequality]:
    """Return false inequalities, each on an instance that shows it."""
    biased = Mast(Quadratic(np.eye(1), np.ones(1)), Bernoulli(1, 0.9))
    return [HalvedSmoothness(one_dimension()), DoubledConvexity(one_dimension()), ShrunkSuboptimality(biased)]


def false_rates() -> list[Trial]:
    """Return false rates, each on a one-dimensional instance where Theorem 2 is an equality."""
    F, noisy = one_dimension(), two_signs()
    assert isinstance(F.sketch, SelectionSketch)
    claims = [HalvedSketchNorm(F), HalvedNeighbourhood(noisy), TripledStep(F)]
    unscaled = Mast(F.problem, Unscaled(F.sketch))
    trials = [Trial(claim, claim.stepsize, claim.objective, "refuted") for claim in claims]
    return [*trials, Trial(MissingScale(F), MissingScale(F).stepsize, unscaled, "refuted")]
