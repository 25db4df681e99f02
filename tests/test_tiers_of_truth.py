"""Labels against exact arithmetic: on raw, ill-conditioned and singular data, every tier says the truth."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from rational import DIGITS, Quadratic, Truth, fractions, masks

import mastsim as ms

BARE = {"L_f", "mu_f", "f_inf"}


def number(value):
    """Return a fraction, a float or a number of many digits as one of many digits."""
    if hasattr(value, "numerator"):
        return mpmath.mpf(value.numerator) / value.denominator
    return mpmath.mpf(value)


def holds(name, constant, truth, scale):
    """Assert what the tier of a constant promises."""
    with mpmath.workdps(DIGITS):
        value, error, truth = number(float(constant)), number(constant.error), number(truth)
        error += mpmath.mpf(10) ** -90 * abs(truth)  # that of eigenvalues to 150 digits
        where = f"{name} = {constant!r} ± {constant.error:.3g}, but the truth is {mpmath.nstr(truth, 20)}"
        if constant.kind == "exact":
            assert abs(value - truth) <= error + mpmath.mpf("1e-290"), where
            assert constant.error <= max(1e-6 * abs(float(constant)), 1e-9 * scale), where
        elif constant.kind == "upper":
            assert truth <= value + error + mpmath.mpf("1e-290"), where
        elif constant.kind == "lower":
            assert truth >= value - error - mpmath.mpf("1e-290"), where


@st.composite
def data(draw):
    """Draw rows and labels: columns of any size, near-equal ones, equal ones, zeros, more columns than rows."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, d = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    A = rng.integers(-3, 4, (n, d)).astype(float) if draw(st.booleans()) else rng.standard_normal((n, d))
    style = draw(st.sampled_from(["plain", "near", "offset", "equal", "zero", "ill"]))
    if style == "near" and d > 1:
        A[:, 1] = A[:, 0] * (1 + draw(st.sampled_from([1e-3, 1e-7, 1e-12])) * rng.standard_normal(n))
    if style == "offset":
        A = A + draw(st.sampled_from([1e3, 1e6, 1e9]))
    if style == "equal" and d > 1:
        A[:, 1] = 2 * A[:, 0]
    if style == "zero":
        A[:, 0] = 0.0
    if style == "ill":
        A = A @ np.diag(np.geomspace(1, draw(st.sampled_from([1e-4, 1e-7, 1e-14])), d)) @ rng.standard_normal((d, d))
    scales = [draw(st.sampled_from([1.0, 1e-8, 1e4, 1e9])) for _ in range(d)]
    y = draw(st.sampled_from([1.0, 1e-6, 1e6])) * rng.standard_normal(n)
    return A * scales, y


@st.composite
def instances(draw):
    """Draw a least squares problem, a sketch with its values in fractions, and a shift."""
    A, y = draw(data())
    d = A.shape[1]
    l2 = draw(st.sampled_from([0.0, 1e-2, 1e-10, 1.0]))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    which = draw(st.sampled_from(["identity", "rand", "bernoulli"]))
    if which == "identity":
        sketch, support = ms.Identity(d), masks(d, k=d)
    elif which == "rand":
        k = draw(st.integers(1, d))
        sketch, support = ms.RandK(d, k=k), masks(d, k=k)
    else:
        keep = np.array([draw(st.sampled_from([0.5, 1e-3, 0.9, 1 - 1e-12, 1.0])) for _ in range(d)])
        sketch, support = ms.Bernoulli(d, keep), masks(d, keep=keep)
    v = draw(st.sampled_from([0.0, 1.0, 1e3])) * rng.standard_normal(d)
    return A, y, l2, sketch, support, v


def check(A, y, l2, sketch, support, v):
    F = ms.Mast(ms.LeastSquares(A, y, l2=l2), sketch, shift=v)
    truth = Truth(Quadratic.least_squares(A, y, l2), support, v)
    expected, constants = truth.constants(), ms.Constants(F)
    size = float(abs(truth.fD.constant)) + float(abs(expected["f_inf"]))
    sizes = {"sigma2_star": float("inf")}
    for name, value in expected.items():
        holds(name, constants[name], value, sizes.get(name, size))
    for best, excess in ((F.minimize(), truth.excess(F.minimize().x)), (F.problem.minimize(), None)):
        infimum = expected["fD_inf" if excess is not None else "f_inf"]
        if best.proven:
            assert abs(fractions([best.value])[0] - infimum) <= fractions([best.gap_bound])[0]
            if excess is not None:
                assert 0 <= excess <= fractions([best.excess_bound * (1 + 1e-12) + 1e-300])[0]
    return constants


@settings(max_examples=150)
@given(instances())
def test_every_label_is_true(instance):
    check(*instance)


RAW = {
    "an offset of a million": ([[1, 1e6 + k] for k in range(10)], [1 + 2 * k for k in range(10)], 0.0),
    "unix times": ([[1, 1.7e9 + 86400 * k] for k in range(10)], [1 + 2 * k for k in range(10)], 1e-2),
    "equal columns of a million": ([[1e6, 1e6], [1e6, 1e6]], [0, 0], 1e-2),
    "near-equal columns": (
        [[20994, 20997, 21003], [9005, 9003, 9007], [8991, 8998, 9001], [26999, 26998, 26998]],
        [-9, -7, 1, 0],
        1e-2,
    ),
}


