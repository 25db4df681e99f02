"""What the findings say of the pictures, against the numbers beside them."""

import json
import re
from pathlib import Path

import pytest

from mastsim.reproduce import ALL_FIGURES
from mastsim.reproduce.tables import figure_list

ROOT = Path(__file__).parents[2]
SAID_OF_FIGURES = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
SAID = [
    ("test-accuracy", "points_of_accuracy mast - erm keep 0.3", "{:.1f} points of accuracy better than the ERM"),
    ("test-accuracy", "median_points_of_accuracy mast - erm keep 0.3", "and {:.1f} in the median (ERM"),
    ("test-accuracy", "median_points_of_accuracy dsgd_stopped - erm_tuned keep 0.3", "({:.1f} in the median)."),
    (
        "test-accuracy",
        "points_of_accuracy dsgd_stopped - erm_tuned keep 0.3",
        "stopped early is {:.1f} better than ERM whose",
    ),
    ("test-accuracy", "median_masked_accuracy erm_tuned keep 0.9", "tuned ERM ({:.3f} against"),
    ("test-accuracy", "median_masked_accuracy mast keep 0.9", "against {:.3f})."),
    ("test-accuracy", "majority_accuracy", "the more frequent class gets ({:.3f}), or below"),
    ("test-accuracy", "mean_dense_accuracy erm keep 0.1", "ERM is at {:.3f} and"),
    ("test-accuracy", "mean_dense_accuracy mast keep 0.1", "MAST trained at 10 % at {:.3f}."),
    ("shift", "gap, v = 0, keep 0.5", "falls from {:.3f} at v = 0"),
    ("shift", "gap, v = ERM of related rows, keep 0.5", "to {:.4f} at the ERM"),
    ("shift", "last distance, v = 0", "squared distance of {:.3f} for v = 0"),
    ("shift", "last distance, v = x*", "reaches {:.0e} for v = x*"),
    ("shift", "accuracy, v = x*, keep 0.5", "({:.3f} both)"),
    ("shift", "accuracy_of_shift, v = x*, keep 0.5", "({:.3f} both)"),
    ("step-sizes", "stable step over paper's, keep 0.1", "is {:.1f} times the paper's with 10 % kept"),
    ("step-sizes", "usable step over paper's, keep 0.1", "usable step is {:.0f} and"),
    ("step-sizes", "stable step over paper's, keep 0.5", "and {:.1f} times with 50 %"),
    ("step-sizes", "usable step over paper's, keep 0.5", "and {:.0f} times the paper's."),
    ("theorem6", "quoted_ratio_p_0.001_T_900", "exceeds its right side {:.2f},"),
    ("theorem6", "quoted_ratio_p_0.0001_T_900", ", {:.2f},"),
    ("theorem6", "quoted_ratio_p_1e-05_T_2500", ", {:.2f} and"),
    ("theorem6", "quoted_ratio_p_1e-06_T_10000", "and {:.2f} times"),
    ("network", "mast_better_than_baseline_at_95_percent_early", "in {:.0f} of 9 settings"),
    ("theorem6", "largest_corrected_ratio", "stays below {:.3f}."),
]


def findings(name):
    document = json.loads((ROOT / "figures" / f"{name}.json").read_text(encoding="utf-8"))
    return {key: value for finding in document["findings"] for key, value in finding.items()}


@pytest.mark.parametrize(("figure", "key", "sentence"), SAID)
def test_numbers_of_the_gallery_are_those_beside_the_pictures(figure, key, sentence):
    said = sentence.format(findings(figure)[key])
    assert said in re.sub(r"\s+", " ", SAID_OF_FIGURES)


def test_operations_are_those_of_the_figure():
    found = findings("cost")
    for keep, said in ((0.7, "DSGD takes {:.2f} times its operations"), (0.3, "and {:.2f} times with 30 %")):
        ratio = found[f"flops to f goal over those of gradient descent, best step, keep {keep}"]
        assert said.format(ratio) in re.sub(r"\s+", " ", SAID_OF_FIGURES)
    assert all(
        value > 1 for key, value in found.items() if "over those of gradient descent, best" in key and "keep 1" not in key
    )
    assert findings("network")["mast_worse_than_baseline_at_95_percent_early"] == 0


def test_ties_are_ties():
    found = findings("test-accuracy")
    ties = [("erm_tuned", 0.9), ("erm", 0.9)]
    assert found["points_of_accuracy mast - erm_tuned keep 0.1"] < 0
    for other, keep in ties:
        name = f"points_of_accuracy mast - {other} keep {keep}"
        assert abs(found[name]) < 2 * found[f"{name} stderr"]


COMMITTED = sorted(path.stem for path in (ROOT / "figures").glob("*.json"))
"""Figures that are published; one that was only added to the list of figures is not, until its files are committed."""


@pytest.mark.parametrize("name", COMMITTED)
def test_every_published_figure_is_there_in_full_with_its_findings(name):
    assert name in ALL_FIGURES
    document = json.loads((ROOT / "figures" / f"{name}.json").read_text(encoding="utf-8"))
    assert document["quick"] is False
    assert document["findings"]
    assert all((ROOT / "figures" / f"{name}.{kind}").stat().st_size > 10_000 for kind in ("png", "pdf"))


def test_the_list_of_figures_is_that_of_the_published_ones():
    rows = figure_list(ROOT / "figures").splitlines()[2:]
    assert len(rows) == len(COMMITTED)
    assert all(
        f"`{name}`" in row and ALL_FIGURES[name].TITLE in row
        for name, row in zip([name for name in ALL_FIGURES if name in COMMITTED], rows, strict=True)
    )


def test_what_is_said_of_designed_keeps_is_in_the_figure():
    found, said = findings("designed-keeps"), (ROOT / "docs" / "gallery" / "designed-keeps.md").read_text(encoding="utf-8")
    assert f"allow {found['step, designed over uniform, keep 0.3']:.1f} times the step of uniform keeps" in said
    assert f"and {found['step, designed over rand-k, keep 0.3']:.1f} times that of Rand-K" in said
    assert f"they leave {found['floor, designed over uniform, keep 0.3']:.0%} of it".replace("%", " %") in said
    assert 1.2 < found["step, designed over uniform, keep 0.9"] < 1.3
    assert found["most that other keeps could gain"] < 1e-4
