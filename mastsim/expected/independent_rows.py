"""f_D of a generalised linear model under any independent diagonal sketch, row by row, in vectorised NumPy.

Row i sees w = offset_i + Σ_j t_j c_j with t_j = sign_i·a_ij·z_j and independent c_j. Its transform is a product over the
row's entries, so E ψ(w) follows from an exponential sum; losses without one are enumerated when the rows are short.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, cast

import numpy as np
import scipy.sparse as sp

from mastsim.expected.base import Evaluation
from mastsim.expected.rounding import RowErrors, RowSizes, by_enumeration, by_exponentials, no_errors, write
from mastsim.expected.rows import RowExpectation
from mastsim.problems import ExponentialSum, GeneralizedLinearModel, Loss, Problem
from mastsim.sketches import IndependentDiagonal, Sketch

_CHUNK = 1 << 20
_MOST_PATTERNS = 1 << 14
_REACH_RATIO = 1.1


class _Rows(NamedTuple):
    """Rows of one length: offsets (m,), terms t and direction (m, r), values and weights of c (m, r, n)."""

    offset: np.ndarray
    t: np.ndarray
    direction: np.ndarray
    values: np.ndarray
    weights: np.ndarray


class _Sums(NamedTuple):
    """E ψ(w) (m,), its derivatives in t (m, r), and their change along the direction (m, r)."""

    value: np.ndarray
    derivative: np.ndarray
    directional: np.ndarray


@dataclass(frozen=True, eq=False)
class IndependentRows(RowExpectation):
    """The expectation over an `IndependentDiagonal` sketch, to rounding accuracy.

    References
    ----------
    This package.
    """

    @classmethod
    def refusal(cls, problem: Problem, sketch: Sketch) -> str | None:
        """Say why this evaluation does not apply, or None when it does."""
        if not isinstance(problem, GeneralizedLinearModel):
            return "f is not a generalised linear model"
        if not isinstance(sketch, IndependentDiagonal):
            return "the sketch is not an independent diagonal"
        longest = int(np.diff(sp.csr_array(problem.A).indptr).max())
        patterns = float(sketch.values.shape[1]) ** longest
        if problem.loss.exponential_sum(1.0) is None and patterns > _MOST_PATTERNS:
            return f"the {problem.loss.name} loss has no exponential sum, and a row has {patterns:.3g} patterns"
        return None

    @property
    def evaluation(self) -> Evaluation:
        """How values are obtained."""
        return Evaluation("independent rows", "exact", "a row's transform is a product over its entries")

    @property
    def _diagonal(self) -> IndependentDiagonal:
        return cast(IndependentDiagonal, self.sketch)

    @property
    def _scale(self) -> np.ndarray:
        return self._diagonal.moments[2]

    @cached_property
    def _data(self) -> tuple[sp.csr_array, np.ndarray]:
        """Rows times their sign, and offsets."""
        model = self._model
        form = model.loss.row_form(model.y)
        sign = np.broadcast_to(form.sign, model.rows)
        signed = sp.csr_array(sp.diags_array(sign) @ sp.csr_array(model.A))
        return signed, signed @ self.shift + form.offset

    @property
    def _largest(self) -> np.ndarray:
        return np.sqrt(self._diagonal.largest_squares)

    @property
    def _grouped(self) -> np.ndarray:
        return np.zeros(self._model.rows)

    def _row_errors(self, z: np.ndarray, rows: RowSizes) -> RowErrors:
        loss = self._model.loss
        if loss.exponential_sum(1.0) is None:
            return by_enumeration(loss, rows)
        values, level, out = np.zeros(len(rows.size)), np.zeros(len(rows.size), int), no_errors(len(rows.size))
        for index, _, _, block in self._blocks(z, np.zeros(len(z))):
            values[index], level[index] = _row_sums(loss, block).value, _levels(block)
        for k in np.unique(level):
            here = np.flatnonzero(level == k)
            found = loss.exponential_sum(_REACH_RATIO ** float(k))
            assert found is not None
            write(by_exponentials(loss, found, rows.at(here), values[here]), here, out)
        return out

    def _evaluate(self, x: np.ndarray, order: int, w: np.ndarray | None = None) -> tuple[float, np.ndarray, np.ndarray]:
        z, model, d = x - self.shift, self._model, len(x)
        direction = np.zeros(d) if w is None else w
        total, gradient, product = 0.0, np.zeros(d), np.zeros(d)
        for _, columns, entries, rows in self._blocks(z, direction):
            sums = _row_sums(model.loss, rows)
            total += math.fsum(sums.value)
            gradient += np.bincount(columns.ravel(), weights=(entries * sums.derivative).ravel(), minlength=d)
            product += np.bincount(columns.ravel(), weights=(entries * sums.directional).ravel(), minlength=d)
        slope, constant = self._slopes
        penalty = 0.5 * model.ridge * float(self.shift @ (self.shift + 2 * z) + (self._scale * z) @ z)
        return (
            total / model.rows + float(slope @ x) + constant + penalty,
            gradient / model.rows + slope + model.ridge * (self.shift + self._scale * z),
            product / model.rows + model.ridge * self._scale * direction,
        )

    def _blocks(self, z: np.ndarray, direction: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, _Rows]]:
        """Yield numbers (m,), columns and signed entries (m, r) of rows of equal length, with what their sums need."""
        signed, offset = self._data
        lengths = np.diff(signed.indptr)
        S = self._diagonal
        for length in np.unique(lengths):
            same = np.flatnonzero(lengths == length)
            pieces = max(1, len(same) * (int(length) + 1) * 128 // _CHUNK)
            for chunk in np.array_split(same, pieces):
                place = signed.indptr[chunk][:, None] + np.arange(length)
                columns, entries = signed.indices[place], signed.data[place]
                law = (S.values[columns], S.weights[columns])
                yield chunk, columns, entries, _Rows(offset[chunk], entries * z[columns], entries * direction[columns], *law)


def _row_sums(loss: Loss, rows: _Rows) -> _Sums:
    if loss.exponential_sum(1.0) is None:
        return _by_enumeration(loss, rows)
    out = _Sums(np.zeros(len(rows.t)), np.zeros(rows.t.shape), np.zeros(rows.t.shape))
    level = _levels(rows)
    for k in np.unique(level):
        here = level == k
        found = loss.exponential_sum(_REACH_RATIO ** float(k))
        assert found is not None
        for part, whole in zip(_by_exponentials(found, _Rows(*(a[here] for a in rows))), out, strict=True):
            whole[here] = part
    return out


def _levels(rows: _Rows) -> np.ndarray:
    """Return the power of the ratio that the reach of each row lies below, shape (m,)."""
    extreme = (np.abs(rows.t)[:, :, None] * np.abs(rows.values)).max(axis=2, initial=0.0).sum(axis=1)
    reach = np.maximum(np.abs(rows.offset) + extreme, 1.0)
    return np.asarray(np.ceil(np.log(reach) / math.log(_REACH_RATIO)).astype(int))


def _by_exponentials(found: ExponentialSum, rows: _Rows) -> _Sums:
    mean_c = (rows.weights * rows.values).sum(axis=2)
    var_c = (rows.weights * rows.values**2).sum(axis=2) - mean_c**2
    mean = rows.offset + (mean_c * rows.t).sum(axis=1)
    along = (mean_c * rows.direction).sum(axis=1)
    square = mean**2 + (var_c * rows.t**2).sum(axis=1)
    value = found.constant + found.slope * mean + found.square * square
    derivative = found.slope * mean_c + 2 * found.square * (mean[:, None] * mean_c + var_c * rows.t)
    directional = 2 * found.square * (along[:, None] * mean_c + var_c * rows.direction)
    waves = _transforms(found, rows)
    return _Sums(value + waves.value, derivative + waves.derivative, directional + waves.directional)


def _transforms(found: ExponentialSum, rows: _Rows) -> _Sums:
    """Return Re Σ weight·E exp(sw) with derivatives, by products of the entries before and after each one."""
    s = found.rate + 1j * found.step * np.arange(len(found.weights))
    wave = rows.weights[..., None] * np.exp((rows.t[..., None] * rows.values)[..., None] * s)
    factor = wave.sum(axis=2)
    slope = (wave * rows.values[..., None]).sum(axis=2) * s
    bend = (wave * rows.values[..., None] ** 2).sum(axis=2) * s**2
    turn = slope * rows.direction[..., None]
    start = found.weights * np.exp(rows.offset[:, None] * s)
    before, before_turn = _products(factor, turn, start)
    after, after_turn = (a[:, ::-1] for a in _products(factor[:, ::-1], turn[:, ::-1], np.ones_like(start)))
    around = before[:, :-1] * after[:, 1:]
    around_turn = before_turn[:, :-1] * after[:, 1:] + before[:, :-1] * after_turn[:, 1:]
    directional = around * bend * rows.direction[..., None] + around_turn * slope
    return _Sums(before[:, -1].real.sum(axis=-1), (around * slope).real.sum(axis=-1), directional.real.sum(axis=-1))


def _products(factor: np.ndarray, turn: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the products of the first 0, 1, …, r factors, and their change along the direction, (m, r + 1, nodes)."""
    m, r, nodes = factor.shape
    product, change = np.empty((m, r + 1, nodes), complex), np.zeros((m, r + 1, nodes), complex)
    product[:, 0] = start
    for j in range(r):
        product[:, j + 1] = product[:, j] * factor[:, j]
        change[:, j + 1] = change[:, j] * factor[:, j] + product[:, j] * turn[:, j]
    return product, change


def _by_enumeration(loss: Loss, rows: _Rows) -> _Sums:
    _, r, n = rows.values.shape
    pattern = np.stack(np.unravel_index(np.arange(n**r), (n,) * r), axis=-1) if r else np.zeros((1, 0), int)
    c = rows.values[:, np.arange(r), pattern]
    chance = rows.weights[:, np.arange(r), pattern].prod(axis=-1)
    w = rows.offset[:, None] + (c * rows.t[:, None, :]).sum(axis=-1)
    along = (c * rows.direction[:, None, :]).sum(axis=-1)
    return _Sums(
        (chance * loss.psi(w)).sum(axis=1),
        ((chance * loss.psi(w, 1))[..., None] * c).sum(axis=1),
        ((chance * loss.psi(w, 2) * along)[..., None] * c).sum(axis=1),
    )
