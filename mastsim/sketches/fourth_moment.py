"""E[SᵀASSᵀAS], the second moment of a sketched gradient on a quadratic, in closed form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mastsim.sketches.base import Sketch
    from mastsim.sketches.selection import Selection

ENUMERATION_LIMIT = 1 << 24
"""The most matrix entries of a support that is enumerated."""


def selection_fourth_moment(selection: Selection, A: np.ndarray) -> np.ndarray:
    """Return E[SASSAS] of a diagonal sketch that keeps or drops units.

    The entries are Σ_k A_ik A_kj E[c_i c_k² c_j], where E[∏c] over coordinates of u different units of one group is
    (1/keep)^(number of factors) times the probability that u given units are all kept. The sum is split by whether k shares
    the unit, only the group, or neither with i and with j, which makes it nine matrix products of non-overlapping parts of
    `A`: no cancellation beyond that of the sum itself, O(dim³) time, O(dim²) memory.

    Parameters
    ----------
    selection : Selection
        The law of the kept set.
    A : ndarray, shape (dim, dim)
        Any matrix.

    Returns
    -------
    ndarray, shape (dim, dim)
        The moment.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> selection_fourth_moment(ms.RandK(2, k=1).selection, np.array([[1.0, 2.0], [2.0, 3.0]]))
    array([[ 8.,  0.],
           [ 0., 72.]])
    """
    unit, group = selection.unit, selection.group[selection.unit]
    one, two, three = (selection_inclusion(selection, count)[group] for count in (1, 2, 3))
    s = 1 / selection.keep
    same_unit = unit[:, None] == unit
    same_group = (group[:, None] == group) & ~same_unit
    apart = group[:, None] != group
    U, G, O = A * same_unit, A * same_group, A * apart  # noqa: E741
    total = selection.moment_mask() * ((O * s) @ O)
    total += same_unit * (s**4 * (one * (U @ U) + two * (G @ G)))
    total += same_group * (s**4 * (two * (U @ G + G @ U) + three * (G @ G)))
    left = (s**3)[:, None] * ((one[:, None] * U + two[:, None] * G) @ O)
    right = O @ (U * one + G * two) * s**3
    return total + apart * (left + right)


def selection_inclusion(selection: Selection, count: int) -> np.ndarray:
    """Return the probability that `count` given units of a group are all kept, shape (groups,).

    Parameters
    ----------
    selection : Selection
        The law of the kept set.
    count : int
        Number of different units; 0 where a group has fewer.

    Returns
    -------
    ndarray, shape (groups,)
        N(N−1)…/(M(M−1)…), with `count` factors.

    Examples
    --------
    >>> import mastsim as ms
    >>> selection_inclusion(ms.RandK(4, k=2).selection, 2)
    array([0.16666667])
    """
    taken = np.arange(count)[:, None]
    M, N = selection.members, selection.kept
    return np.prod(np.maximum(N - taken, 0) / np.maximum(M - taken, 1), axis=0)


def selection_mixed_moments(selection: Selection, k: int) -> np.ndarray:
    """Return the matrix of E[c_i c_k² c_j] over i and j.

    It is E[c_i c_j]/keep_k² times the probability that k is kept when i and j are.

    Parameters
    ----------
    selection : Selection
        The law of the kept set.
    k : int
        The coordinate that is squared.

    Returns
    -------
    ndarray, shape (dim, dim)
        The moments.

    Examples
    --------
    >>> import mastsim as ms
    >>> selection_mixed_moments(ms.Bernoulli(2, 0.5).selection, 0)
    array([[8., 4.],
           [4., 4.]])
    """
    unit, group = selection.unit, selection.group[selection.unit]
    M, N = selection.members[group[k]], selection.kept[group[k]]
    mine, own = group == group[k], unit == unit[k]
    taken = mine[:, None].astype(int) + mine - (mine & (unit[:, None] == unit))
    given = np.array([max(N - used, 0) / max(M - used, 1) for used in range(3)])[taken]
    given[own[:, None] | own] = 1.0
    return selection.moment_mask() * given / selection.keep[k] ** 2


def independent_fourth_moment(moments: np.ndarray, A: np.ndarray) -> np.ndarray:
    """Return E[SASSAS] of a diagonal sketch with independent entries of mean one.

    Parameters
    ----------
    moments : ndarray, shape (5, dim)
        Row p holds E[c_i^p].
    A : ndarray, shape (dim, dim)
        Any matrix.

    Returns
    -------
    ndarray, shape (dim, dim)
        The moment.

    Examples
    --------
    >>> independent_fourth_moment(np.array([[1.0], [1.0], [2.0], [4.0], [8.0]]), np.array([[3.0]]))
    array([[72.]])
    """
    _, _, second, third, fourth = moments
    a = np.diag(A)
    off = A - np.diag(a)
    total: np.ndarray = (off * second) @ off
    corner = second * np.diag(total) + fourth * a**2
    total += (third * a)[:, None] * off + off * (third * a)
    np.fill_diagonal(total, corner)
    return total


def independent_mixed_moments(moments: np.ndarray, k: int) -> np.ndarray:
    """Return the matrix of E[c_i c_k² c_j] over i and j for independent entries of mean one.

    Parameters
    ----------
    moments : ndarray, shape (5, dim)
        Row p holds E[c_i^p].
    k : int
        The coordinate that is squared.

    Returns
    -------
    ndarray, shape (dim, dim)
        The moments.

    Examples
    --------
    >>> independent_mixed_moments(np.array([[1.0, 1.0], [1.0, 1.0], [2.0, 2.0], [4.0, 4.0], [8.0, 8.0]]), 0)
    array([[8., 4.],
           [4., 4.]])
    """
    _, _, second, third, fourth = moments
    mixed = np.full((len(second), len(second)), second[k])
    np.fill_diagonal(mixed, second * second[k])
    mixed[k], mixed[:, k] = third[k], third[k]
    mixed[k, k] = fourth[k]
    return mixed


def enumerated_fourth_moment(sketch: Sketch, A: np.ndarray) -> np.ndarray:
    """Return E[SᵀASSᵀAS] summed over the support of a sketch.

    Parameters
    ----------
    sketch : Sketch
        Its support must be small.
    A : ndarray, shape (dim, dim)
        Any matrix.

    Returns
    -------
    ndarray, shape (dim, dim)
        The moment.

    Raises
    ------
    ValueError
        If the support is too large to be listed.

    Examples
    --------
    >>> import mastsim as ms
    >>> enumerated_fourth_moment(ms.FiniteSupport([[[2.0]], [[0.0]]]), np.array([[3.0]]))
    array([[72.]])
    """
    if sketch.support_size * sketch.dim**2 > ENUMERATION_LIMIT:
        raise unknown_fourth_moment(sketch)
    batch, weights = sketch.support()
    S = np.asarray(batch.matrices())
    H = S.transpose(0, 2, 1) @ A @ S
    total: np.ndarray = np.tensordot(weights, H @ H, axes=1)
    return total


def unknown_fourth_moment(sketch: Sketch) -> ValueError:
    """Return the refusal for a sketch whose fourth moment has no known closed form.

    Parameters
    ----------
    sketch : Sketch
        The sketch in question.

    Returns
    -------
    ValueError
        To be raised by the caller.

    Examples
    --------
    >>> import mastsim as ms
    >>> str(unknown_fourth_moment(ms.RandK(100, k=50)))[:67]
    'E[SᵀASSᵀAS] is not known in closed form for Rand-50 of 100, whose 1'
    """
    return ValueError(
        f"E[SᵀASSᵀAS] is not known in closed form for {sketch.name}, whose {sketch.support_size:.6g} values are too many to "
        "enumerate: use the mean of (SᵀAS)² over draws from sample(rng, size), with its standard error, as an estimate"
    )
