"""Parts of one's own, in a file that ``--module`` names: options by name, records on trial, pages, reports, attacks."""

import json
import re

import pytest
from click.testing import CliRunner

import mastsim as ms
from mastsim.cli import main
from mastsim.spec import Spec
from mastsim.verification.own_module import load_parts

MODULE = """
from dataclasses import dataclass
from typing import NamedTuple
import numpy as np
import mastsim as ms
from mastsim.extend import *


@dataclass(frozen=True, eq=False)
class Halves(SelectionSketch):
    dim: int

    @classmethod
    def from_text(cls, argument, dim):
        return cls(dim)

    @classmethod
    def examples(cls, dim):
        return [cls(dim)] if dim > 1 else []

    @property
    def law(self):
        unit = np.arange(self.dim) * 2 // self.dim
        return Selection(unit, np.zeros(2, dtype=int), np.array([2]), np.array([1.0]))


class LogCosh(ResidualLoss):
    name, curvature_max, curvature_min = "log-cosh", 1.0, 0.0

    def psi(self, w, order=0):
        if order == 0:
            return np.logaddexp(w, -w) - np.log(2)
        return np.tanh(w) if order == 1 else 1 - np.tanh(w) ** 2


@dataclass(frozen=True, eq=False)
class LogCoshRegression(GeneralizedLinearModel):
    keyword = "log-cosh"
    loss = LogCosh()


Moving = NamedTuple("Moving", [("x", np.ndarray), ("m", np.ndarray)])


@dataclass(frozen=True)
class HeavyBall(Method):
    affine = True
    beta: float = 0.5
    damping: float = 1.0

    def init(self, objective, x0):
        return Moving(x0, np.zeros_like(x0))

    def step(self, state, objective, draw):
        g = objective.sketched_gradient(state.x, draw.of("sketch", objective.sketch))
        m = self.beta * state.m + self.damping * self.rule.at(draw.step) * g
        return Moving(state.x - m, m)


class Shorter(SketchedRate, LinearRate):
    id, title, source, method = "shorter", "Half of the step of Theorem 2", "mine", "DSGD"
    statement = r"E \\le"
    assumptions = (SINGLE_NODE, UNBIASED, BOUNDED, SMOOTH, CONVEX, STRONGLY_CONVEX)
    constants_used = ("expected_smoothness", "mu_fD", "gap")
    method_at = staticmethod(ms.DSGD)
    stepsize = property(lambda self: 0.5 / self.L)

    def contraction(self, stepsize):
        return stepsize * self.mu * FACTOR

    def neighbourhood(self, stepsize):
        return 2 * stepsize * self.L * self.gap / self.mu


FACTOR = 1.0
THEOREMS = (Shorter,)
SKETCHES = (Halves, ms.FiniteSupport([np.diag(3 * row) for row in np.eye(3)], np.ones(3) / 3))
PROBLEMS, METHODS = (LogCoshRegression,), (HeavyBall(0.1, beta=0.9, damping=0.5),)
"""
DATA = "synthetic:n=30,d=4,condition=10"


