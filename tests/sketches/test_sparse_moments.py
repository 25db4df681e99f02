"""E[SᵀHS] and sup λ_max(SᵀHS) without matrices, against the enumeration of every sketch."""

import numpy as np
import pytest
import scipy.sparse as sp

import mastsim as ms
from mastsim.linalg import SparseCurvature
from mastsim.sketches import SelectionSketch
from mastsim.sketches.laws import Selection


class Mixed(SelectionSketch):
    """Units of one to three coordinates, in a group of three units and three groups of one, all of a kind of their own."""

    dim = 8

    @property
    def law(self):
        return Selection(
            np.array([0, 0, 1, 2, 2, 3, 4, 5]),
            np.array([0, 0, 0, 1, 2, 3]),
            np.array([3, 1, 1, 1]),
            np.array([2, 0.3, 1, 0.9]),
        )


SKETCHES = {
    "identity": ms.Identity(8),
    "Rand-1": ms.RandK(8, 1),
    "Rand-3": ms.RandK(8, 3),
    "Rand-8": ms.RandK(8, 8),
    "Bernoulli": ms.Bernoulli(8, np.linspace(0.2, 1, 8)),
    "blocks": ms.BlockBernoulli(8, 3, 0.4),
    "2 of 4": ms.NofM(8, 2, 4),
    "1 of 2": ms.NofM(8, 1, 2),
    "Perm-2": ms.PermK(8, 2),
    "mixed": Mixed(),
    "independent": ms.IndependentDiagonal(np.tile([-0.5, 2.5], (8, 1)), np.tile([0.5, 0.5], (8, 1))),
    "composed": ms.Composed(ms.Bernoulli(8, 0.5), ms.RandK(8, 3)),
}


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
