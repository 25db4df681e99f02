"""Clients that come and go: steps and moments against loops over every outcome written out here."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mastsim as ms
from mastsim.advice import covering
from mastsim.moments import ClosedRecursion, EnumeratedRecursion, propagate
from mastsim.simulation import simulate
from mastsim.stepsizes import AskedStep, choose_step
from mastsim.theorems import AssumptionError, ConvexDistributed, ParticipationByNumber, ParticipationByProbability
from tests.oracles.listed_laws import law

WAYS = [ms.Participation(p=0.3), ms.Participation(m=2), ms.Participation(m=1)]


def clients(seed=0, permk=False, count=3):
    rng = np.random.default_rng(seed)
    parts = []
    for _ in range(count):
        A = rng.standard_normal((count, count))
        parts.append(ms.Quadratic(A.T @ A + 0.1 * np.eye(count), rng.standard_normal(count)))
    sketches = (
        ms.PermK(count, clients=count) if permk else [ms.RandK(count, k=1), ms.RandK(count, k=2), ms.Identity(count)][:count]
    )
    return ms.Distributed(parts, sketches, shift=rng.standard_normal(count))


def takers(way, M):
    """Return every set of clients with its probability, and the weight of those in it."""
    if way.m is not None:
        sets = list(itertools.combinations(range(M), way.m))
        return [(s, 1 / len(sets), 1 / way.m) for s in sets]
    return [
        (s, way.p ** len(s) * (1 - way.p) ** (M - len(s)), 1 / (way.p * M))
        for size in range(M + 1)
        for s in itertools.combinations(range(M), size)
    ]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.text)
def test_one_step_over_every_outcome(way):
    F, x, gamma = clients(), np.array([1.0, -2.0, 0.5]), 0.1
    laws = [list(zip(*law(S), strict=True)) for S in F.sketches]
    slopes = lambda i, S: S.T @ (F.problems[i].A @ (F.center + S @ (x - F.center)) - F.problems[i].b)  # noqa: E731
    found = mean = 0.0
    for chosen in itertools.product(*laws):
        chance = np.prod([w for _, w in chosen])
        sent = [slopes(i, S) for i, (S, _) in enumerate(chosen)]
        for taken, p, weight in takers(way, 3):
            after = x - gamma * weight * sum((sent[i] for i in taken), np.zeros(3))
            found += chance * p * np.sum((after - F.minimize().x) ** 2)
            mean = mean + chance * p * after
    np.testing.assert_allclose(mean, x - gamma * F.gradient(x), rtol=1e-10)
    method = ms.DistributedDSGD(gamma, participation=way)
    assert propagate(F, method, x, 1).distance[1] == pytest.approx(found, rel=1e-10)


@pytest.mark.parametrize("permk", [False, True])
@pytest.mark.parametrize("way", [*WAYS, ms.Participation(p=1), ms.Participation(m=3)], ids=lambda way: way.text)
def test_the_closed_recursion_is_the_enumerated_one(way, permk):
    F = clients(2, permk)
    method = ms.DistributedDSGD(0.02, participation=way)
    form, x0 = [{("x", "x"): np.eye(3)}], np.array([1.0, 2.0, -1.0])
    one, two = (kind(F, method).run(x0, 40, form) for kind in (ClosedRecursion, EnumeratedRecursion))
    np.testing.assert_allclose(one, two, rtol=1e-9)


def test_all_clients_are_all_clients_bit_for_bit():
    F = clients(1)
    told = {"steps": 20, "replicas": 4, "seed": 1, "x0": "normal", "measures": ("f",)}
    plain = simulate(ms.DistributedDSGD(0.01), F, **told)
    for way in (ms.Participation(), ms.Participation(p=1), ms.Participation(m=3)):
        other = simulate(ms.DistributedDSGD(0.01, participation=way), F, **told)
        np.testing.assert_array_equal(plain.state["x"], other.state["x"])


@pytest.mark.parametrize("averaging", ["mean", "coverage"])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.text)
def test_replicas_agree_with_exact_moments_and_do_not_depend_on_company(way, averaging):
    F = clients(3, permk=True)
    method = ms.DistributedDSGD(0.02, participation=way, averaging=averaging)
    x0 = np.array([1.0, -1.0, 2.0])
    exact = propagate(F, method, x0, 6).error
    told = {"steps": 6, "seed": 3, "x0": x0, "every": 1, "measures": ("error",)}
    run = simulate(method, F, replicas=4000, **told)
    mean, spread = run.traces["error"].mean(axis=0), run.traces["error"].std(axis=0) / 4000**0.5
    # Seven means beyond six standard errors: a chance below 1e-7 by the normal law.
    assert (np.abs(mean - exact) <= 6 * spread + 1e-9 * exact).all()
    few = simulate(method, F, replicas=5, chunk=2, threads=2, **told)
    np.testing.assert_array_equal(few.state["x"], run.state["x"][:5])


@pytest.mark.parametrize("rule", [ms.Refreshed(0.4), ms.Held(2)], ids=lambda rule: rule.text)
def test_shifts_move_for_all_clients(rule):
    F = clients(4, count=2)
    method = ms.DistributedDSGD(0.05, shift=rule, participation=ms.Participation(m=1))
    x0 = np.array([1.0, -2.0])
    run = simulate(method, F, steps=4, replicas=4000, seed=2, x0=x0, every=1, measures=("error",))
    exact = propagate(F, method, x0, 4).error
    mean, spread = run.traces["error"].mean(axis=0), run.traces["error"].std(axis=0) / 4000**0.5
    # Five means beyond six standard errors: a chance below 1e-7 by the normal law.
    assert (np.abs(mean - exact) <= 6 * spread + 1e-9 * exact).all()
    np.testing.assert_array_equal(method.target(F), F.problem.minimize().x)


def test_coverage_averages_over_those_that_kept_a_coordinate():
    # d = 2, both clients keep one coordinate each (Perm-K): every coordinate is the gradient of the one that kept it.
    F = clients(5, permk=True, count=2)
    x0, gamma = np.array([0.4, -1.0]), 0.1
    run = simulate(ms.DistributedDSGD(gamma, averaging="coverage"), F, steps=1, replicas=40, x0=x0)
    ends = []
    for order in ((0, 1), (1, 0)):
        g = np.zeros(2)
        for i, coordinate in enumerate(order):
            S = np.zeros((2, 2))
            S[coordinate, coordinate] = 2.0
            g[coordinate] = (F.problems[i].A @ (F.center + S @ (x0 - F.center)) - F.problems[i].b)[coordinate]
        ends.append(x0 - gamma * g)
    assert all(min(np.abs(x - end).max() for end in ends) < 1e-12 for x in run.state["x"])
    # A coordinate that nobody kept does not move.
    half = ms.Distributed([F.problems[0]], ms.RandK(2, k=1))
    still = simulate(ms.DistributedDSGD(gamma, averaging="coverage"), half, steps=1, replicas=20, x0=x0)
    assert ((still.state["x"] == x0).sum(axis=1) == 1).all()


@given(st.integers(2, 6), st.floats(0.05, 1.0), st.integers(1, 6))
def test_the_moments_of_the_weights(M, p, m):
    for way in (ms.Participation(p=p), ms.Participation(m=min(m, M))):
        table = [
            (np.isin(np.arange(M), s) * w, c) for s, c, w in takers(way if way.p or way.m else ms.Participation(m=M), M)
        ]
        own, pairs = way.moments(M)
        assert M**2 * sum(c * w[0] ** 2 for w, c in table) == pytest.approx(own)
        assert M**2 * sum(c * w[0] * w[1] for w, c in table) == pytest.approx(pairs)
        assert sum(c * w[0] for w, c in table) == pytest.approx(1 / M)


def test_theorems_are_found_for_the_participation_that_is_run_and_none_for_coverage():
    F = clients(6)
    assert covering(F, ms.DistributedDSGD(1.0, participation=WAYS[0]), 10, sharp=False).id.startswith("participation-")
    assert covering(F, ms.DistributedDSGD(1.0, participation=WAYS[1]), 10, sharp=False).participation.m == 2
    dealt = clients(6, permk=True)
    assert covering(dealt, ms.DistributedDSGD(1.0, participation=WAYS[0]), 10, sharp=False).id == "participation-dependent"
    assert covering(F, ms.DistributedDSGD(1.0, averaging="coverage"), 10, sharp=False) is None
    with pytest.raises(ValueError, match="coverage-normalised averaging is not unbiased"):
        choose_step(AskedStep.read("theory"), ms.DistributedDSGD(1.0, averaging="coverage"), F, steps=10)
    method = ms.DistributedDSGD(ConvexDistributed(F).stepsize, averaging="coverage")
    with pytest.raises(ValueError, match="coverage-normalised"):
        ms.verify(ConvexDistributed(F), simulate(method, F, steps=3))


def test_settings_are_read_from_text_and_refused_where_they_fit_nothing():
    known = ms.DistributedDSGD.settings()
    for text, way in {"p:0.5": ms.Participation(p=0.5), "m:2": ms.Participation(m=2), "p:1": ms.Participation()}.items():
        assert known["participation"].build(text, None) == way
        assert way.text == text
    assert ms.DistributedDSGD.spell({"participation": "p:0.50", "averaging": "coverage"}) == (
        ("averaging", "coverage"),
        ("participation", "p:0.5"),
    )
    F = clients(7)
    for make, message in [
        (lambda: ms.Participation(p=0.5, m=1), "not accepted together"),
        (lambda: ms.Participation(p=0), r"p=0\.0 is not accepted"),
        (lambda: ms.Participation(m=0), "m=0 is not accepted"),
        (lambda: simulate(ms.DistributedDSGD(0.1, participation=ms.Participation(m=4)), F, steps=1), "only 3 clients"),
        (lambda: ParticipationByNumber(F, participation=ms.Participation(m=4)), "only 3 clients"),
        (lambda: ParticipationByNumber(F, participation=ms.Participation(p=0.5)), r"use Participation\(m=...\)"),
        (lambda: ParticipationByProbability(F, participation=ms.Participation(m=1)), r"use Participation\(p=...\)"),
        (lambda: ms.DistributedDSGD(0.1, averaging="median"), "averaging"),
        (lambda: ms.DistributedDSGD(0.1, shift=ms.HeldSketch(2)), "each of them trained another model"),
        (lambda: ms.DistributedDSGD.spell({"participation": "q:1"}), "participation"),
        (
            lambda: simulate(
                ms.DistributedDSGD(0.1, averaging="coverage"), ms.Distributed([F.problems[0]], ms.Haar(3, 1)), steps=1
            ),
            "keep or drop coordinates",
        ),
    ]:
        with pytest.raises((ValueError, AssumptionError), match=message):
            make()
