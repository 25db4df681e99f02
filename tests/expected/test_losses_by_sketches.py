"""Every loss under every sketch, from one table: f_D, its gradient and Hessian against sums over the support.

The losses are written out once more here, in extended precision; derivatives come from the chain rule, not from the package.
"""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import mastsim as ms
from mastsim.problems import ALL_PROBLEMS, Quadratic
from mastsim.sketches import (
    BlockBernoulli,
    BlockRandK,
    Composed,
    IndependentDiagonal,
    NofM,
    PermK,
    Rotated,
)
from tests.examples import examples

pytestmark = pytest.mark.slow

LONG = np.longdouble
DIM = 4


def _expit(w):
    return (1 + np.tanh(w / 2)) / 2


def _softplus(w):
    return np.logaddexp(LONG(0), w)


# φ, φ', φ'' of prediction u and label y.
LOSSES = {
    "squared": (lambda u, y: (u - y) ** 2 / 2, lambda u, y: u - y, lambda u, y: 1 + 0 * u),
    "logistic": (
        lambda u, y: _softplus(-y * u),
        lambda u, y: -y * _expit(-y * u),
        lambda u, y: _expit(u) * _expit(-u),
    ),
    "Poisson": (lambda u, y: np.exp(u) - y * u, lambda u, y: np.exp(u) - y, lambda u, y: np.exp(u)),
    "exponential": (lambda u, y: np.exp(-y * u), lambda u, y: -y * np.exp(-y * u), lambda u, y: np.exp(-y * u)),
    "Huber": (
        lambda u, y: np.where(abs(u - y) <= 1, (u - y) ** 2 / 2, abs(u - y) - LONG(0.5)),
        lambda u, y: np.clip(u - y, -1, 1),
        lambda u, y: (abs(u - y) < 1) * LONG(1),
    ),
    "smoothed hinge": (
        lambda u, y: np.where(y * u >= 1, 0, np.where(y * u <= 0, LONG(0.5) - y * u, (1 - y * u) ** 2 / 2)),
        lambda u, y: y * np.clip(y * u - 1, -1, 0),
        lambda u, y: ((y * u > 0) & (y * u < 1)) * LONG(1),
    ),
    "sigmoid": (
        lambda u, y: _expit(-y * u),
        lambda u, y: -y * _expit(u) * _expit(-u),
        lambda u, y: _expit(u) * _expit(-u) * (2 * _expit(y * u) - 1),
    ),
    "Welsch": (
        lambda u, y: 1 - np.exp(-((u - y) ** 2) / 2),
        lambda u, y: (u - y) * np.exp(-((u - y) ** 2) / 2),
        lambda u, y: (1 - (u - y) ** 2) * np.exp(-((u - y) ** 2) / 2),
    ),
}

SKETCHES = {
    "identity": lambda keep: ms.Identity(DIM),
    "Bernoulli": lambda keep: ms.Bernoulli(DIM, keep),
    "uneven Bernoulli": lambda keep: ms.Bernoulli(DIM, np.array([keep, 1.0, 0.5, 0.9])),
    "Rand-1": lambda keep: ms.RandK(DIM, 1),
    "Rand-3": lambda keep: ms.RandK(DIM, 3),
    "Rand-all": lambda keep: ms.RandK(DIM, DIM),
    "blocks": lambda keep: BlockBernoulli(DIM, np.array([0, 1, 0, 1]), keep),
    "one block": lambda keep: BlockBernoulli(DIM, 1, keep),
    "block Rand-k": lambda keep: BlockRandK(DIM, 2, 1),
    "2:4": lambda keep: NofM(DIM, 2, 4),
    "1:2": lambda keep: NofM(DIM, 1, 2),
    "Perm-K": lambda keep: PermK(DIM, 2),
    "diagonal": lambda keep: IndependentDiagonal(
        [[0.5, 1.5, 1.0], [0.0, 1 / keep, 1.0], [-1.0, 3.0, 1.0], [1.0, 1.0, 1.0]],
        [[0.25, 0.25, 0.5], [1 - keep, keep, 0.0], [0.5, 0.5, 0.0], [0.2, 0.3, 0.5]],
    ),
    "rotated": lambda keep: Rotated(ms.Bernoulli(DIM, keep), "hadamard"),
    "rotated diagonal": lambda keep: Rotated(SKETCHES["diagonal"](keep), "dct"),
    "finite": lambda keep: ms.FiniteSupport([np.diag([2.0, 0, 2, 0]), np.diag([0.0, 2, 0, 2])]),
    "composed": lambda keep: Composed(ms.Bernoulli(DIM, keep), ms.RandK(DIM, 2)),
}

