"""The ways to evaluate f_D, and which of them is taken for a problem and a sketch."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mastsim.expected.base import Expectation
from mastsim.expected.closed_form import ClosedForm
from mastsim.expected.enumeration import Enumeration
from mastsim.expected.finite_sum import SumExpectation
from mastsim.expected.monte_carlo import MonteCarlo
from mastsim.expected.rows import RowExpectation
from mastsim.problems import FiniteSum, Problem
from mastsim.sketches import Sketch


class Evaluator(NamedTuple):
    """An evaluation of f_D: where it applies, and how it is built.

    Parameters
    ----------
    refusal : callable
        Takes a problem and a sketch, and says why it does not apply to them, or None when it does.
    build : callable
        Takes a problem, a sketch and a shift of shape (dim,), and returns the expectation.
    """

    refusal: Callable[[Problem, Sketch], str | None]
    build: Callable[[Problem, Sketch, np.ndarray], Expectation]


def expectation_of(problem: Problem, sketch: Sketch, shift: np.ndarray, evaluate: str = "auto") -> Expectation:
    """Return the expectation E f(v + S(x − v)), by a given evaluation or the sharpest that applies.

    Parameters
    ----------
    problem : Problem
        The loss f.
    sketch : Sketch
        The distribution of S, of the same dimension.
    shift : ndarray, shape (dim,)
        The shift v.
    evaluate : str, default "auto"
        A name of `ALL_EXPECTATIONS`, or ``"auto"`` for the first that applies.

    Raises
    ------
    ValueError
        If the evaluation does not apply; the message says why not, and what does.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> expectation_of(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1), np.zeros(2)).evaluation.name
    'closed form'
    """
    refusals = ((name, evaluator, evaluator.refusal(problem, sketch)) for name, evaluator in ALL_EXPECTATIONS.items())
    if evaluate == "auto":
        # Monte Carlo, the last, never refuses.
        return next(evaluator for _, evaluator, why in refusals if why is None).build(problem, sketch, shift)
    if (why := ALL_EXPECTATIONS[evaluate].refusal(problem, sketch)) is None:
        return ALL_EXPECTATIONS[evaluate].build(problem, sketch, shift)
    accepted = ", ".join(["auto", *(name for name, _, refused in refusals if refused is None)])
    raise ValueError(f"evaluate={evaluate!r} is not accepted here: {why}; what applies: {accepted}")


def _sharpest_exact(problem: Problem, sketch: Sketch) -> Evaluator | None:
    """Return the first exact evaluation that applies, if any does."""
    exact = (evaluator for name, evaluator in ALL_EXPECTATIONS.items() if name != MONTE_CARLO)
    return next((evaluator for evaluator in exact if evaluator.refusal(problem, sketch) is None), None)


def _refusal_of_sum(problem: Problem, sketch: Sketch) -> str | None:
    """Say which component of a finite sum has no exact expectation, or None when all have."""
    if not isinstance(problem, FiniteSum):
        return "f is not a finite sum of problems"
    lacking = ((i, part.name) for i, part in enumerate(problem.problems) if _sharpest_exact(part, sketch) is None)
    return next((f"no exact evaluation applies to component {i}, {name}" for i, name in lacking), None)


def _sum_of_parts(problem: Problem, sketch: Sketch, shift: np.ndarray) -> SumExpectation:
    """Return the expectation of a finite sum, each component evaluated in the sharpest exact way."""
    assert isinstance(problem, FiniteSum)
    found = ((part, _sharpest_exact(part, sketch)) for part in problem.problems)
    parts = tuple(evaluator.build(part, sketch, shift) for part, evaluator in found if evaluator is not None)
    return SumExpectation(problem, sketch, shift, parts)


MONTE_CARLO = "monte carlo"

ALL_EXPECTATIONS: dict[str, Evaluator] = {
    "closed form": Evaluator(ClosedForm.refusal, ClosedForm),
    "rows": Evaluator(RowExpectation.refusal, RowExpectation),
    "finite sum": Evaluator(_refusal_of_sum, _sum_of_parts),
    "enumeration": Evaluator(Enumeration.refusal, Enumeration),
    MONTE_CARLO: Evaluator(MonteCarlo.refusal, MonteCarlo),
}
"""Ways to evaluate f_D, sharpest first; the first that applies is taken. All but the last are exact."""
