"""The spectral radius of a linear map on symmetric matrices that keeps X ⪰ 0, bracketed from both sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.linalg
from scipy.sparse.linalg import ArpackError, ArpackNoConvergence, LinearOperator, cg, eigs, eigsh, gmres

from mastsim.linalg import symmetric_part
from mastsim.recursions.spectral_radius import radius_at_least
from mastsim.spectra import Bracket

_DENSE = 24
_SLACKS = (1e-14, 1e-13, 1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-2, 1.0)
_ITERATIONS = 200
_EPS = float(np.finfo(float).eps)


@dataclass(frozen=True)
class FactorBracket(Bracket):
    """lower ≤ factor ≤ upper, and whether that is proved.

    Parameters
    ----------
    lower, upper : float
        The two ends.
    how : str
        By what means; it begins with "proved" or "estimate".
    proved : bool
        Whether both ends are proved, with every rounding counted.

    Examples
    --------
    >>> FactorBracket(0.0, 0.0, "proved: there is nothing to act on", True).proved
    True
    """

    proved: bool


@dataclass(frozen=True, eq=False)
class PositiveMap:
    """T(X) = weights ∘ K(X), where both K and the product with the weights keep X ⪰ 0.

    Source: Kreĭn and Rutman, "Linear operators leaving invariant a cone in a Banach space", Uspehi Mat. Nauk 3 (1948):
    the spectral radius is an eigenvalue whose eigenvector is positive semidefinite. Collatz 1942, Wielandt 1950 for the
    two ends.

    Parameters
    ----------
    apply : callable
        K, from symmetric to symmetric matrices of shape (size, size).
    size : int
        The size of the matrices.
    rounding : float, default 0
        ‖K as computed − K‖ ≤ rounding·‖X‖ in the Frobenius norm.
    weights : ndarray, shape (size, size), optional
        Symmetric, positive, with X ↦ weights ∘ X keeping X ⪰ 0; ones when left out.
    self_adjoint : bool, default False
        Whether K is.
    """

    apply: Callable[[np.ndarray], np.ndarray]
    size: int
    rounding: float = 0.0
    weights: np.ndarray | None = None
    self_adjoint: bool = False

    def bracket(self) -> FactorBracket:
        """Return lower ≤ spectral radius ≤ upper.

        The upper end is the least β found with T(X) ⪯ βX for some X ≻ 0. The lower end is the largest of: α with
        T(X) ⪰ αX for the same X; a Rayleigh quotient, where K is self-adjoint; `radius_at_least` of the matrix of T, where
        that is small. All count their rounding. Where no X proves anything, both ends are an estimate.
        """
        if self.size == 0:
            return FactorBracket(0.0, 0.0, "proved: there is nothing to act on", True)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            guess, leading = self._leading()
            lower, upper = self._collatz_wielandt(guess, leading)
            if self.self_adjoint:
                lower = max(lower, self._rayleigh(leading))
            elif self._is_small:
                error = self.rounding * float(self._root.max()) ** 2 * np.sqrt(len(self._table))
                lower = max(lower, radius_at_least(self._table, error))
        if not np.isfinite(upper):
            return FactorBracket(max(guess, 0.0), max(guess, 0.0), "estimate: an eigenvalue without an error bound", False)
        lower = float(min(max(lower, 0.0), upper))
        return FactorBracket(lower, upper, "proved: T(X) ⪯ upper·X for a positive definite X, roundings counted", True)

    @property
    def _is_small(self) -> bool:
        return self.size <= _DENSE

    @cached_property
    def _root(self) -> np.ndarray:
        shape = (self.size, self.size)
        return np.ones(shape) if self.weights is None else np.sqrt(self.weights)

    def _balanced(self, X: np.ndarray) -> np.ndarray:
        # Similar to T, and self-adjoint where K is.
        return self._root * symmetric_part(self.apply(self._root * X))

    @cached_property
    def _basis(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rows, columns = np.triu_indices(self.size)
        return rows, columns, np.where(rows == columns, 1.0, np.sqrt(2.0))

    @cached_property
    def _table(self) -> np.ndarray:
        """The matrix of the balanced map in an orthonormal basis of the symmetric matrices."""
        N = len(self._basis[0])
        units = (self._unpacked(unit) for unit in np.eye(N))
        table = np.stack([self._packed(self._balanced(X)) for X in units], axis=1)
        return (table + table.T) / 2 if self.self_adjoint else table

    def _packed(self, X: np.ndarray) -> np.ndarray:
        rows, columns, scale = self._basis
        return np.asarray(scale * X[rows, columns])

    def _unpacked(self, x: np.ndarray) -> np.ndarray:
        rows, columns, scale = self._basis
        X = np.zeros((self.size, self.size))
        X[rows, columns] = X[columns, rows] = x / scale
        return X

    def _leading(self) -> tuple[float, np.ndarray]:
        """Return the largest eigenvalue of the balanced map, and an eigenvector, as found."""
        if self._is_small:
            values, vectors = (np.linalg.eigh if self.self_adjoint else np.linalg.eig)(self._table)
            top = int(np.argmax(values.real))
            return float(values[top].real), self._upright(self._unpacked(vectors[:, top].real))
        # The leading eigenvector is positive semidefinite, so its overlap with the identity is not zero.
        start = np.eye(self.size)
        find = eigsh if self.self_adjoint else eigs
        which = "LA" if self.self_adjoint else "LR"
        try:
            values, vectors = find(
                self._operator(0.0, 1.0), k=1, which=which, v0=start.ravel(), tol=1e-10, maxiter=30 * self.size
            )
            found = vectors[:, 0].real.reshape(start.shape)
        except (ArpackError, ArpackNoConvergence):
            found = self._power(start)
        found = self._upright(symmetric_part(found))
        size = float(np.vdot(found, found))
        return (float(np.vdot(found, self._balanced(found))) / size if size > 0 else 0.0), found

    @staticmethod
    def _upright(X: np.ndarray) -> np.ndarray:
        return X if np.trace(X) >= 0 else -X

    def _operator(self, identity: float, times: float) -> LinearOperator:
        def product(x: np.ndarray) -> np.ndarray:
            X = symmetric_part(x.reshape(self.size, self.size))
            return (identity * X + times * self._balanced(X)).ravel()

        return LinearOperator((self.size**2, self.size**2), matvec=product, dtype=float)

    def _power(self, X: np.ndarray) -> np.ndarray:
        for _ in range(_ITERATIONS):
            image = self._balanced(X)
            size = np.linalg.norm(image)
            if size == 0:
                return X
            X = image / size
        return X

    def _collatz_wielandt(self, guess: float, leading: np.ndarray) -> tuple[float, float]:
        lower, upper = self._ends(np.eye(self.size) * self._root)
        scale = float(np.linalg.norm(self._balanced(np.eye(self.size))))
        for slack in _SLACKS:
            if upper - guess <= 4 * slack * guess:
                break
            value = max(guess, 0.0) + slack * max(guess, 1e-3 * scale)
            if value <= 0:
                break
            X = self._root * self._resolvent(value, guess, leading)
            below, above = self._ends(X)
            lower, upper = max(lower, below), min(upper, above)
        return lower, upper

    def _resolvent(self, value: float, guess: float, leading: np.ndarray) -> np.ndarray:
        # X with value·X − T(X) = I is positive definite where value is above the spectral radius.
        aim = np.eye(self.size)
        if self._is_small:
            try:
                return self._unpacked(np.linalg.solve(value * np.eye(len(self._table)) - self._table, self._packed(aim)))
            except np.linalg.LinAlgError:
                return aim
        unit = leading / max(float(np.linalg.norm(leading)), np.finfo(float).tiny)
        start = unit * (np.vdot(unit, aim) / (value - guess))
        solve = cg if self.self_adjoint else gmres
        more = {} if self.self_adjoint else {"restart": 40}
        rounds = _ITERATIONS if self.self_adjoint else 8
        X = solve(self._operator(value, -1.0), aim.ravel(), x0=start.ravel(), rtol=1e-3, maxiter=rounds, **more)[0]
        return symmetric_part(X.reshape(aim.shape))

    def _ends(self, X: np.ndarray) -> tuple[float, float]:
        """Return α and β with αX ⪯ T(X) ⪯ βX, roundings counted; 0 and infinity where X is not positive definite."""
        X = symmetric_part(X)
        size = float(np.linalg.norm(X))
        if not (np.isfinite(size) and size > 0):
            return 0.0, np.inf
        X = X / size
        image = symmetric_part(self.apply(X))
        # T(X) ⪯ βX where K(X) ⪯ β·(X/weights), since the product with the weights keeps the order.
        plain = X if self.weights is None else X / self.weights
        own = 0.0 if self.weights is None else 2 * _EPS * float(np.linalg.norm(plain))
        slack = self.rounding + 4 * _EPS * float(np.linalg.norm(image))
        try:
            scipy.linalg.cholesky(X - 4 * self.size * _EPS * np.eye(self.size))
            above = _pencil(image + slack * np.eye(self.size), plain - own * np.eye(self.size))[-1]
            below = _pencil(image - slack * np.eye(self.size), plain + own * np.eye(self.size))[0]
        except (np.linalg.LinAlgError, ValueError):
            return 0.0, np.inf
        return float(below), max(float(above), 0.0)

    def _rayleigh(self, X: np.ndarray) -> float:
        size = float(np.vdot(X, X))
        if not size > 0:
            return 0.0
        value = float(np.vdot(X, self._balanced(X))) / size
        spread = self.rounding * float(np.linalg.norm(self._root * X)) ** 2 / size
        return value - spread - 4 * self.size * _EPS * abs(value)


def _pencil(image: np.ndarray, plain: np.ndarray) -> tuple[float, float]:
    """Return the extreme generalised eigenvalues of a symmetric pair, moved outwards by what rounding may have done."""
    scale = 1 / np.sqrt(plain.diagonal())
    left, right = scale[:, None] * image * scale, scale[:, None] * plain * scale
    values = scipy.linalg.eigh(left, right, eigvals_only=True)
    smallest = float(np.linalg.eigvalsh(right)[0])
    r = len(right)
    if smallest <= 16 * r * _EPS:
        raise np.linalg.LinAlgError("not positive definite beyond rounding")
    # The perturbation theory of pairs: a change of size e in either matrix moves eigenvalues by e(1 + |value|)/smallest.
    spread = 4 * _EPS * r * (float(np.linalg.norm(left)) + float(np.abs(values).max())) / smallest
    return float(values[0]) - spread, float(values[-1]) + spread
