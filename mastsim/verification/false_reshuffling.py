"""The false variant of the theorem about reshuffled sketches: blocks of a fresh partition instead of one fixed list."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from mastsim.expected import Mast
from mastsim.methods import DSGD, FreshPartition, Method
from mastsim.problems import Quadratic
from mastsim.sketches import RandK
from mastsim.theorems import StronglyConvexReshuffled
from mastsim.theorems.base import Status
from mastsim.theorems.rates import SketchedRate
from mastsim.verification.trial import Trial


@dataclass(frozen=True, eq=False)
class PartitionAsList(StronglyConvexReshuffled):
    """The theorem about one fixed list, claimed for a fresh random partition of the coordinates every epoch.

    The d/K blocks of one epoch cannot make up for what other partitions would add, so that the neighbourhood stays of first
    order in γ.

    Parameters
    ----------
    objective, sharp
        As in `StronglyConvexReshuffled`; the sketch must be Rand-K of a multiple of K.

    References
    ----------
    This package.

    Examples
    --------
    >>> PartitionAsList(alternating()).N
    2
    """

    order: FreshPartition = field(default_factory=FreshPartition, kw_only=True)  # type: ignore[assignment]

    id = "reshuffled-strongly-convex/fresh-partition"
    title = "Reshuffled sketches, with a fresh partition every epoch"
    source = "negative control; this package"
    status: ClassVar[Status] = "refuted as quoted"

    def __post_init__(self) -> None:
        SketchedRate.__post_init__(self)

    def method_at(self, stepsize: float) -> Method:
        """Return `DSGD` with a fresh partition every epoch, and a step size."""
        return DSGD(stepsize, order=FreshPartition())

    @property
    def N(self) -> int:
        """The number of blocks, which is that of gradient steps an epoch."""
        return FreshPartition().length(self.objective.sketch)


def alternating() -> Mast:
    """Return a quadratic in four dimensions whose coordinates pull each other, under Rand-2."""
    A = 0.5 * np.eye(4) + 0.5 * np.ones((4, 4))
    return Mast(Quadratic(A, np.array([1.0, -1.0, 1.0, -1.0])), RandK(4, k=2))


def false_reshuffling(share: float = 1 / 256) -> list[Trial]:
    """Return the trial that refutes it, from x_D*, at γL = `share`."""
    claim = PartitionAsList(alternating(), sharp=True)
    return [Trial(claim, share / claim.L, claim.objective, "refuted", claim.objective.minimize().x)]
