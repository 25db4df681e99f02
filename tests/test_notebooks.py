"""Notebooks as they are committed: complete outputs, no trace of a machine, and key numbers whose change is noticed.

Executing them is `make notebooks`.
"""

import ast
import base64
import json
import math
import re
from pathlib import Path

import nbformat
import pytest

from mastsim.reproduce import ALL_FIGURES

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
NOTEBOOKS = {path.stem: path for path in sorted(FOLDER.glob("*.ipynb"))}
LARGEST = 600 * 1024
ALLOWED_IMPORTS = {
    "__main__",
    "hypothesis",
    "mastsim",
    "functools",
    "numpy",
    "matplotlib",
    "json",
    "math",
    "pathlib",
    "random",
    "dataclasses",
}
MACHINE = re.compile(r"/(?:home|root|tmp|usr|opt|work|mnt|Users|private)/|[A-Z]:\\\\|site-packages")
TYPED = re.compile(r"\d+\.\d|\d\s*(?:%|per ?cent|times|points)|\d{2,}")
CRITICS = {
    "bernoulli-randk",
    "shift",
    "variance-reduction",
    "speed-up",
    "gap",
    "gdci",
    "step-sizes",
    "cost",
    "network",
    "theorem6",
    "tight-factor",
}
TOLERANCE = {stem: 1e-5 if stem.startswith("05") else 1e-6 for stem in NOTEBOOKS}

each_notebook = pytest.mark.parametrize("stem", NOTEBOOKS)


def cells_of(stem, kind):
    return [cell for cell in nbformat.read(NOTEBOOKS[stem], as_version=4).cells if cell.cell_type == kind]


def tree_of(cell):
    return ast.parse("\n".join(line for line in cell.source.splitlines() if not line.startswith("%")))


def texts_of(output):
    data = output.get("data", {})
    return [output.get("text", ""), *(text for kind, text in data.items() if kind.startswith("text/"))]


def committed(stem):
    return json.loads((FOLDER / "numbers.json").read_text(encoding="utf-8"))[stem]


def compare(stem, numbers):
    """Run the last cell of a notebook on numbers of our own."""
    given = {"numbers": numbers, "json": json, "math": math, "Path": lambda name: FOLDER / name, "print": lambda *_: None}
    exec(compile(tree_of(cells_of(stem, "code")[-1]), stem, "exec"), given)


def test_seven_notebooks_in_order():
    assert [stem[:2] for stem in NOTEBOOKS] == ["01", "02", "03", "04", "05", "06", "07"]
    assert json.loads((FOLDER / "numbers.json").read_text(encoding="utf-8")).keys() == NOTEBOOKS.keys()


@each_notebook
def test_every_cell_was_executed_in_order_without_errors(stem):
    code = cells_of(stem, "code")
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert outputs
    assert {output.output_type for output in outputs} <= {"stream", "execute_result", "display_data"}
    assert all(output.name == "stdout" for output in outputs if output.output_type == "stream")
    for output in outputs:
        if output.output_type == "execute_result":
            assert output.execution_count in range(1, len(code) + 1)


@each_notebook
def test_figures_are_pictures_in_the_file_and_the_file_is_small(stem):
    assert NOTEBOOKS[stem].stat().st_size < LARGEST
    pictures = [
        output.data.get("image/png") for cell in cells_of(stem, "code") for output in cell.outputs if "data" in output
    ]
    drawn = [picture for picture in pictures if picture is not None]
    assert all(base64.b64decode(picture).startswith(b"\x89PNG") for picture in drawn)
    least = {"04": 3, "05": len(CRITICS), "06": 0}.get(stem[:2], 1)
    assert len(drawn) >= least


@each_notebook
def test_nothing_says_when_or_where_it_ran(stem):
    notebook = nbformat.read(NOTEBOOKS[stem], as_version=4)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    assert notebook.metadata == {"kernelspec": kernel, "language_info": {"name": "python"}}
    assert all(cell.metadata == {} for cell in notebook.cells)
    texts = [text for cell in cells_of(stem, "code") for output in cell.outputs for text in texts_of(output)]
    assert not [text for text in [*texts, *(cell.source for cell in notebook.cells)] if MACHINE.search(text)]


@each_notebook
def test_notebooks_import_the_package_and_little_else(stem):
    nodes = [node for cell in cells_of(stem, "code") for node in ast.walk(tree_of(cell))]
    imported = [name.name for node in nodes if isinstance(node, ast.Import) for name in node.names]
    imported += [node.module for node in nodes if isinstance(node, ast.ImportFrom)]
    assert {name.partition(".")[0] for name in imported} <= ALLOWED_IMPORTS


@each_notebook
def test_committed_outputs_are_those_of_the_committed_numbers(stem):
    numbers = committed(stem)
    shown, verdict = cells_of(stem, "code")[-2:]
    assert verdict.outputs[0].text == f"{len(numbers)} numbers are those of numbers.json\n"
    if not stem.startswith("05"):
        displayed = ast.literal_eval(shown.outputs[0].data["text/plain"])
        assert {name: float(value) for name, value in displayed.items()} == numbers


@each_notebook
def test_a_changed_number_is_noticed(stem):
    numbers, tolerance = committed(stem), TOLERANCE[stem]
    compare(stem, {name: value * (1 + 0.5 * tolerance) for name, value in numbers.items()})
    for name, value in numbers.items():
        changed = value * (1 + 3 * tolerance) if abs(value) > 1e-6 else value + 1e-6
        with pytest.raises(AssertionError):
            compare(stem, numbers | {name: changed})
    name, *_ = numbers
    for other in ({n: v for n, v in numbers.items() if n != name}, numbers | {"one more": 1.0}, numbers | {name: math.nan}):
        with pytest.raises(AssertionError):
            compare(stem, other)


def test_answers_to_critics_quote_json_and_type_no_number():
    (stem,) = (stem for stem in NOTEBOOKS if stem.startswith("05"))
    for cell in cells_of(stem, "markdown")[1:-1]:
        assert not TYPED.search(cell.source), cell.source
    for cell in cells_of(stem, "code")[1:-1]:
        for node in ast.walk(tree_of(cell)):
            if isinstance(node, ast.JoinedStr):
                words = "".join(part.value for part in node.values if isinstance(part, ast.Constant))
                assert not TYPED.search(words), words


def test_every_critic_is_answered():
    (stem,) = (stem for stem in NOTEBOOKS if stem.startswith("05"))
    quoted = {name.partition(":")[0] for name in committed(stem)}
    assert quoted == CRITICS
    assert quoted <= ALL_FIGURES.keys()
