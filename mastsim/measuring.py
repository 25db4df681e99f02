"""Measures of points: exact within the reach of an objective, labelled estimates beyond it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from mastsim.backend import Array, asnumpy, inner, namespace, pieces
from mastsim.expected import Distributed, Objective
from mastsim.expected.base import OutOfReachError
from mastsim.expected.monte_carlo import MonteCarlo
from mastsim.expected.relative import RelativeValues, evaluate
from mastsim.methods import Method, State
from mastsim.request import MEASURES

SKETCHES = 1024
"""Sketches that stand behind an estimate of f_D at a point too far out for its exact value."""
_NUMBERS = 1 << 22
_NAMES = {"gap": "value", "gradient_norm": "gradient"}
"""What of f_D each measure that may be an estimate reads."""


class Estimate(NamedTuple):
    """f_D and ∇f_D at one point as means over sketches, and the standard errors of f_D and of ‖∇f_D‖."""

    value: float
    gradient: np.ndarray
    value_error: float
    gradient_error: float


@dataclass(eq=False)
class Estimates:
    """Estimates of f_D at single points, for all of which the same sketches are drawn once.

    Parameters
    ----------
    objective : Objective
        The objective, on the host.
    """

    objective: Objective

    @cached_property
    def _draws(self) -> list[MonteCarlo]:
        """The sketches of every node; those of different nodes are independent."""
        nodes: Any = self.objective.clients if isinstance(self.objective, Distributed) else (self.objective,)
        return [MonteCarlo(F.problem, F.sketch, F.center, samples=SKETCHES, seed=i) for i, F in enumerate(nodes)]

    @np.errstate(over="ignore", invalid="ignore")
    def at(self, x: np.ndarray) -> Estimate:
        """Return the estimate at a point, shape (dim,)."""
        found = [_mean_of(draws, x) for draws in self._draws]
        count = len(found)
        return Estimate(
            sum(node.value for node in found) / count,
            np.sum([node.gradient for node in found], axis=0) / count,
            float(np.linalg.norm([node.value_error for node in found])) / count,
            float(np.linalg.norm([node.gradient_error for node in found])) / count,
        )


def _mean_of(draws: MonteCarlo, x: np.ndarray) -> Estimate:
    """Return the mean over the sketches of one node, a few at a time."""
    batch, problem = draws.sketches, draws.problem
    points = draws.shift + np.asarray(batch.apply(x - draws.shift))
    cut = pieces(len(points), max(1, _NUMBERS // max(problem.dim, getattr(problem, "components", 1))))
    values = np.concatenate([problem.value(points[piece]) for piece in cut])
    slopes = np.concatenate([problem.gradient(points[piece]) for piece in cut])
    gradients = np.asarray(batch.apply_transpose(slopes))
    spread = float(np.sqrt(gradients.var(axis=0, ddof=1).sum()))
    root = len(points) ** 0.5
    return Estimate(float(values.mean()), gradients.mean(axis=0), float(values.std(ddof=1)) / root, spread / root)


class Reaching:
    """An objective whose values and gradients are exact within its reach and estimates beyond, all else as it is.

    Parameters
    ----------
    objective : Objective
        The objective; on a device every value is exact, or refused.
    estimates : Estimates
        What stands in beyond the reach.
    joint : bool, default False
        Whether values and gradients of the same points will be asked for, and are found in one pass.
    relative : RelativeValues, optional
        Where exact values and gradients come from, if they need only be accurate relative to what is recorded of them.
    """

    def __init__(
        self, objective: Objective, estimates: Estimates, joint: bool = False, relative: RelativeValues | None = None
    ) -> None:
        # The names must not hide those of an objective.
        self._objective, self._estimates, self._joint, self._relative = objective, estimates, joint, relative
        self._points: Array | None = None
        self._found: dict[str, tuple[Array, np.ndarray]] = {}
        self.estimated = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._objective, name)

    @property
    def __class__(self) -> type[Any]:
        # Methods that ask what kind of objective they were given see through this one.
        return type(self._objective)

    @__class__.setter
    def __class__(self, kind: type[Any]) -> None:
        raise TypeError("the kind of an objective is fixed")

    def value(self, x: Array) -> Array:
        """Return f_D(x), or estimates."""
        return self.measured(x, "value")[0]

    def gradient(self, x: Array) -> Array:
        """Return ∇f_D(x), or estimates."""
        return self.measured(x, "gradient")[0]

    def measured(self, x: Array, name: str) -> tuple[Array, np.ndarray]:
        """Return ``"value"`` or ``"gradient"`` of f_D at the points, shape (replicas, …), and their errors, (replicas,)."""
        if not _same(self._points, x):
            self._points, self._found = x, {}
        if name not in self._found:
            self._found |= self._compute(x, ("value", "gradient") if self._joint else (name,))
        return self._found[name]

    def _compute(self, x: Array, names: tuple[str, ...]) -> dict[str, tuple[Array, np.ndarray]]:
        """Return values, gradients or both, with their errors."""
        far = self._objective.is_far(x)
        exact = {} if far.all() else self._exact(x[~far] if far.any() else x, names)
        if exact is None:
            if x.shape[0] > 1:
                alone = [self._compute(x[i : i + 1], names) for i in range(x.shape[0])]
                return {name: _joined([each[name] for each in alone]) for name in names}
            far, exact = np.ones(1, dtype=bool), {}
        if not far.any():
            return {name: (found, np.zeros(x.shape[0])) for name, found in exact.items()}
        return self._with_estimates(x, far, exact, names)

    def _exact(self, x: Array, names: tuple[str, ...]) -> dict[str, Array] | None:
        """Return exact values, gradients or both; None where one of the points is too far out after all."""
        try:
            return evaluate(self._objective, x, names) if self._relative is None else self._relative.at(x, names)
        except OutOfReachError:
            return None

    def _with_estimates(
        self, x: Array, far: np.ndarray, exact: dict[str, Array], names: tuple[str, ...]
    ) -> dict[str, tuple[Array, np.ndarray]]:
        """Return what is exact in its place, and estimates at the points that are far."""
        found = [self._estimates.at(point) for point in x[far]]
        self.estimated += len(found)
        out = {}
        for name in names:
            values = np.empty(x.shape if name == "gradient" else x.shape[:1])
            errors = np.zeros(x.shape[0])
            values[far] = [getattr(each, name) for each in found]
            # Never 0, which stands for exact values.
            errors[far] = [_shown_error(getattr(each, f"{name}_error")) for each in found]
            if name in exact:
                values[~far] = exact[name]
            out[name] = values, errors
        return out


def _shown_error(error: float) -> float:
    """Return a standard error as it is recorded: never 0, and infinite where it overflows."""
    return max(error, float(np.finfo(float).tiny)) if error == error else float("inf")


def _same(one: Array | None, two: Array) -> bool:
    """Whether two arrays are the same points."""
    return one is two or (one is not None and one.shape == two.shape and bool(namespace(two).all(one == two)))


def _joined(parts: list[tuple[Array, np.ndarray]]) -> tuple[Array, np.ndarray]:
    """Return values and errors of points that were computed alone."""
    values, errors = zip(*parts, strict=True)
    return np.concatenate(values), np.concatenate(errors)


def measure_points(objective: Any, x: Array, measure: str, there: Any = None) -> np.ndarray:
    """Return one measure of every point, shape ``(replicas,)``; a diverged point measures infinite.

    Parameters
    ----------
    objective : Objective
        The objective.
    x : array, shape (replicas, dim)
        The points.
    measure : {"distance", "gap", "gradient_norm", "f", "error", "f_gap", "f_gradient_norm"}
        What to measure; see `Run`.
    there : Objective, optional
        The same objective where the points are, when that is a device.

    Raises
    ------
    OutOfReachError
        If a point is too far out for an exact value of f_D, and the objective gives no estimate.
    """
    xp, out = namespace(x), np.full(x.shape[0], np.inf)
    with np.errstate(over="ignore", invalid="ignore"):
        finite_rows = xp.all(xp.isfinite(x), axis=-1)
        sound = asnumpy(finite_rows)
        if sound.any():
            points = x if sound.all() else x[finite_rows]
            out[sound] = asnumpy(_measure(objective, points, measure, objective if there is None else there))
    return np.where(np.isnan(out), np.inf, out)


def measure_errors(reaching: Reaching, x: Array, measure: str) -> np.ndarray:
    """Return the standard errors of one measure of every point, shape ``(replicas,)``: 0 for exact ones.

    Parameters
    ----------
    reaching : Reaching
        What measured them.
    x : array, shape (replicas, dim)
        The points.
    measure : str
        What was measured.
    """
    out = np.zeros(x.shape[0])
    if measure in _NAMES and reaching.estimated:
        points = asnumpy(x)
        sound = np.isfinite(points).all(axis=-1)
        out[sound] = reaching.measured(points[sound], _NAMES[measure])[1]
    return out


def measure_states(method: Method, objective: Objective, states: State) -> np.ndarray:
    """Return the Lyapunov function of a method at every state, shape ``(replicas,)``; a diverged state measures infinite.

    Parameters
    ----------
    method : Method
        A method that knows its Lyapunov function on the objective.
    objective : Objective
        The objective, on the host.
    states : State
        The states, fields of shape (replicas, dim).
    """
    fields = [asnumpy(field) for field in states]
    sound = np.all([np.isfinite(field).all(axis=-1) for field in fields], axis=0)
    out = np.full(len(fields[0]), np.inf)
    if sound.any():
        with np.errstate(over="ignore", invalid="ignore"):
            out[sound] = method.lyapunov(objective, type(states)(*(field[sound] for field in fields)))
    return np.where(np.isnan(out), np.inf, out)


def _measure(objective: Any, x: Array, measure: str, there: Any) -> Array:
    """Return one measure of finite points."""
    if measure == "distance":
        y = x - namespace(x).asarray(objective.minimize().x)
        return inner(y, y)
    if measure in ("gap", "gradient_norm") and not there.runs_on_devices:
        there, x = objective, asnumpy(x)
    if measure == "gap":
        return there.value(x) - objective.minimize().value
    if measure == "gradient_norm":
        gradient = there.gradient(x)
        return namespace(x).sqrt(inner(gradient, gradient))
    if measure == "error":
        y = x - namespace(x).asarray(objective.problem.minimize().x)
        return inner(y, y)
    if measure == "f":
        return there.problem.value(x)
    if measure == "f_gap":
        return there.problem.value(x) - objective.problem.minimize().value
    if measure == "f_gradient_norm":
        slope = there.problem.gradient(x)
        return namespace(x).sqrt(inner(slope, slope))
    raise ValueError(f"measure={measure!r} is not accepted: points are measured by {', '.join(MEASURES)}")
