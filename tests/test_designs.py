"""Designed keeps: as good as an independent solver's, certified, and never worse than uniform ones."""

import cvxpy as cp
import numpy as np
import pytest

import mastsim as ms
from mastsim.designs import OBJECTIVES


def problem(seed, dim=6):
    """Return a regression with columns of different lengths."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((20, dim)) * rng.uniform(0.1, 3.0, dim)
    return ms.LeastSquares(A, rng.standard_normal(20), l2=0.1)


def objective_value(name, f, p, v):
    """Return what is minimised, by definition: a dense eigenvalue, an enumeration of masks, f_D(x*) − f*."""
    S = ms.Bernoulli(f.dim, keep=p)
    L, batch = f.upper_curvature.matrix, S.support()
    matrices = np.asarray(batch[0].matrices())
    each = np.einsum("sji,jk,skl->sil", matrices, L, matrices)
    if name == "smoothness":
        return np.linalg.eigvalsh(np.tensordot(batch[1], each, axes=1))[-1]
    if name == "step":
        return max(np.linalg.eigvalsh(one)[-1] for one in each)
    best = f.minimize()
    return float(ms.Mast(f, S, shift=v).value(best.x)) - best.value


def solved(name, f, budget, v, least):
    """Return the least value that cvxpy finds, by a program of its own."""
    L, d = f.upper_curvature.matrix, f.dim
    p, q, t = cp.Variable(d), cp.Variable(d), cp.Variable()
    limits = [cp.sum(p) <= budget, p >= least, p <= 1]
    if name == "floor":
        weights = 0.5 * np.diag(L) * (f.minimize().x - v) ** 2
        goal = cp.Minimize(weights @ (cp.inv_pos(p) - 1))
    elif name == "smoothness":
        slack = t * np.eye(d) - (L - np.diag(np.diag(L))) - cp.diag(cp.multiply(np.diag(L), q))
        limits += [q >= cp.inv_pos(p), slack >> 0]
        goal = cp.Minimize(t)
    else:
        values, vectors = np.linalg.eigh(L)
        root = (vectors * np.sqrt(values)) @ vectors.T
        limits += [q >= cp.power(p, -2), t * np.eye(d) - root @ cp.diag(q) @ root >> 0]
        goal = cp.Minimize(t)
    return cp.Problem(goal, limits).solve(solver="CLARABEL")


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("seed", range(4))
def test_keeps_are_as_good_as_those_of_a_solver_and_certified(name, seed):
    f, rng = problem(seed), np.random.default_rng(seed)
    budget, v = rng.uniform(0.5, 5.5), rng.standard_normal(f.dim)
    found = ms.design(f, budget, name, shift=v)
    assert found.keep.sum() <= budget * (1 + 1e-12)
    assert found.keep.min() >= 1e-3
    assert found.keep.max() <= 1
    assert found.value == pytest.approx(objective_value(name, f, found.keep, v), rel=1e-9)
    other = solved(name, f, budget, v, 1e-3)
    assert found.value == pytest.approx(other, rel=2e-5)
    assert found.lower_bound - found.lower_bound.error <= found.value
    assert found.lower_bound <= other * (1 + 1e-6)
    assert found.gap <= 1e-5


@pytest.mark.parametrize("name", OBJECTIVES)
def test_no_keeps_within_the_budget_come_below_the_certificate(name):
    for seed in range(20):
        f, rng = problem(seed, dim=4), np.random.default_rng(seed)
        found = ms.design(f, 2.0, name)
        p = rng.dirichlet(np.ones(4)) * 2
        p = np.clip(p, 1e-3, 1.0)
        p *= min(1.0, 2.0 / p.sum())
        p = np.maximum(p, 1e-3)
        assert objective_value(name, f, p, np.zeros(4)) >= (found.lower_bound - found.lower_bound.error) * (1 - 2e-3)
        uniform = objective_value(name, f, np.full(4, 0.5), np.zeros(4))
        assert found.lower_bound - found.lower_bound.error <= found.value <= uniform * (1 + 1e-12)


def test_the_comparison_is_with_what_the_sketches_themselves_say():
    f = problem(0)
    found, v = ms.design(f, 3.0, "floor", shift=np.ones(6)), np.ones(6)
    for name, S in {"designed": found.sketch, "uniform": ms.Bernoulli(6, 0.5), "rand-k": ms.RandK(6, k=3)}.items():
        F, row = ms.Mast(f, S, shift=v), found.compared[name]
        assert row["smoothness"] == pytest.approx(float(F.L_fD_sharp))
        assert row["step"] == pytest.approx(ms.theorems.StronglyConvexDSGD(F, sharp=True).stepsize)
        assert row["floor"] == pytest.approx(float(F.value(f.minimize().x)) - f.minimize().value)
        assert row["floor"] >= float(F.gap()) * (1 - 1e-9)


def test_what_cannot_be_designed_is_refused():
    f = problem(0)
    with pytest.raises(ValueError, match="budget=7 is not accepted"):
        ms.design(f, 7.0)
    with pytest.raises(ValueError, match="objective"):
        ms.design(f, 3.0, "speed")
    with pytest.raises(ValueError, match="unbounded"):
        ms.design(ms.PoissonRegression(np.eye(2), np.ones(2), l2=1.0), 1.0)
    with pytest.raises(ValueError, match="least"):
        ms.design(f, 3.0, least=0.0)


def test_everything_is_kept_where_the_budget_allows_it():
    found = ms.design(problem(1), 6.0)
    assert found.keep == pytest.approx(np.ones(6), rel=1e-6)
    alike = ms.design(ms.Quadratic(np.eye(3), np.zeros(3)), 1.5, "floor")
    assert alike.value == 0
    assert alike.gap == 0
