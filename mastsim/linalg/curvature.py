"""A symmetric matrix that bounds a Hessian, with eigenvalues that carry their errors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse.linalg import LinearOperator, eigsh

from mastsim.linalg.factor import Factor
from mastsim.linalg.pairs import Pair
from mastsim.linalg.rank import exact_rank
from mastsim.provenance import Constant, graded
from mastsim.readonly import ReadOnly, frozen
from mastsim.validation import square

_EPS = float(np.finfo(float).eps)
_SHIFTS = (1e-12, 1e-9, 1e-6, 1e-3)

Stack = tuple[tuple[np.ndarray, ...], ...]


@dataclass(frozen=True, eq=False)
class Curvature(ReadOnly):
    """A symmetric matrix that bounds a Hessian; taken as it is, to the last bit, unless a doubt about it is stated.

    Parameters
    ----------
    matrix : ndarray, shape (dim, dim)
        The matrix itself.
    low : ndarray, shape (dim, dim), optional
        What rounding took off the matrix, where it is known to more digits.
    doubt : float, default 0.0
        The entries h_ij may be off by this times √(h_ii h_jj).
    floor : float, default 0.0
        A number λ ≥ 0 with λI ⪯ the matrix.
    stack : tuple of tuples of ndarray, optional
        Matrices whose common kernel is that of the matrix less λI, each as a product of at most two factors; the matrix
        itself when it is exact and nothing else is given.
    semidefinite : bool, default False
        Whether the matrix is positive semidefinite by its construction.

    Raises
    ------
    TypeError, ValueError
        If the matrix is not square and finite.

    Examples
    --------
    >>> A = Curvature(np.diag([1.0, 3.0]))
    >>> float(A.largest), A.smallest.kind
    (3.0, 'exact')
    """

    matrix: np.ndarray
    low: np.ndarray | None = None
    doubt: float = 0.0
    floor: float = 0.0
    stack: Stack | None = None
    semidefinite: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "matrix", square("matrix", self.matrix))
        if self.stack is not None:
            blocks = (tuple(frozen(np.asarray(factor)) for factor in block) for block in self.stack)
            object.__setattr__(self, "stack", tuple(blocks))
        super().__post_init__()

    @property
    def dim(self) -> int:
        """The number of rows."""
        return len(self.matrix)

    @property
    def pair(self) -> Pair:
        """The matrix to all known digits."""
        return Pair.of(self.matrix) if self.low is None else Pair(self.matrix, self.low)

    @cached_property
    def spectrum(self) -> np.ndarray:
        """The eigenvalues in increasing order, shape (dim,), each with an error of at most `rounding`."""
        return np.linalg.eigvalsh(self.matrix)

    @cached_property
    def rounding(self) -> float:
        """What rounding and doubt may change in an eigenvalue."""
        trace = float(np.abs(np.diag(self.matrix)).sum())
        return 4 * self.dim * _EPS * float(np.abs(self.spectrum).max(initial=0.0)) + self.doubt * trace

    @property
    def largest(self) -> Constant:
        """λ_max."""
        return graded(float(self.spectrum[-1]), self.rounding, "λ_max", otherwise="upper")

    @cached_property
    def smallest(self) -> Constant:
        """λ_min; exact where its sign and size are proven, otherwise a lower bound, or an estimate of a number near zero."""
        least, rounding = float(self.spectrum[0]), self.rounding
        if least < -rounding or least >= 1e9 * rounding:
            return graded(least, rounding, "λ_min", otherwise="lower")
        definite = self._least_of_definite()
        if definite is not None and definite.kind == "exact":
            return definite
        if self._is_deficient:
            return Constant(self.floor, "exact", "λ_min, by the exact rank")
        if definite is not None:
            return definite
        if self.semidefinite:
            return Constant(self.floor, "lower", "λ_min ≥ 0: what is below rounding is not decided")
        return Constant(0.0, "lower", "λ_min is within rounding of 0", rounding)

    @cached_property
    def least_positive(self) -> Constant:
        """The least eigenvalue that is not zero; infinite for a matrix of zeros."""
        if not self.matrix.any():
            return Constant(math.inf, "exact", "a matrix of zeros")
        if self.smallest > 0:
            return self.smallest
        factor, rank = self.factor, self.rank
        if rank is not None and factor.rank == rank and factor.margin > 0:
            # The other eigenvalues of W Wᵀ are those of Wᵀ W.
            small = Curvature((factor.root.T @ factor.root).hi, (factor.root.T @ factor.root).lo).smallest
            error = small.error + small * factor.relative_error
            return graded(small.value, error, "least positive eigenvalue", otherwise="lower")
        positive = self.spectrum[self.spectrum > 10 * self.rounding].min(initial=np.inf)
        return Constant(positive, "estimate", "eigenvalues below rounding are taken for 0", self.rounding)

    @cached_property
    def rank(self) -> int | None:
        """The exact rank; None where it is not known."""
        live = int((np.diag(self.matrix) != 0).sum())
        if self.floor > 0:
            return self.dim
        if self.factor.rank == live and self.factor.margin > 0 and self._zeros_are_exact:
            return live
        return self._stack_rank if self.floor == 0 else None

    @property
    def _zeros_are_exact(self) -> bool:
        """Whether no zero on the diagonal stands for squares that underflow."""
        dead = np.diag(self.matrix) == 0
        return self.stack is None or not any(block[-1][:, dead].any() for block in self.stack)

    @property
    def is_proven_semidefinite(self) -> bool:
        """Whether no eigenvalue is negative, beyond doubt."""
        if self.semidefinite or float(self.spectrum.min(initial=np.inf)) > self.rounding:
            return True
        return self.rank is not None and self.factor.rank == self.rank and self.factor.margin > 0

    @cached_property
    def kernel_stack(self) -> Stack | None:
        """Matrices whose common kernel is that of the matrix less λI; None where they are not known exactly."""
        if self.stack is not None:
            return self.stack
        plain = self.doubt == 0 and self.floor == 0 and (self.low is None or not self.low.any())
        return ((self.matrix,),) if plain else None

    @cached_property
    def factor(self) -> Factor:
        """A Cholesky factor with pivots, which stops where rounding takes over."""
        return Factor.of(self.pair, self.doubt)

    @property
    def _is_deficient(self) -> bool:
        """Whether the matrix less λI is singular, beyond doubt."""
        if self.semidefinite and not np.diag(self.matrix).all() and self._zeros_are_exact:
            return True
        rank = self._stack_rank
        return rank is not None and rank < self.dim

    @cached_property
    def _stack_rank(self) -> int | None:
        return None if self.kernel_stack is None else exact_rank(self.kernel_stack)

    def _least_of_definite(self) -> Constant | None:
        """Return λ_min of a matrix that is proven to be positive definite, from both sides."""
        factor, size = self.factor, self.dim
        if factor.rank < size or factor.margin <= 0:
            return None
        if size <= 32:
            inverse = np.array([factor.solve(Pair.of(unit)).rounded for unit in np.eye(size)])
            top = float(np.linalg.eigvalsh((inverse + inverse.T) / 2)[-1])
        else:
            product = LinearOperator((size, size), matvec=lambda w: factor.solve(Pair.of(np.ravel(w))).rounded, dtype=float)
            top = float(eigsh(product, k=1, which="LA", v0=np.ones(size), tol=1e-13, return_eigenvectors=False)[0])
        if not math.isfinite(top) or top <= 0:
            return None
        above, relative = 1 / top, factor.relative_error
        for share in _SHIFTS:
            if self._is_above(below := above * (1 - share)):
                error = (above - below) + above * (relative + 8 * size * _EPS)
                return graded(above, error, "λ_min, between an inverse iteration and a Cholesky test", otherwise="lower")
        return Constant(max(self.floor, 0.0), "lower", "the matrix is positive definite")

    def _is_above(self, shift: float) -> bool:
        """Whether the matrix less a multiple of I is positive definite."""
        moved = Pair(self.pair.hi, self.pair.lo) - Pair.of(shift * np.eye(self.dim))
        return bool((np.diag(moved.hi) > 0).all()) and Factor.of(moved, 0.0, like=self.factor.scale).rank == self.dim
