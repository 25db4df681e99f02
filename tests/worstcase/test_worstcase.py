"""The worst-case factor, against enumeration on explicit functions, PEPit, and certificates rebuilt here."""

import functools
import itertools
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PEPit import PEP, Expression, Point
from PEPit.functions import SmoothStronglyConvexFunction
from scipy.optimize import minimize

from mastsim.worstcase import SOLVERS, worst_case_factor
from mastsim.worstcase.one_step import _program, _solve
from tests.examples import examples

pytestmark = pytest.mark.slow

SOLVED = 1e-6  # CLARABEL stops at 1e-8; the Gram matrices' traces multiply that
SHAPES = [(1, 1), (2, 1), (2, 2), (3, 1), (3, 2), (3, 3), (4, 1), (4, 2), (4, 3)]
shapes = st.sampled_from(SHAPES)
log_uniform = lambda low, high: st.floats(math.log(low), math.log(high)).map(math.exp)  # noqa: E731


def masks(blocks, keep, width=1):
    """Every sketch as its diagonal, for blocks of `width` coordinates."""
    for kept in itertools.combinations(range(blocks), keep):
        yield np.repeat([blocks / keep if b in kept else 0.0 for b in range(blocks)], width)


def exact_factor(H, stepsize, blocks, keep, width=1):
    """sup E‖x⁺ − y⁺‖²/‖x − y‖² on f = ½xᵀHx, by enumeration."""
    dim = len(H)
    steps = [np.eye(dim) - stepsize * c[:, None] * H * c for c in masks(blocks, keep, width)]
    return np.linalg.eigvalsh(sum(step.T @ step for step in steps) / len(steps))[-1]


def random_hessian(rng, dim, mu, L):
    """A dense matrix whose eigenvalues lie in [μ, L], both ends taken when there is room."""
    Q = np.linalg.qr(rng.standard_normal((dim, dim)))[0]
    eigenvalues = rng.choice([mu, L, mu + (L - mu) * rng.random()], dim)
    return (Q * eigenvalues) @ Q.T


def expected_square(gradient, stepsize, x, y, blocks, keep, width=1):
    """E‖x⁺ − y⁺‖² for any f, by enumeration."""
    moved = [x - y - stepsize * c * (gradient(c * x) - gradient(c * y)) for c in masks(blocks, keep, width)]
    return sum(float(move @ move) for move in moved) / len(moved)


def total(terms):
    """A sum of PEPit's points or expressions, which have no zero to start from."""
    return functools.reduce(lambda a, b: a + b, terms)


def by_pepit(stepsize, mu, blocks, keep):
    """The same factor for L = 1 by PEPit."""
    pep = PEP()
    partition = pep.declare_block_partition(d=blocks) if blocks > 1 else None
    f = pep.declare_function(SmoothStronglyConvexFunction, mu=mu, L=1.0)
    x, y = pep.set_initial_point(), pep.set_initial_point()
    pep.set_initial_condition((x - y) ** 2 <= 1)
    scale, subsets = blocks / keep, list(itertools.combinations(range(blocks), keep))

    def sketch(kept, point):
        return scale * total([partition.get_block(point, b) if partition else point for b in kept])

    def force(kept, point):
        return sketch(kept, f.gradient(sketch(kept, point)))

    pep.set_performance_metric(
        total([(x - y - stepsize * (force(J, x) - force(J, y))) ** 2 for J in subsets]) / len(subsets)
    )
    return solved(pep)


