"""A package written from the pages alone: its tests are green, and planted errors are red with messages that name them."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

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


def run(folder, text, *options):
    """Return what pytest says of the stub with another text of its module."""
    (folder / "mine.py").write_text(text, encoding="utf-8")
    shutil.copy(STUB / "checks.py", folder / "test_mine.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={folder}", str(folder)]
    done = subprocess.run([*command, "--mastsim-seed=3", *options], cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def text_of(name):
    return (STUB / name).read_text(encoding="utf-8")


def test_the_stub_is_green_and_reports_its_trials(tmp_path):
    code, said = run(tmp_path, text_of("mine.py"))
    assert code == 0, said
    assert re.search(r"test_the_theorem_holds_by_replicas: α = 1e-07, seed 3", said), said


@pytest.mark.parametrize("planted", PLANTED)
def test_planted_errors_are_red_and_named(planted, tmp_path):
    right, wrong, test, message = PLANTED[planted]
    assert text_of("mine.py").count(right) == 1
    code, said = run(tmp_path, text_of("mine.py").replace(right, wrong), "-k", test)
    assert code == 1, said
    assert f"test_mine.py::test_{test}" in said, said
    assert re.search(message, said), said


def test_the_stub_uses_public_names_and_the_page_shows_its_tests():
    for name in ("mine.py", "checks.py"):
        imported = set(re.findall(r"^(?:from|import) (mastsim\S*)", text_of(name), flags=re.M))
        assert imported <= {"mastsim", "mastsim.extend", "mastsim.testing"}
    assert len(text_of("checks.py").splitlines()) <= 40
    page = (ROOT / "docs" / "your-own-theorem.md").read_text(encoding="utf-8")
    assert f"```python\n{text_of('checks.py')}```" in page
