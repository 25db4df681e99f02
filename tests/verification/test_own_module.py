"""`mastsim verify --module`: one's own records and parts beside the package's, by explicit tuples."""

import json

import pytest
from click.testing import CliRunner

from mastsim.cli import main

MINE = '''
import numpy as np, mastsim as ms
from mastsim.extend import LinearRate, SketchedRate, SINGLE_NODE, UNBIASED, BOUNDED, SMOOTH, STRONGLY_CONVEX

class Mine(SketchedRate, LinearRate):
    """E‖x^T − x_D*‖² ≤ (1 − γμ)^T ‖x^0 − x_D*‖² + 2γL·gap/μ for γ ≤ 1/L."""

    id, title, source, statement = "mine", "My rate", "this file", "x"
    method = "DSGD"
    assumptions = (SINGLE_NODE, UNBIASED, BOUNDED, SMOOTH, STRONGLY_CONVEX)
    constants_used = ("expected_smoothness", "mu_fD", "gap")
    method_at = staticmethod(ms.DSGD)

    @property
    def stepsize(self):
        return 1 / self.L

    def contraction(self, stepsize):
        return stepsize * self.mu

    def neighbourhood(self, stepsize):
        return FACTOR * 2 * stepsize * self.L * self.gap / self.mu

THEOREMS = (Mine,)
SKETCHES = (ms.RandK(4, k=2),)
PROBLEMS = (ms.Quadratic(np.eye(2), np.ones(2)),)
METHODS = (ms.DSGD(0.1),)
'''
DATA = ["--data", "synthetic:n=20,d=4"]


def run(tmp_path, factor, *options, text=MINE):
    path = tmp_path / "mine.py"
    path.write_text(text.replace("FACTOR", factor), encoding="utf-8")
    data = [] if {"--attack", "--replay"} & set(options) else DATA
    return CliRunner().invoke(main, [*options, *data, "--module", str(path)])


def test_own_parts_are_tried_beside_the_packages_own(tmp_path):
    done = run(tmp_path, "1.0", "verify", "--theorem", "mine", "--quick", "--json", "-", "--pages", str(tmp_path / "pages"))
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert {(each["theorem"], each["verdict"]) for each in found["results"]} == {("mine", "holds")}
    assert [(each["check"], each["fine"]) for each in found["checks"]] == [
        ("check_sketch", True),
        ("check_problem", True),
        ("check_method", True),
    ]
    assert "My rate" in (tmp_path / "pages" / "mine.md").read_text()
    assert "My rate" in (tmp_path / "pages" / "README.md").read_text()


def test_a_false_record_is_refuted_by_the_suite(tmp_path):
    done = run(tmp_path, "0.5", "verify", "--theorem", "mine", "--quick", "--json", "-")
    assert done.exit_code == 1
    assert "refuted" in {each["verdict"] for each in json.loads(done.stdout)["results"]}


def test_an_own_record_can_be_attacked_and_its_witness_replayed(tmp_path):
    found = run(tmp_path, "1.0", "verify", "--attack", "mine", "--budget", "3", "--witness", str(tmp_path / "w.json"))
    assert "mine: not refuted" in found.output
    replayed = run(tmp_path, "1.0", "verify", "--replay", str(tmp_path / "w.json"))
    assert (found.exit_code, replayed.exit_code) == (0, 0)
    assert "mine: not refuted" in replayed.output


def test_a_part_with_a_mistake_fails_the_command_and_is_named(tmp_path):
    text = MINE.replace("ms.RandK(4, k=2)", "type('Off', (ms.RandK,), {'L_max': 2.0 - 1e-3})(4, k=2)")
    done = run(tmp_path, "1.0", "verify", "--theorem", "mine", "--quick", text=text)
    assert done.exit_code == 1
    assert "λ_max(SᵀS) ≤ L_max on samples fails" in done.output


def test_stepsize_lists_the_own_record(tmp_path):
    done = run(tmp_path, "1.0", "stepsize", "--sketch", "randk:0.5")
    assert done.exit_code == 0, done.output
    assert "mine" in done.output


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = 1", "brings nothing: give it one of THEOREMS = (MyRate,)"),
        ("THEOREMS = 3", "THEOREMS=3 is not accepted: it must be a tuple"),
        ("THEOREMS = (3,)", "THEOREMS holds 3"),
        ("SKETCHES = (int,)", "SKETCHES holds"),
        ("1 / 0", "fails: ZeroDivisionError: division by zero"),
        (
            "import mastsim as ms\nTHEOREMS = (type('T', (ms.theorems.Lemma1,), {}),)",
            "the id 'lemma1' of T is taken by Lemma1",
        ),
    ],
)
def test_what_a_module_lacks_is_said(tmp_path, text, told):
    done = run(tmp_path, "1.0", "verify", "--quick", text=text)
    assert done.exit_code == 2
    assert told in " ".join(done.output.split())
