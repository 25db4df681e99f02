"""The table of measured orders: every method of ALL_METHODS, its claims, its command, and what a step costs."""

import itertools
import json
import math

import numpy as np
import pytest
from click.testing import CliRunner

import mastsim as ms
from mastsim.cli import main
from mastsim.empirical_rates import cost, measure_rates, table
from mastsim.empirical_rates.cost import cost_of
from mastsim.empirical_rates.fit import SLOPE_MARGIN
from mastsim.empirical_rates.floors import floor_in_clients, floor_in_masks, floor_of_reshuffled, rate_in_probability
from mastsim.methods.families import ALL_METHODS
from mastsim.spec import Spec

pytestmark = pytest.mark.slow

DATA = "synthetic:n=40,d=4"
SPEC = Spec(data=DATA, problem="least-squares", sketch="randk:0.5")


@pytest.fixture(scope="module")
def exact():
    return measure_rates(SPEC)


def dense(rng, dim):
    """A quadratic whose minimiser is no fixed point of masks."""
    A = rng.standard_normal((dim, dim))
    return ms.Quadratic(A @ A.T + 0.5 * np.eye(dim), rng.standard_normal(dim))


def by_kronecker(f, keeps, gamma):
    """The spectral radius of E T ⊗ T for T = I − γSᵀAS over masks, by enumeration."""
    A, d = f.upper_curvature.matrix, f.dim
    masks = [np.array([i in kept for i in range(d)]) * d / keeps for kept in itertools.combinations(range(d), keeps)]
    steps = [np.eye(d) - gamma * c[:, None] * A * c for c in masks]
    return np.abs(np.linalg.eigvals(sum(np.kron(T, T) for T in steps) / len(steps))).max()


def test_every_method_with_a_keyword_is_in_the_table(exact):
    said = " ".join([fit.method for fit in exact] + [name for name, _ in exact.refused])
    assert all(kind.__name__ in said for kind in ALL_METHODS if kind.keyword)
    assert {fit.verdict for fit in exact} <= {"consistent", "better than claimed", "no claim"}
    # Second moments of steps that change with their number have no spectral radius: those factors are from replicas.
    assert {fit.method for fit in exact if fit.tier != "exact"} <= {"AveragedMomentum"}


def test_factors_are_spectral_radii_found_by_enumeration(exact):
    fit = next(fit for fit in exact if (fit.quantity, fit.method) == ("rate", "DSGD"))
    F = SPEC.objective_of(SPEC.load())[1]
    theorem = ms.theorems.StronglyConvexDSGD(F)
    assert fit.factor == pytest.approx(by_kronecker(F.problem, 2, theorem.stepsize), rel=1e-9)
    assert fit.claimed_factor == pytest.approx(1 - theorem.stepsize * theorem.mu, rel=1e-9)


def test_replicas_agree_with_exact_moments_about_every_factor_of_a_random_method():
    spec = Spec(data="synthetic:n=60,d=24,condition=20", problem="least-squares", sketch="randk:0.5", condition_number=20.0)
    sampled = {(fit.quantity, fit.method): fit for fit in measure_rates(spec, replicas=64)}
    fit, F = sampled["floor in γ", "DSGD"], spec.objective_of(spec.load())[1]
    assert fit.verdict == "consistent"
    assert abs(fit.value - 1) < 0.3
    rate = sampled["rate", "LSVRDSG"]
    assert rate.tier == "asymptotic"
    assert rate.high - rate.low < 0.1 * rate.value
    # Without a floor the mean falls at least as fast as in the long run.
    assert rate.high >= -math.log(ms.moments.contraction(F, ms.LSVRDSG(_step(F))).upper)


def _step(F):
    return ms.theorems.LooplessSVRDSG(F).stepsize


def test_slopes_in_clients_masks_and_probability_are_those_of_theory():
    rng = np.random.default_rng(0)
    for dim in (3, 4):
        f = dense(rng, dim)
        clients, order = floor_in_clients(dense(rng, 4)), floor_of_reshuffled(f)
        assert (clients.verdict, round(clients.claimed, 9)) == ("consistent", 1.0)
        assert order.verdict in ("consistent", "better than claimed")
        assert order.claimed == pytest.approx(2, abs=0.1)
        masks = floor_in_masks(f)
        assert masks.good == "low"
        assert masks.verdict in ("consistent", "better than claimed")
        # The bound's floor is in proportion to (N + 1)·c, N from 3 to 6; c is within 2 % of 1 at these steps.
        assert masks.claimed == pytest.approx(math.log(7 / 4) / math.log(2), abs=0.05)
        assert rate_in_probability(f).verdict == "consistent"


