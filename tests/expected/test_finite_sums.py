"""Problems as finite sums: components against problems of one row, sums and their expectations against enumeration."""

import math
import re
from dataclasses import dataclass
from functools import partial
from itertools import combinations, count
from typing import Any, NamedTuple

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from mastsim.expected import Mast
from mastsim.problems import (
    ALL_PROBLEMS,
    ExponentialClassification,
    FiniteSum,
    GeneralizedLinearModel,
    HuberRegression,
    LeastSquares,
    LogisticRegression,
    PoissonRegression,
    Quadratic,
    SigmoidClassification,
    SmoothedHingeClassification,
    TwoLayerNetwork,
    WelschRegression,
    row_components,
    split,
)
from mastsim.problems.losses import MarginLoss
from mastsim.provenance import content_hash
from mastsim.sketches import Bernoulli, Composed, Gaussian, RandK
from mastsim.testing import check_problem
from mastsim.testing.strategies import problems, quadratics
from tests.examples import examples

MODELS = [family for family in ALL_PROBLEMS if issubclass(family, GeneralizedLinearModel)]
CONVEX = [family for family in MODELS if family not in (SigmoidClassification, WelschRegression)]


@dataclass
class Batch:
    """Which components, and with what weights: all that problems ask of a minibatch."""

    index: np.ndarray | None
    weights: np.ndarray


class Component(NamedTuple):
    """One component of a model: its weight times the loss of a row, and the penalty."""

    weight: float
    loss: Any
    penalties: np.ndarray

    def value(self, x):
        return self.weight * self.loss.value(x) + x**2 @ self.penalties / 2

    def gradient(self, x):
        return self.weight * self.loss.gradient(x) + self.penalties * x


def rows_of(problem):
    """Return one component a row, with the same λ and none for an intercept."""
    A, n = problem.A.toarray() if sp.issparse(problem.A) else problem.A, problem.rows
    weights = np.ones(n) if problem.weights is None else np.asarray(problem.weights)
    penalties = np.append(np.full(A.shape[1], problem.l2), np.zeros(int(problem.intercept)))
    kind = partial(type(problem), l2=0.0, intercept=problem.intercept)
    return [Component(weights[i], kind(A[i : i + 1], problem.y[i : i + 1]), penalties) for i in range(n)]


def model(family, rows=6, dim=4, seed=0, sparse=False, l2=0.1):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((rows, dim)) * (rng.random((rows, dim)) < 0.7)
    margin = isinstance(family(np.ones((1, 1)), np.ones(1), l2=1.0).loss, MarginLoss)
    y = np.where(rng.random(rows) < 0.5, 1.0, -1.0) if margin else np.floor(3 * rng.random(rows))
    return family(sp.csr_array(A) if sparse else A, y, l2=l2)


@given(problem=problems(families=MODELS), seed=st.integers(0, 99))
def test_a_model_is_the_mean_of_its_rows(problem, seed):
    rng = np.random.default_rng(seed)
    parts, x = rows_of(problem), rng.standard_normal((3, problem.dim))
    n = len(parts)
    assert problem.components == n
    single = np.array([part.gradient(x) for part in parts])
    size = 1 + np.abs(single).max()
    everything = problem.minibatch_gradient(x, Batch(None, np.full((3, n), 1 / n)))
    np.testing.assert_allclose(everything, single.mean(axis=0), rtol=0, atol=1e-13 * size)
    np.testing.assert_allclose(everything, problem.gradient(x), rtol=0, atol=1e-13 * size)
    weights = rng.standard_normal((3, n))
    found = problem.minibatch_gradient(x, Batch(None, weights))
    np.testing.assert_allclose(found, np.einsum("rn,nrd->rd", weights, single), rtol=0, atol=1e-13 * n * size)
    index, weights = rng.integers(0, n, (3, 5)), rng.standard_normal((3, 5))
    by_hand = np.array([sum(weights[r, j] * single[index[r, j], r] for j in range(5)) for r in range(3)])
    found = problem.minibatch_gradient(x, Batch(index, weights))
    np.testing.assert_allclose(found, by_hand, rtol=0, atol=1e-12 * size)


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
def test_a_replica_does_not_depend_on_those_beside_it(sparse, monkeypatch):
    problem = model(LogisticRegression, rows=200, dim=40, sparse=sparse)
    rng = np.random.default_rng(1)
    x, index, weights = rng.standard_normal((9, 40)), rng.integers(0, 200, (9, 33)), rng.random((9, 33))
    full = rng.random((9, 200))
    together = problem.minibatch_gradient(x, Batch(index, weights)), problem.minibatch_gradient(x, Batch(None, full))
    for r in range(9):
        i = slice(r, r + 1)
        assert (problem.minibatch_gradient(x[i], Batch(index[i], weights[i]))[0] == together[0][r]).all()
        assert (problem.minibatch_gradient(x[i], Batch(None, full[i]))[0] == together[1][r]).all()
    order = problem.minibatch_gradient(np.asfortranarray(x), Batch(np.asfortranarray(index), np.asfortranarray(weights)))
    assert (order == together[0]).all()
    monkeypatch.setattr(row_components, "SLICE", 3 * 33 * 40)
    assert (problem.minibatch_gradient(x, Batch(index, weights)) == together[0]).all()


