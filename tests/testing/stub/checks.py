"""Tests of parts of one's own: checks, drawn objectives, and trials that share one error probability."""

import numpy as np
from hypothesis import given, settings
from mine import Distance, Fair, FairRegression, OneHalf

import mastsim as ms
from mastsim.testing import check_loss, check_problem, check_sketch, check_theorem, strategies

f = FairRegression(np.array([[1.0, 2.0], [-1.0, 0.5], [0.3, -1.0]]), np.array([1.0, -2.0, 0.5]), l2=0.1)
S = OneHalf(2, 1, 0.4)


def test_the_sketch_is_what_it_says():
    check_sketch(S)


def test_the_loss_and_its_problem_are_what_they_say():
    check_loss(Fair())
    check_problem(f)


def test_the_theorem_stands_an_attack():
    assert {m.what for m in check_theorem(Distance, budget=60).mutants if m.told_apart} >= {"gap × 0.9", "mu_fD × 1.1"}


@given(strategies.theorems(Distance))
@settings(max_examples=20, deadline=None)
def test_the_theorem_holds_on_drawn_objectives(claim):
    assert ms.verify(claim).verdict != "refuted"


def test_the_theorem_holds_by_replicas(trial):
    claim = Distance(ms.Mast(f, S))
    run = ms.simulate(ms.DSGD(claim.stepsize), claim.objective, steps=50, replicas=256, seed=0)
    trial(claim, run, alpha=1e-7)
