"""The semidefinite program whose value is the worst-case factor, and the certificate that its multipliers give."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from mastsim.worstcase.solving import modelling


@dataclass(frozen=True)
class Residuals:
    """How far a solver's answer is from feasible and from optimal, in units where L = 1, ‖x − y‖ = 1 and the value is ≤ 1.

    Parameters
    ----------
    eigenvalue : float
        Smallest eigenvalue of a Gram matrix; feasible if ≥ 0.
    violation : float
        Largest violation of an interpolation condition or of ‖x − y‖² = 1.
    multiplier : float
        Smallest multiplier of an interpolation condition; feasible if ≥ 0.
    flow : float
        Largest imbalance of the multipliers at a point (the coefficient of a function value).
    slack : float
        Smallest eigenvalue of a dual slack matrix; feasible if ≥ 0.
    gap : float
        |primal − dual| value.

    References
    ----------
    This package.

    Examples
    --------
    >>> from mastsim.worstcase import worst_case_factor
    >>> residuals = worst_case_factor(0.5, smoothness=1.0, strong_convexity=0.1, blocks=1, keep=1).residuals
    >>> residuals.gap < 1e-6 and residuals.violation < 1e-6
    True
    """

    eigenvalue: float
    violation: float
    multiplier: float
    flow: float
    slack: float
    gap: float


class Block(NamedTuple):
    """One block's matrices against its Gram matrix, each symmetric.

    Parameters
    ----------
    distance : ndarray, shape (size, size)
        ‖x − y‖².
    conditions : ndarray, shape (conditions, size, size)
        ⟨∇φ_j, x_i − x_j⟩ + ½‖∇φ_i − ∇φ_j‖², which is at most φ_i − φ_j.
    reward : ndarray, shape (size, size)
        E‖x⁺ − y⁺‖², over the unit of the value.
    """

    distance: np.ndarray
    conditions: np.ndarray
    reward: np.ndarray


@dataclass(frozen=True, eq=False)
class Program:
    """Maximise E‖x⁺ − y⁺‖² over f = (μ/2)‖·‖² + (1 − μ)φ, φ convex and 1-smooth, with L = 1 and ‖x − y‖ = 1.

    Written in φ, no coefficient grows with the condition number. Each block has one Gram matrix, of x, y and the block's
    part of ∇φ at the points S_1x, …, S_Nx, S_1y, …, S_Ny; inner products across blocks never occur.

    Parameters
    ----------
    stepsize : float
        γL > 0.
    ratio : float
        μ/L in (0, 1].
    blocks, keep : int
        1 ≤ keep ≤ blocks.
    """

    stepsize: float
    ratio: float
    blocks: int
    keep: int

    @property
    def scale(self) -> float:
        """The factor blocks/keep of what is kept, which is also μ_D; its square is L_S^max."""
        return self.blocks / self.keep

    @property
    def attained(self) -> float:
        """E‖x⁺ − y⁺‖²/‖x − y‖² on f = (h/2)‖x‖²: what is kept shrinks by 1 − γhL_S^max; the larger of h = μ and h = L."""
        kept = self.keep / self.blocks
        return max(1 - kept + kept * (1 - self.stepsize * h * self.scale**2) ** 2 for h in (self.ratio, 1.0))

    @property
    def unit(self) -> float:
        """What the value is divided by, so that long steps leave the program well scaled."""
        return max(1.0, self.attained)

    @cached_property
    def kept(self) -> np.ndarray:
        """Which blocks each subset keeps, shape (subsets, blocks)."""
        subsets = combinations(range(self.blocks), self.keep)
        return np.array([[b in subset for b in range(self.blocks)] for subset in subsets])

    @cached_property
    def pairs(self) -> np.ndarray:
        """Ordered pairs (i, j), i ≠ j, of points: an interpolation condition each, shape (conditions, 2)."""
        points = 2 * len(self.kept)
        return np.array([(i, j) for i in range(points) for j in range(points) if i != j])

    @cached_property
    def flow(self) -> np.ndarray:
        """Coefficients of the values of φ in φ_i − φ_j, shape (conditions, points)."""
        one = np.eye(2 * len(self.kept))
        return one[self.pairs[:, 0]] - one[self.pairs[:, 1]]

    @cached_property
    def matrices(self) -> list[Block]:
        """The matrices of every block."""
        return [self._block(self.kept[:, [b]]) for b in range(self.blocks)]

    def _block(self, mask: np.ndarray) -> Block:
        subsets = len(self.kept)
        basis = np.eye(2 + 2 * subsets)
        x, y, slopes = basis[0], basis[1], basis[2:]
        points = self.scale * np.vstack([mask * x, mask * y])
        i, j = self.pairs.T
        product, change = np.einsum("pa,pb->pab", slopes[j], points[i] - points[j]), slopes[i] - slopes[j]
        conditions = (product + product.transpose(0, 2, 1) + np.einsum("pa,pb->pab", change, change)) / 2
        gradients = self.ratio * points + (1 - self.ratio) * slopes
        after = x - y - self.stepsize * self.scale * mask * (gradients[:subsets] - gradients[subsets:])
        return Block(np.outer(x - y, x - y), conditions, after.T @ after / (subsets * self.unit))

    @cached_property
    def variables(self) -> tuple[list[Any], Any]:
        """The Gram matrices and the values of φ."""
        cp, points = modelling(), 2 * len(self.kept)
        return [cp.Variable((2 + points, 2 + points), PSD=True) for _ in range(self.blocks)], cp.Variable(points)

    @cached_property
    def problem(self) -> Any:
        """The cvxpy problem; its constraints are the interpolation conditions and ‖x − y‖² = 1."""
        cp, (grams, values) = modelling(), self.variables
        flat = [gram.flatten(order="C") for gram in grams]
        with_grams = list(zip(self.matrices, flat, strict=True))
        demand = sum(block.conditions.reshape(len(self.pairs), -1) @ gram for block, gram in with_grams)
        distance = sum(block.distance.ravel() @ gram for block, gram in with_grams)
        reward = sum(block.reward.ravel() @ gram for block, gram in with_grams)
        return cp.Problem(cp.Maximize(reward), [demand <= self.flow @ values, distance == 1])

    def residuals(self) -> Residuals:
        """Return feasibility and optimality of what the solver left in the problem."""
        conditions, distance = self.problem.constraints
        weights, factor = conditions.dual_value, float(distance.dual_value)
        slacks = [factor * b.distance + np.tensordot(weights, b.conditions, 1) - b.reward for b in self.matrices]
        return Residuals(
            eigenvalue=min(float(np.linalg.eigvalsh(gram.value)[0]) for gram in self.variables[0]),
            violation=max(float(np.max(c.violation())) for c in self.problem.constraints),
            multiplier=float(weights.min()),
            flow=float(np.abs(weights @ self.flow).max()),
            slack=min(float(np.linalg.eigvalsh(slack)[0]) for slack in slacks),
            gap=abs(float(self.problem.value) - factor),
        )

    def multipliers(self) -> np.ndarray:
        """Return, per subset, the mean of the two multipliers between S_jx and S_jy, where a certificate may use it.

        A certificate may drop or raise any multiplier. These need no repair: in the sum of the two conditions the values of
        φ and the position of the pair cancel exactly, whatever the solver's rounding.
        """
        subsets = len(self.kept)
        weight = np.zeros((2 * subsets, 2 * subsets))
        weight[tuple(self.pairs.T)] = self.problem.constraints[0].dual_value * self.unit
        j = np.arange(subsets)
        least = self._pull**2 / subsets * (1 + 1e-12) + 1e-300
        return np.maximum((weight[j, subsets + j] + weight[subsets + j, j]) / 2, least)

    def certify(self, multipliers: np.ndarray) -> float:
        """Return the least ρ that makes ρ‖x − y‖² − E‖x⁺ − y⁺‖² − Σλ_j(⟨w_j, S_j(x − y)⟩ − ‖w_j‖²) nonnegative.

        The slack matrix of a block is an arrow in (x − y, w_1, …, w_N), w_j = ∇φ(S_jx) − ∇φ(S_jy). Its Schur complement is ρ
        minus a sum over subsets, so the least ρ needs no bound on w, as shifting all eigenvalues would. It is infinite if
        a multiplier is too small for any ρ.
        """
        subsets = len(self.kept)
        stays = 1 - self.stepsize * self.scale**2 * self.ratio
        tip = multipliers - self._pull**2 / subsets
        if (tip <= 0).any():
            return math.inf
        arm = stays * self._pull / subsets - multipliers * self.scale / 2
        share = stays**2 / subsets + arm**2 / tip
        return float(np.max(1 - self.keep / self.blocks + self.kept.T @ share))

    @property
    def _pull(self) -> float:
        """The coefficient of w_j in x − y − (x⁺ − y⁺)."""
        return self.stepsize * self.scale * (1 - self.ratio)
