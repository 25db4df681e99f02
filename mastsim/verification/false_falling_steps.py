"""False variants of the theorems about momentum and about steps that fall, each with the instance that shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mastsim.theorems import ConvexAveragedMomentum, DecreasingStepDSGD
from mastsim.theorems.base import Status
from mastsim.theorems.rates import SketchedRate
from mastsim.verification.instances import one_dimension, two_signs
from mastsim.verification.trial import Trial


@dataclass(frozen=True, eq=False)
class FasterMomentum(ConvexAveragedMomentum):
    """The bound claimed for momentum that grows four times as fast as t: it then remembers old steps for too long.

    Parameters
    ----------
    objective, sharp, growth
        As in `ConvexAveragedMomentum`, but for any growth; 4 by default.

    References
    ----------
    This package.

    Examples
    --------
    >>> FasterMomentum(one_dimension()).growth
    4.0
    """

    growth: float = 4.0

    id = "averaged-momentum/faster"
    title = "Momentum that grows like 4t"
    source = "negative control; this package"
    status: ClassVar[Status] = "refuted as quoted"

    def __post_init__(self) -> None:
        SketchedRate.__post_init__(self)

    @property
    def stepsize(self) -> float:
        """1/(4L)."""
        return 1 / (4 * self.L)


@dataclass(frozen=True, eq=False)
class NoiselessMomentum(ConvexAveragedMomentum):
    """The bound without its neighbourhood: averaging does not take it away at a constant step.

    Parameters
    ----------
    objective, sharp, growth
        As in `ConvexAveragedMomentum`.

    References
    ----------
    This package.

    Examples
    --------
    >>> NoiselessMomentum(two_signs()).radius
    0.0
    """

    id = "averaged-momentum/without-neighbourhood"
    title = "Momentum as averaging, without a neighbourhood"
    source = "negative control; this package"
    status: ClassVar[Status] = "refuted as quoted"

    def noise(self, stepsize: float) -> float:
        """Return 0."""
        return 0.0


@dataclass(frozen=True, eq=False)
class DoubledFirstStep(DecreasingStepDSGD):
    """Decreasing steps from t_0 = L/μ on, half of what is needed.

    Parameters
    ----------
    objective, sharp
        As in `DecreasingStepDSGD`.

    References
    ----------
    This package.

    Examples
    --------
    >>> DoubledFirstStep(one_dimension()).t0(DoubledFirstStep(one_dimension()).stepsize)
    4.0
    """

    id = "decreasing-step/doubled-first-step"
    title = "Decreasing steps from t_0 = L/μ"
    source = "negative control; this package"
    status: ClassVar[Status] = "refuted as quoted"

    @property
    def stepsize(self) -> float:
        """Twice what the theorem allows."""
        return 2 * super().stepsize


@dataclass(frozen=True, eq=False)
class NoiselessDecrease(DecreasingStepDSGD):
    """Decreasing steps with the rate 1/T² of the first term alone.

    Parameters
    ----------
    objective, sharp
        As in `DecreasingStepDSGD`.

    References
    ----------
    This package.

    Examples
    --------
    >>> NoiselessDecrease(two_signs()).gap
    0.0
    """

    id = "decreasing-step/without-noise"
    title = "Decreasing steps without the noise of sketches"
    source = "negative control; this package"
    status: ClassVar[Status] = "refuted as quoted"

    @property
    def gap(self) -> float:
        """0."""
        return 0.0


def false_falling_steps() -> list[Trial]:
    """Return the trials that refute every false variant on its instance."""
    F, noisy = one_dimension(), two_signs()
    claims = [FasterMomentum(F), NoiselessMomentum(noisy), DoubledFirstStep(F), NoiselessDecrease(noisy)]
    return [Trial(claim, claim.stepsize, claim.objective, "refuted", np.ones(1)) for claim in claims]
