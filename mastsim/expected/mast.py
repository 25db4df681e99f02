"""The MAST objective f_D(x) = E_S f(v + S(x − v))."""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from mastsim.arithmetic import product
from mastsim.backend import Array, namespace
from mastsim.devices import Device
from mastsim.expected.base import Evaluation, Expectation
from mastsim.expected.closed_form import ClosedForm
from mastsim.expected.evaluations import ALL_EXPECTATIONS, expectation_of
from mastsim.expected.objective import Objective, gap_between
from mastsim.expected.rows import ACCURACY
from mastsim.expected.sketched_curvature import sketched_curvature
from mastsim.expected.sketched_infimum import listed_infima, sketched_infimum
from mastsim.linalg import Curvature, QuadraticForm, SparseCurvature
from mastsim.problems import Minimum, Problem
from mastsim.problems.base import DENSE_LIMIT
from mastsim.provenance import Constant
from mastsim.sketches import Sketch, SketchBatch
from mastsim.sketches.eigenvalues import L_D, mu_D
from mastsim.sketches.laws import DiagonalLaw, InvariantLaw
from mastsim.validation import ENTRIES, EVALUATIONS, instance, one_of, positive, vector

_FEW_SKETCHES = 8


@dataclass(frozen=True, eq=False)
class Mast(Objective):
    """The objective f_D(x) = E f(v + S(x − v)) of sparsified training.

    Parameters
    ----------
    problem : Problem
        The loss f.
    sketch : Sketch
        The distribution D of S, of the same dimension.
    shift : array, shape (dim,), optional
        The shift v, for example a pre-trained model; zero when left out.
    evaluate : str, default "auto"
        How f_D is computed: ``"closed form"``, ``"rows"``, ``"finite sum"``, ``"enumeration"`` (all exact) or
        ``"monte carlo"`` (an estimate; `standard_error` says how good). ``"auto"`` takes the first that applies, and
        `evaluation` says which.
    accuracy : float, default 1e-14
        How far exact values may be off, rounding aside, relative to 1 + the largest |aᵢᵀ(v + S(x − v))| of a row; gradients
        by ten times that. From 1e-15 to 1e-4; less accurate expectations over rows take less time. `error_bound` and
        `gradient_error` count it.

    Raises
    ------
    ValueError
        If the dimensions differ, `shift` is not a finite vector of length dim, the evaluation asked for does not apply, or
        `accuracy` is outside its range.

    References
    ----------
    MAST, arXiv 2311.16086, equation (2); exact evaluation: this package.

    Examples
    --------
    >>> import mastsim as ms
    >>> F = Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1))
    >>> float(F.value(np.ones(2))), F.minimize().x
    (0.0, array([0.5, 0.5]))
    """

    example = "Mast(problem, sketch)"

    problem: Problem
    sketch: Sketch
    shift: np.ndarray | None = None
    evaluate: str = "auto"
    accuracy: float = ACCURACY

    _device: ClassVar[Device | None] = None

    def __post_init__(self) -> None:
        instance("problem", self.problem, Problem)
        instance("sketch", self.sketch, Sketch)
        if self.problem.dim != self.sketch.dim:
            hint = "; Unmasked(sketch) leaves the intercept alone" if getattr(self.problem, "intercept", False) else ""
            said = f"the sketch has dimension {self.sketch.dim}, but the problem has dimension {self.problem.dim}"
            raise ValueError(f"{said}{hint}")
        shift = vector("shift", np.zeros(self.dim) if self.shift is None else self.shift, self.dim, ENTRIES)
        object.__setattr__(self, "shift", shift)
        one_of("evaluate", self.evaluate, ["auto", *ALL_EXPECTATIONS])
        object.__setattr__(self, "accuracy", positive("accuracy", self.accuracy, EVALUATIONS))
        _ = self.expectation

    @property
    def name(self) -> str:
        """For example ``logistic regression (n = 569, d = 30), Rand-3 of 30, v = 0``."""
        return f"{self.problem.name}, {self.sketch_name}"

    @property
    def sketch_name(self) -> str:
        """For example ``Rand-3 of 30, v = 0``."""
        return f"{self.sketch.name}, v {'≠' if np.any(self.center) else '='} 0"

    @property
    def center(self) -> np.ndarray:
        """The shift v, shape (dim,)."""
        assert self.shift is not None
        return self.shift

    @cached_property
    def expectation(self) -> Expectation:
        """The evaluation in use."""
        return expectation_of(self.problem, self.sketch, self.center, self.evaluate).at(self.accuracy)

    def on(self, device: Device) -> Mast:
        """Return the same objective on a device; see `Objective.on`."""
        moved: Mast = device.copy(self, expectation=self.expectation)
        object.__setattr__(moved, "_device", device)
        return moved

    def at(self, accuracy: float) -> Mast:
        """Return the same objective as accurate as asked for; see `Objective.at`."""
        found = self.expectation.at(accuracy)
        if found is self.expectation:
            return self
        sharper = copy(self)
        sharper.__dict__.update(accuracy=accuracy, expectation=found)
        sharper.__dict__.pop("_minimum", None)
        return sharper

    def inaccuracy(self, x: Array) -> tuple[np.ndarray, np.ndarray]:
        """Return bounds on how far values and gradients are off, rounding aside; see `Objective.inaccuracy`."""
        return self.expectation.inaccuracy(self._points("x", x))

    @cached_property
    def support(self) -> tuple[SketchBatch, np.ndarray]:
        """Every value of the sketch, where the data are, and its probability; see `Sketch.support`."""
        values, weights = self.sketch.support()
        return (values if self._device is None else values.on(self._device)), weights

    @cached_property
    def fourth_moment(self) -> np.ndarray | None:
        """E[SᵀLSSᵀLS] for the upper curvature matrix **L**, shape (dim, dim); None where the sketch does not know it."""
        try:
            return self.sketch.fourth_moment(self.problem.upper_curvature.matrix)
        except ValueError:
            return None

    @property
    def runs_on_devices(self) -> bool:
        """Whether f_D itself can be evaluated on a device; sketched gradients always can."""
        return self.expectation.runs_on_devices

    @property
    def evaluation(self) -> Evaluation:
        """How values of f_D are obtained, and why that way."""
        return self.expectation.evaluation

    def is_far(self, x: Array) -> np.ndarray:
        """Say at which finite points an exact f_D takes much more work than near the shift, shape ``x.shape[:-1]``."""
        return self.expectation.is_far(x)

    @property
    def is_quadratic(self) -> bool:
        """Whether f_D is known as a quadratic, with the Hessian `curvature`; see `evaluation` for how it is known."""
        return self.expectation.is_quadratic

    @property
    def nodes(self) -> tuple[Mast]:
        """The node alone."""
        return (self,)

    def value(self, x: Array) -> Array:
        """Return f_D(x), shape ``x.shape[:-1]``."""
        return self.expectation.value(self._points("x", x))

    def gradient(self, x: Array) -> Array:
        """Return ∇f_D(x), shape of `x`."""
        return self.expectation.gradient(self._points("x", x))

    def hessian_product(self, x: Array, w: Array) -> Array:
        """Return ∇²f_D(x) w, shape of `x`; `w` has the same shape."""
        x, w = self._points("x", x), self._points("w", w)
        if x.shape != w.shape:
            raise ValueError(f"x has shape {x.shape} and w has shape {w.shape}, but they must be the same")
        return self.expectation.hessian_product(x, w)

    def error_bound(self, x: Array) -> float:
        """Return a bound on the error of the values at the points `x`, rounding included; infinite for an estimate."""
        return self.expectation.error_bound(self._points("x", x))

    def gradient_error(self, x: np.ndarray) -> float:
        """Return a bound on ‖computed ∇f_D − ∇f_D‖ at one point, shape (dim,), rounding included."""
        return self.expectation.gradient_error(np.asarray(self._points("x", x), dtype=float))

    def hessian_model(self, x: np.ndarray) -> np.ndarray:
        """Return E[SᵀHS] for the mean H of ∇²f(v + Sz) over a few sketches: near ∇²f_D(x), and cheap, shape (dim, dim)."""
        batch = self.sketch.sample(np.random.Generator(np.random.Philox(0)), _FEW_SKETCHES)
        points = self.center + np.asarray(batch.apply(x - self.center))
        return self.sketch.quadratic_moment(self.problem.mean_hessian(points))

    def hessian_diagonal(self, x: np.ndarray) -> np.ndarray:
        """Return that of E[SᵀHS] for H = ∇²f(x), where the law of S is diagonal or has no directions; else that of H."""
        own: Any = getattr(self.problem, "hessian_diagonal", None)
        diagonal = np.ones(self.dim) if own is None else own(x)
        simple = isinstance(self.sketch.law, DiagonalLaw | InvariantLaw)
        return self.sketch.law.second_times(diagonal) if simple else diagonal

    def standard_error(self, x: Array) -> Array:
        """Return the standard error of the values at the points `x`: zero for every exact evaluation."""
        return self.expectation.standard_error(self._points("x", x))

    def value_and_gradient(self, x: Array) -> tuple[Array, Array]:
        """Return f_D(x) and ∇f_D(x), which may share work."""
        return self.expectation.value_and_gradient(self._points("x", x))

    def sketched_value(self, x: Array, batch: SketchBatch) -> Array:
        """Return f_S(x) = f(v + S(x − v)) for each drawn sketch."""
        center = namespace(x).asarray(self.center)
        return self.problem.value(center + batch.apply(x - center))

    def sketched_gradient(self, x: Array, batch: SketchBatch, minibatch: Any = None) -> Array:
        """Return ∇f_S(x) = Sᵀ∇f(v + S(x − v)) for each drawn sketch, ∇f by the components of a minibatch if one is given."""
        center = namespace(x).asarray(self.center)
        point = center + batch.apply(x - center)
        f = self.problem
        return batch.apply_transpose(f.gradient(point) if minibatch is None else f.minibatch_gradient(point, minibatch))

    @cached_property
    def upper_curvature(self) -> Curvature:
        """E[SᵀLS] ⪰ ∇²f_D for the upper curvature matrix **L** of f."""
        return sketched_curvature(self.sketch, self.problem.upper_curvature)

    @cached_property
    def lower_curvature(self) -> Curvature:
        """E[SᵀMS] ⪯ ∇²f_D for the lower curvature matrix **M** of f."""
        return self.upper_curvature if self.is_quadratic else sketched_curvature(self.sketch, self.problem.lower_curvature)

    @cached_property
    def quadratic_form(self) -> QuadraticForm:
        """f_D of a quadratic f as a form of x − v."""
        if not isinstance(self.expectation, ClosedForm):
            raise ValueError(f"f_D has no quadratic form here: it is evaluated by {self.evaluation.name}")
        return self.expectation.form

    @cached_property
    def L_fD(self) -> Constant:
        """L_D·L_f, a smoothness constant of f_D."""
        return product([L_D(self.sketch), self.problem.L_f], "upper", "L_D·L_f (MAST, Lemma 1 (ii))")

    @cached_property
    def mu_fD(self) -> Constant:
        """μ_D·μ_f, a strong convexity constant of f_D; for a negative μ_f the weaker L_D·μ_f."""
        mu = self.problem.mu_f
        if mu < 0:
            return product([L_D(self.sketch), mu], "lower", "L_D·μ_f, as μ_f < 0 (this package)")
        return product([mu_D(self.sketch), mu], "lower", "μ_D·μ_f (MAST, Lemma 3 (ii))")

    @cached_property
    def L_fD_sharp(self) -> Constant:
        """λ_max(E[SᵀLS]), a smoothness constant of f_D; infinite where the curvature of f is unbounded."""
        source = "λ_max(E[SᵀLS]) (this package)"
        if self.problem.L_f == math.inf:
            return Constant(math.inf, "upper", source)
        if self.dim <= DENSE_LIMIT:
            return self._largest_curvature(source)
        paper, found = self.L_fD, self.sparse_upper_curvature
        if found is None:
            return Constant(
                paper, "upper", f"{paper.source}: E[SᵀLS] is known as a matrix only, and d is too large", paper.error
            )
        return min(self._sparse_end(found.largest, source, "upper"), paper)

    @cached_property
    def mu_fD_sharp(self) -> Constant:
        """λ_min(E[SᵀMS]) for the lower curvature matrix **M** of f."""
        source, paper = "λ_min(E[SᵀMS]) (this package)", self.mu_fD
        if paper == -math.inf:
            return Constant(-math.inf, "lower", "nothing is known of the curvature of f")
        if self.dim <= DENSE_LIMIT:
            return self._least_curvature(source)
        found = self.sparse_lower_curvature
        if found is None:
            return Constant(paper, paper.kind, f"{paper.source}: E[SᵀMS] is known as a matrix only", paper.error)
        return max(self._sparse_end(found.smallest, source, "lower"), paper)

    @cached_property
    def sparse_upper_curvature(self) -> SparseCurvature | None:
        """E[SᵀLS] as an operator; see `Objective.sparse_upper_curvature`."""
        found = self.problem.sparse_upper_curvature
        return None if found is None else self.sketch.law.sparse_moment(found)

    @cached_property
    def sparse_lower_curvature(self) -> SparseCurvature | None:
        """E[SᵀMS] as an operator; None where it is not known."""
        found = self.problem.sparse_lower_curvature
        return None if found is None else self.sketch.law.sparse_moment(found)

    def sketched_infimum(self) -> Constant:
        """Return E inf_x f_S(x) ≥ f^inf: exact where the sketch can be enumerated, otherwise the lower bound f^inf."""
        return sketched_infimum(self.problem, self.sketch, self.center)

    @cached_property
    def listed_infima(self) -> tuple[np.ndarray, np.ndarray] | str:
        """inf_x f_S(x) for every value of the sketch, in the order of `support`, and bounds on their errors; or why not."""
        return listed_infima(self.problem, self.sketch, self.center)

    def nodes_minimum(self) -> Minimum:
        """Return the minimum of f."""
        return self.problem.minimize()

    def gap(self) -> Constant:
        """Return f_D^inf − f^inf ≥ 0 with its tier of truth."""
        if self.sketch.support_size == 1 and self.sketch.unbiased:
            return Constant(0.0, "exact", "S = I: f_D is f")
        return gap_between(self, self.nodes_minimum(), "f_D^inf − f^inf")

    def excess_bound(self, x: np.ndarray) -> float:
        """Return f(x) + ½(L_D − 1)L_f‖x − v‖² − f^inf ≥ f_D(x) − f^inf; infinite for biased sketches, but for x = v."""
        x = self._points("x", x)
        lowest, away = self.problem.minimize(), float(((x - self.center) ** 2).sum())
        excess = float(self.problem.value(x)) - lowest.value + lowest.gap_bound
        if away == 0:
            return excess
        return excess + 0.5 * (self.sketch.L_D - 1) * self.problem.L_f * away if self.sketch.unbiased else math.inf
