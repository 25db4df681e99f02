"""E ψ(w) over all kept sets of a row's terms: exact for any loss, for rows with few terms."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mastsim.expected.layout import RowLayout

MOST_TERMS = 14
_CHUNK = 1 << 21

Function = Callable[[np.ndarray], np.ndarray]
"""ψ or one of its derivatives, elementwise."""


def atoms(layout: RowLayout, theta: np.ndarray, rows: np.ndarray, terms: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of w and their probabilities for rows that all have the same number of terms.

    Parameters
    ----------
    layout : RowLayout
        The rows.
    theta : ndarray, shape (all terms,)
        The value of each term.
    rows : ndarray of int, shape (m,)
        Which rows.
    terms : int
        Their number of terms, r.

    Returns
    -------
    ndarray, shape (m, 2**r)
        Values; bit e of the column says whether term e is kept.
    ndarray, shape (m, 2**r)
        Probabilities.
    """
    values = layout.offset[rows][:, None]
    chances = np.ones((len(rows), 1))
    count = np.zeros((len(rows), 1))
    for e in range(terms):
        index = layout.start[rows] + e
        segment = layout.segment[index]
        seen = index - layout.segment_start[segment]
        count = np.where((seen == 0)[:, None], 0.0, count)
        members, kept = layout.members[segment], layout.kept[segment]
        go = np.clip((kept[:, None] - count) / (members - seen)[:, None], 0.0, 1.0)
        values = np.concatenate([values, values + theta[index][:, None]], axis=1)
        chances = np.concatenate([chances * (1 - go), chances * go], axis=1)
        count = np.concatenate([count, count + 1], axis=1)
    return values, chances


def row_values(layout: RowLayout, theta: np.ndarray, rows: np.ndarray, function: Function, out: np.ndarray) -> None:
    """Write E ψ(w_i) for the given rows into `out`, shape (n,)."""
    for terms, chunk in _chunks(layout, rows):
        values, chances = atoms(layout, theta, chunk, terms)
        out[chunk] = (chances * function(values)).sum(axis=1)


def row_derivatives(
    layout: RowLayout,
    theta: np.ndarray,
    rows: np.ndarray,
    function: Function,
    out: np.ndarray,
    delta: np.ndarray | None = None,
) -> None:
    """Write E[ψ(w_i)·[e kept]] for every term e of the given rows into `out`, shape (terms,).

    With `delta`, shape (terms,), the expectation is of ψ(w_i)·[e kept]·Σ_k delta_k·[k kept].
    """
    for terms, chunk in _chunks(layout, rows):
        values, chances = atoms(layout, theta, chunk, terms)
        weighted = chances * function(values)
        if delta is not None:
            weighted *= atoms(layout, delta, chunk, terms)[0] - layout.offset[chunk][:, None]
        for e in range(terms):
            kept = weighted.reshape(len(chunk), -1, 2, 1 << e)[:, :, 1, :]
            out[layout.start[chunk] + e] = kept.sum(axis=(1, 2))


def _chunks(layout: RowLayout, rows: np.ndarray) -> list[tuple[int, np.ndarray]]:
    counts = np.diff(layout.start)[rows]
    out = []
    for terms in np.unique(counts):
        same = rows[counts == terms]
        pieces = max(1, -(-(len(same) << int(terms)) // _CHUNK))
        out += [(int(terms), piece) for piece in np.array_split(same, pieces)]
    return out
