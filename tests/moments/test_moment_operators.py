"""Moment operators and recursions against sums over every value of the sketch, coin and minibatch, written out here."""

import itertools
from dataclasses import dataclass
from fractions import Fraction
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

import mastsim as ms
from mastsim.recursions import (
    DistributedGradient,
    GradientRecursion,
    PAGERecursion,
    SketchedGradient,
    SVRGRecursion,
    anchor_variance,
    run,
    stability_limit,
)
from mastsim.sketches import Selection, SelectionSketch
from mastsim.sketches.laws import crossed_operators
from mastsim.sketches.laws.group_moments import GroupOperators
from tests.examples import examples

pytestmark = pytest.mark.slow

LONG = np.longdouble
CLOSE = 1e-12


def absolute(M):
    return np.abs(M).astype(LONG)


def unit_masks(groups):
    """Return (kept units, chance) for groups [(units, kept)], where one unit with kept < 1 is a coin."""
    each = []
    for units, kept in groups:
        if len(units) == 1:
            coins = [((), 1 - LONG(kept)), (tuple(units), LONG(kept))]
            each.append([coin for coin in coins if coin[1] > 0])
        else:
            subsets = list(itertools.combinations(units, int(kept)))
            each.append([(subset, LONG(1) / len(subsets)) for subset in subsets])
    for choice in itertools.product(*each):
        yield {u for part, _ in choice for u in part}, np.prod([chance for _, chance in choice])


def selection_values(labels, groups):
    """Return the values of a mask of units in groups: kept units are multiplied by members/kept."""
    factor = {u: LONG(len(units)) / LONG(kept) for units, kept in groups for u in units}
    return [(np.diag(np.array([factor[u] * (u in on) for u in labels], dtype=LONG)), w) for on, w in unit_masks(groups)]


def independent_values(values, weights):
    rows = [[(c, w) for c, w in zip(cs, ws, strict=True) if w > 0] for cs, ws in zip(values, weights, strict=True)]
    return [
        (np.diag(np.array([c for c, _ in pick], dtype=LONG)), np.prod([LONG(w) for _, w in pick]))
        for pick in itertools.product(*rows)
    ]


@dataclass(frozen=True, eq=False)
class OddSelection(SelectionSketch):
    """Groups of one and of several units, units of one and of several coordinates, not in order."""

    dim: int = 6

    @property
    def law(self):
        return Selection(
            np.array([0, 1, 1, 2, 3, 4]), np.array([0, 0, 0, 1, 2]), np.array([3, 1, 1]), np.array([2.0, 0.3, 1e-2])
        )


ODD = ([0, 1, 1, 2, 3, 4], [((0, 1, 2), 2), ((3,), 0.3), ((4,), 1e-2)])

KEEP = st.sampled_from([1e-4, 0.05, 0.3, 0.5, 0.75, 0.999, 1.0])


@st.composite
def selections(draw):
    """Return a sketch and its values, from the definition of its family."""
    kind = draw(st.sampled_from(["bernoulli", "randk", "block-bernoulli", "block-randk", "nofm", "permk", "odd"]))
    d = draw(st.integers(1, 4))
    labels = draw(st.lists(st.integers(0, 3), min_size=d, max_size=d))
    units = sorted(set(labels))
    if kind == "bernoulli":
        keep = draw(st.lists(KEEP, min_size=d, max_size=d))
        return ms.Bernoulli(d, np.array(keep)), selection_values(range(d), [((i,), p) for i, p in enumerate(keep)])
    if kind == "randk":
        d = draw(st.integers(1, 6))
        k = draw(st.integers(1, d))
        return ms.RandK(d, k), selection_values(range(d), [(tuple(range(d)), k)])
    if kind == "block-bernoulli":
        keep = draw(st.lists(KEEP, min_size=len(units), max_size=len(units)))
        values = selection_values(labels, [((u,), p) for u, p in zip(units, keep, strict=True)])
        return ms.BlockBernoulli(d, np.array(labels), np.array(keep)), values
    if kind == "block-randk":
        labels = draw(st.lists(st.integers(0, 4), min_size=7, max_size=7))
        units = sorted(set(labels))
        k = draw(st.integers(1, len(units)))
        return ms.BlockRandK(7, np.array(labels), k), selection_values(labels, [(tuple(units), k)])
    if kind == "nofm":
        m, groups = draw(st.sampled_from([(1, 3), (2, 2), (2, 3), (3, 2), (4, 2)]))
        n = draw(st.integers(1, m))
        parts = [(tuple(range(g * m, g * m + m)), n) for g in range(groups)]
        return ms.NofM(m * groups, n, m), selection_values(range(m * groups), parts)
    if kind == "permk":
        clients, k = draw(st.sampled_from([(1, 3), (2, 1), (2, 2), (3, 2), (5, 1)]))
        return ms.PermK(clients * k, clients), selection_values(range(clients * k), [(tuple(range(clients * k)), k)])
    return OddSelection(), selection_values(*ODD)


