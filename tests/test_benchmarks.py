"""The baselines of the speed table compute what mastsim computes, and one that does not is refused before it is timed."""

import numpy as np
import pytest

from benchmarks import startup
from benchmarks.speed import agreement, mastsim_forms, numpy_forms
from benchmarks.speed.report import goals_of, is_met
from benchmarks.speed.work import logistic, quadratic, sparse_rows

pytestmark = pytest.mark.slow

ROWS = sparse_rows(90, 12, 4)


def works():
    """DSGD-I, DSGD-II and a quadratic with a step size that moves far in a few steps."""
    return [logistic(*ROWS, 0.25, 64), logistic(*ROWS, 0.25, 64, minibatch=8), quadratic(10, 3, 64)]


def runs_of(work, library):
    """Return every run of a library, and how many replicas each advances."""
    if library == "numpy":
        found = [(name, run, 1) for runs in numpy_forms.loops(work) for name, run in runs.items()]
        return found + [(name, run, work.replicas) for name, run in numpy_forms.batched(work).items()]
    if library == "mastsim":
        return [(name, run, work.replicas) for runs in mastsim_forms.forms(work).values() for name, run in runs.items()]
    pytest.importorskip(library)
    if library == "torch":
        from benchmarks.speed import torch_forms as forms

        return [(name, run, work.replicas) for name, run in forms.forms(work, compiled=False).items()]
    from benchmarks.speed import jax_forms

    return [(name, run, work.replicas) for name, run in jax_forms.forms(work).items()]


@pytest.mark.parametrize("library", ["numpy", "mastsim", "torch", "jax"])
@pytest.mark.parametrize("work", works(), ids=lambda work: work.title)
def test_forms_agree_with_mastsim(work, library):
    expected = agreement.reference(work)
    for name, run, replicas in runs_of(work, library):
        x = agreement.sample(run, replicas)
        assert x.shape == (64, work.dim)
        # Refused wrongly with probability 1e-9 a statistic; a step size wrong by a factor of two must be visible.
        assert agreement.require(name, work, x, expected) < 1


@pytest.mark.parametrize("work", works(), ids=lambda work: work.title)
@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_wrong_step_is_refused(work, factor):
    wrong = type(work)(work.title, work.objective, factor * work.stepsize, work.replicas, work.minibatch)
    for run in numpy_forms.batched(wrong).values():
        with pytest.raises(AssertionError, match="something else"):
            agreement.require("wrong", work, agreement.sample(run, 64), agreement.reference(work))


def test_diverged_replicas_are_refused():
    work = works()[2]
    with pytest.raises(AssertionError, match="something else"):
        agreement.require("diverged", work, np.full((64, work.dim), np.nan), agreement.reference(work))


def test_every_goal_is_about_its_own_row():
    ratio = {"median": 1.0, "lowest": 1.0, "highest": 1.0}
    columns = {name: {"mastsim_ratio": ratio} for name in ("JAX", "NumPy loop, dense")}

    def goals(title):
        return [goal for _, _, goal in goals_of({"title": title, "columns": columns})]

    assert goals("DSGD-I, K/d = 0.1, R = 32") == [4]
    assert goals("DSGD-II, minibatch 32, K/d = 0.1, R = 256") == [4]
    assert goals("quadratic, d = 100, K = 10, R = 256") == [10]
    assert goals("quadratic, d = 1000, K = 100, R = 256") == [4]
    assert goals("DSGD-I, K/d = 0.1, R = 1") == []


def test_a_row_at_the_ceiling_meets_its_goal():
    ratio = {"median": 2.0}
    for share, met in ((0.95, True), (0.85, False)):
        assert is_met({"fractions": {"flops_done": share}}, ratio, 4.0) is met
    assert is_met({}, {"median": 4.0}, 4.0)


def test_start_up_runs_the_first_example_of_the_readme():
    code = startup.first_example()
    assert "ms.Mast(" in code
    assert "ms.simulate(" in code
    assert ">>>" not in code
    assert startup.spent("import time; time.sleep(0.5)") < startup.spent("for _ in range(10**7): pass")