def beside_second_term(stepsize, mu, blocks, keep):
    """The least ρ in E‖x⁺ − x_D*‖² ≤ ρ‖x − x_D*‖² + 2γ²L_f·L_S^max·(f_D^inf − f^inf) for L_f = 1, by PEPit.

    E∇f_S(x_D*) = 0 is solved for one gradient per block: as a constraint ‖·‖² ≤ 0 it leaves the program without interior,
    and solvers off by up to 1e-4.
    """
    pep = PEP()
    partition = pep.declare_block_partition(d=blocks)
    f = pep.declare_function(SmoothStronglyConvexFunction, mu=mu, L=1.0)
    x, y, best = pep.set_initial_point(), pep.set_initial_point(), f.stationary_point()
    pep.set_initial_condition((x - y) ** 2 <= 1)
    scale, subsets = blocks / keep, list(itertools.combinations(range(blocks), keep))
    slopes = [{b: partition.get_block(Point(), b) for b in range(blocks)} for _ in subsets]
    for b in range(blocks):
        first, *others = [j for j, kept in enumerate(subsets) if b in kept]
        slopes[first][b] = -total([slopes[j][b] for j in others]) if others else 0 * slopes[first][b]
    values = [Expression() for _ in subsets]
    squares = []
    for kept, slope, value in zip(subsets, slopes, values, strict=True):
        f.add_point((scale * total([partition.get_block(y, b) for b in kept]), total(list(slope.values())), value))
        gradient = f.gradient(scale * total([partition.get_block(x, b) for b in kept]))
        squares.append((x - y - stepsize * scale * total([partition.get_block(gradient, b) for b in kept])) ** 2)
    gap = total(values) / len(subsets) - f(best)
    pep.set_performance_metric(total(squares) / len(subsets) - 2 * stepsize**2 * scale**2 * gap)
    return solved(pep)


def solved(pep):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "may be inaccurate": the values are compared
        return pep.solve(wrapper="cvxpy", solver="CLARABEL", verbose=0)


@pytest.mark.parametrize(
    ("step", "tight", "proven", "quoted"),
    [(0.25, 0.9753125, 0.9875, 0.9754), (0.5, 0.95125, 0.975, 0.9514), (1.0, 0.905, 0.95, 0.9051)],
)
def test_reference_values_with_one_block_of_two_kept(step, tight, proven, quoted):
    worst = worst_case_factor(step / 4, smoothness=1.0, strong_convexity=0.1, blocks=2, keep=1)
    assert worst.value == pytest.approx(tight, abs=1e-8)
    assert worst.certified == pytest.approx(tight, abs=1e-8)
    assert worst.proven == pytest.approx(proven, abs=1e-15)
    # The quoted figures came from SCS on a degenerate constraint: no bound proves them, and the certificate rules them out.
    assert worst.certified < quoted - 0.5e-4 < quoted < worst.certified + 1.6e-4
    assert (worst.solver, worst.status) == ("CLARABEL", "optimal")


@given(log_uniform(1e-3, 1e2), log_uniform(1e-4, 1.0), log_uniform(1e-2, 1e2), st.sampled_from([1, 2, 3]))
def test_keeping_every_block_is_gradient_descent(step, ratio, L, blocks):
    worst = worst_case_factor(step / L, smoothness=L, strong_convexity=ratio * L, blocks=blocks, keep=blocks)
    closed = max((1 - step * ratio) ** 2, (1 - step) ** 2)
    assert worst.value == pytest.approx(closed, rel=SOLVED, abs=SOLVED)
    assert worst.certified == pytest.approx(closed, rel=SOLVED, abs=SOLVED)
    assert worst.proven == pytest.approx(1 - step * ratio, rel=1e-12)


@pytest.mark.parametrize(("blocks", "keep"), [(1, 1), (2, 1), (2, 2), (3, 2)])
@pytest.mark.parametrize("step", [0.3, 1.7, 2.5])
def test_same_factor_as_pepit(blocks, keep, step):
    gamma = step * (keep / blocks) ** 2
    worst = worst_case_factor(gamma, smoothness=1.0, strong_convexity=0.1, blocks=blocks, keep=keep)
    assert worst.value == pytest.approx(by_pepit(gamma, 0.1, blocks, keep), rel=1e-5)


