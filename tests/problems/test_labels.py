"""Two labels are two classes wherever data are read: nothing becomes a regression without a word."""

import csv
import json
import shlex
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import mastsim as ms
from mastsim import sweeps
from mastsim.cli import main
from mastsim.problems import Dataset, LeastSquares, LogisticRegression, family_for
from mastsim.problems.catalogue import CATALOGUE
from mastsim.problems.dataset import spell_label
from mastsim.verification import instances

pytestmark = pytest.mark.slow

CODES = [(0, 1), (1, 2), (-1, 1), (-1, 0), (2, 4), (-3.25, 1e7), (0.1, 0.30000000000000004)]
numbers = st.one_of(st.integers(-5, 5).map(float), st.floats(-1e12, 1e12))


def written(folder, labels, name="mine"):
    rng = np.random.default_rng(7)
    rows = rng.standard_normal((len(labels), 3)).tolist()
    lines = [
        f"{label!r} " + " ".join(f"{j + 1}:{v!r}" for j, v in enumerate(row))
        for label, row in zip(labels, rows, strict=True)
    ]
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def call(*arguments, code=0):
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == code, result.output + str(result.exception)
    return result


def two_codes(pair, count=12):
    return [pair[i % 3 == 0] for i in range(count)]


# -------------------------------------------------------------------------------------------------- Dataset


@settings(deadline=None)
@given(st.lists(numbers, min_size=1, max_size=12))
def test_any_labels_are_classes_if_there_are_two_and_targets_if_not(labels):
    data = Dataset("mine", np.zeros((len(labels), 1)), np.array(labels), "", "")
    distinct = sorted(set(labels))
    classes, family = family_for(data)
    if len(distinct) == 2 or set(distinct) <= {-1.0, 1.0}:
        assert family is LogisticRegression
        top = max(distinct) if len(distinct) == 2 else 1.0
        np.testing.assert_array_equal(classes.y, [1.0 if label == top else -1.0 for label in labels])
        assert all(classes.labels[label] == y for label, y in zip(labels, classes.y.tolist(), strict=True))
        np.testing.assert_array_equal(data.signs, classes.y)
    else:
        assert family is LeastSquares
        assert classes is data
        with pytest.raises(ValueError, match=rf"'mine' has {len(distinct)} labels? \(.*\), but a classification"):
            family_for(data, "logistic")
    assert family_for(data, "least-squares") == (data, LeastSquares)


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=2, max_size=9).filter(lambda b: len(set(b)) == 2), st.tuples(numbers, numbers))
def test_either_label_can_be_the_positive_one_from_either_side(which, pair):
    if pair[0] == pair[1]:
        return
    y = np.array([pair[b] for b in which])
    data = Dataset("mine", np.zeros((len(y), 1)), y, "", "")
    for label in pair:
        expected = np.where(y == label, 1.0, -1.0)
        for before in (data, data.classified(), data.classified(pair[0]), data.classified(pair[1])):
            found = before.classified(label)
            np.testing.assert_array_equal(found.y, expected)
            assert found.labels == {pair[0]: 1 if label == pair[0] else -1, pair[1]: 1 if label == pair[1] else -1}
            np.testing.assert_array_equal(found.classified().y, expected)


def test_bad_positive_labels_are_refused_by_name():
    two = Dataset("mine", np.zeros((2, 1)), np.array([0.0, 1.0]), "", "")
    with pytest.raises(ValueError, match=r"positive=3 is not accepted: the labels of 'mine' are 0, 1$"):
        two.classified(3)
    with pytest.raises(ValueError, match="positive=nan is not accepted"):
        two.classified(float("nan"))
    with pytest.raises(ValueError, match="positive=1 is not accepted with problem='least-squares'"):
        family_for(two, "least-squares", 1)
    three = replace(two, A=np.zeros((3, 1)), y=np.arange(3.0))
    with pytest.raises(ValueError, match=r"has 3 labels \(0, 1, 2\)"):
        three.classified(1)
    many = replace(two, A=np.zeros((9, 1)), y=np.arange(9.0))
    with pytest.raises(ValueError, match=r"has 9 labels \(0, 1, 2, 3, …, 8\)"):
        many.classified()
    with pytest.raises(ValueError, match="unknown problem 'logit'; did you mean 'logistic'"):
        family_for(two, "logit")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_labels_are_spelled_with_every_digit(label):
    assert float(spell_label(label)) == label
    assert not spell_label(label).endswith(".0")


