"""Constants of steps whose shift moves, which are about f and its minimiser."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np

from mastsim.arithmetic import product
from mastsim.constants import NAMES, Constants
from mastsim.expected import Mast
from mastsim.problems.base import DENSE_LIMIT
from mastsim.provenance import Constant, Kind
from mastsim.sketches import Sketch
from mastsim.sketches.laws.listed import few

MOVING_NAMES: tuple[str, ...] = (
    "step_second_moment",
    "step_second_moment_least",
    "step_smoothness",
    "step_smoothness_sharp",
    "distance_smoothness",
    "distance_smoothness_sharp",
    "mu_f_PL",
    "shift_condition",
    "shift_condition_sharp",
)
"""What steps whose shift moves need besides."""

_EPS = float(np.finfo(float).eps)


def transposed_moment(sketch: Sketch, A: np.ndarray) -> np.ndarray | None:
    """Return E[SASᵀ], the sketch on the other side than in E[SᵀAS], shape (dim, dim), or None where it is not known.

    Parameters
    ----------
    sketch : Sketch
        Its law is known to be symmetric, or it has few values.
    A : ndarray, shape (dim, dim)
        A symmetric matrix.

    Examples
    --------
    >>> import mastsim as ms
    >>> S = ms.FiniteSupport([np.array([[1.0, 0.0], [c, 1.0]]) for c in (-2.0, 2.0)])
    >>> transposed_moment(S, np.diag([1.0, 0.0])).tolist(), S.quadratic_moment(np.diag([1.0, 0.0])).tolist()
    ([[1.0, 0.0], [0.0, 4.0]], [[1.0, 0.0], [0.0, 0.0]])
    """
    if sketch.law.symmetric:
        return sketch.quadratic_moment(A)
    if not few(sketch.support_size, sketch.dim):
        return None
    batch, weights = sketch.support()
    S = np.asarray(batch.matrices())
    return np.asarray(np.tensordot(weights, S @ A @ S.transpose(0, 2, 1), axes=1))


class FullModelConstants(Constants):
    """The constants of a MAST objective, and those of steps whose shift moves.

    Parameters
    ----------
    objective : Mast
        The objective f_D.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> c = FullModelConstants(ms.Mast(ms.Quadratic(np.diag([1.0, 4.0]), np.zeros(2)), ms.RandK(2, k=1)))
    >>> float(c.step_second_moment), float(c.step_smoothness), float(c.distance_smoothness), float(c.shift_condition)
    (2.0, 8.0, 8.0, 8.0)
    """

    objective: Mast

    def __init__(self, objective: Mast) -> None:
        super().__init__(objective)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the table, in the order in which they are reported."""
        return NAMES + MOVING_NAMES

    @cached_property
    def step_second_moment(self) -> Constant:
        """C = λ_max(E[SSᵀ]); infinite where it is not known."""
        source, sketch = "C = λ_max(E[SSᵀ]) (this package)", self.objective.sketch
        if sketch.law.symmetric:
            return Constant(self.L_D, self.L_D.kind, source, self.L_D.error)
        return self._top(transposed_moment(sketch, np.eye(sketch.dim)), "exact", source)

    @cached_property
    def step_second_moment_least(self) -> Constant:
        """λ_min(E[SSᵀ]), at least 1 for an unbiased sketch; 0 where it is not known."""
        source, sketch = "λ_min(E[SSᵀ]) (this package)", self.objective.sketch
        if sketch.law.symmetric:
            return Constant(self.mu_D, self.mu_D.kind, source, self.mu_D.error)
        square = transposed_moment(sketch, np.eye(sketch.dim))
        if square is None:
            return Constant(0.0, "lower", f"{source}: not known for {sketch.name}")
        values = np.linalg.eigvalsh((square + square.T) / 2)
        return Constant(float(values[0]), "exact", source, 8 * _EPS * len(values) * float(values[-1]))

    @cached_property
    def step_smoothness(self) -> Constant:
        """C·L_f, at least λ_max(E[SLSᵀ])."""
        return product([self.step_second_moment, self.L_f], "upper", "C·L_f (this package)")

    @cached_property
    def step_smoothness_sharp(self) -> Constant:
        """θ = λ_max(E[SLSᵀ]), by which a step changes the mean of f: S is on the other side than in L_fD_sharp."""
        source = "θ = λ_max(E[SLSᵀ]) (this package)"
        return self._sharper(lambda L: transposed_moment(self.objective.sketch, L), source)

    @property
    def distance_smoothness(self) -> Constant:
        """C·L_f, at least λ_max(L^½E[SSᵀ]L^½)."""
        return self.step_smoothness

    @cached_property
    def distance_smoothness_sharp(self) -> Constant:
        """λ_max(L^½E[SSᵀ]L^½), by which a step changes the mean squared distance."""

        def between(L: np.ndarray) -> np.ndarray | None:
            values, vectors = np.linalg.eigh(L)
            root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
            square = transposed_moment(self.objective.sketch, np.eye(len(L)))
            return None if square is None else root @ square @ root

        return self._sharper(between, "λ_max(L^½E[SSᵀ]L^½) (this package)")

    @cached_property
    def mu_f_PL(self) -> Constant:
        """A Polyak-Łojasiewicz constant of f: ‖∇f‖² ≥ 2μ(f − f^inf); 0 when none is known."""
        if self.objective.problem.is_quadratic:
            least = self.objective.problem.upper_curvature.least_positive
            value = max(least.value, 0.0) if least < math.inf else 1.0
            return Constant(value, least.kind, "least positive eigenvalue of A", least.error)
        return Constant(max(self.mu_f, 0.0), "lower", "strong convexity of f", self.mu_f.error)

    @cached_property
    def shift_condition(self) -> Constant:
        """L_D·κ_f, at least λ_max(A^{-½}H_D A^{-½})."""
        inverse = Constant(1 / self.mu_f, "upper", "", self.mu_f.error / self.mu_f**2) if self.mu_f > 0 else _UNKNOWN
        return product([self.L_D, self.L_f, inverse], "upper", "L_D·κ_f (this package)")

    @cached_property
    def shift_condition_sharp(self) -> Constant:
        """χ = λ_max(A^{-½}H_D A^{-½}), what a sketch does to the curvature of a quadratic."""
        if not (self.objective.is_quadratic and self.mu_f > 0 and self.objective.dim <= DENSE_LIMIT):
            return self.shift_condition
        root = np.linalg.inv(np.linalg.cholesky(self.objective.problem.upper_curvature.matrix))
        whole = root @ self.objective.curvature @ root.T
        found = self._top(whole, "exact", "χ = λ_max(A^{-½}H_D A^{-½}) (this package)")
        # Rounding of the root comes back multiplied by κ_f.
        return Constant(found, found.kind, found.source, found.error * float(self.L_f / self.mu_f))

    def _sharper(self, of: object, source: str) -> Constant:
        assert callable(of)
        paper, problem = self.step_smoothness, self.objective.problem
        if self.L_f == math.inf or self.objective.dim > DENSE_LIMIT:
            return Constant(paper, "upper", "C·L_f: no curvature matrix is formed", paper.error)
        curvature = problem.upper_curvature
        found = self._top(of(curvature.matrix), "upper", source)
        return Constant(min(found, paper), "upper", source, found.error + curvature.doubt * self.objective.dim * found.value)

    def _top(self, matrix: np.ndarray | None, kind: Kind, source: str) -> Constant:
        if matrix is None:
            return Constant(math.inf, "upper", f"{source}: not known for {self.objective.sketch.name}")
        values = np.linalg.eigvalsh((matrix + matrix.T) / 2)
        return Constant(float(values[-1]), kind, source, 8 * _EPS * len(values) * float(np.abs(values).max()))


_UNKNOWN = Constant(math.inf, "upper", "")
