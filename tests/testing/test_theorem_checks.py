"""check_theorem refutes false claims with a test that runs as pasted, and says which changes of a true one it notices."""

import numpy as np
import pytest

import mastsim as ms
from mastsim.extend import LinearRate, Sides
from mastsim.testing import check_theorem
from mastsim.theorems import Lemma3, StronglyConvexDSGD
from mastsim.verification.attack import Bowl, Instance, SketchPart
from mastsim.verification.negative_controls import HalvedNeighbourhood, HalvedSketchNorm, TripledStep

pytestmark = pytest.mark.slow


class FasterInThree(StronglyConvexDSGD):
    """False in three dimensions only, in which no small objective is strongly convex."""

    id = "faster"
    title = "Theorem 2, faster in three dimensions"

    def contraction(self, stepsize):
        return 1.0 if self.objective.dim == 3 else super().contraction(stepsize)

    def neighbourhood(self, stepsize):
        return 0.0 if self.objective.dim == 3 else super().neighbourhood(stepsize)


class TwiceConvex(Lemma3):
    """Twice the convexity of Lemma 3."""

    id = "twice"
    title = "Lemma 3 with its constants doubled"

    def sides(self, part, x, y, batch):
        left, right, scale = super().sides(part, x, y, batch)
        return Sides(left, 0.5 * right, scale)

    def spectral_sides(self, part):
        found = super().spectral_sides(part)
        return found and Sides(found.left, 0.5 * found.right, found.scale)


class OnlyOneValue(StronglyConvexDSGD):
    id = "far"
    title = "Theorem 2 for shifts that nobody has"

    @classmethod
    def refuse(cls, objective):
        return "the shift is not 1e9; move it there"


class Careless(StronglyConvexDSGD):
    id = title = "Careless"
    assumptions = StronglyConvexDSGD.assumptions[:1]
    stepsize = property(lambda self: 1 / self.constants.mu_f)


class Unfinished(LinearRate):
    id = "unfinished"


def pasted(message):
    return message.split("A test to paste:\n\n")[1]


@pytest.mark.parametrize("kind", [HalvedSketchNorm, HalvedNeighbourhood, TripledStep, TwiceConvex])
def test_a_false_claim_is_refuted_and_the_pasted_test_runs_as_it_stands(kind):
    with pytest.raises(AssertionError) as failure:
        check_theorem(kind, budget=20)
    said = str(failure.value)
    assert said.startswith(f"{kind.title} is refuted: left/right = ")
    scope = {}
    exec(pasted(said), scope)
    (test,) = [found for name, found in scope.items() if name.startswith("test_")]
    test()
    # The same text about the true claim fails, so that it says something.
    true = {HalvedSketchNorm: StronglyConvexDSGD, HalvedNeighbourhood: StronglyConvexDSGD, TripledStep: StronglyConvexDSGD}
    parent = true.get(kind, Lemma3)
    exec(pasted(said).replace(f"import {kind.__name__}", f"import {parent.__name__} as {kind.__name__}"), scope)
    with pytest.raises(AssertionError):
        scope[test.__name__]()


def test_the_message_says_which_change_would_make_it_hold():
    with pytest.raises(AssertionError, match=r"it would hold there with .*step × 0\.5"):
        check_theorem(TripledStep, budget=20)


def test_a_local_class_gives_a_test_that_runs_where_the_class_is_in_scope():
    class Local(HalvedSketchNorm):
        id = "local"

    with pytest.raises(AssertionError) as failure:
        check_theorem(Local, budget=20)
    scope = {"Local": Local}
    exec(pasted(str(failure.value)), scope)
    scope["test_local_is_refuted"]()
    assert "import Local" not in pasted(str(failure.value))


def test_the_attack_finds_what_the_small_objectives_do_not_and_an_instance_can_be_pasted():
    with pytest.raises(AssertionError) as failure:
        check_theorem(FasterInThree, budget=60)
    scope = {}
    exec(pasted(str(failure.value)), scope)
    scope["test_faster_in_three_is_refuted"]()


def test_an_instance_is_written_as_the_calls_that_build_it():
    from mastsim.testing.pasted_tests import by_instance, runnable

    S = SketchPart("finite", matrices=(((3.0,),), ((-3.0,),)), weights=(2 / 3, 1 / 3))
    witness = Instance((Bowl(((1.0,),), (0.0,)),), (S,), (1.0,), (1.0,), horizon=50)
    text = by_instance(witness, HalvedNeighbourhood, "by hand")
    assert "from mastsim.verification.attack import Bowl, Instance, SketchPart" in text
    assert runnable(text, HalvedNeighbourhood)
    assert not runnable(text.replace("HalvedNeighbourhood", "StronglyConvexDSGD"), HalvedNeighbourhood)


def test_a_true_claim_is_reported_with_the_changes_that_would_be_noticed():
    report = check_theorem(StronglyConvexDSGD, budget=30)
    told = {m.what for m in report.mutants if m.told_apart}
    assert {"expected_smoothness × 0.5", "expected_smoothness × 0.9", "mu_fD × 1.1", "gap × 0.5", "gap × 0.9"} <= told
    assert {"step × 1.1", "the gap dropped"} <= told
    # Changes that make the claim weaker are true as well.
    assert not told & {"expected_smoothness × 1.1", "mu_fD × 0.5", "mu_fD × 0.9", "gap × 1.1", "step × 0.5", "step × 0.9"}
    assert report.largest == pytest.approx(1.0, abs=1e-9)
    # Nothing that says more than the theorem goes unnoticed.
    assert all(m.told_apart or m.says_less for m in report.mutants)
    assert not any(m.told_apart and m.says_less for m in report.mutants)
    assert "say more and were not refuted: none" in str(report)
    assert "changed versions refuted: expected_smoothness × 0.5" in str(report)


def test_ones_own_objectives_are_tried_too_and_may_be_what_refutes():
    class Narrow(StronglyConvexDSGD):
        id = "narrow"
        title = "Theorem 2 with half the gap where d = 7"

        @property
        def gap(self):
            return super().gap * (0.5 if self.objective.dim == 7 else 1.0)

    S = ms.FiniteSupport(np.array([3.0, -3.0])[:, None, None] * np.eye(7), np.array([2 / 3, 1 / 3]))
    F = ms.Mast(ms.Quadratic(np.eye(7), np.zeros(7)), S, shift=np.ones(7))
    check_theorem(Narrow, budget=3)
    with pytest.raises(AssertionError, match="Theorem 2 with half the gap where d = 7 is refuted"):
        check_theorem(Narrow, [F], budget=3)


def test_a_record_that_lacks_something_or_applies_to_nothing_is_told_so():
    with pytest.raises(AssertionError, match=r"Unfinished lacks title, source, statement.*method, contraction, method_at"):
        check_theorem(Unfinished)
    with pytest.raises(AssertionError, match=r"applies to none of .* objectives; most often: the shift is not 1e9"):
        check_theorem(OnlyOneValue)
    with pytest.raises(ValueError, match=r"Careless divides by zero on .*: give the step size a value there too"):
        check_theorem(Careless)
    with pytest.raises(TypeError, match=r"kind=.* is not accepted: it must be a subclass of LinearRate"):
        check_theorem(ms.RandK)
