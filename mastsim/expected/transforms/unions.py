"""Atoms that many rows hold together, taken as one: a row's product then has fewer factors, and its sums fewer places.

Pairs are chosen greedily, the most frequent first, and a union may be part of another. Sets of rows are bits of words.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_LEAST_ROWS = 512
_MOST_ROWS = 1 << 13
_MOST_ATOMS = 256
_MOST_UNIONS = 128
# A union costs a tile about as much as the entries that it saves in a hundred rows of a task.
_LEAST_SHARE = 1 / 64


class Unions(NamedTuple):
    """Rows made of atoms and of unions, which are numbered after the atoms.

    Attributes
    ----------
    left, right : array of int32, shape (unions,)
        The two atoms, or earlier unions, that each is made of.
    indptr, part : integer array
        The atoms and unions of row i are ``part[indptr[i]:indptr[i + 1]]``; together they are what the row holds.
    """

    left: np.ndarray
    right: np.ndarray
    indptr: np.ndarray
    part: np.ndarray


def find_unions(indptr: np.ndarray, atom: np.ndarray, atoms: int) -> Unions:
    """Return rows with as few parts as unions allow.

    Parameters
    ----------
    indptr, atom : integer array
        The atoms of row i are ``atom[indptr[i]:indptr[i + 1]]``, each once.
    atoms : int
        How many seldom are.

    Examples
    --------
    >>> found = find_unions(3 * np.arange(601), np.tile([0, 2, 3, 1, 2, 3], 300), 4)
    >>> found.left, found.right, found.part[:4]
    (array([2, 0, 1], dtype=int32), array([3, 4, 4], dtype=int32), array([5, 6, 5, 6], dtype=int32))
    """
    rows, none = len(indptr) - 1, np.zeros(0, dtype=np.int32)
    if rows < _LEAST_ROWS:
        return Unions(none, none, indptr, atom)
    # Others are too rare to be worth a union.
    common = np.sort(np.argsort(-np.bincount(atom, minlength=atoms), kind="stable")[:_MOST_ATOMS])
    sample = np.unique(np.linspace(0, rows - 1, min(rows, _MOST_ROWS)).astype(np.int64))
    joined = _choose(_bits(indptr, atom, sample, common, atoms), max(2, round(_LEAST_SHARE * len(sample))))
    if not joined:
        return Unions(none, none, indptr, atom)
    number = np.concatenate([common, atoms + np.arange(len(joined))]).astype(np.int32)
    left, right = number[np.array(joined)].T
    chunks = [np.arange(first, min(first + _MOST_ROWS, rows)) for first in range(0, rows, _MOST_ROWS)]
    lengths, parts = zip(*(_rewrite(indptr, atom, chunk, common, atoms, joined, number) for chunk in chunks), strict=True)
    return Unions(
        np.ascontiguousarray(left),
        np.ascontiguousarray(right),
        np.cumsum([0, *np.concatenate(lengths)]),
        np.concatenate(parts),
    )


def _entries(indptr: np.ndarray, atom: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the entries of some rows: the place of the row among them, and the atom."""
    length = np.diff(indptr)[rows]
    place = np.repeat(np.arange(len(rows)), length)
    within = np.arange(len(place)) - np.repeat(np.cumsum(length) - length, length)
    return place, atom[indptr[rows][place] + within]


def _bits(indptr: np.ndarray, atom: np.ndarray, rows: np.ndarray, common: np.ndarray, atoms: int) -> np.ndarray:
    """Return which of some rows hold each common atom, as words of 64 bits, with room for unions."""
    local = np.full(atoms, -1)
    local[common] = np.arange(len(common))
    place, held = _entries(indptr, atom, rows)
    held = local[held]
    table = np.zeros((len(common) + _MOST_UNIONS, -(-len(rows) // 64) * 64), dtype=bool)
    table[held[held >= 0], place[held >= 0]] = True
    return np.packbits(table, axis=1, bitorder="little").view(np.uint64)


def _choose(held: np.ndarray, least: int) -> list[tuple[int, int]]:
    """Return the pairs that are joined, in turn, while at least so many rows hold both."""
    count, joined = len(held) - _MOST_UNIONS, list[tuple[int, int]]()
    together = np.zeros((len(held),) * 2, dtype=np.int64)
    for a in range(count):
        together[a] = _held_with(held, held[a])
    np.fill_diagonal(together, 0)
    while len(joined) < _MOST_UNIONS:
        a, b = (int(k) for k in np.unravel_index(together.argmax(), together.shape))
        if together[a, b] < least:
            break
        union = count + len(joined)
        _join(held, a, b, union)
        shared = _held_with(held, held[union])
        shared[union] = 0
        for k in (a, b):
            together[k] -= shared
            together[:, k] -= shared
        together[a, b] = together[b, a] = 0
        together[union] = together[:, union] = shared
        joined.append((a, b))
    return joined


def _held_with(held: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return how many of some rows hold each atom."""
    return np.asarray(np.bitwise_count(held & rows).sum(axis=1, dtype=np.int64))


def _join(held: np.ndarray, a: int, b: int, union: int) -> None:
    """Let the rows that hold two atoms hold their union instead."""
    held[union] = held[a] & held[b]
    held[a] &= ~held[union]
    held[b] &= ~held[union]


def _rewrite(
    indptr: np.ndarray,
    atom: np.ndarray,
    rows: np.ndarray,
    common: np.ndarray,
    atoms: int,
    joined: list[tuple[int, int]],
    number: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return how many parts each of some rows has, and the parts."""
    held = _bits(indptr, atom, rows, common, atoms)
    for k, (a, b) in enumerate(joined):
        _join(held, a, b, len(common) + k)
    table = np.unpackbits(held.view(np.uint8), axis=1, bitorder="little")[: len(number)]
    place, local = np.nonzero(table.T)
    others, rare = _entries(indptr, atom, rows)
    seldom = ~np.isin(rare, common)
    place, part = np.concatenate([place, others[seldom]]), np.concatenate([number[local], rare[seldom]])
    return np.bincount(place, minlength=len(rows)), part[np.argsort(place, kind="stable")].astype(np.int32)
