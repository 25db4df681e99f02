"""Worst-case factors and Lyapunov functions, against closed forms, functions written out, moments, PEPit, AutoLyap."""

import copy
import functools
import itertools
import math
import subprocess
import sys
import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PEPit import PEP
from PEPit.functions import SmoothStronglyConvexFunction

import mastsim as ms
from mastsim.draws import outcomes
from mastsim.worstcase import factor, search, worst_case_factor
from mastsim.worstcase.cases import case_of_method, case_of_step
from mastsim.worstcase.check import Step, failures, is_positive_semidefinite, slack
from mastsim.worstcase.drawing import interpolant, realised
from mastsim.worstcase.lmi import Inequality, dense
from tests.examples import examples

pytestmark = pytest.mark.slow

SOLVED = 1e-6
HALF = ms.RandK(2, k=1)
SHEAR = ms.FiniteSupport([np.array([[1.0, 1.0], [0.0, 1.0]]), np.array([[1.0, -1.0], [0.0, 1.0]])])
SKEWED = ms.FiniteSupport([np.array([[2.0, 0.5], [0.0, 0.0]]), np.array([[0.0, -0.5], [0.0, 2.0]])])
SKETCHES = [ms.Identity(2), HALF, ms.RandK(3, k=2), ms.Bernoulli(2, 0.5), SHEAR, SKEWED]
sketches = st.sampled_from(SKETCHES[:2] + SKETCHES[4:])


def hessian(rng, dim, mu):
    """A dense matrix with eigenvalues in [μ, 1], both ends taken when there is room."""
    Q = np.linalg.qr(rng.standard_normal((dim, dim)))[0]
    return (Q * rng.choice([mu, 1.0, mu + (1 - mu) * rng.random()], dim)) @ Q.T


def values_of(sketch):
    batch, weights = sketch.support()
    return list(zip(np.asarray(batch.matrices()), weights, strict=True))


def largest(now, then):
    """The largest ratio of two quadratic forms, the first positive definite."""
    root = np.linalg.inv(np.linalg.cholesky(now))
    return float(np.linalg.eigvalsh(root @ then @ root.T)[-1])


# The factor of one step ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("blocks", "keep"), [(1, 1), (2, 1), (2, 2), (3, 1), (3, 2)])
@pytest.mark.parametrize("share", [0.3, 1.0, 1.9])
def test_masks_have_the_factor_of_their_own_program_and_of_the_closed_form(blocks, keep, share):
    gamma, scale, mu = share * (keep / blocks) ** 2, blocks / keep, 0.1
    found = factor(ms.RandK(blocks, k=keep), gamma, smoothness=1.0, strong_convexity=mu)
    q = max((1 - gamma * scale**2 * mu) ** 2, (1 - gamma * scale**2) ** 2)
    assert found.value == pytest.approx(1 - (1 - q) / scale, abs=SOLVED)
    assert found.upper == pytest.approx(1 - (1 - q) / scale, abs=SOLVED)
    assert found.lower == pytest.approx(1 - (1 - q) / scale, rel=1e-12)
    own = worst_case_factor(gamma, smoothness=1.0, strong_convexity=mu, blocks=blocks, keep=keep)
    assert found.value == pytest.approx(own.value, abs=SOLVED)
    assert found.lower <= found.upper


@given(sketches, st.floats(0.02, 0.6), st.floats(0.05, 1.0), st.integers(1, 2), st.integers(0, 2**32 - 1))
@settings(max_examples=examples(20))
def test_no_quadratic_and_no_other_function_does_worse(sketch, gamma, mu, width, seed):
    found, rng = factor(sketch, gamma, smoothness=1.0, strong_convexity=mu), np.random.default_rng(seed)
    assert found.failures() == []
    big = [(np.kron(S, np.eye(width)), weight) for S, weight in values_of(sketch)]
    dim = len(big[0][0])
    for _ in range(20):
        H = hessian(rng, dim, mu)
        steps = [(np.eye(dim) - gamma * S.T @ H @ S, weight) for S, weight in big]
        assert np.linalg.eigvalsh(sum(weight * T.T @ T for T, weight in steps))[-1] <= found.upper * (1 + 1e-12)
    A = rng.standard_normal((5, dim))
    A /= np.linalg.norm(A, 2)
    offset = rng.standard_normal(5)
    gradient = lambda x: mu * x + (1 - mu) * A.T @ np.clip(A @ x - offset, 0, 1)  # noqa: E731  not twice differentiable
    for _ in range(20):
        x, y = rng.standard_normal((2, dim)) * rng.lognormal(0, 2)
        moved = [(x - y - gamma * S.T @ (gradient(S @ x) - gradient(S @ y)), weight) for S, weight in big]
        after = sum(weight * move @ move for move, weight in moved)
        assert after <= found.upper * ((x - y) @ (x - y)) * (1 + 1e-12)


