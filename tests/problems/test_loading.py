"""Data sets: what is read, what is pinned, and what is refused with which words."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from mastsim.problems import LogisticRegression, catalogue, family_for, libsvm, loading
from mastsim.problems.catalogue import CATALOGUE, DEFAULT_DATA, Catalogued, fetch, listing, locate
from mastsim.problems.dataset import Dataset
from mastsim.problems.loading import load

REAL_DATA = os.environ.get("MASTSIM_DATA", "")
TINY = b"+1 1:0.5 3:-2\n-1 2:1e-3\n+1 3:4 # a remark\n"
TINY_TABLE = np.array([[0.5, 0, -2], [0, 1e-3, 0], [0, 0, 4]])


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Neither this machine's data directory, nor its cache, nor the network is within a test's reach."""

    def refuse(url, output_file, pooch_object):
        raise AssertionError(f"a test tried to download {url}")

    monkeypatch.delenv("MASTSIM_DATA", raising=False)
    monkeypatch.setattr(catalogue, "_cache", lambda: tmp_path / "cache")
    monkeypatch.setattr(catalogue, "_transfer", refuse)


@pytest.fixture
def tiny(monkeypatch):
    """Make a catalogue of one small set, labelled 1 and -1 but mapped the other way round."""
    digest = hashlib.sha256(TINY).hexdigest()
    entry = Catalogued("tiny", "tiny.txt", digest, 3, 3, {1: -1, -1: 1}, "https://example.invalid/tiny.txt")
    monkeypatch.setattr(catalogue, "CATALOGUE", (entry,))
    return entry


def put(folder, content, name="tiny.txt"):
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_bytes(content)
    return path


def serve(monkeypatch, content, log=None):
    def transfer(url, output_file, pooch_object):
        if log is not None:
            log.append(url)
        Path(output_file).write_bytes(content)

    monkeypatch.setattr(catalogue, "_transfer", transfer)


# ------------------------------------------------------------------------------------------------ bundled


def test_breast_cancer_is_the_default_standardised_and_signed():
    from sklearn.datasets import load_breast_cancer

    found = load()
    raw = load_breast_cancer()
    assert found.name == DEFAULT_DATA == "breast-cancer"
    assert (found.n, found.d) == found.A.shape == (569, 30)
    assert found.A.dtype == found.y.dtype == np.float64
    np.testing.assert_allclose(found.A.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(found.A.var(axis=0), 1, rtol=1e-12)
    benign = raw.target == list(raw.target_names).index("benign")
    np.testing.assert_array_equal(found.y, np.where(benign, 1.0, -1.0))
    # Standardising is affine with a positive factor: column by column, it leaves the order of the rows alone.
    np.testing.assert_array_equal(np.argsort(found.A[:, 3]), np.argsort(raw.data[:, 3]))


def test_breast_cancer_is_read_without_importing_scikit_learn_where_its_file_is_found(monkeypatch):
    code = "import sys, mastsim.problems.loading as loading; loading.load(); print('sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    found = load()
    monkeypatch.setattr(loading, "find_spec", lambda name: None)
    assert (load().A == found.A).all()
    assert (load().y == found.y).all()


def test_breast_cancer_is_refused_if_scikit_learn_bundles_something_else(monkeypatch):
    monkeypatch.setattr(loading, "BREAST_CANCER_SHA256", "0" * 64)
    with pytest.raises(ValueError, match=r"is refused: this scikit-learn's copy has sha256 5b54.* 0000"):
        load()


def test_a_dataset_prints_without_its_arrays_and_cannot_be_reassigned():
    found = load("synthetic:n=5,d=2")
    assert "array" not in repr(found)
    with pytest.raises(AttributeError):
        found.y = np.zeros(5)


def test_importing_the_module_imports_neither_scikit_learn_nor_pooch():
    code = "import sys, mastsim.problems.loading; print([m for m in ('sklearn', 'pooch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# -------------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("spec", "near"),
    [("brest-cancer", "breast-cancer"), ("a5b", "a5a"), ("mushroom", "mushrooms"), ("syntetic:n=5", "synthetic")],
)
def test_an_unknown_name_is_refused_with_the_nearest_one_and_all_that_is_accepted(spec, near):
    with pytest.raises(ValueError, match=f"unknown data set '{spec}'; did you mean '{near}") as info:
        load(spec)
    for accepted in ("breast-cancer", "a5a.t", "mushrooms", "synthetic:n=500,d=40,condition=100", "path of a LIBSVM"):
        assert accepted in str(info.value)