def test_a_problem_without_a_sum_has_one_component():
    f = Quadratic(np.diag([1.0, 4.0]), np.ones(2), c=3.0)
    assert (f.components, f.component_smoothness.tolist(), f.component_infima.tolist()) == (1, [4.0], [f.minimize().value])
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    found = f.minibatch_gradient(x, Batch(np.zeros((2, 3), int), np.array([[1.0, 2.0, -0.5], [0.0, 0.0, 0.0]])))
    np.testing.assert_allclose(found, [[0.0, 2.5 * 7], [0.0, 0.0]], atol=1e-15)
    assert (f.minibatch_gradient(x, Batch(None, np.ones((2, 1)))) == f.gradient(x)).all()

    class Careless(Quadratic):
        components = 2

    with pytest.raises(NotImplementedError, match="Careless has 2 components and must say"):
        Careless(np.eye(1), np.ones(1)).minibatch_gradient(np.ones((1, 1)), Batch(None, np.ones((1, 2))))


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
@pytest.mark.parametrize("family", MODELS)
def test_component_smoothness_is_the_largest_curvature_of_a_row(family, sparse):
    problem = model(family, sparse=sparse)
    A = problem.A.toarray() if sparse else problem.A.copy()
    A[0] = 0
    problem = family(sp.csr_array(A) if sparse else A, problem.y, l2=0.1)
    L = problem.component_smoothness
    assert L.shape == (6,)
    assert L[0] == 0.1
    if family in (PoissonRegression, ExponentialClassification):
        assert np.isinf(L[1:]).all()
        return
    u = np.linspace(-12, 12, 20001)
    for i in range(1, 6):
        bend = np.abs(problem.loss.second_derivative(u, np.full_like(u, problem.y[i]))).max() * (A[i] @ A[i]) + 0.1
        assert bend <= L[i] * (1 + 1e-12)
        assert bend >= L[i] * (1 - 1e-5)


def least_on_a_line(problem, i):
    """Return min_t φ(t; y_i) + λt²/(2‖a_i‖²) by golden sections and a polished end."""
    A = problem.A.toarray() if sp.issparse(problem.A) else problem.A
    y, square = problem.y[i : i + 1], A[i] @ A[i]

    def along(t):
        return problem.loss.value(np.array([t]), y)[0] + problem.l2 * t * t / (2 * square)

    with np.errstate(over="ignore"):
        best = min(
            (
                minimize_scalar(along, bounds=(-e, e), method="bounded", options={"xatol": 1e-14})
                for e in (0.1, 1.0, 30.0, 1e3)
            ),
            key=lambda found: found.fun,
        )
    return best.fun, along, best.x


