"""The scripts in examples/ run as they stand, are short, and use public names only."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = {path.stem: path for path in sorted((ROOT / "examples").glob("*.py"))}
SAYS = {
    "weighted_randk": ["L_S^max = 25", "Theorem 2 (strongly convex DSGD): holds (exact"],
    "student_t_loss": ["Student t loss: curvature_max fails: it is 1.0666", "f_D by rows"],
    "heavy_ball": ["HeavyBall: affine: yes", "Clipped: affine: no; unbiased: no", "no exact moments: Clipped"],
    "own_theorem": ["changed versions refuted: expected_smoothness × 0.5", "def test_hasty_is_refuted():"],
    "torch_mlp": ["layer: L = ", "unit: L = ", "no guarantee"],
}


@pytest.mark.parametrize("stem", SAYS)
def test_a_script_is_short_and_names_nothing_private(stem):
    text = SCRIPTS[stem].read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 40
    tree = ast.parse(text)
    imported = [
        node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) if node.module.startswith("mastsim")
    ]
    assert set(imported) <= {"mastsim.extend"}
    names = [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    assert not [name for name in names if name.startswith("_") and not name.endswith("__")]


@pytest.mark.parametrize("stem", SAYS)
def test_a_script_says_what_it_promises(stem, tmp_path):
    if stem == "torch_mlp":
        pytest.importorskip("torch", reason="PyTorch is not installed; `make torch` runs this script")
    start = (
        f"import sys, runpy; sys.path.insert(0, {str(ROOT)!r}); runpy.run_path({str(SCRIPTS[stem])!r}, run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", start], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not [words for words in SAYS[stem] if words not in done.stdout], done.stdout


PAGES = {
    "sketch": "weighted_randk",
    "loss": "student_t_loss",
    "method": "heavy_ball",
    "theorem": "own_theorem",
    "model-in-pytorch": "torch_mlp",
}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_the_script_that_is_tested(page):
    text = (ROOT / "docs" / f"your-own-{page}.md").read_text(encoding="utf-8")
    assert f"```python\n{SCRIPTS[PAGES[page]].read_text(encoding='utf-8')}```" in text
