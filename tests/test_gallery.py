"""What the README says of its pictures, against the numbers beside them."""

import json
import re
from pathlib import Path

import pytest

from mastsim.reproduce import ALL_FIGURES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SAID = [
    ("test-accuracy", "points_of_accuracy mast - erm keep 0.3", "{:.1f} points of accuracy better than the ERM"),
    ("test-accuracy", "points_of_accuracy mast - erm_tuned keep 0.3", "{:.1f} better than ERM whose"),
    ("test-accuracy", "majority_accuracy", "the more frequent class, {:.3f})"),
    ("test-accuracy", "mean_dense_accuracy erm keep 0.1", "ERM is at {:.3f} and"),
    ("test-accuracy", "mean_dense_accuracy mast keep 0.1", "MAST trained at 10 % at {:.3f}."),
    ("shift", "gap, v = 0, keep 0.5", "falls from {:.3f} at v = 0"),
    ("shift", "gap, v = ERM of related rows, keep 0.5", "to {:.4f} at the ERM"),
    ("shift", "last distance, v = 0", "squared distance of {:.3f} for v = 0"),
    ("shift", "last distance, v = x*", "reaches {:.0e} for v = x*"),
    ("shift", "accuracy, v = x*, keep 0.5", "({:.3f} both)"),
    ("shift", "accuracy_of_shift, v = x*, keep 0.5", "({:.3f} both)"),
    ("step-sizes", "stable step over paper's, keep 0.1", "is {:.1f} times the paper's"),
    ("step-sizes", "best step over paper's, keep 0.1", "the fastest one {:.1f} times"),
    ("step-sizes", "stable step over paper's, keep 0.5", "50 % kept {:.1f} and"),
    ("step-sizes", "best step over paper's, keep 0.5", "and {:.1f} times."),
    ("theorem6", "quoted_ratio_p_0.001_T_900", "exceeds its right side {:.2f},"),
    ("theorem6", "quoted_ratio_p_0.0001_T_900", ", {:.2f},"),
    ("theorem6", "quoted_ratio_p_1e-05_T_2500", ", {:.2f} and"),
    ("theorem6", "quoted_ratio_p_1e-06_T_10000", "and {:.2f} times"),
    ("network", "mast_better_than_baseline_by_two_stderr_early", "in {:.0f} of 9 settings"),
    ("theorem6", "largest_corrected_ratio", "stays below {:.3f}."),
]


def findings(name):
    document = json.loads((ROOT / "figures" / f"{name}.json").read_text(encoding="utf-8"))
    return {key: value for finding in document["findings"] for key, value in finding.items()}


@pytest.mark.parametrize(("figure", "key", "sentence"), SAID)
def test_numbers_of_the_gallery_are_those_beside_the_pictures(figure, key, sentence):
    said = sentence.format(findings(figure)[key])
    assert said in re.sub(r"\s+", " ", README)


def test_operations_are_those_of_the_figure():
    found = findings("cost")
    for keep, said in ((0.7, "takes {:.2f} of the operations"), (0.3, "and {:.2f} times as many")):
        ratio = found[f"flops to f goal, best step, keep {keep}"] / found["flops to f goal, best step, keep 1"]
        assert said.format(ratio) in re.sub(r"\s+", " ", README)
    assert findings("network")["mast_worse_than_baseline_by_two_stderr_early"] == 0


def test_ties_are_ties():
    found = findings("test-accuracy")
    ties = [("erm_tuned", 0.1), ("erm_tuned", 0.9), ("erm", 0.9)]
    for other, keep in ties:
        name = f"points_of_accuracy mast - {other} keep {keep}"
        assert abs(found[name]) < 2 * found[f"{name} stderr"]


@pytest.mark.parametrize("name", ALL_FIGURES)
def test_every_figure_is_there_in_full_with_its_findings(name):
    document = json.loads((ROOT / "figures" / f"{name}.json").read_text(encoding="utf-8"))
    assert document["quick"] is False
    assert document["findings"]
    assert all((ROOT / "figures" / f"{name}.{kind}").stat().st_size > 10_000 for kind in ("png", "pdf"))
