"""Independent diagonal sketch: every coordinate multiplied by its own mean-one random number."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from mastsim.backend import Array, namespace
from mastsim.memory import check_room, check_square
from mastsim.provenance import Constant
from mastsim.readonly import frozen
from mastsim.sketches.base import SUPPORT_LIMIT, DiagonalBatch, Sketch
from mastsim.sketches.bernoulli import Bernoulli
from mastsim.sketches.fourth_moment import independent_fourth_moment
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
    def moments(self) -> np.ndarray:
        """E[c_i^p] for p = 0, …, 4, shape (5, dim)."""
        return np.array([(self.weights * self.values**p).sum(axis=1) for p in range(5)])

    @cached_property
    def largest_squares(self) -> np.ndarray:
        """The largest c_i², shape (dim,)."""
        squares: np.ndarray = (self.values**2).max(axis=1)
        return squares

    @property
    def is_diagonal(self) -> bool:
        """True."""
        return True

    @property
    def L_max(self) -> float:
        """L_S^max = max c_i² over all values of all coordinates."""
        return float(self.largest_squares.max())

    @property
    def L_D(self) -> float:
        """λ_max(E[SᵀS]) = max E c_i²."""
        return float(self.moments[2].max())

    @property
    def mu_D(self) -> float:
        """λ_min(E[SᵀS]) = min E c_i²."""
        return float(self.moments[2].min())

    def second_moment(self) -> np.ndarray:
        """Return E[SᵀS] = Diag(E c_i²), shape (dim, dim)."""
        check_square(f"the second moment of {self.name}", self.dim, change="use a sketch of fewer dimensions")
        return np.diag(self.moments[2])

    def quadratic_moment(self, A: np.ndarray) -> np.ndarray:
        """Return E[SᵀAS], which is `A` with its diagonal multiplied by E c_i², shape (dim, dim)."""
        moment = self.check_matrix(A)
        np.fill_diagonal(moment, np.diag(moment) * self.moments[2])
        return moment

    def fourth_moment(self, A: np.ndarray) -> np.ndarray:
        """Return E[SᵀASSᵀAS], shape (dim, dim), from the moments of c_i up to the fourth."""
        return independent_fourth_moment(self.moments, self.check_matrix(A))

    def supremum_curvature(self, A: np.ndarray) -> Constant:
        """Return sup_S λ_max(SᵀAS) for a positive semidefinite `A`.

        λ_max(SAS) = λ_max(A^½ S² A^½) grows with each c_i², so it is attained where all of them are largest.
        """
        scale = np.sqrt(self.largest_squares)
        top = float(np.linalg.eigvalsh(scale[:, None] * self.check_matrix(A) * scale)[-1])
        return Constant(top, "exact", "attained where every |c_i| is largest")

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

    @cached_property
    def support_size(self) -> float:
        """The product of the numbers of values of the coordinates; infinite when it overflows."""
        counts = (self.weights > 0).sum(axis=1)
        return float(math.prod(counts.tolist())) if np.log2(counts).sum() < 1000 else math.inf

    def _enumerate(self) -> tuple[DiagonalBatch, np.ndarray]:
        check_room(
            f"the support of {self.name}", self.support_size, self.dim, change="sample the sketch instead", itemsize=32
        )
        diagonals, chances = np.zeros((1, 0)), np.ones(1)
        for values, weights in zip(self.values, self.weights, strict=True):
            own, chance = values[weights > 0], weights[weights > 0]
            column = np.tile(own, len(diagonals))[:, None]
            diagonals = np.concatenate([np.repeat(diagonals, len(own), axis=0), column], axis=1)
            chances = np.repeat(chances, len(own)) * np.tile(chance, len(chances))
        return DiagonalBatch(diagonals), chances

    def projection(self, a: Array, z: Array) -> IndependentLaw:
        """Return the law of the scalar aᵀSz.

        Parameters
        ----------
        a, z : array, shape (dim,)
            The two vectors.

        Returns
        -------
        IndependentLaw
            With mean, variance, characteristic and moment generating functions, and support.
        """
        terms = vector("a", a, self.dim) * vector("z", z, self.dim)
        active = terms != 0
        return IndependentLaw(terms[active, None] * self.values[active], self.weights[active])


@dataclass(frozen=True, eq=False)
class IndependentLaw:
    """The law of a sum of independent numbers, each with finitely many values.

    Parameters
    ----------
    values, weights : ndarray, shape (terms, n)
        What each term can be, and with what probability; a probability may be zero.

    Examples
    --------
    >>> law = IndependentLaw(np.array([[0.0, 2.0], [1.0, 3.0]]), np.full((2, 2), 0.5))
    >>> law.mean, law.variance, law.bounds
    (3.0, 2.0, (1.0, 5.0))
    >>> law.support()
    (array([1., 3., 5.]), array([0.25, 0.5 , 0.25]))
    """

    values: np.ndarray
    weights: np.ndarray

    @property
    def mean(self) -> float:
        """The expectation."""
        return float(self._means.sum())

    @property
    def _means(self) -> np.ndarray:
        means: np.ndarray = (self.weights * self.values).sum(axis=1)
        return means

    @property
    def variance(self) -> float:
        """The variance, a sum of squares: nothing cancels."""
        return float((self.weights * (self.values - self._means[:, None]) ** 2).sum())

    @property
    def bounds(self) -> tuple[float, float]:
        """The smallest and the largest value."""
        return float(self.values.min(axis=1).sum()), float(self.values.max(axis=1).sum())

    def characteristic_function(self, t: np.ndarray) -> np.ndarray:
        """Return E exp(i t aᵀSz) for real `t`, shape of `t`."""
        return self.moment_generating_function(1j * np.asarray(t, dtype=float))

    def moment_generating_function(self, s: np.ndarray) -> np.ndarray:
        """Return E exp(s aᵀSz) for real or complex `s`, shape of `s`."""
        s = np.asarray(s, dtype=np.result_type(s, float))
        total = np.ones_like(s)
        for values, weights in zip(self.values, self.weights, strict=True):
            total = total * (np.exp(s[..., None] * values) @ weights)
        return total

    def support(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the values in increasing order and their probabilities; equal values are merged.

        Raises
        ------
        ValueError
            If more than 2**20 combinations would have to be listed.
        """
        if np.log2((self.weights > 0).sum(axis=1)).sum() > math.log2(SUPPORT_LIMIT):
            raise ValueError(f"aᵀSz depends on more than {SUPPORT_LIMIT} combinations of values: they are not listed")
        listed: np.ndarray = np.zeros(1)
        chances: np.ndarray = np.ones(1)
        for values, weights in zip(self.values, self.weights, strict=True):
            own, chance = values[weights > 0], weights[weights > 0]
            listed, inverse = np.unique((listed[:, None] + own).ravel(), return_inverse=True)
            chances = np.bincount(inverse, weights=(chances[:, None] * chance).ravel())
        return listed, chances


def _refuse_bias(values: np.ndarray, weights: np.ndarray) -> None:
    means = (weights * values).sum(axis=1)
    off = np.abs(means - 1) / np.maximum(1.0, (weights * np.abs(values)).sum(axis=1))
    i = int(np.argmax(off))
    if off[i] > _TOLERANCE:
        raise ValueError(
            f"E[c_{i}] = {means[i]:.6g} differs from 1 by {abs(means[i] - 1):.3g}: a sketch must satisfy E[S] = I; "
            f"rescale values[{i}] or weights[{i}]"
        )
