"""A problem around a shift, as kernels read it."""

from __future__ import annotations

from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import scipy.sparse as sp

from mastsim.expected import Mast
from mastsim.kernels.overrides import keeps
from mastsim.kernels.slopes import Slopes, slopes_of
from mastsim.problems import Quadratic
from mastsim.problems.glm import GeneralizedLinearModel
from mastsim.sketches.selection import SelectionSketch

BLOCK = 288
"""Rows, at the most, whose slopes stay in the first-level cache while gradients are added."""
SHARES, LEAST, FILLED = 8, 256, 16
"""Sums over rows are taken in at most so many shares, each of at least so many rows and, on average, so many entries of a
column: what is done once a share, for all columns, then takes little beside the entries."""
_LANES = 16
"""Numbers of a vector of floats, and of two of doubles."""
FULL = 0.8
"""The share of entries of a dense array that are not 0 from which on zeros are stored as well, and no index is."""
BITS = 1 / 16
"""The share of entries that are not 0 from which on a bit for each says where they are; measured, and not critical."""
FEW = 0.2
"""The mean share of kept coordinates up to which gradients of a quadratic are computed from their block; measured, and not
critical."""
_MODELS: WeakKeyDictionary[Mast, dict[tuple[type, str], LinearModel | QuadraticModel | None]] = WeakKeyDictionary()
"""Models by objective, type of number and center, for as long as the objective lives: a copy in another process makes them
anew in less time than it takes to send them."""


class LinearModel(NamedTuple):
    """A generalised linear model with its data by rows and by columns.

    Where all entries of a column are the same number, as in data of indicators, this is its factor, and no value is stored;
    where every entry of the data is there, no index is stored. An empty tuple then stands for the array, and kernels are
    compiled for that.

    Parameters
    ----------
    row_starts, row_columns, row_data : ndarray
        The entries row by row: where each row begins, their columns, their values.
    column_starts, column_rows, column_data : ndarray
        The entries column by column.
    block_rows : ndarray
        The first row of each block of rows, and n; whole vectors but for the last. Every share of the rows has as many
        blocks as another. Every sum over rows is that of the sums of the shares, so that threads may take some of these
        each without any effect on a bit.
    shares : int
        How many shares there are.
    share_starts, share_segments, segment_starts : ndarray
        Where the entries of each column pass from one share or block of rows to the next: where each share of each column
        begins, its first segment, and where each segment begins.
    block_starts, list_columns, list_starts, list_rows, list_data : ndarray
        The entries of every block of rows column by column: where the lists of each block begin, the column of each list,
        where it begins, the rows within the block, the values.
    block : int
        The most rows of a block.
    rows : int
        n.
    slopes : Slopes
        The derivative of the loss, of predictions that are counted from those at the shift, A v.
    ridge : float
        λ.
    center : ndarray, shape (dim,)
        The shift v.
    forms : ndarray, shape (n, 4)
        For each row its prediction at the shift, sign, offset and slope, side by side for kernels that jump from row to row.
    factor : ndarray, shape (dim,)
        What the entries of each column are to be multiplied by.
    row_bits : ndarray of uint64, shape (n, words)
        For indicators with a part of at least `BITS` of the coordinates in a row, a bit a coordinate; otherwise empty.
    """

    row_starts: np.ndarray
    row_columns: np.ndarray | tuple[()]
    row_data: np.ndarray | tuple[()]
    column_starts: np.ndarray
    column_rows: np.ndarray | tuple[()]
    column_data: np.ndarray | tuple[()]
    block_rows: np.ndarray
    shares: int
    share_starts: np.ndarray
    share_segments: np.ndarray
    segment_starts: np.ndarray
    block_starts: np.ndarray
    list_columns: np.ndarray
    list_starts: np.ndarray
    list_rows: np.ndarray | tuple[()]
    list_data: np.ndarray | tuple[()]
    block: int
    rows: int
    slopes: Slopes
    ridge: float
    center: np.ndarray
    forms: np.ndarray
    factor: np.ndarray
    row_bits: np.ndarray