@pytest.mark.parametrize("sketch", [SHEAR, SKEWED])
def test_the_factor_of_a_general_sketch_is_attained(sketch):
    # A search over dense quadratics of S ⊗ I_2 comes near to it, and what is proved is no more than the solver's value.
    found, rng, best = factor(sketch, 0.2, smoothness=1.0, strong_convexity=0.1), np.random.default_rng(0), 0.0
    for _ in range(3000):
        H = hessian(rng, 4, 0.1)
        steps = [(np.eye(4) - 0.2 * np.kron(S, np.eye(2)).T @ H @ np.kron(S, np.eye(2)), w) for S, w in values_of(sketch)]
        best = max(best, np.linalg.eigvalsh(sum(w * T.T @ T for T, w in steps))[-1])
    assert found.lower - 1e-9 <= best <= found.upper
    assert found.value <= found.upper <= found.value + 2e-6
    assert best >= found.value - 0.02
    assert found.tight.startswith("S ⊗ I_r")


def test_a_value_that_is_a_mean_of_others_may_share_its_function():
    mixed = ms.FiniteSupport([np.eye(2), np.diag([2.0, 0.0]), np.diag([0.0, 2.0])])
    found = factor(mixed, 0.2, smoothness=1.0, strong_convexity=0.1)
    assert found.value <= found.upper + SOLVED
    assert found.failures() == []


@pytest.mark.parametrize("variant", ["a", "b"])
@pytest.mark.parametrize("sketch", [HALF, SHEAR])
def test_the_factor_of_a_moving_shift_is_one_that_quadratics_come_near_to(sketch, variant):
    # E V⁺/V for V = ‖x − x*‖² + c‖x − v‖² over dense quadratics, sketch and coin enumerated.
    gamma, mu, p, c, rng, best = 0.1, 0.5, 0.25, 2.0, np.random.default_rng(0), 0.0
    found = factor(sketch, gamma, smoothness=1.0, strong_convexity=mu, shift=ms.Refreshed(p, variant), lag=c)
    assert found.failures() == []
    zero, one = np.zeros((2, 2)), np.eye(2)
    X, far = np.hstack([one, zero]), np.hstack([one, -one])
    now = X.T @ X + c * far.T @ far
    for H in [mu * one, one, *(hessian(rng, 2, mu) for _ in range(300))]:
        then = np.zeros((4, 4))
        for S, weight in values_of(sketch):
            moved = np.hstack([one - gamma * S.T @ H @ S, -gamma * S.T @ H @ (one - S)])
            jump = moved if variant == "b" else X
            for chance, v in ((p, jump), (1 - p, np.hstack([zero, one]))):
                then += weight * chance * (moved.T @ moved + c * (moved - v).T @ (moved - v))
        best = max(best, largest(now, then))
    assert found.lower - 1e-9 <= best <= found.upper
    assert best >= found.value - 0.05
    assert found.value <= found.upper <= found.value + 1e-5


# Lyapunov functions --------------------------------------------------------------------------------------------------


METHODS = [
    ms.DSGD(0.1, shift=ms.Refreshed(1.0)),
    ms.DSGD(0.1, shift=ms.Refreshed(0.5)),
    ms.DSGD(0.1, shift=ms.Refreshed(0.5, "a")),
    ms.LSVRDSG(0.04, probability=0.3),
]


@functools.cache
def searched(place):
    return search(HALF, METHODS[place], smoothness=1.0, strong_convexity=0.5, tolerance=1e-3)


