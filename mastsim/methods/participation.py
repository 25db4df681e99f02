"""Which clients take part in a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from mastsim.backend import Array, namespace
from mastsim.draws import Coin, Draw, Independent, probability
from mastsim.keywords import read_number
from mastsim.methods.uniform_sampling import Nice
from mastsim.readonly import ReadOnly
from mastsim.validation import integer, shown


@dataclass(frozen=True)
class Participation(ReadOnly):
    """Each of M clients takes part with probability p by itself, or m of them do, uniformly; all of them by default.

    The server divides what it gets by pM, or by m, so that the step stays unbiased.

    Parameters
    ----------
    p : float, optional
        In (0, 1].
    m : int, optional
        From 1 to M.

    Raises
    ------
    ValueError
        If both are given, or one is outside its range.

    References
    ----------
    This package.

    Examples
    --------
    >>> Participation(p=0.5).name, Participation(m=2).name, Participation().name
    ('each client with p = 0.5', '2 clients at a time', 'all clients')
    """

    p: float | None = None
    m: int | None = None

    affine: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.p is not None and self.m is not None:
            given = f"p={shown(self.p)} and m={shown(self.m)}"
            raise ValueError(f"{given} are not accepted together: give one of them")
        if self.p is not None:
            object.__setattr__(self, "p", probability("p", self.p))
        if self.m is not None:
            object.__setattr__(self, "m", integer("m", self.m, 1))
        if self.p == 1:
            object.__setattr__(self, "p", None)

    @classmethod
    def each(cls, argument: str) -> Participation:
        """Return the participation that ``p:P`` names."""
        return cls(p=read_number("p", argument))

    @classmethod
    def several(cls, argument: str) -> Participation:
        """Return the participation that ``m:M`` names."""
        return cls(m=read_number("m", argument))  # type: ignore[arg-type]

    @property
    def text(self) -> str:
        """The text that names it, for example ``p:0.5``."""
        return f"m:{self.m}" if self.m is not None else f"p:{self.p or 1:g}"

    @property
    def name(self) -> str:
        """For example ``2 clients at a time``."""
        if self.m is not None:
            return f"{self.m} clients at a time"
        return "all clients" if self.p is None else f"each client with p = {self.p:g}"

    def check(self, clients: int) -> int:
        """Return the number of clients, refusing fewer than m."""
        if self.m is not None and self.m > clients:
            raise ValueError(f"m={self.m} is not accepted: there are only {clients} clients")
        return clients

    def is_full(self, clients: int) -> bool:
        """Return whether all clients take part in every step."""
        return self.p is None and self.m in (None, clients)

    def weights(self, clients: int, draw: Draw, like: Array) -> Array:
        """Return the weight of every client in the sum, shape (replicas, clients), of mean 1/M."""
        xp = namespace(like)
        if self.m is not None:
            drawn: Any = draw.of("clients", Nice(self.m).law(clients))
            taken = xp.any(xp.asarray(drawn.index)[:, :, None] == xp.arange(clients)[None, None, :], axis=1)
            return xp.astype(taken, like.dtype) / self.m
        chance = 1.0 if self.p is None else self.p
        coins = draw.of("clients", Independent((Coin(chance),) * clients))
        heads = xp.stack([coin.heads for coin in coins], axis=1)
        return xp.astype(heads, like.dtype) / (chance * clients)

    def moments(self, clients: int) -> tuple[float, float]:
        """Return M²·E w_i² and M²·E w_i w_j for the weights of one client and of two."""
        if self.m is not None:
            pairs = clients * (self.m - 1) / (self.m * (clients - 1)) if clients > 1 else 0.0
            return clients / self.m, pairs
        return 1.0 if self.p is None else 1 / self.p, 1.0


def kept(batch: Any, like: Array) -> Array:
    """Return 1 where a mask keeps a coordinate and 0 elsewhere, shape (replicas, dim); refuses what is no mask."""
    diagonals = getattr(batch, "diagonals", None)
    if diagonals is None:
        raise ValueError("averaging='coverage' is not accepted: it needs sketches that keep or drop coordinates")
    xp = namespace(like)
    return xp.astype(xp.broadcast_to(diagonals, like.shape) != 0, like.dtype)


MEAN, COVERAGE = "mean", "coverage"
AVERAGES = (MEAN, COVERAGE)
"""What a server does with what clients send: their mean, or for every coordinate the mean over those that kept it."""
UNPROVED = (
    "coverage-normalised averaging is not unbiased: what it divides by depends on the sketches, so that the mean step is "
    "not along ∇f_D; it may be simulated"
)
