"""Saved runs: what is not exactly what was written is refused in one sentence, before much of it is read."""

import dataclasses
import json
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mastsim as ms
from mastsim import run_files
from mastsim.run import stops

F = ms.Mast(ms.Quadratic(np.diag([1.0, 4.0, 9.0]), np.ones(3)), ms.RandK(3, k=1))
RUN = ms.simulate(ms.LSVRDSG(0.01, probability=0.5), F, steps=7, replicas=2, every=3, x0="normal")
REFUSED = r"run\.npz is not a saved run: it must be a file written by Run\.save \("


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("runs") / "run.npz"


@pytest.fixture(scope="module")
def whole(path):
    RUN.save(path)
    return path.read_bytes()


def refuse(path, content):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=REFUSED) as refused:
        ms.Run.load(path)
    assert "\n" not in str(refused.value)


def contents(path):
    with np.load(path) as file:
        return dict(file)


def seal(path, arrays):
    """Write arrays as a run is written, with the right checksum: only what they hold is wrong."""
    with path.open("wb") as file:
        run_files._write(file, arrays)


def test_equal_runs_are_equal_files(tmp_path, whole):
    RUN.save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == whole
    assert ms.Run.load(tmp_path / "again.npz").request == RUN.request


@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_bit_that_is_turned_is_noticed(path, whole, where, bit):
    place = int(where * len(whole))
    refuse(path, whole[:place] + bytes([whole[place] ^ (1 << bit)]) + whole[place + 1 :])


@given(where=st.floats(0, 1, exclude_max=True), extra=st.binary(max_size=70))
def test_a_file_that_is_cut_or_longer_is_refused(path, whole, where, extra):
    refuse(path, whole[: int(where * len(whole))] + extra)
    refuse(path, whole + extra + b"0")


def test_every_array_is_needed_and_no_other(path, whole):
    path.write_bytes(whole)
    held = contents(path)
    assert set(held) >= {"facts", "recorded", "trace/gap", "state/x", "state/w", "state/h"}
    for name in held.keys() - {"state/w", "state/h"}:
        seal(path, {key: table for key, table in held.items() if key != name})
        refuse(path, path.read_bytes())
    for name in ("more", "trace/error", "error/error", "other/x", "facts2"):
        seal(path, held | {name: np.zeros((2, 4))})
        refuse(path, path.read_bytes())


@pytest.mark.parametrize("lost", ["w", "h"])
def test_a_state_without_a_part_is_not_resumed(path, whole, lost):
    path.write_bytes(whole)
    held = contents(path)
    seal(path, {key: table for key, table in held.items() if key != f"state/{lost}"})
    part = ms.Run.load(path)
    with pytest.raises(ValueError, match=r"resume holds the state x, [hw], but LSVRDSG.* has x, w, h"):
        ms.simulate(ms.LSVRDSG(0.01, probability=0.5), F, steps=9, replicas=2, resume=part)


