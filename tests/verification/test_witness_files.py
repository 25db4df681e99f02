"""Files of attacks: anything may stand in them, and nothing is believed but a witness whose ratio is computed anew."""

import copy
import json
from functools import cache

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from mastsim.cli import main
from mastsim.verification.attack import attack, replay
from tests.examples import examples

VERDICTS = {"theorem1/nonconvex": "refuted", "theorem2": "not refuted"}


@cache
def found_by(name):
    return attack(name, budget=80, seed=1)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("witness") / "witness.json"


def saved(name, path):
    found_by(name).save(path)
    return json.loads(path.read_text())


def places(tree, path=()):
    """Yield the way to every value of a document."""
    yield path
    for key, part in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield from places(part, (*path, key))


def changed(tree, path, value=None, *, drop=False):
    tree = copy.deepcopy(tree)
    if not path:
        return value
    part = tree
    for key in path[:-1]:
        part = part[key]
    if drop:
        del part[path[-1]]
    else:
        part[path[-1]] = value
    return tree


def outcome(path, document):
    """Replay a document: the attack, or the one sentence that refuses it."""
    path.write_text(json.dumps(document))
    try:
        return replay(path)
    except ValueError as refused:
        return str(refused)


@pytest.mark.parametrize("name", VERDICTS)
def test_a_saved_attack_is_confirmed(name, path):
    found = found_by(name)
    again = outcome(path, saved(name, path))
    assert again.verdict == VERDICTS[name]
    assert (again.verdict, again.witness, again.history) == (found.verdict, found.witness, found.history)
    assert again.ratio == pytest.approx(found.ratio, rel=1e-9)


@pytest.mark.parametrize("name", VERDICTS)
@pytest.mark.parametrize("claim", ["refuted", "not refuted", "holds", 3, None])
def test_a_verdict_is_never_read(name, claim, path):
    document = saved(name, path)
    assert outcome(path, document | {"verdict": claim}).verdict == VERDICTS[name]
    del document["verdict"]
    assert outcome(path, document).verdict == VERDICTS[name]


@pytest.mark.parametrize("ratio", [0.0, 1.5, 1e12, -1.0])
def test_a_ratio_that_is_not_the_witness_s_is_refused(ratio, path):
    document = saved("theorem2", path) | {"ratio": ratio, "verdict": "refuted"}
    assert "is not confirmed: it says left/right" in outcome(path, document)


VALUES = st.one_of(
    *[st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.just([]), st.just({}), st.just([[1]])],
    st.sampled_from([2**70, -1, 0, 1e308, 10**400, "identity", [0.5], {"kind": "finite"}]),
)


@settings(max_examples=examples(150), deadline=None)
@given(data=st.data(), name=st.sampled_from(sorted(VERDICTS)), value=VALUES, drop=st.booleans())
def test_whatever_stands_in_a_file_is_confirmed_or_refused_in_a_sentence(path, data, name, value, drop):
    document = saved(name, path)
    where = data.draw(st.sampled_from([place for place in places(document) if place]))
    found = outcome(path, changed(document, where, value, drop=drop))
    if isinstance(found, str):
        assert str(path) in found
        assert "\n" not in found
    else:
        assert found.verdict == ("refuted" if found.ratio > 1 + 1e-9 else "not refuted")


@given(content=st.binary(max_size=200))
def test_any_bytes_are_refused_in_a_sentence(path, content):
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is not a saved attack"):
        replay(path)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"horizon": 10**6}, "steps"),
        ({"shift": [0.0] * 9, "start": [0.0] * 9}, "dimensions"),
        ({"bowls": [{"curvature": [[1.0]], "best": [0.0]}] * 3000}, "numbers"),
    ],
)
def test_witnesses_beyond_every_search_are_refused(change, why, path):
    document = saved("theorem2", path)
    assert why in outcome(path, document | {"witness": document["witness"] | change})


def test_large_and_deep_files_are_refused(path):
    path.write_text(" " * ((1 << 20) + 1))
    with pytest.raises(ValueError, match="it has more than 1048576 bytes"):
        replay(path)
    path.write_text("[" * 200_000)
    with pytest.raises(ValueError, match="is not a saved attack"):
        replay(path)


def test_a_file_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nope\.json' is not a saved attack: there is no such file"):
        replay(tmp_path / "nope.json")
    found = CliRunner().invoke(main, ["verify", "--replay", "nope.json"])
    assert found.exit_code == 2
    assert "nope.json" in found.stderr.strip().splitlines()[-1]
    assert "Traceback" not in found.output