@pytest.mark.parametrize("place", range(len(METHODS)))
def test_proved_rates_hold_for_exact_moments_of_quadratics(place):
    found, rng = searched(place), np.random.default_rng(place)
    assert found.failures() == []
    assert found.lower - 1e-5 <= found.value <= found.upper < 1
    for _ in range(6):
        f = ms.Quadratic(hessian(rng, 2, 0.5), np.zeros(2))
        assert ms.moments.contraction(ms.Mast(f, HALF), METHODS[place]).lower <= found.upper


@pytest.mark.parametrize("place", range(len(METHODS)))
def test_proved_rates_hold_along_one_step_of_the_method_itself(place):
    # E V⁺ ≤ rate·V for the method's own step, every outcome of it by enumeration, on quadratics and random states.
    found, method, rng = searched(place), METHODS[place], np.random.default_rng(place)
    V = found.lyapunov
    other = next((name for name in V if name in ("v v", "w w")), "x x")[0]

    def height(F, state):
        x, second = state.x, state[1] if len(state) > 1 else state.x
        noise = sum(weight * np.sum(((second @ S.T) @ F.problem.A @ S) ** 2, axis=1) for S, weight in values_of(HALF))
        across = V.get(f"x {other}", 0.0) * np.sum(x * second, axis=1) if other != "x" else 0.0
        last = V.get(f"{other} {other}", 0.0) * np.sum(second**2, axis=1) if other != "x" else 0.0
        return V["x x"] * np.sum(x**2, axis=1) + across + last + V.get("noise", 0.0) * noise

    for _ in range(4):
        F = ms.Mast(ms.Quadratic(hessian(rng, 2, 0.5), np.zeros(2)), HALF)
        kind = type(method.init(F, np.zeros((1, 2))))
        x, second = rng.standard_normal((2, 1, 2))
        fields = (x, x if other == "x" else second, F.gradient(second))
        start = kind(*fields[: len(kind._fields)])
        ends, weights = outcomes(
            lambda rows, draw, F=F, kind=kind, start=start: np.concatenate(
                method.step(kind(*(field[np.zeros(len(rows), int)] for field in start)), F, draw), axis=1
            ),
            1,
            0,
            limit=1000,
        )
        after = kind(*np.split(np.asarray(ends).reshape(len(weights), -1), len(kind._fields), axis=1))
        assert weights @ height(F, after) <= found.upper * height(F, start)[0] * (1 + 1e-9)


def test_the_search_never_proves_less_than_the_theorems_do():
    gamma, p, mu = METHODS[3].stepsize, 0.3, 0.5
    # Theorem 5 needs γ ≤ 1/(6L), L = L_f·L_S^max = 4: γ = 0.04, and μ_D = 2.
    assert gamma <= 1 / 24
    assert searched(3).upper <= 1 - min(gamma * 2 * mu, p / 2) + 2e-3
    # A5: E‖x⁺ − x*‖² ≤ (1 − γμ)‖x − x*‖² for γ ≤ 1/θ̄, θ̄ ≤ C·L_f = 2; sharper with the descent of f, so ≤ here.
    assert searched(0).upper <= 1 - 0.1 * mu + 2e-3


@pytest.mark.parametrize(("gamma", "mu"), [(0.3, 0.1), (1.0, 0.5), (1.8, 0.2)])
def test_without_a_sketch_it_is_gradient_descent(gamma, mu):
    closed = max((1 - gamma * mu) ** 2, (1 - gamma) ** 2)
    # The anchor's part of V is at least a ten-thousandth of it.
    for method, near in ((ms.DSGD(gamma, shift=ms.Refreshed(1.0)), 2e-5), (ms.LSVRDSG(gamma, probability=1.0), 2e-3)):
        found = search(ms.Identity(1), method, smoothness=1.0, strong_convexity=mu, tolerance=1e-5)
        assert closed - 1e-9 <= found.upper <= closed + near


def test_a_smaller_state_proves_less():
    whole = searched(1)
    alone = search(HALF, ms.LSVRDSG(0.04, probability=0.3), smoothness=1.0, strong_convexity=0.5, state=("x", "noise"))
    assert alone.upper >= searched(3).upper - 1e-3
    assert alone.lyapunov["w w"] == pytest.approx(0, abs=1e-8)
    with pytest.raises(ValueError, match="no rate below 1 is proved"):
        search(HALF, METHODS[1], smoothness=1.0, strong_convexity=0.5, state=("x",))
    assert whole.upper < 1


