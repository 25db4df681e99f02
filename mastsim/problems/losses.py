"""Losses φ(u; y) of generalised linear models, and how each is integrated against the law of a scalar u."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from mastsim.backend import Array, namespace
from mastsim.problems.cosine_sums import cosine_sum, total


@dataclass(frozen=True, eq=False)
class ExponentialSum:
    """ψ(w) ≈ constant + slope·w + square·w² + Re Σ_k weight_k exp((rate + i·t_k)·w) for |w| ≤ reach, t_k = k·step.

    With such a sum, E ψ(w) needs only the mean, the variance and the transform E exp(sw) of w.

    Parameters
    ----------
    constant, slope, square : float
        The polynomial part.
    rate, step : float
        Real part of the exponents, and spacing of their imaginary parts.
    weights : ndarray of complex, shape (nodes,)
        The weights, k = 0, 1, …
    reach : float
        Largest |w| for which the error bound holds.
    error : float
        A proven bound on the error for all |w| ≤ reach.
    nodes : ndarray, shape (nodes,), optional
        The t_k where they are no multiples of a step.
    slope_errors : tuple of two floats, optional
        Bounds on the errors of ψ' and ψ''; 16 and 512 times `error` when left out, which is right for nodes below 12.
    """

    constant: float
    slope: float
    square: float
    rate: float
    step: float
    weights: np.ndarray
    reach: float
    error: float
    nodes: np.ndarray | None = None
    slope_errors: tuple[float, float] | None = None

    @property
    def frequencies(self) -> np.ndarray:
        """The t_k, shape (nodes,)."""
        return self.step * np.arange(len(self.weights)) if self.nodes is None else self.nodes

    @property
    def errors(self) -> tuple[float, float, float]:
        """Bounds on the errors of ψ, ψ' and ψ''."""
        return (self.error, *(self.slope_errors or (16 * self.error, 512 * self.error)))


@dataclass(frozen=True, eq=False)
class RowForm:
    """How a loss with labels reduces to one function: φ(u; y_i) = ψ(w) + slope_i·u + constant_i, w = sign_i·u + offset_i.

    Parameters
    ----------
    sign, offset, slope, constant : float or array, shape (n,)
        One number a row, or one for all; signs are −1 or +1.
    """

    sign: Array
    offset: Array
    slope: Array
    constant: Array


class Pieces(NamedTuple):
    """ψ(w) = c0 + c1·w + c2·w² between consecutive knots.

    Parameters
    ----------
    knots : ndarray, shape (m,)
        Where the pieces meet, in increasing order.
    coefficients : ndarray, shape (m + 1, 3)
        c0, c1, c2 of every piece.
    """

    knots: np.ndarray
    coefficients: np.ndarray


