"""The false variant of the theorem about subnetworks: descent of f without its assumption."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mastsim.expected import Distributed
from mastsim.problems import Quadratic
from mastsim.sketches import PermK
from mastsim.theorems import SubnetworkDescent
from mastsim.theorems.assumptions import Assumption
from mastsim.theorems.base import Status
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


def false_subnetworks() -> list[Trial]:
    """Return the trial that refutes it, from the worst start."""
    claim = DescentWithoutAssumption(rising())
    return [Trial(claim, claim.stepsize, claim.objective, "refuted", worst_start())]