def test_load_takes_the_positive_label(tmp_path):
    path = written(tmp_path, two_codes((0, 1)))
    raw = ms.load(path)
    assert raw.labels is None
    assert set(raw.y.tolist()) == {0.0, 1.0}
    turned = ms.load(path, positive=0)
    np.testing.assert_array_equal(turned.y, np.where(raw.y == 0, 1.0, -1.0))
    assert turned.sha256 == raw.sha256
    bundled, other = ms.load(), ms.load(positive=-1)
    np.testing.assert_array_equal(other.y, -bundled.y)
    assert dict(bundled.labels) == {-1: -1, 1: 1}
    assert dict(CATALOGUE[2].labels) == {1: 1, 2: -1}


# --------------------------------------------------------------------------------------------- command line


@pytest.mark.parametrize("codes", CODES, ids=str)
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    "command",
    [
        ("constants", "--sketch", "randk:0.5"),
        ("stepsize", "--sketch", "randk:0.5"),
        ("simulate", "--sketch", "randk:0.5", "--steps", "3", "--replicas", "2"),
    ],
    ids=lambda command: command[0],
)
def test_every_command_takes_two_labels_for_two_classes(tmp_path, codes, command, turned):
    path = written(tmp_path, two_codes(codes))
    low, high = (spell_label(code) for code in codes)
    options = ("--positive", low) if turned else ()
    found = json.loads(call(*command, "--data", path, *options, "--json", "-").stdout)
    assert found["objective"]["problem"].startswith("logistic regression")
    assert found["labels"] == ({low: 1, high: -1} if turned else {low: -1, high: 1})
    assert found["data"]["sha256"] == ms.load(path).sha256
    lines = call(*command, "--data", path, *options).output.splitlines()
    said = next((line for line in lines if line.startswith("labels: ")), "")
    if turned:
        assert said == f"labels: {low} is +1, {high} is -1 (--positive {high} turns them round)"
    elif codes != (-1, 1):
        assert said == f"labels: {low} is -1, {high} is +1 (--positive {low} turns them round)"
    else:
        assert said == ""


def test_the_numbers_are_those_of_the_mapped_labels(tmp_path):
    labels = [0, 0, 1, 0, 1, 1, 0, 1, 0, 0]
    options = ("--sketch", "randk:0.5", "--json", "-")
    found = json.loads(call("constants", "--data", written(tmp_path, labels), *options).stdout)["constants"]
    by_hand = written(tmp_path, [2 * label - 1 for label in labels], "signed")
    expected = json.loads(call("constants", "--data", by_hand, *options).stdout)["constants"]
    assert found == expected
    turned = ("--data", written(tmp_path, labels), "--positive", "0")
    mirrored = written(tmp_path, [1 - 2 * label for label in labels], "mirrored")
    expected = json.loads(call("constants", "--data", mirrored, *options).stdout)["constants"]
    assert json.loads(call("constants", *turned, *options).stdout)["constants"] == expected


def test_least_squares_keeps_the_labels_as_they_stand(tmp_path):
    path = written(tmp_path, two_codes((0, 1)))
    options = ("--data", path, "--sketch", "randk:0.5", "--problem", "least-squares")
    found = json.loads(call("constants", *options, "--json", "-").stdout)
    assert found["labels"] is None
    data = ms.load(path)
    lowest = ms.LeastSquares(data.A, data.y, condition_number=100).minimize().value
    assert found["constants"]["f_inf"]["value"] == pytest.approx(lowest)
    assert "labels: taken as they stand, as targets" in call("constants", *options).output


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (
            [0, 1, 2, 1],
            ("--problem", "logistic"),
            "data set 'mine' has 3 labels (0, 1, 2), but a classification needs two, which become -1 and +1 "
            "(problem='least-squares' takes them as targets)",
        ),
        (
            [0, 0, 0, 0],
            ("--problem", "logistic"),
            "data set 'mine' has 1 label (0), but a classification needs two",
        ),
        ([0, 1, 0, 1], ("--positive", "7"), "positive=7 is not accepted: the labels of 'mine' are 0, 1"),
        ([0, 1, 2, 1], ("--positive", "1"), "data set 'mine' has 3 labels (0, 1, 2)"),
        (
            [0, 1, 0, 1],
            ("--positive", "1", "--problem", "least-squares"),
            "positive=1 is not accepted with problem='least-squares': its targets are the labels as they are",
        ),
    ],
)
def test_labels_that_do_not_fit_are_refused_in_one_sentence_without_code(tmp_path, labels, options, message):
    path = written(tmp_path, labels)
    for command in (("constants",), ("stepsize",), ("simulate", "--steps", "2")):
        said = call(*command, "--sketch", "identity", "--data", path, *options, code=2).output
        assert said.startswith(f"Error: {message}")
        assert "np." not in said
        assert said.count("\n") == 1
    if "--problem" not in options:
        for command in (("verify", "--quick"), ("reproduce", "gdci", "--quick", "--out", str(tmp_path))):
            assert call(*command, "--data", path, *options, code=2).output.startswith(f"Error: {message}")


