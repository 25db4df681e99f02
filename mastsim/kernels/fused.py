"""Objectives whose sketched gradients come from kernels, for methods that take their steps one by one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mastsim.backend import Array
from mastsim.expected import Distributed, Expectation, Mast, Objective
from mastsim.kernels.gradients import gradients_by_block, gradients_by_rows
from mastsim.kernels.linear import linear_gradients
from mastsim.kernels.models import LinearModel, QuadraticModel, few_columns, model_at_shift
from mastsim.kernels.overrides import keeps
from mastsim.linalg import Curvature
from mastsim.methods import Method, ShiftRule
from mastsim.problems import Minimum, Quadratic
from mastsim.sketches.batches import DiagonalBatch, SketchBatch
from mastsim.sketches.selection import SelectionSketch


class Sharing(Objective):
    """An objective that leaves to the original, of which it is a fast copy, whatever takes long and is computed once."""

    original: Objective

    def minimize(self, accuracy: float | None = None) -> Minimum:
        """Return the minimiser of the original."""
        return self.original.minimize(accuracy)

    @property
    def upper_curvature(self) -> Curvature:
        """That of the original."""
        return self.original.upper_curvature

    @property
    def lower_curvature(self) -> Curvature:
        """That of the original."""
        return self.original.lower_curvature


@dataclass(frozen=True, eq=False)
class FusedMast(Sharing, Mast):
    """A `Mast` whose sketched gradients are computed by kernels.

    Parameters
    ----------
    problem, sketch, shift, evaluate
        As those of `original`.
    original : Mast
        The objective, whose sketch keeps or drops coordinates.
    model : LinearModel or QuadraticModel
        Its problem around its shift, as kernels read it.
    """

    original: Mast = field(kw_only=True)
    model: LinearModel | QuadraticModel = field(kw_only=True)

    @property
    def expectation(self) -> Expectation:
        """That of the original."""
        return self.original.expectation

    @property
    def support(self) -> tuple[SketchBatch, np.ndarray]:
        """That of the original."""
        return self.original.support

    @property
    def fourth_moment(self) -> np.ndarray | None:
        """That of the original."""
        return self.original.fourth_moment

    def sketched_gradient(self, x: Array, batch: SketchBatch, minibatch: Any = None) -> Array:
        """Return ∇f_S(x) = Sᵀ∇f(v + S(x − v)) for each drawn sketch, ∇f by the components of a minibatch if one is given."""
        if not _fits(x, batch, minibatch) or (minibatch is not None and isinstance(self.model, QuadraticModel)):
            return super().sketched_gradient(x, batch, minibatch)
        assert isinstance(batch, DiagonalBatch)
        x, diagonals = _owned(x), _owned(batch.diagonals)
        if minibatch is None:
            return self._full_gradient(x, diagonals)
        index = np.ascontiguousarray(minibatch.index, dtype=np.uint64)
        return gradients_by_rows(self.model, x, diagonals, index, _owned(minibatch.weights))

    def _full_gradient(self, x: np.ndarray, diagonals: np.ndarray) -> np.ndarray:
        if isinstance(self.model, QuadraticModel):
            return gradients_by_block(self.model, x, diagonals)
        assert isinstance(self.sketch, SelectionSketch)
        return linear_gradients(self.model, x, diagonals, float(self.sketch.law.keep.mean()))


def _fits(x: Array, batch: SketchBatch, minibatch: Any) -> bool:
    """Return whether there is one mask, and one list of rows if any, for every point, as kernels take for granted."""
    if not isinstance(batch, DiagonalBatch) or x.ndim != 2 or batch.diagonals.shape != x.shape:
        return False
    if minibatch is None:
        return True
    index = minibatch.index
    return index is not None and index.shape == minibatch.weights.shape and len(index) == len(x)


def _owned(array: np.ndarray) -> np.ndarray:
    # Kernels are compiled once for arrays in row-major order that can be written to.
    array = np.ascontiguousarray(array)
    return array if array.flags.writeable else array.copy()


@dataclass(frozen=True, eq=False)
class FusedDistributed(Sharing, Distributed):
    """A `Distributed` whose clients' sketched gradients are computed by kernels.

    Parameters
    ----------
    problems, sketches, shift
        As those of `original`.
    original : Distributed
        The objective.
    fast : tuple of FusedMast
        Its clients.
    """

    original: Distributed = field(kw_only=True)
    fast: tuple[FusedMast, ...] = field(kw_only=True)

    @property
    def clients(self) -> tuple[Mast, ...]:
        """The clients' own objectives."""
        return self.fast


def fused(method: Method, objective: Objective) -> Objective | None:
    """Return the objective with gradients from kernels, or None where the method or the objective would not use them.

    Parameters
    ----------
    method : Method
        The method.
    objective : Objective
        The objective.

    Examples
    --------
    >>> import mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(20), np.ones(20)), ms.RandK(20, k=2))
    >>> type(fused(ms.LSVRDSG(0.1), F)).__name__
    'FusedMast'
    """
    if not method.sketches_gradients or _moves(method):
        return None
    if type(objective) is Distributed:
        clients = tuple(fast for client in objective.clients if (fast := _fused(client)) is not None)
        if len(clients) < len(objective.clients):
            return None
        return FusedDistributed(objective.problems, objective.dealt, objective.shift, original=objective, fast=clients)
    return _fused(objective)


def _moves(method: Method) -> bool:
    """Whether every replica has a shift of its own, which kernels do not know."""
    shift = getattr(method, "shift", None)
    return isinstance(shift, ShiftRule) and shift.moves


def _fused(objective: Objective) -> FusedMast | None:
    if type(objective) is not Mast or not keeps(objective.sketch, SelectionSketch, "from_uniforms", "uniforms"):
        return None
    problem, sketch = objective.problem, objective.sketch
    assert isinstance(sketch, SelectionSketch)
    if (model := model_at_shift(objective, np.float64)) is None:
        return None
    if isinstance(problem, Quadratic) and not few_columns(sketch):
        # A dense block of a quadratic is a matrix product, which array operations do as fast.
        return None
    return FusedMast(problem, sketch, objective.shift, objective.evaluate, original=objective, model=model)
