"""Tables in files: what is read is what was written, names and all; what is wrong is said with line and column."""

import csv
import importlib.util

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mastsim as ms
from mastsim.spec import Spec

NUMBERS = st.floats(-1e6, 1e6, allow_subnormal=False)
NAMES = st.lists(
    st.text("abcäß ,;\"'\t.µ1", min_size=1).map(str.strip).filter(lambda n: n.strip("1.")), min_size=2, max_size=5
)


@given(names=NAMES.filter(lambda names: len(set(names)) == len(names)), data=st.data(), mark=st.sampled_from(",;\t"))
def test_what_was_written_is_read(tmp_path_factory, names, data, mark):
    rows = data.draw(st.lists(st.lists(NUMBERS, min_size=len(names), max_size=len(names)), min_size=1, max_size=5))
    heading = [name.replace("\t", "_").replace(",", "_").replace(";", "_") for name in names]
    if len(set(heading)) < len(heading):
        return
    path = tmp_path_factory.mktemp("table") / ("t.tsv" if mark == "\t" else "t.csv")
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=mark).writerows([heading, *([repr(cell) for cell in row] for row in rows)])
    where = data.draw(st.integers(0, len(names) - 1))
    found, table = ms.load(path, target=heading[where]), np.array(rows)
    assert found.columns == tuple(name for name in heading if name != heading[where])
    assert np.array_equal(found.y, table[:, where])
    assert np.array_equal(found.A, np.delete(table, where, axis=1))


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a text to a file of a name."""

    def written(text, name="t.csv"):
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path / name

    return written


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b,y\n1,2,3\n1,,3\n", r"line 3, column 'b': the cell is '', a missing value"),
        ("a,b,y\n1,NA,3\n", r"line 2, column 'b': the cell is 'NA', a missing value"),
        ("a,b,y\n1,red,3\n", r"line 2, column 'b': 'red' is not a finite number"),
        ("a,b,y\n1,1_0,3\n", r"line 2, column 'b': '1_0' is not a finite number"),
        ("a,b,y\n1,1e999,3\n", r"line 2, column 'b': '1e999' is not a finite number"),
        ("a,b,y\n1,inf,3\n", r"line 2, column 'b': 'inf' is not a finite number"),
        ("a;b;y\n1;2,5;3\n", r"line 2, column 'b': '2,5' is not a finite number; write a decimal point in place"),
        ("a,b,y\n1,2,x\n1,2,y\n1,2,z\n", r"line 2, column 'y': 'x' is not a finite number"),
        ("a,b,y\n1,2\n", r"line 2: it has 2 cells, but there are 3 columns"),
        ("a,a,y\n1,2,3\n", r"two columns are called 'a'"),
        ("a,,y\n1,2,3\n", r"column 2 has no name"),
        ("a,b,y\n", r"no rows below its heading"),
        ("", r"holds no rows"),
        ("y\n1\n", r"no features besides the target 'y'"),
        (b"\xff\xfe\x00a", r"is not text in UTF-8"),
        ('a,b,y\n1,"2,3\n', r"cannot be read as a table, line"),
    ],
)
def test_what_is_wrong_is_said_with_line_and_column(write, text, message):
    with pytest.raises(ValueError, match=message):
        ms.load(write(text), target="y")


def test_the_target_is_asked_for_and_must_be_there(write):
    path = write("a,b,colour\n1,2,red\n3,4,blue\n")
    with pytest.raises(ValueError, match=r"target \(--target COLUMN\) is needed .* its columns are a, b, colour"):
        ms.load(path)
    with pytest.raises(ValueError, match="unknown target 'color'; did you mean 'colour'"):
        ms.load(path, target="color")
    with pytest.raises(ValueError, match="target='y' is not accepted with data set 'breast-cancer'"):
        ms.load("breast-cancer", target="y")
    with pytest.raises(ValueError, match="LIBSVM"):
        ms.load(path, target="colour", features=3)
    data = ms.load(path, target="colour")
    assert data.y.tolist() == [1, 0]
    assert "blue is 0, red is 1" in data.source
    assert data.classified(positive=0).columns == ("a", "b")


def test_files_without_a_heading_number_their_columns(write):
    data = ms.load(write("1;2;3\n4;5;6\n"), target="2")
    assert data.columns == ("1", "3")
    assert data.y.tolist() == [2, 5]


def test_archives_hold_rows_labels_and_perhaps_names(tmp_path):
    np.savez(tmp_path / "t.npz", X=np.eye(2), y=np.array([1.0, -1.0]), columns=np.array(["p", "q"]))
    assert ms.load(tmp_path / "t.npz").columns == ("p", "q")
    np.savez(tmp_path / "u.npz", X=np.eye(2))
    with pytest.raises(ValueError, match=r"must hold arrays A \(or X\) and y"):
        ms.load(tmp_path / "u.npz")
    np.savez(tmp_path / "v.npz", A=np.eye(2), y=np.ones(3))
    with pytest.raises(ValueError, match="shape"):
        ms.load(tmp_path / "v.npz")
    np.savez(tmp_path / "w.npz", A=np.array([[{}]], dtype=object), y=np.ones(1))
    with pytest.raises(ValueError, match="cannot be read as npz"):
        ms.load(tmp_path / "w.npz")


def test_parquet_says_which_extra_it_needs(write):
    path = write(b"PAR1", "t.parquet")
    if importlib.util.find_spec("pyarrow") is None:
        with pytest.raises(ImportError, match=r"mastsim\[frames\]"):
            ms.load(path, target="y")
        return
    with pytest.raises(ValueError, match="cannot be read as Parquet"):
        ms.load(path, target="y")


def test_a_description_names_the_target(write):
    path = write("a,b,y\n1,2,0\n3,4,1\n")
    spec = Spec(data=str(path), target="y", sketch="randk:0.5")
    assert Spec.from_text(spec.text) == spec
    assert spec.load().columns == ("a", "b")
    assert spec.key != Spec(data=str(path), target="a", sketch="randk:0.5").key
