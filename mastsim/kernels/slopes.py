"""Derivatives of losses inside kernels, for numbers and for vectors of them."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from mastsim.compilation import njit
from mastsim.kernels.overrides import keeps
from mastsim.problems.exponential import ExponentialLoss
from mastsim.problems.losses import LogisticLoss, Loss, PiecewiseLoss, SquaredLoss
from mastsim.problems.poisson import PoissonLoss
from mastsim.problems.sigmoid import SigmoidLoss
from mastsim.problems.welsch import WelschLoss
from mastsim.simd import clamp, fma, from_knot, power_of_two

LOGISTIC, SIGMOID, WELSCH, GROWTH, DECAY, PIECES = range(6)
_CODES = {LogisticLoss: LOGISTIC, SigmoidLoss: SIGMOID, WelschLoss: WELSCH, PoissonLoss: GROWTH, ExponentialLoss: DECAY}


class Slopes(NamedTuple):
    """The derivative of a loss at the rows: φ'(base_i + u; y_i) = sign_i·ψ'(sign_i·u + offset_i) + slope_i.

    Parameters
    ----------
    code : int
        Which ψ'.
    sign, offset, slope : ndarray, shape (n rounded up to whole vectors,)
        The row form of the loss.
    knots : ndarray, shape (m,)
        Where pieces of ψ' meet.
    lines : ndarray, shape (2, m + 1)
        Intercept and slope of ψ' on each piece.
    """

    code: int
    sign: np.ndarray
    offset: np.ndarray
    slope: np.ndarray
    knots: np.ndarray
    lines: np.ndarray


def slopes_of(loss: Loss, y: np.ndarray, dtype: type, base: np.ndarray | float = 0.0) -> Slopes | None:
    """Return the derivative of a loss as kernels read it, or None where they have no formula for it.

    Parameters
    ----------
    loss : Loss
        The loss.
    y : ndarray, shape (n,)
        Labels.
    dtype : type
        ``numpy.float64`` or ``numpy.float32``.
    base : float or ndarray, shape (n,)
        Predictions from which others are counted.

    Examples
    --------
    >>> slopes_of(LogisticLoss(), np.array([1.0, -1.0]), np.float64).sign[:2]
    array([ 1., -1.])
    """
    pieces = SQUARED if type(loss) is SquaredLoss else loss.pieces if keeps(loss, PiecewiseLoss, "psi") else None
    code = PIECES if pieces is not None else _CODES.get(type(loss))
    if code is None or not keeps(loss, Loss, "derivative"):
        return None
    form = loss.row_form(y)
    knots, coefficients = (np.zeros(0), np.zeros((1, 3))) if pieces is None else pieces
    parts = (form.sign, form.sign * base + form.offset, form.slope)
    rows = (_padded(np.broadcast_to(part, y.shape), dtype) for part in parts)
    lines = np.stack([coefficients[:, 1], 2 * coefficients[:, 2]])
    return Slopes(code, *rows, np.asarray(knots, dtype=dtype), np.ascontiguousarray(lines, dtype=dtype))


def _padded(values: np.ndarray, dtype: type) -> np.ndarray:
    lanes = 64 // np.dtype(dtype).itemsize
    return np.pad(values.astype(dtype), (0, -len(values) % lanes))


SQUARED = (np.zeros(0), np.array([[0.0, 0.0, 0.5]]))
"""The pieces of ½w²: one."""

_LOG2E = 1.0 / math.log(2.0)
_LN2 = (float.fromhex("0x1.62e42fefap-1"), float.fromhex("0x1.cf79abc9e3b3ap-40"))
_LN2_FLOAT = (0.693359375, -2.12194440e-4)
_DOUBLE, _FLOAT = 1.5 * 2.0**52, 1.5 * 2.0**23
_INVERSE_FACTORIALS = tuple(1.0 / math.factorial(i) for i in range(14))


def _pade(degree: int) -> tuple[float, ...]:
    """Return the coefficients of p where p(r)/p(−r) is Padé's approximation of e^r."""
    ratios = [
        Fraction(math.comb(degree, i) * math.factorial(2 * degree - i), math.factorial(2 * degree))
        for i in range(degree + 1)
    ]
    return tuple(float(ratio) for ratio in ratios)


