"""Verdicts about one mean: the betting is fair (by enumeration), calibrated (by experiments) and not powerless."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from mastsim.verification import sequential
from mastsim.verification.sequential import decide_mean_at_most, family_alpha

pytestmark = pytest.mark.slow

EXACT = settings(deadline=None, derandomize=True, max_examples=15)
TOP = 12  # the laws below live on {0, ..., TOP}


@st.composite
def laws(draw):
    """Small laws on integers: ((value, exact probability), ...), not the constant 0 or TOP."""
    values = draw(st.lists(st.integers(0, TOP), min_size=2, max_size=3, unique=True))
    weights = draw(st.lists(st.integers(1, 9), min_size=len(values), max_size=len(values)))
    return tuple((v, Fraction(w, sum(weights))) for v, w in zip(values, weights, strict=True))


def mean_of(law):
    return sum(v * p for v, p in law)


def outcomes(law):
    """Every sequence of at most 81 (three values) or 64 (two values) with its exact probability."""
    steps = 6 if len(law) == 2 else 4
    for sequence in itertools.product(law, repeat=steps):
        yield np.array([float(v) for v, _ in sequence]), float(math.prod(p for _, p in sequence))


def expected(law, bound, alpha, quantity):
    return math.fsum(p * quantity(decide(x, bound, alpha)) for x, p in outcomes(law))


def decide(x, bound, alpha, upper=float(TOP)):
    return decide_mean_at_most(x, bound, alpha, upper=upper, rounding=0.0)


def wealth_against(decision):
    return math.exp(decision.log_evidence_against)


def wealth_for(decision):
    return math.exp(decision.log_evidence_for)


# ------------------------------------------------------------------------------------- exact: every outcome enumerated


@EXACT
@given(laws(), st.sampled_from([1e-30, 0.4, 0.1]))
def test_wealth_is_a_fair_game_on_the_boundary_with_and_without_stopping(law, alpha):
    # E[X] = B exactly: the expected wealth of either bet is 1, also when stopped at 1/alpha (1e-30 never stops).
    bound = float(mean_of(law))
    assert expected(law, bound, alpha, wealth_against) == pytest.approx(1.0, rel=1e-9)
    assert expected(law, bound, alpha, wealth_for) == pytest.approx(1.0, rel=1e-9)


@EXACT
@given(laws(), st.integers(1, 9), st.sampled_from([1e-30, 0.2]))
def test_wealth_is_an_unfavourable_game_inside_the_hypothesis(law, tenths, alpha):
    mean = mean_of(law)
    above = float(mean + (TOP - mean) * Fraction(tenths, 10))
    assert expected(law, above, alpha, wealth_against) < 1.0
    below = float(mean * Fraction(tenths, 10))
    assert expected(law, below, alpha, wealth_for) < 1.0


@EXACT
@given(laws(), st.sampled_from([0.6, 0.4, 0.2]))
def test_probability_of_a_wrong_verdict_is_at_most_alpha(law, alpha):
    bound = float(mean_of(law))  # on the boundary both hypotheses are true, so either verdict would be an error
    against = expected(law, bound, alpha, lambda d: d.log_evidence_against >= -math.log(alpha))
    supporting = expected(law, bound, alpha, lambda d: d.log_evidence_for >= -math.log(alpha))
    assert max(against, supporting) <= alpha + 1e-12


@EXACT
@given(laws(), st.integers(1, 12), st.sampled_from([0.7, 0.3, 0.1]))
def test_verdict_is_the_evidence_and_the_limit(law, bound, alpha):
    for x, _ in outcomes(law):
        d = decide(x, float(bound), alpha)
        assert (d.verdict == "refuted") == (d.log_evidence_against >= -math.log(alpha))
        confirmed = d.log_evidence_for >= -math.log(alpha)
        assert (d.verdict == "holds") == (confirmed and d.verdict != "refuted")
        assert confirmed == (d.upper_limit <= d.bound)
        assert d.tier == "bounded"


# ------------------------------------------------------------------------------------------ calibration by experiments

# Each false alarm has probability <= LEVEL, so the count is below Binomial(EXPERIMENTS, LEVEL) in law; a correct
# implementation exceeds `ALLOWED` with probability at most 1e-9 (and the seed is fixed).
LEVEL, EXPERIMENTS = 0.05, 600
ALLOWED = int(binom.isf(1e-9, EXPERIMENTS, LEVEL))

NULLS = {
    "exponential": lambda rng, n: rng.exponential(size=n),
    "lognormal": lambda rng, n: np.exp(rng.normal(size=n) - 0.5),
    "rare": lambda rng, n: 10.0 * (rng.random(n) < 0.1),
    "uniform": lambda rng, n: rng.uniform(0, 2, size=n),
}


def test_the_allowed_count_is_the_stated_tail():
    assert binom.sf(ALLOWED, EXPERIMENTS, LEVEL) <= 1e-9
    assert ALLOWED < 0.13 * EXPERIMENTS


@pytest.mark.parametrize("name", NULLS)
def test_true_claims_are_rarely_refuted_under_optional_stopping(name):
    rng = np.random.default_rng(20240)
    claims = (decide_mean_at_most(NULLS[name](rng, 150), 1.0, LEVEL) for _ in range(EXPERIMENTS))
    assert sum(d.verdict == "refuted" for d in claims) <= ALLOWED


@pytest.mark.parametrize("name", ["rare", "uniform"])
def test_claims_on_the_boundary_are_rarely_confirmed(name):
    rng = np.random.default_rng(20241)
    upper = {"rare": 10.0, "uniform": 2.0}[name]
    drawn = [NULLS[name](rng, 150) for _ in range(EXPERIMENTS)]
    assert sum(decide_mean_at_most(x, 1.0, LEVEL, upper=upper).verdict == "holds" for x in drawn) <= ALLOWED
    # The asymptotic tier looks once, at the end; 150 samples of these laws are normal enough.
    assert sum(decide_mean_at_most(x, 1.0, LEVEL).verdict == "holds" for x in drawn) <= ALLOWED


def test_power_against_a_violation_by_a_fifth():
    # Kelly betting on 1.2 * uniform(0, 2) needs about 440 samples at 1e-8; a sound but timid bet would fail here.
    x = 1.2 * np.random.default_rng(1).uniform(0, 2, size=4000)
    d = decide_mean_at_most(x, 1.0, 1e-8)
    assert d.verdict == "refuted"
    assert d.needed <= 800
    assert d.smallest_violation <= 1.08


def test_power_to_confirm_with_room_of_a_fifth():
    x = 0.8 * np.random.default_rng(2).uniform(0, 2, size=4000)
    for upper, tier in ((1.6, "bounded"), (None, "asymptotic")):
        d = decide_mean_at_most(x, 1.0, 1e-8, upper=upper)
        assert (d.verdict, d.tier) == ("holds", tier)
        assert d.mean < d.upper_limit < 0.9
        assert d.needed <= 4000


# ------------------------------------------------------------------------------------------------- what is reported


def test_needed_is_about_where_the_decision_falls():
    rng = np.random.default_rng(3)
    for x, upper in ((1.2 * rng.uniform(0, 2, 5000), None), (0.8 * rng.uniform(0, 2, 5000), 2.0)):
        early = decide_mean_at_most(x[:120], 1.0, 1e-8, upper=upper)
        late = decide_mean_at_most(x, 1.0, 1e-8, upper=upper)
        assert early.verdict == "inconclusive"
        assert late.verdict != "inconclusive"
        assert 120 < early.needed < math.inf
        assert 1 / 3 < early.needed / late.needed < 3
        at = int(late.needed)
        assert decide_mean_at_most(x[:at], 1.0, 1e-8, upper=upper).verdict == late.verdict
        assert decide_mean_at_most(x[: at - 1], 1.0, 1e-8, upper=upper).verdict == "inconclusive"


def test_needed_of_the_asymptotic_tier_is_about_where_the_decision_falls():
    x = np.random.default_rng(4).exponential(size=40_000) * 0.95
    early = decide_mean_at_most(x[:8000], 1.0, 1e-8)
    assert (early.verdict, early.tier) == ("inconclusive", "asymptotic")
    assert 8000 < early.needed < 40_000
    assert decide_mean_at_most(x, 1.0, 1e-8).verdict == "holds"


@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-8, 1e-3]))
@EXACT
def test_smallest_violation_is_where_rescaled_samples_are_refuted(seed, alpha):
    x = np.random.default_rng(seed).exponential(size=60)
    least = decide_mean_at_most(x, 1.0, alpha).smallest_violation
    scaled = x / x.mean() * least
    assert decide_mean_at_most(scaled * (1 + 1e-6), 1.0, alpha).verdict == "refuted"
    assert decide_mean_at_most(scaled * (1 - 1e-6), 1.0, alpha).verdict != "refuted"
    assert decide_mean_at_most(7 * x, 3.0, alpha).smallest_violation == pytest.approx(least, rel=1e-8)


@given(st.integers(0, 2**32 - 1), st.sampled_from([2.0, 50.0]))
@EXACT
def test_upper_limit_does_not_depend_on_the_claim_and_decides_every_claim(seed, upper):
    x = np.random.default_rng(seed).uniform(0, 2, size=120)
    limit = decide_mean_at_most(x, 1.0, 1e-4, upper=upper).upper_limit
    assert x.mean() < limit <= upper
    for bound in limit * (1 + np.linspace(-3e-10, 3e-10, 13)):
        d = decide_mean_at_most(x, bound, 1e-4, upper=upper, rounding=0.0)
        assert (d.log_evidence_for >= -math.log(1e-4)) == (d.upper_limit <= d.bound)
    for bound in (0.3, limit * (1 - 1e-5), limit * (1 + 1e-5), upper):
        d = decide_mean_at_most(x, bound, 1e-4, upper=upper)
        assert (d.log_evidence_for >= -math.log(1e-4)) == (limit <= bound)
        assert d.upper_limit == pytest.approx(limit, rel=1e-6)


@given(st.integers(0, 2**32 - 1))
@EXACT
def test_asymptotic_limit_and_verdict_agree_and_the_tier_is_named(seed):
    x = np.random.default_rng(seed).exponential(size=400)
    limit = decide_mean_at_most(x, 1.0, 1e-4).upper_limit
    for bound in (0.9, limit, 1.1 * limit, 2.0, 100.0):
        d = decide_mean_at_most(x, bound, 1e-4)
        assert d.tier == "asymptotic"
        assert (d.log_evidence_for >= -math.log(1e-4)) == (d.upper_limit <= d.bound)


@pytest.mark.parametrize("n", [1, 30, 1000, 10**5])
@pytest.mark.parametrize("alpha", [0.05, 1e-8])
def test_normal_mixture_is_a_fair_game_on_normal_sums(n, alpha):
    # Expectation over the sum S = sqrt(n) z, z standard normal, by the trapezoidal rule (analytic: converges fast).
    z = np.linspace(-600, 600, 24_001)
    logs = [sequential._normal_mixture(n, v / math.sqrt(n), -math.log(alpha)) - v * v / 2 for v in z]
    total = np.exp(logs).sum() * (z[1] - z[0]) / math.sqrt(2 * math.pi)
    assert total == pytest.approx(1.0, rel=1e-9)


def test_asymptotic_limit_is_a_few_standard_errors_above_the_mean():
    d = decide_mean_at_most(np.random.default_rng(5).exponential(size=2000), 1.0, 1e-8)
    fixed_sample = 5.61  # normal quantile at 1 - 1e-8: what looking once, at a size chosen beforehand, would need
    assert fixed_sample < (d.upper_limit - d.mean) / d.stderr < 1.3 * fixed_sample


# ----------------------------------------------------------------------------------------------------------- invariants


@pytest.mark.parametrize("chunk", [1, 7, 10_000])
def test_chunks_leave_no_trace(monkeypatch, chunk):
    x = np.random.default_rng(6).exponential(size=300)
    before = vars(decide_mean_at_most(x, 1.3, 1e-8, upper=50.0))
    monkeypatch.setattr(sequential, "_CHUNK", chunk)
    after = vars(decide_mean_at_most(x, 1.3, 1e-8, upper=50.0))
    assert {k: after.pop(k) for k in ("verdict", "tier")} == {k: before.pop(k) for k in ("verdict", "tier")}
    assert after == pytest.approx(before, rel=1e-12)  # the last bit of log1p depends on its place in a SIMD register


def test_a_decision_is_never_revoked_and_its_evidence_stays():
    rng = np.random.default_rng(7)
    x = np.concatenate([rng.uniform(0, 4, size=300), np.zeros(3000)])  # later samples speak for the claim
    first, later = (decide_mean_at_most(part, 1.0, 1e-6) for part in (x[:300], x))
    assert first.verdict == later.verdict == "refuted"
    assert first.log_evidence_against == later.log_evidence_against
    assert first.needed == later.needed <= 300


def test_order_does_not_change_undecided_evidence():
    x = np.random.default_rng(8).exponential(size=200)
    one, two = (decide_mean_at_most(v, 1.0, 1e-30, upper=40.0) for v in (x, x[::-1]))
    assert one.log_evidence_against == pytest.approx(two.log_evidence_against, abs=1e-9)
    assert one.log_evidence_for == pytest.approx(two.log_evidence_for, abs=1e-9)


def test_units_do_not_matter():
    x = np.random.default_rng(9).exponential(size=200)
    one = decide_mean_at_most(x, 0.5, 1e-6)
    for unit in (1e-150, 1e150, 1e300):
        two = decide_mean_at_most(unit * x, unit * 0.5, 1e-6)
        assert (two.verdict, two.needed) == (one.verdict, one.needed)
        assert two.log_evidence_against == pytest.approx(one.log_evidence_against, abs=1e-9)
        assert two.stderr == pytest.approx(unit * one.stderr)
        assert two.upper_limit == pytest.approx(unit * one.upper_limit)


# ----------------------------------------------------------------------------------------------------- degenerate cases


@pytest.mark.parametrize("upper", [None, 1.0, 1.7])
@pytest.mark.parametrize("n", [1, 2, 5000])
@pytest.mark.parametrize("rounding", [0.0, 1e-12])
def test_equality_without_variance_stays_open(n, upper, rounding):
    d = decide_mean_at_most(np.ones(n), 1.0, 1e-8, upper=upper, rounding=rounding)
    # With upper = B the claim is proven without any sample.
    assert d.verdict == ("holds" if upper == 1.0 else "inconclusive")
    assert d.needed == 1 if upper == 1.0 else d.needed > 1e9


def test_rounding_inflates_the_bound():
    x = np.full(3000, 1.05)
    assert decide_mean_at_most(x, 1.0, 1e-8).verdict == "refuted"
    loose = decide_mean_at_most(x, 1.0, 1e-8, upper=2.0, rounding=0.1)
    assert loose.bound == pytest.approx(1.1)
    assert loose.verdict == "holds"


@pytest.mark.parametrize("upper", [None, 3.0])
def test_constant_samples_below_and_above(upper):
    assert decide_mean_at_most(np.full(400, 0.5), 1.0, 1e-8, upper=upper).verdict == "holds"
    assert decide_mean_at_most(np.full(400, 2.0), 1.0, 1e-8, upper=upper).verdict == "refuted"
    # A handful of equal samples proves nothing, even to the central limit theorem.
    assert decide_mean_at_most(np.full(3, 0.5), 1.0, 1e-8, upper=upper).verdict == "inconclusive"


def test_bound_zero():
    refuted = decide_mean_at_most([0.0, 0.0, 1e-300], 0.0, 1e-8)
    assert (refuted.verdict, refuted.log_evidence_against, refuted.needed) == ("refuted", math.inf, 3)
    assert decide_mean_at_most([0.0, 1e-3], 0.0, 1e-8, upper=1.0).verdict == "refuted"
    for upper in (None, 1.0):
        open_ = decide_mean_at_most(np.zeros(500), 0.0, 1e-8, upper=upper)
        assert (open_.verdict, open_.needed, open_.smallest_violation) == ("inconclusive", math.inf, math.inf)
        assert open_.upper_limit > 0
    assert decide_mean_at_most([0.0], 0.0, 1e-8, upper=0.0).verdict == "holds"


def test_all_zero_samples_confirm_a_positive_bound():
    for upper in (None, 5.0):
        d = decide_mean_at_most(np.zeros(400), 1.0, 1e-8, upper=upper)
        assert (d.verdict, d.mean, d.stderr) == ("holds", 0.0, 0.0)
        assert 0 < d.upper_limit < 1


def test_one_sample():
    d = decide_mean_at_most([0.3], 1.0, 1e-8)
    assert (d.verdict, d.stderr, d.samples) == ("inconclusive", math.inf, 1)
    assert decide_mean_at_most([1e12], 1.0, 1e-8).verdict == "refuted"


def test_a_diverged_replica_refutes_whatever_came_before():
    x = np.append(np.zeros(100_000), [math.inf, 0.0])
    d = decide_mean_at_most(x, 1.0, 1e-300)
    assert (d.verdict, d.log_evidence_against, d.needed) == ("refuted", math.inf, 100_001)
    assert (d.mean, d.stderr, d.upper_limit, d.log_evidence_for) == (math.inf, math.inf, math.inf, -math.inf)
    assert decide_mean_at_most([math.inf], 1e300, 1e-8).verdict == "refuted"


def test_huge_ratios_do_not_count_as_divergence():
    d = decide_mean_at_most([1e300, 0.0], 1e-300, 1e-8)
    assert d.verdict == "refuted"
    assert d.log_evidence_against < math.inf


def test_samples_may_exceed_the_proven_bound_by_rounding_only():
    x = np.full(50, 2.0) * (1 + 1e-15)
    d = decide_mean_at_most(x, 1.0, 1e-8, upper=2.0)
    assert (d.verdict, d.upper_limit) == ("refuted", 2.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"samples": [1.0, math.nan]}, r"samples\[1\] is nan"),
        ({"samples": [1.0, 2.0, -0.5]}, r"samples\[2\] is -0.5: the variable must be nonnegative"),
        ({"samples": []}, r"samples has shape \(0,\)"),
        ({"samples": [[1.0]]}, r"samples has shape \(1, 1\)"),
        ({"bound": -1.0}, r"bound=-1.0 is not accepted"),
        ({"bound": math.inf}, r"bound=inf is not accepted"),
        ({"bound": math.nan}, r"bound=nan is not accepted"),
        ({"alpha": 0.0}, r"alpha=0.0 is not accepted"),
        ({"alpha": 1.0}, r"alpha=1.0 is not accepted: it must lie strictly between 0 and 1"),
        ({"upper": -1.0}, r"upper=-1.0 is not accepted"),
        ({"upper": 0.9}, r"upper=0.9 is not an upper bound: samples\[1\] is 1.5"),
        ({"samples": [0.5, math.inf], "upper": 9.0}, r"upper=9.0 is not an upper bound: samples\[1\] is inf"),
        ({"rounding": -1e-3}, r"rounding=-0.001 is not accepted"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        decide_mean_at_most(**({"samples": [1.0, 1.5], "bound": 1.0, "alpha": 0.01} | arguments))


# ------------------------------------------------------------------------------------------------------------- families


def test_family_alpha():
    assert family_alpha(1e-6, 1) == 1e-6
    assert family_alpha(1e-6, 40) * 40 == pytest.approx(1e-6)
    with pytest.raises(ValueError, match=r"tests=0 is not accepted"):
        family_alpha(1e-6, 0)
    with pytest.raises(TypeError, match=r"tests=2.5 is not accepted"):
        family_alpha(1e-6, 2.5)
    with pytest.raises(ValueError, match=r"alpha=2.0 is not accepted"):
        family_alpha(2.0, 3)
