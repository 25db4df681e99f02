"""What the closed moment recursions of methods take from a quadratic."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mastsim.expected import Mast
from mastsim.linalg import symmetric_part
from mastsim.methods.affine import declared
from mastsim.methods.compression import Compressor
from mastsim.methods.minibatch import Minibatch, Sampling
from mastsim.problems import Problem
from mastsim.recursions import SampledGradient, SketchedGradient
from mastsim.recursions.reshuffled import fits
from mastsim.sketches.laws import MomentOperators

COMPONENT_WORK = 1 << 18
"""The largest n·d³, the work of one step with sampled gradients, that is accepted: replicas are faster beyond."""


class SketchedQuadratic(NamedTuple):
    """The moments of a sketched quadratic: those of its law, x_D* − v, and ∇f(v)."""

    operators: MomentOperators
    z_star: np.ndarray
    g0: np.ndarray


def sketched_quadratic(objective: Mast) -> SketchedQuadratic:
    """Return the moments of a quadratic under its sketch."""
    problem, v = objective.problem, objective.center
    operators = objective.sketch.moment_operators(problem.upper_curvature.matrix)
    return SketchedQuadratic(operators, objective.minimize().x - v, np.asarray(problem.gradient(v)))


def sampled_gradient(objective: Mast, sampling: Sampling, compression: Compressor) -> SampledGradient:
    """Return the moments of sampled and compressed gradients; the compressor must be a diagonal sketch."""
    problem, n, d = objective.problem, objective.problem.components, objective.dim
    if n * d**3 > COMPONENT_WORK:
        raise ValueError(f"{n} components of dimension {d} are not accepted: at most {COMPONENT_WORK} for n·d³")
    if declared(compression, "moment_operators") is None:
        raise ValueError(f"no closed moments are known for compression by {compression.name}")
    compressed = compression.moment_operators(d)
    whole = SketchedGradient(*sketched_quadratic(objective))
    slopes, hessians = _components(problem, objective.center)
    shares, weight = sampling.second_moment(n)
    seen = shares > 0
    operators = objective.sketch.moment_operators(hessians[seen])
    return SampledGradient(operators, slopes[seen], shares[seen] / n, whole, weight, compressed)


def _components(problem: Problem, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the gradients at v, shape (n, dim), and the Hessians, shape (n, dim, dim), of quadratic components."""
    n, d = problem.components, problem.dim
    one = Minibatch(np.arange(n)[:, None], np.ones((n, 1)))
    at = [np.asarray(problem.minibatch_gradient(np.broadcast_to(x, (n, d)), one)) for x in (v, *(v + np.eye(d)))]
    columns = np.stack([column - at[0] for column in at[1:]], axis=2)
    return at[0], np.stack([symmetric_part(A) for A in columns])


def listed_gradients(objective: Mast) -> tuple[np.ndarray, np.ndarray]:
    """Return H_i = S_iᵀAS_i, shape (N, dim, dim), and ∇f_{S_i}(x_D*), shape (N, dim), for every value of the sketch.

    Raises
    ------
    ValueError
        If they are too many for the exact moments of an epoch.
    """
    count = int(objective.sketch.support_size)
    if not fits(count, objective.dim):
        raise ValueError(f"an epoch of {count} steps in dimension {objective.dim} is too long for a closed moment recursion")
    S, A = np.asarray(objective.support[0].matrices()), objective.problem.upper_curvature.matrix
    H, z = S.transpose(0, 2, 1) @ A @ S, objective.minimize().x - objective.center
    return H, np.einsum("nij,i->nj", S, np.asarray(objective.problem.gradient(objective.center))) + H @ z
