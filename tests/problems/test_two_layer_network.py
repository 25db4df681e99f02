"""The two-layer network: derivatives by complex steps, bounds on its curvature by search, hidden units as blocks."""

import math
import re

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from mastsim.expected import Mast
from mastsim.problems import TwoLayerNetwork, hidden_layer, row_components, two_layer_network
from mastsim.provenance import content_hash
from mastsim.sketches import BlockBernoulli
from mastsim.testing import check_problem


class Batch:
    """Which components, and with what weights."""

    def __init__(self, index, weights):
        self.index, self.weights = index, weights


def build(rows=5, inputs=3, width=4, l2=0.1, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    y = np.where(rng.random(rows) < 0.5, 1.0, -1.0)
    return TwoLayerNetwork(scale * rng.standard_normal((rows, inputs)), y, width, l2)


def by_hand(f, theta):
    """Return f(θ) one unit of one row at a time; analytic, so that complex points serve for derivatives."""
    h, d = f.width, f.inputs
    total = 0.0
    for a, y in zip(f.A, f.y, strict=True):
        out = theta[h * (d + 2)]
        for j in range(h):
            z = theta[h * d + j] + sum(theta[j * d + i] * a[i] for i in range(d))
            out = out + theta[h * (d + 1) + j] * np.tanh(z)
        total = total + np.log1p(np.exp(-y * out))
    return total / len(f.y) + f.l2 / 2 * np.sum(theta**2)


def complex_gradient(f, theta):
    steps = 1e-30j * np.eye(f.dim)
    return np.array([by_hand(f, theta + step).imag for step in steps]) / 1e-30


networks = st.builds(
    build,
    rows=st.integers(1, 6),
    inputs=st.integers(1, 3),
    width=st.integers(1, 4),
    l2=st.sampled_from([0.0, 0.1, 2.0]),
    seed=st.integers(0, 99),
    scale=st.sampled_from([0.01, 1.0, 5.0]),
)


@given(f=networks, seed=st.integers(0, 99), size=st.sampled_from([0.0, 0.3, 1.0, 4.0]))
def test_derivatives_against_complex_steps(f, seed, size):
    x, w = np.random.default_rng(seed).standard_normal((2, f.dim))
    x = size * x
    assert f.dim == f.width * (f.inputs + 2) + 1
    assert float(f.value(x)) == pytest.approx(by_hand(f, x), rel=1e-12)
    np.testing.assert_allclose(f.gradient(x), complex_gradient(f, x), rtol=0, atol=1e-12 * (1 + np.abs(x).max()) * 10)
    # Richardson: the error of the central difference falls from h² to h⁴.
    rough, fine = ((complex_gradient(f, x + h * w) - complex_gradient(f, x - h * w)) / (2 * h) for h in (2e-3 / 5, 1e-3 / 5))
    size = 1 + np.abs(f.hessian_product(x, w)).max()
    np.testing.assert_allclose(f.hessian_product(x, w), (4 * fine - rough) / 3, rtol=0, atol=1e-6 * size)
    H = f.hessian(x)
    np.testing.assert_allclose(H, H.T, rtol=0, atol=1e-12 * (1 + np.abs(H).max()))
    np.testing.assert_allclose(H @ w, f.hessian_product(x, w), rtol=0, atol=1e-11 * size)


@pytest.mark.parametrize("rows", [1, 9, 300])
def test_batches_are_the_same_bit_for_bit(rows, monkeypatch):
    f = build(rows=rows, inputs=11, width=7)
    rng = np.random.default_rng(1)
    x, w = rng.standard_normal((2, 5, f.dim))
    batch = Batch(rng.integers(0, rows, (5, 17)), rng.random((5, 17)))
    full = Batch(None, rng.random((5, rows)))

    def everything(x, w, batch, full):
        return (
            f.value(x),
            f.gradient(x),
            f.hessian_product(x, w),
            f.output(x),
            f.minibatch_gradient(x, batch),
            f.minibatch_gradient(x, full),
        )

    together = everything(x, w, batch, full)
    for r in range(5):
        i = slice(r, r + 1)
        alone = everything(x[i], w[i], Batch(batch.index[i], batch.weights[i]), Batch(None, full.weights[i]))
        for a, b in zip(together, alone, strict=True):
            assert (a[r] == b[0]).all()
        assert (f.gradient(x[r]) == together[1][r]).all()
        assert f.value(x[r]) == together[0][r]
    assert (f.gradient(np.asfortranarray(x)) == together[1]).all()
    monkeypatch.setattr(two_layer_network, "SLICE", 2 * rows * 7)
    assert all((a == b).all() for a, b in zip(together, everything(x, w, batch, full), strict=True))
    cube = x[:4].reshape(2, 2, -1)
    assert (f.gradient(cube).reshape(4, -1) == together[1][:4]).all()
    assert row_components.SLICE == 2**26


@given(f=networks, seed=st.integers(0, 99))
def test_a_network_is_the_mean_of_its_rows(f, seed):
    rng = np.random.default_rng(seed)
    n = f.components
    parts = [TwoLayerNetwork(f.A[i : i + 1], f.y[i : i + 1], f.width, f.l2) for i in range(n)]
    x = rng.standard_normal((3, f.dim))
    single = np.array([part.gradient(x) for part in parts])
    np.testing.assert_allclose(f.gradient(x), single.mean(axis=0), rtol=1e-12, atol=1e-13)
    full, index, weights = rng.standard_normal((3, n)), rng.integers(0, n, (3, 4)), rng.standard_normal((3, 4))
    found = f.minibatch_gradient(x, Batch(None, full))
    np.testing.assert_allclose(found, np.einsum("rn,nrd->rd", full, single), rtol=1e-11, atol=1e-12)
    wanted = [sum(weights[r, j] * single[index[r, j], r] for j in range(4)) for r in range(3)]
    np.testing.assert_allclose(f.minibatch_gradient(x, Batch(index, weights)), wanted, rtol=1e-11, atol=1e-12)
    assert np.isinf(f.component_smoothness).all()
    assert f.component_infima.tolist() == [0.0] * n
    assert (f.L_f.value, f.L_f.kind, f.mu_f.value, f.is_convex, f.lower_bound) == (math.inf, "exact", -math.inf, False, 0.0)


def norm(f, x):
    return float(np.linalg.norm(f.hessian(x), ord=2))


def steepest(f, radius, start):
    """Climb ‖∇²f‖ over the ball from a point, with derivatives by differences."""

    def lost(x):
        return -norm(f, x * min(1.0, radius / max(np.linalg.norm(x), 1e-300)))

    return -minimize(lost, start, method="Nelder-Mead", options={"maxfev": 400, "adaptive": True}).fun


@pytest.mark.parametrize("radius", [0.0, 0.1, 1.0, 3.0, 30.0])
@pytest.mark.parametrize(("rows", "inputs", "width"), [(1, 1, 1), (4, 2, 2), (1, 3, 5), (8, 1, 3)])
def test_the_bound_on_a_ball_is_never_exceeded(radius, rows, inputs, width):
    rng = np.random.default_rng(0)
    for scale in (0.1, 1.0, 4.0):
        f = build(rows=rows, inputs=inputs, width=width, l2=0.05, seed=3, scale=scale)
        bound = f.smoothness_on_ball(radius)
        assert bound.kind == "upper"
        assert f"ball ‖θ‖ ≤ {radius:g}" in bound.source
        x = rng.standard_normal((60, f.dim)) * rng.choice([0.05, 1.0], (60, f.dim))
        x *= radius * rng.choice([1.0, 0.7, 0.2], (60, 1)) / np.linalg.norm(x, axis=1, keepdims=True)
        highest = max(norm(f, p) for p in x)
        if f.dim <= 13:
            highest = max(highest, steepest(f, radius, x[0]))
        assert highest <= bound * (1 + 1e-12)


@pytest.mark.parametrize("inputs", [1, 4])
@pytest.mark.parametrize("scale", [0.0, 1.0, 10.0])
def test_the_bound_is_nearly_attained_at_zero(inputs, scale):
    """At θ = 0 the Hessian of one row has the eigenvalues ¼ and ±½α, and the bound is ¼ + ½α with α² = ‖a‖² + 1."""
    a = scale * np.ones((1, inputs))
    f = TwoLayerNetwork(a, np.ones(1), width=2, l2=0.3)
    alpha = math.sqrt(1 + scale**2 * inputs)
    found, bound = norm(f, np.zeros(f.dim)), f.smoothness_on_ball(0.0)
    assert found == pytest.approx(alpha / 2 + 0.3, rel=1e-12)
    assert bound == pytest.approx(0.25 + alpha / 2 + 0.3, rel=1e-12)
    assert bound / 2 < found <= bound


@pytest.mark.parametrize("radius", [2.0, 8.0, 100.0])
@pytest.mark.parametrize("scale", [0.0, 2.0])
def test_the_bound_is_nearly_attained_far_out(radius, scale):
    """With all of θ in one outgoing weight the Hessian of a row is above ¼α²R²: a bound of half the size would be false."""
    f = TwoLayerNetwork(np.full((3, 1), scale), np.array([1.0, -1.0, 1.0]), width=3, l2=0.0)
    x = np.zeros(f.dim)
    x[-2] = radius
    found, bound = norm(f, x), f.smoothness_on_ball(radius)
    assert bound / 2 < found <= bound
    if radius == 100:
        assert found > 0.7 * bound


def test_the_bound_on_the_second_derivative_of_tanh():
    z = np.linspace(-5, 5, 200001)
    bend = np.abs(2 * np.tanh(z) / np.cosh(z) ** 2).max()
    assert bend <= hidden_layer.TANH_BEND <= bend * (1 + 1e-9)


def test_the_bound_grows_with_the_ball_and_holds_between_points():
    f, rng = build(rows=6, l2=0.2), np.random.default_rng(0)
    bounds = [f.smoothness_on_ball(r).value for r in np.linspace(0, 5, 20)]
    assert (np.diff(bounds) >= 0).all()
    x, y = rng.standard_normal((2, 500, f.dim))
    x, y = (3 * p / np.linalg.norm(p, axis=1, keepdims=True) for p in (x, y))
    change = np.linalg.norm(f.gradient(x) - f.gradient(y), axis=1)
    assert (change <= f.smoothness_on_ball(3.0) * np.linalg.norm(x - y, axis=1)).all()


def test_local_smoothness_is_the_norm_of_the_hessian():
    small, large = build(), build(rows=20, inputs=60, width=10, seed=1)
    assert small.dim <= 512 < large.dim
    for f in (small, large):
        x = np.random.default_rng(0).standard_normal(f.dim)
        found = f.local_smoothness(x)
        assert found == pytest.approx(norm(f, x), rel=1e-9)
        assert found.kind == "estimate"
        assert "at this point only" in found.source
        assert found <= f.smoothness_on_ball(np.linalg.norm(x))
    with pytest.raises(ValueError, match="x has shape"):
        small.local_smoothness(np.ones(2))


def test_hidden_units_are_blocks():
    f = build(inputs=2, width=3)
    assert f.unit_blocks.tolist() == [0, 0, 1, 1, 2, 2, 0, 1, 2, 0, 1, 2, 3]
    x = np.random.default_rng(0).standard_normal(f.dim)
    for unit in range(3):
        without = np.where(f.unit_blocks == unit, 0.0, x)
        smaller = TwoLayerNetwork(f.A, f.y, 2, f.l2)
        rest = x[f.unit_blocks != unit]
        np.testing.assert_allclose(f.output(without), smaller.output(rest), rtol=1e-12)
    S = BlockBernoulli(f.dim, f.unit_blocks, keep=np.array([0.5, 0.5, 0.5, 1.0]))
    assert S.support_size == 8
    F = Mast(f, S)
    coins = [np.array([i & 1, i & 2, i & 4, 8]) > 0 for i in range(8)]
    masks = [np.where(kept, [2.0, 2.0, 2.0, 1.0], 0.0)[f.unit_blocks] for kept in coins]
    assert F.value(x) == pytest.approx(np.mean([f.value(c * x) for c in masks]), rel=1e-12)
    np.testing.assert_allclose(F.gradient(x), np.mean([c * f.gradient(c * x) for c in masks], axis=0), rtol=1e-11)


def test_the_minimiser_is_stationary_and_certified_from_below():
    f = build(rows=30, inputs=3, width=4, l2=0.01)
    best = f.minimize()
    assert best.gradient_norm < 1e-9
    assert best.gap_bound == best.value > 0
    assert best.certificate.startswith("stationary point of a nonconvex function; value minus the lower bound 0")
    assert best.infimum().kind == "upper"
    bias = math.log((f.y > 0).sum() / (f.y < 0).sum())
    constant = np.append(np.zeros(f.dim - 1), bias)
    assert best.value < f.value(constant) - 0.05
    assert f.minimize() is best


def test_data_may_be_sparse_and_content_hashes():
    f = build()
    g = TwoLayerNetwork(sp.csr_array(f.A), f.y, f.width, f.l2)
    assert content_hash(f) == content_hash(g)
    assert content_hash(f) != content_hash(TwoLayerNetwork(f.A, f.y, f.width + 1, f.l2))
    assert f.name == "two-layer network (n = 5, width = 4, d = 21)"


ONE, Y = np.ones((2, 1)), np.array([1.0, -1.0])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: TwoLayerNetwork(ONE, Y, 0, 0.1), ValueError, "width=0 is not accepted: it must be an integer >= 1"),
        (lambda: TwoLayerNetwork(ONE, Y, 1.5, 0.1), TypeError, "width=1.5 is not accepted"),
        (lambda: TwoLayerNetwork(ONE, Y, 1, -1), ValueError, "l2=-1 is not accepted"),
        (lambda: TwoLayerNetwork(ONE, [0, 1], 1, 0.1), ValueError, "y holds the labels 0 and 1, but it must hold -1 and +1"),
        (lambda: TwoLayerNetwork(ONE, [1.0], 1, 0.1), ValueError, "y has shape (1,), but it must be a vector of length 2"),
        (lambda: TwoLayerNetwork(ONE * np.nan, Y, 1, 0.1), ValueError, "A holds nan at index (0, 0)"),
        (lambda: build().value(np.ones(3)), ValueError, "x has shape (3,), but its last axis must have length 21"),
        (lambda: build().smoothness_on_ball(-1.0), ValueError, "radius=-1.0 is not accepted"),
        (
            lambda: build().upper_curvature,
            ValueError,
            "the curvature of a two-layer network is unbounded: there is no matrix L",
        ),
        (
            lambda: build().lower_curvature,
            ValueError,
            "the curvature of a two-layer network is unbounded: there is no matrix M",
        ),
    ],
)
def test_bad_networks_are_refused(make, error, message):
    with pytest.raises(error, match=re.escape(message)):
        make()


def test_the_network_passes_the_packages_own_check_and_refusals_name_what_applies():
    f = TwoLayerNetwork(np.eye(3), np.array([1.0, -1.0, 1.0]), width=2, l2=0.01)
    check_problem(f)
    for refused in ("upper_curvature", "lower_curvature"):
        with pytest.raises(ValueError, match=r"smoothness_on_ball\(radius\) bounds it .*, local_smoothness\(x\) estimates"):
            getattr(f, refused)
