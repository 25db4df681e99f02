"""False variants of the theorems about Polyak steps, each with the instance that shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mastsim.expected import Mast
from mastsim.problems import Quadratic
from mastsim.sketches import RandK
from mastsim.theorems import StronglyConvexPolyakStep
from mastsim.theorems.base import Status
from mastsim.verification.instances import one_dimension
from mastsim.verification.trial import Trial


@dataclass(frozen=True, eq=False)
class QuarterPolyakStep(StronglyConvexPolyakStep):
    """The rate αμ claimed for c ≥ ¼: a step of twice the distance to the minimiser leads as far away on the other side.

    Parameters
    ----------
    objective, sharp, c, lower
        As in `StronglyConvexPolyakStep`, but for c from ¼ on.

    References
    ----------
    This package.

    Examples
    --------
    >>> QuarterPolyakStep(one_dimension()).c
    0.25
    """

    c: float = 0.25

    id = "polyak-step-strongly-convex/c-quarter"
    title = "Polyak step with c = ¼"
    source = "negative control; this package"
    status: ClassVar[Status] = "refuted as quoted"
    least = 0.25

    def contraction(self, stepsize: float) -> float:
        """Return αμ."""
        return min(self.alpha(stepsize) * self.mu, 1.0)

    def neighbourhood(self, stepsize: float) -> float:
        """Return 2γ_b·gap_S/(αμ)."""
        return 2 * self.reach(stepsize) * self.gap / self.mu


@dataclass(frozen=True, eq=False)
class HalvedPolyakSmoothness(StronglyConvexPolyakStep):
    """The theorem with half of L, where it is attained.

    Parameters
    ----------
    objective, sharp, c, lower
        As in `StronglyConvexPolyakStep`.

    References
    ----------
    This package.

    Examples
    --------
    >>> HalvedPolyakSmoothness(one_dimension()).L
    8.0
    """

    id = "polyak-step-strongly-convex/halved-L"
    title = "Polyak step with L halved"
    source = "negative control; this package"
    status: ClassVar[Status] = "refuted as quoted"

    @property
    def L(self) -> float:
        """Half of the expected smoothness constant."""
        return 0.5 * super().L


@dataclass(frozen=True, eq=False)
class GapOfTheSketches(StronglyConvexPolyakStep):
    """The gap f_D^inf − E inf f_S claimed while ℓ_S = f^inf: near x_D* every step is the cap, which may be too large.

    Parameters
    ----------
    objective, sharp, c, lower
        As in `StronglyConvexPolyakStep`.

    References
    ----------
    This package.

    Examples
    --------
    >>> claim = GapOfTheSketches(agreeing_masks())
    >>> round(claim.gap, 12), round(StronglyConvexPolyakStep(agreeing_masks()).gap, 12)
    (0.0, 0.5)
    """

    id = "polyak-step-strongly-convex/gap-of-the-sketches"
    title = "Polyak step from f^inf with the gap of the f_S"
    source = "negative control; this package"
    status: ClassVar[Status] = "refuted as quoted"

    @property
    def gap(self) -> float:
        """f_D^inf − E inf f_S."""
        return max(float(self.constants.gap_sharp), 0.0)


def agreeing_masks() -> Mast:
    """Return f(x) = ½‖x‖² − x₁ − x₂ under Rand-1: x_D* minimises every f_S, none of which comes down to f^inf."""
    return Mast(Quadratic(np.eye(2), np.ones(2)), RandK(2, k=1))


def false_polyak_steps() -> list[Trial]:
    """Return the trials that refute every false variant on its instance."""
    F, masks = one_dimension(), agreeing_masks()
    quarter, halved, gap = QuarterPolyakStep(F), HalvedPolyakSmoothness(F), GapOfTheSketches(masks)
    near = masks.minimize().x + np.array([1e-3, 0.0])
    return [
        Trial(quarter, quarter.stepsize, F, "refuted", np.ones(1)),
        Trial(halved, halved.stepsize, F, "refuted", np.ones(1)),
        Trial(gap, 1.0, masks, "refuted", near),
    ]
