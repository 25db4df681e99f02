"""Descent and gradients on linear models: from kept columns, or two vectors of replicas in one pass over the rows.

Both give the same bits, so that the cheaper one is taken for every group of replicas, and the other one is not compiled.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from mastsim.compilation import njit, uint64
from mastsim.kernels.columns import add_shares, copy, share_sums, sketched_columns
from mastsim.kernels.lanes import row_pass, width_of
from mastsim.kernels.masks import Mask, draw_mask, mask_scratch, ordering_scratch, put_in_order
from mastsim.kernels.meeting import arrive, give_up, new_board, wait_for_all
from mastsim.kernels.models import LinearModel
from mastsim.kernels.philox import Key, fill_uniforms
from mastsim.parallel import run_together
from mastsim.simd import aligned_zeros, lanes_of

PASS, SLOPES = 2.9, 0.07
"""What a pass over the rows with two vectors of replicas costs, and the slopes of all rows, in units of all columns of one
replica; measured on sparse data, and not critical."""
_WIDTH = 128
"""Bytes of two vectors."""


def by_columns(replicas: int, keep: float, members: int = 1) -> bool:
    """Return whether so many replicas, at most two vectors, take less time one by one from a share `keep` of the columns."""
    return replicas * (keep + SLOPES) < PASS * members


def _parts(x: np.ndarray, keep: float, members: int = 1) -> Iterator[tuple[slice, bool]]:
    """Yield whole groups of replicas and the rest, and whether each of their groups goes by columns."""
    width = _WIDTH // x.itemsize
    whole = len(x) - len(x) % width
    for part, size in ((slice(0, whole), width), (slice(whole, len(x)), len(x) - whole)):
        if part.stop > part.start:
            yield part, by_columns(size, keep, members)


def descend_linear(
    x: np.ndarray,
    replicas: np.ndarray,
    first: int,
    stepsizes: np.ndarray,
    key: Key,
    mask: Mask,
    model: LinearModel,
    members: int = 1,
) -> None:
    """Take steps x⁺ = x − γ_t·Sᵀ∇f(v + S(x − v)) in place, every replica with its own sketches.

    Every one that goes by columns is taken by at most so many threads together, if these are there.
    """
    # As few as leave the longest part as short: 4 of 5 threads where there are 8 shares.
    members = -(-model.shares // -(-model.shares // members))
    for part, columns in _parts(x, mask.keep, members):
        descend: Any = partial(_descend_together, members) if columns else _descend_by_lanes
        descend(x[part], replicas[part], first, stepsizes, key, mask, model)


def _descend_together(members: int, x: np.ndarray, *what: Any) -> None:
    board, sums = new_board(members), share_sums(what[-1], 2)
    if members == 1 or len(what[2]) == 0:
        _descend_by_columns(x, *what, 0, 0, 1, board, sums)
        return
    own = [x, *(x.copy() for _ in range(1, members))]

    def work(member: int, count: int) -> int:
        done: int = _descend_by_columns(own[member], *what, 0, member, count, board, sums)
        return done

    done = run_together(work, lambda: give_up(board), members)
    # Where somebody lost patience, the caller goes on alone.
    _descend_by_columns(x, *what, done, 0, 1, new_board(1), sums)


def linear_gradients(model: LinearModel, x: np.ndarray, diagonals: np.ndarray, keep: float) -> np.ndarray:
    """Return Sᵀ∇f(v + S(x − v)) of every replica, shape of `x`, for sketches that keep a share `keep` on average."""
    total = np.zeros_like(x)
    for part, columns in _parts(x, keep):
        if columns:
            _gradients_by_columns(model, x[part], diagonals[part], share_sums(model, 1)[0], total[part])
        else:
            _gradients_by_lanes(model, x[part], diagonals[part], total[part])
    return total


@njit(cache=True, nogil=True)
def _descend_by_columns(x, replicas, first, stepsizes, key, mask, model, done, member, members, board, sums):
    """Take the steps after the first `done`, replica after replica, and return how many are done then."""
    # Every member has iterates of its own, draws the same masks, and adds up its own shares of the rows. They meet once a
    # step: sums of every other step lie elsewhere, so that none is overwritten before all have read it.
    last, patience = x.shape[0] * stepsizes.size, board[0]
    if done == last:
        return done
    scratch, bits = mask_scratch(mask), ordering_scratch(x.shape[1])
    margins, out = aligned_zeros(model.rows + lanes_of(x) - 1, x), np.empty(x.shape[1], x.dtype)
    kept = np.empty(x.shape[1], np.uint64)
    begin, end = member * model.shares // members, (member + 1) * model.shares // members
    r, t = done // stepsizes.size, done % stepsizes.size
    count = _draw_in_order(key, first + t, replicas[r], mask, scratch, bits)
    for number in range(done, last):
        here, half, gamma = r, sums[number & 1], stepsizes[t]
        add_shares(model, x[r], scratch.kept, count, mask.scale, begin, end, margins, half)
        arrive(board, member, number + 1)
        size = count
        copy(scratch.kept, size, kept)
        if number + 1 < last:
            # The next mask does not depend on the others, who come meanwhile.
            r, t = (number + 1) // stepsizes.size, (number + 1) % stepsizes.size
            count = _draw_in_order(key, first + t, replicas[r], mask, scratch, bits)
        patience = wait_for_all(board, members, number + 1, patience)
        if patience == 0:
            return number
        sketched_columns(model, x[here], kept, size, mask.scale, half, out)
        for a in range(size):
            x[here, kept[a]] -= gamma * out[a]
    return last


@njit(forceinline=True)
def _draw_in_order(key, step, replica, mask, scratch, bits):
    fill_uniforms(key, step, replica, mask.uniforms, scratch.u)
    count = draw_mask(mask, scratch)
    put_in_order(scratch.kept, count, bits)
    return count


@njit(cache=True, nogil=True)
def _descend_by_lanes(x, replicas, first, stepsizes, key, mask, model):
    width, dim = width_of(x), x.shape[1]
    scratch = mask_scratch(mask)
    points, sums, totals = aligned_zeros(width * dim, x), aligned_zeros(width * dim, x), aligned_zeros(width * dim, x)
    slopes = aligned_zeros(width * model.block, x)
    kept, counts = np.empty((width, dim), np.uint64), np.zeros(width, np.int64)
    for start in range(0, x.shape[0], width):
        size = min(width, x.shape[0] - start)
        for t in range(stepsizes.size):
            for r in range(size):
                fill_uniforms(key, first + t, replicas[start + r], mask.uniforms, scratch.u)
                counts[r] = draw_mask(mask, scratch)
                copy(scratch.kept, counts[r], kept[r])
                _place(model, x[start + r], kept[r], counts[r], mask.scale, r, points)
            row_pass(model, points, sums, totals, slopes)
            for r in range(size):
                _step(model, x[start + r], kept[r], counts[r], mask.scale, r, points, totals, stepsizes[t])
            totals[:] = 0


@njit(forceinline=True)
def _place(model, x, kept, count, scale, lane, points):
    """Write S(x − v), times what all entries of a column are, into a lane."""
    width = uint64(width_of(x))
    for a in range(count):
        j = kept[a]
        points[j * width + uint64(lane)] = model.factor[j] * (scale[j] * (x[j] - model.center[j]))


@njit(forceinline=True)
def _step(model, x, kept, count, scale, lane, points, totals, stepsize):
    width, rows = uint64(width_of(x)), x.dtype.type(model.rows)
    for a in range(count):
        j = kept[a]
        at, point = j * width + uint64(lane), model.center[j] + scale[j] * (x[j] - model.center[j])
        x[j] -= stepsize * (scale[j] * (model.factor[j] * totals[at] / rows + model.ridge * point))
        points[at] = 0


@njit(cache=True, nogil=True)
def _gradients_by_columns(model, x, diagonals, sums, total):
    kept, out = np.empty(x.shape[1] + 1, np.uint64), np.empty(x.shape[1], x.dtype)
    margins = aligned_zeros(model.rows + lanes_of(x) - 1, x)
    for r in range(x.shape[0]):
        count = support_of(diagonals[r], kept)
        add_shares(model, x[r], kept, count, diagonals[r], 0, model.shares, margins, sums)
        sketched_columns(model, x[r], kept, count, diagonals[r], sums, out)
        for a in range(count):
            total[r, kept[a]] = out[a]


@njit(forceinline=True)
def support_of(diagonal, kept):
    """Write the kept coordinates in increasing order, and return how many there are."""
    count = 0
    for j in range(diagonal.size):
        kept[count] = j
        count += diagonal[j] != 0
    return count


@njit(cache=True, nogil=True)
def _gradients_by_lanes(model, x, diagonals, total):
    width, dim, rows = width_of(x), x.shape[1], x.dtype.type(model.rows)
    points, sums, totals = aligned_zeros(width * dim, x), aligned_zeros(width * dim, x), aligned_zeros(width * dim, x)
    slopes = aligned_zeros(width * model.block, x)
    for start in range(0, x.shape[0], width):
        size = min(width, x.shape[0] - start)
        totals[:] = 0
        for r in range(size):
            for j in range(dim):
                z = diagonals[start + r, j] * (x[start + r, j] - model.center[j])
                points[j * width + r] = model.factor[j] * z
        row_pass(model, points, sums, totals, slopes)
        for r in range(size):
            for j in range(dim):
                scale = diagonals[start + r, j]
                point = model.center[j] + scale * (x[start + r, j] - model.center[j])
                mean = model.factor[j] * totals[j * width + r] / rows
                total[start + r, j] = scale * (mean + model.ridge * point)
