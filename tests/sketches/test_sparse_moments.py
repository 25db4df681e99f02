"""E[SᵀHS] and sup λ_max(SᵀHS) without matrices, against the enumeration of every sketch."""

import numpy as np
import pytest
import scipy.sparse as sp

import mastsim as ms
from mastsim.linalg import SparseCurvature
from tests.oracles.small_sketches import SKETCHES, Mixed

pytestmark = pytest.mark.slow


def matrices(sketch):
    values, weights = sketch.support()
    return np.asarray(values.matrices()), weights


def dense(H):
    return np.array([H.times(w) for w in np.eye(H.dim)])


def example(seed, sign=1.0):
    rng = np.random.default_rng(seed)
    B = sp.random_array((6, 8), density=0.6, rng=rng, format="csr", data_sampler=rng.standard_normal)
    return SparseCurvature([(B, rng.random(6))], rng.random(8), floor=0.0, sign=sign)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("name", SKETCHES)
def test_moments_are_those_of_the_enumeration(name, sign):
    S, H = SKETCHES[name], example(1, sign)
    values, weights = matrices(S)
    truth = np.einsum("n,nij,jk,nkl->il", weights, values.transpose(0, 2, 1), dense(H), values)
    found = S.law.sparse_moment(H)
    np.testing.assert_allclose(dense(found), truth, rtol=0, atol=1e-13 * abs(truth).max())
    spectrum = np.linalg.eigvalsh(truth)
    assert found.largest >= spectrum[-1] - 1e-12
    assert found.largest <= spectrum[-1] + 1e-6 * abs(spectrum).max()
    assert found.smallest <= spectrum[0] + 1e-12
    assert found.smallest >= spectrum[0] - 1e-6 * abs(spectrum).max()


@pytest.mark.parametrize("name", ["Rand-3", "blocks", "2 of 4", "mixed", "independent"])
def test_nonnegative_rows_have_entries_that_power_steps_may_use(name):
    """The Collatz-Wielandt bound asks that no entry off the diagonal is negative, with weights of either sign."""
    H = example(2)
    H = H.with_diagonal(H.diagonal, [(abs(B), s) for B, s in H.pieces], 0.0)
    found = SKETCHES[name].law.sparse_moment(H)
    assert (dense(found) >= -1e-15).all()
    assert found.largest.kind == "exact"


@pytest.mark.parametrize("name", SKETCHES)
def test_suprema_are_at_least_those_of_the_enumeration(name):
    S, H = SKETCHES[name], example(3)
    values, _ = matrices(S)
    truth = max(np.linalg.eigvalsh(M.T @ dense(H) @ M)[-1] for M in values)
    found = S.law.sparse_supremum(H)
    assert found >= truth * (1 - 1e-12)
    assert found <= S.L_max * H.largest * (1 + 1e-6)
    if S.law.jointly_largest:
        assert found <= truth * (1 + 1e-6)
    if name == "Rand-1":
        assert found == pytest.approx(64 * H.entries.max(), rel=1e-12)


def test_a_unit_that_is_seldom_kept_counts_in_the_supremum():
    """A diagonal that is large where a unit is kept with a chance of 0.3: the supremum is attained when it is."""
    H = SparseCurvature([], np.array([1.0, 1, 1, 1, 1, 100, 1, 1]))
    values, _ = matrices(Mixed())
    truth = max(np.linalg.eigvalsh(M.T @ dense(H) @ M)[-1] for M in values)
    assert truth == pytest.approx(100 / 0.3**2)
    assert Mixed().law.sparse_supremum(H) >= truth * (1 - 1e-12)
    # Of a group no more than is kept counts: two units of three, which have up to two coordinates.
    assert Mixed().law._largest_trace(np.ones(8)) == pytest.approx(4 * 1.5**2 + 1 / 0.3**2 + 1 + 1 / 0.9**2)


@pytest.mark.parametrize("name", ["2 of 4", "mixed"])
def test_a_floor_grows_with_the_least_second_moment(name):
    """Weights of either sign leave nothing but the floor to be certain of."""
    rng = np.random.default_rng(7)
    H = SparseCurvature([(sp.csr_array(rng.standard_normal((3, 8))), np.ones(3))], np.full(8, 0.5), floor=0.5)
    found = SKETCHES[name].law.sparse_moment(H)
    assert found.floor == pytest.approx(0.5 * SKETCHES[name].mu_D)
    assert np.linalg.eigvalsh(dense(found))[0] >= found.floor * (1 - 1e-12)


@pytest.mark.parametrize("S", [ms.Haar(8, 3), ms.Gaussian(8, 3)], ids=str)
def test_invariant_laws_agree_with_their_matrix_moments(S):
    """Those are tested against draws elsewhere."""
    H = example(4)
    truth = S.quadratic_moment(dense(H))
    np.testing.assert_allclose(dense(S.law.sparse_moment(H)), truth, rtol=0, atol=1e-13 * abs(truth).max())


def test_masks_without_their_factor():
    H, S = example(5), ms.Unscaled(ms.RandK(8, 3))
    values, weights = matrices(S)
    truth = np.einsum("n,nij,jk,nkl->il", weights, values, dense(H), values)
    np.testing.assert_allclose(dense(S.law.sparse_moment(H)), truth, rtol=0, atol=1e-13)


def test_a_law_that_knows_no_such_moment_says_so():
    assert ms.FiniteSupport(np.eye(8)[None], np.ones(1)).law.sparse_moment(example(6)) is None
