"""What a step of a method costs where exact gradients of f_D are dear, and whether it is random at all."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import numpy as np

from mastsim.expected import Objective
from mastsim.methods import Method
from mastsim.simulation import simulate

_STEPS, _REPLICAS = 32, 4
GRADIENTS, LEAST = 1024, 8
"""Exact gradients of f_D that one measurement may take where they are costly, and the fewest replicas."""


class Cost(NamedTuple):
    """What a step of a replica takes.

    Parameters
    ----------
    gradients : float
        Exact gradients of f_D, on average; 0 where these are in closed form, and so cost no more than others.
    alike : bool
        Whether all replicas do the same.
    """

    gradients: float
    alike: bool

    def sizes(self, steps: int, replicas: int, records: int = 0) -> tuple[int, int]:
        """Return how many steps and replicas are affordable, with so many costly records in all.

        Examples
        --------
        >>> Cost(0.0, False).sizes(2000, 64), Cost(1.0, True).sizes(2000, 64), Cost(0.1, False).sizes(2000, 64)
        ((2000, 64), (512, 2), (1280, 8))
        """
        replicas = 2 if self.alike else replicas
        fewest = min(replicas, LEAST)
        if self.gradients > 0:
            steps = max(4, min(steps, int(GRADIENTS / (fewest * self.gradients))))
        taken = steps * self.gradients + records
        return steps, replicas if taken == 0 else max(fewest, min(replicas, int(GRADIENTS / taken)))


class _Counter:
    """Stands in for the gradient of f_D: counts points, and returns the gradient of f there, which is cheap."""

    def __init__(self, objective: Objective) -> None:
        self.points, self.problem = 0, objective.problem

    def __call__(self, x: np.ndarray) -> Any:
        self.points += int(np.prod(np.shape(x)[:-1]))
        return self.problem.gradient(x)


def cost_of(method: Method, objective: Objective, seed: int) -> Cost:
    """Return what a step costs, counted along a short run in which exact gradients are replaced by cheap ones.

    Parameters
    ----------
    method : Method
        The method.
    objective : Objective
        The objective.
    seed : int
        The seed of the run.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1))
    >>> cost_of(ms.GD(0.1), F, 0), cost_of(ms.DSGD(0.1), F, 0)
    (Cost(gradients=0.0, alike=True), Cost(gradients=0.0, alike=False))
    """
    objective.minimize()  # which the copy keeps, found with true gradients
    trial, counter = copy.copy(objective), _Counter(objective)
    object.__setattr__(trial, "gradient", counter)
    what: dict[str, Any] = {"measures": ("distance",), "every": _STEPS, "engine": "array", "progress": False}
    run = simulate(method, trial, steps=_STEPS, replicas=_REPLICAS, seed=seed, **what)
    costly = 0.0 if objective.is_quadratic else counter.points / (_STEPS * _REPLICAS)
    return Cost(costly, bool((np.ptp(run.x, axis=0) == 0).all()))
