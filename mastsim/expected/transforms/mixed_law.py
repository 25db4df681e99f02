"""Entries kept as by a mixture of independent laws with complex chances: a chain with one state for each law.

A factor is 1 + pq(e − 1), with the chance p of the entry and q of the law, so that entries with little phase change a
product by little. Tiles of nodes may follow each other with the same frequencies and other laws; their phases are computed
once.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mastsim.compilation import njit
from mastsim.expected.transforms.arguments import Nodes, Rows, Transforms
from mastsim.expected.transforms.scratch import Scratch, allocate
from mastsim.expected.transforms.simd import LANES, PAIR, add, get, load, product, put, real_product, rotation, splat, times
from mastsim.expected.transforms.tiles import accumulate, emit, second


class Laws(NamedTuple):
    """The chance of keeping an entry at every node, and whether a tile has the frequencies of the one before."""

    keep_re: np.ndarray
    keep_im: np.ndarray
    again: np.ndarray


def make_laws(keep: np.ndarray, nodes: Nodes) -> Laws:
    """Return the laws for complex chances, one a node."""
    tiles = nodes.frequency.reshape(-1, LANES)
    again = np.zeros(len(tiles), dtype=bool)
    again[1:] = (tiles[1:] == tiles[:-1]).all(axis=1)
    again[nodes.start[:-1][np.diff(nodes.start) > 0] // LANES] = False
    return Laws(np.ascontiguousarray(keep.real), np.ascontiguousarray(keep.imag), again)


@njit(forceinline=True)
def _phases(buf: np.ndarray, at: Scratch, i: int, rows: Rows, t: Any) -> None:
    """Fill e − 1 for the entries of row i at the nodes of a tile."""
    first = rows.indptr[i]
    for j in range(rows.indptr[i + 1] - first):
        e = rotation(t * rows.theta[first + j])
        put(buf, at.factor + PAIR * j, (e[0] - 1.0, e[1]))


@njit(forceinline=True)
def _forward(buf: np.ndarray, at: Scratch, i: int, rows: Rows, prob: np.ndarray, law: Any) -> Any:
    """Run the chain left to right, storing what each entry finds; return its end."""
    f, df = (splat(1.0), splat(0.0)), (splat(0.0), splat(0.0))
    first = rows.indptr[i]
    for j in range(rows.indptr[i + 1] - first):
        q = times(law, prob[j])
        step = product(q, get(buf, at.factor + PAIR * j))
        place = at.prefix + at.level * j
        put(buf, place, f)
        if at.order == 2:
            put(buf, place + PAIR, df)
            df = add(add(df, product(step, df)), product(add(step, q), times(f, rows.delta[first + j])))
        f = add(f, product(step, f))
    return f


@njit(forceinline=True)
def _backward(buf: np.ndarray, at: Scratch, i: int, rows: Rows, prob: np.ndarray, law: Any, g: Any, s: Any) -> None:
    """Run the chain right to left from ``g`` and add up the entry derivatives; ``s`` are the nodes."""
    first, dg = rows.indptr[i], (splat(0.0), splat(0.0))
    for j in range(rows.indptr[i + 1] - first - 1, -1, -1):
        q = times(law, prob[j])
        step = product(q, get(buf, at.factor + PAIR * j))
        f, kept = get(buf, at.prefix + at.level * j), add(step, q)
        y = product(kept, g)
        accumulate(buf, at.lanes + PAIR * j, real_product(f, y))
        if at.order == 2:
            turn = times(y, rows.delta[first + j])
            df = get(buf, at.prefix + at.level * j + PAIR)
            accumulate(buf, at.lanes + PAIR * j + LANES, second(f, df, y, add(product(kept, dg), turn), s))
            dg = add(add(dg, product(step, dg)), turn)
        g = add(g, product(step, g))


@njit(forceinline=True)
def evaluate(
    buf: np.ndarray, at: Scratch, i: int, rows: Rows, prob: np.ndarray, laws: Laws, nodes: Nodes, out: Transforms
) -> None:
    """Evaluate one row whose entries have the chances `prob`, relative to those of the nodes."""
    b, zero, r = rows.bucket[i], splat(0.0), rows.indptr[i + 1] - rows.indptr[i]
    for j in range(r + 1):
        put(buf, at.lanes + PAIR * j, (zero, zero))
    for k0 in range(nodes.start[b], nodes.start[b + 1], LANES):
        t = load(nodes.frequency, k0)
        if not laws.again[k0 // LANES]:
            _phases(buf, at, i, rows, t)
        q = load(laws.keep_re, k0), load(laws.keep_im, k0)
        e = product(rotation(t * rows.offset[i]), (load(nodes.w_re, k0), load(nodes.w_im, k0)))
        f = _forward(buf, at, i, rows, prob, q)
        accumulate(buf, at.lanes + PAIR * r, real_product(e, f))
        if at.order > 0:
            s = zero, t
            _backward(buf, at, i, rows, prob, q, product(e, s), s)
    emit(buf, at, i, rows, 0.0, out)


@njit(cache=True, nogil=True)
def kernel(first: int, stride: int, at: Scratch, rows: Rows, laws: Laws, nodes: Nodes, out: Transforms) -> None:
    """Evaluate rows ``first``, ``first + stride``, … into ``out`` when entries are kept as by a mixture."""
    buf, one = allocate(at.size), allocate(at.scale - at.theta)
    one[:] = 1.0
    for i in range(first, rows.offset.size, stride):
        evaluate(buf, at, i, rows, one, laws, nodes, out)
