"""The catalogue of data sets with a pinned hash: where each lies, and how it is fetched.

Nothing is trusted because of where it lies: a file is refused unless its sha256 is the pinned one, wherever it was found.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mastsim.problems.dataset import sha256
from mastsim.validation import one_of

DEFAULT_DATA = "breast-cancer"
BREAST_CANCER_SHA256 = "5b548aa2537a24075c13abc1b25c6fadc11fceedb1f519ff9fff744b4a0fcb28"
_BREAST_CANCER_SHAPE = (569, 30)
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


SIGNS: Mapping[float, int] = MappingProxyType({-1: -1, +1: +1})
# mushrooms is labelled 1 (3916 rows, as many as are poisonous) and 2; the first class is taken as the positive one.
_FIRST_IS_POSITIVE: Mapping[float, int] = MappingProxyType({1: +1, 2: -1})
CATALOGUE: tuple[Catalogued, ...] = (
    Catalogued(
        name="a5a",
        file="a5a",
        sha256="5cb3a6603de0a0eb43afcdd45b1820c71ee7f20da1c09f054696bb71cbc45ad8",
        n=6414,
        d=123,
        labels=SIGNS,
        url=_LIBSVM + "a5a",
    ),
    Catalogued(
        name="a5a.t",
        file="a5a.t",
        sha256="b4a68810deea0df11e3cf381d3ee65eb41d86faaea95347449bde16ec981d8eb",
        n=26147,
        d=123,
        labels=SIGNS,
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
    entry = entry_of(name)
    for _, path in _places(entry):
        if path.is_file():
            check_hash(entry, path, path.read_bytes())
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
    return _download(entry_of(name)) if found is None else found


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
    rows = [{"name": DEFAULT_DATA, "n": n, "d": d, "sha256": BREAST_CANCER_SHA256, "where": "bundled"}]
    rows += [{"name": e.name, "n": e.n, "d": e.d, "sha256": e.sha256, "where": _whereabouts(e)} for e in CATALOGUE]
    return rows


def catalogue_names() -> list[str]:
    """Return the names of the catalogue."""
    return [entry.name for entry in CATALOGUE]


def entry_of(name: str) -> Catalogued:
    """Return what is pinned about a name of the catalogue, refusing any other."""
    if name == DEFAULT_DATA:
        raise ValueError(f"data set {name!r} comes with scikit-learn, so it has no file of its own: use load({name!r})")
    one_of("data set", name, catalogue_names())
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


def check_hash(entry: Catalogued, path: Path, content: bytes) -> None:
    """Refuse a file whose content does not have the pinned hash."""
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
