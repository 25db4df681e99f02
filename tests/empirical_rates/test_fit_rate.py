"""Measured orders: synthetic runs with known rates, exact moments and fractions as oracles, coverage, and mutations."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

import mastsim as ms
from mastsim.empirical_rates import RateFit, RateFits, fit_rate
from mastsim.empirical_rates.fit import SLOPE_RESOLUTION
from mastsim.empirical_rates.fitting import Curves, fit_curves
from mastsim.empirical_rates.floors import Setting, slope_between
from mastsim.empirical_rates.ratios import independent_ratio, paired_ratio
from mastsim.run import Run, stops
from mastsim.theorems import StronglyConvexDSGD

F = ms.Mast(ms.Quadratic(np.diag([1.0, 4.0]), np.ones(2)), ms.RandK(2, k=1))


def run_of(table, every=1, method=None):
    """A run whose distances are given, shape (replicas, records)."""
    table = np.asarray(table, dtype=float)
    steps = every * (table.shape[1] - 1)
    small = ms.simulate(method or ms.DSGD(0.01), F, steps=1, replicas=len(table), measures=("distance",))
    request = replace(small.request, steps=steps, every=every)
    return Run(request, steps, stops(every, steps), {"distance": table}, small.state, 0.0)


def noisy(rng, mean, replicas, spread=0.3):
    """Replicas around a mean path, each times by an independent factor of mean 1 and by noise of every record."""
    own = rng.gamma(1 / spread**2, spread**2, (replicas, 1))
    return mean * own * rng.gamma(100.0, 0.01, (replicas, len(mean)))


# Ratios --------------------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 10.0), st.sampled_from([0.3, 0.05, 0.01]))
def test_fiellers_interval_is_all_ratios_that_a_t_test_keeps(seed, ratio, alpha):
    rng = np.random.default_rng(seed)
    bottom = 5 + rng.standard_normal(12)
    top = ratio * bottom + rng.standard_normal(12)
    low, value, high = paired_ratio(top, bottom, alpha)
    assert value == pytest.approx(top.mean() / bottom.mean())
    for end, outside in ((low, -1e-6), (high, 1e-6)):
        assert scipy.stats.ttest_1samp(top - end * bottom, 0.0).pvalue == pytest.approx(alpha, rel=1e-6)
        assert scipy.stats.ttest_1samp(top - (end + outside) * bottom, 0.0).pvalue < alpha


def test_a_denominator_that_may_be_zero_says_nothing():
    assert paired_ratio(np.array([1.0, 2.0]), np.array([-1.0, 1.1]), 0.05)[::2] == (-math.inf, math.inf)
    assert math.isnan(paired_ratio(np.array([1.0]), np.array([0.0]), 0.05).value)


@pytest.mark.parametrize("paired", [True, False])
def test_the_interval_misses_the_ratio_as_often_as_stated(paired):
    # Normal pairs, for which Fieller's interval is exact: 4000 trials at 0.05 miss between 139 and 265 times, but for a
    # probability of 1e-6 (binomial); the two-sample interval is wider, so only the upper end counts.
    rng, missed, alpha, trials = np.random.default_rng(7), 0, 0.05, 4000
    low, high = scipy.stats.binom.ppf([5e-7, 1 - 5e-7], trials, alpha)
    for _ in range(trials):
        bottom = 4 + rng.standard_normal(8)
        top = 2 * (bottom if paired else 4 + rng.standard_normal(8)) + rng.standard_normal(8)
        found = (paired_ratio if paired else independent_ratio)(top, bottom, alpha)
        missed += not found.low <= 2 <= found.high
    assert missed <= high
    assert not paired or missed >= low


# Factors -------------------------------------------------------------------------------------------------------------


@given(st.floats(0.3, 0.98), st.floats(0.0, 5.0), st.floats(0.5, 100.0))
def test_exact_geometric_paths_give_their_factor_whatever_the_floor(factor, floor, start):
    path = floor + start * factor ** np.arange(60.0)
    moments = ms.moments.Moments(*[path] * 12)
    found = fit_rate(moments)
    assert found.factor == pytest.approx(factor, rel=1e-6)
    assert (found.tier, found.alpha, found.verdict) == ("exact", 0.0, "no claim")
    if floor == 0:
        assert fit_rate(moments, floor=False).factor == pytest.approx(factor, rel=1e-12)


def test_the_factor_of_replicas_is_covered_as_often_as_stated():
    # 600 synthetic runs at 0.05, asymptotic: more than 57 misses have a probability below 1e-6 at 0.05, and below 1e-3 even
    # if the true one were 0.065 at 36 replicas.
    rng, missed = np.random.default_rng(1), 0
    path = 2 + 50 * 0.9 ** np.arange(61.0)
    base = run_of(np.tile(path, (48, 1)))
    for _ in range(600):
        run = replace(base, traces={"distance": noisy(rng, path - 2, 48) + 2 * rng.gamma(25.0, 1 / 25, (48, 61))})
        low, high = fit_rate(run, alpha=0.05).factor_interval
        missed += not low <= 0.9 <= high
    assert missed <= 57


def test_rates_of_replicas_agree_with_exact_moments():
    x0, gamma = np.array([30.0, -20.0]), 0.02
    run = ms.simulate(ms.DSGD(gamma), F, steps=120, replicas=400, every=1, x0=x0, measures=("distance",))
    exact = ms.moments.propagate(F, ms.DSGD(gamma), x0, 120).distance
    found = fit_rate(run, alpha=1e-6)
    first, middle, last = (int(step) for step in found.over.removeprefix("steps ").split(", "))
    ratio = (exact[middle] - exact[last]) / (exact[first] - exact[middle])
    low, high = found.factor_interval
    assert low <= ratio ** (1 / (last - middle)) <= high
    assert high - low < 0.05


def test_a_theorem_is_judged_on_its_own_run_only():
    theorem = StronglyConvexDSGD(F)
    run = ms.simulate(theorem.method_at(theorem.stepsize), F, steps=100, replicas=64, every=1, x0=np.full(2, 30.0))
    found = fit_rate(run, theorem)
    assert found.verdict == "consistent"
    assert found.claimed_factor == pytest.approx(theorem.rate, rel=1e-12)
    assert "error probability at most 0.01, asymptotic" in found.sentence
    other = ms.simulate(ms.DSGD(theorem.stepsize), ms.Mast(F.problem, ms.Bernoulli(2, 0.5)), steps=10, replicas=4)
    with pytest.raises(ValueError, match="but the theorem is about"):
        fit_rate(other, theorem)


def test_a_rate_that_is_half_of_the_claimed_one_is_not_consistent():
    theorem = StronglyConvexDSGD(F)
    rho, gamma = -math.log(theorem.rate), theorem.stepsize
    rng = np.random.default_rng(3)
    verdicts = {}
    for share in (2.0, 1.0, 0.75, 0.5):
        path = np.exp(-share * rho * np.arange(81.0)) * 1e6
        run = run_of(noisy(rng, path, 400, 0.02), method=theorem.method_at(gamma))
        verdicts[share] = fit_rate(run, theorem, floor=False).verdict
    assert verdicts == {2.0: "consistent", 1.0: "consistent", 0.75: "not consistent", 0.5: "not consistent"}


def test_too_few_replicas_leave_it_undecided():
    theorem = StronglyConvexDSGD(F)
    path = theorem.rate ** np.arange(9.0)
    run = run_of(noisy(np.random.default_rng(0), path, 4, 2.0), method=theorem.method_at(theorem.stepsize))
    found = fit_rate(run, theorem, floor=False, alpha=1e-3)
    assert found.verdict == "undecided"
    assert "take more replicas" in found.sentence


# Exponents -----------------------------------------------------------------------------------------------------------


@given(st.floats(0.3, 0.95), st.floats(0.0, 3.0))
def test_exponents_are_those_of_averages_whatever_the_floor(power, floor):
    steps = np.arange(1.0, 4097.0)
    total = floor * steps + steps ** (1 - power)
    path = np.append(np.diff(total, prepend=0.0), 0.0)
    found = fit_rate(ms.moments.Moments(*[path] * 12), kind="sublinear")
    assert found.value == pytest.approx(power, rel=1e-6, abs=1e-6)


def test_an_exponent_is_not_judged_before_the_bound_is_below_the_start():
    theorem = ms.theorems.ConvexDSGD(F)
    method = theorem.method_at(theorem.stepsize)
    few, many = (ms.simulate(method, F, steps=steps, replicas=64, every=1, x0=np.full(2, 30.0)) for steps in (8, 800))
    assert fit_rate(few, theorem).verdict == "undecided"
    found = fit_rate(many, theorem)
    assert (found.verdict, found.claimed) == ("consistent", pytest.approx(1.0))
    assert found.quantity == "exponent of T"


class Falling:
    """A theorem whose step sizes fall: both terms do, the second as 1/T."""

    id, measure, over, rate, initial = "made up", "distance", "last", math.nan, 1.0

    def __init__(self, noise):
        self.noise = noise

    def terms(self, steps, stepsize, initial):
        return initial / np.asarray(steps) ** 2, self.noise / np.asarray(steps)


@pytest.mark.parametrize(("noise", "claimed"), [(100.0, 1.0), (1e-9, 2.0)])
def test_a_second_term_that_falls_is_no_floor_and_counts(noise, claimed):
    steps = np.arange(1025)
    for power, verdict in ((claimed, "consistent"), (claimed / 2, "not consistent")):
        path = np.append(1e9, np.arange(1.0, 1025.0) ** -power)
        curves = Curves(path[None], steps, "distance", "m", "f", Falling(noise), 0.1, 1.0)
        found = fit_curves(curves, "sublinear", None, 0.01)
        assert found.claimed == pytest.approx(claimed, abs=0.02)
        assert found.value == pytest.approx(power, rel=1e-9)
        assert (found.verdict, found.over) == (verdict, "steps 512, 1024")


def test_a_run_that_sits_on_its_floor_after_one_record_has_no_rate():
    with pytest.raises(ValueError, match="nothing is left to measure"):
        fit_rate(ms.moments.Moments(*[np.append(10.0, np.ones(20))] * 12))


# Slopes --------------------------------------------------------------------------------------------------------------


class Bound:
    """A theorem whose second term is proportional to a power of γ."""

    id, measure = "made up", "distance"

    def __init__(self, power):
        self.power = power

    def terms(self, steps, stepsize, initial):
        return 0 * np.asarray(steps), stepsize**self.power


def slope(claimed, true, replicas, seed=0, alpha=0.01):
    """The fit of floors γ^true, noisy, under the claim γ^claimed."""
    rng = np.random.default_rng(seed)
    settings = tuple(Setting(gamma, F, ms.DSGD(gamma), Bound(claimed), 1) for gamma in (0.08, 0.02))
    floors = tuple(s.value**true * (rng.gamma(4.0, 0.25, replicas) if replicas > 1 else np.ones(1)) for s in settings)
    return slope_between("floor in γ", "γ", settings, floors, alpha)


@given(st.floats(0.4, 3.0))
def test_a_floor_slope_that_is_halved_is_not_consistent(power):
    assert slope(power, power, 1).verdict == "consistent"
    assert slope(power, power, 1).value == pytest.approx(power)
    assert slope(power, power / 2, 1).verdict == "not consistent"
    assert slope(power, power + SLOPE_RESOLUTION, 1).verdict == "better than claimed"


def test_slopes_of_replicas_are_judged_with_the_stated_error_probability():
    # 400 pairs of samples at 0.05: more than 42 misses have a probability below 1e-6.
    fits = [slope(1.0, 1.0, 64, seed, alpha=0.05) for seed in range(400)]
    assert sum(not fit.low <= 1.0 <= fit.high for fit in fits) <= 42
    assert {fit.verdict for fit in fits} == {"consistent"}
    assert {slope(1.0, 0.5, 64, seed).verdict for seed in range(50)} == {"not consistent"}
    assert slope(1.0, 1.0, 2).verdict == "undecided"


def test_the_floor_of_one_coordinate_is_that_of_fractions():
    # f = ½x², S ∈ {0, 2}, v = 1: e⁺ = (1 − γS²)e − γ(S² − S)·… written out for x_D* with rationals.
    v, gamma, steps = Fraction(1), Fraction(1, 16), 8
    half = Fraction(1, 2)
    G = ms.Mast(ms.Quadratic(np.eye(1), np.zeros(1)), ms.Bernoulli(1, 0.5), shift=np.ones(1))
    best = v - half * 2 * v / (half * 4)  # E[Sᵀ(v + S(x − v))] = 0
    mean, second, kept = Fraction(0), Fraction(0), []
    for _ in range(steps):
        moved = [(1 - gamma * s * s, -gamma * s * (v + s * (best - v))) for s in (Fraction(0), Fraction(2))]
        mean, second = (
            sum((a * mean + b) * half for a, b in moved),
            sum((a * a * second + 2 * a * b * mean + b * b) * half for a, b in moved),
        )
        kept.append(second)
    theorem = StronglyConvexDSGD(G)
    setting = Setting(float(gamma), G, ms.DSGD(float(gamma)), theorem, steps)
    assert float(G.minimize().x[0]) == pytest.approx(float(best), abs=1e-12)
    assert setting.exact()[0] == pytest.approx(float(sum(kept[steps // 2 :]) / (steps - steps // 2)), rel=1e-12)


def test_exact_and_sampled_floors_agree():
    G = ms.Mast(ms.Quadratic(np.diag([1.0, 4.0, 2.0]) + 0.5, np.ones(3)), ms.RandK(3, k=2))
    theorem = StronglyConvexDSGD(G)
    setting = Setting(theorem.stepsize, G, ms.DSGD(theorem.stepsize), theorem, 20)
    sampled = setting.sampled(4000, 0)
    # Six standard errors: false with a probability below 1e-8.
    assert abs(sampled.mean() - setting.exact()[0]) <= 6 * sampled.std() / 4000**0.5
    assert setting.exact()[0] > 0


# Refusals and looks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "more", "message"),
    [
        ([[1.0, 0.5, 0.2]], {}, "run holds a single replica"),
        ([[1.0, math.inf, 0.2], [1.0, 0.5, 0.2]], {}, "run diverged: distance is infinite"),
        ([[1.0, 2.0, 3.0], [1.0, 2.0, 3.1]], {}, "run does not fall: its mean goes from 1 to"),
        ([[1.0, 0.5, 0.2], [1.0, 0.5, 0.3]], {"measure": "gap"}, "run did not record 'gap'; it has distance"),
        ([[1.0, 0.5, 0.2], [1.0, 0.5, 0.3]], {"alpha": 0.0}, "alpha=0 is not accepted"),
        ([[1.0, 0.5, 0.2], [1.0, 0.5, 0.3]], {"kind": "cubic"}, "unknown kind 'cubic'"),
        ([[1.0, 0.5, 0.2], [1.0, 0.5, 0.3]], {"kind": "sublinear"}, "exponents need steps T, 2T and 4T"),
    ],
)
def test_what_has_no_rate_is_refused(table, more, message):
    with pytest.raises(ValueError, match=message):
        fit_rate(run_of(table), **more)


def test_records_that_are_missing_or_of_nobody_are_refused():
    with pytest.raises(ValueError, match="use every=1"):
        fit_rate(run_of([[1.0, 0.5, 0.2], [1.0, 0.5, 0.3]], every=4), kind="sublinear")
    exact = ms.moments.propagate(F, ms.DSGD(0.01), np.ones(2), 8)
    with pytest.raises(ValueError, match="theorem2"):
        fit_rate(exact, StronglyConvexDSGD(F))
    theorem = StronglyConvexDSGD(F)
    run = ms.simulate(theorem.method_at(theorem.stepsize), F, steps=4, replicas=2)
    with pytest.raises(ValueError, match="a part of a run is not judged"):
        fit_rate(run.asked_for(8), theorem)


def test_fits_are_looked_at_as_text_frame_page_and_record():
    fit = RateFit("rate", "<m>", "f", "distance", 0.1, 0.11, 0.12, claimed=0.1, order_text="0.9^T", alpha=0.05)
    fits = RateFits([fit], [("<b>", "why")])
    assert "0.895834" in str(fits)
    assert "<b>: not measured: why" in str(fits)
    for page in (fit._repr_html_(), fits._repr_html_()):
        assert "&lt;m&gt;" in page
        assert "<m>" not in page
    record = fits.record()[0]
    assert record["factor"] == pytest.approx(math.exp(-0.11))
    assert (record["verdict"], record["alpha"]) == ("consistent", 0.05)
    assert fits.to_frame().loc[0, "claimed_factor"] == pytest.approx(math.exp(-0.1))
    assert fit.to_frame().loc[0, "verdict"] == "consistent"
