"""moments.propagate against the full tree of sketch sequences, against simulation, and against itself only where exact."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mastsim as ms
from mastsim import moments
from mastsim.moments import enumeration, propagate, recursion
from mastsim.simulation import simulate
from tests.oracles.sketched_quadratics import exact_rank, quadratics, random_oblique, solution, spd, tree, values_of


def size_of(F, gamma, x0, values):
    """Return the size of the terms the moments are computed from, step by step, to judge rounding by."""
    A, v = F.problem.A, F.center
    best = solution(F, values)[1]
    growth = max(1.0, max(np.linalg.norm(np.eye(F.dim) - gamma * S.T @ A @ S, 2) for S, _ in values))
    noise = gamma * max(np.linalg.norm(S.T @ (A @ (v + S @ (best - v)) - F.problem.b)) for S, _ in values)
    return growth, (np.linalg.norm(x0 - best) + noise) ** 2


@given(quadratics(), st.integers(0, 4), st.sampled_from([0.1, 1.0, 1.9]))
def test_dsgd_is_the_mean_over_the_tree(case, steps, factor):
    F, x0 = case
    values = values_of(F.sketch)
    if len(values) ** steps > 1500:
        steps = 2
    largest = max(np.linalg.norm(S.T @ F.problem.A @ S, 2) for S, _ in values)
    gamma = factor / largest if largest > 0 else factor
    found = propagate(F, ms.DSGD(gamma), x0, steps)
    wanted = tree(F, gamma, x0, steps)
    growth, size = size_of(F, gamma, x0, values)
    H = solution(F, values)[0]
    top = float(np.linalg.norm(H, 2))
    slack = 1e-11 * growth ** (2 * steps) * size * np.array([1.0, top, top**2]) * (1 + steps) ** 2
    got = np.array([found.distance[steps], found.gap[steps], found.gradient_norm2[steps]])
    # x_D* nearest to v is a matter of rounding along directions in which f_D is nearly flat.
    curved = np.linalg.eigvalsh(H)[F.dim - exact_rank(F, values) :]
    compare = slice(1, 3) if (curved < 1e-5 * top).any() else slice(0, 3)
    assert (np.abs(got - wanted) <= slack + 1e-9 * wanted)[compare].all(), (got, wanted, slack)


def oblique_case():
    rng = np.random.default_rng(4)
    f = ms.Quadratic(spd(rng, 3, 20.0), np.array([1.0, -2.0, 0.5]))
    return ms.Mast(f, random_oblique(rng, 3, 3), shift=np.array([0.3, -1.0, 2.0])), np.array([1.0, 1.0, -1.0])


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 4])
def test_every_step_of_an_oblique_shifted_case(steps):
    F, x0 = oblique_case()
    found = propagate(F, ms.DSGD(0.02), x0, 4)
    wanted = tree(F, 0.02, x0, steps)
    got = found.distance[steps], found.gap[steps], found.gradient_norm2[steps]
    assert got == pytest.approx(tuple(wanted), rel=1e-12)
    assert len(found.distance) == len(found.gap) == len(found.gradient_norm2) == 5


def test_least_squares_is_a_quadratic_too():
    rng = np.random.default_rng(2)
    A, y = rng.standard_normal((5, 3)), rng.standard_normal(5)
    f, S, v, x0 = (
        ms.LeastSquares(A, y, l2=0.1),
        ms.Bernoulli(3, np.array([0.2, 0.5, 1.0])),
        np.ones(3),
        np.array([1.0, 0.0, 2.0]),
    )
    same = ms.Quadratic(A.T @ A / 5 + 0.1 * np.eye(3), A.T @ y / 5)
    found = propagate(ms.Mast(f, S, shift=v), ms.DSGD(0.02), x0, 3)
    assert found.gap[3] == pytest.approx(tree(ms.Mast(same, S, shift=v), 0.02, x0, 3)[1], rel=1e-11)


@given(quadratics(), st.sampled_from([0.3, 1.0, 2.5]))
def test_gd_is_the_plain_loop(case, factor):
    F, x = case
    values = values_of(F.sketch)
    H, _ = solution(F, values)
    best = F.minimize().x
    top = float(np.linalg.norm(H, 2))
    gamma = factor / top if top > 0 else factor
    found = propagate(F, ms.GD(gamma), x, 12)
    size = (np.linalg.norm(x - best) + np.linalg.norm(F.center - best)) ** 2 * max(1.0, factor - 1) ** 24
    for t in range(13):
        y = x - best
        assert found.distance[t] == pytest.approx(y @ y, rel=1e-9, abs=1e-11 * size)
        assert found.gap[t] == pytest.approx(0.5 * y @ H @ y, rel=1e-9, abs=1e-11 * size * top)
        assert found.gradient_norm2[t] == pytest.approx((H @ y) @ (H @ y), rel=1e-9, abs=1e-11 * size * top**2)
        x = x - gamma * sum(w * S.T @ (F.problem.A @ (F.center + S @ (x - F.center)) - F.problem.b) for S, w in values)


def test_simulation_agrees_within_a_stated_error():
    """Six means of 20,000 replicas within 7 standard errors: by the normal law 6 · 2.6e-12 that one is not."""
    F, x0 = oblique_case()
    replicas, steps = 20_000, 30
    run = simulate(ms.DSGD(0.02), F, steps=steps, replicas=replicas, seed=8, x0=x0, every=15)
    exact = propagate(F, ms.DSGD(0.02), x0, steps)
    measured = {"distance": run.distance, "gap": run.gap, "gradient_norm2": run.gradient_norm**2}
    for name, table in measured.items():
        for column, t in ((1, 15), (2, 30)):
            error = table[:, column].std(ddof=1) / np.sqrt(replicas)
            wanted = getattr(exact, name)[t]
            assert abs(table[:, column].mean() - wanted) < 7 * error, (name, t)
            assert 7 * error < 0.12 * wanted, (name, t)


@pytest.mark.parametrize("keep", [1e-3, 0.25, 1.0])
def test_one_dimension_by_hand(keep):
    """f = ½x², γ = 1/L_S^max = p²: a kept step lands on x = x(1 − 1) = 0, so r_T = (1 − p)^T r_0."""
    F = ms.Mast(ms.Quadratic(np.eye(1), np.zeros(1)), ms.Bernoulli(1, keep))
    found = propagate(F, ms.DSGD(keep**2), np.array([3.0]), 50)
    assert found.distance == pytest.approx(9 * (1 - keep) ** np.arange(51), rel=1e-12, abs=1e-300)
    assert found.gap == pytest.approx(0.5 / keep * found.distance)
    assert found.gradient_norm2 == pytest.approx(found.distance / keep**2)


def test_divergence_is_infinite_not_nan():
    F, x0 = oblique_case()
    for method in (ms.DSGD(1e3), ms.GD(1e3)):
        found = propagate(F, method, x0, 400)
        for series in (found.distance, found.gap, found.gradient_norm2):
            assert not np.isnan(series).any()
            assert series[-1] == np.inf


def test_nothing_is_negative():
    F, _ = oblique_case()
    at_rest = propagate(F, ms.GD(0.01), F.minimize().x, 3)
    assert (at_rest.distance >= 0).all()
    assert at_rest.distance[3] < 1e-28


# --- refusals and cost ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"steps": -1}, ValueError, "steps=-1 is not accepted: it must be an integer >= 0"),
        ({"steps": 1.5}, TypeError, "steps=1.5 is not accepted"),
        ({"x0": np.zeros(2)}, ValueError, r"x0 has shape \(2,\), but it must be a vector of length 3"),
        ({"x0": np.full(3, np.inf)}, ValueError, r"x0 holds inf at index \(0,\)"),
        ({"method": "DSGD"}, TypeError, "method='DSGD' is not accepted: it must be a Method"),
    ],
)
def test_bad_input_is_refused_by_name(change, error, message):
    F, x0 = oblique_case()
    with pytest.raises(error, match=message):
        propagate(**({"objective": F, "method": ms.DSGD(0.1), "x0": x0, "steps": 2} | change))


@pytest.mark.parametrize("method", [ms.GD(0.1), ms.DSGD(0.1)])
def test_other_losses_are_refused(method):
    f = ms.LogisticRegression(np.eye(2), np.array([1.0, -1.0]), l2=0.1)
    with pytest.raises(
        ValueError, match=r"logistic regression .* is not a quadratic in closed form: exact moments need a constant Hessian"
    ):
        propagate(ms.Mast(f, ms.RandK(2, k=1)), method, np.zeros(2), 2)


@pytest.mark.parametrize(
    ("sketch", "message"),
    [
        (
            ms.Composed(ms.Haar(3, k=1), ms.RandK(3, k=2)),
            "not known in closed form for Haar-1 of 3 after Rand-2 of 3.* too many to enumerate.* one step has inf outcomes",
        ),
        (
            ms.Composed(ms.Haar(70, k=1), ms.RandK(70, k=2)),
            "not known in closed form.* a table of 2.54e\\+07 numbers is not accepted: at most 4194304",
        ),
    ],
)
def test_what_is_neither_known_nor_short_to_list_is_refused(sketch, message):
    F = ms.Mast(ms.Quadratic(np.eye(sketch.dim), np.ones(sketch.dim)), sketch)
    for call in (lambda: recursion(F, ms.DSGD(0.1)), lambda: propagate(F, ms.DSGD(0.1), np.zeros(sketch.dim), 1)):
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize(
    ("sketch", "keep"), [(ms.RandK(40, k=20), 0.5), (ms.Identity(65), 1.0), (ms.Bernoulli(30, 0.25), 0.25)]
)
def test_closed_forms_take_over_where_listing_takes_too_long(sketch, keep):
    """A = I, b = 1, v = 0: a kept coordinate moves to x − γ(x/p − 1)/p on its own, so one coordinate says it all."""
    F, gamma = ms.Mast(ms.Quadratic(np.eye(sketch.dim), np.ones(sketch.dim)), sketch), 0.3 * keep**2
    chain = recursion(F, ms.DSGD(gamma))
    assert isinstance(chain, moments.ClosedRecursion)
    with pytest.raises(ValueError, match=r"not accepted|can be listed"):
        moments.EnumeratedRecursion(F, ms.DSGD(gamma))
    found = propagate(F, ms.DSGD(gamma), np.full(sketch.dim, 2.0), 4)
    # (x − p)² along the 2^t outcomes of a coordinate, f_D = Σ x²/(2p) − x per coordinate, x_D* = p.
    for t in range(5):
        square = 0.0
        for kept in itertools.product([True, False], repeat=t):
            x = 2.0
            for here in kept:
                x = x - gamma * (x / keep - 1) / keep if here else x
            square += np.prod(np.where(kept, keep, 1 - keep)) * (x - keep) ** 2
        wanted = sketch.dim * square * np.array([1.0, 0.5 / keep, 1 / keep**2])
        assert (found.distance[t], found.gap[t], found.gradient_norm2[t]) == pytest.approx(tuple(wanted), rel=1e-11)


def test_gd_needs_no_enumeration_and_no_table():
    d = 300
    F = ms.Mast(ms.Quadratic(np.eye(d), np.zeros(d)), ms.RandK(d, k=100))
    assert propagate(F, ms.GD(1 / 6), np.ones(d), 2).distance == pytest.approx([300.0, 75.0, 18.75])
    with pytest.raises(ValueError, match=r"a table of .* numbers is not accepted: at most"):
        moments.EnumeratedRecursion(F, ms.GD(0.1))
    assert enumeration.TABLE_LIMIT * 8 <= 2**27
