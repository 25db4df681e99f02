"""Two-sided brackets of the largest eigenvalue, and what large dimensions get instead of matrices."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

import mastsim as ms
from mastsim import constants as constants_module
from mastsim.expected import mast as mast_module
from mastsim.problems import glm as glm_module
from mastsim.spectra import bracket_largest


@given(seed=st.integers(0, 2**32 - 1), dim=st.integers(1, 300), rank=st.integers(0, 300), spread=st.sampled_from([1, 1e6]))
def test_the_bracket_holds_the_largest_eigenvalue(seed, dim, rank, spread):
    """The upper end may fail with probability 1e-12 over the start."""
    rng = np.random.default_rng(seed)
    B = rng.standard_normal((dim, min(rank, dim))) * np.geomspace(1, spread, min(rank, dim))
    A = B @ B.T
    top = np.linalg.eigvalsh(A)[-1]
    found = bracket_largest(lambda w: A @ w, dim, seed=seed)
    assert found.lower <= top * (1 + 1e-10) + 1e-300
    assert found.upper >= top * (1 - 1e-10)
    assert found.upper <= 1.02 * found.lower + 1e-300


def test_a_nonnegative_matrix_needs_no_luck():
    A = np.ones((400, 400)) + np.eye(400)
    found = bracket_largest(lambda w: A @ w, 400, lambda w: A @ w)
    assert found.how == "Collatz-Wielandt bound"
    assert found.upper == pytest.approx(401, rel=1e-9)


def test_a_start_that_misses_the_top_is_paid_for():
    """The Ritz value alone is below the eigenvalue here; the upper end is not."""
    spectrum = np.append(np.linspace(0, 1, 5_000), 1.0005)
    found = bracket_largest(lambda w: spectrum * w, len(spectrum))
    assert found.lower < 1.0005 <= found.upper
    assert found.upper < 1.02


@pytest.mark.parametrize("model", [ms.LogisticRegression, ms.LeastSquares, ms.WelschRegression])
@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize(
    "sketch", [ms.RandK(30, 7), ms.Bernoulli(30, 0.2), ms.BlockBernoulli(30, 5, 0.4)], ids=lambda s: s.name
)
def test_large_dimensions_agree_with_dense_ones(model, binary, sketch, monkeypatch):
    rng = np.random.default_rng(3)
    A = sp.random_array((50, 30), density=0.3, rng=rng, format="csr")
    A.data = np.ones(A.nnz) if binary else rng.standard_normal(A.nnz)
    y = np.where(rng.random(50) < 0.5, 1.0, -1.0)
    dense = dict(ms.Constants(ms.Mast(model(A, y, l2=0.1), sketch)))
    for module in (glm_module, mast_module, constants_module):
        monkeypatch.setattr(module, "DENSE_LIMIT", 10)
    f = model(A, y, l2=0.1)
    large = ms.Constants(ms.Mast(f, sketch))
    for name in ("L_f", "L_fD_sharp"):
        assert large[name].kind == "upper"
        assert dense[name] * (1 - 1e-9) <= large[name] <= 1.02 * dense[name]
    assert large.mu_f <= dense["mu_f"] + 1e-9
    assert large.mu_fD_sharp <= dense["mu_fD_sharp"] + 1e-9
    assert large.expected_smoothness_sharp >= dense["expected_smoothness_sharp"] * (1 - 1e-12)
    assert large.fD_inf == pytest.approx(dense["fD_inf"], rel=1e-9)


def test_a_condition_number_in_large_dimensions_is_not_exceeded(monkeypatch):
    A = sp.random_array((50, 30), density=0.3, rng=np.random.default_rng(5), format="csr")
    monkeypatch.setattr(glm_module, "DENSE_LIMIT", 10)
    f = ms.LogisticRegression(A, np.tile([1.0, -1.0], 25), condition_number=40)
    top = np.linalg.eigvalsh((A.T @ A).toarray())[-1] / 200
    assert (top + f.ridge) / f.ridge <= 40 * (1 + 1e-9)
    assert f.L_f / f.mu_f == pytest.approx(40)


def test_nothing_of_size_d_by_d_is_formed():
    d = 20_000
    A = sp.random_array((100, d), density=1e-3, rng=np.random.default_rng(0), format="csr")
    f = ms.LogisticRegression(A, np.tile([1.0, -1.0], 50), l2=0.1)
    F = ms.Mast(f, ms.RandK(d, d // 2))
    assert F.minimize().gap_bound < 1e-12
    assert ms.Constants(F).L_fD_sharp <= ms.Constants(F).L_fD