@pytest.mark.parametrize("family", CONVEX)
@pytest.mark.parametrize("l2", [3.0, 0.1, 1e-4])
def test_component_infima_of_convex_losses_are_the_infima(family, l2):
    for scale, seed in ((1.0, 0), (0.01, 1), (10.0, 2)):
        problem = model(family, seed=seed, l2=l2, sparse=seed == 1)
        problem = problem.with_rows(scale * problem.A)
        for i, bound in enumerate(problem.component_infima):
            infimum, along, t = least_on_a_line(problem, i)
            # Values come with rounding of their own, of which the bound must be clear but for the last bits.
            assert bound <= infimum + 4e-16 * max(1.0, problem.y[i])
            # Golden sections stop where values look flat, hence above the infimum by rounding of the value.
            assert bound >= infimum - 1e-12 * (1 + abs(infimum)) - 1e-9 * (infimum > 1e2)
            for shift in (1e-9, 1e-7, 1e-4, 0.1):
                assert bound <= min(along(t - shift), along(t + shift)) + 4e-16 * max(1.0, problem.y[i])


@pytest.mark.filterwarnings("ignore::mastsim.problems.CertificateWarning")
@settings(max_examples=examples(60))
@given(problem=problems(families=MODELS), seed=st.integers(0, 99))
def test_component_infima_are_below_every_value(problem, seed):
    rng, infima = np.random.default_rng(seed), problem.component_infima
    assert infima.shape == (problem.components,)
    assert np.isfinite(infima).all()
    assert infima.mean() >= problem.lower_bound - 1e-12 * (1 + abs(problem.lower_bound))
    assert infima.mean() <= problem.minimize().value * (1 + 1e-14) + 1e-14
    A = problem.dense_rows
    for i, part in enumerate(rows_of(problem)):
        assert infima[i] >= part.weight * part.loss.lower_bound - 1e-15 * abs(part.weight * part.loss.lower_bound)
        points = rng.standard_normal((20, 1)) * A[i] * rng.choice([0.0, 1e-3, 1.0], (20, 1))
        assert (infima[i] <= part.value(points) * (1 + 1e-14) + 1e-14 * part.weight * np.abs(problem.y[i])).all()
        if not A[i].any() and not problem.intercept:
            assert infima[i] == part.value(0 * points[0])


@pytest.mark.parametrize("y", [-1.0, 1.0, 3.0])
def test_component_infima_in_closed_form(y):
    """½(t − y)² + ct²/2 has the minimum ½y²·c/(1 + c); without a ridge Poisson has y − y log y, and the others have 0."""
    f = LeastSquares([[2.0], [0.0], [1e-200]], [y, y, y], l2=0.5)
    np.testing.assert_allclose(f.component_infima, [0.5 * y * y / 9, 0.5 * y * y, 0.0], rtol=1e-12)
    count = abs(y)
    assert PoissonRegression([[1.0]], [count], l2=0.0).component_infima == pytest.approx(count - count * math.log(count))
    assert LogisticRegression([[1.0], [0.0]], [1, -1], l2=0.0).component_infima.tolist() == [0.0, math.log(2)]
    assert WelschRegression([[1.0]], [y], l2=0.5).component_infima.tolist() == [0.0]


MIXED = [
    LeastSquares([[1.0, 2.0, 0.0], [0.0, 1.0, 1.0]], [1.0, -2.0], l2=0.3),
    Quadratic(np.diag([1.0, 0.0, 2.0]), np.array([1.0, 0.0, 1.0]), c=-1.0),
    LogisticRegression([[1.0, 0.0, -1.0]], [1.0], l2=0.1),
    WelschRegression([[1.0, 1.0, 0.0], [0.0, 0.0, 2.0]], [0.5, 1.0], l2=0.2),
    SmoothedHingeClassification([[0.5, 1.0, -1.0]], [-1.0], l2=0.0),
]