MODELS = {kind(np.ones((1, 1)), np.ones(1), l2=1.0).loss.name: kind for kind in ALL_PROBLEMS if kind is not Quadratic}


def test_the_table_holds_every_loss():
    assert set(MODELS) == set(LOSSES)


def labels(loss, rng, rows):
    real = rng.standard_normal(rows)
    if loss in ("squared", "Huber", "Welsch"):
        return 2 * real
    return np.floor(3 * np.abs(real)) if loss == "Poisson" else np.where(real > 0, 1.0, -1.0)


def brute_force(loss, A, y, l2, sketch, v, x):
    """Return value, gradient and Hessian of f_D, and the largest |prediction|, in extended precision."""
    batch, weights = sketch.support()
    S = np.asarray(batch.matrices()).astype(LONG)
    A, y, v, z, p = (np.asarray(a, dtype=LONG) for a in (A, y, v, x - v, weights))
    points = v + S @ z
    u = points @ A.T
    phi, slope, bend = (f(u, y) for f in LOSSES[loss])
    n = len(y)
    value = p @ (phi.mean(axis=1) + l2 / LONG(2) * (points**2).sum(axis=1))
    inner = slope @ A / n + l2 * points
    gradient = np.einsum("s,sij,si->j", p, S, inner)
    curvature = np.einsum("sn,ni,nj->sij", bend, A, A) / n + l2 * np.eye(len(v))
    hessian = np.einsum("s,sji,sjk,skl->il", p, S, curvature, S)
    return value, gradient, hessian, float(np.abs(u).max())


@pytest.mark.parametrize("name", SKETCHES)
@pytest.mark.parametrize("loss", LOSSES)
@settings(max_examples=examples(8))
@given(seed=st.integers(0, 2**32 - 1), keep=st.sampled_from([0.5, 0.1, 1.0, 1e-3]), size=st.sampled_from([1.0, 0.01, 5.0]))
def test_value_gradient_and_hessian(loss, name, seed, keep, size):
    rng = np.random.default_rng(seed)
    if loss in ("Poisson", "exponential"):
        keep, size = max(keep, 0.1), min(size, 1.0)
    rows = int(rng.integers(1, 6))
    A = rng.standard_normal((rows, DIM)) * (rng.random((rows, DIM)) < 0.7)
    y, sketch = labels(loss, rng, rows), SKETCHES[name](keep)
    v, x = size * rng.standard_normal(DIM), size * rng.standard_normal(DIM)
    l2 = float(rng.choice([0.0, 0.3]))
    F = ms.Mast(MODELS[loss](sp.csr_array(A) if seed % 2 else A, y, l2=l2), sketch, shift=v)
    assert F.evaluation.tier == "exact"
    value, gradient, hessian, reach = brute_force(loss, A, y, l2, sketch, v, x)
    largest = 1 + np.sqrt(sketch.L_max)
    # Losses that grow exponentially or quadratically are compared with the size of what is summed.
    scale = max(1.0, float(np.abs(value)), float(np.abs(gradient).max()), float(np.abs(hessian).max()))
    assert abs(F.value(x) - value) <= 1e-12 * (1 + reach) * scale
    assert np.abs(F.gradient(x) - gradient).max() <= 1e-11 * largest * scale
    assert np.abs(F.hessian(x) - hessian).max() <= 1e-9 * largest * scale


FAR = {
    "Bernoulli": lambda keep: ms.Bernoulli(14, keep),
    "Rand-K": lambda keep: ms.RandK(14, 5),
    "blocks": lambda keep: BlockBernoulli(14, 7, keep),
    "1:2": lambda keep: NofM(14, 1, 2),
}


