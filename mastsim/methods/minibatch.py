"""What a sampling is: a random weighted choice of components of f = (1/n)Σf_i."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mastsim.backend import Array, rows_at
from mastsim.readonly import ReadOnly
from mastsim.validation import array, finite, floats, integer

if TYPE_CHECKING:
    from mastsim.problems import Problem

SUPPORT_LIMIT = 1 << 20


@dataclass(frozen=True, eq=False)
class Minibatch:
    """The estimator Σ_j weights[r, j]·∇f_{index[r, j]} of every replica r.

    Parameters
    ----------
    index : array of int, shape (replicas, m), or None
        The components; None stands for all n of them in order.
    weights : array, shape (replicas, m) or (replicas, n)
        Their weights; the expected total weight of each component is 1/n.

    Examples
    --------
    >>> Minibatch(np.array([[0, 2], [1, 1]]), np.full((2, 2), 0.5)).take(np.array([1])).index
    array([[1, 1]])
    """

    example = "what a sampling draws"

    index: Array | None
    weights: Array

    def __post_init__(self) -> None:
        if self.index is not None:
            array("index", self.index)
        array("weights", self.weights)

    def take(self, index: Array) -> Minibatch:
        """Return the replicas that `index` lists."""
        return Minibatch(None if self.index is None else rows_at(self.index, index), rows_at(self.weights, index))


class Sampling(ReadOnly, ABC):
    """A law of unbiased minibatches of any finite sum; subclasses are frozen dataclasses of settings."""

    noun = "sampling"
    example = "Nice(32)"

    keyword: ClassVar[str] = ""
    """The sampling's name in a text such as ``nice:32``; empty for samplings that cannot be written in one."""

    @classmethod
    def from_text(cls, argument: str, problem: Problem) -> Sampling:
        """Return the sampling of a problem's components that the text after the colon of ``keyword:argument`` names."""
        raise ValueError(f"{cls.__name__} cannot be named in a text; build it in Python")

    @property
    @abstractmethod
    def name(self) -> str:
        """A short text that says which sampling this is."""

    def check(self, n: int) -> int:
        """Return the number of components `n`, at least 1, refusing one that the settings do not fit."""
        return integer("n", n, 1)

    def law(self, n: int) -> SamplingLaw:
        """Return the law of a minibatch of `n` components."""
        return SamplingLaw(self, n)

    @abstractmethod
    def expected_size(self, n: int) -> float:
        """Return the expected number of component gradients in a minibatch, repeated ones counted each time."""

    def expected_smoothness(self, component_smoothness: Array) -> tuple[float, float]:
        """Return (A, B) with E‖g‖² ≤ A·(1/n)Σ‖∇f_i‖²/L_i + B‖∇f‖² for whatever gradients.

        With ‖∇f_i‖² ≤ 2L_i(f_i − f_i^inf) this is E‖g‖² ≤ 2A(f − (1/n)Σf_i^inf) + B‖∇f‖².

        Parameters
        ----------
        component_smoothness : array, shape (n,)
            The L_i, at or above zero.

        Returns
        -------
        tuple of float
            A and B, the smallest that serve all gradients.

        Raises
        ------
        ValueError
            If an L_i is negative or not finite, or their number does not fit the settings.

        References
        ----------
        Gower et al., SGD: general analysis and improved rates, ICML 2019, Section 3; here for gradients that need not
        vanish together.
        """
        L = checked_smoothness("component_smoothness", component_smoothness)
        shares, B = self.second_moment(len(L))
        return float((shares * L).max()), B

    def second_moment(self, n: int) -> tuple[np.ndarray, float]:
        """Return shares s and B with E‖g‖² = (1/n)Σ s_i‖∇f_i‖² + B‖∇f‖² for whatever gradients of n components.

        Parameters
        ----------
        n : int
            The number of components.

        Returns
        -------
        tuple of ndarray, shape (n,), and float
            The shares, all at or above zero, and B.
        """
        return self._second_moment(self.check(n))

    @abstractmethod
    def _second_moment(self, n: int) -> tuple[np.ndarray, float]: ...

    @abstractmethod
    def _uniforms(self, n: int) -> int: ...

    @abstractmethod
    def _draw(self, u: Array, n: int) -> Minibatch: ...

    @abstractmethod
    def _support_size(self, n: int) -> float: ...

    @abstractmethod
    def _enumerate(self, n: int) -> tuple[Minibatch, np.ndarray]: ...


@dataclass(frozen=True, eq=False)
class SamplingLaw:
    """The law of a minibatch of n components: a function of `uniforms` uniform numbers.

    Parameters
    ----------
    sampling : Sampling
        Which sampling.
    n : int
        The number of components, at least 1.
    """

    sampling: Sampling
    n: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", self.sampling.check(self.n))

    @property
    def uniforms(self) -> int:
        """How many uniform numbers one draw takes."""
        return self.sampling._uniforms(self.n)

    def from_uniforms(self, u: Array) -> Minibatch:
        """Return one minibatch per row of `u`, shape (replicas, uniforms), entries in [0, 1)."""
        return self.sampling._draw(u, self.n)

    @property
    def support_size(self) -> float:
        """How many minibatches `support` lists; infinite beyond the range of floats."""
        return self.sampling._support_size(self.n)

    def support(self) -> tuple[Minibatch, np.ndarray]:
        """Return every minibatch, one a row, and the probabilities, shape (support_size,)."""
        if self.support_size > SUPPORT_LIMIT:
            raise ValueError(
                f"the support of {self.sampling.name} of n={self.n} components has {self.support_size:.6g} values and "
                f"cannot be listed; at most {SUPPORT_LIMIT} are accepted"
            )
        return self.sampling._enumerate(self.n)


def checked_smoothness(name: str, value: Array) -> np.ndarray:
    """Return the smoothness constants of components, refusing what is not a vector of numbers at or above zero."""
    L = finite(name, floats(name, value))
    if L.ndim != 1 or L.size == 0:
        raise ValueError(f"{name} has shape {L.shape}, but it must be a vector with one entry per component")
    if (L < 0).any():
        raise ValueError(f"{name}={L.min()} is not accepted: every L_i must be >= 0")
    return L
