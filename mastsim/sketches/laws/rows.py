"""The laws of the scalars a_iᵀSz of all rows a_i of a data matrix, which is all that a linear model sees of a sketch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from mastsim.readonly import ReadOnly
from mastsim.rounding import summed

Psi = Callable[[np.ndarray, int], np.ndarray]
"""A smooth function of a scalar and its derivatives: psi(w, order), elementwise, order 0, 1 or 2."""


@dataclass(frozen=True, eq=False)
class RowTotals:
    """Σ_i E ψ_i(a_iᵀSz), its gradient in z, and the change of the gradient along a direction.

    Parameters
    ----------
    values : ndarray, shape (rows,)
        E ψ_i of each row.
    gradient, product : ndarray, shape (dim,)
        Derivatives of the sum over the rows; `product` is zero where no direction was given.
    """

    values: np.ndarray
    gradient: np.ndarray
    product: np.ndarray


@dataclass(frozen=True, eq=False)
class RowRounding:
    """What rounding does to the laws of X_i, each of shape (n,).

    The law that is computed with is that of some X_i' with E|X_i' − X_i| ≤ `moved`, up to a change of a variance.

    Parameters
    ----------
    moved : ndarray
        How far X_i moves on average.
    bent : ndarray
        By how much the mean of (X_i − E X_i)² changes besides: E ψ(X_i) changes by sup|ψ''|/2 times as much.
    terms : ndarray
        How many roundings a transform, or a weight of a rule, takes.
    lever : ndarray
        What an error of E ψ'' is multiplied by in the derivative along X_i, relative to |a_i|; zero where it has no part.
    """

    moved: np.ndarray
    bent: np.ndarray
    terms: np.ndarray
    lever: np.ndarray


@dataclass(frozen=True, eq=False)
class RowLaws(ReadOnly, ABC):
    """The laws of X_i = a_iᵀSz for the rows a_i of a matrix, as functions of z.

    A law with `by_exponentials` is exact for every loss that is a sum of exponentials; one with `by_nodes` for every smooth
    loss. The other of the two may be left as it is.

    Parameters
    ----------
    A : scipy.sparse array, shape (n, dim)
        The rows, in CSR form.
    """

    A: Any

    @abstractmethod
    def reach(self, z: np.ndarray) -> np.ndarray:
        """Return a bound on |X_i|, shape (n,); infinite where there is none, and then `tails` is needed.

        For laws with nodes it may be exceeded with a chance of 1e-21, but not by `extreme`.
        """

    def extreme(self, z: np.ndarray) -> np.ndarray:
        """Return a bound on |X_i| over the whole support, shape (n,)."""
        return self.reach(z)

    @abstractmethod
    def square(self, weights: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Return Σ_i weights_i E[Sᵀa_i a_iᵀS] z, half the gradient of Σ_i weights_i E X_i², shape (dim,)."""

    def half_width(self, z: np.ndarray) -> np.ndarray:
        """Return half the length of an interval that holds X_i but for a chance of 1e-21, shape (n,)."""
        return self.reach(z)

    def mean_times(self, z: np.ndarray) -> np.ndarray:
        """Return E[S] z, shape (dim,), which must be symmetric in E[S]."""
        return z

    def tails(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return rates τ > 0 and bounds b with E e^{τ|X_i|} ≤ e^b, both (n, m): any number m of pairs a row."""
        raise NotImplementedError(f"{type(self).__name__} has an infinite reach, so it needs the method tails")

    @property
    def has_exponentials(self) -> bool:
        """Whether `by_exponentials` is there."""
        return type(self).by_exponentials is not RowLaws.by_exponentials

    @property
    def has_nodes(self) -> bool:
        """Whether `by_nodes` is there."""
        return type(self).by_nodes is not RowLaws.by_nodes

    def by_exponentials(
        self, rows: np.ndarray, z: np.ndarray, s: np.ndarray, weights: np.ndarray, w: np.ndarray | None = None
    ) -> RowTotals:
        """Return Re Σ_k weights_ik E exp(s_k X_i) for the given rows, with derivatives.

        Parameters
        ----------
        rows : ndarray of int, shape (m,)
            Which rows.
        z : ndarray, shape (dim,)
            The point.
        s : ndarray of complex, shape (nodes,)
            The exponents.
        weights : ndarray of complex, shape (m, nodes)
            The weights.
        w : ndarray, shape (dim,), optional
            The direction of `product`.
        """
        raise NotImplementedError

    def by_nodes(
        self,
        rows: np.ndarray,
        z: np.ndarray,
        offset: np.ndarray,
        psi: Psi,
        count: int,
        order: int = 1,
        w: np.ndarray | None = None,
    ) -> RowTotals:
        """Return E ψ(offset_i + X_i) by a rule with positive weights that is exact for polynomials of degree 2·count − 1.

        Its nodes lie within the reach, and 1e-21 of their weight may be left out. Besides what `by_exponentials` takes:

        Parameters
        ----------
        offset : ndarray, shape (m,)
            What is added to the scalars of the given rows.
        psi : callable
            ψ and its derivatives.
        count : int
            The order of the rule; rules that are exact for any function take no notice of it.
        order : {0, 1}
            Whether derivatives are wanted; with `w` they always are.
        """
        raise NotImplementedError

    @property
    def atoms(self) -> np.ndarray:
        """How many values each row has if `by_nodes` lists them all, exact for any function; else infinity, shape (n,)."""
        return np.full(self.A.shape[0], np.inf)

    @property
    def work(self) -> np.ndarray:
        """How many numbers `by_exponentials` computes for each row and exponential, shape (n,)."""
        return np.ones(self.A.shape[0])

    @property
    def terms(self) -> np.ndarray:
        """The number of entries of each row, shape (n,)."""
        return np.diff(self.A.indptr)

    def rounding(self, z: np.ndarray, size: np.ndarray) -> RowRounding:
        """Return what rounding does to the law; by default each entry of a row and each step in it takes its share.

        Parameters
        ----------
        z : ndarray, shape (dim,)
            The point.
        size : ndarray, shape (n,)
            Bounds on |X_i| made of absolute values.
        """
        none = np.zeros(len(size))
        return RowRounding(summed(self.terms + 8) * size, none, self.terms + 8, none)

    def log_rounding(self, z: np.ndarray, s: float, moved: np.ndarray) -> np.ndarray:
        """Return how far log E e^{sX_i} may be off for a real `s`, where rounding moves X_i by `moved`, shape (n,)."""
        return 2 * abs(s) * moved


def csr(A: Any) -> Any:
    """Return a data matrix as a CSR array."""
    return A if isinstance(A, sp.csr_array) else sp.csr_array(A)


@dataclass(frozen=True, eq=False)
class Invariants:
    """p = aᵀz and r = |a|² of some rows, q = |z|², and how they change along a direction w.

    Parameters
    ----------
    p, r : ndarray, shape (m,)
        Of the rows.
    q : float
        Of the point.
    dp : ndarray, shape (m,)
        aᵀw.
    dq : float
        2zᵀw.
    """

    p: np.ndarray
    r: np.ndarray
    q: float
    dp: np.ndarray
    dq: float

    @property
    def area(self) -> np.ndarray:
        """|a|²|z|² − (aᵀz)², at least 0, shape (m,)."""
        return np.maximum(self.r * self.q - self.p**2, 0.0)


@dataclass(frozen=True, eq=False)
class InvariantRows(RowLaws):
    """Rows of a law that no rotation changes: X depends on aᵀz, |a| and |z| alone."""

    @cached_property
    def norms2(self) -> np.ndarray:
        """|a_i|², shape (n,)."""
        return np.asarray(self.A.multiply(self.A).sum(axis=1)).ravel()

    def of(self, rows: np.ndarray, z: np.ndarray, w: np.ndarray | None) -> Invariants:
        """Return the invariants of some rows at a point."""
        A = self.A[rows]
        dp, dq = (np.zeros(len(rows)), 0.0) if w is None else (A @ w, 2 * float(z @ w))
        return Invariants(A @ z, self.norms2[rows], float(z @ z), dp, dq)

    def assemble(
        self,
        rows: np.ndarray,
        z: np.ndarray,
        w: np.ndarray | None,
        values: np.ndarray,
        first: tuple[np.ndarray, np.ndarray],
        second: tuple[np.ndarray, np.ndarray],
    ) -> RowTotals:
        """Return totals from the derivatives of each row's value in p and q, and their changes along w, each (m,)."""
        A = self.A[rows]
        gradient = A.T @ first[0] + 2 * float(first[1].sum()) * z
        if w is None:
            return RowTotals(values, gradient, np.zeros(len(z)))
        product = A.T @ second[0] + 2 * float(second[1].sum()) * z + 2 * float(first[1].sum()) * w
        return RowTotals(values, gradient, product)
