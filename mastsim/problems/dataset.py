"""What a data set is: rows, labels, and the hash that says which."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, InitVar, dataclass, field, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from mastsim.keywords import read_number
from mastsim.problems.standardisation import Standardisation
from mastsim.readonly import FrozenDict, ReadOnly
from mastsim.validation import UNLIMITED, flag, matrix, real, text, texts, vector

_SHOWN = 5


@dataclass(frozen=True, eq=False)
class Dataset(ReadOnly):
    """A table of features with one label per row, and where it came from.

    Parameters
    ----------
    name : str
        What the data set is called; for a synthetic one, a specification that `load` turns into it again.
    A : numpy.ndarray or scipy.sparse.csr_array, shape (n, d)
        Features, float64.
    y : numpy.ndarray, shape (n,)
        Labels, float64. In {-1, +1}, except for a user's own file, whose labels are left as they are until `classified`.
    sha256 : str
        Hash of the file's bytes; for synthetic data of the arrays' bytes; for ``breast-cancer`` of the bytes of the
        arrays as scikit-learn bundles them, before columns are standardised, so that it is the same on every machine.
    source : str
        One sentence saying where the data came from.
    labels : mapping of float to int, optional
        What each label of the file has become, where `y` holds -1 and +1 in place of them; None where `y` holds the
        file's own.
    columns : tuple of str, optional
        Names of the features, where the file has them.
    classes : mapping of float to str, optional
        What the file calls each label, where it has two texts.
    weights : ndarray, shape (n,), optional
        Weights of the rows, at least 0; problems that are built from a description take them.
    standardisation : Standardisation, optional
        The map that brought the columns to one size, where `standardised` did; its `raw` is the way back.
    copy : bool, default True
        Whether to take a copy of `A`; without, a large `A` is shared, and made read-only as far as its type allows.

    Raises
    ------
    TypeError, ValueError
        If `A` and `y` are not finite numbers, one label a row.

    Examples
    --------
    >>> import mastsim as ms
    >>> data = ms.load("synthetic:n=50,d=4,condition=10")
    >>> data.n, data.d, data.A.shape
    (50, 4, (50, 4))
    """

    noun = "data set"
    example = "what load returns"

    name: str
    A: np.ndarray | sp.csr_array = field(repr=False)
    y: np.ndarray = field(repr=False)
    sha256: str
    source: str
    labels: Mapping[float, int] | None = None
    columns: tuple[str, ...] | None = None
    classes: Mapping[float, str] | None = None
    standardisation: Standardisation | None = field(default=None, repr=False)
    _: KW_ONLY
    weights: np.ndarray | None = field(default=None, repr=False)
    copy: InitVar[bool] = True

    def __post_init__(self, copy: bool) -> None:
        for name in ("name", "sha256", "source"):
            text(name, getattr(self, name))
        A = matrix("A", self.A, flag("copy", copy), UNLIMITED)
        object.__setattr__(self, "A", A)
        object.__setattr__(self, "y", vector("y", self.y, A.shape[0]))
        if self.weights is not None:
            object.__setattr__(self, "weights", vector("weights", self.weights, A.shape[0]))
        object.__setattr__(self, "labels", None if self.labels is None else FrozenDict(self.labels))
        object.__setattr__(self, "classes", None if self.classes is None else FrozenDict(self.classes))
        if self.columns is not None:
            object.__setattr__(self, "columns", texts("columns", self.columns))
            if len(self.columns) != self.d:
                raise ValueError(f"columns has {len(self.columns)} names, but there are {self.d} features")

    @property
    def n(self) -> int:
        """Number of rows."""
        return int(self.A.shape[0])

    @property
    def d(self) -> int:
        """Number of features."""
        return int(self.A.shape[1])

    def standardised(self) -> Dataset:
        """Return the data with columns of mean 0 and variance 1 (of a sparse table: of variance 1), and the way back.

        Examples
        --------
        >>> data = Dataset("mine", np.array([[1.0], [3.0]]), np.ones(2), "", "").standardised()
        >>> data.A.tolist(), data.standardisation.raw(np.array([2.0]))[1]
        ([[-1.0], [1.0]], -4.0)
        """
        if self.standardisation is not None:
            return self
        found = Standardisation.of(self.A)
        how = "columns divided by their standard deviation" if hasattr(self.A, "tocsr") else "columns standardised"
        source = f"{self.source.rstrip('.')}; {how}."
        return replace(self, A=found.apply(self.A), source=source, standardisation=found, copy=False)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the features: those of the file, or their numbers from 1."""
        return self.columns or tuple(f"feature {i + 1}" for i in range(self.d))

    @cached_property
    def binary(self) -> bool:
        """Whether the labels are those of a classification: two distinct ones, or nothing but -1 and +1."""
        return self.labels is not None or len(self._distinct) == 2 or bool(np.isin(self._distinct, (-1.0, 1.0)).all())

    @cached_property
    def signs(self) -> np.ndarray:
        """The labels as -1 and +1, see `classified`; ValueError where there are not two."""
        return self.classified().y

    @cached_property
    def _distinct(self) -> np.ndarray:
        return np.unique(self.y)

    @property
    def _signs(self) -> dict[float, int]:
        """What each label counts as by now; the larger is the positive one unless something else was said."""
        pair = self._distinct.tolist() if len(self._distinct) == 2 else [-1.0, 1.0]
        return dict(zip(pair, (-1, 1), strict=True)) if self.labels is None else dict(self.labels)

    def classified(self, positive: float | str | None = None) -> Dataset:
        """Return the data with labels -1 and +1, and in `labels` which of the file's became which.

        Parameters
        ----------
        positive : float or str, optional
            The label, as it stands in the file, that becomes +1, or the name of its class; the larger of the two when left
            out, or what it is by now.

        Returns
        -------
        Dataset
            Itself where nothing changes.

        Raises
        ------
        ValueError
            If there are not two distinct labels, or `positive` is neither of them.

        Examples
        --------
        >>> data = Dataset("mine", np.eye(3), np.array([0.0, 1.0, 1.0]), "", "")
        >>> data.classified().y, dict(data.classified(positive=0).labels)
        (array([-1.,  1.,  1.]), {0.0: 1, 1.0: -1})
        """
        if not self.binary:
            raise ValueError(
                f"data set {self.name!r} has {_counted(self._distinct)}, but a "
                "classification needs two, which become -1 and +1 (problem='least-squares' takes them as targets)"
            )
        before = self._signs
        after = dict(before)
        if positive is not None:
            chosen = self._label_of(positive)
            after = {label: 1 if label == chosen else -1 for label in before}
        if self.labels is not None and after == before:
            return self
        now = {sign: after[label] for label, sign in before.items()} if self.labels is not None else after
        y = np.array([now[label] for label in self.y.tolist()], dtype=float)
        return replace(self, y=y, labels=FrozenDict(after))

    def _label_of(self, positive: float | str) -> float:
        """Return the one of the labels that is meant."""
        asked = read_label(positive)
        for label in self._signs:
            if asked in (label, (self.classes or {}).get(label)):
                return label
        known = ", ".join(map(self.spell, self._signs))
        raise ValueError(f"positive={spell_label(asked)} is not accepted: the labels of {self.name!r} are {known}")

    def spell(self, label: float) -> str:
        """Return a label as the file has it: the name of its class, or the number.

        Examples
        --------
        >>> Dataset("mine", np.eye(2), np.array([0.0, 1.0]), "", "", classes={0.0: "healthy", 1.0: "ill"}).spell(1.0)
        'ill'
        """
        return spell_label(label) if self.classes is None else self.classes[label]


