"""Operators by enumeration of a short support, and in rotated coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mastsim.moments.operators.base import MomentOperators
from mastsim.sketches import Rotated, Sketch

WORK_LIMIT = 1 << 28
MEMORY_LIMIT = 1 << 24


@dataclass(frozen=True, eq=False)
class EnumeratedOperators(MomentOperators):
    """The operators summed over the support.

    Parameters
    ----------
    sketch, matrix
        As for `MomentOperators`.
    atoms : ndarray, shape (N, dim, dim)
        The values of S.
    weights : ndarray, shape (N,)
        Their probabilities.

    Examples
    --------
    >>> import mastsim as ms
    >>> enumerated_operators(ms.FiniteSupport([[[2.0]], [[0.0]]]), np.array([[3.0]])).curvature2(np.array([[1.0]]))
    array([[72.]])
    """

    atoms: np.ndarray
    weights: np.ndarray

    @cached_property
    def _transposed(self) -> np.ndarray:
        return self.weights[:, None, None] * self.atoms.transpose(0, 2, 1)

    @cached_property
    def _hessians(self) -> np.ndarray:
        return self.atoms.transpose(0, 2, 1) @ self.matrix @ self.atoms

    @cached_property
    def _weighted(self) -> np.ndarray:
        return self.weights[:, None, None] * self._hessians

    @cached_property
    def mean(self) -> np.ndarray:
        """H_D = E[H], shape (dim, dim)."""
        total: np.ndarray = self._weighted.sum(axis=0)
        return total

    def curvature2(self, M: np.ndarray) -> np.ndarray:
        """Return E[HMH], shape (dim, dim)."""
        return _summed(self._weighted @ M, self._hessians)

    def mixed(self, M: np.ndarray) -> np.ndarray:
        """Return E[HMS], shape (dim, dim)."""
        return _summed(self._weighted @ M, self.atoms)

    def plain(self, M: np.ndarray) -> np.ndarray:
        """Return E[SᵀMS], shape (dim, dim)."""
        return _summed(self._transposed @ M, self.atoms)


def _summed(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    # One long product instead of many short ones.
    count, d, _ = left.shape
    return left.transpose(1, 0, 2).reshape(d, count * d) @ right.reshape(count * d, d)


def enumerated_operators(sketch: Sketch, A: np.ndarray) -> EnumeratedOperators:
    """Return the operators of a sketch with few values.

    Parameters
    ----------
    sketch : Sketch
        The sketch.
    A : ndarray, shape (dim, dim)
        The symmetric matrix.

    Returns
    -------
    EnumeratedOperators
        O(N dim³) each.

    Raises
    ------
    ValueError
        If the support is infinite or too large.

    Examples
    --------
    >>> import mastsim as ms
    >>> enumerated_operators(ms.RandK(2, 1), np.eye(2)).plain(np.ones((2, 2)))
    array([[2., 0.],
           [0., 2.]])
    """
    d, count = sketch.dim, sketch.support_size
    if count * d**3 > WORK_LIMIT or count * d**2 > MEMORY_LIMIT:
        raise ValueError(
            f"E[HMH] is not known in closed form for {sketch.name}, whose {count:.6g} values are too many to enumerate in "
            f"dimension {d}: values·dim³ <= {WORK_LIMIT} and values·dim² <= {MEMORY_LIMIT} are accepted; simulate it instead"
        )
    batch, weights = sketch.support()
    return EnumeratedOperators(sketch, A, np.asarray(batch.matrices()), weights)


@dataclass(frozen=True, eq=False)
class RotatedOperators(MomentOperators):
    """The operators of QᵀS₀Q: those of S₀ with QAQᵀ, in the coordinates Qx.

    Parameters
    ----------
    sketch, matrix
        As for `MomentOperators`.
    inner : MomentOperators
        The operators of S₀ and QAQᵀ.
    rotation : ndarray, shape (dim, dim)
        Q.

    Examples
    --------
    >>> import mastsim as ms
    >>> S = ms.Rotated(ms.RandK(2, 1), "hadamard")
    >>> inner = enumerated_operators(S.sketch, np.eye(2))
    >>> np.round(RotatedOperators(S, np.eye(2), inner, rotation_matrix(S)).plain(np.eye(2)), 12)
    array([[2., 0.],
           [0., 2.]])
    """

    inner: MomentOperators
    rotation: np.ndarray

    def curvature2(self, M: np.ndarray) -> np.ndarray:
        """Return E[HMH], shape (dim, dim)."""
        return self._back(self.inner.curvature2(self._inside(M)))

    def mixed(self, M: np.ndarray) -> np.ndarray:
        """Return E[HMS], shape (dim, dim)."""
        return self._back(self.inner.mixed(self._inside(M)))

    def plain(self, M: np.ndarray) -> np.ndarray:
        """Return E[SᵀMS], shape (dim, dim)."""
        return self._back(self.inner.plain(self._inside(M)))

    def _inside(self, M: np.ndarray) -> np.ndarray:
        return self.rotation @ M @ self.rotation.T

    def _back(self, M: np.ndarray) -> np.ndarray:
        return self.rotation.T @ M @ self.rotation


def rotation_matrix(sketch: Rotated) -> np.ndarray:
    """Return the orthogonal matrix Q of a rotated sketch.

    Parameters
    ----------
    sketch : Rotated
        The sketch QᵀS₀Q.

    Returns
    -------
    ndarray, shape (dim, dim)
        Q.

    Examples
    --------
    >>> import mastsim as ms
    >>> rotation_matrix(ms.Rotated(ms.RandK(2, 1), np.array([[0.0, 1.0], [1.0, 0.0]])))
    array([[0., 1.],
           [1., 0.]])
    """
    return np.asarray(sketch.rotate(np.eye(sketch.dim))).T
