"""Independent oracles: laws of sketches by listing every kept set, in plain Python."""

import itertools
import math

import numpy as np

from mastsim.sketches import Bernoulli, FiniteSupport, Identity, RandK


def kept_sets(sketch):
    """Return every kept set as a tuple of 0 and 1, with its probability, of a family that this page knows."""
    d = sketch.dim
    if isinstance(sketch, Identity):
        return [((1,) * d, 1.0)]
    if isinstance(sketch, RandK):
        subsets = list(itertools.combinations(range(d), sketch.k))
        return [(tuple(int(i in chosen) for i in range(d)), 1 / len(subsets)) for chosen in subsets]
    assert isinstance(sketch, Bernoulli)
    keep = np.broadcast_to(sketch.keep, (d,)).tolist()
    masks = itertools.product((0, 1), repeat=d)
    sets = [(mask, math.prod(p if m else 1 - p for m, p in zip(mask, keep, strict=True))) for mask in masks]
    return [(mask, chance) for mask, chance in sets if chance > 0]


def keep_of(sketch):
    """Return the probability with which each coordinate is kept."""
    if isinstance(sketch, Identity):
        return np.ones(sketch.dim)
    if isinstance(sketch, RandK):
        return np.full(sketch.dim, sketch.k / sketch.dim)
    return np.broadcast_to(sketch.keep, (sketch.dim,))


def law(sketch):
    """Return every value of S, shape (N, dim, dim), and its probability."""
    if isinstance(sketch, FiniteSupport):
        return np.asarray(sketch.matrices), np.asarray(sketch.weights)
    masks, chances = zip(*kept_sets(sketch), strict=True)
    return np.array([np.diag(np.array(mask) / keep_of(sketch)) for mask in masks]), np.array(chances)


def mean(chances, values):
    """Return the sum of chance times value, one term after the other."""
    return sum(chance * value for chance, value in zip(chances, values, strict=True))


def symmetric(rng, dim):
    """Return a random symmetric, indefinite matrix."""
    half = rng.standard_normal((dim, dim))
    return half + half.T


def semidefinite(rng, dim, rank):
    """Return a random positive semidefinite matrix of the given rank."""
    half = rng.standard_normal((dim, rank))
    return half @ half.T
