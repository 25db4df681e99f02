"""Rand-K as a mixture of a few laws: moments in fractions, and transforms in 60 digits that try to break the bounds."""

from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mastsim.expected.mixing import mix
from mastsim.expected.mixtures import MOST_NODES, bounds, log_remainders, mixture
from mastsim.problems import ExponentialSum, LogisticLoss
from tests.examples import examples

PAIRS = [(1, 5), (3, 8), (4, 8), (12, 123), (62, 123), (100, 123), (15, 30), (4700, 47000), (650000, 1300000)]


def chances(kept, units, most):
    """Return the chance that m given units are all kept, m = 0, …, most, as fractions."""
    out = [Fraction(1)]
    for m in range(most):
        out.append(out[-1] * Fraction(max(kept - m, 0), units - m) if m < units else Fraction(0))
    return out


def transform(e, kept, units):
    """Return E Π (1 − c_j + c_j e_j), and the derivatives in all e_j, by elementary symmetric polynomials."""
    pi = [mp.mpf(c.numerator) / c.denominator for c in chances(kept, units, len(e))]

    def symmetric(numbers):
        out = [mp.mpc(1)]
        for number in numbers:
            out = [(out[m] if m < len(out) else 0) + (out[m - 1] * number if m else 0) for m in range(len(out) + 1)]
        return out

    away = [each - 1 for each in e]
    value = mp.fsum(p * s for p, s in zip(pi, symmetric(away), strict=False))
    slopes = [
        mp.fsum(p * s for p, s in zip(pi[1:], symmetric(away[:j] + away[j + 1 :]), strict=False)) for j in range(len(e))
    ]
    return value, slopes


def mixed(e, kept, units, count):
    """Return the same by a mixture, whose doubles are used as they are."""
    q, w = (list(map(mp.mpc, part)) for part in mixture(kept, units, count))
    value, slopes = mp.mpc(0), [mp.mpc(0)] * len(e)
    for qk, wk in zip(q, w, strict=True):
        factors = [1 - qk + qk * each for each in e]
        value += wk * mp.fprod(factors)
        slopes = [s + wk * qk * mp.fprod(factors[:j] + factors[j + 1 :]) for j, s in enumerate(slopes)]
    return value, slopes


@pytest.mark.parametrize(("kept", "units"), PAIRS)
def test_moments_are_those_of_the_law(kept, units):
    for count in [*range(1, min(kept, units - kept, 10) + 1), min(kept, units - kept, MOST_NODES)]:
        q, w = mixture(kept, units, count)
        assert len(set(q)) == count
        size = float(np.abs(w).sum())
        for m, chance in enumerate(chances(kept, units, 2 * count - 1)):
            assert abs(complex(w @ q**m) - float(chance)) <= 4e-16 * (m + 2) * size
        assert abs(q.imag.sum()) < 1e-14


def test_the_first_moment_beyond_is_wrong():
    q, w = mixture(3, 8, 2)
    assert abs(complex(w @ q**4)) > 1e-3  # four of three are never kept


@pytest.mark.parametrize(("kept", "units"), PAIRS[1:-1])
def test_remainders_are_what_the_rule_lacks(kept, units):
    """In fractions: the central moments of the law, and those of the rule in 60 digits, which takes its nodes apart."""
    terms, mean = min(9, units), Fraction(kept, units)
    pi = chances(kept, units, terms)
    found = log_remainders(kept, units, terms, min(kept, units - kept, 3))
    for n in range(1, len(found) + 1):
        matrix = _jacobi(pi, n)
        for m in range(terms + 1):
            power = [Fraction(1)] + [Fraction(0)] * (n - 1)
            for _ in range(m):
                power = [sum(matrix[i][j] * power[j] for j in range(n)) - mean * power[i] for i in range(n)]
            central = sum(_binomial(m, k) * pi[k] * (-mean) ** (m - k) for k in range(m + 1))
            lacks = abs(central - power[0])
            assert (lacks == 0) == (m < 2 * n or found[n - 1, m] == -np.inf)
            if lacks:
                assert found[n - 1, m] == pytest.approx(
                    float(mp.log(mp.mpf(lacks.numerator) / lacks.denominator)), abs=1e-12
                )


