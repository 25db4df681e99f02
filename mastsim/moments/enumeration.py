"""Exact moments of any method whose step is affine in its state, by listing every outcome of its draws."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mastsim.draws import Draw, outcomes
from mastsim.expected import Objective
from mastsim.methods import ConstantStep, Method
from mastsim.moments.base import Form, Recursion, finished, require_quadratic
from mastsim.validation import instance

WORK_LIMIT = 1 << 28
TABLE_LIMIT = 1 << 22


@dataclass(frozen=True, eq=False)
class EnumeratedRecursion(Recursion):
    """E ŝŝᵀ of the state with a 1 appended, ŝ⁺ = M_ω ŝ with probability w_ω; the maps M_ω are read off the method itself.

    Parameters
    ----------
    objective : Objective
        A quadratic.
    method : Method
        Its step must be affine in its state, with a constant step size.

    Raises
    ------
    ValueError
        If f is not quadratic, the step size changes, or there are too many outcomes to list.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(1), np.zeros(1)), ms.Bernoulli(1, 0.5))
    >>> chain = EnumeratedRecursion(F, ms.DSGD(0.25))
    >>> chain.run(np.ones(1), 2, [{("x", "x"): np.eye(1)}]).ravel()
    array([1.  , 0.5 , 0.25])
    """

    objective: Objective
    method: Method

    def __post_init__(self) -> None:
        require_quadratic(self.objective)
        instance("method", self.method, Method)
        if not isinstance(self.method.rule, ConstantStep):
            raise ValueError(f"{self.method.name} has a step size that changes: exact moments need a constant one")
        _ = self.table

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The fields of the state."""
        return tuple(self.method.init(self.objective, self.objective.center[None])._fields)

    @property
    def size(self) -> int:
        """The length of the state with a 1 appended."""
        return len(self.fields) * self.objective.dim + 1

    @property
    def center(self) -> np.ndarray:
        """The point that the method is drawn to: x_D*, or x* for methods that ignore the sketch or move it."""
        return self.method.target(self.objective)

    @cached_property
    def origin(self) -> np.ndarray:
        """The state from which states are counted: the center for points, zero for gradients."""
        zero = np.zeros(self.objective.dim)
        return np.concatenate([self.center if name in self.method.points else zero for name in self.fields])

    @cached_property
    def table(self) -> np.ndarray:
        """E[M ⊗ M], shape (size², size²)."""
        size = self.size
        if size**4 > TABLE_LIMIT:
            raise ValueError(f"a table of {size**4:.3g} numbers is not accepted: at most {TABLE_LIMIT} for exact moments")
        maps, weights = self._maps()
        pairs = np.einsum("n,nij,nkl->ikjl", weights, maps, maps, optimize=True)
        return np.asarray(pairs).reshape(size**2, size**2)

    def _maps(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the affine map of every outcome, shape (outcomes, size, size), and its probability."""
        size, wide = self.size, self.size - 1
        scale = 1.0 + float(np.abs(self.origin).max())
        starts = self.origin + scale * np.concatenate([np.zeros((1, wide)), np.eye(wide)])
        kind = type(self.method.init(self.objective, self.objective.center[None]))

        def step(rows: np.ndarray, draw: Draw) -> np.ndarray:
            state = kind(*np.split(starts[rows], len(self.fields), axis=1))
            return np.concatenate(self.method.step(state, self.objective, draw), axis=1) - self.origin

        ends, weights = outcomes(step, size, limit=max(WORK_LIMIT // size**4, 1))
        ends = ends.reshape(size, len(weights), wide)
        maps = np.zeros((len(weights), size, size))
        maps[:, :wide, :wide] = (ends[1:] - ends[0]).transpose(1, 2, 0) / scale
        maps[:, :wide, wide] = ends[0]
        maps[:, wide, wide] = 1.0
        return maps, weights

    def run(self, x0: np.ndarray, steps: int, forms: list[Form]) -> np.ndarray:
        """Return the expectations of forms along the path from `x0`, shape (steps + 1, forms); overflow is infinite."""
        first = self.method.init(self.objective, np.asarray(x0, dtype=float)[None])
        start = np.append(np.concatenate(first, axis=1)[0] - self.origin, 1.0)
        functionals = np.stack([self._written_out(form).ravel() for form in forms])
        second = np.outer(start, start).ravel()
        history = np.empty((steps + 1, len(forms)))
        with np.errstate(over="ignore", invalid="ignore"):
            for t in range(steps + 1):
                history[t] = functionals @ second
                second = self.table @ second
        return finished(history)

    def _written_out(self, form: Form) -> np.ndarray:
        d = self.objective.dim
        place = {name: slice(i * d, (i + 1) * d) for i, name in enumerate(self.fields)}
        place[""] = slice(self.size - 1, self.size)
        whole = np.zeros((self.size, self.size))
        for (left, right), matrix in form.items():
            whole[place[left], place[right]] += matrix
        return whole
