"""Objectives whose sketched gradients come from kernels, for methods that take their steps one by one."""

from __future__ import annotations

from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from mastsim.backend import Array
from mastsim.expected import Distributed, Mast, Objective
from mastsim.kernels.gradients import gradients_by_block, gradients_by_rows
from mastsim.kernels.linear import linear_gradients
from mastsim.kernels.models import LinearModel, QuadraticModel, few_columns, model_at_shift
from mastsim.kernels.standard import keeps
from mastsim.methods import GD, GDCI, SGD, Method, ShiftRule
from mastsim.problems import Quadratic
from mastsim.sketches.batches import DiagonalBatch, SketchBatch
from mastsim.sketches.selection import SelectionSketch

Kind = TypeVar("Kind", bound=Objective)


class FusedMast(Mast):
    """A `Mast` whose sketched gradients are computed by kernels; everything else is shared with the original."""

    @cached_property
    def _model(self) -> LinearModel | QuadraticModel | None:
        return model_at_shift(self, np.float64)

    def sketched_gradient(self, x: Array, batch: SketchBatch, minibatch: Any = None) -> Array:
        """Return ∇f_S(x) = Sᵀ∇f(v + S(x − v)) for each drawn sketch, ∇f by the components of a minibatch if one is given."""
        if not _fits(x, batch, minibatch) or (minibatch is not None and isinstance(self._model, QuadraticModel)):
            return super().sketched_gradient(x, batch, minibatch)
        assert isinstance(batch, DiagonalBatch)
        x, diagonals = _owned(x), _owned(batch.diagonals)
        if minibatch is None:
            return self._full_gradient(x, diagonals)
        index = np.ascontiguousarray(minibatch.index, dtype=np.uint64)
        return gradients_by_rows(self._model, x, diagonals, index, _owned(minibatch.weights))

    def _full_gradient(self, x: np.ndarray, diagonals: np.ndarray) -> np.ndarray:
        if isinstance(self._model, QuadraticModel):
            return gradients_by_block(self._model, x, diagonals)
        assert isinstance(self.sketch, SelectionSketch)
        return linear_gradients(self._model, x, diagonals, float(self.sketch.law.keep.mean()))


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
    if isinstance(method, GD | GDCI | SGD) or _moves(method):
        return None
    if type(objective) is Distributed:
        clients = [_fused(client) for client in objective.clients]
        return None if any(client is None for client in clients) else _shared(objective, Distributed, clients=tuple(clients))
    return _fused(objective)


def _moves(method: Method) -> bool:
    """Whether every replica has a shift of its own, which kernels do not know."""
    shift = getattr(method, "shift", None)
    return isinstance(shift, ShiftRule) and shift.moves


def _fused(objective: Objective) -> FusedMast | None:
    if type(objective) is not Mast:
        return None
    sketch = objective.sketch
    if not keeps(sketch, SelectionSketch, "from_uniforms", "uniforms") or model_at_shift(objective, np.float64) is None:
        return None
    assert isinstance(sketch, SelectionSketch)
    # A dense block of a quadratic is a matrix product, which array operations do as fast.
    return None if isinstance(objective.problem, Quadratic) and not few_columns(sketch) else _shared(objective, FusedMast)


def _shared(objective: Objective, kind: type[Kind], **changed: Any) -> Kind:
    """Return the same objective as another kind, sharing all that was computed of it."""
    there = object.__new__(kind)
    there.__dict__.update({**objective.__dict__, **changed})
    return there
