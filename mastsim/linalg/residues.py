"""Matrices of residues modulo a prime, compiled: products and ranks."""

from __future__ import annotations

from typing import Any

import numpy as np

from mastsim.compilation import njit


@njit(cache=True)
def multiply(A: Any, B: Any, prime: int) -> Any:
    """Return the product of two matrices of residues."""
    out = np.zeros((A.shape[0], B.shape[1]), dtype=np.int64)
    for i in range(A.shape[0]):
        for k in range(A.shape[1]):
            if A[i, k] != 0:
                for j in range(B.shape[1]):
                    out[i, j] = (out[i, j] + A[i, k] * B[k, j]) % prime
    return out


@njit(cache=True)
def rank_of(matrix: Any, prime: int) -> int:
    """Return the rank of a matrix of residues, which is overwritten."""
    rank = 0
    for column in range(matrix.shape[1]):
        pivot = -1
        for i in range(rank, matrix.shape[0]):
            if matrix[i, column] != 0:
                pivot = i
                break
        if pivot < 0:
            continue
        for j in range(matrix.shape[1]):
            matrix[rank, j], matrix[pivot, j] = matrix[pivot, j], matrix[rank, j]
        inverse = _inverse(matrix[rank, column], prime)
        for i in range(rank + 1, matrix.shape[0]):
            if matrix[i, column] != 0:
                factor = matrix[i, column] * inverse % prime
                for j in range(column, matrix.shape[1]):
                    matrix[i, j] = (matrix[i, j] - factor * matrix[rank, j]) % prime
        rank += 1
        if rank == matrix.shape[0]:
            break
    return rank


@njit(cache=True)
def _inverse(value: int, prime: int) -> int:
    """Return the inverse modulo a prime, as value^(prime − 2)."""
    result, base, exponent = 1, value % prime, prime - 2
    while exponent > 0:
        if exponent & 1:
            result = result * base % prime
        base = base * base % prime
        exponent >>= 1
    return result