@pytest.mark.parametrize("parts", [MIXED, MIXED[:1], MIXED[:2], MIXED[2:3], MIXED[1:3], MIXED[3:]], ids=len)
def test_a_sum_is_what_it_says(parts):
    f, rng = FiniteSum(parts), np.random.default_rng(0)
    check_problem(f)
    x, w = rng.standard_normal((2, 4, 3))
    np.testing.assert_allclose(f.value(x), np.mean([p.value(x) for p in parts], axis=0), rtol=1e-13)
    np.testing.assert_allclose(f.gradient(x), np.mean([p.gradient(x) for p in parts], axis=0), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(
        f.hessian_product(x, w), np.mean([p.hessian_product(x, w) for p in parts], axis=0), rtol=1e-12, atol=1e-14
    )
    assert f.components == len(parts)
    assert f.component_smoothness.tolist() == [float(p.L_f) for p in parts]
    assert f.component_infima.tolist() == [p.lower_bound for p in parts]
    assert f.lower_bound <= f.minimize().value
    index, weights = rng.integers(0, len(parts), (4, 6)), rng.standard_normal((4, 6))
    by_hand = [sum(weights[r, j] * parts[index[r, j]].gradient(x[r]) for j in range(6)) for r in range(4)]
    np.testing.assert_allclose(f.minibatch_gradient(x, Batch(index, weights)), by_hand, rtol=1e-11, atol=1e-13)
    full = rng.standard_normal((4, len(parts)))
    by_hand = [sum(full[r, i] * p.gradient(x[r]) for i, p in enumerate(parts)) for r in range(4)]
    np.testing.assert_allclose(f.minibatch_gradient(x, Batch(None, full)), by_hand, rtol=1e-11, atol=1e-13)
    for r in range(4):
        i = slice(r, r + 1)
        alone = f.minibatch_gradient(x[i], Batch(index[i], weights[i])), f.minibatch_gradient(x[i], Batch(None, full[i]))
        assert (alone[0][0] == f.minibatch_gradient(x, Batch(index, weights))[r]).all()
        assert (alone[1][0] == f.minibatch_gradient(x, Batch(None, full))[r]).all()


@given(first=quadratics(max_dim=3), seed=st.integers(0, 99), more=st.integers(0, 3))
def test_a_sum_of_quadratics_is_a_quadratic(first, seed, more):
    rng, d = np.random.default_rng(seed), first.dim
    parts = [first]
    for _ in range(more):
        factor = rng.standard_normal((d, int(rng.integers(1, d + 1))))
        parts.append(
            Quadratic(factor @ factor.T, factor @ factor.T @ rng.standard_normal(d), c=float(rng.standard_normal()))
        )
    f = FiniteSum(tuple(parts))
    A, b = sum(p.A for p in parts) / len(parts), sum(p.b for p in parts) / len(parts)
    solution = np.linalg.pinv(A, rcond=1e-10, hermitian=True) @ b
    best = f.minimize()
    assert f.is_quadratic
    assert (f.L_f.kind, f.mu_f.kind) == ("exact", "exact")
    np.testing.assert_allclose(f.upper_curvature.matrix, A, rtol=1e-14, atol=1e-15)
    # A sum that is singular up to rounding is not singular: where its curvature is rounding, its minimiser is anywhere.
    curvature, axes = np.linalg.eigh(A)
    range_ = axes[:, curvature > 1e-10 * curvature.max()]
    np.testing.assert_allclose(range_.T @ best.x, range_.T @ solution, rtol=0, atol=1e-8 * np.linalg.norm(solution) + 1e-13)
    infimum = sum(p.c for p in parts) / len(parts) - b @ solution / 2
    size = float(f.L_f) * (1 + best.x @ best.x) + abs(infimum)
    assert best.value == pytest.approx(infimum, rel=0, abs=1e-9 * size)
    assert f.lower_bound == best.value
    assert best.gap_bound <= 1e-12 * size
    assert f.component_infima.mean() <= f.lower_bound + 1e-9 * size


def test_deficient_least_squares_whose_gradients_cancel_are_certified():
    """Aᵀy = 0 up to rounding in a direction of no curvature: noise there must not count as a gap."""
    rng = np.random.default_rng(0)
    direction = np.round(rng.standard_normal(5) * 64) / 64
    A = np.round(rng.standard_normal((8, 1)) * 64) / 64 * direction
    parts = [LeastSquares(A, 1e3 * rng.standard_normal(8), l2=0.0) for _ in range(3)]
    best = FiniteSum(parts).minimize()
    assert best.gap_bound <= 1e-15 * best.value
    assert best.infimum().kind == "exact"


def test_sums_of_unbounded_curvature_have_no_smoothness():
    network = TwoLayerNetwork(np.ones((2, 1)), np.array([1.0, -1.0]), width=1, l2=0.1)
    f = FiniteSum([network, network])
    assert (f.L_f.value, f.mu_f.value, f.is_convex, f.lower_bound) == (math.inf, -math.inf, False, 0.0)
    g = FiniteSum([PoissonRegression([[1.0]], [2.0], l2=0.5), LeastSquares([[1.0]], [0.0], l2=0.0)])
    assert (g.L_f.value, g.mu_f.value, g.is_convex) == (math.inf, 0.75, True)
    best = g.minimize()
    assert best.infimum().kind == "exact"
    assert np.exp(best.x[0]) - 2 + 1.5 * best.x[0] == pytest.approx(0.0, abs=1e-12)


def test_a_sum_hashes_by_content_and_keeps_a_tuple():
    build = lambda c: FiniteSum([Quadratic(np.eye(1), np.ones(1), c), Quadratic(np.eye(1), np.ones(1))])  # noqa: E731
    assert isinstance(build(0.0).problems, tuple)
    assert content_hash(build(0.0)) == content_hash(build(0.0)) != content_hash(build(1.0))
    assert build(0.0).name == "mean of 2 problems (d = 1)"


EYE = Quadratic(np.eye(2), np.ones(2))


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: FiniteSum([]), ValueError, "problems is empty, but there must be at least one problem"),
        (lambda: FiniteSum([EYE, MIXED[0]]), ValueError, "problems[1] has dimension 3, but problems[0] has dimension 2"),
        (lambda: FiniteSum([EYE, 3]), TypeError, "problems[1] is not accepted: it must be a Problem, not int"),
        (lambda: FiniteSum(EYE for _ in count()), TypeError, "it must be a list or tuple of problems, not generator"),
        (lambda: FiniteSum([EYE]).value(np.ones(3)), ValueError, "x has shape (3,), but its last axis must have length 2"),
        (lambda: split(EYE, 2), TypeError, "it must be a generalised linear model, not Quadratic"),
        (lambda: split(MIXED[0], 3), ValueError, "clients=3 is not accepted: it must be an integer from 1 to 2"),
        (lambda: split(MIXED[0], 2, by="labels"), ValueError, "unknown by 'labels'; did you mean 'label'?"),
        (lambda: split(MIXED[0], 2, seed=-1), ValueError, "seed=-1 is not accepted"),
    ],
)
def test_bad_sums_are_refused(build, error, message):
    with pytest.raises(error, match=re.escape(message)):
        build()


