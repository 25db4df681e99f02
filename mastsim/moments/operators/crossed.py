"""Operators of two different clients: E[H_i M H_j], E[H_i M S_j], E[S_iᵀM S_j]."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import prod

import numpy as np

from mastsim.sketches import PermK, Sketch
from mastsim.validation import one_of

JOINTS = ("independent", "permk")


class CrossedOperators(ABC):
    """The maps M ↦ E[H_i M H_j], E[H_i M S_j], E[S_iᵀM S_j] for two clients i ≠ j, H_i = S_iᵀA_iS_i, on any square M.

    References
    ----------
    This package.
    """

    @abstractmethod
    def curvature2(self, M: np.ndarray) -> np.ndarray:
        """Return E[H_i M H_j], shape (dim, dim)."""

    @abstractmethod
    def mixed(self, M: np.ndarray) -> np.ndarray:
        """Return E[H_i M S_j], shape (dim, dim)."""

    @abstractmethod
    def plain(self, M: np.ndarray) -> np.ndarray:
        """Return E[S_iᵀM S_j], shape (dim, dim)."""


@dataclass(frozen=True, eq=False)
class IndependentPair(CrossedOperators):
    """Independent unbiased sketches: the products of the means.

    Parameters
    ----------
    first, second : ndarray, shape (dim, dim)
        E[H_i] and E[H_j].

    Examples
    --------
    >>> IndependentPair(2 * np.eye(1), 3 * np.eye(1)).curvature2(np.eye(1))
    array([[6.]])
    """

    first: np.ndarray
    second: np.ndarray

    def curvature2(self, M: np.ndarray) -> np.ndarray:
        """Return E[H_i] M E[H_j], shape (dim, dim)."""
        return self.first @ M @ self.second

    def mixed(self, M: np.ndarray) -> np.ndarray:
        """Return E[H_i] M, shape (dim, dim)."""
        return self.first @ M

    def plain(self, M: np.ndarray) -> np.ndarray:
        """Return M."""
        return M


@dataclass(frozen=True, eq=False)
class PermKPair(CrossedOperators):
    """Two clients of one random permutation: no coordinate is kept by both.

    Parameters
    ----------
    sketch : PermK
        With two clients at least.
    first, second : ndarray, shape (dim, dim)
        A_i and A_j; the maps are linear in each.

    References
    ----------
    This package; the sketches are those of Szlendak, Tyurin, Richtárik, arXiv 2110.03300.

    Examples
    --------
    >>> PermKPair(PermK(2, clients=2), np.eye(2), np.eye(2)).curvature2(np.ones((2, 2)))
    array([[0., 8.],
           [8., 0.]])
    """

    sketch: PermK
    first: np.ndarray
    second: np.ndarray

    def curvature2(self, M: np.ndarray) -> np.ndarray:
        """Return E[H_i M H_j], shape (dim, dim)."""
        A, B = self.first, self.second
        a, m, b = A.diagonal(), M.diagonal(), B.diagonal()
        scale = self.sketch.clients**4
        v0, v1, v2 = (scale * self._chance(*counts) for counts in ((2, 2), (2, 1), (1, 1)))
        w3 = 2 * v0 - v1
        AM = A @ M
        am, mb = AM.diagonal(), np.einsum("ik,ki->i", M, B)
        here = np.arange(len(a)), np.arange(len(a))
        # All terms that end in a dense product with B.
        left = v0 * AM + ((v1 - v0) * a)[:, None] * M - v0 * A * m
        left[here] += w3 * a * m - v0 * am
        total = left @ B
        total += (v1 - v0) * AM * b + A * (w3 * m * b - v0 * mb)
        total += (v2 - 2 * v1 + v0) * np.outer(a, b) * M + v0 * A * M.T * B
        own = v0 * ((A * B) @ m - np.einsum("ik,ki->i", AM, B)) + w3 * (a * mb + am * b)
        total[here] += own + (4 * v1 - v2 - 6 * v0) * a * m * b
        return total

    def mixed(self, M: np.ndarray) -> np.ndarray:
        """Return E[H_i M S_j], shape (dim, dim)."""
        scale = self.sketch.clients**3
        two, one = scale * self._chance(2, 1), scale * self._chance(1, 1)
        weighted = two * self.first
        np.fill_diagonal(weighted, one * self.first.diagonal())
        return _hollow(weighted @ _hollow(M))

    def plain(self, M: np.ndarray) -> np.ndarray:
        """Return E[S_iᵀM S_j], shape (dim, dim)."""
        return self.sketch.clients**2 * self._chance(1, 1) * _hollow(M)

    def _chance(self, mine: int, other: int) -> float:
        # That `mine` given coordinates go to client i and `other` different ones to client j.
        d, k = self.sketch.dim, self.sketch.k
        given = prod(k - t for t in range(mine)) * prod(k - t for t in range(other))
        ways = prod(d - t for t in range(mine + other))
        return given / ways if ways > 0 else 0.0


def _hollow(M: np.ndarray) -> np.ndarray:
    out = M.copy()
    np.fill_diagonal(out, 0.0)
    return out


def crossed_operators(
    sketch_i: Sketch, A_i: np.ndarray, sketch_j: Sketch, A_j: np.ndarray, joint: str = "independent"
) -> CrossedOperators:
    """Return the maps M ↦ E[H_i M H_j], E[H_i M S_j], E[S_iᵀM S_j] for two different clients.

    Parameters
    ----------
    sketch_i, sketch_j : Sketch
        The law of each client's sketch, unbiased.
    A_i, A_j : ndarray, shape (dim, dim)
        Their symmetric matrices.
    joint : {"independent", "permk"}
        How the two sketches depend on each other; for "permk" both must be the same `PermK`.

    Returns
    -------
    CrossedOperators
        O(dim³) each.

    Raises
    ------
    ValueError
        If the sketches do not fit `joint` or each other, or a matrix has the wrong shape.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> S = ms.PermK(2, clients=2)
    >>> crossed_operators(S, np.eye(2), S, np.eye(2), "permk").plain(np.ones((2, 2)))
    array([[0., 2.],
           [2., 0.]])
    """
    A_i, A_j = sketch_i.check_matrix(A_i), sketch_j.check_matrix(A_j)
    if sketch_i.dim != sketch_j.dim:
        raise ValueError(f"sketch_j has dim={sketch_j.dim}, but it must be that of sketch_i, {sketch_i.dim}")
    if one_of("joint", joint, JOINTS) == "permk":
        return PermKPair(shared_permutation([sketch_i, sketch_j]), A_i, A_j)
    for sketch in (sketch_i, sketch_j):
        if not sketch.unbiased:
            raise ValueError(f"sketch {sketch.name} is not accepted: it must have E[S] = I")
    return IndependentPair(sketch_i.quadratic_moment(A_i), sketch_j.quadratic_moment(A_j))


def shared_permutation(sketches: list[Sketch]) -> PermK:
    """Return the Perm-K sketch of all clients, refusing sketches that cannot come from one permutation.

    Parameters
    ----------
    sketches : list of Sketch
        One a client.

    Returns
    -------
    PermK
        The common one.

    Raises
    ------
    ValueError
        If they are not equal Perm-K sketches, or there is a single client.

    Examples
    --------
    >>> import mastsim as ms
    >>> shared_permutation([ms.PermK(4, 2), ms.PermK(4, 2)]).k
    2
    """
    first = sketches[0]
    if not isinstance(first, PermK) or any(sketch != first for sketch in sketches):
        names = ", ".join(sketch.name for sketch in sketches)
        raise ValueError(f"joint='permk' needs the same PermK sketch for every client, not {names}")
    if not 2 <= len(sketches) <= first.clients:
        raise ValueError(f"joint='permk' takes from 2 to clients={first.clients} clients, not {len(sketches)}")
    return first
