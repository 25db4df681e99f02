"""The command line, in process: output, JSON documents, exit codes and messages."""

import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

import mastsim
from mastsim.cli import main
from mastsim.cli.listings import Naming
from mastsim.constants import CLIENT_NAMES, NAMES
from mastsim.typesetting import markdown_statement

pytestmark = pytest.mark.slow

TINY = "synthetic:n=40,d=6,condition=10"


def call(*arguments: str, code: int = 0):
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == code, result.output + str(result.exception)
    return result


def document(*arguments: str) -> dict:
    return json.loads(call(*arguments, "--json", "-").stdout, parse_constant=lambda name: pytest.fail(name))


def test_verify_filters_by_theorem_and_sketch():
    results = document("verify", "--data", TINY, "--quick", "--theorem", "theorem1", "--sketch", "randk:0.5")["results"]
    assert {r["theorem"].split("/")[0] for r in results} == {"theorem1"}
    on_data = {r["sketch"].split(",")[0] for r in results if "regression (n = 40" in r["problem"]}
    assert on_data == {"Rand-3 of 6"}


def test_a_surprise_exits_with_one(monkeypatch):
    monkeypatch.setattr(mastsim.theorems.Lemma1, "status", "refuted as quoted")
    call("verify", "--data", TINY, "--quick", "--theorem", "lemma1", code=1)


def test_report_is_one_self_contained_page(tmp_path):
    call("verify", "--data", TINY, "--quick", "--theorem", "theorem2", "--report", str(tmp_path / "report"))
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "Theorem 2 (strongly convex DSGD)" in page
    assert 'id="theorem2"' in page
    assert "href=" in page
    assert not re.findall(r"(?:src|href)=(?![\"']#)", page)
    assert {path.name for path in (tmp_path / "report").iterdir()} == {"index.html", "verdicts.json"}
    assert json.loads((tmp_path / "report" / "verdicts.json").read_text())["all_as_expected"]


def test_constants_have_every_name_with_its_tier():
    found = document("constants", "--data", TINY, "--sketch", "randk:0.5")["constants"]
    assert tuple(found) == NAMES
    assert {c["kind"] for c in found.values()} <= {"exact", "upper", "lower", "estimate"}
    assert found["L_S_max"]["value"] == 4.0
    f = mastsim.LogisticRegression(mastsim.load(TINY).A, mastsim.load(TINY).y, condition_number=100)
    assert found["L_f"]["value"] == pytest.approx(float(f.L_f))


def test_constants_under_a_shift(tmp_path):
    at_optimum = document("constants", "--data", TINY, "--sketch", "randk:0.5", "--shift", "erm")["constants"]
    assert at_optimum["gap"]["value"] <= 1e-12
    np.save(tmp_path / "v.npy", np.ones(6))
    shifted = document("constants", "--data", TINY, "--sketch", "randk:0.5", "--shift", str(tmp_path / "v.npy"))["constants"]
    assert shifted["gap"]["value"] > 1e-6


def test_stepsize_lists_every_rate():
    rows = document("stepsize", "--data", TINY, "--sketch", "randk:0.5", "--accuracy", "1e-3")["stepsize"]
    names = ["theorem", "source", "applies", "reason", "stepsize", "stepsize_sharp", "rate", "radius", "steps_to_accuracy"]
    assert set(names) <= set(rows[0])
    assert rows[0]["applies"]
    assert rows[0]["stepsize"] <= rows[0]["stepsize_sharp"]


def test_stepsize_says_why_a_theorem_does_not_apply():
    rows = document("stepsize", "--data", TINY, "--sketch", "randk:0.5", "--l2", "0")["stepsize"]
    refused = {row["theorem"]: row["reason"] for row in rows if not row["applies"]}
    assert "strong convexity" in refused["theorem2"]
    assert "l2=" in refused["theorem2"]
    assert "--clients" in refused["distributed-convex"]
    assert {row["theorem"] for row in rows if row["applies"]} >= {
        "theorem2-convex",
        "theorem3",
        "theorem4-nonconvex",
        "page",
    }


