"""Matrices made of sparse rows against their dense selves: eigenvalues in extended precision, with badly scaled columns."""

import mpmath as mp
import numpy as np
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from mastsim.linalg import SparseCurvature, mean_sparse_curvature, split
from tests.examples import examples

SPREADS = {"even": (0, 0), "1e9 beside ones": (0, 9), "condition 1e14": (-7, 7), "tiny": (-140, -140)}


@st.composite
def curvatures(draw):
    """Return a sum of one or two pieces with a diagonal, and the same matrix in 60 digits."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dim, signed = draw(st.integers(1, 7)), draw(st.booleans())
    low, high = SPREADS[draw(st.sampled_from(sorted(SPREADS)))]
    scale = 10.0 ** rng.integers(low, high + 1, dim)
    pieces = []
    for _ in range(draw(st.integers(0, 2))):
        B = rng.standard_normal((draw(st.integers(1, 9)), dim)) * (rng.random(dim) < 0.8) * scale
        pieces.append((sp.csr_array(B if signed else abs(B)), rng.random(len(B))))
    diagonal = np.full(dim, draw(st.sampled_from([0.0, 1e-8, 1.0]))) * (scale.max() if draw(st.booleans()) else 1.0)
    if draw(st.booleans()):
        diagonal = diagonal * rng.random(dim)
    sign = draw(st.sampled_from([1.0, -1.0]))
    return SparseCurvature(pieces, diagonal, sign=sign)


def eigenvalues(H):
    """Return the eigenvalues in 60 digits, in increasing order."""
    with mp.workdps(60):
        total = mp.diag([mp.mpf(float(x)) for x in H.diagonal])
        for B, s in H.pieces:
            rows = mp.matrix(B.toarray().tolist())
            total += rows.T * mp.diag([mp.mpf(float(x)) for x in s]) * rows
        return sorted(H.sign * x for x in mp.eigsy(total, eigvals_only=True))


def holds(end, truth, side, size):
    """Say whether an end of a bracket is on its side of the truth, or as near as it says where it is exact."""
    own = mp.mpf("1e-50") * size
    if end.kind == "exact":
        return abs(mp.mpf(end.value) - truth) <= end.error + own
    return side * (mp.mpf(end.value) + side * end.error - truth) + own >= 0


@settings(max_examples=examples(400))
@given(H=curvatures())
def test_ends_hold_the_eigenvalues(H):
    """The ends that are random may fail with probability 1e-12."""
    spectrum = eigenvalues(H)
    assert H.largest.kind in ("exact", "upper")
    assert H.smallest.kind in ("exact", "lower")
    size = max(abs(spectrum[0]), abs(spectrum[-1]))
    assert holds(H.largest, spectrum[-1], 1, size)
    assert holds(H.smallest, spectrum[0], -1, size)
    assert H.largest - spectrum[-1] <= 1e-6 * abs(spectrum[-1]) + 1e-10 * size
    assert spectrum[0] - H.smallest <= 1e-6 * abs(spectrum[0]) + 1e-10 * size


@given(H=curvatures(), seed=st.integers(0, 99))
def test_products_are_those_of_the_matrix(H, seed):
    dense = np.diag(H.diagonal) + sum(B.toarray().T * s @ B.toarray() for B, s in H.pieces)
    w, scale = np.random.default_rng(seed).standard_normal((2, H.dim))
    size = abs(dense).max()
    np.testing.assert_allclose(H.times(w), H.sign * dense @ w, rtol=0, atol=1e-12 * size * H.dim)
    np.testing.assert_allclose(H.entries, np.diag(dense), rtol=1e-12)
    moved = H.between(scale)
    np.testing.assert_allclose(moved.times(w), H.sign * scale * (dense @ (scale * w)), rtol=0, atol=1e-10 * size * H.dim)


def test_nonnegative_rows_need_no_luck():
    rng = np.random.default_rng(0)
    B = sp.random_array((400, 900), density=0.05, rng=rng, format="csr")
    H = SparseCurvature([(B, np.full(400, 1 / 400))], np.full(900, 1e-3))
    top = np.linalg.eigvalsh((B.T @ B).toarray() / 400)[-1] + 1e-3
    assert H.largest.kind == "exact"
    assert "Collatz-Wielandt" in H.largest.source
    assert top <= H.largest <= top * (1 + 1e-6)
    # More columns than rows: the least eigenvalue is that of the diagonal, beyond doubt.
    assert (H.smallest.value, H.smallest.kind) == (1e-3, "exact")


def test_signed_rows_are_bracketed_by_a_random_start_and_say_so():
    rng = np.random.default_rng(1)
    B = sp.random_array((700, 500), density=0.05, rng=rng, format="csr", data_sampler=rng.standard_normal)
    H = SparseCurvature([(B, np.full(700, 1 / 700))], np.full(500, 1e-3))
    spectrum = np.linalg.eigvalsh((B.T @ B).toarray() / 700) + 1e-3
    assert H.largest.kind == "upper"
    assert "failure probability 1e-12" in H.largest.source
    assert spectrum[-1] <= H.largest <= spectrum[-1] * (1 + 1e-6)
    assert H.smallest.kind == "lower"
    assert 1e-3 <= H.smallest <= spectrum[0] * (1 + 1e-9)


def test_rows_are_split_by_the_labels_of_their_columns():
    rng = np.random.default_rng(2)
    B, label = sp.random_array((6, 9), density=0.5, rng=rng, format="csr"), rng.integers(-1, 3, 9)
    parts, row, of = split(B, label)
    for r in range(6):
        for k in range(3):
            found = parts.toarray()[(row == r) & (of == k)].sum(axis=0)
            np.testing.assert_array_equal(found, B.toarray()[r] * (label == k))
    assert (np.diff(parts.indptr) > 0).all()


def test_the_mean_is_that_of_the_matrices():
    rng = np.random.default_rng(3)
    parts = [SparseCurvature([(sp.csr_array(rng.random((3, 5))), rng.random(3))], rng.random(5)) for _ in range(3)]
    w = rng.standard_normal(5)
    np.testing.assert_allclose(mean_sparse_curvature(parts).times(w), sum(H.times(w) for H in parts) / 3, rtol=1e-13)
    assert mean_sparse_curvature(parts).largest <= sum(H.largest for H in parts) / 3 * (1 + 1e-6)