def _binomial(m, k):
    out = 1
    for j in range(k):
        out = out * (m - j) // (j + 1)
    return out


def _jacobi(pi, n):
    """Return the matrix of multiplication by q in the orthogonal polynomials of moments, in fractions."""

    def product(p, q):
        return sum(a * b * pi[i + j] for i, a in enumerate(p) for j, b in enumerate(q))

    polynomials, matrix = [], [[Fraction(0)] * n for _ in range(n)]
    for k in range(n):
        p = [Fraction(0)] * k + [Fraction(1)]
        for other in polynomials:
            share = product(p, other) / product(other, other)
            p = [a - share * (other[i] if i < len(other) else 0) for i, a in enumerate(p)]
        polynomials.append(p)
    for k, p in enumerate(polynomials):
        up = [Fraction(0), *p]
        for i, other in enumerate(polynomials):
            matrix[i][k] = product(up, other) / product(other, other)
    return matrix


def attack(kept, units, theta, counts):
    """Return for each count the errors of value and slopes at e = e^{iθ}, relative to the bounds."""
    spread = float(np.abs(2 * np.sin(theta / 2)).sum())
    limits = bounds(kept, units, len(theta), np.array([spread]))
    with mp.workdps(60):
        e = [mp.expj(float(t)) for t in theta]
        value, slopes = transform(e, kept, units)
        out = []
        for n in counts:
            found, derivatives = mixed(e, kept, units, n)
            noise = 4e-16 * (len(e) + 4) * limits.growth[n - 1, 0]  # that of nodes and weights, which are doubles
            off = abs(found - value) - noise, max(abs(a - b) for a, b in zip(derivatives, slopes, strict=True)) - 4 * noise
            out.append((float(off[0]), float(off[1]), limits.value[n - 1, 0], limits.slope[n - 1, 0]))
    return out


