"""What a data set is: rows, labels, and the hash that says which."""

from __future__ import annotations

import hashlib
from dataclasses import KW_ONLY, InitVar, dataclass, field

import numpy as np
import scipy.sparse as sp

from mastsim.readonly import ReadOnly
from mastsim.validation import UNLIMITED, flag, matrix, text, vector


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
        Labels, float64. In {-1, +1}, except for a user's own file, whose labels are left as they are.
    sha256 : str
        Hash of the file's bytes; for synthetic data of the arrays' bytes; for ``breast-cancer`` of the bytes of the
        arrays as scikit-learn bundles them, before columns are standardised, so that it is the same on every machine.
    source : str
        One sentence saying where the data came from.
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

    name: str
    A: np.ndarray | sp.csr_array = field(repr=False)
    y: np.ndarray = field(repr=False)
    sha256: str
    source: str
    _: KW_ONLY
    copy: InitVar[bool] = True

    def __post_init__(self, copy: bool) -> None:
        for name in ("name", "sha256", "source"):
            text(name, getattr(self, name))
        A = matrix("A", self.A, flag("copy", copy), UNLIMITED)
        object.__setattr__(self, "A", A)
        object.__setattr__(self, "y", vector("y", self.y, A.shape[0]))

    @property
    def n(self) -> int:
        """Number of rows."""
        return int(self.A.shape[0])

    @property
    def d(self) -> int:
        """Number of features."""
        return int(self.A.shape[1])


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


# ---------------------------------------------------------------------------------------------- synthetic
