"""False variants of the theorems about moving shifts, each with the instance that shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from mastsim.backend import Array
from mastsim.expected import Mast
from mastsim.methods import Held, Refreshed
from mastsim.problems import Quadratic
from mastsim.sketches import FiniteSupport, RandK
from mastsim.theorems import (
    ConvexSketchedGradient,
    PolyakLojasiewiczSketchedGradient,
    SketchedGradientDistance,
    StronglyConvexHeld,
    StronglyConvexQuadraticShift,
)
from mastsim.theorems.base import Status
from mastsim.verification.trial import Trial

HORIZON = 100
"""For how many steps the witness against a start from the distance alone is made."""


@dataclass(frozen=True, eq=False)
class SketchOnTheRight(PolyakLojasiewiczSketchedGradient):
    """The sketched gradient with E[SᵀLS], which is the curvature of f_D, in place of E[SLSᵀ]: false for S that turn.

    Parameters
    ----------
    objective, sharp
        As in `PolyakLojasiewiczSketchedGradient`.

    References
    ----------
    This package.

    Examples
    --------
    >>> claim = SketchOnTheRight(sheared())
    >>> round(claim.stepsize, 12), round(1 / PolyakLojasiewiczSketchedGradient(sheared(), sharp=True).stepsize, 12)
    (0.5, 10.1)
    """

    id = "sketched-gradient-polyak-lojasiewicz/sketch-on-the-right"
    title = "Sketched gradient with E[SᵀLS] in place of E[SLSᵀ]"
    source = "negative control; this package"
    status: ClassVar[Status] = "refuted as quoted"

    @property
    def theta(self) -> float:
        """λ_max(E[SᵀLS])."""
        return self.constants.L_fD_sharp.value


@dataclass(frozen=True, eq=False)
class DistanceAtTheStepOfTheValue(SketchedGradientDistance):
    """The distance alone, at the step 1/λ_max(E[SLSᵀ]) that is enough for the value of f: false when coordinates agree.

    Parameters
    ----------
    objective, sharp
        As in `SketchedGradientDistance`; `sharp` has no effect.

    References
    ----------
    This package.

    Examples
    --------
    >>> F = agreeing(4)
    >>> round(1 / DistanceAtTheStepOfTheValue(F).stepsize, 12), round(1 / SketchedGradientDistance(F).stepsize, 12)
    (4.08, 16.08)
    """

    id = "sketched-gradient-distance/step-of-the-value"
    title = "Sketched gradient (distance alone) at 1/λ_max(E[SLSᵀ])"
    source = "negative control; this package"
    status: ClassVar[Status] = "refuted as quoted"

    @property
    def theta_distance(self) -> float:
        """λ_max(E[SLSᵀ])."""
        return self.constants.step_smoothness_sharp.value


@dataclass(frozen=True, eq=False)
class StepOfTheGradient(StronglyConvexQuadraticShift):
    """A refreshed shift at the step 1/λ_max(E[SLSᵀ]) that is enough where the shift is the iterate: false for most p.

    Parameters
    ----------
    objective, sharp, shift
        As in `StronglyConvexQuadraticShift`.

    References
    ----------
    This package.

    Examples
    --------
    >>> StepOfTheGradient(rare_and_large()).stepsize, StronglyConvexQuadraticShift(rare_and_large()).stepsize
    (0.25, 0.03125)
    """

    id = "moving-shift-quadratic/step-of-the-gradient"
    title = "Refreshed shift at 1/λ_max(E[SLSᵀ])"
    source = "negative control; this package"
    status: ClassVar[Status] = "refuted as quoted"

    @property
    def stepsize(self) -> float:
        """1/λ_max(E[SLSᵀ])."""
        return 1 / self.constants.step_smoothness_sharp


@dataclass(frozen=True, eq=False)
class WithoutTheValue(ConvexSketchedGradient):
    """E f(x^T) − f^inf ≤ ‖x⁰ − x*‖²/(γT): without the term in f(x⁰), whatever the constant, it is false in high dimension.

    Parameters
    ----------
    objective, sharp
        As in `ConvexSketchedGradient`.

    References
    ----------
    This package.

    Examples
    --------
    >>> WithoutTheValue(agreeing(4)).start_mixture(0.1)
    {'error': 1.0}
    """

    id = "sketched-gradient-convex/without-the-value"
    title = "Sketched gradient (convex) from the distance alone"
    source = "negative control; this package"
    status: ClassVar[Status] = "refuted as quoted"
    starts_from = "error"

    @property
    def planned_steps(self) -> int:
        """As many as its witness is made for: with fewer it holds."""
        return HORIZON

    def start_mixture(self, stepsize: float) -> dict[str, float]:
        """Return ‖x − x*‖²."""
        return {"error": 1.0}

    def weight(self, steps: Array, stepsize: float) -> Array:
        """Return 1."""
        return np.ones_like(steps)


@dataclass(frozen=True, eq=False)
class FewSteps(StronglyConvexHeld):
    """A held shift at the rate 1 − 1/(2κ), after eight steps whatever the condition.

    Parameters
    ----------
    objective, sharp, shift
        As in `StronglyConvexHeld`.

    References
    ----------
    This package.

    Examples
    --------
    >>> FewSteps(rare_and_large()).shift, StronglyConvexHeld(rare_and_large()).shift
    (Held(tau=8), Held(tau=256))
    """

    shift: Held | None = field(default=Held(8), kw_only=True)

    id = "moving-shift-held/few-steps"
    title = "Held shift for eight steps"
    source = "negative control; this package"
    status: ClassVar[Status] = "refuted as quoted"

    def contraction(self, stepsize: float) -> float:
        """Return 1/(2κ)."""
        return 1 / (2 * self.kappa)


ALL_FALSE_SHIFTS = (SketchOnTheRight, DistanceAtTheStepOfTheValue, StepOfTheGradient)
"""Those that an attack finds instances against."""


def agreeing(dim: int, steps: int = HORIZON) -> Mast:
    """Return f(x) = ½(1ᵀx)² + (ε/2)‖x‖², ε = d/(2T), under Rand-1: each coordinate moves x as all together should."""
    return Mast(Quadratic(np.ones((dim, dim)) + dim / (2 * steps) * np.eye(dim), np.zeros(dim)), RandK(dim, k=1))


def sheared() -> Mast:
    """Return f(x) = ½(x₁² + 0.1·x₂²) under fair shears by ±√10."""
    shears = [np.array([[1.0, 0.0], [sign * 10**0.5, 1.0]]) for sign in (-1, 1)]
    return Mast(Quadratic(np.diag([1.0, 0.1]), np.zeros(2)), FiniteSupport(shears))


def rare_and_large() -> Mast:
    """Return f(x) = ½x² under S = 4 with probability ¼ and 0 otherwise."""
    return Mast(Quadratic(np.eye(1), np.zeros(1)), FiniteSupport([np.zeros((1, 1)), np.full((1, 1), 4.0)], [0.75, 0.25]))


def false_shifts() -> list[Trial]:
    """Return the trials that refute every false variant on its instance."""
    many = agreeing(24)
    claims = [
        (SketchOnTheRight(sheared()), np.array([0.0, 1.0])),
        (DistanceAtTheStepOfTheValue(agreeing(4)), np.full(4, 0.25)),
        (WithoutTheValue(many, sharp=True), np.full(24, 1 / 24)),
        *((StepOfTheGradient(rare_and_large(), shift=Refreshed(p)), np.ones(1)) for p in (0.2, 0.5)),
        (StepOfTheGradient(rare_and_large(), shift=Refreshed(1.0, variant="a")), np.ones(1)),
        (FewSteps(rare_and_large()), np.ones(1)),
    ]
    return [Trial(claim, claim.stepsize, claim.objective, "refuted", start) for claim, start in claims]
