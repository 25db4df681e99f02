"""Labels against exact arithmetic: on raw, ill-conditioned and singular data, every tier says the truth."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

import mastsim as ms
from mastsim.problems import Minimum
from tests.examples import examples
from tests.oracles.promises import holds, number
from tests.oracles.rational import DIGITS, Quadratic, Truth, fractions, masks

pytestmark = pytest.mark.slow

BARE = {"L_f", "mu_f", "f_inf"}


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


@settings(max_examples=examples(150))
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


# ------------------------------------------------------------- components, clients, and sketches of nearly lower rank


@settings(max_examples=examples(60))
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 5))
def test_components_are_bounded_to_the_last_bit(seed, n, d):
    """The smoothness constants of rows, and of parts of a finite sum, are upper bounds with their rounding."""
    rng = np.random.default_rng(seed)
    A, l2 = rng.standard_normal((n, d)), float(rng.choice([0.0, 0.1]))
    truth = [sum(a * a for a in row) + fractions([l2])[0] for row in fractions(A)]
    rows = ms.LeastSquares(A, np.ones(n), l2=l2)
    parts = ms.FiniteSum([ms.LeastSquares(row[None], np.ones(1), l2=l2) for row in A])
    for f in (rows, parts):
        constants = ms.Constants(ms.Mast(f, ms.Identity(d)))
        holds("L_i_max", constants.L_i_max, max(truth), 0.0)
        holds("L_i_mean", constants.L_i_mean, sum(truth) / n, 0.0)
        assert constants.L_i_max.error <= 1e-12 * constants.L_i_max


@pytest.mark.parametrize("l2", [0.0, 1e-3])
def test_a_component_gap_counts_the_errors_of_both_infima(l2):
    rng = np.random.default_rng(3)
    for _ in range(20):
        parts = [(rng.standard_normal((2, 2)) @ np.diag([1.0, 1e-6]), rng.standard_normal(2)) for _ in range(3)]
        forms = [Quadratic.least_squares(A, y, l2) for A, y in parts]
        mean = Quadratic(*(sum(getattr(q, name) for q in forms) / 3 for name in ("H", "slope", "constant")))
        truth = mean.minimum()[1] - sum(q.minimum()[1] for q in forms) / 3
        f = ms.FiniteSum([ms.LeastSquares(A, y, l2=l2) for A, y in parts])
        found = ms.Constants(ms.Mast(f, ms.Identity(2))).component_gap
        assert found.kind == "upper"
        holds("component_gap", found, truth, 0.0)


def test_a_component_gap_from_a_guess_is_an_estimate():
    rng = np.random.default_rng(0)
    G = rng.standard_normal((410, 5))
    A = G @ G.T
    f = ms.Quadratic((A + A.T) / 2, A @ rng.standard_normal(410))
    assert not f.minimize().proven
    assert ms.Constants(ms.Mast(f, ms.RandK(410, k=200))).component_gap.kind == "estimate"
    parts = ms.FiniteSum([f, f])
    assert (parts.component_infima == -math.inf).all()


@settings(max_examples=examples(60))
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=6))
def test_means_over_clients_carry_their_rounding(values):
    F = ms.Distributed([ms.Quadratic(np.eye(1), np.zeros(1), c) for c in values], ms.Identity(1))
    truth, constants = sum(fractions(values)) / len(values), ms.Constants(F)
    holds("clients_inf", constants.clients_inf, truth, max(map(abs, values)))
    holds("sketched_infimum", F.sketched_infimum(), truth, max(map(abs, values)))


@pytest.mark.parametrize("delta", [1e-15, 1e-13, 3e-12, 1e-9, 1e-6, 1e-2])
@pytest.mark.parametrize("pad", [False, True])
def test_a_nearly_singular_sketch_is_not_taken_for_a_singular_one(delta, pad):
    """f_S is f in other coordinates where S is invertible, however nearly singular."""
    rng = np.random.default_rng(5)
    S = np.array([[1.0, 1.0], [1.0, 1.0 + delta]])
    if pad:
        S = np.block([[S, np.zeros((2, 1))], [np.zeros((1, 2)), np.ones((1, 1))]])
    d = len(S)
    f = ms.LogisticRegression(rng.standard_normal((6, d)), np.array([1.0, -1.0, 1.0, 1.0, -1.0, -1.0]), l2=1e-2)
    constants = ms.Constants(ms.Mast(f, ms.FiniteSupport([S, 2 * np.eye(d) - S]), np.array([1.0, -2.0, 0.5])[:d]))
    assert constants.fS_inf.kind == "exact"
    assert abs(constants.fS_inf - constants.f_inf) <= constants.fS_inf.error + constants.f_inf.error <= 1e-9


def test_the_rank_of_a_sketch_between_others_is_not_guessed():
    """What a product of floats leaves of a small singular value says nothing."""
    rng = np.random.default_rng(5)
    S = np.array([[1.0, 1.0], [1.0, 1.0 + 1e-13]])
    inner = ms.FiniteSupport([S, 2 * np.eye(2) - S])
    f = ms.LogisticRegression(rng.standard_normal((6, 2)), np.array([1.0, -1.0, 1.0, 1.0, -1.0, -1.0]), l2=1e-2)
    for sketch in (ms.Rotated(inner, "dct"), ms.Composed(inner, ms.FiniteSupport([np.eye(2)]))):
        constants = ms.Constants(ms.Mast(f, sketch, np.array([1.0, -2.0])))
        assert constants.fS_inf.kind == "lower"
        assert constants.fS_inf <= constants.f_inf + constants.f_inf.error


def test_an_upper_bound_of_an_infimum_is_above_it_for_all_its_rounding():
    """The value of a badly scaled f_D may be rounded down by more than the gap takes note of."""
    best = Minimum(np.zeros(1), 1.0, 0.75, 0.0, "made up", excess_bound=0.25, rounding=0.5)
    top = best.infimum()
    assert (top.kind, float(top), top.error) == ("upper", 1.5, 1.25)
    rng, turned = np.random.default_rng(1), 0
    for _ in range(40):
        scale = 10.0 ** rng.choice([0, 0, 6, -4], 3)
        A = rng.standard_normal((4, 3)) * scale + 10.0 ** rng.integers(0, 6)
        f, v = ms.LeastSquares(A, rng.standard_normal(4), l2=1e-8), 1e3 * rng.standard_normal(3)
        constants = ms.Constants(ms.Mast(f, ms.Rotated(ms.RandK(3, k=2), "dct"), v))
        truth = turned_infimum(f, v)
        turned += constants.fD_inf.kind == "upper"
        with mpmath.workdps(DIGITS):
            holds("fD_inf", constants.fD_inf, truth, float(abs(f.value(v))))
            holds("gap", constants.gap, truth - number(Quadratic.least_squares(A, f.y, 1e-8).minimum()[1]), math.inf)
    assert turned > 0


def turned_infimum(f, v):
    """Return f_D^inf under Rand-2 of 3 turned by the discrete cosine transform, in many digits."""
    exact = Quadratic.least_squares(f.A, f.y, f.ridge)
    v = fractions(v)
    with mpmath.workdps(DIGITS):
        Q = mpmath.matrix(3)
        for k in range(3):
            for j in range(3):
                Q[k, j] = mpmath.sqrt(mpmath.mpf(1 if k == 0 else 2) / 3) * mpmath.cos(mpmath.pi * (2 * j + 1) * k / 6)
        H = mpmath.matrix([[number(h) for h in row] for row in exact.H])
        slope = mpmath.matrix([number(g) for g in exact.gradient(v)])
        inner = Q * H * Q.T
        # E[m_i m_j] of 3/2 times Rand-2 of 3: 3/2 on the diagonal, 3/4 beside it.
        for i in range(3):
            for j in range(3):
                inner[i, j] *= mpmath.mpf(3) / (2 if i == j else 4)
        b = Q * slope
        return number(exact.value(v)) - (b.T * mpmath.lu_solve(inner, b))[0] / 2


@pytest.mark.parametrize("sketch", [ms.Gaussian(3, k=2), ms.RandK(3, k=1)])
def test_the_noise_of_a_gap_of_zero_is_zero(sketch):
    constants = ms.Constants(ms.Mast(ms.Quadratic(np.eye(3), np.zeros(3)), sketch))
    assert (constants.sigma2_star.kind, float(constants.sigma2_star)) == ("exact", 0.0)
    wide = ms.Constants(ms.Mast(ms.Quadratic(np.eye(3), np.ones(3)), ms.Gaussian(3, k=2))).sigma2_star
    assert (wide.kind, float(wide), wide.error) == ("upper", math.inf, 0.0)
