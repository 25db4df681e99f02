"""Keeps chosen for a problem: the independent mask that is best within a budget, with a certificate that no other is better.

Each objective is φ(p) = max over X ⪰ 0, tr X = 1, of b(X) + Σ c_i(X)/p_i^h, convex in p. For any X the minimum of the right
side over the allowed p is known in closed form, and bounds every φ(p) from below: that is the certificate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from scipy.optimize import minimize

from mastsim.expected import Mast
from mastsim.problems import Problem
from mastsim.provenance import Constant
from mastsim.readonly import FrozenDict, ReadOnly
from mastsim.sketches import Bernoulli, RandK
from mastsim.validation import instance, keep_fraction, one_of, positive, vector

OBJECTIVES = {
    "smoothness": "λ_max(E[SᵀLS])",
    "step": "sup_S λ_max(SᵀLS), one over the largest step",
    "floor": "½ Σ (1/p_i − 1) L_ii (x* − v)_i², a bound on f_D^inf − f^inf",
}
"""What a design may minimise."""

_TOLERANCE = 1e-6
_LEVELS = tuple(0.3 * 0.2**k for k in range(10))
_STEPS = 100


class _Certified(Protocol):
    """An objective, and what its dual matrix says of it."""

    power: int

    def value(self, p: np.ndarray) -> float:
        """Return φ(p)."""
        ...

    def dual(self, p: np.ndarray, smoothing: float) -> tuple[float, float, np.ndarray]:
        """Return φ(p) smoothed, and b(X) and c(X) for the X that attains its maximum."""
        ...


@dataclass(frozen=True, eq=False)
class Design(ReadOnly):
    """Keeps p_i of an independent mask, and how far from the best possible they are.

    Parameters
    ----------
    objective : str
        What is minimised: smoothness, step or floor.
    budget : float
        Σ p_i is at most this.
    keep : ndarray, shape (dim,)
        The keeps.
    value, lower_bound : Constant
        What is minimised, at these keeps, and a proven bound below which no keeps within the budget bring it.
    compared : mapping of str to mapping of str to float
        For ``designed``, ``uniform`` and ``rand-k`` keeps: smoothness, step (the largest) and floor.
    """

    noun = "design"
    example = "what design returns"

    objective: str
    budget: float
    keep: np.ndarray
    value: Constant
    lower_bound: Constant
    compared: Mapping[str, Mapping[str, float]] = field(repr=False)

    @property
    def gap(self) -> float:
        """By how much better, relative to the value, other keeps could be at most."""
        return float((self.value - self.lower_bound) / self.value) if self.value > 0 else 0.0

    @property
    def sketch(self) -> Bernoulli:
        """The independent mask with these keeps."""
        return Bernoulli(len(self.keep), keep=self.keep)

    def record(self) -> dict[str, Any]:
        """Return the design as a JSON-able dictionary."""
        facts: dict[str, Any] = {"objective": self.objective, "budget": self.budget, "keep": self.keep.tolist()}
        facts |= {"value": self.value.record(), "lower_bound": self.lower_bound.record(), "gap": self.gap}
        return facts | {"compared": {name: dict(row) for name, row in self.compared.items()}}


def design(
    f: Problem, budget: float, objective: str = "smoothness", shift: np.ndarray | None = None, least: float = 1e-3
) -> Design:
    """Return the keeps of an independent mask that are best for a problem within a budget.

    Parameters
    ----------
    f : Problem
        The problem; its curvature must be bounded.
    budget : float
        The most that the keeps may sum to: the mean number of coordinates kept, from dim·`least` to dim.
    objective : {"smoothness", "step", "floor"}, default "smoothness"
        What is minimised: λ_max(E[SᵀLS]), the smoothness of f_D; sup_S λ_max(SᵀLS), one over the largest step of Theorem 2
        with sharp constants; or ½ Σ (1/p_i − 1) L_ii (x* − v)_i², a bound on f_D^inf − f^inf that is f_D(x*) − f^inf itself
        on quadratics.
    shift : array, shape (dim,), optional
        v, which matters for the floor; zero when left out.
    least : float, default 1e-3
        The least keep, above 0 and at most 1.

    Returns
    -------
    Design
        The keeps, a certificate of how good they are, and uniform keeps and Rand-K beside them.

    Raises
    ------
    ValueError
        If the curvature of f is unbounded, the budget is out of range or the objective unknown.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> f = ms.Quadratic(np.diag([1.0, 4.0]), np.ones(2))
    >>> found = ms.design(f, budget=1.0, objective="smoothness")
    >>> found.keep.round(3), round(found.value, 3), found.gap <= 1e-6
    (array([0.2, 0.8]), 5.0, True)
    """
    instance("f", f, Problem)
    one_of("objective", objective, list(OBJECTIVES))
    least = float(keep_fraction("least", least))
    budget = positive("budget", budget)
    if not f.dim * least <= budget <= f.dim:
        raise ValueError(
            f"budget={budget:g} is not accepted: it must be from dim·least = {f.dim * least:g} to dim = {f.dim}"
        )
    v = np.zeros(f.dim) if shift is None else vector("shift", shift, f.dim)
    L = f.upper_curvature.matrix
    goal = _goal(objective, f, L, v)
    keep, low = _minimise(goal, f.dim, budget, least)
    scale = 16 * f.dim * float(np.finfo(float).eps)
    value = Constant(goal.value(keep), "upper", f"{OBJECTIVES[objective]} at the designed keeps (this package)")
    bound = Constant(low, "lower", "weak duality (this package)", scale * max(abs(low), value))
    masks = {"designed": keep, "uniform": np.full(f.dim, budget / f.dim)}
    rows = {name: _figures(f, Bernoulli(f.dim, keep=p), L, v, p) for name, p in masks.items()}
    whole = RandK(f.dim, k=max(int(budget), 1))
    rows["rand-k"] = _figures(f, whole, L, v, np.full(f.dim, whole.k / f.dim))
    return Design(objective, budget, keep, value, bound, FrozenDict({name: FrozenDict(row) for name, row in rows.items()}))


def _figures(f: Problem, sketch: Any, L: np.ndarray, v: np.ndarray, p: np.ndarray) -> dict[str, float]:
    """Return smoothness, largest step and floor of a mask."""
    F = Mast(f, sketch, shift=v)
    floor = _Floor(f, L, v).value(p)
    if isinstance(sketch, RandK):
        y = f.minimize().x - v
        floor = max(0.5 * float(y @ (sketch.quadratic_moment(L) - L) @ y), 0.0)
    return {"smoothness": float(F.L_fD_sharp), "step": 1 / float(sketch.supremum_curvature(L)), "floor": floor}


def _goal(objective: str, f: Problem, L: np.ndarray, v: np.ndarray) -> _Certified:
    if objective == "floor":
        return _Floor(f, L, v)
    return _Smoothness(L) if objective == "smoothness" else _Supremum(L)


class _Smoothness:
    """λ_max(L + Diag((1/p_i − 1)L_ii)) = max ⟨X, L − Diag(L)⟩ + Σ X_ii L_ii/p_i."""

    power = 1

    def __init__(self, L: np.ndarray) -> None:
        self.diagonal = np.diag(L)
        self.rest = L - np.diag(self.diagonal)

    def _matrix(self, p: np.ndarray) -> np.ndarray:
        return np.asarray(self.rest + np.diag(self.diagonal / p))

    def value(self, p: np.ndarray) -> float:
        return float(np.linalg.eigvalsh(self._matrix(p))[-1])

    def dual(self, p: np.ndarray, smoothing: float) -> tuple[float, float, np.ndarray]:
        smoothed, X = _softmax(self._matrix(p), smoothing)
        return smoothed, float((X * self.rest).sum()), np.diag(X) * self.diagonal


class _Supremum:
    """λ_max(L^½ Diag(p^−2) L^½) = max Σ (L^½ X L^½)_ii/p_i²."""

    power = 2

    def __init__(self, L: np.ndarray) -> None:
        values, vectors = np.linalg.eigh(L)
        self.root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T

    def _matrix(self, p: np.ndarray) -> np.ndarray:
        return np.asarray((self.root / p**2) @ self.root)

    def value(self, p: np.ndarray) -> float:
        return float(np.linalg.eigvalsh(self._matrix(p))[-1])

    def dual(self, p: np.ndarray, smoothing: float) -> tuple[float, float, np.ndarray]:
        smoothed, X = _softmax(self._matrix(p), smoothing)
        return smoothed, 0.0, np.maximum(np.einsum("ij,jk,ki->i", self.root, X, self.root, optimize=True), 0.0)


class _Floor:
    """½ Σ (1/p_i − 1) L_ii (x* − v)_i², which needs no dual matrix."""

    power = 1

    def __init__(self, f: Problem, L: np.ndarray, v: np.ndarray) -> None:
        self.weights = 0.5 * np.diag(L) * (f.minimize().x - v) ** 2

    def value(self, p: np.ndarray) -> float:
        return float(((1 / p - 1) * self.weights).sum())

    def dual(self, p: np.ndarray, smoothing: float) -> tuple[float, float, np.ndarray]:
        return self.value(p), -float(self.weights.sum()), self.weights


def _softmax(matrix: np.ndarray, smoothing: float) -> tuple[float, np.ndarray]:
    """Return s·log tr exp(M/s) and its gradient exp(M/s)/tr exp(M/s), which nearly maximises ⟨X, M⟩ for X ⪰ 0, tr X = 1."""
    values, vectors = np.linalg.eigh(matrix)
    shares = np.exp((values - values[-1]) / smoothing)
    X = np.asarray((vectors * (shares / shares.sum())) @ vectors.T)
    return float(values[-1] + smoothing * math.log(shares.sum())), X


def _minimise(goal: _Certified, dim: int, budget: float, least: float) -> tuple[np.ndarray, float]:
    """Return keeps and a lower bound on the objective: sequential quadratic programs, ever less smoothed."""
    p = np.full(dim, budget / dim)
    best, value, low = p, goal.value(p), 0.0
    unit = max(value, float(np.finfo(float).tiny))

    def smooth(q: np.ndarray) -> tuple[float, np.ndarray]:
        smoothed, _, weights = goal.dual(q, smoothing)
        return smoothed / unit, -goal.power * weights / q ** (goal.power + 1) / unit

    within = {"type": "ineq", "fun": lambda q: budget - q.sum(), "jac": lambda q: -np.ones(dim)}
    for level in _LEVELS:
        smoothing = level * unit
        found = minimize(
            smooth,
            p,
            jac=True,
            method="SLSQP",
            bounds=[(least, 1.0)] * dim,
            constraints=[within],
            options={"maxiter": _STEPS, "ftol": 1e-3 * level * _TOLERANCE},
        )
        p = np.clip(found.x, least, 1.0)
        p = least + (p - least) * min(1.0, (budget - dim * least) / max(float((p - least).sum()), 1e-300))
        _, offset, weights = goal.dual(p, smoothing)
        low = max(low, offset + _best_response(weights, goal.power, budget, least)[1])
        if (now := goal.value(p)) < value:
            best, value = p, now
        if value - low <= _TOLERANCE * value:
            break
    return best, low


def _best_response(weights: np.ndarray, power: int, budget: float, least: float) -> tuple[np.ndarray, float]:
    """Return the p in [least, 1]^d with Σ p_i ≤ budget that minimise Σ c_i/p_i^h, and a bound below that minimum."""
    # For any ν ≥ 0 the bound is Σ min_p (c_i/p^h + νp) − ν·budget; p solves that for the ν that meets the budget.

    def at(price: float) -> np.ndarray:
        return np.clip((power * weights / price) ** (1 / (power + 1)), least, 1.0)

    top = power * float(weights.max()) / least ** (power + 1)
    if top <= 0:
        return np.full(len(weights), budget / len(weights)), 0.0
    low, high = math.log(top) - 80.0, math.log(top)
    for _ in range(80):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if at(math.exp(middle)).sum() > budget else (low, middle)
    p, price = at(math.exp(high)), math.exp(high)
    return p, float((weights / p**power + price * p).sum()) - price * budget
