"""Second moment of a random affine gradient H y + ζ, for y = x − x_D*, in closed form."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mastsim.linalg import outer, symmetric_part, transposed
from mastsim.sketches.laws import MomentOperators
from mastsim.sketches.laws.crossed import JOINTS, CrossedOperators, IndependentPair, shared_permutation
from mastsim.validation import finite, floats, one_of, vector

_CLIP = 1e-14


class GradientMoments(ABC):
    """H y + ζ with ζ = Sᵀg₀ + H z*, the gradient of a sketched quadratic, or a mean of those of clients.

    Matrices M have shape (…, dim, dim) and means m shape (…, dim): one y, or several at once.
    """

    z_star: np.ndarray
    """x_D* − v, shape (dim,)."""

    @property
    def self_adjoint(self) -> bool:
        """Whether every H is symmetric, so that M ↦ E[HMHᵀ] is self-adjoint."""
        return True

    keeps_range: bool = True
    """Whether gradients lie in range(H_D)."""

    @property
    @abstractmethod
    def mean(self) -> np.ndarray:
        """H_D = E[H], shape (dim, dim)."""

    @abstractmethod
    def curvature2(self, M: np.ndarray) -> np.ndarray:
        """Return E[HMH], shape (dim, dim)."""

    @abstractmethod
    def linear(self, m: np.ndarray) -> np.ndarray:
        """Return E[(Hm)(Sᵀg₀)ᵀ], shape (dim, dim)."""

    @abstractmethod
    def constant(self) -> np.ndarray:
        """Return E[(Sᵀg₀)(Sᵀg₀)ᵀ], shape (dim, dim)."""

    @cached_property
    def _noise_terms(self) -> list[np.ndarray]:
        z = self.z_star
        cross = self.linear(z)
        return [self.constant(), cross, cross.T, self.curvature2(outer(z, z))]

    @cached_property
    def noise(self) -> np.ndarray:
        """N = E[ζζᵀ], shape (dim, dim); exactly zero where it is zero up to the rounding of its terms."""
        total = symmetric_part(sum(self._noise_terms[1:], self._noise_terms[0]))
        return np.zeros_like(total) if np.linalg.norm(total) <= _CLIP * self.noise_size else total

    @cached_property
    def noise_size(self) -> float:
        """The sum of the sizes of the terms of `noise`, by which its rounding is judged."""
        return sum(float(np.linalg.norm(part)) for part in self._noise_terms)

    @cached_property
    def curvature_size(self) -> float:
        """E‖H‖² in the Frobenius norm."""
        return float(np.trace(self.curvature2(np.eye(len(self.mean)))))

    @cached_property
    def noiseless(self) -> bool:
        """Whether ζ = 0 always, so that x_D* is a fixed point of every step."""
        return not self.noise.any()

    def second(self, mean: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return E[(Hy + ζ)(Hy + ζ)ᵀ] for a random y independent of H and ζ."""
        if self.noiseless:
            return symmetric_part(self.curvature2(second))
        shifted, cross = outer(mean, self.z_star), self.linear(mean)
        moved = self.curvature2(second + shifted + transposed(shifted))
        return symmetric_part(moved) + cross + transposed(cross) + self.noise


@dataclass(frozen=True, eq=False)
class SketchedGradient(GradientMoments):
    """The gradient Sᵀg₀ + H(x − v) of one sketched quadratic.

    Parameters
    ----------
    operators : MomentOperators
        Those of the sketch and A.
    z_star : array, shape (dim,)
        x_D* − v, a solution of H_D z = −g₀.
    g0 : array, shape (dim,)
        Av − b, the gradient of f at v.
    """

    operators: MomentOperators
    z_star: np.ndarray
    g0: np.ndarray

    def __post_init__(self) -> None:
        for name in ("z_star", "g0"):
            object.__setattr__(self, name, vector(name, getattr(self, name), self.operators.dim))

    @property
    def mean(self) -> np.ndarray:
        """H_D, shape (dim, dim)."""
        return self.operators.mean

    def curvature2(self, M: np.ndarray) -> np.ndarray:
        """Return E[HMH], shape (dim, dim)."""
        return self.operators.curvature2(M)

    def linear(self, m: np.ndarray) -> np.ndarray:
        """Return E[(Hm)(Sᵀg₀)ᵀ], shape (dim, dim)."""
        return self.operators.mixed(outer(m, self.g0))

    def constant(self) -> np.ndarray:
        """Return E[(Sᵀg₀)(Sᵀg₀)ᵀ], shape (dim, dim)."""
        return self.operators.plain(outer(self.g0, self.g0))


