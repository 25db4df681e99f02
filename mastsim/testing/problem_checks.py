"""Checks that a problem is what it says it is."""

from __future__ import annotations

import math
import warnings
from itertools import pairwise

import numpy as np
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from mastsim.problems import CertificateWarning, Problem
from mastsim.testing.assertions import about, agree, at_most, require, same
from mastsim.validation import instance, integer

_EPS = float(np.finfo(float).eps)
_RADII = (0.0, 0.1, 1.0, 1.0, 10.0, 10.0)


def check_problem(problem: Problem, seed: int = 0) -> None:
    """Check a problem against its definition: derivatives, batches, curvature, lower bound and minimiser.

    The gradient is compared with central differences whose error is proven from `L_f` (where that is infinite, estimated
    from the Hessian nearby), the Hessian with differences of gradients whose error is estimated from how much the Hessian
    changes over the step. Curvature is checked at random points, by eigenvalues: matrices of shape (dim, dim) are formed.

    Parameters
    ----------
    problem : Problem
        The problem to check.
    seed : int, default 0
        Seed of the random points; a result repeats exactly.

    Raises
    ------
    AssertionError
        If an identity fails; the message names it and says by how much.

    Examples
    --------
    >>> import numpy as np, mastsim as ms
    >>> check_problem(ms.Quadratic(np.diag([1.0, 4.0]), np.ones(2)))
    >>> class Careless(ms.Quadratic):
    ...     def gradient(self, x):
    ...         return 2 * super().gradient(x)
    >>> try:
    ...     check_problem(Careless(np.diag([1.0, 4.0]), np.ones(2)))
    ... except AssertionError as failure:
    ...     print(str(failure)[:69])
    Careless (d = 2): gradient against central differences of value fails
    """
    instance("problem", problem, Problem)
    rng = np.random.default_rng(integer("seed", seed, 0))
    with threadpool_limits(limits=1, user_api="blas"), about(getattr(problem, "name", type(problem).__name__)):
        integer("dim", problem.dim, 1)
        points = _points(problem, rng)
        directions = rng.standard_normal(points.shape)
        directions /= np.linalg.norm(directions, axis=1)[:, None]
        _check_constants(problem)
        _check_batches(problem, points, directions)
        for x, u in zip(points, directions, strict=True):
            _check_gradient(problem, x, u)
            _check_hessian_product(problem, x, u)
        _check_curvature(problem, points)
        _check_pairs(problem, points)
        _check_minimum(problem, points)


def _points(problem: Problem, rng: np.random.Generator) -> np.ndarray:
    points: np.ndarray = np.array(_RADII)[:, None] * rng.standard_normal((len(_RADII), problem.dim))
    if math.isfinite(problem.L_f):
        return points
    with np.errstate(over="ignore"):
        return points[np.isfinite(problem.value(10 * points))]


def _check_constants(problem: Problem) -> None:
    L, mu = problem.L_f, problem.mu_f
    require("L_f is a smoothness constant", L >= 0, f"it is {L}")
    require("L_f is no lower bound or estimate", L.kind in ("exact", "upper"), f"its kind is {L.kind!r}")
    require("mu_f is no upper bound or estimate", mu.kind in ("exact", "lower"), f"its kind is {mu.kind!r}")
    at_most("mu_f ≤ L_f", mu.value, L.value, 1e-12 * abs(mu.value))
    convex = problem.is_convex
    require("is_convex agrees with mu_f", convex == (mu >= 0), f"is_convex = {convex}, mu_f = {mu.value:.6g}")


def _check_batches(problem: Problem, points: np.ndarray, directions: np.ndarray) -> None:
    x, u = points.copy(), directions.copy()
    for name, together, alone in (
        ("value", problem.value(x), [problem.value(p) for p in x]),
        ("gradient", problem.gradient(x), [problem.gradient(p) for p in x]),
        ("hessian_product", problem.hessian_product(x, u), [problem.hessian_product(*p) for p in zip(x, u, strict=True)]),
    ):
        require(f"{name} is finite", np.isfinite(together).all(), "there are NaN or infinite entries")
        same(f"{name} of a batch = {name} of its points, bit for bit", together, np.array(alone))
    columns = np.asfortranarray(x)
    same("value does not depend on the memory order of the batch", problem.value(columns), problem.value(x))
    same("gradient does not depend on the memory order of the batch", problem.gradient(columns), problem.gradient(x))
    same("points are left alone", np.concatenate([x, u]), np.concatenate([points, directions]))


def _rounding(problem: Problem, x: np.ndarray) -> float:
    """Return the rounding error that f may have near x, from the size of the terms that cancel there."""
    zero, reach = np.zeros(problem.dim), 1.0 + float(np.linalg.norm(x))
    slope = float(np.linalg.norm(problem.gradient(zero)))
    terms = (
        abs(float(problem.value(x))) + abs(float(problem.value(zero))) + slope * reach + _smoothness(problem, x) * reach**2
    )
    return _margin(problem) * terms


def _gradient_rounding(problem: Problem, x: np.ndarray) -> float:
    size = float(np.linalg.norm(problem.gradient(x))) + float(np.linalg.norm(problem.gradient(np.zeros(problem.dim))))
    return _margin(problem) * (size + _smoothness(problem, x) * (1.0 + float(np.linalg.norm(x))))


def _margin(problem: Problem) -> float:
    return (64 + problem.dim) * _EPS


def _smoothness(problem: Problem, x: np.ndarray) -> float:
    """Return L_f or, where that is infinite, twice the norm of the Hessian at x."""
    return problem.L_f.value if math.isfinite(problem.L_f) else 2 * float(np.linalg.norm(problem.hessian(x), ord=2))


