"""Quadratic functions to 32 digits, and their minima with proven errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mastsim.linalg.curvature import Curvature
from mastsim.linalg.pairs import Pair
from mastsim.readonly import ReadOnly
from mastsim.rounding import PAIR_EPS


@dataclass(frozen=True, eq=False)
class Bottom(ReadOnly, copy=False):
    """The minimum of a quadratic form.

    Parameters
    ----------
    point : ndarray, shape (dim,)
        The minimiser, rounded to floats.
    value : float
        The minimum, rounded.
    error : float
        A bound on |value − minimum|, and on how far the form at `point` is above its minimum; an estimate of them where
        `proven` is false.
    excess : float
        A bound on how far the form at `point` is above its minimum.
    proven : bool
        Whether the bound is proven: not where an eigenvalue below rounding had to be taken for zero.
    """

    point: np.ndarray
    value: float
    error: float
    excess: float
    proven: bool


@dataclass(frozen=True, eq=False)
class QuadraticForm(ReadOnly, copy=False):
    """q(z) = constant + slopeᵀz + ½ zᵀHz.

    Parameters
    ----------
    curvature : Curvature
        H, positive semidefinite.
    slope : Pair, shape (dim,)
        The gradient at zero.
    constant : Pair, shape ()
        The value at zero.
    slope_error : ndarray, shape (dim,), optional
        How far off the slope may be; rounding of 106 bits when left out.
    constant_error : float, default 0.0
        How far off the constant may be.

    Examples
    --------
    >>> q = QuadraticForm(Curvature(np.diag([1.0, 4.0])), Pair.of(np.array([-1.0, 2.0])), Pair.of(0.0))
    >>> q.minimize().point, q.minimize().value
    (array([ 1. , -0.5]), -1.0)
    """

    curvature: Curvature
    slope: Pair
    constant: Pair
    slope_error: np.ndarray | None = None
    constant_error: float = 0.0

    def around(self, center: np.ndarray) -> QuadraticForm:
        """Return the same function of z = x − center."""
        moved = self.curvature.pair @ Pair.of(center)
        slope = self.slope + moved
        constant = self.constant + self.slope @ Pair.of(center) + (moved @ Pair.of(center)) * Pair.of(0.5)
        root, size = self._diagonal_root, np.abs(center)
        reach = float(root @ size)
        rounding = len(center) * PAIR_EPS
        error = self.slope_errors + (rounding + self.curvature.doubt) * root * reach + rounding * self.slope.size
        constant_error = self.constant_error + float(error @ size) + (rounding + self.curvature.doubt) * reach**2
        return QuadraticForm(self.curvature, slope, constant, error, constant_error + rounding * float(self.constant.size))

    def of_matrix(self, curvature: Curvature) -> QuadraticForm:
        """Return the form with the same value and slope at zero and another matrix."""
        return QuadraticForm(curvature, self.slope, self.constant, self.slope_error, self.constant_error)

    def on_coordinates(self, chosen: np.ndarray) -> QuadraticForm:
        """Return the form with all coordinates but some held at zero."""
        H, places = self.curvature, np.ix_(chosen, chosen)
        stack = H.kernel_stack if H.is_proven_semidefinite else None
        kept = None if stack is None else tuple((*block[:-1], np.ascontiguousarray(block[-1][:, chosen])) for block in stack)
        part = Curvature(
            np.ascontiguousarray(H.matrix[places]),
            None if H.low is None else np.ascontiguousarray(H.low[places]),
            H.doubt,
            H.floor,
            kept,
            H.is_proven_semidefinite,
        )
        return QuadraticForm(part, self.slope[chosen], self.constant, self.slope_errors[chosen], self.constant_error)

    def through(self, S: np.ndarray) -> QuadraticForm:
        """Return y ↦ q(Sy)."""
        H, right = self.curvature, Pair.of(S)
        matrix = right.T @ (H.pair @ right)
        matrix = (matrix + matrix.T) * Pair.of(0.5)
        error = np.abs(S).T @ (self.slope_errors + len(S) * PAIR_EPS * self.slope.size)
        root = np.abs(S).T @ self._diagonal_root
        diagonal = np.sqrt(np.maximum(np.diag(matrix.hi), 0.0))
        share = float(np.divide(root, diagonal, out=np.where(root > 0, np.inf, 0.0), where=diagonal > 0).max(initial=0.0))
        doubt = (H.doubt + 2 * len(S) * PAIR_EPS) * share**2 if share < np.inf else 1.0
        stack = ((S,),) if H.floor > 0 or H.smallest > 0 else self._through_stack(S)
        part = Curvature(matrix.hi, matrix.lo, doubt, 0.0, stack, H.is_proven_semidefinite)
        return QuadraticForm(part, right.T @ self.slope, self.constant, error, self.constant_error)

    def minimize(self, center: np.ndarray | None = None) -> Bottom:
        """Return the minimum, at the minimiser of least norm; the form must be bounded below.

        Parameters
        ----------
        center : ndarray, shape (dim,), optional
            What z is counted from; the point returned is center + z.
        """
        H, factor = self.curvature, self.curvature.factor
        z = factor.solve(-self.slope)
        residual = self.slope + H.pair @ z
        value = self.constant + (self.slope @ z + residual @ z) * Pair.of(0.5)
        proven = H.rank is not None and factor.rank == H.rank and factor.margin > 0 and H.is_proven_semidefinite
        start = Pair.of(np.zeros(len(z.hi)) if center is None else center)
        point = (start + z).rounded
        excess = self._excess(z, residual, Pair.of(point) - start - z)
        if factor.rank < np.count_nonzero(factor.scale):
            shorter = (start + Pair.of(self._of_least_norm(z))).rounded
            moved = self._excess(z, residual, Pair.of(shorter) - start - z)
            # Not where the projection, which is one of floats, leaves the minimum.
            scale = float(value.size) + float(self.constant.size) + float(self._diagonal_root @ z.size) ** 2
            allowed = (1e-24 + 16 * H.doubt) * scale
            point, excess = (shorter, moved) if moved <= 4 * excess + allowed else (point, excess)
        return Bottom(point, float(value.rounded), excess + self._value_error(z, value), excess, proven)

    def _of_least_norm(self, z: Pair) -> np.ndarray:
        """Return a minimiser without what lies in the kernel, as floats."""
        basis = np.linalg.qr(self.curvature.factor.root.rounded)[0]
        return basis @ (basis.T @ z.rounded)

    def _excess(self, z: Pair, residual: Pair, moved: Pair) -> float:
        """Bound the form at z + moved less its minimum, from the residual at z and all doubts."""
        H, factor = self.curvature, self.curvature.factor
        root, doubt = self._diagonal_root, self._doubt
        slope = self.slope_errors + len(self.slope.hi) * PAIR_EPS * self.slope.size
        off = (residual.size + slope + doubt * root * float(root @ z.size))[factor.live] * factor.scale[factor.live]
        rest = float(off @ off) / (2 * (factor.margin if factor.margin > 0 else factor.unit))
        shifted = 0.5 * float((moved @ (H.pair @ moved)).rounded) + doubt * float(root @ moved.size) ** 2
        return 2 * (rest + max(shifted, 0.0))

    def _value_error(self, z: Pair, value: Pair) -> float:
        """Bound what doubts and rounding change in the value at z."""
        rounding = len(self.slope.hi) * PAIR_EPS
        reach = float(self._diagonal_root @ z.size)
        slope = self.slope_errors + rounding * self.slope.size
        terms = float(self.constant.size) + float(self.slope.size @ z.size) + reach**2
        known = self.constant_error + float(slope @ z.size) + self._doubt * reach**2 + rounding * terms
        return known + abs(float(value.hi - value.rounded + value.lo))

    @property
    def _doubt(self) -> float:
        """The doubt about entries of H, rounding of 106 bits included."""
        return self.curvature.doubt + len(self.slope.hi) * PAIR_EPS

    @property
    def _diagonal_root(self) -> np.ndarray:
        return np.sqrt(np.maximum(np.diag(self.curvature.matrix), 0.0))

    @property
    def slope_errors(self) -> np.ndarray:
        """How far off each entry of the slope may be, shape (dim,)."""
        return np.zeros(len(self.slope.hi)) if self.slope_error is None else self.slope_error

    def _through_stack(self, S: np.ndarray) -> tuple[tuple[np.ndarray, ...], ...] | None:
        """Return the matrices whose common kernel is that of SᵀHS, where they are products of two at most."""
        stack = self.curvature.kernel_stack if self.curvature.is_proven_semidefinite else None
        return None if stack is None or any(len(block) > 1 for block in stack) else tuple((block[0], S) for block in stack)
