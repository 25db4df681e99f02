"""Independent diagonal sketch: every coordinate multiplied by its own mean-one random number."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from mastsim.backend import Array, namespace
from mastsim.readonly import frozen
from mastsim.sketches.base import Sketch
from mastsim.sketches.batches import DiagonalBatch
from mastsim.sketches.bernoulli import Bernoulli
from mastsim.sketches.laws import IndependentEntries
from mastsim.validation import SCALES, entries, floats, vector

_TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class IndependentDiagonal(Sketch):
    """S = Diag(c) with independent c_i that equal `values[i, a]` with probability `weights[i, a]`, of mean one.

    Parameters
    ----------
    values : array of float, shape (dim, n)
        What c_i can be, any sign.
    weights : array of float, shape (dim, n) or (n,)
        The probabilities, not negative, each row adding up to 1; pad with zeros where a coordinate has fewer values.

    Raises
    ------
    ValueError
        If the shapes do not fit, an entry is not finite, a row of weights is not a distribution, or a mean differs from 1.

    References
    ----------
    This package; MAST, arXiv 2311.16086, Section 2 (Bernoulli independent sparsification) is the law {0, 1/p}.

    Examples
    --------
    >>> S = IndependentDiagonal([[0.5, 1.5], [0.0, 4.0]], [[0.5, 0.5], [0.75, 0.25]])
    >>> S.L_D, S.L_max
    (4.0, 16.0)
    """

    values: np.ndarray
    weights: np.ndarray
    dim: int = field(init=False)

    @classmethod
    def with_second_moments(cls, moments: np.ndarray) -> Bernoulli:
        """Return the two-point law {0, m_i} with E c_i = 1 and E c_i² = m_i, which is `Bernoulli` with keep 1/m_i.

        Parameters
        ----------
        moments : array of float, shape (dim,)
            The second moments m_i, at least 1.

        Returns
        -------
        Bernoulli
            The sketch.

        Raises
        ------
        ValueError
            If a moment is below 1, which no number of mean one has.

        Examples
        --------
        >>> IndependentDiagonal.with_second_moments([1.0, 4.0]).second_moment()
        array([[1., 0.],
               [0., 4.]])
        """
        m = floats("moments", moments)
        m = vector("moments", m, m.size)
        if m.size == 0 or (m < 1).any():
            raise ValueError(
                f"moments={m} is not accepted: it must be a vector of second moments of mean-one numbers, each >= 1"
            )
        return Bernoulli(len(m), keep=1 / m)

    def __post_init__(self) -> None:
        values = entries("values", floats("values", self.values), SCALES)
        if values.ndim != 2 or 0 in values.shape:
            raise ValueError(f"values has shape {values.shape}, but it must be (dim, n)")
        weights = entries("weights", floats("weights", self.weights))
        if weights.shape not in (values.shape, values.shape[1:]):
            raise ValueError(f"weights has shape {weights.shape}, but it must be {values.shape} or {values.shape[1:]}")
        weights = np.broadcast_to(weights, values.shape)
        bad = (weights < 0).any(axis=1) | (np.abs(weights.sum(axis=1) - 1) > _TOLERANCE)
        if bad.any():
            i = int(np.argmax(bad))
            raise ValueError(f"weights[{i}]={weights[i]} is not accepted: it must be numbers >= 0 that add up to 1")
        weights = weights / weights.sum(axis=1, keepdims=True)
        _refuse_bias(values, weights)
        # Values of probability zero become 1, which lies between the others: no extreme value is then one that never occurs.
        settled = np.where(weights > 0, values, 1.0)
        for name, value in (("values", frozen(settled, copy=False)), ("weights", frozen(weights, copy=False))):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "dim", len(values))

    @property
    def name(self) -> str:
        """For example ``independent diagonal of 12``."""
        return f"independent diagonal of {self.dim}"

    @cached_property
    def law(self) -> IndependentEntries:
        """The law of c."""
        return IndependentEntries(self.values, self.weights)

    @property
    def uniforms(self) -> int:
        """One uniform number per coordinate."""
        return self.dim

    def from_uniforms(self, u: Array) -> DiagonalBatch:
        """Return one sketch per row of `u`, shape (replicas, dim)."""
        xp = namespace(u)
        values, edges = xp.asarray(self.values), xp.asarray(self._edges)
        picked = xp.zeros(u.shape, dtype=xp.int64)
        for a in range(edges.shape[1]):
            picked = picked + xp.astype(u >= edges[:, a], xp.int64)
        return DiagonalBatch(values[xp.arange(self.dim), picked])

    @cached_property
    def _edges(self) -> np.ndarray:
        # No rounding of a sum may lead to a value of probability zero after the last one that occurs.
        edges = np.cumsum(self.weights, axis=1)[:, :-1]
        after = np.cumsum(self.weights[:, ::-1], axis=1)[:, ::-1][:, 1:]
        return np.where(after > 0, edges, np.inf)


def _refuse_bias(values: np.ndarray, weights: np.ndarray) -> None:
    means = (weights * values).sum(axis=1)
    off = np.abs(means - 1) / np.maximum(1.0, (weights * np.abs(values)).sum(axis=1))
    i = int(np.argmax(off))
    if off[i] > _TOLERANCE:
        raise ValueError(
            f"E[c_{i}] = {means[i]:.6g} differs from 1 by {abs(means[i] - 1):.3g}: a sketch must satisfy E[S] = I; "
            f"rescale values[{i}] or weights[{i}]"
        )
