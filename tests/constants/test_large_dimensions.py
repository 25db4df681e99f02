"""Constants of dimensions in which no matrix is formed, against dense ones of the same small instances."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

import mastsim as ms
from mastsim.constants import node as node_module
from mastsim.expected import distributed as distributed_module
from mastsim.expected import mast as mast_module
from mastsim.problems import finite_sum as finite_sum_module
from mastsim.problems import glm as glm_module
from mastsim.problems import linear_model_curvature as curvature_module
from tests.oracles.small_sketches import SKETCHES as SMALL

MODULES = (glm_module, curvature_module, mast_module, node_module, distributed_module, finite_sum_module)
NAMES = (
    "L_f",
    "mu_f",
    "L_fD",
    "mu_fD",
    "L_fD_sharp",
    "mu_fD_sharp",
    "expected_smoothness_sharp",
    "nonconvex_variance_sharp",
)
MODELS = (ms.LogisticRegression, ms.LeastSquares, ms.WelschRegression)


def both(monkeypatch, build, names=NAMES):
    """Return constants by dense matrices, and by operators."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ms.CertificateWarning)
        dense = {name: ms.Constants(build())[name] for name in names}
        with monkeypatch.context() as patch:
            for module in MODULES:
                patch.setattr(module, "DENSE_LIMIT", 0)
            return dense, {name: ms.Constants(build())[name] for name in names}


def agree(dense, large, tightness=1e-6):
    """Say that bounds are on their side of the dense constants, and as sharp, but for sketches that small ones can list."""
    listed = "enumeration" in dense.get("expected_smoothness_sharp", dense["L_f"]).source
    for name, found in large.items():
        truth, lower = dense[name], name.startswith("mu")
        slack = truth.error + 1e-9 * abs(truth)
        assert found.kind in ("exact", "lower" if lower else "upper"), name
        if lower:
            assert found - found.error <= truth + slack, name
            assert found >= truth - slack - tightness * max(abs(truth), 1e-3 * abs(dense["L_fD_sharp"])), name
        else:
            assert found + found.error >= truth - slack, name
            if not (listed and name in ("expected_smoothness_sharp", "nonconvex_variance_sharp")):
                assert found <= truth + slack + tightness * abs(truth), name
        if found.kind == "exact":
            assert abs(found - truth) <= found.error + slack, name


def data(rng, n, dim, kind):
    A = sp.random_array((n, dim), density=0.4, rng=rng, format="csr")
    A.data = {"binary": np.ones, "nonnegative": rng.random, "signed": rng.standard_normal}[kind](A.nnz)
    return A, np.where(rng.random(n) < 0.5, 1.0, -1.0)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", SMALL)
def test_operators_agree_with_matrices(model, name, monkeypatch):
    A, y = data(np.random.default_rng(3), 12, 8, "signed")
    dense, large = both(monkeypatch, lambda: ms.Mast(model(A, y, l2=0.1), SMALL[name]))
    agree(dense, large)


@pytest.mark.parametrize("S", [ms.Haar(8, 3), ms.Gaussian(8, 3)], ids=str)
def test_invariant_sketches_have_operators_too(S, monkeypatch):
    A, y = data(np.random.default_rng(4), 12, 8, "signed")
    names = tuple(name for name in NAMES if "smoothness" not in name and "variance" not in name)
    agree(*both(monkeypatch, lambda: ms.Mast(ms.LogisticRegression(A, y, l2=0.1), S), names))


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 30),
    dim=st.integers(1, 20),
    kind=st.sampled_from(["binary", "nonnegative", "signed"]),
    spread=st.sampled_from([0, 4, 9]),
    l2=st.sampled_from([0.0, 1e-6, 1.0]),
    model=st.sampled_from(MODELS),
    keep=st.floats(0.05, 1),
)
def test_any_scale_of_columns(seed, n, dim, kind, spread, l2, model, keep):
    """Columns of up to 1e9 beside ones, fewer rows than columns, no regularisation, one dimension."""
    rng = np.random.default_rng(seed)
    A, y = data(rng, n, dim, kind)
    A = sp.csr_array(A @ sp.diags_array(10.0 ** rng.integers(0, spread + 1, dim)))
    S = ms.RandK(dim, max(1, round(keep * dim))) if seed % 2 else ms.Bernoulli(dim, rng.uniform(keep, 1, dim))
    with pytest.MonkeyPatch.context() as patch:
        agree(*both(patch, lambda: ms.Mast(model(A, y, l2=l2), S)), tightness=2e-6)


def test_nonnegative_data_leave_nothing_to_chance(monkeypatch):
    A, y = data(np.random.default_rng(5), 40, 30, "nonnegative")
    _, large = both(monkeypatch, lambda: ms.Mast(ms.LeastSquares(A, y, l2=0.1), ms.RandK(30, 10)))
    assert {large[name].kind for name in ("L_f", "L_fD_sharp")} == {"exact"}
    assert large["expected_smoothness_sharp"].kind == "upper"
    for name in ("mu_f", "mu_fD_sharp"):
        assert large[name].kind == "lower"
        assert "failure probability" in large[name].source or "diagonal part" in large[name].source


def test_clients_have_the_curvature_of_their_mean(monkeypatch):
    rng = np.random.default_rng(6)
    A, y = data(rng, 40, 16, "signed")
    # Curvatures along different columns: their mean has smaller extremes than the mean of the extremes.
    shares = [sp.csr_array(A @ sp.diags_array(np.where(np.arange(16) % 2 == k, 3.0, 0.1))) for k in range(2)]

    def build():
        return ms.Distributed([ms.LogisticRegression(B, y, l2=0.1) for B in shares], ms.RandK(16, 4))

    dense, large = both(monkeypatch, build, ("L_f", "mu_f", "L_fD_sharp", "mu_fD_sharp"))
    agree(dense, large)


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