@dataclass(frozen=True, eq=False)
class DistributedGradient(GradientMoments):
    """The mean of the sketched gradients of M clients with a common shift.

    The sum over pairs of different clients is bilinear in their matrices and gradients, so it is the map at the sums less
    the maps at each client: O(M dim³) instead of O(M² dim³).

    Parameters
    ----------
    operators : sequence of MomentOperators
        One a client.
    z_star : array, shape (dim,)
        x_D* − v, a solution of (1/M)ΣE[H_i] z = −(1/M)Σ g_i.
    gradients : array, shape (clients, dim)
        g_i = A_i v − b_i.
    joint : {"independent", "permk"}
        How the sketches of one step depend on each other.
    own, pairs : float, default 1.0
        M²·E w_i² and M²·E w_i w_j for the weights w_i, of mean 1/M, of one client and of two; 1 where all take part.
    """

    operators: Sequence[MomentOperators]
    z_star: np.ndarray
    gradients: np.ndarray
    joint: str = "independent"
    own: float = 1.0
    pairs: float = 1.0

    def __post_init__(self) -> None:
        clients = tuple(self.operators)
        if not clients or any(client.dim != clients[0].dim for client in clients):
            raise ValueError(f"operators={clients} is not accepted: it must be at least one, all of the same dimension")
        object.__setattr__(self, "operators", clients)
        object.__setattr__(self, "z_star", vector("z_star", self.z_star, clients[0].dim))
        g = finite("gradients", floats("gradients", self.gradients))
        if g.shape != (len(clients), clients[0].dim):
            raise ValueError(f"gradients has shape {g.shape}, but it must be ({len(clients)}, {clients[0].dim})")
        object.__setattr__(self, "gradients", g)
        if one_of("joint", self.joint, JOINTS) == "permk" and len(clients) > 1:
            shared_permutation([client.law for client in clients])

    @cached_property
    def mean(self) -> np.ndarray:
        """H_D, the mean of the clients' E[H_i], shape (dim, dim)."""
        return np.mean([client.mean for client in self.operators], axis=0)

    @cached_property
    def _pairs(self) -> tuple[CrossedOperators, list[CrossedOperators]]:
        # The crossed maps at the sums over clients, and at each client with itself.
        if self.joint == "permk" and len(self.operators) > 1:
            law = shared_permutation([client.law for client in self.operators])
            summed = np.sum([client.matrix for client in self.operators], axis=0)
            return law.crossed(summed, summed), [law.crossed(c.matrix, c.matrix) for c in self.operators]
        whole = self.mean * len(self.operators)
        return IndependentPair(whole, whole), [IndependentPair(c.mean, c.mean) for c in self.operators]

    def curvature2(self, M: np.ndarray) -> np.ndarray:
        """Return E[HMH] for the mean H of the clients' H_i, shape (dim, dim)."""
        whole, own = self._pairs
        total = self.pairs * whole.curvature2(M)
        for client, pair in zip(self.operators, own, strict=True):
            total = total + (self.own * client.curvature2(M) - self.pairs * pair.curvature2(M))
        return total / len(self.operators) ** 2

    def linear(self, m: np.ndarray) -> np.ndarray:
        """Return E[(Hm)((1/M)ΣS_iᵀg_i)ᵀ], shape (dim, dim)."""
        whole, own = self._pairs
        total = self.pairs * whole.mixed(outer(m, self.gradients.sum(axis=0)))
        for client, pair, g in zip(self.operators, own, self.gradients, strict=True):
            both = outer(m, g)
            total = total + (self.own * client.mixed(both) - self.pairs * pair.mixed(both))
        return total / len(self.operators) ** 2

    def constant(self) -> np.ndarray:
        """Return the second moment of (1/M)ΣS_iᵀg_i, shape (dim, dim)."""
        whole, own = self._pairs
        g = self.gradients.sum(axis=0)
        total = self.pairs * whole.plain(outer(g, g))
        for client, pair, mine in zip(self.operators, own, self.gradients, strict=True):
            square = outer(mine, mine)
            total = total + (self.own * client.plain(square) - self.pairs * pair.plain(square))
        return total / len(self.operators) ** 2