class QuadraticModel(NamedTuple):
    """A quadratic ½xᵀAx − bᵀx.

    Parameters
    ----------
    A : ndarray, shape (dim, dim)
        The symmetric matrix.
    center : ndarray, shape (dim,)
        The shift v.
    base : ndarray, shape (dim,)
        A v − b, the gradient at the shift.
    """

    A: np.ndarray
    center: np.ndarray
    base: np.ndarray


def model_of(problem: Any, center: np.ndarray, dtype: type) -> LinearModel | QuadraticModel | None:
    """Return a problem as kernels read it, or None where there is no kernel for its kind.

    Parameters
    ----------
    problem : Problem
        The problem f.
    center : ndarray, shape (dim,)
        The shift v.
    dtype : type
        ``numpy.float64`` or ``numpy.float32``.

    Examples
    --------
    >>> import mastsim as ms
    >>> model_of(ms.Quadratic(np.eye(2), np.ones(2)), np.zeros(2), np.float64).base
    array([-1., -1.])
    """
    if keeps(problem, Quadratic, "gradient", "minibatch_gradient"):
        base = problem.gradient(center).astype(dtype)
        return QuadraticModel(np.ascontiguousarray(problem.A, dtype=dtype), center.astype(dtype), base)
    if keeps(problem, GeneralizedLinearModel, "gradient", "minibatch_gradient"):
        return _linear_model(problem, center, dtype)
    return None


def model_at_shift(objective: Mast, dtype: type) -> LinearModel | QuadraticModel | None:
    """Return the problem of an objective around its shift as kernels read it; made once for each type.

    Parameters
    ----------
    objective : Mast
        The objective.
    dtype : type
        ``numpy.float64`` or ``numpy.float32``.

    Examples
    --------
    >>> import mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1))
    >>> model_at_shift(F, np.float64) is model_at_shift(F, np.float64)
    True
    """
    return _kept(objective, dtype, "shift", objective.center)


def model_at_origin(objective: Mast, dtype: type) -> LinearModel | QuadraticModel | None:
    """Return the problem of an objective as kernels for methods without sketches read it; made once for each type.

    Parameters
    ----------
    objective : Mast
        The objective.
    dtype : type
        ``numpy.float64`` or ``numpy.float32``.
    """
    return _kept(objective, dtype, "origin" if objective.center.any() else "shift", np.zeros(objective.dim))


def _kept(objective: Mast, dtype: type, name: str, center: np.ndarray) -> LinearModel | QuadraticModel | None:
    models = _MODELS.setdefault(objective, {})
    if (dtype, name) not in models:
        models[dtype, name] = model_of(objective.problem, center, dtype)
    return models[dtype, name]


def _linear_model(problem: GeneralizedLinearModel, center: np.ndarray, dtype: type) -> LinearModel | None:
    if not problem.is_plain:
        return None
    base = problem.A @ center
    if (slopes := slopes_of(problem.loss, problem.y, dtype, base)) is None:
        return None
    rows, form = _stored(problem.A, dtype), problem.loss.row_form(problem.y)
    columns, (block_rows, shares) = rows.tocsc(), _divided(rows)
    forms = [np.broadcast_to(part, base.shape) for part in (base, form.sign, form.offset, form.slope)]
    parts = (
        *_lists(rows),
        *_lists(columns),
        block_rows,
        shares,
        *_segments(columns, block_rows, shares),
        *_blocks(rows, block_rows),
        int(np.diff(block_rows).max()),
        len(base),
        slopes,
        dtype(problem.ridge),
        center.astype(dtype),
        np.stack(forms, axis=1).astype(dtype, order="C"),
        np.ones(columns.shape[1], dtype),
        np.zeros((0, 0), np.uint64),
    )
    model, full = LinearModel._make(parts), rows.nnz == rows.shape[0] * rows.shape[1]
    if (factor := _constants(columns)) is not None:
        model = model._replace(row_data=(), column_data=(), list_data=(), factor=factor, row_bits=_bits(rows))
    return model._replace(row_columns=(), column_rows=(), list_rows=()) if full else model


def _stored(A: Any, dtype: type) -> Any:
    """Return data with the entries that kernels go through: zeros as well where there are few."""
    if sp.issparse(A):
        return sp.csr_array(A, dtype=dtype)
    n, d = A.shape
    if np.count_nonzero(A) < FULL * n * d:
        return sp.csr_array(A, dtype=dtype)
    return sp.csr_array((A.ravel().astype(dtype), np.tile(np.arange(d), n), d * np.arange(n + 1)), (n, d))


