"""The law of a sketch in other coordinates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mastsim.linalg import symmetric_part, transposed
from mastsim.provenance import Constant
from mastsim.sketches.laws.base import Law, MomentOperators
from mastsim.sketches.laws.listed import as_matrices

Turn = Callable[[Any], Any]
"""Multiplication of the last axis by a fixed orthogonal matrix."""


@dataclass(frozen=True, eq=False)
class RotatedLaw(Law):
    """The law of QᵀS₀Q.

    Parameters
    ----------
    inner : Law
        The law of S₀.
    forward, backward : callable
        Multiplication of the last axis by Q and by Qᵀ.
    away : float
        How far Q as it is computed may be from an orthogonal matrix, relative to what it is applied to.
    """

    inner: Law
    forward: Turn
    backward: Turn
    away: float
    dim: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "dim", self.inner.dim)
        super().__post_init__()

    @property
    def unbiased(self) -> bool:
        """Whether E[S₀] = I."""
        return self.inner.unbiased

    @property
    def symmetric(self) -> bool:
        """Whether S₀ is."""
        return self.inner.symmetric

    @property
    def L_max(self) -> float:
        """That of S₀: rotations do not change norms."""
        return self.inner.L_max

    @property
    def L_max_is_exact(self) -> bool:
        """As for S₀."""
        return self.inner.L_max_is_exact

    @property
    def L_D(self) -> float:
        """That of S₀: rotations do not change eigenvalues."""
        return self.inner.L_D

    @property
    def mu_D(self) -> float:
        """That of S₀: rotations do not change eigenvalues."""
        return self.inner.mu_D

    def second_moment(self) -> np.ndarray:
        """Return E[SᵀS] = QᵀE[S₀ᵀS₀]Q, shape (dim, dim)."""
        return self.outside(self.inner.second_moment())

    def second_times(self, z: np.ndarray) -> np.ndarray:
        """Return E[SᵀS] z, shape (dim,)."""
        return np.asarray(self.backward(self.inner.second_times(self.forward(z))))

    def quadratic_moment(self, A: np.ndarray) -> np.ndarray:
        """Return E[SᵀAS] = QᵀE[S₀ᵀ(QAQᵀ)S₀]Q, shape (dim, dim)."""
        return self.outside(self.inner.quadratic_moment(self.inside(A)))

    def moment_operators(self, A: np.ndarray) -> MomentOperators | None:
        """Return those of S₀ and QAQᵀ in the original coordinates, or None where they are not known."""
        inside = self.inside(A)
        inner = self.inner.moment_operators(symmetric_part(inside))
        return None if inner is None else RotatedOperators(self, A, inner)

    def fourth_moment(self, A: np.ndarray) -> np.ndarray | None:
        """Return E[SᵀASSᵀAS], shape (dim, dim), from that of S₀ at QAQᵀ."""
        found = self.inner.fourth_moment(self.inside(A))
        return None if found is None else self.outside(found)

    def supremum_curvature(self, A: np.ndarray) -> Constant | None:
        """Return sup_S λ_max(SᵀAS), that of S₀ at QAQᵀ and as exact as it."""
        return self.inner.supremum_curvature(self.inside(A))

    def scalar(self, a: np.ndarray, z: np.ndarray) -> Any:
        """Return the law of the scalar aᵀSz = (Qa)ᵀS₀(Qz)."""
        return self.inner.scalar(self.forward(a), self.forward(z))

    @property
    def core(self) -> Law:
        """That of S₀."""
        return self.inner.core

    @property
    def departure(self) -> float:
        """That of Q, and that of S₀."""
        return self.away + (1 + self.away) * self.inner.departure

    def turn(self, x: Any) -> Any:
        """Return points in the coordinates of `core`, along the last axis."""
        return self.inner.turn(self.forward(x))

    def turn_back(self, x: Any) -> Any:
        """Undo `turn`."""
        return self.backward(self.inner.turn_back(x))

    @property
    def support_size(self) -> float:
        """As many values as S₀ has."""
        return self.inner.support_size

    def values(self) -> tuple[np.ndarray, np.ndarray]:
        """Return all matrices, written out, and their probabilities."""
        values, weights = self.inner.values()
        right = np.asarray(self.backward(as_matrices(values)))
        return np.asarray(self.backward(right.transpose(0, 2, 1).copy())).transpose(0, 2, 1), weights

    def inside(self, M: np.ndarray) -> np.ndarray:
        """Return QMQᵀ."""
        return _conjugate(M, self.forward)

    def outside(self, M: np.ndarray) -> np.ndarray:
        """Return QᵀMQ."""
        return _conjugate(M, self.backward)


def _conjugate(M: np.ndarray, turn: Turn) -> np.ndarray:
    """Return TMTᵀ for the matrix T of a turn."""
    right = np.ascontiguousarray(transposed(np.asarray(turn(M))))
    return transposed(np.asarray(turn(right)))


@dataclass(frozen=True, eq=False)
class RotatedOperators(MomentOperators):
    """The operators of QᵀS₀Q: those of S₀ with QAQᵀ, in the coordinates Qx.

    Parameters
    ----------
    law, matrix
        As for `MomentOperators`.
    inner : MomentOperators
        The operators of S₀ and QAQᵀ.
    """

    law: RotatedLaw
    inner: MomentOperators

    def curvature2(self, M: np.ndarray) -> np.ndarray:
        """Return E[HMH], shape (dim, dim)."""
        return self.law.outside(self.inner.curvature2(self.law.inside(M)))

    def mixed(self, M: np.ndarray) -> np.ndarray:
        """Return E[HMS], shape (dim, dim)."""
        return self.law.outside(self.inner.mixed(self.law.inside(M)))

    def plain(self, M: np.ndarray) -> np.ndarray:
        """Return E[SᵀMS], shape (dim, dim)."""
        return self.law.outside(self.inner.plain(self.law.inside(M)))
