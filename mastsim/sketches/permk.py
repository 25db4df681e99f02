"""Perm-K sketches: the coordinates dealt out to the clients, each its own share."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import ClassVar

import numpy as np

from mastsim.backend import Array, namespace
from mastsim.draws import Values
from mastsim.memory import check_room
from mastsim.sketches.arguments import whole_numbers
from mastsim.sketches.base import SUPPORT_LIMIT
from mastsim.sketches.batches import DiagonalBatch
from mastsim.sketches.laws import DealtShare
from mastsim.sketches.selection import SelectionSketch
from mastsim.validation import integer, shown


@dataclass(frozen=True)
class PermK(SelectionSketch):
    """A random permutation of d = K·M coordinates cut into M blocks, one for each client, scaled by M.

    As a `Sketch` this is the law of one client, which is Rand-K with K = d/M. The joint law of the M clients, whose mean is
    exactly the identity, is drawn by `sample_joint`.

    Parameters
    ----------
    dim : int
        Dimension d, a multiple of `clients`.
    clients : int
        Number of clients M, from 1 to `dim`.

    Raises
    ------
    ValueError
        If `clients` is out of range or `dim` is not a multiple of it.

    References
    ----------
    Szlendak, Tyurin, Richtárik, Permutation compressors for provably faster distributed nonconvex optimization,
    arXiv 2110.03300.

    Examples
    --------
    >>> S = PermK(4, clients=2)
    >>> S.k, S.L_D, S.L_max
    (2, 2.0, 4.0)
    >>> first, second = S.sample_joint(np.random.default_rng(0), size=1)
    >>> (first.diagonals + second.diagonals) / 2
    array([[1., 1., 1., 1.]])
    """

    dim: int
    clients: int

    keyword: ClassVar[str] = "permk"
    form: ClassVar[str] = "permk:CLIENTS, for example permk:4"

    @classmethod
    def from_text(cls, argument: str, dim: int) -> PermK:
        """Return the sketch that ``permk:CLIENTS`` names."""
        (clients,) = whole_numbers(argument, cls.form)
        return cls(dim, clients)

    @classmethod
    def examples(cls, dim: int) -> list[PermK]:
        """Return all members."""
        return [cls(dim, clients) for clients in range(1, dim + 1) if dim % clients == 0]

    def __post_init__(self) -> None:
        object.__setattr__(self, "dim", integer("dim", self.dim, 1))
        object.__setattr__(self, "clients", integer("clients", self.clients, 1, self.dim))
        if self.dim % self.clients:
            raise ValueError(f"dim={self.dim} is not accepted: Perm-K needs a multiple of clients={self.clients}")

    @property
    def name(self) -> str:
        """For example ``Perm-2 of 8 for 4 clients``."""
        return f"Perm-{self.k} of {self.dim} for {self.clients} clients"

    @property
    def k(self) -> int:
        """K = d/M, the number of coordinates a client keeps."""
        return self.dim // self.clients

    @cached_property
    def law(self) -> DealtShare:
        """The law of one client's kept set: one group of all coordinates."""
        return DealtShare.deal(self.dim, self.clients)

    @cached_property
    def joint(self) -> PermKJoint:
        """The joint law of the sketches of all clients."""
        return PermKJoint(self)

    def sample_joint(self, rng: np.random.Generator, size: int) -> Values:
        """Return `size` independent joint draws.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of randomness; only this object is advanced.
        size : int
            Number of draws, at least 1.

        Returns
        -------
        Values
            One batch of `size` sketches a client.

        Raises
        ------
        TypeError
            If `rng` is not a Generator.
        """
        if not isinstance(rng, np.random.Generator):
            raise TypeError(f"rng={shown(rng)} is not accepted: it must be a numpy.random.Generator")
        size = integer("size", size, 1)
        check_room(f"samples of {self.name}", size, self.clients, self.dim, change="draw fewer at once", itemsize=16)
        return self.joint.from_uniforms(rng.random((size, self.joint.uniforms)))

    def cross_moment(self, A: np.ndarray) -> np.ndarray:
        """Return E[S_iᵀAS_j] for two different clients i ≠ j.

        No coordinate goes to both, and two different ones do with probability K²/(d(d−1)): d/(d−1)·(A − Diag(A)).

        Parameters
        ----------
        A : ndarray, shape (dim, dim)
            Any matrix.

        Returns
        -------
        ndarray, shape (dim, dim)
            The moment.

        Raises
        ------
        ValueError
            If there is one client only.
        """
        A = self.check_matrix(A)
        if self.clients == 1:
            raise ValueError("cross_moment needs two different clients, but this sketch has clients=1")
        return self.dim / (self.dim - 1) * (A - np.diag(np.diag(A)))


@dataclass(frozen=True)
class PermKJoint:
    """The sketches of all clients of a Perm-K, which share one permutation.

    Parameters
    ----------
    sketch : PermK
        The law of one client.
    """

    sketch: PermK

    @property
    def uniforms(self) -> int:
        """How many uniform random numbers one joint draw takes: one a coordinate."""
        return self.sketch.dim

    def from_uniforms(self, u: Array) -> Values:
        """Return the sketches of all clients; the order of the numbers of a row is the permutation."""
        return self._dealt(namespace(u).argsort(u, axis=-1, stable=True) // self.sketch.k)

    @property
    def support_size(self) -> float:
        """The number of ways to deal d coordinates to M clients, d!/(K!)^M."""
        d, k, clients = self.sketch.dim, self.sketch.k, self.sketch.clients
        return float(math.prod(math.comb(d - k * i, k) for i in range(clients))) if d <= 64 else math.inf

    def support(self) -> tuple[Values, np.ndarray]:
        """Return every value and its probability."""
        if self.support_size > SUPPORT_LIMIT:
            raise ValueError(
                f"the joint law of {self.sketch.name} has {self.support_size:.6g} values, too many to enumerate"
            )
        deals = (self.support_size, self.sketch.clients, self.sketch.dim)
        check_room(f"the joint law of {self.sketch.name}", *deals, change="use fewer clients or dimensions", itemsize=16)
        owners = np.array(list(self._deals(tuple(range(self.sketch.dim)), self.sketch.clients)))
        return self._dealt(owners), np.full(len(owners), 1 / len(owners))

    def _deals(self, left: tuple[int, ...], clients: int) -> Iterator[np.ndarray]:
        """Yield the owner of each coordinate, clients counted down, for every way to deal the coordinates left."""
        if clients == 0:
            yield np.zeros(self.sketch.dim, dtype=int)
            return
        for own in combinations(left, self.sketch.k):
            for deal in self._deals(tuple(i for i in left if i not in own), clients - 1):
                deal[list(own)] = clients - 1
                yield deal

    def _dealt(self, owner: Array) -> Values:
        xp = namespace(owner)
        clients = self.sketch.clients
        return Values(tuple(DiagonalBatch(xp.astype(owner == i, xp.float64) * clients) for i in range(clients)))