@st.composite
def others(draw):
    """Return a sketch that is not a selection, and its values."""
    kind = draw(st.sampled_from(["independent", "finite", "rotated", "rotated-nofm", "composed"]))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    d = draw(st.integers(1, 3))
    if kind == "independent":
        values, weights = rng.uniform(-2, 3, (d, 3)), rng.dirichlet(np.full(3, 0.5), size=d)
        values += (1 - (weights * values).sum(axis=1, keepdims=True)) * (1 + 1e-10 * draw(st.sampled_from([0, 1])))
        return ms.IndependentDiagonal(values, weights), independent_values(values, weights)
    if kind == "finite":
        weights = rng.dirichlet(np.full(4, 2.0))
        atoms = rng.standard_normal((4, d, d))
        atoms += np.eye(d) - np.tensordot(weights, atoms, axes=1)
        return ms.FiniteSupport(atoms, weights), list(zip(atoms.astype(LONG), weights.astype(LONG), strict=True))
    if kind == "rotated":
        Q = np.linalg.qr(rng.standard_normal((4, 4)))[0]
        values = [(Q.T @ S @ Q, w) for S, w in selection_values(range(4), [((0, 1, 2, 3), 2)])]
        return ms.Rotated(ms.RandK(4, 2), Q), values
    if kind == "rotated-nofm":
        h = np.array([[1, 1], [1, -1]])
        Q = np.kron(h, h) / 2
        values = [(Q.T @ S @ Q, w) for S, w in selection_values(range(4), [((0, 1), 1), ((2, 3), 1)])]
        return ms.Rotated(ms.NofM(4, 1, 2), Q), values
    outer = selection_values(range(3), [((0, 1, 2), 2)])
    inner = selection_values(range(3), [((i,), 0.4) for i in range(3)])
    values = [(S @ T, p * q) for S, p in outer for T, q in inner]
    return ms.Composed(ms.RandK(3, 2), ms.Bernoulli(3, 0.4)), values


def matrix(draw, d):
    """Return a positive semidefinite matrix of any rank, badly scaled at times."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rank = draw(st.integers(0, d))
    root = rng.standard_normal((d, rank)) * np.geomspace(1, draw(st.sampled_from([1, 1e-3])), d)[:, None]
    return root @ root.T


@st.composite
def operator_cases(draw, family):
    sketch, values = draw(family)
    A = matrix(draw, sketch.dim)
    M = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).standard_normal(A.shape)
    return sketch, values, A, M


def expect(values, function):
    return sum(w * function(S) for S, w in values)


def check_operators(operators, values, A, M):
    A, M = A.astype(LONG), M.astype(LONG)
    cases = {
        "curvature2": lambda S, A, M: S.T @ A @ S @ M @ S.T @ A @ S,
        "mixed": lambda S, A, M: S.T @ A @ S @ M @ S,
        "plain": lambda S, A, M: S.T @ M @ S,
    }
    for name, f in cases.items():
        exact = expect(values, lambda S, f=f: f(S, A, M))
        scale = expect(values, lambda S, f=f: f(absolute(S), absolute(A), absolute(M)))
        asked = M.astype(float)
        found = getattr(operators, name)(asked)
        assert np.array_equal(getattr(operators, name)(np.asfortranarray(asked)), found), "the order in memory matters"
        error = np.abs(found - exact).max()
        assert error <= CLOSE * scale.max(), (name, error, scale.max())
    mean, scale = (
        expect(values, lambda S, B=B, g=g: g(S).T @ B @ g(S)) for B, g in ((A, np.array), (absolute(A), absolute))
    )
    assert np.abs(operators.mean - mean).max() <= CLOSE * scale.max()


@given(operator_cases(selections()))
@settings(max_examples=examples(6) * settings().max_examples)
def test_closed_forms_equal_enumeration(case):
    sketch, values, A, M = case
    check_operators(sketch.moment_operators(A), values, A, M)


@given(operator_cases(others()))
@settings(max_examples=examples(2) * settings().max_examples)
def test_other_sketches_equal_enumeration(case):
    sketch, values, A, M = case
    check_operators(sketch.moment_operators(A), values, A, M)


@given(operator_cases(selections()))
@settings(max_examples=examples(2) * settings().max_examples)
def test_every_selection_is_also_groups(case):
    sketch, values, A, M = case
    if np.min(sketch.law.keep) > 0.04:
        check_operators(GroupOperators(sketch.law, A, sketch.law), values, A, M)


@pytest.mark.parametrize(
    ("sketch", "kind"),
    [
        (ms.Bernoulli(40, 0.1), "UnitOperators"),
        (ms.RandK(40, 10), "UnitOperators"),
        (ms.BlockRandK(40, 20, 10), "UnitOperators"),
        (ms.NofM(40, 2, 4), "GroupOperators"),
        (ms.Rotated(ms.RandK(40, 10), "dct"), "RotatedOperators"),
        (ms.RandK(40, 40), "EnumeratedOperators"),
        (ms.FiniteSupport([np.eye(2)]), "EnumeratedOperators"),
    ],
)
def test_large_supports_are_not_enumerated(sketch, kind):
    root = np.random.default_rng(0).standard_normal((sketch.dim, sketch.dim))
    A = root @ root.T
    operators = sketch.moment_operators(A)
    assert type(operators).__name__ == kind
    # For M = I it is E[SᵀASSᵀAS], which masks compute in another way.
    exact = sketch.fourth_moment(A)
    np.testing.assert_allclose(operators.curvature2(np.eye(sketch.dim)), exact, rtol=0, atol=1e-12 * np.abs(exact).max())


@pytest.mark.parametrize("pair", [(ms.Haar(5, 2), ms.RandK(5, 2)), (ms.RandK(40, 20), ms.RandK(40, 20))])
def test_refuses_what_has_no_closed_form(pair):
    sketch = ms.Composed(*pair)
    with pytest.raises(ValueError, match="not known in closed form"):
        sketch.moment_operators(np.eye(sketch.dim))


def test_refuses_a_matrix_that_is_not_symmetric():
    with pytest.raises(ValueError, match="not symmetric"):
        ms.RandK(2, 1).moment_operators(np.array([[1.0, 2.0], [0.0, 1.0]]))
    with pytest.raises(ValueError, match="shape"):
        ms.RandK(2, 1).moment_operators(np.eye(3))


# Laws that no rotation changes ---------------------------------------------------------------------------------------------


def hermite_values(d, k):
    """Return values and chances of GᵀG/k by Gauss-Hermite rules: exact for polynomials of degree 9 in every entry of G."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    picks = np.array(list(itertools.product(range(5), repeat=d * k)))
    G = nodes[picks].reshape(-1, k, d)
    chances = (weights / weights.sum())[picks].prod(axis=1)
    return G.transpose(0, 2, 1) @ G / k, chances


