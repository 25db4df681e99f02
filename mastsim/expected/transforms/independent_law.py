"""Entries kept independently, each with its own probability: a chain with one state."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mastsim.compilation import njit
from mastsim.expected.transforms.arguments import Nodes, Rows, Transforms
from mastsim.expected.transforms.scratch import Scratch, allocate
from mastsim.expected.transforms.simd import LANES, PAIR, add, get, product, put, real_product, splat, times
from mastsim.expected.transforms.tiles import accumulate, branches, kept_branch, row_evaluator, second

_LN2 = math.log(2.0)
_MOST_HALVINGS = 200
"""How small the larger terms of a row's factors may become together, in powers of 2, before they are scaled by as many."""


@njit(inner=True)
def _odds(buf: np.ndarray, at: Scratch, i: int, rows: Rows, prob: np.ndarray, sigma: float) -> float:
    """Fill kept and dropped factors of row i, probabilities included; return the log of what was taken out."""
    growth, first, halvings = 0.0, rows.indptr[i], 0
    for entry in range(first, rows.indptr[i + 1]):
        growing, chance = sigma * rows.theta[entry], prob[entry]
        # What is always kept is taken out whole, what never is not at all: such growths cancel, however large they are.
        kept, dropped, log = (1.0, 1.0, chance * growing) if chance in (0.0, 1.0) else branches(growing)
        kept, dropped = kept * chance, dropped * (1.0 - chance)
        if sigma != 0.0:
            # Many small chances together may underflow, and what growths make up for with them.
            halvings -= math.frexp(max(kept, dropped))[1]
            if halvings > _MOST_HALVINGS:
                kept, dropped = math.ldexp(kept, halvings), math.ldexp(dropped, halvings)
                log -= halvings * _LN2
                halvings = 0
        buf[at.scale + entry - first] = kept
        buf[at.odds + entry - first] = dropped
        growth += log
    return growth


@njit(forceinline=True)
def _forward(buf: np.ndarray, at: Scratch, i: int, rows: Rows, prob: np.ndarray) -> Any:
    """Run the chain left to right, storing what each entry finds; return its end."""
    f, df = (splat(1.0), splat(0.0)), (splat(0.0), splat(0.0))
    first = rows.indptr[i]
    for j in range(rows.indptr[i + 1] - first):
        q, drop = kept_branch(buf, at, j), buf[at.odds + j]
        place = at.prefix + at.level * j
        put(buf, place, f)
        if at.order == 2:
            put(buf, place + PAIR, df)
            df = add(times(df, drop), product(q, add(df, times(f, rows.delta[first + j]))))
        f = add(times(f, drop), product(q, f))
    return f


@njit(forceinline=True)
def _backward(buf: np.ndarray, at: Scratch, i: int, rows: Rows, prob: np.ndarray, g: Any, s: Any) -> None:
    """Run the chain right to left from ``g`` and add up the entry derivatives; ``s`` are the nodes."""
    first, dg = rows.indptr[i], (splat(0.0), splat(0.0))
    for j in range(rows.indptr[i + 1] - first - 1, -1, -1):
        q, drop = get(buf, at.factor + PAIR * j), buf[at.odds + j]
        f = get(buf, at.prefix + at.level * j)
        y = product(q, g)
        accumulate(buf, at.lanes + PAIR * j, real_product(f, y))
        if at.order == 2:
            dy = product(q, add(dg, times(g, rows.delta[first + j])))
            df = get(buf, at.prefix + at.level * j + PAIR)
            accumulate(buf, at.lanes + PAIR * j + LANES, second(f, df, y, dy, s))
            dg = add(times(dg, drop), dy)
        g = add(times(g, drop), y)


_evaluate = row_evaluator(_odds, _forward, _backward)


@njit(cache=True, nogil=True)
def kernel(first: int, stride: int, at: Scratch, rows: Rows, prob: np.ndarray, nodes: Nodes, out: Transforms) -> None:
    """Evaluate rows ``first``, ``first + stride``, … into ``out`` when entry e is kept with probability ``prob[e]``."""
    buf = allocate(at.size)
    for i in range(first, rows.offset.size, stride):
        _evaluate(buf, at, i, rows, prob, nodes, out)
