"""Hypothesis strategies for sketches, problems and MAST objectives.

They draw the structure (sizes, ranks, condition numbers, keep fractions) and a seed, from which NumPy builds the arrays;
corners such as d = 1, K = d, a keep fraction of 1e-3, rank-deficient data or a shift v ≠ 0 come up often.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import cache, partial
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
    BlockBernoulli,
    BlockRandK,
    Composed,
    FiniteSupport,
    Identity,
    IndependentDiagonal,
    RandK,
    Rotated,
    Sketch,
)
from mastsim.theorems import Theorem
from mastsim.theorems.assumptions import DISTRIBUTED, NO_SKETCH
from mastsim.validation import integer

try:
    from hypothesis import assume
    from hypothesis import strategies as st
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        "mastsim.testing.strategies needs hypothesis: install mastsim[test]", name="hypothesis"
    ) from missing

__all__ = ["methods", "objectives", "problems", "quadratics", "sketches", "theorems"]

_MOST_ROWS = 8
_PLAIN = (Identity, Bernoulli, RandK, FiniteSupport)


def sketches(dim: int, families: Sequence[type[Sketch]] = ALL_SKETCHES) -> st.SearchStrategy[Sketch]:
    """Return a strategy for sketches of the given families.

    Parameters
    ----------
    dim : int
        The dimension d.
    families : sequence of classes, default `mastsim.sketches.ALL_SKETCHES`
        Families of this package, or of one's own with a classmethod `examples`; those without a member in this dimension are
        left out.

    Returns
    -------
    hypothesis.strategies.SearchStrategy
        Of unbiased sketches; finite supports are diagonal, of rank one along a random basis, or general matrices.

    Examples
    --------
    >>> import mastsim as ms
    >>> from hypothesis import find
    >>> find(sketches(2, [ms.RandK]), lambda S: S.L_max > 1)
    RandK(dim=2, k=1)
    """
    integer("dim", dim, 1)
    unknown = [each.__name__ for each in families if each not in SKETCHES and not _has_examples(each, dim)]
    if unknown:
        raise ValueError(f"families: there is no strategy for {', '.join(unknown)}; give each a classmethod examples(dim)")
    here = [each for each in families if each in SKETCHES or each.examples(dim)]
    if not here:
        raise ValueError(
            f"families: none of {', '.join(each.__name__ for each in families)} has a member of dimension {dim}"
        )
    compile_kernels()
    return st.sampled_from(here).flatmap(lambda family: _members(family, dim))


def _has_examples(family: type[Sketch], dim: int) -> bool:
    """Return whether a family has members in a dimension, or in one near it."""
    return any(family.examples(near) for near in range(dim, dim + 3))


def _members(family: type[Sketch], dim: int) -> st.SearchStrategy[Sketch]:
    """Return a strategy for members of a family: its own in `SKETCHES`, otherwise its examples."""
    return SKETCHES[family](dim) if family in SKETCHES else st.sampled_from(family.examples(dim))


def quadratics(max_dim: int = 5) -> st.SearchStrategy[Quadratic]:
    """Return a strategy for convex `Quadratic` problems, not constant, of any rank and condition number up to 1e6."""
    compile_kernels()
    return _quadratics(max_dim)


@st.composite
def _quadratics(draw: st.DrawFn, max_dim: int) -> Quadratic:
    dim = draw(st.integers(1, max_dim))
    rank = draw(st.sampled_from([1, dim]) | st.integers(1, dim))
    rng = draw(_generators())
    spectrum = np.zeros(dim)
    spectrum[:rank] = np.geomspace(1.0, 1 / draw(st.sampled_from([1.0, 10.0, 1e6])), rank)
    # Rounded so that products are exact: the matrix is singular, and b in its range, to the last bit.
    root = _rounded(_basis(rng, dim)[:, :rank] * np.sqrt(spectrum[:rank]), 20)
    A = draw(st.sampled_from([1.0, 2.0**-7, 8.0])) * (root @ root.T)
    target = _rounded(draw(_scales()) * rng.standard_normal(dim) * draw(st.booleans()), 8)
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
    sketch = Identity(dim) if NO_SKETCH in kind.assumptions else draw(sketches(dim, _PLAIN))
    shift = draw(_scales()) * draw(_generators()).standard_normal(dim) if draw(st.booleans()) else bowls[0].minimize().x
    problem = FiniteSum(bowls) if sampled else bowls[0]
    F = Distributed(bowls, sketch, shift=shift) if clients else Mast(problem, sketch, shift)
    cases = kind.cases(F)
    assume(len(cases) > 0)
    return draw(st.sampled_from(list(cases)))


def _bowl(draw: st.DrawFn, dim: int) -> Quadratic:
    """Return a strongly convex quadratic of a dimension, with a condition number up to 100."""
    rng, basis = draw(_generators()), draw(_generators())
    spectrum = np.geomspace(1.0, 1 / draw(st.sampled_from([1.0, 10.0, 100.0])), dim)
    root = _basis(basis, dim) * np.sqrt(spectrum)
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
    sketches = [family for family in ALL_SKETCHES if hasattr(family, "examples")]
    laws = [Bernoulli(2, 0.5), RandK(2, k=1), *(law for family in sketches for law in family.examples(2)[:1])]
    for family in (HuberRegression, LogisticRegression, PoissonRegression):
        for sketch in laws:
            F = Mast(family(np.array([[1.0, 2.0]]), np.ones(1), l2=0.1), sketch)
            F.value_and_gradient(np.ones((1, 2)))
            F.hessian(np.ones(2))


@st.composite
def _objectives(draw: st.DrawFn, max_dim: int, families: Sequence[type[Problem]], kinds: Sequence[type[Sketch]]) -> Mast:
    problem = draw(problems(max_dim, families))
    sketch = draw(sketches(problem.dim, kinds))
    moved = draw(st.booleans())
    shift = draw(_scales()) * draw(_generators()).standard_normal(problem.dim) if moved else None
    objective = Mast(problem, sketch, shift)
    assume(objective.evaluation.tier == "exact")
    return objective


def _generators() -> st.SearchStrategy[np.random.Generator]:
    return st.integers(0, 2**32 - 1).map(np.random.default_rng)


def _scales() -> st.SearchStrategy[float]:
    return st.sampled_from([1.0, 0.01, 10.0])


def _keep_fractions() -> st.SearchStrategy[float]:
    return st.sampled_from([1.0, 0.5, 1e-3]) | st.floats(1e-3, 1.0)


def _rounded(values: np.ndarray, bits: int) -> np.ndarray:
    """Return the nearest multiples of 2^−bits."""
    return np.asarray(np.round(values * 2.0**bits) / 2.0**bits)


def _basis(rng: np.random.Generator, dim: int) -> np.ndarray:
    return np.linalg.qr(rng.standard_normal((dim, dim)))[0]


def _bernoulli(dim: int) -> st.SearchStrategy[Sketch]:
    each = st.lists(_keep_fractions(), min_size=dim, max_size=dim).map(np.array)
    return (_keep_fractions() | each).map(partial(Bernoulli, dim))


def _blocks(dim: int) -> st.SearchStrategy[int | np.ndarray]:
    labels = st.lists(st.integers(0, 2), min_size=dim, max_size=dim).map(np.array)
    return st.integers(1, dim) | labels


@st.composite
def _block_bernoulli(draw: st.DrawFn, dim: int) -> Sketch:
    blocks = draw(_blocks(dim))
    return BlockBernoulli(dim, blocks, draw(_keep_fractions()))


@st.composite
def _block_randk(draw: st.DrawFn, dim: int) -> Sketch:
    blocks = draw(_blocks(dim))
    count = blocks if isinstance(blocks, int) else len(np.unique(blocks))
    return BlockRandK(dim, blocks, draw(st.integers(1, count)))


@st.composite
def _independent_diagonals(draw: st.DrawFn, dim: int) -> Sketch:
    rng = draw(_generators())
    weights = np.array([_weights(rng, 3) for _ in range(dim)])
    noise = draw(_scales()) * rng.standard_normal((dim, 3))
    return IndependentDiagonal(1 + noise - (weights * noise).sum(axis=1, keepdims=True), weights)


@st.composite
def _rotated(draw: st.DrawFn, dim: int) -> Sketch:
    inner = draw(sketches(dim, _PLAIN))
    return Rotated(inner, draw(st.sampled_from(["dct"]) | _generators().map(lambda rng: _basis(rng, dim))))


@st.composite
def _composed(draw: st.DrawFn, dim: int) -> Sketch:
    return Composed(draw(sketches(dim, _PLAIN)), draw(sketches(dim, _PLAIN)))


@st.composite
def _finite_supports(draw: st.DrawFn, dim: int) -> Sketch:
    build = draw(st.sampled_from([_general_matrices, _basis_directions, _complementary_masks]))
    return FiniteSupport(*build(draw(_generators()), dim, draw(_scales())))


def _general_matrices(rng: np.random.Generator, dim: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    weights = _weights(rng, int(rng.integers(1, 5)))
    noise = scale * rng.standard_normal((len(weights), dim, dim))
    return np.eye(dim) + noise - np.tensordot(weights, noise, axes=1), weights


def _basis_directions(rng: np.random.Generator, dim: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    weights, columns = _weights(rng, dim), _basis(rng, dim).T
    return columns[:, :, None] * columns[:, None, :] / weights[:, None, None], weights


def _complementary_masks(rng: np.random.Generator, dim: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    weights, mask = _weights(rng, 2), rng.integers(0, 2, dim)
    return np.array([np.diag(mask / weights[0]), np.diag((1 - mask) / weights[1])]), weights


def _weights(rng: np.random.Generator, count: int) -> np.ndarray:
    raw = 0.01 + rng.random(count) ** 3
    return raw / raw.sum()


@st.composite
def _linear_models(draw: st.DrawFn, family: type[GeneralizedLinearModel], max_dim: int) -> Problem:
    rows, dim = draw(st.integers(1, _MOST_ROWS)), draw(st.integers(1, max_dim))
    rng = draw(_generators())
    rank = draw(st.sampled_from([1, min(rows, dim)]))
    spectrum = np.geomspace(1.0, 1 / draw(st.sampled_from([1.0, 10.0, 1e3])), rank)
    A = draw(_scales()) * _basis(rng, rows)[:, :rank] * spectrum @ _basis(rng, dim)[:rank]
    A[rng.random(rows) < draw(st.sampled_from([0.0, 0.4]))] = 0
    if sparse := draw(st.booleans()):
        A[rng.random(A.shape) < 0.5] = 0
    loss = family(np.ones((1, 1)), np.ones(1), l2=1.0).loss
    y = loss.labels_like(draw(_scales()) * rng.standard_normal(rows))
    return family(sp.csr_array(A) if sparse else A, y, **draw(_regularisations(bool(A.any()), loss)))


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


SKETCHES: Mapping[type[Sketch], Callable[[int], st.SearchStrategy[Sketch]]] = {
    Bernoulli: _bernoulli,
    BlockBernoulli: _block_bernoulli,
    BlockRandK: _block_randk,
    IndependentDiagonal: _independent_diagonals,
    Rotated: _rotated,
    FiniteSupport: _finite_supports,
    Composed: _composed,
}
"""A strategy for each family of sketches whose members its examples do not exhaust, given the dimension."""
