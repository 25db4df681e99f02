"""The calculus of a network with one hidden layer: output, derivatives by hand, and bounds on the Hessian."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from mastsim.backend import Array, contiguous, namespace, rows_times
from mastsim.problems.losses import LogisticLoss

LOSS = LogisticLoss()
TANH_BEND = 4 / (3 * math.sqrt(3))
"""max |tanh''|."""


class Parameters(NamedTuple):
    """θ in its parts, each with the axes of the batch in front.

    Parameters
    ----------
    weights : array, shape (..., width, inputs)
        W₁.
    biases : array, shape (..., width)
        b₁.
    outer : array, shape (..., width)
        w₂.
    bias : array, shape (..., 1)
        b₂.
    """

    weights: Array
    biases: Array
    outer: Array
    bias: Array


def unpack(theta: Array, width: int) -> Parameters:
    """Return the parts of θ, shape (..., dim)."""
    theta = contiguous(theta)
    inputs = (theta.shape[-1] - 1) // width - 2
    weights = namespace(theta).reshape(theta[..., : width * inputs], (*theta.shape[:-1], width, inputs))
    return Parameters(weights, theta[..., width * inputs : -width - 1], theta[..., -width - 1 : -1], theta[..., -1:])


def pack(parts: Parameters) -> Array:
    """Return θ, shape (..., dim), from its parts."""
    xp = namespace(parts.weights)
    return xp.concat((xp.reshape(parts.weights, (*parts.weights.shape[:-2], -1)), *parts[1:]), axis=-1)


def forward(p: Parameters, A: Array) -> tuple[Array, Array]:
    """Return tanh of the hidden layer, shape (..., width, rows), and the output, shape (..., rows)."""
    xp = namespace(A)
    hidden = xp.tanh(xp.matmul(p.weights, xp.matrix_transpose(A)) + p.biases[..., None])
    return hidden, xp.matmul(p.outer[..., None, :], hidden)[..., 0, :] + p.bias


def backward(outer: Array, A: Array, hidden: Array, slopes: Array) -> Parameters:
    """Return Σ_i slopes_i ∇N_θ(a_i)."""
    back = outer[..., None] * (1 - hidden**2) * slopes[..., None, :]
    return _parameters(back, A, rows_times(hidden, slopes), _row_sums(slopes)[..., None])


def weighed_gradient(theta: Array, width: int, A: Array, y: Array, weights: Array) -> Array:
    """Return Σ_i weights_i ∇φ(N_θ(a_i); y_i), shape of θ; `A` may hold rows of its own for every point of the batch."""
    p = unpack(theta, width)
    hidden, output = forward(p, A)
    return pack(backward(p.outer, A, hidden, weights * LOSS.derivative(output, y)))


def mean_product(theta: Array, direction: Array, width: int, A: Array, y: Array) -> Array:
    """Return the Hessian of (1/n) Σ φ(N_θ(a_i); y_i) times a direction, shape of θ."""
    p, q, n = unpack(theta, width), unpack(direction, width), y.shape[0]
    xp = namespace(A)
    hidden, output = forward(p, A)
    moved = (1 - hidden**2) * (xp.matmul(q.weights, A.T) + q.biases[..., None])
    change = (xp.matmul(p.outer[..., None, :], moved) + xp.matmul(q.outer[..., None, :], hidden))[..., 0, :] + q.bias
    first = backward(p.outer, A, hidden, LOSS.second_derivative(output, y) * change / n)
    slopes = LOSS.derivative(output, y) / n
    back = (q.outer[..., None] * (1 - hidden**2) - 2 * p.outer[..., None] * hidden * moved) * slopes[..., None, :]
    second = _parameters(back, A, rows_times(moved, slopes), 0 * q.bias)
    return pack(Parameters(*(a + b for a, b in zip(first, second, strict=True))))


def hessian_bounds(A: np.ndarray, width: int, radius: float) -> np.ndarray:
    """Return a bound on the norm of the Hessian of every φ(N_θ(a_i); y_i) over ‖θ‖ ≤ radius, shape (n,)."""
    square = (A**2).sum(axis=1) + 1
    outer = 1 + square * radius**2
    half = 0.5 * TANH_BEND * radius * square
    block = half + np.sqrt(half**2 + square)
    most = 1 / (1 + math.exp(-radius * math.sqrt(width + 1)))
    p = np.minimum((outer + block) / (2 * outer), most)
    bounds: np.ndarray = p * (1 - p) * outer + p * block
    return bounds


def _parameters(back: Array, A: Array, outer: Array, bias: Array) -> Parameters:
    return Parameters(namespace(A).matmul(back, A), _row_sums(back), outer, bias)


def _row_sums(x: Array) -> Array:
    xp = namespace(x)
    return xp.sum(contiguous(x), axis=-1)
