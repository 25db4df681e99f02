"""A package written from the pages alone: its tests are green, and planted errors are red with messages that name them."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
STUB = Path(__file__).parent / "stub"
PLANTED = {
    "constant": (
        "return 2 * stepsize * self.L * self.gap",
        "return 0.9 * 2 * stepsize * self.L * self.gap",
        "the_theorem_stands_an_attack",
        r"Distance of one's own is refuted: left/right = 1\.\d+ where at most 1 is claimed",
    ),
    "draw": (
        "DiagonalBatch(self.halves[",
        "DiagonalBatch(0.9 * self.halves[",
        "the_sketch_is_what_it_says",
        r"OneHalf.*fails",
    ),
    "law": (
        "[first / self.p, ~first / (1 - self.p)]",
        "[0.9 * first / self.p, ~first / (1 - self.p)]",
        "the_sketch_is_what_it_says",
        r"E\[S\] differs from",
    ),
    "curvature": (
        "curvature_max = 1.0",
        "curvature_max = 0.8",
        "the_loss_and_its_problem_are_what_they_say",
        r"fair loss: curvature_max fails: it is 0\.8, but ψ'' = 1 at w = ",
    ),
}


def text_of(name):
    return (STUB / name).read_text(encoding="utf-8")


def run(folder, *options):
    """Return what pytest says of the tests in a folder, in a process of its own."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={folder}"]
    done = subprocess.run([*command, "--mastsim-seed=3", *options], cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_stub_is_green_and_reports_its_trials(tmp_path):
    shutil.copy(STUB / "mine.py", tmp_path / "mine.py")
    shutil.copy(STUB / "checks.py", tmp_path / "test_mine.py")
    code, said = run(tmp_path)
    assert code == 0, said
    assert re.search(r"test_the_theorem_holds_by_replicas: α = 1e-07, seed 3", said), said


@pytest.fixture(scope="module")
def failures(tmp_path_factory):
    """Return for every planted error, each in a module of its own, the tests that fail and what they say."""
    folder, chosen = tmp_path_factory.mktemp("planted"), []
    for name, (right, wrong, test, _) in PLANTED.items():
        assert text_of("mine.py").count(right) == 1
        (folder / f"mine_{name}.py").write_text(text_of("mine.py").replace(right, wrong), encoding="utf-8")
        checks = text_of("checks.py").replace("from mine import", f"from mine_{name} import")
        (folder / f"test_{name}.py").write_text(checks, encoding="utf-8")
        chosen.append(f"test_{name}.py::test_{test}")
    code, said = run(folder, *chosen, "--junitxml=said.xml")
    assert code == 1, said
    cases = ElementTree.parse(folder / "said.xml").iter("testcase")
    return {(case.get("classname"), case.get("name")): case.findtext("failure", "passed") for case in cases}


@pytest.mark.parametrize("planted", PLANTED)
def test_planted_errors_are_red_and_named(planted, failures):
    _, _, test, message = PLANTED[planted]
    said = failures[f"test_{planted}", f"test_{test}"]
    assert re.search(message, said), said


def test_the_stub_uses_public_names_and_the_page_shows_its_tests():
    for name in ("mine.py", "checks.py"):
        imported = set(re.findall(r"^(?:from|import) (mastsim\S*)", text_of(name), flags=re.M))
        assert imported <= {"mastsim", "mastsim.extend", "mastsim.testing"}
    assert len(text_of("checks.py").splitlines()) <= 40
    page = (ROOT / "docs" / "your-own-theorem.md").read_text(encoding="utf-8")
    assert f"```python\n{text_of('checks.py')}```" in page
