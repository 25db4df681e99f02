"""Compressors against their two-point laws, found by bisection on the uniform number, in rational arithmetic."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mastsim.methods import (
    ALL_COMPRESSORS,
    DitheringCompressor,
    NaturalCompressor,
    SketchCompressor,
    Uncompressed,
)
from mastsim.sketches import Bernoulli, FiniteSupport, Gaussian, RandK, Unscaled
from tests.oracles.listed_laws import law as sketch_law

LAST = 1 - 2.0**-53
SEEDS = st.integers(0, 2**32 - 1)


# --- the oracle ------------------------------------------------------------------------------------------------------


def two_points(quantiser, g):
    """Return the outcome of every coordinate at u = 0 and at the largest u, and the chance of the first."""
    law = quantiser.law(g.size)
    apply = lambda u: law.from_uniforms(np.broadcast_to(u, (1, g.size))).apply(g[None])[0]  # noqa: E731
    first, second = apply(np.zeros(g.size)), apply(np.full(g.size, LAST))
    low, high = np.zeros(g.size, dtype=np.int64), np.full(g.size, 2**53, dtype=np.int64)
    for _ in range(54):
        middle = (low + high) // 2
        mine = apply(middle * 2.0**-53) == first
        assert (mine | (apply(middle * 2.0**-53) == second)).all()
        low, high = np.where(mine, middle, low), np.where(mine, high, middle)
    return first, second, high


def moments(quantiser, g):
    """Return E Q(g) and E‖Q(g) − g‖², exact up to how the outcomes were rounded."""
    first, second, count = two_points(quantiser, g)
    mean, variance = [], Fraction(0)
    for a, b, c, x in zip(first.tolist(), second.tolist(), count.tolist(), g.tolist(), strict=True):
        a, b, x, chance = Fraction(a), Fraction(b), Fraction(x), Fraction(c, 2**53)
        mean.append(chance * a + (1 - chance) * b)
        variance += chance * (a - x) ** 2 + (1 - chance) * (b - x) ** 2
    return mean, variance


def square_norm(g):
    """Return ‖g‖² exactly."""
    return sum(Fraction(x) ** 2 for x in g.tolist())


def entries(largest):
    """Draw numbers of every size from 10^−largest to 10^largest, powers of two and their neighbours, and zero."""
    sized = st.tuples(st.sampled_from([-1, 1]), st.floats(1, 10), st.integers(-largest, largest - 1))
    powers = st.tuples(st.integers(-3 * largest, 3 * largest), st.sampled_from([-math.inf, math.inf]), st.booleans())
    near = powers.map(lambda t: math.nextafter(2.0 ** t[0], t[1]) if t[2] else 2.0 ** t[0])
    return st.just(0.0) | sized.map(lambda t: t[0] * t[1] * 10.0 ** t[2]) | near


def vectors(largest, longest=6):
    return st.lists(entries(largest), min_size=1, max_size=longest).map(np.array)


# --- natural compression ---------------------------------------------------------------------------------------------

SUBNORMAL = np.array([5e-324, 3 * 5e-324, -7 * 5e-324, 2.0**-1022, 2.0**-1022 - 5e-324, 2.0**-1030, 1.5 * 2.0**-1022])


@given(vectors(300))
@example(SUBNORMAL)
@example(np.array([1.5e300, -1e300, 1e-300, 2.0**1023, 2.0**1022 * 1.9]))
@example(np.array([math.nextafter(8.0, 0.0), math.nextafter(2.0**49, 0.0), math.nextafter(2.0**-700, 0.0)]))
def test_natural_is_unbiased_between_neighbouring_powers(g):
    quantiser = NaturalCompressor()
    first, second, _ = two_points(quantiser, g)
    for a, b, x in zip(first.tolist(), second.tolist(), g.tolist(), strict=True):
        if x == 0 or math.frexp(abs(x))[0] == 0.5:
            assert a == b == x
        else:
            assert math.frexp(abs(a))[0] == math.frexp(abs(b))[0] == 0.5
            assert a == 2 * b
            assert abs(b) < abs(x) < abs(a)
            assert a * math.copysign(1, x) > 0
    assert moments(quantiser, g)[0] == [Fraction(x) for x in g.tolist()]


@given(vectors(140))
@example(np.array([0.0]))
def test_natural_variance(g):
    quantiser = NaturalCompressor()
    variance = moments(quantiser, g)[1]
    assert float(quantiser.variance(g[None])[0]) == pytest.approx(float(variance), rel=1e-12, abs=1e-300)
    assert variance <= Fraction(quantiser.omega(g.size)) * square_norm(g)


@pytest.mark.parametrize("dim", [1, 5])
def test_natural_omega_is_attained(dim):
    g = 4 / 3 * 2.0 ** np.arange(-2, dim - 2)
    ratio = moments(NaturalCompressor(), g)[1] / square_norm(g)
    assert float(ratio) == pytest.approx(NaturalCompressor().omega(dim), rel=1e-12)
    assert NaturalCompressor().sharp_omega(dim) == 0.125


# --- dithering -------------------------------------------------------------------------------------------------------

LEVELS = st.sampled_from([1, 2, 3, 7, 1000]) | st.integers(1, 50)


@given(vectors(300), LEVELS)
@example(np.array([0.0, 0.0]), 2)
@example(np.array([1e300, 1e300, -1e300]), 1)
@example(np.array([1e-300, 0.0, 3e-300]), 5)
def test_dithering_is_unbiased_on_its_grid(g, levels):
    quantiser = DitheringCompressor(levels)
    mean, _ = moments(quantiser, g)
    first, second, _ = two_points(quantiser, g)
    largest = max(np.abs(g).max(), 5e-324)
    norm = math.hypot(*(g / largest))
    scale = Fraction(float(largest))
    for m, x in zip(mean, g.tolist(), strict=True):
        assert abs(m - Fraction(x)) <= Fraction(1e-14) * scale * g.size * levels
    for value in np.concatenate([first, second]):
        level = abs(value) / largest / (norm or 1) * levels
        assert level == pytest.approx(round(level), abs=1e-9)
        assert round(level) <= levels
    assert ((first == 0) | (np.sign(first) == np.sign(g))).all()


@given(vectors(3), LEVELS)
@example(np.ones(4), 1)
@example(np.array([3.0]), 1)
@example(np.array([5.0, 3.0, 1.0, 1.0]), 3)
def test_dithering_variance(g, levels):
    quantiser = DitheringCompressor(levels)
    variance, square = moments(quantiser, g)[1], square_norm(g)
    slack = float(square) * 1e-11
    assert float(quantiser.variance(g[None])[0]) == pytest.approx(float(variance), rel=1e-11, abs=slack)
    assert float(variance) <= quantiser.sharp_omega(g.size) * float(square) + slack
    assert quantiser.sharp_omega(g.size) <= quantiser.omega(g.size)


@pytest.mark.parametrize(
    ("g", "levels"),
    [(np.ones(4), 1), (np.ones(64), 2), (np.ones(64), 4), (np.array([5.0, 3, 1, 1]), 3), (np.ones(9), 1), (np.ones(16), 2)],
)
def test_sharp_omega_of_dithering_is_attained(g, levels):
    ratio = moments(DitheringCompressor(levels), g)[1] / square_norm(g)
    assert float(ratio) == pytest.approx(DitheringCompressor(levels).sharp_omega(g.size), rel=1e-10)


def test_published_omega_of_dithering():
    for dim in (1, 2, 9, 100, 12345):
        for levels in (1, 3, 10, 200):
            omega = DitheringCompressor(levels).omega(dim)
            assert omega == pytest.approx(min(dim / levels**2, math.sqrt(dim) / levels), rel=1e-14)
    g = np.ones(2500)
    ratio = moments(DitheringCompressor(1), g)[1] / square_norm(g)
    assert 0.97 * DitheringCompressor(1).omega(2500) < float(ratio) <= DitheringCompressor(1).omega(2500)


@given(vectors(3), LEVELS, SEEDS, st.sampled_from([-900, 900]))
def test_scaling_by_a_power_of_two(g, levels, seed, power):
    u = np.random.default_rng(seed).random((3, g.size))
    for quantiser in (NaturalCompressor(), DitheringCompressor(levels)):
        law = quantiser.law(g.size).from_uniforms(u)
        assert (law.apply(g * 2.0**power) == law.apply(g) * 2.0**power).all()
        assert (law.apply(-g) == -law.apply(g)).all()


def test_one_coordinate_is_dithered_exactly():
    for levels in (1, 3, 49):
        first, second, _ = two_points(DitheringCompressor(levels), np.array([-0.1]))
        assert first == second == pytest.approx(-0.1, rel=1e-15)
    assert DitheringCompressor(3).sharp_omega(1) == 0


# --- sketches, and no compression ------------------------------------------------------------------------------------

SKEW = FiniteSupport([np.array([[1.0, 2.0], [0.0, 3.0]]), np.array([[1.0, -2.0], [0.0, -1.0]])])


@pytest.mark.parametrize(
    "sketch", [RandK(4, 1), RandK(1, 1), RandK(4, 4), Bernoulli(3, np.array([0.2, 1.0, 1e-3])), SKEW], ids=lambda s: s.name
)
def test_sketch_omega_is_attained(sketch):
    compressor = SketchCompressor(sketch)
    matrices, chances = sketch_law(sketch)
    moment = sum(c * S.T @ S for c, S in zip(chances, matrices, strict=True))
    rng = np.random.default_rng(3)
    for g in rng.standard_normal((20, sketch.dim)):
        square = sum(c * ((S @ g) ** 2).sum() for c, S in zip(chances, matrices, strict=True))
        assert square <= (1 + compressor.omega(sketch.dim)) * (g @ g) * (1 + 1e-12)
    top = np.linalg.eigh(moment)[1][:, -1]
    attained = sum(c * ((S @ top) ** 2).sum() for c, S in zip(chances, matrices, strict=True))
    assert attained - 1 == pytest.approx(compressor.omega(sketch.dim), rel=1e-12, abs=1e-12)
    assert compressor.law(sketch.dim) is sketch
    assert compressor.name == sketch.name


def test_uncompressed():
    g = np.arange(6.0).reshape(3, 2)
    law = Uncompressed().law(2)
    assert (law.uniforms, law.support_size, Uncompressed().omega(2), Uncompressed().sharp_omega(2)) == (0, 1.0, 0.0, 0.0)
    batch = law.from_uniforms(np.empty((3, 0)))
    assert (batch.apply(g) == g).all()
    assert (batch.apply(g[1]) == g[[1, 1, 1]]).all()
    assert batch.take(np.array([2, 0])).apply(g[:2]).shape == (2, 2)
    assert batch.take(np.array([True, False, False])).apply(g[:1]).shape == (1, 2)
    values, chance = law.support()
    assert chance.tolist() == [1.0]
    assert (values.apply(g[:1]) == g[:1]).all()
    assert (values.take(np.zeros(3, dtype=int)).apply(g) == g).all()


# --- every compressor ------------------------------------------------------------------------------------------------

EACH = [Uncompressed(), SketchCompressor(RandK(5, 2)), NaturalCompressor(), DitheringCompressor(3)]


def test_every_class_is_listed():
    assert tuple(type(compressor) for compressor in EACH) == ALL_COMPRESSORS
    names = [compressor.name for compressor in EACH]
    assert names == ["uncompressed", RandK(5, 2).name, "natural", "dithering(3)"]


@pytest.mark.parametrize("compressor", EACH, ids=lambda c: c.name)
def test_a_replica_does_not_depend_on_those_beside_it(compressor):
    rng = np.random.default_rng(5)
    law, g = compressor.law(5), rng.standard_normal((9, 5)) * 10.0 ** rng.uniform(-8, 8, (9, 1))
    u = rng.random((9, law.uniforms))
    together = law.from_uniforms(u).apply(g)
    for r in range(9):
        assert (law.from_uniforms(u[r : r + 1]).apply(g[r : r + 1])[0] == together[r]).all()
        assert (law.from_uniforms(u).apply(g[r])[r] == together[r]).all()
    assert 0 <= compressor.sharp_omega(5) <= compressor.omega(5)


@pytest.mark.parametrize("quantiser", EACH[2:], ids=lambda c: c.name)
def test_quantisers(quantiser):
    rng = np.random.default_rng(6)
    law, g, u = quantiser.law(4), rng.standard_normal((7, 4)), rng.random((7, 4))
    rows = np.array([6, 2, 2])
    assert (law.from_uniforms(u).take(rows).apply(g[rows]) == law.from_uniforms(u).apply(g)[rows]).all()
    assert law.uniforms == 4
    assert law.support_size == math.inf
    assert quantiser.variance(g).shape == (7,)
    assert (quantiser.variance(g)[rows] == quantiser.variance(g[rows])).all()
    with pytest.raises(ValueError, match=rf"values of {quantiser.name.split('(')[0]}.*cannot be listed"):
        law.support()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SketchCompressor(Unscaled(RandK(4, 1))), ValueError, r"unscaled.*must satisfy E\[S\] = I"),
        (lambda: SketchCompressor("randk"), TypeError, r"sketch='randk' is not accepted"),
        (lambda: SketchCompressor(RandK(4, 1)).law(5), ValueError, r"dim=5 is not accepted.*length 4"),
        (lambda: SketchCompressor(Gaussian(4, 1)).omega(3), ValueError, r"dim=3 is not accepted"),
        (lambda: DitheringCompressor(0), ValueError, r"levels=0 is not accepted"),
        (lambda: DitheringCompressor(1.5), TypeError, r"levels=1.5 is not accepted"),
        (lambda: NaturalCompressor().law(0), ValueError, r"dim=0 is not accepted"),
        (lambda: NaturalCompressor().omega(0), ValueError, r"dim=0 is not accepted"),
        (lambda: DitheringCompressor(2).omega(0), ValueError, r"dim=0 is not accepted"),
        (lambda: Uncompressed().law(0), ValueError, r"dim=0 is not accepted"),
        (lambda: Uncompressed().omega(-1), ValueError, r"dim=-1 is not accepted"),
    ],
)
def test_bad_settings_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()
