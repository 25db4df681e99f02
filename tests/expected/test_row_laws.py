"""f_D of linear models for laws without kernels: Gaussian and Haar sketches, and laws of one's own, against cubature."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

import mastsim as ms
from mastsim.expected import ladder, row_integrals
from mastsim.problems import cosine_sums
from mastsim.sketches import DiagonalBatch, Sketch
from mastsim.sketches.laws import Law, RowLaws, RowTotals
from mastsim.sketches.laws.projection import beta_ends, beta_rule, sphere_rule
from tests.examples import examples

pytestmark = pytest.mark.slow

MARGINS = [ms.LogisticRegression, ms.SigmoidClassification]
SMOOTH = [*MARGINS, ms.WelschRegression]
SEEDS = st.integers(0, 2**32 - 1)


def instance(family, d, seed, spread=1.0, l2=0.1):
    """Return a model with five rows, one of them zero, a shift v, and a point x such that one row is parallel to x − v."""
    rng = np.random.default_rng(seed)
    A, v, x = spread * rng.standard_normal((5, d)), 0.3 * rng.standard_normal(d), rng.standard_normal(d)
    A[3], A[4] = 0.0, spread * (x - v)
    y = np.where(rng.random(5) < 0.5, 1.0, -1.0)
    return family(A, np.abs(y) if family is ms.PoissonRegression else y, l2=l2), v, x


def panels(low, high, pieces, count=20):
    """Return nodes and weights of a composite Gauss-Legendre rule."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    edges = np.linspace(low, high, pieces + 1)
    half = np.diff(edges) / 2
    return ((edges[:-1] + half)[:, None] + half[:, None] * nodes).ravel(), (half[:, None] * weights).ravel()


def circle(count):
    angles = 2 * np.pi * np.arange(count) / count
    return np.stack([np.cos(angles), np.sin(angles)], axis=1), np.full(count, 1 / count)


def gaussian_values(d, k):
    """List GᵀG/k densely enough for smooth losses: for d = 1, where it is χ²/k, and for k = 1, where it is r²uuᵀ."""
    t, weights = panels(0.0, 13.0, 24)
    if d == 1:
        return (t**2 / k)[:, None, None], weights * 2 * t * scipy.stats.chi2(k).pdf(t**2)
    u, chance = circle(240)
    radial = weights * t * np.exp(-(t**2) / 2)
    S = (t**2)[:, None, None, None] * (u[:, :, None] * u[:, None, :])
    return S.reshape(-1, 2, 2), np.outer(radial, chance).ravel()


def haar_values(d, k):
    """List (d/k)·P densely enough for smooth losses: lines and planes in two and three dimensions."""
    u, chance = circle(400)
    if d == 3:
        height, weights = np.polynomial.legendre.leggauss(60)
        u, chance = circle(120)
        flat = np.sqrt(1 - height**2)[:, None, None] * u
        u = np.concatenate([flat, np.broadcast_to(height[:, None, None], (60, 120, 1))], axis=2).reshape(-1, 3)
        chance = np.outer(weights / 2, chance).ravel()
    line = u[:, :, None] * u[:, None, :]
    return (d * line, chance) if k == 1 else (d / k * (np.eye(d) - line), chance)


def integrals(f, values, v, x, w):
    """Return f_D, its gradient and its product with w, summed over a list of sketches."""
    S, chances = values
    points = v + S @ (x - v)
    back = S.transpose(0, 2, 1)
    gradient = (back @ f.gradient(points)[..., None])[..., 0]
    product = (back @ f.hessian_product(points, S @ w)[..., None])[..., 0]
    return chances @ f.value(points), chances @ gradient, chances @ product


def check(f, sketch, values, v, x, tolerance=2e-12):
    F, w = ms.Mast(f, sketch, shift=v), np.random.default_rng(5).standard_normal(f.dim)
    assert (F.evaluation.name, F.evaluation.tier) == ("rows", "exact")
    value, gradient, product = integrals(f, values, v, x, w)
    assert F.error_bound(x) <= 1e-11 * max(1.0, abs(value))
    assert F.value(x) == pytest.approx(value, rel=tolerance)
    for found, exact in ((F.gradient(x), gradient), (F.hessian_product(x, w), product)):
        np.testing.assert_allclose(found, exact, rtol=0, atol=10 * tolerance * max(1.0, np.abs(exact).max()))


@pytest.mark.parametrize("family", SMOOTH)
@pytest.mark.parametrize(("d", "k"), [(1, 1), (1, 2), (1, 5), (1, 30), (2, 1)])
def test_gaussian_sketches_against_cubature(family, d, k):
    for seed in range(2):
        f, v, x = instance(family, d, seed)
        check(f, ms.Gaussian(d, k), gaussian_values(d, k), v, x)


