"""What a problem f is: value and derivatives on batches of points, and curvature bounds with provenance."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from functools import cached_property
from typing import ClassVar, Protocol, Self

import numpy as np
from scipy.sparse.linalg import LinearOperator, eigsh

from mastsim.backend import Array, contiguous, namespace
from mastsim.devices import Device
from mastsim.linalg import Curvature, Pair, QuadraticForm, SparseCurvature
from mastsim.memory import check_square
from mastsim.problems.certificates import CertificateWarning as CertificateWarning
from mastsim.problems.certificates import Minimum as Minimum
from mastsim.problems.certificates import certified as certified
from mastsim.problems.search import Search, curvatures
from mastsim.provenance import Constant, Kind
from mastsim.readonly import ReadOnly
from mastsim.validation import ACCURACIES, CONDITIONS, SETTINGS, has, nonnegative, points, positive, vector

DENSE_LIMIT = 4096
"""Largest dimension for which a matrix of shape (dim, dim) is formed without being asked for."""


_DENSE_SPECTRUM = 512


class Components(Protocol):
    """Which components of f each replica looks at, and with what weights."""

    @property
    def index(self) -> Array | None:
        """Components, int array of shape (replicas, m), or None for all of them in order."""

    @property
    def weights(self) -> Array:
        """Weights, shape (replicas, m), with m = n where `index` is None."""


class Problem(ReadOnly, ABC):
    """A differentiable function f: R^d → R, bounded below, and a finite sum f = (1/n) Σ f_i (n = 1 unless said otherwise).

    Subclasses are frozen dataclasses. Points come as arrays of shape (dim,) or (replicas, dim), on the host or a device.
    """

    noun = "problem"
    example = "LogisticRegression(A, y, l2=0.01)"

    keyword: ClassVar[str] = ""
    """The family's name in a text; empty for families that cannot be built from a data set alone."""
    takes_classes: ClassVar[bool] = False
    """Whether labels are two classes, -1 and +1, rather than numbers that are taken as they stand."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """The dimension d."""

    @property
    def name(self) -> str:
        """A short text that says which problem this is."""
        return f"{type(self).__name__} (d = {self.dim})"

    @abstractmethod
    def value(self, x: Array) -> Array:
        """Return f(x), shape ``x.shape[:-1]``."""

    @abstractmethod
    def gradient(self, x: Array) -> Array:
        """Return ∇f(x), shape of `x`."""

    @abstractmethod
    def hessian_product(self, x: Array, w: Array) -> Array:
        """Return ∇²f(x) w, shape of `x`."""

    @property
    @abstractmethod
    def upper_curvature(self) -> Curvature:
        """A matrix **L** with −**L** ⪯ ∇²f ⪯ **L** everywhere (0 ⪯ ∇²f ⪯ **L** when f is convex)."""

    @property
    @abstractmethod
    def lower_curvature(self) -> Curvature:
        """A matrix **M** with **M** ⪯ ∇²f everywhere."""

    @property
    def sparse_upper_curvature(self) -> SparseCurvature | None:
        """**L** as an operator, for dimensions in which no matrix is formed; None where there is none."""
        return None

    @property
    def sparse_lower_curvature(self) -> SparseCurvature | None:
        """**M** as an operator; None where there is none."""
        return None

    @property
    @abstractmethod
    def curvature_is_attained(self) -> bool:
        """Whether λ_max(**L**) and λ_min(**M**) are the smallest and largest constants f allows."""

    @property
    @abstractmethod
    def lower_bound(self) -> float:
        """A number that f never goes below; −∞ when none is known."""

    def value_and_gradient(self, x: Array) -> tuple[Array, Array]:
        """Return f(x) and ∇f(x), which may share work."""
        return self.value(x), self.gradient(x)

    def minimize(self, accuracy: float | None = None) -> Minimum:
        """Return a minimiser with its certificate.

        Parameters
        ----------
        accuracy : float, optional
            How far above its infimum f may be at the point: the search ends once ‖∇f‖²/(2μ), or the distance from the lower
            bound of f, certifies that. It goes as far as rounding allows when left out, and is then made once only.

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
        >>> f = ms.LogisticRegression(np.eye(2), np.ones(2), l2=0.1)
        >>> f.minimize(accuracy=1e-3).excess_bound <= 1e-3
        True
        """
        if accuracy is None:
            return self._minimum
        return self._find_minimum(positive("accuracy", accuracy, ACCURACIES))

    @cached_property
    def _minimum(self) -> Minimum:
        return self._find_minimum(None)

    def _find_minimum(self, accuracy: float | None) -> Minimum:
        """Return a minimiser by a search from zero; subclasses may know better."""
        return self._search(np.zeros(self.dim)).find(accuracy)

    def sublevel_radius(self, level: float) -> float:
        """Return a number that ‖x‖ is not above where f(x) ≤ `level`; infinite where none is known."""
        return math.inf

    def _search(self, start: np.ndarray) -> Search:
        # The lower bound of a quadratic is its minimum, which is what is being looked for.
        lowest = -math.inf if self.is_quadratic else self.lower_bound
        return Search(self, start, curvatures(self), self.mu_f, self.L_f.value, lowest)

    @property
    def components(self) -> int:
        """The number n of components f_i with f = (1/n) Σ f_i."""
        return 1

    @cached_property
    def component_smoothness(self) -> np.ndarray:
        """Smoothness constants L_i of the components, or upper bounds on them, shape (n,)."""
        return np.array([float(self.L_f)])

    @property
    def component_smoothness_error(self) -> float:
        """How far rounding may have put a `component_smoothness` below the constant it stands for."""
        return float(self.L_f.error)

    @cached_property
    def component_infima(self) -> np.ndarray:
        """Proven lower bounds on inf f_i, shape (n,)."""
        return np.array([float(self.lower_bound)])

    def minibatch_gradient(self, x: Array, minibatch: Components) -> Array:
        """Return Σ_j weights[r, j] ∇f_{index[r, j]}(x_r) for every replica r.

        Parameters
        ----------
        x : array, shape (replicas, dim)
            One point a replica.
        minibatch : Components
            Anything with `index`, an int array of shape (replicas, m) or None for all components in order, and `weights`,
            of shape (replicas, m).

        Returns
        -------
        array, shape (replicas, dim)
            A replica's result does not depend on the replicas beside it.
        """
        if self.components != 1:
            raise NotImplementedError(
                f"{type(self).__name__} has {self.components} components and must say how to weigh them"
            )
        return total_weight(minibatch)[:, None] * self.gradient(x)

    def on(self, device: Device) -> Self:
        """Return the same function with its data on a device, for values and gradients there.

        Constants and minimisers are the business of the problem on the host: ask that one.
        """
        there: Self = device.copy(self)
        return there

    def _points(self, name: str, x: Array) -> Array:
        return points(name, x, self.dim)

    @property
    def is_quadratic(self) -> bool:
        """Whether the Hessian is the same everywhere."""
        return False

    @cached_property
    def quadratic_form(self) -> QuadraticForm:
        """A quadratic f as a form around zero, to more digits than floats have where the problem says how.

        Raises
        ------
        ValueError
            If f is not quadratic.
        """
        if not self.is_quadratic:
            raise ValueError(f"{self.name} is not quadratic and has no quadratic form")
        zero = np.zeros(self.dim)
        slope, constant = np.asarray(self.gradient(zero)), float(self.value(zero))
        error = 8 * np.finfo(float).eps
        return QuadraticForm(
            self.upper_curvature, Pair.of(slope), Pair.of(constant), error * np.abs(slope), error * abs(constant)
        )

    @property
    def is_convex(self) -> bool:
        """Whether f is convex."""
        return self.mu_f >= 0

    @property
    def components_are_convex(self) -> bool:
        """Whether every f_i is convex, which that of their mean does not imply."""
        return self.is_convex

    @cached_property
    def L_f(self) -> Constant:
        """Smoothness constant of f."""
        return self._smoothness(self.upper_curvature.largest)

    @cached_property
    def mu_f(self) -> Constant:
        """Strong convexity constant of f (0 when f is only convex, negative when it is not)."""
        return self._convexity(self.lower_curvature.smallest)

    def _smoothness(self, top: Constant, note: str = "") -> Constant:
        """Return λ_max of **L** as the smoothness constant of f."""
        kind: Kind = top.kind if self.curvature_is_attained else "upper"
        return Constant(max(top, 0.0), kind, f"λ_max(L), L ⪰ ∇²f (MAST, Assumption 2){note}", top.error)

    def _convexity(self, least: Constant, note: str = "") -> Constant:
        """Return λ_min of **M** as the strong convexity constant of f."""
        kind: Kind = "lower" if least.kind == "exact" and not self.curvature_is_attained else least.kind
        return Constant(least, kind, f"λ_min(M), M ⪯ ∇²f (MAST, Assumption 3){note}", least.error)

    def error_bound(self, x: np.ndarray, moved: np.ndarray | None = None) -> np.ndarray:
        """Return a bound on the rounding of `value`; to first order unless a subclass counts its own operations.

        Parameters
        ----------
        x : ndarray, shape (dim,) or (points, dim)
            Points.
        moved : ndarray, shape of `x`, optional
            How far each coordinate may be from where the value is wanted; zero when left out.

        Returns
        -------
        ndarray, shape ``x.shape[:-1]``
            One number a point.
        """
        x = np.asarray(self._points("x", x), dtype=float)
        away = np.zeros(x.shape) if moved is None else moved
        slope, bend = np.abs(self.gradient(x)), self.L_f.value if away.any() else 0.0
        rounding = (self.dim + 100) * np.finfo(float).eps * (np.abs(self.value(x)) + (slope * np.abs(x)).sum(axis=-1))
        return np.asarray(rounding + (slope * away).sum(axis=-1) + 0.5 * bend * (away**2).sum(axis=-1))

    def gradient_error(self, x: np.ndarray, moved: np.ndarray | None = None) -> np.ndarray:
        """Return a bound on ‖computed ∇f − ∇f‖; to first order unless a subclass counts its own operations.

        Parameters
        ----------
        x : ndarray, shape (dim,) or (points, dim)
            Points.
        moved : ndarray, shape of `x`, optional
            How far each coordinate may be from where the gradient is wanted; zero when left out.

        Returns
        -------
        ndarray, shape ``x.shape[:-1]``
            One number a point.
        """
        x = np.asarray(self._points("x", x), dtype=float)
        bend = self.L_f.value
        if not math.isfinite(bend):
            bend = max(self.local_smoothness(point).value for point in np.reshape(x, (-1, self.dim)))
        away = 0.0 if moved is None else np.linalg.norm(moved, axis=-1)
        return np.asarray(bend * (1e-14 * (1 + np.linalg.norm(x, axis=-1)) + away))

    @property
    def hessian_accuracy(self) -> float:
        """How far products with the Hessian may be off beyond rounding, in units of ‖∇²f‖: 0 unless they are estimates."""
        return 0.0

    def local_smoothness(self, x: Array) -> Constant:
        """Return ‖∇²f(x)‖ at one point: an estimate of the smoothness nearby, and a bound nowhere else.

        Parameters
        ----------
        x : array, shape (dim,)
            The point.

        Returns
        -------
        Constant
            Of kind ``"estimate"``: the largest absolute eigenvalue, dense up to dimension 512 and by Lanczos beyond.
        """
        x = vector("x", x, self.dim)
        if self.dim <= _DENSE_SPECTRUM:
            H = self.hessian(x)
            top = float(np.abs(np.linalg.eigvalsh(H)).max()) if np.isfinite(H).all() else math.inf
            return Constant(top, "estimate", "‖∇²f(x)‖ at this point only")
        operator = LinearOperator((self.dim, self.dim), matvec=lambda w: self.hessian_product(x, np.ravel(w)), dtype=float)
        largest = eigsh(operator, k=1, which="LM", v0=np.ones(self.dim), return_eigenvectors=False)
        return Constant(float(np.abs(largest[0])), "estimate", "‖∇²f(x)‖ at this point only, by Lanczos")

    @property
    def column_scale(self) -> np.ndarray:
        """Positive factors s, shape (dim,), such that f(s∘y) bends about equally along every coordinate of y."""
        return np.ones(self.dim)

    def hessian(self, x: Array) -> np.ndarray:
        """Return ∇²f(x) at one point, shape (dim, dim)."""
        check_square("the Hessian", self.dim, change="take products with it: hessian_product")
        point = np.broadcast_to(vector("x", x, self.dim), (self.dim, self.dim))
        return np.asarray(self.hessian_product(point, np.eye(self.dim)))

    def mean_hessian(self, points: np.ndarray) -> np.ndarray:
        """Return the mean of ∇²f over points of shape (m, dim), shape (dim, dim)."""
        return np.asarray(np.mean([self.hessian(point) for point in points], axis=0))


def total_weight(minibatch: Components) -> Array:
    """Return Σ_j weights[r, j], shape (replicas,), one replica at a time."""
    has("minibatch", minibatch, "index", "weights")
    xp = namespace(minibatch.weights)
    return xp.sum(contiguous(minibatch.weights), axis=-1)


def ridge(l2: float | None, condition_number: float | None, curvature: float) -> float:
    """Return the regularisation λ from one of `l2` and `condition_number`, or from both where they agree.

    Agreeing is what lets ``dataclasses.replace`` change labels or loss of a problem that knows both. Where the data change,
    one of the two has to give way, and that is for the caller to say.
    """
    if l2 is None and condition_number is None:
        raise ValueError(f"l2={l2} and condition_number={condition_number}: exactly one of the two must be given")
    given = None if l2 is None else nonnegative("l2", l2)
    if condition_number is None:
        assert given is not None
        return given
    kappa = positive("condition_number", condition_number, CONDITIONS)
    if kappa <= 1:
        raise ValueError(f"condition_number={kappa} is not accepted: it must be above 1")
    if curvature == 0:
        raise ValueError(f"condition_number={kappa} cannot be reached: A is zero; give l2 instead")
    implied = curvature / (kappa - 1)
    if given is not None and abs(given - implied) > 1e-12 * implied:
        raise ValueError(
            f"l2={l2} and condition_number={condition_number}: exactly one of the two must be given where they disagree "
            f"(that condition number means l2={implied}); pass None for the other"
        )
    if given is None and not SETTINGS.least <= implied <= SETTINGS.most:
        raise ValueError(
            f"condition_number={kappa:g} is not accepted: it means l2={implied:g}, and l2 must be from "
            f"{SETTINGS.least:g} to {SETTINGS.most:g}"
        )
    return implied if given is None else given
