"""Polyak's step size for sketched functions: as long as the value of f_S is above a lower bound, and never above a cap."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from mastsim.backend import Array, inner, namespace
from mastsim.expected import Mast
from mastsim.methods.steprules import StepRule
from mastsim.validation import SETTINGS, STEPS, positive, real, shown

SKETCH_INFIMUM = "sketch infimum"
"""The lower bound that is the infimum of the f_S that was drawn, one for each value of the sketch."""


@dataclass(frozen=True)
class PolyakStep(StepRule):
    """γ_t = min{(f_S(x) − ℓ_S)/(c‖∇f_S(x)‖²), cap} for the sketch S of the step; the cap itself where ∇f_S(x) = 0.

    A step then depends on the iterate in a way that is not affine: there are no exact moments, and rates are tried on trees
    of all outcomes and on replicas.

    Parameters
    ----------
    cap : float
        γ_b > 0, the largest step size.
    c : float, default 1.0
        c > 0; theorems need at least ½.
    lower : float or "sketch infimum", optional
        ℓ_S, a number that f_S never goes below: f^inf when left out; or the infimum of each f_S, found once for all values
        of a sketch that has few.

    Raises
    ------
    ValueError
        If a number is outside its range, or `lower` is another text.

    References
    ----------
    This package, after Loizou, Vaswani, Laradji, Lacoste-Julien, Stochastic Polyak step-size for SGD (SPS_max), AISTATS
    2021, as remembered.

    Examples
    --------
    >>> import mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(1), np.zeros(1)), ms.Identity(1))
    >>> ms.simulate(ms.DSGD(PolyakStep(cap=10.0)), F, steps=2, x0=np.ones(1)).x
    array([[0.25]])
    """

    cap: float
    c: float = 1.0
    lower: float | str | None = None

    adapts = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "cap", positive("cap", self.cap, STEPS))
        object.__setattr__(self, "c", positive("c", self.c, SETTINGS))
        if isinstance(self.lower, str):
            if self.lower != SKETCH_INFIMUM:
                raise ValueError(f"lower={self.lower!r} is not accepted: it must be None, a number or {SKETCH_INFIMUM!r}")
        elif self.lower is not None:
            object.__setattr__(self, "lower", real("lower", self.lower))

    def at(self, step: int) -> float:
        """Refuse: no step size belongs to the number of a step."""
        raise ValueError(f"step={shown(step)} is not accepted: a Polyak step depends on the iterate, not on its number")

    @property
    def largest(self) -> float:
        """The cap γ_b."""
        return self.cap

    def sizes(self, values: Array, squares: Array, lower: Array | float) -> Array:
        """Return γ_t of every replica, shape (replicas,).

        Parameters
        ----------
        values, squares : array, shape (replicas,)
            f_S(x) and ‖∇f_S(x)‖².
        lower : float or array, shape (replicas,)
            ℓ_S.

        Examples
        --------
        >>> PolyakStep(cap=2.0, c=0.5).sizes(np.array([1.0, 9.0, 1.0]), np.array([4.0, 1.0, 0.0]), 0.0)
        array([0.5, 2. , 2. ])
        """
        xp = namespace(values)
        above = xp.maximum(values - lower, xp.zeros_like(values))
        most = xp.full_like(values, self.cap)
        # A quotient beyond the range of floats is beyond the cap.
        reached = (squares > 0) & (above < self.cap * self.c * squares)
        return xp.where(reached, above / (self.c * xp.where(reached, squares, xp.ones_like(squares))), most)

    def bounds(self, objective: Mast, batch: Any, like: Array) -> Array | float:
        """Return ℓ_S for each drawn sketch: a number, or an array of shape (replicas,).

        Parameters
        ----------
        objective : Mast
            The objective.
        batch : SketchBatch
            The sketches that were drawn.
        like : array
            An array of the kind that is wanted.

        Raises
        ------
        ValueError
            If no lower bound of f is known, or the infima of the f_S are asked for and are not known.
        """
        if self.lower is None:
            return _infimum(objective)
        if not isinstance(self.lower, str):
            return self.lower
        found = objective.listed_infima
        if isinstance(found, str):
            raise ValueError(f"lower={self.lower!r} is not accepted: {found}; use a sketch with few values, or lower=None")
        infima = found[0] - found[1]
        if len(infima) == 1:
            return float(infima[0])
        return namespace(like).asarray(infima)[_which(objective, batch, like)]


def _infimum(objective: Mast) -> float:
    """Return a lower bound of f, which no f_S goes below either."""
    best = objective.problem.minimize()
    lower = best.value - best.gap_bound if best.proven else objective.problem.lower_bound
    if not math.isfinite(lower):
        raise ValueError(f"lower=None is not accepted: no lower bound of {objective.problem.name} is known; give a number")
    return float(lower)


def _which(objective: Mast, batch: Any, like: Array) -> Array:
    """Return which value of the sketch each drawn one is, by what it makes of a vector in general position."""
    xp = namespace(like)
    probe = xp.asarray(np.random.Generator(np.random.Philox(0)).standard_normal(objective.dim))
    known, drawn = objective.support[0].apply(probe), batch.apply(probe)
    return xp.argmin(inner(known, known) - 2 * drawn @ known.T, axis=-1)