@pytest.mark.parametrize("family", SMOOTH)
@pytest.mark.parametrize(("d", "k"), [(2, 1), (3, 1), (3, 2)])
def test_haar_sketches_against_cubature(family, d, k):
    for seed in range(2):
        f, v, x = instance(family, d, seed)
        check(f, ms.Haar(d, k), haar_values(d, k), v, x)


@pytest.mark.parametrize("k", [2, 3, 8, 41])
def test_gaussian_sketches_of_many_rows_against_the_law_of_two_chi_squares(k):
    f, v, x = instance(ms.LogisticRegression, 6, k)
    z = x - v
    t, weights = panels(0.0, math.sqrt(k) + 11, 20)
    chance = weights * 2 * t * scipy.stats.chi2(k).pdf(t**2)
    total = 0.0
    for a, y in zip(f.A, f.y, strict=True):
        inner, size = a @ z, np.linalg.norm(a) * np.linalg.norm(z)
        X = (inner + size) / (2 * k) * t[:, None] ** 2 + (inner - size) / (2 * k) * t**2
        total += chance @ np.logaddexp(0, -y * (a @ v + X)) @ chance
    penalty = 0.5 * f.l2 * (v @ v + 2 * v @ z + (1 + 7 / k) * z @ z)
    assert ms.Mast(f, ms.Gaussian(6, k), shift=v).value(x) == pytest.approx(total / 5 + penalty, rel=1e-12)


@given(SEEDS, st.sampled_from([2, 3, 4, 9, 50]), st.floats(0.01, 10.0), st.data())
@settings(max_examples=examples(30))
def test_derivatives_are_those_of_the_values(seed, d, spread, data):
    k = data.draw(st.integers(1, d - 1))
    sketch = data.draw(st.sampled_from([ms.Gaussian(d, k), ms.Haar(d, k), ms.Rotated(ms.Haar(d, k), "dct")]))
    f, v, x = instance(data.draw(st.sampled_from(SMOOTH)), d, seed, spread * k / d**1.5)
    F = ms.Mast(f, sketch, shift=v)
    w = np.random.default_rng(seed).standard_normal(d)
    w /= np.linalg.norm(w)
    step = 1e-4
    points = x + step * np.outer([-2, -1, 1, 2], w)
    stencil = np.array([1, -8, 8, -1]) / (12 * step)
    slope, turn = stencil @ F.value(points), stencil @ F.gradient(points)
    size = 1 + np.abs(F.hessian_product(x, w)).max() + np.abs(F.gradient(x)).max()
    assert abs(slope - F.gradient(x) @ w) <= 1e-8 * size**2
    np.testing.assert_allclose(F.hessian_product(x, w), turn, rtol=0, atol=1e-8 * size**2)


@pytest.mark.parametrize("d", [20, 200, 5000])
def test_haar_in_larger_dimension_against_two_nested_integrals(d):
    rng = np.random.default_rng(d)
    k = d // 10
    a, z = rng.standard_normal((2, d))
    z *= 1.5 / np.linalg.norm(z)
    a *= 0.8 / np.linalg.norm(a)
    f = ms.WelschRegression(a[None], np.zeros(1), l2=0.0)
    beta = scipy.stats.beta(k / 2, (d - k) / 2)
    q, weights = panels(0.0, 1.0, 400)
    density = weights * np.nan_to_num(beta.pdf(q), posinf=0.0)
    sphere = scipy.stats.beta((d - 2) / 2, (d - 2) / 2)
    u, share = panels(0.0, 1.0, 200)
    share = share * sphere.pdf(u)
    p, h = a @ z, math.sqrt(0.8**2 * 1.5**2 - (a @ z) ** 2)
    X = d / k * (p * q[:, None] + h * np.sqrt(q * (1 - q))[:, None] * (2 * u - 1))
    exact = density @ (1 - np.exp(-(X**2) / 2)) @ share / (density.sum() * share.sum())
    assert ms.Mast(f, ms.Haar(d, k)).value(z) == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("family", [ms.PoissonRegression, ms.ExponentialClassification])
def test_losses_that_are_one_exponential(family):
    f, v, x = instance(family, 2, 0, spread=0.3)
    f = family(f.A[:4], f.y[:4], l2=0.1)
    check(f, ms.Haar(2, 1), haar_values(2, 1), v, x)
    check(f, ms.Gaussian(2, 1), gaussian_values(2, 1), v, v + 0.2 * (x - v), tolerance=1e-9)