def test_the_margin_is_twice_what_one_coordinate_is_off_by():
    """x⁺ = x − γ(x + ζ), ζ = ±1: the stationary variance by its own recursion, at a quarter and a sixteenth of γ = 1."""
    found = []
    for gamma in (1 / 4, 1 / 16):
        variance = 0.0
        for _ in range(3000):
            variance = (1 - gamma) ** 2 * variance + gamma**2
        found.append(variance)
    assert math.log(found[0] / found[1]) / math.log(4) - 1 == pytest.approx(SLOPE_MARGIN / 2, rel=1e-9)


def test_slopes_are_those_of_the_problem_itself_where_they_can_be():
    """Logistic regression: replicas for 1/M and N, least squares in its place for p; a small quadratic: all exact on it."""
    spec = Spec(data="synthetic:n=16,d=9", problem="logistic", sketch="randk:0.5", condition_number=5.0)
    F = spec.objective_of(spec.load())[1]
    found = {fit.quantity: fit for fit in measure_rates(spec, replicas=32) if fit.quantity in ("floor in 1/M", "rate in p")}
    clients, shift = found["floor in 1/M"], found["rate in p"]
    assert (clients.tier, shift.tier) == ("asymptotic", "exact")
    assert "columns" not in clients.over
    assert clients.verdict == "consistent"
    assert shift.over.endswith("; 8 columns")
    # What one measured is what theory's exact moments say of a quadratic: within the interval of its replicas.
    quadratic = dense(np.random.default_rng(3), 6)
    sampled = floor_in_clients(quadratic, lambda setting: setting.sampled(128, 1 + len(setting.objective.clients)), 1e-6)
    assert sampled.low <= floor_in_clients(quadratic).value <= sampled.high
    assert sampled.tier == "asymptotic"
    assert F.problem.dim > 8


def test_small_quadratics_of_ones_own_have_exact_slopes(exact):
    over = {
        fit.quantity: (fit.tier, fit.over) for fit in exact if fit.quantity in ("floor in 1/M", "floor in N", "rate in p")
    }
    assert len(over) == 3
    assert all(tier == "exact" and "columns" not in said for tier, said in over.values())


@pytest.mark.parametrize("slope", [floor_in_clients, rate_in_probability, floor_of_reshuffled])
def test_a_measured_slope_that_is_halved_would_be_seen(slope):
    from dataclasses import replace

    fit = slope(dense(np.random.default_rng(1), 4))
    assert replace(fit, low=fit.low / 2, value=fit.value / 2, high=fit.high / 2).verdict == "not consistent"


def test_costs_count_exact_gradients():
    F = ms.Mast(ms.LogisticRegression(np.eye(3), np.array([1.0, -1.0, 1.0]), l2=0.1), ms.RandK(3, k=1))
    assert cost_of(ms.GD(0.1), F, 0) == (1.0, True)
    assert cost_of(ms.DSGD(0.1), F, 0) == (0.0, False)
    gradients, alike = cost_of(ms.LSVRDSG(0.01, probability=0.5), F, 0)
    assert 0.2 < gradients < 1.2
    assert not alike
    assert F.minimize().gap_bound < 1e-9  # the copy's false gradients leave no trace


def test_logistic_regression_is_measured_by_replicas_with_as_many_exact_gradients_as_are_allowed(monkeypatch):
    for module in (cost, table):
        monkeypatch.setattr(module, "GRADIENTS", 96)
    found = measure_rates(Spec(data="synthetic:n=12,d=4", problem="logistic", sketch="randk:0.5", condition_number=20.0))
    fits = {(fit.quantity, fit.method): fit for fit in found}
    assert fits["rate", "DSGD"].verdict == "consistent"
    assert fits["rate", "GD"].over == "steps 0, 48"
    assert "not consistent" not in {fit.verdict for fit in found}


def test_the_command_prints_the_table_and_writes_it():
    said = CliRunner().invoke(main, ["rates", "--data", DATA, "--problem", "least-squares"])
    assert said.exit_code == 0
    assert "error probability of all verdicts together at most 0.01" in said.stdout
    found = CliRunner().invoke(main, ["rates", "--data", DATA, "--problem", "least-squares", "--json", "-"])
    document = json.loads(found.stdout)
    assert document["tiers"] == {"exact": "exact", "asymptotic": "estimate"}
    assert {row["tier"] for row in document["rates"] if row["claimed"] is not None} == {"exact"}
    assert document["spec"]["sketch"] == "randk:0.5"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--replicas", "3"), "replicas=3 is not accepted"),
        (("--alpha", "1"), "alpha=1 is not accepted"),
        (("--sketch", "nonsense"), "nonsense"),
    ],
)
def test_the_command_refuses_what_is_out_of_range_before_any_work(more, message):
    found = CliRunner().invoke(main, ["rates", "--data", DATA, *more])
    assert found.exit_code == 2
    assert message in found.stderr
