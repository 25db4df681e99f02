"""The largest eigenvalue of a positive linear map on symmetric matrices, bracketed from both sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, cg, eigsh

from mastsim.spectra import Bracket

_DENSE = 8
_SLACKS = (1e-12, 1e-10, 1e-8, 1e-6, 1e-4, 1e-2)
_ITERATIONS = 200


@dataclass(frozen=True, eq=False)
class PositiveMap:
    """T(X) = weights ∘ K(X), where K is self-adjoint and both K and the product with the weights keep X ⪰ 0.

    Parameters
    ----------
    apply : callable
        K, from symmetric to symmetric matrices of shape (r, r).
    weights : ndarray, shape (r, r)
        Symmetric, positive.

    References
    ----------
    Kreĭn and Rutman, "Linear operators leaving invariant a cone in a Banach space", Uspehi Mat. Nauk 3 (1948): the spectral
    radius is an eigenvalue whose eigenvector is positive semidefinite.

    Examples
    --------
    >>> PositiveMap(lambda X: 4 * X, np.ones((2, 2))).bracket().lower
    4.0
    """

    apply: Callable[[np.ndarray], np.ndarray]
    weights: np.ndarray

    def bracket(self) -> Bracket:
        """Return lower ≤ spectral radius ≤ upper.

        The lower end is a Rayleigh quotient. The upper end is the least β found with T(X) ⪯ βX for some X ≻ 0, which
        proves it; both up to rounding. For r ≤ 8 all eigenvalues are computed and both ends are the largest.
        """
        r = len(self.weights)
        if r == 0:
            return Bracket(0.0, 0.0, "there is nothing to act on")
        if r <= _DENSE:
            top = float(np.linalg.eigvalsh(self._dense())[-1])
            return Bracket(top, top, "all eigenvalues, to rounding")
        vector = self._leading()
        if vector is None:
            return Bracket(0.0, 0.0, "the map is zero")
        lower = float(np.vdot(vector, self._symmetrised(vector)) / np.vdot(vector, vector))
        return Bracket(lower, max(lower, self._upper(lower, vector)), "T(X) ⪯ upper·X for a positive definite X")

    def _symmetrised(self, X: np.ndarray) -> np.ndarray:
        root = np.sqrt(self.weights)
        return root * self.apply(root * X)

    def _dense(self) -> np.ndarray:
        r = len(self.weights)
        pairs = [(i, j) for i in range(r) for j in range(i, r)]
        rows, columns = np.array(pairs).T
        scale = np.where(rows == columns, 1.0, np.sqrt(2.0))
        table = np.empty((len(pairs), len(pairs)))
        for n, (i, j) in enumerate(pairs):
            X = np.zeros((r, r))
            X[i, j] = X[j, i] = 1 / scale[n]
            table[n] = scale * self._symmetrised(X)[rows, columns]
        return (table + table.T) / 2

    def _leading(self) -> np.ndarray | None:
        r = len(self.weights)
        # The leading eigenvector X of T is positive semidefinite, so its overlap with the identity is not zero.
        start = np.sqrt(self.weights) * np.eye(r)
        if not self._symmetrised(start).any():
            return None
        operator = LinearOperator((r * r, r * r), matvec=self._flat, dtype=float)
        try:
            vectors = eigsh(operator, k=1, which="LA", v0=start.ravel(), tol=1e-10, maxiter=30 * r)[1]
        except ArpackNoConvergence as stopped:
            vectors = stopped.eigenvectors if stopped.eigenvectors.size else self._power(start).reshape(-1, 1)
        X = vectors[:, 0].reshape(r, r)
        return (X + X.T) / (2 if np.trace(X) >= 0 else -2)

    def _power(self, X: np.ndarray) -> np.ndarray:
        for _ in range(_ITERATIONS):
            X = self._symmetrised(X)
            X = X / np.linalg.norm(X)
        return X

    def _flat(self, x: np.ndarray) -> np.ndarray:
        X = x.reshape(self.weights.shape)
        return self._symmetrised((X + X.T) / 2).ravel()

    def _upper(self, lower: float, leading: np.ndarray) -> float:
        root = np.sqrt(self.weights)
        best = self._ratio(np.eye(len(root)))
        for slack in _SLACKS:
            if best <= lower * (1 + 2 * slack):
                break
            best = min(best, self._ratio(root * self._resolvent(lower * (1 + slack), lower, leading)))
        return best

    def _resolvent(self, value: float, lower: float, leading: np.ndarray) -> np.ndarray:
        # X with value·X − T(X) = I is positive definite and proves that the spectral radius is below value.
        r = len(leading)
        aim = np.eye(r) / np.sqrt(self.weights)
        unit = leading / np.linalg.norm(leading)
        start = unit * (np.vdot(unit, aim) / (value - lower))
        operator = LinearOperator((r * r, r * r), matvec=lambda x: value * x - self._flat(x), dtype=float)
        return cg(operator, aim.ravel(), x0=start.ravel(), rtol=1e-3, maxiter=_ITERATIONS)[0].reshape(r, r)

    def _ratio(self, X: np.ndarray) -> float:
        X = (X + X.T) / 2
        image = self.weights * self.apply(X)
        try:
            return float(scipy.linalg.eigh((image + image.T) / 2, X, eigvals_only=True)[-1])
        except np.linalg.LinAlgError:
            return np.inf
