"""Data sets: bundled, catalogued with a pinned hash, read from a LIBSVM file, or synthetic.

A data set is named by one string (`load`), the same in Python and on the command line. Nothing is trusted
because of where it lies: a catalogued file is refused unless its sha256 is the pinned one, wherever it was found.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.special import expit

from mastsim.validation import integer, one_of

__all__ = ["CATALOGUE", "DEFAULT_DATA", "Catalogued", "Dataset", "fetch", "listing", "load", "locate"]

DEFAULT_DATA = "breast-cancer"

_BREAST_CANCER_SHA256 = "5b548aa2537a24075c13abc1b25c6fadc11fceedb1f519ff9fff744b4a0fcb28"
_BREAST_CANCER_SHAPE = (569, 30)
_LIBSVM = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/binary/"
_NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_LINE_FORM = "a line must read 'label index:value index:value ...' with finite numbers and increasing indices from 1"
_MARGIN_RMS = 2.0
_LARGEST_CONDITION = 1e12


@dataclass(frozen=True, eq=False)
class Dataset:
    """A table of features with one label per row, and where it came from.

    Parameters
    ----------
    name : str
        What the data set is called; for a synthetic one, a specification that `load` turns into it again.
    A : numpy.ndarray or scipy.sparse.csr_array, shape (n, d)
        Features, float64.
    y : numpy.ndarray, shape (n,)
        Labels, float64. In {-1, +1}, except for a user's own file, whose labels are left as they are.
    sha256 : str
        Hash of the file's bytes; for synthetic data of the arrays' bytes; for ``breast-cancer`` of the bytes of the
        arrays as scikit-learn bundles them, before columns are standardised, so that it is the same on every machine.
    source : str
        One sentence saying where the data came from.

    Examples
    --------
    >>> data = load("synthetic:n=50,d=4,condition=10")
    >>> data.n, data.d, data.A.shape
    (50, 4, (50, 4))
    """

    name: str
    A: np.ndarray | sp.csr_array = field(repr=False)
    y: np.ndarray = field(repr=False)
    sha256: str
    source: str

    @property
    def n(self) -> int:
        """Number of rows."""
        return int(self.A.shape[0])

    @property
    def d(self) -> int:
        """Number of features."""
        return int(self.A.shape[1])


@dataclass(frozen=True)
class Catalogued:
    """What is pinned about a data set that has to be downloaded.

    Parameters
    ----------
    name : str
        Name by which `load` knows it.
    file : str
        File name, in ``$MASTSIM_DATA`` and in the cache.
    sha256 : str
        Hash that the file must have.
    n, d : int
        Shape that the table must have.
    labels : mapping of float to int
        Raw label to the label in {-1, +1} that `load` gives.
    url : str
        Where `fetch` downloads it from.

    Examples
    --------
    >>> entry = CATALOGUE[0]
    >>> entry.name, entry.n, entry.d, dict(entry.labels)
    ('a5a', 6414, 123, {-1: -1, 1: 1})
    """

    name: str
    file: str
    sha256: str
    n: int
    d: int
    labels: Mapping[float, int] = field(hash=False)
    url: str


_SIGNS: Mapping[float, int] = MappingProxyType({-1: -1, +1: +1})
# mushrooms is labelled 1 (3916 rows, as many as are poisonous) and 2; the first class is taken as the positive one.
_FIRST_IS_POSITIVE: Mapping[float, int] = MappingProxyType({1: +1, 2: -1})

CATALOGUE: tuple[Catalogued, ...] = (
    Catalogued(
        name="a5a",
        file="a5a",
        sha256="5cb3a6603de0a0eb43afcdd45b1820c71ee7f20da1c09f054696bb71cbc45ad8",
        n=6414,
        d=123,
        labels=_SIGNS,
        url=_LIBSVM + "a5a",
    ),
    Catalogued(
        name="a5a.t",
        file="a5a.t",
        sha256="b4a68810deea0df11e3cf381d3ee65eb41d86faaea95347449bde16ec981d8eb",
        n=26147,
        d=123,
        labels=_SIGNS,
        url=_LIBSVM + "a5a.t",
    ),
    Catalogued(
        name="mushrooms",
        file="mushrooms",
        sha256="f39a4eb628dc61a7d43760815b061c9e497aa728ce1ad8bde57a09ef6043b538",
        n=8124,
        d=112,
        labels=_FIRST_IS_POSITIVE,
        url=_LIBSVM + "mushrooms",
    ),
)


def load(spec: str | os.PathLike[str] = DEFAULT_DATA) -> Dataset:
    """Return the data set that `spec` names.

    Names win over paths: to read a file of your own that is called like a catalogued set, write ``./a5a``.

    Parameters
    ----------
    spec : str or path, default "breast-cancer"
        One of the following.

        ``breast-cancer``
            Bundled with scikit-learn (569 rows, 30 features). Columns are standardised to mean 0 and variance 1;
            malignant is -1, benign +1.
        a name in `CATALOGUE`
            Looked for and, if need be, downloaded by `fetch`; its hash, shape and labels are checked. In ``mushrooms``
            the raw label 1 becomes +1 and 2 becomes -1.
        the path of a LIBSVM file
            Plain text with 1-based, increasing indices; d is the largest index in the file. Labels are kept as they
            stand in the file: regression targets are fine, and a classification problem that needs -1 and +1 says
            itself what it makes of {0, 1} or {1, 2}. Query ids (``qid:``) are ignored.
        ``synthetic:n=500,d=40,condition=100``
            Drawn features whose AᵀA/n has largest eigenvalue 1 and smallest 1/condition, eigenvalues in geometric
            progression, with labels from a logistic model of a planted weight vector (margins of root mean
            square 2). Options, each with a default: ``n`` (500) and ``d`` (40), where d > n is refused since AᵀA
            would be singular; ``condition`` (100, or 1 when d = 1, where nothing else is possible) from 1 to 1e12;
            ``seed`` (0); ``noise`` (0), the probability from 0 to 0.5 with which each label is flipped; ``density``,
            from 1/d to 1, which makes A sparse with that share of nonzeros (or just under), and the same spectrum.

    Returns
    -------
    Dataset
        Features as a float64 array, or CSR array with sorted indices for LIBSVM files and when ``density`` is given.

    Raises
    ------
    ValueError
        If the name is unknown, a synthetic option is not accepted, or a file is malformed, empty, unlabelled, not
        finite, or does not have its pinned hash.
    ConnectionError
        If a catalogued file is not here and cannot be downloaded.

    Examples
    --------
    >>> data = load("breast-cancer")
    >>> data.n, data.d, sorted(set(data.y.tolist()))
    (569, 30, [-1.0, 1.0])
    >>> load("synthetic:n=30,d=3,density=0.5").name
    'synthetic:n=30,d=3,condition=100,seed=0,noise=0,density=0.5'
    """
    text = os.fspath(spec)
    if text == DEFAULT_DATA:
        return _breast_cancer()
    if text in _names():
        return _load_catalogued(_entry(text))
    kind, _, options = text.partition(":")
    if kind == "synthetic":
        return _synthetic(_parse_options(options))
    if os.path.isdir(text):
        raise ValueError(f"data set {text!r} is a directory, but a LIBSVM file is expected")
    if os.path.isfile(text):
        return _load_file(text)
    try:
        one_of("data set", text, [DEFAULT_DATA, *_names(), "synthetic:n=500,d=40,condition=100"])
    except ValueError as error:
        raise ValueError(f"{error}, or the path of a LIBSVM file (there is no file {text!r})") from None
    raise AssertionError(f"data set {text!r} is known, but nothing loads it")


def locate(name: str) -> Path | None:
    """Return where a catalogued file lies on this machine, without downloading anything.

    ``$MASTSIM_DATA`` is searched first, then the cache (``pooch.os_cache("mastsim")``).

    Parameters
    ----------
    name : str
        A name in `CATALOGUE`.

    Returns
    -------
    pathlib.Path or None
        The file, its hash checked; None if it is in neither place.

    Raises
    ------
    ValueError
        If the name is unknown, ``$MASTSIM_DATA`` is not a directory, or the file found does not have the pinned hash.

    Examples
    --------
    >>> where = locate("a5a")
    >>> where is None or where.name == "a5a"
    True
    """
    entry = _entry(name)
    for _, path in _places(entry):
        if path.is_file():
            _check_hash(entry, path, path.read_bytes())
            return path
    return None


def fetch(name: str) -> Path:
    """Return where a catalogued file lies, downloading it into the cache if it is not on this machine yet.

    The download is atomic: a file appears in the cache only once it is complete and has the pinned hash.

    Parameters
    ----------
    name : str
        A name in `CATALOGUE`.

    Returns
    -------
    pathlib.Path
        The file, its hash checked.

    Raises
    ------
    ValueError
        If the name is unknown, or the file found or downloaded does not have the pinned hash.
    ConnectionError
        If it cannot be downloaded; the message says how to put it in place by hand.

    Examples
    --------
    >>> fetch("a5")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    ValueError: unknown data set 'a5'; did you mean 'a5a'?...
    """
    found = locate(name)
    return _download(_entry(name)) if found is None else found


def listing() -> list[dict[str, Any]]:
    """Return what can be loaded by name, and where each set is at present.

    Returns
    -------
    list of dict
        One per data set, with keys ``name``, ``n``, ``d``, ``sha256`` and ``where``, the last being ``bundled``,
        ``MASTSIM_DATA``, ``cache``, ``not here``, or, for a file that `load` would refuse, ``MASTSIM_DATA, wrong
        hash`` or ``cache, wrong hash``.

    Raises
    ------
    ValueError
        If ``$MASTSIM_DATA`` is set to something that is not a directory.

    Examples
    --------
    >>> for row in listing():
    ...     print(row["name"], row["n"], row["d"])
    breast-cancer 569 30
    a5a 6414 123
    a5a.t 26147 123
    mushrooms 8124 112
    """
    n, d = _BREAST_CANCER_SHAPE
    rows = [{"name": DEFAULT_DATA, "n": n, "d": d, "sha256": _BREAST_CANCER_SHA256, "where": "bundled"}]
    rows += [{"name": e.name, "n": e.n, "d": e.d, "sha256": e.sha256, "where": _whereabouts(e)} for e in CATALOGUE]
    return rows


# ---------------------------------------------------------------------------------------------- catalogue


def _names() -> list[str]:
    return [entry.name for entry in CATALOGUE]


def _entry(name: str) -> Catalogued:
    if name == DEFAULT_DATA:
        raise ValueError(f"data set {name!r} comes with scikit-learn, so it has no file of its own: use load({name!r})")
    one_of("data set", name, _names())
    return next(entry for entry in CATALOGUE if entry.name == name)


def _cache() -> Path:
    import pooch

    return Path(pooch.os_cache("mastsim"))


def _places(entry: Catalogued) -> list[tuple[str, Path]]:
    places = [("cache", _cache() / entry.file)]
    folder = os.environ.get("MASTSIM_DATA")
    if folder:
        if not Path(folder).is_dir():
            raise ValueError(f"MASTSIM_DATA={folder!r} is not accepted: it must be a directory that exists")
        places.insert(0, ("MASTSIM_DATA", Path(folder) / entry.file))
    return places


def _whereabouts(entry: Catalogued) -> str:
    for place, path in _places(entry):
        if path.is_file():
            return place if _sha256(path.read_bytes()) == entry.sha256 else f"{place}, wrong hash"
    return "not here"


def _sha256(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _check_hash(entry: Catalogued, path: Path, content: bytes) -> None:
    found = _sha256(content)
    if found != entry.sha256:
        raise ValueError(
            f"file {str(path)!r} is refused: its sha256 is {found}, but data set {entry.name!r} has {entry.sha256}; "
            f"replace it by the file at {entry.url}, or remove it"
        )


def _download(entry: Catalogued) -> Path:
    import pooch

    folder = _cache()
    try:
        got = pooch.retrieve(entry.url, f"sha256:{entry.sha256}", fname=entry.file, path=folder, downloader=_transfer)
    # What requests and the file system raise both derive from OSError.
    except OSError as error:
        raise ConnectionError(
            f"data set {entry.name!r} is not on this machine and could not be downloaded ({error}). To place it by "
            f"hand: save {entry.url} as {entry.file!r} in a directory, and set MASTSIM_DATA to that directory"
        ) from error
    return Path(got)


def _transfer(url: str, output_file: Any, pooch_object: Any) -> None:
    import pooch

    pooch.HTTPDownloader(timeout=30)(url, output_file, pooch_object)


def _load_catalogued(entry: Catalogued) -> Dataset:
    path = fetch(entry.name)
    content = path.read_bytes()
    # Hashed again: what is parsed is this read, not the one that fetch has checked.
    _check_hash(entry, path, content)
    A, raw = _parse(content, str(path), entry.d)
    if A.shape != (entry.n, entry.d):
        raise ValueError(f"data set {entry.name!r} has shape {A.shape}, but it must be ({entry.n}, {entry.d})")
    unknown = sorted(set(raw.tolist()) - set(entry.labels))
    if unknown:
        raise ValueError(f"data set {entry.name!r} has the label {unknown[0]:g}: known are {sorted(entry.labels)}")
    y = np.array([entry.labels[label] for label in raw.tolist()], dtype=float)
    source = f"LIBSVM's collection of binary classification data by Chih-Jen Lin, {entry.url}."
    return Dataset(entry.name, A, y, entry.sha256, source)


# ------------------------------------------------------------------------------------------- LIBSVM files


def _load_file(text: str) -> Dataset:
    content = Path(text).read_bytes()
    A, y = _parse(content, text)
    return Dataset(Path(text).name, A, y, _sha256(content), f"LIBSVM file {text}, labels as they stand in it.")


def _parse(content: bytes, origin: str, d: int | None = None) -> tuple[sp.csr_array, np.ndarray]:
    from sklearn.datasets import load_svmlight_file

    # Python's number syntax lets 1_0 pass for 10, which no LIBSVM file means.
    if b"_" in content:
        _refuse_bad_line(content, origin)
    try:
        table, y = load_svmlight_file(BytesIO(content), n_features=d, dtype=np.float64, zero_based=False)
    except (ValueError, OverflowError) as error:
        _refuse_bad_line(content, origin)
        raise ValueError(f"file {origin!r} cannot be read as LIBSVM data: {error}") from error
    if not (np.isfinite(table.data).all() and np.isfinite(y).all()):
        _refuse_bad_line(content, origin)
    # The parser gives a table without any entry one column, so its width does not tell.
    for size, what in ((len(y), "rows"), (table.nnz, "features")):
        if size == 0:
            raise ValueError(f"file {origin!r} holds no {what}: {_LINE_FORM}")
    A = sp.csr_array(table)
    A.sort_indices()
    return A, np.asarray(y, dtype=float)


def _refuse_bad_line(content: bytes, origin: str) -> None:
    for number, line in enumerate(content.split(b"\n"), start=1):
        fault = _line_fault(line.split(b"#", 1)[0])
        if fault:
            raise ValueError(f"file {origin!r}, line {number}: {fault}; {_LINE_FORM}")


def _line_fault(line: bytes) -> str | None:
    if not line.isascii() or b"\0" in line:
        return "this is not plain text (a compressed file has to be unpacked first)"
    label, *pairs = line.split() or [b"0"]
    if b":" in label:
        return f"there is no label before {label.decode()!r}"
    if not _is_finite_number(label):
        return f"the label {label.decode()!r} is not a finite number"
    if pairs and pairs[0].startswith(b"qid:"):
        del pairs[0]
    last = 0
    for pair in pairs:
        fault = _pair_fault(pair, last)
        if fault:
            return fault
        last = int(pair.partition(b":")[0])
    return None


def _pair_fault(pair: bytes, last: int) -> str | None:
    index, colon, value = pair.partition(b":")
    if not (colon and index.isdigit()):
        return f"{pair.decode()!r} is not index:value"
    if int(index) == 0:
        return f"{pair.decode()!r} has index 0, but indices are 1-based"
    if int(index) > np.iinfo(np.int32).max:
        return f"{pair.decode()!r} has an index above {np.iinfo(np.int32).max}"
    if int(index) <= last:
        return f"{pair.decode()!r} comes after index {last}, but indices must increase"
    if not _is_finite_number(value):
        return f"{pair.decode()!r} has a value that is not a finite number"
    return None


def _is_finite_number(token: bytes) -> bool:
    return bool(_NUMBER.fullmatch(token)) and math.isfinite(float(token))


# ------------------------------------------------------------------------------------------------ bundled


def _breast_cancer() -> Dataset:
    from sklearn.datasets import load_breast_cancer

    raw, target = load_breast_cancer(return_X_y=True)
    raw, target = np.asarray(raw, dtype=float), np.asarray(target, dtype=float)
    found = _digest(raw, target)
    if found != _BREAST_CANCER_SHA256:
        raise ValueError(
            f"data set {DEFAULT_DATA!r} is refused: this scikit-learn's copy has sha256 {found}, but it must be "
            f"{_BREAST_CANCER_SHA256}"
        )
    A = (raw - raw.mean(axis=0)) / raw.std(axis=0)
    source = "Breast Cancer Wisconsin (Diagnostic), bundled with scikit-learn; columns standardised, benign is +1."
    return Dataset(DEFAULT_DATA, A, 2 * target - 1, found, source)


def _digest(A: np.ndarray | sp.csr_array, y: np.ndarray) -> str:
    parts = [A.indptr, A.indices, A.data] if isinstance(A, sp.csr_array) else [A]
    # One byte order and one index width, so that equal arrays have equal hashes on every machine.
    return _sha256(
        repr(A.shape).encode(),
        *(part.astype("<i8" if part.dtype.kind == "i" else "<f8").tobytes() for part in [*parts, y]),
    )


# ---------------------------------------------------------------------------------------------- synthetic


@dataclass(frozen=True)
class _Options:
    n: int = 500
    d: int = 40
    condition: float = 100.0
    seed: int = 0
    noise: float = 0.0
    density: float | None = None

    def __str__(self) -> str:
        given = {key: value for key, value in asdict(self).items() if value is not None}
        return ",".join(f"{key}={repr(value).removesuffix('.0')}" for key, value in given.items())


def _whole(low: int) -> Callable[[str, str], int]:
    def convert(name: str, text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise ValueError(f"{name}={text!r} is not accepted: it must be an integer >= {low}") from None
        return integer(name, value, low)

    return convert


def _between(low: float, high: float) -> Callable[[str, str], float]:
    def convert(name: str, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise ValueError(f"{name}={text!r} is not accepted: it must be a number from {low:g} to {high:g}")
        return value

    return convert


_CONVERT: Mapping[str, Callable[[str, str], float]] = MappingProxyType(
    {
        "n": _whole(1),
        "d": _whole(1),
        "condition": _between(1, _LARGEST_CONDITION),
        "seed": _whole(0),
        "noise": _between(0, 0.5),
        "density": _between(0, 1),
    }
)


def _parse_options(text: str) -> _Options:
    found: dict[str, Any] = {}
    for item in text.split(",") if text else []:
        key, equals, value = (part.strip() for part in item.partition("="))
        if not equals:
            raise ValueError(f"synthetic option {item!r} is not accepted: write option=value, as in n=500")
        one_of("synthetic option", key, _CONVERT)
        if key in found:
            raise ValueError(f"synthetic option {key}={value!r} is not accepted: {key} is given twice")
        found[key] = _CONVERT[key](f"synthetic option {key}", value)
    if found.get("d") == 1:
        found.setdefault("condition", 1.0)
    options = _Options(**found)
    _check_options(options)
    return options


def _check_options(options: _Options) -> None:
    n, d, density = options.n, options.d, options.density
    if d > n:
        raise ValueError(
            f"synthetic option d={d} is not accepted with n={n}: it must be an integer from 1 to {n}, since with more "
            "columns than rows AᵀA is singular and has no condition number"
        )
    if d == 1 and options.condition != 1:
        raise ValueError(
            f"synthetic option condition={options.condition:g} is not accepted with d=1: it must be 1, the condition "
            "number of every 1 by 1 matrix"
        )
    if density is not None and density < 1 / d:
        raise ValueError(
            f"synthetic option density={density:g} is not accepted with d={d}: it must be a number from 1/d = {1 / d} "
            "to 1, so that every row holds an entry"
        )


def _synthetic(options: _Options) -> Dataset:
    rng = np.random.Generator(np.random.Philox(options.seed))
    singular_values = np.sqrt(options.n * np.geomspace(1.0, 1.0 / options.condition, options.d))
    A: np.ndarray | sp.csr_array
    if options.density is None:
        left = np.linalg.qr(rng.standard_normal((options.n, options.d)))[0]
        right = np.linalg.qr(rng.standard_normal((options.d, options.d)))[0]
        A = (left * singular_values) @ right.T
    else:
        A = sp.csr_array(_sparse_with(singular_values, options.n, options.density, rng))
    y = _planted_labels(A, options.noise, rng)
    source = f"Synthetic ({options}): features with a planted spectrum, labels of a planted logistic model."
    return Dataset(f"synthetic:{options}", A, y, _digest(A, y), source)


def _planted_labels(A: np.ndarray | sp.csr_array, noise: float, rng: np.random.Generator) -> np.ndarray:
    n, d = A.shape
    margins = np.asarray(A.dot(rng.standard_normal(d)))
    margins *= _MARGIN_RMS * math.sqrt(n) / np.linalg.norm(margins)
    positive = rng.random(n) < expit(margins)
    flipped = rng.random(n) < noise
    return np.where(positive ^ flipped, 1.0, -1.0)


def _sparse_with(singular_values: np.ndarray, n: int, density: float, rng: np.random.Generator) -> np.ndarray:
    """Return an (n, d) array with these singular values and a share `density`, or just under, of nonzeros.

    It starts with one entry per row, hence orthogonal columns whose norms are the singular values, and fills in by
    rotating pairs of columns (which mixes eigenvectors of AᵀA) and of rows, neither of which changes singular values.
    """
    d = len(singular_values)
    table = np.zeros((n, d))
    # Away from zero, so that no column of a short table can vanish.
    table[np.arange(n), rng.permutation(n) % d] = rng.choice([-1.0, 1.0], n) * rng.uniform(0.5, 1.5, n)
    table *= singular_values[rng.permutation(d)] / np.linalg.norm(table, axis=0)
    target = max(n, math.floor(density * n * d))
    filling = True
    while filling and np.count_nonzero(table) < target:
        _rotate_pairs(table.T, target - int(np.count_nonzero(table)), rng)
        filling = _rotate_pairs(table, target - int(np.count_nonzero(table)), rng)
    return table


def _rotate_pairs(table: np.ndarray, budget: int, rng: np.random.Generator) -> bool:
    """Rotate random disjoint pairs of rows in place, adding at most `budget` nonzeros; tell if all were rotated."""
    first, second = rng.permutation(len(table))[: len(table) // 2 * 2].reshape(2, -1)
    filled = table != 0
    union = (filled[first] | filled[second]).sum(axis=1)
    growth = 2 * union - filled[first].sum(axis=1) - filled[second].sum(axis=1)
    count = int(np.searchsorted(np.cumsum(growth), budget, side="right"))
    first, second = first[:count], second[:count]
    angle = rng.uniform(0.1, np.pi / 2 - 0.1, (count, 1))
    cos, sin = np.cos(angle), np.sin(angle)
    table[first], table[second] = cos * table[first] - sin * table[second], sin * table[first] + cos * table[second]
    return count == len(growth)