def test_beside_the_second_term_of_theorem_2_one_kept_block_has_the_same_factor_and_two_a_larger_one():
    pair = worst_case_factor(0.125, smoothness=1, strong_convexity=0.1, blocks=2, keep=1)
    assert beside_second_term(0.125, 0.1, 2, 1) == pytest.approx(pair.certified, abs=1e-5)
    pair = worst_case_factor(0.4, smoothness=1, strong_convexity=0.02, blocks=3, keep=2)
    assert pair.certified == pytest.approx(0.976216, abs=1e-7)
    assert beside_second_term(0.4, 0.02, 3, 2) == pytest.approx(0.9764705, abs=5e-6)


@given(log_uniform(0.05, 4.0), log_uniform(1e-3, 1.0), shapes, st.integers(1, 2), st.integers(0, 2**32 - 1))
def test_no_quadratic_does_worse(step, mu, shape, width, seed):
    gamma = step * (shape[1] / shape[0]) ** 2
    worst = worst_case_factor(gamma, smoothness=1.0, strong_convexity=mu, blocks=shape[0], keep=shape[1])
    rng = np.random.default_rng(seed)
    tried = [random_hessian(rng, shape[0] * width, mu, 1.0) for _ in range(20)]
    tried += [mu * np.eye(len(tried[0])), np.eye(len(tried[0]))]
    factors = [exact_factor(H, gamma, *shape, width) for H in tried]
    assert max(factors) <= worst.certified * (1 + 1e-12)
    assert max(factors) == pytest.approx(worst.lower, rel=1e-12)
    assert worst.lower <= worst.certified * (1 + 1e-12)


@given(log_uniform(0.05, 4.0), log_uniform(1e-3, 1.0), shapes, st.integers(0, 2**32 - 1))
def test_no_other_function_does_worse(step, mu, shape, seed):
    gamma, rng = step * (shape[1] / shape[0]) ** 2, np.random.default_rng(seed)
    worst = worst_case_factor(gamma, smoothness=1.0, strong_convexity=mu, blocks=shape[0], keep=shape[1])
    A = rng.standard_normal((5, shape[0])) * rng.lognormal()
    A /= np.linalg.norm(A, 2)
    offset = rng.standard_normal(5)
    clip = lambda x: mu * x + (1 - mu) * A.T @ np.clip(A @ x - offset, 0, 1)  # noqa: E731  Huber: not twice differentiable
    smooth = lambda x: mu * x + (1 - mu) * A.T @ np.tanh(A @ x - offset)  # noqa: E731
    for gradient in (clip, smooth):
        for _ in range(10):
            x, y = rng.standard_normal((2, shape[0])) * rng.lognormal(0, 2)
            assert expected_square(gradient, gamma, x, y, *shape) <= worst.certified * ((x - y) @ (x - y)) * (1 + 1e-12)


@pytest.mark.parametrize("step", [0.5, 1.0, 1.95])
def test_local_search_over_dense_quadratics_climbs_to_the_factor(step):
    gamma, mu = step / 4, 0.1
    worst = worst_case_factor(gamma, smoothness=1.0, strong_convexity=mu, blocks=2, keep=1)

    def loss(parameters):
        angle, *raw = parameters
        c, s = math.cos(angle), math.sin(angle)
        eigenvalues = mu + (1 - mu) * (1 + np.sin(raw)) / 2
        Q = np.array([[c, -s], [s, c]])
        return -exact_factor((Q * eigenvalues) @ Q.T, gamma, 2, 1)

    starts = np.random.default_rng(0).uniform(-1, 1, (8, 3))
    found = [-minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12}).fun for start in starts]
    assert max(-loss(start) for start in starts) < worst.value - 1e-3
    assert worst.certified - 1e-6 < max(found) <= worst.certified * (1 + 1e-12)


