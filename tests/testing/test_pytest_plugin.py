"""The plugin shares one error probability over a session, says what was spent, and names what failed."""

import re
import subprocess
import sys

import pytest

from mastsim.testing.pytest_plugin import Budget

pytestmark = pytest.mark.slow

TESTS = """
import numpy as np, mastsim as ms
from mastsim.verification.negative_controls import HalvedNeighbourhood
from mastsim.verification.instances import two_signs

EXACT = ms.Mast(ms.Quadratic(np.eye(1), np.zeros(1)), ms.Bernoulli(1, 0.5))
f = ms.LogisticRegression(np.array([[1.0, 2.0], [-1.5, 0.5], [0.3, -1.0]]), np.array([1.0, -1.0, 1.0]), l2=0.1)
SAMPLED = ms.theorems.StronglyConvexDSGD(ms.Mast(f, ms.RandK(2, k=1)))

def test_exact(trial):
    assert trial(ms.theorems.StronglyConvexDSGD(EXACT)).tier == "exact"

def test_sampled(trial):
    run = ms.simulate(ms.DSGD(SAMPLED.stepsize), SAMPLED.objective, steps=20, replicas=512, seed=1, x0="normal")
    trial(SAMPLED, run, alpha=1e-7)

def test_false(trial):
    trial(HalvedNeighbourhood(two_signs()))
"""


def run_pytest(folder, *options):
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        *options,
    ]
    return subprocess.run([*command, str(folder)], capture_output=True, text=True, check=False)


def test_a_session_reports_its_budget_and_its_seeds(tmp_path):
    (tmp_path / "test_mine.py").write_text(TESTS)
    done = run_pytest(tmp_path, "--mastsim-seed=5", f"--rootdir={tmp_path}")
    assert "2 passed" in done.stdout
    assert "1 failed" in done.stdout, done.stdout + done.stderr
    assert re.search(
        r"test_exact: α = 0, seed 5\n.*test_sampled: α = 1e-07, seed 6\n.*test_false: α = 0, seed 7", done.stdout
    )
    assert "3 trials; samples may have misled any of them with probability 1e-07 of 1e-06" in done.stdout
    assert "Theorem 2 with its neighbourhood halved: refuted" in done.stdout
    assert "--mastsim-seed=7 repeats it" in done.stdout


def test_a_budget_out_of_range_is_refused(tmp_path):
    done = run_pytest(tmp_path, "--mastsim-alpha=2", f"--rootdir={tmp_path}")
    assert "--mastsim-alpha=2.0 is not accepted: it must lie in (0, 1)" in done.stderr


def test_what_all_trials_take_never_exceeds_the_budget():
    budget = Budget(1e-6, 0)
    taken = [budget.take("t", 1e-6)[0] for _ in range(60)]
    assert sum(taken) <= 1e-6
    assert min(taken) > 0
    assert taken[0] == 5e-7
    before = budget.left
    budget.take("exact", 1e-7)
    budget.give_back()
    assert budget.left == pytest.approx(before, rel=1e-15)
    assert [seed for _, _, seed in budget.spent] == list(range(61))