def test_what_diverges_is_infinite():
    # E e^{−yaᵀSz} of a Gaussian sketch is infinite from some z on; here S is χ²₁ and the exponent s = ±1/2 is the last.
    f = ms.ExponentialClassification(np.ones((1, 1)), np.array([-1.0]), l2=0.0)
    F = ms.Mast(f, ms.Gaussian(1, 1))
    assert F.value(np.array([0.49])) == pytest.approx((1 - 0.98) ** -0.5, rel=1e-12)
    assert F.value(np.array([0.51])) == math.inf
    assert F.value(np.array([-5.0])) == pytest.approx(11**-0.5, rel=1e-12)


@pytest.mark.parametrize("tail", [1.0, 4.0, 12.0])
def test_the_tail_beyond_the_reach_is_counted(monkeypatch, tail):
    f, v, x = instance(ms.LogisticRegression, 2, 1, spread=3.0)
    exact = integrals(f, gaussian_values(2, 1), v, x, x)[0]
    sure = ms.Mast(f, ms.Gaussian(2, 1), shift=v)
    assert sure.error_bound(x) < 1e-11
    assert sure.value(x) == pytest.approx(exact, rel=1e-11)
    monkeypatch.setattr(row_integrals, "_TAIL", tail)
    monkeypatch.setattr(ladder, "RATIO", 1.001)
    monkeypatch.setattr(cosine_sums, "_stored", lambda name: ())
    F = ms.Mast(f, ms.Gaussian(2, 1), shift=v)
    error = abs(F.value(x) - exact)
    assert 1e-13 < error <= F.error_bound(x) or tail == 12.0
    assert error <= F.error_bound(x) + 1e-12
    assert F.error_bound(x) > 1e-9 * math.exp(-tail)


@pytest.mark.parametrize("count", [2, 3, 5, 9])
@pytest.mark.parametrize("family", SMOOTH)
def test_the_error_of_a_rule_of_few_nodes_is_bounded(monkeypatch, count, family):
    f, v, x = instance(family, 3, 2)
    exact = integrals(f, haar_values(3, 1), v, x, x)[0]
    monkeypatch.setattr(row_integrals, "_COUNTS", (count,))
    monkeypatch.setattr(row_integrals, "_NEAR", math.inf)
    F = ms.Mast(f, ms.Haar(3, 1), shift=v)
    error = abs(F.value(x) - exact)
    assert error <= F.error_bound(x) + 1e-14
    assert count > 5 or error > 1e-12


@pytest.mark.parametrize(("count", "a", "b"), [(6, 1.5, 4.0), (4, 0.5, 0.5), (5, 6.0, 55.5), (3, 50.0, 450.0)])
def test_beta_rules_are_exact_for_polynomials(count, a, b):
    nodes, weights = beta_rule(count, a, b)
    exact = np.cumprod([1.0, *((a + i) / (a + b + i) for i in range(2 * count))])
    low, high = beta_ends(a, b)
    # The law is cut where 1e-21 of it is left out: by Chebyshev's polynomials on the rest, whose moments are of one size.
    shifted = np.polynomial.Polynomial([-(high + low) / (high - low), 2 / (high - low)])
    errors = []
    for power in range(2 * count + 1):
        chebyshev = np.polynomial.Chebyshev.basis(power).convert(kind=np.polynomial.Polynomial)(shifted)
        cancelled = np.abs(chebyshev.coef) @ exact[: power + 1]
        found = weights @ np.cos(power * np.arccos(np.clip(shifted(nodes), -1, 1)))
        errors.append((abs(found - chebyshev.coef @ exact[: power + 1]), 1e-14 + 1e-15 * cancelled))
    assert all(error <= slack for error, slack in errors[:-1]), errors
    assert errors[-1][0] > errors[-1][1]


@pytest.mark.parametrize("dimension", [1, 2, 3, 4, 30, 1001])
def test_sphere_rules_are_exact_for_polynomials(dimension):
    nodes, weights = sphere_rule(7, dimension)
    for half in range(7):
        # E ω^{2m} = (1/2)_m/(d/2)_m.
        exact = math.prod((0.5 + i) / (dimension / 2 + i) for i in range(half))
        assert weights @ nodes ** (2 * half) == pytest.approx(exact, rel=1e-11)
    assert weights @ nodes == pytest.approx(0.0, abs=1e-15)


@pytest.mark.parametrize("sketch", [ms.Gaussian(3, 2), ms.Haar(3, 1)])
def test_losses_without_an_exponential_sum_are_estimated_and_told_so(sketch):
    f = ms.HuberRegression(np.eye(3), np.ones(3), l2=0.1)
    assert ms.Mast(f, sketch).evaluation.tier == "estimate"
    with pytest.raises(ValueError, match="the Huber loss has no exponential sum"):
        ms.Mast(f, sketch, evaluate="rows")


def test_points_too_far_out_are_refused():
    f = ms.LogisticRegression(np.eye(3), np.array([1.0, -1.0, 1.0]), l2=0.1)
    for sketch in (ms.Gaussian(3, 1), ms.Haar(3, 1)):
        with pytest.raises(ValueError, match="too far out for an exact value"):
            ms.Mast(f, sketch).value(np.full(3, 1e7))