def test_units_do_not_matter():
    one = search(HALF, METHODS[1], smoothness=1.0, strong_convexity=0.5, tolerance=1e-3)
    method = ms.DSGD(0.1 / 50, shift=ms.Refreshed(0.5))
    assert search(HALF, method, smoothness=50.0, strong_convexity=25.0, tolerance=1e-3).proved == one.proved


TOLD = [
    (ms.DSGD(1 / 16, shift=ms.Refreshed(0.5)), None),
    (ms.DSGD(1 / 16, shift=ms.Refreshed(0.5, "a")), None),
    (ms.DSGD(1 / 16, shift=ms.Refreshed(0.1)), None),
    (ms.DSGD(1 / 16, shift=ms.Refreshed(1.0)), None),
    (ms.LSVRDSG(1 / 24, probability=0.2), None),
    (ms.LSVRDSG(1 / 24, probability=0.2), ("x", "noise")),
]


@pytest.mark.parametrize(("row", "method", "state"), [(row, *case) for row, case in enumerate(TOLD)])
def test_the_page_says_what_is_proved(row, method, state):
    page = Path(__file__).parents[2].joinpath("docs", "worst-case.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in page.splitlines() if " 1/16 | x" in line or " 1/24 | x" in line]
    assert len(rows) == len(TOLD)
    found = search(HALF, method, smoothness=1.0, strong_convexity=0.5, state=state)
    assert float(rows[row][4]) == pytest.approx(found.upper, abs=1.5e-4)


# Other programs ------------------------------------------------------------------------------------------------------


def by_pepit(gamma, mu, dim):
    """sup E‖x⁺ − x*‖²/‖x − x*‖² of x⁺ = x − γSᵀ∇f(x), S keeping one of `dim` blocks, by PEPit."""
    pep = PEP()
    partition = pep.declare_block_partition(d=dim)
    f = pep.declare_function(SmoothStronglyConvexFunction, mu=mu, L=1.0)
    best, x = f.stationary_point(), pep.set_initial_point()
    pep.set_initial_condition((x - best) ** 2 <= 1)
    g = f.gradient(x)
    moved = [(x - best - gamma * dim * partition.get_block(g, b)) ** 2 for b in range(dim)]
    pep.set_performance_metric(sum(moved[1:], moved[0]) / dim)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return pep.solve(wrapper="cvxpy", solver="CLARABEL", verbose=0)


@pytest.mark.parametrize(("dim", "gamma"), [(2, 0.2), (2, 0.45), (3, 0.2)])
def test_same_factor_of_the_sketched_gradient_as_pepit(dim, gamma):
    found = search(
        ms.RandK(dim, k=1), ms.DSGD(gamma, shift=ms.Refreshed(1.0)), smoothness=1.0, strong_convexity=0.3, tolerance=1e-5
    )
    assert found.upper == pytest.approx(by_pepit(gamma, 0.3, dim), abs=3e-5)


def test_same_rate_of_gradient_descent_as_autolyap():
    pytest.importorskip("autolyap")  # GPL-3: in the extra "oracles", never in "test"
    from autolyap import IterationIndependent, SolverOptions
    from autolyap.algorithms import GradientMethod
    from autolyap.problemclass import InclusionProblem, SmoothStronglyConvex

    problem, algorithm = InclusionProblem([SmoothStronglyConvex(mu=0.1, L=1.0)]), GradientMethod(gamma=0.5)
    P, p, T, t = IterationIndependent.LinearConvergence.get_parameters_distance_to_solution(algorithm)
    more = {"p": p, "t": t, "S_equals_T": True, "s_equals_t": True, "remove_C3": True, "verbosity": 0}
    more |= {"tol": 1e-6, "solver_options": SolverOptions(backend="cvxpy", cvxpy_solver="CLARABEL")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "may be inaccurate": the values are compared
        theirs = IterationIndependent.LinearConvergence.bisection_search_rho(problem, algorithm, P, T, **more)["rho"]
    ours = search(
        ms.Identity(1), ms.DSGD(0.5, shift=ms.Refreshed(1.0)), smoothness=1.0, strong_convexity=0.1, tolerance=1e-6
    )
    assert ours.upper == pytest.approx(theirs, abs=1e-5)


# Forms and certificates ----------------------------------------------------------------------------------------------


@given(st.sampled_from(["pair", "difference", "a", "b", "l-svrdsg"]), sketches, st.integers(0, 2**32 - 1))
@settings(max_examples=examples(30))
def test_forms_are_those_of_the_steps_written_out(kind, sketch, seed):
    rng, gamma, mu, p = np.random.default_rng(seed), 0.125, 0.25, 0.375
    case = case_of_step(kind if kind not in "ab" else "refreshed", sketch, gamma, 1.0, mu)
    case |= {"probability": Fraction(3, 8), "variant": kind}
    step, H, atoms = Step(case), hessian(rng, 2, mu), values_of(sketch)
    one, two = rng.standard_normal((2, 2))
    # φ = ½zᵀ(H − μI)z/(1 − μ): every slope follows from its point.
    unknowns = np.zeros(step.unknowns * 2)
    unknowns[:4] = np.concatenate([one, two]) if kind != "difference" else [*one, 0, 0]
    place = lambda a: np.array([sum(float(c) * unknowns[k] for k, c in row.items()) for row in a])  # noqa: E731
    for point, slope in zip(step.points, step.slopes, strict=True):
        w = (H - mu * np.eye(2)) @ place(point) / (1 - mu)
        for row, value in zip(slope, w, strict=True):
            for key in row:
                unknowns[key] = value
    said = {
        name: tuple(unknowns @ dense(form, len(unknowns)) @ unknowns for form in (before, after))
        for name, before, after in step.terms
    }
    mean = lambda of: sum(weight * of(S) for S, weight in atoms)  # noqa: E731
    if kind in ("pair", "difference"):
        z = one - two if kind == "pair" else one
        wanted = {"|x - y|^2": (z @ z, mean(lambda S: np.sum((z - gamma * S.T @ H @ S @ z) ** 2)))}
    elif kind in "ab":
        moved = lambda S: one - gamma * S.T @ H @ (two + S @ (one - two))  # noqa: E731
        jump = (lambda S: one) if kind == "a" else moved
        wanted = {
            "x x": (one @ one, mean(lambda S: moved(S) @ moved(S))),
            "x v": (one @ two, mean(lambda S: moved(S) @ (p * jump(S) + (1 - p) * two))),
            "v v": (two @ two, mean(lambda S: p * jump(S) @ jump(S) + (1 - p) * two @ two)),
        }
    else:
        full = mean(lambda S: S.T @ H @ S @ two)
        moved = lambda S: one - gamma * (S.T @ H @ S @ (one - two) + full)  # noqa: E731
        noise = lambda z: mean(lambda S: np.sum((S.T @ H @ S @ z) ** 2))  # noqa: E731
        wanted = {
            "x x": (one @ one, mean(lambda S: moved(S) @ moved(S))),
            "x w": (one @ two, mean(lambda S: moved(S) @ (p * one + (1 - p) * two))),
            "w w": (two @ two, p * one @ one + (1 - p) * two @ two),
            "noise": (noise(two), p * noise(one) + (1 - p) * noise(two)),
        }
    assert {name: pytest.approx(pair, rel=1e-9, abs=1e-12) for name, pair in wanted.items()} == said
    # φ is convex and 1-smooth, so every condition holds for its values.
    height = [0.5 * place(a) @ (H - mu * np.eye(2)) @ place(a) / (1 - mu) for a in step.points]
    for i, j, form in step.conditions():
        assert unknowns @ dense(form, len(unknowns)) @ unknowns <= height[i] - height[j] + 1e-9


@pytest.mark.parametrize("place", range(len(METHODS)))
def test_the_check_sees_every_part_of_a_certificate_that_is_spoiled(place):
    good = searched(place).certificate
    assert failures(good) == []

    def spoiled(change):
        bad = copy.deepcopy(dict(good))
        change(bad)
        return " ".join(failures(bad))

    least = Fraction(searched(place).lower) - Fraction(1, 1000)
    assert "not positive semidefinite" in spoiled(lambda c: c.update(rate=least))
    pair = max(good["multipliers"], key=good["multipliers"].get)
    assert "do not cancel" in spoiled(lambda c: c["multipliers"].update({pair: good["multipliers"][pair] + 1}))
    assert "below zero" in spoiled(lambda c: c["multipliers"].update({pair: Fraction(-1)}))
    assert "no condition" in spoiled(lambda c: c["multipliers"].update({(0, 0): Fraction(1)}))
    assert "V is not at least" in spoiled(lambda c: c["lyapunov"].update({"x x": Fraction(1, 2)}))
    assert "probabilities" in spoiled(lambda c: c["case"]["weights"].__setitem__(0, Fraction(3, 4)))
    assert "outside its range" in spoiled(lambda c: c["case"].update(mu=Fraction(2)))
    assert spoiled(lambda c: c["case"].update(stepsize=good["case"]["stepsize"] * 40)) != ""
    halved = lambda c: c["multipliers"].update({key: value / 2 for key, value in good["multipliers"].items()})  # noqa: E731
    assert "not positive semidefinite" in spoiled(halved)


@pytest.mark.parametrize("place", [1, 3])
def test_the_exported_script_stands_alone(tmp_path, place):
    file = tmp_path / "check.py"
    searched(place).save(file)
    alone = [sys.executable, "-I", "-S", "check.py"]
    done = subprocess.run(alone, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("proved: E V+ <= 0.")
    imports = [line for line in file.read_text().splitlines() if line.startswith(("import", "from"))]
    assert {line.split()[1] for line in imports} == {"__future__", "fractions", "typing"}
    rate = searched(place).certificate["rate"]
    text = file.read_text().replace(f"'rate': {rate!r}", f"'rate': {rate - Fraction(1, 20)!r}")
    file.write_text(text)
    bad = subprocess.run(alone, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert bad.returncode == 1
    assert "the slack is not positive semidefinite" in bad.stdout


@given(st.integers(1, 5), st.integers(0, 4), st.integers(0, 2**32 - 1))
def test_semidefiniteness_is_decided_exactly(size, rank, seed):
    rng = np.random.default_rng(seed)
    B = [[Fraction(int(entry), 7) for entry in row] for row in rng.integers(-9, 10, (size, min(rank, size)))]
    square = [[sum((a * b for a, b in zip(r, s, strict=True)), Fraction(0)) for s in B] for r in B]
    assert is_positive_semidefinite(square)
    for i in range(size):
        less = [list(row) for row in square]
        less[i][i] -= Fraction(1, 10**30)
        # To NumPy 2.1 an empty matrix has no rank.
        exact = rank > 0 and np.linalg.matrix_rank(np.array(B, dtype=float)) == size
        # A singular one loses it at the smallest change along a direction that its range does not hold.
        assert is_positive_semidefinite(less) or not exact or square[i][i] == 0
    assert not is_positive_semidefinite([[Fraction(0), Fraction(1)], [Fraction(1), Fraction(5)]])
    assert not is_positive_semidefinite([[Fraction(1), Fraction(1)], [Fraction(1), 1 - Fraction(1, 10**30)]])


# Drawing and refusals ------------------------------------------------------------------------------------------------


def test_the_interpolant_takes_its_values_and_gradients_and_stays_in_the_class():
    rng = np.random.default_rng(0)
    H = hessian(rng, 2, 0.2)
    x = rng.standard_normal((5, 2))
    w, phi = x @ H, 0.5 * np.einsum("ni,ij,nj->n", x, H, x)
    assert interpolant(x, w, phi, x) == pytest.approx(phi, abs=1e-7)
    z, step = rng.standard_normal((20, 2)), 1e-3
    assert (interpolant(x, w, phi, z) >= 0.5 * np.einsum("ni,ij,nj->n", z, H, z) - 1e-7).all()
    for direction in np.eye(2):
        ahead, here, back = (interpolant(x, w, phi, z + s * step * direction) for s in (1, 0, -1))
        bend = (ahead - 2 * here + back) / step**2
        assert bend.min() >= -0.05
        assert bend.max() <= 1.05


@pytest.mark.parametrize("found", [lambda: factor(SHEAR, 0.2, smoothness=1.0, strong_convexity=0.1), lambda: searched(2)])
def test_the_worst_case_is_drawn_and_attains_the_value(found):
    found = found()
    step, own = found.step, Inequality(found.step, ())
    V = np.array([found.lyapunov[name] for name, *_ in step.terms])
    now, then = (np.tensordot(V, [np.vdot(found.worst.gram, Q) for Q in forms], 1) for forms in own.terms)
    assert then / now == pytest.approx(found.value, abs=1e-4)
    points, slopes, values = realised(found.worst, step)
    scale = max(np.square(points).sum(axis=1).max(), 1e-12)
    for i, j, _ in step.conditions():
        change = slopes[i] - slopes[j]
        assert values[i] - values[j] - slopes[j] @ (points[i] - points[j]) - 0.5 * change @ change >= -1e-4 * scale
    axes = found.plot().axes[0]
    assert axes.get_xlabel()
    assert "worst case" in axes.get_title()


def test_slack_is_the_difference_of_both_sides():
    found = searched(1)
    step, own = Step(found.certificate["case"]), Inequality(Step(found.certificate["case"]), ())
    V = np.array([found.lyapunov[name] for name, *_ in step.terms])
    said = dense(slack(step, found.certificate), own.size)
    weights = np.array([float(found.certificate["multipliers"].get((i, j), 0)) for i, j, _ in step.conditions()])
    forms = own.conditions[0]
    wanted = found.upper * np.tensordot(V, own.terms[0], 1) - np.tensordot(V, own.terms[1], 1)
    assert said == pytest.approx(wanted + np.tensordot(weights, forms, 1), rel=1e-6, abs=1e-9)
    assert math.isfinite(found.margin)
    assert [outcome for _, outcome in found.tried].count("proved") >= 1
    assert "attained" in found._repr_html_()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: factor(HALF, 0.0, smoothness=1.0, strong_convexity=0.1), ValueError, "stepsize=0"),
        (lambda: factor(HALF, 0.1, smoothness=1.0, strong_convexity=2.0), ValueError, "strong_convexity=2"),
        (lambda: factor(ms.RandK(6, k=3), 0.1, smoothness=1.0, strong_convexity=0.1), ValueError, "sketch=Rand-3 of 6"),
        (lambda: factor(ms.Haar(2, 1), 0.1, smoothness=1.0, strong_convexity=0.1), ValueError, "sketch="),
        (lambda: factor(HALF, 0.1, smoothness=1.0, strong_convexity=0.1, lag=-1.0), ValueError, "lag=-1"),
        (lambda: factor(HALF, 0.1, smoothness=1.0, strong_convexity=0.1, shift=ms.Held(2)), TypeError, "shift="),
        (lambda: factor("x", 0.1, smoothness=1.0, strong_convexity=0.1), TypeError, "sketch='x'"),
        (lambda: search(HALF, ms.GD(0.1), smoothness=1.0, strong_convexity=0.1), TypeError, "method="),
        (lambda: search(HALF, ms.DSGD(0.1), smoothness=1.0, strong_convexity=0.1), ValueError, "a Refreshed shift"),
        (lambda: search(HALF, ms.LSVRDSG(0.1, anchor=1), smoothness=1.0, strong_convexity=0.1), ValueError, "full anchor"),
        (
            lambda: search(HALF, METHODS[1], smoothness=1.0, strong_convexity=0.5, state=("v",)),
            ValueError,
            "V must be of x",
        ),
        (lambda: search(HALF, METHODS[1], smoothness=1.0, strong_convexity=0.5, tolerance=1e-9), ValueError, "tolerance="),
        (lambda: search(HALF, METHODS[1], smoothness=1.0, strong_convexity=0.5, state=("w",)), ValueError, "state"),
        (lambda: factor(HALF, 0.1, smoothness=1.0, strong_convexity=0.1, solver="MOSEK"), ValueError, "solver"),
    ],
)
def test_what_no_program_is_for_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_steps_that_grow_have_no_lyapunov_function():
    with pytest.raises(ValueError, match="no rate below 1 is proved"):
        search(HALF, ms.DSGD(5.0, shift=ms.Refreshed(0.5)), smoothness=1.0, strong_convexity=0.5, tolerance=1e-2)
    assert case_of_method(METHODS[1], HALF, 1.0, 0.5)["mu"] == Fraction(1, 2)
    assert list(itertools.islice(case_of_method(METHODS[3], HALF, 1.0, 0.5), 1)) == ["kind"]
