"""Array namespace (NumPy or CuPy), operations that namespaces do not share, and counter-based random numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mastsim.memory import check_room
from mastsim.namespaces import NUMPY, is_cupy, namespace_of
from mastsim.validation import integer, one_of

Array = Any
"""A NumPy or CuPy array; which one is decided by the data a user passes in, never by name."""

_NUMBERS = (bool, int, float, complex, type(None))
_MASK = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_WORDS = 8 * 8
"""Bytes that one uniform number takes while it is made: eight words of 64 bits."""
_EXPONENT = 0x7FF0000000000000

STEPS = 1 << 56
"""How many steps have random numbers of their own."""
_STREAM_BITS = 8
"""Bits of the last counter word that name the purpose; those above them carry the step beyond 32 bits."""

PURPOSES = ("start", "sketch", "minibatch", "compression", "coin", "anchor", "probe", "expectation", "order", "clients")
"""What a random number is for; each purpose has a stream of its own."""


def namespace(*arrays: Array) -> Any:
    """Return the array namespace of the arguments, among which numbers count for nothing (TypeError when they are mixed).

    Examples
    --------
    >>> namespace(np.ones(2), 1.0) is NUMPY
    True
    """
    found = None
    for array in arrays:
        if type(array) not in _NUMBERS:
            own = namespace_of(array)
            if found is not None and own is not found:
                raise TypeError(f"arrays of {found.__name__} and of {own.__name__} are mixed; move them to one device")
            found = own
    if found is None:
        raise TypeError("no array was given, so there is no namespace")
    return found


def asnumpy(array: Array) -> np.ndarray:
    """Return the array on the host."""
    if isinstance(array, np.ndarray):
        return array
    if hasattr(array, "get"):
        return np.asarray(array.get())
    return np.array(np.from_dlpack(array)) if hasattr(array, "__dlpack__") else np.asarray(array)


def contiguous(x: Array) -> Array:
    """Return the array in row-major order, where its library knows of orders."""
    if isinstance(x, np.ndarray):
        return np.ascontiguousarray(x)
    xp = namespace(x)
    return xp.ascontiguousarray(x) if hasattr(xp, "ascontiguousarray") else x


def rows_at(x: Array, index: Array) -> Array:
    """Return ``x[index]`` for an array of positions on the first axis, of any shape."""
    if isinstance(x, np.ndarray):
        return x[index]
    xp = namespace(x)
    index = xp.asarray(index)
    return xp.reshape(xp.take(x, xp.reshape(index, (-1,)), axis=0), index.shape + x.shape[1:])


def columns_at(x: Array, index: np.ndarray) -> Array:
    """Return ``x[:, index]`` for a vector of positions that is on the host."""
    if isinstance(x, np.ndarray):
        return x[:, index]
    xp = namespace(x)
    return xp.take(x, xp.asarray(index), axis=1)


def put(x: Array, rows: Array, columns: Array, value: Array) -> Array:
    """Return `x` with ``x[rows, columns] = value``, in place where possible; no position may come twice in a row."""
    xp = namespace(x)
    if xp is NUMPY or is_cupy(xp):
        x[rows, columns] = value
        return x
    columns = xp.broadcast_to(columns, (x.shape[0], columns.shape[-1]))
    for j in range(columns.shape[1]):
        here = columns[:, j, None] == xp.arange(x.shape[1])[None, :]
        x = xp.where(here, value if isinstance(value, bool) else value[:, j, None], x)
    return x


def power_of_two_below(x: Array) -> Array:
    """Return the largest power of two at or below each entry, exactly, for normal numbers above zero; zero stays zero."""
    if hasattr(x, "view"):
        xp = namespace(x)
        return (x.view(xp.int64) & _EXPONENT).view(xp.float64)
    # The standard has no bits of floats; only namespaces that stand in for a device in tests come here.
    return namespace(x).asarray(power_of_two_below(asnumpy(x)))


def pieces(count: int, size: int) -> list[slice]:
    """Return the slices that cut `count` rows into pieces of `size`, the last perhaps shorter.

    Examples
    --------
    >>> pieces(5, 3)
    [slice(0, 3, None), slice(3, 5, None)]
    """
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def repeated(counts: Array) -> Array:
    """Return 0 `counts[0]` times, 1 `counts[1]` times, and so on."""
    if isinstance(counts, np.ndarray):
        return np.repeat(np.arange(len(counts)), counts)
    xp = namespace(counts)
    ends = xp.cumulative_sum(counts)
    total = int(ends[-1]) if counts.shape[0] else 0
    return xp.searchsorted(ends, xp.arange(total, dtype=ends.dtype), side="right")


def rows_times(matrix: Array, x: Array) -> Array:
    """Return ``matrix @ x_r`` for every replica: ``(..., d) -> (..., n)``.

    A plain matrix product over the batch may sum in an order that depends on how many rows are in the batch; here every
    replica is multiplied on its own, so that a result does not depend on the replicas beside it. Arguments and result are
    brought into row-major order, since the order of a later sum over the last axis depends on it. Off the host one product
    serves all replicas, and a result depends on the others by rounding.
    """
    xp = namespace(x)
    x = contiguous(x)
    if hasattr(matrix, "indptr"):
        flat = xp.reshape(x, (-1, x.shape[-1]))
        return xp.reshape(contiguous((matrix @ flat.T).T), (*x.shape[:-1], matrix.shape[0]))
    if isinstance(x, np.ndarray) or matrix.ndim > 2:
        return xp.matmul(matrix, x[..., None])[..., 0]
    return xp.matmul(x, xp.matrix_transpose(matrix))


def inner(x: Array, y: Array) -> Array:
    """Return the inner products along the last axis, one replica at a time."""
    xp = namespace(x, y)
    return xp.sum(contiguous(x * y), axis=-1)


def philox(counter: tuple[Array, Array, Array, Array], key: tuple[int, int]) -> tuple[Array, Array, Array, Array]:
    """Return the four 32-bit words of Philox4x32-10 for each counter.

    Parameters
    ----------
    counter : tuple of four uint64 arrays
        The counter words, each below 2**32; broadcast against each other.
    key : tuple of two ints
        The key words, each below 2**32.

    Returns
    -------
    tuple of four uint64 arrays
        Random words below 2**32.

    References
    ----------
    Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        p0, p1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & _MASK, (p0 >> 32) ^ c3 ^ k1, p0 & _MASK
        k0, k1 = (k0 + _WEYL[0]) & _MASK, (k1 + _WEYL[1]) & _MASK
    return c0, c1, c2, c3