@pytest.mark.parametrize("reach", [1e4, 1e8, 1e15])
def test_short_rows_are_listed_however_far_out_and_long_ones_are_refused(reach):
    for d in (4, 60):
        sketch = ms.IndependentDiagonal(np.tile([0.0, 0.5, 2.5], (d, 1)), [0.4, 0.25, 0.35])
        f = ms.LogisticRegression(np.ones((2, d)), np.array([1.0, -1.0]), l2=0.0)
        F, x = ms.Mast(f, sketch), np.full(d, reach / d)
        if d == 4:
            # The mean of log(1 + e^{−w}) and log(1 + e^w) is half of |w| here, but for the chance of w = 0.
            assert F.value(x) == pytest.approx(reach / 2 + 0.4**4 * math.log(2), rel=1e-12)
            assert F.error_bound(x) <= 1e-12 * reach
        elif reach > 1e4:
            with pytest.raises(ValueError, match="too far out for an exact value of f_D: a row reaches"):
                F.value(x)


def test_minimisers_and_constants_follow():
    f, v, _ = instance(ms.LogisticRegression, 4, 3)
    for sketch in (ms.Gaussian(4, 3), ms.Haar(4, 2)):
        F = ms.Mast(f, sketch, shift=v)
        best = F.minimize()
        assert best.gap_bound < 1e-12
        assert F.gap().kind == "exact"
        rng = np.random.default_rng(0)
        assert (F.value(best.x + 0.1 * rng.standard_normal((20, 4))) > best.value).all()


# --- laws of one's own -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ExponentialRows(RowLaws):
    """X = c·aᵀz with c of the exponential law: E e^{sX} = 1/(1 − s aᵀz)."""

    def reach(self, z):
        return np.where(self.A @ z == 0, 0.0, np.inf)

    def square(self, weights, z):
        return 2 * self.A.T @ (weights * (self.A @ z))

    def tails(self, z):
        rate = 0.5 / np.maximum(np.abs(self.A @ z), 1e-300)[:, None]
        return rate, np.full_like(rate, math.log(2))

    def by_exponentials(self, rows, z, s, weights, w=None):
        A = self.A[rows]
        p = (A @ z)[:, None]
        chi = 1 / (1 - p * s)
        gradient = A.T @ (weights * s * chi**2).real.sum(axis=1)
        along = np.zeros(len(rows)) if w is None else A @ w
        product = A.T @ ((weights * 2 * s**2 * chi**3).real.sum(axis=1) * along)
        return RowTotals((weights * chi).real.sum(axis=1), gradient, product)


class ExponentialScale(Law):
    """S = c·I with c of the exponential law."""

    def quadratic_moment(self, A):
        return 2 * A

    def rows(self, A):
        return ExponentialRows(A)


@dataclass(frozen=True)
class Stretch(Sketch):
    dim: int

    uniforms = 1

    @cached_property
    def law(self):
        return ExponentialScale(self.dim)

    def from_uniforms(self, u):
        return DiagonalBatch(np.broadcast_to(-np.log1p(-u), (len(u), self.dim)))


@pytest.mark.parametrize("family", SMOOTH)
def test_a_law_of_ones_own_is_exact_with_every_sum(family):
    f, v, x = instance(family, 2, 4)
    c, weights = panels(0.0, 45.0, 90)
    check(f, Stretch(2), (c[:, None, None] * np.eye(2), weights * np.exp(-c)), v, x)


class MistakenRows(ExponentialRows):
    """Rows whose transform is a little too large."""

    def by_exponentials(self, rows, z, s, weights, w=None):
        return super().by_exponentials(rows, z, s, 1.5 * weights, w)


def test_check_sketch_compares_rows_with_samples(monkeypatch):
    monkeypatch.setattr(ExponentialScale, "rows", lambda self, A: MistakenRows(A))
    with pytest.raises(AssertionError, match="sigmoid loss against"):
        ms.testing.check_sketch(Stretch(3))


def test_a_sketch_of_ones_own_needs_a_law_and_a_draw_only():
    abstract = Sketch.__abstractmethods__
    assert abstract == {"uniforms", "from_uniforms"}
    sketch = Stretch(3)
    assert (sketch.L_D, sketch.mu_D, sketch.L_max, sketch.L_max_is_exact) == (2.0, 2.0, math.inf, False)
    np.testing.assert_array_equal(sketch.second_moment(), 2 * np.eye(3))
    with pytest.raises(ValueError, match="not known in closed form for Stretch"):
        sketch.fourth_moment(np.eye(3))
    ms.testing.check_sketch(sketch)