def test_auto_says_when_it_takes_targets(tmp_path):
    path = written(tmp_path, [0, 1, 2, 1, 5])
    said = call("constants", "--sketch", "identity", "--data", path).output
    assert said.splitlines()[1] == "labels: taken as they stand, as targets"
    assert "squared regression" in said


def test_verify_tries_logistic_regression_on_any_two_codes(tmp_path):
    path = written(tmp_path, two_codes((0, 1)))
    options = ("verify", "--data", path, "--quick", "--theorem", "lemma1", "--sketch", "randk:0.5")
    result = call(*options, "--json", str(tmp_path / "out.json"))
    assert result.output.startswith("labels: 0 is -1, 1 is +1 (--positive 0 turns them round)\n")
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["labels"] == {"0": -1, "1": 1}
    assert any(row["problem"].startswith("logistic regression (n = 12") for row in found["results"])
    assert json.loads(call(*options, "--positive", "0", "--json", "-").stdout)["labels"] == {"0": 1, "1": -1}


@pytest.mark.parametrize("codes", CODES[:3])
def test_the_library_tries_the_same_without_being_told(tmp_path, codes):
    data = ms.load(written(tmp_path, two_codes(codes)))
    found = instances.on_data(data, [ms.RandK(3, k=1)])
    assert {type(F.problem) for F in found} == {LogisticRegression, LeastSquares}
    logistic = next(F.problem for F in found if isinstance(F.problem, LogisticRegression))
    np.testing.assert_array_equal(logistic.y, data.signs)
    assert len(instances.on_few_rows(data)) == 2
    assert len(instances.distributed_data(data)) == 2


def test_reproduce_takes_any_two_codes(tmp_path):
    path = written(tmp_path, two_codes((1, 2), 20))
    result = call("reproduce", "variance-reduction", "--data", path, "--quick", "--out", str(tmp_path))
    assert "labels: 1 is -1, 2 is +1 (--positive 1 turns them round)" in result.stderr
    assert json.loads((tmp_path / "variance-reduction.json").read_text())["labels"] == {"1": -1, "2": 1}


def test_a_grid_takes_any_two_codes_and_the_positive_one(tmp_path):
    path = written(tmp_path, two_codes((0, 1)))
    grid = {"data": path, "sketch": "randk:0.5", "steps": 3, "replicas": 2, "features": 4}
    results = {}
    for positive in (None, 0):
        found = sweeps.sweep(grid | {"positive": positive}, tmp_path / str(positive))
        results[positive] = next(row for row in found.table() if row["measure"] == "f")
    F = [
        LogisticRegression(ms.load(path, features=4).A, sign * ms.load(path).signs, condition_number=100) for sign in (1, -1)
    ]
    assert F[0].dim == 4
    for positive, f in zip((None, 0), F, strict=True):
        run = ms.simulate(
            ms.DSGD(results[positive]["stepsize"]), ms.Mast(f, ms.RandK(4, k=2)), steps=3, replicas=2, measures=("f",)
        )
        assert results[positive]["mean"] == pytest.approx(run.f[:, -1].mean(), rel=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"problem": "logistic"}, r"grid key 'problem' with data .* has 4 labels \(0, 1, 2, 5\)"),
        ({"positive": 1}, r"grid key 'problem' with data .* has 4 labels \(0, 1, 2, 5\)"),
        ({"positive": True}, "grid key 'positive': True is not accepted: it must not be true or false"),
        ({"features": 0}, "grid key 'features': features=0 is not accepted"),
        ({"features": 2}, "grid key 'data': .* lies beyond features=2"),
        ({"zero_based": 1}, "grid key 'zero_based': 1 is not accepted: it must be true or false"),
    ],
)
def test_a_grid_whose_labels_do_not_fit_is_refused_before_any_task(tmp_path, change, message):
    path = written(tmp_path, [0, 1, 2, 1, 5, 1])
    with pytest.raises(ValueError, match=message):
        sweeps.read_grid({"data": path, "sketch": "identity", **change})


