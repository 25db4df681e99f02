"""The rounding that exact moments state covers every measure, of f and of f_D, on quadratics that are hard to round."""

import itertools

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mastsim as ms
from mastsim.moments import ClosedRecursion, EnumeratedRecursion, standard_forms
from mastsim.moments.base import of_average


def exactly(array):
    return mpmath.matrix(np.asarray(array, dtype=float).tolist())


def masks_of_bernoulli(dim, keep):
    """Return the chance of each mask that keeps every coordinate with a probability, and the mask."""
    found, keep = [], mpmath.mpf(keep)
    for kept in itertools.product([False, True], repeat=dim):
        chance = mpmath.fprod(keep if each else 1 - keep for each in kept)
        found.append((chance, mpmath.diag([1 / keep if each else mpmath.mpf(0) for each in kept])))
    return found


def masks_of_randk(dim, k):
    """Return the chance of each mask of Rand-k, and the mask."""
    sets = list(itertools.combinations(range(dim), k))
    return [
        (mpmath.mpf(1) / len(sets), mpmath.diag([mpmath.mpf(dim) / k * (j in kept) for j in range(dim)])) for kept in sets
    ]


def true_path(A, b, laws, x0, gamma, steps):
    """Yield E zzᵀ of z = (x, running average, 1) along DSGD, and what is measured in it: a dictionary a step."""
    d, A, b = len(b), exactly(A), exactly(b)
    H = sum((p * (S * A * S) for p, S in laws), mpmath.zeros(d))
    minimisers = {"": mpmath.lu_solve(H, b), "f_": mpmath.lu_solve(A, b)}
    z = mpmath.matrix([*exactly(x0), *exactly(x0), 1])
    Z = z * z.T
    for t in range(steps + 1):
        yield {
            **measured(Z[:d, :d], Z[:d, 2 * d], H, A, minimisers, ""),
            **measured(Z[d : 2 * d, d : 2 * d], Z[d : 2 * d, 2 * d], H, A, minimisers, "average_"),
        }
        after = mpmath.zeros(2 * d + 1)
        for p, S in laws:
            L = mpmath.eye(2 * d + 1)
            L[:d, :d] = mpmath.eye(d) - gamma * (S * A * S)
            L[:d, 2 * d] = gamma * (S * b)
            L[d : 2 * d, :d], L[d : 2 * d, d : 2 * d] = mpmath.eye(d) / (t + 1), mpmath.eye(d) * t / mpmath.mpf(t + 1)
            after += p * (L * Z * L.T)
        Z = after


def measured(second, mean, H, A, minimisers, of):
    names = {"": ("distance", "gap", "gradient_norm2"), "f_": ("error", "f_gap", "f_gradient_norm2")}
    found = {}
    for about, Q in (("", H), ("f_", A)):
        c = minimisers[about]
        around = second - mean * c.T - c * mean.T + c * c.T
        for name, form in zip(names[about], (mpmath.eye(len(c)), Q / 2, Q * Q), strict=True):
            product = form * around
            found[of + name] = sum(product[i, i] for i in range(len(c)))
    return found


@pytest.mark.parametrize("kind", [ClosedRecursion, EnumeratedRecursion])
@given(st.integers(0, 2**32 - 1), st.sampled_from(["anywhere", "x_D*", "x*"]), st.floats(0, 14))
@settings(deadline=None)
def test_every_measure_is_within_its_rounding(kind, seed, start, spread):
    rng = np.random.default_rng(seed)
    dim = int(rng.integers(1, 4))
    Q = np.linalg.qr(rng.standard_normal((dim, dim)))[0]
    A = (Q * 10.0 ** rng.uniform(-spread, 0, dim)) @ Q.T
    A, b = (A + A.T) / 2, rng.standard_normal(dim) * 10.0 ** rng.integers(-3, 4)
    if np.linalg.eigvalsh(A)[0] <= 1e-15 * np.abs(A).max():
        return
    k, keep = int(rng.integers(1, dim + 1)), float(rng.choice([0.5, 0.9, 0.99]))
    S = ms.RandK(dim, k) if rng.random() < 0.5 else ms.Bernoulli(dim, keep)
    F = ms.Mast(ms.Quadratic(A, b), S)
    # Beyond 2/L means grow from step to step, with all that was rounded.
    gamma, steps = float(rng.choice([0.01, 1.0, 3.0, 5.0])) / float(F.L_fD_sharp), int(rng.choice([3, 12]))
    x0 = {"anywhere": rng.standard_normal(dim) * 1e3, "x_D*": F.minimize().x, "x*": F.problem.minimize().x}[start]
    within_rounding(kind, F, x0, gamma, steps)


@pytest.mark.parametrize("kind", [ClosedRecursion, EnumeratedRecursion])
@pytest.mark.parametrize("seed", range(12))
def test_what_is_off_in_means_may_grow_where_nothing_else_is(kind, seed):
    """From x_D* the means stay 0, and x* is far: errors of means are what measures of f see first."""
    b = np.random.default_rng(seed).standard_normal(1)
    F = ms.Mast(ms.Quadratic(np.eye(1), b), ms.Bernoulli(1, 0.99))
    within_rounding(kind, F, F.minimize().x, 4.9 / float(F.L_fD_sharp), 12)


def within_rounding(kind, F, x0, gamma, steps):
    """Assert that every measure along the path is as near to the truth as is stated."""
    chain = kind(F, ms.DSGD(gamma))
    forms = standard_forms(F, chain.center)
    forms |= {f"average_{name}": of_average(form) for name, form in forms.items()}
    found = chain.follow(x0, steps, list(forms.values()))
    with mpmath.workdps(80):
        S = F.sketch
        masks = masks_of_randk(S.dim, S.k) if isinstance(S, ms.RandK) else masks_of_bernoulli(S.dim, S.keep)
        truth = list(true_path(F.problem.A, F.problem.b, masks, x0, mpmath.mpf(gamma), steps))
        for t, (j, name) in itertools.product(range(steps + 1), enumerate(forms)):
            off = abs(mpmath.mpf(float(found.values[t, j])) - truth[t][name])
            assert off <= found.rounding[t, j], (t, name, float(off), found.rounding[t, j])
