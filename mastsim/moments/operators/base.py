"""What the moment operators of a sketch are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mastsim.sketches import Sketch


@dataclass(frozen=True, eq=False)
class MomentOperators(ABC):
    """The linear maps M ↦ E[HMH], E[HMS], E[SᵀMS] for H = SᵀAS, on matrices of shape (dim, dim), symmetric or not.

    They are all that the mean and the second moment of ∇f_S(x) = Sᵀg₀ + H(x − v) of a quadratic need.

    Parameters
    ----------
    sketch : Sketch
        The law of S.
    matrix : ndarray, shape (dim, dim)
        The symmetric matrix A.

    References
    ----------
    This package.
    """

    sketch: Sketch
    matrix: np.ndarray

    @property
    def dim(self) -> int:
        """The dimension d."""
        return len(self.matrix)

    @cached_property
    def mean(self) -> np.ndarray:
        """H_D = E[H], shape (dim, dim)."""
        return self.sketch.quadratic_moment(self.matrix)

    @abstractmethod
    def curvature2(self, M: np.ndarray) -> np.ndarray:
        """Return E[HMH] = E[SᵀAS·M·SᵀAS], shape (dim, dim)."""

    @abstractmethod
    def mixed(self, M: np.ndarray) -> np.ndarray:
        """Return E[HMS] = E[SᵀAS·M·S], shape (dim, dim).

        For M = z gᵀ it is E[(Hz)(Sᵀg)ᵀ], the covariance of the two parts of a sketched gradient.
        """

    @abstractmethod
    def plain(self, M: np.ndarray) -> np.ndarray:
        """Return E[SᵀMS], shape (dim, dim)."""


def symmetric(M: np.ndarray) -> np.ndarray:
    """Return (M + Mᵀ)/2.

    Parameters
    ----------
    M : ndarray, shape (dim, dim)
        Any matrix.

    Returns
    -------
    ndarray, shape (dim, dim)
        Its symmetric part.

    Examples
    --------
    >>> symmetric(np.array([[0.0, 2.0], [0.0, 0.0]]))
    array([[0., 1.],
           [1., 0.]])
    """
    return (M + M.T) / 2
