"""Which loss suits a data set: two classes or targets, never one in place of the other without a word."""

from __future__ import annotations

from mastsim.problems.dataset import Dataset
from mastsim.problems.glm import LeastSquares
from mastsim.problems.logistic import LogisticRegression
from mastsim.validation import one_of

FAMILIES = ("auto", "logistic", "least-squares")
"""What may be asked for."""


def family_for(
    data: Dataset, problem: str = "auto", positive: float | None = None
) -> tuple[Dataset, type[LogisticRegression | LeastSquares]]:
    """Return the data with the labels that a problem is about, and the family of the problem.

    Parameters
    ----------
    data : Dataset
        The data.
    problem : {"auto", "logistic", "least-squares"}, default "auto"
        Auto takes logistic regression where there are two distinct labels, whatever they are, and least squares otherwise.
    positive : float, optional
        The label that counts as +1 in logistic regression; the larger when left out.

    Returns
    -------
    Dataset
        With labels -1 and +1 for logistic regression (its `labels` say which became which), and as it is otherwise.
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
    one_of("problem", problem, FAMILIES)
    if problem == "least-squares" and positive is not None:
        raise ValueError(
            f"positive={positive:g} is not accepted with problem='least-squares': its targets are the labels as they are"
        )
    if problem == "logistic" or positive is not None or (problem == "auto" and data.binary):
        return data.classified(positive), LogisticRegression
    return data, LeastSquares