def test_stepsize_answers_first_and_groups_rows_by_what_they_bound():
    found = document("stepsize", "--data", TINY, "--sketch", "randk:0.5")
    rows = found["stepsize"]
    assert found["answer"].startswith("DSGD: γ = ")
    kinds = [(row["measure"], row["over"]) for row in rows if row["applies"]]
    assert sum(one != other for one, other in itertools.pairwise(kinds)) == len(set(kinds)) - 1
    assert all(isinstance(row["vacuous"], bool) for row in rows if row["applies"])
    only = document("stepsize", "--data", TINY, "--sketch", "randk:0.5", "--method", "page")
    assert {row["method"] for row in only["stepsize"]} == {"PAGE"}
    assert only["answer"].startswith("PAGE")
    applies = [row["applies"] for row in rows]
    assert applies == sorted(applies, reverse=True)
    assert {row["theorem"] for row in rows} == {
        t.id for t in mastsim.theorems.ALL if issubclass(t, mastsim.theorems.Rate) and t.status != "refuted as quoted"
    }


def test_constants_and_step_sizes_have_the_same_keys_with_clients_and_without():
    """One vocabulary: clients add names and take none away."""
    for options in ((), ("--shift", "erm"), ("--l2", "0")):
        one, many = (
            {c: document(c, "--data", TINY, "--sketch", "randk:0.5", *options, *more) for c in ("constants", "stepsize")}
            for more in ((), ("--clients", "3"))
        )
        names = [list(found["constants"]["constants"]) for found in (one, many)]
        assert names[0] == list(NAMES)
        assert names[1] == [*NAMES, *CLIENT_NAMES]
        for each in (one, many):
            assert all(set(c) == {"value", "kind", "source", "error"} for c in each["constants"]["constants"].values())
        assert {key for row in one["stepsize"]["stepsize"] for key in row} == {
            key for row in many["stepsize"]["stepsize"] for key in row
        }
        assert set(one["constants"]) == set(many["constants"])


def test_clients_and_minibatches_change_what_applies():
    rows = document("stepsize", "--data", TINY, "--sketch", "randk:0.5", "--clients", "2", "--split", "label")["stepsize"]
    assert {row["theorem"] for row in rows if row["applies"]} == {
        "theorem6",
        "distributed-convex",
        "distributed-independent",
        "participation-dependent",
        "participation-number",
        "participation-probability",
    }
    rows = document("stepsize", "--data", TINY, "--sketch", "randk:0.5", "--minibatch", "3")["stepsize"]
    assert {row["settings"] for row in rows if row["theorem"] == "theorem4"} == {"3-nice"}
    found = document("constants", "--data", TINY, "--sketch", "randk:0.5", "--clients", "2")["constants"]
    product = found["L_fD"]["value"] * found["expected_smoothness"]["value"]
    assert found["nonconvex_variance"]["value"] == pytest.approx(product)


@pytest.mark.parametrize(
    ("method", "sketch", "options", "theorem"),
    [
        ("dsgd", "randk:0.5", (), "theorem2"),
        ("dsgd", "randk:0.5", ("--minibatch", "4"), "theorem4"),
        ("dsgd", "randk:0.5", ("--l2", "0"), "theorem2-convex-any-step"),
        ("lsvrdsg", "randk:0.5", (), "theorem5"),
        ("page", "bernoulli:0.5", (), "page"),
        ("distributed", "randk:0.5", ("--clients", "8"), "distributed-independent"),
        ("sgd", "identity", ("--minibatch", "4"), "sgd"),
        ("gdci", "bernoulli:0.999", (), "gdci"),
        ("gd", "randk:0.5", (), None),
    ],
)
def test_every_method_runs_at_its_own_theoretical_step(method, sketch, options, theorem):
    settings = ("--method", method, "--sketch", sketch, "--steps", "8", "--replicas", "3", *options)
    found = document("simulate", "--data", TINY, *settings)
    assert found["theorem"] == theorem
    assert (found["bound"] is None) == (theorem is None)
    assert found["final"]["distance"]["mean"] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--method", "distributed"), "--clients"),
        (("--method", "dsgd", "--clients", "2"), "--method distributed"),
        (("--method", "gd", "--minibatch", "2"), "exact gradients"),
        (("--method", "gdci"), "pass a number"),
        (("--minibatch", "4000"), "tau=4000"),
        (("--clients", "4000", "--method", "distributed"), "clients=4000"),
    ],
)
def test_methods_that_do_not_fit_are_refused_with_the_remedy(options, message):
    assert message in call("simulate", "--data", TINY, "--sketch", "randk:0.5", "--steps", "3", *options, code=2).output