@given(log_uniform(1e-3, 30.0), log_uniform(1e-4, 1.0), shapes, st.integers(0, 2**32 - 1))
def test_certificate_is_a_sum_of_squares(step, mu, shape, seed):
    gamma, (blocks, keep) = step * (shape[1] / shape[0]) ** 2, shape
    worst = worst_case_factor(gamma, smoothness=1.0, strong_convexity=mu, blocks=blocks, keep=keep)
    diagonals = list(masks(blocks, keep))
    size = 1 + len(diagonals)

    def slack(rho, block):
        basis = np.eye(size)
        matrix = rho * np.outer(basis[0], basis[0])
        for j, c in enumerate(diagonals):
            w, point = basis[1 + j], c[block] * basis[0]
            after = basis[0] - gamma * c[block] * (mu * point + (1 - mu) * w)
            matrix -= np.outer(after, after) / len(diagonals)
            matrix -= worst.multipliers[j] * ((np.outer(w, point) + np.outer(point, w)) / 2 - np.outer(w, w))
        return np.linalg.eigvalsh(matrix)[0]

    size_of = 1 + worst.certified + worst.multipliers.max()
    assert (worst.multipliers >= 0).all()
    assert min(slack(worst.certified, b) for b in range(blocks)) >= -1e-13 * size_of
    # The corner's eigenvector may be nearly orthogonal to x − y, hence a drop of ρ well above rounding.
    assert min(slack(worst.certified - 1e-3 * size_of, b) for b in range(blocks)) < -1e-9
    assert worst.certified <= worst.lower + SOLVED * (1 + worst.lower)


def test_certificate_does_not_trust_the_multipliers():
    program = _program(0.25, 1.0, 0.1, 3, 2)
    _solve(program, SOLVERS)
    good = program.multipliers()
    for wrong in (2 * good, 10 * good, good * [1, 1, 3]):
        assert program.certify(wrong) > program.certify(good) + 1e-3
    assert program.certify(0 * good) == math.inf
    conditions = program.problem.constraints[0]
    conditions.dual_variables[0].save_value(0 * conditions.dual_value)
    assert program.attained < program.certify(program.multipliers()) < math.inf


@given(log_uniform(1e-3, 1.0), log_uniform(1e-4, 1.0), shapes)
def test_small_steps_contract_twice_as_fast_as_proven_to_first_order(step, mu, shape):
    gamma, scale = step * (shape[1] / shape[0]) ** 2, shape[0] / shape[1]
    worst = worst_case_factor(gamma, smoothness=1.0, strong_convexity=mu, blocks=shape[0], keep=shape[1])
    rate = gamma * scale * mu
    assert worst.value - (1 - 2 * rate) == pytest.approx(rate**2 * scale, abs=SOLVED)
    assert worst.value <= worst.proven + SOLVED
    assert worst.proven == pytest.approx(1 - rate, abs=1e-15)


@given(log_uniform(0.05, 3.0), log_uniform(1e-2, 1.0), log_uniform(1e-6, 1e6), shapes)
def test_units_do_not_matter_and_a_larger_class_is_worse(step, mu, unit, shape):
    gamma = step * (shape[1] / shape[0]) ** 2
    factor = functools.partial(worst_case_factor, blocks=shape[0], keep=shape[1])
    worst = factor(gamma, smoothness=1.0, strong_convexity=mu)
    assert factor(gamma / unit, smoothness=unit, strong_convexity=mu * unit).value == pytest.approx(worst.value, abs=SOLVED)
    assert factor(gamma, smoothness=1.0, strong_convexity=mu / 2).value >= worst.value - SOLVED
    assert factor(gamma, smoothness=2.0, strong_convexity=mu).value >= worst.value - SOLVED


