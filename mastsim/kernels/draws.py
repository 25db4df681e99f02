"""Draws of whole batches of replicas through kernels, with the bits of `mastsim.draws.StreamDraw`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mastsim.compilation import njit
from mastsim.draws import Independent, RandomElement, StreamDraw, Values
from mastsim.kernels.columns import copy
from mastsim.kernels.masks import draw_mask, mask_of, mask_scratch
from mastsim.kernels.overrides import keeps
from mastsim.kernels.philox import fill_uniforms, key_of, room
from mastsim.sketches.batches import DiagonalBatch
from mastsim.sketches.selection import SelectionSketch


@dataclass(frozen=True, eq=False)
class KernelDraw(StreamDraw):
    """Draws from counter-based streams, on the host, by compiled code.

    Parameters
    ----------
    streams : Streams
        Where the numbers come from.
    step : int
        The step, from 0.
    replicas : array of int, shape (replicas,)
        Which replicas.

    Examples
    --------
    >>> import mastsim as ms
    >>> from mastsim.backend import Streams
    >>> plain, fast = (draw(Streams(7), 3, np.arange(5)) for draw in (StreamDraw, KernelDraw))
    >>> S = ms.RandK(9, k=4)
    >>> bool((plain.of("sketch", S).diagonals == fast.of("sketch", S).diagonals).all())
    True
    """

    def of(self, purpose: str, element: RandomElement) -> Any:
        """Return a value of `element` a replica."""
        u = _uniforms(key_of(self.streams.seed, purpose), self.step, self.replicas, element.uniforms)
        return value_of(element, u)


def value_of(element: RandomElement, u: np.ndarray) -> Any:
    """Return what ``element.from_uniforms(u)`` returns.

    Parameters
    ----------
    element : RandomElement
        The element; masks are drawn by a kernel, also those among independent elements.
    u : ndarray, shape (replicas, uniforms)
        Uniform numbers.
    """
    if isinstance(element, Independent):
        ends = np.cumsum([0] + [part.uniforms for part in element.elements]).tolist()
        cut = zip(element.elements, ends, ends[1:], strict=False)
        return Values(tuple(value_of(part, u[:, begin:end]) for part, begin, end in cut))
    if keeps(element, SelectionSketch, "from_uniforms", "uniforms"):
        return DiagonalBatch(_diagonals(np.ascontiguousarray(u), mask_of(element.law, np.float64)))
    return element.from_uniforms(u)


@njit(cache=True, nogil=True)
def _uniforms(key, step, replicas, count):
    out, row = np.empty((replicas.size, count)), np.empty(room(count))
    for r in range(replicas.size):
        fill_uniforms(key, step, replicas[r], count, row)
        copy(row, count, out[r])
    return out


@njit(cache=True, nogil=True)
def _diagonals(u, mask):
    out, scratch = np.zeros((u.shape[0], mask.scale.size)), mask_scratch(mask)
    for r in range(u.shape[0]):
        copy(u[r], mask.uniforms, scratch.u)
        for a in range(draw_mask(mask, scratch)):
            j = scratch.kept[a]
            out[r, j] = mask.scale[j]
    return out