def test_pages_have_one_for_every_theorem(tmp_path):
    folder = tmp_path / "pages"
    call("verify", "--data", TINY, "--quick", "--theorem", "theorem6-quoted", "--pages", str(folder))
    assert {page.stem for page in folder.glob("*.md")} == {"README", *(t.id for t in mastsim.theorems.ALL)}
    text = (folder / "theorem6-quoted.md").read_text(encoding="utf-8")
    assert "15.6688" in text
    assert "refuted as quoted" in text
    assert "the witness" in text
    assert "no instance of this trial" in (folder / "theorem2.md").read_text(encoding="utf-8")


def test_committed_pages_say_what_the_registry_says():
    folder = Path(__file__).parent.parent / "docs" / "theorems"
    assert {page.stem for page in folder.glob("*.md")} == {"README", *(t.id for t in mastsim.theorems.ALL)}
    for kind in mastsim.theorems.ALL:
        text = (folder / f"{kind.id}.md").read_text(encoding="utf-8")
        statement = markdown_statement(kind.statement)
        for said in (kind.title, statement, kind.source, kind.status, *(a.name for a in kind.assumptions)):
            assert said in text
        pictures = re.findall(r"\]\(([^)]*\.svg)\)", text)
        assert pictures
        assert all((folder / name).exists() for name in pictures)


def test_simulate_saves_plots_and_reports(tmp_path):
    out, plot = tmp_path / "run.npz", tmp_path / "run.png"
    options = ("--steps", "30", "--replicas", "5", "--seed", "3", "--out", str(out), "--plot", str(plot))
    found = document("simulate", "--data", TINY, "--sketch", "bernoulli:0.5", *options)
    run = mastsim.Run.load(out)
    assert found["final"]["distance"]["mean"] == pytest.approx(run.distance[:, -1].mean())
    assert set(found["final"]) == {"distance", "gap", "gradient_norm", "f"}
    assert found["final"]["distance"]["mean"] <= found["bound"]
    assert (found["steps"], found["replicas"], found["seed"]) == (30, 5, 3)
    assert plot.read_bytes()[:4] == b"\x89PNG"


def test_simulate_gives_no_bound_for_a_step_the_theory_does_not_cover():
    found = document("simulate", "--data", TINY, "--sketch", "randk:0.5", "--stepsize", "3.0", "--steps", "3")
    assert found["bound"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("constants", "--data", "brest-cancer", "--sketch", "randk:0.1"), "breast-cancer"),
        (("constants", "--data", TINY, "--sketch", "rankd:0.1"), "did you mean 'randk'"),
        (("constants", "--data", TINY, "--sketch", "randk:1.5"), "keep"),
        (("constants", "--data", TINY, "--sketch", "bernoulli:0"), "(0, 1]"),
        (("constants", "--data", TINY, "--sketch", "randk:0.5", "--shift", "nowhere"), "zero, erm"),
        (("constants", "--data", TINY, "--sketch", "randk:0.5", "--l2", "-1"), "l2"),
        (("constants", "--data", TINY, "--sketch", "randk:0.5", "--l2", "1", "--condition-number", "9"), "exactly one"),
        (("verify", "--data", TINY, "--theorem", "theorm2"), "did you mean 'theorem2'"),
        (("verify", "--data", TINY, "--sketch", "rand:0.1"), "randk"),
        (("simulate", "--data", TINY, "--sketch", "randk:0.5", "--stepsize", "-1"), "stepsize=-1"),
        (("simulate", "--data", TINY, "--sketch", "randk:0.5", "--stepsize", "big"), "theory, sharp or a number"),
        (("simulate", "--data", TINY, "--sketch", "randk:0.5", "--replicas", "0"), "replicas=0"),
        (("data", "path", "a5"), "a5a"),
    ],
)
def test_bad_input_exits_with_two_and_says_what_is_accepted(arguments, message):
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == 2
    assert message in result.output


