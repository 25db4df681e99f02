"""What both laws do with a row: open a tile of LANES nodes, run the chain through it, close it.

A chain goes along the row entry by entry. Its factors are never divided by (they can be exactly 0), and all its
coefficients are probabilities, so nothing cancels beyond what the expectation itself does and nothing overflows before the
result does. Derivatives come from prefixes met by suffixes, the second derivative along a direction from dual numbers
carried through both.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from mastsim.compilation import njit
from mastsim.expected.transforms.arguments import Nodes, Rows, Transforms
from mastsim.expected.transforms.scratch import Scratch
from mastsim.expected.transforms.simd import (
    LANES,
    PAIR,
    add,
    lane_sum,
    load,
    product,
    put,
    real_product,
    rotation,
    splat,
    store,
    times,
)


def row_evaluator(odds: Callable, forward: Callable, backward: Callable) -> Callable:
    """Return the compiled evaluation of one row under a law.

    Parameters
    ----------
    odds
        Fills the kept factors and the probabilities of a row's chain; returns the log of what was taken out of it.
    forward
        Runs the chain left to right; returns its end.
    backward
        Runs it right to left and adds up the entry derivatives.
    """

    # All that runs once a tile is inlined: handing over the tuples of arrays takes a third of the time at order 0.
    @njit(forceinline=True)
    def evaluate(buf: np.ndarray, at: Scratch, i: int, rows: Rows, law: Any, nodes: Nodes, out: Transforms) -> None:
        b, r = rows.bucket[i], rows.indptr[i + 1] - rows.indptr[i]
        sigma = nodes.sigma[b]
        _prepare(buf, at, i, rows)
        growth = sigma * rows.offset[i] + odds(buf, at, i, rows, law, sigma)
        for k0 in range(nodes.start[b], nodes.start[b + 1], LANES):
            t = load(nodes.frequency, k0)
            e = product(rotation(t * rows.offset[i]), (load(nodes.w_re, k0), load(nodes.w_im, k0)))
            put(buf, at.nodes, (t, t))
            f = forward(buf, at, i, rows, law)
            accumulate(buf, at.lanes + PAIR * r, real_product(e, f))
            if at.order > 0:
                # The node enters here, once, as a factor of the weight; a tangent's second one comes with `second`.
                s = splat(sigma), t
                backward(buf, at, i, rows, law, product(e, s), s)
        emit(buf, at, i, rows, growth, out)

    return evaluate


@njit(inner=True)
def _prepare(buf: np.ndarray, at: Scratch, i: int, rows: Rows) -> None:
    """Copy the entries of row i and clear its running sums."""
    first, zero = rows.indptr[i], splat(0.0)
    r = rows.indptr[i + 1] - first
    for j in range(r):
        buf[at.theta + j] = rows.theta[first + j]
    for j in range(r + 1):
        put(buf, at.lanes + PAIR * j, (zero, zero))


@njit(forceinline=True)
def kept_branch(buf: np.ndarray, at: Scratch, j: int) -> Any:
    """Return the kept branch of entry j at the nodes of the tile, and keep it for the way back."""
    q = times(rotation(load(buf, at.nodes) * buf[at.theta + j]), buf[at.scale + j])
    put(buf, at.factor + PAIR * j, q)
    return q


@njit(inner=True)
def branches(growth: float) -> tuple[float, float, float]:
    """Scale the pair ``exp(growth)``, 1 to make the larger one 1: return kept, dropped and the log taken out."""
    if growth == 0.0:
        return 1.0, 1.0, 0.0
    if growth > 0.0:
        return 1.0, math.exp(-growth), growth
    return math.exp(growth), 1.0, 0.0


@njit(forceinline=True)
def second(f: Any, df: Any, y: Any, dy: Any, s: Any) -> Any:
    """Return the real part of ``s (df y + f dy)``: a prefix and a suffix met at one entry, differentiated."""
    return real_product(add(product(df, y), product(f, dy)), s)


@njit(forceinline=True)
def accumulate(buf: np.ndarray, place: int, value: Any) -> None:
    """Add a vector to a running sum."""
    store(buf, place, load(buf, place) + value)


@njit(inner=True)
def emit(buf: np.ndarray, at: Scratch, i: int, rows: Rows, growth: float, out: Transforms) -> None:
    """Write the running sums of row i, times exp(growth), to its places in the results."""
    # By halves: sums of small chances may be what keeps the result from overflowing.
    half = math.exp(0.5 * growth)
    first, last = rows.indptr[i], rows.indptr[i + 1]
    out.values[i] = half * (half * lane_sum(buf, at.lanes + PAIR * (last - first)))
    if at.order > 0:
        for j in range(first, last):
            out.derivatives[j] = half * (half * lane_sum(buf, at.lanes + PAIR * (j - first)))
    if at.order == 2:
        for j in range(first, last):
            out.directionals[j] = half * (half * lane_sum(buf, at.lanes + PAIR * (j - first) + LANES))
