"""Second moments along the steps of an enumerated method, and what their recursion rounds by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mastsim.linalg import symmetric_part, transposed
from mastsim.moments.base import Form, written_out
from mastsim.recursions.base import UNIT, absolute, convolved, from_blocks


@dataclass(frozen=True, eq=False)
class SecondMomentPath:
    """The second moments of the state with a 1 appended, and perhaps of the running average after them, as steps go on.

    Parameters
    ----------
    dim : int
        The dimension d.
    names : tuple of str
        The fields of the state, and the average where there is one.
    are_points : tuple of bool
        Which fields of the state are points.
    units : ndarray, shape (fields·dim,)
        What one coordinate of the state counts.
    moved : callable
        Maps second moments of the state with a 1, shape (…, size, size), and the number of a step to those after it.
    mean_at : callable
        Maps the number of a step to the mean of its maps, shape (size, size).
    are_alike : bool
        Whether all steps are the same.
    averages : bool
        Whether there is an average.

    References
    ----------
    This package.
    """

    dim: int
    names: tuple[str, ...]
    are_points: tuple[bool, ...]
    units: np.ndarray
    moved: Callable[[np.ndarray, int], np.ndarray]
    mean_at: Callable[[int], np.ndarray]
    are_alike: bool
    averages: bool

    @property
    def size(self) -> int:
        """The length of the state with a 1 appended."""
        return len(self.units) + 1

    @cached_property
    def counts(self) -> np.ndarray:
        """The square of what every coordinate counts: 0 for the 1, and 1 for averages, which are points."""
        averages = np.ones(self.dim if self.averages else 0)
        return np.concatenate([self.units**2, [0.0], averages])

    @cached_property
    def points(self) -> np.ndarray:
        """The coordinates of points."""
        state = np.flatnonzero(np.repeat(self.are_points, self.dim))
        return np.concatenate([state, np.arange(self.size, len(self.counts))])

    def laid_out(self, form: Form) -> np.ndarray:
        """Return a form as a matrix: the state, the 1, the average."""
        wide, last = len(self.units), len(self.counts) - 1
        order = np.concatenate([np.arange(wide), [last], np.arange(wide, last)])
        return written_out(form, self.names, self.dim)[np.ix_(order, order)]

    def after(self, second: np.ndarray, step: int) -> np.ndarray:
        """Return the second moments after step `step`, counted from 0, shape (…, size, size).

        What a step draws is independent of the state and of the average before it, so that its mean moves their products.
        """
        size, d, share = self.size, self.dim, 1 / (step + 1)
        S, C, A = second[..., :size, :size], second[..., :size, size:], second[..., size:, size:]
        after = self.moved(S, step)
        if not self.averages:
            return after
        mixed = (1 - share) * C + share * S[..., :, :d]
        own = (1 - share) * ((1 - share) * A + share * transposed(C[..., :d, :])) + share * mixed[..., :d, :]
        return from_blocks(after, self.mean_at(step) @ mixed, symmetric_part(own))

    def rounding(self, traces: np.ndarray, whole: list[np.ndarray], rate: float, reach: float) -> np.ndarray:
        """Return bounds on the rounding along paths with such traces of second moments, shape (…, steps + 1, forms).

        `rate` is the size of the terms of a step, and `reach` that of the points at which maps were read off, which is what
        constants of maps are off by, in units of rounding.

        Every step adds a multiple of one matrix for the state, and one for the 1: what forms measure of their paths serves
        all steps and all starts where steps are alike.
        """
        steps, u, sizes = traces.shape[-1], UNIT * len(self.counts), [absolute(Q) for Q in whole]
        # An average of two points is taken of two parts of one state.
        rate = 2 * (rate + 4) if self.averages else rate
        # A map is read off with an error of the size of the origin, and applied to what has the size of the trace.
        large = u * (traces + 2 * reach * np.sqrt(traces) + u * reach**2)
        added = np.concatenate([large[..., :1], rate * large[..., :-1]], axis=-1)
        constant = u * np.array([Q[len(self.units), len(self.units)] for Q in sizes])
        local = u * traces[..., None] * np.array([Q.diagonal() @ self.counts for Q in sizes]) + constant
        local = local + self._of_displaced_means(steps, whole, u * reach)
        flat = np.stack([Q.ravel() for Q in sizes])
        if self.averages or not self.are_alike:
            return self._carried(added, u * rate, flat) + local
        E, measured = np.stack([np.diag(self.counts), self._one]), []
        for t in range(steps):
            measured.append(E.reshape(2, -1) @ flat.T)
            E = self.after(E, t)
        spread, ones = np.stack(measured, axis=1)
        return convolved(added, spread) + u * rate * (np.cumsum(ones, axis=0) - ones) + local

    @cached_property
    def _one(self) -> np.ndarray:
        return np.diag((np.arange(len(self.counts)) == len(self.units)).astype(float))

    def _of_displaced_means(self, steps: int, whole: list[np.ndarray], size: float) -> np.ndarray:
        """Return what forms measure of means that every step puts off by `size`, shape (steps, forms)."""
        state = np.arange(len(self.counts)) != len(self.units)
        slopes, counts = np.stack([Q[state, len(self.units)] for Q in whole]), np.diag(self.counts[state])
        spread, out = np.zeros_like(counts), np.empty((steps, len(whole)))
        for t in range(steps):
            # Σ_s |a_s| ≤ √t·√(Σ_s a_s²), with the parts a_s of the steps before.
            out[t] = 2 * size * np.sqrt(t * np.einsum("fi,ij,fj->f", slopes, spread, slopes))
            mean = self._mean_map(t)
            spread = mean @ spread @ mean.T + counts
        return np.where(np.isnan(out), np.inf, out)

    def _mean_map(self, step: int) -> np.ndarray:
        """Return the linear part of the mean of a step, of the state and of the average."""
        wide, d, share = len(self.units), self.dim, 1 / (step + 1)
        mean = self.mean_at(step)[:wide, :wide]
        if not self.averages:
            return mean
        average = np.concatenate([share * np.eye(d), np.zeros((d, wide - d)), (1 - share) * np.eye(d)], axis=1)
        return np.concatenate([np.concatenate([mean, np.zeros((wide, d))], axis=1), average])

    def _carried(self, added: np.ndarray, one: float, flat: np.ndarray) -> np.ndarray:
        """Return what forms measure of errors where steps are not alike, shape (…, steps + 1, forms)."""
        state = np.diag(self.counts)
        E, out = np.zeros((*added.shape[:-1], *state.shape)), np.empty((*added.shape, len(flat)))
        for t in range(added.shape[-1]):
            E = E + added[..., t, None, None] * state + (one * self._one if t else 0.0)
            out[..., t, :] = E.reshape(*added.shape[:-1], -1) @ flat.T
            E = self.after(E, t)
        return out
