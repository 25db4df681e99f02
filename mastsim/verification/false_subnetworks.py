"""False variants of the theorems about subnetworks: descent of f without its assumption, and no bias."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mastsim.expected import Distributed
from mastsim.problems import Quadratic
from mastsim.sketches import PermK
from mastsim.theorems import PreconditionedDescent, SubnetworkDescent
from mastsim.theorems.assumptions import Assumption
from mastsim.theorems.base import Status
from mastsim.theorems.preconditioned_subnetworks import one_coordinate_each
from mastsim.theorems.subnetwork_constants import DESCENT, SubnetworkConstants
from mastsim.verification.trial import Trial


@dataclass(frozen=True, eq=False)
class DescentWithoutAssumption(SubnetworkDescent):
    """Descent of f at the rate λ_min(H_D) that holds for the distance, without asking whether W is positive definite.

    It is false only at first: f rises from some starts whatever the step, and then falls with the distance.

    Parameters
    ----------
    objective, sharp
        As in `SubnetworkDescent`.

    References
    ----------
    This package.

    Examples
    --------
    >>> round(float(np.linalg.eigvalsh(SubnetworkConstants(rising()).W)[0]), 3)
    -0.034
    """

    id = "subnetworks-descent/without-assumption"
    title = "Subnetworks (descent of f), W ≻ 0 left out"
    source = "negative control; this package"
    status: ClassVar[Status] = "refuted as quoted"
    assumptions: ClassVar[tuple[Assumption, ...]] = tuple(
        each for each in SubnetworkDescent.assumptions if each is not DESCENT
    )
    share: ClassVar[float] = 1.0

    @property
    def stepsize(self) -> float:
        """1/θ₂, times `share`."""
        return self.share / self.constants.square_smoothness

    def contraction(self, stepsize: float) -> float:
        """Return γλ_min(H_D)."""
        return min(stepsize * self.mu, 1.0)


def rising() -> Distributed:
    """Return two clients with one Hessian whose W is not positive semidefinite, coordinates dealt out."""
    f = Quadratic(np.array([[1.0, 0.3], [0.3, 0.1]]), np.zeros(2))
    return Distributed([f, f], PermK(2, clients=2))


def worst_start() -> np.ndarray:
    """Return the direction from which a small step adds most to f, of length 1."""
    direction: np.ndarray = np.linalg.eigh(SubnetworkConstants(rising()).W)[1][:, 0]
    return direction


@dataclass(frozen=True, eq=False)
class PreconditionedWithoutBias(PreconditionedDescent):
    """Preconditioned subnetworks with a neighbourhood that vanishes with the step: the bias left out.

    Parameters
    ----------
    objective, sharp
        As in `PreconditionedDescent`.

    References
    ----------
    This package.

    Examples
    --------
    >>> t = PreconditionedWithoutBias(one_coordinate_each()[0])
    >>> t.neighbourhood(1e-3) < 1e-2 * PreconditionedDescent(t.objective).neighbourhood(1e-3)
    True
    """

    id = "subnetworks-preconditioned/without-bias"
    title = "Subnetworks, preconditioned, the bias left out"
    source = "negative control; this package"
    status: ClassVar[Status] = "refuted as quoted"

    def neighbourhood(self, stepsize: float) -> float:
        """Return ½γσ²."""
        noise = self.constants.preconditioned_noise2
        return 0.5 * stepsize * (noise.value + noise.error)


def false_subnetworks() -> list[Trial]:
    """Return the trials that refute them, from the worst start and at a small step."""
    claim, unbiased = DescentWithoutAssumption(rising()), PreconditionedWithoutBias(one_coordinate_each()[0])
    return [
        Trial(claim, claim.stepsize, claim.objective, "refuted", worst_start()),
        Trial(unbiased, 0.2, unbiased.objective, "refuted"),
    ]