@pytest.fixture
def module(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(MODULE)
    return path


def run(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def test_names_of_the_module_are_options(module):
    known = Spec(
        data=DATA, module=str(module), sketch="Halves", problem="log-cosh", method="HeavyBall:beta=0.3", stepsize=0.05
    )
    assert known == Spec.from_text(known.text) == Spec(**known.record())
    _, F = known.objective_of(known.load())
    trial = known.trial(F)
    # What is not set is that of the instance.
    assert (trial.beta, trial.damping, F.sketch.support_size, F.problem.loss.name) == (0.3, 0.5, 2.0, "log-cosh")
    assert Spec(data=DATA, module=str(module), method="HeavyBall").trial(F).beta == 0.9
    options = ["--module", module, "--data", DATA, "--problem", "log-cosh", "--json", "-"]
    done = run("simulate", *options, "--sketch", "Halves", "--method", "HeavyBall", "--stepsize", 0.05, "--steps", 5)
    found = json.loads(done.stdout)
    assert (found["method"], found["objective"]["sketch"]) == ("HeavyBall", "Halves(dim=4), v = 0")
    assert json.loads(run("constants", *options, "--sketch", "Halves").stdout)["constants"]["L_D"]["value"] == 2
    rows = json.loads(run("stepsize", *options, "--sketch", "Halves").stdout)["stepsize"]
    assert any(row["theorem"] == "shorter" and row["applies"] for row in rows)


def test_ready_made_sketches_are_taken_where_they_fit(module):
    known = Spec(data="synthetic:n=30,d=3,condition=10", module=str(module), sketch="FiniteSupport")
    assert known.objective_of(known.load())[1].sketch.support_size == 3
    with pytest.raises(ValueError, match="one of dimension 4 is needed, and the module's have 3"):
        Spec(data=DATA, module=str(module), sketch="FiniteSupport").fit(ms.load(DATA))
    for key, wrong, near in (("problem", "log-cash", "log-cosh"), ("method", "HeavyBal", "HeavyBall")):
        with pytest.raises(ValueError, match=f"did you mean '{near}'"):
            Spec(data=DATA, module=str(module), **{key: wrong})


def test_sweeps_take_parts_of_the_module_and_notice_its_changes(module, tmp_path):
    grid = {
        "module": str(module),
        "data": DATA,
        "sketch": ["Halves", "randk:0.5"],
        "stepsize": 0.05,
        "steps": 5,
        "replicas": 2,
    }
    grid |= {"method": ["dsgd", {"name": "HeavyBall", "beta": [0.1, 0.2]}], "problem": "log-cosh"}
    found = ms.sweep(grid, tmp_path / "out")
    assert (found.done, len(found.failures)) == (6, 0)
    module.write_text(MODULE.replace("FACTOR = 1.0", "FACTOR = 0.5"))
    assert ms.sweep(grid, tmp_path / "out").computed == 6


def test_records_of_the_module_are_tried_with_pages_report_and_checks(module, tmp_path):
    only = ["--theorem", "shorter", "--sketch", "Halves", "--data", DATA, "--quick"]
    done = run("verify", "--module", module, *only, "--report", tmp_path / "report", "--pages", tmp_path / "pages")
    assert done.exit_code == 0, done.output
    for said in ("Halves(dim=4): check_sketch finds nothing wrong", "HeavyBall: affine: yes", "log-cosh regression"):
        assert said in done.output
    page = (tmp_path / "pages" / "shorter.md").read_text()
    assert "Half of the step of Theorem 2" in page
    assert "Half of the step of Theorem 2" in (tmp_path / "report" / "index.html").read_text()
    module.write_text(
        MODULE.replace("FACTOR = 1.0", "FACTOR = 2.2").replace(
            'curvature_max, curvature_min = "log-cosh", 1.0', 'curvature_max, curvature_min = "log-cosh", 0.9'
        )
    )
    done = run("verify", "--module", module, *only)
    assert done.exit_code == 1
    assert "curvature" in done.output
    assert any("Half of the step" in line and "refuted" in line for line in done.output.splitlines())


def test_records_of_the_module_are_attacked_and_replayed(module, tmp_path):
    module.write_text(MODULE.replace("FACTOR = 1.0", "FACTOR = 2.2"))
    attack = ["verify", "--module", module, "--attack", "shorter", "--budget", 60, "--witness", tmp_path / "w.json"]
    done = run(*attack)
    assert done.exit_code == 1, done.output
    assert "refuted" in done.output
    replayed = run("verify", "--module", module, "--replay", tmp_path / "w.json")
    assert "refuted" in replayed.output
    alone = run("verify", "--replay", tmp_path / "w.json")
    said = f"holds an attack on 'shorter', which '{module.name}' defines: add --module {module.name} (in Python, own=)\n"
    assert alone.exit_code == 2
    assert alone.output.endswith(said)
    assert alone.output.count("\n") == 1
    module.write_text(MODULE)
    assert run(*attack[:-2]).exit_code == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "brings nothing: give it one of THEOREMS = (MyRate,)"),
        ("THEOREMS = 3", "THEOREMS=3 is not accepted: it must be a tuple"),
        ("SKETCHES = (1,)", "SKETCHES holds 1: it must hold what its name says"),
        ("1 / 0", "fails: ZeroDivisionError"),
        ("import mastsim as ms\nMETHODS = (ms.RandK,)", "METHODS holds"),
        ("x = (", "fails: SyntaxError"),
        (
            "import mastsim as ms\nclass Bare(ms.extend.LinearRate):\n    id = title = 'bare'\nTHEOREMS = (Bare,)",
            "Bare of THEOREMS lacks source, statement, assumptions, constants_used, method, contraction, method_at",
        ),
    ],
)
def test_modules_that_bring_nothing_are_refused(tmp_path, text, said):
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises((TypeError, ValueError), match=re.escape(said)):
        load_parts(path)
    assert run("simulate", "--module", path, "--sketch", "randk:0.5").exit_code == 2