def test_help_imports_nothing_heavy():
    heavy = ["numpy", "scipy", "numba", "cvxpy", "matplotlib", "sklearn"]
    code = f"import sys, mastsim.cli; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_data_list_names_the_catalogue():
    names = {row["name"] for row in document("data", "list")["datasets"]}
    assert {"breast-cancer", "a5a", "a5a.t", "mushrooms"} <= names


def test_an_attack_finds_saves_and_replays_a_witness(tmp_path):
    saved = tmp_path / "witness.json"
    found = document("verify", "--attack", "theorem1/nonconvex", "--budget", "200", "--witness", str(saved))
    assert found["verdict"] == "refuted"
    assert found["ratio"] > 1.05
    again = document("verify", "--replay", str(saved))
    assert again["ratio"] == pytest.approx(found["ratio"])
    assert "exclude each other" in call("verify", "--attack", "theorem1", "--replay", str(saved), code=2).output
    assert "did you mean" in call("verify", "--attack", "theorem22", code=2).output


def test_reproduce_writes_three_files_a_figure(tmp_path):
    options = ("--data", "synthetic:n=20,d=3", "--quick", "--out", str(tmp_path))
    call("reproduce", "variance-reduction", *options)
    assert {path.name for path in tmp_path.iterdir()} == {f"variance-reduction.{kind}" for kind in ("png", "pdf", "json")}
    assert "did you mean 'speed-up'" in call("reproduce", "speedup", *options, code=2).output


def test_a_sweep_resumes_where_it_is(tmp_path):
    grid = tmp_path / "grid.toml"
    lines = [
        'data = "synthetic:n=20,d=3"',
        'sketch = "randk:0.5"',
        'method = "dsgd"',
        "steps = 4",
        "replicas = 2",
        "seed = [0, 1]",
    ]
    grid.write_text("\n".join(lines), encoding="utf-8")
    first = document("sweep", str(grid), "--out", str(tmp_path / "out"))
    assert (first["tasks"], first["computed"]) == (2, 2)
    (table,) = (tmp_path / "out").glob("table-*.csv")
    assert table.is_file()
    again = document("sweep", str(grid), "--out", str(tmp_path / "out"))
    assert (again["done"], again["computed"]) == (2, 0)
    assert again["rows"] == first["rows"]


# --------------------------------------------------------------------------- numbers and files that are refused at once

SMALL = ("--data", "synthetic:n=20,d=4")


@pytest.mark.parametrize("vanishing", ["1e-400", "0.001e-330", "-2E-999"])
@pytest.mark.parametrize("option", ["--l2={}", "--condition-number={}", "--stepsize={}", "--sketch=randk:{}"])
def test_a_number_that_would_be_read_as_zero_is_refused(option, vanishing):
    found = CliRunner().invoke(main, ["stepsize", *SMALL, "--sketch", "randk:0.5", option.format(vanishing)])
    assert found.exit_code == 2
    assert f"'{vanishing}' is not accepted" in found.stderr


def test_a_zero_is_one_however_it_is_written():
    assert CliRunner().invoke(main, ["constants", *SMALL, "--sketch", "randk:0.5", "--l2", "0.0e-999"]).exit_code == 0


@pytest.mark.parametrize("digits", ["1_0", "٣", "１"])
@pytest.mark.parametrize(
    "option",
    [
        "--stepsize={}",
        "--stepsize={}*theory",
        "--stepsize=harmonic:theory:{}",
        "--l2={}",
        "--condition-number={}",
        "--positive={}",
        "--clients={}",
        "--features={}",
        "--minibatch={}",
        "--sketch=randk:0.{}",
        "--sketch=haar:{}",
        "--problem=huber:{}",
        "--method=page:probability=0.{}",
        "--method=dsgd:sampling=nice:{}",
        "--data=synthetic:n={},d=4",
        "--data=synthetic:n=9,d=4,condition={}",
        "--steps={}",
    ],
)
def test_only_plain_digits_spell_a_number(option, digits):
    said = call("stepsize", *SMALL, "--sketch", "randk:0.5", option.format(digits), code=2).output
    assert digits in said
    assert "not accepted" in said or "not a number" in said


