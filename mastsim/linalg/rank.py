"""The exact rank of matrices of floats, which are whole numbers times powers of 2, by elimination modulo primes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from mastsim.compilation import njit

WORK_LIMIT = 2**31
"""Most multiplications spent on one rank."""

_PRIMES = (2147483629, 2147483587, 2147483579, 1879048183)
_REACH = 2200  # exponents of floats, and of products of two of them, stay within


def exact_rank(stack: Sequence[Sequence[np.ndarray]]) -> int | None:
    """Return the rank of matrices put on top of each other, each a product of at most two matrices of floats.

    A rank modulo a prime is never above the true one, so the result is always a lower bound; that it is the rank relies on
    one of four primes of 31 bits not dividing some minor, which fails only for matrices made for these primes.

    Parameters
    ----------
    stack : sequence of sequences of ndarray
        For each block, one matrix of shape (m, dim), or two whose product has that shape.

    Returns
    -------
    int or None
        The rank; None where it would take too long.

    References
    ----------
    This package; elimination modulo primes is textbook computer algebra.

    Examples
    --------
    >>> third = np.array([[1.0, 1.0], [1.0, 1.0 + 2.0**-52]])
    >>> exact_rank([[third]]), exact_rank([[np.ones((2, 2))]])
    (2, 1)
    """
    dim = stack[0][-1].shape[1]
    rows = sum(len(block[0]) for block in stack)
    extra = sum(block[0].size * dim for block in stack if len(block) == 2)
    if len(_PRIMES) * (rows * dim * min(rows, dim) + extra) > WORK_LIMIT:
        return None
    best = 0
    for prime in _PRIMES:
        parts = [_modulo_product(block, prime) for block in stack]
        best = max(best, int(_rank_modulo(np.concatenate(parts), prime)))
        if best == min(rows, dim):
            break
    return best


def _modulo_product(block: Sequence[np.ndarray], prime: int) -> np.ndarray:
    """Return the product of the block's matrices modulo a prime."""
    found = [_modulo(np.asarray(factor, dtype=float), prime) for factor in block]
    return found[0] if len(found) == 1 else _multiply_modulo(found[0], found[1], prime)


def _modulo(matrix: np.ndarray, prime: int) -> np.ndarray:
    """Return floats as residues: mantissa times a power of 2, which has an inverse."""
    mantissa, exponent = np.frexp(matrix)
    whole = np.ldexp(mantissa, 53).astype(np.int64) % prime
    return whole * _powers_of_two(prime)[exponent - 53 + _REACH] % prime


@cache
def _powers_of_two(prime: int) -> np.ndarray:
    """Return 2^e modulo a prime for every exponent of floats."""
    return np.array([pow(2, e, prime) for e in range(-_REACH, _REACH + 1)], dtype=np.int64)


@njit(cache=True)
def _multiply_modulo(A: Any, B: Any, prime: int) -> Any:
    out = np.zeros((A.shape[0], B.shape[1]), dtype=np.int64)
    for i in range(A.shape[0]):
        for k in range(A.shape[1]):
            if A[i, k] != 0:
                for j in range(B.shape[1]):
                    out[i, j] = (out[i, j] + A[i, k] * B[k, j]) % prime
    return out


@njit(cache=True)
def _rank_modulo(matrix: Any, prime: int) -> int:
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
