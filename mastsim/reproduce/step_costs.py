"""Operations and bytes of a step with K random columns of a table, counted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.special import gammaln

from mastsim.validation import integer

FORMULAS = {
    "nnz_K": "nnz·K/d: expected non-zeros in K random columns; exact",
    "rows_K": "Σ_i (1 − C(d − r_i, K)/C(d, K)): expected rows with a non-zero in K random columns, r_i non-zeros in row i; "
    "exact. With v = 0 no other row adds to the kept entries of the gradient, ridge aside",
    "flops of the gradient of f": "4·nnz + 5·n + 5·d: A·x and Aᵀ·s take 2 each a non-zero, φ' 5 a row, mean, ridge and "
    "update 5 a coordinate; exp counts as one",
    "flops of the gradient of f_S": "4·nnz_K + 5·rows_K + 7·K: the same in kept columns and rows, and both scalings by d/K",
    "flops with a minibatch of τ rows": "(τ/n)·(4·nnz_K + 5·rows_K) + 7·K, in expectation; with K = d no scaling, 5·d",
    "bytes of memory": "24·nnz_K + 24·rows_K + 24·K: values of 8 and indices of 4 bytes read twice a non-zero; label, "
    "margin written and read of 8 a row; x read and written, gradient written of 8 a coordinate",
    "bytes sent": "16·K a client and step: K numbers of 8 bytes down and K up, with indices from a shared seed; "
    "20·K where K indices of 4 bytes are sent down as well; 16·d without a sketch",
    "operations to accuracy": "steps to accuracy times flops of a step",
}


@dataclass(frozen=True, eq=False)
class StepCosts:
    """Operations and bytes of a step with K random columns of a table, in expectation over the columns, counted exactly.

    Parameters
    ----------
    A : array or scipy.sparse matrix, shape (n, d)
        The table.

    References
    ----------
    This package; `FORMULAS` states them.

    Examples
    --------
    >>> costs = StepCosts(np.array([[1.0, 0.0], [2.0, 3.0]]))
    >>> costs.nonzeros(1), costs.rows(1), costs.flops(1), costs.flops_full
    (1.5, 1.5, 20.5, 32)
    """

    A: Any

    @cached_property
    def _pattern(self) -> Any:
        """Where the table is not zero."""
        return sp.csr_array(self.A != 0)

    @property
    def nnz(self) -> int:
        """The number of non-zeros."""
        return int(self._pattern.sum())

    @cached_property
    def _in_rows(self) -> np.ndarray:
        """Non-zeros in each row."""
        return np.asarray(self._pattern.sum(axis=1)).ravel().astype(int)

    @cached_property
    def _in_columns(self) -> np.ndarray:
        """Non-zeros in each column."""
        return np.asarray(self._pattern.sum(axis=0)).ravel().astype(float)

    def nonzeros(self, K: int) -> float:
        """Return the expected number of non-zeros in K of d columns."""
        return self.nnz * self._kept(K) / self.A.shape[1]

    def nonzeros_spread(self, K: int) -> float:
        """Return the standard deviation of the number of non-zeros in K of d columns."""
        d, K = self.A.shape[1], self._kept(K)
        return float(np.sqrt(K * (d - K) / max(d - 1, 1) * self._in_columns.var()))

    def rows(self, K: int) -> float:
        """Return the expected number of rows with a non-zero in K of d columns."""
        d, K = self.A.shape[1], self._kept(K)
        sizes = np.arange(d + 1)
        # C(d − r, K)/C(d, K), which is zero where K columns cannot avoid r.
        avoids = np.zeros(d + 1)
        free = sizes[: d - K + 1]
        avoids[: d - K + 1] = np.exp(gammaln(d - free + 1) - gammaln(d - free - K + 1) - gammaln(d + 1) + gammaln(d - K + 1))
        avoids[0] = 1.0
        return float(np.bincount(self._in_rows, minlength=d + 1) @ (1 - avoids))

    def flops(self, K: int, share: float = 1.0) -> float:
        """Return the operations of a sketched gradient step, on a share of the rows."""
        return share * (4 * self.nonzeros(K) + 5 * self.rows(K)) + 7 * K

    @property
    def flops_full(self) -> int:
        """The operations of a step of gradient descent on f."""
        n, d = self.A.shape
        return 4 * self.nnz + 5 * n + 5 * d

    def memory(self, K: int) -> float:
        """Return the bytes that a sketched gradient step reads and writes."""
        return 24 * (self.nonzeros(K) + self.rows(K) + K)

    def _kept(self, K: int) -> int:
        """Return a checked K."""
        return integer("K", K, 1, int(self.A.shape[1]))