@pytest.mark.parametrize("digits", ["+-5", "--5", "9" * 5000])
@pytest.mark.parametrize("option", ["--problem=huber:{}", "--method=dsgd:minibatch={}", "--method=dsgd:sampling=nice:{}"])
def test_what_python_says_of_a_number_is_not_repeated(option, digits):
    said = call("stepsize", *SMALL, "--sketch", "randk:0.5", option.format(digits), code=2).output
    assert "not accepted" in said
    assert "literal" not in said
    assert "limit" not in said


@pytest.mark.parametrize(
    ("command", "option", "folder"),
    [
        (("simulate", "--steps", "5"), "--out", False),
        (("simulate", "--steps", "5"), "--plot", False),
        (("simulate", "--steps", "5"), "--json", False),
        (("constants",), "--json", False),
        (("stepsize",), "--json", False),
        (("verify", "--quick"), "--json", False),
        (("verify", "--attack", "theorem6-quoted"), "--witness", False),
        (("verify", "--quick"), "--report", True),
        (("verify", "--quick"), "--pages", True),
        (("reproduce", "gap", "--quick"), "--out", True),
    ],
)
def test_files_that_cannot_be_written_are_refused_before_any_work(tmp_path, monkeypatch, command, option, folder):
    def loaded(*_, **__):
        pytest.fail("work was done before the refusal")

    monkeypatch.setattr("mastsim.problems.load", loaded)
    monkeypatch.setattr("mastsim.spec.description.load", loaded)
    monkeypatch.setattr("mastsim.verification.attack.attack", loaded)
    (tmp_path / "file").write_text("")
    sketch = () if command[0] in ("verify", "reproduce") else ("--sketch", "randk:0.5")
    bad = [tmp_path / "file" / "x.png", *([tmp_path / "file"] if folder else [tmp_path / "none" / "x.png", tmp_path])]
    for path in bad:
        said = call(*command, *sketch, option, str(path), code=2).output
        assert option in said
        assert "cannot be written" in said


def test_a_plot_of_no_known_format_is_refused_before_the_run(tmp_path):
    out = tmp_path / "run.npz"
    options = ("--sketch", "randk:0.5", "--steps", "5", "--out", str(out), "--plot", str(tmp_path / "x.foo"))
    assert "its suffix must be one of" in call("simulate", *SMALL, *options, code=2).output
    assert not out.exists()


def test_a_witness_needs_an_attack(tmp_path):
    said = call("verify", "--quick", "--witness", str(tmp_path / "w.json"), code=2).output
    assert said.startswith("Error: witness=")


def test_more_threads_than_replicas_need_no_more_room():
    options = ("--sketch", "randk:0.5", "--steps", "2", "--threads", "99999999999")
    assert "16 replicas" in call("simulate", *SMALL, *options).output


def test_targets_of_another_loss_are_not_called_those_of_least_squares(tmp_path):
    path = tmp_path / "two"
    path.write_text("0 1:1 2:2\n1 1:3 2:1\n0 1:2 2:2\n")
    said = call("constants", "--data", str(path), "--sketch", "identity", "--problem", "poisson", "--l2", "1").output
    assert "least squares" not in said
    assert "labels: taken as they stand, as targets" in said


NAMED = [
    (command, option.opts[0])
    for command in ("constants", "stepsize", "simulate", "advise", "rates", "verify")
    for option in main.get_command(click.Context(main), command).params
    if isinstance(option, Naming)
]


@pytest.mark.parametrize(("command", "option"), NAMED)
def test_an_empty_name_is_not_the_default(command, option):
    data = [TINY] if command == "advise" else ["--data", TINY]
    sketch = [] if command in ("advise", "verify") or option == "--sketch" else ["--sketch", "randk:0.5"]
    call(command, *data, *sketch, option, "", code=2)