def counts_for(kept, units, terms):
    """Return numbers of laws that are not exact for rows of so many terms, the last of which nearly is."""
    return range(1, min(kept, units - kept, 6, terms // 2) + 1)


@pytest.mark.parametrize(("kept", "units"), [(3, 8), (4, 8), (12, 123), (62, 123), (15, 30), (470, 4700), (7, 30), (29, 30)])
@pytest.mark.parametrize("terms", [2, 3, 4, 5, 7, 8, 14])
def test_all_entries_turned_half_way_do_not_break_the_bounds(kept, units, terms):
    """All e_j = −1, which is worst; r = 2n − 1 is exact and r = 2n is not."""
    terms = min(terms, units)
    found = attack(kept, units, np.full(terms, np.pi), counts_for(kept, units, terms))
    for n, (value, slope, most, steepest) in enumerate(found, start=1):
        assert value <= most
        assert slope <= steepest
        assert most == 0 if terms < 2 * n else most > 0
        if terms == 2 * n and most > 1e-12:
            assert value > 0.2 * most, "a bound that nothing comes near proves little"


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=examples(60), deadline=None)
def test_no_phases_break_the_bounds(seed):
    rng = np.random.default_rng(seed)
    units = int(rng.choice([2, 3, 5, 9, 16, 30, 123, 1000]))
    kept = int(rng.choice([1, max(1, units // 10), units // 2, units - 1]))
    assume(0 < kept < units)
    terms = int(rng.integers(2, min(units, 20) + 1))
    theta = rng.standard_normal(terms) * 10.0 ** (rng.uniform(-3, 1, terms) if rng.random() < 0.5 else rng.uniform(-3, 1))
    theta[rng.random(terms) < 0.2] = np.pi
    theta[rng.random(terms) < 0.2] = 0.0
    for value, slope, most, steepest in attack(kept, units, theta, counts_for(kept, units, terms)):
        assert value <= most
        assert slope <= steepest


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=examples(40), deadline=None)
def test_a_mixed_sum_is_as_near_the_sum_as_it_says(seed):
    """Phases whose terms reach as far as the sum allows, on both sides of an offset."""
    rng = np.random.default_rng(seed)
    units = int(rng.choice([12, 30, 123, 5000]))
    kept = int(rng.choice([max(2, units // 10), units // 2]))
    terms, accuracy = int(rng.integers(2, min(units, 14) + 1)), float(10.0 ** rng.uniform(-15, -8))
    found = LogisticLoss().shortest_sum(float(10.0 ** rng.uniform(-0.5, 1.0)), accuracy)
    parts = mix(found, kept, units, terms, accuracy)
    assume(parts is not None)
    theta = rng.standard_normal(terms) * 10.0 ** rng.uniform(-2, 0, terms)
    theta *= found.reach / max(np.sort(theta.clip(0))[-kept:].sum(), np.sort((-theta).clip(0))[-kept:].sum())
    with mp.workdps(50):
        truth, slope = mp.mpf(0), [mp.mpf(0)] * terms
        for t, weight in zip(found.frequencies, found.weights, strict=True):
            e = [mp.expj(mp.mpf(float(t)) * mp.mpf(float(each))) for each in theta]
            value, slopes = transform(e, kept, units)
            truth += (mp.mpc(weight) * value).real
            inner = mp.mpc(weight) * 1j * float(t)
            slope = [s + (inner * each * d).real for s, each, d in zip(slope, e, slopes, strict=True)]
        got, turned = mp.mpf(0), [mp.mpf(0)] * terms
        for t, weight, q in zip(parts.frequencies, parts.weights, parts.keep, strict=True):
            e = [mp.expj(mp.mpf(float(t)) * mp.mpf(float(each))) for each in theta]
            factors = [1 - mp.mpc(q) + mp.mpc(q) * each for each in e]
            got += (mp.mpc(weight) * mp.fprod(factors)).real
            for j, each in enumerate(e):
                rest = mp.mpc(q) * each * mp.fprod(factors[:j] + factors[j + 1 :])
                turned[j] += (mp.mpc(weight) * 1j * float(t) * rest).real
    noise = 1e-15 * (terms + 4)
    assert float(abs(got - truth)) <= parts.value + noise * parts.sizes[0]
    assert max(float(abs(a - b)) for a, b in zip(turned, slope, strict=True)) <= parts.slope + noise * parts.sizes[1]
    assert parts.value <= accuracy * (1 + found.reach)


def test_rounding_grows_only_where_weights_are_small():
    """Wide rows take many laws at high frequencies, whose weights make up for the size of their terms."""
    found = LogisticLoss().shortest_sum(17.0, 5e-15)
    parts = mix(found, 30, 300, 300, 5e-15, crowded=False)
    t, size = found.frequencies[found.weights != 0], np.abs(found.weights[found.weights != 0])
    most = bounds(30, 300, 300, 2 * t * found.reach).growth
    assert most.max() > 64
    assert parts.sizes[0] < 3 * size.sum()
    assert len(parts.weights) < 12 * len(t)


def test_few_kept_units_are_left_to_the_subset():
    found = LogisticLoss().shortest_sum(2.0, 1e-14)
    assert mix(found, 1, 100, 20, 1e-14) is None
    assert mix(found, 10, 10, 10, 1e-14) is None
    assert mix(found, 50, 100, 14, 1e-14) is not None


def test_a_sum_that_is_accurate_everywhere_is_never_mixed():
    """It says nothing of the size of rows, to which the accuracy is relative."""
    weights = np.array([0.0, -1.0], dtype=complex)
    everywhere = ExponentialSum(1.0, 0.0, 0.0, 0.0, 1.0, weights, np.inf, 0.0)
    assert mix(everywhere, 30, 60, 6, 1e-14) is None
    near = ExponentialSum(1.0, 0.0, 0.0, 0.0, 1.0, weights, 0.1, 0.0)
    assert mix(near, 30, 60, 6, 1e-14) is not None
