"""The trapezoid rule for E log(1 + exp(-y u)) under a Bernoulli sketch, as a good vectorised NumPy program would do it."""

import math

import numpy as np

LAST_NODE, MARGIN = 11.5, 38.0


def value_and_gradient(A, y, keep, x, chunk=512):
    """Return mean expected loss and its gradient, rows grouped by reach, padded to equal length, v = 0."""
    rows = np.diff(A.indptr)
    longest = int(rows.max())
    slot = np.arange(longest)
    inside = slot < rows[:, None]
    place = np.minimum(A.indptr[:-1, None] + slot, A.nnz - 1)
    column = np.where(inside, A.indices[place], 0)
    entry = np.where(inside, y[:, None] * A.data[place] / keep, 0.0)
    theta = entry * x[column]
    reach = np.maximum(np.maximum(theta, 0).sum(1), -np.minimum(theta, 0).sum(1))
    order = np.argsort(reach)
    total, gradient = 0.0, np.zeros(A.shape[1])
    for begin in range(0, len(order), chunk):
        block = order[begin : begin + chunk]
        value, slope = _block(theta[block], keep, float(reach[block].max()))
        total += value
        gradient += np.bincount(column[block].ravel(), weights=(entry[block] * slope).ravel(), minlength=A.shape[1])
    return total / A.shape[0], gradient / A.shape[0]


def _block(theta, keep, reach):
    step = 2 * math.pi / (reach + MARGIN)
    t = step * np.arange(1, math.ceil(LAST_NODE / step) + 1)
    weight = step / (t * np.sinh(math.pi * t))
    kept = keep * np.exp(1j * theta[:, :, None] * t)
    factor = 1 - keep + kept
    before = np.ones_like(factor)
    np.cumprod(factor[:, :-1], axis=1, out=before[:, 1:])
    after = np.ones_like(factor)
    after[:, :-1] = np.cumprod(factor[:, :0:-1], axis=1)[:, ::-1]
    transform = before[:, -1] * factor[:, -1]
    mean = keep * theta.sum(1)
    square = mean**2 + keep * (1 - keep) * (theta**2).sum(1)
    at_zero = step / (4 * math.pi)
    value = math.log(2) + weight.sum() - transform.real @ weight - 0.5 * mean + at_zero * square
    inner = (before * after * kept * (1j * t)).real @ weight
    slope = -inner - 0.5 * keep + at_zero * (2 * mean[:, None] * keep + 2 * keep * (1 - keep) * theta)
    return float(value.sum()), slope