def _bits(rows: Any) -> np.ndarray:
    """Return where each row has entries, a bit a coordinate, or nothing where few coordinates have any."""
    n, d = rows.shape
    if rows.nnz < BITS * n * d:
        return np.zeros((0, 0), np.uint64)
    held = np.zeros((n, -(-d // 64)), np.uint64)
    row, column = np.repeat(np.arange(n), np.diff(rows.indptr)), rows.indices
    np.bitwise_or.at(held, (row, column // 64), np.uint64(1) << (column % 64).astype(np.uint64))
    return held


def _constants(columns: Any) -> np.ndarray | None:
    """Return the number that all stored entries of each column are, or None where a column has two."""
    first, filled = columns.indptr[:-1], np.diff(columns.indptr) > 0
    factor = np.ones(columns.shape[1], columns.dtype)
    factor[filled] = columns.data[first[filled]]
    return factor if (columns.data == np.repeat(factor, np.diff(columns.indptr))).all() else None


def _lists(matrix: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    # Without a sign, so that kernels need not ask whether an index counts from the end; as short as both sides allow.
    index = np.uint16 if max(matrix.shape) <= 1 << 16 else np.uint32
    return matrix.indptr.astype(np.uint64), matrix.indices.astype(index), np.array(matrix.data)


def _divided(rows: Any) -> tuple[np.ndarray, int]:
    """Return where the blocks of rows begin and end, all of about the same length, and how many shares of them there are."""
    n, d = rows.shape
    shares = max(1, min(SHARES, n // LEAST, rows.nnz // (FILLED * d)))
    blocks = shares * -(-n // (shares * (BLOCK - _LANES // 2)))
    edges = (np.arange(blocks) * n // blocks + _LANES // 2) // _LANES * _LANES
    return np.append(edges, n), shares


def _segments(columns: Any, block_rows: np.ndarray, shares: int) -> tuple[np.ndarray, ...]:
    column = np.repeat(np.arange(columns.shape[1]), np.diff(columns.indptr))
    block = _block_of(columns.indices, block_rows)
    heads = _heads(column, block)
    share = shares * column[heads] + block[heads] * shares // (len(block_rows) - 1)
    firsts = np.searchsorted(share, np.arange(shares * columns.shape[1] + 1))
    starts = np.append(heads, len(column)).astype(np.uint64)
    return starts[firsts], firsts.astype(np.uint64), starts


def _block_of(row: np.ndarray, block_rows: np.ndarray) -> np.ndarray:
    return np.searchsorted(block_rows, row, side="right") - 1


def _heads(*keys: np.ndarray) -> np.ndarray:
    """Return where one of the keys differs from the entry before."""
    changes = np.any([np.diff(key) != 0 for key in keys], axis=0)
    return np.flatnonzero(np.append(True, changes)) if len(keys[0]) else np.zeros(0, dtype=int)


def _blocks(rows: Any, block_rows: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the entries ordered by block of rows, column and row; only columns with entries have a list."""
    entries = rows.tocoo()
    blocks = _block_of(entries.row, block_rows)
    order = np.lexsort((entries.row, entries.col, blocks))
    block, column = blocks[order], entries.col[order]
    heads = _heads(block, column)
    return (
        np.searchsorted(block[heads], np.arange(len(block_rows))).astype(np.uint64),
        column[heads].astype(np.uint32),
        np.append(heads, len(order)).astype(np.uint64),
        (entries.row[order] - block_rows[block]).astype(np.uint16),
        entries.data[order],
    )


def few_columns(sketch: SelectionSketch) -> bool:
    """Return whether a sketch keeps so few coordinates that gradients from these alone take less than whole passes.

    Parameters
    ----------
    sketch : SelectionSketch
        The sketch.

    Examples
    --------
    >>> import mastsim as ms
    >>> few_columns(ms.RandK(10, k=2)), few_columns(ms.RandK(10, k=5))
    (True, False)
    """
    return float(sketch.law.keep.mean()) <= FEW
