"""Limits of moments against Kronecker products of every sketch, long paths, and sums of iterates carried along."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mastsim as ms
from mastsim.moments import largest_stable_stepsize, propagate, stationary
from mastsim.moments import limits as module
from tests.oracles.listed_laws import law


def objective(seed, dim=2, count=3):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((dim, dim))
    values = rng.standard_normal((count, dim, dim)) * rng.choice([0.3, 1.0])
    f = ms.Quadratic(A.T @ A + 0.2 * np.eye(dim), rng.standard_normal(dim))
    return ms.Mast(f, ms.FiniteSupport(values + np.eye(dim) - values.mean(axis=0)), shift=rng.standard_normal(dim))


def maps(F, gamma):
    """Return T and c of y⁺ = Ty + c for every sketch, y counted from 0, and the weights."""
    A, b, v, d = F.problem.A, F.problem.b, F.center, F.dim
    values, weights = law(F.sketch)
    T = np.array([np.eye(d) - gamma * S.T @ A @ S for S in values])
    c = np.array([-gamma * S.T @ (A @ (v - S @ v) - b) for S in values])
    return T, c, np.array(weights)


def by_kronecker(F, gamma):
    """Return mean, covariance, and the limit of T·Cov of the average, from the covariance of (x, sum of x)."""
    T, c, w = maps(F, gamma)
    d = F.dim
    mean = np.linalg.solve(np.eye(d) - np.tensordot(w, T, 1), w @ c)
    away = T @ mean + c - mean
    N = np.einsum("n,ni,nj->ij", w, away, away)
    phi = sum(p * np.kron(M, M) for p, M in zip(w, T, strict=True))
    covariance = np.linalg.solve(np.eye(d * d) - phi, N.ravel()).reshape(d, d)
    steps = 1 << 14
    # (x, s) ↦ (Tx + c, s + Tx + c): second moments by powers of two of the augmented map.
    whole = np.zeros((len(w), 2 * d + 1, 2 * d + 1))
    whole[:, :d, :d] = whole[:, d : 2 * d, :d] = T
    whole[:, :d, -1] = away
    whole[:, d : 2 * d, -1] = away
    whole[:, d : 2 * d, d : 2 * d], whole[:, -1, -1] = np.eye(d), 1.0
    table = sum(p * np.kron(M, M) for p, M in zip(w, whole, strict=True))
    second = np.zeros((2 * d + 1, 2 * d + 1))
    second[-1, -1] = 1.0
    found = (np.linalg.matrix_power(table, steps) @ second.ravel()).reshape(second.shape)
    return mean, covariance, found[d : 2 * d, d : 2 * d] / steps


@given(st.integers(0, 10**6), st.floats(0.05, 0.8))
def test_limits_are_those_of_the_enumeration(seed, fraction):
    F = objective(seed)
    gamma = fraction * largest_stable_stepsize(F).lower
    found = stationary(F, ms.DSGD(gamma))
    mean, covariance, average = by_kronecker(F, gamma)
    size = np.linalg.norm(covariance) + 1e-12
    np.testing.assert_allclose(found.mean, mean, rtol=1e-8, atol=1e-9)
    assert np.linalg.norm(found.covariance - covariance, 2) <= found.covariance_error + 1e-9 * size
    np.testing.assert_allclose(found.covariance, covariance, atol=1e-7 * size)
    assert found.covariance_error <= 1e-6 * size + 1e-12
    np.testing.assert_allclose(found.average_covariance, average, atol=0.02 * np.linalg.norm(average) + 1e-9)
    assert found.average_error <= 1e-4 * np.linalg.norm(average) + 1e-10


METHODS = {
    "sampled": ms.DSGD(0.05, ms.Nice(1)),
    "compressed": ms.DSGD(0.05, compression=ms.SketchCompressor(ms.Bernoulli(2, 0.5))),
    "reshuffled": ms.DSGD(0.05, order=ms.Reshuffled()),
    "refreshed": ms.DSGD(0.05, shift=ms.Refreshed(0.3)),
    "held": ms.DSGD(0.05, shift=ms.Held(3)),
    "variance reduced": ms.LSVRDSG(0.05, probability=0.3),
    "anchored": ms.LSVRDSG(0.05, probability=0.3, anchor=1),
    "page": ms.PAGE(0.05, probability=0.3),
    "exact": ms.GD(0.05),
    "plain": ms.SGD(0.05, ms.Nice(1)),
    "compressed iterates": ms.GDCI(0.05, ms.SketchCompressor(ms.Bernoulli(2, 0.95))),
}


@pytest.mark.parametrize("name", METHODS)
def test_every_method_settles_where_a_long_path_ends(name):
    parts = [ms.Quadratic(np.diag([1.0, 3.0]), np.ones(2)), ms.Quadratic(np.array([[2.0, 1.0], [1.0, 2.0]]), -np.ones(2))]
    F, method = ms.Mast(ms.FiniteSum(parts), ms.RandK(2, k=1), shift=np.array([0.3, 0.0])), METHODS[name]
    found = stationary(F, method)
    best, other = F.minimize().x, F.problem.minimize().x
    path = propagate(F, method, np.array([2.0, -1.0]), 3000)
    for point, ends in ((best, path.distance), (other, path.error)):
        away = np.sum((found.mean - point) ** 2)
        assert np.trace(found.covariance) + away == pytest.approx(ends[-1], rel=1e-7, abs=1e-12)
    assert np.trace(found.covariance @ F.curvature) / 2 + F.value(found.mean) - F.minimize().value == pytest.approx(
        path.gap[-1], rel=1e-7, abs=1e-12
    )
    assert found.mean_error <= 1e-9
    assert found.covariance_error <= 1e-9


def test_clients_settle_too():
    parts = [ms.Quadratic(np.diag([1.0, 3.0]), np.ones(2)), ms.Quadratic(np.array([[2.0, 1.0], [1.0, 2.0]]), -np.ones(2))]
    for sketches, taking_part in ((ms.RandK(2, k=1), ms.Participation(p=0.5)), (ms.PermK(2, clients=2), ms.Participation())):
        F = ms.Distributed(parts, sketches)
        method = ms.DistributedDSGD(0.05, participation=taking_part)
        found = stationary(F, method)
        assert np.trace(found.covariance) == pytest.approx(propagate(F, method, np.ones(2), 3000).distance[-1], rel=1e-7)


def test_one_dimension_by_hand():
    # x⁺ = x − γ(Hx + ζ) with S ∈ {3, −3}, v = 1: Γ = γ²E ζ²/(2γH − γ²E H²), and the average (E ζ² + …)/H².
    F = ms.Mast(
        ms.Quadratic(np.eye(1), np.zeros(1)), ms.FiniteSupport([[[3.0]], [[-3.0]]], [2 / 3, 1 / 3]), shift=np.ones(1)
    )
    gamma, best = 0.05, float(F.minimize().x[0])
    H = 9.0
    z = np.array([3 * (1 + 3 * (best - 1)), -3 * (1 - 3 * (best - 1))])
    noise = np.array([2 / 3, 1 / 3]) @ z**2
    covariance = gamma**2 * noise / (2 * gamma * H - gamma**2 * H**2)
    found = stationary(F, ms.DSGD(gamma))
    assert found.covariance.item() == pytest.approx(covariance, rel=1e-12)
    assert found.average_covariance.item() == pytest.approx(covariance * (2 / (gamma * H) - 1), rel=1e-12)
    assert found.mean.item() == pytest.approx(best)


def test_many_dimensions_are_solved_without_a_table():
    rng = np.random.default_rng(0)
    A = rng.standard_normal((60, 40))
    F = ms.Mast(ms.Quadratic(A.T @ A / 60 + 0.1 * np.eye(40), rng.standard_normal(40)), ms.RandK(40, k=20))
    gamma = 0.5 * largest_stable_stepsize(F).lower
    found = stationary(F, ms.DSGD(gamma))
    path = propagate(F, ms.DSGD(gamma), F.minimize().x, 1500)
    assert np.trace(found.covariance) == pytest.approx(path.distance[-1], rel=1e-6)
    assert found.covariance_error <= 1e-6 * np.trace(found.covariance)
    assert len(F.minimize().x) > module._DENSE


def test_where_there_is_no_limit_it_is_refused():
    F = objective(3)
    top = largest_stable_stepsize(F)
    assert stationary(F, ms.DSGD(0.99 * top.lower)).covariance_error > 0
    with pytest.raises(ValueError, match=r"have no limit on .*: a step multiplies them by 1"):
        stationary(F, ms.DSGD(1.01 * top.upper))
    with pytest.raises(ValueError, match="has a singular H_D"):
        stationary(ms.Mast(ms.Quadratic(np.diag([1.0, 0.0]), np.zeros(2)), ms.RandK(2, k=1)), ms.DSGD(0.1))
    with pytest.raises(ValueError, match="has a step size that changes: a limit of moments needs a constant one"):
        stationary(F, ms.DSGD(ms.HarmonicStep(0.1, 0.1)))
    with pytest.raises(ValueError, match="the steps of AveragedMomentum change with their number"):
        stationary(F, ms.AveragedMomentum(0.1))
    with pytest.raises(ValueError, match="is not a quadratic in closed form"):
        stationary(ms.Mast(ms.LogisticRegression(np.eye(2), np.ones(2), l2=0.1), ms.RandK(2, k=1)), ms.DSGD(0.1))