def sphere_values(d):
    """Return values and chances of d·uuᵀ, u uniform on the sphere, by rules exact for polynomials of degree 8 in u."""
    if d == 1:
        return np.ones((1, 1, 1)), np.ones(1)
    angles = np.pi * np.arange(12) / 6
    u, chance = np.stack([np.cos(angles), np.sin(angles)], axis=1), np.full(12, 1 / 12)
    if d == 3:
        height, weights = np.polynomial.legendre.leggauss(6)
        flat = np.sqrt(1 - height**2)[:, None, None] * u
        u = np.concatenate([flat, np.broadcast_to(height[:, None, None], (6, 12, 1))], axis=2).reshape(-1, 3)
        chance = np.outer(weights / 2, chance).ravel()
    return d * u[:, :, None] * u[:, None, :], chance


def complements(values, chances):
    """Return values and chances of Haar-(d − 1): what Haar-1 leaves out, times d/(d − 1)."""
    d = values.shape[1]
    return (np.eye(d) - values / d) * d / (d - 1), chances


INVARIANT = {
    "Gaussian-1 of 1": (ms.Gaussian(1, 1), hermite_values(1, 1)),
    "Gaussian-3 of 1": (ms.Gaussian(1, 3), hermite_values(1, 3)),
    "Gaussian-1 of 3": (ms.Gaussian(3, 1), hermite_values(3, 1)),
    "Gaussian-2 of 3": (ms.Gaussian(3, 2), hermite_values(3, 2)),
    "Gaussian-3 of 2": (ms.Gaussian(2, 3), hermite_values(2, 3)),
    "Haar-1 of 2": (ms.Haar(2, 1), sphere_values(2)),
    "Haar-1 of 3": (ms.Haar(3, 1), sphere_values(3)),
    "Haar-2 of 3": (ms.Haar(3, 2), complements(*sphere_values(3))),
    "Haar-2 of 2": (ms.Haar(2, 2), (np.eye(2)[None], np.ones(1))),
}


@pytest.mark.parametrize("name", INVARIANT)
@pytest.mark.parametrize("seed", range(3))
def test_operators_that_no_rotation_changes_by_exact_cubature(name, seed):
    sketch, (S, chances) = INVARIANT[name]
    A, M = np.random.default_rng(seed).standard_normal((2, sketch.dim, sketch.dim))
    A, H = A + A.T, S @ (A + A.T) @ S
    operators = sketch.moment_operators(A)
    for found, exact in (
        (operators.curvature2(M), H @ M @ H),
        (operators.mixed(M), H @ M @ S),
        (operators.plain(M), S @ M @ S),
        (operators.mean, H),
        (sketch.fourth_moment(A), H @ H),
    ):
        scale = np.tensordot(chances, np.abs(exact), axes=1).max()
        np.testing.assert_allclose(found, np.tensordot(chances, exact, axes=1), rtol=0, atol=1e-12 * scale)


def beta_moment(d, k, ups, downs):
    """Return E β^ups (1 − β)^downs for β = |Pe|², the squared length of a projected unit vector, in exact arithmetic."""
    a, b = Fraction(k, 2), Fraction(d - k, 2)
    rising = [a + i for i in range(ups)] + [b + i for i in range(downs)]
    return float(prod(rising, start=Fraction(1)) / prod((a + b + i for i in range(ups + downs)), start=Fraction(1)))


@pytest.mark.parametrize(("d", "k"), [(4, 1), (5, 2), (6, 5), (40, 3), (300, 30), (1000, 7)])
def test_haar_operators_obey_what_a_projection_does(d, k):
    # P² = P: with A = I it is H = (d/k)S, so that HMH = (d/k)²·SMS and HMS = (d/k)·SMS.
    sketch, rng, c = ms.Haar(d, k), np.random.default_rng(d), d / k
    M = rng.standard_normal((d, d))
    whole = sketch.moment_operators(np.eye(d))
    plain = whole.plain(M)
    for found, expected in ((whole.curvature2(M), c**2 * plain), (whole.mixed(M), c * plain)):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * np.abs(expected).max())
    # With A = e₁e₁ᵀ: P₁₁ = β, and P₁₂ = √(β(1−β))·ω with E ω² = 1/(d−1).
    A, one, two = np.zeros((3, d, d))
    A[0, 0] = one[0, 0] = two[1, 1] = 1.0
    part = sketch.moment_operators(A)
    for M, power, entry, exact in (
        (one, 4, part.curvature2, beta_moment(d, k, 4, 0)),
        (two, 4, part.curvature2, beta_moment(d, k, 3, 1) / (d - 1)),
        (one, 3, part.mixed, beta_moment(d, k, 3, 0)),
        (two, 3, part.mixed, beta_moment(d, k, 2, 1) / (d - 1)),
    ):
        assert entry(M)[0, 0] == pytest.approx(c**power * exact, rel=1e-11)
    for M, exact in ((one, beta_moment(d, k, 3, 0)), (two, beta_moment(d, k, 2, 1) / (d - 1))):
        assert np.trace(part.curvature2(M)) == pytest.approx(c**4 * exact, rel=1e-11)