def rand_k_values(dim, k):
    """Return all diagonals of Rand-K, equally likely."""
    return [dim / k * np.isin(np.arange(dim), kept) for kept in combinations(range(dim), k)]


@pytest.mark.parametrize("parts", [MIXED, MIXED[2:4], [FiniteSum(MIXED[:3]), MIXED[4]]], ids=["mixed", "two", "nested"])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_expectation_of_a_sum_against_enumeration(parts, k):
    f, rng = FiniteSum(parts), np.random.default_rng(0)
    v = np.array([0.3, -1.0, 0.5])
    F = Mast(f, RandK(3, k), shift=v)
    assert F.evaluation.name == "finite sum"
    assert F.evaluation.tier == "exact"
    x, w = rng.standard_normal((2, 4, 3))
    masks = rand_k_values(3, k)
    points = [v + c * (x - v) for c in masks]
    np.testing.assert_allclose(F.value(x), np.mean([f.value(p) for p in points], axis=0), rtol=1e-12)
    gradient = np.mean([c * f.gradient(p) for c, p in zip(masks, points, strict=True)], axis=0)
    np.testing.assert_allclose(F.gradient(x), gradient, rtol=1e-11, atol=1e-13)
    product = np.mean([c * f.hessian_product(p, c * w) for c, p in zip(masks, points, strict=True)], axis=0)
    np.testing.assert_allclose(F.hessian_product(x, w), product, rtol=1e-11, atol=1e-13)
    value, slope = F.expectation.value_and_gradient(x[0])
    np.testing.assert_allclose(value, F.value(x[0]), rtol=1e-13)
    np.testing.assert_allclose(slope, gradient[0], rtol=1e-11, atol=1e-13)
    assert 0 <= F.error_bound(x) < 1e-12
    assert np.linalg.norm(F.gradient(F.minimize().x)) < 1e-9


