"""Minimisers of f and f_D and their certificates, against cvxpy, closed forms and Newton's method in extended precision."""

import math

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

import mastsim as ms
from mastsim.problems.base import certified
from tests.examples import examples
from tests.oracles.brute_force import Instance, bernoulli_support, finite_support, instances, mean, rand_k_support


def solve(loss, support, A, y, l2, v):
    """Return the minimiser of the finite sum Σ_j w_j f(v + S_j(x − v)) and its value, by cvxpy with CLARABEL."""
    x = cp.Variable(len(v))
    total = 0
    for S, chance in zip(*support, strict=True):
        point = v + np.asarray(S, dtype=float) @ (x - v)
        losses = cp.logistic(cp.multiply(-y, A @ point)) if loss == "logistic" else cp.square(A @ point - y) / 2
        total += float(chance) * (cp.sum(losses) / len(y) + l2 / 2 * cp.sum_squares(point))
    problem = cp.Problem(cp.Minimize(total))
    problem.solve(solver=cp.CLARABEL)
    assert problem.status == cp.OPTIMAL
    return x.value, problem.value


def law_of(name, dim, rng):
    if name == "identity":
        return ms.Identity(dim), (np.eye(dim)[None], np.ones(1))
    if name == "bernoulli":
        keep = np.array([0.2, 0.9, 0.5])[:dim]
        return ms.Bernoulli(dim, keep), bernoulli_support(keep)
    if name == "rand-k":
        return ms.RandK(dim, 2), rand_k_support(dim, 2)
    return finite_support(rng, dim, 3)


@pytest.mark.parametrize("loss", ["logistic", "squared"])
@pytest.mark.parametrize("sketch", ["identity", "bernoulli", "rand-k", "finite"])
@pytest.mark.parametrize("shift", [0.0, 2.0])
def test_minimisers_match_cvxpy(loss, sketch, shift):
    """The solver stops at 1e-8; f_D is λ-strongly convex, so that the points agree to the root of that."""
    rng = np.random.default_rng(4)
    A, v, l2 = rng.standard_normal((5, 3)), shift * rng.standard_normal(3), 0.05
    y = np.array([1.0, -1.0, 1.0, 1.0, -1.0])
    instance = Instance(loss, A, y, l2, *law_of(sketch, 3, rng), v)
    best, F = instance.mast().minimize(), instance.mast()
    x, value = solve(loss, instance.support, A, y, l2, v)
    assert abs(best.value - value) <= 1e-6
    assert best.value <= F.value(x) + 1e-14
    np.testing.assert_allclose(best.x, x, rtol=0, atol=1e-3)
    assert best.gap_bound <= 1e-12
    assert float(instance.value(best.x)[0]) == pytest.approx(best.value, rel=1e-13)
    plain = F.problem.minimize()
    x, value = solve(loss, (np.eye(3)[None], np.ones(1)), A, y, l2, v)
    assert abs(plain.value - value) <= 1e-6
    np.testing.assert_allclose(plain.x, x, rtol=0, atol=1e-3)


# Certificates --------------------------------------------------------------------------------------------------------


def newton_step(instance, x):
    """Return where a Newton step of brute-force f_D leads, on the range of its Hessian."""
    gradient, hessian = (np.asarray(f(x)[0], dtype=float) for f in (instance.gradient, instance.hessian))
    return x - np.linalg.lstsq(hessian, gradient, rcond=1e-12)[0]


@pytest.mark.filterwarnings("ignore::mastsim.problems.CertificateWarning")
@given(instance=instances(size=3.0), seed=st.integers(0, 99))
def test_nothing_is_found_below_what_is_certified(instance, seed):
    best = instance.mast().minimize()
    value, size = instance.value(best.x)
    assert abs(best.value - float(value)) <= 1e-13 * size
    rng = np.random.default_rng(seed)
    steps = [newton_step(instance, best.x), instance.v, instance.x]
    steps += [best.x + 10.0**-k * rng.standard_normal(len(best.x)) for k in range(6)]
    for x in steps:
        assert float(instance.value(x)[0]) >= best.value - best.gap_bound - 1e-13 * size
    assert best.gap_bound >= 0
    norm = np.linalg.norm(np.asarray(instance.gradient(best.x)[0], dtype=float))
    assert abs(best.gradient_norm - norm) <= 1e-12 * instance.gradient(best.x)[1]