CHANGES = {
    "dtype": lambda table: table.astype(np.float16 if table.dtype.kind == "f" else np.int8),
    "complex": lambda table: table + 0j,
    "shape": lambda table: table[..., None],
    "rows": lambda table: np.concatenate([table, table]),
    "shorter": lambda table: table[..., :-1],
    "NaN": lambda table: np.full_like(table, np.nan) if table.dtype.kind == "f" else table + 1,
    "text": lambda table: table.astype(str),
    "structured": lambda table: np.zeros(table.shape, dtype=[("a", float)]),
    "dates": lambda table: table.astype("m8[s]") if table.dtype.kind == "i" else table.astype("M8[s]"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_arrays_of_another_kind_are_refused_under_a_right_checksum(path, whole, change):
    path.write_bytes(whole)
    held = contents(path)
    for name in held.keys() - {"facts"}:
        if (change, name.partition("/")[0]) in (("NaN", "state"), ("dates", "trace")):
            continue
        table = np.nan_to_num(held[name]) if change == "dates" else held[name]
        seal(path, held | {name: CHANGES[change](table)})
        refuse(path, path.read_bytes())


FACTS = [
    *[("steps", value) for value in (0, 6, -1, 7.0, "7", True, None, 2**70)],
    *[("every", value) for value in (0, 2, 4, "3")],
    *[("replicas", value) for value in (1, 3, 0, 2**40)],
    *[("seed", value) for value in (-1, 2**64, 0.5)],
    *[("stepsize", value) for value in (0.0, -1.0, float("nan"), float("inf"), 1, "0.1")],
    *[("method_hash", value) for value in ("", "a" * 63, "G" * 64, 5)],
    *[("measures", value) for value in ([], ["gap", "gap"], ["distance"], "gap", ["nothing"], 3)],
    *[("precision", value) for value in ("float16", "", 64)],
    ("engine", 3),
]


@pytest.mark.parametrize(("name", "value"), FACTS)
def test_facts_outside_their_range_are_refused(path, whole, name, value):
    path.write_bytes(whole)
    held = contents(path)
    facts = json.loads(str(held["facts"]))
    facts["request"][name] = value
    seal(path, held | {"facts": np.array(json.dumps(facts))})
    refuse(path, path.read_bytes())


@pytest.mark.parametrize(
    "change",
    [
        *[{"steps_done": value} for value in (0, 6, 8, -1, 7.0, None)],
        *[{"seconds": value} for value in (-1.0, 1, "1", float("inf"))],
        *[{"estimated_steps": value} for value in (-1, 0.5)],
        *[{"divergence": value} for value in (1, {}, {"replicas": 0})],
        *[{"request": value} for value in (None, [], {})],
        {"more": 1},
    ],
)
def test_other_facts_outside_their_range_are_refused(path, whole, change):
    path.write_bytes(whole)
    held = contents(path)
    facts = json.loads(str(held["facts"])) | change
    seal(path, held | {"facts": np.array(json.dumps(facts))})
    refuse(path, path.read_bytes())


@pytest.mark.parametrize("text", ["", "[]", "[" * 100_000, "{", '{"a": 1}'])
def test_facts_that_are_no_document_are_refused(path, whole, text):
    path.write_bytes(whole)
    seal(path, contents(path) | {"facts": np.array(text)})
    refuse(path, path.read_bytes())


def test_a_bomb_is_refused_by_what_it_declares(path, monkeypatch):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("facts.npy", "w") as member:
        for _ in range(64):
            member.write(bytes(1 << 20))
    assert path.stat().st_size < 1 << 20
    monkeypatch.setattr(run_files, "_arrays", lambda archive: pytest.fail("it was read"))
    with pytest.raises(ValueError, match=r"its contents declare 64\.0 MiB in a file of"):
        ms.Run.load(path)


def test_an_array_that_declares_more_than_it_holds_is_refused(path, whole):
    path.write_bytes(whole)
    held = contents(path)
    with path.open("wb") as file:
        sealed = run_files._Sealed(file)
        with zipfile.ZipFile(sealed, "w") as archive:
            for name, table in held.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    if name == "recorded":
                        header = {"descr": "<i8", "fortran_order": False, "shape": (1 << 50,)}
                        np.lib.format.write_array_header_1_0(member, header)
                    else:
                        np.lib.format.write_array(member, table, version=(1, 0))
        file.write(sealed.digest.hexdigest().encode())
    with pytest.raises(ValueError, match=r"'recorded\.npy' declares .* which is not what it holds"):
        ms.Run.load(path)


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is not a saved run: it must be a file"):
        ms.Run.load(tmp_path)
    with pytest.raises(ValueError, match="is not a saved run: it must be a file"):
        ms.Run.load("/dev/zero")


@given(every=st.integers(1, 9), done=st.integers(0, 30))
def test_records_stand_where_the_request_says(every, done):
    wanted = sorted({*range(0, done, every), done})
    assert stops(every, done).tolist() == wanted


@pytest.mark.parametrize(
    "change",
    [
        {"steps_done": 8},
        {"recorded": np.array([0, 3, 6, 8])},
        {"recorded": np.array([0, 3, 6])},
        {"traces": {}},
        {"state": {}},
        {"errors": {"gap": np.full((2, 4), -1.0)}},
        {"errors": {"error": np.zeros((2, 4))}},
        {"seconds": float("nan")},
    ],
)
def test_parts_that_do_not_fit_make_no_run(change):
    with pytest.raises(ValueError, match=r"run|steps_done|seconds|table"):
        dataclasses.replace(RUN, **change)


def test_estimates_and_divergence_survive_a_file(tmp_path):
    A, y = np.random.default_rng(0).standard_normal((40, 20)), np.repeat([1.0, -1.0], 20)
    far = ms.Mast(ms.LogisticRegression(A, y, l2=0.1), ms.RandK(20, k=5))
    run = ms.simulate(ms.DSGD(300.0), far, steps=20, replicas=2)
    assert run.divergence is not None
    assert not run.is_exact("gap")
    run.save(tmp_path / "run.npz")
    back = ms.Run.load(tmp_path / "run.npz")
    assert back.divergence == run.divergence
    assert {name: table.tolist() for name, table in back.errors.items()} == {
        name: table.tolist() for name, table in run.errors.items()
    }
