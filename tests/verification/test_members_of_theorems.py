"""What is special about a theorem is a member of its record: suites, mutations, attacks and pages read it there."""

from dataclasses import dataclass

import numpy as np
import pytest

import mastsim as ms
from mastsim import theorems
from mastsim.theorems import NonconvexDistributed, NonconvexDistributedQuoted, Rate, StronglyConvexDSGD
from mastsim.theorems.rates import Case
from mastsim.verification import run_suite
from mastsim.verification.attack import FAMILIES, attackable
from mastsim.verification.instances import distributed, one_dimension, small_quadratics
from mastsim.verification.mutations import survey
from mastsim.verification.tasks import QUICK
from mastsim.verification.theorem_pages import page


@dataclass(frozen=True, eq=False)
class Special(StronglyConvexDSGD):
    """Theorem 2 on one instance of its own, with a measure of its own name."""

    id = "special"
    title = "A theorem with cases of its own"
    measure = "squared length"

    @classmethod
    def own_cases(cls, small):
        return [Case(cls(one_dimension()), np.array([2.0]), "holds")]

    def form(self, stepsize, center):
        return {("x", "x"): np.eye(self.objective.dim)}


@pytest.fixture
def alone(monkeypatch):
    """A registry with one theorem, that no other file names."""
    monkeypatch.setattr(theorems, "ALL", (Special,))


@pytest.mark.usefixtures("alone")
def test_a_suite_tries_the_own_cases_of_a_theorem_in_place_of_its_instances():
    verdicts = run_suite(ms.load("synthetic:n=20,d=3"), only=("special",), effort=QUICK)
    assert [(v.theorem, v.verdict, v.witness.split(" from ")[1]) for v in verdicts] == [("special", "holds", "the witness")]
    assert verdicts[0].max_ratio == pytest.approx(1, rel=1e-9)
    assert "special" in attackable()
    assert "squared length" in page(Special, verdicts, "a test")


def test_a_correction_does_not_inherit_the_cases_of_what_it_corrects():
    small = [*small_quadratics(), *distributed()]
    expected = [case.expected for case in NonconvexDistributedQuoted.own_cases(small)]
    assert expected[:4] == ["refuted"] * 4
    assert set(expected[4:]) == {"holds"}
    assert NonconvexDistributed.own_cases(small) is None


def test_terms_of_any_claim_add_up_to_it():
    F = small_quadratics()[3]
    for kind in (kind for kind in theorems.ALL if issubclass(kind, Rate)):
        for claim in kind.cases(F):
            T, gamma = np.arange(1, 30), claim.stepsize
            whole = claim.claim(T, gamma, 3.0)
            for terms in (claim.terms(T, gamma, 3.0), Rate.terms(claim, T, gamma, 3.0)):
                np.testing.assert_allclose(np.add(*terms), whole, rtol=1e-12)
                # The first is in proportion to the start, the second does not depend on it.
                np.testing.assert_allclose(terms[0], 3 * (claim.claim(T, gamma, 1.0) - terms[1]), rtol=1e-9, atol=1e-9)


def test_a_rate_that_only_claims_is_mutated_by_what_its_claim_says():
    @dataclass(frozen=True, eq=False)
    class Plain(StronglyConvexDSGD):
        """Theorem 2, of which only the claim is known."""

        id = "plain"

        def claim(self, steps, stepsize, initial):
            return (1 - stepsize * self.mu) ** steps * initial + self.neighbourhood(stepsize)

    found = {each.part: each for each in survey([Plain], steps=20)}
    assert set(found) == set(Rate.changeable)
    assert all(ratio > 1 + 1e-9 for part in found.values() for ratio in part.ratios.values())


def test_every_attacked_record_names_a_family_that_exists():
    assert {kind.family for kind in attackable().values()} == set(FAMILIES)