# ------------------------------------------------------------------------------------------------- names of classes

NAMES = [
    ("healthy", "ill"),
    ("not so ill", "ill"),
    ("krank", "gesund"),
    ("NO", "no"),
    ("it's", 'so "called"'),
    ("<b>", "≥ 2"),
    ("-1x", "1e"),
    ("inf", "sup"),
    ("1_0", "Infinity"),
]


def table(tmp_path, pair, which, mark=","):
    """Write a table whose target has two texts, and return its path."""
    with (tmp_path / "patients.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, delimiter=mark)
        rows.writerow(["size", "age", "state"])
        rows.writerows([0.5 * i + (i % 3), (i * i) % 7, pair[one]] for i, one in enumerate(which))
    return str(tmp_path / "patients.csv")


WHICH = [0, 1, 1, 0, 1, 0, 0, 0, 1, 1]


@pytest.mark.parametrize("pair", NAMES, ids=str)
def test_a_class_is_named_as_the_file_has_it(tmp_path, pair):
    path = table(tmp_path, pair, WHICH)
    low, high = sorted(pair)
    plain = ms.load(path, target="state")
    assert [plain.spell(label) for label in plain.y.tolist()] == [pair[one] for one in WHICH]
    for name, number in ((low, 0), (high, 1)):
        found = ms.load(path, target="state", positive=name)
        assert found.y.tolist() == [1.0 if pair[one] == name else -1.0 for one in WHICH]
        assert found.labels == ms.load(path, target="state", positive=number).labels
        assert found.classified(low if name == high else high).y.tolist() == (-found.y).tolist()
        other = low if name == high else high
        said = call("constants", "--sketch", "identity", "--data", path, "--target", "state", "--positive", name).output
        first = f"{low} is {-1 if name == high else 1:+d}, {high} is {1 if name == high else -1:+d}"
        assert said.splitlines()[1] == f"labels: {first} (--positive {shlex.quote(other)} turns them round)"


@pytest.mark.parametrize(
    "command",
    [
        ("stepsize", "--sketch", "randk:0.5"),
        ("simulate", "--sketch", "randk:0.5", "--steps", "3", "--replicas", "2"),
        ("verify", "--quick", "--theorem", "lemma1", "--sketch", "randk:0.5"),
        ("advise",),
    ],
    ids=lambda command: command[0],
)
def test_every_command_takes_the_name_of_a_class(tmp_path, command):
    path = table(tmp_path, ("healthy", "ill"), WHICH)
    head, *rest = command
    data = (path,) if head == "advise" else ("--data", path)
    documents = [
        json.loads(call(head, *data, "--target", "state", "--positive", name, *rest, "--json", "-").stdout)
        for name in ("healthy", "0", "ill")
    ]
    assert [document["labels"] for document in documents] == [{"0": 1, "1": -1}] * 2 + [{"0": -1, "1": 1}]


def test_descriptions_and_grids_take_the_name_of_a_class(tmp_path):
    path = table(tmp_path, ("not ill", "ill"), WHICH)
    spec = ms.Spec(data=path, target="state", positive="not ill", sketch="randk:0.5")
    assert ms.Spec.from_text(spec.text) == spec
    assert spec.problem_of(spec.load())[0].labels == {0.0: -1, 1.0: 1}
    grid = {"data": path, "target": "state", "sketch": "randk:0.5", "steps": 2, "replicas": 2, "positive": "ill"}
    assert sweeps.sweep(grid, tmp_path / "out").table()


def test_a_name_that_is_no_class_is_refused_with_those_that_are(tmp_path):
    path = table(tmp_path, ("healthy", "ill"), WHICH)
    message = "positive=sick is not accepted: the labels of 'patients.csv' are healthy, ill"
    with pytest.raises(ValueError, match=message):
        ms.load(path, target="state", positive="sick")
    said = call(
        "constants", "--sketch", "identity", "--data", path, "--target", "state", "--positive", "sick", code=2
    ).output
    assert said == f"Error: {message}\n"
    numbers = written(tmp_path, [0, 1, 0, 1])
    with pytest.raises(ValueError, match="positive=healthy is not accepted: the labels of 'mine' are 0, 1"):
        ms.load(numbers, positive="healthy")
    with pytest.raises(ValueError, match="positive=healthy is not accepted with problem='least-squares'"):
        family_for(ms.load(path, target="state"), "least-squares", "healthy")