def read_label(value: float | str) -> float | str:
    """Return a label as a number where it is one or spells one, and else as the name of a class.

    Raises
    ------
    ValueError, TypeError
        If it is neither.

    Examples
    --------
    >>> read_label("0"), read_label("healthy")
    (0.0, 'healthy')
    """
    if isinstance(value, str):
        try:
            spelled = float(read_number("positive", value))
        except ValueError:
            spelled = math.inf
        return spelled if math.isfinite(spelled) else text("positive", value)
    return real("positive", read_number("positive", value))


def spell_label(label: float | str) -> str:
    """Return a label as a file would have it: ``1`` for 1.0, with every digit that tells it from others, or its class."""
    return label if isinstance(label, str) else repr(float(label)).removesuffix(".0")


def _counted(labels: np.ndarray) -> str:
    return f"{len(labels)} label{'' if len(labels) == 1 else 's'} ({_listed(labels)})"


def _listed(labels: Iterable[float]) -> str:
    words = [spell_label(label) for label in labels]
    return ", ".join(words if len(words) <= _SHOWN else [*words[: _SHOWN - 1], "…", words[-1]])


def sha256(*parts: bytes) -> str:
    """Return the SHA-256 of bytes, in hexadecimal."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def digest(A: np.ndarray | sp.csr_array, y: np.ndarray) -> str:
    """Return the SHA-256 of the arrays of a data set that has no file."""
    parts = [A.indptr, A.indices, A.data] if isinstance(A, sp.csr_array) else [A]
    # One byte order and one index width, so that equal arrays have equal hashes on every machine.
    return sha256(
        repr(A.shape).encode(),
        *(part.astype("<i8" if part.dtype.kind == "i" else "<f8").tobytes() for part in [*parts, y]),
    )