def test_gaussian_operators_are_those_of_rows_that_are_independent():
    # With k rows, S is the mean of k independent copies of S with one row: E[SMS] and E[SASMS] follow from one row.
    d, k = 3, 4
    A, M = np.random.default_rng(0).standard_normal((2, d, d))
    A = A + A.T
    one, many = ms.Gaussian(d, 1).moment_operators(A), ms.Gaussian(d, k).moment_operators(A)
    np.testing.assert_allclose(many.plain(M), (one.plain(M) + (k - 1) * M) / k, rtol=1e-12, atol=1e-12)
    of = ms.Gaussian(d, 1).quadratic_moment
    g = hermite_values(d, 1)
    left = np.tensordot(g[1], g[0] @ A @ M @ g[0], axes=1)
    three = one.mixed(M) + (k - 1) * (of(A) @ M + A @ of(M) + left) + (k - 1) * (k - 2) * A @ M
    np.testing.assert_allclose(many.mixed(M), three / k**2, rtol=1e-12, atol=1e-12)


# Two clients ---------------------------------------------------------------------------------------------------------------


def dealt(d, clients):
    """Return (list of S_i, chance) of Perm-K from its definition: every way to deal the coordinates."""
    k, seen = d // clients, {}
    for order in itertools.permutations(range(d)):
        key = tuple(tuple(sorted(order[i * k : i * k + k])) for i in range(clients))
        seen[key] = seen.get(key, 0) + 1
    total = LONG(sum(seen.values()))
    return [
        ([np.diag(np.array([LONG(clients) * (j in share) for j in range(d)], dtype=LONG)) for share in key], count / total)
        for key, count in seen.items()
    ]


DEALS = {(d, n): dealt(d, n) for d, n in [(2, 2), (3, 3), (4, 2), (4, 4), (6, 2), (6, 3), (6, 6)]}


def crossed_cases(S, T, A, B, M):
    return {
        "curvature2": S.T @ A @ S @ M @ T.T @ B @ T,
        "mixed": S.T @ A @ S @ M @ T,
        "plain": S.T @ M @ T,
    }


def check_crossed(pair, joint_values, A, B, M):
    exact, scale = {}, {}
    for S, T, w in joint_values:
        for total, terms in (
            (exact, crossed_cases(S, T, A.astype(LONG), B.astype(LONG), M.astype(LONG))),
            (scale, crossed_cases(*(absolute(X) for X in (S, T, A, B, M)))),
        ):
            for name, term in terms.items():
                total[name] = total.get(name, 0) + w * term
    for name in exact:
        error = np.abs(getattr(pair, name)(M) - exact[name]).max()
        # Rounding is relative to the terms with coordinates kept by both clients, which are then excluded.
        floor = np.abs(crossed_cases(*(absolute(X) for X in (np.eye(len(A)), np.eye(len(A)), A, B, M)))[name]).max()
        assert error <= CLOSE * max(scale[name].max(), floor), (name, error)


@given(st.data(), st.sampled_from(sorted(DEALS)))
def test_crossed_operators_of_one_permutation(data, size):
    d, n = size
    A, B = matrix(data.draw, d), matrix(data.draw, d)
    M = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1))).standard_normal((d, d))
    i, j = data.draw(st.permutations(range(n)))[:2]
    sketch = ms.PermK(d, n)
    pair = crossed_operators(sketch.law, A, sketch.law, B, "permk")
    check_crossed(pair, [(S[i], S[j], w) for S, w in DEALS[size]], A, B, M)


@given(st.data())
def test_crossed_operators_of_independent_sketches(data):
    A, B = matrix(data.draw, 3), matrix(data.draw, 3)
    M = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1))).standard_normal((3, 3))
    first = selection_values(range(3), [((0, 1, 2), 2)])
    second = selection_values(range(3), [((i,), 0.3) for i in range(3)])
    pair = crossed_operators(ms.RandK(3, 2).law, A, ms.Bernoulli(3, 0.3).law, B)
    check_crossed(pair, [(S, T, p * q) for S, p in first for T, q in second], A, B, M)


def test_crossed_operators_refuse():
    S, A = ms.PermK(4, 2).law, np.eye(4)
    with pytest.raises(ValueError, match="same PermK"):
        crossed_operators(S, A, ms.PermK(4, 4).law, A, "permk")
    with pytest.raises(ValueError, match="same PermK"):
        crossed_operators(ms.RandK(4, 2).law, A, ms.RandK(4, 2).law, A, "permk")
    with pytest.raises(ValueError, match="from 2 to"):
        crossed_operators(ms.PermK(4, 1).law, A, ms.PermK(4, 1).law, A, "permk")
    with pytest.raises(ValueError, match="unknown joint"):
        crossed_operators(S, A, S, A, "both")
    with pytest.raises(ValueError, match="dim=3"):
        crossed_operators(S, A, ms.RandK(3, 1).law, np.eye(3))
    with pytest.raises(ValueError, match=r"E\[S\] = I"):
        crossed_operators(S, A, ms.Unscaled(ms.RandK(4, 2)).law, A)


