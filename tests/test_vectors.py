"""Vectors in files: what is read, and what is refused in plain words."""

import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from mastsim import sweeps
from mastsim.cli import main
from mastsim.vectors import read_vector

TINY = "synthetic:n=40,d=3,condition=10"
finite = st.floats(allow_nan=False, allow_infinity=False)


@settings(deadline=None)
@given(st.lists(finite, min_size=1, max_size=9), st.data())
def test_any_vector_comes_back_from_numpy_and_from_text(tmp_path_factory, numbers, draws):
    folder = tmp_path_factory.mktemp("vectors")
    np.save(folder / "v.npy", np.array(numbers))
    gap = draws.draw(st.sampled_from([",", " ", "\n", "\r\n", ", ", "\t", "  "]), "gap")
    (folder / "v.csv").write_bytes((gap.join(map(repr, numbers)) + draws.draw(st.sampled_from(["", "\n", "\r\n"]))).encode())
    for name in ("v.npy", "v.csv"):
        np.testing.assert_array_equal(read_vector("shift", folder / name, len(numbers)), numbers)
        with pytest.raises(ValueError, match=rf"{name}' (has shape|holds {len(numbers)} numbers)"):
            read_vector("shift", folder / name, len(numbers) + 1)


@pytest.mark.parametrize("dtype", ["<i4", ">f8", "f4", "u1", "?"])
def test_any_real_type_is_taken(tmp_path, dtype):
    np.save(tmp_path / "v.npy", np.array([1, 0, 1]).astype(dtype))
    np.testing.assert_array_equal(read_vector("shift", tmp_path / "v.npy", 3), [1, 0, 1])


def saved(folder: Path) -> dict[str, bytes]:
    """Return what files that are no vector of three numbers hold, by name."""
    with warnings.catch_warnings(action="ignore"):
        arrays = {
            "objects": np.array([1, None, 2], dtype=object),
            "complex": np.ones(3) * 1j,
            "texts": np.array(["a", "b", "c"]),
            "dates": np.array(["2020-01-01"] * 3, dtype="M8[D]"),
            "records": np.zeros(3, dtype=[("a", "f8")]),
            "matrix": np.ones((1, 3)),
            "scalar": np.float64(1),
            "nan": np.array([1, np.nan, 2]),
            "none": np.zeros(0),
        }
        for name, array in arrays.items():
            np.save(folder / name, array, allow_pickle=True)
    held = {name: (folder / f"{name}.npy").read_bytes() for name in arrays}
    np.save(folder / "whole", np.ones(3))
    whole = (folder / "whole.npy").read_bytes()
    np.savez(folder / "archive", v=np.ones(3))
    held |= {f"cut at {size}": whole[:size] for size in (1, 6, 7, 9, 40, len(whole) - 24, len(whole) - 1)}
    held |= {f"pickle {form}": pickle.dumps(np.ones(3), protocol=form) for form in range(6)}
    held |= {"empty": b"", "archive": (folder / "archive.npz").read_bytes(), "noise": bytes(range(256)), "zeros": bytes(50)}
    held |= {"huge": whole.replace(b"(3,), }         ", b"(3000000000000,)}")}
    texts = {"heading": "w\n1\n2\n", "hole": "1,,2", "words": "1 2 three", "under": "1_0,2,3", "mark": "\ufeff1,2,3"}
    return (
        held | {name: text.encode() for name, text in texts.items()} | {"infinite": b"1,2,inf", "minus": "1,2,−3".encode()}
    )


def test_what_is_no_vector_is_refused_by_name_and_never_with_advice_to_load_it_unsafely(tmp_path):
    for name, content in saved(tmp_path).items():
        path = tmp_path / f"the {name}.npy"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"shift='.*the {name}\.npy'") as info:
            read_vector("shift", path, 3)
        assert "allow_pickle" not in str(info.value)
        if name == "objects" or (name.startswith("pickle") and name > "pickle 1"):
            assert "is a pickle, which can run any program when it is read" in str(info.value)
        said = CliRunner().invoke(main, ["constants", "--data", TINY, "--sketch", "randk:0.5", "--shift", str(path)])
        assert (said.exit_code, said.output) == (2, f"Error: {info.value}\n")
        with pytest.raises(ValueError, match="grid key 'shift' with data") as info:
            sweeps.read_grid({"data": TINY, "sketch": "randk:0.5", "shift": str(path)})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not accepted: the file is empty"),
        (pickle.dumps(np.ones(3)), "it is a pickle, which can run any program when it is read; numpy.save(file, vector)"),
        (b"1,2\n", "holds 2 numbers, but it must hold 3"),
        (b"w\n1\n2\n", "line 1: 'w' is not a number; put commas or ends of lines between numbers"),
        (b"1\n\n2\nx", "line 4: 'x' is not a number"),
        (b"\xef\xbb\xbf1,2,3", "it starts with a byte order mark; save it as plain text without one"),
    ],
)
def test_the_words_of_a_refusal(tmp_path, content, words):
    path = tmp_path / "v.csv"
    path.write_bytes(content)
    said = CliRunner().invoke(main, ["constants", "--data", TINY, "--sketch", "randk:0.5", "--shift", str(path)])
    assert said.exit_code == 2
    assert words in said.output


def test_a_shift_as_text_is_a_shift(tmp_path):
    np.save(tmp_path / "v.npy", [1.0, -2.0, 0.5])
    (tmp_path / "v.csv").write_text("1\n-2\n0.5\n")
    for command in (("constants",), ("stepsize",), ("simulate", "--steps", "4", "--engine", "array", "--replicas", "2")):
        said = [
            CliRunner().invoke(main, [*command, "--data", TINY, "--sketch", "randk:0.5", "--shift", str(tmp_path / name)])
            for name in ("v.npy", "v.csv")
        ]
        assert said[0].exit_code == 0
        assert said[0].output == said[1].output
        assert "v ≠ 0" in said[0].output
