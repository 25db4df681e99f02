"""Hypothesis strategies for sketches, problems and MAST objectives.

They draw the structure (sizes, ranks, condition numbers, keep fractions) and a seed, from which NumPy builds the arrays;
corners such as d = 1, K = d, a keep fraction of 1e-3, rank-deficient data or a shift v ≠ 0 come up often.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import scipy.sparse as sp

from mastsim.expected import Distributed, Mast
from mastsim.linalg import compile_kernels
from mastsim.methods import Method
from mastsim.problems import (
    ALL_PROBLEMS,
    FiniteSum,
    GeneralizedLinearModel,
    HuberRegression,
    LogisticRegression,
    PoissonRegression,
    Problem,
    Quadratic,
)
from mastsim.problems.losses import Loss
from mastsim.sketches import (
    ALL_SKETCHES,
    Bernoulli,
    Identity,
    RandK,
    Sketch,
)
from mastsim.theorems import Theorem
from mastsim.theorems.assumptions import DISTRIBUTED, NO_SKETCH

try:
    from hypothesis import assume
    from hypothesis import strategies as st
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        "mastsim.testing.strategies needs hypothesis: install mastsim[test]", name="hypothesis"
    ) from missing

from mastsim.testing.sketch_strategies import PLAIN, basis, generators, scales, sketches

__all__ = ["methods", "objectives", "problems", "quadratics", "sketches", "theorems"]

_MOST_ROWS = 8


def quadratics(max_dim: int = 5) -> st.SearchStrategy[Quadratic]:
    """Return a strategy for convex `Quadratic` problems, not constant, of any rank and condition number up to 1e6."""
    compile_kernels()
    return _quadratics(max_dim)


@st.composite
def _quadratics(draw: st.DrawFn, max_dim: int) -> Quadratic:
    dim = draw(st.integers(1, max_dim))
    rank = draw(st.sampled_from([1, dim]) | st.integers(1, dim))
    rng = draw(generators())
    spectrum = np.zeros(dim)
    spectrum[:rank] = np.geomspace(1.0, 1 / draw(st.sampled_from([1.0, 10.0, 1e6])), rank)
    # Rounded so that products are exact: the matrix is singular, and b in its range, to the last bit.
    root = _rounded(basis(rng, dim)[:, :rank] * np.sqrt(spectrum[:rank]), 20)
    A = draw(st.sampled_from([1.0, 2.0**-7, 8.0])) * (root @ root.T)
    target = _rounded(draw(scales()) * rng.standard_normal(dim) * draw(st.booleans()), 8)
    return Quadratic(A, A @ target, c=draw(st.sampled_from([0.0, -3.0, 1e3])))


def problems(max_dim: int = 5, families: Sequence[type[Problem]] = ALL_PROBLEMS) -> st.SearchStrategy[Problem]:
    """Return a strategy for problems of the given families.

    Parameters
    ----------
    max_dim : int, default 5
        Largest dimension.
    families : sequence of classes, default `mastsim.problems.ALL_PROBLEMS`
        `Quadratic` and subclasses of `GeneralizedLinearModel`; one's own models too, if they need no further arguments.

    Returns
    -------
    hypothesis.strategies.SearchStrategy
        Of problems that are not constant. Generalised linear models have 1 to 8 rows, dense or sparse, of any rank, some of
        them zero; they are regularised by `l2` (0 included) or to a condition number.

    Examples
    --------
    >>> import mastsim as ms
    >>> from hypothesis import find
    >>> find(problems(families=[ms.LeastSquares]), lambda f: f.dim == 1 and f.mu_f > 0).is_convex
    True
    """
    return st.sampled_from(list(families)).flatmap(lambda family: _family(family, max_dim))


def objectives(
    max_dim: int = 5,
    problems: Sequence[type[Problem]] = ALL_PROBLEMS,
    sketches: Sequence[type[Sketch]] = ALL_SKETCHES,
) -> st.SearchStrategy[Mast]:
    """Return a strategy for `Mast` objectives of the given families, one's own among them, with v = 0 or not.

    The kernels that evaluate f_D are compiled when the strategy is made, once on a machine, and not within the first
    examples, which hypothesis gives 200 milliseconds each. Those of `simulate` are not: pass it ``engine="array"``.

    Parameters
    ----------
    max_dim : int, default 5
        Largest dimension.
    problems : sequence of classes, default `mastsim.problems.ALL_PROBLEMS`
        Families of problems, as for `problems`.
    sketches : sequence of classes, default `mastsim.sketches.ALL_SKETCHES`
        Families of sketches, as for `sketches`.

    Returns
    -------
    hypothesis.strategies.SearchStrategy
        Of objectives that are evaluated exactly.
    """
    _compile_kernels()
    return _objectives(max_dim, tuple(problems), tuple(sketches))


def theorems(kind: type[Theorem], max_dim: int = 5) -> st.SearchStrategy[Theorem]:
    """Return a strategy for a record on objectives that it applies to, quadratic and small, with one of its settings.

    Parameters
    ----------
    kind : type of Theorem
        The record.
    max_dim : int, default 5
        Largest dimension.

    Returns
    -------
    hypothesis.strategies.SearchStrategy
        Of claims; one node, or up to three clients where the record is about several.

    Examples
    --------
    >>> import mastsim as ms
    >>> from hypothesis import find
    >>> find(theorems(ms.theorems.StronglyConvexDSGD), lambda t: t.objective.dim == 2).title
    'Theorem 2 (strongly convex DSGD)'
    """
    _compile_kernels()
    return _theorems(kind, max_dim)


@st.composite
def _theorems(draw: st.DrawFn, kind: type[Theorem], max_dim: int) -> Theorem:
    dim, clients = draw(st.integers(1, max_dim)), DISTRIBUTED in kind.assumptions
    sampled = any(item.name == "sampling" for item in fields(kind))
    bowls = [_bowl(draw, dim) for _ in range(draw(st.integers(2, 3)) if clients or sampled else 1)]
    sketch = Identity(dim) if NO_SKETCH in kind.assumptions else draw(sketches(dim, PLAIN))
    shift = draw(scales()) * draw(generators()).standard_normal(dim) if draw(st.booleans()) else bowls[0].minimize().x
    problem = FiniteSum(bowls) if sampled else bowls[0]
    F = Distributed(bowls, sketch, shift=shift) if clients else Mast(problem, sketch, shift)
    cases = kind.cases(F)
    assume(len(cases) > 0)
    return draw(st.sampled_from(list(cases)))


def _bowl(draw: st.DrawFn, dim: int) -> Quadratic:
    """Return a strongly convex quadratic of a dimension, with a condition number up to 100."""
    rng, turn = draw(generators()), draw(generators())
    spectrum = np.geomspace(1.0, 1 / draw(st.sampled_from([1.0, 10.0, 100.0])), dim)
    root = basis(turn, dim) * np.sqrt(spectrum)
    A = root @ root.T
    return Quadratic((A + A.T) / 2, rng.standard_normal(dim))


def methods(kind: type[Method], **settings: st.SearchStrategy[Any]) -> st.SearchStrategy[Method]:
    """Return a strategy for a method with a step size between 1e-3 and 1, and settings of one's own choice.

    Parameters
    ----------
    kind : type of Method
        The method, the package's or one's own.
    **settings : hypothesis.strategies.SearchStrategy
        Strategies for its other fields; they keep their defaults when left out.

    Returns
    -------
    hypothesis.strategies.SearchStrategy
        Of methods.

    Examples
    --------
    >>> import mastsim as ms
    >>> from hypothesis import find
    >>> find(methods(ms.DSGD), lambda m: m.stepsize > 0.5).name
    'DSGD'
    """
    return st.builds(kind, st.sampled_from([1.0, 0.1, 1e-3]) | st.floats(1e-3, 1.0), **settings)


@cache
def _compile_kernels() -> None:
    """Evaluate f_D and its derivatives once by each of the kernels."""
    own = [family for family in ALL_SKETCHES if hasattr(family, "examples")]
    laws = [Bernoulli(2, 0.5), RandK(2, k=1), *(law for family in own for law in family.examples(2)[:1])]
    for family in (HuberRegression, LogisticRegression, PoissonRegression):
        plain = family(np.array([[1.0, 2.0]]), np.ones(1), l2=0.1)
        weighted = family(np.array([[1.0], [2.0]]), np.ones(2), l2=0.1, weights=[1.0, 2.0], intercept=True)
        for problem, sketch in product((plain, weighted), laws):
            F = Mast(problem, sketch)
            F.value_and_gradient(np.ones((1, 2)))
            F.hessian(np.ones(2))


@st.composite
def _objectives(draw: st.DrawFn, max_dim: int, families: Sequence[type[Problem]], kinds: Sequence[type[Sketch]]) -> Mast:
    problem = draw(problems(max_dim, families))
    sketch = draw(sketches(problem.dim, kinds))
    moved = draw(st.booleans())
    shift = draw(scales()) * draw(generators()).standard_normal(problem.dim) if moved else None
    objective = Mast(problem, sketch, shift)
    assume(objective.evaluation.tier == "exact")
    return objective


def _rounded(values: np.ndarray, bits: int) -> np.ndarray:
    """Return the nearest multiples of 2^−bits."""
    return np.asarray(np.round(values * 2.0**bits) / 2.0**bits)


@st.composite
def _linear_models(draw: st.DrawFn, family: type[GeneralizedLinearModel], max_dim: int) -> Problem:
    rows, dim = draw(st.integers(1, _MOST_ROWS)), draw(st.integers(1, max_dim))
    intercept = dim > 1 and draw(st.booleans())
    A = draw(_features(rows, dim - intercept))
    loss = family(np.ones((1, 1)), np.ones(1), l2=1.0).loss
    y = loss.labels_like(draw(scales()) * draw(generators()).standard_normal(rows))
    weights = draw(_row_weights(rows))
    counted = A if weights is None else A[weights > 0]
    options = draw(_regularisations(bool(counted.any()), loss))
    table = sp.csr_array(A) if draw(st.booleans()) else A
    return family(table, y, weights=weights, intercept=intercept, **options)


@st.composite
def _features(draw: st.DrawFn, rows: int, columns: int) -> np.ndarray:
    """Draw a matrix of some rank and condition number, perhaps with rows and many entries of 0."""
    rng, rank = draw(generators()), draw(st.sampled_from([1, min(rows, columns)]))
    spectrum = np.geomspace(1.0, 1 / draw(st.sampled_from([1.0, 10.0, 1e3])), rank)
    # Rounded so that products of rank one are exact: the matrix is deficient to the last bit.
    A = _rounded(draw(scales()) * basis(rng, rows)[:, :rank] * spectrum, 24) @ _rounded(basis(rng, columns)[:rank], 24)
    A[rng.random(rows) < draw(st.sampled_from([0.0, 0.4]))] = 0
    if draw(st.booleans()):
        A[rng.random(A.shape) < 0.5] = 0
    return np.asarray(A)


def _row_weights(rows: int) -> st.SearchStrategy[np.ndarray | None]:
    """Return a strategy for weights: equal, of many sizes, or some of them 0."""
    each = st.sampled_from([1.0, 0.0, 1e-6]) | st.floats(1e-3, 1e3)
    unequal = st.lists(each, min_size=rows, max_size=rows).filter(any).map(np.array)
    return st.none() | unequal


def _regularisations(any_data: bool, loss: Loss) -> st.SearchStrategy[dict[str, Any]]:
    choices: st.SearchStrategy[dict[str, Any]] = st.sampled_from([1.0, 0.1, 1e-5]).map(lambda l2: {"l2": l2})
    if not any_data:
        return choices
    if math.isfinite(loss.curvature_max):
        choices |= st.sampled_from([100.0, 2.0, 1e6]).map(lambda kappa: {"condition_number": kappa})
    return choices | st.just({"l2": 0.0})


def _family(family: type[Problem], max_dim: int) -> st.SearchStrategy[Problem]:
    if issubclass(family, GeneralizedLinearModel):
        return _linear_models(family, max_dim)
    if family is Quadratic:
        return quadratics(max_dim)
    raise ValueError(f"family {family.__name__} is not accepted: it must be Quadratic or a generalised linear model")
