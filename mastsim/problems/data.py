"""Data sets: bundled, catalogued with a pinned hash, read from a LIBSVM file, or synthetic.

A data set is named by one string (`load`), the same in Python and on the command line. Nothing is trusted
because of where it lies: a catalogued file is refused unless its sha256 is the pinned one, wherever it was found.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from mastsim.memory import check_room
from mastsim.problems.dataset import Dataset, digest, sha256
from mastsim.problems.libsvm import parse_libsvm
from mastsim.problems.synthetic import make_synthetic
from mastsim.validation import one_of, real
from mastsim.validation import path as checked_path

__all__ = ["CATALOGUE", "DEFAULT_DATA", "Catalogued", "Dataset", "fetch", "listing", "load", "locate"]

DEFAULT_DATA = "breast-cancer"

_BREAST_CANCER_SHA256 = "5b548aa2537a24075c13abc1b25c6fadc11fceedb1f519ff9fff744b4a0fcb28"
_BREAST_CANCER_SHAPE = (569, 30)
_BYTES_READ = 5
"""Bytes of memory a byte of a LIBSVM file takes while it is read: itself, and a number and an index for 4 of them."""
_LIBSVM = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/binary/"


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


def load(
    spec: str | os.PathLike[str] = DEFAULT_DATA,
    *,
    positive: float | None = None,
    features: int | None = None,
    zero_based: bool = False,
) -> Dataset:
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
            Plain text with increasing indices from 1; d is the largest index in the file unless `features` says more.
            Labels are kept as they stand in the file, be they targets of a regression or codes of classes;
            `Dataset.classified` and `Dataset.signs` turn two codes into -1 and +1. Query ids (``qid:``) are ignored.
        ``synthetic:n=500,d=40,condition=100``
            Drawn features whose AᵀA/n has largest eigenvalue 1 and smallest 1/condition, eigenvalues in geometric
            progression, with labels from a logistic model of a planted weight vector (margins of root mean
            square 2). Options, each with a default: ``n`` (500) and ``d`` (40), where d > n is refused since AᵀA
            would be singular; ``condition`` (100, or 1 when d = 1, where nothing else is possible) from 1 to 1e12;
            ``seed`` (0); ``noise`` (0), the probability from 0 to 0.5 with which each label is flipped; ``density``,
            from 1/d to 1, which makes A sparse with that share of nonzeros (or just under), and the same spectrum.
    positive : float, optional
        The label, as it stands in the file, that becomes +1, while the other becomes -1; see `Dataset.classified`.
    features : int, optional
        The number of features of a LIBSVM file, from its largest index to 2**28: files of one data set need not all reach
        the last feature.
    zero_based : bool, default False
        Whether the indices of a LIBSVM file start at 0.

    Returns
    -------
    Dataset
        Features as a float64 array, or CSR array with sorted indices for LIBSVM files and when ``density`` is given.

    Raises
    ------
    ValueError
        If the name is unknown, an option is not accepted or needs more memory than is free, or a file is malformed, empty,
        unlabelled, not finite, wider than `features` or 2**28, or does not have its pinned hash.
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
    checked_path("spec", spec)
    text = os.fspath(spec)
    named = text in (DEFAULT_DATA, *_names()) or text.partition(":")[0] == "synthetic"
    if named and (features is not None or zero_based):
        option = "zero_based=True" if features is None else f"features={features}"
        raise ValueError(f"{option} is not accepted with data set {text!r}: it is for LIBSVM files of your own")
    found = _named(text) or _load_file(text, features, zero_based)
    return found if positive is None else found.classified(real("positive", positive))


def _named(text: str) -> Dataset | None:
    """Return the data set of a name or of synthetic options; None where the text is the path of a file."""
    if text == DEFAULT_DATA:
        return _breast_cancer()
    if text in _names():
        return _load_catalogued(_entry(text))
    kind, _, options = text.partition(":")
    if kind == "synthetic":
        return make_synthetic(options)
    if os.path.isdir(text):
        raise ValueError(f"data set {text!r} is a directory, but a LIBSVM file is expected")
    if os.path.isfile(text):
        return None
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
            return place if sha256(path.read_bytes()) == entry.sha256 else f"{place}, wrong hash"
    return "not here"


def _check_hash(entry: Catalogued, path: Path, content: bytes) -> None:
    found = sha256(content)
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
    A, raw = parse_libsvm(content, str(path), entry.d)
    if A.shape != (entry.n, entry.d):
        raise ValueError(f"data set {entry.name!r} has shape {A.shape}, but it must be ({entry.n}, {entry.d})")
    unknown = sorted(set(raw.tolist()) - set(entry.labels))
    if unknown:
        raise ValueError(f"data set {entry.name!r} has the label {unknown[0]:g}: known are {sorted(entry.labels)}")
    y = np.array([entry.labels[label] for label in raw.tolist()], dtype=float)
    source = f"LIBSVM's collection of binary classification data by Chih-Jen Lin, {entry.url}."
    return Dataset(entry.name, A, y, entry.sha256, source, entry.labels, copy=False)


# ------------------------------------------------------------------------------------------- LIBSVM files


def _load_file(text: str, features: int | None, zero_based: bool) -> Dataset:
    size = Path(text).stat().st_size
    check_room(f"reading file {text!r}", size, change="read it on a machine with more memory", itemsize=_BYTES_READ)
    content = Path(text).read_bytes()
    A, y = parse_libsvm(content, text, features, zero_based)
    return Dataset(Path(text).name, A, y, sha256(content), f"LIBSVM file {text}, labels as they stand in it.", copy=False)


def _breast_cancer() -> Dataset:
    from sklearn.datasets import load_breast_cancer

    raw, target = load_breast_cancer(return_X_y=True)
    raw, target = np.asarray(raw, dtype=float), np.asarray(target, dtype=float)
    found = digest(raw, target)
    if found != _BREAST_CANCER_SHA256:
        raise ValueError(
            f"data set {DEFAULT_DATA!r} is refused: this scikit-learn's copy has sha256 {found}, but it must be "
            f"{_BREAST_CANCER_SHA256}"
        )
    A = (raw - raw.mean(axis=0)) / raw.std(axis=0)
    source = "Breast Cancer Wisconsin (Diagnostic), bundled with scikit-learn; columns standardised, benign is +1."
    return Dataset(DEFAULT_DATA, A, 2 * target - 1, found, source, _SIGNS)
