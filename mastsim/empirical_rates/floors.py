"""Slopes of what noise adds: in the step size, in the number of clients, in the number of masks; and of rates in p."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mastsim.empirical_rates.fit import SHARES, SLOPE_MARGIN, SLOPE_RESOLUTION, RateFit
from mastsim.empirical_rates.ratios import Interval, independent_ratio
from mastsim.expected import Distributed, Mast, Objective
from mastsim.methods import DSGD, DistributedDSGD, Method, Refreshed, Reshuffled
from mastsim.moments import contraction, recursion, standard_forms
from mastsim.problems import LeastSquares, Problem, Quadratic
from mastsim.problems.columns import widest
from mastsim.simulation import simulate
from mastsim.sketches import BlockRandK, FiniteSupport, RandK
from mastsim.theorems import (
    IndependentDistributed,
    LinearRate,
    Rate,
    StronglyConvexQuadraticShift,
    StronglyConvexReshuffled,
)
from mastsim.theorems.rates import ABOUT_F

_RECORDS = 20
_STEPS, _ROUNDING = 100, 1e-12
_CLIENTS, _COPIES = (1, 4), (1, 2)
_SELDOM, _RARELY = 1e-6, (1 / 16, 1 / 64)
"""A probability so small that refreshes are waited for, and shares of the largest such at which rates are compared."""
_BLOCKS, _KEPT = 3, 2
COLUMNS, _CONDITION = 8, 10.0
"""How many columns of the data, and which κ_f, exact slopes are computed for."""


_SPECTRUM = 20
"""The most coordinates for which the second moments of a moving shift are a matter of a second."""


@dataclass(frozen=True, eq=False)
class Setting:
    """One of two settings whose floors are compared.

    Parameters
    ----------
    value : float
        What differs: γ, 1/M, N or p.
    objective : Objective
        f_D.
    method : Method
        The method with its step size.
    theorem : Rate
        Whose second term is the claimed floor.
    steps : int
        After how many steps: γ·steps must be the same in both.
    """

    value: float
    objective: Objective
    method: Method
    theorem: Rate
    steps: int

    @property
    def claimed(self) -> float:
        """The second term of the bound."""
        gamma = self.method.rule.largest
        return float(np.max(self.theorem.terms(np.asarray(float(self.steps)), gamma, 0.0)[1]))

    @property
    def measure(self) -> str:
        """‖x − x*‖² where the theorem is about f, otherwise ‖x − x_D*‖²."""
        return "error" if self.theorem.measure in ABOUT_F else "distance"

    @property
    def start(self) -> np.ndarray:
        """The point that the floor is around, shape (dim,)."""
        of = self.objective.problem if self.measure == "error" else self.objective
        return np.asarray(of.minimize().x)

    @property
    def rounding(self) -> float:
        """What rounding leaves of a measure that is zero."""
        return (_ROUNDING * (1 + float(np.linalg.norm(self.start)))) ** 2

    def exact(self) -> np.ndarray:
        """Return the mean of the measure over the second half of the steps, from the point itself, shape (1,)."""
        chain = recursion(self.objective, self.method)
        form = standard_forms(self.objective, chain.center)[self.measure]
        history = chain.run(self.start, self.steps, [form])[:, 0]
        return np.asarray([history[-(self.steps // 2) :].mean()])

    def sampled(self, replicas: int, seed: int) -> np.ndarray:
        """Return the same for every replica, shape (replicas,)."""
        every = max(1, self.steps // _RECORDS)
        what: dict[str, Any] = {"measures": (self.measure,), "every": every, "x0": self.start, "progress": False}
        run = simulate(self.method, self.objective, steps=self.steps, replicas=replicas, seed=seed, **what)
        table = run.traces[self.measure]
        return np.asarray(table[:, -(table.shape[1] // 2) :].mean(axis=1))


Floor = Callable[[Setting], np.ndarray]
"""What finds the floor of a setting for every replica."""


def slope_between(
    quantity: str,
    symbol: str,
    settings: tuple[Setting, Setting],
    floors: tuple[np.ndarray, np.ndarray],
    alpha: float,
    **told: Any,
) -> RateFit:
    """Return the slope of the logarithm of a floor in that of what differs between two settings.

    Parameters
    ----------
    quantity, symbol : str
        What has the slope, and in what.
    settings : tuple of two Setting
        The settings.
    floors : tuple of two ndarray
        The floor of every replica in each; a single number where it is exact.
    alpha : float
        The error probability.
    **told
        What the fit says otherwise: ``claimed``, the slope between the second terms of the bounds when left out; ``good``.

    Raises
    ------
    ValueError
        If a floor is zero.

    References
    ----------
    This package.
    """
    first, second = settings
    if quantity.startswith("floor") and min(float(floor.mean()) for floor in floors) <= first.rounding:
        raise ValueError(f"{quantity}: {first.method.name} has no floor here beyond rounding, and so no slope of one")
    apart = math.log(second.value / first.value)
    ratio = independent_ratio(floors[1], floors[0], alpha)
    ends = sorted((_log(end) / apart for end in ratio), key=lambda end: (math.isnan(end), end))
    order = Interval(ends[0], _log(ratio.value) / apart, ends[-1])
    slope = told.pop("claimed") if "claimed" in told else math.log(second.claimed / first.claimed) / apart
    exact = len(floors[0]) == len(floors[1]) == 1
    return RateFit(
        quantity,
        first.method.name,
        first.objective.name,
        first.measure,
        *order,
        claimed=slope,
        order_text=f"{symbol}^{slope:.3g}",
        theorem=first.theorem.id,
        margin=SLOPE_MARGIN,
        resolution=SLOPE_RESOLUTION,
        sided="two",
        tier="exact" if exact else "asymptotic",
        alpha=0.0 if exact else alpha,
        over=f"{symbol} = {first.value:.3g}, {second.value:.3g}",
        **told,
    )


def _log(ratio: float) -> float:
    return math.log(ratio) if 0 < ratio < math.inf else math.inf if ratio == math.inf else -math.inf


def floor_in_stepsize(theorem: Rate, method: Method, floor: Floor, alpha: float) -> RateFit | None:
    """Return the slope of a method's floor in γ, beside that of the second term of its bound; None where that is zero.

    What is compared is the measure after γ·steps = const from the point the floor is around, where the first term is zero.

    Parameters
    ----------
    theorem : Rate
        A linear rate about the method.
    method : Method
        The method at the largest step size; it is tried at a quarter and a sixteenth of it.
    floor : callable
        Returns the floor of a setting for every replica.
    alpha : float
        The error probability.
    """
    if not isinstance(theorem, LinearRate):
        return None
    gamma = method.rule.largest
    lengths = [int(_STEPS * SHARES[0] / share) for share in SHARES]
    first, second = (
        Setting(share * gamma, theorem.objective, replace(method, stepsize=share * gamma), theorem, steps)
        for share, steps in zip(SHARES, lengths, strict=True)
    )
    if not (first.claimed > 0 and second.claimed > 0):
        return None
    return slope_between("floor in γ", "γ", (first, second), (floor(first), floor(second)), alpha)


def exact_floor(setting: Setting) -> np.ndarray:
    """Return the exact floor of a setting, shape (1,)."""
    return setting.exact()


def floor_in_clients(f: Problem, floor: Floor = exact_floor, alpha: float = 0.0) -> RateFit:
    """Return the slope of the floor of distributed DSGD in 1/M, for M clients that all hold the same problem.

    Parameters
    ----------
    f : Problem
        The problem.
    floor : callable, optional
        Returns the floor of a setting for every replica; exact by default, which needs a quadratic.
    alpha : float, default 0
        The error probability, where floors are sampled.
    """
    settings = []
    for count in _CLIENTS:
        F = Distributed([f] * count, RandK(f.dim, k=max(1, f.dim // 2)))
        theorem = IndependentDistributed(F)
        gamma = IndependentDistributed(Distributed([f], F.nodes[0].sketch)).stepsize / 4
        settings.append(Setting(1 / count, F, DistributedDSGD(gamma), theorem, _STEPS))
    first, second = settings
    return slope_between("floor in 1/M", "(1/M)", (first, second), (floor(first), floor(second)), alpha)


def floor_of_reshuffled(f: Problem, floor: Floor = exact_floor, alpha: float = 0.0) -> RateFit | None:
    """Return the slope of the floor of reshuffled masks in γ.

    Parameters
    ----------
    f : Problem
        In at least three dimensions; the masks keep two of three blocks.
    floor, alpha
        As in `floor_in_clients`.
    """
    theorem = StronglyConvexReshuffled(Mast(f, BlockRandK(f.dim, blocks=_BLOCKS, k=_KEPT)))
    return floor_in_stepsize(theorem, theorem.method_at(theorem.stepsize), floor, alpha)


def floor_in_masks(f: Problem, floor: Floor = exact_floor, alpha: float = 0.0) -> RateFit:
    """Return the slope of the floor of reshuffled masks in N, for lists that hold the same masks several times.

    Parameters
    ----------
    f : Problem
        In at least three dimensions; the masks keep two of three blocks.
    floor, alpha
        As in `floor_in_clients`.
    """
    masks = np.asarray(BlockRandK(f.dim, blocks=_BLOCKS, k=_KEPT).support()[0].matrices())
    lists = [Mast(f, FiniteSupport(np.concatenate([masks] * copies))) for copies in _COPIES]
    theorems = [StronglyConvexReshuffled(F) for F in lists]
    gamma, longest = theorems[-1].stepsize / 4, theorems[-1].N
    first, second = (
        Setting(theorem.N, F, DSGD(gamma, order=Reshuffled()), theorem, _STEPS * longest // theorem.N)
        for F, theorem in zip(lists, theorems, strict=True)
    )
    return slope_between("floor in N", "N", (first, second), (floor(first), floor(second)), alpha, good="low")


def rate_in_probability(f: Problem, floor: Floor = exact_floor, alpha: float = 0.0) -> RateFit:
    """Return the exact slope of the rate of DSGD in p, with which its shift is refreshed, on a small quadratic.

    Parameters
    ----------
    f : Problem
        The quadratic.
    floor, alpha
        Play no role: rates are spectral radii, and so slow that replicas would take long to show them.
    """
    if f.dim > _SPECTRUM:
        raise ValueError(f"{f.name} has {f.dim} coordinates: rates in p are spectral radii, of at most {_SPECTRUM}")
    F = Mast(f, RandK(f.dim, k=max(1, f.dim // 2)))
    always, seldom = (StronglyConvexQuadraticShift(F, sharp=True, shift=Refreshed(p)) for p in (1.0, _SELDOM))
    gamma = min(always.stepsize, seldom.stepsize)
    # Above this probability a refresh is not what the rate waits for.
    most = min(1.0, always.contraction(gamma) / (seldom.contraction(gamma) / _SELDOM))
    probabilities = [share * most for share in _RARELY]
    theorems = [StronglyConvexQuadraticShift(F, sharp=True, shift=Refreshed(p)) for p in probabilities]
    methods = [theorem.method_at(gamma) for theorem in theorems]
    rates = [np.asarray([-math.log(contraction(F, method).upper)]) for method in methods]
    claims = [theorem.contraction(gamma) for theorem in theorems]
    first, second = (
        Setting(p, F, method, theorem, 1) for p, method, theorem in zip(probabilities, methods, theorems, strict=True)
    )
    claimed = math.log(claims[1] / claims[0]) / math.log(second.value / first.value)
    fit = slope_between("rate in p", "p", (first, second), (rates[0], rates[1]), 0.0, claimed=claimed)
    return replace(fit, method="DSGD, refreshed")


def small_quadratic(A: Any, y: np.ndarray) -> Quadratic:
    """Return ℓ2-regularised least squares on the columns that vary most, as a quadratic form, whatever the number of rows.

    Parameters
    ----------
    A : array or sparse matrix, shape (n, dim)
        The rows.
    y : ndarray, shape (n,)
        The labels.
    """
    f = LeastSquares(widest(A, min(COLUMNS, A.shape[1])), y, condition_number=_CONDITION)
    return Quadratic(f.upper_curvature.matrix, -np.asarray(f.gradient(np.zeros(f.dim))))