def _check_gradient(problem: Problem, x: np.ndarray, u: np.ndarray) -> None:
    # |f(x + hu) − f(x − hu) − 2h ∇f(x)ᵀu| ≤ L h² for an L-smooth f and ‖u‖ = 1; h balances this with rounding.
    noise, L = _rounding(problem, x), _smoothness(problem, x)
    longest = 1.0 if math.isfinite(problem.L_f) else 1e-4
    h = min(longest, math.sqrt(noise / L)) if L > 0 else longest
    difference = float(problem.value(x + h * u) - problem.value(x - h * u)) / (2 * h)
    slope = float(problem.gradient(x) @ u)
    agree("gradient against central differences of value", slope, difference, L * h / 2 + noise / h)


def _check_hessian_product(problem: Problem, x: np.ndarray, u: np.ndarray) -> None:
    # The difference is the mean of ∇²f u over the segment, so it is off by no more than ∇²f u changes; thrice that is given.
    h = 1e-5
    here, ahead, behind = (problem.hessian_product(x + s * u, u) for s in (0.0, h, -h))
    change = max(float(np.linalg.norm(ahead - here)), float(np.linalg.norm(behind - here)))
    difference = (problem.gradient(x + h * u) - problem.gradient(x - h * u)) / (2 * h)
    agree(
        "hessian_product against central differences of gradient",
        here,
        difference,
        3 * change + _gradient_rounding(problem, x) / h,
    )


def _check_curvature(problem: Problem, points: np.ndarray) -> None:
    first = problem.hessian(points[0])
    for x in points:
        H, slack = problem.hessian(x), (_margin(problem) + problem.hessian_accuracy) * _smoothness(problem, x)
        agree("hessian is symmetric", H, H.T, slack)
        spectrum = np.linalg.eigvalsh(H)
        if math.isfinite(problem.mu_f):
            at_most("lower_curvature ⪯ ∇²f", 0.0, _least(H - problem.lower_curvature.matrix), slack)
        at_most("mu_f I ⪯ ∇²f", problem.mu_f.value, spectrum[0], slack)
        at_most("∇²f ⪯ L_f I", max(spectrum[-1], -spectrum[0]), problem.L_f.value, slack)
        if math.isfinite(problem.L_f):
            _check_upper_curvature(problem, H, slack)
        if problem.is_quadratic:
            agree("is_quadratic: the Hessian is the same everywhere", H, first, slack)
            agree("L_f = λ_max(∇²f) of a quadratic", problem.L_f.value, max(spectrum[-1], 0.0), slack)
            agree("mu_f = λ_min(∇²f) of a quadratic", problem.mu_f.value, spectrum[0], slack)


def _check_upper_curvature(problem: Problem, H: np.ndarray, slack: float) -> None:
    L = problem.upper_curvature.matrix
    at_most("∇²f ⪯ upper_curvature", 0.0, _least(L - H), slack)
    if not problem.is_convex:
        at_most("−upper_curvature ⪯ ∇²f", 0.0, _least(L + H), slack)
    if problem.curvature_is_attained:
        agree("L_f = λ_max(upper_curvature)", problem.L_f.value, max(float(np.linalg.eigvalsh(L)[-1]), 0.0), slack)


def _least(matrix: np.ndarray) -> float:
    return float(np.linalg.eigvalsh(matrix)[0])


def _check_pairs(problem: Problem, points: np.ndarray) -> None:
    steepest = np.linalg.eigh(problem.hessian(points[0]))[1][:, [0, -1]].T
    for x, y in [*pairwise(points), *((points[0], 1e-3 * v) for v in steepest)]:
        step, change = x - y, problem.gradient(x) - problem.gradient(y)
        noise, length = _gradient_rounding(problem, x) + _gradient_rounding(problem, y), float(np.linalg.norm(step))
        at_most("‖∇f(x) − ∇f(y)‖ ≤ L_f‖x − y‖", np.linalg.norm(change), problem.L_f * length, noise)
        at_most("(∇f(x) − ∇f(y))ᵀ(x − y) ≥ mu_f‖x − y‖²", problem.mu_f * length**2, change @ step, noise * length)


def _check_minimum(problem: Problem, points: np.ndarray) -> None:
    # A weak certificate is a warning for users; here it is enough that it is true.
    with warnings.catch_warnings(action="ignore", category=CertificateWarning):
        best = problem.minimize()
    x = np.asarray(best.x)
    require("shape of the minimiser", x.shape == (problem.dim,), f"{x.shape} instead of ({problem.dim},)")
    noise = _rounding(problem, x)
    agree("value of the minimiser", best.value, float(problem.value(x)), noise)
    agree("gradient_norm of the minimiser", best.gradient_norm, float(np.linalg.norm(problem.gradient(x))), noise)
    require("gap_bound is a bound", best.gap_bound >= 0, f"it is {best.gap_bound}")
    found = [*points, *(_descend(problem, start) for start in (x, *points[2:4]))]
    for y in found:
        slack = noise + _rounding(problem, y)
        value = float(problem.value(y))
        at_most("value − gap_bound is below every value of f", best.value - best.gap_bound, value, slack)
        at_most("lower_bound is below every value of f", problem.lower_bound, value, slack)


def _descend(problem: Problem, start: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        run = minimize(
            lambda x: (float(problem.value(x)), np.asarray(problem.gradient(x))),
            start,
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": 40, "ftol": 0.0, "gtol": 0.0},
        )
    return np.asarray(run.x)
