"""Early stopping: iterates of DSGD at equally spaced checks, and which of them is kept."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from mastsim.expected import Mast
from mastsim.reproduce.curves import follow
from mastsim.theorems import StronglyConvexDSGD


class Checked(NamedTuple):
    """Iterates at checks.

    Parameters
    ----------
    points : ndarray, shape (replicas, checks, dim)
        The iterates.
    steps : list of int
        The steps of the checks.
    stepsize : float
        The step size.
    """

    points: np.ndarray
    steps: list[int]
    stepsize: float


def checked(F: Mast, times: float, checks: int, replicas: int, seed: int) -> Checked:
    """Return iterates of DSGD (GD where nothing is sketched) from N(0, I) at the largest step of Theorem 2, sharp constants.

    Parameters
    ----------
    F : Mast
        The objective.
    times : float
        How long, in units of 1/(γμ) steps.
    checks : int
        Checks in each such unit.
    replicas : int
        Runs.
    seed : int
        The seed; equal seeds start at the same points.

    Examples
    --------
    >>> import mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.diag([1.0, 4.0]), np.ones(2)), ms.RandK(2, k=1))
    >>> seen = checked(F, times=2.0, checks=2, replicas=3, seed=0)
    >>> seen.points.shape, seen.steps
    ((3, 4, 2), [4, 8, 12, 16])
    """
    theorem = StronglyConvexDSGD(F, sharp=True)
    unit = 1 / theorem.contraction(theorem.stepsize)
    at = np.arange(1, math.ceil(times * checks) + 1) * unit / checks
    steps: list[int] = np.unique(np.ceil(at * (1 - 1e-12)).astype(int)).tolist()
    method = theorem.method_at(theorem.stepsize)
    path = follow(method, F, steps, distances=False, replicas=replicas, seed=seed, x0="normal")
    return Checked(path.points, steps, theorem.stepsize)


def stopping(scores: np.ndarray, patience: int) -> tuple[int, int]:
    """Return the best check up to where training stops, and where it stops: `patience` checks without a better score.

    Parameters
    ----------
    scores : ndarray, shape (checks,)
        A score at each check, larger is better.
    patience : int
        At least 1.

    Examples
    --------
    >>> stopping(np.array([0.1, 0.5, 0.5, 0.4, 0.9]), patience=2), stopping(np.array([0.1, 0.5]), patience=2)
    ((1, 3), (1, 1))
    """
    best = 0
    for check in range(len(scores)):
        if scores[check] > scores[best]:
            best = check
        if check - best >= patience:
            return best, check
    return best, len(scores) - 1