# Recursions ----------------------------------------------------------------------------------------------------------------


@dataclass
class Client:
    """f(x) = ½xᵀAx − bᵀx under a sketch whose values are listed."""

    sketch: object
    values: list
    A: np.ndarray
    b: np.ndarray

    def hessian(self):
        return expect(self.values, lambda S: S.T @ self.A @ S)

    def gradient(self, S, x, v):
        return S.T @ (self.A @ (v + S @ (x - v)) - self.b)

    def size(self, S, x, v):
        """Return an entrywise bound of all numbers that the gradient is made of."""
        S, A = absolute(S), absolute(self.A)
        return S.T @ (A @ (absolute(v) + S @ (x + absolute(v))) + absolute(self.b))

    def exact(self, x, v):
        return expect(self.values, lambda S: self.gradient(S, x, v))


def solve(H, g0):
    """Return the least-norm solution of Hz = −g0 for a singular H."""
    values, vectors = np.linalg.eigh(H.astype(float))
    keep = values > 1e-11 * max(values[-1], 1e-300)
    z = -vectors[:, keep] @ ((vectors[:, keep].T @ g0.astype(float)) / values[keep])
    # One Newton correction in extended precision, so that the oracle's x_D* is stationary beyond double precision.
    residual = (H @ z + g0).astype(float)
    return z - vectors[:, keep] @ ((vectors[:, keep].T @ residual) / values[keep])


SMALL = st.sampled_from(["bernoulli", "tiny", "randk", "one", "all", "nofm", "finite"])


def small_sketch(kind, rng):
    if kind == "bernoulli":
        return ms.Bernoulli(2, np.array([0.3, 0.8])), selection_values(range(2), [((0,), 0.3), ((1,), 0.8)])
    if kind == "tiny":
        return ms.Bernoulli(2, 1e-4), selection_values(range(2), [((0,), 1e-4), ((1,), 1e-4)])
    if kind == "randk":
        return ms.RandK(3, 2), selection_values(range(3), [((0, 1, 2), 2)])
    if kind == "one":
        return ms.RandK(3, 1), selection_values(range(3), [((0, 1, 2), 1)])
    if kind == "all":
        return ms.RandK(2, 2), [(np.eye(2, dtype=LONG), LONG(1))]
    if kind == "nofm":
        return ms.NofM(4, 1, 2), selection_values(range(4), [((0, 1), 1), ((2, 3), 1)])
    weights = rng.dirichlet(np.full(3, 2.0))
    atoms = rng.standard_normal((3, 2, 2))
    atoms += np.eye(2) - np.tensordot(weights, atoms, axes=1)
    return ms.FiniteSupport(atoms, weights), list(zip(atoms.astype(LONG), weights.astype(LONG), strict=True))


def client(draw, kind=None, d=None, sketch_values=None, shift=None):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sketch, values = sketch_values or small_sketch(kind or draw(SMALL), rng)
    root = rng.standard_normal((sketch.dim, draw(st.integers(1, sketch.dim))))
    A = root @ root.T
    # b in the range of A; for interpolation the shift minimises f.
    b = A @ (shift if shift is not None and draw(st.booleans()) else rng.standard_normal(sketch.dim))
    return Client(sketch, values, A, b)


def shift_of(draw, d):
    return np.random.default_rng(draw(st.integers(0, 2**32 - 1))).standard_normal(d) * draw(st.sampled_from([0, 1]))


def summary(states, H, best):
    """Return E y, E yyᵀ and the three functionals over [(x, …, chance)]."""
    y = [(state[0] - best, state[-1]) for state in states]
    mean, second = sum(w * e for e, w in y), sum(w * np.outer(e, e) for e, w in y)
    return mean, second, np.array([np.trace(second), np.trace(H @ second) / 2, np.trace(H @ second @ H)])


def compare(recursion, y0, layers, H, best, sizes):
    state, history = recursion.start(y0), run(recursion, y0, len(layers) - 1)
    d, top = len(y0), max(1e-300, float(np.abs(H).sum()))
    for t, (states, size) in enumerate(zip(layers, sizes, strict=True)):
        mean, second, functionals = summary(states, H, best)
        assert np.abs(state.mean[:d] - mean).max() <= CLOSE * np.sqrt(size)
        assert np.abs(state.second[:d, :d] - second).max() <= CLOSE * size
        assert (np.abs(history[t] - functionals) <= 10 * CLOSE * size * np.array([1, top, top**2])).all()
        state = recursion.step(state)


def tree(x0, steps, branch):
    """Return the weighted states after 0, …, steps steps; a state is (x, …, entrywise bound of all numbers in x, chance)."""
    layers = [[(*x0, LONG(1))]]
    for _ in range(steps):
        layers.append([(*new, state[-1] * w) for state in layers[-1] for new, w in branch(state[:-1])])
    return layers


def with_sizes(layers):
    """Return the states without the bound, and the expected square of the bound, which is the scale of rounding."""
    sizes = [float(sum(s[-1] * (s[-2] ** 2).sum() for s in states)) for states in layers]
    return [[(*s[:-2], s[-1]) for s in states] for states in layers], sizes


