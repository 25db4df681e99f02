"""Lower bounds on the spectral radius of a small matrix that is only known up to an error, with every rounding counted."""

from __future__ import annotations

import math

import numpy as np

_EPS = float(np.finfo(float).eps)
_SQUARINGS = 45


def radius_at_least(T: np.ndarray, error: float) -> float:
    """Return what the spectral radius of T + E is at least, for every E of Frobenius norm at most `error`.

    The largest of three: discs around all eigenvalues, a neighbourhood of the largest, and traces of powers. The first needs
    eigenvectors that are a basis, the second a largest eigenvalue that is simple, the third nothing, but is wider.

    Source: Gershgorin 1931; Kantorovich 1948; tr Tᵏ is the sum of the N eigenvalues of Tᵏ.
    """
    values, vectors = np.linalg.eig(T)
    top = int(np.argmax(values.real))
    bounds = (
        _by_discs(T, vectors, top, error),
        _by_newton(T, float(values[top].real), vectors[:, top].real, error),
        _by_traces(T, error),
    )
    return max(0.0, *(bound for bound in bounds if math.isfinite(bound)))


def _by_discs(T: np.ndarray, X: np.ndarray, top: int, error: float) -> float:
    """Return the least modulus in the union of Gershgorin discs, in a basis of eigenvectors, that hold the largest."""
    N = len(T)
    try:
        Y = np.linalg.inv(X)
    except np.linalg.LinAlgError:
        return 0.0
    B = Y @ T @ X
    center = B.diagonal()
    off = np.abs(Y @ X - np.eye(N)).sum(axis=1).max() + 4 * N * _EPS * (np.abs(Y) @ np.abs(X)).sum(axis=1).max()
    if not off < 0.5:
        return 0.0
    radius = np.abs(B).sum(axis=1) - np.abs(center) + 8 * N * _EPS * (np.abs(Y) @ (np.abs(T) @ np.abs(X))).sum(axis=1)
    radius += error * np.linalg.norm(Y, axis=1) * np.linalg.norm(X, axis=0).sum()
    radius += 2 * off * (np.abs(B).sum(axis=1) + radius).max()
    inside = np.arange(N) == top
    while True:
        near = np.abs(center[:, None] - center[inside]) <= radius[:, None] + radius[inside]
        more = inside | near.any(axis=1)
        if (more == inside).all():
            return float((np.abs(center) - radius)[inside].min())
        inside = more


def _by_newton(T: np.ndarray, guess: float, x: np.ndarray, error: float) -> float:
    """Return what an eigenvalue is proved to be at least, by Newton and Kantorovich for (T − λ)x = 0, xᵀx₀ = 1; else 0."""
    N = len(T)
    x = x / max(float(np.linalg.norm(x)), np.finfo(float).tiny)
    top = T - guess * np.eye(N)
    jacobian = np.block([[top, -x[:, None]], [x[None], np.zeros((1, 1))]])
    error = error + 4 * N * _EPS * float(np.linalg.norm(jacobian))
    smallest = float(np.linalg.svd(jacobian, compute_uv=False)[-1]) - error
    if not smallest > 0:
        return 0.0
    first = (float(np.linalg.norm(top @ x)) + error) / smallest
    # The derivative has the Lipschitz constant √2, so a root is within twice the first step where it is short enough.
    return guess - 2 * first if 2 * math.sqrt(2) * first <= smallest else 0.0


def _by_traces(T: np.ndarray, error: float) -> float:
    """Return the largest (tr Tᵏ / N)^(1/k) for k = 1, 2, 4, …: T has N eigenvalues, none above the radius."""
    N, C, best, logarithm, k = len(T), T, 0.0, 0.0, 1
    for _ in range(_SQUARINGS):
        size = float(np.linalg.norm(C))
        if not np.isfinite(size) or size <= error:
            break
        C, error, logarithm = C / size, error / size + _EPS, logarithm + math.log(size)
        trace = float(np.trace(C)) - math.sqrt(N) * error
        if trace > 0:
            best = max(best, math.exp((logarithm + math.log(trace / N)) / k))
        C, error = C @ C, 2 * error + error**2 + N * _EPS
        logarithm, k = 2 * logarithm, 2 * k
    return best * (1 - 64 * _EPS)
