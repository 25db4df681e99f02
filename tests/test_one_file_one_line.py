"""A new sketch, loss, method, theorem or figure is one file and one line: five are added to a copy of the package."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import mastsim

pytestmark = pytest.mark.slow

ADDED = Path(__file__).parent / "added"
PARTS = {
    "halves": ("sketches", "families.py", "ALL_SKETCHES", "Halves"),
    "cosine": ("problems", "families.py", "ALL_PROBLEMS", "CosineRegression"),
    "momentum": ("methods", "families.py", "ALL_METHODS", "MomentumDSGD"),
    "doubled": ("theorems", "__init__.py", "ALL", "DoubledNeighbourhood"),
    "spectrum": ("reproduce", "__init__.py", "FIGURES", None),
}
"""File, the folder it goes to, the file and tuple that its line goes to, and its name."""


def add(home, part):
    """Put a part's file into the copy of the package, and its line into the tuple of its kind."""
    folder, listing, tuple_name, name = PARTS[part]
    shutil.copy(ADDED / f"{part}.py", home / folder / f"{part}.py")
    path = home / folder / listing
    text = path.read_text()
    opening = re.search(rf"^{tuple_name}: .*\($", text, flags=re.M)
    if opening is None:
        raise AssertionError(f"{path} has no list {tuple_name} with one entry a line")
    where = f"mastsim.{folder}"
    imported = f"from {where}.{part} import {name}" if name else f"from {where} import {part}"
    entry = f"    {name or part},"
    path.write_text(text.replace(opening.group(), f"{imported}\n{opening.group()}\n{entry}"))


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What tests/added/tries.py finds where the five parts are added to a copy of the package."""
    folder = tmp_path_factory.mktemp("added")
    home = folder / "mastsim"
    shutil.copytree(Path(mastsim.__file__).parent, home, ignore=shutil.ignore_patterns("__pycache__"))
    for part in PARTS:
        add(home, part)
    shutil.copy(ADDED / "tries.py", folder)
    done = subprocess.run(
        [sys.executable, "-W", "error", "tries.py"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    said = json.loads((folder / "found.json").read_text())
    assert Path(said["home"]).is_relative_to(folder)
    return said


def test_a_new_sketch_is_drawn_checked_exact_and_run_by_kernels(found):
    assert found["same"]
    assert found["drawn"] == "Halves"
    assert found["engine"].startswith("kernel")


def test_a_new_loss_with_a_sum_is_exact_under_a_new_sketch_with_a_law(found):
    assert found["exact"] == "rows"
    assert found["error"] <= 1e-14


def test_a_new_method_has_exact_moments(found):
    exact, mean, spread = found["moments"]
    # Two-sided at five standard errors: false with a chance below 1e-6.
    assert abs(exact - mean) <= 5 * spread
    assert found["method"] == "MomentumDSGD"


def test_a_new_theorem_is_decided_and_has_a_page(found):
    assert found["verdict"] == "holds"
    assert found["page"] == "# Theorem 2 with twice its neighbourhood"
    assert ["doubled", "holds"] in found["tried"]
    assert {verdict for _, verdict in found["tried"]} == {"holds"}


def test_command_line_sweeps_and_figures_know_them_all(found):
    assert found["simulated"]
    assert found["stepsize"]
    assert found["constants"]
    assert found["figure"]
    assert found["drawings"] == ["spectrum.json", "spectrum.pdf", "spectrum.png"]
    assert found["swept"] == 1
