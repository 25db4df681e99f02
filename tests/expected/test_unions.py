"""Unions of atoms: rows are the same sets with fewer parts, on data of any shape, in several chunks, and with rare atoms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mastsim.expected.transforms import unions
from mastsim.expected.transforms.unions import find_unions
from tests.examples import examples


def draw(rng, rows, atoms):
    """Return rows of a few patterns, of which entries are left out at random; some are empty."""
    patterns = rng.random((int(rng.integers(1, 6)), atoms)) < rng.uniform(0.05, 0.9)
    held = patterns[rng.integers(0, len(patterns), rows)] & (rng.random((rows, atoms)) < rng.uniform(0.5, 1))
    place, atom = np.nonzero(held)
    return np.concatenate([[0], np.cumsum(held.sum(axis=1))]), atom.astype(np.int32), place


def spread(found, atoms):
    """Return the atoms of every part."""
    sets = [{a} for a in range(atoms)]
    for a, b in zip(found.left, found.right, strict=True):
        assert not sets[a] & sets[b]
        sets.append(sets[a] | sets[b])
    return sets


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=examples(60), deadline=None)
def test_rows_are_the_same_sets_with_fewer_parts(seed):
    rng = np.random.default_rng(seed)
    atoms = int(rng.integers(1, 400))
    indptr, atom, _ = draw(rng, int(rng.integers(500, 700)), atoms)
    with pytest.MonkeyPatch.context() as patch:
        # Chunks, samples and tables as large data have them.
        patch.setattr(unions, "_MOST_ROWS", int(rng.choice([100, 129, 1 << 13])))
        patch.setattr(unions, "_MOST_ATOMS", int(rng.choice([3, 50, 256])))
        found = find_unions(indptr, atom, atoms)
    sets = spread(found, atoms)
    for i in range(len(indptr) - 1):
        parts = found.part[found.indptr[i] : found.indptr[i + 1]]
        held = [a for part in parts for a in sets[part]]
        assert sorted(held) == atom[indptr[i] : indptr[i + 1]].tolist()
    assert len(found.part) <= len(atom)


def test_rows_of_a_few_patterns_become_short():
    rng = np.random.default_rng(0)
    patterns = np.array([np.sort(rng.choice(60, 20, replace=False)) for _ in range(4)])
    indptr, atom = 20 * np.arange(1001), patterns[rng.integers(0, 4, 1000)].ravel().astype(np.int32)
    assert len(find_unions(indptr, atom, 60).part) == 1000
    few = find_unions(indptr[:101], atom[:2000], 60)
    assert len(few.left) == 0
    assert few.part is not None
    np.testing.assert_array_equal(few.part, atom[:2000])
