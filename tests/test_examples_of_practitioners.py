"""The examples and the page for practitioners run as they stand, and say what they promise."""

import re
import runpy
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
EXAMPLES = ("advice_for_a_csv", "designed_keeps")


def run(path, monkeypatch, capsys):
    """Run a script without arguments, and return what it prints."""
    monkeypatch.setattr(sys, "argv", [str(path)])
    runpy.run_path(str(path), run_name="__main__")
    return capsys.readouterr().out


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_are_short_and_use_only_public_names(name):
    text = (ROOT / "examples" / f"{name}.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 40
    assert not re.search(r"\._[a-z]|import _", text)


def test_advice_for_a_csv_names_the_column_that_limits_the_step(monkeypatch, capsys):
    said = run(ROOT / "examples" / "advice_for_a_csv.py", monkeypatch, capsys)
    assert said.startswith("DSGD: γ = ")
    assert "the column 'worst area' alone" in said
    assert "benign is 0, malignant is 1" in said


def test_designed_keeps_allow_the_largest_step_of_independent_masks(monkeypatch, capsys):
    said = run(ROOT / "examples" / "designed_keeps.py", monkeypatch, capsys)
    steps = {name: float(step) for name, step in re.findall(r"^(\S+) +largest step ([\d.e-]+)", said, flags=re.MULTILINE)}
    assert set(steps) == {"designed", "uniform", "rand-k"}
    assert steps["designed"] > 1.1 * steps["uniform"]


def test_the_page_runs_as_it_stands(capsys):
    page = (ROOT / "docs" / "advice-for-a-data-file.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    assert len(code.splitlines()) <= 40
    exec(compile(code, "docs/advice-for-a-data-file.md", "exec"), {})
    assert "DSGD: γ = " in capsys.readouterr().out
