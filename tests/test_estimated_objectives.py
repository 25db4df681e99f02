"""What a review found: tiers that were too good, unproven numbers in proven bounds, and errors that named nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest

import mastsim as ms
from mastsim.theorems import ConvexDSGD, ConvexDSGDAnyStep, NonconvexDSGD, StronglyConvexDSGD

RNG = np.random.default_rng(0)
ROWS, LABELS = RNG.standard_normal((20, 4)), np.where(RNG.random(20) < 0.5, 1.0, -1.0)


def logistic(**settings: float) -> ms.LogisticRegression:
    return ms.LogisticRegression(ROWS, LABELS, **(settings or {"l2": 0.1}))


SKETCH = ms.Composed(ms.Haar(4, 2), ms.RandK(4, 3))
"""No law of aᵀSz is known for it."""


def estimated() -> list[ms.Mast | ms.Distributed]:
    """Objectives that only Monte Carlo can evaluate."""
    f, sketch, shift = logistic(), SKETCH, np.array([1.0, -2.0, 0.5, 0.0])
    return [ms.Mast(f, sketch), ms.Mast(f, sketch, shift=shift), ms.Distributed(ms.split(f, 2), sketch, shift=shift)]


@pytest.mark.parametrize("F", estimated(), ids=lambda F: F.name)
def test_an_estimated_objective_has_no_proven_infimum_but_a_proven_gap(F):
    """The gap comes from Lemma 1 (iii) at v and x*, not from the estimate."""
    c = ms.Constants(F)
    assert (c["fD_inf"].kind, c["gap"].kind) == ("estimate", "upper")
    lowest = F.nodes_minimum().value
    v, best = F.center, F.problem.minimize().x
    parts = F.nodes
    bounds = [
        np.mean([p.problem.value(x) + 0.5 * (p.sketch.L_D - 1) * p.problem.L_f * ((x - v) @ (x - v)) for p in parts])
        for x in (v, best)
    ]
    assert float(c["gap"]) == pytest.approx(min(bounds) - lowest, rel=1e-9)
    assert float(F.value(F.minimize().x)) - lowest < float(c["gap"])
    assert F.excess_bound(best) >= float(F.value(best)) - lowest


@pytest.mark.parametrize("F", estimated(), ids=lambda F: F.name)
def test_guarantees_of_an_estimated_objective_start_from_something_proven(F):
    """They used to fail on an infinite accuracy."""
    found = [g for g in ms.guarantees(F) if g.applies]
    assert {"theorem2", "theorem3"} <= {g.theorem for g in found} or {"theorem6"} <= {g.theorem for g in found}
    assert all(math.isfinite(g.radius) for g in found)
    if isinstance(F, ms.Mast):
        excess, t = F.excess_bound(F.center), StronglyConvexDSGD(F)
        assert t.initial == pytest.approx(2 * excess / F.mu_fD_sharp)
        assert t.initial >= float(((F.center - F.minimize().x) ** 2).sum())
        assert NonconvexDSGD(F).initial == pytest.approx(excess)


@pytest.mark.filterwarnings("ignore::mastsim.problems.CertificateWarning")
def test_without_strong_convexity_the_start_of_an_estimated_objective_is_unknown():
    """No number of steps is promised then."""
    F = ms.Mast(logistic(l2=0.0), SKETCH)
    found = {g.theorem: g.steps_to_accuracy for g in ms.guarantees(F) if g.applies}
    assert found["theorem2-convex"] == math.inf


def test_the_gap_in_place_of_the_sharp_gap_is_only_a_bound_on_it():
    """When sketches are not enumerated the gap, however exactly known, bounds f_D^inf − E inf f_S from above."""
    A, y = RNG.standard_normal((30, 24)), np.where(RNG.random(30) < 0.5, 1.0, -1.0)
    f = ms.LogisticRegression(A, y, l2=0.1)
    single, many = ms.Mast(f, ms.RandK(24, 12)), ms.Distributed([f, f], ms.RandK(24, 12))
    for F in (single, many):
        assert (ms.Constants(F)["gap"].kind, ms.Constants(F)["gap_sharp"].kind) == ("exact", "upper")


def test_any_step_below_the_open_end_is_allowed():
    """Theorem 2′ for any γ < 1/L used to stop at its default 0.9/L."""
    t = ConvexDSGDAnyStep(ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1)))
    gap, L = 0.5, 4.0
    gamma = 0.99 / L
    want = (1.0 / (gamma * 10) + 2 * gamma * L * gap) / (2 * (1 - gamma * L))
    assert float(t.bound(10, stepsize=gamma, initial=1.0)) == pytest.approx(want)
    assert float(t.bound(10, stepsize=1 / L, initial=1.0)) == math.inf
    with pytest.raises(ms.theorems.AssumptionError, match=r"use at most 0\.25"):
        t.bound(10, stepsize=1.01 / L)


def test_a_bound_over_no_steps_promises_nothing():
    """1/T rates are infinite at T = 0, so that at least one step is needed even from the optimum."""
    F = ms.Mast(ms.Quadratic(np.eye(2), np.zeros(2)), ms.RandK(2, k=1))
    for t in (ConvexDSGD(F), NonconvexDSGD(F)):
        assert t.steps_to_accuracy(0.1, 0.0) == 1.0
        assert float(t.bound(1, initial=0.0)) <= 0.1


def test_arguments_of_another_kind_are_named():
    """They used to be accepted, or to fail with an AttributeError."""
    F = ms.Mast(logistic(), ms.RandK(4, k=2))
    with pytest.raises(TypeError, match=r"method=.*must be of type Method"):
        ms.simulate(F, ms.DSGD(0.1), steps=2)
    with pytest.raises(TypeError, match=r"objective=.*must be of type Objective"):
        ms.simulate(ms.DSGD(0.1), F.problem, steps=2)
    with pytest.raises(TypeError, match=r"objective=.*must be of type Objective"):
        ms.guarantees(F.problem)
    with pytest.raises(TypeError, match=r"sampling=3 is not accepted: it must be of type Sampling"):
        ms.DSGD(0.1, 3)
    with pytest.raises(TypeError, match=r"compression=.*must be of type Compressor"):
        ms.LSVRDSG(0.1, compression=ms.RandK(4, k=2))
    with pytest.raises(TypeError, match=r"problems=logistic regression.*one for each client"):
        ms.Distributed(F.problem, ms.RandK(4, k=2))