@dataclass(frozen=True)
class Streams:
    """Random numbers addressed by (seed, purpose, step, replica).

    Nothing is carried from one call to the next, so a number does not depend on chunking, threads, device or on how many
    replicas run beside it.

    Parameters
    ----------
    seed : int
        From 0 to 2**64 - 1.

    Raises
    ------
    ValueError
        If the seed is out of range.

    Examples
    --------
    >>> streams = Streams(seed=0)
    >>> together = streams.uniform("sketch", 3, np.arange(4), 2)
    >>> alone = streams.uniform("sketch", 3, np.arange(2, 3), 2)
    >>> bool((together[2] == alone[0]).all())
    True
    """

    seed: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "seed", integer("seed", self.seed, 0, 2**64 - 1))

    def uniform(self, purpose: str, step: int, replicas: Array, count: int) -> Array:
        """Return uniform numbers in [0, 1) with 53 random bits, shape ``(len(replicas), count)``.

        Steps must lie below 2**56 and replica numbers below 2**32, and `purpose` must be one of `PURPOSES`.

        Raises
        ------
        ValueError
            If the step or the purpose is none of these, or there is not enough memory.
        """
        xp = namespace(replicas)
        step, stream = integer("step", step, 0, STEPS - 1), PURPOSES.index(one_of("purpose", purpose, PURPOSES))
        check_room(
            "random numbers for replicas × draws",
            *(replicas.shape[0], count),
            change="use fewer replicas, a smaller chunk, or a sketch or a minibatch that draws fewer",
            itemsize=_WORDS,
        )
        blocks = xp.arange((count + 1) // 2, dtype=xp.uint64)[None, :]
        rows = xp.astype(replicas, xp.uint64)[:, None]
        zero = xp.zeros_like(rows)
        words = philox(
            (blocks + zero, zero + (step & _MASK), rows, zero + (stream + ((step >> 32) << _STREAM_BITS))),
            (self.seed & _MASK, self.seed >> 32),
        )
        low, high = (_to_unit(words[i], words[i + 1], xp) for i in (0, 2))
        return xp.reshape(xp.stack((low, high), axis=-1), (rows.shape[0], -1))[:, :count]


def _to_unit(a: Array, b: Array, xp: Any) -> Array:
    return xp.astype((a >> 5) * 67108864 + (b >> 6), xp.float64) * (1.0 / 9007199254740992.0)
