"""The explicit list of problem families, and which of them suits a data set: two classes or targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any

from mastsim.keywords import by_keyword
from mastsim.problems.base import Problem
from mastsim.problems.dataset import Dataset, read_label, spell_label
from mastsim.problems.exponential import ExponentialClassification
from mastsim.problems.huber import HuberRegression
from mastsim.problems.least_squares import LeastSquares
from mastsim.problems.logistic import LogisticRegression
from mastsim.problems.poisson import PoissonRegression
from mastsim.problems.quadratic import Quadratic
from mastsim.problems.sigmoid import SigmoidClassification
from mastsim.problems.smoothed_hinge import SmoothedHingeClassification
from mastsim.problems.welsch import WelschRegression
from mastsim.validation import one_of

ALL_PROBLEMS: tuple[type[Problem], ...] = (
    Quadratic,
    LeastSquares,
    LogisticRegression,
    PoissonRegression,
    ExponentialClassification,
    HuberRegression,
    SmoothedHingeClassification,
    SigmoidClassification,
    WelschRegression,
)
"""Every family of problems on data of its own; tests, command line and documentation are generated from this tuple."""

EMPTY: Mapping[str, type[Any]] = MappingProxyType({})
DEFAULT_CONDITION = 100.0
"""κ_f where neither it nor λ is given, as in Section 5 of the paper."""
AUTO = "auto"
"""Logistic regression or least squares, whichever suits the labels."""
_DATA = ("A", "y", "l2", "condition_number", "weights", "intercept")


def problem_names() -> dict[str, type[Any]]:
    """Return the families that are built from a data set, by keyword."""
    return by_keyword(ALL_PROBLEMS)


def problem_settings(own: Mapping[str, type[Any]] = EMPTY) -> dict[str, list[str]]:
    """Return the names of every family's own settings, by keyword; ``auto`` has none. `own` are families of one's own."""
    known = problem_names() | dict(own)
    return {AUTO: []} | {
        name: [field.name for field in fields(kind) if field.name not in _DATA] for name, kind in known.items()
    }


def family_for(
    data: Dataset, problem: str = AUTO, positive: float | str | None = None, own: Mapping[str, type[Any]] = EMPTY
) -> tuple[Dataset, type[Any]]:
    """Return the data with the labels that a problem is about, and the family of the problem.

    Parameters
    ----------
    data : Dataset
        The data.
    problem : str, default "auto"
        Keyword of a family: ``logistic``, ``least-squares``, ``huber``, … Auto takes logistic regression where there are two
        distinct labels, whatever they are, and least squares otherwise.
    positive : float or str, optional
        The label that counts as +1 in problems about two classes; the larger when left out.
    own : mapping of str to type, optional
        Families of one's own, by name.

    Returns
    -------
    Dataset
        With labels -1 and +1 for problems about two classes (its `labels` say which became which), and as it is otherwise.
    type
        The family.

    Raises
    ------
    ValueError
        If the problem is unknown, does not suit the labels, or `positive` is not one of two labels.

    References
    ----------
    This package.

    Examples
    --------
    >>> import numpy as np
    >>> data = Dataset("mine", np.eye(3), np.array([0.0, 1.0, 1.0]), "", "")
    >>> classes, family = family_for(data)
    >>> family.__name__, classes.y
    ('LogisticRegression', array([-1.,  1.,  1.]))
    >>> family_for(data, "least-squares")[0].y
    array([0., 1., 1.])
    """
    known = problem_names() | dict(own)
    if one_of("problem", problem, [AUTO, *known]) == AUTO:
        family: type[Any] = LogisticRegression if positive is not None or data.binary else LeastSquares
    else:
        family = known[problem]
    if family.takes_classes:
        return data.classified(positive), family
    if positive is not None:
        given = f"positive={spell_label(read_label(positive))}"
        raise ValueError(f"{given} is not accepted with problem={problem!r}: its targets are the labels as they are")
    return data, family
