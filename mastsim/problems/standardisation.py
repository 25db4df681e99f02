"""Columns of one size: what standardising does to a table, and the way back to its own units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mastsim.readonly import ReadOnly
from mastsim.validation import vector


@dataclass(frozen=True, eq=False)
class Standardisation(ReadOnly):
    """The map a ↦ (a − mean)/spread of rows, column by column.

    Parameters
    ----------
    mean : ndarray, shape (d,)
        What is taken off; zero for sparse tables, whose zeros stay.
    spread : ndarray, shape (d,)
        What is divided by: the standard deviation; 1 for a constant column.

    References
    ----------
    This package.

    Examples
    --------
    >>> A = np.array([[1.0, 10.0], [3.0, 30.0]])
    >>> found = Standardisation.of(A)
    >>> found.apply(A).tolist()
    [[-1.0, -1.0], [1.0, 1.0]]
    >>> weights, offset = found.raw(np.array([2.0, 5.0]))
    >>> weights.tolist(), offset, (A @ weights + offset).tolist()
    ([2.0, 0.5], -14.0, [-7.0, 7.0])
    """

    mean: np.ndarray
    spread: np.ndarray

    @classmethod
    def of(cls, A: Any) -> Standardisation:
        """Return the map under which the columns of a table have mean 0 and variance 1; variance 1 alone where sparse.

        Parameters
        ----------
        A : ndarray or scipy.sparse matrix, shape (n, d)
            The table.
        """
        if hasattr(A, "tocsr"):
            mean = np.asarray(A.mean(axis=0)).ravel()
            rest = A.shape[0] - np.asarray((A != 0).sum(axis=0)).ravel()
            apart = A.tocsc(copy=True).astype(float)
            apart.data = (apart.data - np.repeat(mean, np.diff(apart.indptr))) ** 2
            spread = np.sqrt((np.asarray(apart.sum(axis=0)).ravel() + rest * mean**2) / A.shape[0])
            # Rounding of the mean must not give a constant column a spread.
            varies = A.max(axis=0).toarray().ravel() > A.min(axis=0).toarray().ravel()
            return cls(np.zeros(A.shape[1]), np.where(varies & (spread > 0), spread, 1.0))
        spread = np.where(np.ptp(A, axis=0) > 0, A.std(axis=0), 0.0)
        return cls(A.mean(axis=0), np.where(spread > 0, spread, 1.0))

    def apply(self, A: Any) -> Any:
        """Return the rows of a table in standard units, shape of `A`."""
        if hasattr(A, "tocsr"):
            return A.multiply(1 / self.spread[None, :]).tocsr()
        return (A - self.mean) / self.spread

    def raw(self, x: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the weights and the offset with which rows in their own units give the same predictions as `x`.

        Parameters
        ----------
        x : array, shape (d,) or (d + 1,)
            Weights of a model of standardised columns, and perhaps its intercept.
        """
        columns = len(self.spread)
        given = vector("x", x, columns + (np.shape(x) == (columns + 1,)))
        weights, intercept = given[:columns] / self.spread, float(given[columns:].sum())
        return weights, intercept - float(weights @ self.mean)
