"""Models to start from: early-stopped, of related rows, and optimal."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mastsim.problems import Dataset, LogisticRegression
from mastsim.reproduce.held_out import LabelledRows, own_test_rows
from mastsim.reproduce.paper_problems import LOGISTIC

SHIFTS = {"zero": "v = 0", "early": "v = early-stopped GD", "related": "v = ERM of related rows", "optimal": "v = x*"}
EARLY_STEPS = 10
"""Steps of gradient descent from 0 at 1/L_f after which the early-stopped model is taken."""


@dataclass(frozen=True, eq=False)
class RowsByUse:
    """Rows to fit, rows of a related data set, and rows to judge by.

    Parameters
    ----------
    fit, related, judged : LabelledRows
        Disjoint.

    Examples
    --------
    >>> import mastsim as ms
    >>> parts = divided(ms.load("synthetic:n=20,d=3"), seed=0)
    >>> sorted(parts.shifts) == sorted(SHIFTS)
    True
    """

    fit: LabelledRows
    related: LabelledRows
    judged: LabelledRows

    @cached_property
    def problem(self) -> LogisticRegression:
        """Logistic regression on the rows to fit, κ_f = 100."""
        f: LogisticRegression = LOGISTIC.problem_on(self.fit.A, self.fit.y)
        return f

    @cached_property
    def shifts(self) -> dict[str, np.ndarray]:
        """The shifts v by name."""
        f, x = self.problem, np.zeros(self.problem.dim)
        for _ in range(EARLY_STEPS):
            x = x - np.asarray(f.gradient(x)) / f.L_f.value
        related = LogisticRegression(self.related.A, self.related.y, l2=f.ridge)
        found = {"zero": np.zeros(f.dim), "early": x, "related": related.minimize().x, "optimal": f.minimize().x}
        return {name: found[name] for name in SHIFTS}


def divided(data: Dataset, seed: int) -> RowsByUse:
    """Return a random half of the rows to fit and the other as related data; a fifth is set aside where no test rows exist.

    Parameters
    ----------
    data : Dataset
        The data.
    seed : int
        The seed of the permutation.

    Examples
    --------
    >>> import mastsim as ms
    >>> parts = divided(ms.load("synthetic:n=20,d=3"), seed=0)
    >>> [len(rows.y) for rows in (parts.fit, parts.related, parts.judged)]
    [8, 8, 4]
    """
    order, judged = np.random.Generator(np.random.Philox(seed)).permutation(data.n), own_test_rows(data)
    rows = LabelledRows(data.A, data.signs)
    if judged is None:
        aside, order = order[: data.n // 5], order[data.n // 5 :]
        judged = rows.taken(aside, "a fifth of the rows, set aside")
    half = (len(order) + 1) // 2
    return RowsByUse(rows.taken(order[:half], "one half"), rows.taken(order[half:], "the other half"), judged)
