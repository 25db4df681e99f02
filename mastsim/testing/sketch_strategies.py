"""Hypothesis strategies for sketches, and the draws that those for problems share with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from hypothesis import strategies as st

from mastsim.linalg import compile_kernels
from mastsim.sketches import (
    ALL_SKETCHES,
    Bernoulli,
    BlockBernoulli,
    BlockRandK,
    Composed,
    FiniteSupport,
    Identity,
    IndependentDiagonal,
    RandK,
    Rotated,
    Sketch,
)
from mastsim.validation import integer

PLAIN = (Identity, Bernoulli, RandK, FiniteSupport)
"""What compositions are made of, and what theorems are drawn with."""


def sketches(dim: int, families: Sequence[type[Sketch]] = ALL_SKETCHES) -> st.SearchStrategy[Sketch]:
    """Return a strategy for sketches of the given families.

    Parameters
    ----------
    dim : int
        The dimension d.
    families : sequence of classes, default `mastsim.sketches.ALL_SKETCHES`
        Families of this package, or of one's own with a classmethod `examples`; those without a member in this dimension are
        left out.

    Returns
    -------
    hypothesis.strategies.SearchStrategy
        Of unbiased sketches; finite supports are diagonal, of rank one along a random basis, or general matrices.

    Examples
    --------
    >>> import mastsim as ms
    >>> from hypothesis import find
    >>> find(sketches(2, [ms.RandK]), lambda S: S.L_max > 1)
    RandK(dim=2, k=1)
    """
    integer("dim", dim, 1)
    unknown = [each.__name__ for each in families if each not in SKETCHES and not _has_examples(each, dim)]
    if unknown:
        raise ValueError(f"families: there is no strategy for {', '.join(unknown)}; give each a classmethod examples(dim)")
    here = [each for each in families if each in SKETCHES or each.examples(dim)]
    if not here:
        raise ValueError(
            f"families: none of {', '.join(each.__name__ for each in families)} has a member of dimension {dim}"
        )
    compile_kernels()
    return st.sampled_from(here).flatmap(lambda family: _members(family, dim))


def _has_examples(family: type[Sketch], dim: int) -> bool:
    """Return whether a family has members in a dimension, or in one near it."""
    return any(family.examples(near) for near in range(dim, dim + 3))


def _members(family: type[Sketch], dim: int) -> st.SearchStrategy[Sketch]:
    """Return a strategy for members of a family: its own in `SKETCHES`, otherwise its examples."""
    return SKETCHES[family](dim) if family in SKETCHES else st.sampled_from(family.examples(dim))


def generators() -> st.SearchStrategy[np.random.Generator]:
    """Return a strategy for generators of random numbers."""
    return st.integers(0, 2**32 - 1).map(np.random.default_rng)


def scales() -> st.SearchStrategy[float]:
    """Return a strategy for sizes, moderate, small and large."""
    return st.sampled_from([1.0, 0.01, 10.0])


def basis(rng: np.random.Generator, dim: int) -> np.ndarray:
    """Return a random orthogonal matrix, shape (dim, dim)."""
    return np.linalg.qr(rng.standard_normal((dim, dim)))[0]


def _keep_fractions() -> st.SearchStrategy[float]:
    return st.sampled_from([1.0, 0.5, 1e-3]) | st.floats(1e-3, 1.0)


def _bernoulli(dim: int) -> st.SearchStrategy[Sketch]:
    each = st.lists(_keep_fractions(), min_size=dim, max_size=dim).map(np.array)
    return (_keep_fractions() | each).map(partial(Bernoulli, dim))


def _blocks(dim: int) -> st.SearchStrategy[int | np.ndarray]:
    labels = st.lists(st.integers(0, 2), min_size=dim, max_size=dim).map(np.array)
    return st.integers(1, dim) | labels


@st.composite
def _block_bernoulli(draw: st.DrawFn, dim: int) -> Sketch:
    blocks = draw(_blocks(dim))
    return BlockBernoulli(dim, blocks, draw(_keep_fractions()))


@st.composite
def _block_randk(draw: st.DrawFn, dim: int) -> Sketch:
    blocks = draw(_blocks(dim))
    count = blocks if isinstance(blocks, int) else len(np.unique(blocks))
    return BlockRandK(dim, blocks, draw(st.integers(1, count)))


@st.composite
def _independent_diagonals(draw: st.DrawFn, dim: int) -> Sketch:
    rng = draw(generators())
    weights = np.array([_weights(rng, 3) for _ in range(dim)])
    noise = draw(scales()) * rng.standard_normal((dim, 3))
    return IndependentDiagonal(1 + noise - (weights * noise).sum(axis=1, keepdims=True), weights)


@st.composite
def _rotated(draw: st.DrawFn, dim: int) -> Sketch:
    inner = draw(sketches(dim, PLAIN))
    return Rotated(inner, draw(st.sampled_from(["dct"]) | generators().map(lambda rng: basis(rng, dim))))


@st.composite
def _composed(draw: st.DrawFn, dim: int) -> Sketch:
    return Composed(draw(sketches(dim, PLAIN)), draw(sketches(dim, PLAIN)))


@st.composite
def _finite_supports(draw: st.DrawFn, dim: int) -> Sketch:
    build = draw(st.sampled_from([_general_matrices, _basis_directions, _complementary_masks]))
    return FiniteSupport(*build(draw(generators()), dim, draw(scales())))


def _general_matrices(rng: np.random.Generator, dim: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    weights = _weights(rng, int(rng.integers(1, 5)))
    noise = scale * rng.standard_normal((len(weights), dim, dim))
    return np.eye(dim) + noise - np.tensordot(weights, noise, axes=1), weights


def _basis_directions(rng: np.random.Generator, dim: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    weights, columns = _weights(rng, dim), basis(rng, dim).T
    return columns[:, :, None] * columns[:, None, :] / weights[:, None, None], weights


def _complementary_masks(rng: np.random.Generator, dim: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    weights, mask = _weights(rng, 2), rng.integers(0, 2, dim)
    return np.array([np.diag(mask / weights[0]), np.diag((1 - mask) / weights[1])]), weights


def _weights(rng: np.random.Generator, count: int) -> np.ndarray:
    raw = 0.01 + rng.random(count) ** 3
    return raw / raw.sum()


SKETCHES: Mapping[type[Sketch], Callable[[int], st.SearchStrategy[Sketch]]] = {
    Bernoulli: _bernoulli,
    BlockBernoulli: _block_bernoulli,
    BlockRandK: _block_randk,
    IndependentDiagonal: _independent_diagonals,
    Rotated: _rotated,
    FiniteSupport: _finite_supports,
    Composed: _composed,
}
"""A strategy for each family of sketches whose members its examples do not exhaust, given the dimension."""
