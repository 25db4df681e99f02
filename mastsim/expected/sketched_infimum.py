"""E inf_x f_S(x), which the gap may be taken against when S is singular."""

from __future__ import annotations

import numpy as np

from mastsim.linalg import Bottom, QuadraticForm
from mastsim.linalg.rank import exact_rank
from mastsim.minimization import Curvatures, minimize_convex
from mastsim.problems import Problem
from mastsim.problems.base import DENSE_LIMIT
from mastsim.problems.certificates import below
from mastsim.provenance import Constant, graded
from mastsim.sketches import Composed, FiniteSupport, Rotated, Sketch

QUADRATIC_LIMIT, GENERAL_LIMIT = 4096, 512
_CUT = 1e-12  # singular values below this, relative to the largest, are looked at twice
_ORTHONORMAL = 16 * np.finfo(float).eps  # a computed basis is as far as this from one, times the dimension


def sketched_infimum(problem: Problem, sketch: Sketch, shift: np.ndarray) -> Constant:
    """Return E inf_x f(v + S(x − v)) by enumeration of the sketch, or the lower bound inf f where that is out of reach.

    Parameters
    ----------
    problem : Problem
        The function f; strongly convex, or quadratic.
    sketch : Sketch
        The distribution of S; enumerated when it has at most 4096 values (quadratics) or 512 (others).
    shift : ndarray, shape (dim,)
        The shift v.

    Returns
    -------
    Constant
        Exact up to its certified error, or a lower bound.
    """
    found = listed_infima(problem, sketch, shift)
    if isinstance(found, str):
        return _without_sketch(problem, found)
    values, errors = found
    weights = sketch.support()[1]
    size = float(weights @ np.abs(values))
    error = float(weights @ errors) + 2 * len(weights) * float(np.finfo(float).eps) * size
    # The values are differences of f(v) and what a sketch gains.
    scale = size + abs(float(problem.value(shift)))
    return graded(float(weights @ values), error, "enumeration of E inf f_S", "lower", scale)


def listed_infima(problem: Problem, sketch: Sketch, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray] | str:
    """Return inf_x f(v + S(x − v)) for every value of the sketch, and bounds on their errors, or why they are not known.

    Parameters
    ----------
    problem, sketch, shift
        As for `sketched_infimum`.

    Returns
    -------
    tuple of ndarray, shape (support_size,), or str
        The infima and their errors; or the reason.
    """
    limit = QUADRATIC_LIMIT if problem.is_quadratic else GENERAL_LIMIT
    if sketch.support_size > limit or not (problem.is_quadratic or problem.mu_f > 0):
        return "the sketch is not enumerated"
    if problem.is_quadratic and problem.dim > DENSE_LIMIT:
        return "the dimension is too large for a matrix"
    batch, weights = sketch.support()
    matrices = (np.asarray(batch.take(np.array([i])).matrices())[0] for i in range(len(weights)))
    if problem.is_quadratic:
        form = problem.quadratic_form.around(shift)
        bottoms = [_bottom_on(form, S) for S in matrices]
        if not all(bottom.proven for bottom in bottoms):
            return "the rank of a sketched function is not decided by floats"
        found = [(bottom.value, bottom.error) for bottom in bottoms]
    else:
        ranges = [_range(S, _is_exact(sketch)) for S in matrices]
        spans = [span for span in ranges if span is not None]
        if len(spans) < len(ranges):
            return "the rank of a sketch is not decided by floats"
        found = [_infimum_on(problem, shift, *span) for span in spans]
    values, errors = np.array(found).T
    return values, errors


def _without_sketch(problem: Problem, why: str) -> Constant:
    """Return inf f, which no f_S goes below."""
    best = problem.minimize()
    if not best.proven:
        return Constant(best.value, "estimate", f"f^inf ≤ f_S^inf; {best.certificate}", best.gap_bound)
    return Constant(best.value - best.gap_bound, "lower", f"f^inf ≤ f_S^inf; {why}")


def _bottom_on(form: QuadraticForm, S: np.ndarray) -> Bottom:
    """Return the minimum of a quadratic form over the range of S."""
    columns = S[:, S.any(axis=0)]
    chosen = np.flatnonzero(columns.any(axis=1))
    if np.count_nonzero(columns) == len(chosen) == columns.shape[1]:
        return form.on_coordinates(chosen).minimize()
    return form.through(columns).minimize()


def _is_exact(sketch: Sketch) -> bool | None:
    """Return whether matrices are the sketch's own to the last bit; None where nothing small in them can be told from 0."""
    if sketch.is_diagonal or isinstance(sketch, FiniteSupport):
        return True
    if isinstance(sketch, Rotated):
        return False if sketch.sketch.is_diagonal else None
    return None if isinstance(sketch, Composed) else False


def _range(S: np.ndarray, exact: bool | None) -> tuple[np.ndarray, float] | None:
    """Return an orthonormal basis of the range of S, shape (dim, rank), and how far off its span; None if undecided."""
    dim, filled = len(S), np.count_nonzero(S, axis=1)
    if filled.max(initial=0) <= 1 and np.count_nonzero(S, axis=0).max(initial=0) <= 1:
        return np.eye(dim)[:, filled > 0], 0.0
    basis, singular, _ = np.linalg.svd(S)
    rank, top = int((singular > _CUT * singular[0]).sum()), float(singular[0])
    if exact and (true := exact_rank([[S]])) != rank:
        return (np.eye(dim), 0.0) if true == dim else None
    if rank == dim:
        return np.eye(dim), 0.0
    if exact is None or (exact is False and singular[rank] > _ORTHONORMAL * dim * top):
        return None
    return basis[:, :rank], _ORTHONORMAL * dim * top / float(singular[rank - 1])


def _infimum_on(problem: Problem, shift: np.ndarray, basis: np.ndarray, turned: float) -> tuple[float, float]:
    """Return inf of f over v + the span of a basis that may be turned a little, and a bound on its error."""
    if basis.shape[1] == 0:
        return float(problem.value(shift)), float(problem.error_bound(shift))

    def restricted(y: np.ndarray) -> tuple[float, np.ndarray]:
        point = shift + basis @ y
        return float(problem.value(point)), basis.T @ np.asarray(problem.gradient(point))

    def product(y: np.ndarray, w: np.ndarray) -> np.ndarray:
        return np.asarray(basis.T @ problem.hessian_product(shift + basis @ y, basis @ w))

    known = Curvatures(
        hessian=lambda y: np.asarray(basis.T @ problem.hessian(shift + basis @ y) @ basis),
        scale=1 / np.linalg.norm(basis / problem.column_scale[:, None], axis=0),
    )
    y = minimize_convex(restricted, product, np.zeros(basis.shape[1]), known, problem.lower_bound)
    return _certified_on(problem, shift, basis, y, max(turned, _ORTHONORMAL * len(shift)))


def _certified_on(
    problem: Problem, shift: np.ndarray, basis: np.ndarray, y: np.ndarray, turned: float
) -> tuple[float, float]:
    """Return f at v + basis·y, and a bound on how far it is from the infimum over v + the span, rounding included."""
    point = shift + basis @ y
    moved = np.full(len(shift), turned * float(np.linalg.norm(shift) + np.linalg.norm(y)))
    gradient = np.asarray(problem.gradient(point))
    hidden = float(problem.gradient_error(point, moved)) + turned * float(np.linalg.norm(gradient))
    norm = float(np.linalg.norm(basis.T @ gradient)) + hidden
    return float(problem.value(point)), norm**2 / (2 * below(problem.mu_f)) + float(problem.error_bound(point, moved))