@given(instance=instances(size=3.0, l2=(1e-3, 0.5)))
def test_strongly_convex_minima_are_certified_to_rounding(instance):
    best = instance.mast().minimize()
    assert best.gap_bound <= 1e-10 * instance.value(best.x)[1]
    assert best.infimum().kind == "exact"
    assert best.infimum().error == best.gap_bound


@given(instance=instances(size=3.0, l2=(1e-3, 0.5)))
def test_the_gradient_certificate_holds_anywhere(instance):
    """f_D(x) − f_D^inf ≤ ‖∇f_D(x)‖²/(2μ) at points that are nowhere near optimal."""
    F = instance.mast()
    bound = certified(F, instance.x, F.mu_fD_sharp, 1.0).gap_bound
    size = instance.value(instance.x)[1]
    assert float(instance.value(instance.x)[0]) - F.minimize().value <= bound + 1e-12 * size


def test_the_gradient_certificate_is_attained():
    """On ½p⁻¹‖x‖², which sketching makes of ½‖x‖², it is an equality: any smaller bound would be false."""
    F = ms.Mast(ms.Quadratic(np.eye(3), np.zeros(3)), ms.Bernoulli(3, 0.25))
    x = np.array([1.0, -2.0, 0.5])
    assert F.mu_fD_sharp == 4.0
    assert certified(F, x, F.mu_fD_sharp, 4.0).gap_bound == pytest.approx(2 * x @ x, rel=1e-12)
    assert F.value(x) == pytest.approx(2 * x @ x, rel=1e-15)


def test_rare_coordinates_and_little_regularisation():
    """Curvatures from 1e-8 to 1e3."""
    rng = np.random.default_rng(0)
    A, y = rng.standard_normal((40, 6)), np.where(rng.random(40) < 0.5, 1.0, -1.0)
    keep = np.geomspace(1e-3, 1, 6)
    F = ms.Mast(ms.LogisticRegression(A, y, l2=1e-8), ms.Bernoulli(6, keep), shift=rng.standard_normal(6))
    best = F.minimize()
    assert best.gap_bound <= 1e-9
    assert best.infimum().kind == "exact"
    assert "‖gradient‖²/(2μ) with μ = 1e-08" in best.certificate


def test_without_regularisation_the_lower_bound_certifies():
    """The logistic loss is not strongly convex: the only proof is that it is not negative, and it is said so."""
    rng = np.random.default_rng(1)
    A, y = rng.standard_normal((30, 2)), np.where(rng.random(30) < 0.5, 1.0, -1.0)
    F = ms.Mast(ms.LogisticRegression(A, y, l2=0.0), ms.Bernoulli(2, 0.5))
    with pytest.warns(ms.CertificateWarning, match="certified within 0.691 only, .* not strongly convex"):
        best = F.minimize()
    assert best.certificate == "value minus the lower bound 0"
    assert best.gap_bound == best.value
    assert best.infimum().kind == "upper"
    assert best.gradient_norm <= 1e-13
    with pytest.warns(ms.CertificateWarning, match="logistic regression .* certified within"):
        gap = F.gap()
    assert gap.kind == "upper"
    assert float(gap) == pytest.approx(best.value, rel=1e-14)  # nothing but f ≥ 0 is proven about f^inf


def test_separable_data_without_regularisation():
    """inf f = 0 is not attained; the bound is the value itself, and inf f_D = ½ log 2 since half the masks hide a row."""
    F = ms.Mast(ms.LogisticRegression(np.array([[1.0], [-2.0]]), np.array([1.0, -1.0]), l2=0.0), ms.Bernoulli(1, 0.5))
    plain = F.problem.minimize()
    with pytest.warns(ms.CertificateWarning, match="certified within 0.347 only"):
        best = F.minimize()
    assert 0 < plain.value <= 1e-12
    assert plain.gap_bound == plain.value
    assert -1e-15 <= best.value - math.log(2) / 2 <= 1e-5
    assert best.gap_bound == best.value
    assert F.gap() >= math.log(2) / 2 - 1e-15