class Loss(ABC):
    """A scalar loss φ(u; y) of a prediction u and a label y."""

    name: str
    curvature_max: float = math.inf
    """sup φ'', or a number above it; infinite when φ' is not Lipschitz or no bound is known."""
    curvature_min: float = -math.inf
    """inf φ'', or a number below it; −∞ when no bound is known."""
    largest: float = math.inf
    """sup |ψ|."""
    curvature_is_attained: bool = False
    """Whether some x gives every row the largest φ'', and others come as near the least as one likes."""

    @property
    def bend(self) -> float:
        """The largest |φ''|, or a number above it; infinite when no bound is known."""
        return max(self.curvature_max, -self.curvature_min)

    @property
    def pieces(self) -> Pieces | None:
        """ψ as pieces of parabolas and lines, or None for losses that are something else."""
        return None

    @property
    def is_exact(self) -> bool:
        """Whether expectations are exact to rounding whatever the accuracy: ψ is no sum that is only near it."""
        found = None if self.pieces is not None else self.shortest_sum(1.0, 1e-4)
        return found is None or found.rate != 0 or len(found.weights) == 0

    @abstractmethod
    def check_labels(self, y: np.ndarray) -> None:
        """Raise ValueError when a label cannot be used, saying what would be accepted."""

    def labels_like(self, numbers: np.ndarray) -> np.ndarray:
        """Return labels that the loss takes, made from real numbers: these as they are, unless a subclass says otherwise."""
        return numbers

    @abstractmethod
    def row_form(self, y: np.ndarray) -> RowForm:
        """Return the reduction to one function ψ of a scalar w."""

    @abstractmethod
    def psi(self, w: Array, order: int = 0) -> Array:
        """Return ψ, ψ' or ψ'' (`order` 0, 1 or 2) elementwise."""

    def exponential_sum(self, reach: float) -> ExponentialSum | None:
        """Return ψ as a sum of exponentials that is accurate for |w| ≤ reach, or None when there is none."""
        return None

    def shortest_sum(self, reach: float, accuracy: float) -> ExponentialSum | None:
        """Return a sum whose error is at most accuracy·(1 + reach) where one is known, otherwise `exponential_sum`.

        A loss that has shorter sums for lower accuracy has a method ``short_sum(reach, accuracy)``. It counts unless a
        subclass has an `exponential_sum` of its own.
        """
        for kind in type(self).__mro__:
            if "short_sum" in vars(kind):
                return kind.short_sum(self, reach, accuracy)  # type: ignore[attr-defined]
            if "exponential_sum" in vars(kind):
                break
        return self.exponential_sum(reach)

    def lower_bound(self, y: np.ndarray) -> float:
        """Return a lower bound on the mean of φ(u_i; y_i) over all predictions."""
        return 0.0

    def infima(self, y: np.ndarray) -> np.ndarray:
        """Return a lower bound on φ(u; y_i) over all u, for every label, shape of `y`."""
        labels, which = np.unique(y, return_inverse=True)
        return np.array([self.lower_bound(label[None]) for label in labels])[which.reshape(y.shape)]

    def terms(self, w: np.ndarray, order: int) -> np.ndarray:
        """Return the size of what is added up to ψ or ψ' (`order` 0 or 1), of which rounding takes its share.

        By default what stands at 0 and what has been gained or lost since; a loss whose terms are known says so.
        """
        value, slope, zero = self.psi(w, order), self.psi(w, order + 1), np.zeros_like(w)
        start, first = self.psi(zero, order), self.psi(zero, order + 1)
        return np.abs(value) + np.abs(start) + np.abs(w) * (np.abs(slope) + np.abs(first))

    def steepest(self, w: np.ndarray, away: np.ndarray) -> np.ndarray:
        """Return a bound on |ψ'| over all points within `away` of `w`, elementwise."""
        slope, noise = np.abs(self.psi(w, 1)), 16 * np.finfo(float).eps * self.terms(w, 1)
        bound = slope + np.multiply(self.bend, away, out=np.zeros(np.shape(slope)), where=np.asarray(away) > 0)
        if self.curvature_min < 0:
            return bound + noise
        # The slope of a convex ψ grows, so it is steepest at an end.
        ends = np.maximum(np.abs(self.psi(w - away, 1)), np.abs(self.psi(w + away, 1)))
        return np.fmin(bound, ends) + noise

    def value(self, u: Array, y: Array) -> Array:
        """Return φ(u; y) elementwise."""
        form = self.row_form(y)
        return self.psi(form.sign * u + form.offset) + form.slope * u + form.constant

    def derivative(self, u: Array, y: Array) -> Array:
        """Return φ'(u; y) elementwise."""
        form = self.row_form(y)
        return form.sign * self.psi(form.sign * u + form.offset, 1) + form.slope

    def second_derivative(self, u: Array, y: Array) -> Array:
        """Return φ''(u; y) elementwise."""
        form = self.row_form(y)
        return self.psi(form.sign * u + form.offset, 2)


