"""The MAST objective f_D(x) = E_S f(v + S(x − v))."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mastsim.backend import Array
from mastsim.expected.base import Evaluation, Expectation
from mastsim.expected.closed_form import ClosedForm
from mastsim.expected.enumeration import Enumeration
from mastsim.expected.rows import RowExpectation
from mastsim.minimization import minimize_convex
from mastsim.problems import Minimum, Problem
from mastsim.problems.base import certified
from mastsim.provenance import Constant
from mastsim.sketches import Sketch, SketchBatch
from mastsim.validation import one_of, vector

ALL_EXPECTATIONS: dict[str, type[Expectation]] = {
    "closed form": ClosedForm,
    "rows": RowExpectation,
    "enumeration": Enumeration,
}
"""Ways to evaluate f_D, sharpest first; the first that applies is taken."""


@dataclass(frozen=True, eq=False)
class Mast:
    """The objective f_D(x) = E f(v + S(x − v)) of sparsified training.

    Parameters
    ----------
    problem : Problem
        The loss f.
    sketch : Sketch
        The distribution D of S, of the same dimension.
    shift : array, shape (dim,), optional
        The shift v, for example a pre-trained model; zero when left out.
    evaluate : {"auto", "closed form", "rows", "enumeration"}, default "auto"
        How f_D is computed; ``"auto"`` takes the sharpest way that applies, and `evaluation` says which.

    Raises
    ------
    ValueError
        If the dimensions differ, `shift` is not a finite vector of length dim, or the evaluation asked for does not apply.

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

    problem: Problem
    sketch: Sketch
    shift: np.ndarray | None = None
    evaluate: str = "auto"

    def __post_init__(self) -> None:
        if self.problem.dim != self.sketch.dim:
            raise ValueError(f"the sketch has dimension {self.sketch.dim}, but the problem has dimension {self.problem.dim}")
        shift = np.zeros(self.dim) if self.shift is None else vector("shift", self.shift, self.dim)
        object.__setattr__(self, "shift", shift)
        one_of("evaluate", self.evaluate, ["auto", *ALL_EXPECTATIONS])
        _ = self.expectation

    @property
    def dim(self) -> int:
        """The dimension d."""
        return self.problem.dim

    @property
    def name(self) -> str:
        """For example ``logistic regression (n = 569, d = 30), Rand-3 of 30, v = 0``."""
        return f"{self.problem.name}, {self.sketch.name}, v {'≠' if np.any(self.center) else '='} 0"

    @property
    def center(self) -> np.ndarray:
        """The shift v, shape (dim,)."""
        assert self.shift is not None
        return self.shift

    @cached_property
    def expectation(self) -> Expectation:
        """The evaluation in use."""
        wanted = ALL_EXPECTATIONS if self.evaluate == "auto" else {self.evaluate: ALL_EXPECTATIONS[self.evaluate]}
        refusals = []
        for name, way in wanted.items():
            if (why := way.refusal(self.problem, self.sketch)) is None:
                return way(self.problem, self.sketch, self.center)  # type: ignore[call-arg]
            refusals.append(f"{name}: {why}")
        raise ValueError(f"no exact evaluation of f_D applies ({'; '.join(refusals)})")

    @property
    def evaluation(self) -> Evaluation:
        """How values of f_D are obtained, and why that way."""
        return self.expectation.evaluation

    def value(self, x: Array) -> Array:
        """Return f_D(x), shape ``x.shape[:-1]``."""
        return self.expectation.value(x)

    def gradient(self, x: Array) -> Array:
        """Return ∇f_D(x), shape of `x`."""
        return self.expectation.gradient(x)

    def hessian_product(self, x: Array, w: Array) -> Array:
        """Return ∇²f_D(x) w, shape of `x`."""
        return self.expectation.hessian_product(x, w)

    def hessian(self, x: Array) -> np.ndarray:
        """Return ∇²f_D(x) at one point, shape (dim, dim)."""
        point = np.broadcast_to(np.asarray(x, dtype=float), (self.dim, self.dim))
        return np.asarray(self.hessian_product(point, np.eye(self.dim)))

    def error_bound(self, x: Array) -> float:
        """Return a bound on the error of the evaluation at the points `x`, rounding left aside."""
        return self.expectation.error_bound(x)

    def sketched_value(self, x: Array, batch: SketchBatch) -> Array:
        """Return f_S(x) = f(v + S(x − v)) for each drawn sketch."""
        return self.problem.value(self.center + batch.apply(x - self.center))

    def sketched_gradient(self, x: Array, batch: SketchBatch) -> Array:
        """Return ∇f_S(x) = Sᵀ∇f(v + S(x − v)) for each drawn sketch."""
        return batch.apply_transpose(self.problem.gradient(self.center + batch.apply(x - self.center)))

    @property
    def lower_bound(self) -> float:
        """A number that f_D never goes below: the lower bound of f."""
        return self.problem.lower_bound

    @cached_property
    def curvature(self) -> np.ndarray:
        """E[SᵀLS] ⪰ ∇²f_D for the upper curvature matrix **L** of f, shape (dim, dim)."""
        return self.sketch.quadratic_moment(self.problem.upper_curvature.matrix)

    @cached_property
    def strong_convexity(self) -> float:
        """λ_min(E[SᵀMS]) for the lower curvature matrix **M** of f."""
        moment = self.sketch.quadratic_moment(self.problem.lower_curvature.matrix)
        spectrum = np.linalg.eigvalsh(moment)
        return 0.0 if abs(spectrum[0]) <= 1e-14 * len(spectrum) * abs(spectrum[-1]) else float(spectrum[0])

    def minimize(self) -> Minimum:
        """Return a minimiser x_D* with its certificate.

        Returns
        -------
        Minimum
            With `gap_bound` ≥ f_D(x) − f_D^inf, by ‖∇f_D‖²/(2μ) or by the lower bound of f.
        """
        return self._minimum

    @cached_property
    def _minimum(self) -> Minimum:
        if isinstance(self.expectation, ClosedForm):
            return self._quadratic_minimum(self.expectation)
        x = minimize_convex(self._objective, self.hessian_product, self.center)
        return certified(self, x, self.strong_convexity, float(np.linalg.eigvalsh(self.curvature)[-1]))

    def _objective(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = self.expectation.value_and_gradient(x)
        return float(value), np.asarray(gradient)

    def _quadratic_minimum(self, form: ClosedForm) -> Minimum:
        spectrum, basis = np.linalg.eigh(form.matrix)
        live = spectrum > 1e-13 * max(spectrum[-1], 0.0)
        slope = basis.T @ np.asarray(self.problem.gradient(self.center))
        z = -basis[:, live] @ (slope[live] / spectrum[live])
        x = self.center + z
        norm = float(np.linalg.norm(self.gradient(x)))
        mu = float(spectrum[live].min(initial=np.inf))
        # ∇f(v) lies in the range of H_D ⪰ A, so the certificate may use the least positive eigenvalue.
        return Minimum(x, float(self.value(x)), norm**2 / (2 * mu), norm, f"‖gradient‖²/(2μ) with μ = {mu:.6g}")

    def gap(self) -> Constant:
        """Return f_D^inf − f^inf ≥ 0 with its tier of truth."""
        upper, lower = self.minimize(), self.problem.minimize()
        error = upper.gap_bound + lower.gap_bound
        if {upper.infimum().kind, lower.infimum().kind} == {"exact"}:
            return Constant(max(upper.value - lower.value, 0.0), "exact", "f_D^inf − f^inf, both certified", error)
        return Constant(upper.value - lower.value + lower.gap_bound, "upper", "value of f_D less a lower bound of f^inf")