@pytest.mark.parametrize("name", RAW)
@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_labels_on_raw_data(name, shift):
    A, y, l2 = (np.array(part, dtype=float) for part in RAW[name])
    d = A.shape[1]
    for k in range(1, d + 1):
        constants = check(A, y, float(l2), ms.RandK(d, k=k), masks(d, k=k), shift * np.array([1.0, 2.0, -1.0])[:d])
        kinds = {name: constants[name].kind for name in ("f_inf", "fD_inf", "mu_f", "fS_inf", "mu_PL")}
        assert set(kinds.values()) == {"exact"}, kinds


def test_a_line_through_ten_points_is_found():
    A, y, l2 = (np.array(part, dtype=float) for part in RAW["an offset of a million"])
    best = ms.LeastSquares(A, y, l2=float(l2)).minimize()
    assert best.x.tolist() == [1 - 2e6, 2.0]
    assert best.value <= best.gap_bound < 1e-15


@given(st.integers(0, 10**6), st.sampled_from([1e2, 1e6, 1e14]), st.integers(1, 4), st.integers(0, 3))
@example(0, 1e14, 2, 0)
def test_labels_of_quadratics_given_by_their_matrix(seed, condition, d, deficiency):
    """Matrices of few bits, singular or nearly so, to the last bit what they are."""
    rng = np.random.default_rng(seed)
    root = np.round(rng.standard_normal((d, max(d - deficiency, 1))) * 2**10) / 2**10
    A = root @ root.T
    scales = np.exp2(np.round(np.log2(np.geomspace(1, condition**-0.5, d))))
    A = A * np.outer(scales, scales)
    b = A @ rng.integers(-4, 5, d).astype(float)
    f = ms.Quadratic(A, b)
    truth = Truth(Quadratic(fractions(f.A), -fractions(f.b), fractions([0.0])[0]), masks(d, k=d), np.zeros(d))
    assume(truth.f.minimum()[1] is not None)
    expected, constants = truth.constants(), ms.Constants(ms.Mast(f, ms.Identity(d)))
    for name, value in expected.items():
        holds(name, constants[name], value, math.inf if name == "sigma2_star" else float(abs(expected["f_inf"])))
    assert constants.mu_f.kind == constants.mu_PL.kind == constants.f_inf.kind == "exact"


def test_a_tiny_curvature_is_not_taken_for_none():
    c = ms.Constants(ms.Mast(ms.Quadratic(np.diag([1.0, 9e-14]), np.zeros(2)), ms.Identity(2)))
    assert float(c.mu_PL) == pytest.approx(9e-14, rel=1e-9)
    G = np.c_[np.ones(10), 1e4 + np.arange(10.0)]
    assert ms.Quadratic(G.T @ G / 10, np.ones(2)).mu_f > 0


def test_what_rounding_leaves_open_is_not_proven():
    """A matrix of rank one up to rounding: f may be unbounded below, and nothing about its infimum is called proven."""
    u = np.array([0.1, 0.7, 1.3])
    f = ms.Quadratic(np.outer(u, u), 0.3 * u)
    if f.upper_curvature.rank != 3:
        assert not f.minimize().proven
        assert f.minimize().infimum().kind == "estimate"
    assert f.mu_f.kind in ("exact", "lower")


def test_the_error_of_a_sharp_gap_is_that_of_both_infima():
    """A mutation that once survived: with the error dropped, the label would be a lie about rounding."""
    A, y, l2 = (np.array(part, dtype=float) for part in RAW["near-equal columns"])
    F = ms.Mast(ms.LeastSquares(A, y, l2=float(l2)), ms.RandK(3, k=2), shift=np.ones(3))
    c = ms.Constants(F)
    assert c.gap_sharp.error >= c.fS_inf.error > 0
    assert c.gap_sharp.error >= F.minimize().gap_bound > 0


@pytest.mark.parametrize("dim", [401, 600])
def test_larger_matrices_are_labelled_too(dim):
    rng = np.random.default_rng(0)
    A = rng.standard_normal((dim + 50, dim)) * np.geomspace(1, 1e6, dim)
    f = ms.LeastSquares(A, A @ np.ones(dim), l2=0.0)
    best = f.minimize()
    assert best.proven
    assert best.value <= best.gap_bound
    least = np.linalg.svd(A, compute_uv=False)[-1] ** 2 / len(A)
    assert f.mu_f.kind in ("exact", "lower")
    assert float(f.mu_f) - f.mu_f.error <= least * (1 + 1e-6)


@pytest.mark.filterwarnings("ignore::mastsim.CertificateWarning")
def test_a_lower_bound_of_sketched_infima_takes_the_certificate_off():
    """Separable data without regularisation: the infimum is 0 and not attained, so the value found is above it."""
    A = np.random.default_rng(0).standard_normal((12, 30))
    F = ms.Mast(ms.LogisticRegression(A, np.sign(A[:, 0]), l2=0.0), ms.RandK(30, k=10))
    c = ms.Constants(F)
    assert F.problem.minimize().value > 0
    assert c.fS_inf.kind == "lower"
    assert float(c.fS_inf) <= 0