@pytest.mark.parametrize("spec", ["", "no/such/file", "x" * 5000, "nul\0"])
def test_what_is_no_name_and_no_file_is_refused(spec):
    with pytest.raises(ValueError, match=r"unknown data set .*there is no file"):
        load(spec)


def test_a_directory_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is a directory, but a file is expected"):
        load(tmp_path)


# ------------------------------------------------------------------------------------------- LIBSVM files


def test_a_libsvm_file_reads_back(tmp_path, monkeypatch):
    put(tmp_path, TINY)
    monkeypatch.chdir(tmp_path)
    found = load("tiny.txt")
    assert isinstance(found.A, sp.csr_array)
    assert found.A.dtype == found.y.dtype == np.float64
    assert found.A.has_sorted_indices
    np.testing.assert_array_equal(found.A.toarray(), TINY_TABLE)
    np.testing.assert_array_equal(found.y, [1, -1, 1])
    assert found.sha256 == hashlib.sha256(TINY).hexdigest()
    assert found.name == "tiny.txt"
    assert "tiny.txt" in found.source
    assert str(tmp_path) not in found.source


@pytest.mark.parametrize("labels", [(0, 1), (1, 2), (-3.25, 1e7)])
def test_labels_of_a_users_file_are_kept_as_they_are(tmp_path, labels):
    path = put(tmp_path, f"{labels[0]} 1:1\n{labels[1]} 1:2\n".encode())
    np.testing.assert_array_equal(load(path).y, labels)


def test_lines_may_be_blank_remarks_featureless_ranked_or_end_as_on_windows(tmp_path):
    path = put(tmp_path, "# caf\u00e9\n\n1 qid:7 2:1_\n".replace("_", "").encode() + b"-1\r\n1 1:2\r\n")
    found = load(path)
    np.testing.assert_array_equal(found.A.toarray(), [[0, 1], [0, 0], [2, 0]])
    np.testing.assert_array_equal(found.y, [1, -1, 1])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no rows"),
        (b"\n# only a remark\n", "holds no rows"),
        (b"1\n-1\n", "holds no features"),
        (b"1 1:2\n1:2 3:4\n", "line 2: there is no label before '1:2'"),
        (b"1 1:2\n\ncat 1:2\n", "line 3: the label 'cat' is not a finite number"),
        (b"1,2 1:2\n", "line 1: the label '1,2' is not a finite number"),
        (b"nan 1:2\n", "line 1: the label 'nan' is not a finite number"),
        (b"1 1:2\ninf 1:2\n", "line 2: the label 'inf' is not a finite number"),
        (b"1 1:2\n1 1:nan\n", "line 2: '1:nan' has a value that is not a finite number"),
        (b"1 1:2 2:-inf\n", "line 1: '2:-inf' has a value that is not a finite number"),
        (b"1 1:1e400\n", "line 1: '1:1e400' has a value that is not a finite number"),
        (b"1 1:\n", "line 1: '1:' has a value that is not a finite number"),
        (b"1 1:2:3\n", "line 1: '1:2:3' has a value that is not a finite number"),
        (b"1 1:1_0\n", "line 1: '1:1_0' has a value that is not a finite number"),
        (b"1 1_0:1\n", "line 1: '1_0:1' is not index:value"),
        (b"1_0 1:1\n", "line 1: the label '1_0' is not a finite number"),
        (b"1 0:2 1:3\n", "line 1: '0:2' has index 0, but indices are 1-based"),
        (b"1 -1:2\n", "line 1: '-1:2' is not index:value"),
        (b"1 1:2 3\n", "line 1: '3' is not index:value"),
        (b"1 2:2 1:3\n", "line 1: '1:3' comes after index 2, but indices must increase"),
        (b"1 2:2 2:3\n", "line 1: '2:3' comes after index 2, but indices must increase"),
        (b"1 99999999999:2\n", "line 1: '99999999999:2' has an index above 2147483647"),
        (
            b"1 1:2\n\xff\xfe\x00junk\n",
            r"line 2: this is not plain text \(a compressed file has to be unpacked first\)",
        ),
    ],
)
def test_a_malformed_file_is_refused_with_its_name_its_line_and_what_is_expected(tmp_path, content, message):
    path = put(tmp_path, content)
    with pytest.raises(ValueError, match=message) as info:
        load(path)
    assert str(path) in str(info.value)
    assert "a line must read 'label index:value index:value ...'" in str(info.value)


