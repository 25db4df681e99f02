"""Exact moments in closed form: O(d³) a step, whatever the number of values of the sketch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mastsim.expected import Objective
from mastsim.methods import Method
from mastsim.methods.affine import declared, implementation, require_affine, steps_are_constant
from mastsim.moments.base import (
    Expectations,
    Form,
    Recursion,
    displaced,
    misplacement,
    needs_average,
    require_quadratic,
    written_out,
)
from mastsim.recursions import AveragingRecursion, MomentRecursion
from mastsim.recursions.base import MomentPath, nonnegative_values
from mastsim.validation import instance, is_of_this_package


@dataclass(frozen=True, eq=False)
class ClosedRecursion(Recursion):
    """A closed moment recursion, counted from the point that the method is drawn to.

    Parameters
    ----------
    objective : Objective
        A quadratic.
    method : Method
        `DSGD` with any sampling and with compression by a mask, or with exact gradients and a refreshed or held shift or
        reshuffled sketches; `AveragedMomentum` with any sampling and compression by a mask; or `LSVRDSG`, `PAGE` or
        `DistributedDSGD` with exact gradients and no compression. The step size may change; not within an epoch.

    Raises
    ------
    ValueError
        If f is not quadratic, or no closed form is known for the method or the sketch.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(1), np.zeros(1)), ms.Bernoulli(1, 0.5))
    >>> ClosedRecursion(F, ms.DSGD(0.25)).run(np.ones(1), 2, [{("x", "x"): np.eye(1)}]).ravel()
    array([1.  , 0.5 , 0.25])
    """

    objective: Objective
    method: Method

    def __post_init__(self) -> None:
        instance("method", self.method, Method)
        _ = self.chain

    @cached_property
    def chain(self) -> MomentRecursion:
        """The recursion on mean and second moment."""
        return closed_chain(self.objective, self.method)

    @property
    def center(self) -> np.ndarray:
        """The point that the method is drawn to: x_D*, or x* where the shift moves."""
        return self.method.target(self.objective)

    def follow(self, x0: np.ndarray, steps: int, forms: list[Form]) -> Expectations:
        """Return the expectations of forms along the path from every `x0`; see `Recursion.follow`."""
        chain, dim = AveragingRecursion(self.chain) if needs_average(forms) else self.chain, self.objective.dim
        whole = [written_out(form, chain.fields, dim) for form in forms]
        points = np.flatnonzero(np.repeat([name != "g" for name in chain.fields], dim))
        stepsizes = None if steps_are_constant(self.method) else self.method.rule.at
        path = MomentPath(chain, np.asarray(x0, dtype=float) - self.center, whole, stepsizes)

        @np.errstate(over="ignore", invalid="ignore")
        def rounding() -> np.ndarray:
            return path.rounding(seen, self._misplaced)

        with np.errstate(over="ignore", invalid="ignore"):
            seen = path.follow(steps)
        values = nonnegative_values(seen.values, rounding)
        return Expectations(values, lambda: displaced(seen.values, rounding(), whole, self._misplaced, points, dim))

    @cached_property
    def _misplaced(self) -> float:
        return misplacement(self.objective, self.method)


def closed_chain(objective: Objective, method: Method) -> MomentRecursion:
    """Return the closed recursion of a method on a quadratic; raises as `ClosedRecursion` does."""
    require_quadratic(objective)
    require_affine(method)
    if declared(method, "closed_recursion") is None:
        raise ValueError(f"no closed moment recursion is known for {method.name}")
    if not is_of_this_package(kind := implementation(objective)):
        raise ValueError(f"no closed moment recursion is known for {method.name} on objectives of class {kind.__name__}")
    return method.closed_recursion(objective)