@given(st.data())
@settings(max_examples=examples(2) * settings().max_examples)
def test_dsgd_equals_the_tree_of_sketches(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    pair = small_sketch(data.draw(SMALL), rng)
    v = shift_of(data.draw, pair[0].dim)
    c = client(data.draw, sketch_values=pair, shift=v)
    H, g0 = c.hessian(), c.A @ v - c.b
    z, gamma = solve(H, g0), data.draw(st.sampled_from([1e-3, 0.1, 1.0])) / float(np.linalg.norm(H.astype(float), 2))
    y0 = rng.standard_normal(len(v))
    best = (v + z).astype(LONG)
    x0 = best + y0

    def branch(state):
        x, size = state
        for S, w in c.values:
            yield (x - gamma * c.gradient(S, x, v), size + gamma * c.size(S, size, v)), w

    layers, sizes = with_sizes(tree((x0, absolute(x0) + absolute(best)), 3, branch))
    recursion = GradientRecursion(SketchedGradient(c.sketch.moment_operators(c.A), z, g0), gamma)
    compare(recursion, y0, layers, H, best, sizes)


@given(st.data())
def test_svrg_equals_the_tree_of_sketches_anchors_and_coins(data):
    kind = data.draw(st.sampled_from(["randk", "one", "nofm", "bernoulli", "finite", "all"]))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    pair = small_sketch(kind, rng)
    v = shift_of(data.draw, pair[0].dim)
    c = client(data.draw, sketch_values=pair, shift=v)
    H, g0 = c.hessian(), c.A @ v - c.b
    z, gamma = solve(H, g0), data.draw(st.sampled_from([0.02, 0.3])) / float(np.linalg.norm(H.astype(float), 2))
    p = data.draw(st.sampled_from([0.2, 0.5, 1.0]))
    N = len(c.values)
    uniform = kind in ("randk", "one", "nofm", "all")
    batch = data.draw(st.integers(1, N)) if uniform else N
    y0 = rng.standard_normal(len(v))
    best = (v + z).astype(LONG)
    x0 = best + y0

    def anchors(w, size):
        if batch == N:
            return [(c.exact(w, v), expect(c.values, lambda S: c.size(S, size, v)), LONG(1))]
        picks = list(itertools.combinations([S for S, _ in c.values], batch))
        mean = lambda pick, g: sum(g(S) for S in pick) / LONG(batch)  # noqa: E731
        return [
            (mean(pick, lambda S: c.gradient(S, w, v)), mean(pick, lambda S: c.size(S, size, v)), LONG(1) / len(picks))
            for pick in picks
        ]

    def branch(state):
        x, w, size = state
        for (S, chance), (h, bound, anchor) in itertools.product(c.values, anchors(w, size)):
            new = x - gamma * (c.gradient(S, x, v) - c.gradient(S, w, v) + h)
            grown = size + gamma * (2 * c.size(S, size, v) + bound)
            yield (new, x, grown), chance * anchor * LONG(p)
            if p < 1:
                yield (new, w, grown), chance * anchor * (1 - LONG(p))

    layers, sizes = with_sizes(tree((x0, x0, absolute(x0) + absolute(best)), 2, branch))
    recursion = SVRGRecursion(c.sketch.moment_operators(c.A), gamma, p, z, g0, anchor_variance(N, batch))
    compare(recursion, y0, layers, H, best, sizes)
    # The anchor and its covariance with the iterate, after two steps.
    state = recursion.step(recursion.step(recursion.start(y0)))
    both = [(np.concatenate([x - best, w - best]), chance) for x, w, chance in layers[2]]
    second = sum(chance * np.outer(e, e) for e, chance in both)
    assert np.abs(state.second - second).max() <= CLOSE * sizes[2]
    assert np.abs(state.mean - sum(chance * e for e, chance in both)).max() <= CLOSE * np.sqrt(sizes[2])


@given(st.data())
def test_page_equals_the_tree_of_coins_and_minibatches(data):
    kind = data.draw(st.sampled_from(["randk", "one", "bernoulli", "finite", "tiny"]))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    pair = small_sketch(kind, rng)
    v = shift_of(data.draw, pair[0].dim)
    c = client(data.draw, sketch_values=pair, shift=v)
    H, g0 = c.hessian(), c.A @ v - c.b
    z, gamma = solve(H, g0), data.draw(st.sampled_from([0.02, 0.3])) / float(np.linalg.norm(H.astype(float), 2))
    p, batch = data.draw(st.sampled_from([0.2, 0.5, 1.0])), data.draw(st.integers(1, 2))
    y0 = rng.standard_normal(len(v))
    best = (v + z).astype(LONG)
    x0 = best + y0

    def branch(state):
        x, g, bound, size = state
        new, grown = x - gamma * g, size + gamma * bound
        yield (new, c.exact(new, v), expect(c.values, lambda S: c.size(S, grown, v)), grown), LONG(p)
        if p == 1:
            return
        for pick in itertools.product(c.values, repeat=batch):
            change = sum(c.gradient(S, new, v) - c.gradient(S, x, v) for S, _ in pick) / LONG(batch)
            larger = bound + sum(2 * c.size(S, grown, v) for S, _ in pick) / LONG(batch)
            yield (new, g + change, larger, grown), (1 - LONG(p)) * np.prod([w for _, w in pick])

    first = absolute(x0) + absolute(best)
    bound = expect(c.values, lambda S: c.size(S, first, v))
    layers, sizes = with_sizes(tree((x0, c.exact(x0, v), bound, first), 3, branch))
    recursion = PAGERecursion(c.sketch.moment_operators(c.A), gamma, p, batch)
    compare(recursion, y0, layers, H, best, sizes)


@given(st.data(), st.sampled_from(["independent", "permk"]))
def test_distributed_equals_the_tree_of_joint_sketches(data, joint):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    if joint == "permk":
        d, n = data.draw(st.sampled_from([(2, 2), (3, 3), (4, 2)]))
        marginal = selection_values(range(d), [(tuple(range(d)), d // n)])
        pairs, draws = [(ms.PermK(d, n), marginal)] * n, DEALS[d, n]
    else:
        d, n = 2, data.draw(st.integers(1, 3))
        pairs = [small_sketch(data.draw(st.sampled_from(["bernoulli", "finite", "all"])), rng) for _ in range(n)]
        each = itertools.product(*(values for _, values in pairs))
        draws = [([S for S, _ in pick], np.prod([w for _, w in pick])) for pick in each]
    v = shift_of(data.draw, d)
    clients = [client(data.draw, sketch_values=pair, shift=v) for pair in pairs]
    H = sum(c.hessian() for c in clients) / LONG(n)
    gradients = np.array([c.A @ v - c.b for c in clients])
    z = solve(H, gradients.mean(axis=0))
    gamma = data.draw(st.sampled_from([0.02, 0.5])) / float(np.linalg.norm(H.astype(float), 2))
    y0 = rng.standard_normal(d)
    best = (v + z).astype(LONG)
    x0 = best + y0

    def branch(state):
        x, size = state
        for matrices, w in draws:
            g = sum(c.gradient(S, x, v) for c, S in zip(clients, matrices, strict=True)) / n
            bound = sum(c.size(S, size, v) for c, S in zip(clients, matrices, strict=True)) / n
            yield (x - gamma * g, size + gamma * bound), w

    layers, sizes = with_sizes(tree((x0, absolute(x0) + absolute(best)), 2, branch))
    operators = [c.sketch.moment_operators(c.A) for c in clients]
    compare(GradientRecursion(DistributedGradient(operators, z, gradients, joint), gamma), y0, layers, H, best, sizes)


def test_noise_is_exactly_zero_where_every_sketch_agrees():
    rng = np.random.default_rng(0)
    A = np.eye(3) + 0.1 * np.ones((3, 3))
    g0 = rng.standard_normal(3)
    one = SketchedGradient(ms.RandK(3, 1).moment_operators(A), -g0 / (3 * np.diag(A)), g0)
    assert one.noiseless
    assert not SketchedGradient(ms.RandK(3, 2).moment_operators(A), np.zeros(3), g0).noiseless
    # Then the distance goes far below the rounding of x_D* itself.
    recursion = GradientRecursion(one, 0.1)
    assert run(recursion, np.ones(3), 2000)[-1, 0] < 1e-60


def test_what_overflows_is_infinite_and_steps_may_be_zero():
    operators = ms.Bernoulli(2, 0.1).moment_operators(np.diag([1.0, 2.0]))
    recursion = GradientRecursion(SketchedGradient(operators, np.zeros(2), np.zeros(2)), 1e6)
    history = run(recursion, np.ones(2), 100)
    assert np.isfinite(history[:5]).all()
    assert np.isinf(history[-1]).all()
    assert run(recursion, np.ones(2), 0).shape == (1, 3)


# Contraction and the largest stable step -----------------------------------------------------------------------------------


def contraction_by_enumeration(values, A, gamma):
    """Return the spectral radius of M ↦ E[(I − γH)M(I − γH)] on the range of E[H], from its full matrix."""
    H = np.array([S.T @ A @ S for S, _ in values]).astype(float)
    weights = np.array([w for _, w in values], dtype=float)
    spectrum, vectors = np.linalg.eigh(np.tensordot(weights, H, axes=1))
    U = vectors[:, spectrum > 1e-10 * spectrum[-1]]
    r = U.shape[1]
    steps = np.eye(r) - gamma * (U.T @ H @ U)
    full = np.einsum("n,nij,nkl->ikjl", weights, steps, steps).reshape(r * r, r * r)
    return float(np.abs(np.linalg.eigvals(full)).max())


CONTRACTIONS = {
    "full": (ms.RandK(4, 2), selection_values(range(4), [((0, 1, 2, 3), 2)]), 4),
    "low rank": (ms.NofM(4, 1, 2), selection_values(range(4), [((0, 1), 1), ((2, 3), 1)]), 2),
    "iterative": (ms.RandK(10, 2), selection_values(range(10), [(tuple(range(10)), 2)]), 10),
    "iterative, low rank": (ms.RandK(11, 10), selection_values(range(11), [(tuple(range(11)), 10)]), 3),
    "singular": (ms.BlockBernoulli(4, 1, 0.3), selection_values([0] * 4, [((0,), 0.3)]), 2),
    "iterative, singular": (ms.BlockBernoulli(12, 1, 0.3), selection_values([0] * 12, [((0,), 0.3)]), 9),
    "one of ten": (ms.RandK(10, 1), selection_values(range(10), [(tuple(range(10)), 1)]), 10),
}


def contraction_matrix(name, rank):
    d = CONTRACTIONS[name][0].dim
    root = np.random.default_rng(len(name)).standard_normal((d, rank))
    return root @ root.T


@pytest.mark.parametrize("name", CONTRACTIONS)
@pytest.mark.parametrize("fraction", [0.01, 0.5, 1.5])
def test_contraction_brackets_the_enumerated_one(name, fraction):
    sketch, values, rank = CONTRACTIONS[name]
    A = contraction_matrix(name, rank)
    operators = sketch.moment_operators(A)
    gamma = fraction * stability_limit(operators).lower
    exact = contraction_by_enumeration(values, A, gamma)
    d = sketch.dim
    found = GradientRecursion(SketchedGradient(operators, np.zeros(d), np.zeros(d)), gamma).contraction()
    assert found.lower <= exact * (1 + 1e-10)
    assert exact <= found.upper * (1 + 1e-10)
    assert found.upper - found.lower <= 1e-6 * exact


@pytest.mark.parametrize("name", CONTRACTIONS)
def test_stability_limit_is_where_the_enumerated_contraction_is_one(name):
    sketch, values, rank = CONTRACTIONS[name]
    A = contraction_matrix(name, rank)
    found = stability_limit(sketch.moment_operators(A))
    limit = brentq(lambda gamma: contraction_by_enumeration(values, A, gamma) - 1, 1e-3 / np.trace(A), 100.0 / np.trace(A))
    assert found.lower <= limit * (1 + 1e-9)
    assert limit <= found.upper * (1 + 1e-9)
    assert found.upper - found.lower <= 1e-6 * limit


def test_contraction_where_coordinates_do_not_mix():
    # Coordinates are independent: the slowest decides, and the leading eigenvector is singular.
    A = np.diag(np.linspace(1, 2, 12))
    operators = ms.Bernoulli(12, 0.5).moment_operators(A)
    found = GradientRecursion(SketchedGradient(operators, np.zeros(12), np.zeros(12)), 0.1).contraction()
    exact = max(0.5 + 0.5 * (1 - 0.4 * a) ** 2 for a in np.diag(A))
    assert found.lower <= exact * (1 + 1e-12)
    assert exact <= found.upper * (1 + 1e-12)
    assert found.upper - found.lower < 1e-6
    limit = stability_limit(operators)
    assert limit.lower <= 0.25 * (1 + 1e-12)
    assert limit.upper >= 0.25 * (1 - 1e-12)
    assert limit.upper - limit.lower < 1e-6


def test_contraction_of_nothing_and_of_a_step_that_ends_at_once():
    zero = ms.RandK(3, 1).moment_operators(np.zeros((3, 3)))
    assert GradientRecursion(SketchedGradient(zero, np.zeros(3), np.zeros(3)), 1.0).contraction().upper == 0
    assert stability_limit(zero).lower == np.inf
    once = ms.Identity(12).moment_operators(np.eye(12))
    assert 0 <= GradientRecursion(SketchedGradient(once, np.zeros(12), np.zeros(12)), 1.0).contraction().upper < 1e-10
    assert stability_limit(once).lower == pytest.approx(2, rel=1e-9)
    with pytest.raises(ValueError, match="positive semidefinite"):
        stability_limit(ms.RandK(2, 1).moment_operators(np.diag([1.0, -1.0])))


def test_distributed_contraction_of_one_permutation():
    # Homogeneous diagonal clients of Perm-K with K = 1: (1/n)ΣH_i is n·A surely, so it is gradient descent.
    operators = [ms.PermK(3, 3).moment_operators(np.diag([1.0, 2.0, 3.0]))] * 3
    recursion = GradientRecursion(DistributedGradient(operators, np.zeros(3), np.zeros((3, 3)), "permk"), 0.1)
    assert recursion.contraction().lower == pytest.approx((1 - 0.3) ** 2, rel=1e-12)
    assert stability_limit(recursion.gradient).lower == pytest.approx(2 / 9, rel=1e-12)


@pytest.mark.parametrize(
    ("build", "match"),
    [
        (lambda o: GradientRecursion(SketchedGradient(o, np.zeros(2), np.zeros(2)), 0.0), "stepsize"),
        (lambda o: SketchedGradient(o, np.zeros(3), np.zeros(2)), "z_star"),
        (lambda o: SketchedGradient(o, np.zeros(2), np.zeros(3)), "g0"),
        (lambda o: SVRGRecursion(o, 1.0, 0.0, np.zeros(2), np.zeros(2)), "probability"),
        (lambda o: SVRGRecursion(o, 1.0, 1.5, np.zeros(2), np.zeros(2)), "probability"),
        (lambda o: SVRGRecursion(o, 1.0, 0.5, np.zeros(2), np.zeros(2), -1.0), "spread"),
        (lambda o: PAGERecursion(o, 1.0, 0.5, 0), "batch"),
        (lambda o: DistributedGradient([], np.zeros(2), np.zeros((0, 2))), "operators"),
        (lambda o: DistributedGradient([o], np.zeros(2), np.zeros((2, 2))), "gradients"),
        (
            lambda o: GradientRecursion(DistributedGradient([o, o], np.zeros(2), np.zeros((2, 2)), "permk"), 1.0),
            "same PermK",
        ),
        (lambda o: run(GradientRecursion(SketchedGradient(o, np.zeros(2), np.zeros(2)), 1.0), np.zeros(3), 1), "y0"),
        (lambda o: run(GradientRecursion(SketchedGradient(o, np.zeros(2), np.zeros(2)), 1.0), np.zeros(2), -1), "steps"),
        (lambda o: anchor_variance(3, 4), "batch"),
    ],
)
def test_refuses_bad_input(build, match):
    with pytest.raises(ValueError, match=match):
        build(ms.RandK(2, 1).moment_operators(np.eye(2)))