@pytest.mark.parametrize("name", FAR)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("keep", [0.5, 1e-3])
def test_fourteen_terms_a_row_far_out_and_rarely_kept(loss, name, keep):
    """|x| up to 50 and keep down to 1e-3, except where the loss itself would overflow."""
    rng = np.random.default_rng(5)
    far = 50.0 if loss not in ("Poisson", "exponential") else 0.5
    keep = keep if far == 50.0 else 0.5
    A, sketch = rng.standard_normal((3, 14)), FAR[name](keep)
    x, v, w, y = far * rng.uniform(-1, 1, 14), rng.standard_normal(14), rng.standard_normal(14), labels(loss, rng, 3)
    F = ms.Mast(MODELS[loss](A, y, l2=0.0), sketch, shift=v)
    batch, weights = sketch.support()
    c, p = batch.diagonals.astype(LONG), weights.astype(LONG)
    u = (v + c * (x - v)) @ A.T.astype(LONG)
    phi, slope, bend = (f(u, y.astype(LONG)) for f in LOSSES[loss])
    value = p @ phi.mean(axis=1)
    gradient = p @ (c * (slope @ A) / 3)
    product = p @ (c * ((bend * ((c * w) @ A.T)) @ A) / 3)
    reach, largest = float(np.abs(u).max()), 1 + float(np.abs(c).max())
    size = max(1.0, float(p @ np.abs(phi).mean(axis=1)) / (1 + reach))
    steep = max(1.0, float((p @ np.abs(slope)).max()), float((p @ np.abs(bend)).max()))
    assert abs(F.value(x) - value) <= 1e-12 * (1 + reach) * size
    assert np.abs(F.gradient(x) - gradient).max() <= 1e-11 * largest * steep
    assert np.abs(F.hessian_product(x, w) - product).max() <= 1e-9 * largest**2 * steep


@pytest.mark.parametrize("loss", ["Huber", "smoothed hinge"])
@pytest.mark.parametrize("keep", [0.3, 1e-3])
def test_long_rows_of_piecewise_losses_meet_in_the_middle(loss, keep):
    """Twelve terms a row are still enumerable; twenty-eight are checked by the law of the other half."""
    rng = np.random.default_rng(7)
    A = rng.standard_normal((2, 12))
    y, x = labels(loss, rng, 2), rng.standard_normal(12)
    for sketch in (ms.Bernoulli(12, keep), ms.RandK(12, 5)):
        F = ms.Mast(MODELS[loss](A, y, l2=0.1), sketch)
        value, gradient, _, _ = brute_force(loss, A, y, 0.1, sketch, np.zeros(12), x)
        assert abs(F.value(x) - value) <= 1e-12 / keep
        assert np.abs(F.gradient(x) - gradient).max() <= 1e-11 / keep


def test_a_piecewise_loss_of_too_long_rows_is_estimated_and_says_so():
    f = ms.HuberRegression(np.ones((2, 31)), np.zeros(2), l2=0.1)
    F = ms.Mast(f, ms.Bernoulli(31, 0.5))
    assert F.evaluation.tier == "estimate"
    with pytest.raises(ValueError, match="a row touches 31 units, and the Huber loss is exact for at most 30"):
        ms.Mast(f, ms.Bernoulli(31, 0.5), evaluate="rows")


def test_unbounded_curvature_is_said_and_refused():
    f = ms.PoissonRegression(np.ones((2, 1)), np.array([1.0, 3.0]), l2=0.1)
    assert f.L_f == np.inf
    with pytest.raises(ValueError, match=r"condition_number=10.* the curvature of the Poisson loss is unbounded; pass l2"):
        ms.PoissonRegression(np.ones((2, 1)), np.array([1.0, 3.0]), condition_number=10)
    with pytest.raises(ms.theorems.AssumptionError, match=r"smoothness .* L_f = inf"):
        ms.theorems.StronglyConvexDSGD(ms.Mast(f, ms.Bernoulli(1, 0.5)))
    assert ms.Mast(f, ms.Bernoulli(1, 0.5)).minimize().gap_bound < 1e-13


def test_a_nonconvex_minimiser_is_called_a_stationary_point():
    f = ms.WelschRegression(np.ones((3, 1)), np.array([0.0, 0.1, 9.0]), l2=1e-3)
    best = ms.Mast(f, ms.Bernoulli(1, 0.9)).minimize()
    assert best.gradient_norm < 1e-9
    assert best.certificate.startswith("stationary point of a nonconvex function")