def test_data_of_zeros():
    f = ms.LogisticRegression(np.zeros((3, 2)), np.ones(3), l2=0.0)
    with pytest.warns(ms.CertificateWarning, match="certified within 0.693 only"):
        best = ms.Mast(f, ms.RandK(2, 1), shift=np.ones(2)).minimize()
    assert best.value == pytest.approx(math.log(2), rel=1e-15)
    assert best.gradient_norm == 0
    ridge = ms.Mast(ms.LogisticRegression(np.zeros((3, 2)), np.ones(3), l2=0.5), ms.RandK(2, 1), shift=np.ones(2))
    # (λ/2)E‖v + S(x − v)‖² per coordinate is (λ/2)(1 + 2z + 2z²) at z = x − 1, least at z = −1/2.
    np.testing.assert_allclose(ridge.minimize().x, [0.5, 0.5], rtol=1e-14)
    assert ridge.minimize().value == pytest.approx(math.log(2) + 0.5 / 2 * 2 * 0.5, rel=1e-14)


def test_a_minimum_is_computed_once():
    F = ms.Mast(ms.LogisticRegression(np.ones((1, 1)), np.ones(1), l2=1.0), ms.Bernoulli(1, 0.5))
    assert F.minimize() is F.minimize()


# Quadratics ----------------------------------------------------------------------------------------------------------


def quadratic(rng, dim, rank, condition=100.0):
    """Return A ⪰ 0 of exactly the given rank and b in its range: few bits, so that products are exact."""
    Q = np.linalg.qr(rng.standard_normal((dim, dim)))[0][:, :rank]
    root = np.round(Q * np.sqrt(np.geomspace(1, 1 / condition, rank)) * 2.0**20) / 2.0**20
    A = root @ root.T
    return A, A @ (np.round(rng.standard_normal(dim) * 2.0**8) / 2.0**8)


@st.composite
def quadratics(draw):
    dim = draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 9999)))
    A, b = quadratic(rng, dim, draw(st.integers(0, dim)), draw(st.sampled_from([1.0, 100.0, 1e6])))
    kind = draw(st.sampled_from(["bernoulli", "rand-k", "finite", "identity"]))
    if kind == "bernoulli":
        keep = rng.uniform(0.05, 1, dim)
        law = ms.Bernoulli(dim, keep), bernoulli_support(keep)
    elif kind == "rand-k":
        k = draw(st.integers(1, dim))
        law = ms.RandK(dim, k), rand_k_support(dim, k)
    else:
        law = law_of("identity", dim, rng) if kind == "identity" else finite_support(rng, dim, 3)
    return A, b, law, draw(st.sampled_from([0.0, 1.0, 10.0])) * rng.standard_normal(dim)


def lowest(hessian, slope):
    """Return the minimiser of slopeᵀz + ½zᵀHz nearest to 0, and the value, in which errors of the minimiser cancel."""
    z = -np.linalg.pinv(hessian, rcond=1e-11, hermitian=True) @ slope
    return z, slope @ z + 0.5 * z @ hessian @ z


@given(quadratics())
def test_quadratic_minima_and_gaps_in_closed_form(drawn):
    """x_D* = v − H⁺(Av − b), f_D^inf = f(v) − ½(Av − b)ᵀH⁺(Av − b), gap = ½(Av − b)ᵀ(A⁺ − H⁺)(Av − b)."""
    A, b, (sketch, support), v = drawn
    F = ms.Mast(ms.Quadratic(A, b, c=1.5), sketch, shift=v)
    H = np.asarray(mean(support, lambda S: S.T @ A @ S), dtype=float)
    slope, at_shift = A @ v - b, 0.5 * v @ A @ v - b @ v + 1.5
    size = 1 + abs(at_shift) + v @ v
    best, gap = F.minimize(), F.gap()
    z, drop = lowest(H, slope)
    np.testing.assert_allclose(H @ (best.x - v), -slope, rtol=0, atol=1e-12 * (1 + np.linalg.norm(v)))
    np.testing.assert_allclose(best.x, v + z, rtol=0, atol=1e-7 * size)
    assert best.value == pytest.approx(at_shift + drop, abs=1e-12 * size)
    assert best.gap_bound <= 1e-12 * size
    least, plain_drop = lowest(A, slope)
    assert gap.kind == "exact"
    assert float(gap) == pytest.approx(drop - plain_drop, abs=1e-12 * size)
    assert float(gap) >= 0
    L_D = np.linalg.eigvalsh(np.asarray(mean(support, lambda S: S.T @ S), dtype=float))[-1]
    assert float(gap) <= 0.5 * (L_D - 1) * np.linalg.eigvalsh(A)[-1] * least @ least + 1e-12 * size