def test_a_complaint_of_the_parser_that_no_line_explains_is_passed_on(monkeypatch, tmp_path):
    monkeypatch.setattr(libsvm, "_line_fault", lambda line: None)
    with pytest.raises(ValueError, match=r"cannot be read as LIBSVM data: could not convert string to float"):
        load(put(tmp_path, b"cat 1:2\n"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xef\xbb\xbf1 1:2\n", r"line 1: the file starts with a byte order mark of UTF-8 \(save it as plain text"),
        (b"\xff\xfe1\x00 \x001\x00:\x001\x00", "line 1: the file starts with a byte order mark of UTF-16"),
        (b"1 1:2\n\xef\xbb\xbf1 1:2\n", r"line 2: there is a byte order mark, U\+FEFF"),
        (b"1 1:2\xc2\xa02:1\n", r"line 1: there is a non-breaking space, U\+00A0 \(replace it by a plain one\)"),
        (b"1\xa01:2\n", r"line 1: there is a non-breaking space, U\+00A0"),
        (b"1 1:2\xc2\xa0\n", r"line 1: there is a non-breaking space, U\+00A0"),
        ("1 1:\N{MINUS SIGN}2\n".encode(), r"line 1: there is the character '−', U\+2212 MINUS SIGN, outside a remark"),
        ("1 1:\N{ARABIC-INDIC DIGIT ONE}\n".encode(), r"U\+0661 ARABIC-INDIC DIGIT ONE"),
        (
            b"1 2000000000:1\n",
            r"line 1: '2000000000:1' would make every .* 14\.9 GiB \(16000000000 bytes\).* at most 2\.0 GiB",
        ),
        (b"1 1:1\n1 268435457:1\n", r"line 2: '268435457:1' would make every vector .* at most 2\.0 GiB are accepted"),
    ],
)
def test_characters_that_cannot_be_seen_and_indices_that_are_too_large_are_named(tmp_path, content, message):
    with pytest.raises(ValueError, match=message) as info:
        load(put(tmp_path, content))
    assert "a line must read 'label index:value index:value ...'" in str(info.value)


def test_the_largest_index_that_is_read():
    A, _ = libsvm.parse_libsvm(b"1 268435456:1\n", "mine")
    assert A.shape == (1, 1 << 28)
    A, _ = libsvm.parse_libsvm(b"1 268435455:1\n", "mine", zero_based=True)
    assert A.shape == (1, 1 << 28)
    with pytest.raises(ValueError, match=r"2\.0 GiB \(2147483656 bytes\) are needed, but at most 2\.0 GiB are accepted"):
        libsvm.parse_libsvm(b"1 1:1\n", "mine", features=(1 << 28) + 1)


@settings(deadline=None, derandomize=True)
@given(st.data())
def test_an_odd_character_anywhere_is_refused_by_name_except_in_a_remark(draws):
    line = "1 1:2.5 3:-4"
    odd = draws.draw(st.characters(min_codepoint=0x80, exclude_categories=["Cs"]), "odd")
    place = draws.draw(st.integers(0, len(line)), "place")
    with pytest.raises(ValueError, match=r"'mine' cannot be read as LIBSVM data, line 2: the") as info:
        libsvm.parse_libsvm(f"1 1:1\n{line[:place]}{odd}{line[place:]}\n".encode(), "mine")
    assert f"U+{ord(odd):04X}" in str(info.value)
    A, _ = libsvm.parse_libsvm(f"1 1:1\n{line} # {odd}\n".encode(), "mine")
    assert A.shape == (2, 3)


@settings(deadline=None, derandomize=True)
@given(st.data())
def test_width_and_first_index_are_as_they_are_asked_for(draws):
    d = draws.draw(st.integers(1, 9), "d")
    table = np.array(
        draws.draw(st.lists(st.lists(st.integers(0, 3), min_size=d, max_size=d), min_size=1, max_size=5), "table")
    )
    table[0, 0] = 1
    first = draws.draw(st.integers(0, 1), "first")
    rows = [" ".join(["1", *(f"{j + first}:{v}" for j, v in enumerate(row) if v)]) for row in table.tolist()]
    content, last = "\n".join(rows).encode(), int(np.flatnonzero(table.any(axis=0))[-1]) + 1
    features = draws.draw(st.one_of(st.none(), st.integers(1, 12)), "features")
    if features is not None and features < last:
        with pytest.raises(
            ValueError, match=rf"cannot be read as LIBSVM data, line \d+: '\d+:\d' lies beyond features={features}"
        ):
            libsvm.parse_libsvm(content, "mine", features, zero_based=first == 0)
        return
    A, _ = libsvm.parse_libsvm(content, "mine", features, zero_based=first == 0)
    whole = np.zeros((len(table), features or last))
    whole[:, :last] = table[:, :last]
    np.testing.assert_array_equal(A.toarray(), whole)
    if first == 0:
        with pytest.raises(ValueError, match="has index 0, but indices are 1-based"):
            libsvm.parse_libsvm(content, "mine")


def test_load_reads_train_and_test_files_to_one_width(tmp_path):
    train, test = put(tmp_path, b"1 1:1 3:1\n-1 2:1\n", "train"), put(tmp_path, b"1 1:1\n", "test")
    assert (load(train).d, load(test).d) == (3, 1)
    assert load(test, features=3).A.shape == (1, 3)
    assert load(put(tmp_path, b"1 0:1 3:1\n", "zero"), zero_based=True).d == 4
    for change in ({"features": 3}, {"zero_based": True}):
        for name in ("breast-cancer", "a5a", "synthetic:n=9,d=2"):
            with pytest.raises(
                ValueError, match=f"is not accepted with data set '{name}': it is for LIBSVM files of your own"
            ):
                load(name, **change)
    for bad, error in ((0, ValueError), (1.5, TypeError), ("3", TypeError)):
        with pytest.raises(error, match=r"features=.* is not accepted"):
            load(test, features=bad)
    with pytest.raises(TypeError, match="zero_based=1 is not accepted: it must be True or False"):
        load(test, zero_based=1)


@st.composite
def tables(draw):
    n, d = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    # Up to 1e308: written with one digit too few, as scikit-learn does, the largest double would read as infinity.
    numbers = st.floats(-1e308, 1e308)
    values = st.one_of(st.just(0.0), numbers)
    table = np.array(draw(st.lists(st.lists(values, min_size=d, max_size=d), min_size=n, max_size=n)))
    # The width of a table can be told from the file only if the last column is there.
    table[0, -1] = draw(st.sampled_from([-1.5, 1.0, 3e300, 5e-324]))
    y = draw(st.lists(numbers, min_size=n, max_size=n))
    return table, np.array(y)


@settings(deadline=None, derandomize=True)
@given(tables())
def test_round_trip_through_a_libsvm_file(tmp_path_factory, drawn):
    from sklearn.datasets import dump_svmlight_file

    table, y = drawn
    path = tmp_path_factory.mktemp("round") / "trip"
    # scikit-learn writes 16 digits, which is one short of what tells all doubles apart.
    dump_svmlight_file(sp.csr_array(table), y, str(path), zero_based=False)
    found = load(path)
    np.testing.assert_allclose(found.A.toarray(), table, rtol=1e-14, atol=1e-320)
    np.testing.assert_allclose(found.y, y, rtol=1e-14, atol=1e-320)
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@settings(deadline=None, derandomize=True)
@given(tables())
def test_round_trip_is_exact_when_every_digit_is_written(tmp_path_factory, drawn):
    table, y = drawn
    rows = [[f"{j + 1}:{v!r}" for j, v in enumerate(row) if v] for row in table.tolist()]
    path = tmp_path_factory.mktemp("round") / "trip"
    path.write_text("".join(" ".join([repr(label), *row]) + "\n" for label, row in zip(y.tolist(), rows, strict=True)))
    found = load(path)
    np.testing.assert_array_equal(found.A.toarray(), table)
    np.testing.assert_array_equal(found.y, y)


# ---------------------------------------------------------------------------------------------- catalogue


def test_the_catalogue_pins_what_the_design_says():
    pins = {e.name: (e.file, e.n, e.d, dict(e.labels), e.sha256[:8]) for e in CATALOGUE}
    assert pins == {
        "a5a": ("a5a", 6414, 123, {-1: -1, 1: 1}, "5cb3a660"),
        "a5a.t": ("a5a.t", 26147, 123, {-1: -1, 1: 1}, "b4a68810"),
        "mushrooms": ("mushrooms", 8124, 112, {1: 1, 2: -1}, "f39a4eb6"),
    }
    for entry in CATALOGUE:
        assert len(entry.sha256) == 64
        assert entry.url == f"https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/binary/{entry.name}"


def test_the_data_directory_comes_before_the_cache(tiny, tmp_path, monkeypatch):
    assert locate("tiny") is None
    cached = put(tmp_path / "cache", TINY)
    assert locate("tiny") == fetch("tiny") == cached
    mine = put(tmp_path / "mine", TINY)
    monkeypatch.setenv("MASTSIM_DATA", str(tmp_path / "mine"))
    assert locate("tiny") == fetch("tiny") == mine
    mine.unlink()
    assert locate("tiny") == cached


def test_a_catalogued_set_is_loaded_with_its_labels_mapped(tiny, tmp_path):
    put(tmp_path / "cache", TINY)
    found = load("tiny")
    assert isinstance(found, Dataset)
    assert isinstance(found.A, sp.csr_array)
    np.testing.assert_array_equal(found.A.toarray(), TINY_TABLE)
    np.testing.assert_array_equal(found.y, [-1, 1, -1])
    assert (found.name, found.sha256) == ("tiny", tiny.sha256)
    assert tiny.url in found.source
    assert str(tmp_path) not in found.source


def test_a_download_goes_to_the_cache_once(tiny, tmp_path, monkeypatch):
    log = []
    serve(monkeypatch, TINY, log)
    assert fetch("tiny") == tmp_path / "cache" / "tiny.txt"
    assert fetch("tiny") == locate("tiny")
    assert load("tiny").n == 3
    assert log == [tiny.url]
    assert [p.name for p in (tmp_path / "cache").iterdir()] == ["tiny.txt"]


@pytest.mark.parametrize("act", [locate, fetch, load])
@pytest.mark.parametrize("place", ["cache", "mine"])
def test_a_file_with_another_hash_is_refused_wherever_it_lies(tiny, tmp_path, monkeypatch, place, act):
    bad = put(tmp_path / place, TINY + b"+1 1:1\n")
    if place == "mine":
        put(tmp_path / "cache", TINY)
        monkeypatch.setenv("MASTSIM_DATA", str(tmp_path / "mine"))
    with pytest.raises(ValueError, match="is refused: its sha256 is") as info:
        act("tiny")
    for word in (str(bad), tiny.sha256, hashlib.sha256(bad.read_bytes()).hexdigest(), tiny.url):
        assert word in str(info.value)
    assert bad.exists()


def test_a_download_with_another_hash_is_refused_and_leaves_nothing(tiny, tmp_path, monkeypatch):
    serve(monkeypatch, b"<html>down for maintenance</html>")
    with pytest.raises(ValueError, match=r"tiny\.txt") as info:
        fetch("tiny")
    assert tiny.sha256 in str(info.value)
    assert hashlib.sha256(b"<html>down for maintenance</html>").hexdigest() in str(info.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_file_that_changes_between_finding_and_reading_is_refused(tiny, tmp_path, monkeypatch):
    path = put(tmp_path, b"changed")
    monkeypatch.setattr(loading, "fetch", lambda name: path)
    with pytest.raises(ValueError, match="is refused: its sha256 is"):
        load("tiny")


@pytest.mark.parametrize("error", [ConnectionRefusedError("no route"), PermissionError("read-only"), None])
def test_offline_says_how_to_place_the_file_by_hand(tiny, tmp_path, monkeypatch, error):
    import requests

    def fail(url, output_file, pooch_object):
        Path(output_file).write_bytes(TINY[:5])
        raise error or requests.exceptions.ConnectionError("no route")

    monkeypatch.setattr(catalogue, "_transfer", fail)
    with pytest.raises(ConnectionError, match="'tiny' is not on this machine and could not be downloaded") as info:
        load("tiny")
    for word in (tiny.url, "'tiny.txt'", "MASTSIM_DATA", "no route" if error is None else str(error)):
        assert word in str(info.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_real_transfer_streams_over_http(monkeypatch, tmp_path):
    import pooch

    seen = []
    monkeypatch.undo()
    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", lambda self, *args: seen.append((self.kwargs, args)))
    catalogue._transfer("https://example.invalid/x", tmp_path / "x", None)
    assert seen == [({"timeout": 30}, ("https://example.invalid/x", tmp_path / "x", None))]


def test_the_cache_is_poochs_own(monkeypatch):
    import pooch

    monkeypatch.undo()
    assert catalogue._cache() == Path(pooch.os_cache("mastsim"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": 4}, r"'tiny' has shape \(3, 3\), but it must be \(4, 3\)"),
        ({"d": 2}, "cannot be read as LIBSVM data"),
        ({"labels": {1: 1}}, r"'tiny' has the label -1: known are \[1\]"),
    ],
)
def test_shape_and_labels_are_checked_after_loading(tiny, tmp_path, monkeypatch, change, message):
    from dataclasses import replace

    monkeypatch.setattr(catalogue, "CATALOGUE", (replace(tiny, **change),))
    put(tmp_path / "cache", TINY)
    with pytest.raises(ValueError, match=message):
        load("tiny")


def test_a_width_beyond_the_last_feature_is_kept(tiny, tmp_path, monkeypatch):
    from dataclasses import replace

    monkeypatch.setattr(catalogue, "CATALOGUE", (replace(tiny, d=7),))
    put(tmp_path / "cache", TINY)
    assert load("tiny").A.shape == (3, 7)


@pytest.mark.parametrize("act", [locate, fetch])
def test_only_catalogued_names_have_files(act):
    with pytest.raises(ValueError, match="unknown data set 'mushroms'; did you mean 'mushrooms'"):
        act("mushroms")
    with pytest.raises(ValueError, match=r"comes with scikit-learn, so it has no file of its own: use load"):
        act("breast-cancer")


@pytest.mark.parametrize("act", [lambda: locate("tiny"), lambda: load("tiny"), listing])
def test_a_data_directory_that_is_none_is_refused(tiny, tmp_path, monkeypatch, act):
    monkeypatch.setenv("MASTSIM_DATA", str(tmp_path / "typo"))
    with pytest.raises(ValueError, match=r"MASTSIM_DATA='.*typo' is not accepted: it must be a directory that exists"):
        act()


def test_the_listing_says_where_each_set_is(tiny, tmp_path, monkeypatch):
    def where():
        rows = {row["name"]: row for row in listing()}
        assert list(rows) == ["breast-cancer", "tiny"]
        assert rows["breast-cancer"] == {
            "name": "breast-cancer",
            "n": 569,
            "d": 30,
            "sha256": load().sha256,
            "where": "bundled",
        }
        assert (rows["tiny"]["n"], rows["tiny"]["d"], rows["tiny"]["sha256"]) == (3, 3, tiny.sha256)
        return rows["tiny"]["where"]

    assert where() == "not here"
    cached = put(tmp_path / "cache", TINY)
    assert where() == "cache"
    cached.write_bytes(b"other")
    assert where() == "cache, wrong hash"
    monkeypatch.setenv("MASTSIM_DATA", str(tmp_path / "mine"))
    mine = put(tmp_path / "mine", TINY)
    assert where() == "MASTSIM_DATA"
    mine.write_bytes(b"other")
    assert where() == "MASTSIM_DATA, wrong hash"


@pytest.mark.parametrize(
    ("entry", "positives"),
    [(CATALOGUE[0], 1569), (CATALOGUE[1], 6272), (CATALOGUE[2], 3916)],
    ids=lambda v: str(v)[:20],
)
def test_the_real_files(entry, positives, monkeypatch):
    if not (REAL_DATA and (Path(REAL_DATA) / entry.file).is_file()):
        pytest.skip(f"{entry.file} is not in $MASTSIM_DATA")
    monkeypatch.setenv("MASTSIM_DATA", REAL_DATA)
    found = load(entry.name)
    assert (found.n, found.d) == (entry.n, entry.d)
    assert set(found.y.tolist()) == {-1.0, 1.0}
    assert int((found.y == 1).sum()) == positives
    other = next(label for label, sign in entry.labels.items() if sign < 0)
    np.testing.assert_array_equal(load(entry.name, positive=other).y, -found.y)
    as_file = load(Path(REAL_DATA) / entry.file, features=entry.d + 7)
    assert as_file.d == entry.d + 7
    assert family_for(as_file)[1] is LogisticRegression
    # All three are one-hot tables.
    assert set(found.A.data.tolist()) == {1.0}
    assert next(row["where"] for row in listing() if row["name"] == entry.name) == "MASTSIM_DATA"


# ---------------------------------------------------------------------------------------------- synthetic


def spectrum(found):
    table = found.A.toarray() if sp.issparse(found.A) else found.A
    return np.linalg.svd(table, compute_uv=False) ** 2 / found.n


@pytest.mark.parametrize(
    ("options", "n", "d", "condition"),
    [
        ("", 500, 40, 100),
        ("n=500,d=40,condition=100", 500, 40, 100),
        ("n=60,d=7,condition=1", 60, 7, 1),
        ("n=9,d=9,condition=1e6,seed=3", 9, 9, 1e6),
        ("n=200,d=2,condition=2.5", 200, 2, 2.5),
        ("n=20,d=1", 20, 1, 1),
        ("n=1,d=1,condition=1", 1, 1, 1),
        ("n=500,d=40,density=0.1", 500, 40, 100),
        ("n=41,d=40,condition=1e4,density=1", 41, 40, 1e4),
        ("n=40,d=40,density=0.025", 40, 40, 100),
        ("n=33,d=7,condition=30,density=0.6,noise=0.5", 33, 7, 30),
        ("n=20,d=1,density=1", 20, 1, 1),
    ],
)
def test_the_spectrum_is_the_planted_one(options, n, d, condition):
    found = load(f"synthetic:{options}")
    assert (found.n, found.d) == found.A.shape == (n, d)
    eigenvalues = spectrum(found)
    np.testing.assert_allclose(eigenvalues, condition ** -np.linspace(0, 1, d), rtol=1e-13 * condition + 1e-12)
    assert found.y.shape == (n,)
    assert found.A.dtype == found.y.dtype == np.float64
    assert set(found.y.tolist()) <= {-1.0, 1.0}


@settings(deadline=None, derandomize=True)
@given(st.data())
def test_any_accepted_options_keep_their_promise(draws):
    d = draws.draw(st.integers(2, 12), "d")
    n = draws.draw(st.integers(d, 40), "n")
    condition = draws.draw(st.floats(1, 1e5), "condition")
    density = draws.draw(st.one_of(st.none(), st.floats(1 / d, 1)), "density")
    spec = f"synthetic:n={n},d={d},condition={condition!r},seed={draws.draw(st.integers(0, 2**63 - 1), 'seed')}"
    found = load(spec if density is None else f"{spec},density={density!r}")
    eigenvalues = spectrum(found)
    np.testing.assert_allclose(eigenvalues[0] / eigenvalues[-1], condition, rtol=1e-13 * condition + 1e-11)
    np.testing.assert_allclose(eigenvalues[0], 1, rtol=1e-12)
    if density is None:
        assert isinstance(found.A, np.ndarray)
    else:
        assert isinstance(found.A, sp.csr_array)
        assert found.A.has_sorted_indices
        assert n <= found.A.nnz <= max(n, density * n * d)
        assert (np.diff(found.A.indptr) > 0).all()
    again = load(found.name)
    assert (again.name, again.sha256) == (found.name, found.sha256)


def test_sparse_tables_reach_the_density_and_do_not_have_a_diagonal_gram_matrix():
    found = load("synthetic:n=400,d=30,density=0.2")
    assert found.A.nnz / (400 * 30) == pytest.approx(0.2, rel=0.02)
    gram = (found.A.T @ found.A).toarray()
    assert (np.abs(gram - np.diag(np.diag(gram))) > 1e-6).any(axis=1).all()


def test_every_option_matters_and_the_same_ones_give_the_same_data():
    base = "n=50,d=4,condition=10,seed=1,noise=0.1"
    specs = [base, base + ",density=0.5"]
    specs += [base.replace(old, new) for old, new in [("n=50", "n=51"), ("d=4", "d=5"), ("10", "11"), ("seed=1", "seed=2")]]
    specs += [base.replace("noise=0.1", "noise=0.5")]
    hashes = [load(f"synthetic:{spec}").sha256 for spec in specs]
    assert len(set(hashes)) == len(specs)
    assert load(f"synthetic:{base}").sha256 == hashes[0]
    assert load("synthetic").name == load("synthetic:").name == load("synthetic: n = 500 , d=40").name


def test_labels_follow_a_linear_model_until_noise_drowns_it():
    def agreement(noise):
        found = load(f"synthetic:n=4000,d=3,condition=2,noise={noise}")
        weights = np.linalg.lstsq(found.A, found.y, rcond=None)[0]
        return (np.sign(found.A @ weights) == found.y).mean()

    # A logistic model with Gaussian margins of standard deviation 2 is right with probability 0.79 or so.
    assert agreement(0) == pytest.approx(0.79, abs=0.03)
    assert agreement(0.25) == pytest.approx(0.5 + 0.29 / 2, abs=0.03)
    assert agreement(0.5) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("n", "synthetic option 'n' is not accepted: write option=value, as in n=500"),
        ("n=5,", "synthetic option '' is not accepted: write option=value"),
        ("n=5,n=6", "synthetic option n='6' is not accepted: n is given twice"),
        ("conditon=5", "unknown synthetic option 'conditon'; did you mean 'condition'.* n, d, condition, seed"),
        ("n=1e3", "synthetic option n='1e3' is not accepted: it must be an integer >= 1"),
        ("n=0", "synthetic option n=0 is not accepted: it must be an integer >= 1"),
        ("d=-2", "synthetic option d=-2 is not accepted: it must be an integer >= 1"),
        ("seed=-1", "synthetic option seed=-1 is not accepted: it must be an integer >= 0"),
        ("condition=0.5", "synthetic option condition='0.5' is not accepted: it must be a number from 1 to 1e\\+12"),
        ("condition=inf", "synthetic option condition='inf' is not accepted"),
        ("condition=nan", "synthetic option condition='nan' is not accepted"),
        ("condition=big", "synthetic option condition='big' is not accepted: it must be a number from 1"),
        ("noise=0.6", "synthetic option noise='0.6' is not accepted: it must be a number from 0 to 0.5"),
        ("density=1.5", "synthetic option density='1.5' is not accepted: it must be a number from 0 to 1"),
        ("d=10,density=0.05", "synthetic option density=0.05 is not accepted with d=10: .* from 1/d = 0.1 to 1"),
        ("n=5,d=6", "synthetic option d=6 is not accepted with n=5: it must be an integer from 1 to 5, .* singular"),
        ("d=1,condition=7", "synthetic option condition=7 is not accepted with d=1: it must be 1"),
    ],
)
def test_a_malformed_synthetic_option_is_refused_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        load(f"synthetic:{options}")
