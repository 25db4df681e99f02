"""What an expected objective offers to methods, theorems and trials, whether it has one node or many."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any

import numpy as np

from mastsim.arithmetic import difference
from mastsim.backend import Array
from mastsim.devices import Device
from mastsim.expected.base import Evaluation, OutOfReachError
from mastsim.linalg import Curvature, QuadraticForm, SparseCurvature
from mastsim.memory import check_square
from mastsim.minimization import DENSE, Curvatures
from mastsim.problems import Minimum, Problem
from mastsim.problems.base import DENSE_LIMIT
from mastsim.problems.certificates import quadratic_minimum, reported
from mastsim.problems.search import Search, curvatures
from mastsim.provenance import Constant, Kind
from mastsim.readonly import ReadOnly
from mastsim.validation import ACCURACIES, points, positive, vector


class Objective(ReadOnly, ABC):
    """An expectation f_D of sketched functions, with a certified minimiser; `problem` is f without sketches."""

    noun = "objective"
    example = "Mast(problem, sketch)"

    problem: Problem

    @property
    @abstractmethod
    def name(self) -> str:
        """A short text that says which objective this is."""

    @property
    @abstractmethod
    def sketch_name(self) -> str:
        """A short text that says which sketches it takes."""

    @property
    @abstractmethod
    def center(self) -> np.ndarray:
        """The shift v, shape (dim,)."""

    @abstractmethod
    def on(self, device: Device) -> Objective:
        """Return the same objective with its data on a device, for the steps of a method there.

        Constants and minimisers are the business of the objective on the host: ask that one.
        """

    @abstractmethod
    def at(self, accuracy: float) -> Objective:
        """Return the same objective as accurate as asked for; one whose values are exact to rounding stays as it is.

        Parameters
        ----------
        accuracy : float
            The largest error of values, rounding aside, relative to 1 + the largest prediction that a sketch makes.
        """

    @abstractmethod
    def inaccuracy(self, x: Array) -> tuple[np.ndarray, np.ndarray]:
        """Return bounds on how far values and gradients are off, rounding aside, for the accuracy that was asked for.

        Each is of shape ``x.shape[:-1]``; zero where values are exact whatever the accuracy.
        """

    @property
    @abstractmethod
    def runs_on_devices(self) -> bool:
        """Whether f_D itself can be evaluated on a device; sketched gradients always can."""

    @property
    @abstractmethod
    def evaluation(self) -> Evaluation:
        """How values of f_D are obtained, and why that way."""

    def is_far(self, x: Array) -> np.ndarray:
        """Say at which finite points an exact f_D takes much more work than near the shift, shape ``x.shape[:-1]``."""
        return np.zeros(x.shape[:-1], dtype=bool)

    @abstractmethod
    def value(self, x: Array) -> Array:
        """Return f_D(x), shape ``x.shape[:-1]``."""

    @abstractmethod
    def gradient(self, x: Array) -> Array:
        """Return ∇f_D(x), shape of `x`."""

    @abstractmethod
    def value_and_gradient(self, x: Array) -> tuple[Array, Array]:
        """Return f_D(x) and ∇f_D(x), which may share work."""

    @abstractmethod
    def hessian_product(self, x: Array, w: Array) -> Array:
        """Return ∇²f_D(x) w, shape of `x`; `w` has the same shape."""

    @abstractmethod
    def error_bound(self, x: Array) -> float:
        """Return a bound on the error of the values at the points `x`, rounding included; infinite for an estimate."""

    @abstractmethod
    def gradient_error(self, x: np.ndarray) -> float:
        """Return a bound on ‖computed ∇f_D − ∇f_D‖ at one point, shape (dim,), rounding included."""

    @abstractmethod
    def hessian_model(self, x: np.ndarray) -> np.ndarray:
        """Return a matrix near ∇²f_D(x) that is cheap to compute, shape (dim, dim); nothing is proven about it."""

    @abstractmethod
    def hessian_diagonal(self, x: np.ndarray) -> np.ndarray:
        """Return a vector near the diagonal of ∇²f_D(x), shape (dim,); nothing is proven about it."""

    @property
    @abstractmethod
    def upper_curvature(self) -> Curvature:
        """A matrix at least ∇²f_D everywhere; ∇²f_D itself for quadratics."""

    @property
    @abstractmethod
    def lower_curvature(self) -> Curvature:
        """A matrix at most ∇²f_D everywhere; ∇²f_D itself for quadratics."""

    @property
    @abstractmethod
    def sparse_upper_curvature(self) -> SparseCurvature | None:
        """The upper curvature as an operator, for dimensions in which no matrix is formed; None where that is not known."""

    @property
    @abstractmethod
    def sparse_lower_curvature(self) -> SparseCurvature | None:
        """The lower curvature as an operator; None where that is not known."""

    @property
    @abstractmethod
    def quadratic_form(self) -> QuadraticForm:
        """f_D of a quadratic f as a form of x − v."""

    @property
    def curvature(self) -> np.ndarray:
        """The upper curvature matrix itself, shape (dim, dim)."""
        return self.upper_curvature.matrix

    @property
    @abstractmethod
    def L_fD(self) -> Constant:
        """The paper's smoothness constant of f_D, which takes no matrix."""

    @property
    @abstractmethod
    def mu_fD(self) -> Constant:
        """The paper's strong convexity constant of f_D, which takes no matrix."""

    @property
    @abstractmethod
    def L_fD_sharp(self) -> Constant:
        """A smoothness constant of f_D; infinite where the curvature of f is unbounded."""

    @property
    def smoothness(self) -> Constant:
        """The sharper of the two smoothness constants where it takes no long computation."""
        return self.L_fD_sharp if self.problem.L_f < math.inf and self.dim <= DENSE_LIMIT else self.L_fD

    @property
    @abstractmethod
    def mu_fD_sharp(self) -> Constant:
        """A strong convexity constant of f_D; negative where f may be nonconvex."""

    @abstractmethod
    def sketched_infimum(self) -> Constant:
        """Return the mean infimum of the sketched functions, or a lower bound of it."""

    @abstractmethod
    def nodes_minimum(self) -> Minimum:
        """Return the mean of the infima of the nodes' f_i, as the value of a `Minimum` whose point is that of f."""

    @abstractmethod
    def gap(self) -> Constant:
        """Return f_D^inf less the mean of the infima of f, at least 0, with its tier of truth."""

    @abstractmethod
    def excess_bound(self, x: np.ndarray) -> float:
        """Return a proven bound on f_D(x) less the mean of the infima of f, x of shape (dim,), without a value of f_D."""

    @property
    def dim(self) -> int:
        """The dimension d."""
        return self.problem.dim

    @property
    def lower_bound(self) -> float:
        """A number that f_D never goes below: the lower bound of f."""
        return self.problem.lower_bound

    @property
    @abstractmethod
    def is_quadratic(self) -> bool:
        """Whether f_D is known as a quadratic, with the Hessian `curvature`."""

    @property
    @abstractmethod
    def nodes(self) -> tuple[Any, ...]:
        """The objectives of the nodes, of which f_D is the mean; a single node is its own."""

    def hessian(self, x: Array) -> np.ndarray:
        """Return ∇²f_D(x) at one point, shape (dim, dim)."""
        check_square("the Hessian", self.dim, change="take products with it: hessian_product")
        point = np.broadcast_to(vector("x", x, self.dim), (self.dim, self.dim))
        return np.asarray(self.hessian_product(point, np.eye(self.dim)))

    def minimize(self, accuracy: float | None = None) -> Minimum:
        """Return a minimiser x_D* with its certificate.

        Parameters
        ----------
        accuracy : float, optional
            How far above its infimum f_D may be at the point: the search ends once ‖∇f_D‖²/(2μ), or the distance from the
            lower bound of f, certifies that. It goes as far as rounding allows when left out, and is then made once only.

        Returns
        -------
        Minimum
            With `excess_bound` at most `accuracy`; where that cannot be reached, a `CertificateWarning` says so, and why.

        Raises
        ------
        MinimizationInterrupted
            On Ctrl-C, with the best point so far and its certificate.
        ValueError
            If `accuracy` is not a positive number.

        Examples
        --------
        >>> import mastsim as ms
        >>> F = ms.Mast(ms.LogisticRegression(np.eye(2), np.ones(2), l2=0.1), ms.RandK(2, k=1))
        >>> F.minimize(accuracy=1e-3).excess_bound <= 1e-3
        True
        """
        if accuracy is None:
            return self._minimum
        return self._find_minimum(positive("accuracy", accuracy, ACCURACIES))

    @cached_property
    def _minimum(self) -> Minimum:
        return self._find_minimum(None)

    def _find_minimum(self, accuracy: float | None) -> Minimum:
        if self.is_quadratic:
            return reported(self, quadratic_minimum(self, self.quadratic_form, self.center), accuracy)
        known = curvatures(self.problem)
        model = self.hessian_model if self.dim <= DENSE else self.hessian_diagonal
        known = Curvatures(model=model, scale=known.scale)
        certify = self._uncertified if self.evaluation.tier == "estimate" else None
        where = self.center, known, self.mu_fD_sharp, self.smoothness.value, self.lower_bound
        return Search(self, *where, self._near, certify).find(accuracy)

    def sublevel_radius(self, level: float) -> float:
        """Return a number that ‖x‖ is not above where f_D(x) ≤ `level`, for convex f: there f_D ≥ f."""
        return self.problem.sublevel_radius(level)

    def _near(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Return f_D and its gradient, neither of them finite where the point is too far out for them."""
        try:
            value, gradient = self.value_and_gradient(x)
        except OutOfReachError:
            return math.inf, np.full(len(x), math.nan)
        return float(value), np.asarray(gradient)

    def _uncertified(self, x: np.ndarray) -> Minimum:
        norm = float(np.linalg.norm(self.gradient(x)))
        return Minimum(x, float(self.value(x)), math.inf, norm, f"nothing is proven: {self.evaluation.reason}", proven=False)

    def _largest_curvature(self, source: str) -> Constant:
        """Return λ_max of the upper curvature matrix: of f_D itself where it is quadratic, otherwise an upper bound."""
        top = self.upper_curvature.largest
        return Constant(top, top.kind if self.is_quadratic else "upper", source, top.error)

    def _least_curvature(self, source: str) -> Constant:
        """Return λ_min of the lower curvature matrix: of f_D itself where it is quadratic, otherwise a lower bound."""
        least = self.lower_curvature.smallest
        kind: Kind = "lower" if least.kind == "exact" and not self.is_quadratic else least.kind
        return Constant(least, kind, source, least.error)

    def _sparse_end(self, end: Constant, source: str, bound: Kind) -> Constant:
        """Return an extreme eigenvalue of a curvature operator: of f_D itself where f is quadratic, otherwise a bound."""
        kind: Kind = end.kind if self.problem.is_quadratic else bound
        return Constant(end, kind, f"{source}: {end.source}", end.error)

    def _points(self, name: str, x: Array) -> Array:
        return points(name, x, self.dim)


def gap_between(objective: Objective, lower: Minimum, source: str) -> Constant:
    """Return f_D^inf less a mean of infima of f, at least 0, with its tier of truth."""
    if objective.evaluation.tier == "estimate":
        least = min(objective.excess_bound(objective.center), objective.excess_bound(lower.x))
        kind: Kind = "upper" if lower.proven else "estimate"
        return Constant(least, kind, "min over x = v, x* of f(x) + ½(L_D − 1)L_f‖x − v‖² − f^inf (MAST, Lemma 1 (iii))")
    return difference(objective.minimize().infimum(), lower.infimum(), source)