@given(quadratics())
def test_the_gap_vanishes_when_the_shift_is_optimal(drawn):
    """Interpolation: f_D ≥ f, and f_D(v) = f(v)."""
    A, b, (sketch, _), _ = drawn
    v = ms.Quadratic(A, b).minimize().x
    F = ms.Mast(ms.Quadratic(A, b), sketch, shift=v)
    size = 1 + abs(b @ v) + v @ v
    assert 0 <= float(F.gap()) <= 1e-12 * size
    np.testing.assert_allclose(F.minimize().x, v, rtol=0, atol=1e-7 * size)


def test_sketching_makes_a_singular_quadratic_definite():
    """A = 11ᵀ has the eigenvalues 0 and 2; under Bernoulli ½ it becomes [[2, 1], [1, 2]] with 1 and 3."""
    f = ms.Quadratic(np.ones((2, 2)), np.ones(2))
    F = ms.Mast(f, ms.Bernoulli(2, 0.5), shift=np.array([3.0, 0.0]))
    best = F.minimize()
    # ∇f(v) = (2, 2), so z = −(2/3, 2/3).
    np.testing.assert_allclose(best.x, [3 - 2 / 3, -2 / 3], rtol=1e-14)
    assert F.mu_fD_sharp == pytest.approx(1.0, rel=1e-14)
    assert f.mu_f == 0.0
    assert best.value == pytest.approx(0.5 * 9 - 3 - 0.5 * 8 / 3, rel=1e-14)
    assert float(F.gap()) == pytest.approx((4.5 - 3 - 4 / 3) + 0.5, rel=1e-14)


def test_a_quadratic_of_zeros():
    F = ms.Mast(ms.Quadratic(np.zeros((2, 2)), np.zeros(2), c=-3.0), ms.RandK(2, 1), shift=np.ones(2))
    best = F.minimize()
    np.testing.assert_array_equal(best.x, np.ones(2))
    assert (best.value, best.gap_bound, float(F.gap())) == (-3.0, pytest.approx(0.0, abs=1e-29), 0.0)


def test_small_eigenvalues_are_not_certified_away():
    """f_D^inf = −½ − 5e-7: the direction of curvature 1e-14 is worth 5e-7, whether or not it is followed."""
    F = ms.Mast(ms.Quadratic(np.diag([1.0, 1e-14]), np.array([1.0, 1e-10])), ms.Identity(2))
    best = F.minimize()
    lower = float(F.value(np.array([1.0, 1e4])))
    assert lower == pytest.approx(-0.5 - 5e-7, abs=1e-15)
    assert best.value - best.gap_bound <= lower + 1e-15


@pytest.mark.parametrize("rank", [0, 1, 3])
def test_least_squares_of_low_rank(rank):
    """The minimiser nearest to v, by any evaluation; the certificate uses the positive eigenvalues."""
    rng = np.random.default_rng(rank)
    A = rng.standard_normal((6, rank)) @ rng.standard_normal((rank, 4))
    y, v = rng.standard_normal(6), rng.standard_normal(4)
    instance = Instance("squared", A, y, 0.0, ms.RandK(4, 4), rand_k_support(4, 4), v)
    best = instance.mast().minimize()
    want = v + np.linalg.pinv(A, rcond=1e-11) @ (y - A @ v)
    np.testing.assert_allclose(best.x, want, rtol=0, atol=1e-12)
    assert best.gap_bound <= 1e-13


# Gaps ----------------------------------------------------------------------------------------------------------------


