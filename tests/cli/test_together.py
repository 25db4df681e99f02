"""Options that do nothing beside others are refused: all pairs, against a list made by hand."""

import itertools

import pytest
from click.testing import CliRunner

import mastsim.reproduce
import mastsim.spec.description
import mastsim.verification.attack  # noqa: F401  (imported before anything in them is replaced)
from mastsim.cli import main

TRIAL = {"--data", "--positive", "--features", "--zero-based", "--theorem", "--sketch", "--quick", "--report", "--pages"}
ATTACK = {"--attack", "--budget", "--witness", "--seed", "--json"}
REPLAY = {"--replay", "--witness", "--json"}
ACCEPTED = [TRIAL | {"--seed", "--json"}, ATTACK, REPLAY]
"""Sets of options of `verify` of which all do something together."""
LEADS = {"--budget": {"--attack"}, "--witness": {"--attack", "--replay"}}


class WorkedError(Exception):
    """Options were accepted, and work would begin."""


def _worked(*_, **__):
    raise WorkedError


@pytest.fixture
def values(tmp_path, monkeypatch) -> dict[str, list[str]]:
    for place in (
        "problems.load",
        "spec.description.load",
        "verification.attack.attack",
        "verification.attack.replay",
        "reproduce.reproduce",
    ):
        monkeypatch.setattr(f"mastsim.{place}", _worked)
    monkeypatch.setattr("mastsim.reproduce.default_data", _worked)
    (tmp_path / "saved.json").write_text("{}")
    flags: dict[str, list[str]] = {"--quick": [], "--zero-based": []}
    texts = {
        "--data": "synthetic:n=9,d=3",
        "--theorem": "theorem1",
        "--sketch": "identity",
        "--attack": "theorem1",
        "--method": "distributed",
    }
    numbers = dict.fromkeys(["--positive", "--features", "--budget", "--seed", "--clients", "--l2"], "1")
    files = {
        "--report": "r",
        "--pages": "p",
        "--json": "j.json",
        "--witness": "w.json",
        "--replay": "saved.json",
        "--out": "o",
    }
    places = {name: str(tmp_path / file) for name, file in files.items()}
    return flags | {name: [text] for name, text in (texts | numbers | places | {"--split": "iid"}).items()}


def _accepts(command: str, names: tuple[str, ...], values: dict[str, list[str]]) -> tuple[bool, str]:
    result = CliRunner().invoke(main, [command, *itertools.chain.from_iterable((name, *values[name]) for name in names)])
    if isinstance(result.exception, WorkedError):
        return True, ""
    assert result.exit_code == 2, (names, result.output, result.exception)
    return False, result.output


def _fits(names: tuple[str, ...]) -> bool:
    alone = all(LEADS[name] & set(names) for name in names if name in LEADS)
    return alone and any(set(names) <= accepted for accepted in ACCEPTED)


@pytest.mark.parametrize("names", list(itertools.combinations(sorted(TRIAL | ATTACK | REPLAY), 2)), ids=" ".join)
def test_verify_refuses_every_pair_that_does_nothing_together(names, values):
    accepted, said = _accepts("verify", names, values)
    assert accepted == _fits(names), said
    if not accepted:
        assert said.count("\n") == 1
        assert "exclude each other" in said or "is not accepted without" in said


@pytest.mark.parametrize("names", list(itertools.combinations(sorted(ATTACK | REPLAY), 3)), ids=" ".join)
def test_verify_refuses_threes_too(names, values):
    assert _accepts("verify", names, values)[0] == _fits(names)


@pytest.mark.parametrize("lead", ["--attack", "--replay"])
@pytest.mark.parametrize("idle", sorted(TRIAL))
def test_a_way_of_its_own_refuses_options_of_a_trial_and_says_what_it_takes(lead, idle, values):
    said = _accepts("verify", (lead, idle), values)[1]
    for name in (ATTACK if lead == "--attack" else REPLAY) - {lead}:
        assert name in said


@pytest.mark.parametrize("command", ["constants", "stepsize", "simulate"])
def test_a_split_needs_clients(command, values):
    method = () if command == "constants" else ("--method",)
    assert _accepts(command, (*method, "--sketch", "--split", "--clients"), values)[0]
    assert "--clients" in _accepts(command, ("--sketch", "--split"), values)[1]


@pytest.mark.parametrize("name", ["--features", "--zero-based"])
def test_figures_read_no_file_that_is_not_named(name, values):
    assert _accepts("reproduce", ("--data", name), values)[0]
    assert "--data" in _accepts("reproduce", (name,), values)[1]


@pytest.mark.parametrize(
    ("command", "one", "two"),
    [
        ("simulate", "--out", "--json"),
        ("simulate", "--out", "--plot"),
        ("simulate", "--plot", "--json"),
        ("simulate", "--data", "--json"),
        ("simulate", "--shift", "--json"),
        ("constants", "--data", "--json"),
        ("verify", "--witness", "--json"),
        ("verify", "--replay", "--json"),
    ],
)
@pytest.mark.parametrize("linked", [False, True])
def test_a_file_is_never_written_twice_nor_over_one_that_is_read(command, one, two, linked, values, tmp_path):
    same = tmp_path / ("x.npz" if "--out" in (one, two) else "x.png")
    same.write_text("1 1:1\n")
    other = tmp_path / f"link{same.suffix}"
    other.symlink_to(same)
    values |= {one: [str(same)], two: [str(other if linked else same)], "--sketch": ["identity"]}
    names = (one, two) if command == "verify" else ("--sketch", one, two)
    names += ("--attack",) if one == "--witness" else ()
    accepted, said = _accepts(command, names, values)
    assert not accepted
    assert one in said
    assert "name another" in said
    assert same.read_text() == "1 1:1\n"


@pytest.mark.parametrize("option", ["--attack", "--theorem", "--sketch"])
def test_a_name_that_is_empty_is_no_name(option):
    done = CliRunner().invoke(main, ["verify", option, "", "--data", "synthetic:n=9,d=3"])
    assert done.exit_code == 2
    assert "''" in done.output
    assert isinstance(done.exception, SystemExit)