class ResidualLoss(Loss):
    """A loss of the residual w = u − y, for any real label."""

    def check_labels(self, y: np.ndarray) -> None:
        """Accept any real label."""

    def row_form(self, y: np.ndarray) -> RowForm:
        """Return w = u − y."""
        return RowForm(1.0, -y, 0.0, 0.0)


class MarginLoss(Loss):
    """A loss of the margin w = yu, for labels −1 and +1."""

    def check_labels(self, y: np.ndarray) -> None:
        """Refuse labels other than −1 and +1, with the mapping that would fix them."""
        found = np.unique(y)
        if np.isin(found, (-1.0, 1.0)).all():
            return
        if len(found) == 2:
            fix = f"np.where(y == {found[1]:g}, 1.0, -1.0)"
            raise ValueError(f"y holds the labels {found[0]:g} and {found[1]:g}, but it must hold -1 and +1; pass {fix}")
        shown = ", ".join(f"{label:g}" for label in found[:5]) + (", …" if len(found) > 5 else "")
        raise ValueError(f"y holds the labels {shown}, but the {self.name} loss takes two: -1 and +1")

    def labels_like(self, numbers: np.ndarray) -> np.ndarray:
        """Return the signs."""
        return np.where(numbers > 0, 1.0, -1.0)

    def row_form(self, y: np.ndarray) -> RowForm:
        """Return w = yu."""
        return RowForm(y, 0.0, 0.0, 0.0)


class PiecewiseLoss(Loss):
    """A loss made of parabolas and lines; subclasses give the pieces."""

    def psi(self, w: Array, order: int = 0) -> Array:
        """Return ψ, ψ' or ψ''; on a knot, ψ'' is that of the piece above."""
        xp = namespace(w)
        assert self.pieces is not None
        piece = xp.searchsorted(xp.asarray(self.pieces.knots), w, side="right")
        c0, c1, c2 = (xp.asarray(c)[piece] for c in self.pieces.coefficients.T)
        return (c0 + w * (c1 + w * c2), c1 + 2 * w * c2, 2 * c2)[order]

    def terms(self, w: np.ndarray, order: int) -> np.ndarray:
        """Return |c0| + |c1 w| + |c2 w²|, or |c1| + |2 c2 w|, of the piece."""
        assert self.pieces is not None
        piece, size = np.searchsorted(self.pieces.knots, w, side="right"), np.abs(w)
        c0, c1, c2 = (np.abs(c)[piece] for c in self.pieces.coefficients.T)
        return (c0 + size * (c1 + size * c2), c1 + 2 * size * c2)[order]


class ExponentialTerms(Loss):
    """A loss whose ψ is e^{±w}, computed in one go."""

    def terms(self, w: np.ndarray, order: int) -> np.ndarray:
        """Return ψ itself: nothing is added up."""
        return np.abs(self.psi(w, order))


def pure_exponential(rate: float) -> ExponentialSum:
    """Return e^{rate·w} as a sum of one exponential."""
    return ExponentialSum(0.0, 0.0, 0.0, rate, 1.0, np.ones(1, dtype=complex), math.inf, 0.0)


def hyperbolic_nodes(reach: float, accuracy: float = 0.0) -> tuple[np.ndarray, float, float, float]:
    """Return nodes, spacing, last node and aliasing error of the trapezoid rule for integrals with 1/sinh(πt).

    The spacing 2π/P with P = reach + 38 makes the error of the rule a Poisson sum bounded by 4·e^{reach − P}; from t = 11.5
    on, 1/sinh(πt) is below rounding. Where less is asked for, 38 and 11.5 shrink together.
    """
    margin = min(38.0, math.log(16 / accuracy)) if accuracy else 38.0
    last, period = 11.5 * margin / 38, reach + margin
    step = 2 * math.pi / period
    return step * np.arange(1, math.ceil(last / step) + 1), step, last, 4 * math.exp(reach - period)


