"""The linear matrix inequality of a step: which Lyapunov function and multipliers prove a rate, found by a solver."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from mastsim.worstcase.check import Form, Step
from mastsim.worstcase.solving import modelling

LARGEST = 1e4
"""The largest coefficient of V, in units of that of ‖x − x*‖²."""
_SLACKEST = 1.0


class Answer(NamedTuple):
    """What a solver found.

    Parameters
    ----------
    rate : float
        The factor.
    coefficients : ndarray, shape (terms,)
        V.
    multipliers : ndarray, shape (conditions,)
        Of the interpolation conditions.
    margin : float
        By how much the slack matrix is positive definite on its range.
    status, solver : str
        The solver's status, and its name.
    gram : ndarray, shape (unknowns, unknowns)
        The solver's dual variable of the slack matrix: Gram matrix of a worst case where the rate is the least for V.
    values : ndarray, shape (points,)
        The dual variables of the balances: values of φ at the points, but for a constant for each function.
    """

    rate: float
    coefficients: np.ndarray
    multipliers: np.ndarray
    margin: float
    status: str
    solver: str
    gram: np.ndarray
    values: np.ndarray


def dense(form: Form, size: int) -> np.ndarray:
    """Return the symmetric matrix of a form, shape (size, size)."""
    out = np.zeros((size, size))
    for (i, j), value in form.items():
        out[i, j] += float(value) / 2
        out[j, i] += float(value) / 2
    return out


@dataclass(frozen=True, eq=False)
class Inequality:
    """rate·V − E V⁺ + Σλ·condition ⪰ 0 in the unknowns of a step.

    Parameters
    ----------
    step : Step
        The step.
    used : tuple of str
        The terms of V that may be there.
    """

    step: Step
    used: tuple[str, ...]

    @property
    def size(self) -> int:
        """How many unknown coordinates there are."""
        return self.step.unknowns * self.step.dim

    @cached_property
    def terms(self) -> tuple[np.ndarray, np.ndarray]:
        """The terms of V before and after the step, shape (terms, size, size) each."""
        before = [dense(form, self.size) for _, form, _ in self.step.terms]
        after = [dense(form, self.size) for _, _, form in self.step.terms]
        return np.array(before), np.array(after)

    @cached_property
    def conditions(self) -> tuple[np.ndarray, np.ndarray]:
        """Forms of the conditions, shape (conditions, size, size), and coefficients of values, (conditions, points)."""
        listed = self.step.conditions()
        flow = np.zeros((len(listed), len(self.step.points)))
        for row, (i, j, _) in enumerate(listed):
            flow[row, i], flow[row, j] = 1.0, -1.0
        forms = np.array([dense(form, self.size) for *_, form in listed]).reshape(len(listed), self.size, self.size)
        return forms, flow

    @cached_property
    def range(self) -> np.ndarray:
        """An orthonormal basis of the unknowns that any form depends on, shape (size, rank)."""
        forms = np.concatenate([*self.terms, self.conditions[0]])
        sizes = np.maximum(np.abs(forms).max(axis=(1, 2), keepdims=True), np.finfo(float).tiny)
        square = np.einsum("nij,nkj->ik", forms / sizes, forms / sizes)
        values, vectors = np.linalg.eigh(square)
        return np.asarray(vectors[:, values > 1e-12 * values[-1]])

    @cached_property
    def _reduced(self) -> tuple[np.ndarray, ...]:
        U, (before, after), (forms, flow) = self.range, self.terms, self.conditions
        return *(np.array([U.T @ Q @ U for Q in group]) for group in (before, after, forms)), flow

    def solve(self, rate: float | None, fixed: np.ndarray | None, order: tuple[str, ...]) -> Answer | None:
        """Return V and multipliers that prove a rate, with the largest margin; the least rate for a fixed V without one.

        Parameters
        ----------
        rate : float or None
            The rate; the least one where None, which needs a V.
        fixed : ndarray, shape (terms,), or None
            The coefficients of V; found where None.
        order : tuple of str
            The solvers to be tried, first to last.
        """
        cp, (before, after, forms, flow) = modelling(), self._reduced
        rank, count = before.shape[1], len(before)
        weights, margin = cp.Variable(len(forms), nonneg=True), cp.Variable()
        V: Any = cp.Variable(count) if fixed is None else fixed
        q: Any = cp.Variable() if rate is None else rate
        slack = sum(V[k] * (q * before[k] - after[k]) for k in range(count))
        slack = slack + cp.reshape(forms.reshape(len(forms), -1).T @ weights, (rank, rank), order="C")
        psd = slack - (0 if rate is None else margin) * np.eye(rank) >> 0
        balance = flow.T @ weights == 0
        limits = [balance, *([] if fixed is not None else self._lyapunov(V))]
        goal = cp.Minimize(q) if rate is None else cp.Maximize(margin)
        problem = cp.Problem(goal, [psd, *limits, *([] if rate is None else [margin <= _SLACKEST])])
        solver = _solved(problem, order)
        if solver is None:
            return None
        U, values = self.range, np.asarray(V if fixed is not None else V.value)
        gram = U @ np.asarray(psd.dual_value) @ U.T
        found = float(q.value) if rate is None else rate
        gained = 0.0 if rate is None else float(margin.value)
        proof = (found, values, np.maximum(weights.value, 0), gained)
        return Answer(*proof, str(problem.status), solver, gram, np.asarray(balance.dual_value))

    def _lyapunov(self, V: Any) -> list[Any]:
        """Return that V is at least ‖x − x*‖², bounded, and made of the terms that may be there."""
        cp, names = modelling(), [name for name, _, _ in self.step.terms]
        place = {name: k for k, name in enumerate(names)}
        limits = [V[place[name]] == 0 for name in names if name not in self.used]
        limits += [cp.abs(V) <= LARGEST]
        if "noise" in place:
            limits.append(V[place["noise"]] >= 0)
        if len(names) == 1:
            return [*limits, V[0] >= 1]
        one, across, two = (V[k] for k in range(3))
        return [*limits, cp.bmat([[one - 1, across / 2], [across / 2, two]]) >> 0]


def _solved(problem: Any, order: tuple[str, ...]) -> str | None:
    """Solve with the first solver that reaches an optimal status, and return its name; None where none does."""
    cp = modelling()
    for name in order:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # cvxpy warns of what the status says
                problem.solve(solver=name)
        except cp.SolverError:
            continue
        if problem.status in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE):
            return name
    return None
