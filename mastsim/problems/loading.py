"""Loading data sets: bundled, catalogued, read from a file, or synthetic, named by one string everywhere."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from mastsim.dependencies import needed
from mastsim.memory import check_room
from mastsim.problems.catalogue import (
    BREAST_CANCER_SHA256,
    DEFAULT_DATA,
    SIGNS,
    Catalogued,
    catalogue_names,
    check_hash,
    entry_of,
    fetch,
)
from mastsim.problems.dataset import Dataset, digest, sha256
from mastsim.problems.libsvm import parse_libsvm
from mastsim.problems.synthetic import make_synthetic
from mastsim.problems.table_files import SUFFIXES, read_table
from mastsim.validation import flag, one_of
from mastsim.validation import path as checked_path
from mastsim.validation import text as text_of

_BYTES_READ = 5
"""Bytes of memory a byte of a LIBSVM file takes while it is read: itself, and a number and an index for 4 of them."""

_BYTES_OF_A_CELL = 40
"""The same for a table, whose cells are texts of Python's before they are numbers."""


def load(
    spec: str | os.PathLike[str] = DEFAULT_DATA,
    *,
    target: str | None = None,
    weights: str | None = None,
    standardise: bool = False,
    positive: float | str | None = None,
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
        the path of a table: .csv, .tsv, .parquet or .npz
            Columns of finite numbers, with a heading or without (columns are then called 1, 2, …), apart by commas,
            semicolons or tabs; `target` says which column is predicted, and may hold two texts, which become 0 and 1 in
            alphabetical order. An npz file holds arrays A (or X), y, and perhaps columns. Parquet needs the extra
            ``frames``. Columns are kept as they stand, and so are their names (`Dataset.columns`).
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
    target : str, optional
        The column of a table that is predicted.
    weights : str, optional
        The column of a table that holds weights of the rows, at least 0; see `Dataset.weights`.
    standardise : bool, default False
        Whether to bring the columns to mean 0 and variance 1 (sparse ones to variance 1 alone); `Dataset.standardisation`
        keeps the way back to their own units.
    positive : float or str, optional
        The label, as it stands in the file, or the name of its class, that becomes +1, while the other becomes -1; see
        `Dataset.classified`.
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
    for name, column in (("target", target), ("weights", weights)):
        if column is not None:
            text_of(name, column)
    text = os.fspath(spec)
    named = text in (DEFAULT_DATA, *catalogue_names()) or text.partition(":")[0] == "synthetic"
    if named and (features is not None or zero_based):
        option = "zero_based=True" if features is None else f"features={features}"
        raise ValueError(f"{option} is not accepted with data set {text!r}: it is for LIBSVM files of your own")
    table = not named and Path(text).suffix.lower() in SUFFIXES
    for name, column in (("target", target), ("weights", weights)):
        if column is not None and not table:
            raise ValueError(f"{name}={column!r} is not accepted with data set {text!r}: it is for tables such as .csv")
    if table and (features is not None or zero_based):
        raise ValueError(f"features and zero_based are not accepted with {text!r}: they are for LIBSVM files")
    found = _named(text) or (_load_table(text, target, weights) if table else _load_file(text, features, zero_based))
    if flag("standardise", standardise):
        found = found.standardised()
    return found if positive is None else found.classified(positive)


def _named(text: str) -> Dataset | None:
    """Return the data set of a name or of synthetic options; None where the text is the path of a file."""
    if text == DEFAULT_DATA:
        return _breast_cancer()
    if text in catalogue_names():
        return _load_catalogued(entry_of(text))
    kind, _, options = text.partition(":")
    if kind == "synthetic":
        return make_synthetic(options)
    if os.path.isdir(text):
        raise ValueError(f"data set {text!r} is a directory, but a file is expected")
    if os.path.isfile(text):
        return None
    try:
        one_of("data set", text, [DEFAULT_DATA, *catalogue_names(), "synthetic:n=500,d=40,condition=100"])
    except ValueError as error:
        raise ValueError(
            f"{error}, or the path of a LIBSVM, CSV, TSV, Parquet or npz file (there is no file {text!r})"
        ) from None
    raise AssertionError(f"data set {text!r} is known, but nothing loads it")


def _load_catalogued(entry: Catalogued) -> Dataset:
    path = fetch(entry.name)
    content = path.read_bytes()
    # Hashed again: what is parsed is this read, not the one that fetch has checked.
    check_hash(entry, path, content)
    A, raw = parse_libsvm(content, str(path), entry.d)
    if A.shape != (entry.n, entry.d):
        raise ValueError(f"data set {entry.name!r} has shape {A.shape}, but it must be ({entry.n}, {entry.d})")
    unknown = sorted(set(raw.tolist()) - set(entry.labels))
    if unknown:
        raise ValueError(f"data set {entry.name!r} has the label {unknown[0]:g}: known are {sorted(entry.labels)}")
    y = np.array([entry.labels[label] for label in raw.tolist()], dtype=float)
    source = f"LIBSVM's collection of binary classification data by Chih-Jen Lin, {entry.url}."
    return Dataset(entry.name, A, y, entry.sha256, source, entry.labels, copy=False)


def _load_table(text: str, target: str | None, weights: str | None) -> Dataset:
    size = Path(text).stat().st_size
    check_room(f"reading file {text!r}", size, change="read it on a machine with more memory", itemsize=_BYTES_OF_A_CELL)
    content = Path(text).read_bytes()
    table = read_table(Path(text), content, target, weights)
    source = f"Table {text}; target {table.said}."
    about = Path(text).name, table.A, table.y, sha256(content), source, None, table.columns
    classes = None if table.classes is None else {float(i): name for i, name in enumerate(table.classes)}
    return Dataset(*about, classes, weights=table.weights, copy=False)


def _load_file(text: str, features: int | None, zero_based: bool) -> Dataset:
    size = Path(text).stat().st_size
    check_room(f"reading file {text!r}", size, change="read it on a machine with more memory", itemsize=_BYTES_READ)
    content = Path(text).read_bytes()
    A, y = parse_libsvm(content, text, features, zero_based)
    return Dataset(Path(text).name, A, y, sha256(content), f"LIBSVM file {text}, labels as they stand in it.", copy=False)


def _bundled() -> tuple[np.ndarray, np.ndarray]:
    """Return the features and targets that scikit-learn bundles; to import it takes a second, to read its file none."""
    package = find_spec("sklearn")
    path = Path((package and package.origin) or "", "..", "datasets", "data", "breast_cancer.csv").resolve()
    if path.is_file():
        table = np.loadtxt(path, delimiter=",", skiprows=1)
        return np.ascontiguousarray(table[:, :-1]), table[:, -1]
    datasets = needed("sklearn.datasets", f"the bundled data set {DEFAULT_DATA!r}")
    raw, target = datasets.load_breast_cancer(return_X_y=True)
    return np.asarray(raw, dtype=float), np.asarray(target, dtype=float)


def _breast_cancer() -> Dataset:
    raw, target = _bundled()
    found = digest(raw, target)
    if found != BREAST_CANCER_SHA256:
        raise ValueError(
            f"data set {DEFAULT_DATA!r} is refused: this scikit-learn's copy has sha256 {found}, but it must be "
            f"{BREAST_CANCER_SHA256}"
        )
    A = (raw - raw.mean(axis=0)) / raw.std(axis=0)
    source = "Breast Cancer Wisconsin (Diagnostic), bundled with scikit-learn; columns standardised, benign is +1."
    return Dataset(DEFAULT_DATA, A, 2 * target - 1, found, source, SIGNS)