@settings(max_examples=examples(20))
@given(instance=instances(losses=("logistic",), size=3.0, l2=(1e-2, 0.5)))
def test_gaps_are_within_theorem_one(instance):
    """0 ≤ f_D^inf − f^inf ≤ ½(L_D − 1)L_f‖x* − v‖², with L_D by enumeration and L_f = λ_max(AᵀA)/(4n) + λ."""
    F = instance.mast()
    gap = F.gap()
    assert gap.kind == "exact"
    both = F.minimize().gap_bound + F.problem.minimize().gap_bound
    assert gap.source == "S = I: f_D is f" or both <= gap.error <= both + 1e-15 * float(gap) <= 1e-9
    A, x = np.asarray(instance.data, dtype=float), F.problem.minimize().x
    assert abs(float(gap) - (F.minimize().value - F.problem.minimize().value)) <= both
    assert float(gap) >= 0
    L_D = np.linalg.eigvalsh(np.asarray(mean(instance.support, lambda S: S.T @ S), dtype=float))[-1]
    L_f = np.linalg.eigvalsh(A.T @ A)[-1] / (4 * len(A)) + instance.l2
    assert float(gap) <= 0.5 * (L_D - 1) * L_f * (x - instance.v) @ (x - instance.v) + 1e-12


@settings(max_examples=examples(20))
@given(instance=instances(losses=("logistic",), size=3.0, l2=(1e-2, 0.5)))
def test_interpolation_leaves_no_gap(instance):
    plain = instance.problem.minimize()
    instance.v = plain.x
    F = instance.mast()
    assert 0 <= float(F.gap()) <= 1e-12
    np.testing.assert_allclose(F.minimize().x, plain.x, rtol=0, atol=1e-6)


@given(instance=instances(families=("identity", "rand-k"), size=3.0, l2=(1e-2, 0.5)))
def test_keeping_everything_leaves_no_gap(instance):
    assume(isinstance(instance.sketch, ms.Identity) or instance.sketch.k == instance.sketch.dim)
    F, size = instance.mast(), instance.value(instance.v)[1]
    assert 0 <= float(F.gap()) <= 1e-12 * size
    np.testing.assert_allclose(F.minimize().x, F.problem.minimize().x, rtol=0, atol=1e-6 * size)


def test_a_gap_by_hand():
    """f = ½(x − 1)², v = 0, S ∈ {0, 2} fair: f_D = ½x² + ½(x − 1)² has the infimum ¼ at ½."""
    F = ms.Mast(ms.LeastSquares(np.eye(1), np.ones(1), l2=0.0), ms.Bernoulli(1, 0.5))
    assert F.minimize().x[0] == pytest.approx(0.5, rel=1e-15)
    assert float(F.gap()) == pytest.approx(0.25, rel=1e-15)


@pytest.mark.parametrize(
    "sketch", [ms.RandK(4, 1), ms.RandK(4, 2), ms.Bernoulli(4, 0.3), ms.Identity(4)], ids=lambda s: s.name
)
@pytest.mark.parametrize("model", [ms.LeastSquares, ms.LogisticRegression, ms.HuberRegression])
def test_expected_infimum_of_the_sketched_functions(model, sketch):
    """Each f_S is minimised by a general-purpose optimiser over all x, knowing nothing of the range of S."""
    rng = np.random.default_rng(11)
    A, v = rng.standard_normal((6, 4)), rng.standard_normal(4)
    F = ms.Mast(model(A, np.where(rng.random(6) < 0.5, 1.0, -1.0), l2=0.2), sketch, shift=v)
    batch, weights = sketch.support()
    lowest = [
        minimize(lambda x, S=S: float(F.problem.value(v + S @ (x - v))), v, method="BFGS", options={"gtol": 1e-10}).fun
        for S in batch.matrices()
    ]
    found = F.sketched_infimum()
    assert found.kind == "exact"
    assert found == pytest.approx(weights @ lowest, abs=1e-8)
    assert F.problem.minimize().value - 1e-12 <= found <= F.minimize().value + 1e-12


def test_one_kept_coordinate_of_a_diagonal_quadratic_leaves_no_gap():
    """Rand-1: f_D is then E of functions of one coordinate each, minimised together."""
    F = ms.Mast(ms.Quadratic(np.diag([1.0, 2.0, 5.0]), np.array([1.0, -1.0, 2.0])), ms.RandK(3, 1))
    assert F.sketched_infimum() == pytest.approx(F.minimize().value, rel=1e-12)
    assert F.gap() > 0.1


def test_a_sketch_too_large_to_enumerate_gives_the_lower_bound():
    F = ms.Mast(ms.LogisticRegression(np.eye(12), np.tile([1.0, -1.0], 6), l2=0.1), ms.Bernoulli(12, 0.5))
    assert F.sketched_infimum().kind == "lower"
    assert F.sketched_infimum() <= F.problem.minimize().value
