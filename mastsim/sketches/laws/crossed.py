"""Operators of two different clients: E[H_i M H_j], E[H_i M S_j], E[S_iᵀM S_j]."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import prod

import numpy as np

from mastsim.linalg import diagonal, transposed
from mastsim.sketches.laws.base import Law
from mastsim.sketches.laws.selection import Selection
from mastsim.validation import one_of

JOINTS = ("independent", "permk")


@dataclass(frozen=True, eq=False)
class DealtShare(Selection):
    """What one client gets when a random permutation deals the coordinates: K = dim/clients of them, uniformly.

    Parameters
    ----------
    unit, group, members, kept
        As for `Selection`; use `deal`.
    clients : int
        The number of clients.
    """

    clients: int = 1

    @classmethod
    def deal(cls, dim: int, clients: int) -> DealtShare:
        """Return the share of one of the clients, whose number must divide `dim`."""
        whole = np.arange(dim), np.zeros(dim, dtype=int), np.array([dim]), np.array([float(dim // clients)])
        return cls(*whole, clients=clients)

    def crossed(self, A_i: np.ndarray, A_j: np.ndarray) -> CrossedOperators:
        """Return the operators of two different clients of one permutation."""
        return PermKPair(self, A_i, A_j)


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
    law : DealtShare
        With two clients at least.
    first, second : ndarray, shape (dim, dim)
        A_i and A_j; the maps are linear in each.
    """

    law: DealtShare
    first: np.ndarray
    second: np.ndarray

    def curvature2(self, M: np.ndarray) -> np.ndarray:
        """Return E[H_i M H_j], shape (dim, dim)."""
        A, B = self.first, self.second
        a, m, b = A.diagonal(), diagonal(M), B.diagonal()
        scale = self.law.clients**4
        v0, v1, v2 = (scale * self._chance(*counts) for counts in ((2, 2), (2, 1), (1, 1)))
        w3 = 2 * v0 - v1
        AM = A @ M
        am, mb = diagonal(AM), np.einsum("...ik,ki->...i", M, B)
        here = ..., np.arange(len(a)), np.arange(len(a))
        # All terms that end in a dense product with B.
        left = v0 * AM + ((v1 - v0) * a)[:, None] * M - v0 * A * m[..., None, :]
        left[here] += w3 * a * m - v0 * am
        total = left @ B
        total += (v1 - v0) * AM * b + A * (w3 * m * b - v0 * mb)[..., None, :]
        total += (v2 - 2 * v1 + v0) * np.outer(a, b) * M + v0 * A * transposed(M) * B
        own = v0 * (m @ (A * B).T - np.einsum("...ik,ki->...i", AM, B)) + w3 * (a * mb + am * b)
        total[here] += own + (4 * v1 - v2 - 6 * v0) * a * m * b
        return total

    def mixed(self, M: np.ndarray) -> np.ndarray:
        """Return E[H_i M S_j], shape (dim, dim)."""
        scale = self.law.clients**3
        two, one = scale * self._chance(2, 1), scale * self._chance(1, 1)
        weighted = two * self.first
        np.fill_diagonal(weighted, one * self.first.diagonal())
        return _hollow(weighted @ _hollow(M))

    def plain(self, M: np.ndarray) -> np.ndarray:
        """Return E[S_iᵀM S_j], shape (dim, dim)."""
        return self.law.clients**2 * self._chance(1, 1) * _hollow(M)

    def _chance(self, mine: int, other: int) -> float:
        # That `mine` given coordinates go to client i and `other` different ones to client j.
        d, k = self.law.dim, self.law.dim // self.law.clients
        given = prod(k - t for t in range(mine)) * prod(k - t for t in range(other))
        ways = prod(d - t for t in range(mine + other))
        return given / ways if ways > 0 else 0.0


def _hollow(M: np.ndarray) -> np.ndarray:
    return M * (1 - np.eye(M.shape[-1]))


def crossed_operators(
    first: Law, A_i: np.ndarray, second: Law, A_j: np.ndarray, joint: str = "independent"
) -> CrossedOperators:
    """Return the maps M ↦ E[H_i M H_j], E[H_i M S_j], E[S_iᵀM S_j] for two different clients.

    Parameters
    ----------
    first, second : Law
        The law of each client's sketch, unbiased.
    A_i, A_j : ndarray, shape (dim, dim)
        Their symmetric matrices.
    joint : {"independent", "permk"}
        How the two sketches depend on each other; for "permk" both must be the law of the same `PermK`.

    Returns
    -------
    CrossedOperators
        O(dim³) each.

    Raises
    ------
    ValueError
        If the laws do not fit `joint` or each other.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> law = ms.PermK(2, clients=2).law
    >>> crossed_operators(law, np.eye(2), law, np.eye(2), "permk").plain(np.ones((2, 2)))
    array([[0., 2.],
           [2., 0.]])
    """
    if first.dim != second.dim:
        raise ValueError(f"second has dim={second.dim}, but it must be that of first, {first.dim}")
    if one_of("joint", joint, JOINTS) == "permk":
        return shared_permutation([first, second]).crossed(A_i, A_j)
    for law in (first, second):
        if not law.unbiased:
            raise ValueError(f"{type(law).__name__} is not accepted: it must be a law with E[S] = I")
    return IndependentPair(first.quadratic_moment(A_i), second.quadratic_moment(A_j))


def shared_permutation(laws: list[Law]) -> DealtShare:
    """Return the share of every client, refusing laws that cannot come from one permutation."""
    share = laws[0]
    same = isinstance(share, DealtShare) and all(
        isinstance(law, DealtShare) and (law.dim, law.clients) == (share.dim, share.clients) for law in laws
    )
    if not same or not isinstance(share, DealtShare):
        raise ValueError("joint='permk' needs the law of the same PermK sketch for every client")
    if not 2 <= len(laws) <= share.clients:
        raise ValueError(f"joint='permk' takes from 2 to clients={share.clients} clients, not {len(laws)}")
    return share
