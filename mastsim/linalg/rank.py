"""The exact rank of matrices of floats, which are whole numbers times powers of 2, by elimination modulo primes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

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
    from mastsim.linalg.residues import rank_of

    best = 0
    for prime in _PRIMES:
        parts = [_modulo_product(block, prime) for block in stack]
        best = max(best, int(rank_of(np.concatenate(parts), prime)))
        if best == min(rows, dim):
            break
    return best


def _modulo_product(block: Sequence[np.ndarray], prime: int) -> np.ndarray:
    """Return the product of the block's matrices modulo a prime."""
    from mastsim.linalg.residues import multiply

    found = [_modulo(np.asarray(factor, dtype=float), prime) for factor in block]
    return found[0] if len(found) == 1 else multiply(found[0], found[1], prime)


def _modulo(matrix: np.ndarray, prime: int) -> np.ndarray:
    """Return floats as residues: mantissa times a power of 2, which has an inverse."""
    mantissa, exponent = np.frexp(matrix)
    whole = np.ldexp(mantissa, 53).astype(np.int64) % prime
    return whole * _powers_of_two(prime)[exponent - 53 + _REACH] % prime


@cache
def _powers_of_two(prime: int) -> np.ndarray:
    """Return 2^e modulo a prime for every exponent of floats."""
    return np.array([pow(2, e, prime) for e in range(-_REACH, _REACH + 1)], dtype=np.int64)
