"""Problems against their definitions: every family, through `check_problem` and through formulas written here."""

import math
import re
import warnings
from dataclasses import replace
from fractions import Fraction

import cvxpy as cp
import mpmath
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from scipy.special import expit

from mastsim.minimization import minimize_convex
from mastsim.problems import (
    ALL_PROBLEMS,
    CertificateWarning,
    Curvature,
    FiniteSum,
    HuberRegression,
    LeastSquares,
    LogisticLoss,
    LogisticRegression,
    Minimum,
    Quadratic,
    SquaredLoss,
)
from mastsim.problems.base import certified
from mastsim.testing import check_problem
from mastsim.testing.strategies import problems, quadratics
from tests.examples import examples

LINEAR_MODELS = [LeastSquares, LogisticRegression]
KNOWN_BY_HAND = problems(families=[Quadratic, *LINEAR_MODELS])


def table(rows, dim, seed=0, density=1.0):
    """Return a random matrix and signs; the signs serve both families."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((rows, dim)) * (rng.random((rows, dim)) < density)
    return A, np.where(rng.random(rows) < 0.5, 1.0, -1.0)


def ill_conditioned(condition):
    """Return 200 rows in 50 dimensions whose AᵀA/n has eigenvalues from 1 down to 1/condition, and noisy labels."""
    rng = np.random.default_rng(0)
    rows, columns = (np.linalg.qr(rng.standard_normal((size, 50)))[0] for size in (200, 50))
    A = math.sqrt(200) * rows * np.geomspace(1, condition**-0.5, 50) @ columns.T
    return A, np.where(5 * A @ rng.standard_normal(50) + rng.standard_normal(200) > 0, 1.0, -1.0)


def dense(A):
    return A.toarray() if sp.issparse(A) else A


def by_hand(problem, x):
    """Return f(x) from its definition, one row at a time."""
    if isinstance(problem, Quadratic):
        d, A, b = problem.dim, problem.A, problem.b
        square = sum(x[i] * A[i, j] * x[j] for i in range(d) for j in range(d))
        return square / 2 - sum(b[i] * x[i] for i in range(d)) + problem.c
    A, share, penalties = model_of(problem)
    total = 0.0
    for row, label, weight in zip(A, problem.y, share, strict=True):
        u = sum(a * t for a, t in zip(row, x, strict=True))
        loss = (u - label) ** 2 / 2 if isinstance(problem, LeastSquares) else math.log1p(math.exp(-label * u))
        total += weight * loss
    return total / problem.rows + sum(penalty * t * t for penalty, t in zip(penalties, x, strict=True)) / 2


def model_of(problem):
    """Return the rows with a one for an intercept, their weights of mean 1, and the penalty of each coordinate."""
    A, n = dense(problem.A), problem.rows
    weights = np.ones(n) if problem.weights is None else np.asarray(problem.weights)
    penalties = np.full(A.shape[1], problem.l2)
    if problem.intercept:
        A, penalties = np.hstack([A, np.ones((n, 1))]), np.append(penalties, 0.0)
    return A, weights * n / weights.sum(), penalties


@pytest.mark.parametrize("family", ALL_PROBLEMS)
@settings(max_examples=examples(25))
@given(data=st.data(), seed=st.integers(0, 9))
def test_every_family_is_what_it_says(family, data, seed):
    check_problem(data.draw(problems(families=[family])), seed)


@pytest.mark.parametrize("family", LINEAR_MODELS)
@pytest.mark.parametrize("as_matrix", [np.asarray, sp.csr_array, np.asfortranarray], ids=["dense", "sparse", "columns"])
@pytest.mark.parametrize(("rows", "dim"), [(300, 20), (40, 150)])
def test_batches_of_larger_data_are_the_same_bit_for_bit(family, as_matrix, rows, dim):
    """From eight terms on NumPy sums in an order that depends on the memory layout; a few rows would not show it."""
    A, y = table(rows, dim, density=0.3)
    problem = family(as_matrix(A), y, l2=0.1)
    x, w = np.random.default_rng(1).standard_normal((2, 7, dim))
    everything = problem.value(x), problem.gradient(x), problem.hessian_product(x, w)
    for i in range(7):
        alone = problem.value(x[i]), problem.gradient(x[i]), problem.hessian_product(x[i], w[i])
        piece = (
            problem.value(x[i : i + 1]),
            problem.gradient(x[i : i + 1]),
            problem.hessian_product(x[i : i + 1], w[i : i + 1]),
        )
        for a, b, c in zip(everything, alone, piece, strict=True):
            assert (a[i] == b).all()
            assert (a[i] == c[0]).all()
    for other in (np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2], np.repeat(x, 2, axis=0)[::2]):
        assert (problem.value(other) == everything[0]).all()
        assert (problem.gradient(other) == everything[1]).all()


@pytest.mark.parametrize("family", LINEAR_MODELS)
def test_a_problem_does_not_depend_on_the_memory_order_or_sparsity_of_its_data(family):
    A, y = table(200, 30, density=0.3)
    x = np.random.default_rng(1).standard_normal(30)
    rows, columns, sparse = (family(form(A), y, l2=0.1) for form in (np.asarray, np.asfortranarray, sp.csc_array))
    assert (rows.gradient(x) == columns.gradient(x)).all()
    np.testing.assert_allclose(sparse.gradient(x), rows.gradient(x), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(sparse.upper_curvature.matrix, rows.upper_curvature.matrix, rtol=1e-12, atol=1e-14)


@given(problem=KNOWN_BY_HAND, seed=st.integers(0, 99))
def test_values_against_the_definition(problem, seed):
    x = np.random.default_rng(seed).standard_normal(problem.dim)
    assert float(problem.value(x)) == pytest.approx(by_hand(problem, x), rel=1e-12, abs=1e-12)


@given(problem=KNOWN_BY_HAND, seed=st.integers(0, 99))
def test_derivatives_against_the_definition(problem, seed):
    x, w = np.random.default_rng(seed).standard_normal((2, problem.dim))
    if isinstance(problem, Quadratic):
        gradient, product = problem.A @ x - problem.b, problem.A @ w
    else:
        (A, share, penalties), y, n = model_of(problem), problem.y, problem.rows
        u = A @ x
        slope, bend = (u - y, 1.0) if isinstance(problem, LeastSquares) else (-y * expit(-y * u), expit(u) * expit(-u))
        gradient = A.T @ (share * slope) / n + penalties * x
        product = A.T @ (share * bend * (A @ w)) / n + penalties * w
    size = problem.L_f * (1 + np.linalg.norm(x) + np.linalg.norm(w)) + np.linalg.norm(problem.gradient(0 * x))
    np.testing.assert_allclose(problem.gradient(x), gradient, rtol=0, atol=1e-14 * size)
    np.testing.assert_allclose(problem.hessian_product(x, w), product, rtol=0, atol=1e-14 * size)
    np.testing.assert_allclose(problem.hessian(x) @ w, product, rtol=0, atol=1e-13 * size)


@given(problem=KNOWN_BY_HAND)
def test_constants_against_singular_values(problem):
    if isinstance(problem, Quadratic):
        spectrum = np.linalg.svd(problem.A, compute_uv=False)
        L, mu = spectrum[0], spectrum[-1]
    else:
        A, share, penalties = model_of(problem)
        bend = {LeastSquares: 1.0, LogisticRegression: 0.25}[type(problem)]
        rows = np.sqrt(bend * share / problem.rows)[:, None] * A
        least = np.sqrt(penalties)[:, None] * np.eye(problem.dim)
        L = np.linalg.norm(np.vstack([rows, least]), 2) ** 2
        flattest = np.vstack([rows, least]) if isinstance(problem, LeastSquares) else least
        mu = np.linalg.svd(flattest, compute_uv=False)[-1] ** 2
    assert problem.L_f.value == pytest.approx(L, rel=1e-12)
    assert problem.mu_f.value == pytest.approx(mu, rel=1e-9, abs=1e-13 * L)
    assert problem.L_f.kind == "exact"
    assert problem.mu_f.kind == "exact" or (mu < 1e-5 * L and problem.mu_f.kind == "lower")
    assert problem.is_convex
    assert problem.is_quadratic == (not isinstance(problem, LogisticRegression))


@given(data=st.data(), kappa=st.sampled_from([1.5, 100.0, 1e8]))
def test_condition_number_is_what_was_asked_for(data, kappa):
    A, y = table(data.draw(st.integers(1, 9)), data.draw(st.integers(1, 6)), seed=data.draw(st.integers(0, 99)))
    for form in (np.asarray, sp.csr_array):
        logistic = LogisticRegression(form(A), y, condition_number=kappa)
        assert logistic.L_f / logistic.mu_f == pytest.approx(kappa, rel=1e-12)
        assert logistic.mu_f.value == pytest.approx(np.linalg.norm(A, ord=2) ** 2 / (4 * len(y)) / (kappa - 1), rel=1e-12)
        squares = LeastSquares(form(A), y, condition_number=kappa)
        assert squares.L_f / squares.l2 == pytest.approx(kappa, rel=1e-12)


@pytest.mark.parametrize("as_matrix", [np.asarray, sp.csr_array])
def test_the_constants_of_logistic_regression_are_attained(as_matrix):
    A, y = table(12, 4)
    problem = LogisticRegression(as_matrix(A), y, l2=0.3)
    assert np.linalg.eigvalsh(problem.hessian(np.zeros(4)))[-1] == pytest.approx(problem.L_f.value, rel=1e-12)
    far = 1e5 * np.random.default_rng(1).standard_normal(4)
    np.testing.assert_allclose(problem.hessian(far), 0.3 * np.eye(4), atol=1e-12)


@pytest.mark.parametrize("family", LINEAR_MODELS)
@pytest.mark.parametrize("as_matrix", [np.asarray, sp.csr_array])
def test_component_smoothness_is_the_smoothness_of_each_row(family, as_matrix):
    A, y = table(6, 3, density=0.6)
    A[2] = 0
    rows = family(as_matrix(A), y, l2=0.3).component_smoothness
    np.testing.assert_allclose(rows, [family(A[i : i + 1], y[i : i + 1], l2=0.3).L_f for i in range(6)], rtol=1e-13)
    assert rows[2] == 0.3


@given(problem=quadratics())
def test_the_minimiser_of_a_quadratic_is_the_least_norm_solution(problem):
    best = problem.minimize()
    solution = np.linalg.pinv(problem.A, rcond=1e-10, hermitian=True) @ problem.b
    np.testing.assert_allclose(best.x, solution, rtol=0, atol=1e-8 * np.linalg.norm(solution) + 1e-14)
    assert best.value == pytest.approx(problem.c - problem.b @ solution / 2, rel=1e-9, abs=1e-9 * problem.L_f)
    assert problem.lower_bound == best.value
    assert best.infimum().kind == "exact"
    assert best.gap_bound <= 2e-16 * (problem.L_f * (best.x @ best.x) + abs(best.value)) + 1e-30


@given(problem=problems(families=[LeastSquares]))
def test_least_squares_against_the_normal_equations(problem):
    (A, share, penalties), n = model_of(problem), problem.rows
    A, y = np.sqrt(share)[:, None] * A, np.sqrt(share) * problem.y
    best = problem.minimize()
    if problem.mu_f > 1e-6 * problem.L_f:
        solution = np.linalg.solve(A.T @ A / n + np.diag(penalties), A.T @ y / n)
        np.testing.assert_allclose(best.x, solution, rtol=0, atol=1e-8 * np.linalg.norm(solution) + 1e-14)
    stacked = np.vstack([A / math.sqrt(n), np.diag(np.sqrt(penalties))])
    residual = np.concatenate([y / math.sqrt(n), np.zeros(problem.dim)])
    infimum = np.linalg.norm(stacked @ np.linalg.lstsq(stacked, residual)[0] - residual) ** 2 / 2
    assert best.value == pytest.approx(infimum, rel=1e-10, abs=1e-13 * (y @ y))
    decided = problem.mu_f.kind == "exact"
    assert best.infimum().kind == "exact" or not decided, "the certificate must not lean on μ_f, 0 for deficient data"


@pytest.mark.parametrize(("rows", "dim", "l2"), [(40, 6, 0.01), (5, 8, 0.1), (60, 3, 1e-4), (1, 1, 1.0)])
def test_the_minimiser_of_logistic_regression_against_cvxpy(rows, dim, l2):
    A, y = table(rows, dim, seed=rows)
    best = LogisticRegression(A, y, l2=l2).minimize()
    x = cp.Variable(dim)
    objective = cp.sum(cp.logistic(-cp.multiply(y, A @ x))) / rows + l2 / 2 * cp.sum_squares(x)
    optimum = cp.Problem(cp.Minimize(objective)).solve(solver=cp.CLARABEL)
    assert best.value == pytest.approx(optimum, rel=1e-7)
    np.testing.assert_allclose(best.x, x.value, atol=1e-4)
    assert best.value <= optimum + 1e-12
    assert best.gap_bound <= 1e-14, "the rounding of the value, and no more"


@pytest.mark.parametrize("family", LINEAR_MODELS)
@pytest.mark.parametrize("condition", [1e4, 1e8])
def test_ill_conditioned_problems_are_minimised_with_a_useful_certificate(family, condition):
    problem = family(*ill_conditioned(condition), l2=0.25 / condition)
    best = problem.minimize()
    assert problem.L_f / problem.mu_f > condition / 4
    assert best.gap_bound <= 1e-11
    assert best.infimum().kind == "exact"


@given(problem=problems(families=[LogisticRegression]))
def test_regularised_minima_are_certified(problem):
    assume(problem.l2 > 0 and not problem.intercept)
    best = problem.minimize()
    assert best.infimum().kind == "exact"
    assert best.gap_bound >= best.gradient_norm**2 / (2 * problem.l2) * (1 - 1e-12)
    assert best.gap_bound <= 1e-12 * max(1.0, best.value)


def test_a_minimum_that_is_not_attained_is_called_an_upper_bound():
    """Separable data without regularisation: the infimum is 0, and x runs away until the value proves it."""
    best = LogisticRegression(np.array([[1.0], [2.0]]), np.array([1.0, 1.0]), l2=0.0).minimize()
    assert 0 <= best.value <= best.gap_bound < 1e-12
    assert best.certificate == "value minus the lower bound 0"
    with pytest.warns(CertificateWarning, match=r"certified within 0.693 only, 5e\+08 times .*μ = 0"):
        overlapping = LogisticRegression(np.ones((2, 1)), np.array([1.0, -1.0]), l2=0.0).minimize()
    assert overlapping.value == pytest.approx(math.log(2))
    assert (overlapping.infimum().kind, overlapping.gap_bound) == ("upper", overlapping.value)


@pytest.mark.parametrize(
    ("gap", "value", "kind"),
    [
        (0.0, 5.0, "exact"),
        (9e-10, 0.5, "exact"),
        (2e-9, 0.5, "upper"),
        (4e-9, -5.0, "exact"),
        (1e-12, 1e-9, "upper"),
        (math.inf, 1.0, "upper"),
    ],
)
def test_an_infimum_is_exact_only_when_it_is_certified(gap, value, kind):
    infimum = Minimum(np.zeros(1), value, gap, 0.0, "by assertion").infimum()
    assert (infimum.value, infimum.kind, infimum.error) == (value, kind, gap)


def test_a_certificate_covers_the_whole_gap():
    """On ½μ‖x‖² the inequality gap ≤ ‖∇f‖²/(2μ) is an equality."""
    for mu in (0.5, 3.0):
        problem, x = Quadratic(mu * np.eye(2), np.zeros(2)), np.array([1.0, -2.0])
        best = certified(problem, x, mu, mu)
        assert best.value == pytest.approx(2.5 * mu)
        assert best.gap_bound == pytest.approx(2.5 * mu, rel=1e-10)
        apart = LeastSquares([[1.0], [1.0]], [1.0, -1.0], l2=mu - 0.5)
        assert certified(apart, np.array([0.1]), 0.5 + mu, 9.0).gap_bound == pytest.approx((0.5 + mu) * 0.005, rel=1e-10)
        steep = Quadratic(np.diag([mu, 2 * mu]), np.zeros(2))
        assert certified(steep, np.array([0.0, 1.0]), mu, 2 * mu).gap_bound == pytest.approx(mu), (
            "the lower bound is sharper"
        )


def test_newton_steps_stop_quietly_on_a_singular_hessian():
    A = np.outer([0.2, 1.0], [0.04, -0.07, -0.15, 0.08])

    def value_and_gradient(x):
        return 0.5 * float(np.sum((A @ x - [0.001, 0.005]) ** 2)), A.T @ (A @ x - [0.001, 0.005])

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = minimize_convex(value_and_gradient, lambda x, w: A.T @ (A @ w), np.zeros(4))
    assert np.linalg.norm(value_and_gradient(x)[1]) < 1e-17


def test_what_floats_make_of_a_singular_matrix_is_not_called_singular():
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((4, 4)))[0]
    matrix = (basis * [1e6, 2.0, 0.0, 0.0]) @ basis.T
    curvature = Curvature((matrix + matrix.T) / 2)
    assert curvature.largest == pytest.approx(1e6)
    with mpmath.workdps(60):
        truth = min(mpmath.eigsy(mpmath.matrix(curvature.matrix.tolist()), eigvals_only=True))
    assert abs(curvature.smallest - float(truth)) <= curvature.smallest.error
    assert curvature.smallest.kind == "exact"
    assert Curvature(np.diag([-1.0, 3.0])).smallest == -1
    assert Curvature(np.zeros((2, 2))).least_positive == math.inf
    assert Curvature(np.ones((3, 3))).least_positive == pytest.approx(3.0)


def test_data_are_copied_and_left_alone():
    A, y = table(4, 2)
    b = np.ones(2)
    models = [family(A, y, l2=0.1) for family in LINEAR_MODELS]
    quadratic = Quadratic(np.eye(2), b)
    kept = A.copy(), y.copy()
    A[:], y[:], b[:] = 9, 9, 9
    for model in models:
        np.testing.assert_array_equal(model.A, kept[0])
        np.testing.assert_array_equal(model.y, kept[1])
    assert quadratic.b.tolist() == [1, 1]
    doubled = sp.csr_array((np.array([1.0, 2.0, 3.0]), np.array([1, 1, 0]), np.array([0, 3, 3])), shape=(2, 2))
    model = LeastSquares(doubled, np.ones(2), l2=0.1)
    assert model.A.toarray().tolist() == [[3.0, 3.0], [0.0, 0.0]]
    assert (doubled.nnz, doubled.data.tolist(), doubled.indptr.tolist()) == (3, [1.0, 2.0, 3.0], [0, 3, 3])


@pytest.mark.parametrize("loss", [SquaredLoss(), LogisticLoss()], ids=lambda loss: loss.name)
def test_loss_derivatives_and_curvature(loss):
    u = np.linspace(-30, 30, 241)
    y = np.where(np.arange(241) % 2, 1.0, -1.0)
    h = 1e-6
    slope = (loss.value(u + h, y) - loss.value(u - h, y)) / (2 * h)
    np.testing.assert_allclose(loss.derivative(u, y), slope, atol=1e-7)
    bend = (loss.derivative(u + h, y) - loss.derivative(u - h, y)) / (2 * h)
    np.testing.assert_allclose(loss.second_derivative(u, y), bend, atol=1e-8)
    assert loss.second_derivative(np.zeros(1), np.ones(1))[0] == loss.curvature_max
    assert loss.second_derivative(u, y).min() >= loss.curvature_min


def test_the_logistic_loss_does_not_overflow():
    u, y = np.array([-1e4, 0.0, 1e4]), np.ones(3)
    assert LogisticLoss().value(u, y).tolist() == [1e4, math.log(2), 0.0]
    assert LogisticLoss().derivative(u, y).tolist() == [-1.0, -0.5, 0.0]
    assert LogisticLoss().second_derivative(u, y).tolist() == [0.0, 0.25, 0.0]


@pytest.mark.parametrize("reach", [0.0, 1.0, 30.0, 2000.0])
def test_exponential_sums_are_as_accurate_as_they_say(reach):
    for loss in (SquaredLoss(), LogisticLoss()):
        form = loss.exponential_sum(reach)
        w = np.linspace(-reach, reach, 401)
        nodes = form.rate + 1j * form.step * np.arange(len(form.weights))
        found = form.constant + form.slope * w + form.square * w**2 + (np.exp(np.outer(w, nodes)) @ form.weights).real
        size = 1 + np.abs(form.weights).sum() + form.square * reach**2
        np.testing.assert_allclose(found, loss.psi(w), rtol=0, atol=form.error + 1e-14 * size)
        assert form.error < 1e-15
        assert form.reach >= reach


def test_names_say_what_the_problem_is():
    A, y = table(5, 2)
    assert LogisticRegression(A, y, l2=1.0).name == "logistic regression (n = 5, d = 2)"
    assert Quadratic(np.eye(3), np.ones(3)).name == "Quadratic (d = 3)"


EYE, ONES = np.eye(2), np.ones(2)
NAN = np.array([[1.0, 2.0], [np.nan, 4.0]])


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: LeastSquares(NAN, ONES, l2=1), ValueError, "A holds nan at index (1, 0): every entry must be finite"),
        (lambda: LeastSquares(sp.csc_array(NAN), ONES, l2=1), ValueError, "A holds nan at index (1, 0)"),
        (lambda: LogisticRegression(EYE * [1, np.inf], ONES, l2=1), ValueError, "A holds nan at index (0, 1)"),
        (lambda: LeastSquares(EYE, [1.0, np.inf], l2=1), ValueError, "y holds inf at index (1,)"),
        (lambda: LeastSquares(EYE, np.ones(3), l2=1), ValueError, "y has shape (3,), but it must be a vector of length 2"),
        (lambda: LeastSquares(EYE, np.ones((2, 1)), l2=1), ValueError, "y has shape (2, 1), but it must be a vector"),
        (lambda: LeastSquares(ONES, ONES, l2=1), ValueError, "A has shape (2,), but it must be a matrix"),
        (lambda: LeastSquares(np.ones((0, 2)), [], l2=1), ValueError, "A has shape (0, 2), but it must be a matrix"),
        (lambda: LeastSquares(sp.csr_array((2, 0)), ONES, l2=1), ValueError, "A has shape (2, 0), but it must be a matrix"),
        (lambda: LeastSquares(1j * EYE, ONES, l2=1), TypeError, "not numpy.ndarray of complex128"),
        (lambda: LeastSquares(sp.csr_array(1j * EYE), ONES, l2=1), TypeError, "not scipy.csr_array of complex128"),
        (lambda: LeastSquares([["a", "b"]], [1.0], l2=1), TypeError, "A is not accepted: it must be an array of real"),
        (lambda: LeastSquares([[1.0], [1.0, 2.0]], ONES, l2=1), TypeError, "A is not accepted: it must be an array of real"),
        (lambda: LeastSquares(EYE, sp.csr_array(EYE), l2=1), TypeError, "y is not accepted: it must be an array of real"),
        (lambda: LeastSquares(EYE, ONES), ValueError, "l2=None and condition_number=None: exactly one of the two"),
        (lambda: LeastSquares(EYE, ONES, 1.0, 2.0), ValueError, "l2=1.0 and condition_number=2.0: exactly one of the two"),
        (lambda: LeastSquares(EYE, ONES, l2=-1), ValueError, "l2=-1 is not accepted: it must be a finite number >= 0"),
        (lambda: LeastSquares(EYE, ONES, l2=np.nan), ValueError, "is not accepted: it must be a finite number >= 0"),
        (lambda: LeastSquares(EYE, ONES, l2="1"), TypeError, "l2='1' is not accepted: it must be a real number"),
        (lambda: LeastSquares(EYE, ONES, condition_number=1), ValueError, "condition_number=1.0 is not accepted: it"),
        (lambda: LeastSquares(EYE, ONES, condition_number=0), ValueError, "condition_number=0 is not accepted"),
        (lambda: LeastSquares(EYE, ONES, condition_number=np.inf), ValueError, "condition_number=inf is not accepted"),
        (
            lambda: LeastSquares(0 * EYE, ONES, condition_number=9),
            ValueError,
            "condition_number=9.0 cannot be reached: A is",
        ),
        (
            lambda: LogisticRegression(EYE, [0, 1], l2=1),
            ValueError,
            "y holds the labels 0 and 1, but it must hold -1 and +1",
        ),
        (lambda: LogisticRegression(EYE, [2, 1], l2=1), ValueError, "pass np.where(y == 2, 1.0, -1.0)"),
        (lambda: LogisticRegression(EYE, [0, 0], l2=1), ValueError, "labels 0, but the logistic loss takes two: -1 and +1"),
        (lambda: LogisticRegression(np.eye(7), range(7), l2=1), ValueError, "y holds the labels 0, 1, 2, 3, 4, …, but"),
        (lambda: Quadratic(np.ones((2, 3)), ONES), ValueError, "A has shape (2, 3), but it must be square"),
        (lambda: Quadratic(EYE, np.ones(3)), ValueError, "b has shape (3,), but it must be a vector of length 2"),
        (lambda: Quadratic(NAN, ONES), ValueError, "A holds nan at index (1, 0)"),
        (lambda: Quadratic(EYE, [np.nan, 0]), ValueError, "b holds nan at index (0,)"),
        (lambda: Quadratic(EYE, ONES, c=np.inf), ValueError, "c=inf is not accepted: it must be a finite number"),
        (lambda: Quadratic(EYE, ONES, c="x"), TypeError, "c='x' is not accepted: it must be a real number"),
        (lambda: Quadratic([[1, 2], [0, 1]], ONES), ValueError, "A is not symmetric: largest deviation 2; pass (A + A.T)"),
        (lambda: Quadratic(-EYE, ONES), ValueError, "A has the eigenvalue -1: it must be positive semidefinite"),
        (lambda: Quadratic(np.diag([1.0, -1e-9]), [1, 0]), ValueError, "A has the eigenvalue -1e-09"),
        (lambda: Quadratic(np.diag([1.0, 0.0]), ONES), ValueError, "b is outside the range of A by 1: f is then unbounded"),
    ],
)
def test_bad_input_is_refused(build, error, message):
    with np.errstate(invalid="ignore"), pytest.raises(error, match=re.escape(message)):
        build()


def test_the_mapping_in_the_message_is_accepted():
    y = np.array([0, 1])
    with pytest.raises(ValueError, match=r"pass np\.where") as refusal:
        LogisticRegression(EYE, y, l2=1)
    fixed = eval(str(refusal.value).rsplit("pass ", 1)[1], {"np": np, "y": y})
    assert LogisticRegression(EYE, fixed, l2=1).y.tolist() == [-1.0, 1.0]


@given(
    exponents=st.lists(st.integers(-14, 2), min_size=1, max_size=4),
    parts=st.lists(st.sampled_from([0.0, 1.0, -3.0, 1e-3]), min_size=4, max_size=4),
    turn=st.booleans(),
)
@example(exponents=[0, -14], parts=[1.0, 1.0, 0.0, 0.0], turn=False)
@example(exponents=[0, -14], parts=[1.0, -3.0, 0.0, 0.0], turn=True)
def test_the_certificate_of_a_quadratic_covers_its_smallest_eigenvalues(exponents, parts, turn):
    """With a diagonal A the distance to the minimum is a sum of fractions, known exactly."""
    spectrum = np.array([10.0**e for e in exponents])
    floor = 16 * len(spectrum) * np.finfo(float).eps * spectrum.max()
    spectrum[spectrum < floor] = floor
    b = spectrum * parts[: len(spectrum)]
    try:
        problem = Quadratic(np.diag(spectrum), b)
    except ValueError:
        assert np.abs(b).max() < 1e-3 * spectrum.max(), "only a b that is lost in the rounding of A may be refused"
        return
    best = FiniteSum([problem, problem]).minimize() if turn else problem.minimize()
    exact = [Fraction(float(s)) for s in spectrum], [Fraction(float(t)) for t in b], [Fraction(float(t)) for t in best.x]
    gap = float(sum((s * x - t) ** 2 / (2 * s) for s, t, x in zip(*exact, strict=True)))
    rounding = np.finfo(float).eps * abs(best.value)
    assert gap <= best.excess_bound <= best.gap_bound <= 4 * gap + rounding + 1e-28 * (1 + abs(best.value))


def test_the_certificate_of_a_quadratic_sees_a_tiny_eigenvalue():
    best = Quadratic(np.diag([1.0, 1e-14]), np.array([1.0, 1e-14])).minimize()
    assert best.x.tolist() == [1.0, 1.0]
    assert best.gap_bound < 1e-16
    assert Quadratic(np.diag([1.0, 0.0]), np.array([1.0, 0.0])).minimize().x.tolist() == [1.0, 0.0]


@pytest.mark.filterwarnings("ignore::mastsim.problems.CertificateWarning")
@pytest.mark.parametrize("family", ALL_PROBLEMS)
@settings(max_examples=examples(3))
@given(data=st.data())
def test_a_minimiser_cannot_be_written_to(family, data):
    best = data.draw(problems(families=[family], max_dim=2)).minimize()
    with pytest.raises(ValueError, match="read-only"):
        best.x[0] = 1.0
    point = np.ones(2)
    kept = Minimum(point, 0.0, 0.0, 0.0, "by assertion")
    point[0] = 7.0
    assert kept.x.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("family", [Quadratic, *LINEAR_MODELS, FiniteSum])
def test_hessian_products_broadcast_points_and_directions(family):
    rng = np.random.default_rng(0)
    A, y = table(6, 3)
    plain = Quadratic(A.T @ A, A.T @ y)
    problem = {Quadratic: plain, FiniteSum: FiniteSum([plain, plain])}.get(family) or family(A, y, l2=0.1)
    x, w = rng.standard_normal((4, 3)), rng.standard_normal(3)
    many = problem.hessian_product(x, w)
    assert many.shape == (4, 3)
    for i in range(4):
        assert (many[i] == problem.hessian_product(x[i], w)).all()
    assert problem.hessian_product(w, x).shape == (4, 3)
    assert problem.hessian_product(x[:, None], x).shape == (4, 4, 3)
    many[0] = 0.0


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
def test_a_problem_with_a_condition_number_can_be_replaced(form):
    A, y = table(8, 3)
    f = HuberRegression(form(A), y, condition_number=10.0)
    assert replace(f).l2 == f.l2
    assert replace(f, delta=3.0).delta == 3.0
    assert replace(f, y=-y).l2 == f.l2
    assert replace(f, l2=None, condition_number=100.0).l2 == pytest.approx(f.l2 / 11)
    kept = replace(f, A=form(2 * A), l2=None)
    assert (kept.l2, kept.condition_number) == (pytest.approx(4 * f.l2), 10.0)
    ridge = replace(f, A=form(2 * A), condition_number=None)
    assert (ridge.l2, ridge.condition_number) == (f.l2, None)
    assert f.with_rows(form(2 * A)).l2 == f.l2
    with pytest.raises(ValueError, match="exactly one of the two must be given where they disagree") as refusal:
        replace(f, A=form(2 * A))
    assert f"means l2={kept.l2}" in str(refusal.value)


@pytest.mark.parametrize("call", ["value", "gradient", "hessian_product"])
@pytest.mark.parametrize("shape", [(), (3,), (1,), (2, 1), (2, 5, 3)])
def test_points_of_the_wrong_shape_are_refused(call, shape):
    quadratic = Quadratic(EYE, ONES)
    for problem in (quadratic, LeastSquares(EYE, ONES, l2=1), FiniteSum([quadratic])):
        arguments = (np.ones(shape), np.ones(2))[: 2 if call == "hessian_product" else 1]
        message = f"x has shape {shape}, but its last axis must have length 2"
        with pytest.raises(ValueError, match=re.escape(message)):
            getattr(problem, call)(*arguments)
    with pytest.raises(ValueError, match=r"w has shape \(3,\), but its last axis must have length 2"):
        quadratic.hessian_product(ONES, np.ones(3))
    assert quadratic.gradient([3.0, 4.0]).tolist() == [2.0, 3.0]