def test_which_evaluation_a_sum_gets():
    quadratic, logistic = FiniteSum(MIXED[:2]), FiniteSum(MIXED[:3])
    assert Mast(quadratic, RandK(3, 1)).evaluation.name == "closed form"
    assert Mast(quadratic, RandK(3, 1), evaluate="finite sum").evaluation.reason == "a mean over 2 components: closed form"
    assert Mast(logistic, Bernoulli(3, 0.5)).evaluation.reason == "a mean over 3 components: closed form and rows"
    assert Mast(logistic, Gaussian(3, 2)).evaluation.reason == "a mean over 3 components: closed form and rows"
    unknown = Composed(Gaussian(3, 2), RandK(3, 1))
    assert Mast(logistic, unknown).evaluation.tier == "estimate"
    with pytest.raises(
        ValueError, match=r"no exact evaluation applies to component 2, logistic regression \(n = 1, d = 3\)"
    ):
        Mast(logistic, unknown, evaluate="finite sum")
    with pytest.raises(ValueError, match="f is not a finite sum of problems"):
        Mast(MIXED[2], RandK(3, 1), evaluate="finite sum")


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
@pytest.mark.parametrize("by", ["iid", "label"])
@pytest.mark.parametrize("clients", [1, 3, 7, 22])
def test_a_split_is_a_partition_of_the_rows(clients, by, sparse):
    f = model(HuberRegression, rows=22, dim=3, sparse=sparse, l2=0.2)
    parts = split(f, clients, by=by, seed=4)
    sizes = [part.rows for part in parts]
    assert len(parts) == clients
    assert max(sizes) - min(sizes) <= 1
    rows = np.vstack([np.column_stack([part.dense_rows, part.y]) for part in parts])
    every = np.column_stack([f.dense_rows, f.y])
    assert sorted(map(tuple, rows)) == sorted(map(tuple, every))
    assert {type(part) for part in parts} == {HuberRegression}
    assert {(part.l2, part.delta) for part in parts} == {(0.2, 1.0)}
    if by == "label":
        assert (np.diff(rows[:, -1]) >= 0).all()


def test_a_split_into_equal_shards_has_the_mean_of_the_whole():
    f = model(LogisticRegression, rows=24, dim=5)
    kappa = LogisticRegression(f.A, f.y, condition_number=30.0)
    x = np.random.default_rng(1).standard_normal((3, 5))
    for problem in (f, kappa):
        for by in ("iid", "label"):
            g = FiniteSum(split(problem, 4, by=by))
            np.testing.assert_allclose(g.value(x), problem.value(x), rtol=1e-13)
            np.testing.assert_allclose(g.gradient(x), problem.gradient(x), rtol=1e-11, atol=1e-14)
            assert g.minimize().value == pytest.approx(problem.minimize().value, rel=1e-12)
            assert float(g.L_f) == pytest.approx(float(problem.L_f), rel=1e-12)
    uneven = FiniteSum(split(f, 5))
    by_hand = np.mean([part.value(x) for part in uneven.problems], axis=0)
    np.testing.assert_allclose(uneven.value(x), by_hand, rtol=1e-13)
    assert np.abs(uneven.value(x) - f.value(x)).max() > 1e-6


def test_a_random_split_depends_on_its_seed_alone():
    f = model(LeastSquares, rows=30, dim=2)
    first, again, other = (np.concatenate([p.y for p in split(f, 3, seed=s)]) for s in (0, 0, 1))
    assert (first == again).all()
    assert not (first == other).all()
    assert not (first == f.y).all()
