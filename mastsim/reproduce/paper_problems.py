"""Problems, sketches and data of Section 5 of the paper, which the figures share."""

from __future__ import annotations

from mastsim.problems import Dataset, LogisticRegression, load
from mastsim.problems.catalogue import DEFAULT_DATA, locate
from mastsim.problems.families import DEFAULT_CONDITION
from mastsim.sketches import RandK
from mastsim.spec import Spec

PREFERRED_DATA = "a5a"
LOGISTIC = Spec(problem="logistic")
LEAST_SQUARES = Spec(problem="least-squares")
"""The problems of Section 5 of the paper: κ_f = 100."""
CONDITION_NUMBER = DEFAULT_CONDITION
"""κ_f of these problems."""


def regression(data: Dataset) -> LogisticRegression:
    """Return the paper's problem on all rows: logistic regression with κ_f = 100.

    Parameters
    ----------
    data : Dataset
        With labels -1 and 1.

    Raises
    ------
    ValueError
        If the labels are not -1 and 1.

    Examples
    --------
    >>> import mastsim as ms
    >>> f = regression(ms.load("synthetic:n=20,d=3"))
    >>> round(f.L_f / f.mu_f, 9)
    100.0
    """
    f: LogisticRegression = LOGISTIC.problem_of(data)[1]
    return f


def rand_k(dim: int, keep: float) -> RandK:
    """Return the Rand-K sketch that keeps about a given fraction of the coordinates, and at least one.

    Parameters
    ----------
    dim : int
        The dimension d.
    keep : float
        From 0 to 1.

    Examples
    --------
    >>> rand_k(123, 0.1).name, rand_k(3, 0.01).name
    ('Rand-12 of 123', 'Rand-1 of 3')
    """
    return RandK.from_text(repr(float(keep)), dim)


def default_data() -> Dataset:
    """Return the paper's data set where it lies on this machine, otherwise the bundled one; nothing is downloaded.

    Examples
    --------
    >>> default_data().name in ("a5a", "breast-cancer")
    True
    """
    return load(PREFERRED_DATA if locate(PREFERRED_DATA) is not None else DEFAULT_DATA)