_PADE, _PADE_FLOAT = _pade(6), _pade(3)
"""Where |r| ≤ ln 2/2 they are off by less than 2e-19 and 6e-9, relatively."""


@njit(forceinline=True)
def _reduced(x, narrow):
    """Return r, |r| ≤ ln 2/2, with x = n·ln 2 + r, and n as `power_of_two` takes it; x counts as at most 708 (87)."""
    if narrow:
        x = clamp(x, -87.0, 87.0)
        shifted = fma(x, _LOG2E, _FLOAT)
        turns = shifted - _FLOAT
        return fma(turns, -_LN2_FLOAT[1], fma(turns, -_LN2_FLOAT[0], x)), shifted
    x = clamp(x, -708.0, 708.0)
    shifted = fma(x, _LOG2E, _DOUBLE)
    turns = shifted - _DOUBLE
    return fma(turns, -_LN2[1], fma(turns, -_LN2[0], x)), shifted


@njit(forceinline=True)
def exponential(x, narrow):
    """Return e^x to about two ulps, without overflow: x counts as at most 708 (87 when `narrow`, for floats)."""
    c, (r, shifted) = _INVERSE_FACTORIALS, _reduced(x, narrow)
    if narrow:
        p = fma(r, fma(r, fma(r, fma(r, fma(r, fma(r, c[7], c[6]), c[5]), c[4]), c[3]), c[2]), c[1])
        return fma(r, p, 1.0) * power_of_two(shifted)
    square = r * r
    # Even and odd powers apart: two short chains instead of a long one.
    even = fma(square, fma(square, fma(square, fma(square, fma(square, c[12], c[10]), c[8]), c[6]), c[4]), c[2])
    odd = fma(square, fma(square, fma(square, fma(square, fma(square, c[13], c[11]), c[9]), c[7]), c[5]), c[3])
    return fma(square, fma(r, odd, even), r + 1.0) * power_of_two(shifted)


@njit(forceinline=True)
def share_of_zero(w, narrow):
    """Return 1/(1 + e^w) to about two ulps."""
    # Of e^r = p(r)/p(−r) with a short p: one division serves both quotients, and few products are left.
    r, shifted = _reduced(w, narrow)
    square = r * r
    if narrow:
        c = _PADE_FLOAT
        even, odd = fma(square, c[2], c[0]), r * fma(square, c[3], c[1])
    else:
        c = _PADE
        even = fma(square, fma(square, fma(square, c[6], c[4]), c[2]), c[0])
        odd = r * fma(square, fma(square, c[5], c[3]), c[1])
    below = even - odd
    return below / fma(even + odd, power_of_two(shifted), below)


@njit(forceinline=True)
def psi_slope(slopes, w, narrow):
    """Return ψ'(w) for a number or a vector."""
    if slopes.code == PIECES:
        value = fma(w, slopes.lines[1, 0], slopes.lines[0, 0])
        for i in range(slopes.knots.size):
            value = from_knot(w, slopes.knots[i], fma(w, slopes.lines[1, i + 1], slopes.lines[0, i + 1]), value)
        return value
    if slopes.code == WELSCH:
        return w * exponential(fma(w * w, -0.5, 0.0), narrow)
    if slopes.code == DECAY:
        return exponential(fma(w, -1.0, 0.0), narrow) * -1.0
    if slopes.code == LOGISTIC:
        return share_of_zero(w, narrow) * -1.0
    grown = exponential(w, narrow)
    if slopes.code == GROWTH:
        return grown
    share = -1.0 / (grown + 1.0)
    return grown * share * share * -1.0


@njit(forceinline=True)
def row_slope(slopes, row, u, narrow):
    """Return φ'(base + u; y_row) for a number or a vector of predictions."""
    sign = slopes.sign[row]
    return fma(psi_slope(slopes, fma(u, sign, slopes.offset[row]), narrow), sign, slopes.slope[row])