class SquaredLoss(ResidualLoss):
    """φ(u; y) = ½(u − y)², with ψ(w) = ½w² at w = u − y.

    Examples
    --------
    >>> SquaredLoss().value(np.array([3.0]), np.array([1.0]))
    array([2.])
    """

    name = "squared"
    curvature_max = 1.0
    curvature_min = 1.0
    curvature_is_attained = True

    def psi(self, w: Array, order: int = 0) -> Array:
        """Return ½w², w or 1."""
        return (0.5 * w**2, w, namespace(w).ones_like(w))[order]

    def exponential_sum(self, reach: float) -> ExponentialSum:
        """Return ½w², which is a polynomial and exact for any reach."""
        return ExponentialSum(0.0, 0.0, 0.5, 0.0, 1.0, np.zeros(0, dtype=complex), math.inf, 0.0)


class LogisticLoss(MarginLoss):
    """φ(u; y) = log(1 + e^{−yu}) for labels −1 and +1, with ψ(w) = log(1 + e^{−w}) at w = yu.

    Examples
    --------
    >>> bool(LogisticLoss().value(np.array([0.0]), np.array([1.0]))[0] == np.log(2.0))
    True
    """

    name = "logistic"
    curvature_max = 0.25
    curvature_min = 0.0
    curvature_is_attained = True

    def psi(self, w: Array, order: int = 0) -> Array:
        """Return log(1 + e^{−w}) or a derivative, without overflow."""
        xp = namespace(w)
        if order == 0:
            return xp.logaddexp(xp.zeros_like(w), -w)
        if order == 1:
            return -0.5 * (1 - xp.tanh(0.5 * w))
        decay = xp.exp(-xp.abs(w))
        return decay / (1 + decay) ** 2

    def terms(self, w: np.ndarray, order: int) -> np.ndarray:
        """Return ψ itself, to which nothing but numbers of one sign are added, or 1 for ψ' = −½(1 − tanh)."""
        return np.abs(self.psi(w)) if order == 0 else np.ones(np.shape(w))

    def exponential_sum(self, reach: float) -> ExponentialSum:
        """Return the trapezoid rule for log cosh(w/2) = ∫₀^∞ (1 − cos tw)/(t sinh πt) dt, plus log 2 − w/2.

        Its error is aliasing, at most 4·e^{−38}, and truncation, at most (4/π)·e^{−11.5π}/11.5.
        """
        return _log_cosh_sum(reach)

    def short_sum(self, reach: float, accuracy: float) -> ExponentialSum:
        """Return a fitted cosine sum for log cosh(w/2), or the trapezoid rule where that is shorter."""
        rule = _log_cosh_sum(reach, accuracy / 16)
        found = cosine_sum("log cosh", reach, accuracy)
        if found is None or len(found.weights) >= len(rule.weights):
            return rule
        return ExponentialSum(
            constant=math.log(2) + total(found.weights),
            slope=-0.5,
            square=0.0,
            rate=0.0,
            step=0.0,
            weights=-found.weights.astype(complex),
            reach=found.reach,
            error=found.errors[0],
            nodes=found.frequencies,
            slope_errors=(found.errors[1], found.errors[2]),
        )


@lru_cache(maxsize=512)
def _log_cosh_sum(reach: float, accuracy: float = 0.0) -> ExponentialSum:
    t, step, last, aliasing = hyperbolic_nodes(reach, accuracy)
    # sinh overflows nowhere here: t stops just above 11.5, and sinh(36) is about 2e15.
    weights = step / (t * np.sinh(math.pi * t))
    return ExponentialSum(
        constant=math.log(2) + float(weights.sum()),
        slope=-0.5,
        square=step / (4 * math.pi),
        rate=0.0,
        step=step,
        weights=np.concatenate([[0.0], -weights]).astype(complex),
        reach=reach,
        error=aliasing + 4 / math.pi * math.exp(-math.pi * last) / last,
    )