@given(log_uniform(1e-6, 1e6), log_uniform(1e-8, 1.0), shapes)
@settings(max_examples=examples(25))
def test_residuals_are_small_for_any_step(step, mu, shape):
    gamma = step * (shape[1] / shape[0]) ** 2 * (1 - 1e-12)
    worst = worst_case_factor(gamma, smoothness=1.0, strong_convexity=mu, blocks=shape[0], keep=shape[1])
    residuals = worst.residuals
    assert min(residuals.eigenvalue, residuals.multiplier, residuals.slack) > -SOLVED
    assert max(residuals.violation, residuals.flow, residuals.gap) < SOLVED
    assert worst.value == pytest.approx(worst.lower, rel=SOLVED, abs=SOLVED)
    assert worst.upper == worst.certified == pytest.approx(worst.lower, rel=SOLVED, abs=SOLVED)


def test_residuals_see_a_spoiled_answer():
    program = _program(0.25, 1.0, 0.1, 2, 1)
    _solve(program, SOLVERS)
    gram, values = program.variables[0][0], program.variables[1]
    before = program.residuals()
    conditions, distance = program.problem.constraints
    values.value = values.value + np.arange(4.0)
    gram.save_value(gram.value - 0.1 * np.eye(6))
    conditions.dual_variables[0].save_value(conditions.dual_value - 0.5 * np.eye(12)[0])
    distance.dual_variables[0].save_value(distance.dual_value - 0.3)
    after = program.residuals()
    assert after.violation > before.violation + 0.5
    assert after.eigenvalue == pytest.approx(before.eigenvalue - 0.1, abs=1e-12)
    assert after.multiplier < -0.4
    assert after.flow == pytest.approx(0.5, abs=1e-6)
    assert after.slack < -0.1
    assert after.gap == pytest.approx(0.3, abs=1e-6)


def test_the_solver_is_named():
    arguments = {"smoothness": 2.0, "strong_convexity": 0.2, "blocks": 3, "keep": 2}
    first, second = worst_case_factor(0.1, **arguments), worst_case_factor(0.1, **arguments, solver="SCS")
    assert (first.solver, second.solver) == ("CLARABEL", "SCS")
    assert second.value == pytest.approx(first.value, abs=1e-3)
    assert second.certified == pytest.approx(first.certified, abs=1e-6)


def test_the_next_solver_takes_over_and_none_is_an_error():
    program = _program(0.1, 1.0, 0.1, 2, 1)
    assert _solve(program, ("NONE", "CLARABEL")) == "CLARABEL"
    with pytest.raises(RuntimeError, match="no solver reached an optimal status \\(NONE: "):
        _solve(program, ("NONE",))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"stepsize": 0.0}, ValueError, "stepsize=0.0 is not accepted"),
        ({"stepsize": math.inf}, ValueError, "stepsize=inf is not accepted"),
        ({"stepsize": 3e5}, ValueError, "at most 250000"),
        ({"stepsize": 1e-300, "smoothness": 1e-300, "strong_convexity": 1e-300}, ValueError, "must be above 0"),
        ({"smoothness": math.nan}, ValueError, "smoothness=nan"),
        ({"smoothness": "1"}, TypeError, "smoothness='1'"),
        ({"strong_convexity": 0.0}, ValueError, "strong_convexity=0.0"),
        ({"strong_convexity": 1.5}, ValueError, "strong_convexity=1.5 is not accepted: it must be at most smoothness=1"),
        ({"blocks": 0}, ValueError, "blocks=0"),
        ({"blocks": 2.0}, TypeError, "blocks=2.0"),
        ({"keep": 0}, ValueError, "keep=0 is not accepted: it must be an integer from 1 to 2"),
        ({"keep": 3}, ValueError, "keep=3"),
        ({"blocks": 6, "keep": 3}, ValueError, "20 subsets: at most 10"),
        ({"solver": "MOSEK"}, ValueError, "unknown solver 'MOSEK'"),
    ],
)
def test_bad_input_is_named(change, error, message):
    arguments = {"stepsize": 0.1, "smoothness": 1.0, "strong_convexity": 0.1, "blocks": 2, "keep": 1} | change
    with pytest.raises(error, match=message):
        worst_case_factor(arguments.pop("stepsize"), **arguments)
